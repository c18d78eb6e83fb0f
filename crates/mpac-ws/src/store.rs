//! What outlives the process: one log for each session, in a data directory that one process holds at a time.
//!
//! ```text
//! DATA/lock                                 held while a server runs
//! DATA/reserve                              room for closing cleanly when the disk is full
//! DATA/id.json                              which server it is of, the same in all its copies
//! DATA/control.json, control-token          how local commands reach the server; the former only while one runs
//! DATA/elsewhere.json                       only where another server has the sessions, or this follows one
//! DATA/above.json                           only where another server has had sessions: above which epochs they go on
//! DATA/before.json                          only where the server that had the sessions has not heard yet that it has not
//! DATA/aside/                               only in copies: sessions that went another way than those of the server
//! DATA/unmerged.json                        only after a commit was written beside a file that somebody had changed
//! DATA/files.json, files/                   only in copies: the shared files beside what was committed
//! DATA/sessions/<name>/<k>/<first>.log      the k-th session of that name; segments by their first entry
//! DATA/sessions/<name>/<k>/<first>.log.gz   the same, compressed, once snapshots are ahead of it
//! DATA/sessions/<name>/<k>/head             the first entry of the last segment
//! DATA/sessions/<name>/<k>/snapshot-<n>     the session as it stood after entry n, to begin from
//! DATA/sessions/<name>/<k>/base-<n>[.gz]    the same, where a segment begins behind it
//! DATA/sessions/<name>/<k>/begins           where what is kept begins, when that is not entry 1
//! DATA/sessions/<name>/<k>.damaged-<time>   what a repair was made from
//! DATA/sessions/<name>/<k>.deleted          that there was one, and was kept long enough
//! ```
//!
//! A session's name is its id where that is a plain file name, otherwise a hash of it; the log has the id. A closed session
//! stays as it is, and the next of the same id begins beside it.

pub(crate) mod base;
pub(crate) mod durable;
pub(crate) mod elsewhere;
pub(crate) mod entry;
pub(crate) mod fork;
pub(crate) mod house;
pub(crate) mod identity;
pub(crate) mod input;
pub(crate) mod journal;
pub(crate) mod kept;
pub(crate) mod log;
pub(crate) mod loose;
pub(crate) mod media;
pub(crate) mod meter;
pub(crate) mod owner;
pub(crate) mod place;
pub(crate) mod reading;
pub(crate) mod repair;
pub(crate) mod replay;
pub(crate) mod seal;
pub(crate) mod snapshot;
pub(crate) mod tail;
pub(crate) mod whole;

mod gzip;
mod keeper;
mod leftovers;
mod progress;
pub(crate) mod read;
pub(crate) mod record;
mod reserve;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod faulty;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use clap::ValueEnum;
use mpac_wire::SessionId;
use tracing::{info, warn};

use self::durable::Durable;
use self::house::House;
use self::keeper::Keeper;
use self::log::{Damage, Log, Torn};
use self::media::{Files, Media, sync_dir};
use self::progress::Progress;
use self::read::Found;
use self::reading::Reading;
use self::replay::Replay;
use self::reserve::Reserve;
use self::snapshot::Position;
use crate::cli::Settings;
use crate::cli::keeping::Keeping;
use crate::error::Error;
use crate::hex;

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
    house: Arc<House>,
    /// What keeps it in order, from the moment on that it may.
    keeper: OnceLock<Keeper>,
    wakes: Mutex<Option<Receiver<PathBuf>>>,
    archive: Option<PathBuf>,
    /// Held until the process ends, however it ends.
    _lock: File,
}

/// The last session of a name.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Where it is, for people.
    pub(crate) dir: PathBuf,
    /// What it has in common with the others of its directory, while a server runs.
    house: Option<Arc<House>>,
}

impl Stored {
    /// In that directory, of which no server runs here.
    pub(crate) const fn at(dir: PathBuf) -> Self {
        Self { dir, house: None }
    }

