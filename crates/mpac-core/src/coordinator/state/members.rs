//! Who is or was in the session: found by a hash, since every message asks for its sender several times, and walked in
//! the order of the ids.

use alloc::collections::BTreeSet;

use mpac_wire::PrincipalId;

use super::super::records::Member;
use crate::by_own_id::Records;

/// The participants, present or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Members {
    records: Records<Member>,
    /// Their ids: walks are frequent, too, and there may be thousands of them.
    order: BTreeSet<PrincipalId>,
}

impl Members {
    /// Nobody yet. `seed` is the session's.
    pub(crate) fn new(seed: u64) -> Self {
        Self { records: Records::new(seed), order: BTreeSet::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn contains_key(&self, id: &PrincipalId) -> bool {
        self.records.contains_key(id)
    }

    pub(crate) fn get(&self, id: &PrincipalId) -> Option<&Member> {
        self.records.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &PrincipalId) -> Option<&mut Member> {
        self.records.get_mut(id)
    }

    /// Adds one; says whether it takes the place of another.
    pub(crate) fn insert(&mut self, member: Member) -> bool {
        self.order.insert(member.sender.principal_id.clone());
        self.records.insert(member)
    }

    pub(crate) fn remove(&mut self, id: &PrincipalId) -> Option<Member> {
        self.order.remove(id);
        self.records.remove(id).map(|member| *member)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &PrincipalId> {
        self.order.iter()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Member> {
        self.order.iter().filter_map(|id| self.records.get(id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PrincipalId, &Member)> {
        self.order.iter().filter_map(|id| Some((id, self.records.get(id)?)))
    }

    /// Changes every one by itself.
    pub(crate) fn change_each(&mut self, change: impl FnMut(&mut Member)) {
        self.records.change_each(change);
    }
}
