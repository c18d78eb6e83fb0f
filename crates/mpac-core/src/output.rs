//! What comes out: the host carries these out, in order.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use mpac_wire::names::CloseReason;
use mpac_wire::sideband::Request;
use mpac_wire::{Content, Envelope, Fingerprint, MessageType, PrincipalId, StateRef, Timestamp, Unseen};

use crate::input::ConnId;
use crate::remark::Remark;

/// What an input led to.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "outputs that are not carried out are lost"]
#[non_exhaustive]
pub struct Step {
    /// To be carried out in this order.
    pub outputs: Vec<Output>,
    /// When to hand in [`Input::Timeout`](crate::Input) if nothing happens before.
    pub next_deadline: Option<Timestamp>,
    /// The type of the message that the record's frame held, accepted or not; for the host to count.
    pub received: Option<MessageType>,
}

/// One effect. Its `Debug` shows no texts.
#[derive(Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "an output that a host does not know would be lost in silence")]
pub enum Output {
    /// A participant's message goes on to others (`spec/wire.md` §8.1).
    Relay {
        /// To whom.
        to: Recipients,
        /// The bytes that came, without what must not be passed on.
        text: Arc<str>,
        /// Its type, for metrics and logs.
        message_type: MessageType,
        /// Its sender, for metrics and logs.
        sender: PrincipalId,
    },
    /// The coordinator speaks (`spec/wire.md` §8.2).
    Send {
        /// To whom.
        to: Recipients,
        /// What. In a box: beside it every other output is small, and a message may lead to hundreds.
        envelope: Box<Envelope>,
    },
    /// A sideband request that the host answers from its workspace, on this connection alone.
    Workspace {
        /// Who asks.
        conn: ConnId,
        /// FILE_LIST or FILE_READ.
        request: Request,
    },
    /// A sideband answer, on this connection alone.
    Answer {
        /// Who asked.
        conn: ConnId,
        /// JSON.
        text: Arc<str>,
    },
    /// The connection shall be closed, after everything sent to it before.
    HangUp {
        /// Which one.
        conn: ConnId,
        /// Close code and text.
        reason: HangUpReason,
    },
    /// Something the host keeps track of.
    Notice(Notice),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay { to, text, message_type, sender } => f
                .debug_struct("Relay")
                .field("to", to)
                .field("text", &Unseen(text))
                .field("message_type", message_type)
                .field("sender", sender)
                .finish(),
            Self::Send { to, envelope } => {
                f.debug_struct("Send").field("to", to).field("envelope", envelope).finish()
            }
            Self::Workspace { conn, request } => {
                f.debug_struct("Workspace").field("conn", conn).field("request", request).finish()
            }
            Self::Answer { conn, text } => {
                f.debug_struct("Answer").field("conn", conn).field("text", &Unseen(text)).finish()
            }
            Self::HangUp { conn, reason } => {
                f.debug_struct("HangUp").field("conn", conn).field("reason", reason).finish()
            }
            Self::Notice(notice) => notice.fmt(f),
        }
    }
}

/// Who receives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "as for Output")]
pub enum Recipients {
    /// Every bound connection of the session.
    All,
    /// One connection, bound or not.
    Conn(ConnId),
    /// The connections of these principals: sorted, without repeats, never empty.
    Only(Vec<PrincipalId>),
}

/// Why a connection is closed (`spec/wire.md` §1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HangUpReason {
    /// Too many frames that could not be read (D-025).
    MalformedFrames,
    /// Too many refused HELLOs (D-018).
    RefusedHellos,
    /// A newer connection of the same participant took its place (D-016).
    Replaced,
    /// Another coordinator goes on with the session (D-042).
    HandedOver,
    /// Another coordinator had the session already (REC-26).
    Fenced,
}

impl HangUpReason {
    /// The WebSocket close code.
    pub const fn code(self) -> u16 {
        match self {
            Self::MalformedFrames | Self::RefusedHellos => 1008,
            Self::Replaced => 4001,
            Self::HandedOver | Self::Fenced => 4002,
        }
    }

    /// The text that goes with it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::MalformedFrames => "too many malformed frames",
            Self::RefusedHellos => "too many refused HELLOs",
            Self::Replaced => "replaced by a newer connection",
            Self::HandedOver => "handed over to another coordinator: connect again",
            Self::Fenced => "another coordinator has this session: connect again",
        }
    }
}

/// What the host must know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "as for Output")]
pub enum Notice {
    /// The first HELLO was accepted: from here on the session exists (D-031).
    Opened,
    /// From here on the connection is one of "all" and speaks for this principal (D-015).
    Bound {
        /// The connection.
        conn: ConnId,
        /// Who is at its other end.
        principal: PrincipalId,
    },
    /// From here on the connection is nobody's.
    Unbound {
        /// The connection.
        conn: ConnId,
    },
    /// A commit brought a new content: store it, and push FILE_UPDATED (OCC-07).
    FileUpdated {
        /// To whom: all, unless the configuration keeps it from some; then perhaps to nobody.
        to: Recipients,
        /// Normalised, safe (D-092).
        path: String,
        /// The whole content.
        content: Content,
        /// Its reference.
        state_ref: StateRef,
        /// Who committed it.
        updated_by: PrincipalId,
    },
    /// For the audit log: nothing was refused, but somebody should know.
    Remark(Remark),
    /// A participant hears two coordinators of one epoch: the host should look who may speak, and
    /// [`Fence`](crate::Command::Fence) this one if it is not (REC-25).
    CoordinatorConflict {
        /// Who says so.
        reported_by: PrincipalId,
    },
    /// What follows is to be signed with this key (SEC-26).
    CoordinatorKey {
        /// The new one.
        key: Fingerprint,
    },
    /// The session is over; nothing but GOODBYE is accepted any more (SES-14).
    Closed {
        /// Why.
        reason: CloseReason,
    },
}
