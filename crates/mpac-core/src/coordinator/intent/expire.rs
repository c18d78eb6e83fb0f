//! An intent's time is over (INT-07).

use mpac_wire::IntentId;

use super::super::outbox::Outbox;
use super::super::state::Session;
use crate::table::intent::Event;

pub(in super::super) fn apply(session: &mut Session, out: &mut Outbox, id: &IntentId) {
    super::end(session, out, id, Event::TtlReached);
}
