//! `cargo xtask bench sessions`: many sessions at once: what each costs while it is idle, and whether one starves another.
//!
//! Each busy session has a load generator of its own, and one that is calm has one as well: together they take less than their core, so
//! that what is measured is the server with as much to do as it can. A row says how much it was.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::client::{Client, percentile};
use super::generator::{Generator, Mode, P50, P99, Task, number};
use super::report;
use super::server::{Ours, memory};
use super::table::{Row, Target};
use crate::peer::Peer;
use crate::step::{self, Failure, say};

/// Connections that are made at the same time.
const AT_ONCE: usize = 32;
/// The calm session: who is in it, and how often one of them announces something in a second, and withdraws it.
const CALM: (u16, u32) = (2, 50);
/// Seconds that the busy ones get to begin before the calm one is looked at, and that they go on after it.
const AROUND: u16 = 2;
/// Of the time from sending a message to hearing it oneself.
const OWN_P50: &str = "/own_round_trip/p50_ms";
const OWN_P99: &str = "/own_round_trip/p99_ms";
/// After so long the server hangs up on the idle ones: nobody answers its pings for them.
const UNHEARD: Duration = Duration::from_secs(40);

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Directory of the measuring tools, with `loadgen` in it
    #[arg(long, value_name = "DIR", env = "MPAC_MEASURE", default_value = "../shared/measure")]
    measure: PathBuf,
    /// Sessions that are open.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=5000))]
    sessions: u32,
    /// Participants of each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=100))]
    participants: u16,
    /// One of so many sessions is busy.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    one_in: u32,
    /// Seconds of load; the idle ones answer no pings, and are hung up on after 40.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(8..=20))]
    seconds: u16,
    /// Store them: whatever anybody hears is on the disk by then
    #[arg(long)]
    durable: bool,
    /// Write rows and single measurements there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`], and when the measuring tools are not there.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    // First what is quick, and may not be there.
    let (generator, ours) = (Generator::build(&options.measure)?, Ours::build()?);
    ours.cores.stay_off_the_servers()?;
    let dir = tempfile::tempdir_in(step::target()).map_err(Failure::io("make a directory"))?;
    // And two that are calm: alone, and beside the others.
    let most = (options.sessions + 2).to_string();
    let stored: &[&str] = if options.durable { &["--data-dir", "data"] } else { &["--durability", "none"] };
    let more = [&["--multi-session", "--max-sessions", &most], stored].concat();
    let (server, url) = ours.serve(&more, dir.path())?;
    // The printed one is that of a session.
    let url = url.split("/session/").next().unwrap_or(&url);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start a runtime"))?;
    runtime.block_on(Bench { options, ours: &ours, generator: &generator, server: &server, url }.run())
}

struct Bench<'a> {
    options: &'a Options,
    ours: &'a Ours,
    generator: &'a Generator,
    server: &'a Peer,
    url: &'a str,
}

