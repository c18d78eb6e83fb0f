//! What a session may forget: finished records that nothing alive refers to, the oldest first, beyond as many as the
//! configuration keeps (SES-27). Whoever asks about a forgotten one is told that it is not known; the log has it.
//!
//! The oldest are in no cache, so that a look at one is a wait for memory. They are forgotten many at a time, in passes that wait
//! for several at once.

mod recent;
mod traces;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::iter;

use mpac_wire::names::HeartbeatStatus;
use mpac_wire::{BatchId, ConflictId, InstanceId, IntentId, OpId, PrincipalId, StateRef, Timestamp};

use super::records::{Member, Operation};
use super::state::{InOrder, Session, discount};
use crate::scope::normalized;
use crate::table::{conflict, intent, operation};
pub(crate) use recent::Recent;
pub(crate) use traces::{Trace, Traces};

/// How many records of a kind may wait to be forgotten together: that takes as long as a few dozen messages do.
const MOST_TOGETHER: usize = 128;
/// And no more than one for so many that the configuration keeps.
const SHARE: usize = 64;

/// How many were forgotten, by the state they ended in: the session's summary still counts them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Forgotten {
    pub(crate) intents: BTreeMap<intent::State, u64>,
    pub(crate) operations: BTreeMap<operation::State, u64>,
    pub(crate) conflicts: BTreeMap<conflict::State, u64>,
    pub(crate) participants: u64,
    /// Which operations these were, as far as anybody may ask, and which states were replaced without one (D-041).
    pub(crate) traces: Traces,
}

impl Forgotten {
    /// Counts an operation and keeps a trace of it.
    fn operation(&mut self, record: &Operation, records: usize) {
        *self.operations.entry(record.state).or_default() += 1;
        self.traces.insert(Trace::Operation(record.id.as_str()), records);
        let target = normalized(&record.target);
        for state in [&record.before, &record.after].into_iter().flatten() {
            self.traces.insert(Trace::State(&target, state), records);
        }
    }

    /// Keeps a trace of a state that a target had and that no record of an operation on it tells of: so a commit that builds on it
    /// is stale and nothing worse (D-041).
    pub(crate) fn state(&mut self, target: &str, state: &StateRef, records: usize) {
        self.traces.insert(Trace::State(target, state), records);
    }
}

/// Derived: the records that may be forgotten, in the order of receipt; people and sender instances in that of their
/// last word.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Finished {
    instances: BTreeSet<(Timestamp, PrincipalId, InstanceId)>,
    intents: BTreeSet<InOrder<IntentId>>,
    operations: BTreeSet<InOrder<OpId>>,
    conflicts: BTreeSet<InOrder<ConflictId>>,
    members: BTreeSet<(Timestamp, PrincipalId)>,
}

/// Adds to a set or takes from it.
fn set<T: Ord>(finished: &mut BTreeSet<T>, entry: T, member: bool) {
    if member {
        finished.insert(entry);
    } else {
        finished.remove(&entry);
    }
}

impl Session {
    /// Notes whether an intent may be forgotten: it is over, none of its operations waits, no open conflict is about it.
    pub(crate) fn review_intent(&mut self, id: &IntentId) {
        let Some(record) = self.intents.get(id) else { return };
        let over = !record.is_live()
            && !self.pending_by_intent.contains_key(id)
            && !self.disputes_by_intent.contains_key(id);
        set(&mut self.finished.intents, (record.sequence, id.clone()), over);
    }

    /// The same for an operation, committed ones included: it does not wait, no open conflict is about it, and none that waits
    /// would replace it.
    pub(crate) fn review_operation(&mut self, id: &OpId) {
        let Some(record) = self.operations.get(id) else { return };
        let over = self.is_over(record);
        set(&mut self.finished.operations, (record.sequence, id.clone()), over);
    }

    /// The same for one that is about to be registered.
    pub(crate) fn note_operation(&mut self, record: &Operation) {
        if self.is_over(record) {
            self.finished.operations.insert((record.sequence, record.id.clone()));
        }
    }

    fn is_over(&self, record: &Operation) -> bool {
        !record.state.is_pending()
            && !self.disputes_by_op.contains_key(&record.id)
            && !self.pending_by_superseded.contains_key(&record.id)
    }

    /// The same for a conflict, and for what it was about.
    pub(crate) fn review_conflict(&mut self, id: &ConflictId) {
        let Some(record) = self.conflicts.get(id) else { return };
        set(&mut self.finished.conflicts, (record.sequence, id.clone()), record.state.is_terminal());
        let (intents, ops) = (record.intents.clone(), record.ops.clone());
        intents.iter().for_each(|intent| self.review_intent(intent));
        ops.iter().for_each(|op| self.review_operation(op));
    }

    /// The same for somebody who left, said that they would be away, or was not heard for too long, and left nothing behind.
    pub(crate) fn review_member(&mut self, id: &PrincipalId) {
        let Some(member) = self.members.get(id) else { return };
        let over = member.conn.is_none()
            && (member.departed || !member.available || member.status == HeartbeatStatus::Offline)
            && !self.live.contains_key(id)
            && !self.pending_by_proposer.contains_key(id)
            && self.claims.of(id).next().is_none()
            && !self.recovery.diverged.contains_key(id);
        set(&mut self.finished.members, (member.last_seen, id.clone()), over);
    }

