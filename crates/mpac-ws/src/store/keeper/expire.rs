//! Deleting what was kept long enough (SES-21, SEC-35, PRV-01): old segments of sessions that live, and sessions that are over.

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use mpac_core::SessionConfig;
use mpac_wire::{Seconds, Timestamp};
use serde_json::json;
use tracing::info;

use super::archive::Archive;
use super::pack;
use crate::store::house::House;
use crate::store::media::{Files, Media, segment, sync_dir};
use crate::store::read::{Found, Reader};
use crate::store::reading::Begins;
use crate::store::{Stored, gzip, snapshot};

/// Days that are kept where the session does not say (`spec/wire.md` §3.8).
const DEFAULT_DAYS: u64 = 90;
/// How the names of sessions that are being deleted begin.
pub(in crate::store) const DELETING: &str = ".deleting-";

/// A session that nobody goes on with.
#[derive(Clone, Debug)]
pub(super) struct Over {
    id: String,
    since: Timestamp,
    days: u64,
}

impl Over {
    pub(super) fn is_due(&self, house: &House, now: Timestamp) -> bool {
        self.since.after(&house.days(self.days)) <= now
    }
}

/// Days that a session's log is kept; 0 is only while it lives.
fn kept_for(config: &SessionConfig) -> u64 {
    config.lifecycle.audit_retention_days.as_ref().map_or(DEFAULT_DAYS, |days| days.get())
}

/// Whether the session in `dir`, which nobody writes to, is over, and since when: it is closed, or another of its name came
/// after it.
///
/// # Errors
/// When it cannot be read: then it stays.
pub(super) fn over(dir: &Path) -> io::Result<Option<Over>> {
    let (mut replay, from) = Stored::at(dir.to_owned()).snapshot().map_err(io::Error::other)?;
    // What came after the last snapshot counts: a crash may have come between the end and its own.
    let mut follow = |_: &Found<'_>, entry| replay.follow(entry).map(ControlFlow::Continue);
    Reader::new(&Files::live(dir.to_owned()), from.as_ref()).run(&mut follow).map_err(io::Error::other)?;
    let Some((core, kept)) = replay.into_session() else { return Ok(None) };
    if !core.view().is_closed() && !is_followed(dir)? {
        return Ok(None);
    }
    let (id, days) = (kept.config.session_id.to_string(), kept_for(&kept.config));
    Ok(Some(Over { id, since: core.view().now(), days }))
}

/// Whether there is a later session of the same name.
fn is_followed(dir: &Path) -> io::Result<bool> {
    let Some(of_name) = dir.parent() else { return Ok(false) };
    Ok(crate::store::numbered(of_name)?.last().is_some_and(|(_, last)| last != dir))
}

/// Deletes a session that is over, whole; a note says that it was there.
pub(super) fn session(
    dir: &Path,
    over: &Over,
    archive: Option<&Archive>,
    now: Timestamp,
    stop: &AtomicBool,
) -> io::Result<()> {
    let (Some(of_name), Some(run)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    if let Some(archive) = archive {
        archive.take_all(dir, stop)?;
    }
    let note = json!({
        "session": over.id, "over_since": over.since.to_string(), "deleted_at": now.to_string(),
        "audit_retention_days": over.days, "archived": archive.is_some(),
    });
    let mut file = tempfile::Builder::new().prefix(".note-").tempfile_in(of_name)?;
    writeln!(file, "{note}")?;
    file.as_file().sync_all()?;
    file.persist(of_name.join(format!("{run}.deleted"))).map_err(|error| error.error)?;
    let going = of_name.join(format!("{DELETING}{run}"));
    fs::rename(dir, &going)?;
    sync_dir(of_name)?;
    fs::remove_dir_all(going)?;
    info!("[{}] {} was deleted: the session is over for {} days", over.id, dir.display(), over.days);
    Ok(())
}

/// Deletes the segments of a session that goes on which are too old. What is left begins at a base.
pub(super) fn segments(
    dir: &Path,
    archive: Option<&Archive>,
    house: &House,
    now: Timestamp,
) -> io::Result<()> {
    let behind = pack::behind(dir)?;
    clear(dir, &behind)?;
    let Some(last) = behind.last() else { return Ok(()) };
    // Before anything goes, what a restart needs instead has to be usable.
    let mut kept = None;
    for (path, saved) in snapshot::all(dir)? {
        if saved.is_err() && !path.exists() {
            continue; // the session has written a newer one meanwhile
        }
        let unusable = |reason| io::Error::other(format!("{}: {reason}; nothing is deleted", path.display()));
        let (_, session) = saved.and_then(|saved| saved.load()).map_err(unusable)?;
        kept.get_or_insert(session.config);
    }
    let Some(days_kept) = kept.as_ref().map(kept_for).filter(|&days| days > 0) else { return Ok(()) };
    let Some(after) = too_old(dir, *last, &house.days(days_kept), now)? else { return Ok(()) };
    let going: Vec<u64> = behind.into_iter().filter(|&first| first <= after).collect();
    if let Some(archive) = archive {
        going.iter().try_for_each(|&first| archive.has(dir, first))?;
    }
    let why = format!("what was before was deleted after {days_kept} days");
    Begins { after, at: now, why }.write(dir)?;
    clear(dir, &going)?;
    info!("{}: entries up to {after} were deleted after {days_kept} days", dir.display());
    Ok(())
}

/// The entry of the last base that everything up to is too old; segments up to the one that begins with `last` may go.
fn too_old(dir: &Path, last: u64, kept_for: &Seconds, now: Timestamp) -> io::Result<Option<u64>> {
    let begins = Begins::read(dir)?.map_or(0, |begins| begins.after);
    let all = Files::new(dir.to_owned()).segments()?;
    let next = all.iter().copied().find(|&first| first > last).unwrap_or(last);
    let mut found = None;
    for (n, path) in snapshot::bases(dir)? {
        if n <= begins || n >= next || !all.contains(&(n + 1)) {
            continue;
        }
        match snapshot::read(&path).and_then(|base| base.load().map(|_| base)) {
            Ok(base) if base.at().after(kept_for) <= now => found = Some(n),
            Ok(_) => break,
            // Another one will do.
            Err(_) => {}
        }
    }
    Ok(found)
}

/// Removes what lies before the place where a session begins: of `behind` the segments, and bases.
fn clear(dir: &Path, behind: &[u64]) -> io::Result<()> {
    let Some(begins) = Begins::read(dir)? else { return Ok(()) };
    let old = behind.iter().filter(|&&first| first <= begins.after).map(|&first| dir.join(segment(first)));
    let bases = snapshot::bases(dir)?.into_iter().filter(|(n, _)| *n < begins.after).map(|(_, path)| path);
    let mut is_any = false;
    for path in old.chain(bases) {
        for path in [gzip::packed(&path), path] {
            if path.exists() {
                fs::remove_file(path)?;
                is_any = true;
            }
        }
    }
    if is_any { sync_dir(dir) } else { Ok(()) }
}
