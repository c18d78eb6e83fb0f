//! The server's side: what is on its disk, sent to one follower.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures::{Sink, Stream, StreamExt};
use mpac_wire::{Content, Seconds};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::hub::{Hub, Phase};
use super::wire::{Ended, Wire, json};
use super::{Down, Follower, Has, Place, Table, Up, VERSION};
use crate::fencing;
use crate::store::durable::Durable;
use crate::store::log::Damage;
use crate::store::snapshot::Position;
use crate::store::tail::{Records, Tail};
use crate::store::{self, base, identity, reading};
use crate::workspace::Workspace;

/// Bytes of records in one frame, about.
const PIECE: usize = 256 * 1024;
/// Something is said at least this often.
const PULSE: Duration = Duration::from_millis(250);

/// What there is to follow.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) data: PathBuf,
    pub(crate) durable: Durable,
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) heartbeat_interval: Seconds,
    pub(crate) hub: Hub,
}

impl Source {
    /// How far the sessions are that were written to since the start.
    pub(crate) fn ends(&self) -> Ends {
        self.durable.all().into_iter().filter_map(|(dir, n)| Some((Place::of(&dir)?, n))).collect()
    }
}

/// Sends until the follower is gone or the server is over.
pub(crate) async fn run(socket: WebSocket, source: Source) {
    let (sink, stream) = socket.split();
    match Sending::new(source, Wire::new(sink, stream)).run().await {
        Ok(()) | Err(Ended::Gone) => {}
        Err(reason @ (Ended::Failed(_) | Ended::Unread(_))) => warn!("a follower is let go: {reason}"),
    }
}

struct Sending<O, I> {
    source: Source,
    wire: Wire<O, I>,
    tails: BTreeMap<Place, Tail>,
    /// How far each session was sent.
    ends: Ends,
    /// Those that cannot be read here.
    damaged: BTreeSet<Place>,
}

/// How far each session is.
pub(crate) type Ends = BTreeMap<Place, u64>;

