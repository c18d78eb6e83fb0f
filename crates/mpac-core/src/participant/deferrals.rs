//! Stepping back: what others deferred, and what we wait for ourselves (DEF-13, LCK-10, PAR-17, PAR-18).

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use mpac_wire::payload::{IntentAnnounce, IntentDeferred, ProtocolError};
use mpac_wire::{ClaimedTime, DeferralId, IntentId, PrincipalId, Scope, Seconds, Timestamp};

use super::bounded::Shelf;
use super::news::{Holder, News};
use super::others::Others;
use super::{Participant, Stamp};
use crate::scope::{Names, overlap};

/// How many deferrals of others, and how many refused intents of our own, are remembered.
const MOST: usize = 256;
/// A deferral without `ttl_sec`.
const DEFAULT_TTL: Seconds = Seconds::whole(60);

/// Somebody else stepped back.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OtherDeferral {
    /// Who.
    pub principal: PrincipalId,
    /// From what.
    pub scope: Option<Scope>,
    /// Until when, by our clock, if the end is not heard of.
    pub until: Timestamp,
}

/// A refused intent of our own.
#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    scope: Scope,
    holders: Vec<Awaited>,
}

/// An intent whose end is waited for.
#[derive(Clone, Debug, PartialEq)]
struct Awaited {
    intent: IntentId,
    /// It took the place of one that held the files, and may hold fewer of them (CLM-03).
    successor: bool,
    /// Nothing but its id is known yet, and until then it counts as live.
    unseen_until: Option<Timestamp>,
}

impl Awaited {
    fn holds(&self, scope: &Scope, names: &Names, others: &Others, now: Timestamp) -> bool {
        let Some(known) = others.get(&self.intent) else {
            return self.unseen_until.is_some_and(|until| now < until);
        };
        let apart = |theirs: &Scope| overlap(names, scope, theirs).is_none();
        known.lives(now) && !(self.successor && known.scope.as_ref().is_some_and(apart))
    }
}

/// Who stepped back for whom.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Deferrals {
    others: Shelf<DeferralId, OtherDeferral>,
    /// Refused intents of our own, and who held their files.
    waiting: Shelf<IntentId, Waiting>,
}

impl Default for Deferrals {
    fn default() -> Self {
        Self { others: Shelf::new(MOST), waiting: Shelf::new(MOST) }
    }
}

impl Deferrals {
    /// The coordinator broadcasts a deferral or its end.
    pub(super) fn heard(&mut self, deferred: &IntentDeferred, written: &ClaimedTime, now: Timestamp) {
        let Some(id) = &deferred.deferral_id else { return };
        let (Some(principal), None) = (&deferred.principal_id, &deferred.status) else {
            self.others.remove(id);
            return;
        };
        // Both are times of the coordinator's clock; their distance holds by ours as well.
        let stated = deferred.expires_at.as_ref().map(|at| at.at().since(written.at()));
        let lasts = stated.or_else(|| deferred.ttl_sec.clone()).unwrap_or(DEFAULT_TTL);
        let until = now.after(&lasts);
        let known = OtherDeferral { principal: principal.clone(), scope: deferred.scope.clone(), until };
        self.others.insert(id.clone(), known);
    }

    /// Lets go of deferrals whose end was not heard of (DEF-13).
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.others.retain(|_, it| now < it.until);
    }

    /// When there is something to let go of.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.others.values().map(|it| it.until).min()
    }

    /// An intent went on as another one.
    pub(super) fn passed_on(&mut self, from: &IntentId, to: &IntentId, unseen_until: Option<Timestamp>) {
        let awaited = self.waiting.values_mut().flat_map(|it| &mut it.holders);
        for it in awaited.filter(|it| it.intent == *from) {
            *it = Awaited { intent: to.clone(), successor: true, unseen_until };
        }
    }

    /// A summary was read: what it does not list is over.
    pub(super) fn read(&mut self) {
        let awaited = self.waiting.values_mut().flat_map(|it| &mut it.holders);
        awaited.for_each(|it| it.unseen_until = None);
    }

    pub(super) fn clear(&mut self) {
        self.others.clear();
        self.waiting.clear();
    }
}

impl Participant {
    /// Live intents of others that overlap with a scope. When there are any, stepping back with
    /// [`defer_to`](Self::defer_to) is better than announcing (PAR-17).
    pub fn in_the_way(&self, scope: &Scope) -> Vec<Holder> {
        let found = self.others.in_the_way(&self.names, scope, self.now);
        found.into_iter().map(|(intent, principal)| Holder { intent, principal }).collect()
    }

