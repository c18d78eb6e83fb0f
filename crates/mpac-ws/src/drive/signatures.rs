//! The keys of whoever drives: the coordinator's, with which it signs, and those that participants sign with.
//!
//! In a server they come from key files and certificates; here they are part of the configuration.

use std::collections::BTreeMap;

use mpac_core::{ShownKey, Signed, View};
use mpac_wire::signature::ED25519_KEY_BYTES;
use mpac_wire::{Envelope, Fingerprint, PrincipalId, PublicKey};

use super::failure::Failure;
use super::members::At;
use crate::signing::{self, SECRET_BYTES, Signing, Verifying};

/// `config.coordinator_key`.
#[derive(Debug)]
pub(super) struct OwnKey {
    pub(super) public: PublicKey,
    /// What it signs with; nothing where only the public key was given.
    pub(super) signing: Option<Signing>,
}

impl OwnKey {
    pub(super) fn read(at: &At<'_>) -> Result<Self, Failure> {
        let members = at.members()?;
        members.only(&["seed", "public_key"])?;
        match (members.get("seed"), members.get("public_key")) {
            (Some(at), None) => {
                let signing = seed(&at)?;
                Ok(Self { public: signing.public().clone(), signing: Some(signing) })
            }
            (None, Some(at)) => Ok(Self { public: public_key(&at)?, signing: None }),
            _ => Err(at.wrong("give either `seed`, 64 hexadecimal digits, or `public_key`, base64url")),
        }
    }
}

/// The 32 bytes of a key, in hexadecimal digits.
pub(super) fn seed(at: &At<'_>) -> Result<Signing, Failure> {
    let text: String = at.read()?;
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|it| u8::try_from(it).ok())).collect();
    let bytes: Vec<u8> = digits
        .unwrap_or_default()
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, it| (byte << 4) | it))
        .collect();
    let whole = text.len() == 2 * ED25519_KEY_BYTES;
    let key = if whole { Signing::of_seed(&bytes) } else { None };
    key.ok_or_else(|| at.wrong("expected 64 hexadecimal digits"))
}

fn public_key(at: &At<'_>) -> Result<PublicKey, Failure> {
    let key: PublicKey = at.read()?;
    if key.as_bytes().len() == ED25519_KEY_BYTES {
        Ok(key)
    } else {
        Err(at.wrong("expected 32 bytes in base64url, without padding"))
    }
}

/// `config.keys`: whose key is which. Stands for the certificates that a server would read.
#[derive(Debug, Default)]
pub(super) struct Ring(BTreeMap<Fingerprint, (PrincipalId, Verifying)>);

impl Ring {
    pub(super) fn read(at: &At<'_>) -> Result<Self, Failure> {
        let mut ring = BTreeMap::new();
        for at in at.list()? {
            let members = at.members()?;
            members.only(&["principal_id", "public_key", "secret"])?;
            let owner = members.need("principal_id")?.read()?;
            let key = match (members.get("public_key"), members.get("secret")) {
                (Some(at), None) => Verifying::Ed25519(public_key(&at)?),
                (None, Some(at)) => {
                    let secret: PublicKey = at.read()?; // of the same spelling
                    if secret.as_bytes().len() < SECRET_BYTES {
                        return Err(at.wrong("expected at least 32 bytes in base64url, without padding"));
                    }
                    Verifying::Mac(secret.as_bytes().into())
                }
                _ => {
                    return Err(
                        at.wrong("give either `public_key`, for ed25519, or `secret`, for hmac-sha256")
                    );
                }
            };
            if ring.insert(key.fingerprint(), (owner, key)).is_some() {
                return Err(at.wrong("this key was given before"));
            }
        }
        Ok(Self(ring))
    }

    /// What is found out about the signature of a frame, by these keys and those of the session.
    pub(super) fn verify(&self, view: View<'_>, frame: &str, envelope: &Envelope) -> Signed {
        let find = |key: &Fingerprint| {
            let known = self.0.get(key).map(|(_, key)| key.clone());
            known.or_else(|| view.key(key).cloned().map(Verifying::Ed25519))
        };
        match signing::verify(frame, envelope.signature.as_deref(), find) {
            Signed::Good { key, .. } => Signed::Good { key, shown: self.shown(&key) },
            other => other,
        }
    }

    fn shown(&self, key: &Fingerprint) -> Option<ShownKey> {
        let (owner, key) = self.0.get(key)?;
        Some(match key {
            Verifying::Ed25519(key) => ShownKey::ed25519(owner.clone(), key.clone()),
            Verifying::Mac(_) => ShownKey::mac(owner.clone()),
        })
    }
}
