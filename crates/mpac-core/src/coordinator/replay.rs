//! Message ids that were seen, so that none is handled twice (SEC-17, SEC-20, D-124).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use mpac_wire::names::MessageType;
use mpac_wire::snapshot::{AntiReplay, RecentCount};
use mpac_wire::{Envelope, Integer, MessageId, PrincipalId, Seconds, Timestamp};

use super::quota;
use super::state::Session;
use crate::refusal::{LimitReached, Refusal};

/// Step 12: outside the open profile every message is new, and not too far from now (SEC-17 to SEC-19). Strictly more
/// than the window is too far (D-012).
pub(super) fn check(session: &Session, envelope: &Envelope) -> Result<(), Refusal> {
    if session.config.is_open() {
        return Ok(());
    }
    if session.seen_ids.contains(&envelope.message_id) {
        return Err(Refusal::Replayed(envelope.message_id.clone()));
    }
    let (ts, now) = (envelope.ts.at(), session.now);
    let window = &session.config.replay_window_sec;
    if now.since(ts).max(ts.since(now)) > *window {
        return Err(Refusal::OutsideWindow { window: window.clone() });
    }
    // Whoever wants to leave always may.
    if envelope.message_type != MessageType::Goodbye {
        let max = session.config.max_open_each.recent_messages;
        session.seen_ids.has_room(&envelope.sender.principal_id, (now, window), max)?;
    }
    Ok(())
}

/// The ids accepted within the last two replay windows. A message that claims the end of the window ahead is in the window
/// until that long after its receipt; after that its time alone gives it away (SEC-18).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SeenIds {
    ids: BTreeSet<MessageId>,
    /// The same in the order of receipt.
    order: VecDeque<(Timestamp, MessageId)>,
    /// How many came from whom since when: what bounds the others.
    counts: BTreeMap<PrincipalId, Count>,
}

/// Messages of one principal, counted from the first of a stretch of two windows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Count {
    since: Timestamp,
    count: u64,
}

impl Count {
    /// What is left of its stretch.
    fn left(&self, now: Timestamp, window: &Seconds) -> Option<Seconds> {
        let left = stretch(window).saturating_sub(now.since(self.since).micros());
        (left >= 0).then(|| Seconds::from_micros(left))
    }
}

/// For how long an id is remembered, in microseconds.
fn stretch(window: &Seconds) -> i64 {
    window.micros().saturating_mul(2)
}

impl SeenIds {
    /// Whether the id was accepted lately.
    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// Whether one more of `sender` could be remembered, so that no two stretches hold more than twice `max` of one.
    pub(super) fn has_room(
        &self,
        sender: &PrincipalId,
        (now, window): (Timestamp, &Seconds),
        max: usize,
    ) -> Result<(), LimitReached> {
        let Some(known) = self.counts.get(sender).filter(|known| known.count >= max as u64) else {
            return Ok(());
        };
        match known.left(now, window) {
            None => Ok(()),
            Some(left) => {
                let limit = "max_recent_messages_each";
                // A microsecond later the stretch is over.
                let retry_after = Some(quota::whole(&Seconds::from_micros(left.micros() + 1)));
                Err(LimitReached::Open { what: "recent messages", max, limit, retry_after })
            }
        }
    }

    /// Remembers an id of `sender`, and forgets those that are too old to matter.
    pub(super) fn insert(&mut self, id: &MessageId, sender: &PrincipalId, now: Timestamp, window: &Seconds) {
        self.count(sender, now, window);
        if self.ids.insert(id.clone()) {
            self.order.push_back((now, id.clone()));
        }
        while let Some((at, _)) = self.order.front() {
            if now.since(*at).micros() <= stretch(window) {
                break;
            }
            if let Some((_, old)) = self.order.pop_front() {
                self.ids.remove(&old);
            }
        }
    }

    fn count(&mut self, sender: &PrincipalId, now: Timestamp, window: &Seconds) {
        if let Some(known) = self.counts.get_mut(sender) {
            if known.left(now, window).is_none() {
                *known = Count { since: now, count: 0 };
            }
            known.count += 1;
            return;
        }
        // Somebody new: whoever was silent for a whole stretch is not counted any more.
        self.counts.retain(|_, known| known.left(now, window).is_some());
        self.counts.insert(sender.clone(), Count { since: now, count: 1 });
    }

    /// Writes them into the stored form, oldest first.
    pub(super) fn store(&self, anti_replay: &mut AntiReplay) {
        anti_replay.recent_message_ids = Some(self.order.iter().map(|(_, id)| id.clone()).collect());
        anti_replay.recent_message_times = Some(self.order.iter().map(|(at, _)| *at).collect());
        let counts = self.counts.iter();
        let counts =
            counts.map(|(who, it)| (who.clone(), RecentCount::new(it.since, Integer::new(it.count))));
        anti_replay.recent_message_counts = Some(counts.collect());
    }

    /// Reads them back. The references store no times: an id without one counts as seen at `captured_at`.
    pub(super) fn load(anti_replay: &AntiReplay, captured_at: Timestamp) -> Self {
        let times = anti_replay.recent_message_times.as_deref().unwrap_or_default();
        let times = times.iter().copied().chain(core::iter::repeat(captured_at));
        let ids = anti_replay.recent_message_ids.iter().flatten();
        let mut order: Vec<(Timestamp, MessageId)> =
            times.zip(ids).map(|(at, id)| (at.min(captured_at), id.clone())).collect();
        order.sort_by_key(|(at, _)| *at);
        let counts = anti_replay.recent_message_counts.iter().flatten();
        let counts = counts.map(|(who, it)| (who.clone(), Count { since: it.since, count: it.count.get() }));
        let mut seen = Self { counts: counts.collect(), ..Self::default() };
        for (at, id) in order {
            if seen.ids.insert(id.clone()) {
                seen.order.push_back((at, id));
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: i64) -> MessageId {
        MessageId::new(alloc::format!("m{n}")).unwrap()
    }

    fn bob() -> PrincipalId {
        PrincipalId::new("bob").unwrap()
    }

    #[test]
    fn an_id_is_kept_for_two_windows_and_then_dropped() {
        let window = Seconds::whole(300);
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let mut seen = SeenIds::default();
        seen.insert(&id(0), &bob(), at(0), &window);
        seen.insert(&id(1), &bob(), at(600), &window);
        assert!(seen.contains(&id(0)), "at exactly 600 s a message that claims 300 s is still in the window");
        seen.insert(&id(2), &bob(), at(601), &window);
        assert!(!seen.contains(&id(0)) && seen.contains(&id(1)));
        assert_eq!(seen.ids.len(), seen.order.len());
    }

    #[test]
    fn stored_and_loaded_they_are_the_same() {
        let window = Seconds::whole(300);
        let mut seen = SeenIds::default();
        for n in 0..500 {
            seen.insert(&id(n), &bob(), Timestamp::from_micros(n), &window);
        }
        let mut stored = AntiReplay::new();
        seen.store(&mut stored);
        assert_eq!(SeenIds::load(&stored, Timestamp::from_micros(500)), seen);
        // Without times, as the references write it, nothing is forgotten too early.
        stored.recent_message_times = None;
        let mut loaded = SeenIds::load(&stored, Timestamp::from_micros(500));
        assert!(loaded.contains(&id(0)));
        loaded.insert(&id(500), &bob(), Timestamp::from_micros(600_000_500), &window);
        assert!(loaded.contains(&id(0)));
    }
}
