//! HELLO: a participant joins, comes back, or refreshes what it said (HEL-02 to HEL-18).

use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Raw;
use mpac_wire::names::{HeartbeatStatus, ProviderStatus, Role};
use mpac_wire::payload::{Backend, Hello};

use super::super::gate::{Facts, count_as_received};
use super::super::governance::freeze;
use super::super::keys::BoundKey;
use super::super::outbox::Outbox;
use super::super::records::{Member, Proof};
use super::super::recover;
use super::super::state::Session;
use super::{catch_up, connection, credential, divergence, info, liveness, organisations, signature};
use crate::config::Applicant;
use crate::input::ConnId;
use crate::output::{HangUpReason, Notice, Recipients};
use crate::refusal::Refusal;

/// What was found out before anything changes.
struct Join {
    asked: Vec<Role>,
    granted: Vec<Role>,
    proof: Option<Proof>,
    /// The key it brings, where that is a new one.
    key: Option<BoundKey>,
    /// The connection whose place this one takes.
    displaced: Option<ConnId>,
}

/// A refused HELLO leaves nothing behind; it counts as received only once it is accepted (HEL-03, LAM-10).
pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
) -> Result<(), Refusal> {
    let hello: Hello =
        facts.envelope.payload.read().map_err(|error| credential::unreadable(session, error))?;
    let join = plan(session, facts, &hello)?;
    apply(session, out, facts, hello, join);
    Ok(())
}

/// Who it is, first; then what the session asks of it, whether its name is free, and what it may be.
fn plan(session: &Session, facts: &Facts<'_>, hello: &Hello) -> Result<Join, Refusal> {
    let proven = credential::judge(session, facts, hello)?;
    let key = signature::brought(session, facts)?;
    is_short(session, hello)?;
    if session.unopened && !session.vacancy {
        return Err(Refusal::NoVacancy(session.config.session_id.clone())); // SES-02
    }
    let missing = missing_extensions(session, facts, hello);
    if !missing.is_empty() {
        return Err(Refusal::ExtensionsMissing(missing)); // EXT-02
    }
    let sender = &facts.envelope.sender;
    let principal = &sender.principal_id;
    let before = session.members.get(principal).and_then(|member| member.conn.map(|conn| (member, conn)));
    let displaced = match before {
        Some((_, conn)) if conn == facts.conn => None,
        // Elsewhere the newest wins: it has proven that the name is its own (D-016).
        Some((member, _))
            if session.config.is_open() && member.sender.sender_instance_id != sender.sender_instance_id =>
        {
            return Err(Refusal::PrincipalTaken(principal.clone()));
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
    let who = Applicant {
        principal,
        principal_type: &sender.principal_type,
        asked: &asked,
        credential: proven.roles,
    };
    let granted =
        session.config.grant(&who, others_with).ok_or_else(|| Refusal::NoRole(principal.clone()))?;
    Ok(Join { asked, granted, proof: proven.proof, key, displaced })
}

/// Whether it declares no more than may be kept of a member (D-134).
fn is_short(session: &Session, hello: &Hello) -> Result<(), Refusal> {
    let max = session.config.limits.max_declared;
    let counts =
        [("roles", hello.roles.as_ref().map_or(0, Vec::len)), ("capabilities", hello.capabilities.len())];
    match counts.into_iter().find(|(_, count)| *count > max) {
        Some((field, count)) => Err(Refusal::TooManyDeclared { field, count, max }),
        None => Ok(()),
    }
}

/// The session's mandatory extensions that a HELLO carries nowhere: not in the envelope, the sender or the payload.
fn missing_extensions(session: &Session, facts: &Facts<'_>, hello: &Hello) -> Vec<String> {
    let mandatory = session.config.mandatory_extensions.iter();
    if mandatory.len() == 0 {
        return Vec::new();
    }
    let envelope = facts.envelope;
    let places = [
        envelope.extensions.as_ref().map(Raw::get),
        envelope.sender.extra.get("extensions"),
        hello.extensions.as_ref().map(Raw::get),
    ];
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let carried: Vec<serde_json::Value> = places.into_iter().flatten().filter_map(read).collect();
    mandatory.filter(|key| !carried.iter().any(|it| it.get(key.as_str()).is_some())).cloned().collect()
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
        None => session.members.len() as u64 + session.forgotten.participants,
    };
    let before = session.members.remove(&principal);
    // Whoever came while this one was away has not been told its keys.
    let was_here = before.as_ref().is_some_and(|member| !member.departed);
    let same_process = before.as_ref().filter(|member| catch_up::is_same_process(member, sender));
    let news = catch_up::News::for_return(before.as_ref(), facts);
    let member = Member {
        sender: connection::plain(sender),
        display_name: hello.display_name,
        roles: join.granted,
        capabilities: hello.capabilities,
        proof: join.proof,
        backend: hello.backend.map(|backend| Backend::new(backend.model_id, backend.provider)),
        provider_status: ProviderStatus::Unknown,
        // Everybody was told, and shall hear of the recovery as well (BHM-06).
        alerted: before.as_ref().is_some_and(|member| member.alerted),
        // Whoever was told that it may switch does so after a break as well (BHM-11).
        approved_model: same_process.and_then(|member| member.approved_model.clone()),
        status: HeartbeatStatus::Idle,
        available: true,
        departed: false,
        last_seen: before.as_ref().map_or(session.now, |member| member.last_seen),
        last_message: None,
        joined,
        conn: before.and_then(|member| member.conn),
        missed: <_>::default(),
    };
    session.members.insert(member);
    let is_news = join.key.is_some() || !was_here;
    if let Some(key) = join.key {
        signature::bind(session, &principal, key);
    }
    if core::mem::take(&mut session.unopened) {
        session.restart_clock();
        out.notice(Notice::Opened);
    }
    connection::bind(session, out, facts.conn, &principal);
    count_as_received(session, out, facts);
    // SESSION_INFO comes before anything else that goes to the joiner (HEL-02).
    if let Some(member) = session.members.get(&principal) {
        let info = info::session_info(session, facts, member, &join.asked);
        out.answer(session, Recipients::Conn(facts.conn), info, Some(&facts.envelope.message_id));
    }
    signature::tell(session, out, &principal, is_news);
    recover::tell(session, out, &principal);
    let message_id = &facts.envelope.message_id;
    divergence::after_hello(session, out, &principal, message_id, hello.extensions.as_ref());
    organisations::look_at(session, out, &principal);
    let restored = liveness::restore_intents(session, out, &principal);
    news.tell(session, out, facts.conn, &principal, &restored);
    freeze::somebody_came(session, out, &principal);
}
