//! Making the repaired session and putting it in place of the damaged one.
//!
//! It is built as `.half-<k>`, called `.repaired-<k>` once it is whole and on the disk, and takes the name `<k>` after the
//! damaged one has been given another. Whenever that is interrupted [`finish`] knows what is left to do: as long as there is a
//! `<k>` it is the old one, and stands; where there is none the repaired one takes its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mpac_core::{Command, Coordinator, Input};
use mpac_wire::Timestamp;

use super::survey::{Plan, Survey, Way};
use crate::PROGRAM;
use crate::clock;
use crate::error::Error;
use crate::store::entry::{Entry, Happened, Repaired};
use crate::store::media::{Files, Media, segment, sync_dir};
use crate::store::reading::{BEGINS, Begins};
use crate::store::{Durability, Stored, gzip, private_dirs, snapshot};

/// In a session that was repaired: the name of what the last repair was made from.
pub(in crate::store) const REPAIRED: &str = "repaired";
const HALF: &str = ".half-";
const DONE: &str = ".repaired-";

/// Carries a plan out; gives the place where the damaged session is kept.
///
/// # Errors
/// When something cannot be written, or what was built cannot be gone on from: then nothing has changed.
pub(crate) fn rebuild(dir: &Path, survey: &Survey, plan: &Plan) -> Result<PathBuf, Error> {
    let failed = |source| Error::DataDir { path: dir.to_owned(), source };
    let (Some(of_name), Some(run)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str())) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let aside = aside(of_name, run, clock::now());
    let half = of_name.join(format!("{HALF}{run}"));
    remove(&half).map_err(failed)?;
    private_dirs().create(&half).map_err(failed)?;
    lay_out(dir, &half, plan, &aside).map_err(failed)?;
    note(&half, survey, plan, &aside)?;
    exchange(&half, dir, of_name.join(format!("{DONE}{run}")), &aside).map_err(failed)?;
    Ok(aside)
}

/// Finishes what a crash interrupted in a directory of sessions of one name.
pub(in crate::store) fn finish(of_name: &Path) -> io::Result<()> {
    for entry in fs::read_dir(of_name)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(HALF) {
            remove(&entry.path())?;
        } else if let Some(run) = name.strip_prefix(DONE) {
            let place = of_name.join(run);
            if place.exists() {
                remove(&entry.path())?
            } else {
                fs::rename(entry.path(), place)?
            }
            sync_dir(of_name)?;
        }
    }
    Ok(())
}

/// Puts what goes on into `half`.
fn lay_out(dir: &Path, half: &Path, plan: &Plan, aside: &Path) -> io::Result<()> {
    for (&first, bytes) in &plan.segments {
        let into = half.join(segment(first));
        let last = plan.segments.keys().next_back() == Some(&first);
        match bytes {
            Some(bytes) => fs::write(&into, bytes)?,
            // It is going to be written to.
            None if last => fs::write(&into, Files::new(dir.to_owned()).read(first)?)?,
            None => same(&dir.join(segment(first)), &into)?,
        }
        if into.exists() {
            fs::File::open(&into)?.sync_all()?;
        }
    }
    if let Some(&last) = plan.segments.keys().next_back() {
        Files::new(half.to_owned()).note_head(last)?;
    }
    let from = plan.from.as_ref().map_or(0, |(from, _)| from.n);
    if plan.snapshots {
        let mut all = snapshot::bases(dir)?;
        all.extend(snapshot::listed(dir)?);
        for (n, path) in all {
            if (from..=plan.after).contains(&n)
                && let Some(name) = path.file_name()
            {
                same(&path, &half.join(name))?;
            }
        }
    }
    if let Some((from, path)) = &plan.from {
        let base = snapshot::base(half, from.n);
        if !base.exists() && !gzip::packed(&base).exists() {
            same(path, &base)?;
        }
        let name = aside.file_name().unwrap_or_default().to_string_lossy();
        let why = format!("what was before was damaged; it is kept in {name}");
        Begins { after: from.n, at: clock::now(), why }.write(half)?;
    } else if let Some(begins) = Begins::read(dir)? {
        fs::copy(dir.join(BEGINS), half.join(BEGINS))?;
        fs::File::open(half.join(BEGINS))?.sync_all()?;
        let base = snapshot::base(half, begins.after);
        if !base.exists() && !gzip::packed(&base).exists() {
            same(&snapshot::base(dir, begins.after), &base)?;
        }
    }
    // For whoever has copies of the old one: these are no continuation of it.
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    fs::write(half.join(REPAIRED), format!("{name}\n"))?;
    fs::File::open(half.join(REPAIRED))?.sync_all()?;
    sync_dir(half)
}

