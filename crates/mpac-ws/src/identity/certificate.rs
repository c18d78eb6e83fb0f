//! What stands in a certificate: whose it is, which key, who issued it, until when. Whether any of that is true is for
//! [`chain`](super::chain) to say.

use mpac_wire::signature::ED25519_KEY_BYTES;
use mpac_wire::{PrincipalId, PublicKey, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::FromDer;

/// Names of one certificate that are looked at: a principal has one, a server that is one too perhaps a few more.
const MOST_NAMES: usize = 64;
/// Characters of an issuer that are told on.
const MOST_ISSUER: usize = 256;

/// What is read of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Its names in the form that a principal's id may have (D-122).
    names: Vec<PrincipalId>,
    /// Its key, if that can sign messages.
    pub(crate) key: Option<PublicKey>,
    /// The name of who issued it.
    pub(crate) issuer: String,
    /// The first moment at which it is over.
    pub(crate) ends: Timestamp,
}

impl Read {
    /// `None` when the bytes are no certificate.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let issuer = certificate.issuer().to_string().chars().take(MOST_ISSUER).collect();
        // It is good in the whole of its last second.
        let ends = certificate.validity().not_after.timestamp().saturating_add(1).saturating_mul(1_000_000);
        let names = names(&certificate)?.into_iter().filter_map(|name| PrincipalId::new(name).ok()).collect();
        Some(Self { names, key: key(&certificate), issuer, ends: Timestamp::from_micros(ends) })
    }

    /// Whose it is: of several names the one that was claimed, if that is one of them.
    pub(crate) fn owner(&self, claimed: &PrincipalId) -> Option<&PrincipalId> {
        self.names.iter().find(|name| *name == claimed).or_else(|| self.names.first())
    }
}

/// The alternative names that are URIs or DNS names; where there is none, the common name (D-122).
fn names<'a>(certificate: &'a X509Certificate<'_>) -> Option<Vec<&'a str>> {
    // One that is there twice says nothing that could be relied on.
    let alternative = certificate.subject_alternative_name().ok()?;
    let of_kind = |name: &'a GeneralName<'_>| match name {
        GeneralName::URI(name) | GeneralName::DNSName(name) => Some(*name),
        _ => None,
    };
    let alternative: Vec<&str> = alternative
        .iter()
        .flat_map(|extension| extension.value.general_names.iter().filter_map(of_kind))
        .take(MOST_NAMES)
        .collect();
    if !alternative.is_empty() {
        return Some(alternative);
    }
    let mut common = certificate.subject().iter_common_name();
    let one = common.next().and_then(|name| name.as_str().ok());
    // Of two nobody knows which is meant.
    Some(if common.next().is_none() { one.into_iter().collect() } else { Vec::new() })
}

fn key(certificate: &X509Certificate<'_>) -> Option<PublicKey> {
    let info = certificate.public_key();
    let raw = &info.subject_public_key.data;
    let fits = info.algorithm.algorithm == OID_SIG_ED25519 && raw.len() == ED25519_KEY_BYTES;
    fits.then(|| PublicKey::new(raw))
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ED25519, SanType};

    use super::*;

    fn read(alternative: Vec<SanType>, common: &[&str]) -> Read {
        let mut params = CertificateParams::default();
        params.subject_alt_names = alternative;
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let read = Read::of(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(read.key.as_ref().unwrap().as_bytes(), key.public_key_raw());
        read
    }

    fn text(text: &str) -> Ia5String {
        text.try_into().unwrap()
    }

    #[test]
    fn the_owner_is_an_alternative_name_or_else_the_common_name_byte_for_byte() {
        let bob = PrincipalId::new("agent:bob").unwrap();
        let uri = || SanType::URI(text("agent:bob"));
        for (read, owner) in [
            (read(vec![uri()], &["agent:eve"]), Some("agent:bob")),
            (read(vec![SanType::DnsName(text("bob.example")), uri()], &[]), Some("agent:bob")),
            (read(vec![SanType::URI(text("agent:Bob"))], &["agent:bob"]), Some("agent:Bob")),
            (read(vec![SanType::Rfc822Name(text("agent:bob"))], &["agent:eve"]), Some("agent:eve")),
            (read(vec![], &["agent:bob"]), Some("agent:bob")),
            (read(vec![], &["agent:bob "]), Some("agent:bob ")),
            (read(vec![], &[]), None),
        ] {
            assert_eq!(read.owner(&bob).map(PrincipalId::as_str), owner, "{read:?}");
        }
    }

    #[test]
    fn a_key_of_another_kind_signs_no_messages() {
        let made = rcgen::generate_simple_self_signed(["agent.example".to_owned()]).unwrap();
        let read = Read::of(made.cert.der()).unwrap();
        assert_eq!(read.key, None);
        assert!(read.issuer.contains("rcgen"), "{}", read.issuer);
        assert!(read.ends > Timestamp::from_micros(0));
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let der = made.cert.der();
        assert_eq!(Read::of(&der[..der.len() - 1]), None);
        assert_eq!(Read::of(&[der, &[0][..]].concat()), None);
        assert_eq!(Read::of(b""), None);
    }
}
