//! Who thinks for our side: Claude's stand-in, a program, or an MCP host.

use std::path::Path;
use std::process::Command;

use super::cast::SESSION;
use crate::step;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Claude,
    Program,
    Host,
}

/// What is to be done, and where.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    /// The interpreter with the MCP client.
    pub(super) host: &'a Path,
    pub(super) url: &'a str,
    /// The stand-in for the Messages API.
    pub(super) api: &'a str,
    pub(super) name: &'a str,
    pub(super) files: &'a [&'a str],
    /// No file is written: a stand-in that holds is started with `--meet write`.
    pub(super) holds: bool,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Claude, Self::Program, Self::Host];

    /// Our agent, or the host of our bridge. Both begin once a line comes on standard input.
    pub(super) fn command(self, job: &Job<'_>) -> Command {
        let program = step::target().join("debug/mpac-agent");
        if self == Self::Host {
            let mut command = Command::new(job.host);
            command.arg(step::root().join("fixtures/mcp/task.py")).arg(program);
            command.args(job.holds.then_some("--hold")).args(job.files).env("PYTHONUNBUFFERED", "1");
            command.env("MPAC_URL", job.url).env("MPAC_NAME", job.name).env("MPAC_SESSION", SESSION);
            return command;
        }
        let task = format!("Improve it [files: {}]", job.files.join(", "));
        // A shell that waits for the word and then is the agent.
        let mut command = Command::new("sh");
        command.args(["-c", "read _; exec \"$@\"", "sh"]).arg(program);
        command.args([job.url, "--name", job.name, "--session", SESSION, "--task", &task]);
        command.args(["--reconnect-for-sec", "1"]);
        if self == Self::Program {
            let brain = step::root().join("fixtures/interop/brain.py");
            let hold = if job.holds { " --hold" } else { "" };
            command.arg("--brain-command").arg(format!("python3 '{}'{hold}", brain.display()));
            command.env_remove("ANTHROPIC_API_KEY");
        } else {
            command.env("ANTHROPIC_API_KEY", "test").env("ANTHROPIC_BASE_URL", job.api);
        }
        command
    }

    /// What it says when it is about to begin; the agent says nothing.
    pub(super) fn greeting(self) -> Option<&'static str> {
        (self == Self::Host).then_some("connected")
    }
}
