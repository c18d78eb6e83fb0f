//! Certificates and whoever vouches for them: what ends a membership, and what proves that a certificate is one's own.

use std::fs;

use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::people::{Authority, Voice, is_signed_by, key, outcome, public, signed};
use super::tls::dial;
use super::verified::{connected, coordinator, joined, self_signed, server};
use super::{api_key, command, place, secret};
use crate::covers;
use crate::rig::{Client, host};

#[tokio::test]
async fn whoever_is_in_by_an_authority_that_is_not_trusted_any_more_is_put_out() {
    let dir = place();
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let (ann, bob) = (first.issue("agent:ann"), second.issue("agent:bob"));
    let mut both = Authority::new("unused");
    both.pem = format!("{}{}", first.pem, second.pem);
    let host = server(dir.path(), &both, &[]).await;
    let (mut anns, _) = joined(&host, &ann).await;
    let (mut bobs, _) = joined(&host, &bob).await;
    fs::write(dir.path().join("anchors.pem"), "rubbish").unwrap();
    bobs.client.is_alive().await; // what cannot be read changes nothing
    fs::write(dir.path().join("anchors.pem"), &first.pem).unwrap();
    assert_eq!(bobs.client.close_code().await, 1008);
    anns.client.is_alive().await;
    let answer = connected(&host, &bob).await.hello(bob.credential()).await;
    assert_eq!(outcome(&answer), "CREDENTIAL_REJECTED");
}

#[tokio::test]
async fn somebody_else_s_certificate_lets_nobody_say_more_than_a_stranger_may() {
    let dir = place();
    let authority = Authority::new("authority");
    let bob = authority.issue("agent:bob");
    let host = server(dir.path(), &authority, &[]).await;
    let mut thief = connected(&host, &bob).await;
    thief.key = key();
    let answer = thief.hello(bob.credential()).await;
    assert_eq!(outcome(&answer), "AUTHORIZATION_FAILED", "by a key that nobody knows");
    for _ in 0..60 {
        thief.client.say("HEARTBEAT", json!({"status": "idle"})).await;
    }
    let (frames, code) = thief.client.rest().await;
    assert!(frames.len() < 50 && code == 1008, "{code} after {frames:?}");
}

#[tokio::test]
async fn what_is_said_of_a_single_certificate_stands_over_its_chain() {
    covers!("ROL-10");
    let dir = place();
    let authority = Authority::new("authority");
    let (ann, bob, data) =
        (authority.issue("agent:ann"), authority.issue("agent:bob"), dir.path().join("data"));
    let mut fingerprints = Vec::new();
    for (person, role) in [(&ann, "observer"), (&bob, "contributor")] {
        let file = dir.path().join("one.pem");
        fs::write(&file, &person.chain).unwrap();
        let words = [
            "token",
            "trust",
            &person.name,
            &format!("--certificate={}", file.display()),
            &format!("--role={role}"),
        ];
        fingerprints.push(command(&data, &words).unwrap().split(' ').next().unwrap().to_owned());
    }
    let host = server(dir.path(), &authority, &[]).await;
    let answer = connected(&host, &ann).await.hello(ann.credential()).await;
    assert_eq!(outcome(&answer), "AUTHORIZATION_FAILED", "she asks for another role: {answer}");
    let (mut bobs, _) = joined(&host, &bob).await;
    command(&data, &["token", "revoke", &fingerprints[1]]).unwrap();
    assert_eq!(bobs.client.close_code().await, 1008);
    let answer = connected(&host, &bob).await.hello(bob.credential()).await;
    assert_eq!(outcome(&answer), "CREDENTIAL_REJECTED");
}

#[tokio::test]
async fn a_certificate_is_revoked_by_its_fingerprint_and_an_authority_with_all_below_it() {
    let dir = place();
    let authority = Authority::new("authority");
    let (below, between) = authority.below("below");
    let (ann, mut bob, mut zoe) =
        (authority.issue("agent:ann"), below.issue("agent:bob"), below.issue("agent:zoe"));
    for person in [&mut bob, &mut zoe] {
        person.chain += &between;
    }
    let host = server(dir.path(), &authority, &[]).await;
    let (mut anns, _) = joined(&host, &ann).await;
    let (mut bobs, _) = joined(&host, &bob).await;
    let data = dir.path().join("data");
    let fingerprint = |pem: &str| {
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            &rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap(),
        );
        digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    };
    let told = command(&data, &["token", "revoke", &fingerprint(&between)]).unwrap();
    assert!(told.contains("not known here"), "{told}");
    assert_eq!(bobs.client.close_code().await, 1008);
    let answer = connected(&host, &zoe).await.hello(zoe.credential()).await;
    assert_eq!(outcome(&answer), "CREDENTIAL_REJECTED");
    anns.client.is_alive().await;
    command(&data, &["token", "revoke", &fingerprint(&ann.chain)]).unwrap();
    assert_eq!(anns.client.close_code().await, 1008);
    assert_eq!(command(&data, &["token", "list"]).unwrap().matches("x509_chain").count(), 2);
}

