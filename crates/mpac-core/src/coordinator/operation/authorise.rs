//! Pre-commit sessions: an operation waits until it may happen (OPS-06 to OPS-08, OPS-10, D-097, D-098, D-084).

use alloc::vec::Vec;

use mpac_wire::names::{CoordinatorEvent, Decision, ExecutionModel, RejectReason, Role};
use mpac_wire::payload::{CoordinatorStatus, Resolution};
use mpac_wire::{BatchId, OpId, PrincipalId};

use super::super::cascade;
use super::super::gate::Facts;
use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::records::Operation;
use super::super::session::status::health;
use super::super::state::Session;
use super::current;
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

/// Authorises whatever waits and is no longer blocked, in the order of receipt. Run after every record: any of them may
/// have changed what blocked something.
pub(in super::super) fn settle(session: &mut Session, out: &mut Outbox) {
    if !is_pre_commit(session) || session.closed {
        return;
    }
    let mut waiting: Vec<(u64, OpId)> = session
        .pending_by_proposer
        .values()
        .flatten()
        .filter_map(|op| session.operations.get(op))
        .filter(|op| op.authorised.is_none() && op.state == State::Proposed)
        .map(|op| (op.sequence, op.id.clone()))
        .collect();
    waiting.sort();
    for (_, op) in waiting {
        let coordinator = session.coordinator.principal_id.clone();
        let by = match session.operations.get(&op).and_then(|record| record.approved_by.clone()) {
            Some(reviewer) => reviewer,
            None if session.config.operation_authorization == OperationAuthorization::Auto => coordinator,
            None => continue,
        };
        if session.operations.get(&op).is_some_and(|record| !is_blocked(session, record)) {
            authorise(session, out, &op, by);
        }
    }
}

/// A frozen target, a stale reference, an intent that is not active, or an open conflict with somebody who covers the
/// target: none of these refuse, all of them wait (D-097).
pub(super) fn is_blocked(session: &Session, record: &Operation) -> bool {
    let target = normalize(&record.target);
    let stale = record.before.as_ref().is_some_and(|before| current(session, &target, before).is_err());
    let frozen = frozen::target(session, &target, record.intent.as_ref()).is_err();
    let idle = record
        .intent
        .as_ref()
        .and_then(|id| session.intents.get(id))
        .is_some_and(|intent| intent.state() != intent::State::Active);
    stale || frozen || idle || record.grace_until.is_some() || is_disputed(session, record)
}

/// A conflict of the operation's intent that is not over, with another intent that covers the target.
fn is_disputed(session: &Session, record: &Operation) -> bool {
    let Some(own) = &record.intent else { return false };
    let conflicts = session.disputes_by_intent.get(own).into_iter().flatten();
    conflicts.filter_map(|id| session.conflicts.get(id)).any(|conflict| {
        let others = conflict.intents.iter().filter(|intent| *intent != own);
        others
            .filter_map(|id| session.intents.get(id))
            .any(|intent| intent.is_live() && contains_target(&intent.scope, &record.target) != Some(false))
    })
}

/// Marks an operation and tells its proposer alone: the Python agent takes any authorisation as its own.
fn authorise(session: &mut Session, out: &mut Outbox, op: &OpId, by: PrincipalId) {
    if session.move_operation(op, Event::Authorised).is_none() {
        return;
    }
    let now = session.now;
    let Some(record) = session.operations.get_mut(op) else { return };
    record.authorised = Some((by.clone(), now));
    let (proposer, batch) = (record.proposer.clone(), record.batch.clone());
    let mut status = CoordinatorStatus::new(
        CoordinatorEvent::Authorization,
        session.coordinator.principal_id.clone(),
        health(session),
    );
    status.authorized_op_id = Some(op.clone());
    status.authorized_by = Some(by);
    status.authorized_batch_id = batch;
    out.send(session, Recipients::Only([proposer].into()), status);
}

/// The pending operations that a RESOLUTION's id names: one, or those of a batch.
pub(in super::super) fn named(session: &Session, id: &str) -> Vec<OpId> {
    let pending = |op: &&OpId| session.operations.get(*op).is_some_and(|record| record.state.is_pending());
    if let Some(record) = session.operations.get(id) {
        return [&record.id].into_iter().filter(pending).cloned().collect();
    }
    let batch = BatchId::new(id).ok().and_then(|batch| session.batches.get(&batch));
    batch.map(|batch| batch.ops.iter().filter(pending).cloned().collect()).unwrap_or_default()
}

/// A RESOLUTION names a proposal: a reviewer, owner or arbiter other than its proposer decides (D-084).
pub(in super::super) fn decide(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    ops: &[OpId],
    resolution: &Resolution,
) -> Result<(), Refusal> {
    let by = &facts.envelope.sender.principal_id;
    let reviews = |role: &Role| matches!(role, Role::Reviewer | Role::Owner | Role::Arbiter);
    let may = session.members.get(by).is_some_and(|member| member.roles.iter().any(reviews));
    let own = ops.iter().filter_map(|op| session.operations.get(op)).any(|record| record.proposer == *by);
    if !may || own {
        return Err(Refusal::MayNotReview(by.clone()));
    }
    let approves = match resolution.decision {
        Decision::Approved => true,
        Decision::Rejected => false,
        _ => return Err(Refusal::ReviewDecision(resolution.decision.clone())), // D-004
    };
    cascade::relay_as_it_came(out, facts);
    for op in ops {
        if approves {
            if let Some(record) = session.operations.get_mut(op) {
                record.approved_by = Some(by.clone()); // `settle` does the rest
            }
        } else if session.move_operation(op, Event::Rejected).is_some() {
            if let Some(proposer) = session.operations.get(op).map(|record| record.proposer.clone()) {
                out.reject(session, &proposer, op, RejectReason::ResolutionRejected, None);
            }
            cascade::operation_ended(session, out, op);
        }
    }
    Ok(())
}

/// Whether a pending operation may be completed by this sender now (OPS-09, D-096).
pub(super) fn completable(record: &Operation, sender: &PrincipalId, target: &str) -> Result<(), Refusal> {
    let op = || record.id.clone();
    if record.proposer != *sender {
        return Err(Refusal::NotAuthor { op: op(), author: record.proposer.clone() });
    }
    match record.state {
        State::Frozen => return Err(Refusal::OperationFrozen(op())),
        State::Proposed if record.grace_until.is_none() => {}
        state => return Err(Refusal::OperationState { op: op(), state }),
    }
    if record.authorised.is_none() {
        return Err(Refusal::NotAuthorised(op()));
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
