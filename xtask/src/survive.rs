//! `cargo xtask survive`: three agents are at work, and their server is killed over and over; all finish.
//!
//! Everything is real but the models: the two programs, sockets, files, SIGKILL. Alice and Bob each add a line to files
//! that both work on and to files of their own, one commit a file; Eve to some of hers, in one batch. Each time the server is started again on the same port it replays its log,
//! and the agents come back by themselves, find out what had arrived, and go on. At the end each line is in its file,
//! on disk, exactly once. The seed decides when the server is killed; what the agents have sent by then differs from run to
//! run.
//!
//! With `--verified` everything goes over TLS and is signed, by keys that the server's own authority certified: then nobody may
//! have had a reason to distrust the coordinator, or to report it (SEC-28).

mod signed;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::peer::{Line, OnLine, Output, Peer};
use crate::random::Random;
use crate::step::{self, Failure};
use signed::Signed;

/// Who works; the last one commits all of hers at once.
const AGENTS: [&str; 3] = ["Alice", "Bob", BATCHES];
const BATCHES: &str = "Eve";
/// How long she waits before that, in milliseconds: until about the first kill.
const BATCH_PACE_MS: u64 = 250;
/// How many files she has.
const BATCH_FILES: u32 = 5;
/// How long an agent waits before each commit, in milliseconds: little, so that something is under way at most kills.
const PACE_MS: u64 = 60;
/// A server lives this long, in milliseconds, at least and at most: from before anybody is back to well into the work.
const LIFE: (u64, u64) = (20, 400);
/// How long after that wait every other kill comes, in milliseconds: while a commit is on its way, or about then.
const COMMIT: (u64, u64) = (0, 16);
/// How long the next commit of an agent at work takes, coming back included.
const NEXT: Duration = Duration::from_millis(600);
/// For a server to replay its log and listen.
const START: Duration = Duration::from_secs(60);
/// For the agents to finish once the server stays.
const LIMIT: Duration = Duration::from_secs(120);

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How often the server is killed.
    #[arg(long, default_value_t = 5)]
    kills: u32,
    /// Decides when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At 0.1.13 both work on a file at once and one is rebased; at 0.1.15 one waits until the other is done.
    #[arg(long, default_value = "0.1.13")]
    protocol_level: String,
    /// Everything is signed.
    #[arg(long)]
    verified: bool,
}

impl Options {
    /// The files that somebody signs: shared ones and own ones, so that both come to the same file now and then, and
    /// enough for the work to outlast the kills.
    fn files_of(&self, name: &str) -> Vec<String> {
        if name == BATCHES {
            return (0..BATCH_FILES).map(|n| format!("{n:02}-{name}.txt")).collect();
        }
        let shared = (0..self.kills + 3).map(|n| format!("{n:02}-shared.txt"));
        let own = (0..self.kills * 3 + 5).map(|n| format!("{n:02}-{name}.txt"));
        shared.chain(own).collect()
    }
}

/// A few kills at both levels, for every day.
///
/// # Errors
/// As [`run`].
pub(crate) fn of_ci() -> Result<(), Failure> {
    for (protocol_level, kills, seed, verified) in
        [("0.1.13", 4, 2, false), ("0.1.15", 3, 3, false), ("0.1.13", 3, 4, true)]
    {
        run(&Options { kills, seed, protocol_level: protocol_level.to_owned(), verified })?;
    }
    Ok(())
}

