//! Where the agent stands with its coordinator.

use super::Event;
use crate::error::AgentError;

/// Whether something can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// We are in the session.
    Here,
    /// The connection is broken, or has come back and the session has not been looked at.
    Away,
    /// For good.
    Ended(End),
}

/// Why it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Lost(String),
    Closed(String),
    Left,
}

impl End {
    pub(crate) fn error(&self) -> AgentError {
        match self {
            Self::Lost(why) => AgentError::Lost(why.clone()),
            Self::Closed(reason) => AgentError::SessionClosed(reason.clone()),
            Self::Left => AgentError::Lost("this agent has left".to_owned()),
        }
    }

    pub(super) fn event(&self) -> Event {
        match self {
            Self::Lost(why) => Event::Disconnected { why: why.clone() },
            Self::Closed(reason) => Event::SessionClosed { reason: reason.clone() },
            Self::Left => Event::Disconnected { why: "this agent has left".to_owned() },
        }
    }
}