/// Notes in the log what happened to it; that it can be gone on from is proven by that.
fn note(half: &Path, survey: &Survey, plan: &Plan, aside: &Path) -> Result<(), Error> {
    let unusable = |reason: String| Error::NotRepaired { path: half.to_owned(), reason };
    let stored = Stored { dir: half.to_owned(), house: None };
    let resumed = stored.go_on(Durability::Fsync).map_err(|damage| unusable(damage.to_string()))?;
    let (mut log, replay) = resumed.ok_or_else(|| unusable("nothing is left of it".to_owned()))?;
    let (mut core, _) = replay.into_session().ok_or_else(|| unusable("nothing is left of it".to_owned()))?;
    let mut entries = vec![Entry::Repaired(Repaired {
        at: clock::now(),
        program: PROGRAM.to_owned(),
        damage: survey.damage.to_string(),
        way: match plan.way {
            Way::Snapshot => "snapshot",
            Way::Cut => "cut",
        }
        .to_owned(),
        after: plan.after,
        lost: plan.lost.readable,
        aside: aside.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    })];
    entries.extend(fence(&mut core, plan).map_err(unusable)?);
    log.append(&entries).map_err(|error| unusable(error.to_string()))?;
    log.finish().map_err(|error| unusable(error.to_string()))
}

/// In what is lost the session may have been taken up: its next coordinator has to speak above those (REC-27).
fn fence(core: &mut Coordinator, plan: &Plan) -> Result<Option<Entry>, String> {
    let epochs = plan.lost.epochs();
    if epochs == 0 {
        return Ok(None);
    }
    let input = Input::Command(Command::Fence { epoch: core.epoch() + epochs });
    // At its own time: what fell due since is for the next start to say.
    let record = core.stamp(core.view().now(), input);
    let step = core.apply(&record).map_err(|error| error.to_string())?;
    Happened::new(&record, step.digest()).map(Entry::Input).map(Some).map_err(|error| error.to_string())
}

/// The old one goes aside, the new one takes its place.
fn exchange(half: &Path, dir: &Path, done: PathBuf, aside: &Path) -> io::Result<()> {
    let of_name = dir.parent().unwrap_or(dir);
    sync_dir(half)?;
    remove(&done)?;
    fs::rename(half, &done)?;
    sync_dir(of_name)?;
    fs::rename(dir, aside)?;
    sync_dir(of_name)?;
    fs::rename(done, dir)?;
    sync_dir(of_name)
}

/// A name that says what it is and since when, and is nobody's yet.
fn aside(of_name: &Path, run: &str, at: Timestamp) -> PathBuf {
    let time: String =
        at.to_string().chars().take_while(|&c| c != '.').filter(|&c| c != '-' && c != ':').collect();
    let name = format!("{run}.damaged-{}Z", time.trim_end_matches('Z'));
    let names = std::iter::once(name.clone()).chain((2..).map(|count: u64| format!("{name}-{count}")));
    names.map(|name| of_name.join(name)).find(|path| !path.exists()).unwrap_or_else(|| of_name.join(name))
}

/// The same file under another name; compressed where it is.
fn same(from: &Path, into: &Path) -> io::Result<()> {
    for (from, into) in [(from.to_owned(), into.to_owned()), (gzip::packed(from), gzip::packed(into))] {
        // Finished files are never written to again, so two names of one do no harm.
        if from.exists() && fs::hard_link(&from, &into).is_err() {
            fs::copy(&from, &into)?;
            fs::File::open(&into)?.sync_all()?;
        }
    }
    Ok(())
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
