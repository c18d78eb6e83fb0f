//! Pre-commit sessions: an operation waits until it may happen (OPS-06 to OPS-08, OPS-10, D-097, D-098, D-084).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{Atomicity, CoordinatorEvent, Decision, ExecutionModel, RejectReason};
use mpac_wire::payload::{CoordinatorStatus, Resolution};
use mpac_wire::{OpId, PrincipalId, StateRef};

use super::super::cascade;
use super::super::conflict::resolve;
use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::records::{Member, Operation};
use super::super::session::status::health;
use super::super::state::{InOrder, Session};
use crate::config::OperationAuthorization;
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::scope::{contains_target, normalize};
use crate::table::intent;
use crate::table::operation::{Event, State};

/// Whether operations are authorised before they happen here.
pub(in super::super) fn is_pre_commit(session: &Session) -> bool {
    session.config.execution_model == ExecutionModel::PreCommit
}

/// Authorises whatever waited for what has changed and is no longer blocked, in the order of receipt. Run after every
/// record; an all-or-nothing batch is authorised as a whole or not at all (BAT-08).
pub(in super::super) fn settle(session: &mut Session, out: &mut Outbox) {
    let rejudged = session.take_rejudged();
    if !is_pre_commit(session) || session.closed {
        return;
    }
    let mut seen: BTreeSet<OpId> = BTreeSet::new();
    for op in rejudged {
        if seen.contains(&op) {
            continue;
        }
        let unit = unit(session, &op);
        seen.extend(unit.iter().cloned());
        let free = is_free(session, &unit);
        for op in unit.iter().filter(|_| free) {
            if let Some(by) = approver(session, op) {
                authorise(session, out, op, by);
            }
        }
    }
    session.take_rejudged(); // authorising moves nothing that others wait for
}

/// Whether all of a unit waits, has who would authorise it, and nothing in its way.
fn is_free(session: &Session, unit: &[OpId]) -> bool {
    let waits = |op: &OpId| {
        session
            .operations
            .get(op)
            .is_some_and(|op| op.more.authorised.is_none() && op.state == State::Proposed)
    };
    unit.iter().all(|op| waits(op) && approver(session, op).is_some()) && !is_unit_blocked(session, unit)
}

/// Whether nothing waits that could go on: always, after a record, or a change was overlooked. For tests.
pub(in super::super) fn nothing_is_overlooked(session: &Session) -> bool {
    session.closed || !session.waiting.values().flatten().any(|op| is_free(session, &unit(session, op)))
}

/// What is authorised together: the whole of an all-or-nothing batch, else the operation alone.
pub(in super::super) fn unit(session: &Session, op: &OpId) -> Vec<OpId> {
    let batch = session.operations.get(op).and_then(|record| record.more.batch.as_ref());
    match batch.and_then(|batch| session.batches.get_key_value(batch)) {
        Some((id, batch)) if batch.atomicity == Atomicity::AllOrNothing => {
            session.ops_of(id).map(|op| op.id.clone()).collect()
        }
        _ => [op.clone()].into(),
    }
}

/// Who would authorise an operation: its reviewer, or the coordinator where no review is asked for.
fn approver(session: &Session, op: &OpId) -> Option<PrincipalId> {
    let record = session.operations.get(op)?;
    match session.config.operation_authorization {
        OperationAuthorization::Auto => {
            Some(record.more.approved_by.clone().unwrap_or_else(|| session.coordinator.principal_id.clone()))
        }
        OperationAuthorization::Review => record.more.approved_by.clone(),
    }
}

/// Whether anything of a unit would have to wait, each operation seeing what the ones before it leave (BAT-04).
fn is_unit_blocked(session: &Session, unit: &[OpId]) -> bool {
    let records = unit.iter().filter_map(|op| session.operations.get(op));
    is_any_blocked(session, records)
}

/// The same for operations that are not registered yet.
pub(super) fn is_any_blocked<'a>(session: &Session, records: impl Iterator<Item = &'a Operation>) -> bool {
    let mut ahead: BTreeMap<String, StateRef> = BTreeMap::new();
    for record in records {
        let target = normalize(&record.target);
        let current = ahead.get(&target).or_else(|| session.refs.get(&target));
        let stale = record.before.as_ref().zip(current).is_some_and(|(before, current)| before != current);
        if record.state != State::Proposed || stale || is_hindered(session, record, &target) {
            return true;
        }
        if let Some(after) = &record.after {
            ahead.insert(target, after.clone());
        }
    }
    false
}

/// A frozen target, an intent that is not active, or an open conflict with somebody who covers the target: none of
/// these refuse, all of them wait (D-097).
fn is_hindered(session: &Session, record: &Operation, target: &str) -> bool {
    let frozen = frozen::target(session, target, record.intent.as_ref()).is_err();
    let own = record.intent.as_ref().and_then(|id| session.intents.get(id));
    let idle = own.is_some_and(|intent| intent.state() != intent::State::Active);
    frozen || idle || record.more.grace_until.is_some() || is_disputed(session, record)
}

/// A conflict of the operation's intent that is not over, with another intent that covers the target. Where its freeze is
/// open for this intent the conflict does not hold it back either (FRZ-10).
fn is_disputed(session: &Session, record: &Operation) -> bool {
    let Some(own) = &record.intent else { return false };
    let conflicts = session.disputes_of_intent(own).filter_map(|id| session.conflicts.get(id));
    conflicts.filter(|conflict| !frozen::favours(session, conflict, own)).any(|conflict| {
        let others = conflict.intents.iter().filter(|intent| *intent != own);
        others.filter_map(|id| session.intents.get(id)).any(|intent| {
            intent.is_live()
                && contains_target(session.scopes.names(), &intent.scope, &record.target) != Some(false)
        })
    })
}

