//! One round: a stand-in for the model, a server, the agents, and what came of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::VERSION;
use super::case::{Case, Files, NAMES};
use super::chain::{self, Call, Chain};
use crate::interop::{url_in, venv};
use crate::peer::{Line, Peer};
use crate::step::{self, Failure};

const SESSION: &str = "bench";
/// For a process to be ready.
const SOON: Duration = Duration::from_secs(60);
/// For an agent to finish: Python agents take about eighteen seconds where all yield.
const WHOLE_TASK: Duration = Duration::from_secs(120);
/// The exit code of our agent when it left the task to somebody else.
const YIELDED: i32 = 3;
/// More than any case has.
const WORKSPACE_FILES: usize = 8;

/// Whose agents and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    /// The released Python package.
    Python,
    /// This repository.
    Ours,
}

/// What one round came to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    #[serde(serialize_with = "name_of")]
    pub(super) case: Case,
    pub(super) side: Side,
    pub(super) wall_sec: f64,
    /// The longest model time of one agent.
    pub(super) own_path: Chain,
    /// The longest chain of calls across agents.
    pub(super) chain: Chain,
    /// Until the first call of the last agent that makes one.
    pub(super) before_ms: f64,
    /// The longest pause of one agent between two of its calls.
    pub(super) between_ms: f64,
    /// From the last answer to the end of the last agent.
    pub(super) after_ms: f64,
    /// How many texts of agents are in the files in the end.
    pub(super) kept: usize,
    pub(super) calls: Vec<Call>,
}

fn name_of<S: serde::Serializer>(case: &Case, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&case.name())
}

impl Round {
    /// Starts everybody, waits for the end, looks at the files.
    ///
    /// # Errors
    /// A process does not do its part in time, or a text is lost.
    pub(super) fn play(case: Case, side: Side, delay_ms: u32) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::io("make a temporary folder"))?;
        let workspace = folder.path().join("workspace");
        fill(&workspace)?;
        let mut model = python("messages_api.py");
        let delay = delay_ms.to_string();
        model.args(["--conflict", case.rule(), "--delay-ms", &delay, "--write-ms", &delay]);
        let model = Peer::start("model", &mut model, None)?;
        let api = model.wait_for("its address", SOON, |lines| {
            lines.iter().find_map(|line| line.text.strip_prefix("ready ").map(str::to_owned))
        })?;
        let (mut server, files) = side.server(&workspace, folder.path());
        let mut server = Peer::start("server", &mut server, None)?;
        let url = server.wait_for("its address", SOON, url_in)?;
        let mut agents = Vec::new();
        let done = side.work(case, &url, &api, &mut agents);
        let told = || agents.iter().chain([&model, &server]).map(|peer| peer.tail(15)).collect::<String>();
        let (began, ended) = done.map_err(|failure| Failure::check(format!("{failure}\n{}", told())))?;
        server.interrupt(SOON)?;
        let kept = kept(case, &files)?;
        Self::of(case, side, (began, ended), calls_in(&model.lines()), kept)
    }

    fn of(
        case: Case,
        side: Side,
        (began, ended): (f64, f64),
        calls: Vec<Call>,
        kept: usize,
    ) -> Result<Self, Failure> {
        let of = |name: &str| calls.iter().filter(|call| call.agent == *name).collect::<Vec<_>>();
        let everybody: Vec<Vec<&Call>> = NAMES.iter().take(case.agents).map(|name| of(name)).collect();
        if everybody.iter().any(Vec::is_empty) {
            return Err(Failure::check(format!("{}: an agent asked the model nothing", case.name())));
        }
        let firsts = everybody.iter().map(|its| its.iter().map(|call| call.began).fold(f64::MAX, f64::min));
        let last = calls.iter().map(|call| call.ended).fold(0.0, f64::max);
        Ok(Self {
            case,
            side,
            wall_sec: ended - began,
            own_path: chain::own(&calls),
            chain: chain::longest(&calls),
            before_ms: (firsts.fold(0.0, f64::max) - began) * 1e3,
            between_ms: everybody.iter().map(|its| pause(its)).fold(0.0, f64::max) * 1e3,
            after_ms: (ended - last) * 1e3,
            kept,
            calls,
        })
    }

    /// The model's critical path.
    pub(super) fn path(&self) -> Chain {
        match self.case.files {
            Files::Disjoint(_) => self.own_path,
            Files::Same(_) => self.chain,
        }
    }

    /// Wall less critical path.
    pub(super) fn overhead_ms(&self) -> f64 {
        (self.wall_sec - self.path().seconds) * 1e3
    }

    /// For the progress.
    pub(super) fn line(&self) -> String {
        format!(
            "{:<36} {:<6} wall {:>7.3} s, path {:.3} s in {} calls, overhead {:>8.1} ms",
            self.case.name(),
            self.side.name(),
            self.wall_sec,
            self.path().seconds,
            self.path().calls,
            self.overhead_ms()
        )
    }
}

