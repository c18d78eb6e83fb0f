//! How a session is configured, with the defaults of `spec/wire.md` §3.8.

mod grant;
mod quota;
mod visibility;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{ComplianceProfile, ExecutionModel, PrincipalType, Role, SecurityProfile};
use mpac_wire::policy::{GovernancePolicy, LifecyclePolicy, LivenessPolicy, ResourceRegistry, RolePolicy};
use mpac_wire::{InstanceId, Limits, Number, PrincipalId, PublicKey, Seconds, Sender, SessionId, StateRef};

use crate::error::ConfigError;
use crate::signed::is_ed25519;
pub use grant::{Applicant, CredentialRoles};
pub use quota::{OpenLimits, WorkspaceLimits};
pub use visibility::{Sight, Visibility};

/// Bytes of a session id at the most: the coordinator's own ids are made of it.
pub const MAX_SESSION_ID_BYTES: usize = 200;

/// Which edition of the protocol a session speaks (D-001, D-002).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProtocolLevel {
    /// `0.1.13`: overlaps are conflicts.
    #[default]
    V0_1_13,
    /// `0.1.14`: adds INTENT_DEFERRED.
    V0_1_14,
    /// `0.1.15`: adds the race lock.
    V0_1_15,
}

impl ProtocolLevel {
    /// Every level, lowest first.
    pub const ALL: [Self; 3] = [Self::V0_1_13, Self::V0_1_14, Self::V0_1_15];

    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_13 => "0.1.13",
            Self::V0_1_14 => "0.1.14",
            Self::V0_1_15 => "0.1.15",
        }
    }
}

/// The digits of `0.1.digits`; `None` for versions that are none of ours (D-006).
pub(crate) fn minor_version(version: &str) -> Option<u64> {
    let digits = version.strip_prefix("0.1.")?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

impl core::str::FromStr for ProtocolLevel {
    type Err = UnknownLevel;
    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or(UnknownLevel)
    }
}

/// The text names no protocol level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 0.1.13, 0.1.14 or 0.1.15")]
pub struct UnknownLevel;

/// What to do with a message type nobody knows (D-007).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownTypes {
    /// Nothing; the sender counts as alive.
    #[default]
    Ignore,
    /// Answer UNKNOWN_MESSAGE_TYPE.
    Reject,
}

/// Who authorises operations in a pre-commit session (D-097).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperationAuthorization {
    /// The coordinator, as soon as nothing blocks them.
    #[default]
    Auto,
    /// A reviewer, owner or arbiter, by a RESOLUTION naming the operation or batch (D-084).
    Review,
}

/// Who hears of a conflict, beside what its own members do (D-108).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportAudience {
    /// The principals in it.
    Involved,
    /// These, and the holders of owner or arbiter.
    #[default]
    InvolvedAndGovernance,
    /// Everybody.
    All,
}

