//! Public keys that an operator registered: by them somebody signs in an authenticated session without a certificate (SEC-22).

use mpac_wire::{Fingerprint, PrincipalId, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::Keys;

/// An Ed25519 key, and who signs with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signer {
    pub(crate) public_key: PublicKey,
    pub(crate) principal: PrincipalId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_at: Option<Timestamp>,
}

impl Keys {
    /// What is said of the key of this name.
    pub(super) fn signer(&self, key: &Fingerprint) -> Option<&Signer> {
        self.signers.iter().find(|it| it.public_key.fingerprint() == *key)
    }

    /// Whoever is named signs with this key, in place of what was said of it before.
    pub(crate) fn register(&mut self, signer: Signer) {
        self.signers.retain(|it| it.public_key != signer.public_key);
        self.signers.push(signer);
    }

    /// Whether there was such a key to revoke; nothing that it signs counts from now on.
    pub(crate) fn retire(&mut self, fingerprint: &str, now: Timestamp) -> bool {
        let it = self.signers.iter_mut().find(|it| it.public_key.fingerprint().to_string() == fingerprint);
        it.is_some_and(|it| it.revoked_at.replace(it.revoked_at.unwrap_or(now)).is_none())
    }

    /// Every key that somebody signs with.
    pub(crate) fn signers(&self) -> impl Iterator<Item = &Signer> {
        self.signers.iter()
    }
}
