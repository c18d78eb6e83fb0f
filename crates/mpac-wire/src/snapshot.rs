//! The stored form of a session (`spec/wire.md` §10).
//!
//! The references' fields in their order, unset ones as null; then the fields this project adds, each optional on
//! load. A snapshot of either reference loads here, ours loads there (REC-19). Unlike messages a snapshot is not
//! written back as it came: maps are sorted, times have six digits, unset members are null.

mod continuation;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

pub use continuation::{
    ConnectionRecord, CoordinatorKeyRecord, CoordinatorState, ForgottenRecord, HandoverRecord, KeyRecord,
};

use crate::id::{
    BatchId, ClaimId, ConflictId, DeferralId, InstanceId, IntentId, MessageId, OpId, PrincipalId,
    ResolutionId, SessionId,
};
use crate::names::{
    AckType, Atomicity, ComplianceProfile, ConflictCategory, ConflictState, CredentialType, Decision,
    ExecutionModel, HeartbeatStatus, IntentState, OpKind, OperationState, PrincipalType, Priority,
    ProviderStatus, Role, SecurityProfile, Severity,
};
use crate::number::Integer;
use crate::payload::conflict::{Basis, Outcome};
use crate::payload::{IntentWithdraw, OpReject};
use crate::policy::{GovernancePolicy, LifecyclePolicy, LivenessPolicy, ResourceRegistry, RolePolicy};
use crate::scope::Scope;
use crate::state_ref::StateRef;
use crate::time::{ClaimedTime, Seconds, Timestamp};
use crate::watermark::Watermark;

object! {
    /// A whole session.
    pub struct Snapshot {
        /// 2.
        req snapshot_version: Integer,
        /// Which session.
        req session_id: SessionId,
        /// Its level.
        req protocol_version: String,
        /// When this was true.
        req captured_at: Timestamp,
        /// Under which epoch.
        req coordinator_epoch: Integer,
        /// The coordinator's clock (LAM-11).
        req lamport_clock: Integer,
        /// What guards against replays (SEC-20).
        opt anti_replay: AntiReplay,
        /// Everybody ever admitted.
        opt participants: Vec<ParticipantRecord>,
        /// All intents not archived.
        opt intents: Vec<IntentRecord>,
        /// All operations.
        opt operations: Vec<OperationRecord>,
        /// All conflicts.
        opt conflicts: Vec<ConflictRecord>,
        /// Claims not decided.
        opt pending_claims: Vec<ClaimRecord>,
        /// Whether the session is over.
        opt session_closed: bool,
        /// The specification asks for it, the references leave it out (REC-08).
        opt governance_policy: GovernancePolicy,
        /// The specification asks for it, the references leave it out (REC-08).
        opt liveness_policy: LivenessPolicy,
        /// The session's level.
        opt protocol_level: String,
        /// How members prove who they are.
        opt security_profile: SecurityProfile,
        /// Which rules apply.
        opt compliance_profile: ComplianceProfile,
        /// Before or after the fact.
        opt execution_model: ExecutionModel,
        /// What a state reference is.
        opt state_ref_format: String,
        /// When the session began.
        opt session_started_at: Timestamp,
        /// When it ends by itself.
        opt lifecycle_policy: LifecyclePolicy,
        /// Who may have which role.
        opt role_policy: RolePolicy,
        /// Aliases of resources.
        opt resource_registry: ResourceRegistry,
        /// Normalised target to current reference (OCC-11).
        opt target_state_refs: BTreeMap<String, StateRef>,
        /// Who stepped back (DEF-16).
        opt deferrals: Vec<DeferralRecord>,
        /// Who must wait (D-083).
        opt backoff: Vec<BackoffRecord>,
        /// Records whose id was used again (D-024).
        opt archived_intents: Vec<IntentRecord>,
        /// Batches known.
        opt batches: Vec<BatchRecord>,
        /// Who goes on with the session, once this coordinator has handed it over (REC-20).
        opt handover: HandoverRecord,
        /// What it takes to go on from exactly here.
        opt coordinator_state: CoordinatorState,
    }
}

