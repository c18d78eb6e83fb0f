//! Everything that can end a command of the agent, in words that say what to do.

use std::path::PathBuf;

use mpac_core::participant::Withheld;
use mpac_wire::signature::NotCanonical;
use mpac_wire::{IntentId, OpId, StateRef};
use thiserror::Error;

use crate::agent::refusal::TurnedDown;
use crate::brain::BrainError;
use crate::decide::{PlanFault, Refusal};
use crate::report::files;
use crate::session::FileState;
use crate::task::Outcome;

/// The code of what is refused for a freeze.
pub(crate) const FROZEN: &str = "SCOPE_FROZEN";

/// Why the agent stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The command line does not fit together. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Nobody listens at the address.
    #[error(
        "nobody listens at {url}; start a coordinator with `cargo run -p mpac-ws -- --workspace DIR`, or check host and port"
    )]
    NobodyThere {
        /// The address that was tried.
        url: String,
    },
    /// The socket could not be opened.
    #[error("cannot join {url}: {why}")]
    CannotConnect {
        /// The address that was tried.
        url: String,
        /// The failing step and its remedy.
        why: String,
    },
    /// The connection ended while it was needed.
    #[error("the connection to the coordinator ended ({0}); {next}", next = after(.0))]
    Lost(String),
    /// The connection is broken and is being tried again; nothing of this was done.
    #[error(
        "{what} needs the coordinator, and the connection to it is broken; it is tried again, so wait a moment"
    )]
    Away {
        /// What was wanted.
        what: String,
    },
    /// The session is being joined for somebody else who asked first; nothing of this was done.
    #[error(
        "the session is still being joined, which an earlier call began; wait a moment and call this again"
    )]
    StillJoining,
    /// The coordinator lost operations in its recovery that it had acknowledged (D-041).
    #[error(
        "the coordinator has come back without what it had acknowledged ({}); look at the files and do again what is still wanted", .0.join(", ")
    )]
    Diverged(Vec<String>),
    /// SESSION_CLOSE arrived (PAR-16), or had been said before we joined (SES-14).
    #[error(
        "the coordinator closed the session ({0}); work has ended, and a new session begins when its server is started again"
    )]
    SessionClosed(String),
    /// An answer did not come in time, so it is unknown whether the message had an effect (PAR-12), or all of it.
    #[error(
        "no answer to {what} within {seconds} s, {}; look at the workspace before you repeat it",
        so(accepted)
    )]
    NoAnswer {
        /// What was asked.
        what: String,
        /// The limit.
        seconds: u64,
        /// What was heard to be accepted before: operations of the message. That their texts are stored was not.
        accepted: Vec<OpId>,
    },
    /// The coordinator passed over a message: neither its echo nor an error came.
    #[error(
        "the coordinator passed over {what}: neither its echo nor a refusal came, so it should have had no effect; look at the workspace before you repeat it"
    )]
    Ignored {
        /// The message.
        what: String,
    },
    /// PROTOCOL_ERROR answered a message.
    #[error("the coordinator refused {what}: {code}: {description}")]
    Refused {
        /// The message.
        what: String,
        /// `error_code`.
        code: String,
        /// `description`.
        description: String,
    },
    /// HELLO was refused for who we are, or do not show to be.
    #[error(
        "the coordinator refused HELLO: {code}: {description} (a session that verifies who people are wants --key and --chain, or MPAC_CREDENTIAL, of this very --name or --principal-id; why one is not accepted stands in the log of whoever runs it)"
    )]
    NotLetIn {
        /// `error_code`.
        code: String,
        /// `description`.
        description: String,
    },
    /// The coordinator turned a verb of the [`Agent`](crate::agent::Agent) down, and nothing has changed by it.
    #[error("{0}")]
    TurnedDown(Box<TurnedDown>),
    /// Somebody was faster: the file is another one than the change was based on (OCC-13).
    #[error(
        "{path} has moved on and is at {} now; put the change on top of that and commit again", current.state_ref
    )]
    Stale {
        /// The file.
        path: String,
        /// How it is now.
        current: Box<FileState>,
    },
    /// The connection broke before the answer came, and what can be read does not tell what became of it (PAR-12).
    #[error(
        "the connection broke after {what} was sent, and whether it took effect cannot be told; look at the session before you repeat it"
    )]
    Unsettled {
        /// What was said.
        what: String,
    },
    /// Work was broken off in the midst of a commit, and what can be read does not tell what became of that.
    #[error(
        "{why}; whether {} was committed is not known, so look at the workspace before you repeat it",
        files(paths)
    )]
    Undecided {
        /// The files.
        paths: Vec<String>,
        /// What broke it off.
        why: Box<Self>,
    },
    /// The session or its server does not have this.
    #[error("{what} is not to be had here: {why}")]
    Unsupported {
        /// What was wanted.
        what: String,
        /// Why, and what to do instead.
        why: String,
    },
    /// Something was waited for in vain; nothing of it goes on.
    #[error("waited {seconds} s for {what} in vain; it was given up")]
    GaveUp {
        /// What.
        what: String,
        /// The limit.
        seconds: u64,
    },
    /// Ctrl-C. What was committed stays.
    #[error(
        "interrupted; what was committed before stays, and intents made for this are withdrawn, or end by their time where that cannot be said at once"
    )]
    Interrupted,
    /// An intent that was to be held is over, and not by its withdrawal.
    #[error("{intent} is over, so nothing is held any more: {why}")]
    IntentOver {
        /// Which.
        intent: IntentId,
        /// Why, as far as that is known.
        why: String,
    },
    /// OP_REJECT answered a commit.
    #[error("the commit to {path} was rejected: {reason}")]
    Rejected {
        /// The file.
        path: String,
        /// The reason on the wire.
        reason: String,
    },
    /// A file cannot be read for another reason than that it does not exist.
    #[error("the coordinator cannot hand out {path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The coordinator's words.
        why: String,
    },
    /// Others were faster each time, or the coordinator relayed the commits and did not store them.
    #[error(
        "no commit to {path} was taken in {attempts} attempts (it is at {current} now): each time others were faster, or the coordinator did not store the text. Nothing of it was committed; try again, or raise --max-rebase"
    )]
    AlwaysStale {
        /// The file.
        path: String,
        /// How often it was tried.
        attempts: u32,
        /// The file's reference now.
        current: StateRef,
    },
    /// A commit was stale, and yet its base is what the coordinator has.
    #[error(
        "the commit to {path} was not taken as too late, but {seconds} s later the coordinator still has the text it was based on; try again"
    )]
    NotMoved {
        /// The file.
        path: String,
        /// How long another text was waited for.
        seconds: u64,
    },
    /// The task took longer than it may.
    #[error(
        "the task was not done after {seconds} s and is given up; what was committed stays. Split it, or raise --task-limit-sec"
    )]
    TaskTooLong {
        /// The limit.
        seconds: u64,
    },
    /// The frame is larger than a coordinator takes.
    #[error("{what} makes a frame of {bytes} bytes and coordinators take at most {limit}: split the file")]
    TooLarge {
        /// The message.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A message cannot be signed.
    #[error("{what} cannot be signed: {why}; nothing of it was sent")]
    Unsignable {
        /// The message.
        what: String,
        /// Why not.
        why: NotCanonical,
    },
    /// The coordinator could not be believed (SEC-27, SEC-30).
    #[error("{0}")]
    Distrusted(String),
    /// The own key cannot be replaced.
    #[error("the key stays as it is: {0}")]
    NoRotation(&'static str),
    /// The key file cannot be written.
    #[error("{}: {why}; the key stays as it is", .path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A rule of the protocol holds a message back; nothing of it was sent.
    #[error("{what} was held back: {why}")]
    Withheld {
        /// The message.
        what: String,
        /// The rule.
        why: Withheld,
    },
    /// The plan was refused twice.
    #[error("the plan cannot be used: {0}")]
    Plan(#[from] PlanFault),
    /// A session where files' states have names that this agent cannot make.
    #[error(
        "this session names the state of files by `{0}` and the agent only by `sha256`; start the coordinator with state_ref_format sha256"
    )]
    StateRefFormat(String),
    /// A session that authorises before committing.
    #[error(
        "this session is pre_commit and the agent commits in post_commit sessions only; start the coordinator with --execution-model post_commit"
    )]
    PreCommit,
    /// A resolution went against the agent's own intent.
    #[error("the conflict was resolved against this task ({0}); nothing more is written")]
    Overruled(String),
    /// A task ended well in itself, and not with what was asked for.
    #[error("{0}")]
    NotDone(Outcome),
    /// The brain has no answer.
    #[error(transparent)]
    Brain(#[from] BrainError),
    /// An MCP host that cannot be spoken with.
    #[error(
        "the MCP host and this program do not understand each other: {0}; it speaks JSON-RPC on standard input and output, so let the host start it"
    )]
    Host(String),
    /// What came of it cannot be told.
    #[error("the result cannot be written: {0}; what was done stays, so look before you repeat it")]
    Unwritten(String),
    /// Terminal trouble.
    #[error("terminal: {0}")]
    Terminal(String),
}

