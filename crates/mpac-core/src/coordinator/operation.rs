//! The operation layer: who changes what, based on which state.

pub(super) mod authorise;
pub(super) mod batch;
pub(super) mod commit;
pub(super) mod content;
pub(super) mod propose;
pub(super) mod reject;
mod request;
pub(super) mod supersede;

use mpac_wire::names::RejectReason;
use mpac_wire::{ConflictId, IntentId, OpId, StateRef};

use self::authorise::is_pre_commit;
use super::outbox::Outbox;
use super::records::Operation;
use super::state::Session;
use crate::refusal::Refusal;
use crate::table::intent::State;
use crate::table::operation::{Event, State as OperationState, next};

/// What the intent that an operation names means for it (D-093).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// It is active.
    Usable,
    /// There is none, and none is needed (OPS-13).
    Uncoordinated,
    /// It is over: the operation is rejected, not refused (OPS-02, OPS-14).
    TooLate,
}

/// Judges the intent of a proposal, or of a commit in a session that needs intents.
fn strict_guard(session: &Session, intent: Option<&IntentId>) -> Result<Guard, Refusal> {
    let Some(id) = intent else {
        let needed = session.config.requires_intent();
        return if needed { Err(Refusal::IntentNeeded) } else { Ok(Guard::Uncoordinated) };
    };
    let record = session.intents.get(id).ok_or_else(|| Refusal::UnknownIntent(id.clone()))?;
    match record.state() {
        State::Active => Ok(Guard::Usable),
        State::Suspended => Err(Refusal::IntentState { intent: id.clone(), state: State::Suspended }),
        State::Expired | State::Withdrawn | State::Superseded | State::Transferred => Ok(Guard::TooLate),
    }
}

/// Judges the intent of a commit, of a batch or of a supersession.
fn commit_guard(session: &Session, intent: Option<&IntentId>) -> Result<Guard, Refusal> {
    if session.config.requires_intent() {
        strict_guard(session, intent)
    } else {
        lenient_guard(session, intent)
    }
}

/// In a core session a commit without a usable intent is accepted and flagged: the work is done already (D-093). Where it is
/// still to be done, a request under an intent that is over would wait for ever.
fn lenient_guard(session: &Session, intent: Option<&IntentId>) -> Result<Guard, Refusal> {
    let Some(record) = intent.and_then(|id| session.intents.get(id)) else { return Ok(Guard::Uncoordinated) };
    match record.state() {
        State::Active => Ok(Guard::Usable),
        State::Suspended => {
            Err(Refusal::IntentState { intent: record.id.clone(), state: State::Suspended }) // OPS-15
        }
        State::Expired | State::Withdrawn | State::Superseded | State::Transferred => {
            Ok(if is_pre_commit(session) { Guard::TooLate } else { Guard::Uncoordinated })
        }
    }
}

/// Compares what a message was based on with what is there (OCC-03). Unknown targets accept anything.
fn current(session: &Session, target: &str, stated: &StateRef) -> Result<(), Refusal> {
    match session.refs.get(target) {
        Some(current) if current != stated => Err(Refusal::StaleStateRef {
            target: target.into(),
            current: current.clone(),
            stated: stated.clone(),
        }),
        _ => Ok(()),
    }
}

/// Whether all references of a message are written as the session's (SES-25).
fn well_formed<'a>(session: &Session, refs: impl IntoIterator<Item = &'a StateRef>) -> Result<(), Refusal> {
    let format = &session.config.state_ref_format;
    match refs.into_iter().find(|it| !it.has_format(format)) {
        Some(found) => Err(Refusal::StateRefFormat { found: found.clone(), format: format.clone() }),
        None => Ok(()),
    }
}

/// The state an operation begins in.
fn begins(with: Event) -> OperationState {
    // The table has a row without a state for every event that a handler begins an operation with.
    next(None, with).unwrap_or_else(|| unreachable!("no operation begins with {with:?}"))
}

/// Registers a refused proposal and tells its proposer.
fn reject_too_late(session: &mut Session, out: &mut Outbox, record: Operation) {
    let (op, proposer) = (record.id.clone(), record.proposer.clone());
    let intent = record.intent.as_ref().and_then(|id| session.intents.get(id));
    let last_message = intent.map(|intent| intent.last_message.clone());
    session.register_operation(record);
    out.reject(session, &proposer, &op, RejectReason::IntentTerminated, last_message.as_ref());
}

/// Adds an operation to the open conflicts of its intent (CON-21, OPS-29).
fn attach_to_conflicts(session: &mut Session, op: &OpId) {
    let Some(record) = session.operations.get(op) else { return };
    let (Some(intent), proposer) = (record.intent.clone(), record.proposer.clone()) else { return };
    let open: alloc::vec::Vec<ConflictId> = session.disputes_of_intent(&intent).cloned().collect();
    for conflict in &open {
        session.attach(conflict, op, &proposer);
    }
}
