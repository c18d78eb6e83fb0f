//! One name for one thing across kinds of scope: given by a scope itself, or found in the resource registry
//! (SCO-11, SCO-12, SCO-14).

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use mpac_wire::Scope;
use mpac_wire::names::ScopeKind;
use mpac_wire::policy::ResourceRegistry;

use super::outline::{Class, Entries, entries, listed};
use super::{normalize, normalized};

/// The resource registry, for lookups. Without a registry: empty, and only what scopes give themselves counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Kind and value of an alias to the URIs it stands for.
    by_alias: BTreeMap<(ScopeKind, String), BTreeSet<String>>,
    /// The same without the kind: an operation's target does not say what it is.
    by_value: BTreeMap<String, BTreeSet<String>>,
    /// The other way round: what each URI stands for.
    by_uri: BTreeMap<String, BTreeSet<(ScopeKind, String)>>,
}

/// What a scope covers, in names that can be compared across kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    /// Opaque, case-sensitive.
    pub(super) uris: BTreeSet<String>,
    /// They stand for everything in the scope (D-066).
    pub(super) complete: bool,
}

impl Names {
    /// The names of a session's registry.
    pub fn new(registry: Option<&ResourceRegistry>) -> Self {
        let mut names = Self::default();
        for mapping in registry.iter().flat_map(|registry| &registry.mappings) {
            for alias in &mapping.aliases {
                let value = spelling(&alias.kind, &alias.value);
                let uri = || mapping.canonical_uri.clone();
                names.by_value.entry(value.clone()).or_default().insert(uri());
                let alias = (alias.kind.clone(), value);
                names.by_uri.entry(uri()).or_default().insert(alias.clone());
                names.by_alias.entry(alias).or_default().insert(uri());
            }
        }
        names
    }

    /// What a scope covers: the URIs it gives, and those that the registry has for its entries.
    /// `entries` are those it lists.
    pub(super) fn resolve(&self, scope: &Scope, entries: &Entries<'_>) -> Resolved {
        let mut uris: BTreeSet<String> = scope.canonical_uris.iter().flatten().cloned().collect();
        let given = !uris.is_empty();
        let all_found = !self.by_alias.is_empty() && self.look_up(scope, entries, &mut uris);
        Resolved { uris, complete: given || all_found }
    }

    /// Whether everything in a scope has a name that other kinds of scope may have, too: given by the scope, or by the
    /// registry (SCO-13).
    pub(crate) fn are_known(&self, scope: &Scope) -> bool {
        self.resolve(scope, &entries(scope).1).complete
    }

    /// Adds what the registry knows of a scope's entries; says whether that is all of them, and not none.
    fn look_up(&self, scope: &Scope, entries: &Entries<'_>, uris: &mut BTreeSet<String>) -> bool {
        let mut one = |value: String| match self.by_alias.get(&(scope.kind.clone(), value)) {
            Some(found) => {
                uris.extend(found.iter().cloned());
                true
            }
            None => false,
        };
        if !entries.is_empty() {
            // Every one, so that none is left out.
            return entries.iter().filter(|entry| one((*entry).to_owned())).count() == entries.iter().len();
        }
        single(scope).is_some_and(|value| one(spelling(&scope.kind, value)))
    }

    /// The URIs that an operation's target may stand for, itself included (D-069).
    pub(super) fn of_target(&self, target: &str) -> BTreeSet<String> {
        let mut uris = BTreeSet::from([target.to_owned()]);
        for value in [target, normalize(target).as_str()] {
            uris.extend(self.by_value.get(value).into_iter().flatten().cloned());
        }
        uris
    }

    /// Whether a scope covers a target by one of its names. Goes by the few names of the target: a scope may list thousands of
    /// entries, and is asked about a thousand targets of one message.
    pub(super) fn is_named(&self, scope: &Scope, target: &str) -> bool {
        let given = |uri: &str| scope.canonical_uris.iter().flatten().any(|known| known == uri);
        if self.by_alias.is_empty() {
            return given(target);
        }
        let uris = self.of_target(target);
        let stands_for = uris.iter().filter_map(|uri| self.by_uri.get(uri)).flatten();
        let alike: BTreeSet<&str> =
            stands_for.filter(|(kind, _)| *kind == scope.kind).map(|(_, value)| value.as_str()).collect();
        uris.iter().any(|uri| given(uri)) || !alike.is_empty() && lists(scope, &alike)
    }
}

/// Whether a scope lists one of these, spelled as the registry's aliases are.
fn lists(scope: &Scope, values: &BTreeSet<&str>) -> bool {
    match listed(scope) {
        (Class::Files, list) => list.iter().any(|path| values.contains(&*normalized(path))),
        (Class::Entities | Class::Tasks, list) => list.iter().any(|entry| values.contains(entry.as_str())),
        (Class::Pattern | Class::Opaque, _) => {
            single(scope).is_some_and(|value| values.contains(spelling(&scope.kind, value).as_str()))
        }
    }
}

/// What a scope is that lists nothing.
fn single(scope: &Scope) -> Option<&String> {
    match scope.kind {
        ScopeKind::ResourcePath => scope.pattern.as_ref(),
        ScopeKind::Query => scope.expression.as_ref(),
        _ => None,
    }
}

/// Paths have one spelling; every other value is taken as it is.
fn spelling(kind: &ScopeKind, value: &str) -> String {
    match kind {
        ScopeKind::FileSet | ScopeKind::ResourcePath => normalize(value),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Names {
        let text = r#"{"mappings":[
            {"canonical_uri":"r:user","aliases":[{"kind":"file_set","value":"./user.py"},{"kind":"entity_set","value":"User"},
                {"kind":"resource_path","value":"./u/*"},{"kind":"query","value":"q"},{"kind":"task_set","value":"User"}]},
            {"canonical_uri":"r:people","aliases":[{"kind":"file_set","value":"user.py"},{"kind":"file_set","value":"p.py"}]}]}"#;
        Names::new(Some(&serde_json::from_str(text).unwrap()))
    }

    proptest::proptest! {
        /// As the rule is written: the names of the scope and those of the target have one in common.
        #[test]
        fn a_target_is_named_as_by_working_the_scope_out(
            kind in "file_set|entity_set|task_set|resource_path|query|custom",
            list in proptest::collection::vec("user[.]py|[.]/p[.]py|User|x", 0..3),
            single in "u/[*]|[.]/u//[*]|q|x",
            uris in proptest::collection::vec("r:user|r:people|r:x|x", 0..2),
            target in "[.]/user[.]py|p[.]py|User|u/[*]|q|x|r:user|r:people|r:x",
        ) {
            let scope = serde_json::json!({
                "kind": kind, "resources": list, "entities": list, "task_ids": list, "pattern": single, "expression": single,
                "canonical_uris": uris,
            });
            let scope: Scope = serde_json::from_value(scope).unwrap();
            for names in [registry(), Names::default()] {
                let resolved = names.resolve(&scope, &entries(&scope).1).uris;
                let expected = !resolved.is_disjoint(&names.of_target(&target));
                proptest::prop_assert_eq!(names.is_named(&scope, &target), expected);
            }
        }
    }
}
