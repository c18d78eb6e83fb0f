//! Which IDs the files of the project name, and which of them a test says it covers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::step::{self, Failure};

/// Look like IDs and are none.
const OTHER_WORDS: [&str; 2] = ["UTF-16", "UTF-32"];

/// Where a test says what it covers.
const MARK: &str = "covers!(";

/// What was found in the files: ID to the first place that names it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) cited: BTreeMap<String, String>,
    pub(super) covered: BTreeSet<String>,
}

/// Reads everything that may name an ID: the crates, the commands, the notes, and what describes the fixtures.
///
/// # Errors
/// A file cannot be read.
pub(super) fn collect(root: &Path) -> Result<Found, Failure> {
    let mut found = Found::default();
    for (folder, kinds) in [
        ("crates", ["rs", "md", "toml"].as_slice()),
        ("xtask", &["rs", "md", "toml"]),
        ("fixtures", &["md", "txt", "py"]),
    ] {
        let base = root.join(folder);
        for path in step::files_below(&base)? {
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            let name = format!("{folder}/{}", path.display());
            if kinds.contains(&kind) && name != super::list::PATH && name != super::target::PATH {
                read(&name, &step::text(&base.join(&path))?, &mut found);
            }
        }
    }
    for name in ["README.md", "SPEC-notes.md"] {
        if root.join(name).exists() {
            read(name, &step::text(&root.join(name))?, &mut found);
        }
    }
    Ok(found)
}

fn read(path: &str, text: &str, found: &mut Found) {
    for (number, line) in (1..).zip(text.lines()) {
        for id in ids(line) {
            found.cited.entry(id.to_owned()).or_insert_with(|| format!("{path}:{number}"));
        }
    }
    // The tests of this command contain marks as examples.
    if path.ends_with(".rs") && !path.starts_with("xtask/src/requirements") {
        let code = code(text);
        for (at, mark) in code.match_indices(MARK) {
            let inside = code[at + mark.len()..].split(')').next().unwrap_or_default();
            found.covered.extend(ids(inside).map(str::to_owned));
        }
    }
}

/// The lines in which a mark counts: code, and the examples of doc comments. What a comment says about marks is prose.
fn code(text: &str) -> String {
    let mut kept = String::new();
    let mut in_example = false;
    for line in text.lines() {
        let start = line.trim_start();
        if let Some(doc) = start.strip_prefix("///").or_else(|| start.strip_prefix("//!")) {
            if doc.trim_start().starts_with("```") {
                in_example = !in_example;
            } else if in_example {
                kept.push_str(doc);
                kept.push('\n');
            }
        } else {
            in_example = false;
            if !start.starts_with("//") {
                kept.push_str(line);
                kept.push('\n');
            }
        }
    }
    kept
}

/// The IDs in a text, standing alone.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| is_id(word))
}

/// Three capitals and two digits, or D and three digits.
pub(super) fn is_id(word: &str) -> bool {
    let Some((area, number)) = word.split_once('-') else { return false };
    let digits = match (area, area.len()) {
        ("D", _) => 3,
        (_, 3) if area.bytes().all(|b| b.is_ascii_uppercase()) => 2,
        _ => return false,
    };
    number.len() == digits && number.bytes().all(|b| b.is_ascii_digit()) && !OTHER_WORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_running_text_and_look_alikes_are_not() {
        let text = concat!(
            "See INT-07, `D-022`; (OCC-05) but not SHA-256, UTF-16, INT-7, ",
            "INT-071, XINT-07, D-22 or OCC-05-x."
        );
        assert_eq!(ids(text).collect::<Vec<_>>(), ["INT-07", "D-022", "OCC-05"]);
    }

    #[test]
    fn covered_ids_are_those_inside_the_macro_even_over_several_lines() {
        let mut found = Found::default();
        read("a.rs", "// ENV-01\ncovers!(\"INT-07\",\n    \"D-022\");\n", &mut found);
        assert_eq!(found.covered.iter().collect::<Vec<_>>(), ["D-022", "INT-07"]);
        assert_eq!(found.cited["ENV-01"], "a.rs:1");
        assert_eq!(found.cited["D-022"], "a.rs:3");
    }

    #[test]
    fn a_mark_counts_in_code_and_in_examples_but_not_in_prose() {
        let mut found = Found::default();
        let text = "//! Tests say `covers!(\"INT-01\")`.\n// covers!(\"INT-02\")\n/// ```\n/// # // covers!(\"INT-03\")\n/// ```\n/// covers!(\"INT-04\")\nfn f() { covers!(\"INT-05\"); }\n";
        read("a.rs", text, &mut found);
        assert_eq!(found.covered.iter().collect::<Vec<_>>(), ["INT-03", "INT-05"]);
        let mut found = Found::default();
        read("notes.md", "covers!(\"INT-01\")", &mut found);
        assert!(found.covered.is_empty() && found.cited.contains_key("INT-01"));
    }
}
