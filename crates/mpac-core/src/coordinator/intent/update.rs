//! INTENT_UPDATE: an owner changes its intent (INT-11 to INT-13).

use alloc::collections::BTreeSet;

use mpac_wire::payload::IntentUpdate;

use super::super::cascade;
use super::super::conflict::detect;
use super::super::gate::Facts;
use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::session::backend;
use super::super::state::{Intent, Session};
use super::announce::complete;
use crate::refusal::Refusal;
use crate::scope::dependency::is_declared_anew;
use crate::scope::overlap::{growth, met_anew};
use crate::table::intent::{Event, State};

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    update: IntentUpdate,
) -> Result<(), Refusal> {
    if let Some(scope) = &update.scope {
        complete(session, scope)?;
    }
    let record = owned(session, facts, &update.intent_id)?;
    if record.state() != State::Active {
        return Err(Refusal::IntentState { intent: record.id.clone(), state: record.state() });
    }
    let names = session.scopes.names();
    let grown = update.scope.as_ref().and_then(|scope| growth(names, scope, &record.scope));
    let met = update.scope.as_ref().and_then(|scope| met_anew(names, scope, &record.scope));
    let declared_anew = update.scope.as_ref().is_some_and(|scope| is_declared_anew(scope, &record.scope));
    let shrinks = update.scope.as_ref().is_some_and(|scope| growth(names, &record.scope, scope).is_some());
    let before = if shrinks && session.config.dependency_detection {
        detect::direct(session, &update.intent_id)
    } else {
        BTreeSet::new()
    };
    let warning = match &grown {
        Some(part) => frozen::scope(session, part)?, // INT-14
        None => None,
    };
    let switch = backend::planned_switch(session, update.extensions.as_ref())?;
    let id = update.intent_id;
    session.move_intent(&id, Event::Updated);
    if let Some(record) = session.intents.get_mut(&id) {
        record.last_message = facts.envelope.message_id.clone();
        record.objective = update.objective.unwrap_or_else(|| core::mem::take(&mut record.objective));
        record.assumptions = update.assumptions.unwrap_or_else(|| core::mem::take(&mut record.assumptions));
    }
    if let Some(scope) = update.scope {
        session.set_scope(&id, scope);
    }
    if let Some(ttl) = update.ttl_sec {
        session.set_ttl(&id, ttl);
    }
    cascade::relay_as_it_came(out, facts);
    if let Some(model) = switch {
        backend::confirm_switch(session, out, &facts.envelope.sender.principal_id, model);
    }
    if let Some(warning) = warning {
        warning.send(session, out, facts);
    }
    if met.is_some() || declared_anew || !before.is_empty() {
        detect::of_changed(session, out, &id, met.as_ref(), declared_anew, &before);
    }
    Ok(())
}

/// The intent, if the sender owns it: unknown first, then somebody else's (D-080).
pub(super) fn owned<'a>(
    session: &'a Session,
    facts: &Facts<'_>,
    id: &mpac_wire::IntentId,
) -> Result<&'a Intent, Refusal> {
    let record = session.intents.get(id).ok_or_else(|| Refusal::UnknownIntent(id.clone()))?;
    if record.owner != facts.envelope.sender.principal_id {
        return Err(Refusal::NotOwner { intent: id.clone(), owner: record.owner.clone() });
    }
    Ok(record)
}
