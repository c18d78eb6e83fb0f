//! The server's side: what is on its disk, sent to one follower.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures::{Sink, SinkExt, Stream, StreamExt};
use mpac_wire::{Content, Seconds};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::hub::{Attached, Hub, Phase};
use super::{Down, Has, Place, Table, Up, VERSION};
use crate::store::durable::Durable;
use crate::store::snapshot::Position;
use crate::store::tail::{Records, Tail};
use crate::store::{self, base, identity, reading};
use crate::workspace::Workspace;

/// Bytes of records in one frame, about.
const PIECE: usize = 256 * 1024;
/// Something is said at least this often.
const PULSE: Duration = Duration::from_millis(250);
/// For a follower to take a frame. One that is stopped must not keep its place for ever.
const STUCK: Duration = Duration::from_secs(60);

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

/// Why nothing more is sent.
type Ended = String;

/// Sends until the follower is gone or the server is over.
pub(crate) async fn run(socket: WebSocket, source: Source) {
    let (sink, stream) = socket.split();
    if let Err(reason) = Sending::new(source, sink, stream).run().await {
        warn!("a follower is let go: {reason}");
    }
}

struct Sending<O, I> {
    source: Source,
    sink: O,
    stream: I,
    tails: BTreeMap<Place, Tail>,
    /// How far each session was sent.
    ends: Ends,
    /// Whether anything can be said still.
    is_open: bool,
}

/// How far each session is.
pub(crate) type Ends = BTreeMap<Place, u64>;

