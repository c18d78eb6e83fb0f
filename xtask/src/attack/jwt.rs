//! JSON Web Tokens by hand: good ones, and those that a library would refuse to make.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::member::micros;
use crate::step::Failure;

/// Who issues tokens: the seed of the key makes it the same in each process.
pub(super) struct Issuer {
    key: Ed25519KeyPair,
}

impl Issuer {
    /// # Errors
    /// Never, but for a library that is broken.
    pub(super) fn new(seed: u8) -> Result<Self, Failure> {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32])
            .map_err(|error| Failure::check(format!("no key: {error}")))?;
        Ok(Self { key })
    }

    fn public(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }

    /// The key as a JWK of this name.
    pub(super) fn jwk(&self, id: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": encode(self.public()), "alg": "EdDSA"})
    }

    /// A token with any header and body, signed as it should be.
    pub(super) fn sign(&self, header: &Value, body: &str) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(body));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    /// The same with the public key as a secret that both ends share.
    pub(super) fn sign_with_public_key(&self, header: &Value, body: &str) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(body));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.public());
        format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())))
    }
}

/// A token by a key on another curve.
///
/// # Errors
/// Never, but for a library that is broken.
pub(super) fn on_another_curve(header: &Value, body: &str) -> Result<String, Failure> {
    let failed = |_| Failure::check("no P-256 key");
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
    let signed = format!("{}.{}", encode(header.to_string()), encode(body));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(failed)?;
    Ok(format!("{signed}.{}", encode(signature)))
}

/// The header of a good token.
pub(super) fn header(id: &str) -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": id})
}

/// The claims of a good token for agent:bob, with those of `other` over them.
pub(super) fn claims(other: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example", "aud": "default", "sub": "agent:bob", "exp": in_sec(300), "roles": ["contributor"],
    });
    for (name, value) in other.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims
}

/// A moment so many seconds from now, as tokens count.
pub(super) fn in_sec(sec: i64) -> i64 {
    micros() / 1_000_000 + sec
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
