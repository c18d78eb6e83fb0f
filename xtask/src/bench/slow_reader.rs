//! `cargo xtask bench slow-reader`: what it costs the others, and the server, when one client stops reading.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::client::{Client, percentile};
use super::server::{Ours, memory};
use super::table::{Row, Target};
use super::{median, report};
use crate::step::{Failure, say};

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Clients that read.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=200))]
    clients: u32,
    /// Messages a second; one that does not read is hung up on when 10,000 wait for it.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Bytes of words in each announce.
    #[arg(long, default_value_t = 1500)]
    bytes: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Rounds, of which the median counts; with and without take turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Write rows and single measurements there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Of one measurement: milliseconds, and bytes.
struct Found {
    p50: f64,
    p99: f64,
    most: f64,
}

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`].
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let ours = Ours::build()?;
    ours.cores.stay_off_the_servers()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start a runtime"))?;
    let (mut all_read, mut one_does_not, mut raw) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        for (stalled, found) in [(false, &mut all_read), (true, &mut one_does_not)] {
            let it = runtime.block_on(measure(options, &ours, stalled))?;
            let what = if stalled { "one does not read" } else { "all read" };
            say(&format!("round {round} of {}: {what:<18} p99 {:.3} ms", options.rounds, it.p99));
            raw.push(json!({"stalled": stalled, "p50_ms": it.p50, "p99_ms": it.p99, "most_bytes": it.most}));
            found.push(it);
        }
    }
    let of = |found: &[Found], what: fn(&Found) -> f64| median(found.iter().map(what).collect());
    let row = |what: &str, unit, figure: fn(&Found) -> f64| {
        Row::new(what, unit, of(&one_does_not, figure), of(&all_read, figure)).beside("when all read")
    };
    let rows = [
        row("p50 of those who read", "ms", |it| it.p50),
        row("p99 of those who read", "ms", |it| it.p99).target(Target::AtMost(1.2)),
        row("the server's memory at its most", "MiB", |it| it.most / (1024.0 * 1024.0)),
    ];
    report::finish("slow-reader", &rows, &raw, options.json.as_deref())
}

async fn measure(options: &Options, ours: &Ours, stalled: bool) -> Result<Found, Failure> {
    let dir = tempfile::tempdir().map_err(Failure::io("make a directory"))?;
    let (server, url) = ours.serve(&["--durability", "none"], dir.path())?;
    let mut clients = Vec::new();
    for number in 0..options.clients {
        clients.push(Client::join(&url, "default", &format!("c{number}")).await?);
    }
    // Kept, so that its socket stays open.
    let stalled = match stalled {
        true => Some(Client::join(&url, "default", "stalled").await?),
        false => None,
    };
    let count = options.rate * u32::try_from(options.seconds).unwrap_or(u32::MAX);
    let last = format!("m-{}-", count - 1);
    let began = Instant::now();
    let speaker = clients.remove(0);
    // Tasks of their own: what shares one shares its budget.
    let listening: Vec<_> =
        clients.into_iter().map(|one| tokio::spawn(listen(one, last.clone(), began))).collect();
    speak(speaker, options, count, began).await?;
    let mut taken: Vec<f64> = Vec::new();
    for one in listening {
        taken.extend(one.await.map_err(|error| Failure::check(error.to_string()))??);
    }
    let (_, most) = memory(&server)?;
    drop(stalled);
    Ok(Found { p50: percentile(&mut taken, 0.5), p99: percentile(&mut taken, 0.99), most })
}

/// At its rate, whatever comes back. Each id has the nanoseconds since `began` at which it was due.
async fn speak(mut one: Client, options: &Options, count: u32, began: Instant) -> Result<(), Failure> {
    let words = "x".repeat(options.bytes);
    let mut ticks = interval(Duration::from_secs(1) / options.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..count {
        let due = ticks.tick().await;
        let at = due.into_std().saturating_duration_since(began).as_nanos();
        let (id, intent) = (format!("m-{number}-{at}"), format!("i-{}", number / 2));
        if number % 2 == 0 {
            one.announce(&id, &intent, &words).await?;
        } else {
            one.withdraw(&id, &intent).await?;
        }
        one.until(&id).await?;
    }
    Ok(())
}

/// Milliseconds from when each message was due until it was here, up to and with the last one.
async fn listen(mut one: Client, last: String, began: Instant) -> Result<Vec<f64>, Failure> {
    let mut taken = Vec::new();
    loop {
        let text = one.hear().await?;
        let Some((id, _)) = text.split_once("\"m-").and_then(|(_, rest)| rest.split_once('"')) else {
            continue;
        };
        let due = id.split_once('-').and_then(|(_, due)| due.parse::<f64>().ok());
        taken.extend(due.map(|due| (began.elapsed().as_nanos() as f64 - due) / 1e6));
        if text.contains(&last) {
            return Ok(taken);
        }
    }
}
