//! What can be typed, in one table: for the lists, the hints, completion, and mistakes.

use std::fmt::Write as _;

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first is its name.
    pub(super) names: &'static [&'static str],
    /// What goes behind the name.
    pub(super) takes: &'static str,
    /// One line.
    pub(super) does: &'static str,
    /// What else is to be known.
    pub(super) more: &'static str,
}

/// All of them, in the order in which they are listed.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        names: &["task"],
        takes: "TEXT",
        does: "let the agent do something: plan, announce, write, commit",
        more: "Before each commit you are asked: y commits, n stops the task, d shows the change again, a commits this and\n\
            the rest of the task. Ctrl-C cancels the task and withdraws its intent; what was committed stays. Other\n\
            commands can be typed while it works. A sentence without `task` is asked about first.",
    },
    Entry {
        names: &["files", "ls"],
        takes: "",
        does: "what is in the workspace, and who works on it",
        more: "",
    },
    Entry { names: &["view", "cat"], takes: "FILE", does: "show one file", more: "" },
    Entry { names: &["who"], takes: "", does: "who is here and at what", more: "" },
    Entry {
        names: &["conflicts"],
        takes: "",
        does: "those that are not settled: what kind, how bad, who, which files",
        more: "",
    },
    Entry {
        names: &["conflict"],
        takes: "[ID]",
        does: "one of them, with its intents and what can be done",
        more: "Of an ID the beginning is enough, here and below, and where only one conflict is open none is needed.",
    },
    Entry {
        names: &["ack"],
        takes: "[ID] [seen|accepted|disputed]",
        does: "acknowledge a conflict, as seen if you say nothing else",
        more: "The agent acknowledges by itself what it hears of while it works.",
    },
    Entry {
        names: &["resolve"],
        takes: "ID DECISION [--accept ID]... [--reject ID]... [-m WHY]",
        does: "settle a conflict; or decide on a claim or proposal, by its ID",
        more: "DECISION is approved, rejected, dismissed, human_override, policy_override or merged. --accept and --reject\n\
            name intents or operations that go on, or do not. --rollback TEXT says how a committed operation that is\n\
            rejected is to be undone. It needs the role for it: owner or arbiter.",
    },
    Entry {
        names: &["escalate"],
        takes: "ID to WHO [-m WHY]",
        does: "hand a conflict on to an owner or arbiter",
        more: "",
    },
    Entry {
        names: &["withdraw"],
        takes: "[INTENT] [-m WHY]",
        does: "give up an own intent, such as one from `mpac-agent announce`",
        more: "Where there is only one, none has to be named. That of a running task is given up with the task, by Ctrl-C.",
    },
    Entry {
        names: &["log"],
        takes: "[N]",
        does: "the last N things that happened since you joined (20)",
        more: "",
    },
    Entry {
        names: &["status"],
        takes: "",
        does: "you, the session, the connection, the task, what it has cost",
        more: "",
    },
    Entry {
        names: &["diff"],
        takes: "[FILE|unified|side-by-side|auto]",
        does: "how your own copy of a file differs from the shared one; or how changes are shown",
        more: "Your own copy is the one of the same name in the directory where the program was started. `auto` takes what fits\n\
            the terminal: side by side needs 60 columns, and auto takes it from 120 on. While a change waits for your answer, d shows\n\
            it again in the new way.",
    },
    Entry {
        names: &["rotate-key"],
        takes: "",
        does: "sign with a new key from now on (where messages are signed)",
        more: "",
    },
    Entry { names: &["help", "?"], takes: "[COMMAND]", does: "this, or more about one command", more: "" },
    Entry {
        names: &["quit", "exit"],
        takes: "",
        does: "leave (also Ctrl-D); a running task is cancelled",
        more: "Ctrl-C cancels a running task, and never the program.",
    },
];

impl Entry {
    pub(super) const fn name(&self) -> &'static str {
        self.names[0]
    }

    /// `resolve ID DECISION`.
    pub(super) fn usage(&self) -> String {
        format!("{} {}", self.name(), self.takes).trim_end().to_owned()
    }

    /// All there is to say.
    pub(super) fn told(&self) -> String {
        let mut text = format!("{}: {}", self.usage(), self.does);
        if let [_, others @ ..] = self.names
            && !others.is_empty()
        {
            let _ = write!(text, " (also `{}`)", others.join("`, `"));
        }
        for line in self.more.lines() {
            let _ = write!(text, "\n  {}", line.trim_start());
        }
        text
    }
}

/// The command of this name.
pub(super) fn entry(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.names.contains(&name))
}

/// The name that a mistyped one comes closest to.
pub(super) fn nearest(typed: &str) -> Option<&'static str> {
    let names = ENTRIES.iter().flat_map(|entry| entry.names).filter(|name| name.len() > 1);
    let near = names.map(|name| (strsim::damerau_levenshtein(typed, name), *name));
    near.filter(|(steps, name)| *steps <= 2 && *steps < name.len() / 2).min().map(|(_, name)| name)
}

/// The list, for a terminal of this width.
pub(super) fn list(columns: Option<usize>) -> String {
    let names = |entry: &Entry| match entry.takes.len() > 20 {
        true => format!("{} ...", entry.name()),
        false => entry.usage(),
    };
    let width = ENTRIES.iter().map(|entry| names(entry).len()).max().unwrap_or(0);
    let narrow = columns.is_some_and(|columns| columns < 80);
    let mut text = "commands:".to_owned();
    for entry in ENTRIES {
        let _ = match narrow {
            true => write!(text, "\n  {}\n      {}", names(entry), entry.does),
            false => write!(text, "\n  {:width$}  {}", names(entry), entry.does),
        };
    }
    text.push_str("\n`help COMMAND` tells more; Tab completes, the arrows find what you typed before");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed_once_and_tells_more() {
        let text = list(None);
        let mut names: Vec<&str> = ENTRIES.iter().flat_map(|entry| entry.names).copied().collect();
        for entry in ENTRIES {
            assert!(text.contains(&format!("\n  {}", entry.name())), "{}", entry.name());
            assert!(entry.told().starts_with(&entry.usage()));
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "no name twice");
        assert!(entry("resolve").unwrap().told().contains("policy_override"));
        assert!(entry("ls").unwrap().told().contains("(also `ls`)"));
    }

    #[test]
    fn the_page_about_the_terminal_lists_every_command() {
        let page = include_str!("../../INTERACTIVE.md").replace("\\|", "|");
        for entry in ENTRIES {
            let row = format!("| `{}`", entry.usage());
            assert!(page.contains(&row), "{row}");
            assert!(entry.names.iter().all(|name| page.contains(&format!("`{name}"))), "{}", entry.name());
        }
    }

    #[test]
    fn a_narrow_terminal_gets_short_lines_first() {
        assert!(list(Some(40)).lines().any(|line| line == "  who"));
        assert!(list(Some(100)).lines().all(|line| line.len() < 140));
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_word_is_not() {
        assert_eq!(nearest("flies"), Some("files"));
        assert_eq!(nearest("conflcts"), Some("conflicts"));
        assert_eq!(nearest("quti"), Some("quit"));
        for word in ["mend", "fix", "please", "whom", "test", ""] {
            assert_eq!(nearest(word), None, "{word}");
        }
    }
}
