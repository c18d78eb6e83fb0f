//! Records by their id: found by a hash, walked in the order of the ids.
//!
//! Every message asks for some twenty records by an id that is text. An ordered map compares such a key with a dozen
//! others, each somewhere else in memory; that was a quarter of what a message of W1 cost. What a session does must not
//! depend on where a hash puts things, so nothing here can be walked in that order.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::hash::Hash;

use foldhash::fast::FixedState;
pub(crate) use hashbrown::Equivalent;
use hashbrown::HashMap;

/// A map whose entries are looked up far more often than they are walked.
///
/// Two are equal when they hold the same, whatever came and went before.
///
/// A table keeps up to four places for each entry: what is large has [`Records`](crate::by_own_id::Records).
#[derive(Clone, Debug)]
pub(crate) struct ById<K, V>(HashMap<K, V, FixedState>);

impl<K: Eq + Hash, V: PartialEq> PartialEq for ById<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K, V> ById<K, V> {
    /// An empty one. Where things are put depends on the session's seed: participants choose the ids, and do not know it.
    pub(crate) fn new(seed: u64) -> Self {
        Self(HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<K: Eq + Hash, V> ById<K, V> {
    pub(crate) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.0.get(key)
    }

    pub(crate) fn get_mut<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    pub(crate) fn contains_key<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn remove<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<V> {
        self.0.remove(key)
    }

    /// The value, made first where there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(make)
    }
}

impl<K: Eq + Hash + Ord, V> ById<K, V> {
    /// All entries in the order of their ids. Costs a sort.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let mut all: Vec<(&K, &V)> = self.0.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key); // no two are alike
        all.into_iter()
    }

    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Clone, V: Clone> ById<K, V> {
    /// A copy as the map that is written.
    pub(crate) fn to_ordered(&self) -> BTreeMap<K, V> {
        self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl<K: Eq + Hash, V> Extend<(K, V)> for ById<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.0.extend(entries);
    }
}

/// A set that is asked for one far more often than it is walked.
pub(crate) type IdSet<K> = ById<K, ()>;

impl<K: Ord + Clone> IdSet<K> {
    /// All of them, each with this value.
    pub(crate) fn each_with<V: Clone>(&self, value: &V) -> BTreeMap<K, V> {
        self.0.keys().map(|key| (key.clone(), value.clone())).collect()
    }
}

/// Sets of what belongs to an id, none of them empty.
pub(crate) type SetsById<K, V> = ById<K, BTreeSet<V>>;

impl<K: Eq + Hash, V: Ord> SetsById<K, V> {
    /// Adds to the set of `key`.
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.0.entry(key).or_default().insert(value);
    }

    /// Takes from the set of `key`, and the set away with its last entry.
    pub(crate) fn take(&mut self, key: &K, value: &V) {
        if let Some(set) = self.0.get_mut(key) {
            set.remove(value);
            if set.is_empty() {
                self.0.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a snapshot restores has another history than what it was taken of, and perhaps another seed.
    #[test]
    fn equal_is_what_holds_the_same_and_it_is_walked_alike() {
        let (mut one, mut two) = (ById::new(1), ById::new(2));
        one.extend((0..1000).map(|n| (n, n)));
        two.extend((0..500).rev().map(|n| (n, n)));
        for n in 500..1000 {
            assert_eq!((one.remove(&n), two.insert(n, n), two.remove(&n)), (Some(n), None, Some(n)));
        }
        assert_eq!(one, two);
        assert!(one.keys().copied().eq(0..500) && two.values().copied().eq(0..500));
        two.get_mut(&1).into_iter().for_each(|value| *value = 0);
        assert_ne!(one, two);
        assert!(two.to_ordered().into_iter().eq((0..500).map(|n| (n, if n == 1 { 0 } else { n }))));
        assert_eq!((*one.get_or_insert_with(7, || 0), *one.get_or_insert_with(500, || 8)), (7, 8));
    }

    #[test]
    fn a_set_goes_with_its_last_entry() {
        let mut sets = SetsById::new(0);
        sets.put("a", 1);
        sets.put("a", 2);
        sets.take(&"a", &1);
        assert!(sets.contains_key("a"));
        sets.take(&"a", &2);
        sets.take(&"b", &2);
        assert!(sets.is_empty());
    }
}
