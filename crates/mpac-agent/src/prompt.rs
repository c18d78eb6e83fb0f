//! What the model is told. Each question has a system text (who it is, what is asked, how to answer)
//! and a user text (the facts of the case). The system texts stand in files of their own, `prompt/*.md`.
//!
//! The facts come from other people's files and messages, so each system text says that they are
//! material and not orders.

use std::fmt::Write as _;

use crate::brain::{ConflictAsk, PlanAsk, WriteAsk};

/// Who the agent is, in every question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persona {
    /// Display name.
    pub name: String,
    /// What the person said about this agent with `--about`.
    pub about: Option<String>,
}

const OPENING: &str = include_str!("prompt/opening.md");
const PLAN: &str = include_str!("prompt/plan.md");
const CONFLICT: &str = include_str!("prompt/conflict.md");
const WRITE: &str = include_str!("prompt/write.md");
const EDIT: &str = include_str!("prompt/edit.md");

/// What stands for `{about}` when the person said nothing.
const ABOUT: &str = "You work for one person in a team.";

/// How a file is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The whole text of the file.
    Whole,
    /// Edits by search and replace, or the whole text where that is shorter.
    Edits,
}

impl Persona {
    /// The opening, and what this question is about.
    fn system(&self, question: &str) -> String {
        // The name last: one that looks like a place to fill in stays as it is.
        let opening = OPENING.replace("{about}", self.about.as_deref().unwrap_or(ABOUT));
        format!("{}\n{}", opening.replacen("{name}", &self.name, 1), question.trim_end())
    }

    /// System text for [`Tool::PlanTask`](crate::tools::Tool::PlanTask).
    #[must_use]
    pub fn plan(&self) -> String {
        self.system(PLAN)
    }

    /// System text for [`Tool::DecideConflict`](crate::tools::Tool::DecideConflict).
    #[must_use]
    pub fn conflict(&self) -> String {
        self.system(CONFLICT)
    }

    /// System text for [`Tool::WriteFile`](crate::tools::Tool::WriteFile), and for
    /// [`Tool::EditFile`](crate::tools::Tool::EditFile) beside it.
    #[must_use]
    pub fn write(&self, form: Form) -> String {
        match form {
            Form::Whole => self.system(WRITE),
            Form::Edits => self.system(EDIT),
        }
    }
}

/// The user text of a question, in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What many questions have in common, such as a file: the API may keep it from one to the next.
    pub shared: String,
    /// What is asked about it.
    pub asked: String,
}

/// User text of a planning question: the files there are, and the task.
#[must_use]
pub fn plan_question(ask: &PlanAsk) -> Question {
    let mut shared = "FILES IN THE WORKSPACE:\n".to_owned();
    for file in &ask.files {
        // Writing to a String cannot fail.
        let _ = writeln!(shared, "  - {} ({} characters)", file.path, file.size);
    }
    if ask.files.is_empty() {
        shared.push_str("  (none yet)\n");
    }
    Question { shared, asked: format!("\nTASK: {}\n", ask.task) }
}

/// What the model reads when its plan was refused.
#[must_use]
pub fn plan_repair(fault: &str) -> String {
    format!("This plan cannot be used: {fault}. Answer again with a corrected plan.")
}

/// What the model reads when its decision was none.
#[must_use]
pub fn conflict_repair(fault: &str) -> String {
    format!("This cannot be used: {fault}. Answer with the decide_conflict tool: proceed or yield.")
}

/// What the model reads when its answer was no file, or its edits do not apply.
#[must_use]
pub fn write_repair(fault: &str, form: Form) -> String {
    let how = match form {
        Form::Whole => "Answer with the write_file tool and put the complete file into \"content\".",
        Form::Edits => "Nothing was changed. Answer again with all the edits, corrected.",
    };
    format!("This cannot be used: {fault}. {how}")
}

/// User text of a conflict question.
#[must_use]
pub fn conflict_question(ask: &ConflictAsk) -> Question {
    let or_unknown =
        |files: &[String]| if files.is_empty() { "not known".to_owned() } else { files.join(", ") };
    let mut text = format!(
        "CONFLICT: {} (severity {}) with {}\n\nYOUR TASK: {}\nYOUR OBJECTIVE: {}\nYOUR FILES: {}\n\n\
         THEIR OBJECTIVE: {}\nTHEIR FILES: {}\n",
        ask.category,
        ask.severity,
        ask.other,
        ask.task,
        ask.plan.objective,
        or_unknown(&[ask.plan.files.as_slice(), ask.plan.new_files.as_slice()].concat()),
        ask.other_objective.as_deref().unwrap_or("not known"),
        or_unknown(&ask.other_files),
    );
    if let Some(description) = &ask.description {
        let _ = writeln!(text, "\nTHE COORDINATOR SAYS: {description}");
    }
    Question { shared: String::new(), asked: text }
}

