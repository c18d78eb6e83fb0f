//! How far the logs that are being written are on the disk, for whoever reads behind their writers.
//!
//! A session only says where it is; nobody waits for it and it waits for nobody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::meter::Meter;

/// The last durable entry of every log that has been written to since the start, and is there still, by the directory of its
/// session.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    reached: Arc<Mutex<BTreeMap<PathBuf, u64>>>,
    changed: watch::Sender<()>,
    meter: Meter,
}

impl Default for Durable {
    fn default() -> Self {
        Self { reached: Arc::default(), changed: watch::Sender::new(()), meter: Meter::default() }
    }
}

impl Durable {
    /// Everything up to `n` is as durable as was asked for. Nothing behind it may leave this process.
    pub(super) fn reached(&self, dir: &Path, n: u64) {
        // Without a copy of the path: this is said at every sync.
        let mut reached = self.lock();
        match reached.get_mut(dir) {
            Some(last) => *last = n,
            None => drop(reached.insert(dir.to_owned(), n)),
        }
        drop(reached);
        self.changed.send_replace(());
    }

    /// There is no such log any more, or never was.
    pub(super) fn forget(&self, dir: &Path) {
        self.lock().remove(dir);
    }

    /// What these logs cost.
    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// How far a log may be read; `None` where nobody writes to it, and all of it may.
    pub(crate) fn of(&self, dir: &Path) -> Option<u64> {
        self.lock().get(dir).copied()
    }

    /// How far all of them are.
    pub(crate) fn all(&self) -> BTreeMap<PathBuf, u64> {
        self.lock().clone()
    }

    /// Sees every change after this call; several may be seen as one.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, u64>> {
        // Nothing that can panic runs under this lock, so a poisoned state is still a whole one.
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
