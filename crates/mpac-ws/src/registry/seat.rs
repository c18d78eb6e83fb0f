//! A connection's place in its session: what comes is looked at here, and passed on with what is proven by it.

use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mpac_core::{ConnId, Identity};
use mpac_wire::names::MessageType;
use mpac_wire::received::type_and_id_of;
use mpac_wire::{Limits, Seconds, SessionId};
use rustls::pki_types::CertificateDer;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::sleep;

use super::entry::INBOX_BYTES;
use super::lock;
use crate::clock;
use crate::identity::proof::Proof;
use crate::identity::{At, By, Standing, Taken, Verifier};
use crate::listen::attempts::Attempts;
use crate::metrics::limit::Limit;
use crate::outbox::Outbox;
use crate::rate::Pace;
use crate::session::Inbound;
use crate::signing::known::Known;
use crate::socket::{Frame, Link};

/// A machine that slept finds its clock far ahead of its timers, so the clock is asked at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

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
    pub(super) shown: Mutex<Shown>,
    /// Something else was shown and was good.
    pub(super) more: Notify,
}

/// What was shown on a connection and was good, whatever the session made of it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    proven: bool,
    /// The only proof is a certificate, and perhaps somebody else's: the session may know the key that the signature is by.
    lacks_key: bool,
    /// What was said before that: frames and their bytes.
    before: (usize, usize),
    /// Invitations that were taken up here.
    taken: Vec<Taken>,
    /// All of it: what comes later takes nothing away from that by which somebody is in.
    by: Vec<By>,
}

/// Frames, and bytes of them, that whoever has proven nothing may send: each is refused, and is in the log of the session.
const UNPROVEN: (usize, usize) = (50, 512 * 1024);
/// Credentials that one connection may show: nobody needs more, and all are looked at whenever something changes.
const MOST_SHOWN: usize = 8;

impl Seat {
    async fn tell(&self, inbound: Inbound) -> bool {
        self.inbox.send(inbound).await.is_ok()
    }

    async fn look(&self, text: &str) -> Proof {
        let stranger = !lock(&self.shown).proven;
        let at = At { session: &self.session, certificate: self.certificate.as_ref(), stranger };
        let looked = self.verifier.look(text, at, &self.known, &self.limits).await;
        if let Some(from) = self.from.filter(|_| looked.proof.is_refused()) {
            self.attempts.failed(from, Instant::now());
        }
        if matches!(looked.proof.identity, Identity::Proven { .. }) {
            self.remember(looked.by, looked.proof.lacks_key());
        }
        lock(&self.shown).taken.extend(looked.taken);
        looked.proof
    }

    fn remember(&self, by: Option<By>, lacks_key: bool) {
        let mut shown = lock(&self.shown);
        shown.lacks_key = lacks_key && (!shown.proven || shown.lacks_key);
        shown.proven = true;
        let Some(by) = by.filter(|by| !shown.by.contains(by)) else { return };
        shown.by.push(by);
        if shown.by.len() > MOST_SHOWN {
            self.outbox.close(1008, "too many credentials on one connection");
        }
        self.more.notify_one();
    }

    /// Whether somebody says more than a stranger may. It counts against their address like a refused credential.
    fn says_too_much(&self, bytes: usize) -> bool {
        let mut shown = lock(&self.shown);
        let is_known = (shown.proven && !shown.lacks_key) || self.outbox.has_admitted();
        if is_known || !self.verifier.is_needed() {
            return false;
        }
        shown.before = (shown.before.0 + 1, shown.before.1.saturating_add(bytes));
        let too_much = shown.before.0 > UNPROVEN.0 || shown.before.1 > UNPROVEN.1;
        if let Some(from) = self.from.filter(|_| too_much) {
            self.attempts.failed(from, Instant::now());
        }
        too_much
    }

