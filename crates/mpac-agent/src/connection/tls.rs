//! TLS to a coordinator: whom to take for it, and what to show it.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, RootCertStore};

use super::pin::Pin;

/// The client's half of TLS where it is not the usual one; `None` where the system's roots decide and nothing is shown.
///
/// # Errors
/// When this system has no roots, or TLS is not to be had.
pub(super) fn client(
    pin: Option<&Pin>,
    certificate: Option<&Arc<CertifiedKey>>,
) -> Result<Option<ClientConfig>, Error> {
    if pin.is_none() && certificate.is_none() {
        return Ok(None);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match pin {
        Some(pin) => builder.dangerous().with_custom_certificate_verifier(pin.verifier(&provider)),
        None => builder.with_root_certificates(roots()?),
    };
    Ok(Some(match certificate {
        Some(certificate) => {
            // Only a server that asks for one gets it.
            let shown: Arc<dyn ResolvesClientCert> =
                Arc::new(SingleCertAndKey::from(Arc::clone(certificate)));
            builder.with_client_cert_resolver(shown)
        }
        None => builder.with_no_client_auth(),
    }))
}

/// Those of the system, or of `SSL_CERT_FILE`.
fn roots() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        false => Ok(roots),
        true => Err(Error::General(
            "this system has no root certificates; name a file of them with SSL_CERT_FILE, or the coordinator's with --pin"
                .to_owned(),
        )),
    }
}
