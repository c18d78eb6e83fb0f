//! The client's half of the protocol: builds messages, keeps the Lamport clock, remembers what it announced.
//!
//! Like the coordinator it does no IO. Ids and times come with every call:
//!
//! ```
//! use mpac_core::participant::{Introduction, Participant, Stamp};
//! use mpac_wire::names::PrincipalType;
//! use mpac_wire::{InstanceId, MessageId, PrincipalId, Scope, Sender, SessionId, Timestamp};
//!
//! let stamp = |id: &str| Stamp::new(MessageId::new(id).unwrap(), Timestamp::from_micros(0));
//! let sender = Sender::new(PrincipalId::new("agent:bob")?, PrincipalType::Agent, InstanceId::new("agent:bob:1")?);
//! let mut bob = Participant::new(SessionId::new("default")?, sender, Introduction::new("Bob"));
//! let hello = bob.hello(stamp("m-1"), None);
//! assert!(hello.to_json().contains(r#""watermark":{"kind":"lamport_clock","value":1}"#));
//! # Ok::<(), mpac_wire::InvalidId>(())
//! ```

mod build;
mod hear;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::Role;
use mpac_wire::payload::{IntentAnnounce, SessionInfo};
use mpac_wire::{
    ClaimedTime, Credential, Envelope, IntentId, Message, MessageId, PrincipalId, Sender, SessionId,
};

use crate::lamport::LamportClock;
pub use build::NewIntent;
pub use hear::Hearing;

/// What each message needs from outside: its id and the sender's time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stamp {
    /// Not used before by this sender (ENV-06).
    pub message_id: MessageId,
    /// The sender's wall clock.
    pub ts: ClaimedTime,
}

impl Stamp {
    /// An id and a time.
    pub fn new(message_id: MessageId, ts: impl Into<ClaimedTime>) -> Self {
        Self { message_id, ts: ts.into() }
    }
}

/// What a participant says of itself in HELLO.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Introduction {
    /// For people.
    pub display_name: String,
    /// The roles asked for; `participant` by default, as the reference libraries do.
    pub roles: Vec<Role>,
    /// What it can do (CAP-01).
    pub capabilities: Vec<String>,
    /// What it proves itself with.
    pub credential: Option<Credential>,
}

impl Introduction {
    /// A name, and the defaults.
    pub fn new(display_name: &str) -> Self {
        Self {
            display_name: display_name.to_owned(),
            roles: [Role::Participant].into(),
            capabilities: Vec::new(),
            credential: None,
        }
    }
}

/// An intent of this participant that the coordinator has accepted (PAR-09, PAR-12).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OwnIntent {
    /// What was announced, as updated since.
    pub announced: IntentAnnounce,
    /// The message that announced it.
    pub message_id: MessageId,
}

/// One participant of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    session_id: SessionId,
    sender: Sender,
    introduction: Introduction,
    clock: LamportClock,
    /// What the coordinator said at the last HELLO, and who it is (PAR-26).
    admission: Option<(SessionInfo, PrincipalId)>,
    /// The highest coordinator epoch accepted (REC-24).
    epoch: u64,
    /// Announces without an answer yet, by the message that made them.
    announced: BTreeMap<MessageId, IntentId>,
    intents: BTreeMap<IntentId, OwnIntent>,
    closed: bool,
}

impl Participant {
    /// A participant that has said nothing yet.
    pub fn new(session_id: SessionId, sender: Sender, introduction: Introduction) -> Self {
        Self {
            session_id,
            sender,
            introduction,
            clock: LamportClock::default(),
            admission: None,
            epoch: 0,
            announced: BTreeMap::new(),
            intents: BTreeMap::new(),
            closed: false,
        }
    }

    /// Who it is.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Its session.
    pub fn session_id(&self) -> &SessionId {
        &self.session_id
    }

    /// Its clock.
    pub fn lamport(&self) -> u64 {
        self.clock.value()
    }

    /// What the coordinator said when it let this participant in (HEL-16).
    pub fn session_info(&self) -> Option<&SessionInfo> {
        self.admission.as_ref().map(|(info, _)| info)
    }

    /// Its accepted intents, by id, until they are withdrawn, superseded or end with the session. That one expired is
    /// not told to anybody, so it stays here until its owner withdraws it.
    pub fn intents(&self) -> &BTreeMap<IntentId, OwnIntent> {
        &self.intents
    }

    /// The intents it has announced and not heard of again.
    pub fn unanswered(&self) -> impl Iterator<Item = &IntentId> {
        self.announced.values()
    }

    /// Whether the session is over: nothing but GOODBYE may be sent (SES-15).
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes any message: ticks the clock, and remembers that an intent was announced.
    ///
    /// Only the ten base fields go out, and of these no epoch: that is what unmodified Python servers take (ENV-09).
    pub fn write(&mut self, stamp: Stamp, message: impl Into<Message>) -> Envelope {
        let message = message.into();
        if let Message::IntentAnnounce(announced) = &message {
            self.announced.insert(stamp.message_id.clone(), announced.intent_id.clone());
        }
        let mut envelope = Envelope::new(
            Envelope::PROTOCOL.to_owned(),
            "0.1.13".to_owned(), // what every peer accepts, at any level of the session (D-006)
            message.message_type(),
            stamp.message_id,
            self.session_id.clone(),
            self.sender.clone(),
            stamp.ts,
            message.to_payload(),
        );
        envelope.watermark = Some(self.clock.tick());
        envelope
    }
}
