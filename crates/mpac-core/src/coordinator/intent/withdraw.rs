//! INTENT_WITHDRAW: an owner gives its intent up, or is done (INT-15, INT-16).

use mpac_wire::payload::IntentWithdraw;

use super::super::cascade;
use super::super::gate::Facts;
use super::super::outbox::Outbox;
use super::super::state::Session;
use super::update::owned;
use crate::refusal::Refusal;
use crate::table::intent::{Event, State};

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    withdraw: &IntentWithdraw,
) -> Result<(), Refusal> {
    let id = &withdraw.intent_id;
    let record = owned(session, facts, id)?;
    let state = record.state();
    if state.is_terminal() {
        return Err(Refusal::IntentState { intent: id.clone(), state });
    }
    if state == State::Suspended {
        super::restore(session, out, id); // the first of two steps (D-081)
    }
    if let Some(record) = session.intents.get_mut(id) {
        record.last_message = facts.envelope.message_id.clone(); // INT-24
    }
    cascade::relay_as_it_came(out, facts);
    super::end(session, out, id, Event::Withdrawn);
    Ok(())
}
