//! The checks every frame goes through, in the order of `spec/requirements.md` §2. The first that fails answers.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use mpac_wire::names::MessageType;
use mpac_wire::received::type_and_id_of;
use mpac_wire::sideband::{self, Request, SessionSummaryResponse, SidebandType};
use mpac_wire::{DecodeError, Envelope, Extra, Frame, Limits, MessageId, Received, Seconds, Timestamp};

use super::outbox::Outbox;
use super::records::{Connection, Frontier, Incarnation};
use super::replay;
use super::session::{credential, divergence, hello, liveness, signature};
use super::state::Session;
use super::{View, dispatch, visibility};
use crate::config::{ProtocolLevel, UnknownTypes, minor_version};
use crate::input::{ConnId, Identity, Peer};
use crate::output::{HangUpReason, Output};
use crate::refusal::Refusal;
use crate::remark::Remark;
use crate::signed::Signed;

/// Malformed frames on one connection before it is closed, and in how many seconds (D-025).
const MALFORMED_LIMIT: usize = 20;
const MALFORMED_WINDOW_SEC: Seconds = Seconds::whole(60);
/// Refused HELLOs on one connection before it is closed (HEL-03).
const HELLO_LIMIT: u32 = 5;

/// What is settled about a message before its type's own rules are asked.
pub(crate) struct Facts<'a> {
    pub(crate) conn: ConnId,
    /// What the host proved about its other end.
    pub(crate) identity: &'a Identity,
    /// What it found out about the message's signature.
    pub(crate) signed: &'a Signed,
    /// Others get exactly what came, for they verify it (D-128).
    pub(crate) sealed: bool,
    pub(crate) received: &'a Received,
    pub(crate) envelope: &'a Envelope,
    /// The Lamport value, where the watermark has one.
    pub(crate) lamport: Option<u64>,
}

impl Facts<'_> {
    /// Whether a good signature covers it, which nothing may be added to (D-114).
    pub(crate) const fn is_signed(&self) -> bool {
        self.sealed || matches!(self.signed, Signed::Good { .. })
    }

    /// The message with its payload changed by `edit`. Refused where others could not get it, because it is larger than a message may
    /// be then (SRV-18).
    pub(crate) fn edited(&self, limits: &Limits, edit: impl FnOnce(&mut Extra)) -> Result<String, Refusal> {
        let text = self.received.with_payload(edit)?;
        let (bytes, max) = (text.len(), limits.max_bytes);
        if bytes > max { Err(DecodeError::TooLarge { bytes, max }.into()) } else { Ok(text) }
    }

    /// What others get of a commit: the message as it came, without the contents it brings (OPS-22).
    ///
    /// `read` says whether the member was read; one that was written as null, perhaps after another that was not, is
    /// among the members kept.
    pub(crate) fn without_contents(&self, key: &str, read: bool, kept: &Extra) -> Result<Arc<str>, Refusal> {
        if self.sealed || (!read && kept.get(key).is_none()) {
            return Ok(self.received.text().clone());
        }
        Ok(self.received.with_payload(|members| members.remove(key))?.into())
    }
}

