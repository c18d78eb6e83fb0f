//! What a session is configured to do, as it stands in SESSION_INFO and in snapshots (`spec/wire.md` §3.8).

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::PrincipalId;
use crate::names::{AutoSwitch, BackendAction, ClaimApproval, Role};
use crate::number::{Integer, Number};
use crate::object::Ordered;
use crate::time::Seconds;

object! {
    /// Who decides, and what happens when nobody does.
    pub struct GovernancePolicy {
        /// Whether an arbiter must be named (GOV-11).
        opt require_arbiter: bool,
        /// Seconds until an unresolved conflict escalates; 0 disables (GOV-14).
        opt resolution_timeout_sec: Seconds,
        /// What happens then: `escalate_then_freeze`.
        opt timeout_action: String,
        /// What a frozen scope refuses: `reject_writes_and_intents`.
        opt frozen_scope_behavior: String,
        /// Seconds of phase 1 (FRZ-08).
        opt frozen_scope_phase_1_sec: Seconds,
        /// Seconds of phase 2 (FRZ-13).
        opt frozen_scope_phase_2_sec: Seconds,
        /// What ends phase 2: `first_committer_wins`.
        opt frozen_scope_phase_3_action: String,
        /// Whether a scope stays frozen until resolved (FRZ-17).
        opt frozen_scope_disable_phase_3: bool,
        /// Sent by the references, in front of the grace; nothing hangs on it.
        opt require_acknowledgment: bool,
        /// Seconds a proposal outlives its intent; 0 is none (CAS-02).
        opt intent_expiry_grace_sec: Seconds,
        /// Who may resolve after escalation, by category or `*` (D-111).
        opt escalated_arbiters: Ordered<Vec<PrincipalId>>,
        /// Whether governance sessions insist on intents (INT-02).
        opt require_intent: bool,
    }
}

object! {
    /// When somebody counts as gone, and what becomes of what they leave.
    pub struct LivenessPolicy {
        /// Seconds between two heartbeats (LIV-01).
        opt heartbeat_interval_sec: Seconds,
        /// Seconds of silence after which a participant is unavailable (LIV-04).
        opt unavailability_timeout_sec: Seconds,
        /// What becomes of an intent without owner: `suspend`.
        opt orphaned_intent_action: String,
        /// What becomes of a proposal without proposer: `abandon`.
        opt orphaned_proposal_action: String,
        /// Who approves a claim (CLM-15).
        opt intent_claim_approval: ClaimApproval,
        /// Seconds in which a claim may be objected to (CLM-08).
        opt intent_claim_grace_period_sec: Seconds,
        /// As in the governance policy (D-045).
        opt resolution_timeout_sec: Seconds,
        /// Seconds to wait after a first rejection (BKO-02).
        opt intent_backoff_initial_sec: Seconds,
        /// The longest wait in seconds.
        opt intent_backoff_max_sec: Seconds,
        /// By how much each wait grows: 1 or more; whoever reads a smaller one takes it for 1 (BKO-02).
        opt intent_backoff_multiplier: Number,
        /// Whether agents report on their models (BHM-02).
        opt backend_health_policy: BackendHealthPolicy,
    }
}

object! {
    /// What a failing model means for its agent.
    pub struct BackendHealthPolicy {
        /// Whether any of this applies.
        opt enabled: bool,
        /// Where agents ask.
        opt check_source: String,
        /// Seconds between two questions.
        opt check_interval_sec: Seconds,
        /// What happens when it is degraded (BHM-03).
        opt on_degraded: BackendAction,
        /// What happens when it is down (BHM-03).
        opt on_down: BackendAction,
        /// Whether agents may switch by themselves (BHM-09).
        opt auto_switch: AutoSwitch,
        /// To whom; absent is no restriction (BHM-10).
        opt allowed_providers: Vec<String>,
    }
}

object! {
    /// When a session ends by itself, and what is kept of it.
    pub struct LifecyclePolicy {
        /// Whether it closes when all is done (SES-10).
        opt auto_close: bool,
        /// Seconds it waits before (SES-11).
        opt auto_close_grace_sec: Seconds,
        /// Seconds it may last; 0 is for ever (SES-12).
        opt session_ttl_sec: Seconds,
        /// Whether a transcript is written.
        opt transcript_export: bool,
        /// Days the log is kept (PRV-01).
        opt audit_retention_days: Integer,
    }
}

object! {
    /// Who may have which role (ROL-03, D-043).
    pub struct RolePolicy {
        /// For those without an assignment.
        opt default_role: Role,
        /// Principal to roles.
        opt role_assignments: Ordered<Vec<Role>>,
        /// Role to constraint.
        opt role_constraints: Ordered<RoleConstraint>,
    }
}

object! {
    /// What limits a role.
    pub struct RoleConstraint {
        /// Other present holders at the most, plus one (ROL-04).
        opt max_count: Integer,
        /// Which kinds of principal may hold it.
        opt allowed_principal_types: Vec<crate::names::PrincipalType>,
    }
}

object! {
    /// Names of the same thing in several kinds of scope (SCO-14).
    pub struct ResourceRegistry {
        /// One for each thing.
        req mappings: Vec<ResourceMapping>,
    }
}

object! {
    /// One thing and its names.
    pub struct ResourceMapping {
        /// Its one name across kinds.
        req canonical_uri: String,
        /// Its names in each kind.
        req aliases: Vec<ResourceAlias>,
    }
}

object! {
    /// A name in one kind of scope.
    pub struct ResourceAlias {
        /// The kind.
        req kind: crate::names::ScopeKind,
        /// The name there.
        req value: String,
    }
}

object! {
    /// How a session is secured.
    pub struct SecurityConfig {
        /// How identities are proved.
        opt auth_mechanism: String,
        /// Seconds a message may be old (SEC-18).
        opt replay_window_sec: Seconds,
        /// Days the log is kept.
        opt audit_retention_days: Integer,
        /// `sha256:` and the hex digest of the coordinator's key (SEC-30).
        opt coordinator_key_fingerprint: String,
        /// The key itself, in base64url; a field of this project: by a fingerprint alone nothing can be verified.
        opt coordinator_public_key: String,
        /// How keys reach participants.
        opt key_exchange_method: String,
        /// `hash_chain`; a field of this project (D-130).
        opt log_integrity: String,
    }
}
