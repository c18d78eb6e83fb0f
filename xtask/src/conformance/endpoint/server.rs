//! Servers: one that runs already, or one started for each story with the configuration that the story wants.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tempfile::TempDir;

use super::super::story::{Feature, Story};
use super::socket::{Fence, Socket};
use super::{Endpoint, Runner, Setup, Trouble, Words};
use crate::peer::Peer;
use crate::step::Failure;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(30);

/// The exit code by which a server says that it cannot be configured so: the story is skipped, not failed.
const UNABLE: i32 = 64;

/// What is common to both ways.
#[derive(Clone, Debug)]
pub(in super::super) struct Manner {
    pub(in super::super) name: String,
    pub(in super::super) without: BTreeSet<Feature>,
    /// Seconds that a story may take.
    pub(in super::super) patience: f64,
    pub(in super::super) jobs: usize,
    /// Milliseconds of quiet that end a step, where the sideband is not spoken.
    pub(in super::super) quiet_ms: Option<u64>,
}

impl Manner {
    fn fence(&self) -> Fence {
        self.quiet_ms.map_or(Fence::Sideband, |ms| Fence::Quiet(Duration::from_millis(ms)))
    }
}

/// A server that runs already; `{session}` in its URL is replaced by a session of each story's own.
pub(in super::super) struct Target {
    pub(in super::super) url: String,
    pub(in super::super) manner: Manner,
    /// Keeps the sessions of this run apart from those of others.
    pub(in super::super) salt: String,
}

impl Runner for Target {
    fn name(&self) -> String {
        self.manner.name.clone()
    }

    fn lacks(&self) -> BTreeSet<Feature> {
        let mut lacks = self.manner.without.clone();
        lacks.extend([
            Feature::Config,
            Feature::Named,
            Feature::Workspace,
            Feature::Credentials,
            Feature::Signatures,
            Feature::Local,
            Feature::Restart,
            Feature::Stop,
        ]);
        lacks
    }

    fn patience(&self) -> Option<f64> {
        Some(self.manner.patience)
    }

    fn jobs(&self) -> usize {
        self.manner.jobs
    }

    fn session(&self, story: &Story) -> Option<String> {
        let name: String =
            story.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        self.url.contains("{session}").then(|| format!("{name}-{}", self.salt))
    }

    fn begin(&self, _: &Story, session: &str) -> Result<Box<dyn Endpoint>, Trouble> {
        let url = self.url.replace("{session}", session);
        Ok(Box::new(Socket::new(url, self.manner.fence(), None)))
    }
}

/// One server that plays every story in a session of its own, all at the same time: what belongs to one session must not be
/// seen in another (SRV-02, SRV-03).
pub(in super::super) struct Shared {
    target: Target,
    _peer: Peer,
}

impl Shared {
    /// Starts `command`, which prints a `ws://` URL; its sessions are at `/session/<id>`.
    pub(in super::super) fn start(command: &Words, manner: Manner) -> Result<Self, Failure> {
        let peer = Peer::start("server", &mut command.command(), None)?;
        let url =
            peer.wait_for("a ws:// URL", START, |lines| lines.iter().find_map(|line| url_in(&line.text)))?;
        let host = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let target =
            Target { url: format!("ws://{host}/session/{{session}}"), manner, salt: "shared".to_owned() };
        Ok(Self { target, _peer: peer })
    }
}

impl Runner for Shared {
    fn name(&self) -> String {
        self.target.name()
    }

    fn lacks(&self) -> BTreeSet<Feature> {
        self.target.lacks()
    }

    fn patience(&self) -> Option<f64> {
        self.target.patience()
    }

    fn jobs(&self) -> usize {
        self.target.jobs()
    }

    fn session(&self, story: &Story) -> Option<String> {
        self.target.session(story)
    }

    fn begin(&self, story: &Story, session: &str) -> Result<Box<dyn Endpoint>, Trouble> {
        self.target.begin(story, session)
    }
}

/// A command that starts a server: `{port}`, `{session}`, `{config}` (a JSON file by the keys of `mpac-ws drive`),
/// `{workspace}` (a directory) and `{protocol}` are replaced. Without `{port}` it is to print a `ws://` URL.
pub(in super::super) struct Launched {
    pub(in super::super) command: Words,
    pub(in super::super) manner: Manner,
}

impl Runner for Launched {
    fn name(&self) -> String {
        self.manner.name.clone()
    }

    fn lacks(&self) -> BTreeSet<Feature> {
        let mut lacks = self.manner.without.clone();
        lacks.extend([Feature::Lazy, Feature::Local, Feature::Restart, Feature::Sessions]);
        let places = [
            ("{config}", Feature::Config),
            ("{workspace}", Feature::Workspace),
            ("{session}", Feature::Named),
        ];
        for (place, feature) in places {
            if !self.command.mentions(place) {
                lacks.insert(feature);
            }
        }
        lacks
    }

    fn patience(&self) -> Option<f64> {
        Some(self.manner.patience)
    }

    fn jobs(&self) -> usize {
        self.manner.jobs
    }

    fn begin(&self, story: &Story, session: &str) -> Result<Box<dyn Endpoint>, Trouble> {
        let (url, running) = self.start(&Setup::of(story, session))?;
        Ok(Box::new(Socket::new(url, self.manner.fence(), Some(running))))
    }
}

