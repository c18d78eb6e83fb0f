//! The table, and the file with all figures.

use std::path::Path;

use serde_json::json;

use super::case::Case;
use super::round::{Round, Side};
use super::{Options, VERSION};
use crate::bench::median;
use crate::step::{Failure, say};

/// The middle of a figure over the rounds of one side; `None` where it did not play.
fn middle(rounds: &[Round], case: &Case, side: Side, figure: impl Fn(&Round) -> f64) -> Option<f64> {
    let its = rounds.iter().filter(|round| round.case == *case && round.side == side);
    let figures: Vec<f64> = its.map(figure).collect();
    (!figures.is_empty()).then(|| median(figures))
}

#[expect(clippy::cast_precision_loss, reason = "a handful of calls")]
fn calls(round: &Round) -> f64 {
    round.path().calls as f64
}

/// One line a case and side, and where our milliseconds go.
pub(super) fn print(cases: &[Case], rounds: &[Round]) {
    say(&format!(
        "\n{:<36} {:<6} {:>8} {:>9} {:>8} {:>9} {:>5} {:>12} {:>9} {:>7}",
        "medians", "", "wall s", "own path", "path s", "calls", "kept", "overhead ms", "limit ms", "ratio"
    ));
    for case in cases {
        let theirs = middle(rounds, case, Side::Python, Round::overhead_ms);
        for side in [Side::Python, Side::Ours] {
            let of = |figure: &dyn Fn(&Round) -> f64| middle(rounds, case, side, figure);
            let Some(overhead) = of(&Round::overhead_ms) else { continue };
            let figure = |it: Option<f64>| it.unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "a handful of texts")]
            let kept = figure(of(&|round| round.kept as f64));
            let (verdict, ratio) = match (side, theirs) {
                (Side::Python, _) => (String::new(), String::new()),
                (Side::Ours, theirs) => {
                    let over = if overhead <= case.limit_ms() { "" } else { " OVER" };
                    let ratio =
                        theirs.map_or_else(String::new, |theirs| format!("{:.0}x", theirs / overhead));
                    (format!("{:.0}{over}", case.limit_ms()), ratio)
                }
            };
            say(&format!(
                "{:<36} {:<6} {:>8.3} {:>9.3} {:>8.3} {:>9} {kept:>5.0} {overhead:>12.1} {verdict:>9} {ratio:>7}",
                if side == Side::Ours && theirs.is_some() { String::new() } else { case.name() },
                side.name(),
                figure(of(&|round| round.wall_sec)),
                figure(of(&|round| round.own_path.seconds)),
                figure(of(&|round| round.path().seconds)),
                format!("{:.0} of {}", figure(of(&calls)), case.calls_needed()),
            ));
        }
    }
    say(
        "\nwhere our milliseconds go: until all have asked for a plan, the longest pause of an agent between two calls, after the last answer",
    );
    for case in cases {
        let of =
            |figure: &dyn Fn(&Round) -> f64| middle(rounds, case, Side::Ours, figure).unwrap_or_default();
        say(&format!(
            "{:<43} {:>8.1} {:>8.1} {:>8.1}",
            case.name(),
            of(&|round| round.before_ms),
            of(&|round| round.between_ms),
            of(&|round| round.after_ms)
        ));
    }
}

/// All rounds with all their calls.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(path: &Path, options: &Options, rounds: &[Round]) -> Result<(), Failure> {
    let medians: Vec<_> = Case::all()
        .iter()
        .filter_map(|case| {
            let ours = middle(rounds, case, Side::Ours, Round::overhead_ms)?;
            let python = middle(rounds, case, Side::Python, Round::overhead_ms);
            Some(json!({
                "case": case.name(), "overhead_ms": ours, "limit_ms": case.limit_ms(), "python_overhead_ms": python,
                "ratio": python.map(|python| python / ours), "calls_needed": case.calls_needed(),
            }))
        })
        .collect();
    let all = json!({
        "python": VERSION, "delay_ms": options.delay_ms, "rounds": options.rounds, "medians": medians, "all": rounds,
    });
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Failure::io(format!("create {}", folder.display())))?;
    }
    std::fs::write(path, format!("{all:#}\n")).map_err(Failure::io(format!("write {}", path.display())))?;
    say(&format!("\nall figures are in {}", path.display()));
    Ok(())
}
