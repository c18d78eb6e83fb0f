//! Claims that nobody has decided on yet, found by what they are about and by who made them.

use alloc::collections::{BTreeMap, BTreeSet};

use mpac_wire::{ClaimId, IntentId, PrincipalId, Seconds};

use super::super::deadlines::Cause;
use super::super::records::Claim;
use super::{Session, put, take};

/// One claim of each id, one on each original, one for each new intent (CLM-02, CLM-05).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Claims {
    records: BTreeMap<ClaimId, Claim>,
    /// Derived: which one is about this intent.
    by_original: BTreeMap<IntentId, ClaimId>,
    /// Derived: the ids that the new intents will have.
    promised: BTreeSet<IntentId>,
    /// Derived: whose they are.
    by_claimer: BTreeMap<PrincipalId, BTreeSet<ClaimId>>,
}

impl Claims {
    /// Adds one; says whether there was room for it, and takes no other's place.
    #[must_use]
    pub(crate) fn insert(&mut self, record: Claim) -> bool {
        let is_free = !self.records.contains_key(&record.id)
            && self.on(&record.original).is_none()
            && !self.promise(&record.new_intent);
        if is_free {
            self.by_original.insert(record.original.clone(), record.id.clone());
            self.promised.insert(record.new_intent.clone());
            put(&mut self.by_claimer, record.claimer.clone(), record.id.clone());
            self.records.insert(record.id.clone(), record);
        }
        is_free
    }

    pub(crate) fn remove(&mut self, id: &ClaimId) -> Option<Claim> {
        let record = self.records.remove(id)?;
        self.by_original.remove(&record.original);
        self.promised.remove(&record.new_intent);
        take(&mut self.by_claimer, &record.claimer, id);
        Some(record)
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Claim> {
        self.records.get(id)
    }

    /// Gives everybody so much longer to object.
    pub(crate) fn put_off(&mut self, by: &Seconds) {
        for claim in self.records.values_mut() {
            claim.granted_at = claim.granted_at.map(|at| at.after(by));
        }
    }

    /// In the order of their ids.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Claim> {
        self.records.values()
    }

    /// The one on this intent.
    pub(crate) fn on(&self, original: &IntentId) -> Option<&ClaimId> {
        self.by_original.get(original)
    }

    /// Whether one of them will use this id once it is approved.
    pub(crate) fn promise(&self, new_intent: &IntentId) -> bool {
        self.promised.contains(new_intent)
    }

    /// Those of one claimer.
    pub(crate) fn of(&self, claimer: &PrincipalId) -> impl Iterator<Item = &ClaimId> {
        self.by_claimer.get(claimer).into_iter().flatten()
    }

    /// With everything derived made anew.
    pub(super) fn rebuilt(&self) -> Self {
        let mut fresh = Self::default();
        for record in self.values() {
            let _ = fresh.insert(record.clone()); // two that exclude each other show as a difference
        }
        fresh
    }
}

impl Session {
    /// Registers a claim. `None` where another one stands in its place: it is never overwritten (CLM-05).
    pub(crate) fn register_claim(&mut self, record: Claim) -> Option<()> {
        let (id, claimer, granted_at) = (record.id.clone(), record.claimer.clone(), record.granted_at);
        if !self.claims.insert(record) {
            return None;
        }
        if let Some(at) = granted_at {
            self.deadlines.insert(at, Cause::ClaimGrace(id.clone()));
        }
        self.claim_ids.insert(id, self.config.retained_records);
        self.review_member(&claimer);
        Some(())
    }

    /// Takes a claim that is being decided.
    pub(crate) fn take_claim(&mut self, id: &ClaimId) -> Option<Claim> {
        let record = self.claims.remove(id)?;
        if let Some(at) = record.granted_at {
            self.deadlines.remove(at, &Cause::ClaimGrace(id.clone()));
        }
        self.review_member(&record.claimer);
        Some(record)
    }

    /// Whether a claim of this id is remembered, or waits: those that wait are remembered however many came since.
    pub(crate) fn is_claim_known(&self, id: &ClaimId) -> bool {
        self.claim_ids.contains(id) || self.claims.get(id.as_str()).is_some()
    }
}
