//! From a scope to the live intents that may overlap it, in the cost of what is found.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use mpac_wire::names::ScopeKind;
use mpac_wire::{IntentId, Scope};

use super::names::Group;
use super::overlap::{SetKind, entries};
use super::{Names, dependency, glob, normalize};

/// Live intents by what they cover. Derived from the session: two sessions that are equal have equal indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeIndex {
    names: Names,
    /// Set kind and entry to the intents that list it.
    by_entry: BTreeMap<(SetKind, String), BTreeSet<IntentId>>,
    /// Group and URI to the intents that are known by it.
    by_uri: BTreeMap<(Group, String), BTreeSet<IntentId>>,
    /// Intents that names say everything of: another kind overlaps them by a common name only, if it is told, too.
    told: BTreeMap<Group, BTreeSet<IntentId>>,
    /// All others: another kind may overlap any of them.
    untold: BTreeMap<Group, BTreeSet<IntentId>>,
    /// Patterns, normalised. A list: there is no cheaper exact test for two patterns.
    patterns: BTreeMap<IntentId, String>,
    /// How many intents there are of each kind.
    kinds: BTreeMap<ScopeKind, usize>,
    /// Files that edits of an intent reach, to the intents that declare it.
    by_impact: BTreeMap<String, BTreeSet<IntentId>>,
}

impl ScopeIndex {
    /// An index of no intents, under these names.
    pub fn new(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    /// The names scopes are compared by.
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The same names, and no intents.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self::new(self.names.clone())
    }

    /// Adds a live intent.
    pub fn insert(&mut self, intent: &IntentId, scope: &Scope) {
        let (group, known) = (Group::of(scope), self.names.resolve(scope));
        let told = if known.complete { &mut self.told } else { &mut self.untold };
        told.entry(group).or_default().insert(intent.clone());
        *self.kinds.entry(scope.kind.clone()).or_default() += 1;
        for uri in known.uris {
            self.by_uri.entry((group, uri)).or_default().insert(intent.clone());
        }
        if let Some((kind, set)) = entries(scope) {
            for entry in set {
                self.by_entry.entry((kind, entry)).or_default().insert(intent.clone());
            }
            for file in dependency::impact(scope) {
                self.by_impact.entry(file).or_default().insert(intent.clone());
            }
        } else if let (Group::Patterns, Some(pattern)) = (group, &scope.pattern) {
            self.patterns.insert(intent.clone(), normalize(pattern));
        }
    }

    /// Takes an intent away; `scope` is the one it was inserted with.
    pub fn remove(&mut self, intent: &IntentId, scope: &Scope) {
        let (group, known) = (Group::of(scope), self.names.resolve(scope));
        take(if known.complete { &mut self.told } else { &mut self.untold }, &group, intent);
        if let Some(count) = self.kinds.get_mut(&scope.kind) {
            *count -= 1;
            if *count == 0 {
                self.kinds.remove(&scope.kind);
            }
        }
        for uri in known.uris {
            take(&mut self.by_uri, &(group, uri), intent);
        }
        if let Some((kind, set)) = entries(scope) {
            for entry in set {
                take(&mut self.by_entry, &(kind, entry), intent);
            }
            for file in dependency::impact(scope) {
                take(&mut self.by_impact, &file, intent);
            }
        }
        self.patterns.remove(intent);
    }

    /// Every live intent whose edits may reach `scope`, or be reached by its edits (SCO-18).
    pub fn dependents(&self, scope: &Scope) -> BTreeSet<IntentId> {
        let mut found = BTreeSet::new();
        if let Some((SetKind::Files, files)) = entries(scope) {
            for file in &files {
                found.extend(self.by_impact.get(file).into_iter().flatten().cloned());
            }
            for file in dependency::impact(scope) {
                found.extend(self.by_entry.get(&(SetKind::Files, file)).into_iter().flatten().cloned());
            }
        }
        found
    }

    /// Every live intent that may overlap `scope`; [`overlap`](super::overlap()) decides.
    ///
    /// For a set kind that is: those that share an entry, and those of other kinds, unless names tell them apart.
    pub fn candidates(&self, scope: &Scope) -> BTreeSet<IntentId> {
        let (own, known) = (Group::of(scope), self.names.resolve(scope));
        let mut found = BTreeSet::new();
        for other in Group::ALL {
            match (own, other) {
                (Group::Set(kind), _) if own == other => self.sharing(kind, scope, &mut found),
                (Group::Set(SetKind::Files), Group::Patterns) => self.matching(scope, &mut found),
                (Group::Patterns, Group::Patterns) => found.extend(self.patterns.keys().cloned()),
                _ => {
                    found.extend(self.untold.get(&other).into_iter().flatten().cloned());
                    if !known.complete {
                        found.extend(self.told.get(&other).into_iter().flatten().cloned());
                    }
                }
            }
            // Names say nothing about two sets of one kind (D-067).
            let by_name = own != other || matches!(own, Group::Patterns | Group::Opaque);
            for uri in known.uris.iter().filter(|_| by_name) {
                found.extend(self.by_uri.get(&(other, uri.clone())).into_iter().flatten().cloned());
            }
        }
        found
    }

