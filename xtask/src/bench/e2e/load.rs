//! Servers, and the load that is put on them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::disk::Sync;
use crate::bench::generator::{Generator, Mode, Task, tool};
use crate::bench::server::{Ours, START};
use crate::peer::Peer;
use crate::step::{self, Failure};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An axum server that sends everything to everybody, one flush a frame.
    Bare,
    /// The same, one flush for all that waits.
    Batched,
    /// Our server, in memory.
    Ours,
    /// Our server, with each message in its log before anybody hears of it.
    Durable,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare broadcast",
            Self::Batched => "bare broadcast, batched",
            Self::Ours => "mpac-ws, in memory",
            Self::Durable => "mpac-ws, durable (fsync)",
        }
    }
}

/// Seconds that a measurement takes, after one of warm-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasting {
    pub(crate) closed: u16,
    pub(crate) open: u16,
}

impl Lasting {
    const fn of(self, mode: Mode) -> u16 {
        match mode {
            Mode::Closed => self.closed,
            Mode::Open { .. } => self.open,
        }
    }
}

/// Everything built.
#[derive(Debug)]
pub(crate) struct Load {
    generator: Generator,
    bare: PathBuf,
    ours: Ours,
    lasting: Lasting,
}

impl Load {
    /// # Errors
    /// The tools are not there, or something does not build.
    pub(crate) fn build(measure: &Path, lasting: Lasting) -> Result<Self, Failure> {
        // First what is quick, and may not be there.
        let (generator, bare) = (Generator::build(measure)?, tool(measure, "limits", "ws-limit")?);
        Ok(Self { generator, bare, ours: Ours::build()?, lasting })
    }

    /// What the generator found at a fresh server of this kind.
    pub(super) fn measure(&self, kind: Kind, mode: Mode, clients: u16) -> Result<Value, Failure> {
        let dir = tempfile::tempdir_in(step::target()).map_err(Failure::io("make a directory"))?;
        let (server, url) = self.serve(kind, dir.path())?;
        let hello = matches!(kind, Kind::Ours | Kind::Durable);
        let (label, seconds) = (kind.name(), self.lasting.of(mode));
        let task = Task { label, session: "default", clients, mode, seconds, hello };
        self.generator.run(self.ours.cores, &server, &url, task)
    }

    /// What the disk costs where the servers keep their logs.
    pub(super) fn sync() -> Result<Sync, Failure> {
        let dir = tempfile::tempdir_in(step::target()).map_err(Failure::io("make a directory"))?;
        Sync::measure(dir.path()).map_err(Failure::io("write and sync"))
    }

    fn serve(&self, kind: Kind, dir: &Path) -> Result<(Peer, String), Failure> {
        let bare = |batch: Option<&str>| {
            let mut command = self.ours.cores.run(0, &self.bare);
            let port = free_port()?.to_string();
            command.args([port.as_str(), "1"]).args(batch);
            let server = Peer::start("broadcast", &mut command, None)?;
            server
                .wait_for("ready", START, |lines| lines.iter().any(|it| it.text == "ready").then_some(()))?;
            Ok((server, format!("ws://127.0.0.1:{port}")))
        };
        match kind {
            Kind::Bare => bare(None),
            Kind::Batched => bare(Some("batch")),
            Kind::Ours => self.ours.serve(&["--queue-frames", "1000000", "--durability", "none"], dir),
            Kind::Durable => self.ours.serve(&["--queue-frames", "1000000", "--data-dir", "data"], dir),
        }
    }
}

/// A port that nobody listens on at the moment.
fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr());
    listener.map(|at| at.port()).map_err(Failure::io("find a free port"))
}
