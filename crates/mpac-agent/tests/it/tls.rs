//! `wss://`: the handshake with a real TLS server, and a certificate that nobody vouches for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::covers;
use crate::process::start;
use crate::program::script_file;
use crate::signed::Desk;

/// A server for one connection with a certificate of its own: its address, the certificate's file, and the first frame.
async fn serving(test: &str) -> (String, PathBuf, tokio::task::JoinHandle<Option<Value>>) {
    serving_to(test, WebPkiClientVerifier::no_client_auth()).await
}

/// The same, and it lets in only whom `clients` knows.
async fn serving_to(
    test: &str,
    clients: Arc<dyn ClientCertVerifier>,
) -> (String, PathBuf, tokio::task::JoinHandle<Option<Value>>) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.pem"));
    std::fs::write(&file, issued.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}", listener.local_addr().unwrap().port());
    let first = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let mut socket = tokio_tungstenite::accept_async(stream).await.ok()?;
        let frame = socket.next().await?.ok()?;
        serde_json::from_str(frame.to_text().ok()?).ok()
    });
    (url, file, first)
}

#[tokio::test]
async fn hello_goes_out_over_tls() {
    let (url, trusted, first) = serving("tls").await;
    let script = script_file("tls", &crate::fake_coordinator::script(""));
    let environment = [("SSL_CERT_FILE", trusted.to_str().unwrap())];
    let once = ["--reconnect-for-sec", "0", "--task", "mend"];
    let ended = start(&[&[&url, "--script", script.to_str().unwrap()], &once[..]].concat(), &environment, "");
    let hello = first.await.unwrap();
    assert_eq!(hello.map(|hello| hello["message_type"].clone()), Some("HELLO".into()));
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(1), "the server hangs up after HELLO: {output}");
    assert!(output.contains("the connection to the coordinator ended"), "{output}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let ((url, _, first), (_, another, _)) = (serving("tls_unknown").await, serving("tls_another").await);
    let script = script_file("tls_unknown", &crate::fake_coordinator::script(""));
    let environment = [("SSL_CERT_FILE", another.to_str().unwrap())];
    let ended = start(&[&url, "--script", script.to_str().unwrap(), "--task", "mend"], &environment, "");
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(1), "{output}");
    assert!(
        output.contains("vouches for the coordinator's certificate") && output.contains("--pin"),
        "{output}"
    );
    assert_eq!(first.await.unwrap(), None);
}

/// The fingerprint of the certificate in a file.
fn fingerprint(file: &Path) -> String {
    let certificate = CertificateDer::from_pem_file(file).unwrap();
    Sha256::digest(&certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_certificate_that_is_pinned_needs_nobody_to_vouch_for_it() {
    covers!("PAR-21");
    let (url, file, first) = serving("tls_pinned").await;
    let script = script_file("tls_pinned", &crate::fake_coordinator::script(""));
    let pin = format!("--pin=sha256:{}", fingerprint(&file));
    let environment = [("MPAC_CREDENTIAL", "api_key:hunter2")];
    let ended = start(
        &[&url, &pin, "--reconnect-for-sec=0", "--script", script.to_str().unwrap(), "--task", "mend"],
        &environment,
        "",
    );
    let hello = first.await.unwrap().unwrap();
    assert_eq!(hello["payload"]["credential"], serde_json::json!({"type": "api_key", "value": "hunter2"}));
    let (_, output) = ended.await.unwrap();
    assert!(!output.contains("hunter2"), "{output}");
}

#[tokio::test]
async fn another_certificate_than_the_pinned_one_is_refused() {
    let (url, _, first) = serving("tls_other_pin").await;
    let script = script_file("tls_other_pin", &crate::fake_coordinator::script(""));
    let url = format!("{url}#sha256:{}", "0".repeat(64));
    let ended = start(&[&url, "--script", script.to_str().unwrap(), "--task", "mend"], &[], "");
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("--pin") && output.contains("sha256:"), "{output}");
    assert_eq!(first.await.unwrap(), None);
}

#[tokio::test]
async fn a_credential_leaves_the_machine_inside_tls_only() {
    covers!("PAR-21");
    let script = script_file("tls_none", &crate::fake_coordinator::script(""));
    let environment = [("MPAC_CREDENTIAL", "api_key:hunter2")];
    for urls in [&["ws://192.0.2.1:1"][..], &["ws://127.0.0.1:1", "--also", "ws://192.0.2.1:1"]] {
        let rest = ["--script", script.to_str().unwrap(), "--task", "mend"];
        let (code, output) = start(&[urls, &rest].concat(), &environment, "").await.unwrap();
        assert_eq!(code, Some(2), "{output}");
        assert!(output.contains("not encrypted") && !output.contains("hunter2"), "{output}");
    }
}

/// Once with a pinned certificate, once with one that the roots vouch for.
#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_the_one_of_the_chain() {
    covers!("PAR-21");
    let desk = Desk::new("mtls");
    let [key, chain, known] = ["bob.key.pem", "bob.pem", "known"].map(|name| desk.file(name));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&chain).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let script = script_file("mtls", &crate::fake_coordinator::script(""));
    for pinned in [true, false] {
        let (url, file, first) = serving_to("mtls", clients.clone()).await;
        let pin = format!("--pin=sha256:{}", fingerprint(&file));
        let environment = [("SSL_CERT_FILE", file.to_str().unwrap()), ("MPAC_KEY", key.to_str().unwrap())];
        let mut arguments = vec![url.as_str(), "--chain", chain.to_str().unwrap()];
        arguments.extend(["--known-coordinators", known.to_str().unwrap(), "--reconnect-for-sec=0"]);
        arguments.extend(["--script", script.to_str().unwrap(), "--task", "mend"]);
        arguments.extend(pinned.then_some(pin.as_str()));
        let ended = start(&arguments, &environment, "");
        let hello = first.await.unwrap().expect("TLS lets nobody in without a certificate");
        assert_eq!(hello["payload"]["credential"]["type"], "x509_chain");
        let signed = format!("ed25519:{}:", desk.public.fingerprint());
        assert!(hello["signature"].as_str().unwrap().starts_with(&signed), "{hello}");
        ended.await.unwrap();
    }
    let (url, file, first) = serving_to("mtls_none", clients).await;
    let pin = format!("--pin=sha256:{}", fingerprint(&file));
    let arguments =
        [&url, &pin, "--reconnect-for-sec=0", "--script", script.to_str().unwrap(), "--task", "mend"];
    let (code, output) = start(&arguments, &[], "").await.unwrap();
    assert_eq!((code, first.await.unwrap()), (Some(1), None), "{output}");
}
