//! What became of a commit.

use mpac_core::participant::{holders, is_duplicate};
use mpac_wire::payload::error::ProtocolError;
use mpac_wire::{Message, OpId, StateRef};

use super::Holder;

/// A PROTOCOL_ERROR that answers an own message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `error_code`.
    pub code: String,
    /// `description`.
    pub description: String,
    /// For STALE_INTENT: the intents that were there first, as far as they are named.
    pub holders: Vec<Holder>,
    /// It says that the id in this field is known already (D-022, D-023).
    pub duplicate: Option<&'static str>,
}

impl Refusal {
    /// What an error says about the message it answers.
    #[must_use]
    pub fn of(error: &ProtocolError) -> Self {
        Self {
            code: error.error_code.to_string(),
            description: error.description.clone(),
            holders: holders(error),
            duplicate: ["intent_id", "op_id", "batch_id"]
                .into_iter()
                .find(|field| is_duplicate(error, field)),
        }
    }
}

/// Everything heard about one message between sending it and the answer of the request sent after it.
///
/// A coordinator handles the frames of a connection in their order, so nothing about the message can
/// come later than that answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// The own message came back.
    pub echo: bool,
    /// The PROTOCOL_ERROR that refers to it.
    pub error: Option<Refusal>,
    /// `reason` of an OP_REJECT that names it.
    pub rejected: Option<String>,
    /// Of a batch that was rejected: the operations for which, each with its code.
    pub entries: Vec<(OpId, String)>,
    /// FILE_UPDATED for the file, with the committed content's reference and in the own name.
    pub updated: bool,
}

impl Heard {
    /// Whether it is enough to judge a commit by, without the file. The echo alone is not; see [`judge_commit`].
    #[must_use]
    pub fn is_decisive(&self) -> bool {
        self.error.is_some() || self.rejected.is_some() || (self.echo && self.updated)
    }

    /// It came back, and nothing against it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.echo && self.error.is_none() && self.rejected.is_none()
    }

    /// Rejected because the intent that it named is over (D-093): the same can be said under another.
    #[must_use]
    pub fn is_without_intent(&self) -> bool {
        const OVER: &str = "intent_terminated";
        let entries = !self.entries.is_empty() && self.entries.iter().all(|(_, code)| code == OVER);
        self.error.is_none() && self.rejected.as_deref().is_some_and(|reason| reason == OVER || entries)
    }
}

/// The operations that a message would carry out.
pub(crate) fn operations_of(message: &Message) -> Vec<OpId> {
    match message {
        Message::OpCommit(it) => vec![it.op_id.clone()],
        Message::OpSupersede(it) => vec![it.op_id.clone()],
        Message::OpBatchCommit(it) => it.operations.iter().map(|entry| entry.op_id.clone()).collect(),
        _ => Vec::new(),
    }
}

/// What to do after a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitVerdict {
    /// It is in the workspace.
    Accepted,
    /// Somebody was faster: read again and redo the work.
    Stale,
    /// Another PROTOCOL_ERROR.
    Refused(Refusal),
    /// OP_REJECT with this reason.
    Rejected(String),
    /// Neither echo nor error: it was passed over.
    Ignored,
}

/// Judges a commit by what was heard and by the file's reference afterwards (PAR-12).
///
/// The echo alone does not prove much: Python servers also relay a commit that they answer with OP_REJECT,
/// and one whose content their file store then turns down. So the content must have arrived as well.
#[must_use]
pub fn judge_commit(heard: &Heard, after: &StateRef, current: Option<&StateRef>) -> CommitVerdict {
    if let Some(refusal) = &heard.error {
        let stale = refusal.code == "STALE_STATE_REF";
        return if stale { CommitVerdict::Stale } else { CommitVerdict::Refused(refusal.clone()) };
    }
    if let Some(reason) = &heard.rejected {
        return CommitVerdict::Rejected(reason.clone());
    }
    match (heard.echo, heard.updated || current == Some(after)) {
        (true, true) => CommitVerdict::Accepted,
        (true, false) => CommitVerdict::Stale,
        (false, _) => CommitVerdict::Ignored,
    }
}