object! {
    /// What guards against replays.
    pub struct AntiReplay {
        /// Seconds.
        opt replay_window_sec: Seconds,
        /// Message ids seen.
        opt recent_message_ids: Vec<MessageId>,
        /// When each of them was, in the same order; a field of this project (D-124).
        opt recent_message_times: Vec<Timestamp>,
        /// How many messages each sent lately; a field of this project (SEC-37).
        opt recent_message_counts: BTreeMap<PrincipalId, RecentCount>,
        /// `principal|instance` to the last that was heard (SEC-21). Where `|` is in the principal, as well, the key only keeps it
        /// apart from others: `|length|principal|instance`.
        opt sender_frontier: BTreeMap<String, FrontierRecord>,
    }
}

object! {
    /// Messages of one principal.
    pub struct RecentCount {
        /// The first of them came then.
        req since: Timestamp,
        /// How many came from then on.
        req count: Integer,
    }
}

object! {
    /// The last that was heard of one incarnation. The references keep what it said in an open session, even if that was no time.
    pub struct FrontierRecord {
        /// Its clock then.
        lax last_ts: ClaimedTime,
        /// Its Lamport value then.
        lax last_lamport: Integer,
        /// When it was heard, by the coordinator's clock.
        opt heard_at: Timestamp,
        /// Who, where the key cannot be taken apart.
        opt principal_id: PrincipalId,
        /// Which incarnation, likewise.
        opt sender_instance_id: InstanceId,
    }
}

object! {
    /// One participant.
    pub struct ParticipantRecord {
        /// Who.
        req principal_id: PrincipalId,
        /// Absent means agent.
        opt principal_type: PrincipalType,
        /// For people.
        opt display_name: String,
        /// Absent means `participant`.
        opt roles: Vec<Role>,
        /// What it can do.
        opt capabilities: Vec<String>,
        /// Absent means idle.
        opt status: HeartbeatStatus,
        /// Absent means yes.
        opt is_available: bool,
        /// Absent means now.
        opt last_seen: Timestamp,
        /// Which incarnation was bound last.
        opt sender_instance_id: InstanceId,
        /// Whether it said GOODBYE.
        opt departed: bool,
        /// Its last message (D-050).
        opt last_message_id: MessageId,
        /// Its model.
        opt backend_model_id: String,
        /// Who runs it.
        opt backend_provider: String,
        /// How that is.
        opt backend_provider_status: ProviderStatus,
        /// Whether everybody was told that it is not well (BHM-06).
        opt backend_alerted: bool,
        /// The model it may switch to (D-060).
        opt approved_model_id: String,
        /// Its place in the order of joining (GOV-13).
        opt joined: Integer,
        /// By which kind of credential its identity was verified (SEC-16).
        opt identity_method: CredentialType,
        /// On whose word.
        opt identity_issuer: String,
        /// Until when that holds (SEC-14).
        opt identity_expires_at: Timestamp,
        /// Its intents that ended while it was away, in the form it will be told (HEL-18).
        opt ended_intents: Vec<IntentWithdraw>,
        /// The same for its operations.
        opt ended_operations: Vec<OpReject>,
        /// The conflicts whose resolution ended an intent of its, or rejected what it had committed, while it was away; it will be
        /// told of them (HEL-18).
        opt overruled_in: Vec<ConflictId>,
    }
}

