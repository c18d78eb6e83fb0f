//! Carrying outputs out: to whom each frame goes, and what it does to the shared files.

mod voice;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::ws::Utf8Bytes;
use mpac_core::{ConnId, HangUpReason, Notice, Output, Recipients};
use mpac_wire::sideband::Request;
use mpac_wire::{Envelope, Message, MessageType, PrincipalId, Timestamp};
use tokio::task::yield_now;
use tracing::error;

pub(super) use self::voice::Voice;
use super::events::Events;
use crate::error::Unwritten;
use crate::metrics::limit::Limit;
use crate::metrics::{Held, Meters};
use crate::outbox::{Kept, Outbox, Outgoing};
use crate::rate::Everybody;
use crate::sideband;
use crate::signing::Signing;
use crate::store::journal::Unkept;
use crate::workspace::writer::Writer;
use crate::workspace::{File, Workspace};

/// The connections of a session, who speaks on them, and its files.
#[derive(Debug)]
pub(super) struct Delivery {
    connections: BTreeMap<ConnId, Outbox>,
    /// Who is bound, from the core's notices: "all" are these (SEC-41).
    bound: BTreeMap<ConnId, PrincipalId>,
    workspace: Workspace,
    /// The answer to FILE_LIST, from the first that asked until a file changes: a list of all files is much work for a few bytes.
    listed: Option<Kept>,
    writer: Option<Writer>,
    max_frame: usize,
    /// Before it is opened, a session has no files for anybody (D-031).
    open: bool,
    events: Events,
    voice: Voice,
    meters: Meters,
    /// Where a name is proven, how fast each may talk.
    paces: Option<Arc<Everybody>>,
    /// Counted as long as it runs.
    _running: Held,
}

impl Delivery {
    pub(super) fn new(
        (events, meters): (Events, Meters),
        workspace: Workspace,
        writer: Option<Writer>,
        max_frame: usize,
        open: bool,
    ) -> Self {
        let (connections, bound) = Default::default();
        let voice = Voice::default();
        let _running = meters.session();
        Self {
            connections,
            bound,
            workspace,
            listed: None,
            writer,
            max_frame,
            open,
            events,
            meters,
            paces: None,
            voice,
            _running,
        }
    }

    /// Counts what each says together with what they say elsewhere.
    #[must_use]
    pub(super) fn paced(mut self, paces: Option<Arc<Everybody>>) -> Self {
        self.paces = paces;
        self
    }

    /// What the coordinator says is signed by this.
    #[must_use]
    pub(super) fn signed(mut self, voice: Voice) -> Self {
        self.voice = voice;
        self
    }

    pub(super) fn joined(&mut self, conn: ConnId, outbox: Outbox) {
        self.connections.insert(conn, outbox);
    }

    pub(super) fn knows(&self, conn: ConnId) -> bool {
        self.connections.contains_key(&conn)
    }

    /// Whether it was still there.
    pub(super) fn left(&mut self, conn: ConnId) -> bool {
        self.connections.remove(&conn).is_some()
    }

    /// With which key the coordinator speaks now.
    pub(super) fn signing(&self) -> Option<Arc<Signing>> {
        self.voice.signing()
    }

    /// By what was let in on a connection nobody is in beyond this moment (SEC-14).
    pub(super) fn let_in_until(&self, conn: ConnId, until: Option<Timestamp>) {
        if let Some(outbox) = self.connections.get(&conn) {
            outbox.let_in_until(until);
        }
    }

    /// Counts a frame that came.
    pub(super) fn received(&self, message_type: Option<&MessageType>) {
        self.meters.received(message_type);
    }

    /// There are as many sessions as there may be.
    pub(super) fn no_place(&self) {
        self.meters.reached(Limit::Sessions);
    }

