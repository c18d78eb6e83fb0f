//! Stepping back: what others deferred, and what we wait for ourselves (DEF-13, LCK-10, PAR-17, PAR-18).

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use mpac_wire::payload::{IntentDeferred, ProtocolError};
use mpac_wire::{ClaimedTime, DeferralId, IntentId, PrincipalId, Scope, Seconds, Timestamp};

use super::bounded::Shelf;
use super::news::{Holder, News};
use super::{Participant, Stamp};

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

/// Who stepped back for whom.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Deferrals {
    others: Shelf<DeferralId, OtherDeferral>,
    /// Refused intents of our own, and who held their files.
    waiting: Shelf<IntentId, Vec<Holder>>,
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
    pub(super) fn taken(&mut self, intent: &IntentId, error: &ProtocolError) {
        let holders = holders(error);
        for holder in &holders {
            self.others.holds(&holder.intent, &holder.principal, self.now);
            self.gap.saw_intent(holder.intent.as_str());
        }
        if !holders.is_empty() {
            self.deferrals.waiting.insert(intent.clone(), holders.clone());
        }
        self.news.push(News::Taken { intent: intent.clone(), holders });
    }

    /// Tells of refused intents whose holders are all done.
    pub(super) fn look_for_free(&mut self) {
        let (others, now) = (&self.others, self.now);
        let mut free = Vec::new();
        self.deferrals.waiting.retain(|intent, holders| {
            let held = holders.iter().any(|it| others.is_live(&it.intent, now));
            if !held {
                free.push(intent.clone());
            }
            held
        });
        self.news.extend(free.into_iter().map(News::Free));
    }

    /// When a holder is presumed to be done, if nothing is heard of it.
    pub(super) fn holder_deadline(&self) -> Option<Timestamp> {
        let waited_for = self.deferrals.waiting.values().flatten().map(|it| &it.intent);
        self.others.expiry_of(waited_for, self.now)
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
