//! What is looked at, and for whom.

use std::fs;

use mpac_core::Signed;
use mpac_wire::names::PrincipalType;
use mpac_wire::{Envelope, PrincipalId, Secret};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

use super::certificates::Trusted;
use super::proof::Judged;
use super::signers::Signer;
use super::*;
use crate::signing::Signing;

fn message(message_type: &str, key: &Signing) -> String {
    let text = format!(
        r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"{message_type}","message_id":"m","session_id":"s","sender":{{"principal_id":"agent:bob","principal_type":"agent","sender_instance_id":"i"}},"ts":"2026-01-01T00:00:00Z","payload":{{}}}}"#
    );
    let mut envelope: Envelope = serde_json::from_str(&text).unwrap();
    key.sign(&mut envelope).unwrap();
    envelope.to_json()
}

/// Bob's key is registered in a file of this directory.
fn knowing_bob() -> (tempfile::TempDir, Signing, Verifier) {
    let (dir, key) = (tempfile::tempdir().unwrap(), Signing::generate().unwrap());
    let keys = KeyFile::at(dir.path().join("keys.toml"));
    let principal = PrincipalId::new("agent:bob").unwrap();
    let signer = Signer { public_key: key.public().clone(), principal, revoked_at: None };
    keys.edit(|keys| keys.register(signer)).unwrap();
    (dir, key, Verifier { keys: Some(keys), ..Verifier::default() })
}

#[tokio::test]
async fn of_what_a_stranger_signs_only_a_hello_is_verified() {
    let (_dir, key, verifier) = knowing_bob();
    let (known, limits, session) = (Known::default(), Limits::default(), SessionId::new("s").unwrap());
    for (message_type, stranger, verified) in [
        ("HEARTBEAT", true, false),
        ("HEARTBEAT", false, true),
        ("HELLO", true, true),
        ("HELLO", false, true),
    ] {
        let at = At { session: &session, certificate: None, stranger };
        let looked = verifier.look(&message(message_type, &key), at, &known, &limits).await;
        let good = matches!(looked.proof.signature, Judged::Is(Signed::Good { .. }));
        assert_eq!(good, verified, "{message_type} of a stranger: {stranger}");
        assert!(!looked.proof.is_refused(), "nothing was shown");
    }
}

