//! `cargo xtask bench agent`: what coordination costs a task beside the time of its model.
//!
//! The same tasks, once with our agents on our server and once with unmodified Python agents (mpac 0.1.0) on theirs, taking
//! turns in one run. The model of both is one stand-in for the Messages API, which answers each call after the same fixed time
//! and logs when a call came in and when the last byte of its answer was out.
//!
//! | word | what it is |
//! |---|---|
//! | wall | from the start of the first agent to the end of the last one; ours with the start of their processes, joining and leaving, the Python ones from the word to begin, connected already |
//! | own path | the longest model time of one agent: the union of its own calls |
//! | path | the model's critical path. For disjoint files the own path: no agent needs another's calls. On the same file, where one builds on the other's text, the longest chain of calls, whoever made them, each of which began after the one before had ended |
//! | overhead | wall less path; the least of all rounds tells how much of it is a busy machine |
//! | calls | how many calls the chain has, and how many the conflict needs at most |
//!
//! What a conflict of *n* agents on one file needs: a plan, a decision, a text, and where all proceed *n* - 1 more texts, each
//! on top of the one before. Where they give way, one writes its text first, and the rest then decide anew among themselves.

mod case;
mod chain;
mod report;
mod round;

use std::path::PathBuf;

use clap::Args;

use self::case::Case;
use self::round::{Round, Side};
use crate::interop::venv;
use crate::step::{self, Failure, say};

/// The Python agents that are measured.
const VERSION: &str = "0.1.0";

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Only cases whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Rounds, of which the median counts; both sides take turns.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How long the model thinks about each call.
    #[arg(long, default_value_t = 200, value_name = "MILLISECONDS")]
    delay_ms: u32,
    /// Without the Python agents, which take about eleven seconds a case and round.
    #[arg(long)]
    only_ours: bool,
    /// Measure the programs of the last release build as they are.
    #[arg(long)]
    no_build: bool,
    /// Where the figures go.
    #[arg(long, value_name = "FILE", default_value = "target/bench/agent.json")]
    json: PathBuf,
}

/// Builds, measures, prints, and writes the figures to a file.
///
/// # Errors
/// As [`super::run`]; an agent that does not finish its task, a text that is lost, more calls than the case needs.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let wanted = |case: &Case| options.case.as_ref().is_none_or(|text| case.name().contains(text));
    let cases: Vec<Case> = Case::all().into_iter().filter(wanted).collect();
    if cases.is_empty() {
        let names: Vec<String> = Case::all().iter().map(Case::name).collect();
        return Err(Failure::check(format!("the cases are\n{}", names.join("\n"))));
    }
    // The stand-in runs in its environment, too.
    venv::ensure(VERSION)?;
    let build = ["build", "--locked", "--release", "-p", "mpac-ws", "-p", "mpac-agent"];
    if !options.no_build {
        step::run(&mut step::cargo(&build))?;
    }
    let sides: &[Side] = if options.only_ours { &[Side::Ours] } else { &[Side::Python, Side::Ours] };
    let mut rounds: Vec<Round> = Vec::new();
    for number in 1..=options.rounds {
        for case in &cases {
            for side in sides {
                let round = Round::play(*case, *side, options.delay_ms)?;
                say(&format!("round {number} of {}: {}", options.rounds, round.line()));
                rounds.push(round);
            }
        }
    }
    report::print(&cases, &rounds);
    report::write(options, &cases, &rounds)?;
    report::judge(&cases, &rounds)
}
