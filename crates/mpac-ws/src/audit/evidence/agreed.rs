//! Who agreed to what: the messages that bind whoever signed them, as far as they were accepted.

use mpac_wire::{Fingerprint, MessageType, PrincipalId, Timestamp};
use serde::Serialize;

/// One commitment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Agreed {
    /// The entry of the log that holds the message.
    pub(super) log_seq: u64,
    /// The entry of the chain of messages, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_seq: Option<u64>,
    pub(super) at: Timestamp,
    pub(super) principal_id: PrincipalId,
    pub(super) message_type: MessageType,
    pub(super) message_id: String,
    /// For people.
    pub(super) what: String,
    /// By which key it is signed well; absent where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Fingerprint>,
    /// Whether that key is the principal's by what is trusted, so that nobody else can have said it.
    pub(super) verified: bool,
}