    /// The log, open for writing, and where it leads: from the newest snapshot that can be read, or from the beginning
    /// (REC-11). `None` when a crash left nothing that anybody was told of.
    ///
    /// # Errors
    /// When it is damaged, or an entry does not lead to what it led to.
    pub(crate) fn resume(&self, durability: Durability) -> Result<Option<(Log, Replay)>, Error> {
        self.go_on(durability).map_err(|damage| self.damaged(&damage))
    }

    /// The same, with what is wrong.
    ///
    /// # Errors
    /// As for [`resume`](Self::resume).
    pub(crate) fn go_on(&self, durability: Durability) -> Result<Option<(Log, Replay)>, Damage> {
        let media = match &self.house {
            Some(house) => Files::kept_by(self.dir.clone(), Arc::clone(house)),
            None => Files::new(self.dir.clone()),
        };
        if media.segments()?.is_empty() && media.head()?.is_none() && snapshot::listed(&self.dir)?.is_empty()
        {
            return Ok(None);
        }
        let (mut replay, from) = self.snapshot()?;
        let mut progress = Progress::new(&self.dir);
        let mut follow = |found: &Found<'_>, entry| {
            progress.count(found);
            replay.follow(entry).map(ControlFlow::Continue)
        };
        let (log, torn) = Log::resume(Box::new(media), durability, from.as_ref(), &mut follow)?;
        if let Some(Torn { segment, offset }) = torn {
            warn!(
                "{}: the end of {segment:020}.log, from byte {offset} on, was cut off: a write that a crash cut short, of \
                 which nobody was told",
                self.dir.display()
            );
        }
        let log = match &self.house {
            Some(house) => house.sized(log),
            None => log,
        };
        Ok(Some((log, replay)))
    }

    /// A replay that begins where the newest snapshot ends.
    pub(crate) fn snapshot(&self) -> Result<(Replay, Option<Position>), Damage> {
        for (path, saved) in snapshot::all(&self.dir)? {
            match saved.and_then(|saved| Ok((saved.load()?, saved))) {
                Ok((session, saved)) => {
                    return Ok((Replay::from(session, saved.program()), Some(saved.after().clone())));
                }
                Err(reason) => warn!("{} is passed over: {reason}", path.display()),
            }
        }
        let reading = Reading::open(&self.dir)?;
        let replay = reading.replay().map_err(io::Error::other)?;
        Ok((replay, reading.base().cloned()))
    }

    fn damaged(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Damaged {
            path: self.dir.clone(),
            reason: reason.to_string(),
            repair: repair_command(&self.dir),
        }
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
        leftovers::clear(dir).map_err(failed)?;
        let (keeper, wakes, archive, house) = (OnceLock::new(), Mutex::default(), None, Arc::default());
        Ok(Self { dir: dir.to_owned(), durability, house, keeper, wakes, archive, _lock: file })
    }

    /// Takes it for a server: with a reserve, and what [`look_after`](Self::look_after) needs.
    ///
    /// # Errors
    /// As for [`open`](Self::open); and when there is no room for the reserve.
    pub(crate) fn serving(dir: &Path, durability: Durability, keeping: &Keeping) -> Result<Self, Error> {
        let mut store = Self::open(dir, durability)?;
        let failed = |source| Error::NoReserve { path: dir.to_owned(), bytes: keeping.reserve_bytes, source };
        let reserve = Reserve::take(dir, keeping.reserve_bytes).map_err(failed)?;
        let (keeper, wakes) = mpsc::channel();
        let (keeper, segment, day) = (Some(keeper), keeping.segment_bytes, keeping.day_sec);
        store.house = Arc::new(House { reserve, keeper, segment, day, ..House::default() });
        store.wakes = Mutex::new(Some(wakes));
        store.archive.clone_from(&keeping.archive_dir);
        Ok(store)
    }

    /// Begins to keep it in order, once the sessions that go on have been read.
    pub(crate) fn look_after(&self) -> io::Result<()> {
        let wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(wakes) = wakes {
            let keeper = Keeper::start(&self.dir, self.archive.as_deref(), &self.house, wakes)?;
            // The wakes are there once.
            let _ = self.keeper.set(keeper);
        }
        Ok(())
    }

    /// Completes once the disk is full.
    pub(crate) async fn full(&self) {
        self.house.full().await;
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A log with segments of the size that was asked for.
    pub(crate) fn sized(&self, log: Log) -> Log {
        self.house.sized(log)
    }

    pub(crate) const fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn durable(&self) -> &Durable {
        &self.house.durable
    }

    /// Media for a new session of this id, beside those there were.
    pub(crate) fn begin(&self, id: &SessionId) -> io::Result<Files> {
        let of_name = self.dir.join("sessions").join(name(id));
        private_dirs().create(&of_name)?;
        let next = highest(&of_name)? + 1;
        let dir = of_name.join(next.to_string());
        // Before it can be found: nothing in it may be read before it is on the disk.
        self.durable().reached(&dir, 0);
        if let Err(error) = self.make(&dir) {
            self.durable().forget(&dir);
            return Err(error);
        }
        Ok(Files::kept_by(dir, Arc::clone(&self.house)))
    }

    /// Makes the directory of a session, under a name that lasts.
    fn make(&self, dir: &Path) -> io::Result<()> {
        private_dirs().create(dir)?;
        dir.parent().map_or(Ok(()), sync_dir)?;
        sync_dir(&self.dir.join("sessions"))
    }

    /// The last session of every name, in the order of their names.
    pub(crate) fn stored(&self) -> io::Result<Vec<Stored>> {
        let mut last = Vec::new();
        for of_name in names(&self.dir)? {
            let house = Some(Arc::clone(&self.house));
            last.extend(numbered(&of_name)?.pop().map(|(_, dir)| Stored { dir, house }));
        }
        Ok(last)
    }
}

