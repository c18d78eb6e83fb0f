//! TLS under the connections, and client certificates.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{api_key, command, place, secret, server};
use crate::covers;
use crate::rig::{Client, patiently};

fn own_certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap()
}

/// Dials a server whose certificate is that in `trusted`, with a certificate of one's own (PEM, and its key) or without.
pub(super) async fn dial(
    address: SocketAddr,
    trusted: &Path,
    own: Option<(String, Vec<u8>)>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => config.with_no_client_auth(),
        Some((certificates, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificates.as_bytes()).map(Result::unwrap).collect();
            config.with_client_auth_cert(chain, PrivateKeyDer::try_from(key).unwrap()).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

#[tokio::test]
async fn everything_works_inside_tls_with_a_certificate_that_the_server_made() {
    let dir = place();
    let key = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let host = server(dir.path(), &["--tls-self-signed"]).await;
    let trusted = dir.path().join("tls/cert.pem");
    let stream = dial(host.address, &trusted, None).await.unwrap();
    let mut bob = Client::over(Box::new(stream), host.address, "/").await.counts_anew();
    assert_eq!(bob.hello_with("agent:bob", api_key(&key)).await["message_type"], "SESSION_INFO");
    bob.is_alive().await;
    let printed = command(dir.path(), &["invite", "ann", "--url=wss://shop.example:1"]).unwrap();
    assert!(printed.contains(" --pin sha256:"), "{printed}");
    // Nobody is served in the clear.
    let mut clear = TcpStream::connect(host.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut clear, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = patiently(clear.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn a_new_certificate_counts_for_new_connections() {
    let dir = place();
    let host = server(dir.path(), &["--tls-self-signed"]).await;
    let (first, second) = (dir.path().join("tls/cert.pem"), dir.path().join("tls/new.pem"));
    let old = dial(host.address, &first, None).await.unwrap();
    let new = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(dir.path().join("tls/key.pem"), new.signing_key.serialize_pem()).unwrap();
    fs::write(&second, new.cert.pem()).unwrap();
    fs::copy(&first, dir.path().join("tls/old.pem")).unwrap();
    fs::copy(&second, &first).unwrap();
    dial(host.address, &second, None).await.unwrap();
    assert!(dial(host.address, &dir.path().join("tls/old.pem"), None).await.is_err());
    let mut still = Client::over(Box::new(old), host.address, "/").await.counts_anew();
    still.hello("agent:bob").await;
}

#[tokio::test]
async fn a_client_certificate_is_good_on_its_own_connection_only() {
    covers!("SEC-10");
    let dir = place();
    let host = server(dir.path(), &["--tls-self-signed"]).await;
    let trusted = dir.path().join("tls/cert.pem");
    let (bobs, eves) = (own_certificate(), own_certificate());
    let shown = |own: &CertifiedKey<KeyPair>| Some((own.cert.pem(), own.signing_key.serialize_der()));
    let file = dir.path().join("bob.pem");
    fs::write(&file, bobs.cert.pem()).unwrap();
    let told = command(dir.path(), &["token", "trust", "bob", &format!("--certificate={}", file.display())]);
    let fingerprint = told.unwrap().split(' ').next().unwrap().to_owned();
    let digits = fingerprint.strip_prefix("sha256:").unwrap();
    for (own, claimed, expected) in [
        (shown(&bobs), fingerprint.clone(), None),
        (shown(&bobs), digits.to_uppercase(), None),
        (shown(&eves), fingerprint.clone(), Some("CREDENTIAL_REJECTED")),
        (None, fingerprint.clone(), Some("CREDENTIAL_REJECTED")),
        (shown(&bobs), "0".repeat(64), Some("CREDENTIAL_REJECTED")),
    ] {
        let stream = dial(host.address, &trusted, own).await.unwrap();
        let mut client = Client::over(Box::new(stream), host.address, "/").await.counts_anew();
        let shown = json!({"type": "mtls_fingerprint", "value": claimed});
        let answer = client.hello_with("agent:bob", shown).await;
        assert_eq!(answer["payload"]["error_code"].as_str(), expected, "{answer}");
        client.hang_up().await;
    }
}
