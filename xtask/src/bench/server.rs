//! Our server as it is measured: optimised, on a core of its own where there are two, and held back by no limit on rates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::interop::url_in;
use crate::peer::Peer;
use crate::step::{self, Failure};

/// For a server to listen.
pub(super) const START: Duration = Duration::from_secs(600);

/// Programs on cores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    /// A core for the server and one for whoever puts load on it.
    pinned: bool,
}

impl Cores {
    pub(super) fn find() -> Self {
        let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        Self { pinned: several && step::read(Command::new("taskset").args(["-c", "0", "true"])).is_ok() }
    }

    /// That program, on that core.
    pub(super) fn run(self, core: u8, program: &Path) -> Command {
        if !self.pinned {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]).arg(program);
        command
    }

    /// This process and all its threads from now on, on the core that is not the server's.
    pub(super) fn stay_off_the_servers(self) -> Result<(), Failure> {
        if self.pinned {
            let id = std::process::id().to_string();
            step::read(Command::new("taskset").args(["-a", "-c", "-p", "1", &id]))?;
        }
        Ok(())
    }
}

/// The program, built.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) program: PathBuf,
    pub(super) cores: Cores,
}

impl Ours {
    /// # Errors
    /// It does not build.
    pub(super) fn build() -> Result<Self, Failure> {
        step::run(&mut step::cargo(&["build", "--locked", "--release", "-p", "mpac-ws"]))?;
        Ok(Self { program: step::target().join("release").join("mpac-ws"), cores: Cores::find() })
    }

    /// A server with these options more, started in `dir`, and its address once it listens.
    pub(super) fn serve(&self, more: &[&str], dir: &Path) -> Result<(Peer, String), Failure> {
        let mut command = self.cores.run(0, &self.program);
        command.args(["--port", "0", "--rate-per-sec", "10000000", "--rate-burst", "10000000"]);
        command.args(["--max-connections", "20000", "--max-connections-per-address", "20000"]);
        let server = Peer::start("coordinator", command.args(more).current_dir(dir), None)?;
        let url = server.wait_for("address", START, url_in)?;
        Ok((server, url))
    }
}

/// Bytes of a process that are in memory now, and the most that ever were.
pub(super) fn memory(server: &Peer) -> Result<(f64, f64), Failure> {
    let path = PathBuf::from(format!("/proc/{}/status", server.id()));
    let status = step::text(&path)?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    match (of("VmRSS:"), of("VmHWM:")) {
        (Some(now), Some(most)) => Ok((now * 1024.0, most * 1024.0)),
        _ => Err(Failure::check(format!("{} says nothing of memory", path.display()))),
    }
}
