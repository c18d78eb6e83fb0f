//! After a rejection a principal waits before it announces the same again (BKO-02 to BKO-07, D-083).

use mpac_wire::names::ConflictCategory;
use mpac_wire::{ConflictId, IntentId, PrincipalId, Scope};

use super::super::state::Session;
use crate::backoff;
use crate::refusal::Refusal;

/// An intent was rejected in a conflict: counted if scopes were what it was about (BKO-07).
pub(in super::super) fn rejected(session: &mut Session, conflict: &ConflictId, intent: &IntentId) {
    let about_scopes =
        session.conflicts.get(conflict).is_some_and(|it| it.category == ConflictCategory::ScopeOverlap);
    let whose =
        session.intents.get(intent).filter(|_| about_scopes).map(|it| (it.owner.clone(), it.scope.clone()));
    if let Some(whose) = whose {
        backoff::rejected(
            session.scopes.names(),
            &mut session.backoff,
            Some(&session.config.liveness),
            whose,
            session.now,
        );
    }
}

/// An intent ended in another way: what was counted for its scope is forgotten (BKO-06).
pub(in super::super) fn ended_otherwise(session: &mut Session, intent: &IntentId) {
    let ended = session.intents.get(intent).map(|it| (it.owner.clone(), it.scope.clone()));
    if let Some((owner, scope)) = ended {
        backoff::forget(session.scopes.names(), &mut session.backoff, &owner, &scope);
    }
}

/// Refuses an announce that comes too early, where the session says so (BKO-04, BKO-05).
pub(super) fn check(session: &Session, owner: &PrincipalId, scope: &Scope) -> Result<(), Refusal> {
    if !session.config.enforce_intent_backoff {
        return Ok(());
    }
    match backoff::blocked_until(session.scopes.names(), &session.backoff, owner, scope, session.now) {
        Some(until) => Err(Refusal::IntentBackoff { retry_after: until.since(session.now) }),
        None => Ok(()),
    }
}