/// The longest time between two of an agent's calls in which it asks nothing, in seconds.
fn pause(calls: &[&Call]) -> f64 {
    let mut calls = calls.to_vec();
    calls.sort_by(|a, b| a.began.total_cmp(&b.began));
    calls.windows(2).map(|pair| pair[1].began - pair[0].ended).fold(0.0, f64::max)
}

impl Side {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Ours => "ours",
        }
    }

    /// With the folder in which its files are in the end.
    fn server(self, workspace: &Path, folder: &Path) -> (Command, PathBuf) {
        match self {
            Self::Ours => {
                let mut command = Command::new(step::target().join("release/mpac-ws"));
                let args = ["--port", "0", "--session", SESSION, "--write-back", "--workspace"];
                command.args(args).arg(workspace);
                (command, workspace.to_path_buf())
            }
            Self::Python => {
                let mut command = python("python_server.py");
                command.arg(SESSION).arg(workspace).arg(folder);
                (command, folder.join("files"))
            }
        }
    }

    fn agent(self, name: &str, url: &str, task: &str) -> Command {
        match self {
            Self::Ours => {
                let mut command = Command::new(step::target().join("release/mpac-agent"));
                command.args([url, "--name", name, "--session", SESSION, "--task", task]);
                command
            }
            Self::Python => {
                let mut command = python("python_agent.py");
                command.args([name, url, SESSION, task]);
                command
            }
        }
    }

    /// All agents from start to end; gives when that was, in seconds since the epoch.
    fn work(self, case: Case, url: &str, api: &str, agents: &mut Vec<Peer>) -> Result<(f64, f64), Failure> {
        let mut began = now();
        for (at, name) in NAMES.iter().take(case.agents).enumerate() {
            let task = format!("Improve it [files: {}]", case.files_of(at).join(", "));
            let mut command = self.agent(name, url, &task);
            command.env("ANTHROPIC_API_KEY", "test").env("ANTHROPIC_BASE_URL", api);
            agents.push(Peer::start(name, &mut command, None)?);
        }
        if self == Self::Python {
            for agent in &*agents {
                let connected = |lines: &[Line]| lines.iter().any(|it| it.text == "connected").then_some(());
                agent.wait_for("a connection", SOON, connected)?;
            }
            began = now();
            agents.iter_mut().try_for_each(|agent| agent.tell("go"))?;
            for agent in &*agents {
                let done = |lines: &[Line]| lines.iter().any(|it| it.text == "done").then_some(());
                agent.wait_for("end of its task", WHOLE_TASK, done)?;
            }
            return Ok((began, now()));
        }
        for agent in &mut *agents {
            let status = agent.wait_end(WHOLE_TASK)?;
            let left = status.code() == Some(YIELDED) && !case.keeps_all();
            if !status.success() && !left {
                return Err(Failure::check(format!("{} ended with {status}", agent.name())));
            }
        }
        Ok((began, now()))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn python(script: &str) -> Command {
    let mut command = Command::new(venv::python(VERSION));
    command.arg(step::root().join("fixtures/interop").join(script)).env("PYTHONUNBUFFERED", "1");
    command
}

/// The calls that the stand-in has answered.
fn calls_in(lines: &[Line]) -> Vec<Call> {
    lines.iter().filter_map(|line| serde_json::from_str(&line.text).ok()).collect()
}

fn base(number: usize) -> String {
    let functions: String =
        (0..10).map(|at| format!("def f{number}_{at}():\n    return {at}\n\n\n")).collect();
    format!("# file {number}\n{functions}")
}

/// Small Python files, larger than a word and smaller than what is changed by edits.
fn fill(workspace: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(workspace).map_err(Failure::io("make a workspace"))?;
    (0..WORKSPACE_FILES).try_for_each(|number| {
        std::fs::write(workspace.join(format!("file_{number}.py")), base(number))
            .map_err(Failure::io("write a file of the workspace"))
    })
}

/// How many texts of agents are there, each on top of the old text and of the others'.
fn kept(case: Case, files: &Path) -> Result<usize, Failure> {
    let mut kept = 0;
    for number in 0..WORKSPACE_FILES {
        let path = format!("file_{number}.py");
        let text = step::text(&files.join(&path))?;
        let old = base(number);
        let Some(added) = text.strip_prefix(old.trim_end()) else {
            return Err(Failure::check(format!("{}: {path} has lost its old text", case.name())));
        };
        for (at, name) in NAMES.iter().take(case.agents).enumerate() {
            let lines = added.lines().filter(|line| *line == format!("# edited by {name}")).count();
            let is_its = case.files_of(at).contains(&path);
            let fits = if is_its && case.keeps_all() { lines == 1 } else { lines <= usize::from(is_its) };
            if !fits {
                return Err(Failure::check(format!(
                    "{}: {name} is {lines} times in {path}:\n{added}",
                    case.name()
                )));
            }
            kept += lines;
        }
    }
    match kept {
        0 => Err(Failure::check(format!("{}: nothing was changed", case.name()))),
        kept => Ok(kept),
    }
}
