//! HEARTBEAT: what a participant is doing (LIV-02, LIV-05).

use mpac_wire::payload::Heartbeat;

use super::super::gate::Facts;
use super::super::state::Session;

/// No relay, no answer.
pub(in super::super) fn handle(session: &mut Session, facts: &Facts<'_>, heartbeat: Heartbeat) {
    let principal = &facts.envelope.sender.principal_id;
    if let Some(member) = session.members.get_mut(principal) {
        member.status = heartbeat.status;
    }
    session.watch_silence(principal);
}
