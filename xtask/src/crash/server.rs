//! The server that is killed, and what it keeps.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{is_half, names};
use crate::peer::Peer;
use crate::step::{self, Failure};

/// Bytes of a full segment: so few that one is full every few hundred milliseconds.
const SEGMENT: &str = "100000";
/// Days that a log is kept, and seconds that count as one.
const RETENTION: [&str; 4] = ["--audit-retention-days", "2", "--day-sec", "1"];

/// A program, and the directories it works in.
pub(super) struct Server {
    program: PathBuf,
    durability: String,
    data: TempDir,
    archive: TempDir,
    /// From its start to its end, the last time that it did something.
    repair_took: Cell<Duration>,
}

impl Server {
    /// # Errors
    /// When it cannot be built.
    pub(super) fn build(durability: &str, release: bool) -> Result<Self, Failure> {
        let mut build = step::cargo(&["build", "--locked", "-p", "mpac-ws"]);
        if release {
            build.arg("--release");
        }
        step::run(&mut build)?;
        let program = step::target().join(if release { "release" } else { "debug" }).join("mpac-ws");
        let dir = || tempfile::tempdir().map_err(Failure::io("make a directory"));
        let repair_took = Cell::new(Duration::from_millis(300));
        Ok(Self { program, durability: durability.to_owned(), data: dir()?, archive: dir()?, repair_took })
    }

    pub(super) fn is_durable(&self) -> bool {
        self.durability != "none"
    }

    /// Where its one session is.
    pub(super) fn session(&self) -> PathBuf {
        self.data.path().join("sessions/default/1")
    }

    pub(super) fn start(&self, round: u64) -> Result<Peer, Failure> {
        let mut command = Command::new(&self.program);
        // Every other life is full of snapshots, each of which may be the last thing that is written.
        command.args(["--heartbeat-interval-sec", if round.is_multiple_of(2) { "0.2" } else { "30" }]);
        command.args(["--port", "0", "--rate-per-sec", "1000000", "--rate-burst", "1000000"]);
        command.args(["--segment-bytes", SEGMENT, "--reserve-bytes", "65536"]).args(RETENTION);
        command.args(["--durability", &self.durability, "--data-dir"]).arg(self.data.path());
        command.arg("--archive-dir").arg(self.archive.path());
        Peer::start("coordinator", &mut command, None)
    }

    /// Starts it and kills it after so many milliseconds; whether it was not listening by then.
    pub(super) fn interrupted_start(&self, round: u64, millis: u64) -> Result<bool, Failure> {
        let server = self.start(round)?;
        thread::sleep(Duration::from_millis(millis));
        Ok(crate::interop::url_in(&server.lines()).is_none())
    }

    /// Repairs a damaged log: kills that after so many hundredths of what it took the last time, then has it done. Whether
    /// there was something to kill.
    pub(super) fn repair(&self, hundredths: u64) -> Result<bool, Failure> {
        let mut repair = Command::new(&self.program);
        repair.args(["repair", "--data-dir"]).arg(self.data.path());
        let mut first = Peer::start("repair", &mut repair, None)?;
        thread::sleep(self.repair_took.get() * u32::try_from(hundredths).unwrap_or(100) / 100);
        let killed = first.ended().is_none();
        drop(first);
        let began = Instant::now();
        let said = step::read(&mut repair)?;
        if said.contains("repaired") {
            self.repair_took.set(began.elapsed());
        }
        Ok(killed)
    }

    pub(super) fn verify(&self) -> Result<(), Failure> {
        self.verify_in(self.data.path())
    }

    /// What was deleted was archived before, as it was.
    pub(super) fn verify_archive(&self) -> Result<(), Failure> {
        if self.archive.path().join("sessions").is_dir() {
            self.verify_in(self.archive.path())
        } else {
            Ok(())
        }
    }

    fn verify_in(&self, dir: &Path) -> Result<(), Failure> {
        step::read(Command::new(&self.program).args(["audit", "verify", "--data-dir"]).arg(dir)).map(drop)
    }

    /// How many files are half written.
    pub(super) fn half_written(&self) -> Result<u64, Failure> {
        Ok(names(&self.session())?.iter().filter(|name| is_half(name)).count() as u64)
    }

    /// What became of the log, in words.
    pub(super) fn kept(&self) -> Result<String, Failure> {
        let all = names(&self.session())?;
        let ending = |end: &str| all.iter().filter(|name| name.ends_with(end)).count();
        let archive = names(&self.archive.path().join("sessions/default/1"))?;
        let archived = archive.iter().filter(|name| name.ends_with(".log.gz")).count();
        let begins = std::fs::read_to_string(self.session().join("begins")).unwrap_or_default();
        let last = begins.lines().next_back().unwrap_or("everything is there");
        Ok(format!(
            "{} segments are there, {} of them compressed; {archived} are archived; {last}",
            ending(".log") + ending(".log.gz"),
            ending(".log.gz")
        ))
    }
}
