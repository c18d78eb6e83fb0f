//! The agent behind the tools.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mpac_wire::{IntentId, StateRef};
use tokio::sync::broadcast;

use super::recent::Recent;
use super::resource::Resource;
use crate::agent::{Agent, Event, Events, Leaving, Snapshot};
use crate::cli::connection::Joining;
use crate::diff::printable;
use crate::error::AgentError;
use crate::verb::sentence;

/// How long a tool waits for a connection that is broken: hosts give tools about a minute.
const RETURN_LIMIT: Duration = Duration::from_secs(10);
/// How long leaving may take: hosts kill what does not go.
const LEAVING_LIMIT: Duration = Duration::from_secs(3);
/// Updates that a slow host may be behind; it is told of all resources after that.
const UPDATES: usize = 64;

/// What the tools share.
#[derive(Debug)]
pub(super) struct Bridge {
    joining: Joining,
    agent: tokio::sync::Mutex<Option<Agent>>,
    held: Mutex<Held>,
    /// What has happened, own doings included.
    pub(super) recent: Arc<Recent>,
    updates: broadcast::Sender<Resource>,
}

/// What is known beside the agent's view.
#[derive(Debug, Default)]
struct Held {
    /// Announced or claimed here, and not ended here.
    intents: BTreeSet<IntentId>,
    /// What the model has last seen of each file.
    seen: BTreeMap<String, Seen>,
}

/// What the model has seen of a file.
#[derive(Debug, Clone)]
struct Seen {
    state: StateRef,
    /// So many lines, from the first on.
    lines: usize,
    is_all: bool,
}

impl Seen {
    fn nothing(state: &StateRef) -> Self {
        Self { state: state.clone(), lines: 0, is_all: false }
    }
}

/// For whoever reads the host's log of this server.
pub(super) fn log(text: &str) {
    eprintln!("mpac-agent mcp: {}", printable(text));
}

impl Bridge {
    /// # Errors
    /// [`AgentError::Usage`].
    pub(super) fn new(joining: Joining) -> Result<Self, AgentError> {
        joining.options(false)?.place()?;
        let (agent, held) = (tokio::sync::Mutex::default(), Mutex::default());
        Ok(Self { joining, agent, held, recent: Arc::default(), updates: broadcast::channel(UPDATES).0 })
    }

    /// The agent, in the session.
    ///
    /// # Errors
    /// As [`Agent::connect`]; [`AgentError::Away`] while the connection is broken.
    pub(super) async fn agent(&self) -> Result<Agent, AgentError> {
        let mut slot = self.agent.lock().await;
        if let Some(agent) = &*slot {
            match tokio::time::timeout(RETURN_LIMIT, agent.here()).await {
                Ok(Ok(())) => return Ok(agent.clone()),
                Ok(Err(ended)) => log(&format!("{ended}; joining anew")),
                Err(_) => return Err(AgentError::Away { what: "this".to_owned() }),
            }
        }
        let (agent, events) = Agent::connect(self.joining.options(false)?).await?;
        log(&format!("in the session as {}", agent.me()));
        tokio::spawn(listen(events, self.recent.clone(), self.updates.clone()));
        *slot = Some(agent.clone());
        Resource::ALL.into_iter().for_each(|it| drop(self.updates.send(it)));
        Ok(agent)
    }

    /// How the session stands, if that can be told without waiting for anybody.
    pub(super) async fn view(&self) -> Option<Snapshot> {
        let agent = self.agent.try_lock().ok()?.clone()?;
        agent.view().await.ok()
    }

    /// Which resources change, from now on.
    pub(super) fn updates(&self) -> broadcast::Receiver<Resource> {
        self.updates.subscribe()
    }

    /// This intent is to be withdrawn when the host goes.
    pub(super) fn hold(&self, intent: &IntentId) {
        self.held().intents.insert(intent.clone());
    }

    /// It is over.
    pub(super) fn let_go(&self, intent: &IntentId) {
        self.held().intents.remove(intent);
    }

    /// The model has seen the whole file in this state.
    pub(super) fn saw(&self, path: &str, state: &StateRef) {
        self.held().seen.insert(path.to_owned(), Seen { state: state.clone(), lines: 0, is_all: true });
    }

    /// It has seen these of the file's `of` lines, the last included; all of it when none was passed over.
    pub(super) fn saw_lines(&self, path: &str, state: &StateRef, (from, to): (usize, usize), of: usize) {
        let mut held = self.held();
        let seen = held.seen.entry(path.to_owned()).or_insert_with(|| Seen::nothing(state));
        if seen.state != *state {
            *seen = Seen::nothing(state);
        }
        if from <= seen.lines + 1 {
            seen.lines = seen.lines.max(to);
        }
        seen.is_all |= seen.lines >= of;
    }

    /// It has changed the file in places, and knows of the rest what it knew.
    pub(super) fn edited(&self, path: &str, state: &StateRef) {
        let mut held = self.held();
        let is_all = held.seen.get(path).is_some_and(|seen| seen.is_all);
        held.seen.insert(path.to_owned(), Seen { is_all, ..Seen::nothing(state) });
    }

    /// The state in which it has last seen the file, and whether it has seen all of that.
    pub(super) fn seen(&self, path: &str) -> Option<(StateRef, bool)> {
        self.held().seen.get(path).map(|seen| (seen.state.clone(), seen.is_all))
    }

    /// Withdraws what was announced here, and leaves. What cannot be said in time ends by its own time.
    pub(super) async fn leave(&self) {
        let left = tokio::time::timeout(LEAVING_LIMIT, async {
            let Some(agent) = self.agent.lock().await.take() else { return Ok(()) };
            let intents = std::mem::take(&mut self.held().intents);
            let live = agent.view().await?.intents;
            for intent in live.iter().filter(|it| it.own && intents.contains(&it.intent_id)) {
                agent.withdraw(&intent.intent_id, Some("cancelled")).await?;
            }
            agent.leave(Leaving::leaving_intents()).await
        });
        match left.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log(&format!("left without a word: {error}")),
            Err(_) => log("left without a word: the coordinator did not answer in time"),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic elsewhere has left it as good as ever.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(mut events: Events, recent: Arc<Recent>, updates: broadcast::Sender<Resource>) {
    while let Some(event) = events.next().await {
        for resource in Resource::changed_by(&event) {
            // Nobody may be interested.
            drop(updates.send(*resource));
        }
        if is_worth_a_line(&event) {
            log(&sentence(&event));
        }
        recent.add(event);
    }
}

/// Whether it is about the connection or about trust, and not about the others' work.
fn is_worth_a_line(event: &Event) -> bool {
    matches!(
        event,
        Event::ConnectionLost { .. }
            | Event::ConnectionBack { .. }
            | Event::CoordinatorSilent { .. }
            | Event::CoordinatorBack
            | Event::Trust { .. }
            | Event::Warning { .. }
            | Event::SessionClosed { .. }
            | Event::Disconnected { .. }
    )
}
