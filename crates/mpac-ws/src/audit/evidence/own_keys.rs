//! The coordinator's keys as an auditor comes to trust them: those of the keys file, and those that a trusted one has vouched for
//! (SEC-32).

use std::collections::{BTreeMap, BTreeSet};

use mpac_core::Signed;
use mpac_wire::names::CoordinatorEvent;
use mpac_wire::payload::KeyChange;
use mpac_wire::{Envelope, Fingerprint, Message, PublicKey, Signature};

use super::trust::Trust;
use crate::signing::{self, Verifying};

/// What is known of them.
#[derive(Debug)]
pub(super) struct OwnKeys {
    /// Every key that somebody says is one.
    pool: BTreeMap<Fingerprint, PublicKey>,
    trusted: BTreeSet<Fingerprint>,
    /// By which others are trusted than those of the file.
    rotated: BTreeSet<Fingerprint>,
    /// Announced in the log, by number of the entry, and not vouched for yet.
    waiting: Vec<(u64, Fingerprint)>,
}

impl OwnKeys {
    pub(super) fn new(trust: &Trust) -> Self {
        let pool = trust.given().iter().map(|key| (key.fingerprint(), key.clone())).collect();
        let trusted = trust.coordinator().clone();
        Self { pool, trusted, rotated: BTreeSet::new(), waiting: Vec::new() }
    }

    /// Somebody says that this is one. That makes nobody trust it.
    pub(super) fn learn(&mut self, key: &PublicKey) {
        self.pool.entry(key.fingerprint()).or_insert_with(|| key.clone());
    }

    /// This key, if it is trusted and known.
    pub(super) fn trusted(&self, key: &Fingerprint) -> Option<&PublicKey> {
        self.pool.get(key).filter(|_| self.trusted.contains(key))
    }

    /// Whether the coordinator has never had one, as far as anybody says.
    pub(super) fn is_empty(&self) -> bool {
        self.pool.is_empty()
    }

    /// What else is said to be one.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &Fingerprint> {
        self.pool.keys().filter(|key| !self.trusted.contains(key))
    }

    /// Those that are trusted, each with whether the file itself names it.
    pub(super) fn all_trusted(&self) -> impl Iterator<Item = (&Fingerprint, bool)> {
        self.trusted.iter().map(|key| (key, !self.rotated.contains(key)))
    }

    /// By which trusted key a message is signed, if by any.
    pub(super) fn signer(&self, text: &str, envelope: &Envelope) -> Option<Fingerprint> {
        let signature: Signature = envelope.signature.as_ref()?.parse().ok()?;
        let key = self.trusted(&signature.key)?.clone();
        let with = Verifying::Ed25519(key);
        let verdict = signing::verify(text, envelope.signature.as_deref(), |_| Some(with));
        matches!(verdict, Signed::Good { .. }).then_some(signature.key)
    }

    /// A message that a trusted key signed may say that another one takes its place.
    pub(super) fn hear(&mut self, envelope: &Envelope) {
        let Ok(Message::CoordinatorStatus(status)) = envelope.message() else { return };
        if status.event != CoordinatorEvent::Heartbeat {
            return;
        }
        let change = status.extensions.as_ref().and_then(KeyChange::of_extensions);
        if let Some(change) = change.filter(|it| it.principal_id == envelope.sender.principal_id) {
            self.learn(&change.public_key);
            self.trust(change.public_key.fingerprint());
        }
    }

    /// The log says at entry `n` that this key takes the place of the others.
    pub(super) fn announced(&mut self, n: u64, key: Fingerprint) {
        self.waiting.push((n, key));
    }

    /// A trusted key has sealed everything up to entry `n`, what was announced there included.
    pub(super) fn sealed(&mut self, n: u64) {
        for (_, key) in self.waiting.extract_if(.., |(at, _)| *at <= n).collect::<Vec<_>>() {
            self.trust(key);
        }
    }

    fn trust(&mut self, key: Fingerprint) {
        if self.trusted.insert(key) {
            self.rotated.insert(key);
        }
    }
}
