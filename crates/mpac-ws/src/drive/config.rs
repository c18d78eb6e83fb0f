//! From `config` to what a session is made of. One table says which keys there are; `--help` prints it.

mod keys;
mod policies;
pub(crate) mod stored;

use mpac_core::SessionConfig;
use mpac_wire::policy::{GovernancePolicy, LivenessPolicy, RolePolicy};
use mpac_wire::{Seconds, SessionId};

use self::keys::KEYS;
use super::credentials::Verifier;
use super::failure::{Code, Failure};
use super::members::{At, Members};
use super::signatures::Ring;
use crate::banner::DEFAULT_SESSION;
use crate::signing::Signing;
use crate::workspace::Workspace;

/// What a session is made of.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) core: SessionConfig,
    /// Whether the session's id was given.
    pub(super) names_session: bool,
    /// The shared files, if the caller takes part in sharing them.
    pub(super) files: Option<Workspace>,
    pub(super) verifier: Verifier,
    /// What the coordinator signs with.
    pub(super) signing: Option<Signing>,
    /// What participants sign with.
    pub(super) ring: Ring,
}

/// The table for `--help`: each key, what it takes and, in brackets, its default.
pub(super) fn table() -> String {
    let width = KEYS.iter().map(|key| key.name.len()).max().unwrap_or_default();
    KEYS.iter().map(|key| format!("  {:width$}  {}\n", key.name, key.about)).collect()
}

/// Keys that only `drive` takes, and what a server has for them.
const ONLY_HERE: [(&str, &str); 9] = [
    ("session_id", "give --session"),
    ("security_profile", "give --security-profile"),
    ("credentials", "make keys with `mpac-ws token`"),
    ("coordinator_key", "give --signing-key"),
    ("keys", "give --trust-anchors, or register keys with `mpac-ws token signer`"),
    ("workspace", "give --workspace"),
    ("opens_with_hello", "give --multi-session"),
    ("max_workspace_bytes", "give --max-workspace-bytes"),
    ("max_workspace_files", "give --max-workspace-files"),
];

/// A role policy alone, which may have no members but those it is known to have.
pub(crate) fn role_policy(text: &str) -> Result<RolePolicy, String> {
    let read = || -> Result<RolePolicy, Failure> {
        filled(text)?;
        Members::of_line(text, Code::InvalidConfig)?; // for the position in this text alone
        let line = format!("{{\"role_policy\":{text}}}");
        policies::role_policy(&Members::of_line(&line, Code::InvalidConfig)?.need("role_policy")?)
    };
    read().map_err(|failure| failure.message)
}

/// An empty file is no JSON; whoever wrote it meant something else.
fn filled(text: &str) -> Result<(), Failure> {
    let empty = || Failure::new(Code::InvalidConfig, "nothing in it; {} says nothing".to_owned());
    if text.trim().is_empty() { Err(empty()) } else { Ok(()) }
}

/// A server's session, as far as `text`, a JSON object with the keys of [`table`], says; `flags` for the rest.
pub(crate) fn of_server(text: &str, flags: SessionConfig) -> Result<SessionConfig, String> {
    let read = || -> Result<SessionConfig, Failure> {
        filled(text)?;
        let members = Members::of_line(text, Code::InvalidConfig)?;
        if let Some((at, instead)) = ONLY_HERE.iter().find_map(|(key, way)| Some((members.any(key)?, way))) {
            return Err(at.wrong(format_args!("not for a server: {instead}")));
        }
        let here = |key: &&str| ONLY_HERE.iter().all(|(other, _)| other != key);
        members.only(&KEYS.iter().map(|key| key.name).filter(here).collect::<Vec<_>>())?;
        if let Some(bytes) =
            members.get("limits").map(|at| at.members()).transpose()?.and_then(|it| it.get("max_bytes"))
        {
            return Err(bytes.wrong("not for a server: give --max-frame-bytes")); // its sockets must know it too
        }
        // What nobody speaks of stays as the flags have it; of a policy, each member.
        let mut base = flags.clone();
        (base.liveness, base.governance) = (LivenessPolicy::new(), GovernancePolicy::new());
        let mut core = Config::over(base, &members)?.core;
        let (liveness, governance) = (&mut core.liveness, &mut core.governance);
        // The file wins over a flag, whose value may be nothing but its default.
        let fill = |slot: &mut Option<Seconds>, flag: Option<Seconds>| *slot = slot.take().or(flag);
        fill(&mut liveness.heartbeat_interval_sec, flags.liveness.heartbeat_interval_sec);
        fill(&mut liveness.unavailability_timeout_sec, flags.liveness.unavailability_timeout_sec);
        fill(&mut liveness.intent_claim_grace_period_sec, flags.liveness.intent_claim_grace_period_sec);
        fill(&mut governance.resolution_timeout_sec, flags.governance.resolution_timeout_sec);
        core.role_policy = core.role_policy.or(flags.role_policy);
        core.limits.max_bytes = flags.limits.max_bytes;
        core.status_heartbeats = true;
        Ok(core)
    };
    read().map_err(|failure| failure.message)
}

