//! `cargo xtask bench signatures`: messages per second of a verified session against an open one.
//!
//! Real servers, optimised, on this machine, without a data directory and without TLS, so that signatures are the only
//! difference. A few participants announce and withdraw intents in files of their own, a window at a time, and each waits for
//! what comes back of its own window. What they send is signed before the clock starts: the first figure is the
//! coordinator's cost. For the second one they also verify everything that they hear, on the same cores.

mod participant;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::participant::{Participant, Signer};
use super::table::Row;
use super::{median, report};
use crate::interop::url_in;
use crate::peer::Peer;
use crate::step::{self, Failure, say};

/// For a server to listen.
const START: Duration = Duration::from_secs(30);

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Participants at work.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    participants: u16,
    /// Messages of each in one round.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(2..))]
    messages: u32,
    /// Rounds, of which the median counts; the three kinds take turns.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Write rows and single measurements there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A kind of session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Verified,
    /// And the participants verify, too.
    VerifiedByAll,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Open, Self::Verified, Self::VerifiedByAll];

    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Verified => "verified, by the coordinator",
            Self::VerifiedByAll => "verified, by everybody",
        }
    }
}

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`].
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    step::run(&mut step::cargo(&["build", "--locked", "--release", "-p", "mpac-ws"]))?;
    let program = step::target().join("release").join("mpac-ws");
    let dir = tempfile::tempdir().map_err(Failure::io("make a directory"))?;
    let bench = Bench { options, program: &program, dir: dir.path() };
    bench.issue()?;
    let mut rates = Kind::ALL.map(|_| Vec::new());
    for round in 1..=options.rounds {
        for (kind, rates) in Kind::ALL.into_iter().zip(&mut rates) {
            let rate = bench.round(kind)?;
            say(&format!("round {round} of {}: {:<28} {rate:>8.0} messages/s", options.rounds, kind.name()));
            rates.push(rate);
        }
    }
    let [open, verified, by_all] = rates.each_ref().map(|rates| median(rates.clone()));
    let row = |kind: Kind, rate| Row::new(format!("session {}", kind.name()), "messages/s", rate, open);
    let rows = [row(Kind::Open, open), row(Kind::Verified, verified), row(Kind::VerifiedByAll, by_all)]
        .map(|row| row.beside("open"));
    report::finish("signatures", &rows, &rates, options.json.as_deref())
}

struct Bench<'a> {
    options: &'a Options,
    program: &'a Path,
    dir: &'a Path,
}

impl Bench<'_> {
    /// Keys and certificates for everybody, once.
    fn issue(&self) -> Result<(), Failure> {
        let cert = |args: &[&str]| {
            let mut command = Command::new(self.program);
            step::read(command.arg("cert").args(args).current_dir(self.dir)).map(drop)
        };
        cert(&["ca"])?;
        (0..self.options.participants).try_for_each(|number| cert(&["issue", &participant::name(number)]))
    }

    /// Messages per second that a fresh server takes.
    fn round(&self, kind: Kind) -> Result<f64, Failure> {
        let server = self.serve(kind)?;
        let url = server.wait_for("address", START, url_in)?;
        let mut all = (0..self.options.participants)
            .map(|number| {
                let signer = match kind {
                    Kind::Open => None,
                    Kind::Verified | Kind::VerifiedByAll => Some(Signer::load(self.dir, number)?),
                };
                let mut participant = Participant::join(&url, number, signer)?;
                participant.prepare(self.options.messages)?;
                Ok(participant)
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let began = Instant::now();
        thread::scope(|scope| {
            let at_work: Vec<_> =
                all.iter_mut().map(|it| scope.spawn(|| it.work(kind == Kind::VerifiedByAll))).collect();
            at_work.into_iter().try_for_each(|work| {
                work.join().unwrap_or_else(|_| Err(Failure::check("a participant panicked")))
            })
        })?;
        let sent = f64::from(self.options.messages) * f64::from(self.options.participants);
        Ok(sent / began.elapsed().as_secs_f64())
    }

    fn serve(&self, kind: Kind) -> Result<Peer, Failure> {
        let mut command = Command::new(self.program);
        command.args(["--port", "0", "--durability", "none", "--queue-frames", "1000000"]);
        command.args(["--rate-per-sec", "10000000", "--rate-burst", "10000000"]);
        command.args(["--principal-rate-per-sec", "10000000", "--principal-rate-burst", "10000000"]);
        command.current_dir(self.dir);
        if kind != Kind::Open {
            command.args(["--security-profile", "verified", "--trust-anchors", "mpac-ca/ca.pem"]);
            command.args(["--role-policy", r#"{"default_role":"contributor"}"#]);
        }
        Peer::start("coordinator", &mut command, None)
    }
}