/// Marks an operation and tells its proposer alone: the Python agent takes any authorisation as its own.
fn authorise(session: &mut Session, out: &mut Outbox, op: &OpId, by: PrincipalId) {
    if session.authorise(op, by).is_none() {
        return;
    }
    if let Some(proposer) = session.operations.get(op).map(|record| record.proposer.clone()) {
        tell(session, out, Recipients::Only([proposer].into()), op);
    }
}

fn tell(session: &mut Session, out: &mut Outbox, to: Recipients, op: &OpId) {
    let Some(more) = session.operations.get(op).map(|record| &record.more) else { return };
    let mut status = CoordinatorStatus::new(
        CoordinatorEvent::Authorization,
        session.coordinator.principal_id.clone(),
        health(session),
    );
    status.authorized_op_id = Some(op.clone());
    status.authorized_by = more.authorised.as_ref().map(|(by, _)| by.clone());
    status.authorized_batch_id = more.batch.clone();
    out.send(session, to, status);
}

/// Tells a proposer again what of its own is authorised and not done, in the order of receipt: nobody can say whether it
/// has heard of it. What only outlives its intent is left out, because it cannot be completed.
pub(in super::super) fn tell_again(
    session: &mut Session,
    out: &mut Outbox,
    to: &Recipients,
    proposer: &PrincipalId,
) {
    let pending = session.pending_by_proposer.get(proposer).into_iter().flatten();
    let pending = pending.filter_map(|op| session.operations.get(op));
    let open = pending.filter(|it| it.more.authorised.is_some() && it.more.grace_until.is_none());
    let open: BTreeSet<InOrder<OpId>> = open.map(|it| (it.sequence, it.id.clone())).collect();
    for (_, op) in open {
        tell(session, out, to.clone(), &op);
    }
}

/// Whether a RESOLUTION that names this id would not be about a new proposal of that id, where proposals are decided on
/// (D-084).
pub(super) fn is_subject(session: &Session, id: &str) -> bool {
    is_pre_commit(session) && resolve::is_subject(session, id)
}

/// The pending operations that a RESOLUTION's id names: one, or those of a batch.
pub(in super::super) fn named(session: &Session, id: &str) -> Vec<OpId> {
    match session.operations.get(id) {
        Some(record) if record.state.is_pending() => [record.id.clone()].into(),
        Some(_) => Vec::new(),
        None => session.pending_of(id).unwrap_or_default(),
    }
}

/// A RESOLUTION names proposals: a reviewer, owner or arbiter other than their proposer decides (D-084). Says whether
/// they are approved.
pub(in super::super) fn judge(
    session: &Session,
    by: &PrincipalId,
    ops: &[OpId],
    resolution: &Resolution,
) -> Result<bool, Refusal> {
    let may = session.members.get(by).is_some_and(Member::reviews);
    let own = ops.iter().filter_map(|op| session.operations.get(op)).any(|record| record.proposer == *by);
    if !may || own {
        return Err(Refusal::MayNotReview(by.clone()));
    }
    match resolution.decision {
        Decision::Approved if session.config.operation_authorization == OperationAuthorization::Auto => {
            Err(Refusal::NoReview) // CAP-09: it would change nothing, and say nothing of that
        }
        Decision::Approved => Ok(true),
        Decision::Rejected => Ok(false),
        _ => Err(Refusal::ReviewDecision(resolution.decision.clone())), // D-004
    }
}

/// Carries a decision on proposals out; `settle` authorises what was approved.
pub(in super::super) fn decided(
    session: &mut Session,
    out: &mut Outbox,
    by: &PrincipalId,
    ops: &[OpId],
    approved: bool,
) {
    for op in ops {
        if approved {
            if let Some(record) = session.operations.get_mut(op) {
                record.more.approved_by = Some(by.clone());
                session.rejudge_operation(op);
            }
        } else if session.move_operation(op, Event::Rejected).is_some() {
            if let Some(proposer) = session.operations.get(op).map(|record| record.proposer.clone()) {
                out.reject(session, &proposer, op, RejectReason::ResolutionRejected, None);
            }
            cascade::operation_ended(session, out, op);
        }
    }
    cascade::batches_fall(session, out, ops, &RejectReason::ResolutionRejected);
}

/// Whether a pending operation may be completed by this sender now (OPS-09, D-096).
pub(super) fn completable(
    session: &Session,
    record: &Operation,
    sender: &PrincipalId,
    target: &str,
) -> Result<(), Refusal> {
    let op = || record.id.clone();
    if record.proposer != *sender {
        return Err(Refusal::NotAuthor { op: op(), author: record.proposer.clone() });
    }
    match record.state {
        State::Frozen => return Err(Refusal::OperationFrozen(op())),
        State::Proposed if record.more.grace_until.is_none() => {}
        state => return Err(Refusal::OperationState { op: op(), state }),
    }
    if record.more.authorised.is_none() {
        return Err(Refusal::NotAuthorised(op()));
    }
    // Somebody else's supersession may have been completed first.
    if let Some(old) = record.more.supersedes.as_ref().and_then(|id| session.operations.get(id))
        && old.state != State::Committed
    {
        return Err(Refusal::OperationState { op: old.id.clone(), state: old.state });
    }
    if normalize(&record.target) != normalize(target) {
        return Err(Refusal::TargetChanged {
            op: op(),
            proposed: record.target.clone(),
            committed: target.into(),
        });
    }
    Ok(())
}
