//! From a path to the task of its session.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use mpac_core::ConnId;
use mpac_wire::SessionId;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::banner::DEFAULT_SESSION;
use crate::cli::Settings;
use crate::error::{Error as StartError, Unwritten};
use crate::outbox::Outbox;
use crate::session::{Inbound, Template};
use crate::socket::{Frame, Link};
use crate::workspace::Workspace;

/// Inputs that may wait for one session; then its connections are read no faster than it works.
const INBOX: usize = 1024;
/// The same in bytes of frames, which differ more than their number.
const INBOX_BYTES: usize = 16 * 1024 * 1024;

/// Every session of this server.
///
/// With `--multi-session` a connection to an unknown id gets a task that is not in anybody's way: it answers, but the session
/// is open only from the first HELLO it accepts, and a task that never got one ends with its last connection (D-031). Only
/// the task knows when that is, so it alone takes itself out of here ([`Tenancy`]).
#[derive(Debug)]
pub(crate) struct Registry {
    multi_session: bool,
    /// The id where the path names none.
    session: String,
    template: Template,
    places: Arc<Semaphore>,
    connections: AtomicU64,
    sessions: Arc<Mutex<Sessions>>,
}

#[derive(Debug, Default)]
struct Sessions {
    stopping: bool,
    by_id: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    inbox: mpsc::Sender<Inbound>,
    /// Bytes that may still wait in the inbox.
    room: Arc<Semaphore>,
    task: JoinHandle<Vec<Unwritten>>,
    /// Seats given out whose end the task has not worked off yet.
    connections: usize,
}

/// Why a connection belongs to no session; the text is the reason of its close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    #[error("this server has many sessions: connect to /session/<id>")]
    NoSession,
    #[error("the server is stopping")]
    Stopping,
    #[error("internal fault: this session has failed; the server's operator has to restart it")]
    Failed,
}

impl Refused {
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::NoSession => 4004,
            Self::Stopping => 1001,
            Self::Failed => 1011,
        }
    }
}

impl Registry {
    /// With the configured session, if there is one: the only one, unless `--multi-session` is given.
    ///
    /// # Errors
    /// When the core refuses the configuration, whether or not a session is opened at once.
    pub(crate) fn open(settings: &Settings, workspace: Workspace) -> Result<Self, StartError> {
        let registry = Self {
            multi_session: settings.multi_session,
            session: settings.session.clone().unwrap_or_else(|| DEFAULT_SESSION.to_owned()),
            template: Template::new(settings, workspace)?,
            places: Arc::new(Semaphore::new(settings.max_sessions as usize)),
            connections: AtomicU64::new(0),
            sessions: Arc::default(),
        };
        if settings.session.is_some() || !settings.multi_session {
            let entry = registry.start(&registry.session, true)?;
            lock(&registry.sessions).by_id.insert(registry.session.clone(), entry);
        }
        Ok(registry)
    }

    /// Puts a new connection to `path` into its session. Without `--multi-session` every path leads to the one there is.
    pub(crate) async fn join(&self, path: &str, outbox: Outbox) -> Result<Seat, Refused> {
        let id = if self.multi_session { session_id(path).ok_or(Refused::NoSession)? } else { &self.session };
        let (inbox, room) = self.take_seat(id)?;
        let conn = ConnId(self.connections.fetch_add(1, Ordering::Relaxed));
        let seat = Seat { conn, inbox, room };
        // A task with a seat given out ends only where it fails, or at the stop.
        if seat.tell(Inbound::Joined { conn, outbox }).await { Ok(seat) } else { Err(self.why_over()) }
    }

    fn why_over(&self) -> Refused {
        if lock(&self.sessions).stopping { Refused::Stopping } else { Refused::Failed }
    }

    /// Closes every session and waits until each has told its connections. Later connections are refused.
    ///
    /// Gives the accepted commits that are in no file.
    pub(crate) async fn stop(&self) -> Vec<Unwritten> {
        let entries = {
            let mut sessions = lock(&self.sessions);
            sessions.stopping = true;
            std::mem::take(&mut sessions.by_id)
        };
        for entry in entries.values() {
            // A task that is over has nobody left to tell.
            let _ = entry.inbox.send(Inbound::Stop).await;
        }
        let mut unwritten = Vec::new();
        for (id, entry) in entries {
            match entry.task.await {
                Ok(files) => unwritten.extend(files),
                Err(error) => tracing::error!("session {id} ended early: {error}"),
            }
        }
        unwritten
    }

