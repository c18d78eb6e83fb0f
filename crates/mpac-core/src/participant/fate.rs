//! After a break: what became of the messages that were under way, and saying again what did not arrive (PAR-12, PAR-22).
//!
//! An own message in flight when a connection breaks was applied and its answer is lost, or never arrived, or was
//! refused and nobody heard it. The rules of this page find out which without ever applying anything twice:
//!
//! | message | how its fate shows | what to do |
//! |---|---|---|
//! | announce | [`Participant::presence`], after the summary that [`Participant::report_break`] asks for | live: nothing; gone: announce under a new id; unknown (no summary came): repeat under the *same* id |
//! | withdrawal | the same | gone: nothing; else: repeat |
//! | commit | the target's state, [`look_at`] | [`Found::Applied`]: nothing; else: repeat under the *same* id |
//! | the repeat of a commit | its answer | accepted, or stale as ever; refused as a duplicate: [`after_duplicate`]; as one that is over: [`stands`] |
//! | batch, all or nothing | its targets' states: one that is [`Found::Applied`] speaks for all (BAT-05) | as a commit |
//!
//! A repeat keeps the ids of what it repeats and changes the message id alone: a coordinator that has the intent or
//! the operation refuses it as a duplicate (D-022, D-023), and one that does not judges it like any other. That the target
//! looks untouched is not enough to commit under a new id: our text may have been there and been undone since.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{Atomicity, ErrorCode};
use mpac_wire::payload::{Hello, OpCommit, ProtocolError};
use mpac_wire::{Envelope, IntentId, Message, MessageId, OpId, Raw, StateRef};

use super::bounded::Recent;
use super::operations::{OwnOperation, Stage};
use super::{Fate, Participant, Stamp, Standing, Withheld};

/// How many repeated messages are remembered as such.
const MOST_REPEATS: usize = 64;
/// How many committed operations HELLO names: the latest, which are those that a recovery may have lost.
const MOST_NAMED: usize = 256;

/// Whether an own intent is at the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It is, and can be worked under.
    Live,
    /// It is, and cannot be worked under for the time being.
    Suspended,
    /// It is not: never announced, or over.
    Gone,
    /// Nothing tells: it was there before a break, or its announce was not answered.
    Unknown,
}

/// What a target looks like after a commit to it that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// As the commit leaves it.
    Applied,
    /// As it was before.
    Untouched,
    /// Otherwise: somebody else has committed, instead of us or after us.
    Moved,
}

/// What follows when the repeat of a commit is refused as a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Then {
    /// It was applied: the work is done.
    Done,
    /// It was recorded and rejected: commit the same text under a new id.
    Anew,
    /// Whether it was applied or rejected cannot be told, and the target has moved on: look at it afresh.
    Rebase,
}

/// What the target's current state says about a commit that was not answered (PAR-12).
#[must_use]
pub fn look_at(commit: &OpCommit, current: &StateRef) -> Found {
    look_at_change((&commit.state_ref_before, &commit.state_ref_after), current)
}

/// The same of a change from one state to another, such as an entry of a batch.
#[must_use]
pub fn look_at_change((before, after): (&StateRef, &StateRef), current: &StateRef) -> Found {
    if current == after {
        Found::Applied
    } else if current == before {
        Found::Untouched
    } else {
        Found::Moved
    }
}

/// The coordinator knows the operation already. A commit is recorded when it is accepted, and when it comes too late for
/// its intent: so while its intent lives on (`same_intent`), it was accepted.
#[must_use]
pub const fn after_duplicate(found: Found, same_intent: bool) -> Then {
    match (found, same_intent) {
        (Found::Applied, _) | (_, true) => Then::Done,
        (Found::Untouched, false) => Then::Anew,
        (Found::Moved, false) => Then::Rebase,
    }
}

/// Whether an error says that this id is known already: `extensions.mpac.duplicate`, or the description's opening (D-022,
/// D-023).
#[must_use]
pub fn is_duplicate(error: &ProtocolError, field: &str) -> bool {
    let said = || -> Option<bool> {
        let extensions: serde_json::Value = error.extensions.as_ref()?.read().ok()?;
        Some(extensions.get("mpac")?.get("duplicate")?.get("field")?.as_str()? == field)
    };
    let coded = matches!(error.error_code, ErrorCode::MalformedMessage | ErrorCode::StaleStateRef);
    let opens = || error.description.strip_prefix("duplicate ").is_some_and(|rest| rest.starts_with(field));
    coded && said().unwrap_or_else(opens)
}

