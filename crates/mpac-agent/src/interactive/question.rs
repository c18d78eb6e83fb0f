//! Questions to the person, and what their answers mean.

use crate::task::Question;

/// How the choices are told when a change waits.
pub(super) const COMMIT: &str = "commit this? y or n (d shows it again, a: yes to all of this task)";
/// The same at length.
const COMMIT_HELP: &str = "y commits, n stops the task; d shows the change again, a commits it and the rest of the task. Other commands work too";
/// What a question gets as its answer when the input has ended.
pub(super) const NOBODY: &str =
    "the input has ended, so nobody can say yes to this (--yes commits without asking)";

/// Something that waits for an answer.
#[derive(Debug)]
pub(super) enum Asked {
    /// May this be committed?
    Commit(Box<Question>),
    /// Was this sentence meant as a task?
    Task(String),
}

/// What a line says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// Yes, and to whatever the task asks later.
    All,
    /// The change, please, once more.
    Show,
    Explain,
}

impl Asked {
    /// `None` when the line is no answer to this.
    pub(super) fn read(&self, line: &str) -> Option<Answer> {
        let commit = matches!(self, Self::Commit(_));
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" => Some(Answer::Yes),
            "n" | "no" => Some(Answer::No),
            "a" | "all" if commit => Some(Answer::All),
            "d" | "diff" if commit => Some(Answer::Show),
            "?" => Some(Answer::Explain),
            _ => None,
        }
    }

    /// What may be answered.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Commit(_) => COMMIT_HELP.to_owned(),
            Self::Task(text) => format!("y lets the agent work on \"{text}\", n forgets it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_is_an_answer() {
        let asked = Asked::Task("mend it".to_owned());
        assert_eq!(
            [" Y ", "yes", "n", "No", "?"].map(|line| asked.read(line)),
            [Answer::Yes, Answer::Yes, Answer::No, Answer::No, Answer::Explain].map(Some)
        );
        for unclear in ["", "ok", "yess", "task y", "a", "d"] {
            assert_eq!(asked.read(unclear), None, "{unclear}");
        }
    }
}
