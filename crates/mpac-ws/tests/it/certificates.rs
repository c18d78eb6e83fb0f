//! `mpac-ws cert`: what it makes is what TLS libraries take, and what it is told wrongly changes nothing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, crypto::aws_lc_rs};

/// Runs it in `dir`: whether it went well, and everything that it said.
fn cert(dir: &Path, arguments: &[&str]) -> (bool, String) {
    let program = env!("CARGO_BIN_EXE_mpac-ws");
    let done = Command::new(program).arg("cert").args(arguments).current_dir(dir).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8(said).unwrap())
}

fn made(dir: &Path, arguments: &[&str]) -> String {
    let (well, said) = cert(dir, arguments);
    assert!(well, "{said}");
    said
}

fn refused(dir: &Path, arguments: &[&str]) -> String {
    let (well, said) = cert(dir, arguments);
    assert!(!well && said.starts_with("error: ") && said.lines().count() == 1, "{said}");
    said
}

fn read(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

fn anchors(dir: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(read(&dir.join("mpac-ca/ca.pem"))).unwrap();
    Arc::new(roots)
}

fn good_for_participants(anchors: &Arc<RootCertStore>, certificate: &Path) -> bool {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(anchors), provider).build().unwrap();
    verifier.verify_client_cert(&read(certificate), &[], UnixTime::now()).is_ok()
}

fn good_for_server(anchors: &Arc<RootCertStore>, certificate: &Path, host: &'static str) -> bool {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(anchors), provider).build().unwrap();
    let name = ServerName::try_from(host).unwrap();
    verifier.verify_server_cert(&read(certificate), &[], &name, &[], UnixTime::now()).is_ok()
}

#[test]
fn an_authority_issues_what_others_verify() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let said = made(dir, &["ca"]);
    assert!(said.contains("--trust-anchors mpac-ca/ca.pem"), "{said}");
    let said = made(dir, &["issue", "bob"]);
    assert!(said.contains("--name bob --key agent-bob.key.pem --chain agent-bob.pem"), "{said}");
    made(dir, &["issue", "--server", "shop.example", "--server", "10.0.0.7"]);
    let (bob, shop) = (dir.join("agent-bob.pem"), dir.join("shop.example.pem"));
    let ours = anchors(dir);
    assert!(good_for_participants(&ours, &bob) && !good_for_participants(&ours, &shop));
    for host in ["shop.example", "10.0.0.7"] {
        assert!(good_for_server(&ours, &shop, host) && !good_for_server(&ours, &bob, host));
    }
    assert!(!good_for_server(&ours, &shop, "other.example"));
    let other = tempfile::tempdir().unwrap();
    made(other.path(), &["ca"]);
    assert!(!good_for_participants(&anchors(other.path()), &bob), "another authority knows nobody of ours");
    let shown = made(dir, &["show", "agent-bob.pem"]);
    assert!(
        shown.contains("for          agent:bob\n") && shown.contains("used by      participants"),
        "{shown}"
    );
    let of_key = |text: &str| text.lines().find(|line| line.contains("Ed25519")).unwrap().to_owned();
    assert_eq!(of_key(&shown), of_key(&made(dir, &["show", "agent-bob.key.pem"])), "they belong together");
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_what_it_writes() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), &["ca"]);
    made(dir.path(), &["issue", "bob"]);
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    for file in ["mpac-ca/ca.key.pem", "agent-bob.key.pem", "agent-bob.pem"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    assert_eq!(mode("mpac-ca"), 0o700);
}

#[test]
fn nothing_is_replaced_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    made(dir, &["ca"]);
    made(dir, &["issue", "bob"]);
    let files = ["mpac-ca/ca.pem", "mpac-ca/ca.key.pem", "agent-bob.pem", "agent-bob.key.pem"];
    let now = || files.map(|file| fs::read_to_string(dir.join(file)).unwrap());
    let before = now();
    for arguments in [&["ca"][..], &["issue", "bob"]] {
        assert!(refused(dir, arguments).contains("--force"));
    }
    assert_eq!(now(), before);
    fs::remove_file(dir.join("agent-bob.key.pem")).unwrap();
    refused(dir, &["issue", "bob"]);
    assert!(!dir.join("agent-bob.key.pem").exists(), "no key without its certificate");
    made(dir, &["issue", "bob", "--force"]);
    let after = now();
    assert!(after[2] != before[2] && after[3] != before[3]);
}

#[test]
fn a_key_that_was_made_elsewhere_stays_there() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    made(dir, &["ca"]);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut request = rcgen::CertificateParams::default();
    request.subject_alt_names = vec![rcgen::SanType::URI("agent:carl".try_into().unwrap())];
    // What it asks for beyond its name and its key is not granted.
    request.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = request.serialize_request(&key).unwrap().pem().unwrap();
    fs::write(dir.join("carl.csr"), &pem).unwrap();
    fs::write(dir.join("carl.pub"), key.public_key_pem()).unwrap();
    assert!(refused(dir, &["issue", "dave", "--csr", "carl.csr"]).contains("agent:carl"));
    made(dir, &["issue", "--csr", "carl.csr"]);
    made(dir, &["issue", "dave", "--public-key", "carl.pub"]);
    assert!(!dir.join("agent-carl.key.pem").exists());
    let shown = made(dir, &["show", "agent-carl.pem"]);
    assert!(shown.starts_with("certificate\n") && shown.contains("agent:carl"), "{shown}");
    for file in ["agent-carl.pem", "agent-dave.pem"] {
        assert!(good_for_participants(&anchors(dir), &dir.join(file)), "{file}");
    }
    // A request that somebody changed is signed by nobody.
    let mut damaged = pem.into_bytes();
    let at = damaged.len() - 60;
    damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
    fs::write(dir.join("bad.csr"), damaged).unwrap();
    assert!(refused(dir, &["issue", "--csr", "bad.csr", "--force"]).contains("mpac-agent key new"));
}

#[test]
fn what_is_no_authority_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert!(refused(dir, &["issue", "bob"]).contains("mpac-ws cert ca"));
    made(dir, &["ca"]);
    made(dir, &["issue", "bob"]);
    fs::create_dir(dir.join("fake")).unwrap();
    let put = |from: &str, to: &str| fs::copy(dir.join(from), dir.join("fake").join(to)).unwrap();
    put("agent-bob.pem", "ca.pem");
    put("agent-bob.key.pem", "ca.key.pem");
    assert!(refused(dir, &["issue", "eve", "--ca", "fake"]).contains("no certificate of an authority"));
    put("mpac-ca/ca.pem", "ca.pem");
    assert!(refused(dir, &["issue", "eve", "--ca", "fake"]).contains("not the key of"));
    fs::write(dir.join("fake/ca.pem"), "rubbish").unwrap();
    assert!(refused(dir, &["issue", "eve", "--ca", "fake"]).contains("ca.pem"));
    assert!(refused(dir, &["issue", "eve", "--for", "9999999d"]).contains("9999"));
    assert!(refused(dir, &["issue", "--server", "no host"]).contains("no host"));
    assert!(refused(dir, &["show", "fake/ca.pem"]).contains("PEM"));
    assert!(!dir.join("agent-eve.pem").exists());
}
