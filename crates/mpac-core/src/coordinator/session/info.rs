//! SESSION_INFO: the session as a joiner must know it, and what does not fit between the two (HEL-04 to HEL-11).

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use mpac_wire::Integer;
use mpac_wire::names::{ExecutionModel, Role, WatermarkKind};
use mpac_wire::payload::SessionInfo;
use mpac_wire::policy::SecurityConfig;

use super::super::gate::Facts;
use super::super::records::Member;
use super::super::state::Session;
use crate::config::{ProtocolLevel, minor_version};

/// What goes to `member`, who asked for these roles.
pub(super) fn session_info(
    session: &Session,
    facts: &Facts<'_>,
    member: &Member,
    asked: &[Role],
) -> SessionInfo {
    let config = &session.config;
    let mut info = SessionInfo::new(
        config.session_id.clone(),
        config.level.as_str().to_owned(),
        config.security_profile.clone(),
        config.compliance_profile.clone(),
        WatermarkKind::LamportClock,
        config.state_ref_format.clone(),
        member.roles.clone(),
    );
    info.execution_model = Some(config.execution_model.clone());
    info.governance_policy = Some(config.effective_governance());
    info.liveness_policy = Some(config.effective_liveness());
    let available = session.members.values().filter(|member| member.available).count() as u64;
    info.participant_count = Some(Integer::new(available));
    // True only if something was verified (HEL-11, D-020).
    info.identity_verified = Some(member.proof.is_some());
    info.identity_method = member.proof.as_ref().map(|proof| proof.method.clone());
    info.identity_issuer = member.proof.as_ref().and_then(|proof| proof.issuer.clone());
    info.compatibility_errors = Some(misfits(session, facts, member, asked));
    info.resource_registry = config.resource_registry.clone(); // SCO-14
    if !config.is_open() {
        let mut security = SecurityConfig::new();
        security.replay_window_sec = Some(config.replay_window_sec.clone());
        if let Some(own) = &session.coordinator_key {
            security.coordinator_key_fingerprint = Some(own.key.fingerprint().to_string()); // SEC-30
            security.coordinator_public_key = Some(own.key.to_string());
            security.key_exchange_method = Some("session_info".to_owned());
        }
        if config.is_verified() {
            security.log_integrity = Some("hash_chain".to_owned()); // SEC-25, D-130
        }
        info.security_config = Some(security);
    }
    info
}

/// What does not fit, for people. Nobody is kept out for it (HEL-07, HEL-08, D-048).
fn misfits(session: &Session, facts: &Facts<'_>, member: &Member, asked: &[Role]) -> Vec<String> {
    let config = &session.config;
    let mut found: Vec<String> = Vec::new();
    let missing: Vec<&str> =
        asked.iter().filter(|role| !member.roles.contains(role)).map(Role::as_str).collect();
    if !missing.is_empty() {
        found.push(alloc::format!("roles not granted by the role policy: {}", missing.join(", "))); // ROL-05
    }
    let stated = &facts.envelope.version;
    if minor_version(stated) < minor_version(config.level.as_str()) {
        let news = match config.level {
            ProtocolLevel::V0_1_13 => "",
            ProtocolLevel::V0_1_14 => " (INTENT_DEFERRED)",
            ProtocolLevel::V0_1_15 => " (INTENT_DEFERRED; STALE_INTENT in place of some conflicts)",
        };
        found.push(alloc::format!(
            "this session speaks {}{news}, HELLO was written in {stated}",
            config.level
        ));
    }
    if let Some(watermark) = facts.envelope.watermark.as_ref()
        && watermark.kind != WatermarkKind::LamportClock
    {
        let kind = watermark.kind.as_str();
        found.push(alloc::format!("watermark kind {kind} is not read here, lamport_clock is"));
    }
    let needed = [
        (config.is_governed(), "intent.broadcast"),
        (config.execution_model == ExecutionModel::PreCommit, "op.propose"),
    ];
    for (_, capability) in needed.iter().filter(|(needed, _)| *needed) {
        if !member.capabilities.iter().any(|it| it == capability) {
            found.push(alloc::format!("this session works with {capability}, which HELLO does not list"));
        }
    }
    if config.is_governed() && !arbiter_here(session) {
        found.push("no arbiter is present in this governance session".to_owned()); // GOV-11, D-047
    }
    found
}

fn arbiter_here(session: &Session) -> bool {
    let mut present = session.members.values().filter(|member| member.available && !member.departed);
    present.any(|member| member.roles.contains(&Role::Arbiter))
}
