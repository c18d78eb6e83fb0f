//! The coordinator's voice in one session: it signs each message that it authors, in order, with the key that counts at that
//! moment (SEC-26, D-127).

use std::sync::Arc;

use mpac_wire::signature::NotCanonical;
use mpac_wire::{Envelope, Fingerprint};
use thiserror::Error;

use super::Signing;
use super::ring::Ring;

/// A message that could not be signed.
#[derive(Debug, Error)]
pub(crate) enum Unsigned {
    #[error("the key {0} is not there")]
    NoKey(Fingerprint),
    #[error("{0}")]
    NotCanonical(#[from] NotCanonical),
}

/// Signs for one session.
#[derive(Debug)]
pub(crate) struct Signer {
    ring: Ring,
    key: Fingerprint,
    signing: Option<Arc<Signing>>,
}

impl Signer {
    /// With this key of the ring.
    pub(crate) fn new(ring: Ring, key: Fingerprint) -> Self {
        let signing = ring.get(&key);
        Self { ring, key, signing }
    }

    /// From here on with that one.
    pub(crate) fn switch(&mut self, key: Fingerprint) {
        *self = Self::new(self.ring.clone(), key);
    }

    /// The key, if it is there.
    pub(crate) fn signing(&self) -> Option<Arc<Signing>> {
        self.signing.clone()
    }

    /// # Errors
    /// When the key is not there, or the message has no form that can be signed. Then it has no signature.
    pub(crate) fn sign(&self, envelope: &mut Envelope) -> Result<(), Unsigned> {
        let signing = self.signing.as_ref().ok_or(Unsigned::NoKey(self.key))?;
        Ok(signing.sign(envelope)?)
    }
}
