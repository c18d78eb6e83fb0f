//! Ids that no other participant and no other incarnation of this one makes (PAR-24): a kind, a digest of the sender's
//! instance in its session, and a count.

use alloc::string::String;

use mpac_wire::{BatchId, ClaimId, ConflictId, DeferralId, IntentId, OpId, ResolutionId};
use sha2::{Digest, Sha256};

use super::Participant;
use super::bounded::Recent;

/// How many used ids are remembered, to catch one that a workflow made itself and uses twice.
const MOST: usize = 4_096;

/// The ids that were made or used.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ids {
    made: u64,
    used: Recent<String>,
}

impl Default for Ids {
    fn default() -> Self {
        Self { made: 0, used: Recent::new(MOST) }
    }
}

impl Ids {
    pub(super) fn used(&mut self, id: &str) {
        self.used.note(id.into());
    }

    /// It may be used once more: what it named may never have arrived.
    pub(super) fn forget(&mut self, id: &str) {
        self.used.forget(&String::from(id));
    }

    pub(super) fn is_used(&self, id: &str) -> bool {
        self.used.contains(&String::from(id))
    }
}

macro_rules! makers {
    ($($(#[$meta:meta])* $name:ident, $kind:literal, $id:ident;)*) => {
        impl Participant {
            $($(#[$meta])*
            pub fn $name(&mut self) -> $id {
                // The text has a prefix and at most 60 bytes.
                $id::new(self.make_id($kind)).unwrap_or_else(|_| unreachable!("neither empty nor too long"))
            })*
        }
    };
}

makers! {
    /// An intent's id that was not used before.
    new_intent_id, "intent", IntentId;
    /// An operation's id that was not used before.
    new_op_id, "op", OpId;
    /// A batch's id that was not used before.
    new_batch_id, "batch", BatchId;
    /// A claim's id that was not used before.
    new_claim_id, "claim", ClaimId;
    /// A deferral's id that was not used before.
    new_deferral_id, "deferral", DeferralId;
    /// A conflict's id that was not used before.
    new_conflict_id, "conflict", ConflictId;
    /// A resolution's id that was not used before.
    new_resolution_id, "resolution", ResolutionId;
}

impl Participant {
    fn make_id(&mut self, kind: &str) -> String {
        self.ids.made += 1;
        let mut hash = Sha256::new();
        hash.update(self.session_id.as_str().as_bytes());
        hash.update([0]);
        hash.update(self.sender.sender_instance_id.as_str().as_bytes());
        let digest = hash.finalize();
        let mut text = String::from(kind);
        text.push('-');
        for byte in digest.iter().take(8) {
            text.push_str(&alloc::format!("{byte:02x}"));
        }
        text.push_str(&alloc::format!("-{}", self.ids.made));
        text
    }
}
