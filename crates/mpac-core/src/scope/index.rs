//! From a scope to the live intents that may overlap it, in the cost of what is found.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use mpac_wire::names::ScopeKind;
use mpac_wire::{IntentId, Scope};

use super::overlap::{SetKind, entries};
use super::{dependency, glob, normalize};

/// Live intents by what they cover. Derived from the session: two sessions that are equal have equal indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeIndex {
    /// Set kind and entry to the intents that list it.
    by_entry: BTreeMap<(SetKind, String), BTreeSet<IntentId>>,
    /// All intents of a set kind: another kind may overlap any of them.
    by_kind: BTreeMap<SetKind, BTreeSet<IntentId>>,
    /// Patterns, normalised. A list: there is no cheaper exact test for two patterns.
    patterns: BTreeMap<IntentId, String>,
    /// Files that edits of an intent reach, to the intents that declare it.
    by_impact: BTreeMap<String, BTreeSet<IntentId>>,
    /// Kinds that must be assumed to overlap.
    opaque: BTreeSet<IntentId>,
}

impl ScopeIndex {
    /// Adds a live intent.
    pub fn insert(&mut self, intent: &IntentId, scope: &Scope) {
        if let Some((kind, set)) = entries(scope) {
            self.by_kind.entry(kind).or_default().insert(intent.clone());
            for entry in set {
                self.by_entry.entry((kind, entry)).or_default().insert(intent.clone());
            }
            for file in dependency::impact(scope) {
                self.by_impact.entry(file).or_default().insert(intent.clone());
            }
        } else if let (ScopeKind::ResourcePath, Some(pattern)) = (&scope.kind, &scope.pattern) {
            self.patterns.insert(intent.clone(), normalize(pattern));
        } else {
            self.opaque.insert(intent.clone());
        }
    }

    /// Takes an intent away; `scope` is the one it was inserted with.
    pub fn remove(&mut self, intent: &IntentId, scope: &Scope) {
        if let Some((kind, set)) = entries(scope) {
            for entry in set {
                take(&mut self.by_entry, &(kind, entry), intent);
            }
            for file in dependency::impact(scope) {
                take(&mut self.by_impact, &file, intent);
            }
            take(&mut self.by_kind, &kind, intent);
        } else if scope.kind == ScopeKind::ResourcePath {
            self.patterns.remove(intent);
        } else {
            self.opaque.remove(intent);
        }
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
    /// For a set kind that is: those that share an entry, and those of other kinds.
    pub fn candidates(&self, scope: &Scope) -> BTreeSet<IntentId> {
        let mut found = self.opaque.clone();
        match entries(scope) {
            Some((kind, set)) => {
                for (other, intents) in &self.by_kind {
                    if *other != kind {
                        found.extend(intents.iter().cloned());
                    }
                }
                let is_file = kind == SetKind::Files;
                found.extend(self.patterns.iter().filter_map(|(intent, pattern)| {
                    // Files and patterns can be told apart here; anything else is for the full rule.
                    let may = !is_file
                        || scope.canonical_uris.is_some()
                        || set.iter().any(|file| glob::matches(pattern, file));
                    may.then(|| intent.clone())
                }));
                for entry in set {
                    found.extend(self.by_entry.get(&(kind, entry)).into_iter().flatten().cloned());
                }
            }
            None => {
                found.extend(self.by_kind.values().flatten().cloned());
                found.extend(self.patterns.keys().cloned());
            }
        }
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
    use crate::scope::overlap;

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
        fn nothing_that_overlaps_is_missed(scopes in proptest::collection::vec(any_scope(), 0..8), asked in any_scope()) {
            let mut index = ScopeIndex::default();
            let named: Vec<(IntentId, Scope)> = scopes
                .into_iter()
                .enumerate()
                .map(|(n, scope)| (IntentId::new(alloc::format!("i{n}")).unwrap(), scope))
                .collect();
            for (intent, scope) in &named {
                index.insert(intent, scope);
            }
            let candidates = index.candidates(&asked);
            for (intent, scope) in &named {
                if overlap(&asked, scope).is_some() {
                    prop_assert!(candidates.contains(intent), "{intent} {scope:?}");
                }
            }
            for (intent, scope) in &named {
                index.remove(intent, scope);
            }
            prop_assert_eq!(index, ScopeIndex::default());
        }
    }
}
