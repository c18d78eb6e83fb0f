//! The library: an agent's verbs, events and view, against the real coordinator in this process.

mod breaking;
mod dropping;
mod ending;
mod examples;
mod heartbeat;
mod holding;
mod interrupting;
mod lanes;
mod limits;
mod mcp;
mod misuse;
mod output;
mod program;
mod pty;
mod refusals;
mod tasks;
mod terminal;
mod unreadable;
mod verbs;

use std::time::Duration;

use clap::Parser as _;
use mpac_agent::agent::{Agent, Announce, ConnectOptions, Event, Events};
use mpac_agent::task::TaskOptions;
use mpac_ws::cli::Settings;
use mpac_ws::server::Server;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Long enough for a busy machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn patiently<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("it took too long")
}

/// A running server over a directory with `a.py` and `b.py`. It ends with its test's.
pub(super) struct Host {
    pub(super) url: String,
    stop: oneshot::Sender<()>,
    _dir: TempDir,
}

impl Host {
    pub(super) async fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a.py", "b.py"] {
            std::fs::write(dir.path().join(file), "old\n").unwrap();
        }
        let shared = dir.path().to_str().unwrap().to_owned();
        let settings =
            Settings::try_parse_from([&["mpac-ws", "--port=0", "--workspace", &shared], flags].concat());
        let server = Server::bind(settings.unwrap()).await.unwrap();
        let url = format!("ws://{}", server.address());
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(server.run(async { stopped.await.unwrap_or(()) }));
        Self { url, stop, _dir: dir }
    }

    /// A session in which owners may do everything.
    pub(super) async fn governed(flags: &[&str]) -> Self {
        let roles = r#"{"default_role": "owner"}"#;
        let governed = ["--compliance-profile=governance", "--role-policy", roles];
        Self::start(&[&governed, flags].concat()).await
    }

    pub(super) async fn join(&self, name: &str) -> (Agent, Events) {
        self.join_as(name, "contributor").await
    }

    pub(super) async fn join_as(&self, name: &str, role: &str) -> (Agent, Events) {
        let mut options = ConnectOptions::new(&self.url, name);
        options.roles = vec![role.to_owned()];
        patiently(Agent::connect(options)).await.unwrap()
    }
}

/// Waits for an event.
pub(super) async fn heard<T>(events: &mut Events, wanted: impl FnMut(Event) -> Option<T>) -> T {
    patiently(events.find(wanted)).await.expect("the events ended")
}

/// Work on `a.py`.
pub(super) fn on_a() -> Announce {
    Announce::files("mend it", ["a.py"])
}

/// A task that commits without asking.
pub(super) fn unasked() -> TaskOptions {
    TaskOptions::default()
}
