//! Looking at a damaged log: what is wrong, what is usable, and what each way of going on would lose.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use mpac_core::Coordinator;

use super::lost::Lost;
use super::patched::Patched;
use crate::store::kept::Kept;
use crate::store::media::{Files, Media};
use crate::store::progress::Progress;
use crate::store::read::{Damage, Reader};
use crate::store::reading::Reading;
use crate::store::record::{self, Line, Unreadable};
use crate::store::replay::Replay;
use crate::store::snapshot::{self, Position, Saved};

/// How to go on from a damaged log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Way {
    /// From the newest snapshot that can be used, and what of the log comes after it; what is before is set aside
    Snapshot,
    /// With the log up to the damage; what comes after it is set aside
    Cut,
}

/// What a way would make of a log.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) way: Way,
    /// The snapshot that it begins behind, and its file.
    pub(super) from: Option<(Position, PathBuf)>,
    /// By their first entry; what they hold where that is not what is there.
    pub(super) segments: BTreeMap<u64, Option<Vec<u8>>>,
    /// The last entry that counts.
    pub(crate) after: u64,
    pub(crate) lost: Lost,
    /// Whether the snapshots up to there go with it.
    pub(super) snapshots: bool,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Survey {
    /// What is wrong, from the beginning of what is kept.
    pub(crate) damage: Damage,
    /// The last entry before that.
    pub(crate) until: u64,
    /// The newest snapshot or base that can be used was taken after this entry.
    pub(crate) snapshot: Option<u64>,
    /// Whether a server starts on it all the same, because it begins behind the damage.
    pub(crate) starts: bool,
    pub(crate) plans: Vec<Plan>,
}

impl Survey {
    pub(crate) fn plan(&self, way: Way) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.way == way)
    }
}

/// Looks at the session in `dir`; `None` where nothing is wrong.
///
/// # Errors
/// When the directory cannot be read.
pub(crate) fn survey(dir: &Path) -> std::io::Result<Option<Survey>> {
    // To look at it nobody need stop.
    let files = Files::live(dir.to_owned());
    let (whole, from_base) = whole(dir, &files)?;
    let start = start(dir, &files)?;
    let starts = start.as_ref().is_some_and(Option::is_none);
    // With a log that is whole it is the snapshot that is not of this log.
    let fits = whole.damage.is_some();
    let Some(damage) = whole.damage.or_else(|| start.flatten()) else { return Ok(None) };
    // A base will do where no snapshot does.
    let mut all = snapshot::listed(dir)?;
    all.extend(snapshot::bases(dir)?);
    all.sort();
    let mut usable = all.into_iter().rev().filter_map(|(n, path)| {
        let saved = snapshot::read(&path).ok()?;
        let session = saved.load().ok()?;
        Some((n, saved, session, path))
    });
    let (mut snapshot, mut plans) = (None, Vec::new());
    if let Some((n, saved, session, path)) = usable.next() {
        snapshot = Some(n);
        if n > whole.after {
            plans.push(from_snapshot(&saved, session, path, &files)?);
        }
    }
    plans.extend(from_base.map(|segments| cut((segments, fits), whole.after, &damage, &files)).transpose()?);
    Ok(Some(Survey { damage, until: whole.after, snapshot, starts, plans }))
}

/// Why a server does not start from the newest snapshot that it can read; `None` where there is none.
fn start(dir: &Path, files: &Files) -> std::io::Result<Option<Option<Damage>>> {
    let usable = snapshot::all(dir)?.into_iter().find_map(|(_, saved)| {
        let saved = saved.ok()?;
        Some((saved.load().ok()?, saved))
    });
    let Some((session, saved)) = usable else { return Ok(None) };
    let mut replay = Replay::from(session, saved.program());
    let outcome = Reader::new(files, Some(saved.after()))
        .run(&mut |_, entry| replay.follow(entry).map(ControlFlow::Continue));
    Ok(Some(outcome.err()))
}

/// How far reading everything comes.
struct Whole {
    after: u64,
    damage: Option<Damage>,
}

type Segments = BTreeMap<u64, Option<Vec<u8>>>;

