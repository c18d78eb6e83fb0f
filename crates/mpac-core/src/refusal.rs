//! Why a message is refused: one variant a reason, with the code and the rule it goes back to.

use alloc::string::String;

use mpac_wire::names::ErrorCode;
use mpac_wire::{
    BatchId, ClaimId, ConflictId, DecodeError, IntentId, MessageType, OpId, PrincipalId, Raw, SessionId,
    StateRef, Timestamp,
};
use thiserror::Error;

use crate::table::{conflict, intent, operation};

/// A message that changed nothing, and why. Its text is for people; code and ids are the contract.
#[derive(Clone, Debug, PartialEq, Error)]
#[expect(clippy::exhaustive_enums, reason = "a new reason must get a code and a source before it compiles")]
pub enum Refusal {
    /// The frame or its payload cannot be read.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// The frame is no text.
    #[error("{0}")]
    Unreadable(String),
    /// The envelope names another protocol.
    #[error("protocol: expected \"MPAC\", found {0:?}")]
    WrongProtocol(String),
    /// The envelope's version is none of ours.
    #[error("version {0:?} is not supported; this session speaks 0.1.x")]
    VersionMismatch(String),
    /// The message belongs to another session.
    #[error("this connection belongs to session {expected:?}, the message to {found:?}")]
    ForeignSession {
        /// The session of the connection.
        expected: SessionId,
        /// The one in the message.
        found: SessionId,
    },
    /// The server holds as many sessions as it may.
    #[error("session {0:?} cannot be opened: this server holds as many sessions as it may")]
    NoVacancy(SessionId),
    /// The session is over.
    #[error("the session is closed; only GOODBYE is accepted")]
    SessionClosed,
    /// The coordinator's name is worn by somebody else.
    #[error("{0} is the coordinator's own id")]
    CoordinatorId(PrincipalId),
    /// No HELLO was accepted on this connection.
    #[error("say HELLO first: this connection has no participant")]
    NotAdmitted,
    /// The sender is not the one who said HELLO on this connection.
    #[error("this connection speaks for {bound}, not for {claimed}")]
    ForeignSender {
        /// Who said HELLO.
        bound: PrincipalId,
        /// Who the message says it is from.
        claimed: PrincipalId,
    },
    /// Somebody else is here under this name.
    #[error("{0} is here already, from another process; choose another principal_id or leave there first")]
    PrincipalTaken(PrincipalId),
    /// The Lamport value is none.
    #[error("{0}")]
    BadLamport(#[from] mpac_wire::watermark::InvalidLamport),
    /// The Lamport value does not grow.
    #[error("watermark.value {found} is not above {last}, the last one of this sender instance")]
    LamportNotAbove {
        /// The value in the message.
        found: u64,
        /// The last one accepted.
        last: u64,
    },
    /// A type that only the coordinator may send.
    #[error("{0} is sent by the coordinator only")]
    CoordinatorOnly(MessageType),
    /// A deferral of nothing.
    #[error("payload: missing field `scope`")]
    ScopeNeeded,
    /// Others are at work on these files (LCK-03: the text is read by programs).
    #[error("{} already covers {}", match .0.first() {
        Some(holder) => alloc::format!("intent {} (principal {})", holder.intent, holder.principal),
        None => String::new(),
    }, .0.first().map(|holder| holder.resources.join(", ")).unwrap_or_default())]
    StaleIntent(alloc::vec::Vec<Holder>),
    /// A type nobody knows, in a session that wants to hear of it.
    #[error("unknown message type {0}")]
    UnknownType(MessageType),
    /// The sender may only look.
    #[error("an observer may not send {0}")]
    ReadOnly(MessageType),
    /// None of the roles asked for can be granted.
    #[error("none of the roles asked for can be granted to {0}")]
    NoRole(PrincipalId),
    /// A scope without the member its kind needs.
    #[error("payload.scope: kind {kind} needs {member}")]
    ScopeIncomplete {
        /// The kind.
        kind: String,
        /// What it needs.
        member: &'static str,
    },
    /// A scope that would be expensive to compare.
    #[error("payload.scope: {member} has more than {max} bytes")]
    ScopeEntryTooLong {
        /// What of it.
        member: &'static str,
        /// The limit.
        max: usize,
    },
    /// An id that was used before.
    #[error("duplicate {field} {value:?}: every one must be new in its session")]
    Duplicate {
        /// Which field.
        field: &'static str,
        /// Which id.
        value: String,
    },
    /// A commit repeats an operation's id (D-023).
    #[error(
        "duplicate op_id {0:?}: every operation needs a new one; read the target again and commit under another"
    )]
    DuplicateCommit(OpId),
    /// No such intent.
    #[error("unknown intent {0}")]
    UnknownIntent(IntentId),
    /// No such conflict.
    #[error("unknown conflict {0}")]
    UnknownConflict(ConflictId),
    /// No such participant.
    #[error("unknown participant {0}")]
    UnknownParticipant(PrincipalId),
    /// Somebody else's intent.
    #[error("intent {intent} belongs to {owner}")]
    NotOwner {
        /// Which.
        intent: IntentId,
        /// Whose.
        owner: PrincipalId,
    },
    /// The intent is in a state that does not allow this.
    #[error("intent {intent} is {state:?}")]
    IntentState {
        /// Which.
        intent: IntentId,
        /// Where it stands.
        state: intent::State,
    },
    /// The operation is in a state that does not allow this.
    #[error("operation {op} is {state:?}")]
    OperationState {
        /// Which.
        op: OpId,
        /// Where it stands.
        state: operation::State,
    },
    /// The operation waits for its intent to be active again.
    #[error("operation {0} is frozen: its intent is suspended")]
    OperationFrozen(OpId),
    /// A commit completes a proposal on something else.
    #[error("operation {op} was proposed on {proposed:?}, not on {committed:?}")]
    TargetChanged {
        /// Which.
        op: OpId,
        /// On what it was proposed.
        proposed: String,
        /// On what it is committed.
        committed: String,
    },
    /// The conflict is in a state that does not allow this.
    #[error("conflict {conflict} is {state:?}")]
    ConflictState {
        /// Which.
        conflict: ConflictId,
        /// Where it stands.
        state: conflict::State,
    },
    /// The conflict is settled already.
    #[error("conflict {0} is resolved already")]
    AlreadyResolved(ConflictId),
    /// The sender has nothing to do with the conflict.
    #[error("{principal} is not part of conflict {conflict}")]
    NotRelated {
        /// Who.
        principal: PrincipalId,
        /// Which.
        conflict: ConflictId,
    },
    /// The sender may not decide this.
    #[error("{principal} may not resolve conflict {conflict}: that takes {needed}")]
    MayNotResolve {
        /// Who.
        principal: PrincipalId,
        /// Which.
        conflict: ConflictId,
        /// Who might.
        needed: String,
    },
    /// The one named for an escalation cannot decide.
    #[error("{0} has no authority to resolve conflicts: escalate to an owner or arbiter who is here")]
    NoAuthority(PrincipalId),
    /// The outcome names something that is not in the conflict.
    #[error("payload.outcome: {0:?} is no part of this conflict")]
    ForeignOutcome(String),
    /// The outcome says two things of one id.
    #[error("payload.outcome: {0:?} is both accepted and rejected")]
    ContradictoryOutcome(String),
    /// A committed operation is rejected without saying how it is undone.
    #[error("payload.outcome.rollback is needed: {0} is committed")]
    RollbackMissing(OpId),
    /// The operation needs an intent in this session.
    #[error("payload: missing field `intent_id`: operations need an intent in this session")]
    IntentNeeded,
    /// The state that the operation was based on is not the current one.
    #[error("{target} is at {current}, not at {stated}: read it again and build on that")]
    StaleStateRef {
        /// Which target.
        target: String,
        /// Its current reference.
        current: StateRef,
        /// The one in the message.
        stated: StateRef,
    },
    /// The content delivered is not the one that the message speaks of.
    #[error("payload.file_changes: the content of {target} is {computed}, but state_ref_after says {stated}")]
    ContentMismatch {
        /// Which file.
        target: String,
        /// What the content gives.
        computed: StateRef,
        /// What the message says.
        stated: StateRef,
    },
    /// A path that could lead out of the workspace.
    #[error("payload.file_changes: {0:?} is no safe path: relative, without .., backslash or NUL")]
    UnsafePath(String),
    /// A claim names somebody else than the intent's owner.
    #[error("intent {intent} does not belong to {stated}")]
    WrongOwner {
        /// Which.
        intent: IntentId,
        /// Whose it is said to be.
        stated: PrincipalId,
    },
    /// Somebody claims an intent of their own.
    #[error("intent {0} is your own: any message brings it back")]
    OwnClaim(IntentId),
    /// Somebody else was first.
    #[error("intent {0} is claimed already")]
    ClaimTaken(IntentId),
    /// A claim is decided with a word that decides nothing.
    #[error("payload.decision: a claim is approved or rejected, not {0}")]
    ClaimDecision(mpac_wire::names::Decision),
    /// The sender may not decide on this claim.
    #[error("{principal} may not decide on claim {claim}: that takes {needed}")]
    MayNotDecide {
        /// Who.
        principal: PrincipalId,
        /// Which.
        claim: ClaimId,
        /// Who might.
        needed: &'static str,
    },
    /// No such operation or batch.
    #[error("unknown operation {0}")]
    UnknownOperation(OpId),
    /// A completion before the authorisation.
    #[error("operation {0} is not authorised yet: wait for COORDINATOR_STATUS authorization")]
    NotAuthorised(OpId),
    /// An entry of an all-or-nothing batch that would have to wait.
    #[error("operation {0} is blocked by a conflict, a freeze or a newer state")]
    Blocked(OpId),
    /// A completion that leaves out entries of an all-or-nothing batch.
    #[error("batch {batch} is all or nothing: complete all of its {entries} entries")]
    BatchIncomplete {
        /// Which.
        batch: BatchId,
        /// How many entries it has.
        entries: usize,
    },
    /// The sender may not review this.
    #[error("{0} may not review this: that takes a reviewer, owner or arbiter other than the proposer")]
    MayNotReview(PrincipalId),
    /// A review that decides nothing.
    #[error("payload.decision: a proposal is approved or rejected, not {0}")]
    ReviewDecision(mpac_wire::names::Decision),
    /// A batch of which everything is settled.
    #[error("nothing of batch {0} is pending")]
    NothingPending(OpId),
    /// Rejecting takes a role.
    #[error("{0} may not reject operations: that takes the role reviewer, owner or arbiter")]
    MayNotReject(PrincipalId),
    /// Somebody else's operation.
    #[error("operation {op} is {author}'s")]
    NotAuthor {
        /// Which.
        op: OpId,
        /// Whose.
        author: PrincipalId,
    },
    /// A new content without the reference to it.
    #[error("payload: missing field `state_ref_after`: {0} brings a content")]
    AfterNeeded(String),
    /// Neither all or nothing nor best effort.
    #[error("payload.atomicity: expected all_or_nothing or best_effort, found {0}")]
    UnknownAtomicity(mpac_wire::names::Atomicity),
    /// A batch of nothing, or of too much.
    #[error("payload.operations: expected 1 to {max} entries, found {count}")]
    BatchSize {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// An entry of a batch names another intent than the batch.
    #[error("intent {0} is not the batch's")]
    ForeignIntent(IntentId),
    /// A report about nothing that is here.
    #[error(
        "payload: related_intents and related_ops are empty, and no live intent of those involved is meant"
    )]
    NothingRelated,
    /// A message that must say what its sender had seen.
    #[error("a watermark is needed: in the envelope or as based_on_watermark")]
    WatermarkNeeded,
    /// The target lies in a frozen scope.
    #[error("{target} is frozen until conflict {conflict} is resolved")]
    TargetFrozen {
        /// What.
        target: String,
        /// By which conflict.
        conflict: ConflictId,
    },
    /// All of the scope is frozen.
    #[error("this scope is frozen until these conflicts are resolved: {0:?}")]
    ScopeFrozen(alloc::vec::Vec<ConflictId>),
    /// Two keys of `file_changes` name one file.
    #[error("payload.file_changes: {0:?} is given twice")]
    RepeatedPath(String),
}

