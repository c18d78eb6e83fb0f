//! What has happened lately, numbered, so that nothing is missed between two calls of a tool.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::brief::{self, Fitting, Room};
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
    /// The event in words and as a value, cut: it was others who wrote it, and many are kept.
    line: String,
    value: Value,
    told: bool,
}

/// What was after a number, or was not told yet.
#[derive(Debug)]
pub(super) struct Since {
    /// In order, the first of them; of those that do not fit into an answer it is told how many they are.
    pub(super) events: Fitting,
    numbers: Vec<u64>,
    /// What to go on from: the number of the last that is here, and of the last of all events when none is left out.
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
            let about = About::of(&event);
            let (line, value) = brief::event(event);
            kept.events.push_back(One { number, about, line, value, told: false });
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
        let news: Vec<&One> = news.collect();
        let events = Room::whole().fit(&news, |one| (one.line.clone(), one.value.clone()));
        let numbers: Vec<u64> = news.iter().take(events.lines.len()).map(|one| one.number).collect();
        let cursor = if events.left > 0 { numbers.last().copied() } else { None };
        let has_gap = match number {
            None => kept.lost.has(wanted),
            Some(after) => {
                after > kept.newest || kept.events.front().is_some_and(|one| one.number > after + 1)
            }
        };
        Since { events, numbers, cursor: cursor.unwrap_or(kept.newest), has_gap }
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

    fn values(files: &[&str]) -> Vec<Value> {
        files.iter().map(|file| serde_json::json!(updated(file))).collect()
    }

    #[test]
    fn what_was_told_is_not_told_again_and_what_came_between_is() {
        let (recent, all) = (Recent::default(), Wanted::default());
        recent.add(updated("1"));
        let first = recent.since(None, &all);
        assert_eq!((first.events.lines.len(), first.cursor, first.has_gap), (1, 1, false));
        recent.tell(&first, &all);
        recent.add(updated("2"));
        recent.add(updated("3"));
        let one = Wanted::about(&["3".to_owned()]);
        let third = recent.since(None, &one);
        assert_eq!(third.events.values, values(&["3"]));
        recent.tell(&third, &one);
        assert_eq!(recent.since(None, &all).events.values, values(&["2"]), "it was not wanted then");
        assert_eq!(recent.since(Some(1), &all).events.values, values(&["2", "3"]), "from where one says");
    }

    #[test]
    fn what_does_not_fit_into_an_answer_is_told_by_the_next() {
        let (recent, all) = (Recent::default(), Wanted::default());
        let files: Vec<String> = (0..KEPT).map(|n| n.to_string()).collect();
        files.iter().for_each(|file| recent.add(updated(file)));
        let (mut by_telling, mut by_number, mut calls) = (Vec::new(), Vec::new(), 0);
        let mut cursor = 0;
        loop {
            let since = recent.since(None, &all);
            recent.tell(&since, &all);
            let after = recent.since(Some(cursor), &all);
            cursor = after.cursor;
            by_telling.extend(since.events.values);
            by_number.extend(after.events.values);
            calls += 1;
            if since.events.left == 0 {
                break;
            }
        }
        assert!(calls > 2, "{calls}");
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        assert_eq!((by_telling, by_number), (values(&files), values(&files)));
        assert_eq!(cursor, KEPT as u64);
    }

    #[test]
    fn one_event_always_fits_whatever_somebody_wrote() {
        let (recent, all) = (Recent::default(), Wanted::default());
        let files: Vec<String> = (0..50_000).map(|n| format!("\u{1}{n}")).collect();
        let (intent_id, principal_id) = ("i".parse().unwrap(), "agent:Eve".parse().unwrap());
        recent.add(Event::Announced { intent_id, principal_id, objective: "\u{1}".repeat(900_000), files });
        let since = recent.since(None, &all);
        assert_eq!((since.events.lines.len(), since.events.left), (1, 0));
        assert!(
            recent.since(None, &Wanted::about(&["x".to_owned()])).events.lines.len() == 1,
            "so many files may be any"
        );
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
        assert!(since.events.lines.is_empty() && !since.has_gap);
        assert!(recent.since(None, &Wanted::default()).has_gap, "who wants all has missed some");
        assert!(recent.since(Some(1), &a).has_gap, "of what files it was is not known for every number");
    }
}
