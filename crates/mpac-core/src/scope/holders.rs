//! Those that list one name.

use alloc::collections::BTreeSet;

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

    pub(super) fn insert(&mut self, key: &K) {
        match self {
            Self::One(known) if known == key => {}
            Self::One(known) => *self = Self::Several([known.clone(), key.clone()].into()),
            Self::Several(keys) => {
                keys.insert(key.clone());
            }
        }
    }

    /// Takes one away; says whether nobody is left.
    pub(super) fn remove(&mut self, key: &K) -> bool {
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
