//! The only ways in which records come to be and change: along their tables, and with every index that follows from them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use mpac_wire::{ConflictId, IntentId, OpId, PrincipalId, Scope, Seconds, Timestamp};

use super::super::deadlines::Cause;
use super::super::records::{Conflict, Freeze, NewIntent, Operation};
use super::{Intent, Session, count, discount};
use crate::scope::Overlap;
use crate::table::{conflict, intent, operation};

impl Session {
    /// Registers what was announced, gives its state from the table, and says which live intents it overlaps; `None` where
    /// the table has no such row, or a live intent has this id: it is never overwritten (INT-04).
    pub(crate) fn register_intent(&mut self, new: NewIntent) -> Option<BTreeMap<IntentId, Overlap>> {
        let known = self.intents.get(&new.id);
        if known.is_some_and(Intent::is_live) {
            return None;
        }
        let state = intent::next(None, intent::Event::Announced)?;
        let sequence = self.next_sequence();
        self.take_finished_intent(&new.id);
        self.leave_to_earlier_intent(&new.id);
        let mut record = Intent::begin(new, state, self.now, sequence);
        if let Some(owner) = self.members.get(&record.owner) {
            record.owner = owner.sender.principal_id.clone(); // not the message's own copy
        }
        let overlapping = self.scopes.insert_among(&record.id, &record.scope);
        self.frozen.rescope(&record.id, None, &record.scope); // conflicts of the references may be about ids that nobody has
        self.index_intent_beside_scope(&record);
        self.review_member(&record.owner);
        self.intents.insert(record);
        Some(overlapping)
    }

    /// What was committed under the id before is not the new intent's (D-118): it was under a finished one (D-024), or under none
    /// that is remembered (D-093).
    fn leave_to_earlier_intent(&mut self, id: &IntentId) {
        for (sequence, op) in self.standing_by_intent.get(id).cloned().unwrap_or_default() {
            if let Some(record) = self.operations.get_mut(&op)
                && !record.state.is_pending()
            {
                record.of_earlier_intent = true;
                self.standing_by_intent.take(id, &(sequence, op));
            }
        }
    }

    /// Moves an intent along its table, the only way its state changes. `None` where the table has no such row.
    pub(crate) fn move_intent(&mut self, id: &IntentId, on: intent::Event) -> Option<intent::State> {
        let record = self.intents.get_mut(id)?;
        let state = intent::next(Some(record.state), on)?;
        record.state = state;
        if state.is_terminal() {
            self.scopes.remove(id, &record.scope);
            self.live.take(&record.owner, &(record.sequence, id.clone()));
            let (owner, cause) = (record.owner.clone(), Cause::IntentTtl(record.sequence, id.clone()));
            self.deadlines.remove(record.expires_at, &cause);
            self.review_member(&owner);
            self.review_intent(id);
        }
        self.rejudge_intent(id);
        Some(state)
    }

    /// Gives a live intent another scope.
    pub(crate) fn set_scope(&mut self, id: &IntentId, scope: Scope) {
        if let Some(record) = self.intents.get_mut(id) {
            self.scopes.remove(id, &record.scope);
            self.scopes.insert(id, &scope);
            count(&mut self.scope_kinds, &scope.kind);
            discount(&mut self.scope_kinds, &record.scope.kind);
            let is_frozen = self.frozen.rescope(id, Some(&record.scope), &scope);
            record.scope = scope;
            self.rejudge_intent(id);
            if is_frozen {
                self.rejudge_everything(); // another scope is frozen now
            }
        }
    }

    /// Lets a live intent's time begin afresh.
    pub(crate) fn set_ttl(&mut self, id: &IntentId, ttl: Seconds) {
        let now = self.now;
        if let Some(record) = self.intents.get_mut(id) {
            let cause = Cause::IntentTtl(record.sequence, id.clone());
            self.deadlines.remove(record.expires_at, &cause);
            record.expires_at = now.after(&ttl);
            record.ttl = ttl;
            self.deadlines.insert(record.expires_at, cause);
        }
    }

    /// Registers an operation in the state its table gives.
    pub(crate) fn register_operation(&mut self, mut record: Operation) {
        record.sequence = self.next_sequence();
        record.created_at = self.now;
        // Not the message's own copies: thousands of records keep one text of each name.
        if let Some(intent) = record.intent.as_ref().and_then(|id| self.intents.get(id)) {
            record.intent = Some(intent.id.clone());
            if record.proposer == intent.owner {
                record.proposer = intent.owner.clone();
            }
        }
        for (_, conflict) in self.disputes_by_op.get(&record.id).into_iter().flatten() {
            self.frozen.insert_target(conflict, &record.target);
        }
        self.index_operation(&record);
        self.note_operation(&record);
        self.rejudge_operation(&record.id);
        // One that waits for nothing keeps nobody and nothing from being forgotten.
        let keeps = record
            .state
            .is_pending()
            .then(|| (record.proposer.clone(), record.intent.clone(), record.more.supersedes.clone()));
        self.operations.insert(record);
        if let Some((proposer, intent, superseded)) = keeps {
            self.review_member(&proposer);
            if let Some(superseded) = superseded {
                self.review_operation(&superseded);
            }
            if let Some(intent) = intent {
                self.review_intent(&intent);
            }
        }
    }

