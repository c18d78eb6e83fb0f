//! The one table from message type to payload.

use alloc::boxed::Box;

use crate::envelope::Payload;
use crate::error::DecodeError;
use crate::names::MessageType;
use crate::payload::{conflict, error, intent, operation, session};
use crate::plain::{Cursor, Plain};

macro_rules! messages {
    ($($(#[$meta:meta])* $variant:ident($payload:ty),)*) => {
        /// A payload, by its type.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(clippy::exhaustive_enums, reason = "a type to come is `Unknown`; every known one must be handled")]
        pub enum Message {
            $($(#[$meta])* $variant($payload),)*
            /// A type we do not know, with its payload as it came (EXT-04).
            Unknown {
                /// The type.
                message_type: MessageType,
                /// The payload.
                payload: Payload,
            },
        }

        impl Message {
            /// Reads `payload` as `message_type` says.
            ///
            /// # Errors
            /// When it has not the fields of its type.
            pub fn read(message_type: &MessageType, payload: &Payload) -> Result<Self, DecodeError> {
                match message_type {
                    $(MessageType::$variant => payload.read().map(Self::$variant),)*
                    MessageType::Other(_) => {
                        Ok(Self::Unknown { message_type: message_type.clone(), payload: payload.clone() })
                    }
                }
            }

            /// Reads the payload that stands at `cursor`, in the quick way.
            pub(crate) fn plain(message_type: &MessageType, cursor: &mut Cursor<'_>) -> Option<Box<Self>> {
                match message_type {
                    $(MessageType::$variant => Some(Box::new(Self::$variant(<$payload>::plain(cursor)?))),)*
                    MessageType::Other(_) => None,
                }
            }

            /// The type it is.
            pub fn message_type(&self) -> MessageType {
                match self {
                    $(Self::$variant(_) => MessageType::$variant,)*
                    Self::Unknown { message_type, .. } => message_type.clone(),
                }
            }

            /// The payload as JSON.
            pub fn to_payload(&self) -> Payload {
                match self {
                    $(Self::$variant(payload) => Payload::of(payload),)*
                    Self::Unknown { payload, .. } => payload.clone(),
                }
            }
        }

        $(impl From<$payload> for Message {
            fn from(payload: $payload) -> Self {
                Self::$variant(payload)
            }
        })*
    };
}

messages! {
    /// Asks to join.
    Hello(session::Hello),
    /// Answers HELLO.
    SessionInfo(Box<session::SessionInfo>),
    /// Says that the sender is alive.
    Heartbeat(session::Heartbeat),
    /// Leaves.
    Goodbye(session::Goodbye),
    /// Ends the session.
    SessionClose(session::SessionClose),
    /// The coordinator about itself.
    CoordinatorStatus(session::CoordinatorStatus),
    /// Says what the sender is about to do.
    IntentAnnounce(intent::IntentAnnounce),
    /// Changes an announced intent.
    IntentUpdate(intent::IntentUpdate),
    /// Gives an intent up, or says it is done.
    IntentWithdraw(intent::IntentWithdraw),
    /// Says that the sender stepped back for others.
    IntentDeferred(intent::IntentDeferred),
    /// Asks for somebody's suspended intent.
    IntentClaim(intent::IntentClaim),
    /// Answers a claim.
    IntentClaimStatus(intent::IntentClaimStatus),
    /// Asks to do an operation.
    OpPropose(operation::OpPropose),
    /// Says that an operation was done.
    OpCommit(operation::OpCommit),
    /// Several operations at once.
    OpBatchCommit(operation::OpBatchCommit),
    /// Refuses an operation.
    OpReject(operation::OpReject),
    /// Replaces a committed operation.
    OpSupersede(operation::OpSupersede),
    /// Reports a conflict.
    ConflictReport(Box<conflict::ConflictReport>),
    /// Acknowledges a conflict.
    ConflictAck(conflict::ConflictAck),
    /// Hands a conflict to somebody with authority.
    ConflictEscalate(conflict::ConflictEscalate),
    /// Settles a conflict.
    Resolution(conflict::Resolution),
    /// Refuses a message, or warns.
    ProtocolError(error::ProtocolError),
}

impl From<session::SessionInfo> for Message {
    fn from(payload: session::SessionInfo) -> Self {
        Self::SessionInfo(Box::new(payload))
    }
}

impl From<conflict::ConflictReport> for Message {
    fn from(payload: conflict::ConflictReport) -> Self {
        Self::ConflictReport(Box::new(payload))
    }
}
