//! After a rejection a principal waits before it announces the same again (BKO-02 to BKO-07, D-083).

use alloc::vec::Vec;

use mpac_wire::names::ConflictCategory;
use mpac_wire::{ConflictId, IntentId, PrincipalId, Scope};

use super::super::state::Session;
use crate::backoff::{self, Backoff};
use crate::refusal::Refusal;

/// An intent was rejected in a conflict: counted if scopes were what it was about (BKO-07).
pub(in super::super) fn rejected(session: &mut Session, conflict: &ConflictId, intent: &IntentId) {
    let about_scopes =
        session.conflicts.get(conflict).is_some_and(|it| it.category == ConflictCategory::ScopeOverlap);
    let whose =
        session.intents.get(intent).filter(|_| about_scopes).map(|it| (it.owner.clone(), it.scope.clone()));
    let Some((principal, scope)) = whose else { return };
    // Waits that run for other scopes go on, as with the participant.
    let runs = |it: &&Backoff| it.scope != scope && session.now < it.not_before;
    let running: Vec<Backoff> =
        session.backoff.overlapping(&principal, &scope).filter(runs).cloned().collect();
    let known = session.backoff.take_overlapping(&principal, &scope);
    let rejections = known.map_or(0, |it| it.rejections).saturating_add(1);
    let not_before = session.now.after(&backoff::delay(Some(&session.config.liveness), rejections));
    let limit = session.config.retained_records;
    for it in running.into_iter().chain([Backoff { principal, scope, rejections, not_before }]) {
        session.backoff.insert(it, limit);
    }
}

/// An intent ended in another way: what was counted for its scope is forgotten (BKO-06).
pub(in super::super) fn ended_otherwise(session: &mut Session, intent: &IntentId) {
    if let Some(ended) = session.intents.get(intent) {
        session.backoff.take_overlapping(&ended.owner, &ended.scope);
    }
}

/// Refuses an announce that comes too early, where the session says so (BKO-04, BKO-05).
pub(super) fn check(session: &Session, owner: &PrincipalId, scope: &Scope) -> Result<(), Refusal> {
    if !session.config.enforce_intent_backoff {
        return Ok(());
    }
    let early = session.backoff.overlapping(owner, scope).filter(|it| session.now < it.not_before);
    match early.map(|it| it.not_before).max() {
        Some(until) => Err(Refusal::IntentBackoff { retry_after: until.since(session.now) }),
        None => Ok(()),
    }
}
