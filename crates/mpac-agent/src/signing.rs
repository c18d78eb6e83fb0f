//! The cryptography of signed messages: Ed25519 over the bytes that `mpac-wire` gives (D-121).
//!
//! The server has as much of it in `mpac_ws::signing`. What the two share, the form of what is signed, is in `mpac-wire`; what
//! is left are these few calls of one library, which are not worth a crate.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use mpac_core::Signed;
use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::signature::{NotCanonical, signed_bytes};
use mpac_wire::{Envelope, PublicKey, Signature};
use rcgen::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// What came of looking at the signature of a frame by the key that the core named, if it named one.
#[must_use]
pub fn verify(frame: &str, signature: Option<&str>, key: Option<&PublicKey>) -> Signed {
    let Some(signature) = signature else { return Signed::Missing };
    let Ok(signature) = signature.parse::<Signature>() else { return Signed::Malformed };
    let Some(key) = key.filter(|key| key.fingerprint() == signature.key) else { return Signed::Wrong };
    let is_good = signature.algorithm == SignatureAlgorithm::Ed25519
        && signed_bytes(frame).is_ok_and(|bytes| {
            UnparsedPublicKey::new(&ED25519, key.as_bytes())
                .verify(bytes.as_bytes(), &signature.bytes)
                .is_ok()
        });
    if is_good { Signed::by(signature.key) } else { Signed::Wrong }
}

/// An Ed25519 key to sign with.
pub struct Signing {
    pair: Ed25519KeyPair,
    public: PublicKey,
    pkcs8: PrivatePkcs8KeyDer<'static>,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signing {
    /// A new key; `None` where the system has no randomness.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let made = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).ok()?;
        Self::of_pkcs8(PrivatePkcs8KeyDer::from(made.as_ref().to_vec()))
    }

    /// The key in a PKCS#8 document; `None` when it is of another kind.
    #[must_use]
    pub fn of_pkcs8(pkcs8: PrivatePkcs8KeyDer<'static>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8.secret_pkcs8_der()).ok()?;
        let public = PublicKey::new(pair.public_key().as_ref());
        Some(Self { pair, public, pkcs8 })
    }

    /// What others verify by.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The whole key, for TLS and for its file.
    pub(crate) const fn pkcs8(&self) -> &PrivatePkcs8KeyDer<'static> {
        &self.pkcs8
    }

    /// The same for `rcgen`, which writes PEM and requests for certificates.
    pub(crate) fn to_pair(&self) -> Result<KeyPair, rcgen::Error> {
        KeyPair::from_pkcs8_der_and_sign_algo(&self.pkcs8, &rcgen::PKCS_ED25519)
    }

    /// Signs what the participant says (SEC-23).
    ///
    /// # Errors
    /// When it has no form that can be signed.
    pub fn sign(&self, envelope: &mut Envelope) -> Result<(), NotCanonical> {
        envelope.sign(|bytes| {
            let made = self.pair.sign(bytes);
            Signature::new(SignatureAlgorithm::Ed25519, self.public.fingerprint(), made.as_ref())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What another program signed, and everything that it changed afterwards (`fixtures/signatures`).
    #[test]
    fn the_vectors_of_another_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/signatures/vectors.json");
        let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let keys: Vec<PublicKey> = vectors["keys"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|key| key["public_key"].as_str()?.parse().ok())
            .collect();
        let judge = |case: &Value| {
            let text = case["text"].as_str().unwrap();
            let parsed: Value = serde_json::from_str(text).unwrap();
            let signature = parsed["signature"].as_str();
            let named = signature.and_then(|it| it.parse::<Signature>().ok()).map(|it| it.key);
            let key = keys.iter().find(|key| Some(key.fingerprint()) == named);
            matches!(verify(text, signature, key), Signed::Good { .. })
        };
        let by_ed25519 = |case: &&Value| case["text"].as_str().unwrap().contains("ed25519:");
        let good = vectors["good"].as_array().unwrap();
        assert!(good.iter().filter(by_ed25519).count() > 5 && good.iter().filter(by_ed25519).all(judge));
        let bad = vectors["bad"].as_array().unwrap();
        assert!(bad.len() > 200 && !bad.iter().any(judge));
    }

    #[test]
    fn what_is_signed_verifies_and_what_is_changed_does_not() {
        let (own, other) = (Signing::generate().unwrap(), Signing::generate().unwrap());
        let text = r#"{"protocol":"MPAC","version":"0.1.13","message_type":"HEARTBEAT","message_id":"m","session_id":"s","sender":{"principal_id":"agent:a","principal_type":"agent","sender_instance_id":"i"},"ts":"2026-01-02T03:04:05Z","payload":{"status":"idle"},"watermark":{"kind":"lamport_clock","value":4}}"#;
        let mut envelope: Envelope = serde_json::from_str(text).unwrap();
        own.sign(&mut envelope).unwrap();
        let (frame, signature) = (envelope.to_json(), envelope.signature.clone().unwrap());
        let look = |frame: &str, key| verify(frame, Some(&signature), Some(key));
        assert_eq!(look(&frame, own.public()), Signed::by(own.public().fingerprint()));
        assert_eq!(look(&frame, other.public()), Signed::Wrong);
        assert_eq!(
            look(&frame.replace(r#""value":4"#, r#""value":5"#), own.public()),
            Signed::Wrong,
            "SEC-24"
        );
        assert_eq!(verify(&frame, None, Some(own.public())), Signed::Missing);
        assert_eq!(verify(&frame, Some("ed25519"), Some(own.public())), Signed::Malformed);
        assert!(!format!("{own:?}").contains("pkcs8"), "no secret in what is printed");
    }
}
