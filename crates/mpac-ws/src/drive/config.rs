//! From `config` to what a session is made of. One table says which keys there are; `--help` prints it.

use mpac_core::config::{CredentialRoles, OperationAuthorization, ReportAudience, UnknownTypes};
use mpac_core::scope::normalize;
use mpac_core::{ProtocolLevel, SessionConfig};
use mpac_wire::SessionId;
use mpac_wire::names::{
    AutoSwitch, BackendAction, ClaimApproval, ComplianceProfile, ExecutionModel, PrincipalType,
    SecurityProfile,
};
use mpac_wire::policy::{
    BackendHealthPolicy, GovernancePolicy, LifecyclePolicy, LivenessPolicy, RoleConstraint, RolePolicy,
};

use super::credentials::Verifier;
use super::failure::Failure;
use super::members::{At, Members};
use crate::banner::DEFAULT_SESSION;
use crate::workspace::path::components;
use crate::workspace::{File, Workspace};

/// What a session is made of.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) core: SessionConfig,
    /// Whether the session's id was given.
    pub(super) names_session: bool,
    /// The shared files, if the caller takes part in sharing them.
    pub(super) files: Option<Workspace>,
    pub(super) verifier: Verifier,
}

/// A key of `config`.
struct Key {
    name: &'static str,
    /// What it takes and its default, for the help.
    about: &'static str,
    set: fn(&mut Config, &At<'_>) -> Result<(), Failure>,
}

/// In this order they are read: what a policy says as a whole comes before the keys that name one member of it.
const KEYS: [Key; 28] = [
    key("session_id", "text [default]", |it, at| {
        it.core.session_id = at.read()?;
        it.names_session = true;
        Ok(())
    }),
    key("protocol_level", "0.1.13, 0.1.14 or 0.1.15 [0.1.13]", |it, at| {
        it.core.level = at.one_of(&ProtocolLevel::ALL, ToString::to_string)?;
        Ok(())
    }),
    key("security_profile", "open, authenticated or verified [open]", |it, at| {
        it.core.security_profile = at.one_of(SecurityProfile::LISTED, ToString::to_string)?;
        Ok(())
    }),
    key("compliance_profile", "core, governance or semantic [core]", |it, at| {
        it.core.compliance_profile = at.one_of(ComplianceProfile::LISTED, ToString::to_string)?;
        Ok(())
    }),
    key("execution_model", "post_commit or pre_commit [post_commit]", |it, at| {
        it.core.execution_model = at.one_of(ExecutionModel::LISTED, ToString::to_string)?;
        Ok(())
    }),
    key("state_ref_format", "text [sha256]", |it, at| {
        at.read().map(|format| it.core.state_ref_format = format)
    }),
    key("governance", "governance policy, any of its members", |it, at| {
        it.core.governance = governance(at)?;
        Ok(())
    }),
    key("liveness", "liveness policy, any of its members", |it, at| {
        it.core.liveness = liveness(at)?;
        Ok(())
    }),
    key("lifecycle", "lifecycle policy: auto_close, auto_close_grace_sec, ...", |it, at| {
        let policy: LifecyclePolicy = at.read()?;
        at.only_known(&policy.extra, LifecyclePolicy::KEYS)?;
        it.core.lifecycle = policy;
        Ok(())
    }),
    key("role_policy", "default_role, role_assignments, role_constraints [every role as asked]", |it, at| {
        it.core.role_policy = Some(role_policy(at)?);
        Ok(())
    }),
    key("backend_health_policy", "as in the liveness policy", |it, at| {
        let policy = Some(backend_health(at)?);
        once(&mut it.core.liveness.backend_health_policy, policy, at, "liveness.backend_health_policy")
    }),
    key("heartbeat_interval_sec", "seconds [30]; also in liveness", |it, at| {
        let slot = &mut it.core.liveness.heartbeat_interval_sec;
        once(slot, at.read()?, at, "liveness.heartbeat_interval_sec")
    }),
    key("unavailability_timeout_sec", "seconds [90]; also in liveness", |it, at| {
        let slot = &mut it.core.liveness.unavailability_timeout_sec;
        once(slot, at.read()?, at, "liveness.unavailability_timeout_sec")
    }),
    key("resolution_timeout_sec", "seconds, 0 never [300]; also in governance", |it, at| {
        let slot = &mut it.core.governance.resolution_timeout_sec;
        once(slot, at.read()?, at, "governance.resolution_timeout_sec")
    }),
    key("intent_claim_grace_sec", "seconds [30]; liveness.intent_claim_grace_period_sec", |it, at| {
        let slot = &mut it.core.liveness.intent_claim_grace_period_sec;
        once(slot, at.read()?, at, "liveness.intent_claim_grace_period_sec")
    }),
    key("intent_expiry_grace_sec", "seconds, 0 none [30]; also in governance", |it, at| {
        let slot = &mut it.core.governance.intent_expiry_grace_sec;
        once(slot, at.read()?, at, "governance.intent_expiry_grace_sec")
    }),
    key("default_intent_ttl_sec", "seconds [300]", |it, at| {
        at.read().map(|ttl| it.core.default_intent_ttl_sec = ttl)
    }),
    key("replay_window_sec", "seconds [300]; without effect in the open profile", |it, at| {
        at.read().map(|window| it.core.replay_window_sec = window)
    }),
    key("credentials", "{\"accept\": [{type, value, principal_id?, sessions?, roles?}]}", |it, at| {
        it.verifier = Verifier::read(at)?;
        if it.verifier.grants_roles() {
            it.core.credential_roles = CredentialRoles::Override;
        }
        Ok(())
    }),
    key("workspace", "{path: content}: the shared files; {} where there is none yet", |it, at| {
        it.files = Some(files(at)?);
        Ok(())
    }),
    key("unknown_message_types", "ignore or reject [ignore]", |it, at| {
        let kinds = [("ignore", UnknownTypes::Ignore), ("reject", UnknownTypes::Reject)];
        it.core.unknown_message_types = named(at, &kinds)?;
        Ok(())
    }),
    key("lamport_monotonicity", "enforce or warn [enforce]", |it, at| {
        it.core.enforce_lamport = named(at, &[("enforce", true), ("warn", false)])?;
        Ok(())
    }),
    key("conflict_report_audience", "involved, involved_and_governance or all [the second]", |it, at| {
        let kinds = [
            ("involved", ReportAudience::Involved),
            ("involved_and_governance", ReportAudience::InvolvedAndGovernance),
            ("all", ReportAudience::All),
        ];
        it.core.conflict_report_audience = named(at, &kinds)?;
        Ok(())
    }),
    key("enforce_intent_backoff", "true or false [false]", |it, at| {
        at.read().map(|enforce| it.core.enforce_intent_backoff = enforce)
    }),
    key("dependency_detection", "true or false [true]", |it, at| {
        at.read().map(|detect| it.core.dependency_detection = detect)
    }),
    key("operation_authorization", "auto or review [auto]", |it, at| {
        let kinds = [("auto", OperationAuthorization::Auto), ("review", OperationAuthorization::Review)];
        it.core.operation_authorization = named(at, &kinds)?;
        Ok(())
    }),
    key("opens_with_hello", "true: the session exists from its first HELLO on [false]", |it, at| {
        at.read().map(|opens| it.core.opens_with_hello = opens)
    }),
    key(
        "limits",
        "max_bytes, max_depth, max_entries, max_pattern_bytes, max_entry_bytes, max_batch",
        |it, at| limits(&mut it.core.limits, at),
    ),
];

const fn key(
    name: &'static str,
    about: &'static str,
    set: fn(&mut Config, &At<'_>) -> Result<(), Failure>,
) -> Key {
    Key { name, about, set }
}

/// The table for `--help`: each key, what it takes and, in brackets, its default.
pub(super) fn table() -> String {
    let width = KEYS.iter().map(|key| key.name.len()).max().unwrap_or_default();
    KEYS.iter().map(|key| format!("  {:width$}  {}\n", key.name, key.about)).collect()
}

impl Config {
    /// Reads `config`; every key may be absent.
    pub(super) fn read(members: &Members<'_>) -> Result<Self, Failure> {
        let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        members.only(&names)?;
        let id = SessionId::new(DEFAULT_SESSION).unwrap_or_else(|_| unreachable!("a constant that is an id"));
        let mut config = Self {
            core: SessionConfig::new(id),
            names_session: false,
            files: None,
            verifier: Verifier::default(),
        };
        // Statuses come when the caller asks for them.
        config.core.status_heartbeats = false;
        for key in &KEYS {
            if let Some(at) = members.get(key.name) {
                (key.set)(&mut config, &at)?;
            }
        }
        Ok(config)
    }

    /// What the core is to be opened with.
    pub(super) fn core(&self) -> SessionConfig {
        let mut core = self.core.clone();
        let files = self.files.iter().flat_map(Workspace::files);
        core.workspace = files.map(|(path, file)| (path.to_owned(), file.state_ref.clone())).collect();
        core
    }
}

/// Sets what two keys can set, which must not contradict each other.
fn once<T: PartialEq>(
    slot: &mut Option<T>,
    value: Option<T>,
    at: &At<'_>,
    other: &str,
) -> Result<(), Failure> {
    if slot.is_some() && *slot != value {
        return Err(at.wrong(format_args!("config.{other} says something else; give one of the two")));
    }
    *slot = value;
    Ok(())
}

fn named<T: Copy>(at: &At<'_>, kinds: &[(&'static str, T)]) -> Result<T, Failure> {
    at.one_of(kinds, |(name, _)| (*name).to_owned()).map(|(_, value)| value)
}

