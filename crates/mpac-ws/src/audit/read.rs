//! The one place where the audit reads logs.

use std::ops::ControlFlow;
use std::path::Path;

use mpac_wire::SessionId;

use crate::store::entry::Entry;
use crate::store::read::{Damage, Visit};
use crate::store::reading::Reading;

/// How far a log was read.
#[derive(Debug)]
pub(super) struct End {
    /// The last entry's number; 0 when there is none.
    pub(super) n: u64,
    /// Something is half written behind it: by a server at this moment, or because a crash cut it short.
    pub(super) torn: bool,
}

/// Hands the entries of a log to `visit`, from the first that is kept on, each with its number, its checksum and its segment,
/// until `visit` has seen enough. A server may be writing to the log: what is half written does not count.
///
/// One segment at a time is in memory.
///
/// # Errors
/// When something is damaged or missing, or `visit` says why an entry cannot be.
pub(super) fn entries(reading: &Reading, visit: &mut Visit<'_>) -> Result<End, Damage> {
    if reading.is_empty()? {
        return Ok(End { n: 0, torn: false });
    }
    let (n, torn) = reading.entries(visit)?;
    Ok(End { n, torn: torn.is_some() })
}

/// The id of the session whose log is in `dir`, as its first entry says. `None` where that cannot be read.
pub(super) fn session(dir: &Path) -> Option<SessionId> {
    let mut id = None;
    // Whatever is wrong with the log is said by those who need more of it.
    let reading = Reading::open(dir).ok()?;
    if let Some(id) = reading.session() {
        return Some(id);
    }
    let _ = entries(&reading, &mut |_, entry| {
        id = match entry {
            Entry::Open(start) | Entry::TakeUp(start) => start.config().ok().map(|config| config.session_id),
            Entry::Fork(forked) => forked.session().ok(),
            Entry::Input(_) | Entry::Repaired(_) | Entry::Seal(_) => None,
        };
        Ok(ControlFlow::Break(()))
    });
    id
}
