//! GOODBYE: a participant leaves (BYE-03 to BYE-10).

use alloc::vec::Vec;

use mpac_wire::names::{HeartbeatStatus, IntentDisposition};
use mpac_wire::payload::Goodbye;

use super::super::gate::Facts;
use super::super::outbox::Outbox;
use super::super::state::Session;
use super::super::{cascade, intent};
use super::connection;
use crate::table::intent::Event;

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    goodbye: &Goodbye,
) {
    let principal = &facts.envelope.sender.principal_id;
    cascade::relay_as_it_came(out, facts);
    if !session.closed {
        // The disposition covers all active intents, whatever the list says (D-054).
        let intents: Vec<_> = session.live_of(principal).cloned().collect();
        cascade::proposer_lost(session, out, principal);
        for id in &intents {
            match &goodbye.intent_disposition {
                Some(IntentDisposition::Transfer) => intent::suspend(session, out, id, "goodbye_transfer"),
                Some(IntentDisposition::Expire) => {} // until its time is over (D-055)
                // `withdraw`, nothing said (BYE-03), or a word we do not know: nobody is left to work under it.
                _ => intent::end(session, out, id, Event::Withdrawn),
            }
        }
        intent::claim::claimer_lost(session, out, principal);
    }
    if let Some(member) = session.members.get_mut(principal) {
        member.departed = true;
        member.available = false;
        member.status = HeartbeatStatus::Offline;
    }
    session.watch_silence(principal);
    connection::unbind(session, out, facts.conn);
}
