//! The judgement behind the agent: what to change, whether to step back, and the new text of a file.
//!
//! [`Brain`] is a trait so that the workflow of `task.rs` is the same with Claude ([`claude`]), with a program of
//! your own ([`command`]) and with a script ([`scripted`]). Whatever a brain answers is input to be checked like any peer's: plans go
//! through [`decide::check_plan`](crate::decide::check_plan). Of a file's content only the form is checked
//! ([`tools::read_written`](crate::tools::read_written)); whether it is good is for the person to see in the diff.

mod account;
pub mod claude;
pub mod command;
pub mod edits;
mod error;
mod notes;
mod partial;
pub mod prices;
mod repair;
pub mod retry;
pub mod scripted;
mod stream;
pub mod usage;

pub use account::Budget;
pub use error::BrainError;
pub(crate) use notes::Counter;
pub use notes::{Note, Notes};

use futures::future::BoxFuture;

/// One file of the shared workspace, as FILE_LIST names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Path relative to the workspace, with `/` between its parts.
    pub path: String,
    /// Length in Unicode code points, not bytes.
    pub size: u64,
}

/// What [`Brain::plan`] is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanAsk {
    /// The task in the person's own words.
    pub task: String,
    /// Every file of the workspace.
    pub files: Vec<FileEntry>,
    /// Why the previous plan was refused; `None` the first time.
    pub fault: Option<String>,
}

/// What the agent wants to do: the objective it announces and the files it will write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// One sentence, shown to everybody in the session.
    pub objective: String,
    /// Existing files to change, in the order in which they are written.
    pub files: Vec<String>,
    /// Files to create.
    pub new_files: Vec<String>,
    /// A file has to fit the new text of one before it, so they are written one after the other. Else several are written at
    /// the same time, and none knows what the others become.
    pub in_order: bool,
}

impl Plan {
    /// All its files, in the order in which they are written.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.files.iter().chain(&self.new_files)
    }
}

/// What [`Brain::decide_conflict`] is asked: one overlap with one other principal's intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictAsk {
    /// The task in the person's own words.
    pub task: String,
    /// The plan that was announced.
    pub plan: Plan,
    /// Category of the report, such as `scope_overlap`.
    pub category: String,
    /// Severity of the report, such as `medium`.
    pub severity: String,
    /// The other principal.
    pub other: String,
    /// The other principal's objective, when its announce was seen.
    pub other_objective: Option<String>,
    /// The files of the other intent, when its announce was seen.
    pub other_files: Vec<String>,
    /// The report's own words, when it has any (Python coordinators send none).
    pub description: Option<String>,
    /// Why the previous answer was no decision; `None` the first time.
    pub fault: Option<String>,
}

/// Go on, or step back?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Keep the intent and work; commits are still protected by their state references.
    Proceed,
    /// Withdraw the intent with reason `yielded`.
    Yield,
}

/// The answer to [`Brain::decide_conflict`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Proceed or yield.
    pub choice: Choice,
    /// Why, in a sentence for people.
    pub reason: String,
}

/// What [`Brain::write_file`] is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteAsk {
    /// The task in the person's own words.
    pub task: String,
    /// The plan that was announced.
    pub plan: Plan,
    /// The file to write.
    pub path: String,
    /// Its current text; empty for a new file.
    pub content: String,
    /// Somebody changed the file since the last attempt, so the work starts again from `content`.
    pub rebased: bool,
    /// What the task has changed in other files so far, so that this one fits: all before it where the plan is
    /// [in order](Plan::in_order), else those that happen to be done.
    pub written: Vec<OtherFile>,
    /// The complete text is wanted: edits did not apply, twice.
    pub whole: bool,
    /// Why the previous answer to the same question was no file; `None` the first time.
    pub fault: Option<String>,
}

/// A change that the same task makes to another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherFile {
    /// Which.
    pub path: String,
    /// The change as a unified diff; the beginning of a long one.
    pub diff: String,
}

/// The answer to [`Brain::write_file`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The complete new text of the file.
    pub content: String,
    /// What changed, in a few words, for the commit's `summary`.
    pub summary: Option<String>,
}

