//! TLS to a coordinator whose certificate nobody vouches for, known by its fingerprint.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a certificate, as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin(String);

impl Pin {
    /// Reads `sha256:` and 64 hexadecimal digits; case, colons between them and the prefix may differ.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let digits = text.strip_prefix("sha256:").unwrap_or(&text).replace(':', "");
        let is_one = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then_some(Self(digits))
    }

    /// Takes this certificate and no other.
    pub(super) fn verifier(&self, provider: &CryptoProvider) -> Arc<dyn ServerCertVerifier> {
        Arc::new(Pinned { pin: self.clone(), algorithms: provider.signature_verification_algorithms })
    }
}

/// Knows one certificate. That the other end has its key is shown by the handshake.
#[derive(Debug)]
struct Pinned {
    pin: Pin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let seen: String = Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect();
        if seen == self.pin.0 {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!(
            "the certificate is sha256:{seen}, and not the one that --pin names: ask whoever runs the coordinator"
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_may_be_spelled_in_every_usual_way() {
        let pin = Pin::parse(&"ab".repeat(32)).unwrap();
        for text in [format!("sha256:{}", "AB".repeat(32)), vec!["AB"; 32].join(":")] {
            assert_eq!(Pin::parse(&text).unwrap(), pin, "{text}");
        }
        for text in ["", "sha256:ab", &"g".repeat(64)] {
            assert_eq!(Pin::parse(text), None, "{text}");
        }
    }
}
