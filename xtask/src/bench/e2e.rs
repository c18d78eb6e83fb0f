//! `cargo xtask bench e2e`: from announce to everybody's socket, against an axum server that only broadcasts.
//!
//! The load generator and the bare broadcast come from the project's measuring tools (`--measure`), so that the figures
//! compare with those of the other implementations. Servers and generator take turns, each fresh, the server on one core
//! and the generator on the other where there are two.

mod disk;
mod load;

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use self::disk::Sync;
use self::load::{Kind, Lasting, Load};
use super::generator::{Mode, P50, P99, number};
use super::table::{Row, Target};
use super::{median, report};
use crate::step::{Failure, say};

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Directory of the measuring tools, with `loadgen` and `limits` in it
    #[arg(long, value_name = "DIR", env = "MPAC_MEASURE", default_value = "../shared/measure")]
    measure: PathBuf,
    /// Connected clients, each in turn.
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', default_values_t = [1, 10, 50, 200])]
    clients: Vec<u16>,
    /// Rounds, of which the median counts; the servers take turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Seconds of each measurement of how much goes, after one of warm-up
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Seconds of each measurement at 20 announces a second: of few announces the slowest hundredth is chance
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    calm_seconds: u16,
    /// Write rows and single measurements there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`], and when the measuring tools are not there.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let load =
        Load::build(&options.measure, Lasting { closed: options.seconds, open: options.calm_seconds })?;
    let (mut rows, mut raw) = (Vec::new(), Vec::new());
    for &clients in &options.clients {
        let mut measured = Measured::default();
        for round in 1..=options.rounds {
            for (kind, mode) in MEASURED {
                let found = load.measure(kind, mode, clients)?;
                let (rate, p99) = (number(&found, "/deliveries_per_s"), number(&found, P99));
                say(&format!(
                    "{clients:>4} clients, round {round} of {}: {:<28} {:<6} {rate:>10.0} deliveries/s, p99 {p99:.3} ms",
                    options.rounds,
                    kind.name(),
                    mode.name()
                ));
                measured.found.push((kind, mode, found.clone()));
                raw.push(found);
            }
            measured.syncs.push(Load::sync()?);
        }
        rows.extend(measured.rows(clients));
    }
    report::finish("e2e", &rows, &raw, options.json.as_deref())
}

/// Announces a second that are calm.
const CALM: Mode = Mode::Open { rate: 20 };

/// In this order, once a round.
const MEASURED: [(Kind, Mode); 6] = [
    (Kind::Bare, Mode::Closed),
    (Kind::Batched, Mode::Closed),
    (Kind::Ours, Mode::Closed),
    (Kind::Durable, Mode::Closed),
    (Kind::Bare, CALM),
    (Kind::Ours, CALM),
];

#[derive(Default)]
struct Measured {
    found: Vec<(Kind, Mode, Value)>,
    /// Of each round, as the disk was then.
    syncs: Vec<Sync>,
}

impl Measured {
    fn median(&self, kind: Kind, mode: Mode, pointer: &str) -> f64 {
        let of = self.found.iter().filter(|(its, in_mode, _)| (*its, *in_mode) == (kind, mode));
        median(of.map(|(_, _, found)| number(found, pointer)).collect())
    }

    fn rows(&self, clients: u16) -> Vec<Row> {
        let rate = |kind| self.median(kind, Mode::Closed, "/deliveries_per_s");
        let at = |kind, pointer| self.median(kind, CALM, pointer);
        let row = |what: &str, unit, figure, limit| {
            Row::new(format!("{clients} clients: {what}"), unit, figure, limit)
        };
        let (ours, bare, batched) = (rate(Kind::Ours), rate(Kind::Bare), rate(Kind::Batched));
        let mut rows = vec![
            row("deliveries", "/s", ours, bare).beside("bare broadcast").target(Target::AtLeast(0.8)),
            row("deliveries", "/s", ours, batched).beside("bare broadcast that batches"),
            row("deliveries, durable", "/s", rate(Kind::Durable), ours)
                .beside("in memory")
                .target(Target::AtLeast(0.5)),
            row("deliveries, durable", "/s", rate(Kind::Durable), bare)
                .beside("bare broadcast")
                .target(Target::AtLeast(0.4)), // half of what is asked in memory
            row("deliveries, durable", "/s", rate(Kind::Durable), self.at_best(clients, ours))
                .beside("in memory, and a sync for all"),
            row("p50 at 20 announces a second", "ms", at(Kind::Ours, P50), at(Kind::Bare, P50))
                .beside("bare broadcast"),
            row("p99 at 20 announces a second", "ms", at(Kind::Ours, P99), at(Kind::Bare, P99))
                .beside("bare broadcast")
                .target(Target::AtMost(1.5)),
        ];
        if clients == 1 {
            let (ahead, growing) = (self.sync(|it| it.ahead), self.sync(|it| it.growing));
            rows.push(
                Row::new("write 1 KiB and sync, file allocated", "us", ahead * 1e6, growing * 1e6)
                    .beside("growing file"),
            );
        }
        rows
    }

    fn sync(&self, figure: fn(&Sync) -> f64) -> f64 {
        median(self.syncs.iter().map(figure).collect())
    }

    /// Durable deliveries a second, if all clients waited for one sync together, and for nothing else that they do not wait for in
    /// memory: each waits for what it sent to come back before it sends again.
    fn at_best(&self, clients: u16, in_memory: f64) -> f64 {
        1.0 / (1.0 / in_memory + self.sync(|it| it.ahead) / f64::from(clients).powi(2))
    }
}
