//! Until when whoever joined by a certificate may speak (SEC-12): the coordinator has to end the membership then.

use std::collections::{BTreeMap, BTreeSet};

use mpac_wire::{PrincipalId, Timestamp};

/// By their certificates, as an auditor reads them.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    ends: BTreeMap<PrincipalId, Timestamp>,
    over: BTreeSet<PrincipalId>,
}

impl Memberships {
    /// Somebody has joined, until then or for good.
    pub(super) fn joined(&mut self, who: &PrincipalId, until: Option<Timestamp>) {
        self.over.remove(who);
        match until {
            Some(until) => self.ends.insert(who.clone(), until),
            None => self.ends.remove(who),
        };
    }

    /// Somebody's message counts at this time. Gives when their membership was over, the first time that it is.
    pub(super) fn heard(&mut self, who: &PrincipalId, at: Timestamp) -> Option<Timestamp> {
        let until = self.ends.get(who).copied().filter(|until| at >= *until)?;
        self.over.insert(who.clone()).then_some(until)
    }

    /// Whether somebody was heard whose membership was over.
    pub(super) fn is_over(&self, who: &PrincipalId) -> bool {
        self.over.contains(who)
    }
}
