//! CONFLICT_ESCALATE: a conflict goes to somebody with authority (CON-07, D-110).

use mpac_wire::payload::ConflictEscalate;

use super::super::cascade;
use super::super::gate::Facts;
use super::super::governance::timeout;
use super::super::outbox::Outbox;
use super::super::state::Session;
use super::known;
use crate::refusal::Refusal;
use crate::table::conflict::{Event, next};

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    escalate: &ConflictEscalate,
) -> Result<(), Refusal> {
    let id = &escalate.conflict_id;
    let state = known(session, id)?.state;
    let target = session
        .members
        .get(&escalate.escalate_to)
        .ok_or_else(|| Refusal::UnknownParticipant(escalate.escalate_to.clone()))?;
    if !target.governs() {
        return Err(Refusal::NoAuthority(escalate.escalate_to.clone()));
    }
    if next(Some(state), Event::Escalated).is_none() {
        return Err(Refusal::ConflictState { conflict: id.clone(), state });
    }
    session.move_conflict(id, Event::Escalated);
    let at = session.now;
    if let Some(record) = session.conflicts.get_mut(id) {
        record.escalated = Some((escalate.escalate_to.clone(), at));
    }
    if !session.frozen.contains(id) {
        timeout::arm(session, id); // pending since the escalation from here on (D-116)
    }
    cascade::relay_as_it_came(out, facts);
    Ok(())
}
