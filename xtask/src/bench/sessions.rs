//! `cargo xtask bench sessions`: many sessions at once: what each costs while it is idle, and whether one starves another.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::client::{Client, percentile};
use super::report;
use super::server::{Ours, memory};
use super::table::{Row, Target};
use crate::peer::Peer;
use crate::step::{Failure, say};

/// Connections that are made at the same time.
const AT_ONCE: usize = 32;
/// Between two messages of the session whose latency is looked at.
const BEAT: Duration = Duration::from_millis(20);

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Sessions that are open.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=5000))]
    sessions: u32,
    /// Participants of each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=100))]
    participants: u32,
    /// One of so many sessions is busy.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    one_in: u32,
    /// Seconds of load; the idle ones answer no pings, and are hung up on after 40.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=20))]
    seconds: u64,
    /// Write rows and single measurements there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`].
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let ours = Ours::build()?;
    ours.cores.stay_off_the_servers()?;
    let dir = tempfile::tempdir().map_err(Failure::io("make a directory"))?;
    let most = options.sessions.to_string();
    let (server, url) =
        ours.serve(&["--multi-session", "--max-sessions", &most, "--durability", "none"], dir.path())?;
    // The printed one is that of a session.
    let url = url.split("/session/").next().unwrap_or(&url);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start a runtime"))?;
    runtime.block_on(Bench { options, server: &server, url }.run())
}

struct Bench<'a> {
    options: &'a Options,
    server: &'a Peer,
    url: &'a str,
}

/// A session's participants.
type Team = Vec<Client>;

impl Bench<'_> {
    async fn run(&self) -> Result<(), Failure> {
        let Options { sessions, participants, .. } = self.options;
        let (empty, _) = memory(self.server)?;
        let mut teams: Vec<Team> = Vec::new();
        for joined in self.join_all(0).await? {
            teams.push(vec![joined]);
        }
        let (one_each, _) = memory(self.server)?;
        for person in 1..*participants {
            for (team, joined) in teams.iter_mut().zip(self.join_all(person).await?) {
                team.push(joined);
            }
        }
        let (all, _) = memory(self.server)?;
        say(&format!("{sessions} sessions with {participants} participants each are open"));
        let connections = f64::from(*sessions) * f64::from(*participants);
        let connection = (all - one_each) / (connections - f64::from(*sessions));
        let session = (one_each - empty) / f64::from(*sessions) - connection;

        let mut quiet = teams.pop().unwrap_or_default();
        let alone = beat(&mut quiet, Duration::from_secs(self.options.seconds.min(5)), "alone").await?;
        let (busy, beside) = self.busy(teams, quiet).await?;
        let mut rates = busy.clone();
        let (median, least) = (percentile(&mut rates, 0.5), percentile(&mut rates, 0.0));
        let (loaded, _) = memory(self.server)?;

        let kib = 1024.0;
        let rows = [
            Row::new("memory of an idle session", "KiB", session / kib, all / kib)
                .beside("all of them, open"),
            Row::new("memory of an idle connection", "KiB", connection / kib, all / kib)
                .beside("all of them, open"),
            Row::new("memory after the load", "KiB", loaded / kib, all / kib).beside("before it"),
            Row::new("messages, slowest busy session", "/s", least, median)
                .beside("the median one")
                .target(Target::AtLeast(0.5)),
            Row::new("messages, all busy sessions", "/s", busy.iter().sum(), median).beside("the median one"),
            Row::new("p50 of a calm session", "ms", beside.0, alone.0).beside("the same without load"),
            Row::new("p99 of a calm session", "ms", beside.1, alone.1).beside("the same without load"),
        ];
        report::finish(
            "sessions",
            &rows,
            &json!({ "busy_sessions_per_s": busy }),
            self.options.json.as_deref(),
        )
    }

    /// The participant of this number, in every session.
    async fn join_all(&self, person: u32) -> Result<Vec<Client>, Failure> {
        let joining = (0..self.options.sessions).map(|number| async move {
            let session = format!("s{number}");
            let url = format!("{}/session/{session}", self.url);
            Client::join(&url, &session, &format!("p{person}")).await
        });
        stream::iter(joining).buffered(AT_ONCE).try_collect().await
    }

    /// Messages per second of each busy session, and the latency of the calm one meanwhile.
    async fn busy(&self, teams: Vec<Team>, mut calm: Team) -> Result<(Vec<f64>, (f64, f64)), Failure> {
        let load = Duration::from_secs(self.options.seconds);
        let until = Instant::now() + load;
        let (mut busy, mut idle) = (Vec::new(), Vec::new());
        for (number, team) in teams.into_iter().enumerate() {
            if number % self.options.one_in as usize > 0 {
                idle.push(team); // kept, so that its connections stay open
                continue;
            }
            // Tasks of their own: what shares one shares its budget, and the last of them would be starved here.
            let at_work = team.into_iter().enumerate().map(|(at, one)| tokio::spawn(work(one, at, until)));
            busy.push(at_work.collect::<Vec<_>>());
        }
        let beside = tokio::spawn(async move { beat(&mut calm, load, "beside").await });
        let mut rates = Vec::new();
        for session in busy {
            let mut count = 0;
            for one in session {
                count += one.await.map_err(|error| Failure::check(error.to_string()))??;
            }
            rates.push(f64::from(count) / load.as_secs_f64());
        }
        let beside = beside.await.map_err(|error| Failure::check(error.to_string()))??;
        drop(idle);
        Ok((rates, beside))
    }
}

/// Announces and withdraws, each when the last one came back; gives how many messages that were.
async fn work(mut one: Client, at: usize, until: Instant) -> Result<u32, Failure> {
    let mut count = 0;
    while Instant::now() < until {
        let (intent, id) = (format!("i-{at}-{count}"), format!("m-{at}-{count}"));
        if count % 2 == 0 {
            one.announce(&id, &intent, "measure").await?;
        } else {
            one.withdraw(&id, &format!("i-{at}-{}", count - 1)).await?;
        }
        one.until(&id).await?;
        count += 1;
    }
    Ok(count)
}

/// p50 and p99 in milliseconds of the calm session's messages, from one participant to another.
async fn beat(team: &mut Team, load: Duration, name: &str) -> Result<(f64, f64), Failure> {
    let [first, second, ..] = team.as_mut_slice() else {
        return Err(Failure::check("a session needs two participants"));
    };
    let mut taken = Vec::new();
    let mut ticks = tokio::time::interval(BEAT);
    let until = Instant::now() + load;
    for count in 0.. {
        ticks.tick().await;
        if Instant::now() >= until {
            break;
        }
        let (intent, id) = (format!("i-{name}-{}", count / 2), format!("m-{name}-{count}"));
        let began = Instant::now();
        if count % 2 == 0 {
            first.announce(&id, &intent, "measure").await?;
        } else {
            first.withdraw(&id, &intent).await?;
        }
        second.until(&id).await?;
        taken.push(began.elapsed().as_secs_f64() * 1e3);
        first.until(&id).await?;
    }
    Ok((percentile(&mut taken, 0.5), percentile(&mut taken, 0.99)))
}
