//! What has happened lately, numbered, so that nothing is missed between two calls of a tool.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::agent::Event;

/// So many are kept; the view has all that counts of older ones.
const KEPT: usize = 1_000;

/// The last events.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: Mutex<Kept>,
    /// The number of the newest.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<(u64, Event)>,
    newest: u64,
    /// Up to which they were told when nobody said from where.
    told: u64,
}

/// What was after a number.
#[derive(Debug)]
pub(super) struct Since {
    /// In order.
    pub(super) events: Vec<Event>,
    /// The number of the last of all events, to go on from.
    pub(super) cursor: u64,
    /// Some are not kept any more.
    pub(super) has_gap: bool,
}

impl Recent {
    pub(super) fn add(&self, event: Event) {
        let newest = {
            let mut kept = self.kept();
            kept.newest += 1;
            let number = kept.newest;
            kept.events.push_back((number, event));
            if kept.events.len() > KEPT {
                kept.events.pop_front();
            }
            number
        };
        self.newest.send_replace(newest);
    }

    /// Wakes with every event.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Where somebody goes on who does not say from where: after what was told last.
    pub(super) fn told(&self) -> u64 {
        self.kept().told
    }

    /// All up to here was told.
    pub(super) fn tell(&self, cursor: u64) {
        let mut kept = self.kept();
        kept.told = kept.told.max(cursor.min(kept.newest));
    }

    /// Those after this number that are `wanted`.
    pub(super) fn since(&self, number: u64, wanted: impl Fn(&Event) -> bool) -> Since {
        let kept = self.kept();
        let after = kept.events.iter().filter(|(at, _)| *at > number);
        let has_gap = kept.events.front().is_some_and(|(at, _)| *at > number + 1);
        Since {
            events: after.map(|(_, event)| event).filter(|event| wanted(event)).cloned().collect(),
            cursor: kept.newest,
            has_gap,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere has left it as good as ever.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lagged(lost: u64) -> Event {
        Event::Lagged { lost }
    }

    #[test]
    fn what_was_told_is_not_told_again_and_what_came_between_is() {
        let recent = Recent::default();
        recent.add(lagged(1));
        let first = recent.since(recent.told(), |_| true);
        assert_eq!((first.events.len(), first.cursor, first.has_gap), (1, 1, false));
        recent.tell(first.cursor);
        recent.add(lagged(2));
        recent.add(lagged(3));
        let wanted = |event: &Event| *event == lagged(3);
        assert_eq!(recent.since(recent.told(), wanted).events, [lagged(3)]);
        recent.tell(99);
        assert_eq!(recent.told(), 3, "nothing that has not happened was told");
        assert!(recent.since(recent.told(), |_| true).events.is_empty());
    }

    #[test]
    fn whoever_is_too_far_behind_learns_it() {
        let recent = Recent::default();
        (0..=KEPT as u64).for_each(|at| recent.add(lagged(at)));
        assert!(recent.since(0, |_| true).has_gap);
        assert!(!recent.since(1, |_| true).has_gap);
    }
}
