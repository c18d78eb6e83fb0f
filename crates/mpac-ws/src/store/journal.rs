//! The log as its session uses it: entries go in, and the wait is for the disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use mpac_core::{Coordinator, Record, Step};
use mpac_wire::SessionId;
use tokio::task::spawn_blocking;

use super::entry::{Entry, Happened, Unusable};
use super::kept::Kept;
use super::log::{Damage, Found, Log, Mark, NotAppended};
use super::replay::Replay;
use super::seal::Sealer;
use super::{Store, Stored};
use crate::signing::Signing;

/// Bytes of frames that a session which nobody has opened keeps in memory at the most.
const UNOPENED_BYTES: usize = 4 * 1024 * 1024;

/// Why a coordinator that failed is not made anew.
pub(crate) const NOT_MESSAGE: &str = "it would again, since what it failed on is not one message";

/// How a session keeps what happens to it.
#[derive(Debug)]
pub(crate) enum Journal {
    /// Not at all.
    Off,
    /// Nobody has opened it: what happens is written once somebody does, so that strangers cannot fill the disk (D-031).
    Unopened { begin: Begin, sealer: Option<Sealer>, waiting: Vec<Entry>, bytes: usize },
    /// In a log; entries wait for the end of the batch that they belong to.
    On { log: Box<Log>, waiting: Vec<Entry> },
    /// The log has failed.
    Failed,
}

/// Makes the log of a session on its opening.
#[derive(Clone)]
pub(crate) struct Begin(pub(crate) Arc<dyn Fn() -> std::io::Result<Log> + Send + Sync>);

impl Begin {
    /// In `store`, for the session of this id.
    pub(crate) fn of(store: &Arc<Store>, id: SessionId) -> Self {
        let store = Arc::clone(store);
        Self(Arc::new(move || {
            let log = store.sized(Log::create(Box::new(store.begin(&id)?), store.durability())?);
            Ok(log.reporting(store.durable()))
        }))
    }
}