/// Takes one frame.
pub(super) fn frame(session: &mut Session, out: &mut Outbox, from: &Peer, text: &Arc<str>) {
    let conn = from.conn;
    let has_joined = session.connections.get_or_insert_with(conn, Connection::default).principal.is_some();
    let limits = &session.config.limits;
    let frame = if has_joined {
        Frame::parse(text.clone(), limits)
    } else {
        Frame::parse_envelope(text.clone(), limits)
    };
    let mut received = match frame {
        Ok(Frame::Message(received)) => received,
        Ok(Frame::Sideband(request)) => return beside_the_protocol(session, out, conn, request),
        Err(error) => {
            let (message_type, refers_to) = type_and_id_of(text);
            return malformed(session, out, conn, &error.into(), (message_type.as_ref(), refers_to.as_ref()));
        }
    };
    // Out of it before others look into it.
    let message = received.take_message();
    let envelope = received.envelope();
    out.received = Some(envelope.message_type.clone());
    let message_id = &envelope.message_id;
    let lamport = match shape(session, envelope) {
        Ok(lamport) => lamport,
        Err(refusal) => {
            let named = (Some(&envelope.message_type), Some(message_id));
            return malformed(session, out, conn, &refusal, named);
        }
    };
    let open = session.config.is_open();
    let facts = Facts {
        conn,
        identity: &from.identity,
        signed: if open { &Signed::Missing } else { &from.signed },
        sealed: session.config.is_verified(),
        received: &received,
        envelope,
        lamport,
    };
    let outcome = match envelope.message_type {
        MessageType::Hello => admit(session, &facts).and_then(|()| hello::handle(session, out, &facts)),
        _ => admit(session, &facts).and_then(|()| {
            count_as_received(session, out, &facts);
            if !is_known(session, &envelope.message_type) {
                return unknown_type(session, &facts);
            }
            permitted(session, &facts)?;
            let message = message.map_or_else(|| envelope.message().map(Box::new), Ok)?;
            dispatch::message(session, out, &facts, message)
        }),
    };
    let Err(refusal) = outcome else { return note_missing_watermark(out, envelope) };
    // An error is never answered by an error (ERR-03).
    if envelope.message_type != MessageType::ProtocolError {
        out.refuse(session, conn, &refusal, Some(message_id));
    }
    if envelope.message_type == MessageType::OpCommit {
        let sender = &envelope.sender.principal_id;
        divergence::after_stale_commit(session, out, sender, message_id, &refusal);
    }
    if envelope.message_type == MessageType::Hello {
        refused_hello(session, out, conn);
    }
}

/// Takes a frame of which nothing is handled.
pub(super) fn unreadable(
    session: &mut Session,
    out: &mut Outbox,
    (from, refers_to): (&Peer, Option<&MessageId>),
    problem: &str,
) {
    session.connections.get_or_insert_with(from.conn, Connection::default);
    malformed(session, out, from.conn, &Refusal::Unreadable(problem.into()), (None, refers_to));
}

/// Step 4, beyond what the types say: returns the Lamport value.
fn shape(session: &Session, envelope: &Envelope) -> Result<Option<u64>, Refusal> {
    if envelope.protocol != Envelope::PROTOCOL {
        return Err(Refusal::WrongProtocol(envelope.protocol.to_string()));
    }
    if envelope.sender.principal_type.as_str().is_empty() {
        return Err(DecodeError::shape("sender.principal_type", "must not be empty").into()); // ENV-02
    }
    if !session.config.is_open() && lacks_watermark(envelope) {
        return Err(Refusal::WatermarkMissing(envelope.message_type.clone())); // D-030
    }
    Ok(envelope.watermark.as_ref().map(|watermark| watermark.lamport_value()).transpose()?.flatten())
}

/// Whether a message has no watermark whose type must have one (ENV-12).
fn lacks_watermark(envelope: &Envelope) -> bool {
    use MessageType as T;
    envelope.watermark.is_none()
        && matches!(envelope.message_type, T::OpCommit | T::ConflictReport | T::Resolution)
}

/// The open profile takes such a message, and says so.
fn note_missing_watermark(out: &mut Outbox, envelope: &Envelope) {
    if lacks_watermark(envelope) {
        let message_type = envelope.message_type.clone();
        out.remark(Remark::WithoutWatermark { message: envelope.message_id.clone(), message_type });
    }
}

/// How far above the coordinator's a Lamport value may be before somebody is told: nobody has seen so many messages.
const LEAP: u64 = 1 << 20;

/// A value that its sender cannot have come to by what it heard. It counts all the same: it is signed (SEC-34).
fn note_leap(session: &Session, out: &mut Outbox, facts: &Facts<'_>) {
    let known = session.lamport.value();
    if let Some(claimed) =
        facts.lamport.filter(|claimed| facts.sealed && claimed.saturating_sub(known) > LEAP)
    {
        out.remark(Remark::LamportLeap { message: facts.envelope.message_id.clone(), claimed, known });
    }
}