/// Where the coordinator says that an operation stands, which is why it takes no commit of it (D-096): the description is
/// "operation o is Committed". `None` for other errors, and where it may still be committed.
#[must_use]
pub fn stands(error: &ProtocolError, op: &OpId) -> Option<Stage> {
    if error.error_code != ErrorCode::InvalidReference {
        return None;
    }
    let state =
        error.description.strip_prefix("operation ")?.strip_prefix(op.as_str())?.strip_prefix(" is ")?;
    match state {
        "Committed" | "Superseded" => Some(Stage::Committed),
        "Rejected" | "Abandoned" => Some(Stage::Rejected),
        _ => None,
    }
}

/// The operations that an error names as lost in a recovery (D-041); `None` for other errors.
#[must_use]
pub fn divergent(error: &ProtocolError) -> Option<Vec<String>> {
    if error.error_code != ErrorCode::StateDivergence {
        return None;
    }
    let extensions: Option<serde_json::Value> = error.extensions.as_ref().and_then(|raw| raw.read().ok());
    let listed = extensions.as_ref().and_then(|it| it.get("mpac")?.get("divergent")?.as_array());
    Some(listed.into_iter().flatten().filter_map(|op| Some(op.as_str()?.to_owned())).collect())
}

/// The own messages that were said again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Repeats(Recent<MessageId>);

impl Default for Repeats {
    fn default() -> Self {
        Self(Recent::new(MOST_REPEATS))
    }
}

/// The intent, the operation, or the batch and its operations that a message brings into being.
fn brings(message: &Message) -> Vec<&str> {
    match message {
        Message::IntentAnnounce(announce) => [announce.intent_id.as_str()].into(),
        Message::OpCommit(commit) => [commit.op_id.as_str()].into(),
        Message::OpBatchCommit(batch) => {
            let entries = batch.operations.iter().map(|entry| entry.op_id.as_str());
            core::iter::once(batch.batch_id.as_str()).chain(entries).collect()
        }
        _ => Vec::new(),
    }
}

impl Participant {
    /// Whether an own intent is at the coordinator, as far as was heard. After a break ask for a summary first.
    pub fn presence(&self, intent: &IntentId) -> Presence {
        if self.unconfirmed.contains(intent) || self.unanswered().any(|unanswered| unanswered == intent) {
            return Presence::Unknown;
        }
        match self.intents.get(intent).map(|own| own.standing) {
            Some(Standing::Active) => Presence::Live,
            Some(Standing::Suspended) => Presence::Suspended,
            None => Presence::Gone,
        }
    }

    /// CAUSAL_GAP about the break that has just ended, once for each (LAM-19, D-029). The coordinator of this project
    /// answers with a summary; a server that does not know it lets it pass, so that it may be sent to any.
    pub fn report_break(&mut self, stamp: Stamp) -> Option<Envelope> {
        let revealed_by = self.link.back_by.clone()?;
        let text = "the connection was lost: messages may have been missed".to_owned();
        let mut error = ProtocolError::new(ErrorCode::CausalGap, text);
        error.refers_to = Some(revealed_by.as_str().to_owned());
        let envelope = self.try_write(stamp, error).ok()?;
        self.link.back_by = None;
        Some(envelope)
    }

    /// HELLO of one that was here before, with the operations it knows to be committed, so that a coordinator that lost
    /// some in its recovery can tell (D-041).
    pub fn hello_again(&mut self, stamp: Stamp, mut hello: Hello) -> Envelope {
        let committed = self.committed_ops();
        if !committed.is_empty() {
            hello.extensions = Raw::of(&serde_json::json!({ "mpac": { "committed_ops": committed } })).ok();
        }
        self.write(stamp, hello)
    }

    /// The own operations that were accepted of late, the oldest first.
    fn committed_ops(&self) -> Vec<String> {
        // What only a target shows may be somebody else's.
        let is_told = |it: &OwnOperation| it.stage == Stage::Committed && !it.shown;
        let committed = self.operations.in_order().filter(|(_, it)| is_told(it));
        let mut ops: Vec<String> = committed.map(|(op, _)| op.as_str().to_owned()).collect();
        ops.drain(..ops.len().saturating_sub(MOST_NAMED));
        ops
    }

    /// The coordinator has lost these in its recovery, and the person was told: they are not named again, which settles
    /// it as far as we can (REC-17, REC-30). What is still wanted has to be committed again.
    pub fn forget_operations(&mut self, lost: &[String]) {
        for op in lost.iter().filter_map(|op| OpId::new(op.as_str()).ok()) {
            self.operations.moved(&op, Stage::Rejected);
        }
    }