    /// INTENT_DEFERRED for these, without a `principal_id`: whose it is, the coordinator says (DEF-14).
    pub fn defer_to(
        &mut self,
        stamp: Stamp,
        deferral: DeferralId,
        scope: Scope,
        holders: &[Holder],
    ) -> mpac_wire::Envelope {
        let intents = holders.iter().map(|it| it.intent.as_str().to_owned()).collect();
        let mut principals: Vec<PrincipalId> = holders.iter().map(|it| it.principal.clone()).collect();
        principals.sort();
        principals.dedup();
        self.defer(stamp, deferral, scope, DEFAULT_TTL, (intents, principals), None)
    }

    /// Deferrals of others that are not over.
    pub fn deferrals(&self) -> impl Iterator<Item = (&DeferralId, &OtherDeferral)> {
        self.deferrals.others.iter().filter(|(_, it)| self.now < it.until)
    }

    /// An own announce was refused with STALE_INTENT.
    pub(super) fn taken(&mut self, announce: &IntentAnnounce, error: &ProtocolError) {
        let intent = &announce.intent_id;
        let holders = holders(error);
        for holder in &holders {
            self.others.holds(&holder.intent, &holder.principal, self.now);
            self.gap.saw_intent(holder.intent.as_str());
        }
        if !holders.is_empty() {
            let awaited =
                |it: &Holder| Awaited { intent: it.intent.clone(), successor: false, unseen_until: None };
            let holders = holders.iter().map(awaited).collect();
            let waiting = Waiting { scope: announce.scope.clone(), holders };
            self.deferrals.waiting.insert(intent.clone(), waiting);
        }
        self.news.push(News::Taken { intent: intent.clone(), holders });
    }

    /// Tells of refused intents whose holders are all done.
    pub(super) fn look_for_free(&mut self) {
        let (others, names, now) = (&self.others, &self.names, self.now);
        let mut free = Vec::new();
        self.deferrals.waiting.retain(|intent, waiting| {
            let held = waiting.holders.iter().any(|it| it.holds(&waiting.scope, names, others, now));
            if !held {
                free.push(intent.clone());
            }
            held
        });
        self.news.extend(free.into_iter().map(News::Free));
    }

    /// When a holder is presumed to be done, if nothing is heard of it.
    pub(super) fn holder_deadline(&self) -> Option<Timestamp> {
        let awaited = || self.deferrals.waiting.values().flat_map(|it| &it.holders);
        let unseen = awaited().filter_map(|it| it.unseen_until).filter(|until| *until > self.now).min();
        self.others.expiry_of(awaited().map(|it| &it.intent), self.now).into_iter().chain(unseen).min()
    }
}

/// The holders that a STALE_INTENT names: all of them in `extensions.mpac.holders`, else the first in the description,
/// where every coordinator names it (`spec/wire.md` §6.23).
pub fn holders(error: &ProtocolError) -> Vec<Holder> {
    let listed = listed(error).unwrap_or_default();
    if listed.is_empty() { described(&error.description).into_iter().collect() } else { listed }
}

fn listed(error: &ProtocolError) -> Option<Vec<Holder>> {
    let extensions: serde_json::Value = error.extensions.as_ref()?.read().ok()?;
    let listed = extensions.get("mpac")?.get("holders")?.as_array()?;
    let read = |it: &serde_json::Value| {
        let intent = IntentId::new(it.get("intent_id")?.as_str()?).ok()?;
        let principal = PrincipalId::new(it.get("principal_id")?.as_str()?).ok()?;
        Some(Holder { intent, principal })
    };
    Some(listed.iter().filter_map(read).collect())
}

/// `... intent <intent_id> (principal <principal_id>) ...`
fn described(text: &str) -> Option<Holder> {
    let (before, after) = text.split_once(" (principal ")?;
    let (_, intent) = before.rsplit_once("intent ")?;
    let (principal, _) = after.split_once(')')?;
    Some(Holder { intent: IntentId::new(intent).ok()?, principal: PrincipalId::new(principal).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_read_from_the_extensions_or_the_description() {
        let named = |text: &str| {
            let error: ProtocolError = serde_json::from_str(text).unwrap();
            holders(&error)
                .iter()
                .map(|it| alloc::format!("{} {}", it.intent, it.principal))
                .collect::<Vec<_>>()
        };
        let described =
            r#"{"error_code":"STALE_INTENT","description":"taken by intent i-1 (principal agent:A). Wait."}"#;
        assert_eq!(named(described), ["i-1 agent:A"]);
        let listed = r#"{"error_code":"STALE_INTENT","description":"intent i1 (principal A)","extensions":{"mpac":{"holders":[{"intent_id":"i1","principal_id":"A"},{"intent_id":"i2","principal_id":"B"}]}}}"#;
        assert_eq!(named(listed), ["i1 A", "i2 B"]);
        for text in ["", "taken", "(principal A) intent i", "intent  (principal )"] {
            let text =
                alloc::format!(r#"{{"error_code":"STALE_INTENT","description":"{text}","extensions":7}}"#);
            assert_eq!(named(&text), [""; 0]);
        }
    }
}