    pub(super) fn carry_out(&mut self, output: Output) {
        match output {
            Output::Relay { to, text, message_type, .. } => {
                self.events.relayed(&message_type, &text);
                self.send(&to, &Utf8Bytes::from(&*text), Some(&message_type));
            }
            Output::Send { to, mut envelope } => {
                if let Err(unsigned) = self.voice.sign(&mut envelope) {
                    self.events.unsigned(&unsigned);
                    return self.dismiss(&to);
                }
                self.count(&envelope);
                self.send(&to, &envelope.to_json().into(), Some(&envelope.message_type));
                let hearer = match &to {
                    Recipients::All => "everybody",
                    Recipients::Only(_) => "those concerned",
                    Recipients::Conn(conn) => {
                        self.bound.get(conn).map_or("a connection that has not joined", PrincipalId::as_str)
                    }
                };
                self.events.sent(envelope, hearer);
            }
            Output::Workspace { conn, request } => {
                let answer = self.answer(&request);
                self.send_frame(&Recipients::Conn(conn), &answer, None);
            }
            Output::Answer { conn, text } => {
                let answer = sideband::complete(&text, &self.workspace, self.max_frame);
                self.send(&Recipients::Conn(conn), &answer, None);
            }
            Output::HangUp { conn, reason } => {
                if let Some(outbox) = self.connections.get(&conn) {
                    match limit(reason) {
                        Some(limit) => outbox.close_for(limit, reason.text()),
                        None => outbox.close(reason.code(), reason.text()),
                    }
                }
            }
            Output::Notice(notice) => self.notice(notice),
        }
    }

    /// Writes down for the operator what was carried out, once the sockets had a turn.
    pub(super) async fn report(&mut self) {
        if self.events.is_behind() {
            yield_now().await;
            self.events.write();
        }
    }

    /// Tells everybody that the session cannot go on. What was carried out before is stored; what was not, nobody has seen.
    pub(super) fn fail(&mut self, why: &Unkept) {
        let (code, text) = if matches!(why, Unkept::TooMuch) {
            self.meters.reached(Limit::Unopened);
            (1008, "too many messages to a session that nobody has opened")
        } else {
            self.events.failed(why);
            (1011, "this session has failed and has stopped; its operator has to act")
        };
        for outbox in self.connections.values() {
            outbox.close(code, text);
        }
    }

    /// Hangs up on those who would have heard something that must not be said unsigned: they come again, and are told anew.
    fn dismiss(&self, to: &Recipients) {
        let why = "internal fault: a message of the coordinator could not be signed";
        self.each(to, |outbox| outbox.close(1011, why));
    }

    /// Puts commits into the directory that never reached it.
    pub(super) fn write(&self, files: Vec<(String, File)>) {
        if let Some(writer) = &self.writer {
            files.into_iter().for_each(|(path, file)| writer.put(&path, file));
        }
    }

    /// Says goodbye to all, and waits for the files that are still to be written; gives those that cannot be.
    pub(super) async fn finish(mut self) -> Vec<Unwritten> {
        for outbox in self.connections.values() {
            outbox.close(1001, "the server is stopping");
        }
        self.events.write();
        match self.writer.take() {
            Some(writer) => writer.finish().await,
            None => Vec::new(),
        }
    }

    /// One serialised frame, shared by all who get it (SRV-06).
    fn send(&mut self, to: &Recipients, frame: &Utf8Bytes, message_type: Option<&MessageType>) {
        if frame.len() > self.max_frame {
            self.events.write(); // what led to it
            // Python clients would close the connection over it (SRV-18).
            return error!("a frame of {} bytes was not sent: more than --max-frame-bytes", frame.len());
        }
        let frame = Outgoing::new(frame.clone(), &self.meters);
        self.send_frame(to, &frame, message_type);
    }

    fn send_frame(&self, to: &Recipients, frame: &Outgoing, message_type: Option<&MessageType>) {
        let mut sent = 0;
        self.each(to, |outbox| {
            outbox.push(frame.clone());
            sent += 1;
        });
        self.meters.sent(message_type, sent);
    }

