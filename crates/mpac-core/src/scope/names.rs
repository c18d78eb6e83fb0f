//! One name for one thing across kinds of scope: given by a scope itself, or found in the resource registry
//! (SCO-11, SCO-12, SCO-14).

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use mpac_wire::Scope;
use mpac_wire::names::ScopeKind;
use mpac_wire::policy::ResourceRegistry;

use super::normalize;
use super::outline::{Entries, entries};

/// The resource registry, for lookups. Without a registry: empty, and only what scopes give themselves counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Kind and value of an alias to the URIs it stands for.
    by_alias: BTreeMap<(ScopeKind, String), BTreeSet<String>>,
    /// The same without the kind: an operation's target does not say what it is.
    by_value: BTreeMap<String, BTreeSet<String>>,
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
                names.by_alias.entry((alias.kind.clone(), value)).or_default().insert(uri());
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
        let value = match scope.kind {
            ScopeKind::ResourcePath => scope.pattern.as_ref(),
            ScopeKind::Query => scope.expression.as_ref(),
            _ => None,
        };
        value.is_some_and(|value| one(spelling(&scope.kind, value)))
    }

    /// The URIs that an operation's target may stand for, itself included (D-069).
    pub(super) fn of_target(&self, target: &str) -> BTreeSet<String> {
        let mut uris = BTreeSet::from([target.to_owned()]);
        for value in [target, normalize(target).as_str()] {
            uris.extend(self.by_value.get(value).into_iter().flatten().cloned());
        }
        uris
    }

    /// Whether a scope covers a target by one of its names.
    pub(super) fn is_named(&self, scope: &Scope, target: &str) -> bool {
        if self.by_alias.is_empty() {
            return scope.canonical_uris.iter().flatten().any(|uri| uri == target);
        }
        !self.resolve(scope, &entries(scope).1).uris.is_disjoint(&self.of_target(target))
    }
}

/// Paths have one spelling; every other value is taken as it is.
fn spelling(kind: &ScopeKind, value: &str) -> String {
    match kind {
        ScopeKind::FileSet | ScopeKind::ResourcePath => normalize(value),
        _ => value.to_owned(),
    }
}
