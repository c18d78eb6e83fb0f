//! The certificates that say whose key it is that signs (SEC-12): shown in HELLO, and to TLS where the server asks.

use std::path::Path;
use std::sync::Arc;

use mpac_wire::credential::is_certificates;
use mpac_wire::names::CredentialType;
use mpac_wire::{Credential, Secret};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::error::AgentError;
use crate::key_file::KeyFile;

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
