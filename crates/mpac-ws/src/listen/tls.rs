//! TLS 1.3 and 1.2 under the connections: the certificate and its key from their files, read again when they change; a
//! client's certificate if it has one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use crate::hex;
use crate::reread::Reread;

/// The server's half of TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<FromFiles>,
}

/// TLS cannot be offered.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}; give a PEM file", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate file without a certificate.
    #[error("{}: there is no certificate in it; give a PEM file that begins with the server's own", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// They do not belong together, or are of a kind that cannot be used.
    #[error("{} and {} cannot be used together: {source}; give the key that the certificate was made for", .certificate.display(), .key.display())]
    Unusable {
        /// The certificates.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// A certificate of our own could not be made.
    #[error("a certificate cannot be made: {0}")]
    SelfSigned(String),
}

impl Tls {
    /// With the chain and the key in these files, from now on and whenever they change.
    ///
    /// # Errors
    /// When there is no usable pair in them.
    pub(crate) fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = Arc::new(FromFiles::open(certificate, key, Arc::clone(&provider))?);
        let clients = Arc::new(AnyCertificate(provider.signature_verification_algorithms));
        let unusable = |source| TlsError::Unusable {
            certificate: files.paths.certificate.clone(),
            key: files.paths.key.clone(),
            source,
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(&files) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: files })
    }

    /// The server's side of a handshake.
    pub(crate) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(socket).await
    }

    /// What a client can pin: the SHA-256 of the certificate, as `sha256:` and hexadecimal digits.
    pub(crate) fn fingerprint(&self) -> String {
        let current = self.certificate.current();
        current.cert.first().map(fingerprint).unwrap_or_default()
    }
}

/// The SHA-256 of a certificate, as `sha256:` and hexadecimal digits.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    format!("sha256:{}", hex::sha256(certificate))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate.paths).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Paths {
    certificate: PathBuf,
    key: PathBuf,
}

/// The pair, as long as there is a server.
struct FromFiles {
    paths: Paths,
    provider: Arc<CryptoProvider>,
    pair: Reread<Arc<CertifiedKey>>,
}

impl FromFiles {
    fn open(certificate: PathBuf, key: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let paths = Paths { certificate, key };
        let files = vec![paths.certificate.clone(), paths.key.clone()];
        let pair = Reread::of(files, || paths.read(&provider).map(Arc::new))?;
        Ok(Self { paths, provider, pair })
    }

    /// The newest pair that can be used: while somebody is replacing the files, the one before.
    fn current(&self) -> Arc<CertifiedKey> {
        let read = || self.paths.read(&self.provider).map(Arc::new);
        self.pair.current(read, |outcome| match outcome {
            Ok(()) => info!("{} has changed: new connections get it", self.paths.certificate.display()),
            Err(error) => warn!("the certificate stays as it was: {error}"),
        })
    }
}

impl Paths {
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| TlsError::Read { path, source }
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(failed(&self.certificate))?;
        if chain.is_empty() {
            return Err(TlsError::Empty { path: self.certificate.clone() });
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(failed(&self.key))?;
        let unusable = |source| TlsError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        };
        CertifiedKey::from_der(chain, key, provider).map_err(unusable)
    }
}

impl fmt::Debug for FromFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.paths.fmt(f)
    }
}

impl ResolvesServerCert for FromFiles {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// Takes any certificate whose key the client has, and none as well: what a certificate is good for is decided at HELLO, by
/// the fingerprints that this server trusts (SEC-10).
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