    /// Does something with the connection of each who hears what is said `to` them.
    fn each(&self, to: &Recipients, act: impl FnMut(&Outbox)) {
        let outbox = |conn: &ConnId| self.connections.get(conn);
        match to {
            Recipients::All => self.bound.keys().filter_map(outbox).for_each(act),
            Recipients::Conn(conn) => outbox(conn).into_iter().for_each(act),
            Recipients::Only(principals) => {
                let heard = |(_, principal): &(_, &PrincipalId)| principals.binary_search(principal).is_ok();
                self.bound.iter().filter(heard).filter_map(|(conn, _)| outbox(conn)).for_each(act);
            }
        }
    }

    /// Counts a refusal by its code, and by the limit that was reached.
    fn count(&self, envelope: &Envelope) {
        if envelope.message_type != MessageType::ProtocolError {
            return;
        }
        if let Ok(Message::ProtocolError(error)) = envelope.message() {
            let told: Option<serde_json::Value> = error.extensions.and_then(|told| told.read().ok());
            let limit = told.as_ref().and_then(|told| told.get("mpac")?.get("limit")?.as_str());
            self.meters.refused(&error.error_code, limit);
        }
    }

    /// None is larger than a frame may be.
    fn answer(&mut self, request: &Request) -> Outgoing {
        let (nothing, max_frame, meters) = (Workspace::default(), self.max_frame, &self.meters);
        let workspace = if self.open { &self.workspace } else { &nothing };
        let made = || sideband::answer(request, workspace, max_frame);
        match request {
            Request::FileList if self.open => {
                self.listed.get_or_insert_with(|| Kept::new(made())).outgoing(meters)
            }
            _ => Outgoing::new(made(), meters),
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Bound { conn, principal } => {
                if let Some(outbox) = self.connections.get(&conn) {
                    outbox.admit(self.paces.as_ref().map(|paces| paces.paced(&principal, Instant::now())));
                }
                if self.bound.insert(conn, principal.clone()).is_none() {
                    self.meters.participants(1);
                }
                self.events.joined(&principal, self.bound.len());
            }
            Notice::Unbound { conn } => {
                if let Some(principal) = self.bound.remove(&conn) {
                    self.meters.participants(-1);
                    self.events.left(&principal, self.bound.len());
                }
            }
            Notice::FileUpdated { to, path, content, state_ref, updated_by } => {
                let file = File::known_as(content.into(), state_ref);
                self.send(&to, &sideband::file_updated(&path, &file, &updated_by), None);
                if let Some(writer) = &self.writer {
                    writer.put(&path, file.clone());
                }
                self.workspace.put(&path, file);
                self.listed = None;
            }
            Notice::Opened => self.open = true,
            Notice::Remark(remark) => self.events.remarked(remark.to_string()),
            // The server looks whether one of its standbys has the session.
            Notice::CoordinatorConflict { reported_by } => self.events.other_coordinator(&reported_by),
            Notice::CoordinatorKey { key } => {
                self.events.signs_with(&key);
                self.voice.switch(key);
            }
            Notice::Closed { reason } => self.events.closed(reason.as_str()),
        }
    }
}

/// The limit that a connection was closed for, if it was one.
const fn limit(reason: HangUpReason) -> Option<Limit> {
    match reason {
        HangUpReason::MalformedFrames => Some(Limit::MalformedFrames),
        HangUpReason::RefusedHellos => Some(Limit::RefusedHellos),
        _ => None,
    }
}

impl Drop for Delivery {
    /// After [`Delivery::finish`] everything is closed already; without it the task has panicked, and nobody is to wait for
    /// answers that will not come.
    fn drop(&mut self) {
        self.meters.participants(-i64::try_from(self.bound.len()).unwrap_or_default());
        for outbox in self.connections.values() {
            outbox.close(1011, "internal fault: this session has failed");
        }
    }
}

#[cfg(test)]
mod tests;
