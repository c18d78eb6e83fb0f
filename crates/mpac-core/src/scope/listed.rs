//! From a name to those that list it, found by a hash.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::holders::Holders;

/// Places that the table of folders may keep whatever it holds.
const SMALL: usize = 1 << 10;

/// The same of one folder, of which there may be many thousand.
const SMALL_FOLDER: usize = 1 << 4;

/// Names of several sorts, each to those that list it. Two are equal when they hold the same.
///
/// An ordered map would compare each name with some sixty others, most of which begin alike: with 300,000 names a quarter
/// of what an announce costs. Their hashes are kept, so that a table that grows is made anew without a look at the names.
///
/// What lies in one folder stands together: who names one file of a folder mostly names others there, and in one large
/// table each name would be a walk to memory of its own.
#[derive(Clone, Debug)]
pub(super) struct Listed<S, K> {
    folders: HashTable<Folder<S, K>>,
    hasher: FixedState,
}

/// The names of one sort that are alike up to their last `/`. Only a hash says so: two folders with the same one would
/// share this, and their names would still be told apart.
#[derive(Clone, Debug)]
struct Folder<S, K> {
    hash: u64,
    sort: S,
    names: Together<K>,
}

/// Names of one folder. One alone takes no room of its own.
#[derive(Clone, Debug)]
enum Together<K> {
    One(Name<K>),
    /// At least one.
    Several(HashTable<Name<K>>),
}

#[derive(Clone, Debug)]
struct Name<K> {
    hash: u64,
    name: Box<str>,
    holders: Holders<K>,
}

impl<S, K> Listed<S, K> {
    /// An empty one. Participants choose the names and do not know the seed, so that they cannot choose names that meet.
    pub(super) fn new(seed: u64) -> Self {
        Self { folders: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }
}

impl<S: Copy + Eq + Hash, K: Ord + Clone> Listed<S, K> {
    /// Those that list `name`, in their order.
    pub(super) fn of(&self, sort: S, name: &str) -> impl Iterator<Item = &K> {
        self.holders(sort, name).into_iter().flat_map(Holders::iter)
    }

    fn holders(&self, sort: S, name: &str) -> Option<&Holders<K>> {
        let (beginning, hash) = self.hashes(sort, name);
        let folder = self.folders.find(beginning, |folder| folder.is(beginning, sort))?;
        folder.names.get(hash, name)
    }

    /// Adds one to those that list `name`; says whether it is the first.
    pub(super) fn put(&mut self, sort: S, name: &str, key: &K) -> bool {
        let (beginning, hash) = self.hashes(sort, name);
        let new = || Name { hash, name: name.into(), holders: Holders::One(key.clone()) };
        match self.folders.entry(beginning, |folder| folder.is(beginning, sort), |folder| folder.hash) {
            Entry::Occupied(mut folder) => {
                let names = &mut folder.get_mut().names;
                if let Some(holders) = names.get_mut(hash, name) {
                    holders.insert(key);
                    return false;
                }
                names.add(new());
            }
            Entry::Vacant(place) => {
                place.insert(Folder { hash: beginning, sort, names: Together::One(new()) });
            }
        }
        true
    }

    /// Takes one from those that list `name`; says whether it was the last.
    pub(super) fn take(&mut self, sort: S, name: &str, key: &K) -> bool {
        let (beginning, hash) = self.hashes(sort, name);
        let Ok(mut folder) = self.folders.find_entry(beginning, |folder| folder.is(beginning, sort)) else {
            return false;
        };
        let names = &mut folder.get_mut().names;
        let is_last = names.get_mut(hash, name).is_some_and(|holders| holders.remove(key));
        if is_last && names.remove(hash, name) {
            folder.remove();
            give_back(&mut self.folders, SMALL, |folder| folder.hash);
        }
        is_last
    }

    /// The names of one sort that `is_asked_for` says yes to, in order. Looks at all.
    pub(super) fn names(&self, sort: S, is_asked_for: impl Fn(&str) -> bool) -> Vec<&str> {
        let folders = self.folders.iter().filter(|folder| folder.sort == sort);
        let all = folders.flat_map(|folder| folder.names.iter()).map(|it| &*it.name);
        let mut found: Vec<&str> = all.filter(|name| is_asked_for(name)).collect();
        found.sort_unstable(); // no two are alike
        found
    }

    /// Of what a name begins with, up to its last `/`, and of the rest.
    fn hashes(&self, sort: S, name: &str) -> (u64, u64) {
        let end = name.bytes().rposition(|byte| byte == b'/').unwrap_or_default();
        let (folder, rest) = name.as_bytes().split_at(end);
        (self.hasher.hash_one((sort, folder)), self.hasher.hash_one(rest))
    }

