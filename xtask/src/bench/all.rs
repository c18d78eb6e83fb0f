//! `cargo xtask bench all`: everything that the project says about its speed, as one table.
//!
//! Each bench is a process of its own, one after the other: some bind themselves to one core, and what one leaves in memory is no
//! business of the next.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::report::{self, Report};
use super::table;
use crate::step::{self, Failure, say};

/// In this order, and whether it is repeated in rounds.
const BENCHES: [(&str, bool); 8] = [
    ("core", true),
    ("instructions", false),
    ("e2e", true),
    ("sessions", false),
    ("slow-reader", true),
    ("recovery", false),
    ("signatures", true),
    ("agent", true),
];

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Only these.
    #[arg(long, value_name = "NAME,NAME,...", value_delimiter = ',', value_parser = PossibleValuesParser::new(BENCHES.map(|it| it.0)))]
    only: Vec<String>,
    /// Rounds of each that is repeated, of which the median counts; three take some 40 minutes, with what is built for it
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Where all figures go, as JSON; those of each bench lie beside it
    #[arg(long, value_name = "FILE", default_value = "target/bench/all.json")]
    json: PathBuf,
}

/// Runs them, prints one table, writes one file.
///
/// # Errors
/// A bench did not come to its figures, or a target is missed; the others were measured all the same.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|it| it == name);
    let wanted: Vec<_> = BENCHES.into_iter().filter(|(name, _)| wanted(name)).collect();
    let path = step::root().join(&options.json);
    let beside = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(beside).map_err(Failure::io("make a directory"))?;
    let (mut reports, mut broken) = (Vec::new(), Vec::new());
    for (number, (name, in_rounds)) in wanted.iter().enumerate() {
        say(&format!("\n== {name} ({} of {})", number + 1, wanted.len()));
        let begin = Instant::now();
        match measure(name, in_rounds.then_some(options.rounds), beside) {
            Ok(report) => reports.push(report),
            Err(problem) => broken.push(format!("{name}: {problem}")),
        }
        say(&format!("== {name}: {} s", begin.elapsed().as_secs()));
    }
    table::print_header();
    for report in &reports {
        say(&report.bench);
        table::print_rows(&report.rows);
    }
    report::write(&path, &json!({ "rounds": options.rounds, "benches": reports }))?;
    say(&format!("all figures: {}", path.display()));
    if broken.is_empty() {
        table::judge(reports.iter().flat_map(|report| &report.rows))
    } else {
        Err(Failure::check(broken.join("\n")))
    }
}

/// What one bench found. That it missed a target is in its rows.
fn measure(name: &str, rounds: Option<u16>, dir: &Path) -> Result<Report, Failure> {
    let path = dir.join(name).with_extension("json");
    // Figures of another day are not to be taken for these.
    if path.exists() {
        std::fs::remove_file(&path).map_err(Failure::io(format!("remove {}", path.display())))?;
    }
    let program = std::env::current_exe().map_err(Failure::io("find this program"))?;
    let mut command = Command::new(program);
    command.args(["bench", name, "--json"]).arg(&path).current_dir(step::root());
    if let Some(rounds) = rounds {
        command.args(["--rounds", &rounds.to_string()]);
    }
    let ended = step::run(&mut command);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            serde_json::from_str(&text).map_err(|error| Failure::check(format!("its figures: {error}")))
        }
        Err(missing) => {
            Err(ended.err().unwrap_or_else(|| Failure::check(format!("it left no figures: {missing}"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::bench::Bench;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        _bench: Bench,
    }

    #[test]
    fn each_bench_takes_what_it_is_called_with() {
        for (name, in_rounds) in BENCHES {
            let line = ["xtask", name, "--json", "f"];
            let rounds: &[&str] = if in_rounds { &["--rounds", "2"] } else { &[] };
            let parsed = Line::try_parse_from(line.iter().chain(rounds));
            assert!(parsed.is_ok(), "{name}: {}", parsed.err().unwrap());
        }
    }
}
