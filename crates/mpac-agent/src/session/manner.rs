//! What kind of server it is: one that keeps the texts of a batch, or one of those that lose them.
//!
//! Python servers record batches and lose their texts, after which nobody can commit to those files any more (SPEC-notes,
//! "Batches and superseding commits towards Python servers"). A coordinator of this project answers CAUSAL_GAP with a
//! summary (D-029), they let it pass; so one that has told a summary may be sent a batch.

use mpac_wire::Message;
use mpac_wire::names::ErrorCode;
use mpac_wire::payload::error::ProtocolError;

use super::Session;

/// What it has shown of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Nothing, and it was not asked.
    Unknown,
    /// It was asked how the session stands.
    Asked,
    /// It has told how the session stands.
    Tells,
}

/// CAUSAL_GAP, which a coordinator of this project answers with a summary and any other lets pass (D-029).
pub(crate) fn ask_for_summary() -> Message {
    let text = "joined just now: what was before is not known".to_owned();
    ProtocolError::new(ErrorCode::CausalGap, text).into()
}

impl Session {
    /// Asks once, without waiting: any answer to a later message comes after this one's.
    pub(crate) fn look_at_manner(&mut self) {
        if self.manner == Manner::Unknown && !self.is_away() {
            self.manner = Manner::Asked;
            self.link.mention(ask_for_summary());
        }
    }

    /// Whether a batch keeps its texts there.
    pub(crate) fn takes_batches(&self) -> bool {
        self.manner == Manner::Tells
    }

    /// What somebody else has found out on the same connection.
    pub(crate) fn knows_manner(&mut self, tells: bool) {
        if tells {
            self.manner = Manner::Tells;
        }
    }
}
