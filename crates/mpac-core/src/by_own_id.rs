//! Records by the id that they have themselves.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Something with an id that never changes.
pub(crate) trait HasId {
    type Id: Eq + Hash + Ord;
    fn id(&self) -> &Self::Id;
}

/// What [`ById`](crate::by_id::ById) is for records that are large and know their ids: each has a box of its own.
///
/// The table keeps hashes and no ids. It is smaller by a third, and made anew from time to time without a look at ten
/// thousand texts.
#[derive(Clone, Debug)]
pub(crate) struct Records<V> {
    table: HashTable<Slot<V>>,
    hasher: FixedState,
}

#[derive(Clone, Debug)]
struct Slot<V> {
    hash: u64,
    record: Box<V>,
}

impl<V: HasId + PartialEq> PartialEq for Records<V> {
    fn eq(&self, other: &Self) -> bool {
        let same = |slot: &Slot<V>| other.get(slot.record.id()) == Some(&slot.record);
        self.table.len() == other.table.len() && self.table.iter().all(same)
    }
}

impl<V: HasId> Records<V> {
    /// As [`ById::new`](crate::by_id::ById::new).
    pub(crate) fn new(seed: u64) -> Self {
        Self { table: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, id: &Q) -> Option<&V>
    where
        V::Id: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(id);
        self.table.find(hash, |slot| slot.is(hash, id)).map(|slot| &*slot.record)
    }

    pub(crate) fn get_mut(&mut self, id: &V::Id) -> Option<&mut V> {
        let hash = self.hasher.hash_one(id);
        self.table.find_mut(hash, |slot| slot.is(hash, id)).map(|slot| &mut *slot.record)
    }

    pub(crate) fn contains_key<Q: Eq + Hash + ?Sized>(&self, id: &Q) -> bool
    where
        V::Id: Borrow<Q>,
    {
        self.get(id).is_some()
    }

    /// Adds one; says whether it takes the place of another.
    pub(crate) fn insert(&mut self, record: V) -> bool {
        let record = Box::new(record);
        let hash = self.hasher.hash_one(record.id());
        match self.table.find_mut(hash, |slot| slot.is(hash, record.id())) {
            Some(slot) => {
                slot.record = record;
                true
            }
            None => {
                self.table.insert_unique(hash, Slot { hash, record }, |slot| slot.hash);
                false
            }
        }
    }

    pub(crate) fn remove(&mut self, id: &V::Id) -> Option<Box<V>> {
        let hash = self.hasher.hash_one(id);
        let found = self.table.find_entry(hash, |slot| slot.is(hash, id)).ok()?;
        Some(found.remove().0.record)
    }

    /// Changes every one by itself, in no order that anybody could see.
    pub(crate) fn change_each(&mut self, mut change: impl FnMut(&mut V)) {
        self.table.iter_mut().for_each(|slot| change(&mut slot.record));
    }

    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &V::Id> {
        self.values().map(V::id)
    }

    /// In the order of their ids. Costs a sort.
    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        let mut all: Vec<&V> = self.table.iter().map(|slot| &*slot.record).collect();
        all.sort_unstable_by_key(|record| record.id()); // no two are alike
        all.into_iter()
    }
}

impl<V: HasId> Slot<V> {
    fn is<Q: Eq + ?Sized>(&self, hash: u64, id: &Q) -> bool
    where
        V::Id: Borrow<Q>,
    {
        self.hash == hash && self.record.id().borrow() == id
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl HasId for (u8, u8) {
        type Id = u8;
        fn id(&self) -> &u8 {
            &self.0
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((0..3_u8, 0..40_u8, any::<u8>()), 0..200)) {
            let (mut records, mut known) = (Records::new(1), BTreeMap::new());
            for (what, id, value) in steps {
                if what == 0 {
                    let gone = records.remove(&id).as_deref().copied();
                    prop_assert_eq!(gone, known.remove(&id).map(|value| (id, value)));
                } else {
                    prop_assert_eq!(records.insert((id, value)), known.insert(id, value).is_some());
                }
                prop_assert_eq!(records.get(&id).copied(), known.get(&id).map(|value| (id, *value)));
            }
            prop_assert!(records.values().copied().eq(known.clone()));
            prop_assert_eq!(records.is_empty(), known.is_empty());
            let mut again = Records::new(2);
            prop_assert!(!known.into_iter().rev().any(|record| again.insert(record)));
            prop_assert!(records == again);
            again.change_each(|record| record.1 = record.1.wrapping_add(1));
            prop_assert!(records.is_empty() || records != again);
        }
    }
}
