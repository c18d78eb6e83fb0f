//! The one place where the audit reads logs.

use std::ops::ControlFlow;
use std::path::Path;

use mpac_wire::SessionId;

use crate::store::entry::Entry;
use crate::store::log::{Damage, Torn, Visit, look};
use crate::store::media::{Files, Media};

/// How far a log was read.
#[derive(Debug)]
pub(super) struct End {
    /// The last entry's number; 0 when there is none.
    pub(super) n: u64,
    /// Something is half written behind it: by a server at this moment, or because a crash cut it short.
    pub(super) torn: bool,
}

/// Hands the entries of the log in `dir` to `visit`, from the first on, each with its number, its checksum and its segment,
/// until `visit` has seen enough. A server may be writing to the log: what is half written does not count.
///
/// One segment at a time is in memory.
///
/// # Errors
/// When something is damaged or missing, or `visit` says why an entry cannot be.
pub(super) fn entries(dir: &Path, visit: &mut Visit<'_>) -> Result<End, Damage> {
    let files = Files::live(dir.to_owned());
    if files.segments()?.is_empty() {
        return Ok(End { n: 0, torn: false });
    }
    let (n, torn): (u64, Option<Torn>) = look(&files, visit)?;
    Ok(End { n, torn: torn.is_some() })
}

/// The id of the session whose log is in `dir`, as its first entry says. `None` where that cannot be read.
pub(super) fn session(dir: &Path) -> Option<SessionId> {
    let mut id = None;
    // Whatever is wrong with the log is said by those who need more of it.
    let _ = entries(dir, &mut |_, entry| {
        id = match entry {
            Entry::Open(start) | Entry::TakeUp(start) => start.config().ok().map(|config| config.session_id),
            Entry::Fork(forked) => forked.session().ok(),
            Entry::Input(_) => None,
        };
        Ok(ControlFlow::Break(()))
    });
    id
}

/// Bytes of a log, for whoever wants to know how far reading is.
pub(super) fn bytes(dir: &Path) -> u64 {
    let length = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let is_segment = entry.path().extension().is_some_and(|extension| extension == "log");
        if is_segment { Some(entry.metadata().ok()?.len()) } else { None }
    };
    std::fs::read_dir(dir).map_or(0, |entries| entries.filter_map(length).sum())
}
