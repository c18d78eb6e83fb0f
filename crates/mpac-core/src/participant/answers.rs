//! What became of each message, matched by its id and never by type alone (PAR-11, PAR-12, ERR-10).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::ErrorCode;
use mpac_wire::payload::FileChanges;
use mpac_wire::{IntentId, Message, MessageId, OpId, Seconds, StateRef, Timestamp};

use super::bounded::Shelf;
use crate::scope::same_path;

/// How many messages are remembered.
const MOST: usize = 256;

/// How long an answer may take before the fate of a message counts as unknown.
pub const ANSWER_LIMIT: Seconds = Seconds::whole(30);

/// What became of an own message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Nothing has been heard yet.
    Waiting,
    /// It came back, or its effect was announced.
    Accepted,
    /// An error refers to it.
    Refused(ErrorCode),
    /// No answer came in time, or the connection broke before.
    Unknown,
}

/// An own message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) at: Timestamp,
    /// Without contents of files, which may be large.
    pub(super) message: Message,
    /// The paths of those contents.
    pub(super) brought: Vec<String>,
    pub(super) fate: Fate,
    /// It is answered within a moment, or something is wrong.
    prompt: bool,
}

/// The own messages of late.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answers(Shelf<MessageId, Sent>);

impl Default for Answers {
    fn default() -> Self {
        Self(Shelf::new(MOST))
    }
}

impl Answers {
    /// `is_request`: the message asks for an authorisation, for which people may take their time.
    pub(super) fn sent(&mut self, id: MessageId, message: &Message, at: Timestamp, is_request: bool) {
        let prompt = is_answered(message) && !is_request;
        let brought = brought(message).map(ToOwned::to_owned).collect();
        let mut message = message.clone();
        match &mut message {
            Message::OpCommit(commit) => commit.file_changes = None,
            Message::OpBatchCommit(batch) => batch.file_changes = None,
            Message::OpSupersede(supersede) => supersede.file_changes = None,
            Message::Hello(hello) => hello.credential = None,
            _ => {}
        }
        self.make_room();
        self.0.insert(id, Sent { at, message, brought, fate: Fate::Waiting, prompt });
    }

    /// Lets go of what matters least: the oldest of which all is known, before any of which something is not.
    fn make_room(&mut self) {
        if self.0.len() < MOST {
            return;
        }
        let done = |sent: &Sent| {
            matters_not(&sent.message) || matches!(sent.fate, Fate::Accepted | Fate::Refused(_))
        };
        let least = self.0.in_order().find(|(_, sent)| done(sent)).map(|(id, _)| id.clone());
        if let Some(id) = least {
            self.0.remove(&id);
        }
    }

    pub(super) fn get(&self, id: &MessageId) -> Option<&Sent> {
        self.0.get(id)
    }

    /// The message with this id got its answer. Gives it back.
    pub(super) fn settle(&mut self, id: &MessageId, fate: Fate) -> Option<Sent> {
        let sent = self.0.get_mut(id)?;
        sent.fate = fate;
        Some(sent.clone())
    }

    /// The own message that an error's `refers_to` names: references put other ids there too.
    pub(super) fn named(&self, refers_to: Option<&str>) -> Option<MessageId> {
        let id = MessageId::new(refers_to?).ok()?;
        self.0.contains(&id).then_some(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&MessageId, &Sent)> {
        self.0.iter()
    }

    /// Those that were sent after this one.
    pub(super) fn after(&self, id: &MessageId) -> impl Iterator<Item = &Sent> {
        self.0.in_order().skip_while(move |(sent, _)| *sent != id).skip(1).map(|(_, sent)| sent)
    }

    /// Those whose answer is overdue become unknown.
    pub(super) fn give_up(&mut self, now: Timestamp) -> Vec<MessageId> {
        self.give_up_if(|sent| sent.prompt && now > sent.at.after(&ANSWER_LIMIT))
    }

    /// All that wait become unknown.
    pub(super) fn give_up_all(&mut self) -> Vec<MessageId> {
        self.give_up_if(|sent| !matters_not(&sent.message))
    }

    fn give_up_if(&mut self, lost: impl Fn(&Sent) -> bool) -> Vec<MessageId> {
        let overdue = |sent: &Sent| sent.fate == Fate::Waiting && lost(sent);
        let ids: Vec<MessageId> =
            self.0.iter().filter(|(_, sent)| overdue(sent)).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.settle(id, Fate::Unknown);
        }
        ids
    }

