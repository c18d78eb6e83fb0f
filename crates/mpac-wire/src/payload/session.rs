//! The session layer: HELLO to COORDINATOR_STATUS (`spec/wire.md` §6.1 to §6.6).

use alloc::string::String;
use alloc::vec::Vec;

use crate::credential::Credential;
use crate::id::{BatchId, IntentId, OpId, PrincipalId, SessionId};
use crate::names::{
    CloseDisposition, CloseReason, ComplianceProfile, CoordinatorEvent, CredentialType, ExecutionModel,
    GoodbyeReason, HeartbeatStatus, IntentDisposition, ProviderStatus, Role, SecurityProfile, SessionHealth,
    SwitchReason, WatermarkKind,
};
use crate::number::Integer;
use crate::object::{Nullable, Raw};
use crate::policy::{GovernancePolicy, LivenessPolicy, ResourceRegistry, SecurityConfig};
use crate::time::ClaimedTime;

object! {
    /// HELLO: asks to join (HEL-01).
    pub struct Hello {
        /// For people.
        req display_name: String,
        /// The roles asked for; absent means `participant` (D-003).
        opt roles: Vec<Role>,
        /// What the sender can do (CAP-01).
        req capabilities: Vec<String>,
        /// Needed outside the open profile (SEC-06).
        opt credential: Credential,
        /// The model behind an agent (HEL-12).
        opt backend: Backend,
        /// The software of the sender (HEL-20).
        opt implementation: Implementation,
        /// Namespaced additions; `mpac.committed_ops` for divergence (D-041).
        opt extensions: Raw,
    }
}

object! {
    /// The model behind an agent.
    pub struct Backend {
        /// `provider/model`.
        req model_id: String,
        /// Who runs it.
        req provider: String,
    }
}

object! {
    /// The software of a sender.
    pub struct Implementation {
        /// Its name.
        req name: String,
        /// Its version.
        req version: String,
    }
}

object! {
    /// SESSION_INFO: answers HELLO (HEL-04).
    pub struct SessionInfo {
        /// The session joined.
        req session_id: SessionId,
        /// The session's level (D-001).
        req protocol_version: String,
        /// How members prove who they are.
        req security_profile: SecurityProfile,
        /// Which rules apply.
        req compliance_profile: ComplianceProfile,
        /// How watermarks count here.
        req watermark_kind: WatermarkKind,
        /// Absent means `post_commit` (SES-06).
        opt execution_model: ExecutionModel,
        /// What a state reference is here: `sha256` (OCC-01) or opaque.
        req state_ref_format: String,
        /// Who decides what, and when.
        opt governance_policy: GovernancePolicy,
        /// When somebody counts as gone.
        opt liveness_policy: LivenessPolicy,
        /// Available participants, the joiner included (HEL-05).
        opt participant_count: Integer,
        /// The roles granted (HEL-06).
        req granted_roles: Vec<Role>,
        /// Whether the identity was really verified (HEL-11).
        opt identity_verified: bool,
        /// By which credential.
        opt identity_method: CredentialType,
        /// On whose word.
        opt identity_issuer: String,
        /// What does not fit, for people (HEL-07).
        opt compatibility_errors: Vec<String>,
        /// The coordinator's key and the like.
        opt security_config: SecurityConfig,
        /// Aliases of resources, where configured (SCO-14).
        opt resource_registry: ResourceRegistry,
    }
}

object! {
    /// HEARTBEAT: the sender is alive (LIV-02).
    pub struct Heartbeat: Plain {
        /// What it is doing.
        req status: HeartbeatStatus,
        /// Under which intent.
        opt active_intent_id: IntentId,
        /// For people.
        opt summary: String,
        /// How its model is doing (BHM-01).
        opt backend_health: BackendHealth,
        /// Namespaced additions; `key_rotation` (D-127).
        opt extensions: Raw,
    }
}

