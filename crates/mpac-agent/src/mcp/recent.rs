//! What has happened lately, numbered, so that nothing is missed between two calls of a tool.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::wanted::{About, Lost, Wanted};
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
    /// Of those that are not kept any more and that nobody was told of.
    lost: Lost,
}

#[derive(Debug)]
struct One {
    number: u64,
    about: About,
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
            kept.events.push_back(One { number, about: About::of(&event), event, told: false });
            if kept.events.len() > KEPT
                && let Some(one) = kept.events.pop_front().filter(|one| !one.told)
            {
                kept.lost.add(one.about);
            }
            number
        };
        self.newest.send_replace(newest);
    }

    /// Wakes with every event.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// These were told to who wanted them.
    pub(super) fn tell(&self, since: &Since, wanted: &Wanted) {
        let mut kept = self.kept();
        if since.has_gap {
            kept.lost.tell(wanted);
        }
        for one in &mut kept.events {
            one.told |= since.numbers.binary_search(&one.number).is_ok();
        }
    }

    /// Those that are `wanted`: after this number, or without one those that were not told yet, whoever asked for what
    /// meanwhile. A number that is still to come is of an earlier start. What is no longer kept is known by its numbers alone, so
    /// after a number it makes a gap whatever is `wanted`.
    pub(super) fn since(&self, number: Option<u64>, wanted: &Wanted) -> Since {
        let kept = self.kept();
        let is_news = |one: &&One| number.map_or(!one.told, |after| one.number > after);
        let news = kept.events.iter().filter(is_news).filter(|one| wanted.has(&one.about));
        let (numbers, events) = news.map(|one| (one.number, one.event.clone())).unzip();
        let has_gap = match number {
            None => kept.lost.has(wanted),
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
    use mpac_wire::StateRef;

    use super::*;

    fn updated(file: &str) -> Event {
        let (state_ref, updated_by) = (StateRef::of(""), "agent:you".parse().unwrap());
        Event::FileUpdated { path: file.to_owned(), state_ref, updated_by }
    }

    #[test]
    fn what_was_told_is_not_told_again_and_what_came_between_is() {
        let (recent, all) = (Recent::default(), Wanted::default());
        recent.add(updated("1"));
        let first = recent.since(None, &all);
        assert_eq!((first.events.len(), first.cursor, first.has_gap), (1, 1, false));
        recent.tell(&first, &all);
        recent.add(updated("2"));
        recent.add(updated("3"));
        let one = Wanted::about(&["3".to_owned()]);
        let third = recent.since(None, &one);
        assert_eq!(third.events, [updated("3")]);
        recent.tell(&third, &one);
        assert_eq!(recent.since(None, &all).events, [updated("2")], "it was not wanted then");
        assert_eq!(recent.since(Some(1), &all).events, [updated("2"), updated("3")], "from where one says");
    }

    #[test]
    fn whoever_is_too_far_behind_learns_it_and_so_does_who_is_ahead() {
        let (recent, wanted) = (Recent::default(), Wanted::default());
        (0..=KEPT).for_each(|_| recent.add(updated("a")));
        assert!(recent.since(Some(0), &wanted).has_gap);
        assert!(!recent.since(Some(1), &wanted).has_gap);
        assert!(recent.since(Some(KEPT as u64 + 2), &wanted).has_gap, "a number of an earlier start");
        let all = recent.since(None, &wanted);
        assert!(all.has_gap);
        recent.tell(&all, &wanted);
        assert!(!recent.since(None, &wanted).has_gap, "once");
    }

    #[test]
    fn who_waits_for_one_file_misses_nothing_by_what_happens_to_others() {
        let (recent, a) = (Recent::default(), Wanted::about(&["a".to_owned()]));
        (0..3 * KEPT).for_each(|_| recent.add(updated("b")));
        let since = recent.since(None, &a);
        assert!(since.events.is_empty() && !since.has_gap);
        assert!(recent.since(None, &Wanted::default()).has_gap, "who wants all has missed some");
        assert!(recent.since(Some(1), &a).has_gap, "of what files it was is not known for every number");
    }
}
