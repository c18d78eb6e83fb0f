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
    /// Who signs with the key of this name.
    pub(super) fn signer(&self, key: &Fingerprint) -> Option<&Signer> {
        self.signers.iter().find(|it| it.revoked_at.is_none() && it.public_key.fingerprint() == *key)
    }
}
