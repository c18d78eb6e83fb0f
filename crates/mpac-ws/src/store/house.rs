//! What the sessions of a data directory have in common while a server runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::reserve::Reserve;

/// Shared by all logs that are written to.
#[derive(Debug, Default)]
pub(crate) struct House {
    /// Room for what has to be said when the disk is full.
    pub(super) reserve: Option<Reserve>,
    /// Whoever keeps it in order is told of every new snapshot.
    pub(super) keeper: Option<Sender<()>>,
    in_use: Mutex<BTreeSet<PathBuf>>,
}

impl House {
    /// Gives back the reserve; false where there is none, or it was given back before.
    pub(crate) fn make_room(&self) -> bool {
        self.reserve.as_ref().is_some_and(Reserve::release)
    }

    /// Whether the disk was full: nothing more is to be begun.
    pub(crate) fn is_full(&self) -> bool {
        self.reserve.as_ref().is_some_and(Reserve::is_released)
    }

    /// Completes once the disk is full.
    pub(crate) async fn full(&self) {
        match &self.reserve {
            Some(reserve) => reserve.released().await,
            None => std::future::pending().await,
        }
    }

    /// Segments or snapshots were finished: there may be something to put in order.
    pub(crate) fn look_around(&self) {
        if let Some(keeper) = &self.keeper {
            // One that is gone has nothing to do any more.
            let _ = keeper.send(());
        }
    }

    /// Notes that a log in `dir` is written to, as long as what is given back lives.
    pub(super) fn uses(house: &Arc<Self>, dir: &Path) -> InUse {
        house.in_use().insert(dir.to_owned());
        InUse { dir: dir.to_owned(), house: Arc::clone(house) }
    }

    pub(super) fn is_in_use(&self, dir: &Path) -> bool {
        self.in_use().contains(dir)
    }

    fn in_use(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        // Nothing that can panic runs under this lock.
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A log that is being written to.
#[derive(Debug)]
pub(crate) struct InUse {
    dir: PathBuf,
    house: Arc<House>,
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.house.in_use().remove(&self.dir);
    }
}
