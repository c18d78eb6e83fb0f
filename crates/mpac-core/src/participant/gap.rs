//! Causal gaps: something may have been missed (LAM-17 to LAM-21, D-029, PAR-08).
//!
//! A jump of Lamport values is none. A break of the connection is, and so is a message that names an intent, an operation or
//! a conflict nobody spoke of before. While it lasts, nothing is judged that could depend on what was missed: no
//! CONFLICT_REPORT and no RESOLUTION. A summary of the session ends it.

use alloc::borrow::ToOwned;
use alloc::string::String;

use mpac_wire::names::ErrorCode;
use mpac_wire::payload::{ProtocolError, Resolution};
use mpac_wire::{Envelope, Message, MessageId};

use super::bounded::Recent;
use super::news::News;
use super::{Participant, Stamp};

/// How many ids are remembered. One that is forgotten and named again opens a gap, which costs a summary.
const MOST: usize = 16_384;

/// A gap that is open.
#[derive(Clone, Debug, PartialEq)]
struct Open {
    /// The message that revealed it, if it was one.
    revealed_by: Option<MessageId>,
    /// CAUSAL_GAP has been sent.
    told: bool,
}

/// What was ever heard of, and whether something may be missing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gap {
    open: Option<Open>,
    /// Ids of intents, operations, batches, conflicts and claims, with a letter for which.
    seen: Recent<String>,
}

impl Default for Gap {
    fn default() -> Self {
        Self { open: None, seen: Recent::new(MOST) }
    }
}

impl Gap {
    pub(super) fn saw_intent(&mut self, id: &str) {
        self.seen.note("i".to_owned() + id);
    }

    pub(super) fn saw_op(&mut self, id: &str) {
        self.seen.note("o".to_owned() + id);
    }

    pub(super) fn saw_conflict(&mut self, id: &str) {
        self.seen.note("c".to_owned() + id);
    }

    fn knows(&self, kind: &str, id: &str) -> bool {
        self.seen.contains(&(kind.to_owned() + id))
    }

    /// Opens one, unless one is open. True when it is news.
    pub(super) fn reveal(&mut self, by: Option<MessageId>) -> bool {
        let news = self.open.is_none();
        if news {
            self.open = Some(Open { revealed_by: by, told: false });
        }
        news
    }