/// The wire takes any word for an open set of values; here a word that means nothing is a mistake.
fn listed<T: PartialEq + ToString>(
    value: Option<&T>,
    listed: &[T],
    at: &At<'_>,
    name: &str,
) -> Result<(), Failure> {
    match value.filter(|value| !listed.contains(value)) {
        Some(value) => {
            let names: Vec<String> = listed.iter().map(ToString::to_string).collect();
            Err(at.wrong(format_args!("{name}: {:?} is none of {}", value.to_string(), names.join(", "))))
        }
        None => Ok(()),
    }
}

fn governance(at: &At<'_>) -> Result<GovernancePolicy, Failure> {
    let policy: GovernancePolicy = at.read()?;
    at.only_known(&policy.extra, GovernancePolicy::KEYS)?;
    Ok(policy)
}

fn liveness(at: &At<'_>) -> Result<LivenessPolicy, Failure> {
    let policy: LivenessPolicy = at.read()?;
    at.only_known(&policy.extra, LivenessPolicy::KEYS)?;
    listed(policy.intent_claim_approval.as_ref(), ClaimApproval::LISTED, at, "intent_claim_approval")?;
    if let Some(inner) = at.members()?.get("backend_health_policy") {
        backend_health(&inner)?;
    }
    Ok(policy)
}

