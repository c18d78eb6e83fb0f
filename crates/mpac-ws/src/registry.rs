//! From a path to the task of its session.

mod entry;
mod operate;
mod seat;
mod tenancy;

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mpac_core::config::MAX_SESSION_ID_BYTES;
use mpac_core::{ConnId, SessionConfig};
use mpac_wire::{Fingerprint, SessionId};
use thiserror::Error;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tracing::error;

use self::entry::Entry;
pub(crate) use self::seat::Seat;
pub(crate) use self::tenancy::Tenancy;
use crate::banner::DEFAULT_SESSION;
use crate::cli::Settings;
use crate::error::{Error as StartError, Unwritten};
use crate::fencing::{self, Above};
use crate::identity::Verifier;
use crate::listen::Peer;
use crate::listen::attempts::Attempts;
use crate::metrics::Meters;
use crate::metrics::limit::Limit;
use crate::outbox::Outbox;
use crate::session::{Goes, Inbound, Template, Tenure};
use crate::signing::key_file::{self, Keys};
use crate::signing::known::Known;
use crate::store::{self, Store, place};
use crate::workspace::Workspace;

/// Shared files of all the sessions together that nobody has opened yet, which have a copy of their names each, some 1 KB for a
/// file; and so many sessions in any case.
const UNOPENED_FILES: usize = 250_000;
const UNOPENED_SESSIONS: usize = 16;

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
    template: Arc<Template>,
    verifier: Arc<Verifier>,
    /// Refused credentials, by address.
    attempts: Arc<Attempts>,
    /// One for each session that is open beside the configured one.
    places: Arc<Semaphore>,
    /// One for each that nobody has opened: who has shown nothing can have one made.
    unopened: Arc<Semaphore>,
    /// Whose turn it is to be begun: with many shared files that is much work, and any stranger asks for it.
    beginning: Arc<Semaphore>,
    store: Option<Arc<Store>>,
    /// The names of stored sessions that cannot go on: nobody begins another in their place.
    refused: BTreeSet<String>,
    connections: AtomicU64,
    sessions: Arc<Mutex<Sessions>>,
    /// Accepted commits that are in no file, of sessions that were ended; locked while any are.
    unwritten: tokio::sync::Mutex<Vec<Unwritten>>,
    /// A participant hears another coordinator.
    conflict: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Sessions {
    /// Why nobody can join any more.
    over: Option<Refused>,
    by_id: BTreeMap<String, Entry>,
}

/// Why a connection belongs to no session; the text is the reason of its close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    #[error("this server has many sessions: connect to /session/<id>")]
    NoSession,
    #[error("too many sessions wait for their first HELLO: try again later")]
    Unopened,
    #[error("the server is stopping")]
    Stopping,
    #[error("another coordinator has this session: connect again")]
    Elsewhere,
    #[error("what is stored of this session cannot be gone on from; the server's operator has to act")]
    Stored,
    #[error("internal fault: this session has failed; the server's operator has to restart it")]
    Failed,
}

impl Refused {
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::NoSession => 4004,
            Self::Unopened => 1013,
            Self::Stopping => 1001,
            Self::Elsewhere => 4002,
            Self::Stored | Self::Failed => 1011,
        }
    }
}

impl Registry {
    /// With the configured session, if there is one: the only one, unless `--multi-session` is given; and with those that
    /// are stored and not over.
    ///
    /// # Errors
    /// When the core refuses the configuration, whether or not a session is opened at once; when the data directory cannot
    /// be used; when what is stored of the configured session cannot be gone on from.
    pub(crate) fn open(settings: &Settings, workspace: Workspace) -> Result<Self, StartError> {
        let mut template = Template::new(settings, workspace)?;
        let mut store = None;
        let data = place::of(settings)?;
        let keys = key_file::Place::of(
            settings.security.signing_key.as_deref(),
            data.as_ref().map(|(dir, _)| dir.as_path()),
        );
        if let Some((dir, durability)) = data {
            let opened = Store::serving(&dir, durability, &settings.keeping)?;
            place::check_archive(settings, &dir)?;
            template = template.completed(&dir)?;
            store = Some(Arc::new(opened));
        }
        // Only now: whoever has the directory makes the key in it.
        if let Some(place) = keys {
            template = template.signing(|| Keys::open(place))?;
        }
        let mut above = match &store {
            Some(store) => fencing::may_start(store.dir(), settings.take_back)?,
            None => Above::default(),
        };
        let unopened = (UNOPENED_FILES / (1 + template.workspace().files().count())).max(UNOPENED_SESSIONS);
        let mut registry = Self {
            multi_session: settings.multi_session,
            session: settings.session.clone().unwrap_or_else(|| DEFAULT_SESSION.to_owned()),
            template: Arc::new(template),
            verifier: Arc::new(Verifier::of(settings)?),
            attempts: Attempts::new(settings.guards.credential_attempts),
            places: Arc::new(Semaphore::new(settings.max_sessions as usize)),
            unopened: Arc::new(Semaphore::new(unopened)),
            beginning: Arc::new(Semaphore::new(1)),
            store,
            refused: BTreeSet::new(),
            connections: AtomicU64::new(0),
            sessions: Arc::default(),
            unwritten: tokio::sync::Mutex::default(),
            conflict: Arc::default(),
        };
        let configured = settings.session.is_some() || !settings.multi_session;
        registry.take_up(configured, &mut above)?;
        if configured && !lock(&registry.sessions).by_id.contains_key(&registry.session) {
            let tenure = registry.tenure(&registry.session, true);
            let id = session(&registry.session)?;
            let entry = Entry::of(registry.template.session(id, tenure, registry.store.as_ref())?);
            lock(&registry.sessions).by_id.insert(registry.session.clone(), entry);
        }
        if let Some(store) = &registry.store {
            fencing::started(store.dir(), &above)?;
            let failed = |source| StartError::Io { step: "starting a thread", source };
            store.look_after().map_err(failed)?;
        }
        Ok(registry)
    }

