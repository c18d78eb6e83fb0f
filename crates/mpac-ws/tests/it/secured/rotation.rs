//! Keys that are replaced, and sessions that go on: nobody is believed more or less because of it.

use std::path::Path;

use clap::Parser;
use mpac_wire::PublicKey;
use mpac_ws::cli::{Command, Settings};
use mpac_ws::error::Error;
use mpac_ws::signing_key;
use serde_json::{Value, json};

use super::people::{Authority, Voice, is_signed_by, key, outcome, public, signed};
use super::place;
use super::verified::{connected, coordinator, joined, server};
use crate::covers;
use crate::program_rig::{Program, Standby, run};
use crate::rig::{Client, patiently};
use crate::standing_by::{caught_up, saying, taken_over};

/// `mpac-ws signing-key WORD` for the server that has its data in `dir`.
async fn asked(dir: &Path, word: &str) -> Result<String, Error> {
    let data = format!("--data-dir={}", dir.join("data").display());
    let settings = Settings::try_parse_from(["mpac-ws", "signing-key", word, &data]).unwrap();
    match settings.command.unwrap() {
        Command::SigningKey(command) => signing_key::run(&command).await,
        other => panic!("{other:?}"),
    }
}

/// Asks for another key, signed with the one in use.
async fn rotate(voice: &mut Voice, new: &rcgen::KeyPair) {
    let rotation = json!({"new_key_fingerprint": public(new).fingerprint(), "public_key": public(new)});
    voice.say("HEARTBEAT", json!({"status": "idle", "extensions": {"key_rotation": rotation}})).await;
}

/// The news that somebody has another key; up to there all that the coordinator says is signed with `key`.
async fn news(voice: &mut Voice, key: &PublicKey) -> Value {
    patiently(async {
        loop {
            let frame = voice.client.next().await;
            let by_coordinator = frame.get("coordinator_epoch").is_some();
            assert!(!by_coordinator || is_signed_by(&frame, key), "{frame}");
            let change = &frame["payload"]["extensions"]["mpac"]["key_change"];
            if change.is_object() {
                return change.clone();
            }
        }
    })
    .await
}

#[tokio::test]
async fn both_sides_replace_their_keys() {
    covers!("SEC-26", "SEC-32", "D-127");
    let dir = place();
    let authority = Authority::new("authority");
    let (ann, bob) = (authority.issue("agent:ann"), authority.issue("agent:bob"));
    // Long enough that the old key of a participant is over within the test only where that is waited for.
    let host = server(dir.path(), &authority, &["--heartbeat-interval-sec=1"]).await;
    let (mut bobs, info) = joined(&host, &bob).await;
    let old = coordinator(&info);
    let (mut anns, _) = joined(&host, &ann).await;
    // Bob's, by a message that the old one signs; at once both are good, and everybody hears the new one.
    let new = key();
    rotate(&mut bobs, &new).await;
    let change = news(&mut anns, &old).await;
    assert_eq!(change["new_key_fingerprint"], public(&new).fingerprint().to_string());
    bobs.announce("i1", "a.py").await;
    bobs.key = new;
    bobs.announce("i2", "b.py").await;
    for (intent, key) in [("i1", public(&bob.key)), ("i2", public(&bobs.key))] {
        let announced = anns.client.until("INTENT_ANNOUNCE").await;
        assert_eq!(announced["payload"]["intent_id"], intent);
        assert!(is_signed_by(&announced, &key));
    }
    // The coordinator's: the old key says that there is a new one, and never speaks again.
    let told = asked(dir.path(), "rotate").await.unwrap();
    assert!(told.contains("1 session has heard of it") && told.contains("standby"), "{told}");
    let own: PublicKey = news(&mut anns, &old).await["public_key"].as_str().unwrap().parse().unwrap();
    assert_ne!(own, old);
    let status = anns.client.until("COORDINATOR_STATUS").await;
    assert!(is_signed_by(&status, &own), "{status}");
    let shown = asked(dir.path(), "show").await.unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with(&own.fingerprint().to_string()) && lines[0].contains(" signs"), "{shown}");
    assert!(lines[1].contains(&old.fingerprint().to_string()), "{shown}");
    // Both are there after a restart, and nobody has to be told anything.
    host.stop().await;
    assert_eq!(asked(dir.path(), "show").await.unwrap(), shown, "without a server");
    let refused = asked(dir.path(), "rotate").await.unwrap_err().to_string();
    assert!(refused.contains("start it"), "{refused}");
    let host = server(dir.path(), &authority, &[]).await;
    let mut back = Voice { key: bobs.key, ..connected(&host, &bob).await };
    let info = back.hello(bob.credential()).await;
    assert_eq!(outcome(&info), "SESSION_INFO", "by the key that replaced the certificate's: {info}");
    assert_eq!(coordinator(&info), own);
    assert!(is_signed_by(&info, &own));
}