object! {
    /// How an agent's model is doing.
    pub struct BackendHealth {
        /// `provider/model`.
        req model_id: String,
        /// How the provider is.
        req provider_status: ProviderStatus,
        /// For people; null and absent are told apart here.
        tri status_detail: Nullable<String>,
        /// When that was found out.
        req checked_at: ClaimedTime,
        /// What else could be used.
        opt alternatives: Vec<Alternative>,
        /// The model used before, when it was changed (BHM-08).
        opt switched_from: String,
        /// Why it was changed.
        opt switch_reason: SwitchReason,
    }
}

object! {
    /// A model that could be used instead.
    pub struct Alternative {
        /// Who runs it.
        opt provider: String,
        /// How the provider is.
        opt status: ProviderStatus,
        /// Which model.
        opt suggested_model: String,
    }
}

object! {
    /// GOODBYE: the sender leaves (BYE-01).
    pub struct Goodbye {
        /// Why.
        req reason: GoodbyeReason,
        /// What becomes of its intents; absent means `withdraw` (BYE-03).
        opt intent_disposition: IntentDisposition,
        /// Information only (D-054).
        opt active_intents: Vec<IntentId>,
    }
}

object! {
    /// SESSION_CLOSE: the session is over (SES-14).
    pub struct SessionClose {
        /// Why.
        req reason: CloseReason,
        /// The watermark value of this very message (SES-17).
        req final_lamport_clock: Integer,
        /// What happened, in numbers (SES-18).
        opt summary: Summary,
        /// What became of active intents; absent means `withdraw_all`.
        opt active_intents_disposition: CloseDisposition,
        /// Where the transcript is (SES-22).
        opt transcript_ref: String,
    }
}

object! {
    /// A session in numbers (`spec/wire.md` §9).
    pub struct Summary {
        /// All intents ever registered.
        req total_intents: Integer,
        /// SUPERSEDED or TRANSFERRED.
        req completed_intents: Integer,
        /// EXPIRED.
        req expired_intents: Integer,
        /// WITHDRAWN.
        req withdrawn_intents: Integer,
        /// All operations ever registered.
        req total_operations: Integer,
        /// COMMITTED.
        req committed_operations: Integer,
        /// REJECTED.
        req rejected_operations: Integer,
        /// ABANDONED.
        req abandoned_operations: Integer,
        /// All conflicts.
        req total_conflicts: Integer,
        /// RESOLVED or CLOSED.
        req resolved_conflicts: Integer,
        /// Distinct principals ever admitted.
        req total_participants: Integer,
        /// Whole seconds since the session began.
        req duration_sec: Integer,
    }
}

object! {
    /// COORDINATOR_STATUS: the coordinator about itself (REC-02).
    pub struct CoordinatorStatus {
        /// What happened.
        req event: CoordinatorEvent,
        /// Who speaks.
        req coordinator_id: PrincipalId,
        /// How the session is (D-039).
        req session_health: SessionHealth,
        /// Available participants.
        opt active_participants: Integer,
        /// Conflicts neither CLOSED nor DISMISSED.
        opt open_conflicts: Integer,
        /// The clock of the last persisted snapshot (REC-04).
        opt snapshot_lamport_clock: Integer,
        /// Who takes over, for `handover`.
        opt successor_coordinator_id: PrincipalId,
        /// With which epoch, for `handover`.
        opt next_coordinator_epoch: Integer,
        /// Which operation may go on, for `authorization` (OPS-06).
        opt authorized_op_id: OpId,
        /// Who said so.
        opt authorized_by: PrincipalId,
        /// The batch it belongs to.
        opt authorized_batch_id: BatchId,
        /// Whose backend, for `backend_alert`.
        opt affected_principal: PrincipalId,
        /// How it is, for `backend_alert`.
        opt backend_detail: BackendDetail,
        /// Namespaced additions.
        opt extensions: Raw,
    }
}

object! {
    /// How a participant's model is doing, as the coordinator tells it.
    pub struct BackendDetail {
        /// `provider/model`.
        req model_id: String,
        /// How the provider is.
        req provider_status: ProviderStatus,
        /// For people; null and absent are told apart here.
        tri status_detail: Nullable<String>,
        /// What else could be used.
        opt alternatives: Vec<Alternative>,
        /// Whether a planned switch is confirmed (D-060).
        opt switch_approved: bool,
    }
}
