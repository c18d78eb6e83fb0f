//! The authority: a key, and the certificate that servers are given as trust anchor.

use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use mpac_wire::{Fingerprint, Seconds};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::{CertError, files};
use crate::cli::cert::Ca;
use crate::clock;

/// Its certificate and its key, in their directory.
const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca.key.pem";

/// `mpac-ws cert ca`.
pub(super) fn run(asked: &Ca, out: &mut impl Write) -> Result<(), CertError> {
    let key = new_key()?;
    let fingerprint = Fingerprint::of(key.der_bytes());
    let mut params = params(&asked.lifetime, None)?;
    // Two authorities have two names, so that nobody takes a certificate of one for the other's.
    let name = format!("MPAC authority {}", &fingerprint.to_string()["sha256:".len()..][..8]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let until = params.not_after;
    let certificate = params.self_signed(&key)?.pem();
    let (anchor, secret) = (asked.out.join(CERTIFICATE), asked.out.join(KEY));
    files::write_new(&[(&secret, &key.serialize_pem()), (&anchor, &certificate)], asked.force)?;
    let here = match asked.out == Path::new("mpac-ca") {
        true => String::new(),
        false => format!(" --ca {}", asked.out.display()),
    };
    writeln!(
        out,
        "an authority, good until {day}\n  \
           trust anchor  {anchor}   (for servers; no secret)\n  \
           private key   {secret}   (keep it to yourself: whoever has it can be anybody)\n\n\
         Next, a certificate for each participant, and the server:\n  \
           mpac-ws cert issue NAME{here}\n  \
           mpac-ws --security-profile verified --tls-self-signed --trust-anchors {anchor} \
         --role-policy '{{\"default_role\":\"contributor\"}}'",
        day = until.date(),
        anchor = anchor.display(),
        secret = secret.display(),
    )?;
    Ok(())
}

/// An Ed25519 key, in the form that every other program reads too.
pub(super) fn new_key() -> Result<KeyPair, CertError> {
    let made = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())
        .map_err(|_| CertError::Made("this system gives no randomness".to_owned()))?;
    let key = PrivatePkcs8KeyDer::from(made.as_ref());
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519)?)
}

/// What every certificate has: from a day ago, because clocks differ, for `lifetime`, and not beyond `end`.
pub(super) fn params(
    lifetime: &Seconds,
    end: Option<OffsetDateTime>,
) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::UNIX_EPOCH + Duration::microseconds(clock::now().micros());
    let until = now.checked_add(Duration::microseconds(lifetime.micros())).ok_or(CertError::TooLong)?;
    params.not_before = now - Duration::days(1);
    params.not_after = end.map_or(until, |end| end.min(until));
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| CertError::Made(error.to_string()))?;
    serial[0] &= 0x7f; // a positive number (RFC 5280 §4.1.2.2)
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// An authority that was made before.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What stands between its certificates and the anchor that servers know; nothing where it is the anchor.
    between: String,
    pub(super) certificate: PathBuf,
    /// When it ends.
    pub(super) until: OffsetDateTime,
}

impl Authority {
    /// The one in this directory.
    pub(super) fn open(dir: &Path) -> Result<Self, CertError> {
        let (certificate, key) = (dir.join(CERTIFICATE), dir.join(KEY));
        if !certificate.exists() && !key.exists() {
            return Err(CertError::NoAuthority(dir.to_owned()));
        }
        let wrong = |path: &Path, why: String| CertError::Authority { path: path.to_owned(), why };
        let text = files::read(&certificate)?;
        let der = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| wrong(&certificate, format!("{error}; an authority's certificate is PEM")))?;
        let (_, read) = x509_parser::parse_x509_certificate(&der)
            .map_err(|error| wrong(&certificate, format!("its certificate cannot be read: {error}")))?;
        if !read.is_ca() {
            let why = "this is no certificate of an authority; `mpac-ws cert ca` makes one".to_owned();
            return Err(wrong(&certificate, why));
        }
        let pair = KeyPair::from_pem(&files::read(&key)?)
            .map_err(|error| wrong(&key, format!("its key cannot be read: {error}")))?;
        if read.public_key().subject_public_key.data.as_ref() != pair.der_bytes() {
            let why =
                format!("this is not the key of {}; one of the two was replaced", certificate.display());
            return Err(wrong(&key, why));
        }
        let until = read.validity().not_after.to_datetime();
        if !read.validity().is_valid() {
            let why = format!("it was good until {}; make a new one with --out or --force", until.date());
            return Err(wrong(&certificate, why));
        }
        let between = if read.subject() == read.issuer() { String::new() } else { text.clone() };
        let issuer = Issuer::from_ca_cert_der(&der, pair)?;
        Ok(Self { issuer, between, certificate, until })
    }

    /// Signs what the parameters say about a key: the certificate, and the chain that it begins, as PEM.
    pub(super) fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<(Certificate, String), CertError> {
        let certificate = params.signed_by(key, &self.issuer)?;
        let chain = certificate.pem() + &self.between;
        Ok((certificate, chain))
    }
}
