//! How long a principal waits after a rejection before it announces the same again (BKO-01 to BKO-07, D-083). One
//! computation for both sides: the coordinator that may enforce it, and the participant that keeps to it anyway.

use alloc::vec::Vec;

use mpac_wire::policy::LivenessPolicy;
use mpac_wire::{Number, PrincipalId, Scope, Seconds, Timestamp};

use crate::scope::{Names, overlap};

/// Somebody whose intent was rejected, and until when it should wait (BKO-01).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Backoff {
    pub(crate) principal: PrincipalId,
    pub(crate) scope: Scope,
    pub(crate) rejections: u32,
    pub(crate) not_before: Timestamp,
}

/// No wait is longer (BKO-01).
pub(crate) fn longest(policy: Option<&LivenessPolicy>) -> Seconds {
    policy.and_then(|policy| policy.intent_backoff_max_sec.clone()).unwrap_or(Seconds::whole(300))
}

/// Initial delay, multiplied for each further rejection, up to a maximum: 30, 60, 120, 240, 300, 300 (BKO-02).
pub(crate) fn delay(policy: Option<&LivenessPolicy>, rejections: u32) -> Seconds {
    let field = |of: fn(&LivenessPolicy) -> &Option<Seconds>, default: u32| {
        policy.and_then(|policy| of(policy).clone()).unwrap_or_else(|| Seconds::whole(default))
    };
    let max = longest(policy);
    let factor =
        policy.and_then(|policy| policy.intent_backoff_multiplier.as_ref()).map_or(2.0, Number::as_f64);
    let millionths = (factor.max(1.0) * 1e6) as i64; // `as` saturates; no wait is shorter than the one before
    let mut micros = field(|policy| &policy.intent_backoff_initial_sec, 30).micros();
    for _ in 1..rejections {
        if micros >= max.micros() {
            break;
        }
        let next = i128::from(micros) * i128::from(millionths) / 1_000_000;
        micros = i64::try_from(next).unwrap_or(i64::MAX);
    }
    Seconds::from_micros(micros).min(max)
}

/// An intent of `owner` on `scope` was rejected: counted, and its wait begins. Waits that run for wider scopes go on.
pub(crate) fn rejected(
    names: &Names,
    list: &mut Vec<Backoff>,
    policy: Option<&LivenessPolicy>,
    (owner, scope): (PrincipalId, Scope),
    now: Timestamp,
) {
    let running = list.iter().filter(|it| it.principal == owner && it.scope != scope && now < it.not_before);
    let running: Vec<Backoff> = running.cloned().collect();
    let known = forget(names, list, &owner, &scope);
    list.extend(running.into_iter().filter(|it| overlap(names, &it.scope, &scope).is_some()));
    let rejections = known.map_or(0, |it| it.rejections).saturating_add(1);
    let not_before = now.after(&delay(policy, rejections));
    list.push(Backoff { principal: owner, scope, rejections, not_before });
}

/// Forgets what was counted for a scope: an intent on it ended in another way (BKO-06). Gives the worst of it.
pub(crate) fn forget(
    names: &Names,
    list: &mut Vec<Backoff>,
    owner: &PrincipalId,
    scope: &Scope,
) -> Option<Backoff> {
    let mut worst: Option<Backoff> = None;
    list.retain(|it| {
        let same = it.principal == *owner && overlap(names, &it.scope, scope).is_some();
        if same && worst.as_ref().is_none_or(|known| known.rejections < it.rejections) {
            worst = Some(it.clone());
        }
        !same
    });
    worst
}

/// Until when `owner` should not announce `scope`, if that is still to come.
pub(crate) fn blocked_until(
    names: &Names,
    list: &[Backoff],
    owner: &PrincipalId,
    scope: &Scope,
    now: Timestamp,
) -> Option<Timestamp> {
    let early = list.iter().filter(|it| {
        it.principal == *owner && now < it.not_before && overlap(names, &it.scope, scope).is_some()
    });
    early.map(|it| it.not_before).max()
}
