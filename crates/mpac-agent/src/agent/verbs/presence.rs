//! Being there: heartbeats, and leaving.

use mpac_wire::names::{GoodbyeReason, HeartbeatStatus, IntentDisposition};
use mpac_wire::payload::session::Goodbye;
use mpac_wire::{Fingerprint, IntentId};
use tokio::sync::oneshot;

use crate::agent::Agent;
use crate::agent::hub::Order;
use crate::error::AgentError;

/// How to leave.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Leaving {
    /// Why; `user_exit` by default.
    pub reason: GoodbyeReason,
    /// What becomes of the live intents: withdrawn (by default), `transfer`red, so that somebody else can claim them
    /// (BYE-05), or left to `expire` (BYE-06).
    pub disposition: IntentDisposition,
}

impl Default for Leaving {
    fn default() -> Self {
        Self { reason: GoodbyeReason::UserExit, disposition: IntentDisposition::Withdraw }
    }
}

impl Leaving {
    /// Intents stay, suspended, for somebody to take over with [`Agent::claim_intent`].
    #[must_use]
    pub fn handing_over() -> Self {
        Self { disposition: IntentDisposition::Transfer, ..Self::default() }
    }

    /// Intents stay until their time is over.
    #[must_use]
    pub fn leaving_intents() -> Self {
        Self { disposition: IntentDisposition::Expire, ..Self::default() }
    }
}

impl Agent {
    /// What heartbeats say from now on; one is sent at once if that is news (LIV-19). Heartbeats go out by themselves at the
    /// session's rhythm, and have no answer.
    pub fn heartbeat(&self, status: HeartbeatStatus, active_intent: Option<IntentId>) {
        self.0.link.status(status, active_intent);
    }

    /// Asks for another key of our own to sign with, and gives it; [`Event::Trust`](crate::agent::Event::Trust) tells when it counts (SEC-32).
    ///
    /// # Errors
    /// [`AgentError::NoRotation`] and [`AgentError::KeyFile`] without asking, [`AgentError::Away`], [`AgentError::Lost`].
    pub async fn rotate_key(&self) -> Result<Fingerprint, AgentError> {
        self.0.link.rotate_key().await
    }

    /// GOODBYE (PAR-20), and the end of the connection once everything is sent. All handles and events end with it.
    ///
    /// Dropped before it is done, it happens all the same.
    ///
    /// # Errors
    /// [`AgentError::Lost`] or [`AgentError::SessionClosed`] when it had ended before.
    pub async fn leave(&self, leaving: Leaving) -> Result<(), AgentError> {
        let active: Vec<IntentId> = self.0.link.look(|it| it.intents().keys().cloned().collect()).await?;
        let mut goodbye = Goodbye::new(leaving.reason);
        goodbye.intent_disposition = Some(leaving.disposition);
        goodbye.active_intents = (!active.is_empty()).then_some(active);
        let (tell, told) = oneshot::channel();
        self.order(Order::Leave(Box::new(goodbye), tell))?;
        told.await.map_err(|_| self.ended())
    }
}