/// A session's configuration.
///
/// Policies hold what the session's creator said; the methods below give the value in force.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The session's id.
    pub session_id: SessionId,
    /// Its protocol level; 0.1.13.
    pub level: ProtocolLevel,
    /// How members prove who they are; open.
    pub security_profile: SecurityProfile,
    /// Whether somebody chose that profile: an open session that nobody declared open tells its host when members of
    /// several organisations meet in it (SEC-36).
    pub security_declared: bool,
    /// Whether the host's verifier says which roles a credential grants, and what that means; absent. Outside the open
    /// profile a session needs this or a role policy (ROL-02, ROL-10).
    pub credential_roles: CredentialRoles,
    /// How far a message's `ts` may be from the coordinator's clock outside the open profile, and half the time for
    /// which message ids are remembered there: 300 (SEC-18, D-124).
    pub replay_window_sec: Seconds,
    /// The coordinator's Ed25519 public key. The host has the private one, and signs with it everything that the
    /// coordinator writes. The verified profile needs it (SEC-26, SEC-30).
    pub coordinator_key: Option<PublicKey>,
    /// Which rules apply; core.
    pub compliance_profile: ComplianceProfile,
    /// Before or after the fact; post_commit.
    pub execution_model: ExecutionModel,
    /// What a state reference is; `sha256`.
    pub state_ref_format: String,
    /// Who decides.
    pub governance: GovernancePolicy,
    /// When somebody counts as gone.
    pub liveness: LivenessPolicy,
    /// When the session ends by itself (SES-10 to SES-12).
    pub lifecycle: LifecyclePolicy,
    /// Who may have which role; absent means as asked (ROL-01).
    pub role_policy: Option<RolePolicy>,
    /// What to do with unknown types.
    pub unknown_message_types: UnknownTypes,
    /// Whether a Lamport value that does not grow is refused (true) or only tolerated (D-027).
    pub enforce_lamport: bool,
    /// Seconds an intent without `ttl_sec` lives: 300 (INT-06).
    pub default_intent_ttl_sec: Seconds,
    /// Who hears of a conflict.
    pub conflict_report_audience: ReportAudience,
    /// Whether an announce that comes too soon after a rejection is refused (BKO-04).
    pub enforce_intent_backoff: bool,
    /// Whether edits that reach files of others are reported (D-070).
    pub dependency_detection: bool,
    /// Who authorises operations in a pre-commit session.
    pub operation_authorization: OperationAuthorization,
    /// Whether the session exists from the start, or only from its first accepted HELLO on (D-031).
    pub opens_with_hello: bool,
    /// Whether COORDINATOR_STATUS heartbeats are sent while somebody is connected (REC-01).
    pub status_heartbeats: bool,
    /// What a frame may cost.
    pub limits: Limits,
    /// The shared files and their references at the start, by normalised path (OCC-02); absent where the host shares
    /// none. With a workspace, even an empty one, states are named by content (OCC-17).
    pub workspace: Option<BTreeMap<String, StateRef>>,
    /// Bytes of these files, by the same names; one that is not here counts as empty.
    pub workspace_sizes: BTreeMap<String, u64>,
    /// How large commits may make it.
    pub workspace_limits: WorkspaceLimits,
    /// How many finished records of each kind are kept in memory: 10,000. Older ones are forgotten unless something
    /// alive refers to them, many at a time, so that there can be a 64th more, at most 128: their ids count as unknown
    /// then, and as new (SES-27).
    pub retained_records: usize,
    /// How many deferrals may stand in the session: 5,000. One more is refused (SES-27).
    pub max_deferrals: usize,
    /// How many of them one principal may have: 100.
    pub max_deferrals_each: usize,
    /// How much else one principal may keep open.
    pub max_open_each: OpenLimits,
    /// Names of the same thing in several kinds of scope (SCO-14).
    pub resource_registry: Option<ResourceRegistry>,
    /// A semantic match below this confidence is uncertain: a human decides (CON-16).
    pub semantic_confidence_threshold: f64,
    /// Whether an owner or arbiter may declare somebody unavailable (LIV-17).
    pub governance_may_declare_unavailable: bool,
    /// Whether a governance session must have an arbiter in its role policy to open at all (GOV-11, D-047).
    pub require_arbiter_strict: bool,
    /// Who sees less than everything; nobody (PRV-02).
    pub visibility: Visibility,
    /// Extensions that every HELLO must carry, by key (EXT-02).
    pub mandatory_extensions: Vec<String>,
    /// Where the host will put the transcript, for SESSION_CLOSE (SES-22).
    pub transcript_ref: Option<String>,
}

impl SessionConfig {
    /// The defaults.
    pub fn new(session_id: SessionId) -> Self {
        Self {
            session_id,
            level: ProtocolLevel::default(),
            security_profile: SecurityProfile::Open,
            security_declared: false,
            credential_roles: CredentialRoles::default(),
            replay_window_sec: Seconds::whole(300),
            coordinator_key: None,
            compliance_profile: ComplianceProfile::Core,
            execution_model: ExecutionModel::PostCommit,
            state_ref_format: "sha256".to_owned(),
            governance: GovernancePolicy::new(),
            liveness: LivenessPolicy::new(),
            lifecycle: LifecyclePolicy::new(),
            role_policy: None,
            unknown_message_types: UnknownTypes::default(),
            enforce_lamport: true,
            default_intent_ttl_sec: Seconds::whole(300),
            conflict_report_audience: ReportAudience::default(),
            enforce_intent_backoff: false,
            dependency_detection: true,
            operation_authorization: OperationAuthorization::default(),
            opens_with_hello: false,
            status_heartbeats: true,
            limits: Limits::default(),
            workspace: None,
            workspace_sizes: BTreeMap::new(),
            workspace_limits: WorkspaceLimits::default(),
            retained_records: 10_000,
            max_deferrals: 5_000,
            max_deferrals_each: 100,
            max_open_each: OpenLimits::default(),
            resource_registry: None,
            semantic_confidence_threshold: 0.7,
            governance_may_declare_unavailable: false,
            require_arbiter_strict: false,
            visibility: Visibility::default(),
            mandatory_extensions: Vec::new(),
            transcript_ref: None,
        }
    }