/// Reads from the base on; gives the segments up to the damage as well, where anything comes before it.
fn whole(dir: &Path, files: &Files) -> std::io::Result<(Whole, Option<Segments>)> {
    let opened = Reading::open(dir).and_then(|reading| {
        let replay = reading.replay().map_err(std::io::Error::other)?;
        Ok((reading, replay))
    });
    let (reading, mut replay) = match opened {
        Ok(opened) => opened,
        Err(damage) => return Ok((Whole { after: 0, damage: Some(damage) }, None)),
    };
    let mut progress = Progress::new(dir);
    let mut reader = Reader::new(files, reading.base());
    let damage = reader.run(&mut |found, entry| {
        progress.count(found);
        replay.follow(entry).map(ControlFlow::Continue)
    });
    let end = reader.end;
    let (damage, after) = (damage.err(), end.n);
    let begins_at = reading.base().map_or(0, |base| base.n);
    if after == 0 || after < begins_at {
        return Ok((Whole { after: 0, damage }, None));
    }
    let mut segments: Segments = files
        .segments()?
        .into_iter()
        .filter(|&first| first <= end.segment)
        .map(|first| (first, None))
        .collect();
    if damage.is_some() && end.segment > 0 {
        let mut bytes = files.read(end.segment)?;
        bytes.truncate(end.offset);
        segments.insert(end.segment, Some(bytes));
    }
    Ok((Whole { after, damage }, Some(segments)))
}

fn cut(
    (segments, snapshots): (Segments, bool),
    after: u64,
    damage: &Damage,
    files: &Files,
) -> std::io::Result<Plan> {
    let lost = Lost::behind(after, files, is_unreadable(damage, files))?;
    Ok(Plan { way: Way::Cut, from: None, segments, after, lost, snapshots })
}

/// Whether something is there that cannot be read: not where an entry is whole, and only cannot be followed.
fn is_unreadable(damage: &Damage, files: &Files) -> bool {
    let Damage::Entry { segment, offset, .. } = damage else { return true };
    files
        .read(*segment)
        .ok()
        .is_none_or(|bytes| record::read(bytes.get(*offset..).unwrap_or_default()).is_none())
}

/// From a snapshot on: the record after it is looked for, whatever is before.
fn from_snapshot(
    saved: &Saved,
    session: (Coordinator, Kept),
    path: PathBuf,
    files: &Files,
) -> std::io::Result<Plan> {
    let from = saved.after();
    let mut segments = Segments::new();
    let mut found = false;
    let all = files.segments()?;
    for &first in &all {
        if first > from.n + 1 {
            segments.insert(first, None);
            continue;
        }
        let Ok(mut bytes) = files.read(first) else { continue };
        if all.last() == Some(&first) {
            without_torn_end(&mut bytes);
        }
        if let Some((rest, ends)) = after_snapshot(&bytes, from) {
            found = true;
            if ends || !rest.is_empty() {
                segments.insert(from.n + 1, Some(rest));
            }
        }
    }
    // Without a segment that begins behind it there is an empty one.
    segments.entry(from.n + 1).or_insert_with(|| Some(Vec::new()));
    let mut replay = Replay::from(session, saved.program());
    let patched = Patched { of: files, segments: &segments };
    let mut reader = Reader::new(&patched, Some(from));
    let damage = reader.run(&mut |_, entry| replay.follow(entry).map(ControlFlow::Continue)).err();
    let end = reader.end;
    let gone = files.head()?.is_some_and(|head| !all.contains(&head));
    let lost = Lost::behind(end.n, files, damage.is_some() || !found || gone)?;
    segments.retain(|&first, _| first <= end.segment.max(from.n + 1));
    if damage.is_some() && end.segment > 0 {
        let mut bytes = match segments.remove(&end.segment) {
            Some(Some(bytes)) => bytes,
            _ => files.read(end.segment)?,
        };
        bytes.truncate(end.offset);
        segments.insert(end.segment, Some(bytes));
    }
    Ok(Plan {
        way: Way::Snapshot,
        from: Some((from.clone(), path)),
        segments,
        after: end.n,
        lost,
        snapshots: true,
    })
}

/// Cuts off what a crash left half written: where it lies in its file says so, so that has to be done first.
fn without_torn_end(bytes: &mut Vec<u8>) {
    let last = record::scan(bytes).filter_map(|(at, json, _)| {
        let length = bytes[at..].iter().position(|&byte| byte == b'\n')? + 1;
        Some((at + length, Line::parse(json).ok()?.n))
    });
    if let Some((end, n)) = last.last()
        && record::judge(&bytes[end..], end, n + 1) == Unreadable::Torn
    {
        bytes.truncate(end);
    }
}

/// What follows on the entry that a snapshot was taken after, and whether that entry itself is there.
fn after_snapshot(bytes: &[u8], from: &Position) -> Option<(Vec<u8>, bool)> {
    let mut last = None;
    for (at, json, sum) in record::scan(bytes) {
        let Ok(line) = Line::parse(json) else { continue };
        if line.n == from.n + 1 && line.prev == from.sum {
            return Some((bytes[at..].to_vec(), false));
        }
        if line.n == from.n && sum == from.sum {
            last = bytes[at..].iter().position(|&byte| byte == b'\n').map(|end| at + end + 1);
        }
    }
    last.map(|end| (bytes[end..].to_vec(), true))
}