    /// The session was read: nothing is missing any more. True when that ends a gap.
    pub(super) fn close(&mut self) -> bool {
        self.open.take().is_some()
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the message names something never heard of; what it introduces itself is not that.
    pub(super) fn is_revealed_by(&self, message: &Message) -> bool {
        let intent = |id: &str| !self.knows("i", id);
        let op = |id: &str| !self.knows("o", id);
        let conflict = |id: &str| !self.knows("c", id);
        match message {
            Message::IntentUpdate(it) => intent(it.intent_id.as_str()),
            Message::IntentWithdraw(it) => intent(it.intent_id.as_str()),
            Message::IntentClaim(it) => intent(it.original_intent_id.as_str()),
            // Nobody announces the new intent: who has not heard the claim knows nothing of it but the id.
            Message::IntentClaimStatus(it) => {
                let mut named = it.new_intent_id.iter().chain([&it.original_intent_id]);
                named.any(|id| intent(id.as_str()))
            }
            Message::OpPropose(it) => it.intent_id.as_ref().is_some_and(|id| intent(id.as_str())),
            Message::OpCommit(it) => it.intent_id.as_ref().is_some_and(|id| intent(id.as_str())),
            Message::OpBatchCommit(it) => it.intent_id.as_ref().is_some_and(|id| intent(id.as_str())),
            Message::OpSupersede(it) => {
                op(it.supersedes_op_id.as_str())
                    || it.intent_id.as_ref().is_some_and(|id| intent(id.as_str()))
            }
            Message::OpReject(it) => op(it.op_id.as_str()),
            Message::ConflictReport(it) => {
                let listed = it.related_intents.iter().flatten();
                let mut named = listed.chain(&it.intent_a).chain(&it.intent_b);
                named.any(|id| intent(id.as_str()))
            }
            Message::ConflictAck(it) => conflict(it.conflict_id.as_str()),
            Message::ConflictEscalate(it) => conflict(it.conflict_id.as_str()),
            Message::Resolution(it) => self.is_revealed_by_resolution(it),
            _ => false,
        }
    }

    /// A resolution may also name a claim, an operation or a batch (D-084).
    fn is_revealed_by_resolution(&self, resolution: &Resolution) -> bool {
        let id = resolution.conflict_id.as_str();
        !self.knows("c", id) && !self.knows("o", id)
    }

    /// Notes every id that the message names, so that it is asked about once.
    pub(super) fn note(&mut self, message: &Message) {
        match message {
            Message::IntentAnnounce(it) => self.saw_intent(it.intent_id.as_str()),
            Message::IntentUpdate(it) => self.saw_intent(it.intent_id.as_str()),
            Message::IntentWithdraw(it) => self.saw_intent(it.intent_id.as_str()),
            Message::IntentClaim(it) => {
                self.saw_intent(it.original_intent_id.as_str());
                self.saw_intent(it.new_intent_id.as_str());
                self.saw_conflict(it.claim_id.as_str());
            }
            Message::IntentClaimStatus(it) => {
                self.saw_intent(it.original_intent_id.as_str());
                self.saw_conflict(it.claim_id.as_str());
                it.new_intent_id.iter().for_each(|id| self.saw_intent(id.as_str()));
            }
            Message::OpPropose(it) => {
                self.saw_op(it.op_id.as_str());
                it.intent_id.iter().for_each(|id| self.saw_intent(id.as_str()));
            }
            Message::OpCommit(it) => {
                self.saw_op(it.op_id.as_str());
                it.intent_id.iter().for_each(|id| self.saw_intent(id.as_str()));
            }
            Message::OpBatchCommit(it) => {
                self.saw_op(it.batch_id.as_str());
                it.operations.iter().for_each(|entry| self.saw_op(entry.op_id.as_str()));
                it.intent_id.iter().for_each(|id| self.saw_intent(id.as_str()));
            }
            Message::OpSupersede(it) => {
                self.saw_op(it.op_id.as_str());
                self.saw_op(it.supersedes_op_id.as_str());
                it.intent_id.iter().for_each(|id| self.saw_intent(id.as_str()));
            }
            Message::OpReject(it) => self.saw_op(it.op_id.as_str()),
            Message::ConflictReport(it) => {
                self.saw_conflict(it.conflict_id.as_str());
                let listed = it.related_intents.iter().flatten();
                listed.chain(&it.intent_a).chain(&it.intent_b).for_each(|id| self.saw_intent(id.as_str()));
                it.related_ops.iter().flatten().for_each(|id| self.saw_op(id.as_str()));
            }
            Message::ConflictAck(it) => self.saw_conflict(it.conflict_id.as_str()),
            Message::ConflictEscalate(it) => self.saw_conflict(it.conflict_id.as_str()),
            Message::Resolution(it) => self.saw_conflict(it.conflict_id.as_str()),
            _ => {}
        }
    }
}

impl Participant {
    /// Whether something may have been missed. It ends with [`hear_summary`](Self::hear_summary).
    pub const fn has_gap(&self) -> bool {
        self.gap.is_open()
    }

    /// CAUSAL_GAP, once in each gap that a message revealed (LAM-19), as soon as anything may be said. The coordinator of this project answers it with the
    /// summary that ends the gap; others have to be asked for one.
    pub fn report_gap(&mut self, stamp: Stamp) -> Option<Envelope> {
        let open = self.gap.open.as_ref().filter(|open| !open.told)?;
        let revealed_by = open.revealed_by.clone()?;
        let text = "a message named something unknown here: messages may have been missed".to_owned();
        let mut error = ProtocolError::new(ErrorCode::CausalGap, text);
        error.refers_to = Some(revealed_by.as_str().to_owned());
        let envelope = self.try_write(stamp, error).ok()?;
        if let Some(open) = &mut self.gap.open {
            open.told = true;
        }
        Some(envelope)
    }

    /// Notes a message, and tells of a gap that it reveals.
    pub(super) fn look_for_gap(&mut self, envelope: &Envelope, message: &Message) {
        if self.gap.is_revealed_by(message) && self.gap.reveal(Some(envelope.message_id.clone())) {
            self.news.push(News::Gap { revealed_by: Some(envelope.message_id.clone()) });
        }
        self.gap.note(message);
    }
}
