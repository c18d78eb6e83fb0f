//! `x509_chain`: whether a chain of certificates leads to somebody whom this server trusts (SEC-12).
//!
//! rustls' verifier decides, for client certificates: signatures up to one of the anchors, validity times, basic and name
//! constraints, and the extended key usage, which may be absent and otherwise has to include client authentication. A leaf that
//! is an anchor itself is good, unless it is an authority. Who has the leaf's key is no question of the chain.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mpac_wire::Timestamp;
use mpac_wire::credential::is_certificates;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use thiserror::Error;
use tokio::time::sleep;
use tracing::{info, warn};

use super::certificate::Read;
use crate::reread::Reread;

/// Certificates that somebody may show: a leaf, and those between it and an anchor.
const MOST: usize = 8;
/// Bytes of their text.
const MOST_BYTES: usize = 64 * 1024;
/// Between two looks for those who are in by a chain: an anchor that is gone is noticed after that.
const LOOK: Duration = Duration::from_secs(2);

/// Why a chain is no good. It is told to the operator, and to nobody else.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error("it is no PEM text of certificates and nothing else")]
    Form,
    #[error("it has more than {MOST} certificates or {MOST_BYTES} bytes")]
    TooLong,
    #[error("it is not trusted: {0}")]
    Untrusted(String),
}

/// Certificates, the one of their owner first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain(Vec<CertificateDer<'static>>);

impl Chain {
    /// # Errors
    /// When the text is anything but a few certificates.
    pub(crate) fn parse(text: &str) -> Result<Self, Refused> {
        if text.len() > MOST_BYTES {
            return Err(Refused::TooLong);
        }
        if !is_certificates(text) {
            return Err(Refused::Form);
        }
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        match read {
            Ok(chain) if chain.len() > MOST => Err(Refused::TooLong),
            Ok(chain) if !chain.is_empty() => Ok(Self(chain)),
            _ => Err(Refused::Form),
        }
    }

    /// A single one.
    #[cfg(test)]
    pub(crate) fn of(leaf: CertificateDer<'static>) -> Self {
        Self(vec![leaf])
    }

    /// The certificate of whoever shows it.
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        // One of no certificates is not made.
        &self.0[0]
    }

    /// All of them.
    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// The first moment at which one of its certificates is over that is not yet: what is over already was not needed.
    fn ends(&self, leaf: &Read, now: Timestamp) -> Timestamp {
        let above = self.0.iter().skip(1).filter_map(|der| Read::of(der)).map(|it| it.ends);
        above.filter(|ends| *ends > now).chain([leaf.ends]).min().unwrap_or(leaf.ends)
    }
}

/// Whom this server trusts to say who somebody is: the certificates in a file, read again when it changes.
#[derive(Debug)]
pub(crate) struct Anchors {
    path: PathBuf,
    verifier: Reread<Arc<dyn ClientCertVerifier>>,
}

/// The anchors cannot be had.
#[derive(Debug, Error)]
#[error("--trust-anchors {}: {reason}", .path.display())]
pub(crate) struct Unusable {
    path: PathBuf,
    reason: String,
}

impl Anchors {
    /// Those in the file at `path`.
    ///
    /// # Errors
    /// When there is no certificate in it that could be an anchor.
    pub(crate) fn at(path: PathBuf) -> Result<Self, Unusable> {
        let verifier = Reread::of(vec![path.clone()], || read(&path))?;
        Ok(Self { path, verifier })
    }

    /// Whether the chain is good at `now`, and until when.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn judge(&self, chain: &Chain, leaf: &Read, now: Timestamp) -> Result<Timestamp, Refused> {
        let now_sec = u64::try_from(now.micros() / 1_000_000).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now_sec));
        let verified = self.current().verify_client_cert(chain.leaf(), &chain.0[1..], at);
        verified.map_err(|error| Refused::Untrusted(error.to_string()))?;
        Ok(chain.ends(leaf, now))
    }

    /// Returns when others are trusted than now.
    pub(crate) async fn changed(&self) {
        let before = self.current();
        while Arc::ptr_eq(&self.current(), &before) {
            sleep(LOOK).await;
        }
    }

    /// As they are in the file now; while it cannot be read, as they were.
    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.current(
            || read(&self.path),
            |outcome| match outcome {
                Ok(()) => info!("{} has changed: from now on it says who is trusted", self.path.display()),
                Err(error) => warn!("the trust anchors stay as they were: {error}"),
            },
        )
    }
}

fn read(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
    let failed = |reason: String| Unusable { path: path.to_owned(), reason };
    let certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| failed(format!("{error}; give a PEM file of certificates")))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| failed(format!("one of its certificates cannot be used: {error}")))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|_| {
        failed("there is no certificate in it; give those of who issues the participants'".to_owned())
    })
}
