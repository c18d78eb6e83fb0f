//! Those that list one name.

use alloc::collections::BTreeSet;
use alloc::collections::btree_map::{BTreeMap, Entry};

/// Those that list one name. Mostly it is one alone, and that takes no room of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holders<K> {
    One(K),
    /// At least two.
    Several(BTreeSet<K>),
}

impl<K: Ord + Clone> Holders<K> {
    /// In their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &K> {
        let (one, several) = match self {
            Self::One(key) => (Some(key), None),
            Self::Several(keys) => (None, Some(keys)),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    fn insert(&mut self, key: &K) {
        match self {
            Self::One(known) if known == key => {}
            Self::One(known) => *self = Self::Several([known.clone(), key.clone()].into()),
            Self::Several(keys) => {
                keys.insert(key.clone());
            }
        }
    }

    /// Takes one away; says whether nobody is left.
    fn remove(&mut self, key: &K) -> bool {
        match self {
            Self::One(known) => known == key,
            Self::Several(keys) => {
                keys.remove(key);
                if keys.len() == 1
                    && let Some(last) = keys.pop_first()
                {
                    *self = Self::One(last);
                }
                false
            }
        }
    }
}

/// Adds one to those that list `name`.
pub(super) fn put<N: Ord, K: Ord + Clone>(map: &mut BTreeMap<N, Holders<K>>, name: N, key: &K) {
    match map.entry(name) {
        Entry::Vacant(place) => drop(place.insert(Holders::One(key.clone()))),
        Entry::Occupied(mut known) => known.get_mut().insert(key),
    }
}

/// Takes one from those that list `name`, and the name away with the last.
pub(super) fn take<N: Ord + core::borrow::Borrow<Q>, Q: Ord + ?Sized, K: Ord + Clone>(
    map: &mut BTreeMap<N, Holders<K>>,
    name: &Q,
    key: &K,
) {
    // Nearly always the name goes, so that it is looked for once.
    if let Some((name, mut holders)) = map.remove_entry(name)
        && !holders.remove(key)
    {
        map.insert(name, holders);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn held(map: &BTreeMap<&str, Holders<u8>>) -> Vec<u8> {
        map.get("a").into_iter().flat_map(Holders::iter).copied().collect()
    }

    #[test]
    fn one_alone_is_the_same_whoever_was_there_before() {
        let (mut map, mut other) = (BTreeMap::new(), BTreeMap::new());
        put(&mut map, "a", &2);
        put(&mut map, "a", &2);
        assert_eq!(held(&map), [2]);
        take(&mut map, "a", &1);
        assert_eq!(held(&map), [2], "that was another's");
        put(&mut map, "a", &1);
        put(&mut map, "a", &3);
        assert_eq!(held(&map), [1, 2, 3]);
        take(&mut map, "a", &3);
        take(&mut map, "a", &2);
        put(&mut other, "a", &1);
        assert_eq!(map, other);
        take(&mut map, "a", &1);
        take(&mut map, "a", &1);
        assert!(map.is_empty());
    }
}
