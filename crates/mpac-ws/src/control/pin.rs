//! TLS to a server whose certificate is known beforehand: by its fingerprint, behind the `#` of its address.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::identity::certificates::normal;
use crate::listen::tls::fingerprint;

/// An address without its fingerprint, and the fingerprint; `None` where what is behind the `#` is none.
pub(crate) fn split(url: &str) -> Option<(&str, Option<String>)> {
    match url.split_once('#') {
        None => Some((url, None)),
        Some((url, pin)) => Some((url, Some(normal(pin)?))),
    }
}

/// TLS that takes this certificate and no other, whoever vouches for it.
pub(crate) fn client(pin: String) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { pin, algorithms }))
        .with_no_client_auth())
}

/// Knows one certificate. That the other end has its key is shown by the handshake.
#[derive(Debug)]
struct Pinned {
    pin: String,
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
        let seen = fingerprint(certificate);
        if seen == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General(format!("the certificate is {seen}, and not the one that was given")))
        }
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
    fn the_fingerprint_is_behind_the_address() {
        let pin = "ab".repeat(32);
        assert_eq!(split("ws://h:1").unwrap(), ("ws://h:1", None));
        let (url, found) =
            split(&format!("wss://h:1#sha256:{pin}")).map(|(url, pin)| (url.to_owned(), pin)).unwrap();
        assert_eq!((url.as_str(), found), ("wss://h:1", Some(format!("sha256:{pin}"))));
        assert_eq!(split("wss://h:1#sha256:12"), None);
    }
}
