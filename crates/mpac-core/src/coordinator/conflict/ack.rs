//! CONFLICT_ACK: somebody in a conflict has seen it, accepts it or disputes it (CON-06, D-109).

use mpac_wire::names::AckType;
use mpac_wire::payload::ConflictAck;

use super::super::cascade;
use super::super::gate::Facts;
use super::super::outbox::Outbox;
use super::super::state::Session;
use super::known;
use crate::refusal::Refusal;
use crate::table::conflict::{Event, next};

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    ack: &ConflictAck,
) -> Result<(), Refusal> {
    let principal = &facts.envelope.sender.principal_id;
    let record = known(session, &ack.conflict_id)?;
    if record.principals.binary_search(principal).is_err() {
        return Err(Refusal::NotRelated { principal: principal.clone(), conflict: ack.conflict_id.clone() });
    }
    let on = match ack.ack_type {
        AckType::Seen | AckType::Accepted => Event::Acked,
        // What we do not know moves nothing, as a dispute.
        _ => Event::Disputed,
    };
    if next(Some(record.state), on).is_none() {
        return Err(Refusal::ConflictState { conflict: ack.conflict_id.clone(), state: record.state });
    }
    session.move_conflict(&ack.conflict_id, on);
    let at = session.now;
    if let Some(record) = session.conflicts.get_mut(&ack.conflict_id) {
        // One of each kind and person is remembered, so that repeating oneself costs nothing; what we do not know is
        // one kind.
        let same = |what: &AckType| {
            *what == ack.ack_type || matches!((what, &ack.ack_type), (AckType::Other(_), AckType::Other(_)))
        };
        record.acks.retain(|(who, what, _)| who != principal || !same(what));
        record.acks.push((principal.clone(), ack.ack_type.clone(), at));
    }
    cascade::relay_as_it_came(out, facts);
    Ok(())
}
