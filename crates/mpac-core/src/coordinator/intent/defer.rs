//! INTENT_DEFERRED: a participant stepped back for others; a hint, not an intent (DEF-01 to DEF-12, D-087, D-088).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use mpac_wire::names::DeferralStatus;
use mpac_wire::payload::IntentDeferred;
use mpac_wire::{DeferralId, IntentId, PrincipalId, Seconds};

use super::super::gate::Facts;
use super::super::outbox::Outbox;
use super::super::records::Deferral;
use super::super::state::Session;
use super::announce::complete;
use crate::output::Recipients;
use crate::refusal::{LimitReached, Refusal};

/// Seconds a deferral without `ttl_sec` lasts (DEF-02).
const DEFAULT_TTL_SEC: Seconds = Seconds::whole(60);

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    mut deferred: IntentDeferred,
) -> Result<(), Refusal> {
    let principal = facts.envelope.sender.principal_id.clone();
    if deferred.status.is_some() {
        return Err(Refusal::CoordinatorOnly(facts.envelope.message_type.clone())); // DEF-10
    }
    let scope = deferred.scope.take().ok_or(Refusal::ScopeNeeded)?;
    complete(session, &scope)?;
    has_room(session, &principal, &deferred)?;
    // A UUID's text is never empty.
    let id = deferred.deferral_id.unwrap_or_else(|| {
        DeferralId::new(session.ids.next_uuid()).unwrap_or_else(|_| unreachable!("a UUID is not empty"))
    });
    let record = Deferral {
        id: id.clone(),
        principal,
        scope,
        reason: deferred.reason.unwrap_or_else(|| "yielded".to_owned()),
        observed_intents: deferred.observed_intent_ids.unwrap_or_default(),
        observed_principals: deferred.observed_principals.unwrap_or_default(),
        category: deferred.category.unwrap_or_else(|| "queue".to_owned()),
        received_at: session.now,
        expires_at: session.now.after(&deferred.ttl_sec.unwrap_or(DEFAULT_TTL_SEC)),
    };
    let message = active_form(&record);
    session.register_deferral(record);
    out.send(session, Recipients::All, message);
    if session.deferrals.get(&id).is_some_and(|record| is_moot_at_arrival(session, record)) {
        finish(session, out, &id, DeferralStatus::Resolved, "observed_intents_terminated");
    }
    Ok(())
}

/// Whether its id is free or its sender's own, and it is not one too many (DEF-10, SES-27).
fn has_room(session: &Session, principal: &PrincipalId, deferred: &IntentDeferred) -> Result<(), Refusal> {
    let observed = [
        deferred.observed_intent_ids.as_ref().map_or(0, Vec::len),
        deferred.observed_principals.as_ref().map_or(0, Vec::len),
    ];
    let (count, max) = (observed.iter().sum(), session.config.limits.max_observed);
    if count > max {
        return Err(Refusal::TooManyObserved { count, max });
    }
    if let Some(id) = &deferred.deferral_id
        && let Some(known) = session.deferrals.get(id)
    {
        let duplicate = || Refusal::Duplicate { field: "deferral_id", value: id.as_str().to_owned() };
        return if known.principal == *principal { Ok(()) } else { Err(duplicate()) };
    }
    let (each, all) = (session.config.max_deferrals_each, session.config.max_deferrals);
    if session.deferrals.count_of(principal) >= each {
        return Err(
            LimitReached::Deferrals { whose: "you have", max: each, limit: "max_deferrals_each" }.into()
        );
    }
    if session.deferrals.len() >= all {
        return Err(
            LimitReached::Deferrals { whose: "this session has", max: all, limit: "max_deferrals" }.into()
        );
    }
    Ok(())
}

/// What everybody is told; the lists are always there.
fn active_form(record: &Deferral) -> IntentDeferred {
    let mut message = IntentDeferred::new();
    message.deferral_id = Some(record.id.clone());
    message.principal_id = Some(record.principal.clone());
    message.scope = Some(record.scope.clone());
    message.reason = Some(record.reason.clone());
    message.observed_intent_ids = Some(record.observed_intents.clone());
    message.observed_principals = Some(record.observed_principals.clone());
    message.expires_at = Some(record.expires_at.into());
    message.category = Some(record.category.clone());
    message
}

/// A deferral ends, and everybody learns how.
fn finish(session: &mut Session, out: &mut Outbox, id: &DeferralId, status: DeferralStatus, reason: &str) {
    let Some(record) = session.take_deferral(id) else { return };
    let mut message = IntentDeferred::new();
    message.deferral_id = Some(record.id);
    message.principal_id = Some(record.principal);
    message.status = Some(status);
    message.reason = Some(reason.to_owned());
    out.send(session, Recipients::All, message);
}

/// Its time is over (DEF-09).
pub(in super::super) fn expired(session: &mut Session, out: &mut Outbox, id: &DeferralId) {
    finish(session, out, id, DeferralStatus::Expired, "ttl");
}

/// Its principal announces after all (DEF-05).
pub(super) fn principal_announced(session: &mut Session, out: &mut Outbox, principal: &PrincipalId) {
    for id in session.deferrals.of(principal).cloned().collect::<Vec<_>>() {
        finish(session, out, &id, DeferralStatus::Resolved, "principal_announced");
    }
}

/// An intent of `owner` is over: whoever waited for it, for all it waited for, or for its owner, waits no more
/// (DEF-04, DEF-06, DEF-07).
pub(in super::super) fn intent_ended(session: &mut Session, out: &mut Outbox, intent: &IntentId) {
    let Some(owner) = session.intents.get(intent).map(|record| record.owner.clone()) else { return };
    // Only who waits for one of these two can have come to the end of its waiting.
    let mut over: BTreeSet<DeferralId> = session.deferrals.observing(owner.as_str()).cloned().collect();
    let done = |id: &&DeferralId| session.deferrals.get(id).is_some_and(|record| all_gone(session, record));
    over.extend(session.deferrals.observing(intent.as_str()).filter(done).cloned());
    for id in &over {
        finish(session, out, id, DeferralStatus::Resolved, "observed_intents_terminated");
    }
}

/// Whether nothing it observed is left. An entry may also name a principal: misplaced ids occur.
fn all_gone(session: &Session, record: &Deferral) -> bool {
    let gone = |entry: &str| {
        session.intents.get(entry).is_none_or(|intent| !intent.is_live()) && !session.live.contains_key(entry)
    };
    !record.observed_intents.is_empty() && record.observed_intents.iter().all(|entry| gone(entry))
}

fn is_moot_at_arrival(session: &Session, record: &Deferral) -> bool {
    let nobody_left = || {
        record.observed_intents.is_empty()
            && !record.observed_principals.is_empty()
            && !record.observed_principals.iter().any(|principal| session.live.contains_key(principal))
    };
    all_gone(session, record) || nobody_left()
}