/// A server and the files it was started with; both go with it.
pub(super) struct Running {
    pub(super) peer: Peer,
    _files: TempDir,
}

impl Launched {
    fn start(&self, setup: &Setup<'_>) -> Result<(String, Running), Trouble> {
        let broken = |failure: Failure| Trouble::Broken(failure.to_string());
        let files = tempfile::tempdir().map_err(|error| broken(Failure::io("make a directory")(error)))?;
        let port = free_port().map_err(|error| broken(Failure::io("find a free port")(error)))?;
        write_files(files.path(), setup)
            .map_err(|error| broken(Failure::io("write the configuration")(error)))?;
        let path = |name: &str| files.path().join(name).display().to_string();
        let word = |word: &str| {
            word.replace("{port}", &port.to_string())
                .replace("{session}", setup.session)
                .replace("{protocol}", setup.protocol)
                .replace("{config}", &path("config.json"))
                .replace("{workspace}", &path("workspace"))
        };
        let Words { program, mut arguments } = self.command.clone();
        if !setup.config.contains_key("workspace") {
            leave_out_workspace(&mut arguments);
        }
        let mut command = Command::new(word(&program));
        command.args(arguments.iter().map(|argument| word(argument)));
        let mut peer = Peer::start("server", &mut command, None).map_err(broken)?;
        let url = if self.command.mentions("{port}") {
            wait_for_port(port, &mut peer).map(|()| format!("ws://127.0.0.1:{port}"))
        } else {
            peer.wait_for("a ws:// URL", START, |lines| lines.iter().find_map(|line| url_in(&line.text))).ok()
        };
        match url {
            Some(url) => Ok((url, Running { peer, _files: files })),
            None => {
                let code = peer.wait_end(Duration::from_secs(1)).ok().and_then(|status| status.code());
                let said = peer.tail(3);
                if code == Some(UNABLE) {
                    return Err(Trouble::Skip(format!(
                        "the server cannot be configured so:{}",
                        said.trim_end()
                    )));
                }
                // What ends by itself has refused; what hangs is broken.
                let problem = format!("the server did not start:\n{said}");
                Err(if code.is_some() { Trouble::Refused(problem) } else { Trouble::Broken(problem) })
            }
        }
    }
}

/// A port that nobody listens on and that no other story was given: the server binds it only a little later.
fn free_port() -> std::io::Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
    }
}

/// Until somebody listens there, or the server has ended without doing so.
fn wait_for_port(port: u16, server: &mut Peer) -> Option<()> {
    let until = Instant::now() + START;
    while Instant::now() < until {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some(());
        }
        if server.ended().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20)); // nothing tells when a foreign server listens
    }
    None
}

/// A story without files starts a server without `--workspace {workspace}`.
fn leave_out_workspace(arguments: &mut Vec<String>) {
    let at = arguments.iter().position(|word| word == "{workspace}");
    if let Some(at) = at.filter(|at| *at > 0 && arguments[at - 1].starts_with("--")) {
        arguments.drain(at - 1..=at);
    }
}

fn url_in(line: &str) -> Option<String> {
    let at = line.find("ws://")?;
    line[at..].split_whitespace().next().map(str::to_owned)
}

fn write_files(folder: &Path, setup: &Setup<'_>) -> std::io::Result<()> {
    let workspace = folder.join("workspace");
    std::fs::create_dir(&workspace)?;
    for (path, content) in setup.config.get("workspace").and_then(Value::as_object).into_iter().flatten() {
        let place = workspace.join(path);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(place, content.as_str().unwrap_or_default())?;
    }
    let mut config: Map<String, Value> = setup.config.clone();
    config.remove("workspace");
    config.remove("session_id"); // `{session}`
    config.insert("protocol_level".to_owned(), setup.protocol.into());
    let mut file = std::fs::File::create(folder.join("config.json"))?;
    file.write_all(Value::Object(config).to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_files_is_not_told_of_any() {
        let left = |command: &str| {
            let mut words: Words = command.parse().unwrap();
            leave_out_workspace(&mut words.arguments);
            words.to_string()
        };
        assert_eq!(left("a --x y --workspace {workspace} -z"), "a --x y -z");
        assert_eq!(left("a {workspace}"), "a {workspace}", "an argument by its place stays");
    }

    #[test]
    fn a_server_that_ends_is_not_waited_for() {
        let manner =
            Manner { name: String::new(), without: BTreeSet::new(), patience: 1.0, jobs: 1, quiet_ms: None };
        let begun = Instant::now();
        for (command, is_skipped) in
            [("sh {workspace}/../config.json {port}", false), ("env sh -c exit${IFS}64 {port}", true)]
        {
            let launched = Launched { command: command.parse().unwrap(), manner: manner.clone() };
            let config = Map::new();
            let outcome = launched.start(&Setup { session: "s", protocol: "0.1.13", config: &config });
            match outcome.map(drop) {
                Err(Trouble::Skip(_)) => assert!(is_skipped),
                Err(Trouble::Refused(_)) => assert!(!is_skipped),
                other => panic!("{other:?}"),
            }
        }
        assert!(begun.elapsed() < START / 3);
    }

    #[test]
    fn the_first_url_of_a_line_is_taken() {
        assert_eq!(url_in("listening on ws://127.0.0.1:8 (all)").as_deref(), Some("ws://127.0.0.1:8"));
        assert_eq!(url_in("http://x"), None);
    }
}
