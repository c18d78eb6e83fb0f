//! What a host, or a participant's program, found out about the signature of a message. The cryptography is theirs, the
//! outcome is an input like any other: it is in the log, and replays (SEC-22, SEC-23, D-121).

use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::{Fingerprint, PrincipalId, PublicKey};

/// The outcome. Whose the key is and whether it is still good is for the receiver of this to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an outcome that a log does not know could not be replayed")]
pub enum Signed {
    /// There is none, or it was not looked at.
    #[default]
    Missing,
    /// There is something that is none.
    Malformed,
    /// It does not verify, its key is not known, or the message has no form that could be signed.
    Wrong,
    /// It verifies.
    Good {
        /// By this key.
        key: Fingerprint,
        /// How the host has the key, if not from the session ([`View::key`](crate::View::key)).
        shown: Option<ShownKey>,
    },
}

impl Signed {
    /// Good, by a key that the session knows.
    pub const fn by(key: Fingerprint) -> Self {
        Self::Good { key, shown: None }
    }
}

/// A key that a session does not know yet: of the certificate that this HELLO shows, or of the host's own table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShownKey {
    /// Whose it is, by the certificate or the table.
    pub principal: PrincipalId,
    /// For which signatures.
    pub algorithm: SignatureAlgorithm,
    /// The key. That of a MAC is a secret and stays with the host.
    pub public_key: Option<PublicKey>,
}

impl ShownKey {
    /// An Ed25519 key of `principal`.
    pub const fn ed25519(principal: PrincipalId, key: PublicKey) -> Self {
        Self { principal, algorithm: SignatureAlgorithm::Ed25519, public_key: Some(key) }
    }

    /// A secret that `principal` shares with the host.
    pub const fn mac(principal: PrincipalId) -> Self {
        Self { principal, algorithm: SignatureAlgorithm::HmacSha256, public_key: None }
    }

    /// Whether others can verify by it what its owner signed.
    pub(crate) fn is_public(&self, key: &Fingerprint) -> bool {
        let named = self.public_key.as_ref().is_some_and(|it| it.fingerprint() == *key && is_ed25519(it));
        named && self.algorithm == SignatureAlgorithm::Ed25519
    }
}

/// Whether a key has the length of one.
pub(crate) fn is_ed25519(key: &PublicKey) -> bool {
    key.as_bytes().len() == mpac_wire::signature::ED25519_KEY_BYTES
}
