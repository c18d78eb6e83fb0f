//! `cargo xtask tidy`: habits that a compiler does not check, as tests.
//!
//! Looks at every file that git tracks or would track. Each finding is one line, `path:line: what is wrong`.

use std::path::Path;

use serde::Deserialize;

use crate::step::{self, Failure};

/// A file longer than this needs an entry in `xtask/tidy.toml`.
const MOST_LINES: usize = 500;

/// Words that mark unfinished work. Written in two parts so that this file does not find itself.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Places that exist on one machine only, and hosts of package registries.
const MACHINE: [&str; 8] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("crates.io", "/api"),
    concat!("index.", "crates.io"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("npm", "js.org"),
];

/// Files whose text is not ours to word.
const FOREIGN: [&str; 2] = ["Cargo.lock", "LICENSE"];

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    #[serde(default)]
    long: Vec<Long>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    path: String,
    reason: String,
}

/// Checks every file and reports all findings at once.
///
/// # Errors
/// Something is untidy, `git` does not answer, or `xtask/tidy.toml` cannot be read.
pub(crate) fn run() -> Result<(), Failure> {
    let root = step::root();
    let listed = step::read(
        std::process::Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root),
    )?;
    let exceptions: Exceptions = toml::from_str(&step::text(&root.join("xtask/tidy.toml"))?)
        .map_err(|reason| Failure::check(format!("xtask/tidy.toml: {reason}")))?;
    let mut findings = Vec::new();
    let mut long = Vec::new();
    let mut count = 0;
    for path in listed.lines().filter(|path| !FOREIGN.contains(path)) {
        // A file that is deleted but still in the index, or not text, has nothing to check.
        let Ok(text) = std::fs::read_to_string(root.join(path)) else { continue };
        count += 1;
        findings.extend(look(path, &text));
        if is_code(path) && text.lines().count() > MOST_LINES {
            long.push((path.to_owned(), text.lines().count()));
        }
    }
    findings.extend(judge_long(&long, &exceptions));
    println!("{count} files looked at, {} over {MOST_LINES} lines", long.len());
    if findings.is_empty() { Ok(()) } else { Err(Failure::check(findings.join("\n"))) }
}

fn is_code(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|kind| kind == "rs" || kind == "py")
}

/// Everything wrong with one file's name and text.
fn look(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let file = Path::new(path);
    let rust = file.extension().is_some_and(|kind| kind == "rs");
    if file.ends_with("mod.rs") {
        found.push(format!("{path}: use `name.rs` beside `name/`, not mod.rs"));
    }
    let is_page = (path.starts_with("crates/") || path.starts_with("xtask/"))
        && (path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs"));
    if is_page && !text.starts_with("//! ") {
        found.push(format!("{path}:1: begins without its `//!` page"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let words = UNFINISHED.iter().filter(|word| has_word(line, word));
        found.extend(words.map(|word| format!("{path}:{number}: unfinished work is marked with `{word}`")));
        let places = MACHINE.iter().filter(|place| line.contains(**place));
        found.extend(
            places.map(|place| format!("{path}:{number}: names a machine's path or host, `{place}`")),
        );
        let start = line.trim_start();
        if rust && (start.starts_with("#[ignore") || start.starts_with("#![allow(")) {
            found.push(format!("{path}:{number}: `{start}` is not used here; see the house rules in README"));
        }
    }
    found
}

/// Whether `word` stands in the line as a whole word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        edge(line[..at].chars().next_back()) && edge(line[at + word.len()..].chars().next())
    })
}

/// Long files need an entry with a reason; an entry needs its long file.
fn judge_long(long: &[(String, usize)], exceptions: &Exceptions) -> Vec<String> {
    let mut found = Vec::new();
    for (path, lines) in long {
        match exceptions.long.iter().find(|entry| entry.path == *path) {
            None => found
                .push(format!("{path}: {lines} lines; split it, or add it to xtask/tidy.toml with a reason")),
            Some(entry) if entry.reason.trim().is_empty() => {
                found.push(format!("xtask/tidy.toml: {path} has no reason"));
            }
            Some(_) => {}
        }
    }
    let stale = exceptions.long.iter().filter(|entry| !long.iter().any(|(path, _)| *path == entry.path));
    found
        .extend(stale.map(|entry| format!("xtask/tidy.toml: {} is not over {MOST_LINES} lines", entry.path)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_file_has_no_findings() {
        assert!(look("crates/a/src/lib.rs", "//! Page.\n\npub fn a() {}\n").is_empty());
    }

    #[test]
    fn a_page_is_asked_of_lib_and_main_only() {
        assert_eq!(look("crates/a/src/lib.rs", "pub fn a() {}\n").len(), 1);
        assert!(look("crates/a/src/b.rs", "pub fn a() {}\n").is_empty());
    }

    #[test]
    fn unfinished_work_is_found_as_a_word_and_not_inside_one() {
        let word = UNFINISHED[2];
        assert_eq!(look("a.md", &format!("- {word}: more\n")).len(), 1);
        assert!(look("a.md", &format!("MAS{word}N\n")).is_empty());
    }

    #[test]
    fn machine_paths_and_registry_hosts_are_found_anywhere() {
        for place in MACHINE {
            assert_eq!(look("a.toml", &format!("x = \"{place}\"\n")).len(), 1, "{place}");
        }
    }

    #[test]
    fn a_long_file_needs_an_entry_with_a_reason_and_an_entry_needs_its_file() {
        let entry = |path: &str, reason: &str| Long { path: path.to_owned(), reason: reason.to_owned() };
        let long = [("a.rs".to_owned(), 600)];
        assert_eq!(judge_long(&long, &Exceptions::default()).len(), 1);
        assert!(judge_long(&long, &Exceptions { long: vec![entry("a.rs", "one table")] }).is_empty());
        assert_eq!(judge_long(&long, &Exceptions { long: vec![entry("a.rs", " ")] }).len(), 1);
        assert_eq!(judge_long(&[], &Exceptions { long: vec![entry("a.rs", "one table")] }).len(), 1);
    }
}
