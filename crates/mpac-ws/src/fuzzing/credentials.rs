//! What strangers show, and the files that it is held against.

use std::sync::OnceLock;

use clap::Parser;
use mpac_core::Identity;
use mpac_wire::names::CredentialType;
use mpac_wire::{Limits, PrincipalId, SessionId, Timestamp};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::cli::Settings;
use crate::identity::certificate::Read;
use crate::identity::chain::Chain;
use crate::identity::keys::{Grant, Keys};
use crate::identity::{At, Verifier, certificates, secret};
use crate::listen::self_signed;
use crate::listen::tls::Tls;
use crate::signing::known::Known;

/// A server's judgement, with a key and an issuer whose secrets nobody has.
struct Judge {
    verifier: Verifier,
    /// The name of the key, which is no secret.
    key: String,
    principal: PrincipalId,
    session: SessionId,
    runtime: Runtime,
    dir: TempDir,
}

/// Any bytes: the first says what the others are.
pub fn any(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    match which % 5 {
        0 => hello(&text),
        1 => token(&text),
        2 => files(&text),
        3 => pem(bytes),
        _ => certificate(bytes),
    }
}

/// Any frame: whatever is shown in it, nothing is proven.
pub fn hello(text: &str) {
    let judge = judge();
    let at = At { session: &judge.session, certificate: None, stranger: false };
    let (known, limits) = (Known::default(), Limits::default());
    let looked = judge.runtime.block_on(judge.verifier.look(text, at, &known, &limits));
    let proven = matches!(looked.proof.identity, Identity::Proven { .. });
    assert!(!proven, "nobody has a secret that could be shown");
}

/// Any text in the place of a credential's value, as a token and as a key.
pub fn token(text: &str) {
    let Ok(value) = serde_json::to_string(text) else { return };
    let key = format!("\"mpac_{}_{}\"", judge().key, value.trim_matches('"'));
    for (kind, value) in [
        ("bearer_token", &value),
        ("api_key", &value),
        ("api_key", &key),
        ("mtls_fingerprint", &value),
        ("x509_chain", &value),
    ] {
        hello(&format!(
            r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"HELLO","message_id":"m","session_id":"s","sender":{{"principal_id":"agent:bob","principal_type":"agent","sender_instance_id":"i"}},"ts":"2026-01-02T03:04:05Z","payload":{{"display_name":"b","roles":[],"capabilities":[],"credential":{{"type":"{kind}","value":{value}}}}}}}"#
        ));
    }
    if let Some(fingerprint) = certificates::normal(text) {
        assert_eq!(certificates::normal(&fingerprint).as_deref(), Some(&*fingerprint), "it has an end");
    }
    if let Some(id) = secret::id(text) {
        assert!(text.contains(id));
    }
}

/// Any file of keys, or of an issuer's keys.
pub fn files(text: &str) {
    if let Ok(keys) = toml::from_str::<Keys>(text) {
        let written = toml::to_string(&keys).expect("keys that were read can be written");
        assert!(toml::from_str::<Keys>(&written).is_ok_and(|again| again == keys), "and are the same");
    }
    drop(serde_json::from_str::<jsonwebtoken::jwk::JwkSet>(text));
}

/// Any file of certificates and keys: it is usable or it is not, and what is said of it says nothing of what is in it.
pub fn pem(bytes: &[u8]) {
    let path = judge().dir.path().join("any.pem");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    if let Err(error) = Tls::from_files(path.clone(), path) {
        let said = error.to_string();
        let shown = String::from_utf8_lossy(bytes);
        let leaked = shown.lines().any(|line| line.len() > 40 && said.contains(line));
        assert!(!leaked, "a key could stand there: {said}");
    }
}

/// Any bytes as a certificate, and as a chain of them: what is read of it is short, and whose it is can be told.
pub fn certificate(bytes: &[u8]) {
    if let Some(read) = Read::of(bytes) {
        assert!(read.issuer.chars().count() <= 256, "{:?}", read.issuer);
        if let Some(owner) = read.owner(&judge().principal) {
            assert_eq!(read.owner(owner), Some(owner));
        }
    }
    if let Ok(chain) = Chain::parse(&String::from_utf8_lossy(bytes)) {
        drop(Read::of(chain.leaf()));
    }
}

fn judge() -> &'static Judge {
    static JUDGE: OnceLock<Judge> = OnceLock::new();
    JUDGE.get_or_init(|| make().expect("a judge in a directory of its own"))
}

fn make() -> Result<Judge, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let mut keys = Keys::default();
    let (sessions, roles, lifetime) = (None, None, None);
    let (principal, method) = (PrincipalId::new("agent:bob")?, CredentialType::ApiKey);
    let grant = Grant { principal: principal.clone(), method, sessions, roles, lifetime, invite: false };
    let key = keys.issue(grant, Timestamp::from_micros(0))?.0.id;
    std::fs::write(dir.path().join("keys.toml"), toml::to_string(&keys)?)?;
    // A public key; nobody signs with the other half.
    let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","alg":"EdDSA","x":"WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY"}]}"#;
    std::fs::write(dir.path().join("jwks.json"), jwks)?;
    let (anchor, _) = self_signed::at(dir.path(), &["localhost".to_owned()])?;
    let path = |name: &str| dir.path().join(name).display().to_string();
    let settings = Settings::try_parse_from([
        "mpac-ws".to_owned(),
        "--security-profile=authenticated".to_owned(),
        "--jwt-issuer=https://id.example".to_owned(),
        format!("--keys={}", path("keys.toml")),
        format!("--jwks={}", path("jwks.json")),
        format!("--trust-anchors={}", anchor.display()),
    ])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (verifier, session) = (Verifier::of(&settings)?, SessionId::new("s")?);
    Ok(Judge { verifier, key, principal, session, runtime, dir })
}
