//! What follows from what: the couplings between the three life cycles (`spec/requirements.md` §3.4), and relays.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use mpac_wire::names::{Decision, RejectReason};
use mpac_wire::payload::Resolution;
use mpac_wire::{ConflictId, IntentId, OpId, PrincipalId, ResolutionId};

use super::gate::Facts;
use super::intent;
use super::operation::authorise;
use super::outbox::Outbox;
use super::records::Settled;
use super::session::catch_up;
use super::state::{InOrder, Session};
use crate::output::{Output, Recipients};
use crate::table::{conflict, operation};

/// How the operations of an intent that ended fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grace {
    /// Proposals outlive their intent for the configured time (CAS-02).
    Granted,
    /// The session closes: at once (SES-16).
    None,
}

/// An intent is over: its operations, a claim on it, who waited for it, its conflicts, in this order (CAS-08).
pub(super) fn intent_ended(session: &mut Session, out: &mut Outbox, id: &IntentId, grace: Grace) {
    let pending: Vec<OpId> = session.pending_by_intent.get(id).into_iter().flatten().cloned().collect();
    let length = session.config.intent_expiry_grace();
    let mut disputes = session.disputes_by_intent.get(id).cloned().unwrap_or_default();
    for op in &pending {
        let frozen =
            session.operations.get(op).is_some_and(|record| record.state == operation::State::Frozen);
        if frozen || grace == Grace::None || length.is_zero() {
            disputes.extend(session.disputes_by_op.get(op).into_iter().flatten().cloned());
            reject_orphan(session, out, op); // CAS-06: what was frozen has no grace
        } else {
            session.grant_grace(op, session.now.after(&length));
        }
    }
    intent::claim::original_ended(session, out, id);
    intent::defer::intent_ended(session, out, id);
    dismiss_where_all_ended(session, out, Some(disputes));
}

/// A proposal's intent is over for good (CAS-01).
pub(super) fn grace_over(session: &mut Session, out: &mut Outbox, op: &OpId) {
    reject_orphan(session, out, op);
    operation_ended(session, out, op);
}

/// Rejects a proposal without intent and tells its proposer. Its conflicts are left to the caller.
fn reject_orphan(session: &mut Session, out: &mut Outbox, op: &OpId) {
    if session.move_operation(op, operation::Event::IntentEnded).is_none() {
        return;
    }
    let Some(record) = session.operations.get(op) else { return };
    let proposer = record.proposer.clone();
    let intent = record.intent.as_ref().and_then(|id| session.intents.get(id));
    let last_message = intent.map(|intent| intent.last_message.clone());
    out.reject(session, &proposer, op, RejectReason::IntentTerminated, last_message.as_ref());
}

/// An intent is suspended: what others proposed under it freezes (CAS-05).
pub(super) fn intent_suspended(session: &mut Session, id: &IntentId) {
    for op in session.pending_by_intent.get(id).cloned().unwrap_or_default() {
        session.move_operation(&op, operation::Event::IntentSuspended);
    }
}

/// An intent is active again: what was frozen thaws (CAS-07).
pub(super) fn intent_restored(session: &mut Session, id: &IntentId) {
    for op in session.pending_by_intent.get(id).cloned().unwrap_or_default() {
        session.move_operation(&op, operation::Event::IntentRestored);
    }
}

/// A participant is gone: what it proposed is abandoned first, so that suspending its intents does not freeze it
/// (LIV-11, BYE-07, D-102). Its intents and then its claims follow.
pub(super) fn proposer_lost(session: &mut Session, out: &mut Outbox, principal: &PrincipalId) {
    let ops: Vec<OpId> = session.pending_by_proposer.get(principal).into_iter().flatten().cloned().collect();
    for op in &ops {
        session.move_operation(op, operation::Event::ProposerLost);
        operation_ended(session, out, op);
    }
    catch_up::operations_abandoned(session, principal, ops);
}

/// An operation is over: its conflicts may be, too (CON-13).
pub(super) fn operation_ended(session: &mut Session, out: &mut Outbox, op: &OpId) {
    dismiss_where_all_ended(session, out, session.disputes_by_op.get(op).cloned());
}

