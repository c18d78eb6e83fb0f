//! SESSION_CLOSE: the session is over (SES-13 to SES-18, D-033).

use alloc::vec::Vec;

use mpac_wire::names::{CloseDisposition, CloseReason};
use mpac_wire::payload::{SessionClose, Summary};
use mpac_wire::{Integer, IntentId, Message, OpId};

use super::super::deadlines::Cause;
use super::super::outbox::Outbox;
use super::super::state::Session;
use super::super::{cascade, intent};
use super::status;
use crate::output::{Notice, Recipients};
use crate::table::{conflict, intent as intents, operation};

/// Ends the session. A closed one stays as it is, and so does one that nobody has opened: there is nothing yet that could end, and
/// its first HELLO is as welcome as before (D-031).
pub(in super::super) fn apply(
    session: &mut Session,
    out: &mut Outbox,
    reason: &CloseReason,
    disposition: &CloseDisposition,
) {
    if session.closed || session.unopened {
        return;
    }
    if *disposition != CloseDisposition::ExpireAll {
        let active: Vec<IntentId> = session.live.values().flatten().map(|(_, id)| id.clone()).collect();
        for id in &active {
            // Suspended ones stay suspended: the table has no such row.
            intent::end_at_close(session, out, id);
        }
    }
    let left: Vec<OpId> = session.pending_by_proposer.values().flatten().cloned().collect();
    for op in &left {
        session.move_operation(op, operation::Event::ProposerLost);
        cascade::operation_ended(session, out, op);
    }
    session.closed = true;
    session.deadlines.remove_all(&Cause::SessionTtl);
    status::schedule(session);
    let watermark = session.lamport.tick();
    let mut close = SessionClose::new(reason.clone(), Integer::new(session.lamport.value()));
    close.summary = Some(summary(session));
    close.active_intents_disposition = Some(disposition.clone());
    close.transcript_ref = session.config.transcript_ref.clone(); // SES-22
    out.write(session, Recipients::All, &Message::SessionClose(close), watermark, None);
    out.notice(Notice::Closed { reason: reason.clone() });
}

/// The session in numbers (`spec/wire.md` §9).
fn summary(session: &Session) -> Summary {
    let all_intents = || session.intents.values().chain(&session.archived_intents);
    let past = &session.forgotten;
    let intents = |states: &[intents::State]| {
        let forgotten = states.iter().filter_map(|state| past.intents.get(state)).sum();
        count(all_intents().filter(|record| states.contains(&record.state())), forgotten)
    };
    let ops = |state: operation::State| {
        let forgotten = past.operations.get(&state).copied().unwrap_or(0);
        count(session.operations.values().filter(|record| record.state == state), forgotten)
    };
    let resolved =
        |state: &conflict::State| matches!(state, conflict::State::Resolved | conflict::State::Closed);
    let resolved_before = past.conflicts.iter().filter(|(state, _)| resolved(state)).map(|(_, n)| n).sum();
    let whole_seconds = session.now.since(session.started_at).micros() / 1_000_000;
    Summary::new(
        count(all_intents(), past.intents.values().sum()),
        intents(&[intents::State::Superseded, intents::State::Transferred]),
        intents(&[intents::State::Expired]),
        intents(&[intents::State::Withdrawn]),
        count(session.operations.values(), past.operations.values().sum()),
        ops(operation::State::Committed),
        ops(operation::State::Rejected),
        ops(operation::State::Abandoned),
        count(session.conflicts.values(), past.conflicts.values().sum()),
        count(session.conflicts.values().filter(|record| resolved(&record.state)), resolved_before),
        count(session.members.values(), past.participants),
        Integer::new(u64::try_from(whole_seconds).unwrap_or(0)),
    )
}

fn count<T>(records: impl Iterator<Item = T>, forgotten: u64) -> Integer {
    Integer::new(records.count() as u64 + forgotten)
}
