//! A brain at work on a task, and the test's coordinator; Claude with recorded answers.

use std::path::Path;
use std::time::Duration;

use mpac_agent::brain::Brain;
use mpac_agent::brain::claude::{Claude, ClaudeConfig, DEFAULT_MODEL};
use mpac_agent::brain::retry::Backoff;
use mpac_agent::error::AgentError;
use mpac_agent::naming::Naming;
use mpac_agent::prompt::Persona;
use mpac_agent::task::{Outcome, TaskOptions, run_task};
use mpac_wire::Secret;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::fake_api::{FakeApi, raw_stream};
use crate::fake_coordinator::{Lines, Peer, connected, hello};

/// A recorded answer, as the response to a request.
pub(crate) fn recorded(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/answers/{name}.sse"));
    raw_stream(&std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

/// A file large enough for edits: `line 1` to `line 300`, and what makes it long.
pub(crate) fn long_file() -> String {
    (1..=300).map(|number| format!("line {number}\n")).chain(["#".repeat(4_096), "\n".to_owned()]).collect()
}

/// A joined agent at work, and the other end after SESSION_INFO.
pub(crate) struct AtWork {
    pub(crate) peer: Peer,
    pub(crate) lines: Lines,
    pub(crate) api: FakeApi,
    outcome: JoinHandle<Result<Outcome, AgentError>>,
}

impl AtWork {
    /// With these responses of the API. `change` is for what the test wants otherwise.
    pub(crate) async fn start(
        responses: Vec<String>,
        change: impl FnOnce(&mut ClaudeConfig, &mut TaskOptions),
    ) -> Self {
        Self::start_on(FakeApi::answering(responses).await, change).await
    }

    /// On an API of the test's own making.
    pub(crate) async fn start_on(
        api: FakeApi,
        change: impl FnOnce(&mut ClaudeConfig, &mut TaskOptions),
    ) -> Self {
        let mut config = ClaudeConfig::new(Secret::new("sk-test"), DEFAULT_MODEL);
        config.base_url = api.url.clone();
        config.backoff =
            Backoff { attempts: 2, first: Duration::from_millis(1), longest: Duration::from_secs(1) };
        let mut options = TaskOptions::default();
        change(&mut config, &mut options);
        let claude = Claude::new(config, Persona { name: "Bob".to_owned(), about: None }).unwrap();
        let (peer, lines, outcome) = joined(claude, options).await;
        Self { peer, lines, api, outcome }
    }

    /// Up to the question about `a.py`, whose text this is.
    pub(crate) async fn reading(&mut self, content: &str) -> String {
        self.peer.answer_list(&["a.py"]).await;
        let intent = self.peer.accept_announce(|_| vec![]).await;
        self.peer.answer_read("a.py", content).await;
        intent
    }

    /// Breaks the task off, as Ctrl-C does.
    pub(crate) async fn break_off(self) {
        self.outcome.abort();
        assert!(self.outcome.await.unwrap_err().is_cancelled());
    }

    /// Waits until the agent has left: how the task ended, all it has said, and how often the API was asked.
    pub(crate) async fn end(self) -> (Result<Outcome, AgentError>, Vec<Value>, usize) {
        let Self { mut peer, api, outcome, .. } = self;
        while peer.next().await.is_some() {}
        (outcome.await.unwrap(), peer.said, api.asked().len())
    }
}

/// An agent that has joined and works on a task with this brain; the other end after SESSION_INFO.
pub(crate) async fn joined(
    mut brain: impl Brain + 'static,
    options: TaskOptions,
) -> (Peer, Lines, JoinHandle<Result<Outcome, AgentError>>) {
    let lines = Lines::default();
    let (mut session, _, mut peer) = connected("agent:Bob", &lines).await;
    let outcome = tokio::spawn(async move {
        session.join(hello()).await?;
        let outcome =
            run_task(&mut session, &mut brain, &mut Naming::new("Bob"), &options, "mend a.py").await;
        session.leave("completed".into()).await;
        outcome
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    (peer, lines, outcome)
}

/// How often a message of this type is among what was said.
pub(crate) fn count(said: &[Value], kind: &str) -> usize {
    said.iter().filter(|message| message["message_type"] == kind).count()
}
