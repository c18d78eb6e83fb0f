//! What a host, or a participant's program, found out about the signature of a message. The cryptography is theirs, the
//! outcome is an input like any other: it is in the log, and replays (SEC-22, SEC-23, D-121).
//!
//! What a host does in a session that is not open:
//!
//! 1. With each frame: reads the envelope's `signature` ([`Signature`](mpac_wire::Signature)); looks its key up, with a HELLO in
//!    the certificate that it shows, else in [`View::key`](crate::View::key); verifies over
//!    [`signed_bytes`](mpac_wire::signature::signed_bytes) of the frame by the algorithm that the key is for; and says what it found with [`Peer::signed`](crate::Peer::signed). A certificate that is not
//!    trusted is [`Identity::Rejected`](crate::Identity), and its key is shown all the same: then the refusal names the credential.
//!    A frame is verified *as it came*; a host that keeps a log verifies a HELLO as it is kept, so that nothing is good that
//!    nobody can verify again, unless the credential's secret is blanked in that.
//! 2. With each [`Output::Send`](crate::Output): signs the envelope ([`Envelope::sign`](mpac_wire::Envelope::sign)) with
//!    [`View::coordinator_key`](crate::View::coordinator_key), in order; from [`Notice::CoordinatorKey`](crate::Notice) on with
//!    the new one.

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

/// Whether these bytes can be somebody's Ed25519 public key: 32, and none of the few by which everybody can make a good
/// signature for anything, so that nobody can be held to what they sign.
pub(crate) fn is_ed25519(key: &PublicKey) -> bool {
    let bytes = key.as_bytes();
    bytes.len() == mpac_wire::signature::ED25519_KEY_BYTES && !is_of_small_order(bytes)
}

/// The points of an order below 9 by their y, lowest byte first, also as y + p where that fits: 0, 1 and p - 1, and the two
/// of order 8. The sign, the highest bit, is either.
fn is_of_small_order(key: &[u8]) -> bool {
    const EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let [low, middle @ .., high] = key else { return false };
    let high = high & 0x7f;
    let near_zero = *low <= 1 && middle.iter().all(|byte| *byte == 0) && high == 0;
    let near_p = (0xec..=0xee).contains(low) && middle.iter().all(|byte| *byte == 0xff) && high == 0x7f;
    let same = |point: &[u8; 32]| key[..31] == point[..31] && high == point[31];
    near_zero || near_p || EIGHT.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_everybody_can_sign_with_is_none() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut order_two = [0xff; 32];
        (order_two[0], order_two[31]) = (0xec, 0x7f);
        let eight: PublicKey = "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA_o".parse().unwrap();
        for key in [identity, [0; 32], order_two] {
            assert!(!is_ed25519(&PublicKey::new(&key)), "{key:?}");
        }
        assert!(!is_ed25519(&eight) && !is_ed25519(&PublicKey::new(&[7; 31])));
        assert!(is_ed25519(&PublicKey::new(&[7; 32])));
    }
}
