//! The certificates that say whose key it is that signs (SEC-12): shown in HELLO, and to TLS where the server asks.

use std::path::Path;
use std::sync::Arc;

use mpac_wire::credential::is_certificates;
use mpac_wire::names::CredentialType;
use mpac_wire::{Credential, Fingerprint, PrincipalId, PublicKey, Secret, Timestamp};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::error::AgentError;
use crate::key_file::KeyFile;

/// When somebody is told that a certificate ends, in seconds before.
const SOON_SEC: i64 = 7 * 86_400;

/// A chain, the participant's own certificate first.
#[derive(Debug, Clone)]
pub struct Chain {
    pem: String,
    certificates: Vec<CertificateDer<'static>>,
}

impl Chain {
    /// Reads one from a PEM file.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when something else is in it. A private key must not be: everybody would see it.
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        let wrong = |why: &str| {
            AgentError::Usage(format!(
                "--chain {}: {why}; give the file that `mpac-ws cert issue` wrote, or your authority",
                path.display()
            ))
        };
        let pem = std::fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
        if !is_certificates(&pem) {
            return Err(wrong("there must be certificates in it, as PEM, and nothing else"));
        }
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { pem, certificates })
    }

    /// Whether the certificate is for this principal, and how long it is good: nobody has to ask a server for that.
    /// Gives a warning when it ends soon or has ended.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when it names somebody else: no coordinator would let us in (SEC-08, D-122).
    pub fn check(&self, principal: &PrincipalId, now: Timestamp) -> Result<Option<String>, AgentError> {
        let unreadable = || AgentError::Usage("--chain: its first certificate cannot be read".to_owned());
        let leaf = self.certificates.first().ok_or_else(unreadable)?;
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| unreadable())?;
        let names = named(&leaf);
        if !names.iter().any(|name| *name == principal.as_str()) {
            let own = names.first().copied().unwrap_or("nobody");
            return Err(AgentError::Usage(format!(
                "--chain: the certificate is for {own}, and not for {principal}; give {}, or another certificate",
                own.strip_prefix("agent:")
                    .map_or_else(|| format!("--principal-id {own}"), |it| format!("--name {it}"))
            )));
        }
        let until = leaf.validity().not_after.timestamp();
        let now = now.micros() / 1_000_000;
        let day = leaf.validity().not_after.to_datetime().date();
        Ok(match until - now {
            ..=0 => {
                Some(format!("your certificate was good until {day}: ask for a new one (mpac-ws cert issue)"))
            }
            1..SOON_SEC => Some(format!("your certificate is good until {day} only: ask for a new one soon")),
            _ => None,
        })
    }

    /// The key that the certificate is for. `None` where it cannot be read.
    pub(crate) fn key(&self) -> Option<Fingerprint> {
        let (_, leaf) = X509Certificate::from_der(self.certificates.first()?).ok()?;
        Some(PublicKey::new(leaf.public_key().subject_public_key.as_ref()).fingerprint())
    }

    /// What HELLO shows.
    #[must_use]
    pub fn credential(&self) -> Credential {
        Credential::new(CredentialType::X509Chain, Secret::new(&self.pem))
    }

    /// The same for TLS, with the key that it is for: one of those that the file has. `None` where it has not, and the
    /// connection shows no certificate.
    #[must_use]
    pub fn for_tls(&self, keys: &KeyFile) -> Option<Arc<CertifiedKey>> {
        let provider = aws_lc_rs::default_provider();
        let with = |key: &crate::signing::Signing| {
            let key = PrivateKeyDer::Pkcs8(key.pkcs8().clone_key());
            CertifiedKey::from_der(self.certificates.clone(), key, &provider).ok()
        };
        keys.all().find_map(with).map(Arc::new)
    }
}

/// Whom a certificate names: by its URI and DNS alternative names, else by its common name (D-122).
fn named<'a>(leaf: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let alternative = leaf.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|found| &found.value.general_names);
    let names: Vec<&str> = names
        .filter_map(|name| match name {
            GeneralName::URI(text) | GeneralName::DNSName(text) => Some(*text),
            _ => None,
        })
        .collect();
    if !names.is_empty() {
        return names;
    }
    leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok()).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    const DAY: i64 = 86_400;

    fn chain(change: impl FnOnce(&mut CertificateParams)) -> Chain {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "agent:common");
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Chain { pem: certificate.pem(), certificates: vec![certificate.der().clone()] }
    }

    fn check(chain: &Chain, principal: &str, sec: i64) -> Result<Option<String>, String> {
        let now = Timestamp::from_micros(sec * 1_000_000);
        chain.check(&PrincipalId::new(principal).unwrap(), now).map_err(|error| error.to_string())
    }

    #[test]
    fn somebody_elses_certificate_is_told_before_anybody_is_asked() {
        let bob = chain(|it| it.subject_alt_names = vec![SanType::URI("agent:bob".try_into().unwrap())]);
        assert_eq!(check(&bob, "agent:bob", 0), Ok(None));
        assert!(check(&bob, "agent:common", 0).unwrap_err().contains("give --name bob"));
        assert!(check(&bob, "agent:Bob", 0).is_err(), "byte for byte");
        let common = chain(|_| {});
        assert_eq!(check(&common, "agent:common", 0), Ok(None));
        let human = chain(|it| it.subject_alt_names = vec![SanType::URI("human:ann".try_into().unwrap())]);
        assert!(check(&human, "agent:ann", 0).unwrap_err().contains("--principal-id human:ann"));
    }

    #[test]
    fn that_a_certificate_ends_is_told_a_week_before() {
        let ends = rcgen::date_time_ymd(2030, 1, 31);
        let chain = chain(|it| it.not_after = ends);
        let at = |days: i64| check(&chain, "agent:common", ends.unix_timestamp() + days * DAY).unwrap();
        assert_eq!(at(-8), None);
        assert!(at(-6).unwrap().contains("2030-01-31"));
        assert!(at(0).unwrap().contains("was good until"));
    }
}