    fn take_seat(&self, id: &str) -> Result<(mpsc::Sender<Inbound>, Arc<Semaphore>), Refused> {
        let mut sessions = lock(&self.sessions);
        if sessions.stopping {
            return Err(Refused::Stopping);
        }
        if !sessions.by_id.contains_key(id) {
            let entry = self.start(id, false).map_err(|_| Refused::NoSession)?;
            sessions.by_id.insert(id.to_owned(), entry);
        }
        let entry = sessions.by_id.get_mut(id).ok_or(Refused::NoSession)?;
        entry.connections += 1;
        Ok((entry.inbox.clone(), Arc::clone(&entry.room)))
    }

    fn start(&self, id: &str, configured: bool) -> Result<Entry, StartError> {
        let id = SessionId::new(id).map_err(|error| StartError::Session(format!("--session: {error}")))?;
        let (inbox, receiver) = mpsc::channel(INBOX);
        let tenancy = Tenancy { id: id.as_str().to_owned(), sessions: Arc::downgrade(&self.sessions) };
        let places = (!configured).then(|| Arc::clone(&self.places));
        let task = tokio::spawn(self.template.session(id, places, tenancy)?.run(receiver));
        Ok(Entry { inbox, room: Arc::new(Semaphore::new(INBOX_BYTES)), task, connections: 0 })
    }
}

fn lock(sessions: &Mutex<Sessions>) -> MutexGuard<'_, Sessions> {
    // Nothing that can panic runs under this lock, so a poisoned state is still a whole one.
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session's place in the registry, held by its task.
#[derive(Debug)]
pub(crate) struct Tenancy {
    id: String,
    /// Weak, because the registry holds the inbox of the task that holds this.
    sessions: Weak<Mutex<Sessions>>,
}

impl Tenancy {
    /// Gives a seat back, once everything that came from it is worked off.
    pub(crate) fn left(&self) {
        let Some(sessions) = self.sessions.upgrade() else { return };
        if let Some(entry) = lock(&sessions).by_id.get_mut(&self.id) {
            entry.connections = entry.connections.saturating_sub(1);
        }
    }

    /// Leaves the registry, unless somebody has a seat; then true, and the next connection to this id begins anew.
    pub(crate) fn end(&self) -> bool {
        let Some(sessions) = self.sessions.upgrade() else { return true };
        let mut sessions = lock(&sessions);
        let empty = sessions.by_id.get(&self.id).is_some_and(|entry| entry.connections == 0);
        if empty {
            sessions.by_id.remove(&self.id);
        }
        empty
    }
}

/// A connection's place in its session.
#[derive(Debug)]
pub(crate) struct Seat {
    conn: ConnId,
    inbox: mpsc::Sender<Inbound>,
    room: Arc<Semaphore>,
}

impl Seat {
    async fn tell(&self, inbound: Inbound) -> bool {
        self.inbox.send(inbound).await.is_ok()
    }
}

impl Link for Seat {
    async fn frame(&self, frame: Frame) -> bool {
        let bytes = match &frame {
            Frame::Text(text) => text.len().min(INBOX_BYTES),
            Frame::NotText => 0,
        };
        // The semaphore is never closed; a session that is gone shows when it is told.
        let room =
            Arc::clone(&self.room).acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await.ok();
        self.tell(Inbound::Frame { conn: self.conn, frame, room }).await
    }

    async fn left(&self) {
        self.tell(Inbound::Left { conn: self.conn }).await;
    }
}

/// The text between `/session/` and the next slash, as it is in the URL (`spec/wire.md` §1.1); the query is not in `path`.
fn session_id(path: &str) -> Option<&str> {
    path.strip_prefix("/session/")?.split('/').next().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::session_id;

    #[test]
    fn the_session_is_the_one_segment_after_its_prefix_as_it_is_written() {
        assert_eq!(session_id("/session/a%20b"), Some("a%20b"));
        assert_eq!(session_id("/session/a/b/c"), Some("a"));
        for path in
            ["", "/", "/session", "/session/", "/session//a", "/sessions/a", "/x/session/a", "session/a"]
        {
            assert_eq!(session_id(path), None, "{path:?}");
        }
    }
}
