//! Figures as one table: each with what it is beside, the ratio of the two, and what the ratio has to be.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::step::{Failure, say};

/// What a ratio has to be.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}

/// One figure.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) unit: Cow<'static, str>,
    pub(super) figure: f64,
    /// What it is compared with, and how much that is.
    pub(super) beside: Cow<'static, str>,
    pub(super) limit: f64,
    pub(super) ratio: f64,
    pub(super) target: Option<Target>,
    pub(super) met: Option<bool>,
}

impl Row {
    /// `figure` is so many times `limit`.
    pub(super) fn new(what: impl Into<String>, unit: &'static str, figure: f64, limit: f64) -> Self {
        let ratio = figure / limit;
        let (what, unit, beside) = (what.into(), unit.into(), Cow::default());
        Self { what, unit, figure, beside, limit, ratio, target: None, met: None }
    }

    pub(super) fn beside(self, beside: &'static str) -> Self {
        Self { beside: beside.into(), ..self }
    }

    pub(super) fn target(self, target: Target) -> Self {
        Self { target: Some(target), met: Some(target.is_met(self.ratio)), ..self }
    }
}

pub(super) fn print(rows: &[Row]) {
    print_header();
    print_rows(rows);
}

pub(super) fn print_header() {
    say(&format!(
        "\n{:<42} {:>12} {:<12} {:>12} {:<30} {:>7} {:>8}",
        "what", "figure", "", "beside", "", "ratio", "target"
    ));
}

pub(super) fn print_rows(rows: &[Row]) {
    for row in rows {
        let verdict = row.met.map_or("", |met| if met { "met" } else { "MISSED" });
        let target = row.target.map(Target::text).unwrap_or_default();
        let line = format!(
            "{:<42} {:>12} {:<12} {:>12} {:<30} {:>7.2} {target:>8} {verdict}",
            row.what,
            short(row.figure),
            row.unit,
            short(row.limit),
            row.beside,
            row.ratio
        );
        say(line.trim_end());
    }
}

/// # Errors
/// A target is missed.
pub(super) fn judge<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Result<(), Failure> {
    // One thing may stand beside several.
    let name = |row: &Row| match &*row.beside {
        "" => row.what.clone(),
        beside => format!("{} (beside {beside})", row.what),
    };
    let missed: Vec<String> = rows.into_iter().filter(|row| row.met == Some(false)).map(name).collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::check(format!("not every target is met: {}", missed.join("; "))))
}

/// Large figures without digits behind the point.
fn short(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_is_named() {
        let rows = [
            Row::new("fast", "", 6.0, 10.0).target(Target::AtLeast(0.6)),
            Row::new("flat", "", 14.0, 10.0).target(Target::AtMost(1.3)),
            Row::new("told", "", 1.0, 10.0),
            Row::new("fast", "", 5.0, 10.0).beside("another").target(Target::AtLeast(0.6)),
        ];
        let told = judge(&rows).unwrap_err().to_string();
        assert_eq!(told, "not every target is met: flat; fast (beside another)");
        assert!(judge(&rows[..1]).is_ok());
    }
}
