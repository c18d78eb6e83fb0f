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
    events: VecDeque<One>,
    newest: u64,
    /// One is not kept any more that nobody was told of.
    lost: bool,
}

#[derive(Debug)]
struct One {
    number: u64,
    event: Event,
    told: bool,
}

/// What was after a number, or was not told yet.
#[derive(Debug)]
pub(super) struct Since {
    /// In order.
    pub(super) events: Vec<Event>,
    numbers: Vec<u64>,
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
            kept.events.push_back(One { number, event, told: false });
            if kept.events.len() > KEPT {
                kept.lost |= kept.events.pop_front().is_some_and(|one| !one.told);
            }
            number
        };
        self.newest.send_replace(newest);
    }

    /// Wakes with every event.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// These were told.
    pub(super) fn tell(&self, since: &Since) {
        let mut kept = self.kept();
        kept.lost &= !since.has_gap;
        for one in &mut kept.events {
            one.told |= since.numbers.binary_search(&one.number).is_ok();
        }
    }

    /// Those that are `wanted`: after this number, or without one those that were not told yet, whoever asked for what
    /// meanwhile. A number that is still to come is of an earlier start.
    pub(super) fn since(&self, number: Option<u64>, wanted: impl Fn(&Event) -> bool) -> Since {
        let kept = self.kept();
        let is_news = |one: &&One| number.map_or(!one.told, |after| one.number > after);
        let news = kept.events.iter().filter(is_news).filter(|one| wanted(&one.event));
        let (numbers, events) = news.map(|one| (one.number, one.event.clone())).unzip();
        let has_gap = match number {
            None => kept.lost,
            Some(after) => {
                after > kept.newest || kept.events.front().is_some_and(|one| one.number > after + 1)
            }
        };
        Since { events, numbers, cursor: kept.newest, has_gap }
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
        let first = recent.since(None, |_| true);
        assert_eq!((first.events.len(), first.cursor, first.has_gap), (1, 1, false));
        recent.tell(&first);
        recent.add(lagged(2));
        recent.add(lagged(3));
        let third = recent.since(None, |event| *event == lagged(3));
        assert_eq!(third.events, [lagged(3)]);
        recent.tell(&third);
        assert_eq!(recent.since(None, |_| true).events, [lagged(2)], "it was not wanted then");
        assert_eq!(recent.since(Some(1), |_| true).events, [lagged(2), lagged(3)], "from where one says");
    }

    #[test]
    fn whoever_is_too_far_behind_learns_it_and_so_does_who_is_ahead() {
        let recent = Recent::default();
        (0..=KEPT as u64).for_each(|at| recent.add(lagged(at)));
        assert!(recent.since(Some(0), |_| true).has_gap);
        assert!(!recent.since(Some(1), |_| true).has_gap);
        assert!(recent.since(Some(KEPT as u64 + 2), |_| true).has_gap, "a number of an earlier start");
        let all = recent.since(None, |_| true);
        assert!(all.has_gap);
        recent.tell(&all);
        assert!(!recent.since(None, |_| true).has_gap, "once");
    }
}
