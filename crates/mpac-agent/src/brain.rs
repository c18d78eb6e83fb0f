//! The judgement behind the agent: what to change, whether to step back, and the new text of a file.
//!
//! [`Brain`] is a trait so that the workflow of `task.rs` is the same with Claude ([`claude`]) and with
//! a script ([`scripted`]). Whatever a brain answers is input to be checked like any peer's: plans go
//! through [`decide::check_plan`](crate::decide::check_plan). Of a file's content only the form is checked
//! ([`tools::read_written`](crate::tools::read_written)); whether it is good is for the person to see in the diff.

pub mod claude;
mod repair;
pub mod retry;
pub mod scripted;
mod stream;

use std::time::Duration;

use futures::future::BoxFuture;
use thiserror::Error;
use tokio::sync::mpsc;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One sentence, shown to everybody in the session.
    pub objective: String,
    /// Existing files to change, in the order in which they are written.
    pub files: Vec<String>,
    /// Files to create.
    pub new_files: Vec<String>,
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
    /// Why the previous answer to the same question was no file; `None` the first time.
    pub fault: Option<String>,
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
    /// `provider/model` for HELLO's `backend`, when there is a model.
    fn model_id(&self) -> Option<String>;
}

/// Something a brain says while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Bytes of the answer received so far.
    Received(usize),
    /// A request failed and is tried again after `wait`.
    Retrying {
        /// The failure.
        why: String,
        /// The pause before the next attempt.
        wait: Duration,
    },
    /// A script waits for somebody else.
    WaitingFor(String),
}

/// Where a brain puts its [`Note`]s. Nobody has to read them.
#[derive(Debug, Clone)]
pub struct Notes(mpsc::UnboundedSender<Note>);

impl Notes {
    /// A writer and the reader of what it writes.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Notes that nobody reads.
    #[must_use]
    pub fn unread() -> Self {
        Self::channel().0
    }

    pub(crate) fn say(&self, note: Note) {
        // A closed reader is somebody who does not want to know.
        let _ = self.0.send(note);
    }
}

/// Why a brain has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BrainError {
    /// No key for the Messages API.
    #[error(
        "ANTHROPIC_API_KEY is not set: export it to let Claude work, or use --script FILE.json to work without a model"
    )]
    NoKey,
    /// `ANTHROPIC_BASE_URL` is no address.
    #[error("ANTHROPIC_BASE_URL is `{0}`, which is no http:// or https:// address; correct it or unset it")]
    BadAddress(String),
    /// The Messages API could not be reached.
    #[error("cannot reach the Messages API at {url}: {why}; check the network and ANTHROPIC_BASE_URL")]
    Unreachable {
        /// The address that was tried.
        url: String,
        /// The failing step.
        why: String,
    },
    /// The Messages API refused the request.
    #[error("the Messages API answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The API's own words.
        message: String,
    },
    /// The Messages API sent us elsewhere.
    #[error(
        "the Messages API answered {status}, a redirect to {to}; it is not followed, because the key would go along: set ANTHROPIC_BASE_URL to the address that answers itself"
    )]
    Redirected {
        /// HTTP status.
        status: u16,
        /// Where to.
        to: String,
    },
    /// The answer went on and on.
    #[error("the model's answer was not complete after {0} s; try again, or split the task")]
    TooSlow(u64),
    /// The answer broke off or makes no sense.
    #[error("the model's answer is not usable: {0}")]
    Unusable(String),
    /// The answer was cut at the token limit; a truncated file is never committed.
    #[error(
        "the model's answer was cut off at {0} tokens, so it is incomplete and thrown away: split the task or the file"
    )]
    CutOff(u32),
    /// The model declined.
    #[error("the model declined to answer")]
    Declined,
    /// The script cannot be read or does not fit what happened.
    #[error("script {file}: {why}")]
    Script {
        /// The script's file.
        file: String,
        /// What is wrong, naming the key.
        why: String,
    },
}
