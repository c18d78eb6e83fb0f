//! What does not verify, by class, and whose doing it is shown to be.

use mpac_wire::PrincipalId;
use serde::Serialize;

/// The classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Class {
    /// The chain of messages is not what its hashes were made of.
    BrokenChain,
    /// The log's records are not what their checksums were made of, or cannot stand there.
    BrokenLog,
    /// A signature of the coordinator's over the chain's head or over its log is none by a key that is trusted.
    BadSeal,
    /// The head is signed, and is about another chain or another log: some of it was left out.
    OtherHead,
    /// A message that counts as somebody's is not signed by a key of theirs.
    ForgedParticipantMessage,
    /// A message that somebody signed well was treated as if it were not.
    SuppressedParticipantMessage,
    /// Nothing that is trusted says that a key is whose it was taken for.
    UntrustedIdentity,
    /// The coordinator's word is not signed by a key that is trusted.
    UnsignedCoordinatorMessage,
    /// The coordinator said what does not follow by the rules.
    OutputNotByRules,
    /// It said something else than what follows, under the same id.
    AlteredOutput,
    /// It did not say what follows.
    MissingOutput,
    /// It said what follows, in another order; or what came stands in another order.
    Reordered,
    /// A message stands in one of the chain and the log, and not in the other.
    UnloggedMessage,
    /// The log says that something led to other outputs than by the rules.
    WrongDigest,
    /// Two versions of one message, both signed by the coordinator.
    TwoVersions,
    /// The coordinator signed a message that is not in the evidence.
    WithheldMessage,
    /// Somebody has kept a participant's message that is not in the evidence: it was suppressed, or never arrived.
    UnseenParticipantMessage,
    /// What a witness brought proves nothing.
    UselessWitness,
    /// The transcript's list of messages is not the chain's.
    OtherTranscript,
}

/// Whose doing something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// The coordinator's: its own signature is over it, so nobody else can have made it.
    Coordinator,
    /// Anybody's who could write to the evidence on its way.
    Unknown,
}

/// One thing that does not verify.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) class: Class,
    pub(super) by: By,
    /// The entry of the chain of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_seq: Option<u64>,
    /// The entry of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) principal_id: Option<PrincipalId>,
    /// It depends on how the session stood, and no signature, or another version's rules, led to that.
    #[serde(skip)]
    pub(super) is_uncertain: bool,
    /// For people.
    pub(super) problem: String,
    /// The messages that show it, as JSON texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) proof: Vec<String>,
}

impl Class {
    /// As it is written.
    pub(super) fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Finding {
    pub(super) fn new(class: Class, problem: impl Into<String>) -> Self {
        Self {
            class,
            by: By::Unknown,
            message_seq: None,
            log_seq: None,
            message_id: None,
            principal_id: None,
            is_uncertain: false,
            problem: problem.into(),
            proof: Vec::new(),
        }
    }

    pub(super) const fn by_coordinator(mut self, proven: bool) -> Self {
        if proven {
            self.by = By::Coordinator;
        }
        self
    }

    pub(super) const fn at_log(mut self, n: u64) -> Self {
        self.log_seq = Some(n);
        self
    }

    pub(super) const fn at_message(mut self, seq: u64) -> Self {
        self.message_seq = Some(seq);
        self
    }

    pub(super) fn about(mut self, message_id: &str) -> Self {
        self.message_id = Some(message_id.to_owned());
        self
    }

    pub(super) fn proven_by(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.proof.extend(texts);
        self
    }
}
