//! The table, and the file with all figures.

use serde_json::json;

use super::case::Case;
use super::round::{Round, Side};
use super::{Options, VERSION};
use crate::bench::table::{Row, Target};
use crate::bench::{median, report};
use crate::step::{self, Failure, say};

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

#[expect(clippy::cast_precision_loss, reason = "a handful of texts")]
fn kept(round: &Round) -> f64 {
    round.kept as f64
}

/// One line a case and side, and where our milliseconds go.
pub(super) fn print(cases: &[Case], rounds: &[Round]) {
    say(&format!(
        "\n{:<36} {:<6} {:>8} {:>9} {:>8} {:>7} {:>5} {:>12} {:>9} {:>9} {:>7}",
        "medians",
        "",
        "wall s",
        "own path",
        "path s",
        "calls",
        "kept",
        "overhead ms",
        "least",
        "limit ms",
        "ratio"
    ));
    for case in cases {
        let theirs = middle(rounds, case, Side::Python, Round::overhead_ms);
        for side in [Side::Python, Side::Ours] {
            line(rounds, case, side, theirs);
        }
    }
    say(
        "\nwhere our milliseconds go: until all have asked for a plan, the longest pause of an agent between two calls, after the last answer",
    );
    for case in cases {
        let of = |figure: fn(&Round) -> f64| middle(rounds, case, Side::Ours, figure).unwrap_or_default();
        let (before, between, after) =
            (of(|round| round.before_ms), of(|round| round.between_ms), of(|round| round.after_ms));
        say(&format!("{:<43} {before:>8.1} {between:>8.1} {after:>8.1}", case.name()));
    }
}

/// One side of a case, if it played.
fn line(rounds: &[Round], case: &Case, side: Side, theirs: Option<f64>) {
    let Some(overhead) = middle(rounds, case, side, Round::overhead_ms) else { return };
    let of = |figure: fn(&Round) -> f64| middle(rounds, case, side, figure).unwrap_or_default();
    let its = rounds.iter().filter(|round| round.case == *case && round.side == side);
    let least = its.map(Round::overhead_ms).fold(f64::INFINITY, f64::min);
    let (mut name, mut verdict, mut ratio) = (case.name(), String::new(), String::new());
    if side == Side::Ours {
        verdict = format!("{:.0}{}", case.limit_ms(), if overhead <= case.limit_ms() { "" } else { " OVER" });
        if let Some(theirs) = theirs {
            ratio = format!("{:.0}x", theirs / overhead);
            name.clear();
        }
    }
    let (wall, own, path) =
        (of(|round| round.wall_sec), of(|round| round.own_path.seconds), of(|round| round.path().seconds));
    let over =
        if side == Side::Ours && most_calls(rounds, case) > case.calls_needed() { " OVER" } else { "" };
    let calls = format!("{:.0} of {}{over}", of(calls), case.calls_needed());
    let (side, kept) = (side.name(), of(kept));
    say(&format!(
        "{name:<36} {side:<6} {wall:>8.3} {own:>9.3} {path:>8.3} {calls:>7} {kept:>5.0} {overhead:>12.1} {least:>9.1} {verdict:>9} {ratio:>7}"
    ));
}

/// The longest chain of calls that ours made in any round of a case.
fn most_calls(rounds: &[Round], case: &Case) -> usize {
    let ours = rounds.iter().filter(|round| round.case == *case && round.side == Side::Ours);
    ours.map(|round| round.path().calls).max().unwrap_or_default()
}

/// Whether our agents made do with the calls that each case needs: with a fixed model that is no matter of the machine, as
/// milliseconds are.
///
/// # Errors
/// The cases in which one round took more.
pub(super) fn judge(cases: &[Case], rounds: &[Round]) -> Result<(), Failure> {
    let over = |case: &&Case| most_calls(rounds, case) > case.calls_needed();
    let told = |case: &Case| {
        format!(
            "{}: {} calls where {} are needed",
            case.name(),
            most_calls(rounds, case),
            case.calls_needed()
        )
    };
    let over: Vec<String> = cases.iter().filter(over).map(told).collect();
    if over.is_empty() { Ok(()) } else { Err(Failure::check(over.join("\n"))) }
}

/// Each figure as a row: overhead beside what a case allows, that of the Python agents beside ours, calls beside what it needs.
fn rows(cases: &[Case], rounds: &[Round]) -> Vec<Row> {
    let of = |case: &Case| {
        let ours = middle(rounds, case, Side::Ours, Round::overhead_ms)?;
        let python = middle(rounds, case, Side::Python, Round::overhead_ms);
        let row = |unit, figure, limit| Row::new(case.name(), unit, figure, limit);
        let (most, needed) = (most_calls(rounds, case) as f64, case.calls_needed() as f64);
        let limit = row("ms", ours, case.limit_ms()).beside("allowed").target(Target::AtMost(1.0));
        let calls = row("calls", most, needed).beside("needed").target(Target::AtMost(1.0));
        let python = python.map(|python| {
            Row::new(format!("{}: Python agents", case.name()), "ms", python, ours).beside("ours")
        });
        Some([Some(limit), python, Some(calls)].into_iter().flatten())
    };
    cases.iter().filter_map(of).flatten().collect()
}

/// All rounds with all their calls.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(options: &Options, cases: &[Case], rounds: &[Round]) -> Result<(), Failure> {
    let path = step::root().join(&options.json);
    let all =
        json!({ "python": VERSION, "delay_ms": options.delay_ms, "rounds": options.rounds, "all": rounds });
    report::keep("agent", &rows(cases, rounds), &all, Some(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::agent::chain::Chain;

    fn round(case: Case, side: Side, calls: usize) -> Round {
        let chain = || Chain { calls, seconds: 0.0 };
        let (own_path, chain) = (chain(), chain());
        let (wall_sec, before_ms, between_ms, after_ms) = (0.0, 0.0, 0.0, 0.0);
        Round {
            case,
            side,
            wall_sec,
            own_path,
            chain,
            before_ms,
            between_ms,
            after_ms,
            kept: 0,
            calls: Vec::new(),
        }
    }

    #[test]
    fn one_round_of_ours_with_a_call_too_many_is_a_failure() {
        for case in Case::all() {
            let needed = case.calls_needed();
            let good = [round(case, Side::Ours, needed), round(case, Side::Python, needed + 5)];
            judge(&[case], &good).unwrap();
            let bad = [good[0].clone(), round(case, Side::Ours, needed + 1)];
            assert!(judge(&[case], &bad).is_err(), "{}", case.name());
        }
    }
}
