//! Signatures of messages in their written form (`spec/wire.md` §12). No cryptography: whoever signs or verifies brings
//! it, and gets the bytes to sign from [`signed_bytes`].
//!
//! ```
//! use mpac_wire::signature::{Fingerprint, Signature};
//! use mpac_wire::names::SignatureAlgorithm;
//!
//! let key = Fingerprint::of(&[7; 32]);
//! let signature = Signature::new(SignatureAlgorithm::Ed25519, key, &[1, 2, 3]);
//! let text = signature.to_string();
//! assert!(text.starts_with("ed25519:sha256:") && text.ends_with(":AQID"));
//! assert_eq!(text.parse(), Ok(signature));
//! ```

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use crate::canonical::{NotCanonical, canonical, signed_bytes};
use crate::envelope::Envelope;
use crate::names::SignatureAlgorithm;

/// Bytes of a raw Ed25519 public key.
pub const ED25519_KEY_BYTES: usize = 32;

/// Which key: SHA-256 of its raw bytes, written `sha256:` and 64 hex digits. Of a MAC it is that of the shared secret,
/// which must therefore be one that nobody can guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a raw key.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidSignature;

    /// Hex digits in upper case are taken too.
    fn from_str(text: &str) -> Result<Self, InvalidSignature> {
        let hex = text.strip_prefix("sha256:").ok_or(InvalidSignature::Fingerprint)?;
        let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(InvalidSignature::Fingerprint)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |byte, digit| (byte << 4) | u8::try_from(*digit).unwrap_or(0));
        }
        Ok(Self(bytes))
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// The raw bytes of a public key, written in base64url without padding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(Box<[u8]>);

impl PublicKey {
    /// These bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Which key it is.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = InvalidSignature;
    fn from_str(text: &str) -> Result<Self, InvalidSignature> {
        bytes(text).map(|bytes| Self(bytes.into()))
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// A signature as it stands in an envelope: `<algorithm>:<fingerprint of the key>:<base64url>`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signature {
    /// How it was made. One that is not listed can be read and by nobody here be verified.
    pub algorithm: SignatureAlgorithm,
    /// With which key.
    pub key: Fingerprint,
    /// What the algorithm gave: 64 bytes of Ed25519, 32 of HMAC-SHA-256.
    pub bytes: Box<[u8]>,
}

impl Signature {
    /// Made with this algorithm and key.
    pub fn new(algorithm: SignatureAlgorithm, key: Fingerprint, bytes: &[u8]) -> Self {
        Self { algorithm, key, bytes: bytes.into() }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.algorithm, self.key, URL_SAFE_NO_PAD.encode(&self.bytes))
    }
}

impl FromStr for Signature {
    type Err = InvalidSignature;
    fn from_str(text: &str) -> Result<Self, InvalidSignature> {
        let (algorithm, rest) = text.split_once(':').ok_or(InvalidSignature::Form)?;
        let (key, value) = rest.rsplit_once(':').ok_or(InvalidSignature::Form)?;
        if algorithm.is_empty() {
            return Err(InvalidSignature::Form);
        }
        let value = bytes(value)?;
        Ok(Self { algorithm: algorithm.into(), key: key.parse()?, bytes: value.into() })
    }
}

/// What is written as a signature, key or fingerprint and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidSignature {
    /// Not three parts.
    #[error("a signature is <algorithm>:<fingerprint>:<base64url>")]
    Form,
    /// The key's fingerprint is none.
    #[error("a fingerprint is sha256: and 64 hexadecimal digits")]
    Fingerprint,
    /// The bytes are written in another way, or padded.
    #[error("expected base64url without padding")]
    Base64,
}

fn bytes(text: &str) -> Result<Vec<u8>, InvalidSignature> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty());
    decoded.ok_or(InvalidSignature::Base64)
}

fn parsed<'de, T: FromStr<Err = InvalidSignature>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let read = deserializer.deserialize_str(crate::open::TextVisitor(|text: &str| text.parse::<T>()))?;
    read.map_err(serde::de::Error::custom)
}

impl Envelope {
    /// Signs the message: `make` gets the bytes to sign and gives the signature (SEC-24, SEC-26). One that was there is
    /// replaced.
    ///
    /// # Errors
    /// When the message has no canonical form, as one made of parts that somebody else wrote may.
    pub fn sign(&mut self, make: impl FnOnce(&[u8]) -> Signature) -> Result<(), NotCanonical> {
        let signature = make(signed_bytes(&self.to_json())?.as_bytes());
        self.signature = Some(signature.to_string());
        Ok(())
    }
}

/// The name of a key for people: enough of its fingerprint to compare by eye.
pub fn short(key: &Fingerprint) -> String {
    key.to_string().chars().take("sha256:".len() + 16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_signature_is_refused_by_name() {
        let key = Fingerprint::of(b"k").to_string();
        let good = alloc::format!("ed25519:{key}:AQID");
        let parse = |text: &str| text.parse::<Signature>();
        assert_eq!(parse(&good).unwrap().to_string(), good);
        assert_eq!(parse(&good).unwrap().bytes.as_ref(), [1, 2, 3]);
        // An algorithm that nobody here knows can be named all the same.
        assert_eq!(parse(&good.replace("ed25519", "ed448")).unwrap().algorithm.as_str(), "ed448");
        let upper = good.replace(&key, &alloc::format!("sha256:{}", key[7..].to_uppercase()));
        assert_eq!(parse(&upper).unwrap().to_string(), good);
        for (text, expected) in [
            (String::new(), InvalidSignature::Form),
            ("ed25519".into(), InvalidSignature::Form),
            (alloc::format!(":{key}:AQID"), InvalidSignature::Form),
            ("ed25519:AQID".into(), InvalidSignature::Form),
            ("ed25519:sha256:00:AQID".into(), InvalidSignature::Fingerprint),
            (good.replace("sha256:", "sha512:"), InvalidSignature::Fingerprint),
            (good.replace(&key, &alloc::format!("{key}0")), InvalidSignature::Fingerprint),
            (good.replace("AQID", ""), InvalidSignature::Base64),
            (good.replace("AQID", "AQ=="), InvalidSignature::Base64),
            (good.replace("AQID", "AR"), InvalidSignature::Base64),
            (good.replace("AQID", "A+/I"), InvalidSignature::Base64),
            (good.replace("AQID", "AQI D"), InvalidSignature::Base64),
        ] {
            assert_eq!(parse(&text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_signed_message_says_what_was_signed() {
        let text = r#"{"protocol":"MPAC","version":"0.1.13","message_type":"HEARTBEAT","message_id":"m","session_id":"s","sender":{"principal_id":"p","principal_type":"agent","sender_instance_id":"i"},"ts":"2026-01-02T03:04:05Z","payload":{"status":"idle"},"watermark":{"kind":"lamport_clock","value":8.0}}"#;
        let mut envelope: Envelope = serde_json::from_str(text).unwrap();
        let mut covered = Vec::new();
        let make = |bytes: &[u8]| {
            covered = bytes.to_vec();
            Signature::new(SignatureAlgorithm::Ed25519, Fingerprint::of(b"k"), &[1])
        };
        envelope.sign(make).unwrap();
        let written = envelope.to_json();
        assert_eq!(signed_bytes(&written).unwrap().as_bytes(), covered);
        assert_eq!(signed_bytes(text).unwrap().as_bytes(), covered);
        assert!(
            String::from_utf8(covered).unwrap().contains(r#""watermark":{"kind":"lamport_clock","value":8}"#)
        );
    }
}