    /// The same for the last that was heard of a sender instance: nobody speaks as it on any connection.
    pub(crate) fn review_instance(&mut self, principal: &PrincipalId, instance: &InstanceId) {
        let key = (principal.clone(), instance.clone());
        let Some(record) = self.frontier.get(&key) else { return };
        let entry = (record.heard_at, key.0, key.1);
        let here = |it: &Member| it.conn.is_some() && it.sender.sender_instance_id == *instance;
        let over = !self.members.get(principal).is_some_and(here);
        set(&mut self.finished.instances, entry, over);
    }

    /// The operations of a batch that are remembered, in its order: a forgotten one's id may be another's by now.
    pub(crate) fn ops_of(&self, batch: &BatchId) -> impl Iterator<Item = &Operation> {
        let listed = self.batches.get_key_value(batch);
        listed.into_iter().flat_map(|(id, record)| {
            let known = record.ops.iter().filter_map(|op| self.operations.get(op));
            known.filter(move |op| op.more.batch.as_ref() == Some(id))
        })
    }

    /// Whether an operation of this batch is remembered.
    pub(crate) fn is_anything_left_of(&self, batch: &BatchId) -> bool {
        self.ops_of(batch).next().is_some()
    }

    /// Those of a batch that wait, or nothing where there is no such batch.
    pub(crate) fn pending_of(&self, batch: &str) -> Option<Vec<OpId>> {
        let batch = BatchId::new(batch).ok().filter(|id| self.batches.contains_key(id))?;
        Some(self.ops_of(&batch).filter(|op| op.state.is_pending()).map(|op| op.id.clone()).collect())
    }

    /// Takes away the record of an intent whose id is used again (D-024).
    pub(crate) fn take_finished_intent(&mut self, id: &IntentId) {
        let Some(record) = self.intents.remove(id) else { return };
        self.finished.intents.remove(&(record.sequence, id.clone()));
        self.archived_intents.push_back(*record);
        while self.archived_intents.len() > self.config.retained_records {
            if let Some(oldest) = self.archived_intents.pop_front() {
                discount(&mut self.scope_kinds, &oldest.scope.kind);
                *self.forgotten.intents.entry(oldest.state()).or_default() += 1;
            }
        }
    }
}

/// Forgets what is beyond the limit. Run after every record, so that it costs what records finish.
pub(super) fn settle(session: &mut Session) {
    let limit = session.config.retained_records;
    forget_intents(session, limit);
    forget_operations(session, limit);
    forget_conflicts(session, limit);
    // Whoever is here stays, however many they are.
    while session.members.len() > limit {
        let Some((_, id)) = session.finished.members.pop_first() else { break };
        session.members.remove(&id);
        session.keys.forget(&id);
        session.recovery.untold.remove(&id);
        session.recovery.awaited.remove(&id);
        session.forgotten.participants += 1;
    }
    while session.frontier.len() > limit {
        let Some((_, principal, instance)) = session.finished.instances.pop_first() else { break };
        session.frontier.remove(&(principal, instance));
    }
}

fn forget_intents(session: &mut Session, limit: usize) {
    let oldest = beyond(limit, &mut session.finished.intents);
    let gone: Vec<_> = oldest.iter().filter_map(|(_, id)| session.intents.remove(id)).collect();
    for record in gone {
        discount(&mut session.scope_kinds, &record.scope.kind);
        *session.forgotten.intents.entry(record.state()).or_default() += 1;
    }
}

fn forget_operations(session: &mut Session, limit: usize) {
    let oldest = beyond(limit, &mut session.finished.operations);
    let gone: Vec<_> =
        oldest.iter().filter_map(|place| Some((place, session.operations.remove(&place.1)?))).collect();
    for (place, record) in gone {
        session.forgotten.operation(&record, limit);
        if let Some(intent) = &record.intent {
            session.standing_by_intent.take(intent, place);
        }
        if let Some(batch) = &record.more.batch
            && !session.is_anything_left_of(batch)
        {
            session.batches.remove(batch);
        }
    }
}

fn forget_conflicts(session: &mut Session, limit: usize) {
    for (_, id) in beyond(limit, &mut session.finished.conflicts) {
        if let Some(record) = session.conflicts.remove(&id) {
            *session.forgotten.conflicts.entry(record.state).or_default() += 1;
        }
    }
}

/// Takes the oldest out, once there are enough beyond the limit.
fn beyond<T: Ord>(limit: usize, finished: &mut BTreeSet<T>) -> Vec<T> {
    let waiting = finished.len().saturating_sub(limit);
    if waiting <= (limit / SHARE).min(MOST_TOGETHER) {
        return Vec::new();
    }
    iter::from_fn(|| finished.pop_first()).take(waiting).collect()
}