    /// Those that list an entry of this scope, which is of their kind.
    fn sharing(&self, kind: SetKind, scope: &Scope, found: &mut BTreeSet<IntentId>) {
        for entry in entries(scope).into_iter().flat_map(|(_, set)| set) {
            found.extend(self.by_entry.get(&(kind, entry)).into_iter().flatten().cloned());
        }
    }

    /// Those whose pattern matches a file of this scope.
    fn matching(&self, scope: &Scope, found: &mut BTreeSet<IntentId>) {
        if self.patterns.is_empty() {
            return;
        }
        let files = entries(scope).map(|(_, set)| set).unwrap_or_default();
        for (intent, pattern) in &self.patterns {
            if files.iter().any(|file| glob::matches(pattern, file)) {
                found.insert(intent.clone());
            }
        }
    }

    /// Every live intent that may cover this target; [`contains_target`](super::contains_target) decides (D-069).
    pub fn covering(&self, target: &str) -> BTreeSet<IntentId> {
        let path = normalize(target);
        let mut found = BTreeSet::new();
        for (kind, entry) in
            [(SetKind::Files, path.as_str()), (SetKind::Entities, target), (SetKind::Tasks, target)]
        {
            found.extend(self.by_entry.get(&(kind, entry.into())).into_iter().flatten().cloned());
        }
        for uri in self.names.of_target(target) {
            for group in Group::ALL {
                found.extend(self.by_uri.get(&(group, uri.clone())).into_iter().flatten().cloned());
            }
        }
        let matching = self.patterns.iter().filter(|(_, pattern)| glob::matches(pattern, &path));
        found.extend(matching.map(|(intent, _)| intent.clone()));
        found
    }
}

fn take<K: Ord>(map: &mut BTreeMap<K, BTreeSet<IntentId>>, key: &K, intent: &IntentId) {
    if let Some(set) = map.get_mut(key) {
        set.remove(intent);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::scope::{contains_target, overlap};
    use mpac_wire::policy::ResourceRegistry;

    /// `a` is a file, an entity, a task and a pattern; `b` a file and an entity under another name.
    fn registry() -> ResourceRegistry {
        let text = r#"{"mappings":[
            {"canonical_uri":"u","aliases":[{"kind":"file_set","value":"./a"},{"kind":"entity_set","value":"a"},
                {"kind":"task_set","value":"a"},{"kind":"resource_path","value":"a"}]},
            {"canonical_uri":"w","aliases":[{"kind":"file_set","value":"b"},{"kind":"entity_set","value":"b/a"}]}]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn any_scope() -> impl Strategy<Value = Scope> {
        let names = || proptest::collection::vec("[./]{0,2}[ab]/?[ab]?", 0..4);
        let pattern = "[ab*?/]{1,4}";
        let uris = proptest::option::of(proptest::collection::vec("[uv]", 0..2));
        (0..5, names(), pattern, uris).prop_map(|(kind, names, pattern, uris)| {
            let mut scope = match kind {
                0 => Scope::files(names),
                1 => Scope::entities(names),
                2 => Scope::tasks(names),
                3 => Scope::new(ScopeKind::ResourcePath),
                _ => Scope::new(ScopeKind::Custom),
            };
            if kind == 3 {
                scope.pattern = Some(pattern);
            }
            scope.canonical_uris = uris;
            scope
        })
    }

    proptest! {
        /// The index loses no overlap, and taking everything away leaves it empty.
        #[test]
        fn nothing_that_overlaps_is_missed(
            scopes in proptest::collection::vec(any_scope(), 0..8),
            asked in any_scope(),
            target in "[./]{0,2}[abuvw]/?[ab]?",
            registered in any::<bool>(),
        ) {
            let registry = registered.then(registry);
            let mut index = ScopeIndex::new(Names::new(registry.as_ref()));
            let named: Vec<(IntentId, Scope)> = scopes
                .into_iter()
                .enumerate()
                .map(|(n, scope)| (IntentId::new(alloc::format!("i{n}")).unwrap(), scope))
                .collect();
            for (intent, scope) in &named {
                index.insert(intent, scope);
            }
            let (candidates, covering) = (index.candidates(&asked), index.covering(&target));
            for (intent, scope) in &named {
                if overlap(index.names(), &asked, scope).is_some() {
                    prop_assert!(candidates.contains(intent), "{intent} {scope:?}");
                }
                if contains_target(index.names(), scope, &target) == Some(true) {
                    prop_assert!(covering.contains(intent), "{intent} {scope:?} {target}");
                }
            }
            for (intent, scope) in &named {
                index.remove(intent, scope);
            }
            prop_assert_eq!(&index, &index.emptied());
        }
    }
}
