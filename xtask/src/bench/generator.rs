//! The project's measuring tools: the load generator, and how each of them is built.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::server::Cores;
use crate::peer::Peer;
use crate::step::{self, Failure};

/// Builds one of the tools in `measure`; gives where it is.
///
/// # Errors
/// The tools are not there, or it does not build.
pub(super) fn tool(measure: &Path, dir: &str, name: &str) -> Result<PathBuf, Failure> {
    let into = step::target().join("measure");
    let manifest = step::root().join(measure).join(dir).join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Failure::check(format!(
            "the measuring tools are not in {}: give their directory with --measure, it has `{dir}` in it",
            measure.display()
        )));
    }
    let mut build = step::cargo(&["build", "--release", "--bin", name, "--manifest-path"]);
    step::run(build.arg(&manifest).env("CARGO_TARGET_DIR", &into))?;
    Ok(into.join("release").join(name))
}

/// How the generator sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Each client sends its next message when it has heard its last one: as much as goes.
    Closed,
    /// So many announces and as many withdrawals a second: how long each takes from when it was due.
    Open { rate: u32 },
}

impl Mode {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
        }
    }
}

/// One run of the generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub(super) label: &'a str,
    pub(super) session: &'a str,
    pub(super) clients: u16,
    pub(super) mode: Mode,
    /// After one of warm-up.
    pub(super) seconds: u16,
    /// Whether the clients join.
    pub(super) hello: bool,
}

/// The load generator: on a core of its own where there are two.
#[derive(Debug)]
pub(super) struct Generator(PathBuf);

impl Generator {
    /// # Errors
    /// As [`tool`].
    pub(super) fn build(measure: &Path) -> Result<Self, Failure> {
        tool(measure, "loadgen", "mpac-loadgen").map(Self)
    }

    /// What it found at this server.
    ///
    /// # Errors
    /// The generator failed, was refused something, or one of its clients was hung up on.
    pub(super) fn run(
        &self,
        cores: Cores,
        server: &Peer,
        url: &str,
        task: Task<'_>,
    ) -> Result<Value, Failure> {
        let mut command = cores.run(1, &self.0);
        command.args(["--url", &format!("{url}/"), "--session", task.session, "--label", task.label]);
        command.args(["--clients", &task.clients.to_string(), "--mode", task.mode.name()]);
        command.args(["--seconds", &task.seconds.to_string(), "--warmup", "1"]);
        command.args(["--pid", &server.id().to_string()]);
        if let Mode::Open { rate } = task.mode {
            command.args(["--rate", &rate.to_string()]);
        }
        if !task.hello {
            command.arg("--no-hello");
        }
        let said = step::read(&mut command)?;
        let found: Value = serde_json::from_str(said.trim())
            .map_err(|error| Failure::check(format!("the generator said no JSON ({error}): {said}")))?;
        if found["errors"] != 0 || found["closed"] != 0 {
            return Err(Failure::check(format!("{}: refused or hung up on: {found}", task.label)));
        }
        Ok(found)
    }
}

/// Of the time from an announce to each who hears it.
pub(super) const P50: &str = "/announce_each/p50_ms";
pub(super) const P99: &str = "/announce_each/p99_ms";

/// A number that it found, by its JSON pointer.
pub(super) fn number(found: &Value, pointer: &str) -> f64 {
    found.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}
