//! One `match` from message to rule, and one from deadline to rule.

use alloc::boxed::Box;

use mpac_wire::names::ErrorCode;
use mpac_wire::{Message, Sender, Timestamp};

use super::deadlines::Cause;
use super::gate::{self, Facts};
use super::outbox::Outbox;
use super::state::Session;
use super::{cascade, conflict, governance, intent, operation, quota, session as layer};
use crate::input::Command;
use crate::output::Notice;
use crate::refusal::{LimitReached, Refusal};

/// Fires everything due at `now`, in the order of one sweep, and moves the session's time there (D-013).
pub(super) fn timers(session: &mut Session, out: &mut Outbox, now: Timestamp) {
    session.now = now;
    // After SESSION_CLOSE the coordinator says nothing more of its own accord (D-033).
    while !session.closed {
        let due = session.deadlines.due(now);
        if due.is_empty() {
            return;
        }
        for (at, cause) in due {
            // An earlier one of this sweep may have settled it, or ended the session.
            if !session.closed && session.deadlines.take(at, &cause) {
                fire(session, out, at, cause);
            }
        }
    }
}

fn fire(session: &mut Session, out: &mut Outbox, at: Timestamp, cause: Cause) {
    match cause {
        Cause::SessionTtl => layer::lifecycle::time_over(session, out),
        Cause::AutoClose => layer::lifecycle::all_done(session, out),
        Cause::IntentTtl(_, id) => intent::expire::apply(session, out, &id),
        Cause::Grace(_, op) => cascade::grace_over(session, out, &op),
        Cause::Silent(principal) => layer::liveness::silent(session, out, &principal),
        Cause::DeferralTtl(deferral) => intent::defer::expired(session, out, &deferral),
        Cause::ClaimGrace(claim) => intent::claim::grace_over(session, out, &claim),
        Cause::Unresolved(_, conflict) => governance::timeout::over(session, out, &conflict),
        Cause::FreezePhase(_, conflict) => governance::freeze::next_phase(session, out, &conflict),
        Cause::Status => layer::status::heartbeat(session, out, at),
    }
}

/// What only an administrator or the host may say (SRV-15).
pub(super) fn command(session: &mut Session, out: &mut Outbox, command: &Command) {
    match command {
        Command::Vacancy(vacancy) => session.vacancy = *vacancy,
        Command::Close { reason, disposition } => layer::close::apply(session, out, reason, disposition),
        Command::Status(event) => layer::status::tell_all(session, out, event.clone()),
        Command::Rebind { conn, principal, principal_type, instance } => {
            let sender = Sender::new(principal.clone(), principal_type.clone(), instance.clone());
            layer::connection::rebind(session, out, *conn, sender);
        }
        Command::HandOver { successor, next_epoch } => {
            layer::handover::hand_over(session, out, successor.clone(), *next_epoch);
        }
        Command::Persisted { lamport } => session.persisted = Some(*lamport),
        Command::RotateKey(key) => layer::rotation::of_coordinator(session, out, key),
        Command::TurnAway { conn, refers_to, retry_after } if session.bound(*conn).is_some() => {
            let reached = LimitReached::Rate { retry_after: retry_after.clone() };
            out.refuse(session, *conn, &reached.into(), refers_to.as_ref());
        }
        Command::TurnAway { .. } => {}
        Command::Fence { epoch } => layer::handover::fence(session, out, *epoch),
    }
}

const fn is_operation(message: &Message) -> bool {
    matches!(
        message,
        Message::OpPropose(_)
            | Message::OpCommit(_)
            | Message::OpBatchCommit(_)
            | Message::OpReject(_)
            | Message::OpSupersede(_)
    )
}

/// Steps 16 and 17 for everything but HELLO, which the gate hands over itself.
pub(super) fn message(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    message: Box<Message>,
) -> Result<(), Refusal> {
    if is_operation(&message) {
        layer::divergence::check(session, &facts.envelope.sender.principal_id)?;
    }
    quota::conflicts(session, &facts.envelope.sender.principal_id, &message)?;
    match *message {
        Message::Heartbeat(payload) => layer::heartbeat::handle(session, out, facts, payload)?,
        Message::Goodbye(payload) => layer::goodbye::handle(session, out, facts, &payload),
        Message::IntentAnnounce(payload) => intent::announce::handle(session, out, facts, payload)?,
        Message::IntentUpdate(payload) => intent::update::handle(session, out, facts, payload)?,
        Message::IntentWithdraw(payload) => intent::withdraw::handle(session, out, facts, &payload)?,
        Message::IntentDeferred(payload) => intent::defer::handle(session, out, facts, payload)?,
        Message::IntentClaim(payload) => intent::claim::handle(session, out, facts, payload)?,
        Message::OpPropose(payload) => operation::propose::handle(session, out, facts, payload)?,
        Message::OpCommit(payload) => operation::commit::handle(session, out, facts, payload)?,
        Message::OpBatchCommit(payload) => operation::batch::handle(session, out, facts, payload)?,
        Message::OpReject(payload) => operation::reject::handle(session, out, facts, &payload)?,
        Message::OpSupersede(payload) => operation::supersede::handle(session, out, facts, payload)?,
        Message::ConflictReport(payload) => conflict::report::handle(session, out, facts, *payload)?,
        Message::ConflictAck(payload) => conflict::ack::handle(session, out, facts, &payload)?,
        Message::ConflictEscalate(payload) => conflict::escalate::handle(session, out, facts, &payload)?,
        Message::Resolution(payload) => conflict::resolve::handle(session, out, facts, payload)?,
        // A participant that may have missed something gets the session as it stands (LAM-22, D-029).
        Message::ProtocolError(error) if error.error_code == ErrorCode::CausalGap => {
            gate::summarise(session, out, facts.conn);
        }
        // Two coordinators speak: the host has to find out which of them may (REC-25, REC-26).
        Message::ProtocolError(error) if error.error_code == ErrorCode::CoordinatorConflict => {
            let reported_by = facts.envelope.sender.principal_id.clone();
            out.notice(Notice::CoordinatorConflict { reported_by });
        }
        Message::ProtocolError(error) if error.error_code == ErrorCode::ParticipantUnavailable => {
            layer::liveness::declared(session, out, facts, &error);
        }
        // Participants' other errors are for the log (ERR-03).
        Message::ProtocolError(_) => {}
        // The gate has sent these elsewhere: HELLO to its own rule, the coordinator's types away.
        Message::Hello(_)
        | Message::SessionInfo(_)
        | Message::SessionClose(_)
        | Message::CoordinatorStatus(_)
        | Message::IntentClaimStatus(_)
        | Message::Unknown { .. } => {
            return Err(Refusal::CoordinatorOnly(facts.envelope.message_type.clone()));
        }
    }
    Ok(())
}
