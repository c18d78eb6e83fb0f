//! When a session ends by itself: everything done, or its time over (SES-10 to SES-12, D-032).

use mpac_wire::names::{CloseDisposition, CloseReason, HeartbeatStatus};
use mpac_wire::{Seconds, Timestamp};

use super::super::deadlines::Cause;
use super::super::outbox::Outbox;
use super::super::state::Session;
use super::close;

/// The session's time is over.
pub(in super::super) fn time_over(session: &mut Session, out: &mut Outbox) {
    close::apply(session, out, &CloseReason::Timeout, &CloseDisposition::WithdrawAll);
}

/// Everything has been done for long enough.
pub(in super::super) fn all_done(session: &mut Session, out: &mut Outbox) {
    session.closes_at = None;
    close::apply(session, out, &CloseReason::Completed, &CloseDisposition::WithdrawAll);
}

/// Watches the age of a session that has a limit; 0 is none. Strictly more than the limit (D-012). One that nobody has opened
/// has no age yet (D-031).
pub(in super::super) fn watch_age(session: &mut Session) {
    let limit = session.config.lifecycle.session_ttl_sec.clone().unwrap_or(Seconds::ZERO);
    if !limit.is_zero() && !session.closed && !session.unopened {
        let at = session.started_at.after(&limit).micros().saturating_add(1);
        session.deadlines.insert(Timestamp::from_micros(at), Cause::SessionTtl);
    }
}

/// Starts or stops the wait before the session closes as completed. Run after every record: the conditions must hold
/// without break (SES-11).
pub(in super::super) fn settle(session: &mut Session) {
    if session.config.lifecycle.auto_close != Some(true) || session.closed {
        return;
    }
    match (is_done(session), session.closes_at) {
        (true, None) => {
            let grace = session.config.lifecycle.auto_close_grace_sec.clone().unwrap_or(Seconds::whole(60));
            let at = session.now.after(&grace);
            session.closes_at = Some(at);
            session.deadlines.insert(at, Cause::AutoClose);
        }
        (false, Some(at)) => {
            session.closes_at = None;
            session.deadlines.remove(at, &Cause::AutoClose);
        }
        (true, Some(_)) | (false, None) => {}
    }
}

/// At least one intent ever, nothing live, nothing pending, nothing disputed, nobody at work (SES-10).
fn is_done(session: &Session) -> bool {
    let at_work =
        |status: &HeartbeatStatus| matches!(status, HeartbeatStatus::Working | HeartbeatStatus::Blocked);
    (!session.intents.is_empty() || !session.forgotten.intents.is_empty())
        && session.live.is_empty()
        && session.pending_by_proposer.is_empty()
        && session.open_conflicts == 0
        && !session.members.values().any(|member| member.available && at_work(&member.status))
}
