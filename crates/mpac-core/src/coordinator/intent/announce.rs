//! INTENT_ANNOUNCE: a participant says what it is about to do (INT-03 to INT-10, INT-17).

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use mpac_wire::names::Priority;
use mpac_wire::payload::IntentAnnounce;
use mpac_wire::{IntentId, PrincipalId, Scope, Seconds};

use super::super::cascade;
use super::super::conflict::detect;
use super::super::gate::Facts;
use super::super::governance::frozen::{self, Warning};
use super::super::outbox::Outbox;
use super::super::quota;
use super::super::records::NewIntent;
use super::super::state::{Intent, Session};
use super::{backoff, defer, race_lock};
use crate::refusal::Refusal;
use crate::table::intent::{Event, State};

/// What was found out before anything changes.
struct Plan {
    new: NewIntent,
    /// Own intents that it takes the place of.
    replaced: Vec<IntentId>,
    warning: Option<Warning>,
}

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    announce: IntentAnnounce,
) -> Result<(), Refusal> {
    let Plan { new, replaced, warning } = plan(session, facts, announce)?;
    let (id, owner) = (new.id.clone(), new.owner.clone());
    cascade::relay_as_it_came(out, facts);
    // What it replaces is over before it begins: one of them may have the same id (D-024).
    for old in &replaced {
        super::end(session, out, old, Event::Superseded);
    }
    let overlapping = session.register_intent(new).unwrap_or_default();
    defer::principal_announced(session, out, &owner);
    if let Some(warning) = warning {
        warning.send(session, out, facts);
    }
    detect::of_new(session, out, &id, overlapping);
    Ok(())
}

/// Duplicate, frozen scope, backoff, what it supersedes, race lock, room, in this order.
fn plan(session: &Session, facts: &Facts<'_>, announce: IntentAnnounce) -> Result<Plan, Refusal> {
    let owner = facts.envelope.sender.principal_id.clone();
    complete(session, &announce.scope)?;
    let mut replaced = race_lock::replaced(session, &owner, &announce.scope);
    let reusable = |old: &Intent| {
        let over = old.state().is_terminal() || replaced.contains(&old.id);
        old.owner == owner && over && !is_referenced(session, &old.id)
    };
    let taken = session.intents.get(&announce.intent_id).is_some_and(|old| !reusable(old));
    if taken || session.claims.promise(&announce.intent_id) {
        let value = announce.intent_id.as_str().to_owned();
        return Err(Refusal::Duplicate { field: "intent_id", value }); // D-022, D-024
    }
    let warning = frozen::scope(session, &announce.scope)?;
    backoff::check(session, &owner, &announce.scope)?;
    if let Some(id) = &announce.supersedes_intent_id {
        superseded(session, &owner, id)?;
        if !replaced.contains(id) {
            replaced.push(id.clone());
        }
    }
    race_lock::check(session, &owner, &announce.scope, &announce.objective)?;
    quota::intents(session, &owner, replaced.len())?;
    let ttl = match (announce.ttl_sec, announce.expiry_ms) {
        (Some(ttl), _) => ttl,
        (None, Some(ms)) => Seconds::from_micros(ms.micros() / 1000), // INT-08
        (None, None) => session.config.default_intent_ttl_sec.clone(), // INT-06
    };
    let new = NewIntent {
        id: announce.intent_id,
        owner,
        objective: announce.objective,
        scope: announce.scope,
        ttl,
        message: facts.envelope.message_id.clone(),
        assumptions: announce.assumptions.unwrap_or_default(),
        priority: announce.priority.unwrap_or(Priority::Normal),
        parent: announce.parent_intent_id,
        supersedes: announce.supersedes_intent_id,
    };
    Ok(Plan { new, replaced, warning })
}

/// Whether `id` may be superseded by its owner: known, own, active (D-074).
fn superseded(session: &Session, owner: &PrincipalId, id: &IntentId) -> Result<(), Refusal> {
    let old = session.intents.get(id).ok_or_else(|| Refusal::UnknownIntent(id.clone()))?;
    if old.owner != *owner {
        return Err(Refusal::NotOwner { intent: id.clone(), owner: old.owner.clone() });
    }
    if old.state() != State::Active {
        return Err(Refusal::IntentState { intent: id.clone(), state: old.state() });
    }
    Ok(())
}

/// Whether an intent, a claim or a deferral may have this scope (SCO-01, SCO-13).
pub(super) fn complete(session: &Session, scope: &Scope) -> Result<(), Refusal> {
    comparable(session, "scope", scope)?;
    if !session.config.is_open() && !session.scopes.names().are_known(scope) && is_mixed(session, scope) {
        return Err(Refusal::UrisNeeded(scope.kind.as_str().to_owned())); // SCO-13
    }
    Ok(())
}

/// Whether the scope in `field` has the member its kind needs, and nothing that would make comparing it expensive (SCO-01,
/// D-134).
pub(in super::super) fn comparable(
    session: &Session,
    field: &'static str,
    scope: &Scope,
) -> Result<(), Refusal> {
    if let Some(member) = scope.missing_member() {
        return Err(Refusal::ScopeIncomplete { field, kind: scope.kind.as_str().to_owned(), member });
    }
    let limits = &session.config.limits;
    if scope.pattern.as_ref().is_some_and(|pattern| pattern.len() > limits.max_pattern_bytes) {
        return Err(Refusal::ScopeEntryTooLong { field, member: "pattern", max: limits.max_pattern_bytes });
    }
    let mut entries = [&scope.resources, &scope.entities, &scope.task_ids].into_iter().flatten().flatten();
    if entries.any(|entry| entry.len() > limits.max_entry_bytes) {
        return Err(Refusal::ScopeEntryTooLong { field, member: "an entry", max: limits.max_entry_bytes });
    }
    Ok(())
}

/// Whether there are scopes of several kinds in this session, this one included.
fn is_mixed(session: &Session, scope: &Scope) -> bool {
    session.scope_kinds.keys().any(|kind| *kind != scope.kind)
}

/// Whether something that is not over still names the intent (D-024).
fn is_referenced(session: &Session, id: &IntentId) -> bool {
    session.pending_by_intent.contains_key(id) || session.disputes_by_intent.contains_key(id)
}
