//! A session is taken up from its snapshot: after a crash, a restart, or by a successor (REC-12 to REC-21, D-036 to
//! D-042).

use alloc::collections::BTreeMap;
use alloc::string::String;

use mpac_wire::names::{CoordinatorEvent, HeartbeatStatus};
use mpac_wire::payload::CoordinatorStatus;
use mpac_wire::{Integer, PrincipalId, StateRef, Timestamp};

use super::outbox::Outbox;
use super::session::status::{counted, health};
use super::state::Session;
use crate::error::RestoreError;
use crate::ids::IdSource;
use crate::output::Recipients;

/// Goes on under the next epoch. Nothing fires and nothing is said here: what fell due meanwhile fires with the next
/// input, and everybody is told on their return.
pub(super) fn take_up(session: &mut Session, seed: u64, now: Timestamp) -> Result<(), RestoreError> {
    let captured_at = session.now;
    let highest = session.fenced_by.take().unwrap_or(0).max(session.epoch);
    let (epoch, how) = match session.handover.take() {
        Some(handover) if handover.next_epoch > highest => (handover.next_epoch, CoordinatorEvent::Assumed), // REC-21
        // The announced one was taken by somebody else: nobody speaks under an epoch twice (REC-27).
        Some(_) | None => {
            let next = later(highest).ok_or(RestoreError::Epoch(highest))?;
            (next, CoordinatorEvent::Recovered)
        }
    };
    session.epoch = epoch;
    session.coordinator = session.config.coordinator(epoch);
    session.ids = IdSource::at_epoch(seed, epoch);
    session.now = now.max(captured_at);
    session.retired = false;
    forget_connections(session);
    restart_liveness(session);
    exclude_outage(session, captured_at);
    session.recovery.taken_up = Some((how, session.now));
    session.recovery.settled.replace([]);
    session.recovery.diverged.clear(); // the next HELLO tells, and nobody operates before that
    session.recovery.untold = session.members.keys().cloned().collect();
    let available = session.members.iter().filter(|(_, member)| member.available);
    session.recovery.awaited = available.map(|(id, _)| id.clone()).collect();
    // The host's word on its files counts: they may have been changed meanwhile (OCC-02).
    let workspace = session.config.workspace.clone().unwrap_or_default();
    trace_replaced(session, &workspace);
    session.files.extend(workspace.keys().cloned());
    session.refs.extend(workspace);
    session.sizes.extend(session.config.workspace_sizes.clone());
    *session = session.rebuilt_indexes();
    session.rejudge_everything(); // under another configuration what waited may be free
    Ok(())
}

/// What was current before, and what a file that is new was based on by whoever found none: no operation tells of it, and it
/// was not lost (D-041).
fn trace_replaced(session: &mut Session, workspace: &BTreeMap<String, StateRef>) {
    let (nothing, limit) = (StateRef::of(""), session.config.retained_records);
    for (path, now) in workspace {
        let before = session.refs.get(path).unwrap_or(&nothing);
        if before != now {
            session.forgotten.state(path, before, limit);
        }
    }
}

/// The epoch after this one, as long as the wire can carry it.
pub(super) fn later(epoch: u64) -> Option<u64> {
    let next = Integer::new(epoch.saturating_add(1)).get();
    (next > epoch).then_some(next)
}

/// Sockets are gone; who said HELLO stays a participant.
fn forget_connections(session: &mut Session) {
    session.connections.clear();
    session.next_status = None;
    session.members.change_each(|member| member.conn = None);
}

/// A full timeout for everybody who was there: nobody is to blame for the outage (D-036).
fn restart_liveness(session: &mut Session) {
    let now = session.now;
    session.members.change_each(|member| {
        if member.available && member.status != HeartbeatStatus::Offline {
            member.last_seen = now;
        }
    });
}

/// Waiting for a resolution and the phases of a freeze do not count the outage; times to live do (D-036, FRZ-19). Nor does
/// any time in which somebody may object, come back or go on: nobody could (CLM-08, CAS-02, SES-11).
fn exclude_outage(session: &mut Session, captured_at: Timestamp) {
    let outage = session.now.since(captured_at);
    session.conflicts.change_each(|conflict| {
        conflict.timeout_at = conflict.timeout_at.map(|at| at.after(&outage));
        if let Some(freeze) = &mut conflict.freeze {
            freeze.phase_ends = freeze.phase_ends.map(|at| at.after(&outage));
        }
    });
    session.claims.put_off(&outage);
    session.operations.change_each(|op| {
        if let Some(until) = op.more.grace_until {
            op.more.grace_until = Some(until.after(&outage));
        }
    });
    session.closes_at = session.closes_at.map(|at| at.after(&outage));
}

/// Tells somebody, once, that the session was taken up: right after its first SESSION_INFO (REC-15, D-038).
pub(super) fn tell(session: &mut Session, out: &mut Outbox, principal: &PrincipalId) {
    session.recovery.awaited.remove(principal);
    if !session.recovery.untold.remove(principal) {
        return;
    }
    let Some((how, _)) = session.recovery.taken_up.clone() else { return };
    let coordinator = session.coordinator.principal_id.clone();
    let mut status = CoordinatorStatus::new(how, coordinator, health(session));
    counted(session, &mut status);
    out.send(session, Recipients::Only([principal.clone()].into()), status);
}

/// Everybody who is connected has been told so by a status to all.
pub(super) fn told_all(session: &mut Session, event: &CoordinatorEvent) {
    if matches!(event, CoordinatorEvent::Recovered | CoordinatorEvent::Assumed) {
        let members = &session.members;
        session.recovery.untold.retain(|id| members.get(id).is_none_or(|member| member.conn.is_none()));
    }
}

/// Whether some who were there before may still be on their way back (D-039).
pub(super) fn is_under_way(session: &Session) -> bool {
    let Some((_, at)) = &session.recovery.taken_up else { return false };
    !session.recovery.awaited.is_empty() && session.now.since(*at) <= session.config.unavailability_timeout()
}

/// Somebody came back on a connection: it is not waited for any more.
pub(super) fn came_back(session: &mut Session, principal: &PrincipalId) {
    session.recovery.awaited.remove(principal);
}