impl Bench<'_> {
    async fn run(&self) -> Result<(), Failure> {
        let Options { sessions, participants, one_in, seconds, .. } = *self.options;
        let busy = (sessions / one_in).max(1);
        let idle = sessions - busy;
        let (empty, _) = memory(self.server)?;
        let begun = Instant::now();
        // Kept, so that their connections stay open.
        let mut joined = self.join_all(idle, 0).await?;
        let (one_each, _) = memory(self.server)?;
        for person in 1..participants {
            joined.extend(self.join_all(idle, person).await?);
        }
        let (all, _) = memory(self.server)?;
        say(&format!("{idle} sessions with {participants} participants each are open; {busy} begin to work"));
        let connection = (all - one_each) / (f64::from(idle) * f64::from(participants - 1));
        let session = (one_each - empty) / f64::from(idle) - connection;

        let alone = self.generate("alone", CALM.0, Mode::Open { rate: CALM.1 }, seconds.min(5))?;
        let (busy, beside) = self.work(busy)?;
        let (loaded, _) = memory(self.server)?;
        if begun.elapsed() > UNHEARD {
            return Err(Failure::check(
                "the idle ones were hung up on meanwhile: fewer --sessions or --seconds",
            ));
        }
        drop(joined);

        let of_busy = |pointer| busy.iter().map(|it| number(it, pointer)).collect::<Vec<_>>();
        let load = of_busy("/loadgen_cpu").iter().sum::<f64>() + number(&beside, "/loadgen_cpu");
        let mut rates = of_busy("/sent_per_s");
        let (sum, median, least) =
            (rates.iter().sum(), percentile(&mut rates, 0.5), percentile(&mut rates, 0.0));
        let [own_p50, own_p99] = [OWN_P50, OWN_P99].map(|it| percentile(&mut of_busy(it), 0.5));
        let kib = 1024.0;
        let rows = [
            Row::new("memory of an idle session", "KiB", session / kib, all / kib)
                .beside("all of the idle ones"),
            Row::new("memory of an idle connection", "KiB", connection / kib, all / kib)
                .beside("all of the idle ones"),
            Row::new("memory after the load", "KiB", loaded / kib, all / kib).beside("the idle ones alone"),
            Row::new("messages, slowest busy session", "/s", least, median)
                .beside("the median one")
                .target(Target::AtLeast(0.5)),
            Row::new("messages, all busy sessions", "/s", sum, median).beside("the median one"),
            Row::new("cores that the load took", "", load, number(&beside, "/server_cpu"))
                .beside("the server"),
            Row::new("p50 of a calm session", "ms", number(&beside, P50), number(&alone, P50))
                .beside("the same without load"),
            // A busy session hears all its answers at once and asks again; what comes at any time waits for the round before its own.
            Row::new("p50 of a calm session", "ms", number(&beside, P50), own_p50)
                .beside("of the median busy one")
                .target(Target::AtMost(2.0)),
            Row::new("p99 of a calm session", "ms", number(&beside, P99), own_p99)
                .beside("of the median busy one")
                .target(Target::AtMost(2.0)),
        ];
        let raw = json!({ "busy": busy, "calm_alone": alone, "calm_beside": beside });
        report::finish("sessions", &rows, &raw, self.options.json.as_deref())
    }

    /// The participant of this number, in so many sessions.
    async fn join_all(&self, sessions: u32, person: u16) -> Result<Vec<Client>, Failure> {
        let joining = (0..sessions).map(|number| async move {
            let session = format!("idle-{number}");
            let url = format!("{}/session/{session}", self.url);
            Client::join(&url, &session, &format!("p{person}")).await
        });
        stream::iter(joining).buffered(AT_ONCE).try_collect().await
    }

    /// What so many busy sessions came to, and a calm one meanwhile.
    fn work(&self, sessions: u32) -> Result<(Vec<Value>, Value), Failure> {
        let Options { participants, seconds, .. } = *self.options;
        thread::scope(|scope| {
            let start = |number| {
                let name = format!("busy-{number}");
                scope.spawn(move || self.timed(&name, participants, Mode::Closed, seconds))
            };
            let busy: Vec<_> = (0..sessions).map(start).collect();
            thread::sleep(Duration::from_secs(AROUND.into()));
            let calm = self.timed("calm", CALM.0, Mode::Open { rate: CALM.1 }, seconds - 2 * AROUND);
            let ended = busy.into_iter().map(|it| {
                it.join().map_err(|_| Failure::check("a thread with a generator panicked")).flatten()
            });
            let busy = ended.collect::<Result<Vec<_>, _>>()?;
            let (calm, [from, to]) = calm?;
            if busy.iter().any(|(_, [begun, ended])| *begun > from || *ended < to) {
                return Err(Failure::check("the busy sessions were not at work as long as the calm one"));
            }
            Ok((busy.into_iter().map(|(found, _)| found).collect(), calm))
        })
    }

    /// What a generator finds in a session of its own, and from when to when that was, to some milliseconds.
    fn timed(
        &self,
        session: &str,
        clients: u16,
        mode: Mode,
        seconds: u16,
    ) -> Result<(Value, [Instant; 2]), Failure> {
        let found = self.generate(session, clients, mode, seconds)?;
        let end = Instant::now();
        let begin = end.checked_sub(Duration::from_secs(seconds.into())).unwrap_or(end);
        Ok((found, [begin, end]))
    }

    /// The same without the time. It has heard nearly all that it should have: what was not heard has no latency.
    fn generate(&self, session: &str, clients: u16, mode: Mode, seconds: u16) -> Result<Value, Failure> {
        let task = Task { label: session, session, clients, mode, seconds, hello: true };
        let url = format!("{}/session/{session}", self.url);
        let found = self.generator.run(self.ours.cores, self.server, &url, task)?;
        let wanted = match mode {
            Mode::Closed => 1.0,
            Mode::Open { rate } => 0.9 * f64::from(rate) * f64::from(seconds) * f64::from(clients),
        };
        if number(&found, "/announce_each/n") < wanted || number(&found, "/own_round_trip/n") < 1.0 {
            return Err(Failure::check(format!("{session} heard too little: {found}")));
        }
        Ok(found)
    }
}