/// Lets them work, kills, restarts, and looks at what is there in the end.
///
/// # Errors
/// A binary cannot be built or started, an agent does not finish with 0, a line is missing or there twice, or the log does
/// not verify.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    step::run(&mut step::cargo(&["build", "--locked", "-p", "mpac-ws", "-p", "mpac-agent"]))?;
    let began = Instant::now();
    let folder = tempfile::tempdir().map_err(Failure::io("make a temporary folder"))?;
    let workspace = folder.path().join("workspace");
    write_workspace(&workspace, options)?;
    let signed = options.verified.then(|| Signed::prepare(folder.path(), &AGENTS)).transpose()?;
    let place = Place { folder: folder.path(), options, signed };
    let (mut server, url) = place.start_server(None)?;
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap_or_default();
    let mut agents =
        AGENTS.iter().map(|name| place.start_agent(&url, name)).collect::<Result<Vec<_>, _>>()?;
    for agent in &agents {
        agent.wait_for("to be let in", START, |lines| {
            lines.iter().find(|it| it.text.contains("joined")).map(drop)
        })?;
    }
    let mut random = Random::new(options.seed);
    for kill in 1..=options.kills {
        let life = random.between(LIFE);
        std::thread::sleep(life);
        if kill.is_multiple_of(2) {
            let agent = &agents[(kill / 2) as usize % (agents.len() - 1)];
            until_it_commits(agent, random.between(COMMIT));
        }
        if agents.iter_mut().all(|agent| agent.ended().is_some()) {
            let said: String = agents.iter().map(|agent| agent.tail(12)).collect();
            return Err(Failure::check(format!("the agents ended before kill {kill}\n{said}")));
        }
        if let Some(status) = server.ended() {
            return Err(Failure::check(format!(
                "the coordinator ended by itself, with {status}\n{}",
                server.tail(20)
            )));
        }
        // Its end kills it, and nothing else tells it to end.
        drop(server);
        step::say(&format!("    kill {kill} after {} ms", life.as_millis()));
        (server, _) = place.start_server(Some(port))?;
    }
    for agent in &mut agents {
        let status = agent.wait_end(LIMIT)?;
        if !status.success() {
            return Err(Failure::check(format!("{} ended with {status}\n{}", agent.name(), agent.tail(40))));
        }
    }
    let heard = |text: &str| -> usize {
        let lines = agents.iter().flat_map(Peer::lines);
        lines.filter(|line| line.text.contains(text)).count()
    };
    let (returns, arrived, again) = (heard("back after"), heard("had arrived"), heard("is sent again"));
    check(&workspace, &agents, options)?;
    agents.iter().try_for_each(signed::nobody_was_distrusted)?;
    let status = server.interrupt(LIMIT)?;
    if !status.success() {
        return Err(Failure::check(format!("the coordinator ended with {status}\n{}", server.tail(20))));
    }
    place.verify()?;
    step::say(&format!(
        "survive: {} kills in {:.1} s at {}{}, the agents came back {returns} times and finished, found {arrived} commits that had arrived and sent {again} again; {} lines, each there once; seed {}",
        options.kills,
        began.elapsed().as_secs_f64(),
        options.protocol_level,
        if options.verified { ", everything signed" } else { "" },
        AGENTS.iter().map(|name| options.files_of(name).len()).sum::<usize>(),
        options.seed
    ));
    Ok(())
}

/// Waits until the agent has committed, and then until its next commit may be on its way. One that is waiting for the other
/// commits nothing for long: then any moment will do.
fn until_it_commits(agent: &Peer, after: Duration) {
    let commits = |lines: &[Line]| lines.iter().filter(|line| line.text.starts_with("committed ")).count();
    let before = commits(&agent.lines());
    let next = agent.wait_for("another commit", NEXT, |lines| (commits(lines) > before).then_some(()));
    if next.is_ok() {
        std::thread::sleep(Duration::from_millis(PACE_MS) + after);
    }
}

/// Where everything is.
struct Place<'a> {
    folder: &'a Path,
    options: &'a Options,
    signed: Option<Signed>,
}

