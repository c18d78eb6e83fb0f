//! Message ids that were seen, so that none is handled twice (SEC-17, SEC-20, D-124).

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use mpac_wire::snapshot::AntiReplay;
use mpac_wire::{Envelope, MessageId, Seconds, Timestamp};

use super::state::Session;
use crate::refusal::Refusal;

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
    Ok(())
}

/// The ids accepted within the last two replay windows. A message that claims the end of the window ahead is in the window
/// until that long after its receipt; after that its time alone gives it away (SEC-18).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SeenIds {
    ids: BTreeSet<MessageId>,
    /// The same in the order of receipt.
    order: VecDeque<(Timestamp, MessageId)>,
}

impl SeenIds {
    /// Whether the id was accepted lately.
    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains(id)
    }

    /// Remembers an id, and forgets those that are too old to matter.
    pub(super) fn insert(&mut self, id: &MessageId, now: Timestamp, window: &Seconds) {
        if self.ids.insert(id.clone()) {
            self.order.push_back((now, id.clone()));
        }
        while let Some((at, _)) = self.order.front() {
            if now.since(*at).micros() <= window.micros().saturating_mul(2) {
                break;
            }
            if let Some((_, old)) = self.order.pop_front() {
                self.ids.remove(&old);
            }
        }
    }

    /// Writes them into the stored form, oldest first.
    pub(super) fn store(&self, anti_replay: &mut AntiReplay) {
        anti_replay.recent_message_ids = Some(self.order.iter().map(|(_, id)| id.clone()).collect());
        anti_replay.recent_message_times = Some(self.order.iter().map(|(at, _)| *at).collect());
    }

    /// Reads them back. The references store no times: an id without one counts as seen at `captured_at`.
    pub(super) fn load(anti_replay: &AntiReplay, captured_at: Timestamp) -> Self {
        let times = anti_replay.recent_message_times.as_deref().unwrap_or_default();
        let times = times.iter().copied().chain(core::iter::repeat(captured_at));
        let ids = anti_replay.recent_message_ids.iter().flatten();
        let mut order: Vec<(Timestamp, MessageId)> =
            times.zip(ids).map(|(at, id)| (at.min(captured_at), id.clone())).collect();
        order.sort_by_key(|(at, _)| *at);
        let mut seen = Self::default();
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

    #[test]
    fn an_id_is_kept_for_two_windows_and_then_dropped() {
        let window = Seconds::whole(300);
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let mut seen = SeenIds::default();
        seen.insert(&id(0), at(0), &window);
        seen.insert(&id(1), at(600), &window);
        assert!(seen.contains(&id(0)), "at exactly 600 s a message that claims 300 s is still in the window");
        seen.insert(&id(2), at(601), &window);
        assert!(!seen.contains(&id(0)) && seen.contains(&id(1)));
        assert_eq!(seen.ids.len(), seen.order.len());
    }

    #[test]
    fn stored_and_loaded_they_are_the_same() {
        let window = Seconds::whole(300);
        let mut seen = SeenIds::default();
        for n in 0..500 {
            seen.insert(&id(n), Timestamp::from_micros(n), &window);
        }
        let mut stored = AntiReplay::new();
        seen.store(&mut stored);
        assert_eq!(SeenIds::load(&stored, Timestamp::from_micros(500)), seen);
        // Without times, as the references write it, nothing is forgotten too early.
        stored.recent_message_times = None;
        let mut loaded = SeenIds::load(&stored, Timestamp::from_micros(500));
        assert!(loaded.contains(&id(0)));
        loaded.insert(&id(500), Timestamp::from_micros(600_000_500), &window);
        assert!(loaded.contains(&id(0)));
    }
}