    /// What the session is told of a frame that is not let in; nothing of an error, which is never answered by one (ERR-03).
    fn too_fast(&self, frame: &Frame, wait: Duration) -> Option<Inbound> {
        let (message_type, refers_to) = match frame {
            Frame::Text(text) => type_and_id_of(text.as_str()),
            Frame::NotText => (None, None),
        };
        if message_type == Some(MessageType::ProtocolError) {
            return None;
        }
        // Rounded up: whoever comes back then comes late enough.
        let retry_after = Seconds::whole(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1));
        Some(Inbound::TooFast { conn: self.conn, refers_to, retry_after })
    }

    /// Whether this could be one more guess, from an address that has to wait. Whoever is in makes none.
    fn has_to_wait(&self, frame: &Frame) -> bool {
        let Frame::Text(text) = frame else { return false };
        self.verifier.may_look(text.as_str())
            && !self.outbox.has_admitted()
            && self.from.is_some_and(|from| self.attempts.wait(from, Instant::now()).is_some())
    }

    /// Returns when something that a HELLO on this connection has shown is no good any more, or when the credential of whoever is
    /// in has ended and no other was shown within `grace`: until then only what they say is refused (SEC-14). Says why.
    pub(crate) async fn over(&self, grace: &Seconds) -> &'static str {
        let mut changes = self.verifier.changes();
        loop {
            let now = clock::now();
            let mut next = self.outbox.until().map(|ends| ends.after(grace));
            if next.is_some_and(|ends| ends <= now) {
                return "the credential of this connection has ended, and no other was shown";
            }
            let shown = lock(&self.shown).by.clone();
            for by in shown {
                match self.verifier.standing(&by, now) {
                    Standing::Good => {}
                    Standing::Until(at) => next = next.into_iter().chain([at]).min(),
                    Standing::Over => {
                        return "a credential that was shown on this connection is no good any more";
                    }
                }
            }
            let nap = next.map_or(LONGEST_SLEEP, |at| clock::until(at, now).min(LONGEST_SLEEP));
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return pending().await },
                () = self.more.notified() => {}
                () = self.outbox.renewed() => {}
                () = sleep(nap) => {}
            }
        }
    }
}

impl Link for Seat {
    async fn frame(&self, frame: Frame) -> bool {
        match self.outbox.pace() {
            Pace::Fine => {}
            Pace::TooFast(wait) => {
                return match self.too_fast(&frame, wait) {
                    Some(inbound) => self.tell(inbound).await,
                    None => true,
                };
            }
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
        if self.says_too_much(bytes) {
            let text = "too much was said on this connection without a good credential";
            self.outbox.close_for(Limit::Stranger, text);
            return true;
        }
        if self.has_to_wait(&frame) {
            let text = "too many refused credentials came from this address; try again later";
            self.outbox.close_for(Limit::CredentialAttempts, text);
            return true;
        }
        let proof = match &frame {
            Frame::Text(text) => self.look(text.as_str()).await,
            Frame::NotText => Proof::default(),
        };
        // Only now: to look may take as long as another program thinks, and all the others wait for this room. The semaphore is
        // never closed; a session that is gone shows when it is told.
        let room =
            Arc::clone(&self.room).acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await.ok();
        self.tell(Inbound::Frame { conn: self.conn, frame, proof, room }).await
    }

    async fn left(&self) {
        self.tell(Inbound::Left { conn: self.conn }).await;
        if !self.outbox.has_admitted() {
            // A HELLO that still waits may let them in, for as long as it takes to see that they have left.
            lock(&self.shown).taken.iter().for_each(|taken| self.verifier.give_back(taken));
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::pin::pin;

    use clap::Parser;
    use futures::poll;

    use super::*;
    use crate::cli::Settings;
    use crate::metrics::Meters;
    use crate::outbox::{QueueLimits, outbox};

    #[tokio::test]
    async fn whoever_waits_for_another_program_takes_no_room_from_members() {
        let dir = tempfile::tempdir().unwrap();
        let data = format!("--data-dir={}", dir.path().display());
        // It is asked, and not waited for.
        let flags =
            ["mpac-ws", "--security-profile=authenticated", "--credential-command=/bin/sleep 9", &data];
        let settings = Settings::try_parse_from(flags).unwrap();
        let (inbox, mut told) = mpsc::channel(1);
        let (outbox, _queue) =
            outbox(QueueLimits { frames: 9, bytes: 999, together: u64::MAX }, Meters::default());
        let seat = Seat {
            conn: ConnId(1),
            inbox,
            room: Arc::new(Semaphore::new(INBOX_BYTES)),
            known: Known::default(),
            session: SessionId::new("s").unwrap(),
            certificate: None,
            from: None,
            outbox,
            limits: Limits::default(),
            verifier: Arc::new(Verifier::of(&settings).unwrap()),
            attempts: Attempts::new(50),
            shown: Mutex::default(),
            more: Notify::new(),
        };
        let hello = r#"{"protocol":"MPAC","version":"0.1.13","message_type":"HELLO","message_id":"m","session_id":"s",
            "sender":{"principal_id":"agent:a","principal_type":"agent","sender_instance_id":"a:1"},"ts":"2026-01-02T03:04:05Z",
            "payload":{"display_name":"a","roles":[],"capabilities":[],"credential":{"type":"custom","value":"x"}}}"#;
        let mut judged = pin!(seat.frame(Frame::Text(hello.into())));
        assert!(poll!(judged.as_mut()).is_pending());
        assert!(told.try_recv().is_err());
        assert_eq!(seat.room.available_permits(), INBOX_BYTES);
        // What is looked at already has its room until the session has worked it off.
        assert!(seat.frame(Frame::Text("{}".into())).await);
        assert_eq!(seat.room.available_permits(), INBOX_BYTES - 2);
        drop(told);
        assert_eq!(seat.room.available_permits(), INBOX_BYTES);
    }
}
