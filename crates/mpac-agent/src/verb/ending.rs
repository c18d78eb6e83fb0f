//! Ctrl-C: what it breaks off, and what is still said after it.

use std::time::Duration;

use super::out::interrupted;
use crate::agent::Agent;
use crate::error::AgentError;

/// How long the last words may take: whoever pressed Ctrl-C waits for them.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(3);

/// Does something that Ctrl-C breaks off.
///
/// # Errors
/// [`AgentError::Interrupted`], and those of the work.
pub(super) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, AgentError> {
    tokio::select! {
        done = work => done,
        () = interrupted() => Err(AgentError::Interrupted),
    }
}

/// Says something last, unless that takes long: it does not wait for a connection that is broken, nor go on past another
/// Ctrl-C. What is not said so ends by its own time.
///
/// # Errors
/// [`AgentError::Lost`] without trying, [`AgentError::NoAnswer`], [`AgentError::Interrupted`], and those of the words.
pub(super) async fn last_words(
    agent: &Agent,
    what: &str,
    words: impl Future<Output = Result<(), AgentError>>,
) -> Result<(), AgentError> {
    if agent.is_away() {
        let why = format!("it is broken, and {what} does not wait for its return");
        return Err(AgentError::Lost(why));
    }
    let words = async {
        tokio::time::timeout(LAST_WORDS_LIMIT, words).await.unwrap_or_else(|_| {
            let seconds = LAST_WORDS_LIMIT.as_secs();
            Err(AgentError::NoAnswer { what: what.to_owned(), seconds, accepted: Vec::new() })
        })
    };
    unless_interrupted(words).await
}
