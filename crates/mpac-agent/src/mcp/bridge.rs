//! The agent behind the tools.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mpac_wire::{IntentId, PrincipalId, StateRef};
use tokio::sync::broadcast;

use super::approval::Proposed;
use super::brief;
use super::reading::Part;
use super::recent::Recent;
use super::resource::Resource;
use super::wanted::is_own;
use crate::agent::{Agent, Event, Events, Leaving, Snapshot};
use crate::cli::connection::Joining;
use crate::console::aside;
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
    /// How long a tool waits for a connection that is broken, or for somebody who joins.
    patience: Duration,
    agent: tokio::sync::Mutex<Option<Agent>>,
    held: Mutex<Held>,
    /// What waits for approval.
    pub(super) proposed: Proposed,
    /// What others have done.
    pub(super) recent: Arc<Recent>,
    updates: broadcast::Sender<Resource>,
}

/// What is known beside the agent's view.
#[derive(Debug, Default)]
struct Held {
    /// Announced, renewed or claimed here, and not ended here.
    intents: BTreeSet<IntentId>,
    /// What the model has last read or written of each file.
    seen: BTreeMap<String, Seen>,
    /// The state whose whole text a refusal has last shown. Nobody has asked for it, so nothing is based on it that does not say so:
    /// the same change once more would go over it.
    shown: BTreeMap<String, StateRef>,
}

/// What the model has seen of a file.
#[derive(Debug, Clone)]
struct Seen {
    state: StateRef,
    /// So many lines, from the first on.
    lines: usize,
    is_all: bool,
    /// Of some line there is more than can be told.
    is_cut: bool,
}

impl Held {
    fn has_told_all(&self, path: &str, state: &StateRef) -> bool {
        let is_read = self.seen.get(path).is_some_and(|seen| seen.is_all && seen.state == *state);
        is_read || self.shown.get(path) == Some(state)
    }
}

impl Seen {
    fn nothing(state: &StateRef) -> Self {
        Self { state: state.clone(), lines: 0, is_all: false, is_cut: false }
    }
}

/// For whoever reads the host's log of this server.
pub(super) fn log(text: &str) {
    aside(&format!("mpac-agent mcp: {}\n", printable(text)));
}

impl Bridge {
    /// # Errors
    /// [`AgentError::Usage`].
    pub(super) fn new(joining: Joining) -> Result<Self, AgentError> {
        joining.options(false)?.place()?;
        let (agent, held) = (tokio::sync::Mutex::default(), Mutex::default());
        let (recent, updates) = (Arc::default(), broadcast::channel(UPDATES).0);
        let proposed = Proposed::default();
        Ok(Self { joining, patience: RETURN_LIMIT, agent, held, proposed, recent, updates })
    }

    /// The agent, in the session. Tools are called side by side, and each waits for itself: nobody has the lock meanwhile but
    /// the one that joins.
    ///
    /// # Errors
    /// As [`Agent::connect`]; [`AgentError::Away`] while the connection is broken, [`AgentError::StillJoining`] while another
    /// tool joins.
    pub(super) async fn agent(&self) -> Result<Agent, AgentError> {
        let known = self.slot().await?.clone();
        if let Some(agent) = known {
            match tokio::time::timeout(self.patience, agent.here()).await {
                Ok(Ok(())) => return Ok(agent),
                Ok(Err(_)) => {}
                Err(_) => return Err(AgentError::Away { what: "this".to_owned() }),
            }
        }
        self.join().await
    }

