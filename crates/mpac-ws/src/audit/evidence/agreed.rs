//! Who agreed to what: the messages that bind whoever signed them, as far as they were accepted.

use std::collections::BTreeMap;

use mpac_core::Output;
use mpac_wire::{Envelope, Fingerprint, MessageType, PrincipalId, Timestamp};
use serde::Serialize;

use crate::audit::accepted::accepted;

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

/// Commitments along a log.
#[derive(Debug, Default)]
pub(super) struct Agreements {
    made: Vec<Agreed>,
    /// Commits that somebody has to authorise first, by their ids.
    waiting: BTreeMap<String, Agreed>,
}

/// Messages that commit their sender to something.
pub(super) const fn binds(message_type: &MessageType) -> bool {
    matches!(
        message_type,
        MessageType::OpCommit
            | MessageType::OpBatchCommit
            | MessageType::OpSupersede
            | MessageType::ConflictAck
            | MessageType::Resolution
    )
}

impl Agreements {
    /// Takes note of a message that binds, and of what came of it.
    pub(super) fn note(&mut self, agreed: Agreed, outputs: &[Output]) {
        if accepted(Some(&agreed.message_type), outputs) {
            self.made.push(agreed);
        } else if !matches!(agreed.message_type, MessageType::ConflictAck | MessageType::Resolution) {
            self.waiting.insert(agreed.message_id.clone(), agreed);
        }
    }

    /// What waited may be passed on now.
    pub(super) fn hear(&mut self, outputs: &[Output]) {
        if self.waiting.is_empty() {
            return;
        }
        for output in outputs {
            let Output::Relay { text, message_type, .. } = output else { continue };
            if !binds(message_type) {
                continue;
            }
            let id =
                serde_json::from_str::<Envelope>(text).ok().map(|envelope| envelope.message_id.to_string());
            self.made.extend(id.and_then(|id| self.waiting.remove(&id)));
        }
    }

    pub(super) fn into_made(self) -> Vec<Agreed> {
        self.made
    }
}