    /// Takes these out, until they are [`put_back`](Self::put_back).
    pub(super) fn take(&mut self, which: impl Fn(&Sent) -> bool) -> Vec<(MessageId, Sent)> {
        let mut taken = Vec::new();
        self.0.retain(|id, sent| {
            let take = which(sent);
            if take {
                taken.push((id.clone(), sent.clone()));
            }
            !take
        });
        taken
    }

    pub(super) fn put_back(&mut self, taken: Vec<(MessageId, Sent)>) {
        for (id, sent) in taken {
            self.0.insert(id, sent);
        }
    }

    /// The session was read: nothing is unknown any more.
    pub(super) fn forget_unknown(&mut self) -> Vec<Sent> {
        let mut unknown = Vec::new();
        self.0.retain(|_, sent| {
            let lost = sent.fate == Fate::Unknown;
            if lost {
                unknown.push(sent.clone());
            }
            !lost
        });
        unknown
    }

    /// An intent was withdrawn, or is not known to the coordinator: what became of its announce does not matter any more.
    pub(super) fn forget_announce(&mut self, intent: &IntentId) {
        self.0.retain(|_, sent| match &sent.message {
            Message::IntentAnnounce(announce) => sent.fate != Fate::Unknown || announce.intent_id != *intent,
            _ => true,
        });
    }

    /// A target was read: that tells what became of single commits to it.
    pub(super) fn read(&mut self, target: &str, state: &StateRef) {
        self.0.retain(|_, sent| match &sent.message {
            Message::OpCommit(commit) if sent.fate == Fate::Unknown && same_path(&commit.target, target) => {
                sent.fate = Fate::Accepted;
                commit.state_ref_after == *state
            }
            _ => true,
        });
    }

    /// An operation is authorised: that answers what asked for it.
    pub(super) fn authorised(&mut self, op: &OpId) {
        for sent in self.0.values_mut() {
            let asks = super::operations::asked(&sent.message).iter().any(|(asked, _)| asked == op);
            if asks && matches!(sent.fate, Fate::Waiting | Fate::Unknown) {
                sent.fate = Fate::Accepted;
            }
        }
    }

    /// It was not sent after all.
    pub(super) fn unsent(&mut self, id: &MessageId) {
        self.0.remove(id);
    }

    /// When the next answer is overdue.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let waiting = |sent: &&Sent| sent.fate == Fate::Waiting && sent.prompt;
        let first = self.0.values().filter(waiting).map(|sent| sent.at).min()?;
        Some(Timestamp::from_micros(first.after(&ANSWER_LIMIT).micros().saturating_add(1)))
    }
}

/// The paths whose contents come with an operation, whatever its target is. Of a batch they are its targets.
pub(super) fn brought(message: &Message) -> impl Iterator<Item = &str> {
    let changes = match message {
        Message::OpCommit(it) => it.file_changes.as_ref(),
        Message::OpSupersede(it) => it.file_changes.as_ref(),
        _ => None,
    };
    changes.into_iter().flat_map(FileChanges::iter).map(|(path, _)| path)
}

/// Whether it is of no consequence that such a message may have been lost.
const fn matters_not(message: &Message) -> bool {
    matches!(message, Message::Heartbeat(_) | Message::Goodbye(_) | Message::ProtocolError(_))
}

/// Whether an accepted message of this type is answered within a moment: by its echo, or SESSION_INFO for HELLO. Claims
/// and proposals wait for people, deferrals are not answered by every server.
const fn is_answered(message: &Message) -> bool {
    matches!(
        message,
        Message::Hello(_)
            | Message::IntentAnnounce(_)
            | Message::IntentUpdate(_)
            | Message::IntentWithdraw(_)
            | Message::OpCommit(_)
            | Message::OpBatchCommit(_)
            | Message::OpSupersede(_)
            | Message::ConflictReport(_)
            | Message::ConflictAck(_)
            | Message::ConflictEscalate(_)
            | Message::Resolution(_)
    )
}
