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
use alloc::string::String;

use mpac_wire::payload::IntentUpdate;
use mpac_wire::{IntentId, Raw};

use super::cascade::{self, Grace};
use super::outbox::Outbox;
use super::session::catch_up;
use super::state::Session;
use crate::output::Recipients;
use crate::table::intent::{Event, State};

/// Ends an intent as the table says, with everything that follows from it.
pub(super) fn end(session: &mut Session, out: &mut Outbox, id: &IntentId, on: Event) {
    if session.move_intent(id, on).is_some() {
        backoff::ended_otherwise(session, id);
        catch_up::intent_ended(session, id);
        cascade::intent_ended(session, out, id, Grace::Granted);
    }
}

/// The same at the close of the session, which grants no grace (SES-16).
pub(super) fn end_at_close(session: &mut Session, out: &mut Outbox, id: &IntentId) {
    if session.move_intent(id, Event::SessionClosed).is_some() {
        catch_up::intent_ended(session, id);
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
    tell(session, out, Recipients::All, id, objective, &Standing { state: "SUSPENDED", cause: Some(cause) });
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
    tell(session, out, Recipients::All, id, objective, &Standing { state: "ACTIVE", cause: Some(&cause) });
}

/// Tells somebody who was away how a live intent stands (HEL-18).
pub(super) fn tell_as_it_is(session: &mut Session, out: &mut Outbox, to: Recipients, id: &IntentId) {
    let Some(record) = session.intents.get(id) else { return };
    let state = if record.state() == State::Suspended { "SUSPENDED" } else { "ACTIVE" };
    let objective = record.objective.clone();
    tell(session, out, to, id, objective, &Standing { state, cause: None });
}

/// What `extensions.mpac` of a synthetic INTENT_UPDATE says (D-051).
struct Standing<'a> {
    state: &'a str,
    /// Why it changed, if it did.
    cause: Option<&'a str>,
}

/// A synthetic INTENT_UPDATE: the coordinator says what became of an intent.
fn tell(
    session: &mut Session,
    out: &mut Outbox,
    to: Recipients,
    id: &IntentId,
    objective: String,
    standing: &Standing<'_>,
) {
    let mut update = IntentUpdate::new(id.clone());
    update.objective = Some(objective);
    let mut told = serde_json::json!({ "state": standing.state });
    if let (Some(cause), Some(members)) = (standing.cause, told.as_object_mut()) {
        members.insert("cause".to_owned(), cause.into());
    }
    update.extensions = Raw::of(&serde_json::json!({ "mpac": told })).ok();
    out.send(session, to, update);
}
