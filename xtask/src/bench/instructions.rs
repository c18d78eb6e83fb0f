//! `cargo xtask bench instructions`: how many instructions the coordinator takes for a message of W1, and whether those of W2 and
//! W3 grow, counted by callgrind.
//!
//! Time tells of the machine, too; instructions hardly do, so that a rise of a tenth can be refused. What is counted is the
//! difference of two beginnings of the stream, divided by the messages that one has more: start and end of the program fall out.
//! The committed figure lies in `fixtures/bench/instructions.json`; it is changed with `--accept`, by a commit that says
//! why. Another compiler gives another figure, and so does another C library; then the figure is that of the compiler
//! named beside it.

mod callgrind;
mod growth;

use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use serde::{Deserialize, Serialize};

use self::callgrind::Callgrind;
use super::report;
use super::table::{self, Row, Target};
use crate::step::{self, Failure, say};

/// Messages of the two beginnings: both so many that for each operation and each intent that ends another is forgotten.
const MESSAGES: [u64; 2] = [64_000, 68_000];
/// How far the figure may rise.
const MOST: f64 = 1.1;

/// What the command is told.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Make the figure of W1 that is counted now the committed one; those of W2 and W3 need none
    #[arg(long)]
    accept: bool,
    /// Write rows and figures there, as JSON
    #[arg(long, value_name = "FILE", conflicts_with = "accept")]
    json: Option<PathBuf>,
}

/// What `fixtures/bench/instructions.json` holds.
#[derive(Serialize, Deserialize)]
struct Figure {
    workload: String,
    instructions_per_message: u64,
    /// The compiler it was counted with.
    rustc: String,
}

/// Builds, counts, compares.
///
/// # Errors
/// The figure has risen by more than a tenth, or one grows with what there is; something cannot be built or run; valgrind is
/// missing.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let callgrind = Callgrind::prepare()?;
    let found = count(&callgrind)?;
    let path = committed();
    say(&format!(
        "{} instructions for a message of W1, with {}",
        found.instructions_per_message, found.rustc
    ));
    if options.accept {
        let text = serde_json::to_string_pretty(&found).map_err(|error| Failure::check(error.to_string()))?;
        return std::fs::write(&path, text + "\n").map_err(Failure::io(format!("write {}", path.display())));
    }
    let known: Figure = serde_json::from_str(&step::text(&path)?)
        .map_err(|error| Failure::check(format!("{}: {error}", path.display())))?;
    let figures = [&found, &known].map(|it| it.instructions_per_message as f64);
    let message = Row::new("instructions for a message of W1", "", figures[0], figures[1]);
    let grown = growth::rows(&callgrind)?;
    let rows: Vec<Row> =
        [message.beside("committed").target(Target::AtMost(MOST))].into_iter().chain(grown).collect();
    table::print(&rows);
    report::keep("instructions", &rows, &[&found, &known], options.json.as_deref())?;
    let message = judge(&known, &found);
    table::judge(rows.iter().skip(1))?;
    message
}

fn committed() -> PathBuf {
    step::root().join("fixtures/bench/instructions.json")
}

fn judge(known: &Figure, found: &Figure) -> Result<(), Failure> {
    let (before, now) = (known.instructions_per_message, found.instructions_per_message);
    let ratio = now as f64 / before as f64;
    say(&format!("committed: {before}, with {}; ratio {ratio:.3}, at most {MOST}", known.rustc));
    if ratio > MOST {
        let compiler = if known.rustc == found.rustc { "" } else { " The compiler is another one, too." };
        return Err(Failure::check(format!(
            "a message of W1 takes {now} instructions, more than {MOST} times the {before} that are committed.{compiler} \
             Find out with callgrind what takes them; if it has to be so, \
             `cargo xtask bench instructions --accept`, and let the commit say why"
        )));
    }
    if ratio < 2.0 - MOST {
        say("it has fallen by more than a tenth: `cargo xtask bench instructions --accept` keeps it there");
    }
    Ok(())
}

fn count(callgrind: &Callgrind) -> Result<Figure, Failure> {
    let [few, many] = MESSAGES.map(|messages| format!("w1_m{messages}"));
    let rustc = step::read(Command::new("rustc").arg("--version"))?;
    Ok(Figure {
        workload: format!("w1, messages {} to {}", MESSAGES[0], MESSAGES[1]),
        instructions_per_message: callgrind.each([&few, &many], MESSAGES[1] - MESSAGES[0])?,
        rustc: rustc.split(' ').take(2).collect::<Vec<_>>().join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(instructions_per_message: u64) -> Figure {
        Figure { workload: "w".into(), instructions_per_message, rustc: "rustc 1.95.0".into() }
    }

    #[test]
    fn a_rise_of_more_than_a_tenth_is_refused() {
        assert!(judge(&figure(1000), &figure(1100)).is_ok());
        assert!(judge(&figure(1000), &figure(500)).is_ok());
        let refused = judge(&figure(1000), &figure(1101)).unwrap_err().to_string();
        assert!(refused.contains("takes 1101 instructions"), "{refused}");
    }
}
