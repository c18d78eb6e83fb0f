//! Silence, and the return from it (LIV-04 to LIV-15).

use alloc::vec::Vec;

use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use mpac_wire::{IntentId, PrincipalId};

use super::super::outbox::Outbox;
use super::super::state::Session;
use super::super::{cascade, intent};
use crate::output::Recipients;
use crate::table::intent::State;

/// A participant has been silent for too long.
pub(in super::super) fn silent(session: &mut Session, out: &mut Outbox, principal: &PrincipalId) {
    let Some(member) = session.members.get_mut(principal) else { return };
    member.available = false;
    let last_message = member.last_message.clone();
    let text = alloc::format!(
        "{principal} was not heard for {} seconds; what it announced is suspended until it is back",
        session.config.unavailability_timeout()
    );
    let mut error = ProtocolError::new(ErrorCode::ParticipantUnavailable, text);
    error.refers_to = last_message.map(|id| id.as_str().into()); // D-050
    error.affected_principal = Some(principal.clone());
    out.send(session, Recipients::All, error);
    // Its own proposals end first, so that suspending does not freeze them (D-102).
    cascade::participant_lost(session, out, principal);
    for id in session.live.get(principal).cloned().unwrap_or_default() {
        intent::suspend(session, out, &id, "owner_unavailable");
    }
}

/// Any accepted message brings its sender back, before it is handled (LIV-14, D-049).
pub(in super::super) fn returned(session: &mut Session, out: &mut Outbox, principal: &PrincipalId) {
    let Some(member) = session.members.get_mut(principal) else { return };
    if member.available {
        return;
    }
    member.available = true;
    session.watch_silence(principal);
    restore_intents(session, out, principal);
}

/// Makes all of somebody's suspended intents active again (HEL-17), and says which.
pub(in super::super) fn restore_intents(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
) -> Vec<IntentId> {
    let live = session.live.get(principal).into_iter().flatten();
    let suspended: Vec<IntentId> = live
        .filter(|id| session.intents.get(*id).is_some_and(|intent| intent.state() == State::Suspended))
        .cloned()
        .collect();
    for id in &suspended {
        intent::restore(session, out, id);
    }
    suspended
}