/// A thinker. Each method gets a [`Notes`] to say what it is doing meanwhile.
///
/// An answer that cannot be used is asked for once more, with what was wrong in the question's `fault`; an answer that is
/// an error ends the task, and its intent is withdrawn. A question may be given up at any time (Ctrl-C, a time limit): then its
/// future is dropped. So is one about a file that somebody else changes before anything of the answer has come, and it is asked
/// again on top of that: say [`Note::Began`] when the answer begins, and it is waited for.
///
/// A brain without a model, which puts a licence above every Python file that the task names:
///
/// ```
/// use futures::FutureExt as _;
/// use futures::future::{BoxFuture, ready};
/// use mpac_agent::brain::{
///     Brain, BrainError, Choice, ConflictAsk, Decision, Note, Notes, Plan, PlanAsk, WriteAsk, Written,
/// };
///
/// struct Licensor;
///
/// impl Brain for Licensor {
///     fn plan<'a>(&'a mut self, ask: PlanAsk, notes: &'a Notes) -> BoxFuture<'a, Result<Plan, BrainError>> {
///         notes.say(Note::Said(format!("{} files to look at", ask.files.len())));
///         let python = |path: &String| path.ends_with(".py") && ask.task.contains(path.as_str());
///         let files: Vec<String> = ask.files.into_iter().map(|file| file.path).filter(python).collect();
///         let objective = format!("Put the licence above {}", files.join(", "));
///         // A plan without files goes back as a fault, and an error ends the task.
///         let plan = match ask.fault {
///             None => Ok(Plan { objective, files, ..Plan::default() }),
///             Some(fault) => Err(BrainError::Unusable(fault)),
///         };
///         ready(plan).boxed()
///     }
///
///     fn decide_conflict<'a>(
///         &'a mut self,
///         ask: ConflictAsk,
///         _notes: &'a Notes,
///     ) -> BoxFuture<'a, Result<Decision, BrainError>> {
///         let reason = format!("a comment is in nobody's way, {}", ask.other);
///         ready(Ok(Decision { choice: Choice::Proceed, reason })).boxed()
///     }
///
///     fn write_file<'a>(
///         &'a mut self,
///         ask: WriteAsk,
///         _notes: &'a Notes,
///     ) -> BoxFuture<'a, Result<Written, BrainError>> {
///         let content = format!("# SPDX-License-Identifier: Apache-2.0\n{}", ask.content);
///         ready(Ok(Written { content, summary: Some("add the licence".to_owned()) })).boxed()
///     }
///
///     fn model_id(&self) -> Option<String> {
///         None
///     }
/// }
///
/// # let files = vec![mpac_agent::brain::FileEntry { path: "a.py".to_owned(), size: 3 }];
/// let ask = PlanAsk { task: "license a.py".to_owned(), files, fault: None };
/// let plan = Licensor.plan(ask, &Notes::unread()).now_or_never().unwrap().unwrap();
/// assert_eq!(plan.files, ["a.py"]);
/// ```
pub trait Brain: Send {
    /// Which files to change for the task.
    fn plan<'a>(&'a mut self, ask: PlanAsk, notes: &'a Notes) -> BoxFuture<'a, Result<Plan, BrainError>>;
    /// What to do about an overlap with somebody else's intent.
    fn decide_conflict<'a>(
        &'a mut self,
        ask: ConflictAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Decision, BrainError>>;
    /// The new text of one file.
    fn write_file<'a>(
        &'a mut self,
        ask: WriteAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Written, BrainError>>;
    /// Called when the next thing is the commit of what was written; a script may wait here.
    fn before_commit<'a>(&'a mut self, _notes: &'a Notes) -> BoxFuture<'a, Result<(), BrainError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Another one like this, to write a file while this one writes another, or to decide about another conflict; a budget
    /// counts for both. `None` when it thinks of one thing at a time, which is the default: then one comes after the other.
    fn fork(&self) -> Option<Box<dyn Brain>> {
        None
    }
    /// `provider/model` for HELLO's `backend`, when there is a model.
    fn model_id(&self) -> Option<String>;
}
