//! What is looked at, and for whom.

use mpac_core::Signed;
use mpac_wire::{Envelope, PrincipalId};

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
            Some("") => std::fs::remove_file(&path).unwrap(),
            Some(text) => std::fs::write(&path, text).unwrap(),
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