object! {
    /// One intent.
    pub struct IntentRecord {
        /// Which.
        req intent_id: IntentId,
        /// Whose.
        req principal_id: PrincipalId,
        /// What for.
        opt objective: String,
        /// Absent means ACTIVE.
        opt state: IntentState,
        /// What it covers.
        req scope: Scope,
        /// When it was announced; absent means now.
        opt received_at: Timestamp,
        /// Seconds it stays active.
        null ttl_sec: Seconds,
        /// When it expires.
        null expires_at: Timestamp,
        /// INT-24.
        null last_message_id: MessageId,
        /// Who claims it.
        null claimed_by: PrincipalId,
        /// What it takes for granted.
        opt assumptions: Vec<String>,
        /// How urgent.
        opt priority: Priority,
        /// Part of which.
        opt parent_intent_id: IntentId,
        /// In place of which.
        opt supersedes_intent_id: IntentId,
        /// Why it is suspended (D-051).
        opt suspended_cause: String,
        /// Its place in the order of receipt.
        opt sequence: Integer,
    }
}

object! {
    /// One operation.
    pub struct OperationRecord {
        /// Which.
        req op_id: OpId,
        /// Under which intent; empty when none.
        opt intent_id: String,
        /// Whose.
        req principal_id: PrincipalId,
        /// Absent means PROPOSED.
        opt state: OperationState,
        /// What it changes.
        opt target: String,
        /// How.
        opt op_kind: OpKind,
        /// Based on.
        null state_ref_before: StateRef,
        /// Giving.
        null state_ref_after: StateRef,
        /// Of which batch.
        null batch_id: BatchId,
        /// When it was authorised.
        null authorized_at: Timestamp,
        /// By whom.
        null authorized_by: PrincipalId,
        /// When it was received; absent means now.
        opt created_at: Timestamp,
        /// Where the change can be seen.
        opt change_ref: String,
        /// For people.
        opt summary: String,
        /// Without a usable intent (OPS-13).
        opt uncoordinated: bool,
        /// Outside its intent's scope (SCO-21).
        opt out_of_scope: bool,
        /// Objected to after the fact (OPS-18).
        opt contested: bool,
        /// Without the content it should have brought (OCC-16).
        opt content_missing: bool,
        /// Committed before the intent that has the id of its own now was announced (D-024).
        opt of_earlier_intent: bool,
        /// Its place in the order of receipt (OPS-30).
        opt sequence: Integer,
        /// The committed operation it replaces once completed (D-099).
        opt supersedes_op_id: OpId,
        /// Who approved it, where a review is asked for (D-084).
        opt approved_by: PrincipalId,
        /// Until when it outlives its intent (CAS-02).
        opt grace_until: Timestamp,
    }
}

object! {
    /// One conflict. The Python reference writes an empty text for a principal or intent that it does not know.
    pub struct ConflictRecord {
        /// Which.
        req conflict_id: ConflictId,
        /// Absent means `scope_overlap`.
        opt category: ConflictCategory,
        /// Absent means medium.
        opt severity: Severity,
        /// Owner of the newer intent.
        void principal_a: PrincipalId,
        /// Owner of the older intent.
        void principal_b: PrincipalId,
        /// The newer intent.
        void intent_a: IntentId,
        /// The older intent.
        void intent_b: IntentId,
        /// Absent means OPEN.
        opt state: ConflictState,
        /// All intents in it.
        opt related_intents: Vec<IntentId>,
        /// All operations in it.
        opt related_ops: Vec<OpId>,
        /// When it was found; absent means now.
        opt created_at: Timestamp,
        /// Whom it was handed to.
        null escalated_to: PrincipalId,
        /// When.
        null escalated_at: Timestamp,
        /// What settled it.
        null resolution_id: ResolutionId,
        /// Who settled it.
        null resolved_by: PrincipalId,
        /// Whether its scope is frozen (FRZ-01).
        opt scope_frozen: bool,
        /// How it was found.
        opt basis: Basis,
        /// What the finder had seen.
        opt based_on_watermark: Watermark,
        /// For people.
        opt description: String,
        /// While it is open: empty when it is only assumed that the scopes overlap (CON-22). Earlier builds wrote what they overlap
        /// in, too.
        opt overlap: Vec<String>,
        /// While it is open: sixteen hexadecimal digits for each name that the scopes overlap in, its SipHash-1-3 under the key 0
        /// (CON-22).
        opt overlap_marks: String,
        /// The message that reported it (D-116).
        opt report_message_id: MessageId,
        /// Who said what to it (D-109).
        opt acks: Vec<AckRecord>,
        /// When its scope was frozen.
        opt frozen_at: Timestamp,
        /// Which phase of the freeze.
        opt phase: Integer,
        /// When the next one begins.
        opt phase_ends_at: Timestamp,
        /// The intent whose operations pass meanwhile (FRZ-10).
        opt favoured_intent_id: IntentId,
        /// When it has been pending for too long (GOV-14).
        opt resolution_due_at: Timestamp,
        /// Who reported it, or whose message led to it.
        opt author: PrincipalId,
        /// Everybody in it.
        opt involved_principals: Vec<PrincipalId>,
        /// Its place in the order of receipt.
        opt sequence: Integer,
        /// How it was settled (GOV-10).
        opt resolution: ResolutionRecord,
        /// It was judged from a watermark that could not be read (LAM-05).
        opt causally_partial: bool,
    }
}

