//! The intent layer: who is about to do what.

pub(super) mod announce;
pub(super) mod backoff;
pub(super) mod claim;
pub(super) mod defer;
pub(super) mod expire;
pub(super) mod race_lock;
pub(super) mod update;
pub(super) mod withdraw;

use alloc::borrow::ToOwned;

use mpac_wire::payload::IntentUpdate;
use mpac_wire::{IntentId, Raw};

use super::cascade::{self, Grace};
use super::outbox::Outbox;
use super::state::Session;
use crate::output::Recipients;
use crate::table::intent::Event;

/// Ends an intent as the table says, with everything that follows from it.
pub(super) fn end(session: &mut Session, out: &mut Outbox, id: &IntentId, on: Event) {
    if session.move_intent(id, on).is_some() {
        backoff::ended_otherwise(session, id);
        cascade::intent_ended(session, out, id, Grace::Granted);
    }
}

/// The same at the close of the session, which grants no grace (SES-16).
pub(super) fn end_at_close(session: &mut Session, out: &mut Outbox, id: &IntentId) {
    if session.move_intent(id, Event::SessionClosed).is_some() {
        cascade::intent_ended(session, out, id, Grace::None);
    }
}

/// Suspends an intent and tells everybody (LIV-07, LIV-08, D-051).
pub(super) fn suspend(session: &mut Session, out: &mut Outbox, id: &IntentId, cause: &str) {
    if session.move_intent(id, Event::Suspended).is_none() {
        return;
    }
    cascade::intent_suspended(session, id);
    let Some(record) = session.intents.get_mut(id) else { return };
    record.suspended_cause = Some(cause.into());
    // The stored objective never changes.
    let objective = alloc::format!("[SUSPENDED: {cause}] {}", record.objective);
    tell(session, out, id, objective, "SUSPENDED", cause);
}

/// Makes a suspended intent active again and tells everybody.
pub(super) fn restore(session: &mut Session, out: &mut Outbox, id: &IntentId) {
    claim::owner_returned(session, out, id);
    if session.move_intent(id, Event::OwnerReturned).is_none() {
        return;
    }
    cascade::intent_restored(session, id);
    let Some(record) = session.intents.get_mut(id) else { return };
    let cause = record.suspended_cause.take().unwrap_or_default();
    let objective = record.objective.clone();
    tell(session, out, id, objective, "ACTIVE", &cause);
}

/// A synthetic INTENT_UPDATE: the coordinator says what became of an intent.
fn tell(
    session: &mut Session,
    out: &mut Outbox,
    id: &IntentId,
    objective: alloc::string::String,
    state: &str,
    cause: &str,
) {
    let mut update = IntentUpdate::new(id.clone());
    update.objective = Some(objective);
    update.extensions =
        Raw::of(&serde_json::json!({ "mpac": { "state": state.to_owned(), "cause": cause } })).ok();
    out.send(session, Recipients::All, update);
}
