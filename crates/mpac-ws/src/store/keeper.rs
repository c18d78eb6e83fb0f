//! Keeps a data directory in order while a server runs, on a thread of its own: what is done with is compressed, archived,
//! and deleted when its time is over.
//!
//! It only ever touches what no session writes to: segments that end before the older of the two snapshots that are kept,
//! and sessions that are closed. Each step leaves a directory that a server starts on, whenever it is interrupted.

mod archive;
mod expire;
mod pack;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mpac_wire::Timestamp;
use tracing::{error, warn};

use self::archive::Archive;
pub(super) use self::expire::DELETING;
use self::expire::Over;
use super::house::House;
use super::media::{Files, Media};
use crate::clock;

/// Between two looks at what may be too old.
const PAUSE: Duration = Duration::from_secs(3600);

/// The thread; it ends with this.
#[derive(Debug)]
pub(super) struct Keeper {
    house: Arc<House>,
    thread: Option<JoinHandle<()>>,
}

/// What it knows.
struct Work {
    data: PathBuf,
    archive: Option<Archive>,
    house: Arc<House>,
    /// Sessions that are over, and were looked at: they do not change any more.
    over: BTreeMap<PathBuf, Over>,
    /// What went wrong last, so that it is said once and not every hour.
    said: BTreeMap<PathBuf, String>,
}

impl Keeper {
    /// Begins to look after `data`; `wakes` names sessions where something may be done.
    pub(super) fn start(
        data: &Path,
        archive: Option<&Path>,
        house: &Arc<House>,
        wakes: Receiver<PathBuf>,
    ) -> io::Result<Self> {
        let mut work = Work {
            data: data.to_owned(),
            archive: archive.map(|dir| Archive::new(dir.to_owned(), data.to_owned())),
            house: Arc::clone(house),
            over: BTreeMap::new(),
            said: BTreeMap::new(),
        };
        let thread = thread::Builder::new().name("keeper".to_owned()).spawn(move || work.run(&wakes))?;
        Ok(Self { house: Arc::clone(house), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.house.stop_keeping();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("what keeps the data directory in order has panicked");
        }
    }
}

impl Work {
    fn run(&mut self, wakes: &Receiver<PathBuf>) {
        let pause = self.house.day.map_or(PAUSE, Duration::from_secs).min(PAUSE);
        let mut due = Instant::now();
        while !self.stop().load(Ordering::Relaxed) {
            match wakes.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(dir) => {
                    let result = self.session(&dir, None);
                    self.say(&dir, result);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.everything_at(clock::now());
                    due = Instant::now() + pause;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn everything_at(&mut self, now: Timestamp) {
        let data = self.data.clone();
        match super::sessions(&data) {
            Ok(all) => {
                for dir in all {
                    let result = self.session(&dir, Some(now));
                    self.say(&dir, result);
                }
            }
            Err(error) => self.say(&data, Err(error)),
        }
    }

    /// Does what there is to do in one session's directory; of one that is written to, what is too old goes only where the
    /// time is given, because finding that out takes long.
    fn session(&mut self, dir: &Path, now: Option<Timestamp>) -> io::Result<()> {
        if self.stop().load(Ordering::Relaxed) || !dir.is_dir() {
            return Ok(());
        }
        let house = Arc::clone(&self.house);
        if Files::new(dir.to_owned()).segments()?.is_empty() {
            return Ok(()); // it is just being made
        }
        pack::pack(dir, house.stopping())?;
        if let Some(archive) = &self.archive {
            archive.take(dir, house.stopping())?;
        }
        let in_use = house.is_in_use(dir);
        let Some(now) = now.or_else(|| (!in_use).then(clock::now)) else { return Ok(()) };
        let mut over = self.over.get(dir).cloned();
        if over.is_none() && !in_use {
            over = expire::over(dir)?;
        }
        let Some(over) = over else { return expire::segments(dir, self.archive.as_ref(), &house, now) };
        if over.is_due(&house, now) {
            let deleted = expire::session(dir, &over, self.archive.as_ref(), now, house.stopping());
            // Also where some of it could not be removed: under its name it is gone.
            if !dir.exists() {
                house.durable.forget(dir);
                self.over.remove(dir);
            }
            deleted?;
        } else {
            self.over.insert(dir.to_owned(), over);
        }
        Ok(())
    }

    fn stop(&self) -> &AtomicBool {
        self.house.stopping()
    }

    fn say(&mut self, dir: &Path, result: io::Result<()>) {
        match result {
            Ok(()) => {
                self.said.remove(dir);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let text = error.to_string();
                if self.said.get(dir) != Some(&text) {
                    warn!("{} is not kept in order: {text}", dir.display());
                    self.said.insert(dir.to_owned(), text);
                }
            }
        }
    }
}
