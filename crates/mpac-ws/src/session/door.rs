//! A session that nobody has opened yet. D-031.
//!
//! Connections to an unknown id are answered by a task of their own, but a mere connection creates nothing: no session is
//! found there, and no place is taken among those that may be open, until a HELLO is accepted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mpac_core::{ConnId, Coordinator, Input, Notice, Output, Peer, SessionConfig};
use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use mpac_wire::sideband::Request;
use mpac_wire::{Frame, Payload, received};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::setup;
use crate::clock;
use crate::sideband;

/// What is needed to open it.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) config: SessionConfig,
    pub(super) places: Arc<Semaphore>,
    pub(super) keep: Arc<AtomicBool>,
}

/// A place among the sessions that may be open at once. While it is held the session outlives its connections.
#[derive(Debug)]
pub(super) struct Place {
    keep: Arc<AtomicBool>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep.store(false, Ordering::Release);
    }
}

/// What a frame does to a door.
pub(super) enum Knock {
    /// It was an accepted HELLO: the session begins with this coordinator, which has said this.
    Opened { core: Box<Coordinator>, place: Place, outputs: Vec<Output> },
    /// It is answered here.
    Answered(Vec<Output>),
    /// It is for the coordinator that answers those who wait.
    Passed,
}

impl Door {
    /// Tries a frame on a coordinator that has seen nothing else.
    pub(super) fn knock(&self, conn: ConnId, text: &Arc<str>) -> Knock {
        if let Ok(Frame::Sideband(Request::SessionSummary)) =
            Frame::parse(Arc::clone(text), &self.config.limits)
        {
            let summary = sideband::session_summary(sideband::unknown_session(&self.config.session_id));
            return Knock::Answered(vec![Output::Answer { conn, text: summary.into() }]);
        }
        // The same configuration opened the coordinator of those who wait.
        let Ok(mut core) = setup::coordinator(self.config.clone()) else { return Knock::Passed };
        let step =
            core.handle(clock::now(), Input::Frame { from: Peer::unproven(conn), text: Arc::clone(text) });
        if !step.outputs.iter().any(|output| matches!(output, Output::Notice(Notice::Bound { .. }))) {
            return Knock::Passed;
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => {
                self.keep.store(true, Ordering::Release);
                let place = Place { keep: Arc::clone(&self.keep), _permit: permit };
                Knock::Opened { core: Box::new(core), place, outputs: step.outputs }
            }
            Err(_) => Knock::Answered(self.full(conn, text)),
        }
    }

    /// Answers a HELLO where there is no place left: INVALID_REFERENCE (SES-02).
    fn full(&self, conn: ConnId, hello: &str) -> Vec<Output> {
        let refers_to = received::message_id_of(hello);
        let mut refusal = ProtocolError::new(
            ErrorCode::InvalidReference,
            format!(
                "there is no session {} and this server has as many open as it may; join one of them or come back later",
                self.config.session_id
            ),
        );
        refusal.refers_to = refers_to.as_ref().map(|id| id.as_str().to_owned());
        let mut outputs = self.any_refusal(conn);
        for output in &mut outputs {
            if let Output::Send { envelope, .. } = output {
                envelope.payload = Payload::of(&refusal);
                envelope.in_reply_to.clone_from(&refers_to);
            }
        }
        outputs
    }

    /// Only a coordinator can say what its envelopes look like, so an unused one is made to refuse something.
    fn any_refusal(&self, conn: ConnId) -> Vec<Output> {
        let input = Input::Unreadable { from: Peer::unproven(conn), problem: "no place".into() };
        setup::coordinator(self.config.clone())
            .map(|mut core| core.handle(clock::now(), input).outputs)
            .unwrap_or_default()
    }
}