/// What is good here has to be good by the log, too.
#[tokio::test]
async fn a_hello_is_signed_as_it_is_kept() {
    let (_dir, key, verifier) = knowing_bob();
    let (known, limits, session) = (Known::default(), Limits::default(), SessionId::new("s").unwrap());
    let at = At { session: &session, certificate: None, stranger: true };
    let elsewhere = |word: &str| format!(r#""extensions":{{"x":{{"credential":{word}}}}}"#);
    let proper = |value: &str| format!(r#""credential":{{"type":"api_key","value":"{value}"}}"#);
    for (signed, sent, verified) in [
        (elsewhere("1"), elsewhere("1"), false),
        (elsewhere("false"), elsewhere("1"), true),
        (elsewhere("false"), elsewhere("false"), true),
        (r#""credential":"s3""#.to_owned(), r#""credential":"s3""#.to_owned(), false),
        // Its secret is kept nowhere.
        (proper("s3"), proper("s3"), true),
        (proper("[redacted]"), proper("s3"), false),
    ] {
        let hello = |more: &str| format!(r#"{{"display_name":"b","roles":[],"capabilities":[],{more}}}"#);
        let text =
            message("HELLO", &key).replace(r#""payload":{}"#, &format!(r#""payload":{}"#, hello(&signed)));
        let mut envelope: Envelope = serde_json::from_str(&text).unwrap();
        key.sign(&mut envelope).unwrap();
        let text = envelope.to_json().replace(&signed, &sent);
        let looked = verifier.look(&text, at, &known, &limits).await;
        let good = matches!(looked.proof.signature, Judged::Is(Signed::Good { .. }));
        assert_eq!(good, verified, "{text}");
    }
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_while_the_keys_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.toml");
    let [revoked, good, stranger] = [0; 3].map(|_| Signing::generate().unwrap());
    let file = KeyFile::at(path.clone());
    let principal = PrincipalId::new("agent:bob").unwrap();
    for (key, revoked_at) in [(&revoked, Some(Timestamp::from_micros(0))), (&good, None), (&stranger, None)] {
        let signer = Signer { public_key: key.public().clone(), principal: principal.clone(), revoked_at };
        file.edit(|keys| keys.register(signer)).unwrap();
    }
    let verifier = Verifier { keys: Some(file), ..Verifier::default() };
    // The session has met two of them.
    let (session, known, limits) = (SessionId::new("s").unwrap(), Known::default(), Limits::default());
    [&revoked, &good].into_iter().for_each(|key| known.learn(key.public()));
    let at = At { session: &session, certificate: None, stranger: false };
    let judge = async |key: &Signing| {
        let text = message("HEARTBEAT", key);
        verifier.look(&text, at, &known, &limits).await.proof.signature
    };
    for damage in [None, Some("[[signer]"), Some("")] {
        match damage {
            Some("") => fs::remove_file(&path).unwrap(),
            Some(text) => fs::write(&path, text).unwrap(),
            None => {}
        }
        assert!(matches!(judge(&revoked).await, Judged::Is(Signed::Wrong)), "{damage:?}");
        assert!(matches!(judge(&good).await, Judged::Is(Signed::Good { .. })), "{damage:?}");
        let is_new = matches!(judge(&stranger).await, Judged::ByUnknownKey(_));
        assert_eq!(is_new, damage.is_some(), "nobody new comes in by it: {damage:?}");
    }
}

#[test]
fn a_certificate_without_its_key_is_a_try_like_a_wrong_secret() {
    let proven = || Identity::Proven {
        principal: PrincipalId::new("agent:bob").unwrap(),
        method: CredentialType::X509Chain,
        issuer: None,
        roles: None,
        expires_at: None,
    };
    let rejected = || Identity::Rejected { method: CredentialType::ApiKey };
    let good = || Judged::Is(Signed::by(Signing::generate().unwrap().public().fingerprint()));
    for (identity, signature, needs_signature, refused) in [
        (proven(), good(), true, false),
        (proven(), Judged::Is(Signed::Missing), false, false),
        (proven(), Judged::Is(Signed::Missing), true, true),
        (proven(), Judged::Is(Signed::Wrong), true, true),
        // The session may know the key.
        (proven(), Judged::ByUnknownKey(String::new()), true, false),
        (rejected(), good(), false, true),
        (Identity::Unproven, Judged::Is(Signed::Missing), false, false),
    ] {
        let proof = Proof { identity, signature, kept: None, needs_signature };
        assert_eq!(proof.is_refused(), refused, "{proof:?}");
    }
}

/// An authority, and the PEM text of its certificate.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// Bob's, good from 2025 until 2030.
fn bobs(authority: &Issuer<'static, KeyPair>) -> rcgen::Certificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "agent:bob");
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2025, 1, 1), rcgen::date_time_ymd(2030, 1, 1));
    params.signed_by(&KeyPair::generate().unwrap(), authority).unwrap()
}

/// What `token trust` says of it.
fn trusted(certificate: &CertificateDer<'_>, until: Timestamp) -> Trusted {
    Trusted {
        fingerprint: crate::listen::tls::fingerprint(certificate),
        principal: PrincipalId::new("agent:bob").unwrap(),
        sessions: None,
        roles: None,
        expires_at: Some(until),
        revoked_at: None,
    }
}

/// That it ends is the session's business, which asks for another one first (SEC-14).
#[tokio::test]
async fn a_certificate_that_has_ended_is_not_taken_back() {
    let (dir, (issuer, pem)) = (tempfile::tempdir().unwrap(), authority());
    let [keys, anchors] = ["keys.toml", "anchors.pem"].map(|name| dir.path().join(name));
    fs::write(&anchors, &pem).unwrap();
    let certificate = bobs(&issuer);
    let [shown_at, earlier, ends, later] = ["2026-01-01", "2029-01-01", "2029-06-01", "2031-01-01"]
        .map(|day| Timestamp::parse(&format!("{day}T00:00:00Z")).unwrap());
    let edit = |change: &dyn Fn(&mut Keys)| KeyFile::at(keys.clone()).edit(|keys| change(keys)).unwrap();
    // Whoever has never looked sees every change.
    let verifier = || Verifier {
        keys: Some(KeyFile::at(keys.clone())),
        anchors: Some(Anchors::at(anchors.clone()).unwrap()),
        ..Verifier::default()
    };
    let session = SessionId::new("s").unwrap();
    let at = At { session: &session, certificate: Some(certificate.der()), stranger: true };
    let bob = PrincipalId::new("agent:bob").unwrap();
    let sender = Sender::new(bob, PrincipalType::Agent, InstanceId::new("i").unwrap());
    let fingerprint = trusted(certificate.der(), ends).fingerprint;
    let show = async |kind, value: &str| {
        let credential = Credential::new(kind, Secret::new(value));
        let shown = Shown { at, sender: &sender, credential: &credential };
        verifier().identify(shown, Card::of(shown).as_ref(), shown_at).await.by.unwrap()
    };
    let standing = |by: &By, now| verifier().standing(by, now);
    let chain = show(CredentialType::X509Chain, &certificate.pem()).await;
    assert_eq!(standing(&chain, later), Standing::Good, "it is over");

    edit(&|keys| keys.trust(trusted(certificate.der(), ends)));
    let named = show(CredentialType::MtlsFingerprint, &fingerprint).await;
    assert_eq!(standing(&named, later), Standing::Good, "what is said of it is over");
    edit(&|keys| keys.trust(trusted(certificate.der(), earlier)));
    for by in [&chain, &named] {
        assert_eq!(standing(by, shown_at), Standing::Good);
        assert_eq!(standing(by, earlier), Standing::Over, "the operator has made it shorter");
    }
    edit(&|keys| keys.trust(trusted(certificate.der(), later)));
    fs::write(&anchors, authority().1).unwrap();
    assert_eq!(standing(&chain, later), Standing::Over, "nobody trusts who issued it");
    fs::write(&anchors, pem).unwrap();
    assert_eq!(standing(&chain, later), Standing::Good);
    edit(&|keys| assert!(keys.distrust(&fingerprint, shown_at)));
    for by in [&chain, &named] {
        assert_eq!(standing(by, later), Standing::Over, "revoked");
    }
}