impl Place<'_> {
    fn start_server(&self, port: Option<&str>) -> Result<(Peer, String), Failure> {
        let mut command = Command::new(step::target().join("debug/mpac-ws"));
        command.args([
            "--port",
            port.unwrap_or("0"),
            "--protocol-level",
            &self.options.protocol_level,
            "--write-back",
            "--workspace",
        ]);
        command.arg(self.folder.join("workspace")).arg("--data-dir").arg(self.folder.join("data"));
        self.signed.iter().for_each(|signed| signed.equip_server(&mut command));
        let server = Peer::start("coordinator", &mut command, None)?;
        let url = server.wait_for("its address", START, crate::interop::url_in);
        let url = url.map_err(|failure| Failure::check(format!("{failure}\n{}", server.tail(20))))?;
        Ok((server, url))
    }

    fn start_agent(&self, url: &str, name: &str) -> Result<Peer, Failure> {
        let script = self.folder.join(format!("{name}.json"));
        let edits: serde_json::Map<_, _> = self
            .options
            .files_of(name)
            .into_iter()
            .map(|file| (file, json!([{"find": "", "replace": line_of(name)}])))
            .collect();
        let files: Vec<&String> = edits.keys().collect();
        let pace = if name == BATCHES { BATCH_PACE_MS } else { PACE_MS };
        let text = json!({
            "plan": {"objective": format!("{name} signs"), "files": files}, "edits": edits, "commit_pace_ms": pace,
        });
        std::fs::write(&script, text.to_string()).map_err(Failure::io("write a script"))?;
        let mut command = Command::new(step::target().join("debug/mpac-agent"));
        command.args([url, "--name", name, "--task", "sign", "--max-rebase", "9", "--script"]).arg(script);
        if name != BATCHES {
            command.arg("--commit-each");
        }
        self.signed.iter().for_each(|signed| signed.equip_agent(&mut command, name));
        Peer::start(name, &mut command, Some(shown(name)))
    }

    fn verify(&self) -> Result<(), Failure> {
        let mut command = Command::new(step::target().join("debug/mpac-ws"));
        step::read(command.args(["audit", "verify", "--data-dir"]).arg(self.folder.join("data"))).map(drop)
    }
}

/// Shows what an agent says, but for the texts it writes.
fn shown(name: &str) -> OnLine {
    let name = name.to_owned();
    std::sync::Arc::new(move |line| {
        if line.output == Output::Err || !line.text.starts_with(['-', '+', '@', ' ', '\\']) {
            step::say(&format!("{name:>11} | {}", line.text));
        }
    })
}

fn line_of(name: &str) -> String {
    format!("{name} was here\n")
}

fn write_workspace(workspace: &Path, options: &Options) -> Result<(), Failure> {
    std::fs::create_dir_all(workspace).map_err(Failure::io("make a workspace"))?;
    for file in AGENTS.into_iter().flat_map(|name| options.files_of(name)) {
        std::fs::write(workspace.join(&file), format!("{file}\n")).map_err(Failure::io("write a file"))?;
    }
    Ok(())
}

/// Each line is in its file once, nothing else is, and each agent says of each file once that it has committed it.
fn check(workspace: &Path, agents: &[Peer], options: &Options) -> Result<(), Failure> {
    for (name, agent) in AGENTS.into_iter().zip(agents) {
        for file in options.files_of(name) {
            let text = step::text(&workspace.join(&file))?;
            let signers = AGENTS.iter().filter(|name| options.files_of(name).contains(&file));
            let mut expected: Vec<String> =
                signers.map(|name| line_of(name)).chain([format!("{file}\n")]).collect();
            let mut found: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
            expected.sort();
            found.sort();
            if found != expected {
                return Err(Failure::check(format!(
                    "{file} is not as it has to be:\n{text}\n{}",
                    agent.tail(40)
                )));
            }
            let words = format!("committed {file}: ");
            let said = agent.lines().iter().filter(|line| line.text.starts_with(&words)).count();
            if said != 1 {
                return Err(Failure::check(format!(
                    "{name} has committed {file} {said} times\n{}",
                    agent.tail(40)
                )));
            }
        }
    }
    Ok(())
}