    /// # Errors
    /// What this coordinator does not do yet, and what contradicts itself.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.session_id.as_str().len() > MAX_SESSION_ID_BYTES {
            return Err(ConfigError::SessionId { bytes: self.session_id.as_str().len() });
        }
        let unsupported =
            |option, value: &str| Err(ConfigError::Unsupported { option, value: value.to_owned() });
        match self.security_profile {
            SecurityProfile::Open => {}
            SecurityProfile::Authenticated | SecurityProfile::Verified
                if self.role_policy.is_none() && !self.credentials_grant() =>
            {
                return Err(ConfigError::NoRolePolicy(self.security_profile.clone())); // ROL-02
            }
            SecurityProfile::Authenticated => {}
            SecurityProfile::Verified if self.coordinator_key.is_some() => {}
            SecurityProfile::Verified => return Err(ConfigError::NoCoordinatorKey),
            _ => return unsupported("security_profile", self.security_profile.as_str()),
        }
        if self.coordinator_key.as_ref().is_some_and(|key| !is_ed25519(key)) {
            return Err(ConfigError::CoordinatorKey);
        }
        match self.execution_model {
            ExecutionModel::PostCommit => {}
            ExecutionModel::PreCommit if self.is_governed() => {}
            ExecutionModel::PreCommit => return Err(ConfigError::PreCommitInCore), // SES-05
            _ => return unsupported("execution_model", self.execution_model.as_str()),
        }
        if !matches!(
            self.compliance_profile,
            ComplianceProfile::Core | ComplianceProfile::Governance | ComplianceProfile::Semantic
        ) {
            return unsupported("compliance_profile", self.compliance_profile.as_str());
        }
        let fixed = [
            ("timeout_action", &self.governance.timeout_action, "escalate_then_freeze"),
            ("frozen_scope_behavior", &self.governance.frozen_scope_behavior, "reject_writes_and_intents"),
            (
                "frozen_scope_phase_3_action",
                &self.governance.frozen_scope_phase_3_action,
                "first_committer_wins",
            ),
            ("orphaned_intent_action", &self.liveness.orphaned_intent_action, "suspend"),
            ("orphaned_proposal_action", &self.liveness.orphaned_proposal_action, "abandon"),
        ];
        for (option, value, only) in fixed {
            if let Some(value) = value.as_deref().filter(|value| *value != only) {
                return unsupported(option, value);
            }
        }
        if self.require_arbiter_strict && self.is_governed() && !self.names_an_arbiter() {
            return Err(ConfigError::NoArbiter);
        }
        if self.is_open() && self.visibility.is_limited() {
            return Err(ConfigError::VisibleToAll);
        }
        if self.workspace.is_some() && self.state_ref_format != "sha256" {
            return Err(ConfigError::StateRefFormat(self.state_ref_format.clone()));
        }
        if let Some(factor) = self.liveness.intent_backoff_multiplier.as_ref()
            && factor.as_f64() < 1.0
        {
            return Err(ConfigError::Multiplier(alloc::format!("{factor:?}")));
        }
        for (option, value) in [
            ("heartbeat_interval_sec", self.heartbeat_interval()),
            ("unavailability_timeout_sec", self.unavailability_timeout()),
            ("replay_window_sec", self.replay_window_sec.clone()),
        ] {
            if value.is_zero() {
                return Err(ConfigError::Zero(option));
            }
        }
        Ok(())
    }

    /// `service:coordinator-<session_id>` (SES-03).
    ///
    /// # Panics
    /// With a session id of more than [`MAX_SESSION_ID_BYTES`], which [`validate`](Self::validate) refuses.
    pub fn coordinator_id(&self) -> PrincipalId {
        let text = alloc::format!("service:coordinator-{}", self.session_id);
        PrincipalId::new(text).unwrap_or_else(|_| unreachable!("neither empty nor, validated, too long"))
    }

    /// The coordinator as a sender; each epoch is an incarnation of its own, told apart by all (REC-25).
    pub(crate) fn coordinator(&self, epoch: u64) -> Sender {
        let principal = self.coordinator_id();
        let instance = InstanceId::new(alloc::format!("{principal}:epoch-{epoch}"))
            .unwrap_or_else(|_| unreachable!("neither empty nor, validated, too long"));
        Sender::new(principal, PrincipalType::Service, instance)
    }

    /// Whether the rules of governance apply (D-136).
    pub fn is_governed(&self) -> bool {
        matches!(self.compliance_profile, ComplianceProfile::Governance | ComplianceProfile::Semantic)
    }

    fn credentials_grant(&self) -> bool {
        self.credential_roles != CredentialRoles::Absent
    }

    /// Whether anybody may join, proven or not (SEC-01).
    pub fn is_open(&self) -> bool {
        self.security_profile == SecurityProfile::Open
    }

    /// Whether every message must be signed, and what is passed on stays as it came (SEC-23, D-128).
    pub fn is_verified(&self) -> bool {
        self.security_profile == SecurityProfile::Verified
    }

    /// Whether this is a governance session whose role policy makes nobody an arbiter: it may be opened, with a warning
    /// to whoever opens it (GOV-11, D-047).
    pub fn lacks_arbiter(&self) -> bool {
        self.is_governed() && !self.names_an_arbiter()
    }

    /// Whether the role policy gives somebody the role of arbiter.
    fn names_an_arbiter(&self) -> bool {
        let assigned = self.role_policy.as_ref().and_then(|policy| policy.role_assignments.as_ref());
        assigned.is_some_and(|all| all.iter().any(|(_, roles)| roles.contains(&Role::Arbiter)))
    }

    /// Whether operations need an intent (INT-02).
    pub fn requires_intent(&self) -> bool {
        self.is_governed() && self.governance.require_intent.unwrap_or(true)
    }

    /// Seconds between two heartbeats: 30.
    pub fn heartbeat_interval(&self) -> Seconds {
        self.liveness.heartbeat_interval_sec.clone().unwrap_or(Seconds::whole(30))
    }

    /// Seconds of silence that make somebody unavailable: 90.
    pub fn unavailability_timeout(&self) -> Seconds {
        self.liveness.unavailability_timeout_sec.clone().unwrap_or(Seconds::whole(90))
    }

    /// Seconds a proposal outlives its intent: 30.
    pub fn intent_expiry_grace(&self) -> Seconds {
        self.governance.intent_expiry_grace_sec.clone().unwrap_or(Seconds::whole(30))
    }

    /// Seconds between two COORDINATOR_STATUS heartbeats: at most 10 (D-039).
    pub fn status_interval(&self) -> Seconds {
        self.heartbeat_interval().min(Seconds::whole(10))
    }

    /// The policy as SESSION_INFO and snapshots show it (HEL-04).
    pub fn effective_governance(&self) -> GovernancePolicy {
        let mut policy = self.governance.clone();
        policy.require_arbiter.get_or_insert_with(|| self.is_governed());
        policy.resolution_timeout_sec.get_or_insert_with(|| self.resolution_timeout());
        policy.require_acknowledgment.get_or_insert(true);
        policy.intent_expiry_grace_sec.get_or_insert(Seconds::whole(30));
        policy
    }

    /// The policy as SESSION_INFO and snapshots show it (D-045).
    pub fn effective_liveness(&self) -> LivenessPolicy {
        let mut policy = self.liveness.clone();
        policy.heartbeat_interval_sec.get_or_insert(Seconds::whole(30));
        policy.unavailability_timeout_sec.get_or_insert(Seconds::whole(90));
        policy.intent_backoff_initial_sec.get_or_insert(Seconds::whole(30));
        policy.intent_backoff_max_sec.get_or_insert(Seconds::whole(300));
        policy.intent_backoff_multiplier.get_or_insert_with(|| Number::from(2));
        policy.intent_claim_grace_period_sec.get_or_insert_with(|| self.claim_grace());
        policy.resolution_timeout_sec = Some(self.resolution_timeout());
        policy
    }

    /// Seconds in which a claim may be objected to: 30 (CLM-08).
    pub fn claim_grace(&self) -> Seconds {
        self.liveness.intent_claim_grace_period_sec.clone().unwrap_or(Seconds::whole(30))
    }

    /// Seconds of a freeze's phase: 60 for the first, 240 for the second (FRZ-18).
    pub fn frozen_phase(&self, phase: u8) -> Seconds {
        let policy = &self.governance;
        if phase == 1 {
            policy.frozen_scope_phase_1_sec.clone().unwrap_or(Seconds::whole(60))
        } else {
            policy.frozen_scope_phase_2_sec.clone().unwrap_or(Seconds::whole(240))
        }
    }

    /// Seconds a conflict may stay pending: 300; 0 disables (GOV-14).
    pub fn resolution_timeout(&self) -> Seconds {
        let configured = self.governance.resolution_timeout_sec.clone();
        configured.or_else(|| self.liveness.resolution_timeout_sec.clone()).unwrap_or(Seconds::whole(300))
    }
}

impl core::fmt::Display for ProtocolLevel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_is_not_built_yet_is_refused_at_the_start() {
        let mut config = SessionConfig::new(SessionId::new("s").unwrap());
        assert_eq!(config.validate(), Ok(()));
        config.security_profile = SecurityProfile::from("sealed");
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "security_profile = sealed is not supported yet"
        );
    }

    #[test]
    fn a_verified_session_needs_roles_and_a_key_to_sign_with() {
        let mut config = SessionConfig::new(SessionId::new("s").unwrap());
        config.security_profile = SecurityProfile::Verified;
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "a session of the verified profile needs a role_policy, or credentials that grant roles"
        );
        config.credential_roles = CredentialRoles::Limit;
        assert_eq!(config.validate(), Err(ConfigError::NoCoordinatorKey));
        config.coordinator_key = Some(PublicKey::new(&[7; 31]));
        assert_eq!(config.validate(), Err(ConfigError::CoordinatorKey));
        config.coordinator_key = Some(PublicKey::new(&[7; 32]));
        assert_eq!(config.validate(), Ok(()));
    }
}