/// What to do once the connection has ended for this reason. One that was ended for its credential would not be let in again by it.
fn after(why: &str) -> &'static str {
    if why.to_ascii_lowercase().contains("credential") {
        "ask whoever runs the coordinator for another credential, and start the agent again with that"
    } else {
        "start the agent again to join again"
    }
}

/// What is known without an answer.
fn so(accepted: &[OpId]) -> String {
    let ids: Vec<&str> = accepted.iter().map(OpId::as_str).collect();
    match ids.is_empty() {
        true => "so it is unknown whether it took effect".to_owned(),
        false => format!("but {} was accepted", ids.join(", ")),
    }
}

impl AgentError {
    /// A PROTOCOL_ERROR that answered `what`.
    #[must_use]
    pub fn refused(what: &str, refusal: Refusal) -> Self {
        if what == "HELLO" && matches!(refusal.code.as_str(), "AUTHORIZATION_FAILED" | "CREDENTIAL_REJECTED")
        {
            return Self::NotLetIn { code: refusal.code, description: refusal.description };
        }
        if what == "HELLO" && refusal.code == "SESSION_CLOSED" {
            return Self::SessionClosed("before this could join".to_owned());
        }
        Self::Refused { what: what.to_owned(), code: refusal.code, description: refusal.description }
    }

    /// A freeze is in the way: the coordinator says so, or the core, which remembers what it was told (PAR-23).
    pub(crate) fn is_frozen(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code == FROZEN,
            Self::Withheld { why, .. } => matches!(why, Withheld::Frozen(_)),
            _ => false,
        }
    }

    /// Nothing more can be done in the session after it.
    pub(crate) fn ends_session(&self) -> bool {
        match self {
            Self::Lost(_) | Self::SessionClosed(_) => true,
            Self::Undecided { why, .. } => why.ends_session(),
            _ => false,
        }
    }

    /// 2 for what the person can only mend on the command line or in its environment, 6 where it is not known whether something
    /// was committed, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Brain(BrainError::NoKey | BrainError::BadAddress(_) | BrainError::NoPrice(_)) => 2,
            Self::Undecided { .. } | Self::Unsettled { .. } => 6,
            _ => 1,
        }
    }
}
