//! Being there: heartbeats, and leaving.

use mpac_core::participant::Participant;
use mpac_wire::names::{GoodbyeReason, HeartbeatStatus, IntentDisposition, ProviderStatus};
use mpac_wire::payload::session::Goodbye;
use mpac_wire::{Fingerprint, IntentId};
use tokio::sync::oneshot;

use crate::agent::hub::{Order, Outcome, Said};
use crate::agent::view::seconds;
use crate::agent::{Agent, barrier};
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

    /// As [`heartbeat`](Self::heartbeat), and in each case one is sent at once: the coordinator has it when this returns (LIV-02).
    /// A break is waited out. Dropped before it is done, heartbeats say this from then on, or what they said before.
    ///
    /// # Errors
    /// [`AgentError::NoAnswer`], [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub async fn heartbeat_now(
        &self,
        status: HeartbeatStatus,
        active_intent: Option<IntentId>,
    ) -> Result<(), AgentError> {
        loop {
            self.here().await?;
            self.0.link.beat(status.clone(), active_intent.clone());
            if let Outcome::Answered(_) = self.exchange(Said::Nothing, barrier(), "the heartbeat").await? {
                return Ok(());
            }
        }
    }

    /// How the model behind the work is, as `provider/model`: heartbeats say it from now on where the session wants to know and
    /// the backend was [declared](crate::agent::ConnectOptions::backend), at once if it is news (BHM-01). Of one that is `down` a session
    /// may suspend the intents, for others to claim (BHM-05).
    pub fn report_health(&self, model_id: &str, status: ProviderStatus, detail: Option<&str>) {
        self.0.link.health(model_id.to_owned(), status, detail.map(str::to_owned));
    }

    /// Seconds between two heartbeats, and whether they say how the model is (LIV-01, BHM-01).
    pub(crate) async fn rhythm(&self) -> Result<(f64, bool), AgentError> {
        let look = |participant: &Participant| {
            let policy = participant.session_info().and_then(|info| info.liveness_policy.as_ref());
            let health = policy.and_then(|policy| policy.backend_health_policy.as_ref());
            (
                seconds(&participant.heartbeat_interval()),
                health.is_some_and(|health| health.enabled == Some(true)),
            )
        };
        self.0.link.look(look).await
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
