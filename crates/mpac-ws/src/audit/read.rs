//! The one place where the audit reads logs.

use std::ops::ControlFlow;
use std::path::Path;

use mpac_wire::SessionId;

use crate::store::entry::Entry;
use crate::store::read::{Damage, Visit};
use crate::store::reading::Reading;

/// How often a log is looked at again that a server shortened meanwhile, which it does once an hour at the most.
const AGAIN: usize = 3;

/// What `look` makes of a log that it opens itself: it looks again where older entries were deleted meanwhile.
///
/// # Errors
/// Those of `look`.
pub(super) fn again<T>(mut look: impl FnMut() -> Result<T, Damage>) -> Result<T, Damage> {
    let mut again = AGAIN;
    loop {
        match look() {
            Err(Damage::Deleted) if again > 0 => again -= 1,
            looked => return looked,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_shortened_meanwhile_is_looked_at_again_and_not_for_ever() {
        for (shortened, looks) in [(0, 1), (2, 3), (9, 4)] {
            let mut looked = 0;
            let seen = again(|| {
                looked += 1;
                if looked > shortened { Ok(()) } else { Err(Damage::Deleted) }
            });
            assert_eq!((looked, seen.is_ok()), (looks, shortened < 9));
        }
        let mut looked = 0;
        let missing: Result<(), _> = again(|| {
            looked += 1;
            Err(Damage::Missing(1))
        });
        assert_eq!((looked, missing.is_err()), (1, true));
    }
}
