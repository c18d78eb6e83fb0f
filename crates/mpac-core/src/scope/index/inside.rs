//! Whether a scope lies inside all that an index holds together (SCO-17, D-071).

use alloc::collections::{BTreeMap, BTreeSet};
use core::hash::Hash;

use mpac_wire::Scope;

use super::super::containment::is_narrower;
use super::super::outline::{Class, Outline};
use super::ScopeIndex;

impl<K: Ord + Clone + Hash> ScopeIndex<K> {
    /// Whether all of `scope` provably lies inside the union of what is held here and of the targets that `is_target` says yes
    /// to: as [`is_inside`](super::super::is_inside) says. `scope_of` gives what each was inserted with.
    pub fn encloses<'a>(
        &self,
        scope: &Scope,
        is_target: impl Fn(&str) -> bool,
        scope_of: impl Fn(&K) -> Option<&'a Scope>,
    ) -> bool {
        let inner = Outline::of(&self.names, scope);
        let by_kind = match &inner.pattern {
            _ if inner.class.is_set() => {
                let is_file = inner.class == Class::Files;
                let is_held = |entry| {
                    self.is_listed(inner.class, entry)
                        || is_file && (is_target(entry) || !self.patterns_on([entry]).is_empty())
                };
                !inner.entries.is_empty() && inner.entries.iter().all(is_held)
            }
            Some(pattern) => {
                let mut patterns = self.patterns.values().flat_map(BTreeMap::values);
                let is_literal = !pattern.contains(['*', '?']);
                patterns.any(|wider| is_narrower(pattern, wider))
                    || is_literal && (is_target(pattern) || self.is_listed(Class::Files, pattern))
            }
            None => self.opaque().any(|key| scope_of(key) == Some(scope)),
        };
        by_kind || self.names_all(&inner, scope_of)
    }

    /// Those with a file that a pattern of `scope` matches, or with a pattern that matches one of its files: also where names
    /// tell the two apart (D-066), which an operation's target says nothing of (D-069).
    pub fn look_alike(&self, scope: &Scope) -> BTreeSet<K> {
        let asked = Outline::of(&self.names, scope);
        let hits = match (&asked.pattern, asked.class) {
            (Some(pattern), _) => self.files_of(pattern),
            (None, Class::Files) => self.patterns_on(asked.entries.iter()),
            (None, _) => return BTreeSet::new(),
        };
        hits.into_keys().collect()
    }

    fn is_listed(&self, class: Class, entry: &str) -> bool {
        self.by_entry.of(class, entry).next().is_some()
    }

    /// Across kinds: both sides are known by names for everything in them, and all of it is there.
    fn names_all<'a>(&self, inner: &Outline<'_>, scope_of: impl Fn(&K) -> Option<&'a Scope>) -> bool {
        let is_told = |class, key: &K| {
            self.by_class.get(&(class, true)).is_some_and(|keys| keys.contains_key(key))
                && scope_of(key).is_some_and(|outer| outer.kind != inner.scope.kind)
        };
        let is_named = |uri: &str| {
            Class::ALL.into_iter().any(|class| self.by_uri.of(class, uri).any(|key| is_told(class, key)))
        };
        inner.known.complete && inner.known.uris.iter().all(|uri| is_named(uri))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::tests::{any_scope, indexed};
    use super::*;
    use crate::scope::is_inside;

    proptest! {
        #[test]
        fn it_encloses_what_lies_inside_all_of_them(scopes in proptest::collection::vec(any_scope(), 0..5), asked in any_scope(), targets in proptest::collection::btree_set("[ab]/?[ab]?", 0..3), registered in any::<bool>()) {
            let (index, named) = indexed(scopes, registered);
            let union: Vec<&Scope> = named.iter().map(|(_, scope)| scope).collect();
            let targets: BTreeSet<String> = targets;
            let found = index.encloses(
                &asked,
                |target| targets.contains(target),
                |key| named.iter().find(|(known, _)| known == key).map(|(_, scope)| scope),
            );
            prop_assert_eq!(found, is_inside(index.names(), &asked, &union, &targets));
        }
    }
}
