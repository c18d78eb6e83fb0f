//! Where outputs are collected, and the only place where the coordinator writes envelopes.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use mpac_wire::names::RejectReason;
use mpac_wire::payload::{OpReject, ProtocolError};
use mpac_wire::sideband::{self, FileError, SidebandType};
use mpac_wire::{Envelope, Integer, Message, MessageId, MessageType, OpId, PrincipalId};

use super::session::catch_up;
use super::state::Session;
use crate::input::ConnId;
use crate::output::{HangUpReason, Notice, Output, Recipients};
use crate::refusal::Refusal;
use crate::remark::Remark;

/// The outputs of one input, in the order they were made.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) outputs: Vec<Output>,
    /// The type of the message that this input was, if it was one that could be read.
    pub(crate) received: Option<MessageType>,
}

impl Outbox {
    /// Writes one message of the coordinator: ticks the clock, takes the next id (LAM-09, ENV-10).
    pub(crate) fn send(
        &mut self,
        session: &mut Session,
        to: Recipients,
        message: impl Into<Message>,
    ) -> MessageId {
        self.answer(session, to, message, None)
    }

    /// The same, as an answer to a message.
    pub(crate) fn answer(
        &mut self,
        session: &mut Session,
        to: Recipients,
        message: impl Into<Message>,
        in_reply_to: Option<&MessageId>,
    ) -> MessageId {
        let watermark = session.lamport.tick();
        self.write(session, to, &message.into(), watermark, in_reply_to)
    }

    /// The same, with a watermark that was ticked before because the payload tells it.
    pub(crate) fn write(
        &mut self,
        session: &mut Session,
        to: Recipients,
        message: &Message,
        watermark: mpac_wire::Watermark,
        in_reply_to: Option<&MessageId>,
    ) -> MessageId {
        let id = session.ids.message_id();
        let mut envelope = Envelope::new(
            Envelope::PROTOCOL.into(),
            session.config.level.as_str().into(),
            message.message_type(),
            id.clone(),
            session.config.session_id.clone(),
            session.coordinator.clone(),
            session.now.into(),
            message.to_payload(),
        );
        envelope.watermark = Some(watermark);
        envelope.coordinator_epoch = Some(Integer::new(session.epoch));
        envelope.in_reply_to = in_reply_to.cloned();
        self.outputs.push(Output::Send { to, envelope: envelope.into() });
        id
    }

    /// Tells the sender why its message was refused (ERR-01, ERR-05).
    pub(crate) fn refuse(
        &mut self,
        session: &mut Session,
        conn: ConnId,
        refusal: &Refusal,
        refers_to: Option<&MessageId>,
    ) {
        let mut error = ProtocolError::new(refusal.code(), excerpt(&refusal.to_string(), DESCRIPTION));
        error.refers_to = refers_to.map(|id| id.as_str().into());
        error.extensions = refusal.extensions();
        if let Refusal::StaleIntent { duplicate, .. } = refusal {
            error.duplicate_candidate = duplicate.clone();
        }
        self.answer(session, Recipients::Conn(conn), error, refers_to);
    }

    /// Tells a proposer that an operation is refused.
    pub(crate) fn reject(
        &mut self,
        session: &mut Session,
        proposer: &PrincipalId,
        op: &OpId,
        reason: RejectReason,
        refers_to: Option<&MessageId>,
    ) {
        let mut reject = OpReject::new(op.clone(), reason);
        reject.refers_to = refers_to.cloned();
        catch_up::operation_refused(session, proposer, &reject);
        self.send(session, Recipients::Only([proposer.clone()].into()), reject);
    }

    pub(crate) fn hang_up(&mut self, conn: ConnId, reason: HangUpReason) {
        self.outputs.push(Output::HangUp { conn, reason });
    }

    /// Answers a request beside the protocol that cannot be met (D-025).
    pub(crate) fn file_error(&mut self, conn: ConnId, path: String, error: &str) {
        self.outputs.push(file_error(conn, path, error));
    }

    /// For the audit log.
    pub(crate) fn remark(&mut self, remark: Remark) {
        self.notice(Notice::Remark(remark));
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.outputs.push(Output::Notice(notice));
    }
}

/// What a request beside the protocol that cannot be met is answered with.
pub(crate) fn file_error(conn: ConnId, path: String, error: &str) -> Output {
    let error = FileError::new(SidebandType::FileError, path, error.to_owned());
    Output::Answer { conn, text: sideband::to_json(&error).into() }
}

/// Bytes of a description at the most: it quotes what came, and that may be long.
const DESCRIPTION: usize = 600;

/// The beginning of `text`.
fn excerpt(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    alloc::format!("{}...", text.get(..end).unwrap_or_default())
}

/// A description's list of names, shortened where it is long.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    const NAME: usize = 200;
    let mut text = names.iter().take(SHOWN).map(|name| excerpt(name, NAME)).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&alloc::format!(" and {} more", names.len() - SHOWN));
    }
    text
}
