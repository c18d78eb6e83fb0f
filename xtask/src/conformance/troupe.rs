//! All stories on one coordinator, several at a time where it can be had more than once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

use super::endpoint::Runner;
use super::play::{self, Outcome};
use super::report::Row;
use super::schema::Schema;
use super::story::Story;
use super::wire::{self, Check, Tally};

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rows: Vec<Row>,
    pub(super) wire: BTreeMap<Check, Tally>,
}

/// Plays every story; the results do not depend on how many are played at a time.
pub(super) fn play_all(runner: &dyn Runner, stories: &[Story], schema: &Schema) -> Found {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Found::default());
    let progress = bar(stories.len(), &runner.name());
    std::thread::scope(|scope| {
        for _ in 0..runner.jobs().clamp(1, stories.len().max(1)) {
            scope.spawn(|| {
                while let Some(story) = stories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    progress.set_message(story.name.clone());
                    let played = play::play(runner, story, schema);
                    if matches!(played.outcome, Outcome::Failed(_)) {
                        progress.println(format!("failed: {}", story.name));
                    }
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.rows.push(Row::of(story, played.outcome));
                    wire::merge(&mut found.wire, played.wire);
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Seen at a terminal only.
fn bar(length: usize, name: &str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_prefix(name.to_owned());
    // A constant that is a template.
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
