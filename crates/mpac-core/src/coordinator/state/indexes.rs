//! What is derived from the records: who is live, pending, disputed, due, and who may be forgotten.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use mpac_wire::{ConflictId, IntentId, PrincipalId};

use super::super::deadlines::Cause;
use super::super::records::{Conflict, Operation};
use super::super::retention::Finished;
use super::{Intent, Session};

impl Session {
    pub(super) fn index_intent(&mut self, record: &Intent) {
        if record.is_live() {
            self.scopes.insert(&record.id, &record.scope);
        }
        self.index_intent_beside_scope(record);
    }

    /// The same for one whose scope is indexed already.
    pub(super) fn index_intent_beside_scope(&mut self, record: &Intent) {
        count(&mut self.scope_kinds, &record.scope.kind);
        if record.is_live() {
            self.live.put(record.owner.clone(), (record.sequence, record.id.clone()));
            self.deadlines.insert(record.expires_at, Cause::IntentTtl(record.sequence, record.id.clone()));
        }
    }

    pub(super) fn index_operation(&mut self, record: &Operation) {
        if !record.state.is_terminal()
            && !record.of_earlier_intent
            && let Some(intent) = &record.intent
        {
            self.standing_by_intent.put(intent.clone(), (record.sequence, record.id.clone()));
        }
        if record.state.is_pending() {
            if let Some(intent) = &record.intent {
                self.pending_by_intent.put(intent.clone(), record.id.clone());
            }
            self.pending_by_proposer.put(record.proposer.clone(), record.id.clone());
            if let Some(old) = &record.more.supersedes {
                self.pending_by_superseded.put(old.clone(), record.id.clone());
            }
            self.index_waiting(record);
            if let Some(until) = record.more.grace_until {
                self.deadlines.insert(until, Cause::Grace(record.sequence, record.id.clone()));
            }
        }
    }

    pub(super) fn index_conflict(&mut self, record: &Conflict) {
        if !record.state.is_terminal() {
            self.open_conflicts += 1;
            if let Some(author) = &record.author {
                *self.disputes_by_author.get_or_insert_with(author.clone(), || 0) += 1;
            }
            for intent in &record.intents {
                self.disputes_by_intent.put(intent.clone(), (record.sequence, record.id.clone()));
            }
            for op in &record.ops {
                self.disputes_by_op.put(op.clone(), (record.sequence, record.id.clone()));
            }
            if let Some(at) = record.timeout_at {
                self.deadlines.insert(at, Cause::Unresolved(record.sequence, record.id.clone()));
            }
            if let Some(freeze) = &record.freeze {
                self.frozen.insert(record, &self.intents, &self.operations);
                if let Some(at) = freeze.phase_ends {
                    self.deadlines.insert(at, Cause::FreezePhase(record.sequence, record.id.clone()));
                }
            }
        }
    }

    /// A principal's live intents, in the order of receipt.
    pub(crate) fn live_of(&self, owner: &PrincipalId) -> impl ExactSizeIterator<Item = &IntentId> {
        self.live.get(owner).map(BTreeSet::iter).unwrap_or_default().map(|(_, intent)| intent)
    }

    /// The open conflicts about an intent, in the order of receipt.
    pub(crate) fn disputes_of_intent(&self, id: &IntentId) -> impl Iterator<Item = &ConflictId> {
        self.disputes_by_intent.get(id).into_iter().flatten().map(|(_, conflict)| conflict)
    }

    /// This session with every derived part made anew from the records: equal to itself, or there is a bug.
    pub(crate) fn rebuilt_indexes(&self) -> Self {
        let mut fresh = self.clone();
        fresh.scopes = self.scopes.emptied();
        fresh.scope_kinds.clear();
        fresh.live.clear();
        fresh.pending_by_intent.clear();
        fresh.pending_by_proposer.clear();
        fresh.pending_by_superseded.clear();
        fresh.standing_by_intent.clear();
        fresh.waiting.clear();
        fresh.disputes_by_intent.clear();
        fresh.disputes_by_op.clear();
        fresh.disputes_by_author.clear();
        fresh.frozen.clear();
        fresh.open_conflicts = 0;
        fresh.deadlines.clear();
        fresh.finished = Finished::default();
        self.intents.values().for_each(|record| fresh.index_intent(record));
        self.archived_intents.iter().for_each(|it| count(&mut fresh.scope_kinds, &it.scope.kind));
        self.operations.values().for_each(|record| fresh.index_operation(record));
        self.conflicts.values().for_each(|record| fresh.index_conflict(record));
        self.intents.keys().for_each(|id| fresh.review_intent(id));
        self.operations.keys().for_each(|id| fresh.review_operation(id));
        self.conflicts.keys().for_each(|id| fresh.review_conflict(id));
        self.frontier.keys().for_each(|(who, instance)| fresh.review_instance(who, instance));
        fresh.deferrals = self.deferrals.rebuilt();
        for record in self.deferrals.values() {
            fresh.deadlines.insert(record.expires_at, Cause::DeferralTtl(record.id.clone()));
        }
        fresh.claims = self.claims.rebuilt();
        let granted = self.claims.values().filter_map(|it| Some((it.granted_at?, it.id.clone())));
        granted.for_each(|(at, id)| fresh.deadlines.insert(at, Cause::ClaimGrace(id)));
        let mut heard: Vec<_> = self.members.iter().map(|(who, it)| (it.last_seen, who)).collect();
        heard.sort_unstable(); // each goes to the end of the list then
        heard.into_iter().for_each(|(_, who)| fresh.watch_silence(who));
        self.members.keys().for_each(|principal| fresh.review_member(principal));
        if let Some(at) = self.closes_at {
            fresh.deadlines.insert(at, Cause::AutoClose);
        }
        super::super::session::lifecycle::watch_age(&mut fresh);
        if let Some(at) = self.next_status {
            fresh.deadlines.insert(at, Cause::Status);
        }
        fresh
    }
}

/// One more of this.
pub(in super::super) fn count<K: Ord + Clone>(counts: &mut BTreeMap<K, usize>, of: &K) {
    *counts.entry(of.clone()).or_default() += 1;
}

/// One less; none is not kept.
pub(in super::super) fn discount<K: Ord>(counts: &mut BTreeMap<K, usize>, of: &K) {
    match counts.get_mut(of) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(of)),
    }
}