    /// Goes on with what is stored: with the configured session, and where there are many with all others.
    fn take_up(&mut self, configured: bool, above: &mut Above) -> Result<(), StartError> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let id = session(&self.session)?;
        let own = configured.then(|| store::name(&id));
        let mut stored =
            store.stored().map_err(|source| StartError::Io { step: "reading the data directory", source })?;
        stored.retain(|it| self.multi_session || it.name() == own.as_deref());
        for it in stored {
            let is_own = it.name() == own.as_deref();
            match self.template.stored(&it, &store, above) {
                Ok(goes) => {
                    it.name().inspect(|name| above.is_above(name));
                    goes.map_or(Ok(()), |goes| self.go_on(goes, is_own))?;
                }
                Err(error) if is_own => return Err(error),
                Err(error) => {
                    error!("{error}");
                    self.refused.extend(it.name().map(str::to_owned));
                }
            }
        }
        Ok(())
    }

    fn go_on(&self, goes: Goes, configured: bool) -> Result<(), StartError> {
        let id = goes.id.as_str().to_owned();
        let mut tenure = self.tenure(&id, configured);
        if let Some(places) = &tenure.places {
            let full = |_| {
                StartError::Session(
                    "--max-sessions: more sessions than that are stored and go on; allow more, or end some with mpac-ws close"
                        .to_owned(),
                )
            };
            tenure.place = Some(Arc::clone(places).try_acquire_owned().map_err(full)?);
        }
        let entry = Entry::of(self.template.going_on(goes, tenure));
        lock(&self.sessions).by_id.insert(id, entry);
        Ok(())
    }

    /// Puts a new connection to `path` into its session. Without `--multi-session` every path leads to the one there is.
    pub(crate) async fn join(&self, path: &str, outbox: Outbox, peer: &Peer) -> Result<Seat, Refused> {
        let id = if self.multi_session { session_id(path).ok_or(Refused::NoSession)? } else { &self.session };
        let conn = ConnId(self.connections.fetch_add(1, Ordering::Relaxed));
        let session = SessionId::new(id).map_err(|_| Refused::NoSession)?;
        let (inbox, room, known) = loop {
            let (inbox, room, known) = self.take_seat(id)?;
            if inbox.send(Inbound::Joined { conn, outbox: outbox.clone() }).await.is_ok() {
                break (inbox, room, known);
            }
            // A task with a seat given out ends where it fails, at the stop, or because nobody has opened its session: that
            // one has left its place to the next.
            if self.has(id, &inbox) {
                return Err(self.why_over());
            }
        };
        let limits = self.template.configured().limits.clone();
        Ok(Seat {
            conn,
            inbox,
            room,
            known,
            session,
            certificate: peer.certificate.clone(),
            from: peer.from,
            outbox,
            limits,
            verifier: Arc::clone(&self.verifier),
            attempts: Arc::clone(&self.attempts),
            shown: Mutex::default(),
            more: Notify::new(),
        })
    }

    /// Whether this is where the session of that id is reached.
    fn has(&self, id: &str, inbox: &mpsc::Sender<Inbound>) -> bool {
        let sessions = lock(&self.sessions);
        sessions.over.is_some() || sessions.by_id.get(id).is_some_and(|entry| entry.inbox.same_channel(inbox))
    }

    /// What is counted.
    pub(crate) fn meters(&self) -> &Meters {
        self.template.meters()
    }

    /// How long somebody at this address has to wait, if they do, for having shown too much that is no good.
    pub(crate) fn has_to_wait(&self, from: Option<IpAddr>) -> Option<Duration> {
        let wait = self.attempts.wait(from?, Instant::now())?;
        self.meters().reached(Limit::CredentialAttempts);
        Some(wait)
    }

    /// What they are opened with.
    pub(crate) fn configured(&self) -> &SessionConfig {
        self.template.configured()
    }

    /// The fingerprint of the key that new sessions are signed with, if they are.
    pub(crate) fn signing_key(&self) -> Option<Fingerprint> {
        self.template.ring().map(|ring| ring.current().public().fingerprint())
    }

    /// Where sessions are stored.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        self.store.as_ref().map(|store| store.dir())
    }

    /// Completes once the disk of the data directory is full, with its name.
    pub(crate) async fn disk_full(&self) -> PathBuf {
        match &self.store {
            Some(store) => {
                store.full().await;
                store.dir().to_owned()
            }
            None => pending().await,
        }
    }

    /// The data directory and everything in it.
    pub(crate) const fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// The shared files as sessions begin with them.
    pub(crate) fn workspace(&self) -> &Workspace {
        self.template.workspace()
    }

    /// Watches over what participants are let in by. Never returns.
    pub(crate) async fn watch(&self) {
        self.verifier.watch().await;
    }

    fn why_over(&self) -> Refused {
        lock(&self.sessions).over.unwrap_or(Refused::Failed)
    }

    /// Closes every session and waits until each has told its connections. Later connections are refused.
    ///
    /// Gives the accepted commits that are in no file, also where the sessions were fenced before.
    pub(crate) async fn stop(&self) -> Vec<Unwritten> {
        lock(&self.sessions).over.get_or_insert(Refused::Stopping);
        self.end().await
    }

    /// Whoever comes second waits for the first.
    async fn end(&self) -> Vec<Unwritten> {
        let mut unwritten = self.unwritten.lock().await;
        let entries = std::mem::take(&mut lock(&self.sessions).by_id);
        for entry in entries.values() {
            // A task that is over has nobody left to tell.
            let _ = entry.inbox.send(Inbound::Stop).await;
        }
        for (id, entry) in entries {
            match entry.task.await {
                Ok(files) => unwritten.extend(files),
                Err(error) => error!("session {id} ended early: {error}"),
            }
        }
        unwritten.clone()
    }

    fn take_seat(&self, id: &str) -> Result<(mpsc::Sender<Inbound>, Arc<Semaphore>, Known), Refused> {
        let mut sessions = lock(&self.sessions);
        if let Some(over) = sessions.over {
            return Err(over);
        }
        if !sessions.by_id.contains_key(id) {
            let session = SessionId::new(id).map_err(|_| Refused::NoSession)?;
            if id.len() > MAX_SESSION_ID_BYTES {
                return Err(Refused::NoSession);
            }
            if self.refused.contains(&store::name(&session)) {
                return Err(Refused::Stored);
            }
            let waits = Arc::clone(&self.unopened).try_acquire_owned().map_err(|_| {
                self.meters().reached(Limit::UnopenedSessions);
                Refused::Unopened
            })?;
            let mut tenure = self.tenure(id, false);
            tenure.waits = Some(waits);
            sessions.by_id.insert(id.to_owned(), self.begin(session, tenure));
        }
        let entry = sessions.by_id.get_mut(id).ok_or(Refused::NoSession)?;
        entry.connections += 1;
        Ok((entry.inbox.clone(), Arc::clone(&entry.room), entry.known.clone()))
    }

    /// A session that is begun beside everybody else, and one after the other: what comes for it waits in its inbox.
    fn begin(&self, id: SessionId, tenure: Tenure) -> Entry {
        let (template, store) = (Arc::clone(&self.template), self.store.clone());
        let (turns, tenancy, known) =
            (Arc::clone(&self.beginning), tenure.tenancy.clone(), tenure.known.clone());
        Entry::beginning(known, async move {
            let turn = turns.acquire_owned().await;
            let begun = spawn_blocking(move || {
                let session = template.session(id, tenure, store.as_ref());
                drop(turn);
                session
            });
            // Its configuration was good when the server started, so any failure is a fault of ours.
            match begun.await {
                Ok(Ok(session)) => return Some(session),
                Ok(Err(error)) => error!("a session could not be begun: {error}"),
                Err(panic) => error!("a session could not be begun: {panic}"),
            }
            tenancy.leave();
            None
        })
    }

    fn tenure(&self, id: &str, configured: bool) -> Tenure {
        let (sessions, conflict) = (Arc::downgrade(&self.sessions), Arc::clone(&self.conflict));
        let tenancy = Tenancy::new(id.to_owned(), sessions, conflict);
        let places = (!configured).then(|| Arc::clone(&self.places));
        Tenure { places, tenancy, ..Tenure::default() }
    }
}

fn session(id: &str) -> Result<SessionId, StartError> {
    SessionId::new(id).map_err(|error| StartError::Session(format!("--session: {error}")))
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under these locks, so a poisoned state is still a whole one.
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The text between `/session/` and the next slash, as it is in the URL (`spec/wire.md` §1.1); the query is not in `path`.
pub(crate) fn session_id(path: &str) -> Option<&str> {
    path.strip_prefix("/session/")?.split('/').next().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests;
