//! A session's configuration as text that reads back as the same: what a log was written under.

use std::collections::BTreeMap;

use mpac_core::SessionConfig;
use mpac_core::config::{CredentialRoles, OperationAuthorization, ReportAudience, UnknownTypes};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Code, Config, Failure, Members};

/// JSON with the keys of [`table`](super::table), without the workspace, which is stored on its own.
///
/// # Errors
/// When a value has no JSON form; none that a configuration can hold lacks one.
pub(crate) fn write(config: &SessionConfig) -> Result<String, serde_json::Error> {
    let mut keys: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
    let mut put = |key, value: &dyn ErasedJson| value.json().map(|json| keys.insert(key, json)).map(drop);
    put("session_id", &config.session_id)?;
    put("protocol_level", &config.level.as_str())?;
    put("security_profile", &config.security_profile)?;
    put("compliance_profile", &config.compliance_profile)?;
    put("execution_model", &config.execution_model)?;
    put("state_ref_format", &config.state_ref_format)?;
    put("governance", &config.governance)?;
    put("liveness", &config.liveness)?;
    put("lifecycle", &config.lifecycle)?;
    put("role_policy", &config.role_policy)?;
    put(
        "credential_roles",
        &match config.credential_roles {
            CredentialRoles::Limit => "limit",
            CredentialRoles::Override => "override",
            _ => "absent",
        },
    )?;
    put("default_intent_ttl_sec", &config.default_intent_ttl_sec)?;
    put("replay_window_sec", &config.replay_window_sec)?;
    if let Some(key) = &config.coordinator_key {
        put("coordinator_key", &BTreeMap::from([("public_key", key)]))?;
    }
    put(
        "unknown_message_types",
        &match config.unknown_message_types {
            UnknownTypes::Reject => "reject",
            _ => "ignore",
        },
    )?;
    put("lamport_monotonicity", &if config.enforce_lamport { "enforce" } else { "warn" })?;
    put(
        "conflict_report_audience",
        &match config.conflict_report_audience {
            ReportAudience::Involved => "involved",
            ReportAudience::All => "all",
            _ => "involved_and_governance",
        },
    )?;
    put("enforce_intent_backoff", &config.enforce_intent_backoff)?;
    put("dependency_detection", &config.dependency_detection)?;
    put(
        "operation_authorization",
        &match config.operation_authorization {
            OperationAuthorization::Review => "review",
            _ => "auto",
        },
    )?;
    put("opens_with_hello", &config.opens_with_hello)?;
    put("retained_records", &config.retained_records)?;
    put("max_deferrals", &config.max_deferrals)?;
    put("max_deferrals_each", &config.max_deferrals_each)?;
    put("max_open_intents_each", &config.max_open_each.intents)?;
    put("max_open_operations_each", &config.max_open_each.operations)?;
    put("max_open_conflicts_each", &config.max_open_each.conflicts)?;
    put("max_recent_messages_each", &config.max_open_each.recent_messages)?;
    put("max_workspace_bytes", &config.workspace_limits.max_bytes)?;
    put("max_workspace_files", &config.workspace_limits.max_files)?;
    put("resource_registry", &config.resource_registry)?;
    put("semantic_confidence_threshold", &config.semantic_confidence_threshold)?;
    put("governance_may_declare_unavailable", &config.governance_may_declare_unavailable)?;
    put("require_arbiter_strict", &config.require_arbiter_strict)?;
    let sights = config.visibility.by_role.iter().map(|(role, sight)| (role.as_str(), sight.as_str()));
    put("visibility", &sights.collect::<BTreeMap<_, _>>())?;
    put("mandatory_extensions", &config.mandatory_extensions)?;
    put("transcript_ref", &config.transcript_ref)?;
    let limits = &config.limits;
    let limits = BTreeMap::from([
        ("max_bytes", limits.max_bytes),
        ("max_depth", limits.max_depth),
        ("max_entries", limits.max_entries),
        ("max_pattern_bytes", limits.max_pattern_bytes),
        ("max_entry_bytes", limits.max_entry_bytes),
        ("max_batch", limits.max_batch),
        ("max_observed", limits.max_observed),
        ("max_declared", limits.max_declared),
    ]);
    put("limits", &limits)?;
    serde_json::to_string(&keys)
}

/// A server's configuration as [`write()`] wrote it, without its workspace.
///
/// # Errors
/// What is wrong with the text, by key.
pub(crate) fn read(text: &str) -> Result<SessionConfig, String> {
    let read = || -> Result<SessionConfig, Failure> {
        let members = Members::of_line(text, Code::InvalidConfig)?;
        let mut core = Config::read(&members)?.core;
        core.status_heartbeats = true;
        Ok(core)
    };
    read().map_err(|failure| failure.message)
}

/// Anything with a JSON form, kept as it spells itself.
trait ErasedJson {
    fn json(&self) -> Result<Box<RawValue>, serde_json::Error>;
}

impl<T: Serialize> ErasedJson for T {
    fn json(&self) -> Result<Box<RawValue>, serde_json::Error> {
        to_raw_value(self)
    }
}

#[cfg(test)]
mod tests {
    use mpac_wire::SessionId;

    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same_with_every_number_as_it_was_spelled() {
        let mut config = SessionConfig::new(SessionId::new("s").unwrap());
        assert_eq!(read(&write(&config).unwrap()).unwrap(), config, "the defaults");
        let text = r#"{"protocol_level": "0.1.15", "compliance_profile": "governance", "execution_model": "pre_commit",
            "governance": {"frozen_scope_phase_1_sec": 2.50}, "liveness": {"heartbeat_interval_sec": 7.0},
            "lifecycle": {"auto_close": true}, "role_policy": {"default_role": "owner"}, "replay_window_sec": 9,
            "default_intent_ttl_sec": 8, "unknown_message_types": "reject", "lamport_monotonicity": "warn",
            "conflict_report_audience": "all", "enforce_intent_backoff": true, "dependency_detection": false,
            "operation_authorization": "review", "opens_with_hello": true, "retained_records": 5, "max_deferrals": 6,
            "max_deferrals_each": 7, "max_open_intents_each": 8, "max_open_operations_each": 9,
            "max_open_conflicts_each": 10, "max_recent_messages_each": 13, "max_workspace_bytes": 11, "max_workspace_files": 12, "visibility": {"observer": "no_words", "owner": "coordination"}, "semantic_confidence_threshold": 0.25, "state_ref_format": "git_hash",
            "governance_may_declare_unavailable": true, "require_arbiter_strict": true, "mandatory_extensions": ["k"],
            "transcript_ref": "t", "session_id": "x", "credential_roles": "limit",
            "coordinator_key": {"public_key": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"},
            "resource_registry": {"mappings": [{"canonical_uri": "u", "aliases": [{"kind": "file_set", "value": "a"}]}]},
            "limits": {"max_bytes": 5000, "max_depth": 9, "max_entries": 8, "max_pattern_bytes": 7,
                       "max_entry_bytes": 6, "max_batch": 5, "max_observed": 4, "max_declared": 3}}"#;
        config = read(text).unwrap();
        let written = write(&config).unwrap();
        let back = read(&written).unwrap();
        assert_eq!(back, config);
        assert_eq!(write(&back).unwrap(), written);
        assert!(written.contains("2.50") && written.contains("7.0"), "{written}");
        let defaults = SessionConfig::new(SessionId::new("x").unwrap());
        let (changed, same) = (format!("{config:?}"), format!("{defaults:?}"));
        assert_ne!(changed, same);
    }
}
