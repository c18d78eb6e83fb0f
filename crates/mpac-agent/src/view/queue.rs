//! Who waits for whose files, in the order in which the coordinator told of it.
//!
//! The coordinator keeps no queue: whoever announces first when files come free has them. What it broadcasts are deferrals
//! (INTENT_DEFERRED), and their order says who has waited longest; that is the place which people are shown.

use std::time::Duration;

use mpac_wire::payload::intent::IntentDeferred;
use mpac_wire::{ClaimedTime, DeferralId, PrincipalId};
use tokio::time::Instant;

/// How long a deferral lasts that does not say so (DEF-02).
const DEFAULT_TTL: Duration = Duration::from_secs(60);
/// So many are remembered: whoever defers without end is not to fill our memory.
const MOST: usize = 256;

/// Somebody who waits.
#[derive(Debug, Clone)]
struct Waiting {
    deferral: DeferralId,
    principal: PrincipalId,
    files: Vec<String>,
    /// The intents it waits for.
    observed: Vec<String>,
    /// Its end, if that is not heard of (DEF-13).
    until: Option<Instant>,
}

/// All who wait, the longest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue(Vec<Waiting>);

impl Queue {
    /// Takes the coordinator's word on a deferral, written at this time.
    pub(super) fn heard(&mut self, deferred: &IntentDeferred, written: &ClaimedTime, now: Instant) {
        let Some(deferral) = &deferred.deferral_id else { return };
        self.0.retain(|it| it.until.is_none_or(|until| until > now));
        let place = self.0.iter().position(|it| it.deferral == *deferral);
        let (Some(principal), None) = (&deferred.principal_id, &deferred.status) else {
            self.0.retain(|it| it.deferral != *deferral);
            return;
        };
        // Both are times of the coordinator's clock; their distance holds by ours as well.
        let lasts = deferred.expires_at.as_ref().map(|at| at.at().since(written.at()));
        let lasts =
            lasts.map(|lasts| Duration::from_micros(u64::try_from(lasts.micros()).unwrap_or_default()));
        let waiting = Waiting {
            deferral: deferral.clone(),
            principal: principal.clone(),
            files: deferred.scope.as_ref().and_then(|scope| scope.resources.clone()).unwrap_or_default(),
            observed: deferred.observed_intent_ids.clone().unwrap_or_default(),
            until: now.checked_add(lasts.unwrap_or(DEFAULT_TTL)),
        };
        if let Some(known) = place.and_then(|at| self.0.get_mut(at)) {
            *known = waiting; // the same one may say it anew (DEF-10)
        } else if self.0.len() < MOST {
            self.0.push(waiting);
        }
    }

    /// Those who have waited longer than this deferral for one of its files or intents; `None` while nobody has told of it.
    pub(super) fn before(&self, deferral: &DeferralId, now: Instant) -> Option<Vec<&PrincipalId>> {
        let at = self.0.iter().position(|it| it.deferral == *deferral)?;
        let own = self.0.get(at)?;
        let mut before: Vec<&PrincipalId> = Vec::new();
        for other in self.0.iter().take(at) {
            let same = other.files.iter().any(|file| own.files.contains(file))
                || other.observed.iter().any(|intent| own.observed.contains(intent));
            let lives = other.until.is_none_or(|until| until > now);
            if same && lives && other.principal != own.principal && !before.contains(&&other.principal) {
                before.push(&other.principal);
            }
        }
        Some(before)
    }

    /// Those of somebody who left are over.
    pub(super) fn left(&mut self, principal: &PrincipalId) {
        self.0.retain(|it| it.principal != *principal);
    }

    /// Nobody knows what became of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use mpac_wire::{Scope, Timestamp};

    use super::*;

    fn at(seconds: i64) -> ClaimedTime {
        Timestamp::from_micros(seconds * 1_000_000).into()
    }

    fn deferred(id: &str, who: &str, file: &str, lasts: i64) -> IntentDeferred {
        let mut deferred = IntentDeferred::new();
        deferred.deferral_id = Some(id.parse().unwrap());
        deferred.principal_id = Some(who.parse().unwrap());
        deferred.scope = Some(Scope::files([file.to_owned()]));
        deferred.expires_at = Some(at(lasts));
        deferred
    }

    fn before(queue: &Queue, id: &str, now: Instant) -> Option<Vec<String>> {
        let before = queue.before(&id.parse().unwrap(), now)?;
        Some(before.into_iter().map(ToString::to_string).collect())
    }

    #[test]
    fn who_waited_longer_for_the_same_files_is_before_us() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert_eq!(before(&queue, "d3", now), None);
        for (id, who, file) in
            [("d0", "agent:Ann", "b.py"), ("d1", "agent:Carol", "a.py"), ("d2", "agent:Carol", "a.py")]
        {
            queue.heard(&deferred(id, who, file, 60), &at(0), now);
        }
        queue.heard(&deferred("d3", "agent:Bob", "a.py", 60), &at(0), now);
        queue.heard(&deferred("d4", "agent:Dan", "a.py", 60), &at(0), now);
        assert_eq!(before(&queue, "d3", now), Some(vec!["agent:Carol".to_owned()]));
        assert_eq!(before(&queue, "d4", now), Some(vec!["agent:Carol".to_owned(), "agent:Bob".to_owned()]));
        // Said anew it keeps its place.
        queue.heard(&deferred("d3", "agent:Bob", "a.py", 90), &at(0), now);
        assert_eq!(before(&queue, "d4", now).unwrap().len(), 2);
    }

    #[test]
    fn who_stops_waiting_leaves_the_queue() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (id, who, lasts) in [
            ("d1", "agent:Ann", 60),
            ("d2", "agent:Carol", 60),
            ("d3", "agent:Dan", 5),
            ("d4", "agent:Bob", 60),
        ] {
            queue.heard(&deferred(id, who, "a.py", lasts), &at(0), now);
        }
        assert_eq!(before(&queue, "d4", now).unwrap().len(), 3);
        let mut over = deferred("d1", "agent:Ann", "a.py", 60);
        over.status = Some("resolved".into());
        queue.heard(&over, &at(1), now);
        queue.left(&"agent:Carol".parse().unwrap());
        assert_eq!(before(&queue, "d4", now), Some(vec!["agent:Dan".to_owned()]));
        assert_eq!(
            before(&queue, "d4", now + Duration::from_secs(6)),
            Some(Vec::new()),
            "its end was missed"
        );
        assert_eq!(before(&queue, "d1", now), None);
    }
}
