//! The processes of one case: a stand-in for the model, a server, an observer and two agents.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::case::{Case, FILES, NAMES, Party, SOON, Shape};
use super::keys::{self, Keys};
use super::{check, venv};
use crate::peer::{Line, Output, Peer};
use crate::step::{self, Failure};

pub(super) const SESSION: &str = "interop";

/// The processes of a running case; dropping them ends them all.
pub(crate) struct Cast {
    /// The stand-in for the Messages API.
    pub(crate) model: Peer,
    /// The coordinator.
    pub(crate) server: Peer,
    /// Watches the session.
    pub(crate) observer: Peer,
    /// Alice and Bob.
    pub(crate) agents: Vec<Peer>,
    /// Where the server's files end up.
    pub(crate) files: PathBuf,
    /// Everything of this case; removed with it.
    pub(crate) folder: tempfile::TempDir,
}

impl Cast {
    /// Starts everybody in turn, each once the one before is ready; the agents begin at the same moment.
    ///
    /// # Errors
    /// A process does not start, or is not ready in time.
    pub(crate) fn start(case: &Case) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::io("make a temporary folder"))?;
        let workspace = folder.path().join("workspace");
        step::copy_folder(&step::root().join("fixtures/workspace"), &workspace)?;
        let model = Peer::start("model", &mut model(case), None)?;
        let address = ready(&model, "its address", |lines| word_after("ready ", lines))?;
        let (mut server, files) = server(case, &workspace, folder.path());
        let keys = if case.is_secured() { Some(Keys::make(folder.path())?) } else { None };
        let server = Peer::start("server", &mut server, None)?;
        let url = ready(&server, "its address", url_in)?;
        let mut watching = script(python_of(case), "observer.py");
        keys.iter().for_each(|keys| keys.give(&mut watching, keys::OBSERVER));
        let observer = Peer::start("observer", watching.args([&url, SESSION]), None)?;
        ready(&observer, "SESSION_INFO", |lines| {
            (check::count(&frames(lines), "SESSION_INFO") > 0).then_some(())
        })?;
        let agents = agents((case, keys.as_ref()), &url, &address, &observer)?;
        Ok(Self { model, server, observer, agents, files, folder })
    }

    /// What everybody said last, and the frames that were seen.
    pub(crate) fn report(&self) -> String {
        let mut report = String::new();
        for peer in [&self.model, &self.server].into_iter().chain(&self.agents) {
            report.push_str(&peer.tail(25));
        }
        for frame in frames(&self.observer.lines()) {
            let kind = [check::text(&frame, &["message_type"]), check::text(&frame, &["type"])].concat();
            let shown = frame.get("payload").unwrap_or(&frame).to_string();
            let shown: String = shown.chars().take(200).collect();
            let sender = check::text(&frame, &["sender", "principal_id"]);
            report.push_str(&format!("    observer | {kind} {sender} {shown}\n"));
        }
        report.push_str(&self.observer.tail(1));
        report
    }
}

/// The Python version whose interpreter runs the scripts that belong to neither side.
fn python_of(case: &Case) -> &'static str {
    let parties = [case.server, case.agents[0], case.agents[1]];
    let version = parties.into_iter().find_map(|party| match party {
        Party::Python(version) => Some(version),
        Party::Ours => None,
    });
    version.unwrap_or(super::VERSIONS[0])
}

pub(super) fn script(version: &str, name: &str) -> Command {
    let mut command = Command::new(venv::python(version));
    command.arg(step::root().join("fixtures/interop").join(name)).env("PYTHONUNBUFFERED", "1");
    command
}

fn model(case: &Case) -> Command {
    let mut command = script(python_of(case), "messages_api.py");
    let (conflict, meet, write_ms) = match case.shape {
        Shape::Disjoint => ("proceed", "", "50"),
        // Where the second announce is refused, the second text is asked only after the first commit.
        Shape::SameFile if case.locks() => ("proceed", "plan", "500"),
        Shape::SameFile => ("proceed", "plan,write", "50"),
        // Of ours, the first one must not be done before the second one has announced.
        Shape::OneYields if case.in_turn() => ("first", "", "3000"),
        // A Python agent that yielded takes any withdrawal in the next 3 s for a yield, also that of finished work.
        Shape::OneYields => ("first", "plan", "4500"),
        Shape::BothYield if case.in_turn() => ("yield", "", "50"),
        Shape::BothYield => ("yield", "plan,write", "50"),
    };
    command.args(["--conflict", conflict, "--meet", meet, "--write-ms", write_ms]);
    if case.group == 'b' && case.shape == Shape::Disjoint {
        // Our agent must get over an overloaded model.
        command.args(["--errors", "529"]);
    }
    command
}

