//! From a name to those that list it, found by a hash.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::holders::Holders;

/// Places that a table may keep whatever it holds.
const SMALL: usize = 1 << 10;

/// Names of several sorts, each to those that list it. Two are equal when they hold the same.
///
/// An ordered map would compare each name with some sixty others, most of which begin alike: with 300,000 names a quarter
/// of what an announce costs. Their hashes are kept, so that a table that grows is made anew without a look at the names.
#[derive(Clone, Debug)]
pub(super) struct Listed<S, K> {
    table: HashTable<Slot<S, K>>,
    hasher: FixedState,
}

#[derive(Clone, Debug)]
struct Slot<S, K> {
    hash: u64,
    sort: S,
    name: Box<str>,
    holders: Holders<K>,
}

impl<S, K> Listed<S, K> {
    /// An empty one. Participants choose the names and do not know the seed, so that they cannot choose names that meet.
    pub(super) fn new(seed: u64) -> Self {
        Self { table: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl<S: Copy + Eq + Hash, K: Ord + Clone> Listed<S, K> {
    /// Those that list `name`, in their order.
    pub(super) fn of(&self, sort: S, name: &str) -> impl Iterator<Item = &K> {
        let hash = self.hash(sort, name);
        let found = self.table.find(hash, |slot| slot.is(hash, sort, name));
        found.into_iter().flat_map(|slot| slot.holders.iter())
    }

    /// Adds one to those that list `name`; says whether it is the first.
    pub(super) fn put(&mut self, sort: S, name: &str, key: &K) -> bool {
        let hash = self.hash(sort, name);
        match self.table.entry(hash, |slot| slot.is(hash, sort, name), |slot| slot.hash) {
            Entry::Occupied(mut known) => {
                known.get_mut().holders.insert(key);
                false
            }
            Entry::Vacant(place) => {
                place.insert(Slot { hash, sort, name: name.into(), holders: Holders::One(key.clone()) });
                true
            }
        }
    }

    /// Takes one from those that list `name`; says whether it was the last.
    pub(super) fn take(&mut self, sort: S, name: &str, key: &K) -> bool {
        let hash = self.hash(sort, name);
        let Ok(mut known) = self.table.find_entry(hash, |slot| slot.is(hash, sort, name)) else {
            return false;
        };
        let last = known.get_mut().holders.remove(key);
        if last {
            known.remove();
            self.give_back();
        }
        last
    }

    /// Lets go of what a peak has left behind.
    fn give_back(&mut self) {
        let (held, room) = (self.table.len(), self.table.capacity());
        if room > SMALL && held < room / 8 {
            self.table.shrink_to(2 * held, |slot| slot.hash);
        }
    }

    /// The names of one sort that `is_asked_for` says yes to, in order. Looks at all.
    pub(super) fn names(&self, sort: S, is_asked_for: impl Fn(&str) -> bool) -> Vec<&str> {
        let all = self.table.iter().filter(|slot| slot.sort == sort).map(|slot| &*slot.name);
        let mut found: Vec<&str> = all.filter(|name| is_asked_for(name)).collect();
        found.sort_unstable(); // no two are alike
        found
    }

    fn hash(&self, sort: S, name: &str) -> u64 {
        self.hasher.hash_one((sort, name))
    }
}

impl<S: Copy + Eq, K> Slot<S, K> {
    fn is(&self, hash: u64, sort: S, name: &str) -> bool {
        self.hash == hash && self.sort == sort && *self.name == *name
    }
}

impl<S: Copy + Eq + Hash, K: Ord + Clone> PartialEq for Listed<S, K> {
    fn eq(&self, other: &Self) -> bool {
        let same = |slot: &Slot<S, K>| {
            let hash = other.hash(slot.sort, &slot.name);
            let found = other.table.find(hash, |known| known.is(hash, slot.sort, &slot.name));
            found.is_some_and(|known| known.holders == slot.holders)
        };
        self.table.len() == other.table.len() && self.table.iter().all(same)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_peak_took_is_given_back() {
        let mut listed = Listed::new(1);
        let names: Vec<String> = (0..20_000).map(|n| alloc::format!("f{n}")).collect();
        names.iter().for_each(|name| assert!(listed.put((), name, &0)));
        names.iter().skip(1).for_each(|name| assert!(listed.take((), name, &0)));
        assert!(listed.table.capacity() <= SMALL, "{}", listed.table.capacity());
        assert!(listed.of((), "f0").eq(&[0]));
    }

    proptest! {
        #[test]
        fn it_is_a_map_to_sets(steps in proptest::collection::vec((any::<bool>(), 0..2_u8, "[a-c]{1,2}", 0..3_u8), 0..100)) {
            let mut listed = Listed::new(1);
            let mut known: BTreeMap<(u8, String), BTreeSet<u8>> = BTreeMap::new();
            for (puts, sort, name, key) in steps {
                let held = known.entry((sort, name.clone())).or_default();
                if puts {
                    prop_assert_eq!(listed.put(sort, &name, &key), held.is_empty());
                    held.insert(key);
                } else {
                    let was = held.remove(&key);
                    prop_assert_eq!(listed.take(sort, &name, &key), was && held.is_empty());
                }
                prop_assert!(listed.of(sort, &name).eq(held.iter()));
            }
            known.retain(|_, held| !held.is_empty());
            let all = known.keys().filter(|(sort, _)| *sort == 1).map(|(_, name)| name.as_str());
            prop_assert!(listed.names(1, |_| true).into_iter().eq(all));
            let mut again = Listed::new(2);
            for ((sort, name), keys) in known.iter().rev() {
                keys.iter().for_each(|key| assert!(again.put(*sort, name, key) || keys.len() > 1));
            }
            prop_assert!(listed == again);
            again.put(3, "d", &0);
            prop_assert!(listed != again);
        }
    }
}
