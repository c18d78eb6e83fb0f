//! What the sessions of a data directory have in common while a server runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mpac_wire::Seconds;

use super::durable::Durable;
use super::log::Log;
use super::reserve::Reserve;

/// Shared by all logs that are written to.
#[derive(Debug, Default)]
pub(crate) struct House {
    /// How far the logs are on the disk.
    pub(super) durable: Durable,
    /// Room for what has to be said when the disk is full.
    pub(super) reserve: Option<Reserve>,
    /// Whoever keeps it in order is told where there may be something to do.
    pub(super) keeper: Option<Sender<PathBuf>>,
    pub(super) stop: AtomicBool,
    /// Bytes of a full segment, where that is not the usual.
    pub(super) segment: Option<u64>,
    /// Seconds that count as a day, where that is not the usual.
    pub(super) day: Option<u64>,
    pub(super) in_use: Mutex<BTreeSet<PathBuf>>,
}

impl House {
    /// Gives back the reserve, if nobody has yet; false where there is none.
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

    pub(super) fn sized(&self, log: Log) -> Log {
        match self.segment {
            Some(bytes) => log.with_segments_of(bytes),
            None => log,
        }
    }

    /// Segments or snapshots in `dir` were finished, or the session is: there may be something to put in order.
    pub(crate) fn look_after(&self, dir: &Path) {
        if let Some(keeper) = &self.keeper {
            // One that is gone has nothing to do any more.
            let _ = keeper.send(dir.to_owned());
        }
    }

    /// Raised when nothing more is to be put in order.
    pub(super) const fn stopping(&self) -> &AtomicBool {
        &self.stop
    }

    /// So many days, in seconds.
    pub(super) fn days(&self, days: u64) -> Seconds {
        let micros = days.saturating_mul(self.day.unwrap_or(86_400)).saturating_mul(1_000_000);
        Seconds::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    pub(super) fn stop_keeping(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // Whoever waits looks up.
        self.look_after(Path::new(""));
    }

    /// Notes that a log in `dir` is written to, as long as what is given back lives.
    pub(super) fn uses(house: &Arc<Self>, dir: &Path) -> InUse {
        house.users().insert(dir.to_owned());
        InUse { dir: dir.to_owned(), house: Arc::clone(house) }
    }

    pub(super) fn is_in_use(&self, dir: &Path) -> bool {
        self.users().contains(dir)
    }

    fn users(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
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
        self.house.users().remove(&self.dir);
        self.house.look_after(&self.dir);
    }
}
