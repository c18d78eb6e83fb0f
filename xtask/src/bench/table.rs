//! What a bench found: figures beside the limit that each is measured against, as a table and as JSON.

use std::path::Path;

use serde_json::{Value, json};

use crate::step::{Failure, say};

/// What a ratio has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// It is shown, and nothing is asked of it.
    Shown,
}

/// One figure, and what it is measured against in the same run.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) case: String,
    pub(super) unit: &'static str,
    pub(super) figure: f64,
    pub(super) against: f64,
    pub(super) target: Target,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.figure / self.against
    }

    fn verdict(&self) -> &'static str {
        let reached = match self.target {
            Target::AtLeast(least) => self.ratio() >= least,
            Target::AtMost(most) => self.ratio() <= most,
            Target::Shown => return "",
        };
        if reached { "reached" } else { "MISSED" }
    }

    fn wanted(&self) -> String {
        match self.target {
            Target::AtLeast(least) => format!(">= {least}"),
            Target::AtMost(most) => format!("<= {most}"),
            Target::Shown => String::new(),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "case": self.case, "unit": self.unit, "figure": self.figure, "against": self.against,
            "ratio": self.ratio(), "target": self.wanted(), "verdict": self.verdict(),
        })
    }
}

/// Prints the rows, and writes them with all single measurements (`raw`) where that is wanted.
///
/// # Errors
/// The file cannot be written.
pub(super) fn show(heading: &str, rows: &[Row], raw: Vec<Value>, to: Option<&Path>) -> Result<(), Failure> {
    let width = rows.iter().map(|row| row.case.chars().count()).max().unwrap_or(0).max(heading.len());
    say(&format!(
        "\n{heading:<width$} {:>14} {:>14} {:<6} {:>7}  {:<8}",
        "figure", "against", "", "ratio", "wanted"
    ));
    for row in rows {
        let Row { case, unit, figure, against, .. } = row;
        let line = format!(
            "{case:<width$} {:>14} {:>14} {unit:<6} {:>7.2}  {:<8} {}",
            number(*figure),
            number(*against),
            row.ratio(),
            row.wanted(),
            row.verdict()
        );
        say(line.trim_end());
    }
    let Some(path) = to else { return Ok(()) };
    let all = json!({"rows": rows.iter().map(Row::to_json).collect::<Vec<_>>(), "raw": raw});
    std::fs::write(path, format!("{all:#}\n")).map_err(Failure::io(format!("write {}", path.display())))?;
    say(&format!("all of it: {}", path.display()));
    Ok(())
}

/// Readable at any size.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_judged_by_its_target() {
        let row = |figure, target| Row { case: "x".to_owned(), unit: "", figure, against: 2.0, target };
        assert_eq!(row(1.6, Target::AtLeast(0.8)).verdict(), "reached");
        assert_eq!(row(1.5, Target::AtLeast(0.8)).verdict(), "MISSED");
        assert_eq!(row(3.0, Target::AtMost(1.5)).verdict(), "reached");
        assert_eq!(row(3.1, Target::AtMost(1.5)).verdict(), "MISSED");
        assert_eq!(row(9.0, Target::Shown).verdict(), "");
    }

    #[test]
    fn numbers_keep_the_digits_that_say_something() {
        assert_eq!([number(71231.4), number(12.345), number(0.01234)], ["71231", "12.35", "0.0123"]);
    }
}
