//! What an operator should hear of, though nothing was refused.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use mpac_wire::{IntentId, MessageId, MessageType, OpId};

/// One line for the audit log. Its text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// Members of several organisations meet in a session that is open because nobody said otherwise (SEC-36).
    SeveralOrganisations {
        /// By the domains of their ids, or of those who vouch for them; sorted.
        domains: Vec<String>,
    },
    /// A message came without the watermark that it should carry; the open profile takes it (ENV-12, D-030).
    WithoutWatermark {
        /// Which one.
        message: MessageId,
        /// Of which type.
        message_type: MessageType,
    },
    /// An operation's target lies outside the scope of its intent (SEC-38, SCO-21).
    OutOfScope {
        /// Which one.
        op: OpId,
        /// Its intent.
        intent: IntentId,
        /// Its target.
        target: String,
    },
    /// A Lamport value far above anything its sender can have seen (SEC-34).
    LamportLeap {
        /// In which message.
        message: MessageId,
        /// The value.
        claimed: u64,
        /// The coordinator's own, before it.
        known: u64,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeveralOrganisations { domains } => write!(
                f,
                "members of several organisations meet in an open session: {}; consider another security_profile",
                domains.join(", ")
            ),
            Self::WithoutWatermark { message, message_type } => {
                write!(f, "{message_type} {message} has no watermark")
            }
            Self::LamportLeap { message, claimed, known } => write!(
                f,
                "{message} claims the Lamport value {claimed}, and nobody can have seen more than {known}"
            ),
            Self::OutOfScope { op, intent, target } => {
                write!(f, "operation {op} changes {target}, which is outside the scope of intent {intent}")
            }
        }
    }
}
