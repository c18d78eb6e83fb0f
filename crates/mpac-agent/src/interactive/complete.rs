//! What Tab makes of a half-typed line.

use std::collections::BTreeSet;

use mpac_wire::names::{AckType, Decision};

use super::board::Names;
use super::help::{ENTRIES, entry};

const LAYOUTS: [&str; 3] = ["auto", "side-by-side", "unified"];

/// From where on the line is completed, and what may stand there.
pub(super) fn complete(line: &str, names: &Names) -> (usize, Vec<String>) {
    let start = line.len() - line.trim_start().len();
    let Some((verb, rest)) = line[start..].split_once(char::is_whitespace) else {
        let typed = line[start..].to_lowercase();
        let fitting = ENTRIES.iter().map(|entry| entry.name()).filter(|name| name.starts_with(&typed));
        return (start, fitting.map(|name| format!("{name} ")).collect());
    };
    let Some(entry) = entry(&verb.to_lowercase()) else { return (line.len(), Vec::new()) };
    let whole = line.len() - rest.trim_start().len();
    let last = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let before: Vec<&str> = line[whole.min(last)..last].split_whitespace().collect();
    match entry.name() {
        // A path may have blanks, so it is all of the rest.
        "view" => (whole, paths(&line[whole..], &names.files)),
        "diff" => {
            let typed = &line[whole..];
            (whole, [fitting(typed, &LAYOUTS.map(str::to_owned)), paths(typed, &names.files)].concat())
        }
        "task" if line[last..].is_empty() => (last, Vec::new()),
        "task" => (last, paths(&line[last..], &names.files)),
        "escalate" if !before.is_empty() => {
            let to = line[whole..].find(" to ").map(|at| whole + at + 4);
            match to {
                Some(at) if !line[at..].contains(" -m") => (at, fitting(&line[at..], &names.people)),
                Some(_) => (last, Vec::new()),
                None => (last, fitting(&line[last..], &["to ".to_owned()])),
            }
        }
        name => (last, fitting(&line[last..], &words(name, &before, names))),
    }
}

/// What may be the next word of a command, with a blank where more may follow.
fn words(name: &str, before: &[&str], names: &Names) -> Vec<String> {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let more = |words: &[String]| words.iter().map(|word| format!("{word} ")).collect::<Vec<_>>();
    let how = || AckType::LISTED.iter().map(ToString::to_string).collect::<Vec<_>>();
    match (name, before) {
        ("withdraw", []) => more(&names.own_intents),
        ("conflict", []) => names.conflicts.clone(),
        ("ack", []) => [more(&names.conflicts), how()].concat(),
        ("resolve" | "escalate", []) => more(&names.conflicts),
        ("ack", [_]) => how(),
        ("resolve", [_]) => Decision::LISTED.iter().map(|it| format!("{it} ")).collect(),
        ("resolve", [.., "--accept" | "--reject"]) => more(&names.intents),
        ("resolve", [_, _, more @ ..]) if !more.contains(&"-m") && !more.contains(&"--rollback") => {
            own(&["--accept ", "--reject ", "--rollback ", "-m "])
        }
        ("help", []) => ENTRIES.iter().map(|entry| entry.name().to_owned()).collect(),
        _ => Vec::new(),
    }
}

fn fitting(typed: &str, words: &[String]) -> Vec<String> {
    words.iter().filter(|word| word.starts_with(typed)).cloned().collect()
}

/// Paths as far as to the next `/`, so that a large workspace is walked down step by step.
fn paths(typed: &str, files: &[String]) -> Vec<String> {
    let step = |file: &String| {
        let rest = file.strip_prefix(typed)?;
        let end = rest.find('/').map_or(file.len(), |at| typed.len() + at + 1);
        Some(file[..end].to_owned())
    };
    files.iter().filter_map(step).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Names {
            files: own(&["src/a.py", "src/lib/b.py", "src/lib/c.py", "my notes.md"]),
            conflicts: own(&["conflict-1", "conflict-2"]),
            intents: own(&["intent-1"]),
            own_intents: own(&["intent-2"]),
            people: own(&["agent:Ann Lee", "human:Olga"]),
        }
    }

    #[test]
    fn each_place_has_its_own_words() {
        for (line, from, offered) in [
            ("con", 0, &["conflicts ", "conflict "][..]),
            ("  wh", 2, &["who "]),
            ("view sr", 5, &["src/"]),
            ("view src/", 5, &["src/a.py", "src/lib/"]),
            ("view my n", 5, &["my notes.md"]),
            ("cat m", 4, &["my notes.md"]),
            ("task mend src/lib/b", 10, &["src/lib/b.py"]),
            ("task mend ", 10, &[]),
            ("conflict ", 9, &["conflict-1", "conflict-2"]),
            ("ack conflict-2 a", 15, &["accepted"]),
            ("resolve conf", 8, &["conflict-1 ", "conflict-2 "]),
            ("ack s", 4, &["seen"]),
            ("withdraw i", 9, &["intent-2 "]),
            ("resolve conflict-1 m", 19, &["merged "]),
            ("resolve conflict-1 merged --a", 26, &["--accept "]),
            ("resolve conflict-1 merged --accept ", 35, &["intent-1 "]),
            ("resolve conflict-1 merged -m i", 29, &[]),
            ("escalate conflict-1 ", 20, &["to "]),
            ("escalate conflict-1 to agent:Ann ", 23, &["agent:Ann Lee"]),
            ("escalate conflict-1 to human:Olga -m h", 37, &[]),
            ("diff s", 5, &["side-by-side", "src/"]),
            ("diff my n", 5, &["my notes.md"]),
            ("help qu", 5, &["quit"]),
            ("mend src/a", 10, &[]),
            ("who x", 4, &[]),
        ] {
            let (at, found) = complete(line, &names());
            assert_eq!(
                (at, found.iter().map(String::as_str).collect::<Vec<_>>()),
                (from, offered.to_vec()),
                "{line}"
            );
        }
    }
}