fn backend_health(at: &At<'_>) -> Result<BackendHealthPolicy, Failure> {
    let policy: BackendHealthPolicy = at.read()?;
    at.only_known(&policy.extra, BackendHealthPolicy::KEYS)?;
    listed(policy.on_degraded.as_ref(), BackendAction::LISTED, at, "on_degraded")?;
    listed(policy.on_down.as_ref(), BackendAction::LISTED, at, "on_down")?;
    listed(policy.auto_switch.as_ref(), AutoSwitch::LISTED, at, "auto_switch")?;
    Ok(policy)
}

fn role_policy(at: &At<'_>) -> Result<RolePolicy, Failure> {
    let policy: RolePolicy = at.read()?;
    at.only_known(&policy.extra, RolePolicy::KEYS)?;
    for (_, inner) in at
        .members()?
        .get("role_constraints")
        .map(|at| at.members())
        .transpose()?
        .iter()
        .flat_map(Members::each)
    {
        let constraint: RoleConstraint = inner.read()?;
        inner.only_known(&constraint.extra, RoleConstraint::KEYS)?;
        for kind in constraint.allowed_principal_types.iter().flatten() {
            listed(Some(kind), PrincipalType::LISTED, &inner, "allowed_principal_types")?;
        }
    }
    Ok(policy)
}

fn files(at: &At<'_>) -> Result<Workspace, Failure> {
    let mut workspace = Workspace::default();
    for (path, inner) in at.members()?.each() {
        if components(path).is_none() || normalize(path) != path {
            return Err(inner.wrong("not the name of a shared file: relative, with /, and without . or .."));
        }
        workspace.put(path, File::new(inner.read::<String>()?.into()));
    }
    Ok(workspace)
}

