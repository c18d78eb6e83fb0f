//! A conflict that nobody settles in time is escalated, then frozen (GOV-14, GOV-15, D-116).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;

use mpac_wire::payload::ConflictEscalate;
use mpac_wire::{ConflictId, PrincipalId, Timestamp};

use super::super::outbox::Outbox;
use super::super::session::divergence;
use super::super::state::{InOrder, Session};
use super::{arbiter, freeze};
use crate::output::Recipients;
use crate::table::conflict::{Event, State};

/// From now on the conflict may stay pending for the configured time and no longer; 0 disables.
pub(in super::super) fn arm(session: &mut Session, id: &ConflictId) {
    let until = pending_until(session, session.now);
    session.watch_conflict(id, until);
}

/// Until when a conflict may be pending that is since `since`; strictly more than the limit (D-012). At the end of time
/// that is never: what is due again in the moment in which it was due would not let go.
pub(in super::super) fn pending_until(session: &Session, since: Timestamp) -> Option<Timestamp> {
    let limit = session.config.resolution_timeout();
    let at = Timestamp::from_micros(since.after(&limit).micros().saturating_add(1));
    (!limit.is_zero() && since < at).then_some(at)
}

/// It has been pending for too long: the first time an arbiter is asked, if there is one.
pub(in super::super) fn over(session: &mut Session, out: &mut Outbox, id: &ConflictId) {
    session.watch_conflict(id, None);
    let Some(record) = session.conflicts.get(id) else { return };
    if divergence::is_one(record) {
        return divergence_over(session, out, id);
    }
    let state = record.state;
    match arbiter(session) {
        Some(arbiter) if state != State::Escalated => {
            escalate(session, out, id, arbiter, "resolution_timeout");
            arm(session, id);
        }
        _ => freeze::begin(session, out, id),
    }
}

/// A divergence has no scope that could be frozen and nothing that could win: it stays until those who govern settle it
/// (REC-30). So each time it is over an arbiter is asked, if one is here whom nobody has asked, and else all are reminded.
fn divergence_over(session: &mut Session, out: &mut Outbox, id: &ConflictId) {
    let asked = session.conflicts.get(id).is_some_and(|record| freeze::is_with_an_arbiter(session, record));
    match arbiter(session).filter(|_| !asked) {
        Some(arbiter) => escalate(session, out, id, arbiter, "resolution_timeout"),
        None => {
            let text = alloc::format!("conflict {id} was not resolved in time: those who govern must");
            freeze::remind(session, out, id, text);
        }
    }
    arm(session, id);
}

/// The coordinator hands a conflict to an arbiter (GOV-13).
pub(super) fn escalate(
    session: &mut Session,
    out: &mut Outbox,
    id: &ConflictId,
    to: PrincipalId,
    reason: &str,
) {
    // An escalated one stays escalated and gets another target (D-110).
    session.move_conflict(id, Event::Escalated);
    let at = session.now;
    if let Some(record) = session.conflicts.get_mut(id) {
        record.escalated = Some((to.clone(), at));
    }
    out.send(session, Recipients::All, ConflictEscalate::new(id.clone(), to, reason.to_owned()));
}

/// Asks somebody who is back for the decisions that wait for nobody else, in the order of receipt: nobody can say whether
/// the question was heard, and it is not put again while it is with somebody who is here (CON-08, HEL-18).
pub(in super::super) fn ask_again(
    session: &mut Session,
    out: &mut Outbox,
    to: &Recipients,
    principal: &PrincipalId,
) {
    if session.open_conflicts == 0 {
        return;
    }
    let waiting = session.conflicts.values().filter(|record| {
        let target = record.escalated.as_ref().map(|(target, _)| target);
        record.state == State::Escalated && target == Some(principal)
    });
    let waiting: BTreeSet<InOrder<ConflictId>> =
        waiting.map(|record| (record.sequence, record.id.clone())).collect();
    for (_, id) in waiting {
        let escalate = ConflictEscalate::new(id, principal.clone(), "still_escalated".to_owned());
        out.send(session, to.clone(), escalate);
    }
}
