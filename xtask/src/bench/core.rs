//! `cargo xtask bench core`: the coordinator alone, in process, under the workloads W1 to W4.
//!
//! Each frame goes from its text to the texts of all that it leads to, on one thread. Figures count the time that the thread had a
//! processor, so that other work on the machine falls out of them. Every program is a process of its own, and all of them
//! take turns, round by round: the `measure` crate with the coordinator, the same crate with nothing but typed `serde_json` on
//! the same lines (the limit), and the Python reference on the beginning of the same streams, for it is slow.
//!
//! The limits `max_open_each.intents` and `.conflicts` are lifted: how much there can be is what is measured. All else are
//! the defaults.

mod figures;
mod programs;

use std::path::PathBuf;

use clap::Args;

pub(super) use self::figures::Core;
use self::figures::Round;
use self::programs::Programs;
pub(super) use self::programs::build;
use super::report;
use crate::step::{Failure, say};

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Measure without the Python reference, which is most of the time.
    #[arg(long)]
    without_python: bool,
    /// Where to write all figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`]; and when a figure misses its target.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let programs = Programs::prepare(!options.without_python)?;
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let round = Round::take(&programs)?;
        say(&format!("round {number} of {}: {}", options.rounds, round.summary()));
        rounds.push(round);
    }
    let rows = figures::rows(&rounds);
    report::finish("core", &rows, &rounds, options.json.as_deref())
}
