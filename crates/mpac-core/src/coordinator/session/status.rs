//! COORDINATOR_STATUS: the coordinator is alive (REC-01 to REC-04, D-039).

use mpac_wire::names::{CoordinatorEvent, SessionHealth};
use mpac_wire::payload::CoordinatorStatus;
use mpac_wire::{Integer, Timestamp};

use super::super::deadlines::Cause;
use super::super::outbox::Outbox;
use super::super::recover;
use super::super::state::Session;
use crate::output::Recipients;

/// Heartbeats run while somebody is connected to hear them.
pub(super) fn schedule(session: &mut Session) {
    let wanted = session.config.status_heartbeats
        && !session.closed
        && session.members.values().any(|member| member.conn.is_some());
    match session.next_status {
        None if wanted => set(session, session.now),
        Some(at) if !wanted => {
            session.deadlines.remove(at, &Cause::Status);
            session.next_status = None;
        }
        Some(_) | None => {}
    }
}

/// The next one, unless this is the end of time: it would be due again at once, for ever.
fn set(session: &mut Session, from: Timestamp) {
    let at = from.after(&session.config.status_interval());
    session.next_status = (from < at).then_some(at);
    if from < at {
        session.deadlines.insert(at, Cause::Status);
    }
}

/// Tells everybody how the session is. `due` keeps the rhythm; after a long pause it begins afresh.
pub(in super::super) fn heartbeat(session: &mut Session, out: &mut Outbox, due: Timestamp) {
    let now = session.now;
    let late = now.since(due) > session.config.status_interval();
    set(session, if late { now } else { due });
    tell_all(session, out, CoordinatorEvent::Heartbeat);
}

/// Tells everybody how the session is, now (REC-02).
pub(in super::super) fn tell_all(session: &mut Session, out: &mut Outbox, event: CoordinatorEvent) {
    if session.closed {
        return;
    }
    let coordinator = session.coordinator.principal_id.clone();
    recover::told_all(session, &event);
    let is_heartbeat = event == CoordinatorEvent::Heartbeat;
    let clock = session.persisted.filter(|_| is_heartbeat).map(Integer::new); // REC-04
    let mut status = CoordinatorStatus::new(event, coordinator, health(session));
    counted(session, &mut status);
    status.snapshot_lamport_clock = clock;
    out.send(session, Recipients::All, status);
}

/// Adds the counters that go with most events.
pub(in super::super) fn counted(session: &Session, status: &mut CoordinatorStatus) {
    let active = session.members.values().filter(|member| member.available).count() as u64;
    status.active_participants = Some(Integer::new(active));
    status.open_conflicts = Some(Integer::new(session.open_conflicts));
}

/// How the session is (D-039).
pub(in super::super) fn health(session: &Session) -> SessionHealth {
    if recover::is_under_way(session) {
        SessionHealth::Recovering
    } else if session.open_conflicts > 0 {
        SessionHealth::Degraded
    } else {
        SessionHealth::Healthy
    }
}
