//! The public keys that a session has met, for its connections: so that they can verify beside it and not in it.
//!
//! That is safe at any moment of any rotation. A key is found by its fingerprint, and whether a signature is good by that key
//! does not change; whose it is and whether it still counts is for the core to say, in order with everything else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mpac_wire::{Fingerprint, PublicKey};

/// Keys that are remembered. More are verified by the session itself, or push out the others: nothing depends on it.
const MOST: usize = 10_000;

/// Shared by a session and its connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<BTreeMap<Fingerprint, PublicKey>>>);

impl Known {
    pub(crate) fn get(&self, key: &Fingerprint) -> Option<PublicKey> {
        self.lock().get(key).cloned()
    }

    /// Remembers a key that the session vouches for.
    pub(crate) fn learn(&self, key: &PublicKey) {
        let mut known = self.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key.fingerprint(), key.clone());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Fingerprint, PublicKey>> {
        // Nothing that can panic runs under this lock, so a poisoned state is still a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