/// Some of these were rejected: what is left of their all-or-nothing batches can never be completed and goes with them
/// (BAT-09).
pub(super) fn batches_fall<'a>(
    session: &mut Session,
    out: &mut Outbox,
    ops: impl IntoIterator<Item = &'a OpId>,
    reason: &RejectReason,
) {
    let state = |op: &OpId| session.operations.get(op).map(|record| record.state);
    let rejected = ops.into_iter().filter(|op| state(op) == Some(operation::State::Rejected));
    let rest: Vec<OpId> = rejected.flat_map(|op| authorise::unit(session, op)).collect();
    for op in &rest {
        if session.move_operation(op, operation::Event::Rejected).is_some() {
            if let Some(proposer) = session.operations.get(op).map(|record| record.proposer.clone()) {
                out.reject(session, &proposer, op, reason.clone(), None);
            }
            operation_ended(session, out, op);
        }
    }
}

/// The same for several.
fn dismiss_where_all_ended(
    session: &mut Session,
    out: &mut Outbox,
    conflicts: Option<BTreeSet<InOrder<ConflictId>>>,
) {
    for (_, id) in conflicts.into_iter().flatten() {
        dismiss_if_over(session, out, &id);
    }
}

/// Dismisses a conflict in which nothing is left to dispute (CON-10, CON-11, D-115).
pub(super) fn dismiss_if_over(session: &mut Session, out: &mut Outbox, id: &ConflictId) {
    let Some(record) = session.conflicts.get(id) else { return };
    let intent_over =
        |id: &IntentId| session.intents.get(id).is_none_or(|record| record.state().is_terminal());
    let op_over = |id: &OpId| session.operations.get(id).is_none_or(|record| record.state.is_terminal());
    let something = !record.intents.is_empty() || !record.ops.is_empty();
    if !something || !record.intents.iter().all(intent_over) || !record.ops.iter().all(op_over) {
        return;
    }
    let escalated_to = record.escalated.as_ref().map(|(target, _)| target.clone());
    if session.move_conflict(id, conflict::Event::AllEnded).is_none() {
        return;
    }
    let rationale = "all_related_entities_terminated";
    let resolution_id = next_resolution_id(session);
    let mut resolution = Resolution::new(id.clone(), Decision::Dismissed);
    resolution.resolution_id = Some(resolution_id.clone());
    resolution.rationale = Some(rationale.into());
    let settled = Settled {
        id: resolution_id,
        by: session.coordinator.principal_id.clone(),
        decision: Decision::Dismissed,
        outcome: None,
        rationale: rationale.into(),
        at: session.now,
        escalated_to,
        causally_partial: false,
    };
    if let Some(record) = session.conflicts.get_mut(id) {
        record.resolution = Some(settled.into());
    }
    out.send(session, Recipients::All, resolution);
}

/// A resolution id of the coordinator's own making (GOV-09).
pub(super) fn draw_resolution_id(session: &mut Session) -> ResolutionId {
    // A UUID's text is never empty.
    ResolutionId::new(session.ids.next_uuid()).unwrap_or_else(|_| unreachable!("a UUID is not empty"))
}

/// The same, and it is used from here on (D-114).
pub(super) fn next_resolution_id(session: &mut Session) -> ResolutionId {
    let id = draw_resolution_id(session);
    session.resolutions.insert(id.clone(), session.config.retained_records);
    id
}

/// Passes a message on to all, its sender included, as it came: the sign of acceptance (D-132).
pub(super) fn relay_as_it_came(out: &mut Outbox, facts: &Facts<'_>) {
    let text = facts.received.text().clone();
    relay(out, facts, Recipients::All, text);
}

/// Passes `text` on in place of the message.
pub(super) fn relay(out: &mut Outbox, facts: &Facts<'_>, to: Recipients, text: Arc<str>) {
    out.outputs.push(Output::Relay {
        to,
        text,
        message_type: facts.envelope.message_type.clone(),
        sender: facts.envelope.sender.principal_id.clone(),
    });
}
