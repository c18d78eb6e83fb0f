//! A connection's place in its session: what comes is looked at here, and passed on with what is proven by it.

use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mpac_core::{ConnId, Identity};
use mpac_wire::received::message_id_of;
use mpac_wire::{Limits, Seconds, SessionId};
use rustls::pki_types::CertificateDer;
use tokio::sync::{Semaphore, mpsc};

use super::{INBOX_BYTES, lock};
use crate::identity::proof::Proof;
use crate::identity::{At, By, Verifier};
use crate::listen::attempts::Attempts;
use crate::metrics::limit::Limit;
use crate::outbox::Outbox;
use crate::rate::Pace;
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
    pub(super) from: Option<IpAddr>,
    pub(super) outbox: Outbox,
    pub(super) limits: Limits,
    pub(super) verifier: Arc<Verifier>,
    pub(super) attempts: Arc<Attempts>,
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
        if let (Identity::Rejected { .. }, Some(from)) = (&looked.proof.identity, self.from) {
            self.attempts.failed(from, Instant::now());
        }
        if let Some(by) = looked.by {
            *lock(&self.by) = Some(by);
        }
        looked.proof
    }

    fn too_fast(&self, frame: &Frame, wait: Duration) -> Inbound {
        let refers_to = match frame {
            Frame::Text(text) => message_id_of(text.as_str()),
            Frame::NotText => None,
        };
        // Rounded up: whoever comes back then comes late enough.
        let retry_after = Seconds::whole(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1));
        Inbound::TooFast { conn: self.conn, refers_to, retry_after }
    }

    /// Whether this could be one more guess, from an address that has to wait. Whoever is in makes none.
    fn has_to_wait(&self, frame: &Frame) -> bool {
        let Frame::Text(text) = frame else { return false };
        self.verifier.may_look(text.as_str())
            && lock(&self.by).is_none()
            && self.from.is_some_and(|from| self.attempts.wait(from, Instant::now()).is_some())
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
        match self.outbox.pace() {
            Pace::Fine => {}
            Pace::TooFast(wait) => return self.tell(self.too_fast(&frame, wait)).await,
            Pace::Hopeless => {
                let text = "too many messages, on all connections of this principal together";
                self.outbox.close_for(Limit::PrincipalRate, text);
                return true;
            }
        }
        let bytes = match &frame {
            Frame::Text(text) => text.len().min(INBOX_BYTES),
            Frame::NotText => 0,
        };
        // The semaphore is never closed; a session that is gone shows when it is told.
        let room =
            Arc::clone(&self.room).acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await.ok();
        if self.has_to_wait(&frame) {
            let text = "too many refused credentials came from this address; try again later";
            self.outbox.close_for(Limit::CredentialAttempts, text);
            return true;
        }
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
