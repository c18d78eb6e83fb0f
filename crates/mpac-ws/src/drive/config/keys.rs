//! The one table that says which keys there are.

use mpac_core::ProtocolLevel;
use mpac_core::config::{CredentialRoles, OperationAuthorization, ReportAudience, UnknownTypes};
use mpac_wire::names::{ComplianceProfile, ExecutionModel, SecurityProfile};
use mpac_wire::policy::LifecyclePolicy;

use super::{Config, policies};
use crate::drive::credentials::Verifier;
use crate::drive::failure::Failure;
use crate::drive::members::At;
use crate::drive::signatures::{OwnKey, Ring};

/// A key of `config`.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it takes and its default, for the help.
    pub(super) about: &'static str,
    pub(super) set: fn(&mut Config, &At<'_>) -> Result<(), Failure>,
}

/// In this order they are read: what a policy says as a whole comes before the keys that name one member of it.
pub(super) const KEYS: [Key; 47] = [
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
        let format: String = at.read()?;
        if format.is_empty() {
            return Err(at.wrong("expected what stands before the colon of every state reference"));
        }
        it.core.state_ref_format = format;
        Ok(())
    }),
    key("governance", "governance policy, any of its members", |it, at| {
        it.core.governance = policies::governance(at)?;
        Ok(())
    }),
    key("liveness", "liveness policy, any of its members", |it, at| {
        it.core.liveness = policies::liveness(at)?;
        Ok(())
    }),
    key("lifecycle", "lifecycle policy: auto_close, auto_close_grace_sec, ...", |it, at| {
        let mut policy: LifecyclePolicy = at.read()?;
        at.only_known(std::mem::take(&mut policy.extra), LifecyclePolicy::KEYS)?;
        it.core.lifecycle = policy;
        Ok(())
    }),
    key("role_policy", "default_role, role_assignments, role_constraints [every role as asked]", |it, at| {
        it.core.role_policy = Some(policies::role_policy(at)?);
        Ok(())
    }),
    key("backend_health_policy", "as in the liveness policy", |it, at| {
        let policy = Some(policies::backend_health(at)?);
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
    key(
        "coordinator_key",
        "{\"seed\": 64 hex digits} to sign with, or {\"public_key\"}; verified needs one",
        |it, at| {
            let own = OwnKey::read(at)?;
            (it.core.coordinator_key, it.signing) = (Some(own.public), own.signing);
            Ok(())
        },
    ),
    key("keys", "[{principal_id, public_key or secret}], base64url: what they sign with", |it, at| {
        it.ring = Ring::read(at)?;
        Ok(())
    }),
    key(
        "credential_roles",
        "absent, limit or override: what the roles of a credential are [absent]",
        |it, at| {
            let kinds = [
                ("absent", CredentialRoles::Absent),
                ("limit", CredentialRoles::Limit),
                ("override", CredentialRoles::Override),
            ];
            it.core.credential_roles = named(at, &kinds)?;
            Ok(())
        },
    ),
    key("workspace", "{path: content}: the shared files; {} where there is none yet", |it, at| {
        it.files = Some(policies::files(at)?);
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
    key("retained_records", "finished records of each kind that are kept [10000]", |it, at| {
        at.read().map(|records| it.core.retained_records = records)
    }),
    key("max_deferrals", "deferrals that may stand at one time [5000]", |it, at| {
        at.read().map(|count| it.core.max_deferrals = count)
    }),
    key("max_deferrals_each", "the same for one principal [100]", |it, at| {
        at.read().map(|count| it.core.max_deferrals_each = count)
    }),
    key("max_open_intents_each", "intents and claims of one principal that are not over [1000]", |it, at| {
        at.read().map(|count| it.core.max_open_each.intents = count)
    }),
    key("max_open_operations_each", "operations of one principal that wait [5000]", |it, at| {
        at.read().map(|count| it.core.max_open_each.operations = count)
    }),
    key(
        "max_open_conflicts_each",
        "conflicts that one principal brought about and that are open [1000]",
        |it, at| at.read().map(|count| it.core.max_open_each.conflicts = count),
    ),
    key(
        "max_recent_messages_each",
        "messages of one principal in two replay windows, not in the open profile [100000]",
        |it, at| at.read().map(|count| it.core.max_open_each.recent_messages = count),
    ),
    key("max_workspace_bytes", "bytes of shared files, by commits [268435456]", |it, at| {
        at.read().map(|bytes| it.core.workspace_limits.max_bytes = bytes)
    }),
    key("max_workspace_files", "how many there may be [100000]", |it, at| {
        at.read().map(|count| it.core.workspace_limits.max_files = count)
    }),
    key("resource_registry", "{\"mappings\": [{canonical_uri, aliases: [{kind, value}]}]}", |it, at| {
        it.core.resource_registry = Some(policies::resource_registry(at)?);
        Ok(())
    }),
    key(
        "semantic_confidence_threshold",
        "below it a human decides a semantic match, 0 to 1 [0.7]",
        |it, at| {
            let threshold: f64 = at.read()?;
            if !(0.0..=1.0).contains(&threshold) {
                return Err(at.wrong("expected a number from 0 to 1"));
            }
            it.core.semantic_confidence_threshold = threshold;
            Ok(())
        },
    ),
    key("governance_may_declare_unavailable", "true or false [false]", |it, at| {
        at.read().map(|may| it.core.governance_may_declare_unavailable = may)
    }),
    key(
        "require_arbiter_strict",
        "true: no governance session without an arbiter in role_policy [false]",
        |it, at| at.read().map(|strict| it.core.require_arbiter_strict = strict),
    ),
    key(
        "visibility",
        "{role: everything, no_contents, no_words or coordination}; not in the open profile [everything]",
        |it, at| {
            it.core.visibility = policies::visibility(at)?;
            Ok(())
        },
    ),
    key("mandatory_extensions", "list of keys that every HELLO must carry [none]", |it, at| {
        at.read().map(|keys| it.core.mandatory_extensions = keys)
    }),
    key("transcript_ref", "text for SESSION_CLOSE [absent]", |it, at| {
        at.read().map(|place| it.core.transcript_ref = Some(place))
    }),
    key(
        "limits",
        "max_bytes, max_depth, max_entries, max_pattern_bytes, max_entry_bytes, max_batch, max_observed, max_declared",
        |it, at| policies::limits(&mut it.core.limits, at),
    ),
];

const fn key(
    name: &'static str,
    about: &'static str,
    set: fn(&mut Config, &At<'_>) -> Result<(), Failure>,
) -> Key {
    Key { name, about, set }
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
