//! What outlives the process: one log for each session, in a data directory that one process holds at a time.
//!
//! ```text
//! DATA/lock                                 held while a server runs
//! DATA/sessions/<name>/<k>/<first>.log      the k-th session of that name; segments by their first entry
//! DATA/sessions/<name>/<k>/snapshot-<n>     the session as it stood after entry n, to begin from
//! ```
//!
//! A session's name is its id where that is a plain file name, otherwise a hash of it; the log has the id. A closed session
//! stays as it is, and the next of the same id begins beside it.

pub(crate) mod entry;
pub(crate) mod journal;
pub(crate) mod kept;
pub(crate) mod log;
pub(crate) mod media;
pub(crate) mod place;
pub(crate) mod replay;
pub(crate) mod snapshot;

mod input;
mod record;

#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use mpac_wire::SessionId;
use sha2::{Digest, Sha256};
use tracing::warn;

use self::log::{Log, Torn};
use self::media::{Files, Media, sync_dir};
use self::replay::Replay;
use self::snapshot::Position;
use crate::error::Error;

/// What has to happen to an input before anybody hears what came of it (SRV-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Durability {
    /// It is on the disk: nothing that anybody was told is lost, whatever happens to the machine
    Fsync,
    /// The operating system has it: nothing is lost as long as the machine runs
    Os,
    /// Nothing: every session ends with the server
    None,
}

/// A data directory, locked.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    durability: Durability,
    /// Held until the process ends, however it ends.
    _lock: File,
}

/// The last session of a name.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Where it is, for people.
    pub(crate) dir: PathBuf,
}

impl Stored {
    /// The log, open for writing, and where it leads: from the newest snapshot that can be read, or from the beginning
    /// (REC-11). `None` when a crash left nothing that anybody was told of.
    ///
    /// # Errors
    /// When it is damaged, or an entry does not lead to what it led to.
    pub(crate) fn resume(&self, durability: Durability) -> Result<Option<(Log, Replay)>, Error> {
        let media = Files::new(self.dir.clone());
        if media.segments().map_err(|error| self.damaged(&error))?.is_empty() {
            return Ok(None);
        }
        let (mut replay, from) = self.snapshot().map_err(|error| self.damaged(&error))?;
        let mut follow = |entry| replay.follow(entry);
        let (log, torn) = Log::resume(Box::new(media), durability, from.as_ref(), &mut follow)
            .map_err(|damage| self.damaged(&damage))?;
        if let Some(Torn { segment, offset }) = torn {
            warn!(
                "{}: the end of {segment:020}.log, from byte {offset} on, was cut off: a write that a crash cut short, of \
                 which nobody was told",
                self.dir.display()
            );
        }
        Ok(Some((log, replay)))
    }

    /// A replay that begins where the newest snapshot ends.
    fn snapshot(&self) -> io::Result<(Replay, Option<Position>)> {
        for (path, saved) in snapshot::all(&self.dir)? {
            match saved.and_then(|saved| Ok((saved.load()?, saved))) {
                Ok((session, saved)) => {
                    return Ok((Replay::from(session, saved.program()), Some(saved.after().clone())));
                }
                Err(reason) => warn!("{} is passed over: {reason}", path.display()),
            }
        }
        Ok((Replay::default(), None))
    }

    fn damaged(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Damaged { path: self.dir.clone(), reason: reason.to_string() }
    }

    /// What it has in common with all sessions of its id.
    pub(crate) fn name(&self) -> Option<&str> {
        self.dir.parent()?.file_name()?.to_str()
    }
}

impl Store {
    /// Takes the directory, which is made where it is missing.
    ///
    /// # Errors
    /// When another process has it, or it cannot be used.
    pub(crate) fn open(dir: &Path, durability: Durability) -> Result<Self, Error> {
        let failed = |source| Error::DataDir { path: dir.to_owned(), source };
        private_dirs().create(dir.join("sessions")).map_err(failed)?;
        let lock = dir.join("lock");
        let mut file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::DataDirTaken { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // For people who wonder who holds it; the lock itself is the operating system's.
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        sync_dir(dir).map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), durability, _lock: file })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) const fn durability(&self) -> Durability {
        self.durability
    }

    /// Media for a new session of this id, beside those there were.
    pub(crate) fn begin(&self, id: &SessionId) -> io::Result<Files> {
        let of_name = self.dir.join("sessions").join(name(id));
        private_dirs().create(&of_name)?;
        let next = numbered(&of_name)?.last().map_or(1, |(k, _)| k + 1);
        let dir = of_name.join(next.to_string());
        private_dirs().create(&dir)?;
        for dir in [&of_name, &self.dir.join("sessions")] {
            sync_dir(dir)?;
        }
        Ok(Files::new(dir))
    }

    /// The last session of every name, in the order of their names.
    pub(crate) fn stored(&self) -> io::Result<Vec<Stored>> {
        let mut last = Vec::new();
        for of_name in names(&self.dir)? {
            last.extend(numbered(&of_name)?.pop().map(|(_, dir)| Stored { dir }));
        }
        Ok(last)
    }
}

/// What people write to each other is in there: where the system can, nobody else may look into what is made.
pub(crate) fn private_dirs() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true);
    builder
}

/// The directory of every session in a data directory, closed ones too: by name, and the oldest first.
pub(crate) fn sessions(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for of_name in names(dir)? {
        all.extend(numbered(&of_name)?.into_iter().map(|(_, dir)| dir));
    }
    Ok(all)
}

fn names(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir.join("sessions"))?;
    let mut names: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    names.retain(|name| name.is_dir());
    names.sort();
    Ok(names)
}

/// The sessions of one name with their numbers, in ascending order.
fn numbered(of_name: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(of_name)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        found.extend(number.map(|k: u64| (k, path)));
    }
    found.sort();
    Ok(found)
}

/// A file name on every system, and never the same for two ids.
pub(crate) fn name(id: &SessionId) -> String {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
    let id = id.as_str();
    if id.len() <= 100 && id.bytes().all(plain) && !id.starts_with("id-") {
        return id.to_owned();
    }
    let hash = Sha256::digest(id.as_bytes());
    format!("id-{}", hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>())
}
