//! What goes in: every input is a value, so that a session can be logged and replayed.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use mpac_wire::names::{
    CloseDisposition, CloseReason, CoordinatorEvent, CredentialType, PrincipalType, Role,
};
use mpac_wire::{InstanceId, MessageId, PrincipalId, PublicKey, Seconds, Timestamp, Unseen};

use crate::signed::Signed;

/// A connection, numbered by the host; numbers are not used again within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Who sends: the connection, and what the transport proved about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The connection a frame came on.
    pub conn: ConnId,
    /// What is known of its other end.
    pub identity: Identity,
    /// What is known of the signature of this frame.
    pub signed: Signed,
}

impl Peer {
    /// The other end of `conn`, and what was found out about its credential.
    pub const fn new(conn: ConnId, identity: Identity) -> Self {
        Self { conn, identity, signed: Signed::Missing }
    }

    /// The other end of `conn`, of whom nothing is proven.
    pub const fn unproven(conn: ConnId) -> Self {
        Self::new(conn, Identity::Unproven)
    }

    /// The same, and what was found out about the frame's signature.
    #[must_use]
    pub fn signed(self, signed: Signed) -> Self {
        Self { signed, ..self }
    }
}

/// What the adapter found out about a credential. Checking it needs IO, so the core gets the outcome (SEC-07).
///
/// The core looks at it with HELLO alone; what was proven then holds for the connection until the next HELLO on it, or
/// until it expires (SEC-14).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// Nothing was proven: there was no credential, or nobody here can verify its type.
    Unproven,
    /// The credential is good for one principal.
    Proven {
        /// Which one.
        principal: PrincipalId,
        /// By which kind of credential.
        method: CredentialType,
        /// On whose word.
        issuer: Option<Box<str>>,
        /// The roles it grants, where it speaks of roles (ROL-10).
        roles: Option<Vec<Role>>,
        /// From when on it is no good any more (SEC-14).
        expires_at: Option<Timestamp>,
    },
    /// A credential was shown and is no good.
    Rejected {
        /// Of which kind.
        method: CredentialType,
    },
}

/// One thing that happens to a session. Its `Debug` shows no texts.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a new input must be thought about by every host and every log")]
pub enum Input {
    /// A frame came, protocol or sideband.
    Frame {
        /// From whom.
        from: Peer,
        /// As it came, credentials blanked ([`blank_credentials`](mpac_wire::redact::blank_credentials), PRV-05).
        text: Arc<str>,
    },
    /// A frame came that is no text, or that cannot be handled: answered like any malformed frame (D-025, ERR-06).
    Unreadable {
        /// From whom.
        from: Peer,
        /// The id of the message, where it is known.
        refers_to: Option<MessageId>,
        /// Why, for the answer.
        problem: Box<str>,
    },
    /// A connection ended. Changes no protocol state (LIV-16).
    Disconnect {
        /// Which one.
        conn: ConnId,
    },
    /// An administrator speaks.
    Command(Command),
    /// Time passed: whatever is due at the record's time fires.
    Timeout,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { from, text } => {
                f.debug_struct("Frame").field("from", from).field("text", &Unseen(text)).finish()
            }
            Self::Unreadable { from, refers_to, problem } => f
                .debug_struct("Unreadable")
                .field("from", from)
                .field("refers_to", refers_to)
                .field("problem", problem)
                .finish(),
            Self::Disconnect { conn } => f.debug_struct("Disconnect").field("conn", conn).finish(),
            Self::Command(command) => command.fmt(f),
            Self::Timeout => f.write_str("Timeout"),
        }
    }
}

/// What only the host or a local administrator may say (SRV-15).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "as for Input")]
pub enum Command {
    /// Whether the host has room for one more session. Matters only to a session that is not open yet; until the host
    /// says otherwise there is room (SES-02).
    Vacancy(bool),
    /// End the session (SES-08, SES-13). Nothing happens to one that nobody has opened (D-031).
    Close {
        /// Why.
        reason: CloseReason,
        /// What becomes of active intents (SES-16).
        disposition: CloseDisposition,
    },
    /// Tell everybody how the session is, now; a closed session says nothing (REC-02).
    Status(CoordinatorEvent),
    /// The host vouches that a connection is that of a participant who joined before the session was taken up from a
    /// snapshot, so that it may go on without another HELLO.
    Rebind {
        /// Which connection.
        conn: ConnId,
        /// Whose.
        principal: PrincipalId,
        /// Which kind of participant that is.
        principal_type: PrincipalType,
        /// In which incarnation.
        instance: InstanceId,
    },
    /// Hand the session over and fall silent (REC-20). The snapshot taken next is the successor's.
    HandOver {
        /// Who goes on; the coordinator's own id where only the process changes.
        successor: PrincipalId,
        /// Under which epoch; one above the current one if this is not.
        next_epoch: u64,
    },
    /// The host has stored a snapshot that was taken at this Lamport time: statuses name it from now on (REC-04).
    Persisted {
        /// The clock in that snapshot.
        lamport: u64,
    },
    /// The coordinator signs with another key from here on; the host signs what is said before
    /// [`Notice::CoordinatorKey`](crate::Notice::CoordinatorKey) with the old one. Without effect in a session whose
    /// coordinator has no key, and with a key that somebody else has.
    RotateKey(PublicKey),
    /// The host did not let a message in, because its sender says more than it may: the sender is told so (SEC-37).
    /// Without effect where nobody speaks on that connection.
    TurnAway {
        /// On which connection it came.
        conn: ConnId,
        /// Which message, where that can be told.
        refers_to: Option<MessageId>,
        /// In how many seconds there is room again.
        retry_after: Seconds,
    },
    /// Another coordinator has the session under this epoch: fall silent if it is later than this one's (REC-26).
    /// A session taken up from a snapshot written after this speaks above that epoch (REC-27).
    Fence {
        /// The other's epoch.
        epoch: u64,
    },
}

/// One entry of the input log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Counts from 1, without gaps.
    pub seq: u64,
    /// When it was received; never earlier than the record before.
    pub at: Timestamp,
    /// What happened.
    pub input: Input,
}

impl Record {
    /// An entry read back from a log.
    pub const fn new(seq: u64, at: Timestamp, input: Input) -> Self {
        Self { seq, at, input }
    }
}