fn server(case: &Case, workspace: &Path, folder: &Path) -> (Command, PathBuf) {
    match case.server {
        Party::Ours => {
            let mut command = Command::new(step::target().join("debug/mpac-ws"));
            command.args(["--port", "0", "--session", SESSION, "--write-back", "--workspace"]).arg(workspace);
            if case.is_secured() {
                command.args(keys::FLAGS).arg("--data-dir").arg(folder.join("data"));
            }
            (command, workspace.to_path_buf())
        }
        Party::Python(version) => {
            let mut command = script(version, "python_server.py");
            command.arg(SESSION).arg(workspace).arg(folder);
            (command, folder.join("files"))
        }
    }
}

/// Starts both agents and lets them go at the same moment, or the second one once the first one's announce is out.
fn agents(
    (case, keys): (&Case, Option<&Keys>),
    url: &str,
    model: &str,
    observer: &Peer,
) -> Result<Vec<Peer>, Failure> {
    let mut peers = Vec::new();
    for (at, name) in NAMES.into_iter().enumerate() {
        let mut command = agent(case, at, url);
        keys.iter().for_each(|keys| keys.give(&mut command, at));
        command.env("ANTHROPIC_API_KEY", "test").env("ANTHROPIC_BASE_URL", model);
        peers.push(Peer::start(name, &mut command, None)?);
        if case.in_turn() && at == 0 {
            go(case, &mut peers)?;
            ready(observer, "INTENT_ANNOUNCE", |lines| {
                (check::count(&frames(lines), "INTENT_ANNOUNCE") > 0).then_some(())
            })?;
        }
    }
    if !case.in_turn() {
        go(case, &mut peers)?;
    }
    Ok(peers)
}

fn agent(case: &Case, at: usize, url: &str) -> Command {
    let file = FILES[if case.shape == Shape::Disjoint { at } else { 0 }];
    let task = format!("Improve it [files: {file}]");
    match case.agents[at] {
        Party::Ours => {
            let mut command = Command::new(step::target().join("debug/mpac-agent"));
            command.args([url, "--name", NAMES[at], "--session", SESSION, "--task", &task]);
            command
        }
        Party::Python(version) => {
            let mut command = script(version, "python_agent.py");
            command.args([NAMES[at], url, SESSION, &task]);
            command
        }
    }
}

/// Python agents say when they are connected and then wait for a word; ours begin by themselves.
fn go(case: &Case, peers: &mut [Peer]) -> Result<(), Failure> {
    let python = |(at, _): &(usize, &mut Peer)| matches!(case.agents[*at], Party::Python(_));
    for (_, peer) in peers.iter_mut().enumerate().filter(python) {
        ready(peer, "a connection", |lines| lines.iter().any(|l| l.text == "connected").then_some(()))?;
    }
    for (_, peer) in peers.iter_mut().enumerate().filter(python) {
        peer.tell("go")?;
    }
    Ok(())
}

/// Waits for a line; a failure carries what the process said until then.
pub(super) fn ready<T>(
    peer: &Peer,
    what: &str,
    find: impl FnMut(&[Line]) -> Option<T>,
) -> Result<T, Failure> {
    let found = peer.wait_for(what, SOON, find);
    found.map_err(|failure| Failure::check(format!("{failure}\n{}", peer.tail(25))))
}

/// The frames among the observer's lines.
pub(crate) fn frames(lines: &[Line]) -> Vec<Value> {
    let objects = lines.iter().filter(|line| line.output == Output::Out);
    objects.filter_map(|line| serde_json::from_str::<Value>(&line.text).ok()?.get("frame").cloned()).collect()
}

pub(super) fn word_after(mark: &str, lines: &[Line]) -> Option<String> {
    lines.iter().find_map(|line| line.text.strip_prefix(mark).map(str::to_owned))
}

/// The first WebSocket address that a server prints is the one to connect to.
pub(crate) fn url_in(lines: &[Line]) -> Option<String> {
    lines.iter().filter(|line| line.output == Output::Out).find_map(|line| {
        let begin = line.text.find("wss://").or_else(|| line.text.find("ws://"))?;
        let rest = &line.text[begin..];
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '`' | '\'' | '"')).unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    })
}
