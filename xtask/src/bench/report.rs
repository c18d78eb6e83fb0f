//! How every bench ends: its table, its JSON, and whether the targets are met.

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::table::{self, Row};
use crate::step::{Failure, say};

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
    if let Some(path) = to {
        let figures = json!({ "bench": bench, "rows": rows, "rounds": rounds });
        std::fs::write(path, format!("{figures:#}\n"))
            .map_err(Failure::io(format!("write {}", path.display())))?;
        say(&format!("all figures: {}", path.display()));
    }
    table::judge(rows)
}