    /// Moves an operation along its table. `None` where the table has no such row.
    pub(crate) fn move_operation(&mut self, id: &OpId, on: operation::Event) -> Option<operation::State> {
        let record = self.operations.get_mut(id)?;
        let state = operation::next(Some(record.state), on)?;
        record.state = state;
        if state.is_terminal()
            && let Some(intent) = &record.intent
        {
            self.standing_by_intent.take(intent, &(record.sequence, id.clone()));
        }
        if !state.is_pending() {
            if let Some(intent) = &record.intent {
                self.pending_by_intent.take(intent, id);
            }
            self.pending_by_proposer.take(&record.proposer, id);
            if let Some(until) = record.more.grace_until {
                record.more.grace_until = None;
                self.deadlines.remove(until, &Cause::Grace(record.sequence, id.clone()));
            }
            let (intent, proposer) = (record.intent.clone(), record.proposer.clone());
            if let Some(superseded) = record.more.supersedes.clone() {
                self.pending_by_superseded.take(&superseded, id);
                self.review_operation(&superseded);
            }
            self.waits_no_more(id);
            self.review_member(&proposer);
            self.review_operation(id);
            if let Some(intent) = intent {
                self.review_intent(&intent);
            }
        }
        self.rejudge_operation(id);
        Some(state)
    }

    /// Lets a proposal outlive its intent until `until` (CAS-02).
    pub(crate) fn grant_grace(&mut self, id: &OpId, until: Timestamp) {
        if let Some(record) = self.operations.get_mut(id) {
            record.more.grace_until = Some(until);
            self.deadlines.insert(until, Cause::Grace(record.sequence, id.clone()));
        }
    }

    /// Registers a conflict. One that is there already stays as it is: whoever calls this has seen to it that none is.
    pub(crate) fn register_conflict(&mut self, mut record: Conflict) {
        if self.conflicts.contains_key(&record.id) {
            return;
        }
        record.sequence = self.next_sequence();
        self.index_conflict(&record);
        let id = record.id.clone();
        self.conflicts.insert(record);
        self.review_conflict(&id);
    }

    /// Moves a conflict along its table. `None` where the table has no such row.
    pub(crate) fn move_conflict(&mut self, id: &ConflictId, on: conflict::Event) -> Option<conflict::State> {
        let record = self.conflicts.get_mut(id)?;
        let state = conflict::next(Some(record.state), on)?;
        record.state = state;
        if state.is_terminal() {
            record.part = None;
            let place = (record.sequence, id.clone());
            for intent in &record.intents {
                self.disputes_by_intent.take(intent, &place);
            }
            for op in &record.ops {
                self.disputes_by_op.take(op, &place);
            }
            let was_frozen = self.frozen.remove(record, &self.intents, &self.operations);
            self.open_conflicts -= 1;
            if let Some(author) = &record.author
                && let Some(count) = self.disputes_by_author.get_mut(author)
            {
                *count -= 1;
                if *count == 0 {
                    self.disputes_by_author.remove(author);
                }
            }
            let settled = self.recovery.diverged.extract_if(.., |_, conflict| conflict == id); // REC-30
            let settled: Vec<PrincipalId> = settled.map(|(principal, _)| principal).collect();
            let waiting =
                [record.timeout_at.take(), record.freeze.as_mut().and_then(|it| it.phase_ends.take())];
            for at in waiting.into_iter().flatten() {
                self.deadlines.remove(at, &Cause::Unresolved(record.sequence, id.clone()));
                self.deadlines.remove(at, &Cause::FreezePhase(record.sequence, id.clone()));
            }
            settled.iter().for_each(|principal| self.review_member(principal));
            super::super::session::divergence::settled(self, id, !settled.is_empty());
            self.review_conflict(id);
            self.rejudge_conflict(id);
            if was_frozen {
                self.rejudge_everything();
            }
        }
        Some(state)
    }

    /// Watches a conflict for being pending too long; `None` stops watching (GOV-14).
    pub(crate) fn watch_conflict(&mut self, id: &ConflictId, until: Option<Timestamp>) {
        if let Some(record) = self.conflicts.get_mut(id) {
            let cause = Cause::Unresolved(record.sequence, id.clone());
            if let Some(at) = core::mem::replace(&mut record.timeout_at, until) {
                self.deadlines.remove(at, &cause);
            }
            if let Some(at) = until {
                self.deadlines.insert(at, cause);
            }
        }
    }

    /// Freezes a conflict's scope, or moves its freeze to another phase (FRZ-01).
    pub(crate) fn set_freeze(&mut self, id: &ConflictId, freeze: Freeze) {
        self.rejudge_everything();
        if let Some(record) = self.conflicts.get_mut(id) {
            let cause = Cause::FreezePhase(record.sequence, id.clone());
            if let Some(at) = record.freeze.as_ref().and_then(|old| old.phase_ends) {
                self.deadlines.remove(at, &cause);
            }
            if let Some(at) = freeze.phase_ends {
                self.deadlines.insert(at, cause);
            }
            record.freeze = Some(freeze.into());
            self.frozen.insert(record, &self.intents, &self.operations);
        }
    }

    /// Adds an operation to a conflict that is not over (CON-21).
    pub(crate) fn attach(&mut self, conflict: &ConflictId, op: &OpId, proposer: &PrincipalId) {
        let limit = self.config.retained_records;
        let Some(record) = self.conflicts.get_mut(conflict) else { return };
        let place = (record.sequence, conflict.clone());
        if record.ops.len() < limit // the first committers count, and the list is not for ever
            && !self.disputes_by_op.get(op).is_some_and(|known| known.contains(&place))
        {
            record.ops.push(op.clone());
            if let Err(at) = record.principals.binary_search(proposer) {
                record.principals.insert(at, proposer.clone());
            }
            self.disputes_by_op.put(op.clone(), place);
            if let Some(operation) = self.operations.get(op) {
                self.frozen.insert_target(conflict, &operation.target);
            }
            self.review_operation(op);
        }
    }
}