impl Config {
    /// Reads `config`; every key may be absent.
    pub(super) fn read(members: &Members<'_>) -> Result<Self, Failure> {
        let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        members.only(&names)?;
        let id = SessionId::new(DEFAULT_SESSION).unwrap_or_else(|_| unreachable!("a constant that is an id"));
        Self::over(SessionConfig::new(id), members)
    }

    /// The same, with `core` for whatever is not said.
    fn over(core: SessionConfig, members: &Members<'_>) -> Result<Self, Failure> {
        let mut config = Self {
            core,
            names_session: false,
            files: None,
            verifier: Verifier::default(),
            signing: None,
            ring: Ring::default(),
        };
        // Statuses come when the caller asks for them.
        config.core.status_heartbeats = false;
        for key in &KEYS {
            if let Some(at) = members.get(key.name) {
                if key.name != "workspace" {
                    durations_are_numbers(&at)?; // the keys of a workspace are paths
                }
                (key.set)(&mut config, &at)?;
            }
        }
        Ok(config)
    }

    /// What the core is to be opened with.
    pub(super) fn core(&self) -> SessionConfig {
        let mut core = self.core.clone();
        core.workspace = self.files.as_ref().map(Workspace::refs);
        core.workspace_sizes = self.files.as_ref().map(Workspace::sizes).unwrap_or_default();
        core
    }
}