    async fn slot(&self) -> Result<tokio::sync::MutexGuard<'_, Option<Agent>>, AgentError> {
        let slot = tokio::time::timeout(self.patience, self.agent.lock()).await;
        slot.map_err(|_| AgentError::StillJoining)
    }

    /// Joins, unless somebody has done so meanwhile.
    async fn join(&self) -> Result<Agent, AgentError> {
        let mut slot = self.slot().await?;
        if let Some(agent) = &*slot {
            match tokio::time::timeout(Duration::ZERO, agent.here()).await {
                Ok(Err(ended)) => log(&format!("{ended}; joining anew")),
                Ok(Ok(())) | Err(_) => return Ok(agent.clone()),
            }
        }
        let (agent, events) = Agent::connect(self.joining.options(false)?).await?;
        log(&format!("in the session as {}", agent.me()));
        let told = (self.recent.clone(), self.updates.clone());
        tokio::spawn(listen(events, agent.me().clone(), told));
        *slot = Some(agent.clone());
        self.proposed.forget();
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
        self.held().seen.insert(path.to_owned(), Seen { is_all: true, ..Seen::nothing(state) });
    }

    /// It has seen this part of the file; all of it when no line was passed over, since of a line that is too long to be told there
    /// is no more to be seen than its beginning. Whether it has seen each to its end is told.
    pub(super) fn saw_part(&self, path: &str, state: &StateRef, part: &Part<'_>) -> bool {
        let mut held = self.held();
        let seen = held.seen.entry(path.to_owned()).or_insert_with(|| Seen::nothing(state));
        if seen.state != *state {
            *seen = Seen::nothing(state);
        }
        if part.from <= seen.lines + 1 {
            seen.lines = seen.lines.max(part.to);
        }
        seen.is_all |= seen.lines >= part.of;
        seen.is_cut |= part.is_cut;
        seen.is_all && !seen.is_cut
    }

    /// It has changed the file in places, and knows of the rest what it knew: nothing, if it had seen another state.
    pub(super) fn edited(&self, path: &str, before: &StateRef, after: &StateRef) {
        let mut held = self.held();
        let is_all = held.has_told_all(path, before);
        let is_cut = held.seen.get(path).is_some_and(|seen| seen.is_cut && seen.state == *before);
        held.seen.insert(path.to_owned(), Seen { is_all, is_cut, ..Seen::nothing(after) });
    }

    /// The state in which the file was last read or changed here, by whichever conversation.
    pub(super) fn seen(&self, path: &str) -> Option<StateRef> {
        self.held().seen.get(path).map(|seen| seen.state.clone())
    }

    /// A refusal shows the whole file in this state.
    pub(super) fn showed(&self, path: &str, state: &StateRef) {
        self.held().shown.insert(path.to_owned(), state.clone());
    }

    /// Whether all of the file in this state was told here.
    pub(super) fn has_told_all(&self, path: &str, state: &StateRef) -> bool {
        self.held().has_told_all(path, state)
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

async fn listen(
    mut events: Events,
    me: PrincipalId,
    (recent, updates): (Arc<Recent>, broadcast::Sender<Resource>),
) {
    while let Some(event) = events.next().await {
        for resource in Resource::changed_by(&event) {
            // Nobody may be interested.
            drop(updates.send(*resource));
        }
        if is_worth_a_line(&event) {
            log(&brief::line(&sentence(&event)));
        }
        // Nobody waits for what they did themselves, and it is not to take the place of anything.
        if !is_own(&event, &me) {
            recent.add(event);
        }
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use clap::{Args as _, FromArgMatches as _, Parser as _};
    use mpac_ws::cli::Settings;
    use mpac_ws::server::Server;

    use super::super::wanted::Wanted;
    use super::*;

    fn joining(url: &str) -> Joining {
        let command = Joining::augment_args(clap::Command::new("mcp"));
        let matches = command.try_get_matches_from(["mcp", "--url", url, "--name", "Bob"]).unwrap();
        Joining::from_arg_matches(&matches).unwrap()
    }

    #[tokio::test]
    async fn tools_that_are_called_at_once_wait_at_once() {
        // With it go all its connections.
        let host =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().to_str().unwrap().to_owned();
        let serving = host.spawn(async move {
            let settings = Settings::try_parse_from(["mpac-ws", "--port=0", "--workspace", &shared]).unwrap();
            let server = Server::bind(settings).await.unwrap();
            let url = format!("ws://{}", server.address());
            tokio::spawn(server.run(std::future::pending()));
            url
        });
        let mut bridge = Bridge::new(joining(&serving.await.unwrap())).unwrap();
        bridge.patience = Duration::from_secs(1);
        bridge.agent().await.unwrap();
        let mut news = bridge.recent.news();
        host.shutdown_background();
        let is_lost = |event: &serde_json::Value| event["event"] == "connection_lost";
        while !bridge.recent.since(Some(0), &Wanted::default()).events.values.iter().any(is_lost) {
            news.changed().await.unwrap();
        }
        let asked = Instant::now();
        let answers = futures::future::join_all((0..8).map(|_| bridge.agent())).await;
        let is_away = |it: &Result<Agent, AgentError>| matches!(it, Err(AgentError::Away { .. }));
        assert!(answers.iter().all(is_away), "{answers:?}");
        assert!(asked.elapsed() < Duration::from_secs(5), "they waited one after the other");
        // Nor does anybody wait longer for one that joins.
        let _joining = bridge.agent.lock().await;
        assert!(matches!(bridge.agent().await, Err(AgentError::StillJoining)));
    }
}
