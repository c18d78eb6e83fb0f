//! Memory that cannot grow without end: what is heard decides what is kept, so everything kept has a limit.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

/// A map that lets go of its oldest entry when it is full.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shelf<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    next: u64,
    most: usize,
}

impl<K: Ord + Clone, V> Shelf<K, V> {
    /// An empty one for at most `most` entries.
    pub(super) const fn new(most: usize) -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), next: 0, most }
    }

    /// Puts a value there, in place of one under the same key, whose age it takes over.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if let Some((_, known)) = self.entries.get_mut(&key) {
            *known = value;
            return;
        }
        if self.entries.len() >= self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.order.insert(self.next, key.clone());
        self.entries.insert(key, (self.next, value));
        self.next += 1;
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// When it came, among the others.
    pub(super) fn age(&self, key: &K) -> Option<u64> {
        self.entries.get(key).map(|(age, _)| *age)
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (age, value) = self.entries.remove(key)?;
        self.order.remove(&age);
        Some(value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    /// The entries in the order in which they came.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.values().filter_map(|key| Some((key, self.get(key)?)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|(_, value)| value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|(_, value)| value)
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let order = &mut self.order;
        self.entries.retain(|key, (age, value)| {
            let kept = keep(key, value);
            if !kept {
                order.remove(age);
            }
            kept
        });
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    pub(super) fn len(&self) -> usize {
        debug_assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}

/// The last few keys that were noted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recent<K> {
    keys: BTreeSet<K>,
    order: VecDeque<K>,
    most: usize,
}

impl<K: Ord + Clone> Recent<K> {
    pub(super) const fn new(most: usize) -> Self {
        Self { keys: BTreeSet::new(), order: VecDeque::new(), most }
    }

    pub(super) fn note(&mut self, key: K) {
        if !self.keys.insert(key.clone()) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn forget(&mut self, key: &K) {
        if self.keys.remove(key) {
            self.order.retain(|known| known != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_shelf_lets_go_of_its_oldest() {
        let mut shelf = Shelf::new(2);
        for key in [3, 1, 3, 2] {
            shelf.insert(key, key * 10);
        }
        assert_eq!(shelf.iter().map(|(key, _)| *key).collect::<alloc::vec::Vec<_>>(), [1, 2]);
        assert_eq!(shelf.remove(&1), Some(10));
        assert_eq!(shelf.remove(&1), None);
        shelf.insert(7, 70);
        shelf.retain(|key, _| *key == 7);
        assert_eq!((shelf.len(), shelf.contains(&7)), (1, true));
    }

    #[test]
    fn the_last_few_are_remembered() {
        let mut recent = Recent::new(2);
        for key in [1, 2, 2, 3] {
            recent.note(key);
        }
        assert!(!recent.contains(&1) && recent.contains(&2) && recent.contains(&3));
        recent.note(4);
        assert!(!recent.contains(&2));
        assert!(recent.contains(&3) && recent.contains(&4));
        recent.forget(&3);
        recent.note(5);
        assert!(!recent.contains(&3) && recent.contains(&4) && recent.contains(&5));
    }
}