/// Judges a batch that is all or nothing by what was heard: nothing of it was applied unless it came back (BAT-05, BAT-14).
/// Only servers whose echo means that are sent any.
#[must_use]
pub fn judge_batch(heard: &Heard) -> CommitVerdict {
    const STALE: &str = "STALE_STATE_REF";
    if let Some(refusal) = &heard.error {
        return match refusal.code.as_str() {
            STALE => CommitVerdict::Stale,
            _ => CommitVerdict::Refused(refusal.clone()),
        };
    }
    match &heard.rejected {
        Some(_) if !heard.entries.is_empty() && heard.entries.iter().all(|(_, code)| code == STALE) => {
            CommitVerdict::Stale
        }
        Some(reason) => CommitVerdict::Rejected(reason.clone()),
        None if heard.echo => CommitVerdict::Accepted,
        None => CommitVerdict::Ignored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(heard: &Heard, current: &str) -> CommitVerdict {
        judge_commit(heard, &StateRef::of("new"), Some(&StateRef::of(current)))
    }

    fn echoed() -> Heard {
        Heard { echo: true, ..Heard::default() }
    }

    #[test]
    fn an_echo_and_the_content_make_an_accepted_commit() {
        assert_eq!(judge(&echoed(), "new"), CommitVerdict::Accepted);
        // Somebody else committed on top of it before our read.
        assert_eq!(judge(&Heard { updated: true, ..echoed() }, "newer"), CommitVerdict::Accepted);
    }

    #[test]
    fn an_echo_without_the_content_is_stale() {
        assert_eq!(judge(&echoed(), "other"), CommitVerdict::Stale);
    }

    #[test]
    fn only_a_stale_reference_is_worth_a_rebase() {
        let refusal = |code: &str| Refusal {
            code: code.to_owned(),
            description: "d".to_owned(),
            holders: vec![],
            duplicate: None,
        };
        let error = |code: &str| Heard { error: Some(refusal(code)), ..Heard::default() };
        assert_eq!(judge(&error("STALE_STATE_REF"), "x"), CommitVerdict::Stale);
        assert_eq!(
            judge(&error("INVALID_REFERENCE"), "x"),
            CommitVerdict::Refused(refusal("INVALID_REFERENCE"))
        );
    }

    #[test]
    fn a_relayed_rejection_is_a_rejection() {
        let heard = Heard { rejected: Some("intent_terminated".to_owned()), ..echoed() };
        assert_eq!(judge(&heard, "new"), CommitVerdict::Rejected("intent_terminated".to_owned()));
    }

    #[test]
    fn silence_is_not_success_even_if_the_content_fits() {
        assert_eq!(judge(&Heard::default(), "new"), CommitVerdict::Ignored);
    }

    #[test]
    fn of_a_batch_stale_entries_alone_are_worth_another_attempt() {
        let rejected = |codes: &[&str]| Heard {
            rejected: Some("batch_validation_failed".to_owned()),
            entries: codes.iter().map(|code| ("o".parse().unwrap(), (*code).to_owned())).collect(),
            ..Heard::default()
        };
        assert_eq!(judge_batch(&echoed()), CommitVerdict::Accepted);
        assert_eq!(judge_batch(&Heard::default()), CommitVerdict::Ignored);
        assert_eq!(judge_batch(&rejected(&["STALE_STATE_REF", "STALE_STATE_REF"])), CommitVerdict::Stale);
        let why = CommitVerdict::Rejected("batch_validation_failed".to_owned());
        assert_eq!(judge_batch(&rejected(&["STALE_STATE_REF", "SCOPE_FROZEN"])), why);
        assert_eq!(judge_batch(&rejected(&[])), why, "the intent is over, for instance");
    }
}
