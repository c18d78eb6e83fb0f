//! A report as Markdown.

use std::fmt::Write as _;

use super::{Counts, Report};
use crate::conformance::story::Strength;

pub(super) fn page(report: &Report) -> String {
    let mut page = format!("# Conformance of {}\n\n", cell(&report.target));
    let all = report.count(None, None);
    let _ = writeln!(
        page,
        "{} checks: {} passed, {} failed, {} skipped.\n",
        all.total(),
        all.passed,
        all.failed,
        all.skipped
    );
    page.push_str("Passed / failed / skipped, by area and by what a failure weighs:\n\n");
    page.push_str("| area | MUST | SHOULD | MAY |\n|---|---|---|---|\n");
    for area in report.areas() {
        let _ = write!(page, "| {area} ");
        cells(&mut page, |strength| report.count(Some(area), Some(strength)));
    }
    page.push_str("| **all** ");
    cells(&mut page, |strength| report.count(None, Some(strength)));
    if report.unseen() > 0 {
        let _ = writeln!(
            page,
            "\nOf {} that passed, what they say of the session itself could not be seen.",
            report.unseen()
        );
    }
    skipped(&mut page, report);
    failures(&mut page, report);
    page
}

fn cells(page: &mut String, count: impl Fn(Strength) -> Counts) {
    for strength in Strength::ALL {
        let counts = count(strength);
        let _ = match counts.total() {
            0 => write!(page, "| – "),
            _ => write!(page, "| {} / {} / {} ", counts.passed, counts.failed, counts.skipped),
        };
    }
    page.push_str("|\n");
}

fn skipped(page: &mut String, report: &Report) {
    let reasons = report.skipped();
    if !reasons.is_empty() {
        page.push_str("\n## Skipped\n\n| how many | why |\n|---|---|\n");
        for (reason, count) in reasons {
            let _ = writeln!(page, "| {count} | {} |", cell(reason));
        }
    }
}

fn failures(page: &mut String, report: &Report) {
    if report.failures().next().is_none() {
        return;
    }
    page.push_str("\n## Failed\n");
    for (row, fault) in report.failures() {
        let _ =
            writeln!(page, "\n### {}\n\n{}. {}, {}\n", row.name, row.title, fault.rule, row.strength.name());
        let shown = format!(
            "line {}: {}\n{}\n  expected: {}\n  received: {}",
            fault.line,
            fault.step,
            fault.who,
            fault.expected,
            fault.received.trim_end()
        );
        let fence = fence(&shown);
        let _ = writeln!(page, "{fence}text\n{shown}\n{fence}");
    }
}

/// Longer than every row of backticks in the text: what a coordinator says cannot end it.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(3.max(longest + 1))
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
