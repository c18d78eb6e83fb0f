//! A connection's place in its session: what comes is looked at here, and passed on with what is proven by it.

use std::future::pending;
use std::sync::{Arc, Mutex};

use mpac_core::ConnId;
use mpac_wire::{Limits, SessionId};
use rustls::pki_types::CertificateDer;
use tokio::sync::{Semaphore, mpsc};

use super::{INBOX_BYTES, lock};
use crate::identity::proof::Proof;
use crate::identity::{At, By, Verifier};
use crate::session::Inbound;
use crate::signing::known::Known;
use crate::socket::{Frame, Link};

/// A connection's place in its session.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(super) conn: ConnId,
    pub(super) inbox: mpsc::Sender<Inbound>,
    pub(super) room: Arc<Semaphore>,
    pub(super) known: Known,
    pub(super) session: SessionId,
    pub(super) certificate: Option<CertificateDer<'static>>,
    pub(super) limits: Limits,
    pub(super) verifier: Arc<Verifier>,
    /// What was shown last and was good.
    pub(super) by: Mutex<Option<By>>,
}

impl Seat {
    async fn tell(&self, inbound: Inbound) -> bool {
        self.inbox.send(inbound).await.is_ok()
    }

    async fn look(&self, text: &str) -> Proof {
        let at = At { session: &self.session, certificate: self.certificate.as_ref() };
        let looked = self.verifier.look(text, at, &self.known, &self.limits).await;
        if let Some(by) = looked.by {
            *lock(&self.by) = Some(by);
        }
        looked.proof
    }

    /// Returns when what the last HELLO on this connection was let in by is no good any more.
    pub(crate) async fn revoked(&self) {
        let mut changes = self.verifier.changes();
        loop {
            let by = lock(&self.by).clone();
            if by.is_some_and(|by| !self.verifier.is_still_good(&by)) {
                return;
            }
            if changes.changed().await.is_err() {
                return pending().await;
            }
        }
    }
}

impl Link for Seat {
    async fn frame(&self, frame: Frame) -> bool {
        let bytes = match &frame {
            Frame::Text(text) => text.len().min(INBOX_BYTES),
            Frame::NotText => 0,
        };
        // The semaphore is never closed; a session that is gone shows when it is told.
        let room =
            Arc::clone(&self.room).acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await.ok();
        let proof = match &frame {
            Frame::Text(text) => self.look(text.as_str()).await,
            Frame::NotText => Proof::default(),
        };
        self.tell(Inbound::Frame { conn: self.conn, frame, proof, room }).await
    }

    async fn left(&self) {
        self.tell(Inbound::Left { conn: self.conn }).await;
    }
}
