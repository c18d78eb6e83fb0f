//! How the coordinator of a session speaks: signed where it has a key.

use std::sync::Arc;

use mpac_wire::{Envelope, Fingerprint};
use tracing::warn;

use crate::signing::Signing;
use crate::signing::signer::{Signer, Unsigned};

/// Signs what the coordinator says.
#[derive(Debug, Default)]
pub(in super::super) struct Voice {
    signer: Option<Signer>,
    /// Nothing unsigned is said (SEC-26).
    always: bool,
}

impl Voice {
    pub(in super::super) const fn new(signer: Option<Signer>, always: bool) -> Self {
        Self { signer, always }
    }

    /// Signs it, where that is done here.
    ///
    /// In an authenticated session a message may quote what somebody wrote who does not sign, and what has no form to be signed:
    /// there signatures are a SHOULD (SEC-22), and everybody hears it without one. In a verified one all of it was signed before.
    ///
    /// # Errors
    /// When it must not be said, because it cannot be signed.
    pub(super) fn sign(&self, envelope: &mut Envelope) -> Result<(), Unsigned> {
        let Some(signer) = &self.signer else { return Ok(()) };
        match signer.sign(envelope) {
            Err(unsigned) if self.always => Err(unsigned),
            Err(unsigned) => {
                warn!("{} goes out without a signature: {unsigned}", envelope.message_type);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// With which key, where that is done here.
    pub(super) fn signing(&self) -> Option<Arc<Signing>> {
        self.signer.as_ref()?.signing()
    }

    /// From here on with this key.
    pub(super) fn switch(&mut self, key: Fingerprint) {
        if let Some(signer) = &mut self.signer {
            signer.switch(key);
        }
    }
}
