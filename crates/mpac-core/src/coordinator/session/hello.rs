//! HELLO: a participant joins, comes back, or refreshes what it said (HEL-02 to HEL-17).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{HeartbeatStatus, ProviderStatus, Role, WatermarkKind};
use mpac_wire::payload::{Backend, Hello, SessionInfo};
use mpac_wire::{Integer, PrincipalId};

use super::super::gate::{Facts, count_as_received};
use super::super::governance::freeze;
use super::super::outbox::Outbox;
use super::super::records::Member;
use super::super::state::Session;
use super::super::{recover, retention};
use super::{connection, divergence, liveness};
use crate::input::ConnId;
use crate::output::{HangUpReason, Notice, Recipients};
use crate::refusal::Refusal;

/// What was found out before anything changes.
struct Join {
    asked: Vec<Role>,
    granted: Vec<Role>,
    /// The connection whose place this one takes.
    displaced: Option<ConnId>,
}

/// A refused HELLO leaves nothing behind; it counts as received only once it is accepted (HEL-03, LAM-10).
pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
) -> Result<(), Refusal> {
    let hello: Hello = facts.envelope.payload.read()?;
    let join = plan(session, facts, &hello)?;
    apply(session, out, facts, hello, join);
    Ok(())
}

fn plan(session: &Session, facts: &Facts<'_>, hello: &Hello) -> Result<Join, Refusal> {
    if session.unopened && !session.vacancy {
        return Err(Refusal::NoVacancy(session.config.session_id.clone())); // SES-02
    }
    let sender = &facts.envelope.sender;
    let principal = &sender.principal_id;
    let before = session.members.get(principal).and_then(|member| member.conn.map(|conn| (member, conn)));
    let displaced = match before {
        Some((_, conn)) if conn == facts.conn => None,
        Some((member, _)) if member.sender.sender_instance_id != sender.sender_instance_id => {
            return Err(Refusal::PrincipalTaken(principal.clone())); // D-016, open profile
        }
        Some((_, conn)) => Some(conn),
        None => None,
    };
    let asked = hello.roles.clone().unwrap_or_else(|| [Role::Participant].into());
    let others_with = |role: &Role| {
        let holders = session.members.values();
        let others = holders.filter(|member| !member.departed && member.sender.principal_id != *principal);
        others.filter(|member| member.roles.contains(role)).count() as u64
    };
    let granted = session
        .config
        .grant(principal, &sender.principal_type, &asked, others_with)
        .ok_or_else(|| Refusal::NoRole(principal.clone()))?;
    Ok(Join { asked, granted, displaced })
}

fn apply(session: &mut Session, out: &mut Outbox, facts: &Facts<'_>, hello: Hello, join: Join) {
    let sender = &facts.envelope.sender;
    let principal = sender.principal_id.clone();
    if let Some(old) = join.displaced {
        connection::unbind(session, out, old);
        out.hang_up(old, HangUpReason::Replaced);
    }
    let joined = match session.members.get(&principal) {
        Some(member) => member.joined,
        None => {
            retention::make_room_for_a_member(session);
            session.members.len() as u64 + session.forgotten.participants
        }
    };
    let before = session.members.remove(&principal);
    let member = Member {
        sender: connection::plain(sender),
        display_name: hello.display_name,
        roles: join.granted,
        capabilities: hello.capabilities,
        backend: hello.backend.map(|backend| Backend::new(backend.model_id, backend.provider)),
        provider_status: ProviderStatus::Unknown,
        alerted: false,
        approved_model: None,
        status: HeartbeatStatus::Idle,
        available: true,
        departed: false,
        last_seen: before.as_ref().map_or(session.now, |member| member.last_seen),
        last_message: None,
        conn: before.and_then(|member| member.conn),
        joined,
    };
    session.members.insert(principal.clone(), member);
    if core::mem::take(&mut session.unopened) {
        session.restart_clock();
        out.notice(Notice::Opened);
    }
    connection::bind(session, out, facts.conn, &principal);
    count_as_received(session, out, facts);
    // SESSION_INFO comes before anything else that goes to the joiner (HEL-02).
    let info = session_info(session, &principal, &join.asked);
    out.answer(session, Recipients::Conn(facts.conn), info, Some(&facts.envelope.message_id));
    recover::tell(session, out, &principal);
    let message_id = &facts.envelope.message_id;
    divergence::after_hello(session, out, &principal, message_id, hello.extensions.as_ref());
    liveness::restore_intents(session, out, &principal);
    if session.members.get(&principal).is_some_and(|member| member.roles.contains(&Role::Arbiter)) {
        freeze::arbiter_came(session, out, &principal);
    }
}

fn session_info(session: &Session, principal: &PrincipalId, asked: &[Role]) -> SessionInfo {
    let config = &session.config;
    let granted = session.members.get(principal).map(|member| member.roles.clone()).unwrap_or_default();
    let missing: Vec<&str> = asked.iter().filter(|role| !granted.contains(role)).map(Role::as_str).collect();
    let mut problems: Vec<String> = Vec::new();
    if !missing.is_empty() {
        problems.push(alloc::format!("roles not granted by the role policy: {}", missing.join(", "))); // ROL-05
    }
    let arbiter_here = || {
        let mut present = session.members.values().filter(|member| member.available && !member.departed);
        present.any(|member| member.roles.contains(&Role::Arbiter))
    };
    if config.is_governed() && !arbiter_here() {
        problems.push("no arbiter is present in this governance session".to_owned()); // GOV-11, D-047
    }
    let available = session.members.values().filter(|member| member.available).count() as u64;
    let mut info = SessionInfo::new(
        config.session_id.clone(),
        config.level.as_str().to_owned(),
        config.security_profile.clone(),
        config.compliance_profile.clone(),
        WatermarkKind::LamportClock,
        config.state_ref_format.clone(),
        granted,
    );
    info.execution_model = Some(config.execution_model.clone());
    info.governance_policy = Some(config.effective_governance());
    info.liveness_policy = Some(config.effective_liveness());
    info.participant_count = Some(Integer::new(available));
    info.identity_verified = Some(false); // nothing is verified in the open profile (HEL-11)
    info.compatibility_errors = Some(problems);
    info
}
