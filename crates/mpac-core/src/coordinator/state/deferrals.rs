//! Who stepped back for whom, found by who did and by what they wait for.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use mpac_wire::{DeferralId, PrincipalId};

use super::super::deadlines::Cause;
use super::super::records::Deferral;
use super::{Session, put, take};

/// The deferrals that stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Deferrals {
    records: BTreeMap<DeferralId, Deferral>,
    /// Derived: whose they are.
    by_principal: BTreeMap<PrincipalId, BTreeSet<DeferralId>>,
    /// Derived: what they wait for, intents and principals alike: either list may name either (D-087).
    by_observed: BTreeMap<String, BTreeSet<DeferralId>>,
}

impl Deferrals {
    /// Adds one, in place of one with the same id.
    pub(crate) fn insert(&mut self, record: Deferral) {
        self.remove(&record.id);
        put(&mut self.by_principal, record.principal.clone(), record.id.clone());
        for entry in observed(&record) {
            put(&mut self.by_observed, entry.to_owned(), record.id.clone());
        }
        self.records.insert(record.id.clone(), record);
    }

    fn remove(&mut self, id: &DeferralId) -> Option<Deferral> {
        let record = self.records.remove(id)?;
        take(&mut self.by_principal, &record.principal, id);
        for entry in observed(&record) {
            take(&mut self.by_observed, &entry.to_owned(), id);
        }
        Some(record)
    }

    pub(crate) fn get(&self, id: &DeferralId) -> Option<&Deferral> {
        self.records.get(id)
    }

    /// In the order of their ids.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Deferral> {
        self.records.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Those of one principal.
    pub(crate) fn of(&self, principal: &PrincipalId) -> impl Iterator<Item = &DeferralId> {
        self.by_principal.get(principal).into_iter().flatten()
    }

    /// How many these are.
    pub(crate) fn count_of(&self, principal: &PrincipalId) -> usize {
        self.by_principal.get(principal).map_or(0, BTreeSet::len)
    }

    /// Those that wait for this intent, or for this principal.
    pub(crate) fn observing(&self, entry: &str) -> impl Iterator<Item = &DeferralId> {
        self.by_observed.get(entry).into_iter().flatten()
    }

    /// With everything derived made anew.
    pub(super) fn rebuilt(&self) -> Self {
        let mut fresh = Self::default();
        self.values().for_each(|record| fresh.insert(record.clone()));
        fresh
    }
}

/// Everything it waits for.
fn observed(record: &Deferral) -> impl Iterator<Item = &str> {
    let intents = record.observed_intents.iter().map(String::as_str);
    intents.chain(record.observed_principals.iter().map(PrincipalId::as_str))
}

impl Session {
    /// Registers a deferral, in place of one with the same id.
    pub(crate) fn register_deferral(&mut self, record: Deferral) {
        self.take_deferral(&record.id);
        self.deadlines.insert(record.expires_at, Cause::DeferralTtl(record.id.clone()));
        self.deferrals.insert(record);
    }

    /// Takes a deferral that ends.
    pub(crate) fn take_deferral(&mut self, id: &DeferralId) -> Option<Deferral> {
        let record = self.deferrals.remove(id)?;
        self.deadlines.remove(record.expires_at, &Cause::DeferralTtl(id.clone()));
        Some(record)
    }
}