    fn all(&self) -> impl Iterator<Item = (S, &Name<K>)> {
        self.folders.iter().flat_map(|folder| folder.names.iter().map(|name| (folder.sort, name)))
    }
}

impl<S: Copy + Eq, K> Folder<S, K> {
    fn is(&self, hash: u64, sort: S) -> bool {
        self.hash == hash && self.sort == sort
    }
}

impl<K> Together<K> {
    fn get(&self, hash: u64, name: &str) -> Option<&Holders<K>> {
        let found = match self {
            Self::One(one) => Some(one).filter(|one| one.is(hash, name)),
            Self::Several(several) => several.find(hash, |one| one.is(hash, name)),
        };
        found.map(|one| &one.holders)
    }

    fn get_mut(&mut self, hash: u64, name: &str) -> Option<&mut Holders<K>> {
        let found = match self {
            Self::One(one) => Some(one).filter(|one| one.is(hash, name)),
            Self::Several(several) => several.find_mut(hash, |one| one.is(hash, name)),
        };
        found.map(|one| &mut one.holders)
    }

    /// Adds one that is not there.
    fn add(&mut self, new: Name<K>) {
        if let Self::One(_) = self
            && let Self::One(one) = core::mem::replace(self, Self::Several(HashTable::with_capacity(2)))
        {
            self.add(one);
        }
        if let Self::Several(several) = self {
            several.insert_unique(new.hash, new, |one| one.hash);
        }
    }

    /// Takes away one that is there; says whether nothing is left.
    fn remove(&mut self, hash: u64, name: &str) -> bool {
        let Self::Several(several) = self else { return true };
        if let Ok(found) = several.find_entry(hash, |one| one.is(hash, name)) {
            found.remove();
        }
        give_back(several, SMALL_FOLDER, |one| one.hash);
        several.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &Name<K>> {
        let (one, several) = match self {
            Self::One(one) => (Some(one), None),
            Self::Several(several) => (None, Some(several)),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }
}

impl<K> Name<K> {
    fn is(&self, hash: u64, name: &str) -> bool {
        self.hash == hash && *self.name == *name
    }
}

/// Lets go of what a peak has left behind.
fn give_back<T>(table: &mut HashTable<T>, floor: usize, hash: impl Fn(&T) -> u64) {
    let (held, room) = (table.len(), table.capacity());
    if room > floor && held < room / 8 {
        table.shrink_to(2 * held, hash);
    }
}

impl<S: Copy + Eq + Hash, K: Ord + Clone> PartialEq for Listed<S, K> {
    fn eq(&self, other: &Self) -> bool {
        let mut all = self.all();
        self.all().count() == other.all().count()
            && all.all(|(sort, it)| other.holders(sort, &it.name) == Some(&it.holders))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;

    fn places(listed: &Listed<(), u32>) -> usize {
        let several = listed.folders.iter().filter_map(|folder| match &folder.names {
            Together::One(_) => None,
            Together::Several(several) => Some(several.capacity()),
        });
        listed.folders.capacity() + several.sum::<usize>()
    }

    #[test]
    fn what_a_peak_took_is_given_back() {
        // How many folders, and how many names stay: one of each folder, or one of all.
        for (folders, left) in [(1, 1), (40, 40), (20_000, 1)] {
            let mut listed = Listed::new(1);
            let names: Vec<String> =
                (0..20_000).map(|n| alloc::format!("{}/f{}", n % folders, n / folders)).collect();
            names.iter().for_each(|name| assert!(listed.put((), name, &0)));
            assert!(places(&listed) >= 20_000);
            names.iter().skip(left).for_each(|name| assert!(listed.take((), name, &0)));
            assert!(places(&listed) <= SMALL + 40 * SMALL_FOLDER, "{folders}: {}", places(&listed));
            assert!(listed.of((), "0/f0").eq(&[0]));
        }
    }

    #[test]
    fn names_that_meet_in_a_hash_are_told_apart() {
        let mut listed = Listed::new(1);
        assert!(listed.put((), "a/x", &0) && listed.put((), "a/y", &1));
        // As if `b` had the hash of `a`.
        let hash = listed.hashes((), "b/x").0;
        let (mut folder, _) =
            listed.folders.find_entry(listed.hashes((), "a/x").0, |_| true).unwrap().remove();
        folder.hash = hash;
        listed.folders.insert_unique(hash, folder, |folder| folder.hash);
        assert!(listed.put((), "b/x", &2));
        assert!(listed.of((), "b/x").eq(&[2]) && listed.of((), "b/y").eq(&[] as &[u32]));
        assert!(listed.take((), "b/x", &2) && !listed.take((), "b/y", &1));
        assert_eq!(listed.names((), |_| true), ["a/x", "a/y"]);
    }

    proptest! {
        #[test]
        fn it_is_a_map_to_sets(steps in proptest::collection::vec((any::<bool>(), 0..2_u8, "[a-c/]{1,4}", 0..3_u8), 0..100)) {
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
