//! A log lived through again, entry by entry, with what each led to.

use std::ops::ControlFlow;
use std::path::Path;

use mpac_core::Output;

use super::problem::Problem;
use super::progress::Progress;
use super::read::{self, End};
use crate::store::entry::Entry;
use crate::store::log::{Damage, Found};
use crate::store::reading::Reading;
use crate::store::replay::Replay;

/// An entry that was lived through.
pub(super) struct Lived<'a> {
    pub(super) found: &'a Found<'a>,
    pub(super) entry: &'a Entry,
    /// What it led to, in this order.
    pub(super) outputs: &'a [Output],
    /// The session after it.
    pub(super) replay: &'a Replay,
}

/// Lives the log in `dir` through again, up to entry `until` or to its end.
///
/// # Errors
/// When it cannot be followed, or ends before `until`.
pub(super) fn live(
    dir: &Path,
    until: Option<u64>,
    visit: &mut dyn FnMut(&Lived<'_>),
) -> Result<(Replay, End), Problem> {
    follow(&open(dir)?, dir, until, visit)
}

/// The log in `dir`, to be read.
///
/// # Errors
/// When what it begins behind cannot be.
pub(super) fn open(dir: &Path) -> Result<Reading, Problem> {
    let unusable = |damage: Damage| Problem::Log { path: dir.to_owned(), reason: damage.to_string() };
    Reading::open(dir).map_err(unusable)
}

/// The same as [`live`], of a log that is open.
///
/// # Errors
/// As there.
pub(super) fn follow(
    reading: &Reading,
    dir: &Path,
    until: Option<u64>,
    visit: &mut dyn FnMut(&Lived<'_>),
) -> Result<(Replay, End), Problem> {
    let unusable = |reason: String| Problem::Log { path: dir.to_owned(), reason };
    let mut replay = reading.replay().map_err(unusable)?;
    let mut progress = Progress::new();
    let end = read::entries(reading, &mut |found, entry| {
        progress.count(found);
        let outputs = replay.outputs(entry.clone())?;
        visit(&Lived { found, entry: &entry, outputs: &outputs, replay: &replay });
        Ok(if until == Some(found.n) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    progress.clear();
    let end = end.map_err(|damage| Problem::Log { path: dir.to_owned(), reason: damage.to_string() })?;
    match until {
        Some(until) if until > end.n => Err(Problem::Beyond { until, last: end.n }),
        _ => Ok((replay, end)),
    }
}