object! {
    /// Who said what to a conflict.
    pub struct AckRecord {
        /// Who.
        req principal_id: PrincipalId,
        /// What.
        req ack_type: AckType,
        /// When.
        req at: Timestamp,
    }
}

object! {
    /// How a conflict was settled.
    pub struct ResolutionRecord {
        /// By which decision.
        req decision: Decision,
        /// With which effect.
        opt outcome: Outcome,
        /// Why.
        opt rationale: String,
        /// When.
        req resolved_at: Timestamp,
        /// It was decided from a watermark that could not be read (LAM-05).
        opt causally_partial: bool,
    }
}

object! {
    /// A claim not decided.
    pub struct ClaimRecord {
        /// Which.
        req claim_id: ClaimId,
        /// On which intent.
        req original_intent_id: IntentId,
        /// Of whom.
        req original_principal_id: PrincipalId,
        /// Giving which.
        req new_intent_id: IntentId,
        /// By whom.
        req claimer_principal_id: PrincipalId,
        /// To do what.
        opt objective: String,
        /// On what.
        req scope: Scope,
        /// Why.
        null justification: String,
        /// When; absent means now.
        opt submitted_at: Timestamp,
        /// `pending`.
        opt decision: String,
        /// Who approved it.
        null approved_by: PrincipalId,
        /// The message that made it.
        opt message_id: MessageId,
        /// When it is granted by itself (CLM-08).
        opt granted_at: Timestamp,
    }
}

object! {
    /// Somebody who stepped back.
    pub struct DeferralRecord {
        /// Which.
        req deferral_id: DeferralId,
        /// Who.
        req principal_id: PrincipalId,
        /// On what.
        req scope: Scope,
        /// Why.
        opt reason: String,
        /// For which intents.
        opt observed_intent_ids: Vec<String>,
        /// For whom.
        opt observed_principals: Vec<PrincipalId>,
        /// `queue` and the like.
        opt category: String,
        /// Since when.
        opt received_at: Timestamp,
        /// Until when.
        req expires_at: Timestamp,
    }
}

object! {
    /// Somebody who must wait before announcing again.
    pub struct BackoffRecord {
        /// Who.
        req principal_id: PrincipalId,
        /// On what.
        req scope: Scope,
        /// How often it was rejected.
        req rejections: Integer,
        /// Until when.
        req not_before: Timestamp,
    }
}

object! {
    /// A batch.
    pub struct BatchRecord {
        /// Which.
        req batch_id: BatchId,
        /// All or none.
        req atomicity: Atomicity,
        /// Whose.
        req principal_id: PrincipalId,
        /// Under which intent.
        opt intent_id: IntentId,
        /// Its operations in order.
        req op_ids: Vec<OpId>,
        /// How far it is.
        opt phase: String,
    }
}
