//! The last ids of a kind.

use alloc::collections::VecDeque;
use core::hash::Hash;

use crate::by_id::IdSet;

/// The last ids of a kind, in the order they came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recent<T: Eq + Hash> {
    order: VecDeque<T>,
    known: IdSet<T>,
}

impl<T: Eq + Hash + Clone> Recent<T> {
    /// None yet. Participants choose ids and do not know the session's seed: see [`ById::new`](crate::by_id::ById::new).
    pub(crate) fn new(seed: u64) -> Self {
        Self { order: VecDeque::new(), known: IdSet::new(seed) }
    }

    /// Remembers one more, and no more than `limit`.
    pub(crate) fn insert(&mut self, id: T, limit: usize) {
        if self.known.insert(id.clone(), ()).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > limit.max(1) {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    pub(crate) fn contains(&self, id: &T) -> bool {
        self.known.contains_key(id)
    }

    /// These instead, oldest first.
    pub(crate) fn replace(&mut self, ids: impl IntoIterator<Item = T>) {
        self.order.clear();
        self.known.clear();
        ids.into_iter().for_each(|id| self.insert(id, usize::MAX));
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.order.iter()
    }
}