/// Of messages a duration may be text (D-003), and is passed on as it came; what is configured is shown to everybody.
fn durations_are_numbers(at: &At<'_>) -> Result<(), Failure> {
    if at.is_duration() && at.text().starts_with('"') {
        return Err(at.wrong(format_args!("expected a number of seconds, found {}", at.text())));
    }
    if at.text().starts_with('{') {
        at.members()?.each().try_for_each(|(_, inner)| durations_are_numbers(&inner))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mpac_core::ProtocolLevel;
    use mpac_wire::Seconds;

    use super::*;

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
    fn a_duration_that_is_text_is_refused_wherever_it_stands() {
        let expected = "expected a number of seconds, found \"45\"";
        for text in [
            r#"{"heartbeat_interval_sec": "45"}"#,
            r#"{"liveness": {"heartbeat_interval_sec": "45"}}"#,
            r#"{"liveness": {"backend_health_policy": {"check_interval_sec": "45"}}}"#,
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains("_sec") && error.contains(expected), "{error}");
        }
        assert!(read(r#"{"workspace": {"a_sec": "45"}}"#).is_ok(), "a file may be called so");
    }

    #[test]
    fn a_server_takes_most_keys_and_its_flags_for_the_rest() {
        let mut flags = SessionConfig::new(SessionId::new("team").unwrap());
        flags.liveness.heartbeat_interval_sec = Some(Seconds::whole(30));
        flags.governance.resolution_timeout_sec = Some(Seconds::whole(300));
        flags.level = ProtocolLevel::V0_1_14;
        // Whoever adds a file to an authenticated server does not open it to everybody.
        flags.security_profile = mpac_wire::names::SecurityProfile::Authenticated;
        flags.credential_roles = mpac_core::config::CredentialRoles::Limit;
        flags.workspace_limits.max_bytes = 7;
        let text = r#"{"resolution_timeout_sec": 60, "enforce_intent_backoff": true, "compliance_profile": "governance"}"#;
        let config = of_server(text, flags.clone()).unwrap();
        assert_eq!(config.session_id.as_str(), "team");
        assert_eq!(config.governance.resolution_timeout_sec, Some(Seconds::whole(60)));
        assert_eq!(config.liveness.heartbeat_interval_sec, Some(Seconds::whole(30)));
        assert!(config.enforce_intent_backoff && config.is_governed() && config.status_heartbeats);
        assert_eq!(config.level, ProtocolLevel::V0_1_14);
        assert_eq!(
            (config.security_profile, config.credential_roles),
            (flags.security_profile.clone(), flags.credential_roles)
        );
        assert_eq!(config.workspace_limits, flags.workspace_limits);
        let refused = |text: &str| of_server(text, flags.clone()).unwrap_err();
        for (text, expected) in [
            (r#"{"credentials": {}}"#, "credentials: not for a server: make keys with `mpac-ws token`"),
            (r#"{"workspace": null}"#, "workspace: not for a server: give --workspace"),
            (r#"{"limits": {"max_bytes": 9}}"#, "limits.max_bytes: not for a server: give --max-frame-bytes"),
            (" \n", "nothing in it; {} says nothing"),
        ] {
            assert_eq!(refused(text), expected);
        }
        assert!(refused(r#"{"resolution_timeot_sec": 1}"#).contains("resolution_timeout_sec"));
        assert!(refused("[]").contains("not a JSON object"));
    }

    #[test]
    fn a_role_policy_alone_has_no_members_but_its_own() {
        let policy = role_policy(r#"{"default_role": "owner"}"#).unwrap();
        assert_eq!(policy.default_role, Some(mpac_wire::names::Role::Owner));
        let refused = |text: &str| role_policy(text).unwrap_err();
        assert_eq!(
            refused(r#"{"defaut_role": "owner"}"#),
            "role_policy.defaut_role: unknown key (did you mean `default_role`?)"
        );
        assert_eq!(refused("{\n7}"), "not JSON: key must be a string, at line 2, byte 1");
        assert_eq!(refused("[]"), "not a JSON object");
        assert_eq!(refused(""), "nothing in it; {} says nothing");
    }

    #[test]
    fn keys_reach_the_policies_that_they_belong_to() {
        let config = read(
            r#"{"session_id": "s", "protocol_level": "0.1.15", "heartbeat_interval_sec": 7, "session_id": "t",
                "unavailability_timeout_sec": 8.5, "resolution_timeout_sec": 9, "intent_claim_grace_sec": 0,
                "intent_expiry_grace_sec": 1, "governance": {"frozen_scope_phase_1_sec": 2},
                "lifecycle": {"auto_close": true}, "backend_health_policy": {"enabled": true},
                "limits": {"max_batch": 3, "max_observed": 4, "max_declared": 7}, "max_deferrals": 6, "max_deferrals_each": 5,
                "lamport_monotonicity": "warn", "role_policy": null,
                "resource_registry": {"mappings": [{"canonical_uri": "u", "aliases": [{"kind": "file_set", "value": "a"}]}]},
                "semantic_confidence_threshold": 0.5, "governance_may_declare_unavailable": true,
                "mandatory_extensions": ["k"], "require_arbiter_strict": true, "transcript_ref": "t"}"#,
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
        assert_eq!(config.limits.max_declared, 7);
        assert_eq!((config.limits.max_observed, config.max_deferrals_each, config.max_deferrals), (4, 5, 6));
        assert_eq!(config.role_policy, None);
        assert_eq!(config.resource_registry.unwrap().mappings.len(), 1);
        assert!(config.semantic_confidence_threshold < 0.6 && config.governance_may_declare_unavailable);
        assert!(config.require_arbiter_strict && config.mandatory_extensions == ["k"]);
        assert_eq!(config.transcript_ref.as_deref(), Some("t"));
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
                "config.role_policy.role_assignments.p: invalid type: string \"owner\", expected a list",
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
            (r#"{"semantic_confidence_threshold": 2}"#, "config.semantic_confidence_threshold: "),
            (
                r#"{"resource_registry": {"mappings": [{"canonical_uri": "u"}]}}"#,
                "config.resource_registry.mappings[0]: missing field `aliases`",
            ),
            (r#"{"workspace": {"../x": ""}}"#, "config.workspace[\"../x\"]: not the name of a shared file"),
            (
                r#"{"workspace": {"x": 7}}"#,
                "config.workspace[\"x\"]: invalid type: integer `7`, expected a string",
            ),
            (r#"{"limits": {"max_depth": 129}}"#, "config.limits.max_depth: expected 1 to 128"),
            (
                r#"{"semantic_confidence_threshold": 1.5}"#,
                "config.semantic_confidence_threshold: expected a number",
            ),
            (
                r#"{"resource_registry": {"mappings": [{"canonical_uri": "u", "aliases": [], "x": 1}]}}"#,
                "config.resource_registry.x: unknown key",
            ),
            (r#"{"limits": []}"#, "config.limits: expected an object"),
            (r#"{"coordinator_key": {}}"#, "config.coordinator_key: give either `seed`"),
            (
                r#"{"coordinator_key": {"seed": "00"}}"#,
                "config.coordinator_key.seed: expected 64 hexadecimal digits",
            ),
            (
                r#"{"coordinator_key": {"public_key": "AAAA"}}"#,
                "config.coordinator_key.public_key: expected 32 bytes in base64url",
            ),
            (r#"{"keys": [{"principal_id": "p"}]}"#, "config.keys[0]: give either `public_key`"),
            (
                r#"{"keys": [{"principal_id": "p", "secret": "AAAA"}]}"#,
                "config.keys[0].secret: expected at least 32 bytes",
            ),
            (r#"{"keys": [{"principal_id": "p", "public_key": "A="}]}"#, "config.keys[0].public_key: "),
            (r#"{"limits": {"max_batch": 0}}"#, "config.limits.max_batch: expected 1 or more"),
            (r#"{"state_ref_format": ""}"#, "config.state_ref_format: expected what stands before"),
            (
                r#"{"retained_records": 1.5}"#,
                "config.retained_records: invalid type: floating point `1.5`, expected a whole number, 0 or more",
            ),
            (
                r#"{"semantic_confidence_threshold": "x"}"#,
                "config.semantic_confidence_threshold: invalid type: string \"x\", expected a number",
            ),
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
