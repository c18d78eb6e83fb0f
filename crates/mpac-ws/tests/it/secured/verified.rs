//! The verified profile: everything that anybody says is signed, with a key that a certificate or its owner vouches for.

use std::fs;
use std::path::Path;

use mpac_wire::PublicKey;
use serde_json::{Value, json};

use super::people::{Authority, Person, Voice, is_signed_by, key, outcome, public};
use super::place;
use crate::covers;
use crate::rig::{Host, host};

const ROLES: &str = r#"--role-policy={"default_role":"contributor"}"#;

/// A verified server that trusts `authority`, with its data in `dir`.
pub(super) async fn server(dir: &Path, authority: &Authority, flags: &[&str]) -> Host {
    let anchors = dir.join("anchors.pem");
    fs::write(&anchors, &authority.pem).unwrap();
    let (anchors, data) = (
        format!("--trust-anchors={}", anchors.display()),
        format!("--data-dir={}", dir.join("data").display()),
    );
    host(&[&["--security-profile=verified", ROLES, &anchors, &data], flags].concat()).await
}

pub(super) async fn connected(host: &Host, person: &Person) -> Voice {
    Voice::of(person, host.connect("/").await.counts_anew())
}

/// `person`, admitted; and SESSION_INFO.
pub(super) async fn joined(host: &Host, person: &Person) -> (Voice, Value) {
    let mut voice = connected(host, person).await;
    let info = voice.hello(person.credential()).await;
    assert_eq!(outcome(&info), "SESSION_INFO", "{info}");
    (voice, info)
}

/// The coordinator's key in a SESSION_INFO.
pub(super) fn coordinator(info: &Value) -> PublicKey {
    let security = &info["payload"]["security_config"];
    let key: PublicKey = security["coordinator_public_key"].as_str().unwrap().parse().unwrap();
    assert_eq!(security["coordinator_key_fingerprint"], key.fingerprint().to_string());
    key
}

#[tokio::test]
async fn everything_is_signed_and_verifies() {
    covers!("SEC-12", "SEC-16", "SEC-23", "SEC-24", "SEC-26", "SEC-30", "SEC-31", "D-121", "D-122", "D-128");
    let dir = place();
    let authority = Authority::new("authority");
    let (ann, bob) = (authority.issue("agent:ann"), authority.issue("agent:bob"));
    let host = server(dir.path(), &authority, &[]).await;
    let (mut anns, info) = joined(&host, &ann).await;
    assert_eq!(info["payload"]["identity_verified"], true);
    assert_eq!(info["payload"]["identity_method"], "x509_chain");
    assert!(info["payload"]["identity_issuer"].as_str().unwrap().contains("authority"));
    let own = coordinator(&info);
    assert!(is_signed_by(&info, &own));
    let (mut bobs, _) = joined(&host, &bob).await;
    bobs.announce("i1", "a.py").await;
    bobs.client.until("INTENT_ANNOUNCE").await;
    let commit = json!({
        "op_id": "o1", "intent_id": "i1", "target": "a.py", "op_kind": "create",
        "state_ref_before": "sha256:e3b0c44298fc1c14", "state_ref_after": "sha256:2d711642b726b044",
    });
    bobs.say("OP_COMMIT", commit).await;
    // What is relayed is signed by its sender still, everything else by the coordinator.
    let mut relayed = 0;
    loop {
        let frame = anns.client.next().await;
        let Some(sender) = frame["sender"]["principal_id"].as_str() else { continue };
        let signer = if sender == "agent:bob" { &public(&bob.key) } else { &own };
        assert!(is_signed_by(&frame, signer), "{frame}");
        relayed += u32::from(sender == "agent:bob");
        if frame["message_type"] == "OP_COMMIT" {
            break;
        }
    }
    assert_eq!(relayed, 2);
}

