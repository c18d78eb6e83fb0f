//! One session of another server, as far as it came: its log on our disk, and the session itself, lived through.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::warn;

use crate::store::log::raw::NotTaken;
use crate::store::log::{Damage, Log};
use crate::store::media::{Files, sync_dir};
use crate::store::replay::Replay;
use crate::store::snapshot::{Position, Saved};
use crate::store::{Durability, Stored, private_dirs, whole};

/// Between two snapshots, so that a start from here has little to live through again.
const SNAPSHOT: Duration = Duration::from_secs(5);

/// A log that grows, and where it leads.
#[derive(Debug)]
pub(crate) struct Replica {
    dir: PathBuf,
    /// Where it is to be once it has caught up: until then nothing is synced, and nothing of it counts.
    home: Option<PathBuf>,
    log: Log,
    replay: Replay,
    /// Entries up to here are in the snapshot that it began from.
    known: u64,
    saved: Instant,
    changed: bool,
}

/// Why a copy cannot go on.
#[derive(Debug, Error)]
pub(crate) enum Failed {
    /// On the way something was lost: another connection may do better.
    #[error("{0}")]
    Transit(String),
    /// This cannot be followed, however often it is tried.
    #[error("{0}")]
    Fault(String),
    #[error("the copy cannot be written: {0}")]
    Disk(#[from] io::Error),
}

impl Replica {
    /// What is there from before. `None` where nothing is.
    ///
    /// # Errors
    /// When it is damaged, or cannot be read.
    pub(crate) fn there(dir: &Path) -> Result<Option<Self>, Damage> {
        let resumed = Stored::at(dir.to_owned()).go_on(Durability::Fsync)?;
        let Some((log, replay)) = resumed else { return Ok(None) };
        let known = log.end().n;
        let mut there = Self::new(dir.to_owned(), None, (log, replay, known));
        there.rest_if_closed();
        Ok(Some(there))
    }

    /// One that begins, in a directory that is made: behind entry `behind`, from the session as these files have it.
    /// With a `home` it goes there later.
    pub(crate) fn anew(
        dir: PathBuf,
        home: Option<PathBuf>,
        (behind, from): (u64, Vec<(String, String)>),
    ) -> Result<Self, Failed> {
        private_dirs().create(&dir)?;
        lasts(&dir)?;
        let (mut replay, mut known) = (Replay::default(), 0);
        for (name, text) in &from {
            let is_ours = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !is_ours {
                return Err(Failed::Fault("a snapshot came under a strange name".to_owned()));
            }
            whole::write(&dir, name, text.as_bytes())?;
        }
        if !from.is_empty() {
            let (session, at) = Stored::at(dir.clone()).snapshot().map_err(io::Error::other)?;
            let at = at.ok_or_else(|| Failed::Transit("a snapshot came damaged".to_owned()))?;
            (replay, known) = (session, at.n);
        }
        let durability = if home.is_some() { Durability::Os } else { Durability::Fsync };
        let log = Log::create_behind(Box::new(Files::new(dir.clone())), durability, behind)?;
        Ok(Self::new(dir, home, (log, replay, known)))
    }

    fn new(dir: PathBuf, home: Option<PathBuf>, (log, replay, known): (Log, Replay, u64)) -> Self {
        Self { dir, home, log, replay, known, saved: Instant::now(), changed: false }
    }

    pub(crate) fn end(&self) -> Position {
        self.log.end()
    }

    /// Whether what it has counts.
    pub(crate) const fn is_home(&self) -> bool {
        self.home.is_none()
    }

    pub(crate) const fn replay(&self) -> &Replay {
        &self.replay
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.replay.session().is_some_and(|(core, _)| core.view().is_closed())
    }

    /// Adds records; what they led to there they have to lead to here (REC-14).
    pub(crate) fn take(&mut self, records: &[u8]) -> Result<(), Failed> {
        self.changed = true;
        let (mut n, known, replay) = (self.log.end().n, self.known, &mut self.replay);
        let taken = self.log.take(records, &mut |entry| {
            n += 1;
            if n <= known { Ok(()) } else { replay.follow(entry) }
        });
        taken.map_err(|error| match error {
            NotTaken::Checksum(_) | NotTaken::Chain(_) => {
                Failed::Transit(format!("{}: {error}", self.dir.display()))
            }
            NotTaken::Form(..) | NotTaken::Refused(..) => {
                Failed::Fault(format!("{}: {error}", self.dir.display()))
            }
            NotTaken::Log(error) => io::Error::other(error.to_string()).into(),
        })?;
        self.rest_if_closed();
        Ok(())
    }

    /// Nothing more is to come of a closed one, and of those there are more and more.
    fn rest_if_closed(&mut self) {
        if self.is_closed() {
            self.log.rest();
        }
    }

    /// It has caught up with what its server had: from here on what it has counts. Room is made for it once it lasts.
    pub(crate) fn come_home(&mut self, make_room: impl FnOnce() -> io::Result<()>) -> Result<(), Failed> {
        let Some(home) = self.home.take() else { return Ok(()) };
        self.log.position().map_err(|error| io::Error::other(error.to_string()))?;
        sync_dir(&self.dir)?;
        if let Some(above) = home.parent() {
            private_dirs().create(above)?;
            make_room()?;
            fs::rename(&self.dir, &home)?;
            lasts(&home)?;
        }
        self.log.moved(Files::new(home.clone()), Durability::Fsync)?;
        self.dir = home;
        self.save();
        self.rest_if_closed();
        Ok(())
    }

    /// Writes the session down as a whole, where that is due.
    pub(crate) fn save_if_due(&mut self) {
        if self.changed && self.is_home() && self.saved.elapsed() >= SNAPSHOT {
            self.save();
        }
    }

    /// Writes it down now. Without a snapshot a start takes longer; nothing is lost.
    pub(crate) fn save(&mut self) {
        let Some((core, kept)) = self.replay.session().filter(|_| self.changed && self.is_home()) else {
            return;
        };
        let written = self.log.position().map_err(|error| error.to_string()).and_then(|mark| {
            let Some(mark) = mark else { return Ok(()) };
            let saved =
                Saved::new(mark.after, core, kept).and_then(|saved| saved.write(&self.dir, mark.begins));
            saved.map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            warn!("{}: no snapshot, so a start from here takes longer: {error}", self.dir.display());
        }
        (self.saved, self.changed) = (Instant::now(), false);
        self.rest_if_closed();
    }
}

/// Makes the names last that lead to a session's directory, up to that of the data directory, before its server hears that
/// anything in it is on the disk.
fn lasts(dir: &Path) -> io::Result<()> {
    dir.ancestors().skip(1).take(3).try_for_each(sync_dir)
}
