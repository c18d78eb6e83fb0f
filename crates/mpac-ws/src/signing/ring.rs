//! The coordinator's keys while its server runs: one set, for all sessions and for the operator.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mpac_wire::Fingerprint;
use tracing::warn;

use super::Signing;
use super::key_file::{Keys, SigningKeyError};

/// The keys of a running server, which an operator may rotate; clones see the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Ring(Arc<Mutex<Keys>>);

impl Ring {
    pub(crate) fn new(keys: Keys) -> Self {
        Self(Arc::new(Mutex::new(keys)))
    }

    /// The key that new sessions begin with.
    pub(crate) fn current(&self) -> Arc<Signing> {
        Arc::clone(self.lock().current())
    }

    /// The current one or an earlier one.
    pub(crate) fn get(&self, key: &Fingerprint) -> Option<Arc<Signing>> {
        self.lock().get(key).map(Arc::clone)
    }

    /// Makes a new key, writes it down, and gives it; from here on it is the current one. One at a time: whoever else wants
    /// a key waits for the disk.
    ///
    /// # Errors
    /// When it cannot be made or written; then nothing has changed.
    pub(crate) fn rotate(&self) -> Result<Arc<Signing>, SigningKeyError> {
        let mut keys = self.lock();
        *keys = keys.rotated()?;
        Ok(Arc::clone(keys.current()))
    }

    /// Reads them again, where they are in files: somebody may have put others there. What cannot be read changes nothing.
    pub(crate) fn reload(&self) {
        let mut keys = self.lock();
        match keys.place().cloned().map(Keys::read) {
            Some(Ok(Some(read))) => *keys = read,
            Some(Err(error)) => warn!("signing key {error}"),
            Some(Ok(None)) | None => {}
        }
    }

    /// What there is to say about them: a line for each, the current one first.
    pub(crate) fn told(&self) -> String {
        self.lock().told()
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // What is under it is replaced as a whole, so a poisoned one is whole as well.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
