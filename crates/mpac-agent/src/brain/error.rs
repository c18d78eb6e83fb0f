//! Why a brain has no answer, in words that say what to do.

use std::time::Duration;

use thiserror::Error;

/// Why a brain has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BrainError {
    /// No key for the Messages API.
    #[error(
        "ANTHROPIC_API_KEY is not set: export it to let Claude work, or use --brain-command PROGRAM or --script FILE.json to work without a key"
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
        /// The API's own words, and the pause that it asks for if nobody waits for so long.
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
    #[error("the answer was not complete after {0} s; try again, split the task, or raise --call-limit-sec")]
    TooSlow(u64),
    /// The answer did not arrive whole, whatever it would have been.
    #[error("the model's answer did not arrive: {0}")]
    Broken(String),
    /// The answer makes no sense.
    #[error("the model's answer is not usable: {0}")]
    Unusable(String),
    /// Edits that the file does not allow.
    #[error("the edits do not apply: {0}")]
    Misfit(String),
    /// What may be used up is used up.
    #[error(
        "the budget is used up, so nothing more is asked: {0}; raise --budget-usd or --budget-tokens, or start again"
    )]
    OverBudget(String),
    /// A budget in money for a model whose price is not known.
    #[error(
        "what {0} costs is not in the table of prices, so --budget-usd cannot be kept: use --budget-tokens, or give --prices FILE.json"
    )]
    NoPrice(String),
    /// The answer was cut at the token limit; a truncated file is never committed.
    #[error(
        "the model's answer was cut off at {0} tokens, so it is incomplete and thrown away: split the task or the file"
    )]
    CutOff(u32),
    /// The model declined.
    #[error("the model declined to answer")]
    Declined,
    /// The program behind a [`command`](super::command) brain failed.
    #[error("the brain command `{program}` {why}")]
    Command {
        /// As it was given.
        program: String,
        /// What happened.
        why: String,
    },
    /// The script cannot be read or does not fit what happened.
    #[error("script {file}: {why}")]
    Script {
        /// The script's file.
        file: String,
        /// What is wrong, naming the key.
        why: String,
    },
}

impl BrainError {
    /// The same, with the pause after which it may be asked again.
    pub(super) fn asking_for(self, pause: Duration) -> Self {
        match self {
            Self::Refused { status, message } => {
                Self::Refused { status, message: format!("{message}; try again in {} s", pause.as_secs()) }
            }
            other => other,
        }
    }
}