/// Every way of coming in that is no good, each with the answer that it gets.
#[tokio::test]
async fn who_cannot_prove_it_stays_out() {
    covers!("SEC-12", "SEC-23", "SEC-24", "SEC-39", "D-122", "D-129");
    let dir = place();
    let authority = Authority::new("authority");
    let host = server(dir.path(), &authority, &[]).await;
    let (bob, eve, stranger) =
        (authority.issue("agent:bob"), authority.issue("agent:eve"), Authority::new("authority"));
    let over = authority.issue_with("agent:bob", |params| {
        params.not_after = params.not_before;
        params.not_before -= time::Duration::hours(1);
    });
    let early = authority.issue_with("agent:bob", |params| params.not_before = params.not_after);
    let of_servers = authority.issue_with("agent:bob", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let (below, between) = authority.below("below");
    let (part, mut whole) = (below.issue("agent:bob"), below.issue("agent:bob"));
    whole.chain += &between;
    let named = |name: &str, person: Person| Person { name: name.to_owned(), ..person };
    let (rejected, failed, admitted) = ("CREDENTIAL_REJECTED", "AUTHORIZATION_FAILED", "SESSION_INFO");
    for (what, person, expected) in [
        ("the certificate of another", named("agent:bob", copy(&eve)), rejected),
        ("her own, in another spelling", named("agent:Eve", copy(&eve)), rejected),
        ("his, without its key", Person { key: copy(&eve).key, ..copy(&bob) }, failed),
        ("another authority of the same name", stranger.issue("agent:bob"), rejected),
        ("nobody but himself", self_signed("agent:bob"), rejected),
        ("over", over, rejected),
        ("not good yet", early, rejected),
        ("for servers", of_servers, rejected),
        ("without what is between", part, rejected),
        ("with what is between", whole, admitted),
        ("himself", copy(&bob), admitted),
    ] {
        let mut voice = connected(&host, &person).await;
        let answer = voice.hello(person.credential()).await;
        assert_eq!(outcome(&answer), expected, "{what}: {answer}");
        voice.client.hang_up().await;
    }
    // His key is known by now; what he shows with it has to be a certificate all the same.
    for credential in
        [json!({"type": "api_key", "value": "x"}), json!({"type": "custom", "value": "x"}), json!(null)]
    {
        let answer = connected(&host, &bob).await.hello(credential.clone()).await;
        assert_eq!(outcome(&answer), rejected, "{credential}");
    }
    let zoe = authority.issue("agent:zoe");
    let chain = |text: String| json!({"type": "x509_chain", "value": text});
    for (credential, expected) in [
        (json!(null), failed),
        (json!({"type": "api_key", "value": "x"}), failed),
        (chain("x".to_owned()), failed),
        (chain(zoe.chain.repeat(9)), failed),
        (chain(format!("{}{}", zoe.chain, zoe.key.serialize_pem())), failed),
    ] {
        let answer = connected(&host, &zoe).await.hello(credential.clone()).await;
        assert_eq!(outcome(&answer), expected, "{credential}");
    }
    let mut unsigned = connected(&host, &zoe).await;
    unsigned.client.who = "agent:zoe".to_owned();
    assert_eq!(outcome(&unsigned.client.hello_with("agent:zoe", zoe.credential()).await), failed);
    let (mut eves, _) = joined(&host, &eve).await;
    eves.client.send(r#"{"type":"SESSION_SUMMARY"}"#).await;
    let summary = eves.client.until("SESSION_SUMMARY_RESPONSE").await.to_string();
    assert!(summary.contains("agent:bob") && !summary.contains("agent:zoe"), "{summary}");
}

pub(super) fn self_signed(name: &str) -> Person {
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::URI(name.try_into().unwrap())];
    let key = key();
    let chain = params.self_signed(&key).unwrap().pem();
    Person { name: name.to_owned(), key, chain }
}

fn copy(person: &Person) -> Person {
    let key = rcgen::KeyPair::try_from(person.key.serialize_der()).unwrap();
    Person { name: person.name.clone(), key, chain: person.chain.clone() }
}
