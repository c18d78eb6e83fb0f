//! People with certificates, and what they sign.

use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::signature::signed_bytes;
use mpac_wire::{PublicKey, Signature};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519,
    SanType,
};
use serde_json::{Value, json};

use super::Done;
use super::scene::write;
use crate::step::{self, Failure};

/// What the server trusts, in its working directory.
pub(super) const ANCHORS: &str = "anchors.pem";
/// The key of the authority, which only this suite reads.
const KEY: &str = "authority.pem";

/// Who issues certificates.
pub(super) struct Authority(Issuer<'static, KeyPair>);

/// A key that signs, and a certificate that says whose it is.
pub(super) struct Person {
    key: Ed25519KeyPair,
    /// PEM.
    pub(super) chain: String,
}

/// Makes the authority that the server trusts, in its working directory.
///
/// # Errors
/// It cannot be made or written.
pub(super) fn write_authority(cwd: &Path) -> Done {
    let key = KeyPair::generate_for(&PKCS_ED25519).map_err(failed)?;
    write(&cwd.join(KEY), &key.serialize_pem())?;
    write(&cwd.join(ANCHORS), &authority().self_signed(&key).map_err(failed)?.pem())
}

impl Authority {
    /// The one that [`write_authority`] made.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn of(cwd: &Path) -> Result<Self, Failure> {
        let key = KeyPair::from_pem(&step::text(&cwd.join(KEY))?).map_err(failed)?;
        Ok(Self(Issuer::new(authority(), key)))
    }

    /// Another one of the same name, which nobody trusts.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn untrusted() -> Result<Self, Failure> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(failed)?;
        Ok(Self(Issuer::new(authority(), key)))
    }

    /// A certificate for a new key of `name`.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn issue(&self, name: &str) -> Result<Person, Failure> {
        let mut params = named("somebody");
        params.subject_alt_names = vec![SanType::URI(name.try_into().map_err(failed)?)];
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(failed)?;
        let chain = params.signed_by(&key, &self.0).map_err(failed)?.pem();
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.serialize_der())
            .map_err(|error| Failure::check(format!("no key: {error}")))?;
        Ok(Person { key, chain })
    }
}

fn authority() -> CertificateParams {
    let mut params = named("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: rcgen::Error) -> Failure {
    Failure::check(format!("no certificate: {error}"))
}

impl Person {
    /// HELLO's credential.
    pub(super) fn credential(&self) -> Value {
        json!({"type": "x509_chain", "value": self.chain})
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey::new(self.key.public_key().as_ref())
    }

    /// The signature that this person makes over an envelope.
    ///
    /// # Errors
    /// It cannot be signed.
    pub(super) fn signature(&self, envelope: &Value) -> Result<String, Failure> {
        let bytes = signed_bytes(&envelope.to_string())
            .map_err(|error| Failure::check(format!("cannot be signed: {error}")))?;
        let made = self.key.sign(bytes.as_bytes());
        let fingerprint = self.public().fingerprint();
        Ok(Signature::new(SignatureAlgorithm::Ed25519, fingerprint, made.as_ref()).to_string())
    }
}