impl Refusal {
    /// The code on the wire. Total on purpose: a new reason has no default.
    pub const fn code(&self) -> ErrorCode {
        use ErrorCode as C;
        match self {
            Self::Malformed(_)
            | Self::Unreadable(_)
            | Self::WrongProtocol(_)
            | Self::BadLamport(_)
            | Self::LamportNotAbove { .. }
            | Self::ScopeIncomplete { .. }
            | Self::ScopeEntryTooLong { .. }
            | Self::Duplicate { .. }
            | Self::ContradictoryOutcome(_)
            | Self::RollbackMissing(_)
            | Self::IntentNeeded
            | Self::ClaimDecision(_)
            | Self::ScopeNeeded
            | Self::ReviewDecision(_)
            | Self::BatchIncomplete { .. }
            | Self::AfterNeeded(_)
            | Self::UnknownAtomicity(_)
            | Self::BatchSize { .. }
            | Self::NothingRelated
            | Self::WatermarkNeeded
            | Self::ContentMismatch { .. }
            | Self::UnsafePath(_)
            | Self::RepeatedPath(_) => C::MalformedMessage,
            Self::VersionMismatch(_) => C::VersionMismatch,
            Self::ForeignSession { .. }
            | Self::NotAdmitted
            | Self::NoVacancy(_)
            | Self::UnknownIntent(_)
            | Self::UnknownConflict(_)
            | Self::UnknownParticipant(_)
            | Self::UnknownOperation(_)
            | Self::NothingPending(_)
            | Self::Blocked(_)
            | Self::ForeignIntent(_)
            | Self::WrongOwner { .. }
            | Self::OwnClaim(_)
            | Self::IntentState { .. }
            | Self::OperationState { .. }
            | Self::TargetChanged { .. }
            | Self::ConflictState { .. }
            | Self::ForeignOutcome(_) => C::InvalidReference,
            Self::OperationFrozen(_) | Self::TargetFrozen { .. } | Self::ScopeFrozen(_) => C::ScopeFrozen,
            Self::SessionClosed => C::SessionClosed,
            Self::CoordinatorId(_)
            | Self::ForeignSender { .. }
            | Self::PrincipalTaken(_)
            | Self::CoordinatorOnly(_)
            | Self::ReadOnly(_)
            | Self::NoRole(_)
            | Self::NotOwner { .. }
            | Self::NotRelated { .. }
            | Self::MayNotResolve { .. }
            | Self::MayNotDecide { .. }
            | Self::MayNotReject(_)
            | Self::MayNotReview(_)
            | Self::NotAuthorised(_)
            | Self::NotAuthor { .. }
            | Self::NoAuthority(_) => C::AuthorizationFailed,
            Self::StaleIntent(_) => C::StaleIntent,
            Self::ClaimTaken(_) => C::ClaimConflict,
            Self::UnknownType(_) => C::UnknownMessageType,
            Self::AlreadyResolved(_) => C::ResolutionConflict,
            Self::DuplicateCommit(_) | Self::StaleStateRef { .. } => C::StaleStateRef,
        }
    }

