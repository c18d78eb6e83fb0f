//! The writing end of the connection: what the work gives to it, in order.

use mpac_core::participant::{Presence, Withheld};
use mpac_wire::names::{HeartbeatStatus, ProviderStatus};
use mpac_wire::object::Nullable;
use mpac_wire::payload::session::BackendHealth;
use mpac_wire::sideband::Request;
use mpac_wire::signature::NotCanonical;
use mpac_wire::{Fingerprint, IntentId, Message, MessageId};
use tokio::sync::{mpsc, oneshot};

use super::MAX_FRAME_OUT;
use super::look::Look;
use crate::clock::now;
use crate::error::AgentError;

/// The writing end: messages and requests go out in the order of the calls.
#[derive(Debug, Clone)]
pub struct Link(pub(super) mpsc::UnboundedSender<Command>);

#[derive(Debug)]
pub(super) enum Command {
    /// Say it, and tell the id it went out under or why it did not. `again`: it may have been said before.
    Say {
        message: Box<Message>,
        again: bool,
        sent: oneshot::Sender<Result<MessageId, Unsaid>>,
    },
    Ask(Request),
    /// Ask for a summary after a break.
    ReportBreak,
    /// Is this own intent at the coordinator?
    Presence(IntentId, oneshot::Sender<Presence>),
    /// The coordinator has lost these operations, and the person knows.
    Forget(Vec<String>),
    /// What heartbeats say from now on. One goes out if that is news, or `always`.
    Status {
        status: HeartbeatStatus,
        intent: Option<IntentId>,
        always: bool,
    },
    /// How the own model is.
    Health(Box<BackendHealth>),
    /// Ask for another key of our own, and tell which, or why not.
    RotateKey(oneshot::Sender<Result<Fingerprint, AgentError>>),
    Look(Look),
    Close,
}

/// Why a message was not sent.
#[derive(Debug)]
pub(super) enum Unsaid {
    /// It makes a frame of so many bytes.
    TooLarge(usize),
    /// A rule is in the way.
    Withheld(Withheld),
    /// It cannot be signed.
    Unsignable(NotCanonical),
}

impl Link {
    /// Sends a message and returns the id it went out under.
    ///
    /// # Errors
    /// [`AgentError::TooLarge`], [`AgentError::Unsignable`] and [`AgentError::Withheld`] without sending anything, [`AgentError::Away`] while the
    /// connection is broken, [`AgentError::Lost`].
    pub async fn say(&self, message: Message, what: &str) -> Result<MessageId, AgentError> {
        self.speak(message, false, what).await
    }

    /// Sends a message again of which it is not known whether it arrived: its ids stay the same.
    ///
    /// # Errors
    /// As [`say`](Self::say).
    pub async fn repeat(&self, message: Message, what: &str) -> Result<MessageId, AgentError> {
        self.speak(message, true, what).await
    }

    async fn speak(&self, message: Message, again: bool, what: &str) -> Result<MessageId, AgentError> {
        let (sent, id) = oneshot::channel();
        self.give(Command::Say { message: Box::new(message), again, sent })?;
        match id.await {
            Ok(Ok(id)) => Ok(id),
            Ok(Err(Unsaid::TooLarge(bytes))) => {
                Err(AgentError::TooLarge { what: what.to_owned(), bytes, limit: MAX_FRAME_OUT })
            }
            Ok(Err(Unsaid::Withheld(Withheld::NotAdmitted))) => {
                Err(AgentError::Away { what: what.to_owned() })
            }
            Ok(Err(Unsaid::Unsignable(why))) => Err(AgentError::Unsignable { what: what.to_owned(), why }),
            Ok(Err(Unsaid::Withheld(why))) => Err(AgentError::Withheld { what: what.to_owned(), why }),
            Err(_) => Err(lost()),
        }
    }

    /// Sends a message whose fate does not matter to the work.
    pub fn mention(&self, message: Message) {
        let (sent, _id) = oneshot::channel();
        // If the connection is gone, the next step of the work says so.
        let _ = self.give(Command::Say { message: Box::new(message), again: false, sent });
    }

    /// Sends a sideband request. While the connection is broken it is dropped.
    ///
    /// # Errors
    /// [`AgentError::Lost`].
    pub fn ask(&self, request: Request) -> Result<(), AgentError> {
        self.give(Command::Ask(request))
    }

    /// After a break: asks the coordinator how the session stands, in the way that every server bears (D-029).
    pub fn report_break(&self) {
        let _ = self.give(Command::ReportBreak);
    }

    /// Whether an own intent is at the coordinator, by all that has arrived.
    ///
    /// # Errors
    /// [`AgentError::Lost`].
    pub async fn presence(&self, intent: IntentId) -> Result<Presence, AgentError> {
        let (tell, told) = oneshot::channel();
        self.give(Command::Presence(intent, tell))?;
        told.await.map_err(|_| lost())
    }

    /// The coordinator has lost these operations: joins again without naming them (D-041).
    pub fn forget(&self, lost: Vec<String>) {
        let _ = self.give(Command::Forget(lost));
    }

    /// Sets what heartbeats say from now on, and says it at once (PAR-03, LIV-19).
    pub fn status(&self, status: HeartbeatStatus, intent: Option<IntentId>) {
        let _ = self.give(Command::Status { status, intent, always: false });
    }

    /// As [`status`](Self::status), and says it whether it is news or not. While the connection is broken nothing goes out.
    pub fn beat(&self, status: HeartbeatStatus, intent: Option<IntentId>) {
        let _ = self.give(Command::Status { status, intent, always: true });
    }

    /// What is known of the own model, for heartbeats where the session wants to know (BHM-01). Another status than before is
    /// said at once.
    pub fn health(&self, model: String, status: ProviderStatus, detail: Option<String>) {
        let mut health = BackendHealth::new(model, status, now().into());
        health.status_detail = detail.map(Nullable::Value);
        let _ = self.give(Command::Health(Box::new(health)));
    }

    /// Asks for another key of our own, which is in the key file then and signs as soon as the coordinator says so
    /// ([`TrustNews::Rotated`](crate::arrival::TrustNews)); until then the one in use does (SEC-32). Tells which.
    ///
    /// # Errors
    /// [`AgentError::NoRotation`] and [`AgentError::KeyFile`] without asking, [`AgentError::Away`], [`AgentError::Lost`].
    pub async fn rotate_key(&self) -> Result<Fingerprint, AgentError> {
        let (tell, told) = oneshot::channel();
        self.give(Command::RotateKey(tell))?;
        told.await.map_err(|_| lost())?
    }

    /// Says what was given so far and closes the socket, or stops looking for one.
    pub fn close(&self) {
        let _ = self.give(Command::Close);
    }

    pub(super) fn give(&self, command: Command) -> Result<(), AgentError> {
        self.0.send(command).map_err(|_| lost())
    }
}

pub(super) fn lost() -> AgentError {
    AgentError::Lost("it is closed".to_owned())
}