/// Steps 5 to 13: whether this message may be heard at all.
fn admit(session: &Session, facts: &Facts<'_>) -> Result<(), Refusal> {
    let Facts { envelope, conn, lamport, .. } = facts;
    if minor_version(&envelope.version).is_none() {
        return Err(Refusal::VersionMismatch(envelope.version.to_string()));
    }
    if envelope.session_id != session.config.session_id {
        return Err(Refusal::ForeignSession {
            expected: session.config.session_id.clone(),
            found: envelope.session_id.clone(),
        });
    }
    if session.closed && envelope.message_type != MessageType::Goodbye {
        return Err(Refusal::SessionClosed);
    }
    let sender = &envelope.sender;
    if sender.principal_id == session.coordinator.principal_id {
        return Err(Refusal::CoordinatorId(sender.principal_id.clone()));
    }
    match session.bound(*conn) {
        Some(member) if !same_sender(&member.sender, sender) => {
            return Err(Refusal::ForeignSender {
                bound: member.sender.principal_id.clone(),
                claimed: sender.principal_id.clone(),
            });
        }
        None if envelope.message_type != MessageType::Hello => return Err(Refusal::NotAdmitted),
        Some(_) | None => {}
    }
    let outlives = matches!(envelope.message_type, MessageType::Hello | MessageType::Goodbye);
    if !outlives && credential::has_expired(session, *conn) {
        return Err(Refusal::CredentialExpired); // SEC-14
    }
    signature::judge(session, facts)?;
    replay::check(session, envelope)?;
    let last = session.frontier.get(&Incarnation::of(sender)).and_then(|frontier| frontier.lamport);
    match (*lamport, last) {
        (Some(found), Some(last)) if found <= last && session.config.enforce_lamport => {
            Err(Refusal::LamportNotAbove { found, last })
        }
        _ => Ok(()),
    }
}

/// The bound triple: principal, type, instance (D-015). Extensions of the sender may vary.
fn same_sender(one: &mpac_wire::Sender, other: &mpac_wire::Sender) -> bool {
    one.principal_id == other.principal_id
        && one.principal_type == other.principal_type
        && one.sender_instance_id == other.sender_instance_id
}

/// From here on the message counts: clock, frontier, liveness, return from unavailability (LAM-10, LIV-03, LIV-14).
pub(super) fn count_as_received(session: &mut Session, out: &mut Outbox, facts: &Facts<'_>) {
    note_leap(session, out, facts);
    session.lamport.receive(facts.lamport);
    let sender = &facts.envelope.sender;
    let (ts, heard_at) = (Some(facts.envelope.ts.at()), session.now);
    match session.frontier.get_mut(&Incarnation::of(sender)) {
        Some(frontier) => {
            *frontier = Frontier { ts, lamport: facts.lamport.or(frontier.lamport), heard_at };
        }
        None => {
            let key = (sender.principal_id.clone(), sender.sender_instance_id.clone());
            session.frontier.insert(key, Frontier { ts, lamport: facts.lamport, heard_at });
        }
    }
    if !session.config.is_open() {
        let window = &session.config.replay_window_sec;
        session.seen_ids.insert(&facts.envelope.message_id, &sender.principal_id, session.now, window);
    }
    let was_away = session.seen(&sender.principal_id, &facts.envelope.message_id);
    // After the close nothing comes back to life (BYE-09).
    if was_away && !session.closed {
        liveness::returned(session, out, &sender.principal_id);
    }
}

