//! A look at what the core's participant knows, without sending anything.

use std::fmt;

use mpac_core::participant::Participant;
use tokio::sync::oneshot;

use super::link::{Command, Link, lost};
use crate::error::AgentError;

/// The question, which carries its answer away by itself.
pub(super) struct Look(Box<dyn FnOnce(&Participant) + Send>);

impl Look {
    pub(super) fn at(self, participant: &Participant) {
        (self.0)(participant);
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look")
    }
}

impl Link {
    /// What the participant knows by all that has arrived. It takes a moment of our own tasks, and nothing of the network.
    ///
    /// # Errors
    /// [`AgentError::Lost`] when the connection has ended.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Participant) -> T + Send + 'static,
    ) -> Result<T, AgentError> {
        let (tell, told) = oneshot::channel();
        let look = Look(Box::new(move |participant| {
            // Who asked may have stopped waiting.
            let _ = tell.send(question(participant));
        }));
        self.give(Command::Look(look))?;
        told.await.map_err(|_| lost())
    }
}