fn limits(limits: &mut mpac_wire::Limits, at: &At<'_>) -> Result<(), Failure> {
    // The parser itself ends at this depth.
    const DEEPEST: usize = 128;
    let slots = [
        ("max_bytes", &mut limits.max_bytes),
        ("max_depth", &mut limits.max_depth),
        ("max_entries", &mut limits.max_entries),
        ("max_pattern_bytes", &mut limits.max_pattern_bytes),
        ("max_entry_bytes", &mut limits.max_entry_bytes),
        ("max_batch", &mut limits.max_batch),
    ];
    let members = at.members()?;
    members.only(&slots.each_ref().map(|(name, _)| *name))?;
    for (name, slot) in slots {
        let Some(inner) = members.get(name) else { continue };
        let most = if name == "max_depth" { DEEPEST } else { usize::MAX };
        *slot = inner.read()?;
        if !(1..=most).contains(slot) {
            return Err(inner.wrong(format_args!(
                "expected 1 or more{}",
                if most == DEEPEST { ", at most 128" } else { "" }
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mpac_wire::Seconds;

    use super::*;
    use crate::drive::failure::Code;

    fn read(text: &str) -> Result<Config, String> {
        let line = format!("{{\"config\":{text}}}");
        let members = Members::of_line(&line, Code::InvalidConfig).unwrap();
        Config::read(&members.need("config").unwrap().members().unwrap()).map_err(|failure| failure.message)
    }

    #[test]
    fn without_keys_a_session_has_the_defaults_and_no_heartbeats_of_its_own() {
        let config = read("{}").unwrap();
        let mut expected = SessionConfig::new(SessionId::new("default").unwrap());
        expected.status_heartbeats = false;
        assert_eq!(config.core, expected);
        assert!(config.files.is_none());
    }

    #[test]
    fn keys_reach_the_policies_that_they_belong_to() {
        let config = read(
            r#"{"session_id": "s", "protocol_level": "0.1.15", "heartbeat_interval_sec": 7, "session_id": "t",
                "unavailability_timeout_sec": 8.5, "resolution_timeout_sec": "9", "intent_claim_grace_sec": 0,
                "intent_expiry_grace_sec": 1, "governance": {"frozen_scope_phase_1_sec": 2},
                "lifecycle": {"auto_close": true}, "backend_health_policy": {"enabled": true},
                "limits": {"max_batch": 3}, "lamport_monotonicity": "warn", "role_policy": null}"#,
        )
        .unwrap()
        .core;
        assert_eq!(config.session_id.as_str(), "t");
        assert_eq!(config.level, ProtocolLevel::V0_1_15);
        assert_eq!(config.heartbeat_interval(), Seconds::whole(7));
        assert_eq!(config.unavailability_timeout(), Seconds::from_micros(8_500_000));
        assert_eq!(config.resolution_timeout(), Seconds::whole(9));
        assert_eq!(config.claim_grace(), Seconds::ZERO);
        assert_eq!(config.intent_expiry_grace(), Seconds::whole(1));
        assert_eq!(config.frozen_phase(1), Seconds::whole(2));
        assert_eq!(config.lifecycle.auto_close, Some(true));
        assert_eq!(config.liveness.backend_health_policy.unwrap().enabled, Some(true));
        assert_eq!((config.limits.max_batch, config.enforce_lamport), (3, false));
        assert_eq!(config.role_policy, None);
    }

    #[test]
    fn mistakes_are_named_with_their_path() {
        for (text, expected) in [
            (r#"{"sesion_id": "s"}"#, "config.sesion_id: unknown key (did you mean `session_id`?)"),
            (
                r#"{"governance": {"frozen_scope_phase1_sec": 1}}"#,
                "config.governance.frozen_scope_phase1_sec: unknown key (did you mean `frozen_scope_phase_1_sec`?)",
            ),
            (
                r#"{"role_policy": {"role_constraints": {"owner": {"max": 1}}}}"#,
                "config.role_policy.role_constraints[\"owner\"].max: unknown key; there are max_count, allowed_principal_types",
            ),
            (
                r#"{"role_policy": {"role_assignments": {"p": "owner"}}}"#,
                "config.role_policy.role_assignments.p: invalid type: string \"owner\", expected a sequence",
            ),
            (
                r#"{"liveness": {"intent_claim_approval": "maybe"}}"#,
                "config.liveness: intent_claim_approval: \"maybe\" is none of governance, auto",
            ),
            (
                r#"{"liveness": {"backend_health_policy": {"on_dwn": "warn"}}}"#,
                "config.liveness.backend_health_policy.on_dwn: unknown key (did you mean `on_down`?)",
            ),
            (
                r#"{"protocol_level": "0.1.12"}"#,
                "config.protocol_level: \"0.1.12\" is none of 0.1.13, 0.1.14, 0.1.15",
            ),
            (r#"{"session_id": ""}"#, "config.session_id: an identifier has 1 to 256 bytes"),
            (
                r#"{"heartbeat_interval_sec": -1}"#,
                "config.heartbeat_interval_sec: expected a number of seconds, 0 or more, found -1",
            ),
            (
                r#"{"resolution_timeout_sec": 1, "governance": {"resolution_timeout_sec": 2}}"#,
                "config.resolution_timeout_sec: config.governance.resolution_timeout_sec says something else",
            ),
            (r#"{"workspace": {"../x": ""}}"#, "config.workspace[\"../x\"]: not the name of a shared file"),
            (
                r#"{"workspace": {"x": 7}}"#,
                "config.workspace[\"x\"]: invalid type: integer `7`, expected a string",
            ),
            (r#"{"limits": {"max_depth": 129}}"#, "config.limits.max_depth: expected 1 or more, at most 128"),
            (r#"{"limits": []}"#, "config.limits: expected an object"),
            (
                r#"{"lamport_monotonicity": true}"#,
                "config.lamport_monotonicity: invalid type: boolean `true`, expected a string",
            ),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.starts_with(expected), "{message}\n{expected}");
        }
    }

    #[test]
    fn the_same_said_twice_is_no_contradiction() {
        let text = r#"{"resolution_timeout_sec": 1, "governance": {"resolution_timeout_sec": 1.0}}"#;
        assert_eq!(read(text).unwrap().core.resolution_timeout(), Seconds::whole(1));
    }

    #[test]
    fn the_table_names_every_key() {
        let table = table();
        assert_eq!(table.lines().count(), KEYS.len());
        assert!(table.contains("session_id") && table.contains("[default]"));
    }
}