impl<O, I, E> Sending<O, I>
where
    O: Sink<Message, Error: Display> + Unpin,
    I: Stream<Item = Result<Message, E>> + Unpin,
{
    const fn new(source: Source, sink: O, stream: I) -> Self {
        Self { source, sink, stream, tails: BTreeMap::new(), ends: Ends::new(), is_open: true }
    }

    async fn run(mut self) -> Result<(), Ended> {
        let Some((attached, has)) = self.greet().await? else { return Ok(()) };
        let mut has: BTreeMap<Place, Position> = has.into_iter().map(|it| (it.of, it.at)).collect();
        let mut phases = self.source.hub.phases();
        let mut changes = self.source.durable.changes();
        // The closed ones once; whatever is written to is known without looking for it.
        let data = self.source.data.clone();
        for dir in blocking(move || store::sessions(&data)).await? {
            let is_written = self.source.durable.of(&dir).is_some();
            match self.send_all(vec![dir.clone()], &mut has).await {
                Err(reason) if !is_written && self.is_open => self.damaged(&dir, reason).await?,
                sent => sent?,
            }
        }
        let mut said: Option<Instant> = None;
        loop {
            changes.borrow_and_update();
            let phase = phases.borrow_and_update().clone();
            self.send_all(self.source.durable.all().into_keys().collect(), &mut has).await?;
            let is_ended = phase == Phase::Ended;
            match phase {
                Phase::Serving if said.is_some_and(|said| said.elapsed() < PULSE) => {}
                Phase::Serving => {
                    self.say(&Down::Standing { at: table(&self.ends) }).await?;
                    said = Some(Instant::now());
                }
                // What was read after that was the last there will be.
                Phase::Ended => {
                    self.say(&Down::Ended { at: table(&self.ends) }).await?;
                    attached.has_all(&self.ends);
                }
                Phase::Released { to, epochs, .. } if to == attached.number => {
                    self.say(&Down::Released { epochs }).await?;
                    return self.finish().await;
                }
                Phase::Released { server, .. } | Phase::Elsewhere { server } => {
                    self.say(&Down::Elsewhere { server }).await?;
                    return self.finish().await;
                }
                Phase::Over => return self.finish().await,
            }
            let pulse = tokio::time::sleep(PULSE);
            tokio::pin!(pulse);
            loop {
                tokio::select! {
                    _ = phases.changed() => break,
                    _ = changes.changed() => break,
                    () = &mut pulse => break,
                    said = self.stream.next() => {
                        let Some(up) = heard(said)? else { return Ok(()) };
                        if let Up::Ack { of, n } = up {
                            attached.acknowledged(of, n);
                        }
                        // Where the end came only now, more may have been written than was sent.
                        if is_ended {
                            attached.has_all(&self.ends);
                        }
                    }
                }
            }
        }
    }

    /// Who it is, what it has, and the files it lacks. `None` for one that goes away, or is sent away.
    async fn greet(&mut self) -> Result<Option<(Attached, Vec<Has>)>, Ended> {
        let hello = timeout(STUCK, self.stream.next()).await.map_err(|_| "it says nothing".to_owned())?;
        let Some(hello) = heard(hello)? else { return Ok(None) };
        let Up::Hello { version, role, id, has, contents } = hello else {
            return Err("it did not say what it has".to_owned());
        };
        let own = identity::of(&self.source.data).map_err(|error| error.to_string())?;
        if version != VERSION || id.as_ref().is_some_and(|id| *id != own) {
            let reason = if version == VERSION {
                "the directory is a copy of another server; use an empty one"
            } else {
                "one of the two is of another version"
            };
            self.say(&Down::Refused { reason: reason.to_owned() }).await?;
            self.finish().await?;
            return Ok(None);
        }
        let attached = self.source.hub.attach(role);
        self.say(&Down::Server {
            version: VERSION,
            id: own,
            program: crate::PROGRAM.to_owned(),
            heartbeat_interval_us: self.source.heartbeat_interval.micros(),
        })
        .await?;
        self.files(&contents).await?;
        Ok(Some((attached, has)))
    }

    async fn files(&mut self, has: &BTreeSet<String>) -> Result<(), Ended> {
        let workspace = Arc::clone(&self.source.workspace);
        let mut sent = has.clone();
        for (_, file) in workspace.files() {
            if sent.insert(base::key(&file.state_ref)) {
                self.say(&Down::Content { content: Content::from(&*file.content) }).await?;
            }
        }
        self.say(&Down::Files { names: workspace.refs() }).await
    }

    /// Sends what is new in these sessions.
    async fn send_all(
        &mut self,
        dirs: Vec<PathBuf>,
        has: &mut BTreeMap<Place, Position>,
    ) -> Result<(), Ended> {
        for dir in dirs {
            let Some(of) = Place::of(&dir) else { continue };
            match self.send_new(of, &dir, has).await {
                // Deleted meanwhile, because of its age, or only about to be made.
                Err(_) if self.is_open && is_missing(&dir) => {}
                sent => sent?,
            }
        }
        Ok(())
    }

    async fn send_new(
        &mut self,
        of: Place,
        dir: &Path,
        has: &mut BTreeMap<Place, Position>,
    ) -> Result<(), Ended> {
        let limit = self.source.durable.of(dir);
        let tail = match self.tails.remove(&of) {
            Some(tail) => tail,
            None => self.begin(&of, dir, has.remove(&of), limit).await?,
        };
        let (tail, end) = self.session(&of, tail, limit).await?;
        if end > 0 {
            self.ends.insert(of.clone(), end);
        }
        self.tails.insert(of, tail);
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
        let found = blocking(move || match has {
            Some(has) => Tail::behind(&owned, &has, limit),
            None => Ok(None),
        })
        .await?;
        if let Some(tail) = found {
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
        self.say(&Down::Anew { of: of.clone(), behind, from, backlog }).await?;
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
            self.send(Message::Binary(frame.into())).await?;
        }
        let end = tail.at().n;
        Ok((tail, end))
    }

    /// The others can be followed all the same.
    async fn damaged(&mut self, dir: &Path, reason: Ended) -> Result<(), Ended> {
        let Some(of) = Place::of(dir) else { return Ok(()) };
        warn!("{}: it cannot be followed: {reason}", dir.display());
        self.say(&Down::Damaged { of, reason }).await
    }

    async fn say(&mut self, down: &Down) -> Result<(), Ended> {
        let text = json(down)?;
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        let sent = match timeout(STUCK, self.sink.send(message)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("it takes nothing".to_owned()),
        };
        self.is_open &= sent.is_ok();
        sent
    }

    /// Says goodbye, and waits until the follower has heard everything.
    async fn finish(&mut self) -> Result<(), Ended> {
        self.send(Message::Close(None)).await?;
        while let Ok(Some(Ok(_))) = timeout(STUCK, self.stream.next()).await {}
        Ok(())
    }
}

/// Not where that cannot be found out.
fn is_missing(dir: &Path) -> bool {
    matches!(dir.try_exists(), Ok(false))
}

fn table(ends: &Ends) -> Table {
    ends.iter().map(|(of, n)| (of.to_string(), *n)).collect()
}

fn json(down: &Down) -> Result<String, Ended> {
    serde_json::to_string(down).map_err(|error| error.to_string())
}

/// `None` when it is gone.
fn heard<E>(said: Option<Result<Message, E>>) -> Result<Option<Up>, Ended> {
    match said {
        Some(Ok(Message::Text(text))) => {
            serde_json::from_str(&text).map(Some).map_err(|error| format!("it speaks another way: {error}"))
        }
        Some(Ok(Message::Close(_)) | Err(_)) | None => Ok(None),
        Some(Ok(_)) => Err("it speaks another way".to_owned()),
    }
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Ended> {
    match spawn_blocking(read).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
