//! Who should wait before announcing what again, found by what it is about (D-083).

use alloc::collections::BTreeMap;

use mpac_wire::{PrincipalId, Scope};

use super::super::records::Backoff;
use crate::scope::{Names, ScopeIndex};

/// The rejections that count, the oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Backoffs {
    next: u64,
    entries: BTreeMap<u64, Backoff>,
    scopes: ScopeIndex<u64>,
}

/// Numbers are places in the order and no more.
impl PartialEq for Backoffs {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Backoffs {
    /// None yet.
    pub(crate) fn new(names: Names, seed: u64) -> Self {
        Self { next: 0, entries: BTreeMap::new(), scopes: ScopeIndex::new(names, seed) }
    }

    /// Adds one; beyond `limit` the oldest are forgotten (SES-27).
    pub(crate) fn insert(&mut self, backoff: Backoff, limit: usize) {
        self.scopes.insert(&self.next, &backoff.scope);
        self.entries.insert(self.next, backoff);
        self.next += 1;
        while self.entries.len() > limit.max(1) {
            if let Some((number, oldest)) = self.entries.pop_first() {
                self.scopes.remove(&number, &oldest.scope);
            }
        }
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Backoff> {
        self.entries.values()
    }

    /// Those of a principal on scopes that overlap this one.
    pub(crate) fn overlapping(&self, owner: &PrincipalId, scope: &Scope) -> impl Iterator<Item = &Backoff> {
        self.numbers(owner, scope).filter_map(|number| self.entries.get(&number))
    }

    /// Takes them away; says which one counts the most rejections.
    pub(crate) fn take_overlapping(&mut self, owner: &PrincipalId, scope: &Scope) -> Option<Backoff> {
        let mut worst: Option<Backoff> = None;
        let numbers: alloc::vec::Vec<u64> = self.numbers(owner, scope).collect();
        for number in numbers {
            let Some(entry) = self.entries.remove(&number) else { continue };
            self.scopes.remove(&number, &entry.scope);
            if worst.as_ref().is_none_or(|known| known.rejections < entry.rejections) {
                worst = Some(entry);
            }
        }
        worst
    }

    fn numbers(&self, owner: &PrincipalId, scope: &Scope) -> impl Iterator<Item = u64> {
        // Mostly nobody has to wait.
        let found = if self.entries.is_empty() { BTreeMap::new() } else { self.scopes.overlaps(scope) };
        let own = |number: &u64| self.entries.get(number).is_some_and(|entry| entry.principal == *owner);
        found.into_keys().filter(own)
    }
}
