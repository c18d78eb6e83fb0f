//! What hearing a message, or the passing of time, means for a workflow.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{ClaimDecision, RejectReason};
use mpac_wire::payload::ProtocolError;
use mpac_wire::{ClaimId, ConflictId, Fingerprint, IntentId, MessageId, OpId, PrincipalId, Timestamp};

use super::{Compensation, Contradiction, Distrust, Rival};

/// Something the workflow should know or do. Each comes once, when it becomes true.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum News {
    /// The coordinator let us in (HEL-16). What does not fit is for people to weigh; leaving is one answer (HEL-09).
    Admitted {
        /// `compatibility_errors`.
        problems: Vec<String>,
    },
    /// An own message came back: it was accepted (PAR-12).
    Accepted(MessageId),
    /// An error for the caller (ERR-10): the answer to an own message, or one that nothing can be matched with.
    Refused {
        /// The own message, when the error names one that is remembered.
        message: Option<MessageId>,
        /// The error.
        error: Box<ProtocolError>,
        /// It only warns: the message was accepted (D-119).
        warning: bool,
    },
    /// No answer came: whether the message had an effect is unknown. Ask for a summary before repeating it (PAR-12).
    Unanswered(MessageId),
    /// An own operation or batch was rejected.
    Rejected {
        /// Which.
        op: OpId,
        /// Why.
        reason: RejectReason,
    },
    /// An own operation may be carried out now, and is then to be completed by OP_COMMIT (OPS-24, OPS-25).
    Authorised(OpId),
    /// An own claim was decided (CLM-16). Approved: the new intent is live.
    ClaimDecided {
        /// Which.
        claim: ClaimId,
        /// How.
        decision: ClaimDecision,
        /// Why, when it was not approved.
        reason: Option<String>,
    },
    /// A conflict that concerns us was reported: acknowledge it (PAR-19, CON-20).
    Conflict(ConflictId),
    /// A conflict was handed to us: answer with a RESOLUTION (CON-08).
    Escalated(ConflictId),
    /// A scope that was frozen may be worked on again (PAR-23).
    Thawed(ConflictId),
    /// A resolution went against what we have committed: undo it (GOV-21, FRZ-15, BAT-12).
    Compensate(Compensation),
    /// A resolution went against an own intent. `wait` says until when not to announce its scope again (BKO-01).
    Overruled(IntentId),
    /// An own intent is over, by somebody else's doing.
    IntentOver {
        /// Which.
        intent: IntentId,
        /// How.
        how: Over,
    },
    /// An own intent cannot be used for the time being.
    IntentSuspended(IntentId),
    /// An own intent can be used again.
    IntentRestored(IntentId),
    /// An own intent must have expired by now: nobody is told of that.
    IntentExpired(IntentId),
    /// The intent was refused because others hold its files (STALE_INTENT): defer, and try again when told (PAR-18).
    Taken {
        /// The refused intent.
        intent: IntentId,
        /// Whose intents are in the way.
        holders: Vec<Holder>,
    },
    /// All those who held the files of a refused intent are done: announce again, under a new id (LCK-10).
    Free(IntentId),
    /// Somebody's operation was based on a state that we do not have: judge nothing by it until its target has been read
    /// again (OPS-23, PAR-15).
    Unverifiable(OpId),
    /// Messages may have been missed: ask for a summary; CAUSAL_GAP may be sent (LAM-19).
    Gap {
        /// What showed it; `None` after a break of the connection.
        revealed_by: Option<MessageId>,
    },
    /// A summary closed the gap.
    GapClosed,
    /// The coordinator is unavailable: only what [`may_send`](super::Participant::may_send) allows may be sent, and the
    /// connection should be tried again (REC-06).
    CoordinatorSilent,
    /// It is back.
    CoordinatorBack,
    /// Say HELLO again: `must` after `assumed`, advisable after `recovered` (REC-23).
    HelloAgain {
        /// Nothing else may be said before.
        must: bool,
    },
    /// The session is being handed over: be ready to connect to the successor (REC-23).
    HandedOver {
        /// Who takes over.
        successor: PrincipalId,
        /// Under which epoch.
        epoch: u64,
    },
    /// Two coordinators claim one epoch: send [`Rival::to_error`] to both (REC-25).
    Rival(Rival),
    /// We were taken for gone: read the own intents again before working on (PAR-22).
    TakenForGone,
    /// A planned switch to this model is confirmed (BHM-11).
    SwitchApproved(String),
    /// A HEARTBEAT is due (LIV-01).
    HeartbeatDue,
    /// The own model's health should be looked up there (BHM-01).
    BackendCheckDue {
        /// `check_source`.
        source: String,
    },
    /// The coordinator's key is known and every word of it must be signed by it from here on (SEC-27).
    CoordinatorTrusted {
        /// Its fingerprint, to be shown to the user and kept for the next time.
        key: Fingerprint,
        /// Nobody had told it before: it is trusted because it came first, and the user should compare it.
        first_use: bool,
    },
    /// The coordinator goes on with another key, which the old one has vouched for.
    CoordinatorKeyChanged {
        /// The key that was kept.
        old: Fingerprint,
        /// The one to keep now.
        new: Fingerprint,
    },
    /// The own key should be replaced, as [`rotate_key_at`](super::Participant::rotate_key_at) said.
    KeyRotationDue,
    /// The own key was replaced: sign with the new one, the old one ends (SEC-32). Also told after a join, where the
    /// answer to the rotation itself was not heard.
    KeyRotated {
        /// The new one.
        key: Fingerprint,
        /// From when on the old one is no good.
        old_until: Timestamp,
    },
    /// A message was dropped for its signature. Told of SESSION_INFO, and else once in a session.
    Distrusted {
        /// Which.
        message: MessageId,
        /// Why.
        why: Distrust,
    },
    /// The coordinator decided against its own rules: tell the user, and report it
    /// ([`contradiction_report`](super::Participant::contradiction_report), SEC-28).
    Contradiction(Contradiction),
    /// The session is over: nothing but GOODBYE may be sent (PAR-16).
    Closed,
}

/// How an own intent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Over {
    /// The coordinator withdrew it, after a resolution for instance.
    Withdrawn,
    /// Somebody else claimed it (PAR-22).
    Transferred,
    /// The session does not know it as live any more.
    NotListed,
}

/// Whose intent is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The intent.
    pub intent: IntentId,
    /// Its owner.
    pub principal: PrincipalId,
}
