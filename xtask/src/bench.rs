//! `cargo xtask bench`: figures, each beside the figure that it is a ratio of, taken in the same run.

mod agent;
mod all;
mod client;
mod core;
mod e2e;
mod generator;
mod instructions;
mod recovery;
mod report;
mod server;
mod sessions;
mod signatures;
mod slow_reader;
mod table;

use clap::Subcommand;

use crate::step::Failure;

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// From an announce to everybody's socket, against a bare broadcast; durable against in memory.
    E2e(e2e::Options),
    /// How long a start takes, over a log of a million inputs and with 50,000 files.
    Recovery(recovery::Options),
    /// A thousand sessions: memory of what is idle, and whether a busy one starves another.
    Sessions(sessions::Options),
    /// One client stops reading: what the others, and the server's memory, feel of it.
    SlowReader(slow_reader::Options),
    /// What coordination costs a task beside the time of its model: our agents against those of the Python package.
    Agent(agent::Options),
    /// What the coordinator takes for messages, in process, beside parsing alone and beside the Python reference.
    Core(core::Options),
    /// Instructions for a message of W1, counted by callgrind, and whether they have risen; whether those of W2 and W3 grow.
    Instructions(instructions::Options),
    /// What signatures cost: messages per second of a verified session against an open one.
    Signatures(signatures::Options),
    /// All of these one after the other, and one table.
    All(all::Options),
}

/// Measures, and prints a table.
///
/// # Errors
/// Something cannot be built or started, or the server does not do what it is measured at.
pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    match bench {
        Bench::E2e(options) => e2e::run(options),
        Bench::Recovery(options) => recovery::run(options),
        Bench::Sessions(options) => sessions::run(options),
        Bench::SlowReader(options) => slow_reader::run(options),
        Bench::Agent(options) => agent::run(options),
        Bench::Core(options) => core::run(options),
        Bench::Instructions(options) => instructions::run(options),
        Bench::Signatures(options) => signatures::run(options),
        Bench::All(options) => all::run(options),
    }
}

/// The step of the continuous integration: instructions have not risen, and do not grow.
///
/// # Errors
/// As [`instructions::run`].
pub(crate) fn of_ci() -> Result<(), Failure> {
    instructions::run(&instructions::Options::default())
}

/// The one in the middle, or what is halfway between the two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or_default();
    f64::midpoint(at(values.len() / 2), at(values.len().saturating_sub(1) / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_no_mean() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![9.0, 1.0, 2.0, 4.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }
}