/// Step 15: whether this sender may send this type.
fn permitted(session: &Session, facts: &Facts<'_>) -> Result<(), Refusal> {
    use MessageType as T;
    let message_type = &facts.envelope.message_type;
    match message_type {
        T::SessionInfo | T::SessionClose | T::CoordinatorStatus | T::IntentClaimStatus => {
            Err(Refusal::CoordinatorOnly(message_type.clone()))
        }
        T::IntentAnnounce
        | T::IntentUpdate
        | T::IntentWithdraw
        | T::IntentDeferred
        | T::IntentClaim
        | T::OpPropose
        | T::OpCommit
        | T::OpBatchCommit
        | T::OpReject
        | T::OpSupersede
        | T::Resolution => match session.bound(facts.conn) {
            Some(member) if member.is_read_only() => Err(Refusal::ReadOnly(message_type.clone())),
            Some(member) if *message_type == T::OpReject && !member.reviews() => {
                Err(Refusal::MayNotReject(member.sender.principal_id.clone()))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Step 14: whether a type is known at the session's level (D-089).
fn is_known(session: &Session, message_type: &MessageType) -> bool {
    match message_type {
        MessageType::Other(_) => false,
        MessageType::IntentDeferred => session.config.level >= ProtocolLevel::V0_1_14,
        _ => true,
    }
}

/// What becomes of a message of an unknown type (EXT-04, D-007).
fn unknown_type(session: &Session, facts: &Facts<'_>) -> Result<(), Refusal> {
    match session.config.unknown_message_types {
        UnknownTypes::Ignore => Ok(()),
        UnknownTypes::Reject => Err(Refusal::UnknownType(facts.envelope.message_type.clone())),
    }
}

/// Answers a frame that cannot be used, by what could be read of its type and its id; who sends nothing else is not kept (D-025).
fn malformed(
    session: &mut Session,
    out: &mut Outbox,
    conn: ConnId,
    refusal: &Refusal,
    (message_type, refers_to): (Option<&MessageType>, Option<&MessageId>),
) {
    // An error is never answered by an error (ERR-03).
    if message_type != Some(&MessageType::ProtocolError) {
        out.refuse(session, conn, refusal, refers_to);
    }
    let now = session.now;
    let recent = |at: &Timestamp| now.since(*at) < MALFORMED_WINDOW_SEC;
    if let Some(connection) = session.connections.get_mut(&conn) {
        connection.malformed.retain(recent);
        connection.malformed.push_back(now);
        if connection.malformed.len() >= MALFORMED_LIMIT {
            connection.malformed.clear();
            out.hang_up(conn, HangUpReason::MalformedFrames);
        }
    }
}

fn refused_hello(session: &mut Session, out: &mut Outbox, conn: ConnId) {
    if let Some(connection) = session.connections.get_mut(&conn) {
        connection.refused_hellos = connection.refused_hellos.saturating_add(1);
        if connection.refused_hellos >= HELLO_LIMIT {
            connection.refused_hellos = 0;
            out.hang_up(conn, HangUpReason::RefusedHellos);
        }
    }
}

/// The shared workspace is the host's; the summary is ours (SRV-11). In the open profile anybody may ask, elsewhere
/// whoever was let in and still may speak (D-126).
fn beside_the_protocol(session: &Session, out: &mut Outbox, conn: ConnId, request: Request) {
    let admitted = session.bound(conn).is_some() && !credential::has_expired(session, conn);
    match request {
        request if !admitted && !session.config.is_open() => {
            let path = match request {
                Request::FileRead { path } => path.unwrap_or_default(),
                _ => String::new(),
            };
            out.file_error(conn, path, "not authorized");
        }
        Request::SessionSummary => summarise(session, out, conn),
        request => out.outputs.push(Output::Workspace { conn, request }),
    }
}

/// Tells one connection how the session stands, as far as that fits into a frame (D-134).
pub(super) fn summarise(session: &Session, out: &mut Outbox, conn: ConnId) {
    let view = View::new(session);
    let summary = match session.unopened {
        true => Some(view.not_found()),
        false => view.summary_for(visibility::shows_words(session, conn)),
    };
    let answer = summary.map(|summary| {
        sideband::to_json(&SessionSummaryResponse::new(SidebandType::SessionSummaryResponse, summary))
    });
    match answer.filter(|text| text.len() <= session.config.limits.max_bytes) {
        Some(text) => out.outputs.push(Output::Answer { conn, text: text.into() }),
        None => out.file_error(conn, String::new(), "too large"),
    }
}

/// Everybody in `principals`, sorted and once.
pub(super) fn sorted<T: Ord>(principals: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = principals.into_iter().collect();
    list.sort();
    list.dedup();
    list
}