    /// The rule it goes back to.
    pub const fn requirement(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "ENV-01",
            Self::Unreadable(_) => "ERR-02",
            Self::WrongProtocol(_) => "ENV-03",
            Self::VersionMismatch(_) => "ENV-05",
            Self::ForeignSession { .. } => "ENV-13",
            Self::NoVacancy(_) => "SES-02",
            Self::SessionClosed => "SES-14",
            Self::CoordinatorId(_) => "SEC-05",
            Self::NotAdmitted => "SES-24",
            Self::ForeignSender { .. } => "SEC-04",
            Self::PrincipalTaken(_) => "HEL-14",
            Self::BadLamport(_) => "LAM-14",
            Self::LamportNotAbove { .. } => "LAM-13",
            Self::CoordinatorOnly(_) => "SES-09",
            Self::UnknownType(_) => "EXT-04",
            Self::ReadOnly(_) => "INT-21",
            Self::NoRole(_) => "ROL-03",
            Self::ScopeIncomplete { .. } => "SCO-01",
            Self::ScopeEntryTooLong { .. } => "SRV-10",
            Self::Duplicate { .. } => "D-022",
            Self::DuplicateCommit(_) => "OPS-12",
            Self::UnknownIntent(_) | Self::NotOwner { .. } => "INT-11",
            Self::UnknownConflict(_) => "CON-09",
            Self::UnknownParticipant(_) | Self::NoAuthority(_) => "CON-07",
            Self::IntentState { .. } => "INT-18",
            Self::OperationState { .. } => "ERR-09",
            Self::OperationFrozen(_) | Self::TargetChanged { .. } => "OPS-09",
            Self::ConflictState { .. } | Self::NotRelated { .. } => "CON-06",
            Self::AlreadyResolved(_) => "GOV-04",
            Self::MayNotResolve { .. } => "GOV-01",
            Self::ForeignOutcome(_) | Self::ContradictoryOutcome(_) => "D-113",
            Self::RollbackMissing(_) => "GOV-05",
            Self::IntentNeeded => "OPS-14",
            Self::StaleStateRef { .. } => "OCC-03",
            Self::ContentMismatch { .. } => "OCC-06",
            Self::WrongOwner { .. } | Self::OwnClaim(_) => "CLM-04",
            Self::ClaimTaken(_) => "CLM-02",
            Self::ClaimDecision(_) => "D-004",
            Self::MayNotDecide { .. } => "CLM-07",
            Self::ScopeNeeded => "DEF-02",
            Self::StaleIntent(_) => "LCK-01",
            Self::UnknownOperation(_) | Self::MayNotReject(_) => "OPS-17",
            Self::NotAuthorised(_) => "OPS-09",
            Self::Blocked(_) => "OPS-07",
            Self::BatchIncomplete { .. } => "BAT-09",
            Self::MayNotReview(_) | Self::ReviewDecision(_) => "D-084",
            Self::NothingPending(_) => "BAT-11",
            Self::NotAuthor { .. } => "OPS-19",
            Self::AfterNeeded(_) => "D-091",
            Self::UnknownAtomicity(_) | Self::BatchSize { .. } => "BAT-01",
            Self::ForeignIntent(_) => "BAT-03",
            Self::NothingRelated => "CON-02",
            Self::WatermarkNeeded => "CON-03",
            Self::TargetFrozen { .. } => "FRZ-02",
            Self::ScopeFrozen(_) => "FRZ-03",
            Self::UnsafePath(_) | Self::RepeatedPath(_) => "OCC-08",
        }
    }

    /// What a program may want to know beyond the code: `extensions.mpac.duplicate` (D-022), `.holders` (LCK-03).
    pub fn extensions(&self) -> Option<Raw> {
        if let Self::StaleIntent(holders) = self {
            let holders: alloc::vec::Vec<_> = holders
                .iter()
                .map(|it| {
                    serde_json::json!({
                        "intent_id": it.intent.as_str(),
                        "principal_id": it.principal.as_str(),
                        "resources": it.resources,
                    })
                })
                .collect();
            return Raw::of(&serde_json::json!({ "mpac": { "holders": holders } })).ok();
        }
        let (field, value) = match self {
            Self::Duplicate { field, value } => (*field, value.as_str()),
            Self::DuplicateCommit(op) => ("op_id", op.as_str()),
            _ => return None,
        };
        Raw::of(&serde_json::json!({ "mpac": { "duplicate": { "field": field, "value": value } } })).ok()
    }
}

/// Whose active intent is in the way, and with what (`spec/wire.md` §6.23).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The intent.
    pub intent: IntentId,
    /// Its owner.
    pub principal: PrincipalId,
    /// What both want, normalised.
    pub resources: alloc::vec::Vec<String>,
}

/// The configuration cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Something this coordinator does not do yet.
    #[error("{option} = {value} is not supported yet")]
    Unsupported {
        /// Which option.
        option: &'static str,
        /// Set to what.
        value: String,
    },
    /// Core sessions commit at once (SES-05).
    #[error("execution_model pre_commit needs a governance session: set compliance_profile to governance")]
    PreCommitInCore,
    /// The workspace needs content hashes (OCC-17).
    #[error("a session with a workspace uses state_ref_format sha256, not {0:?}")]
    StateRefFormat(String),
    /// A duration that must not be zero.
    #[error("{0} must be more than 0")]
    Zero(&'static str),
}

/// The caller applied a record out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("record {found} at {at}, expected record {expected} at {not_before} or later")]
pub struct OutOfOrder {
    pub(crate) found: u64,
    pub(crate) at: Timestamp,
    pub(crate) expected: u64,
    pub(crate) not_before: Timestamp,
}