#[tokio::test]
async fn tls_proves_that_a_certificate_is_ones_own_and_a_signature_does_so_without() {
    covers!("SEC-10", "SEC-12", "SEC-22");
    let dir = place();
    let authority = Authority::new("authority");
    let bob = authority.issue("agent:bob");
    let anchors = dir.path().join("anchors.pem");
    fs::write(&anchors, &authority.pem).unwrap();
    let flags = [
        format!("--trust-anchors={}", anchors.display()),
        r#"--role-policy={"default_role":"contributor"}"#.to_owned(),
        "--tls-self-signed".to_owned(),
    ];
    let host = super::server(dir.path(), &flags.each_ref().map(String::as_str)).await;
    let trusted = dir.path().join("tls/cert.pem");
    let own = || Some((bob.chain.clone(), bob.key.serialize_der()));
    for (certificate, signs, expected) in [
        (own(), false, "SESSION_INFO"),
        (None, false, "CREDENTIAL_REJECTED"),
        (None, true, "SESSION_INFO"),
        (own(), true, "SESSION_INFO"),
    ] {
        let shown = certificate.is_some();
        let stream = dial(host.address, &trusted, certificate).await.unwrap();
        let client = Client::over(Box::new(stream), host.address, "/").await.counts_anew();
        let mut voice = Voice::of(&bob, client);
        let answer = match signs {
            true => voice.hello(bob.credential()).await,
            false => voice.client.hello_with("agent:bob", bob.credential()).await,
        };
        assert_eq!(outcome(&answer), expected, "in TLS {shown}, signed {signs}: {answer}");
        voice.client.hang_up().await;
    }
}

#[tokio::test]
async fn who_signs_in_an_authenticated_session_is_held_to_it() {
    covers!("SEC-22", "SEC-26", "D-129");
    let dir = place();
    let keys = ["bob", "ann"].map(|who| secret(&command(dir.path(), &["token", "add", who]).unwrap()));
    let [bobs_key, other] = [key(), key()];
    let registered = format!("--public-key={}", public(&bobs_key));
    let told = command(dir.path(), &["token", "signer", "bob", &registered]).unwrap();
    assert!(told.starts_with("sha256:"), "{told}");
    let wrong =
        command(dir.path(), &["token", "signer", "bob", "--public-key=AAAA"]).unwrap_err().to_string();
    assert!(wrong.contains("openssl pkey -pubout"), "{wrong}");
    let host = super::server(dir.path(), &[]).await;
    let mut bob = host.connect("/").await.counts_anew();
    let info = bob.hello_with("agent:bob", api_key(&keys[0])).await;
    assert!(is_signed_by(&info, &coordinator(&info)), "{info}");
    let mut ann = host.connect("/").await.counts_anew();
    ann.hello_with("agent:ann", api_key(&keys[1])).await;
    let status = |client: &mut Client| client.envelope("INTENT_WITHDRAW", json!({"intent_id": "none"}));
    // What is signed as it should be gets as far as its rules.
    for (text, expected) in [
        (status(&mut bob).to_string(), "INVALID_REFERENCE"),
        (signed(status(&mut bob), &bobs_key), "INVALID_REFERENCE"),
        (signed(status(&mut bob), &other), "AUTHORIZATION_FAILED"),
    ] {
        bob.send(text).await;
        assert_eq!(outcome(&bob.until("PROTOCOL_ERROR").await), expected);
    }
    let text = signed(status(&mut ann), &bobs_key);
    ann.send(text).await;
    assert_eq!(outcome(&ann.until("PROTOCOL_ERROR").await), "AUTHORIZATION_FAILED", "his key");
    let fingerprint = told.split(' ').next().unwrap();
    assert!(command(dir.path(), &["token", "list"]).unwrap().contains(fingerprint));
    command(dir.path(), &["token", "revoke", fingerprint]).unwrap();
    let text = signed(status(&mut bob), &bobs_key);
    bob.send(text).await;
    assert_eq!(outcome(&bob.until("PROTOCOL_ERROR").await), "AUTHORIZATION_FAILED", "revoked");
}

#[tokio::test]
async fn a_certificate_in_tls_is_enough_for_a_verified_session_if_its_key_signs() {
    covers!("SEC-10", "SEC-23", "SEC-39");
    let dir = place();
    let bob = self_signed("agent:bob");
    let file = dir.path().join("bob.pem");
    fs::write(&file, &bob.chain).unwrap();
    let trust = ["token", "trust", "bob", &format!("--certificate={}", file.display())];
    let fingerprint = command(dir.path(), &trust).unwrap().split(' ').next().unwrap().to_owned();
    let data = format!("--data-dir={}", dir.path().display());
    let host = host(&["--security-profile=verified", "--tls-self-signed", &data]).await;
    let trusted = dir.path().join("tls/cert.pem");
    let shown = json!({"type": "mtls_fingerprint", "value": fingerprint});
    for (shows, signs, expected) in [
        (true, Some(&bob.key), "SESSION_INFO"),
        (true, None, "AUTHORIZATION_FAILED"),
        (true, Some(&key()), "AUTHORIZATION_FAILED"),
        (false, Some(&bob.key), "CREDENTIAL_REJECTED"),
    ] {
        let certificate = shows.then(|| (bob.chain.clone(), bob.key.serialize_der()));
        let stream = dial(host.address, &trusted, certificate).await.unwrap();
        let client = Client::over(Box::new(stream), host.address, "/").await.counts_anew();
        let mut voice = Voice::of(&bob, client);
        let answer = match signs {
            Some(key) => {
                voice.key = rcgen::KeyPair::try_from(key.serialize_der()).unwrap();
                voice.hello(shown.clone()).await
            }
            None => voice.client.hello_with("agent:bob", shown.clone()).await,
        };
        assert_eq!(outcome(&answer), expected, "{shows}: {answer}");
        if expected == "SESSION_INFO" {
            voice.announce("i", "a.py").await;
            voice.client.until("INTENT_ANNOUNCE").await;
        }
        voice.client.hang_up().await;
    }
}