impl std::fmt::Debug for Begin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Begin")
    }
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unkept {
    #[error("{0}")]
    Log(#[from] NotAppended),
    #[error("{0}")]
    Entry(#[from] Unusable),
    #[error("nobody has opened it, and too much was sent to it")]
    TooMuch,
    #[error("its writer has panicked")]
    Lost,
    #[error("what was noted does not lead to what it led to: {0}")]
    Unread(String),
    #[error("the coordinator failed: {0}")]
    Broken(&'static str),
}

impl Journal {
    /// A session that nobody has opened, with its first entry, and who seals its log.
    pub(crate) fn unopened(begin: Begin, sealer: Option<Sealer>, first: Entry) -> Self {
        Self::Unopened { begin, sealer, waiting: vec![first], bytes: 0 }
    }

    /// The log says now that this key takes the place of the one that seals it, if it is sealed at all.
    pub(crate) fn seal_with(&mut self, key: Arc<Signing>) {
        let sealer = match self {
            Self::Off | Self::Failed => None,
            Self::Unopened { sealer, .. } => sealer.as_mut(),
            Self::On { log, .. } => log.sealer(),
        };
        if let Some(sealer) = sealer {
            sealer.switch(key);
        }
    }

    /// Begins the log of a session that is open from the start. Blocks.
    pub(crate) fn begun(self) -> Result<Self, Unkept> {
        let Self::Unopened { begin, sealer, waiting, .. } = self else { return Ok(self) };
        let mut log = (begin.0)().map_err(NotAppended::from)?.sealed_by(sealer);
        log.append(&waiting)?;
        Ok(Self::on(log))
    }

    /// A session whose log is open.
    pub(crate) fn on(log: Log) -> Self {
        Self::On { log: Box::new(log), waiting: Vec::new() }
    }

    /// Whether sessions outlive the process.
    pub(crate) const fn is_on(&self) -> bool {
        matches!(self, Self::On { .. })
    }

    /// Whether nobody was told yet that there is such a session.
    pub(crate) const fn is_unopened(&self) -> bool {
        matches!(self, Self::Unopened { .. })
    }

    /// Whether a snapshot is to be taken now, so that a new segment can begin behind it.
    pub(crate) const fn is_full(&self) -> bool {
        matches!(self, Self::On { log, .. } if log.is_full())
    }

    /// Whether the disk was full: there is room for a farewell, and no more.
    pub(crate) fn is_short(&self) -> bool {
        matches!(self, Self::On { log, .. } if log.is_short())
    }

    /// Nothing more will be noted.
    pub(crate) async fn finish(self) {
        if let Self::On { log, .. } = self {
            // Everything in it is durable already; what is left is tidiness.
            let _ = spawn_blocking(move || log.finish()).await;
        }
    }

    /// Notes what happened and what came of it.
    pub(crate) fn note(&mut self, record: &Record, step: &Step) -> Result<(), Unkept> {
        let waiting = match self {
            Self::Off => return Ok(()),
            Self::Failed => return Err(Unkept::Lost),
            Self::On { waiting, .. } => waiting,
            Self::Unopened { waiting, bytes, .. } => {
                *bytes += size(record);
                if *bytes > UNOPENED_BYTES {
                    return Err(Unkept::TooMuch);
                }
                waiting
            }
        };
        waiting.push(Entry::Input(Happened::new(record, step.digest())?));
        Ok(())
    }

    /// The session as all that was noted leads to it, on the disk or not. `None` where nothing is.
    ///
    /// # Errors
    /// When the log cannot be read, or does not lead to what it led to.
    pub(crate) async fn relived(&mut self) -> Result<Option<(Coordinator, Kept)>, Unkept> {
        match std::mem::replace(self, Self::Failed) {
            Self::On { log, waiting } => {
                let asked = spawn_blocking(move || (relive(&log, &waiting), log, waiting)).await;
                // It has failed again, on what it did not fail on before.
                let (session, log, waiting) = asked.map_err(|_| Unkept::Broken(NOT_MESSAGE))?;
                *self = Self::On { log, waiting };
                session
            }
            Self::Unopened { begin, sealer, waiting, bytes } => {
                let session = go_on(Replay::default(), &waiting);
                *self = Self::Unopened { begin, sealer, waiting, bytes };
                session
            }
            as_before => {
                *self = as_before;
                Ok(None)
            }
        }
    }

    /// Where its log is, for a snapshot of what was after its last entry.
    pub(crate) async fn position(&mut self) -> Result<Option<Mark>, Unkept> {
        match std::mem::replace(self, Self::Failed) {
            Self::On { mut log, waiting } => {
                let asked = spawn_blocking(move || log.position().map(|position| (log, position))).await;
                let (log, position) = asked.map_err(|_| Unkept::Lost)??;
                *self = Self::On { log, waiting };
                Ok(position)
            }
            as_before => {
                *self = as_before;
                Ok(None)
            }
        }
    }

    /// Returns once everything noted is as durable as was asked for: then, and not before, its outputs may be seen (SRV-13).
    /// What happens before a session is `open` is kept for later, and is as good as not durable: it promises nothing.
    pub(crate) async fn settle(&mut self, open: bool) -> Result<(), Unkept> {
        match std::mem::replace(self, Self::Failed) {
            Self::On { log, waiting } if !waiting.is_empty() => {
                *self = written(move || Ok(*log), waiting).await?;
            }
            Self::Unopened { begin, sealer, waiting, .. } if open => {
                let begin = move || Ok((begin.0)().map_err(NotAppended::from)?.sealed_by(sealer));
                *self = written(begin, waiting).await?;
            }
            as_before => *self = as_before,
        }
        Ok(())
    }
}

/// From the newest snapshot beside it on, or from its beginning, to the last that waits.
fn relive(log: &Log, waiting: &[Entry]) -> Result<Option<(Coordinator, Kept)>, Unkept> {
    let unread = |damage: Damage| Unkept::Unread(damage.to_string());
    let (mut replay, from) = match log.dir() {
        Some(dir) => Stored::at(dir).snapshot().map_err(unread)?,
        None => (Replay::default(), None),
    };
    let mut follow = |_: &Found<'_>, entry| replay.follow(entry).map(ControlFlow::Continue);
    log.follow(from.as_ref(), &mut follow).map_err(unread)?;
    go_on(replay, waiting)
}

fn go_on(mut replay: Replay, entries: &[Entry]) -> Result<Option<(Coordinator, Kept)>, Unkept> {
    entries.iter().try_for_each(|entry| replay.follow(entry.clone())).map_err(Unkept::Unread)?;
    Ok(replay.into_session())
}

async fn written(
    log: impl FnOnce() -> Result<Log, Unkept> + Send + 'static,
    waiting: Vec<Entry>,
) -> Result<Journal, Unkept> {
    let write = move || -> Result<Journal, Unkept> {
        let mut log = log()?;
        log.append(&waiting)?;
        Ok(Journal::on(log))
    };
    spawn_blocking(write).await.map_err(|_| Unkept::Lost)?
}

fn size(record: &Record) -> usize {
    // An entry costs more than its text, most of all where there is none.
    const ENTRY: usize = 512;
    ENTRY
        + match &record.input {
            mpac_core::Input::Frame { text, .. } => text.len(),
            _ => 0,
        }
}