    /// Says an announce, a commit or a batch again of which the fate is not known, under the ids that it had: what may not be
    /// said for any other reason may not be repeated either. Of a commit or a batch, look at the targets first.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_repeat(&mut self, stamp: Stamp, message: impl Into<Message>) -> Result<Envelope, Withheld> {
        let message = message.into();
        let ids: Vec<String> = brings(&message).into_iter().map(ToOwned::to_owned).collect();
        let Some(first) = ids.first() else { return self.try_write(stamp, message) };
        ids.iter().for_each(|id| self.ids.forget(id));
        let same = |sent: &Message| brings(sent).first() == Some(&first.as_str());
        let unknown = self.answers.take(|sent| sent.fate == Fate::Unknown && same(&sent.message));
        match self.try_write(stamp, message) {
            Ok(envelope) => {
                self.repeats.0.note(envelope.message_id.clone());
                Ok(envelope)
            }
            Err(why) => {
                ids.iter().for_each(|id| self.ids.used(id));
                self.answers.put_back(unknown);
                Err(why)
            }
        }
    }

    /// A repeated announce is refused as a duplicate: its intent is there. True when the error says that.
    pub(super) fn is_there_already(&self, id: &MessageId, error: &ProtocolError) -> bool {
        self.repeats.0.contains(id) && is_duplicate(error, "intent_id")
    }

    /// A repeated commit or batch is refused as a duplicate: it is recorded.
    pub(super) fn is_recorded_already(&self, id: &MessageId, error: &ProtocolError) -> bool {
        self.repeats.0.contains(id) && ["op_id", "batch_id"].iter().any(|field| is_duplicate(error, field))
    }

    /// What that says of its operations is in [`after_duplicate`]: they were accepted while the intent lives on. Else their
    /// targets tell, once they are read.
    pub(super) fn recorded_before(&mut self, message: &Message) {
        let lives = |intent: &Option<IntentId>| {
            intent.as_ref().is_none_or(|intent| self.presence(intent) == Presence::Live)
        };
        let accepted = match message {
            Message::OpCommit(commit) => lives(&commit.intent_id),
            // Of a best effort some may have been rejected.
            Message::OpBatchCommit(batch) => {
                batch.atomicity == Atomicity::AllOrNothing && lives(&batch.intent_id)
            }
            _ => false,
        };
        if accepted {
            self.committed(message);
        } else {
            self.operations.unknown(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> OpCommit {
        let refs = (StateRef::of("one"), StateRef::of("two"));
        OpCommit::new("o".parse().unwrap(), "a".into(), "replace".into(), refs.0, refs.1)
    }

    #[test]
    fn a_target_tells_what_became_of_a_commit() {
        for (text, found) in [("two", Found::Applied), ("one", Found::Untouched), ("three", Found::Moved)] {
            assert_eq!(look_at(&commit(), &StateRef::of(text)), found, "{text}");
        }
    }

    #[test]
    fn a_known_operation_was_applied_while_its_intent_lives_and_else_only_if_its_text_is_there() {
        let table = [
            (Found::Applied, true, Then::Done),
            (Found::Applied, false, Then::Done),
            (Found::Untouched, true, Then::Done), // undone since: not ours to redo
            (Found::Untouched, false, Then::Anew),
            (Found::Moved, true, Then::Done),
            (Found::Moved, false, Then::Rebase),
        ];
        for (found, same_intent, then) in table {
            assert_eq!(after_duplicate(found, same_intent), then, "{found:?} {same_intent}");
        }
    }

    #[test]
    fn a_duplicate_is_told_by_the_extension_or_else_by_the_first_words() {
        let error = |code: &str, text: &str| ProtocolError::new(code.into(), text.to_owned());
        let op = |error: &ProtocolError| is_duplicate(error, "op_id");
        assert!(op(&error("STALE_STATE_REF", "duplicate op_id \"o\": every operation needs a new one")));
        assert!(!op(&error("STALE_STATE_REF", "a has moved on")));
        assert!(!op(&error("MALFORMED_MESSAGE", "duplicate intent_id \"o\"")));
        assert!(!op(&error("SCOPE_FROZEN", "duplicate op_id")));
        let mut other = error("STALE_STATE_REF", "duplicate op_id");
        let named = serde_json::json!({"mpac": {"duplicate": {"field": "batch_id", "value": "o"}}});
        other.extensions = Raw::of(&named).ok();
        assert!(!op(&other) && is_duplicate(&other, "batch_id"));
    }

    #[test]
    fn divergence_names_what_was_lost() {
        let mut error = ProtocolError::new(ErrorCode::StateDivergence, "d".to_owned());
        assert_eq!(divergent(&error), Some(Vec::new()), "without a list");
        error.extensions = Raw::of(&serde_json::json!({"mpac": {"divergent": ["o", 7, "p"]}})).ok();
        assert_eq!(divergent(&error), Some(["o".to_owned(), "p".to_owned()].into()));
        assert_eq!(divergent(&ProtocolError::new(ErrorCode::ScopeFrozen, "d".to_owned())), None);
    }
}