/// Returns when no server has the data directory of these settings.
///
/// # Errors
/// When it cannot be used.
pub async fn wait_for(settings: &Settings) -> Result<(), Error> {
    let Some((dir, _)) = place::of(settings)? else { return Ok(()) };
    let failed = |source| Error::DataDir { path: dir.clone(), source };
    let Some(lock) =
        OpenOptions::new().write(true).open(dir.join("lock")).map(Some).or_else(missing).map_err(failed)?
    else {
        return Ok(());
    };
    if lock.try_lock().is_ok() {
        return Ok(());
    }
    info!("waiting for the server that has {}", dir.display());
    let waiting = tokio::task::spawn_blocking(move || lock.lock());
    waiting.await.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)
}

fn missing<T>(error: io::Error) -> io::Result<Option<T>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
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

pub(crate) fn names(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir.join("sessions"))?;
    let mut names: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    names.retain(|name| name.is_dir());
    names.sort();
    Ok(names)
}

/// The sessions of one name with their numbers, in ascending order.
pub(crate) fn numbered(of_name: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(of_name)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        found.extend(number.map(|k: u64| (k, path)));
    }
    found.sort();
    Ok(found)
}

/// What an operator types to see what can be done about a damaged session.
fn repair_command(dir: &Path) -> String {
    let part = |path: Option<&Path>| {
        path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
    };
    let (run, name) = (part(Some(dir)), part(dir.parent()));
    let data = dir.ancestors().nth(3).unwrap_or(dir);
    format!("mpac-ws repair --data-dir '{}' --session {name} --run {run} --dry-run", data.display())
}

/// The highest number that a session of a name ever had, as far as anything is left of it, and be it a note.
fn highest(of_name: &Path) -> io::Result<u64> {
    let mut highest = 0;
    for entry in fs::read_dir(of_name)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.split('.').next()?.parse().ok());
        highest = highest.max(number.unwrap_or_default());
    }
    Ok(highest)
}

/// A file name on every system, and never the same for two ids.
pub(crate) fn name(id: &SessionId) -> String {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
    let id = id.as_str();
    if id.len() <= 100 && id.bytes().all(plain) && !id.starts_with("id-") {
        return id.to_owned();
    }
    format!("id-{:.32}", hex::sha256(id))
}
