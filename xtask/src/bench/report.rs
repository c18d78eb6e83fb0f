//! How every bench ends: its table, its JSON, and whether the targets are met.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::table::{self, Row};
use crate::step::{Failure, say};

/// The file that a bench writes.
#[derive(Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) bench: String,
    pub(super) rows: Vec<Row>,
    /// Single measurements, in a form of each bench's own.
    pub(super) rounds: Value,
}

/// Prints the rows, writes them and all single measurements (`rounds`) where that is wanted, and judges.
///
/// # Errors
/// The file cannot be written, or a target is missed.
pub(super) fn finish(
    bench: &str,
    rows: &[Row],
    rounds: &impl Serialize,
    to: Option<&Path>,
) -> Result<(), Failure> {
    table::print(rows);
    keep(bench, rows, rounds, to)?;
    table::judge(rows)
}

/// Writes rows and single measurements, where that is wanted.
///
/// # Errors
/// The file cannot be written.
pub(super) fn keep(
    bench: &str,
    rows: &[Row],
    rounds: &impl Serialize,
    to: Option<&Path>,
) -> Result<(), Failure> {
    let Some(path) = to else { return Ok(()) };
    write(path, &json!({ "bench": bench, "rows": rows, "rounds": rounds }))?;
    say(&format!("all figures: {}", path.display()));
    Ok(())
}

/// # Errors
/// The file, or the directory for it, cannot be made.
pub(super) fn write(path: &Path, figures: &Value) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), std::fs::create_dir_all).map_err(Failure::io("make a directory"))?;
    std::fs::write(path, format!("{figures:#}\n")).map_err(Failure::io(format!("write {}", path.display())))
}
