//! The cryptography of signed messages: Ed25519 and HMAC-SHA-256 over the bytes that `mpac-wire` gives (D-121).

pub(crate) mod key_file;
pub(crate) mod known;
pub(crate) mod ring;
pub(crate) mod signer;

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac};
use mpac_core::Signed;
use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::signature::{NotCanonical, signed_bytes};
use mpac_wire::{Envelope, Fingerprint, PublicKey, Signature};

/// A key that signatures can be verified by: the algorithm is its own, whatever a message says.
#[derive(Clone)]
pub(crate) enum Verifying {
    /// The raw public key.
    Ed25519(PublicKey),
    /// The shared secret.
    Mac(Box<[u8]>),
}

impl fmt::Debug for Verifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(key) => fmt::Debug::fmt(key, f),
            Self::Mac(_) => f.write_str("***"),
        }
    }
}

impl Verifying {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Ed25519(key) => key.fingerprint(),
            Self::Mac(secret) => Fingerprint::of(secret),
        }
    }

    fn is_good(&self, signature: &Signature, message: &[u8]) -> bool {
        match (self, &signature.algorithm) {
            (Self::Ed25519(key), SignatureAlgorithm::Ed25519) => {
                UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(message, &signature.bytes).is_ok()
            }
            (Self::Mac(secret), SignatureAlgorithm::HmacSha256) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, &signature.bytes).is_ok()
            }
            _ => false,
        }
    }
}

/// Whether the frame's own member `signature` is good, by a key that `find` knows. The core is told by which.
pub(crate) fn verify(
    frame: &str,
    signature: Option<&str>,
    find: impl FnOnce(&Fingerprint) -> Option<Verifying>,
) -> Signed {
    let Some(signature) = signature else { return Signed::Missing };
    let Ok(signature) = signature.parse::<Signature>() else { return Signed::Malformed };
    let Some(key) = find(&signature.key) else { return Signed::Wrong };
    match signed_bytes(frame) {
        Ok(bytes) if key.is_good(&signature, bytes.as_bytes()) => Signed::by(signature.key),
        _ => Signed::Wrong,
    }
}

/// An Ed25519 key to sign with.
pub(crate) struct Signing {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signing {
    /// The key that these 32 bytes stand for (RFC 8032); `None` when there are not 32.
    pub(crate) fn of_seed(seed: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self::of_pair)
    }

    /// The key in a PKCS#8 structure, with the public key beside it or without; `None` when it is none of Ed25519.
    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Self::of_pair)
    }

    /// The opposite, of the first version: older readers know no other.
    fn to_pkcs8(&self) -> Option<Vec<u8>> {
        self.pair.to_pkcs8v1().ok().map(|der| der.as_ref().to_vec())
    }

    fn of_pair(pair: Ed25519KeyPair) -> Self {
        let public = PublicKey::new(pair.public_key().as_ref());
        Self { pair, public }
    }

    pub(crate) const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs what the coordinator says (SEC-26).
    ///
    /// # Errors
    /// When it has no form that can be signed: it quotes what somebody wrote outside the verified profile.
    pub(crate) fn sign(&self, envelope: &mut Envelope) -> Result<(), NotCanonical> {
        envelope.sign(|bytes| self.over(bytes))
    }

    /// A signature over these bytes.
    pub(crate) fn over(&self, bytes: &[u8]) -> Signature {
        let made = self.pair.sign(bytes);
        Signature::new(SignatureAlgorithm::Ed25519, self.public.fingerprint(), made.as_ref())
    }
}

/// Bytes of a shared secret at the least: its fingerprint is seen by all, so nobody may be able to guess it.
pub(crate) const SECRET_BYTES: usize = digest::SHA256_OUTPUT_LEN;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/signatures/vectors.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn raw(text: &Value) -> PublicKey {
        text.as_str().unwrap().parse().unwrap()
    }

    fn ring(vectors: &Value) -> Vec<Verifying> {
        let keys = vectors["keys"].as_array().unwrap().iter();
        keys.map(|key| match key["algorithm"].as_str().unwrap() {
            "ed25519" => Verifying::Ed25519(raw(&key["public_key"])),
            _ => Verifying::Mac(raw(&key["secret"]).as_bytes().into()),
        })
        .collect()
    }

    fn judge(text: &str, ring: &[Verifying]) -> Signed {
        let signature = serde_json::from_str::<Value>(text).unwrap()["signature"].clone();
        verify(text, signature.as_str(), |wanted| {
            ring.iter().find(|key| key.fingerprint() == *wanted).cloned()
        })
    }

    /// What another program signed, and everything that it changed afterwards.
    #[test]
    fn the_vectors_of_another_program() {
        let vectors = vectors();
        let ring = ring(&vectors);
        for case in vectors["good"].as_array().unwrap() {
            let key =
                vectors["keys"].as_array().unwrap().iter().find(|key| key["name"] == case["key"]).unwrap();
            let expected = Signed::by(key["fingerprint"].as_str().unwrap().parse().unwrap());
            assert_eq!(judge(case["text"].as_str().unwrap(), &ring), expected, "{case}");
        }
        let bad = vectors["bad"].as_array().unwrap();
        assert!(bad.len() > 200);
        for case in bad {
            let found = judge(case["text"].as_str().unwrap(), &ring);
            assert!(!matches!(found, Signed::Good { .. }), "{case}");
        }
    }

    #[test]
    fn we_sign_as_the_other_program_does() {
        let vectors = vectors();
        let mut signed = 0;
        for case in vectors["good"].as_array().unwrap() {
            let key =
                vectors["keys"].as_array().unwrap().iter().find(|key| key["name"] == case["key"]).unwrap();
            let Some(seed) = key["seed"].as_str() else { continue };
            let seed: Vec<u8> =
                (0..32).map(|at| u8::from_str_radix(&seed[2 * at..2 * at + 2], 16).unwrap()).collect();
            let own = Signing::of_seed(&seed).unwrap();
            assert_eq!(*own.public(), raw(&key["public_key"]));
            let mut envelope: Envelope = serde_json::from_str(case["text"].as_str().unwrap()).unwrap();
            let expected = envelope.signature.take();
            own.sign(&mut envelope).unwrap();
            assert_eq!(envelope.signature, expected);
            signed += 1;
        }
        assert!(signed >= 6);
        assert!(Signing::of_seed(&[1; 31]).is_none());
    }
}
