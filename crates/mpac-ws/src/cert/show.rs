//! What stands in a PEM file, for people to compare.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use mpac_wire::Fingerprint;
use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use super::{CertError, files};
use crate::cli::cert::Show;
use crate::listen::tls::fingerprint;

/// `mpac-ws cert show`.
pub(super) fn run(asked: &Show, out: &mut impl Write) -> Result<(), CertError> {
    let text = files::read(&asked.file)?;
    let wrong = |why: String| CertError::Content { path: asked.file.clone(), why };
    let mut said = String::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let (kind, der) = section.map_err(|error| wrong(readable(&error)))?;
        said += &match kind {
            SectionKind::Certificate => certificate(&der),
            SectionKind::Csr => request(&der),
            SectionKind::PublicKey => public_key(&der),
            SectionKind::PrivateKey | SectionKind::EcPrivateKey | SectionKind::RsaPrivateKey => {
                private_key(&der, &asked.file)
            }
            _ => Some("something else than a certificate, a request or a key\n".to_owned()),
        }
        .ok_or_else(|| wrong("what stands between its lines of dashes is damaged".to_owned()))?;
    }
    if said.is_empty() {
        return Err(wrong("there is nothing in it that begins with -----BEGIN; give a PEM file".to_owned()));
    }
    out.write_all(said.as_bytes())?;
    Ok(())
}

fn readable(error: &pem::Error) -> String {
    format!("{error}; give a PEM file")
}

fn certificate(der: &[u8]) -> Option<String> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    let kind = if read.is_ca() { "authority" } else { "certificate" };
    let mut said = format!("{kind}\n");
    let extensions: Vec<_> = read.extensions().iter().map(|it| it.parsed_extension()).collect();
    let names = names(read.subject(), &extensions);
    let (from, until) = (read.validity().not_before.to_datetime(), read.validity().not_after.to_datetime());
    let now = if read.validity().is_valid() { "" } else { "   (not now)" };
    let issuer = match read.subject() == read.issuer() {
        true => "itself".to_owned(),
        false => common_name(read.issuer()),
    };
    // A String takes whatever is written to it.
    let _ = write!(
        said,
        "  for          {names}\n  issued by    {issuer}\n  good         from {} until {}{now}\n{}{}  certificate  {}\n",
        from.date(),
        until.date(),
        purposes(&extensions),
        key(read.public_key()),
        fingerprint(&CertificateDer::from(der)),
    );
    Some(said)
}

fn request(der: &[u8]) -> Option<String> {
    let (_, read) = X509CertificationRequest::from_der(der).ok()?;
    let extensions: Vec<_> = read.requested_extensions().into_iter().flatten().collect();
    let info = &read.certification_request_info;
    let names = names(&info.subject, &extensions);
    Some(format!("request for a certificate\n  for          {names}\n{}", key(&info.subject_pki)))
}

fn public_key(der: &[u8]) -> Option<String> {
    let (_, read) = SubjectPublicKeyInfo::from_der(der).ok()?;
    Some(format!("public key\n{}", key(&read)))
}

/// Its public half.
fn private_key(der: &[u8], file: &Path) -> Option<String> {
    let secret = PrivateKeyDer::try_from(der).ok()?;
    let pair = rcgen::KeyPair::try_from(&secret).ok()?;
    let public = rcgen::PublicKeyData::subject_public_key_info(&pair);
    let (_, read) = SubjectPublicKeyInfo::from_der(&public).ok()?;
    Some(format!("private key (a secret: {} is for its owner alone)\n{}", file.display(), key(&read)))
}

/// The key, as messages name it.
fn key(key: &SubjectPublicKeyInfo<'_>) -> String {
    let raw = key.subject_public_key.data.as_ref();
    match key.algorithm.algorithm == OID_SIG_ED25519 {
        true => format!("  key          Ed25519 {}\n", Fingerprint::of(raw)),
        false => "  key          not Ed25519: no message can be signed with it\n".to_owned(),
    }
}

fn names(subject: &X509Name<'_>, extensions: &[&ParsedExtension<'_>]) -> String {
    let mut names: Vec<String> = Vec::new();
    for extension in extensions {
        let ParsedExtension::SubjectAlternativeName(found) = extension else { continue };
        names.extend(found.general_names.iter().map(|name| match name {
            GeneralName::URI(text) | GeneralName::DNSName(text) => printable(text),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => "another kind of name".to_owned(),
        }));
    }
    if names.is_empty() { common_name(subject) } else { names.join(", ") }
}

fn address(bytes: &[u8]) -> String {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from));
    address.map_or_else(|_| "an address that is none".to_owned(), |address| address.to_string())
}

fn common_name(name: &X509Name<'_>) -> String {
    let found = name.iter_common_name().next().and_then(|it| it.as_str().ok());
    found.map_or_else(|| "nobody".to_owned(), printable)
}

/// Whoever made the certificate wrote it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn purposes(extensions: &[&ParsedExtension<'_>]) -> String {
    let usage = extensions.iter().find_map(|extension| match extension {
        ParsedExtension::ExtendedKeyUsage(usage) => Some(usage),
        _ => None,
    });
    let Some(usage) = usage else { return String::new() };
    let named =
        [(usage.client_auth, "participants"), (usage.server_auth, "servers"), (usage.any, "anything")];
    let named: Vec<&str> = named.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    format!("  used by      {}\n", if named.is_empty() { "nobody here".to_owned() } else { named.join(", ") })
}
