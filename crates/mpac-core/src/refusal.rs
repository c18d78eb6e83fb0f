//! Why a message is refused: one variant a reason. `code.rs` has the code and the rule each goes back to.

mod code;
mod holder;
mod limit;
mod signature;

use alloc::string::String;

use mpac_wire::names::CredentialType;
use mpac_wire::{
    BatchId, ClaimId, ConflictId, DecodeError, IntentId, MessageId, MessageType, OpId, PrincipalId, Seconds,
    SessionId, StateRef,
};
use thiserror::Error;

use crate::table::{conflict, intent, operation};
pub use holder::Holder;
pub use limit::LimitReached;
pub use signature::SignatureRefusal;

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
    #[error(
        "this connection belongs to session {expected:?}, the message to {found:?}; join session {expected:?} here, or another one at its own address"
    )]
    ForeignSession {
        /// The session of the connection.
        expected: SessionId,
        /// The one in the message.
        found: SessionId,
    },
    /// The server holds as many sessions as it may.
    #[error("session {0:?} cannot be opened: this server holds as many sessions as it may")]
    NoVacancy(SessionId),
    /// What its sender knows differs from what was recovered.
    #[error(
        "{principal} knows of what was lost: conflict {conflict} must be settled before its operations count"
    )]
    Diverged {
        /// Who.
        principal: PrincipalId,
        /// Where that is settled.
        conflict: ConflictId,
    },
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
    #[error(
        "{0} is here already, from another process; leave there first, or join under another name (principal_id)"
    )]
    PrincipalTaken(PrincipalId),
    /// A HELLO that proves nothing where something must be proven.
    #[error("HELLO needs payload.credential: members of this session prove who they are")]
    CredentialNeeded,
    /// A credential that is none. What it holds is not repeated (PRV-05).
    #[error("{0}: this is no credential; it has a type and a value, both texts")]
    CredentialIllFormed(String),
    /// The verifier says no.
    #[error("this credential ({0}) is not accepted")]
    CredentialRejected(CredentialType),
    /// Nobody here can verify such a credential.
    #[error("credentials of type {0} cannot be verified here")]
    CredentialUnverifiable(CredentialType),
    /// The credential is somebody else's.
    #[error("this credential is not one of {0}")]
    CredentialOfAnother(PrincipalId),
    /// The credential is no good any more.
    #[error("the credential has expired; say HELLO with a fresh one")]
    CredentialExpired,
    /// The signature, or the key that it names.
    #[error(transparent)]
    Signature(#[from] SignatureRefusal),
    /// A credential that says nothing of a key.
    #[error("this session needs a certificate (x509_chain), and {0} is none")]
    CertificateNeeded(CredentialType),
    /// The message was handled before.
    #[error("message_id {0:?} was received before; every message needs a new one")]
    Replayed(MessageId),
    /// The message claims a time too far from now.
    #[error("ts is more than {window} seconds from the coordinator's clock")]
    OutsideWindow {
        /// How far it may be.
        window: Seconds,
    },
    /// A message that is judged by what its sender had seen does not say so.
    #[error("{0} needs a watermark in this session")]
    WatermarkMissing(MessageType),
    /// An approval where nobody asks for one.
    #[error(
        "this session authorises operations by itself (operation_authorization auto): they need no approval"
    )]
    NoReview,
    /// Scopes of several kinds, and nothing to compare them by.
    #[error(
        "payload.scope: there are scopes of other kinds than {0} in this session, so every scope needs canonical_uris"
    )]
    UrisNeeded(String),
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
    /// A deferral that waits for too much.
    #[error(
        "payload: expected at most {max} entries in observed_intent_ids and observed_principals, found {count}"
    )]
    TooManyObserved {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A HELLO that asks for, or lists, too much.
    #[error("payload.{field}: expected at most {max} entries, found {count}")]
    TooManyDeclared {
        /// Of what.
        field: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// More than somebody may have at one time, or than the session takes.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// Others are at work on these files (LCK-03: the text is read by programs).
    #[error("{} already covers {}", match holders.first() {
        Some(holder) => alloc::format!("intent {} (principal {})", holder.intent, holder.principal),
        None => String::new(),
    }, holders.first().map(|holder| holder.resources.join(", ")).unwrap_or_default())]
    StaleIntent {
        /// Who, and on what.
        holders: alloc::vec::Vec<Holder>,
        /// The first of them whose work may be the same (LCK-11).
        duplicate: Option<mpac_wire::Raw>,
    },
    /// An agent may not use this model.
    #[error("a switch to {model} is denied: {why}")]
    BackendSwitchDenied {
        /// Which one.
        model: String,
        /// Why.
        why: &'static str,
    },
    /// Too soon after a rejection.
    #[error("rejected lately: wait {retry_after} seconds before announcing this scope again")]
    IntentBackoff {
        /// How long is left.
        retry_after: Seconds,
    },
    /// A type nobody knows, in a session that wants to hear of it.
    #[error("unknown message type {0}")]
    UnknownType(MessageType),
    /// The sender may only look.
    #[error("an observer may not send {0}")]
    ReadOnly(MessageType),
    /// The session is of use only to those who know these extensions.
    #[error("extensions: this session needs {}", .0.join(", "))]
    ExtensionsMissing(alloc::vec::Vec<String>),
    /// A reference to a state that is not written as this session writes them.
    #[error("state reference {found}: this session's are written as {format}")]
    StateRefFormat {
        /// The one in the message.
        found: StateRef,
        /// What the session declares.
        format: String,
    },
    /// None of the roles asked for can be granted.
    #[error("none of the roles asked for can be granted to {0}: its credential and the role policy decide")]
    NoRole(PrincipalId),
    /// A scope without the member its kind needs.
    #[error("payload.{field}: kind {kind} needs {member}")]
    ScopeIncomplete {
        /// Which scope of the message.
        field: &'static str,
        /// The kind.
        kind: String,
        /// What it needs.
        member: &'static str,
    },
    /// A scope that would be expensive to compare.
    #[error("payload.{field}: {member} has more than {max} bytes")]
    ScopeEntryTooLong {
        /// Which scope of the message.
        field: &'static str,
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
    /// A report under an id that only the coordinator gives.
    #[error(
        "conflict_id {0:?}: ids that begin with `divergence:` are the coordinator's; report under another"
    )]
    ReservedConflictId(ConflictId),
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
    /// A single completion of what belongs together.
    #[error("operation {op} is part of batch {batch}, which is all or nothing: complete the batch")]
    PartOfBatch {
        /// Which.
        op: OpId,
        /// Of which batch.
        batch: BatchId,
    },
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
    /// Contents where states are named by something else.
    #[error(
        "payload.file_changes: this session names states by {0}, and contents need sha256; commit without them"
    )]
    NoContents(String),
    /// A completion that says something else than its request.
    #[error("payload.{field}: {batch} was asked for with {asked}, not with {found}")]
    AskedOtherwise {
        /// Which batch.
        batch: BatchId,
        /// Which field.
        field: &'static str,
        /// What the request says.
        asked: String,
        /// What the completion says.
        found: String,
    },
    /// Two keys of `file_changes` name one file.
    #[error("payload.file_changes: {0:?} is given twice")]
    RepeatedPath(String),
}
