//! After a rejection a principal waits before it announces the same again (BKO-02 to BKO-07, D-083).

use mpac_wire::names::ConflictCategory;
use mpac_wire::{ConflictId, IntentId, PrincipalId, Scope, Seconds};

use super::super::records::Backoff;
use super::super::state::Session;
use crate::refusal::Refusal;
use crate::scope::overlap;

/// An intent was rejected in a conflict: counted if scopes were what it was about (BKO-07).
pub(in super::super) fn rejected(session: &mut Session, conflict: &ConflictId, intent: &IntentId) {
    let about_scopes =
        session.conflicts.get(conflict).is_some_and(|it| it.category == ConflictCategory::ScopeOverlap);
    let Some((owner, scope)) =
        session.intents.get(intent).filter(|_| about_scopes).map(|it| (it.owner.clone(), it.scope.clone()))
    else {
        return;
    };
    let known = take_overlapping(session, &owner, &scope);
    let rejections = known.map_or(0, |it| it.rejections) + 1;
    let not_before = session.now.after(&delay(session, rejections));
    session.backoff.push(Backoff { principal: owner, scope, rejections, not_before });
}

/// Initial delay, multiplied for each further rejection, up to a maximum: 30, 60, 120, 240, 300, 300 (BKO-02).
fn delay(session: &Session, rejections: u32) -> Seconds {
    let policy = &session.config.liveness;
    let initial = policy.intent_backoff_initial_sec.clone().unwrap_or(Seconds::whole(30));
    let max = policy.intent_backoff_max_sec.clone().unwrap_or(Seconds::whole(300));
    // The multiplier is a number in the policy's units of one second.
    let factor = policy.intent_backoff_multiplier.clone().unwrap_or(Seconds::whole(2)).micros();
    let mut micros = initial.micros();
    for _ in 1..rejections {
        if micros >= max.micros() {
            break;
        }
        micros = micros.saturating_mul(factor) / 1_000_000;
    }
    Seconds::from_micros(micros).min(max)
}

/// An intent ended in another way: what was counted for its scope is forgotten (BKO-06).
pub(in super::super) fn ended_otherwise(session: &mut Session, intent: &IntentId) {
    let ended = session.intents.get(intent).map(|it| (it.owner.clone(), it.scope.clone()));
    if let Some((owner, scope)) = ended {
        take_overlapping(session, &owner, &scope);
    }
}

fn take_overlapping(session: &mut Session, owner: &PrincipalId, scope: &Scope) -> Option<Backoff> {
    let mut worst: Option<Backoff> = None;
    let names = session.scopes.names();
    session.backoff.retain(|it| {
        let same = it.principal == *owner && overlap(names, &it.scope, scope).is_some();
        if same && worst.as_ref().is_none_or(|known| known.rejections < it.rejections) {
            worst = Some(it.clone());
        }
        !same
    });
    worst
}

/// Refuses an announce that comes too early, where the session says so (BKO-04, BKO-05).
pub(super) fn check(session: &Session, owner: &PrincipalId, scope: &Scope) -> Result<(), Refusal> {
    if !session.config.enforce_intent_backoff {
        return Ok(());
    }
    let early = session.backoff.iter().filter(|it| {
        it.principal == *owner
            && session.now < it.not_before
            && overlap(session.scopes.names(), &it.scope, scope).is_some()
    });
    match early.map(|it| it.not_before).max() {
        Some(until) => Err(Refusal::IntentBackoff { retry_after: until.since(session.now) }),
        None => Ok(()),
    }
}