/// User text of a writing question. The file ends the first part, byte for byte.
#[must_use]
pub fn write_question(ask: &WriteAsk, form: Form) -> Question {
    let what = if ask.content.is_empty() { "\n(The file is empty or does not exist yet.)" } else { "" };
    let shared = format!("FILE: {}{what}\n\nCURRENT CONTENT:\n{}", ask.path, ask.content);
    let rebased = if ask.rebased {
        "\n\nSomebody else changed this file while you worked. This is their version: keep their changes and make yours \
         on top of it."
    } else {
        ""
    };
    let wanted = match form {
        Form::Whole => "Return the complete updated file.",
        Form::Edits => "Return the edits that update the file.",
    };
    let mut asked = format!("\n\n{wanted}\n\nTASK: {}\nOBJECTIVE: {}{rebased}", ask.task, ask.plan.objective);
    if !ask.written.is_empty() {
        asked.push_str("\n\nTHE SAME TASK CHANGES OTHER FILES LIKE THIS, AND THIS ONE HAS TO FIT:");
        asked.extend(ask.written.iter().map(|other| format!("\n{}", other.diff)));
    }
    Question { shared, asked }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::{FileEntry, OtherFile, Plan};

    fn plan() -> Plan {
        Plan { objective: "mend".to_owned(), files: vec!["a.py".to_owned()], ..Plan::default() }
    }

    fn bob() -> Persona {
        Persona { name: "Bob".to_owned(), about: Some("You look after tests.".to_owned()) }
    }

    #[test]
    fn every_system_text_says_who_is_asked_and_how_to_answer() {
        for (text, tool) in [
            (bob().plan(), "plan_task"),
            (bob().conflict(), "decide_conflict"),
            (bob().write(Form::Whole), "write_file"),
            (bob().write(Form::Edits), "edit_file"),
        ] {
            assert!(text.starts_with("You are Bob,"), "{text}");
            assert!(text.contains("You look after tests.") && text.contains(tool), "{text}");
            assert!(!text.contains("{name}") && !text.contains("{about}") && !text.ends_with('\n'), "{text}");
        }
        let odd = Persona { name: "{about}".to_owned(), about: None };
        assert!(odd.plan().starts_with("You are {about}, an agent") && odd.plan().contains(ABOUT));
    }

    #[test]
    fn the_plan_question_lists_every_file() {
        let ask = PlanAsk {
            task: "mend it".to_owned(),
            files: vec![FileEntry { path: "src/a.py".to_owned(), size: 7 }],
            fault: None,
        };
        let question = plan_question(&ask);
        assert_eq!(question.shared, "FILES IN THE WORKSPACE:\n  - src/a.py (7 characters)\n");
        assert_eq!(question.asked, "\nTASK: mend it\n");
    }

    #[test]
    fn the_file_stands_in_the_question_byte_for_byte() {
        let content = "a\r\n  b\n";
        let ask = |rebased| WriteAsk {
            task: "t".to_owned(),
            plan: plan(),
            path: "a.py".to_owned(),
            content: content.to_owned(),
            rebased,
            written: vec![OtherFile { path: "b.py".to_owned(), diff: "--- a/b.py\n+b".to_owned() }],
            whole: false,
            fault: None,
        };
        let question = write_question(&ask(false), Form::Whole);
        assert_eq!(question.shared, format!("FILE: a.py\n\nCURRENT CONTENT:\n{content}"));
        assert!(question.asked.starts_with("\n\nReturn the complete updated file.\n"));
        assert!(!question.asked.contains("Somebody else changed"));
        assert!(question.asked.ends_with("HAS TO FIT:\n--- a/b.py\n+b"), "{}", question.asked);
        let again = write_question(&ask(true), Form::Edits);
        assert!(again.asked.contains("Somebody else changed this file") && again.asked.contains("the edits"));
    }

    #[test]
    fn a_conflict_about_an_unseen_intent_says_so() {
        let ask = ConflictAsk {
            task: "t".to_owned(),
            plan: plan(),
            category: "scope_overlap".to_owned(),
            severity: "medium".to_owned(),
            other: "agent:Alice".to_owned(),
            other_objective: None,
            other_files: vec![],
            description: None,
            fault: None,
        };
        let text = conflict_question(&ask).asked;
        assert!(text.contains("with agent:Alice") && text.contains("THEIR FILES: not known"), "{text}");
    }
}