#[tokio::test]
async fn what_is_changed_repeated_or_signed_by_another_changes_nothing() {
    covers!("SEC-17", "SEC-20", "SEC-23", "SEC-24");
    let dir = place();
    let authority = Authority::new("authority");
    let (ann, bob) = (authority.issue("agent:ann"), authority.issue("agent:bob"));
    let host = server(dir.path(), &authority, &[]).await;
    let (mut bobs, _) = joined(&host, &bob).await;
    let (mut anns, info) = joined(&host, &ann).await;
    let own = coordinator(&info);
    let announce = |client: &mut Client, id: &str| {
        let scope = json!({"kind": "file_set", "resources": [id]});
        client.envelope("INTENT_ANNOUNCE", json!({"intent_id": id, "objective": "work", "scope": scope}))
    };
    type Change = fn(&mut Value);
    let changes: [Change; 6] = [
        |it| it["watermark"]["value"] = 1_000_000.into(),
        |it| it["payload"]["objective"] = "other work".into(),
        |it| it["ts"] = "2026-01-01T00:00:00.000000Z".into(),
        |it| drop(it.as_object_mut().unwrap().remove("signature")),
        |it| it["signature"] = "ed25519:x".into(),
        |it| it["signature"] = it["signature"].as_str().unwrap().replace("ed25519", "hmac-sha256").into(),
    ];
    for change in changes {
        let envelope = announce(&mut bobs.client, "i");
        let mut envelope: Value = serde_json::from_str(&signed(envelope, &bobs.key)).unwrap();
        change(&mut envelope);
        bobs.client.send(envelope.to_string()).await;
        let refused = bobs.client.until("PROTOCOL_ERROR").await;
        assert_eq!(outcome(&refused), "AUTHORIZATION_FAILED", "{envelope}");
        assert!(is_signed_by(&refused, &own));
    }
    for other in [&ann.key, &key()] {
        let text = signed(announce(&mut bobs.client, "i"), other);
        bobs.client.send(text).await;
        assert_eq!(outcome(&bobs.client.until("PROTOCOL_ERROR").await), "AUTHORIZATION_FAILED");
    }
    let good = signed(announce(&mut bobs.client, "good"), &bobs.key);
    bobs.client.send(good.clone()).await;
    assert_eq!(anns.client.until("INTENT_ANNOUNCE").await["payload"]["intent_id"], "good");
    // Again at once, and after the server was started again.
    bobs.client.send(good.clone()).await;
    assert_eq!(outcome(&bobs.client.until("PROTOCOL_ERROR").await), "REPLAY_DETECTED");
    host.stop().await;
    let host = server(dir.path(), &authority, &[]).await;
    let (mut bobs, info) = joined(&host, &bob).await;
    assert_eq!(coordinator(&info), own, "the same key as before");
    bobs.client.send(good).await;
    assert_eq!(outcome(&bobs.client.until("PROTOCOL_ERROR").await), "REPLAY_DETECTED");
}

#[tokio::test]
async fn a_standby_needs_the_key_of_its_server() {
    covers!("SEC-26", "REC-20");
    let dirs = [place(), place(), place()];
    let [one, two, none] = dirs.each_ref().map(|dir| dir.path());
    let authority = Authority::new("authority");
    let (bob, anchors) = (authority.issue("agent:bob"), one.join("anchors.pem"));
    std::fs::write(&anchors, &authority.pem).unwrap();
    let anchors = format!("--trust-anchors={}", anchors.display());
    let flags = ["--security-profile=verified", r#"--role-policy={"default_role":"contributor"}"#, &anchors];
    let program = Program::start(one, &flags);
    let mut bobs = Voice::of(&bob, program.connect("/").await.counts_anew());
    let info = bobs.hello(bob.credential()).await;
    let own = coordinator(&info);
    // Without any key, and with another one.
    let (from, token) = (format!("--from=ws://{}", program.address), one.join("control-token"));
    let (token, data) =
        (format!("--token-file={}", token.display()), format!("--data-dir={}", none.display()));
    let args = [&["standby", &from, &token, &data, "--port=0"], &flags[..]]
        .concat()
        .iter()
        .map(|it| (*it).to_owned())
        .collect::<Vec<_>>();
    let output =
        tokio::task::spawn_blocking(move || run(&args.iter().map(String::as_str).collect::<Vec<_>>()))
            .await
            .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("copy the file signing-key.pem"), "{said}");
    // A copy of the key, which is rotated while the standby follows: it says so, and hears of the new one.
    let copied = two.join("copied.pem");
    std::fs::copy(one.join("signing-key.pem"), &copied).unwrap();
    let named = format!("--signing-key={}", copied.display());
    let flags = [&flags[..], &[&named]].concat();
    let standby = Standby::start(program.address, one, &two.join("data"), &flags);
    let standby = caught_up(standby).await;
    let data = format!("--data-dir={}", one.display());
    let rotated = tokio::task::spawn_blocking(move || run(&["signing-key", "rotate", &data])).await.unwrap();
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let standby = saying(standby, "could not go on: its coordinator signs with the key").await;
    std::fs::copy(one.join("signing-key.pem"), &copied).unwrap();
    let standby = saying(standby, "the keys of all sessions are here").await;
    let new = news(&mut bobs, &own).await["public_key"].as_str().unwrap().parse().unwrap();
    taken_over(&two.join("data")).await;
    tokio::task::spawn_blocking(move || program.ended()).await.unwrap();
    let program = tokio::task::spawn_blocking(move || standby.serves()).await.unwrap();
    let mut bobs = Voice::of(&bob, program.connect("/").await.counts_anew());
    let info = bobs.hello(bob.credential()).await;
    assert_eq!(info["coordinator_epoch"], 2);
    assert!(coordinator(&info) == new && is_signed_by(&info, &new));
}