impl<O, I, E> Sending<O, I>
where
    O: Sink<Message, Error: Display> + Unpin,
    I: Stream<Item = Result<Message, E>> + Unpin,
{
    const fn new(source: Source, wire: Wire<O, I>) -> Self {
        Self { source, wire, tails: BTreeMap::new(), ends: Ends::new(), damaged: BTreeSet::new() }
    }

    async fn run(mut self) -> Result<(), Ended> {
        let Some((number, has)) = self.greet().await? else { return Ok(()) };
        let mut has: BTreeMap<Place, Position> = has.into_iter().map(|it| (it.of, it.at)).collect();
        let mut phases = self.source.hub.phases();
        let mut changes = self.source.durable.changes();
        // The closed ones once; whatever is written to is known without looking for it.
        let data = self.source.data.clone();
        self.send_all(blocking(move || store::sessions(&data)).await?, &mut has).await?;
        let mut said: Option<Instant> = None;
        loop {
            changes.borrow_and_update();
            let phase = phases.borrow_and_update().clone();
            self.send_all(self.source.durable.all().into_keys().collect(), &mut has).await?;
            let is_ended = phase == Phase::Ended;
            match phase {
                Phase::Serving if said.is_some_and(|said| said.elapsed() < PULSE) => {}
                Phase::Serving => {
                    self.wire.say(&Down::Standing { at: table(&self.ends) }).await?;
                    said = Some(Instant::now());
                }
                // What was read after that was the last there will be.
                Phase::Ended => {
                    self.wire.say(&Down::Ended { at: table(&self.ends) }).await?;
                    self.wire.compare(&self.ends);
                }
                Phase::Released { to, server, epochs } if to == number => {
                    let beside = self.source.hub.beside(&server);
                    self.wire.say(&Down::Released { epochs, beside }).await?;
                    return self.wire.finish().await;
                }
                Phase::Released { server, .. } | Phase::Elsewhere { server } => {
                    self.wire.say(&Down::Elsewhere { server }).await?;
                    return self.wire.finish().await;
                }
                Phase::Over => return self.wire.finish().await,
            }
            let pulse = tokio::time::sleep(PULSE);
            tokio::pin!(pulse);
            loop {
                tokio::select! {
                    _ = phases.changed() => break,
                    _ = changes.changed() => break,
                    () = &mut pulse => break,
                    acknowledged = self.wire.acknowledged() => {
                        acknowledged?;
                        // Where the end came only now, more may have been written than was sent.
                        if is_ended {
                            self.wire.compare(&self.ends);
                        }
                    }
                }
            }
        }
    }

    /// Its number, what it has, and the files it lacks. `None` for one that is sent away.
    async fn greet(&mut self) -> Result<Option<(u64, Vec<Has>)>, Ended> {
        let Up::Hello { version, role, id, has, contents } = self.wire.hello().await? else {
            return Err(Ended::Failed("it did not say what it has".to_owned()));
        };
        let own = identity::of(&self.source.data)?;
        if version != VERSION || id.as_ref().is_some_and(|id| *id != own) {
            let reason = if version == VERSION {
                "the directory is a copy of another server; use an empty one"
            } else {
                "one of the two is of another version"
            };
            return self.refuse(reason.to_owned()).await;
        }
        let before = match &role {
            Follower::Standby { .. } => fencing::pending(&self.source.data)?,
            Follower::Backup => Vec::new(),
        };
        let attached = match self.source.hub.attach(role) {
            Ok(attached) => attached,
            Err(reason) => return self.refuse(reason).await,
        };
        let number = attached.number;
        self.wire.belongs_to(attached);
        self.wire
            .say(&Down::Server {
                version: VERSION,
                id: own,
                program: crate::PROGRAM.to_owned(),
                heartbeat_interval_us: self.source.heartbeat_interval.micros(),
                before,
            })
            .await?;
        self.files(&contents).await?;
        Ok(Some((number, has)))
    }

    async fn refuse<T>(&mut self, reason: String) -> Result<Option<T>, Ended> {
        self.wire.say(&Down::Refused { reason }).await?;
        self.wire.finish().await?;
        Ok(None)
    }

    async fn files(&mut self, has: &BTreeSet<String>) -> Result<(), Ended> {
        let workspace = Arc::clone(&self.source.workspace);
        let mut sent = has.clone();
        for (_, file) in workspace.files() {
            if sent.insert(base::key(&file.state_ref)) {
                self.wire.say(&Down::Content { content: Content::from(&*file.content) }).await?;
            }
        }
        self.wire.say(&Down::Files { names: workspace.refs() }).await
    }

    /// Sends what is new in these sessions. One that cannot be read keeps the others from nobody.
    async fn send_all(
        &mut self,
        dirs: Vec<PathBuf>,
        has: &mut BTreeMap<Place, Position>,
    ) -> Result<(), Ended> {
        for dir in dirs {
            let Some(of) = Place::of(&dir).filter(|of| !self.damaged.contains(of)) else { continue };
            match self.send_new(&of, &dir, has).await {
                // Deleted meanwhile, because of its age, or only about to be made.
                Err(Ended::Unread(_)) if is_missing(&dir) => {}
                Err(Ended::Unread(reason)) => self.damaged(of, &dir, reason).await?,
                sent => sent?,
            }
        }
        Ok(())
    }

    async fn send_new(
        &mut self,
        of: &Place,
        dir: &Path,
        has: &mut BTreeMap<Place, Position>,
    ) -> Result<(), Ended> {
        let limit = self.source.durable.of(dir);
        let tail = match self.tails.remove(of) {
            Some(tail) => tail,
            None => self.begin(of, dir, has.remove(of), limit).await?,
        };
        let (tail, end) = self.session(of, tail, limit).await?;
        if end > 0 {
            self.ends.insert(of.clone(), end);
        }
        self.tails.insert(of.clone(), tail);
        Ok(())
    }

    /// Behind what the follower has, if that is the same log; otherwise from its beginning.
    async fn begin(
        &mut self,
        of: &Place,
        dir: &Path,
        has: Option<Position>,
        limit: Option<u64>,
    ) -> Result<Tail, Ended> {
        let owned = dir.to_owned();
        let found = self.read(move || match has {
            Some(has) => Tail::behind(&owned, &has, limit),
            None => Ok(None),
        });
        let found = found.await?;
        if let Some(tail) = found {
            self.wire.has(of.clone(), tail.at().n);
            return Ok(tail);
        }
        let owned = dir.to_owned();
        let (tail, from) = blocking(move || {
            let tail = Tail::from_the_first(&owned)?;
            let from = reading::origin(&owned, tail.at().n)?;
            Ok((tail, from))
        })
        .await?;
        let behind = tail.at().n;
        let backlog = limit.unwrap_or_default().saturating_sub(behind);
        self.wire.say(&Down::Anew { of: of.clone(), behind, from, backlog }).await?;
        Ok(tail)
    }

    async fn session(
        &mut self,
        of: &Place,
        mut tail: Tail,
        limit: Option<u64>,
    ) -> Result<(Tail, u64), Ended> {
        // Without this most looks around would read the disk for nothing.
        while limit.is_none_or(|limit| tail.at().n < limit) {
            let (back, records) = blocking(move || {
                let records = tail.read(limit, PIECE)?;
                Ok((tail, records))
            })
            .await?;
            tail = back;
            if records == Records::default() {
                break;
            }
            let mut frame = json(&Down::Records { of: of.clone() })?.into_bytes();
            frame.push(b'\n');
            frame.extend_from_slice(&records.bytes);
            self.wire.send(Message::Binary(frame.into())).await?;
        }
        tail.pause();
        let end = tail.at().n;
        Ok((tail, end))
    }

    /// What is read from the disk, however long that takes: the follower hears meanwhile that somebody is there.
    async fn read<T: Send + 'static>(
        &mut self,
        read: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Ended> {
        let reading = blocking(read);
        tokio::pin!(reading);
        loop {
            match timeout(PULSE, &mut reading).await {
                Ok(read) => return read,
                Err(_) => self.wire.is_there().await?,
            }
        }
    }

    /// The others can be followed all the same.
    async fn damaged(&mut self, of: Place, dir: &Path, reason: io::Error) -> Result<(), Ended> {
        if let Some(limit) = self.source.durable.of(dir) {
            // Old parts are packed and deleted meanwhile; and what the system refuses now may be as good as it was.
            let owned = dir.to_owned();
            let is_damaged = match self.read(move || read_through(&owned, limit)).await {
                Err(Ended::Unread(again)) => !Damage::Io(again).is_of_the_system(),
                Err(ended) => return Err(ended),
                Ok(()) => false,
            };
            if !is_damaged {
                return Err(Ended::Failed(format!("{}: {reason}", dir.display())));
            }
            self.wire.lacks(of.clone());
        }
        warn!("{}: it cannot be followed: {reason}", dir.display());
        self.damaged.insert(of.clone());
        self.wire.say(&Down::Damaged { of, reason: reason.to_string() }).await
    }
}

/// Whether all of it can be read.
fn read_through(dir: &Path, limit: u64) -> io::Result<()> {
    let mut tail = Tail::from_the_first(dir)?;
    reading::origin(dir, tail.at().n)?;
    while tail.read(Some(limit), PIECE)? != Records::default() {}
    Ok(())
}

/// Not where that cannot be found out.
fn is_missing(dir: &Path) -> bool {
    matches!(dir.try_exists(), Ok(false))
}

fn table(ends: &Ends) -> Table {
    ends.iter().map(|(of, n)| (of.to_string(), *n)).collect()
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Ended> {
    spawn_blocking(read).await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(Ended::Unread)
}

#[cfg(test)]
mod tests;
