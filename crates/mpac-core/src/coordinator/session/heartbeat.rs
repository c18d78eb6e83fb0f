//! HEARTBEAT: what a participant is doing, and how its model is (LIV-02, LIV-05).

use mpac_wire::payload::Heartbeat;

use super::super::gate::Facts;
use super::super::outbox::Outbox;
use super::super::state::Session;
use super::{backend, rotation};
use crate::refusal::Refusal;

/// No relay, and no answer but to a denied switch, which changes nothing else (BHM-15), and to a rotation of keys that may
/// not be, after which nothing has changed (D-127).
pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    heartbeat: Heartbeat,
) -> Result<(), Refusal> {
    let principal = &facts.envelope.sender.principal_id;
    if let Some(rotation) = rotation::plan(session, facts, &heartbeat)? {
        rotation::apply(session, out, principal, rotation);
    }
    if let Some(member) = session.members.get_mut(principal) {
        member.status = heartbeat.status;
    }
    session.watch_silence(principal);
    match &heartbeat.backend_health {
        Some(report) => backend::report(session, out, principal, report),
        None => Ok(()),
    }
}
