//! Silence, and the return from it (LIV-04 to LIV-15).

use alloc::vec::Vec;

use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use mpac_wire::{IntentId, PrincipalId};

use super::super::gate::Facts;
use super::super::governance::freeze;
use super::super::outbox::Outbox;
use super::super::records::Member;
use super::super::state::{Intent, Session};
use super::super::{cascade, intent};
use crate::output::Recipients;
use crate::table::intent::State;

/// A participant has been silent for too long.
pub(in super::super) fn silent(session: &mut Session, out: &mut Outbox, principal: &PrincipalId) {
    let why = alloc::format!("was not heard for {} seconds", session.config.unavailability_timeout());
    lost(session, out, principal, &why);
}

/// An owner or arbiter says that somebody is gone: as if the time were over, where the session allows it (LIV-17, D-053).
/// Otherwise nothing, and no answer: it is an error (ERR-03).
pub(in super::super) fn declared(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    error: &ProtocolError,
) {
    let sender = &facts.envelope.sender.principal_id;
    let may = session.config.governance_may_declare_unavailable
        && session.members.get(sender).is_some_and(Member::governs);
    let named = error.refers_to.as_deref().and_then(|id| PrincipalId::new(id).ok());
    let here = |principal: &PrincipalId| {
        principal != sender && session.members.get(principal).is_some_and(|member| member.available)
    };
    if let Some(principal) = named.filter(|principal| may && here(principal)) {
        lost(session, out, &principal, &alloc::format!("was declared unavailable by {sender}"));
    }
}

fn lost(session: &mut Session, out: &mut Outbox, principal: &PrincipalId, why: &str) {
    let Some(member) = session.members.get_mut(principal) else { return };
    member.available = false;
    let last_message = member.last_message.clone();
    session.watch_silence(principal); // no more
    session.review_member(principal);
    let text = alloc::format!("{principal} {why}; what it announced is suspended until it is back");
    let mut error = ProtocolError::new(ErrorCode::ParticipantUnavailable, text);
    error.refers_to = last_message.map(|id| id.as_str().into()); // D-050
    error.affected_principal = Some(principal.clone());
    out.send(session, Recipients::All, error);
    cascade::proposer_lost(session, out, principal);
    for id in session.live_of(principal).cloned().collect::<Vec<_>>() {
        intent::suspend(session, out, &id, "owner_unavailable");
    }
    intent::claim::claimer_lost(session, out, principal);
}

/// Any accepted message brings its sender back, before it is handled (LIV-14, D-049).
pub(in super::super) fn returned(session: &mut Session, out: &mut Outbox, principal: &PrincipalId) {
    let Some(member) = session.members.get_mut(principal) else { return };
    if member.available {
        return;
    }
    member.available = true;
    session.watch_silence(principal);
    // What its model is to blame for is still suspended: only HELLO or the model's recovery ends that (BHM-07).
    restore(session, out, principal, |intent| !intent.is_suspended_for_backend());
    freeze::somebody_came(session, out, principal);
}

/// Makes all of somebody's suspended intents active again (HEL-17), and says which.
pub(in super::super) fn restore_intents(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
) -> Vec<IntentId> {
    restore(session, out, principal, |_| true)
}

/// Makes those of somebody's suspended intents active again that `which` says.
pub(super) fn restore(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    which: impl Fn(&Intent) -> bool,
) -> Vec<IntentId> {
    let records = session.live_of(principal).filter_map(|id| session.intents.get(id));
    let suspended: Vec<IntentId> = records
        .filter(|intent| intent.state() == State::Suspended && which(intent))
        .map(|intent| intent.id.clone())
        .collect();
    for id in &suspended {
        intent::restore(session, out, id);
    }
    suspended
}
