//! Whatever somebody sends: the evidence of a coordinator that did right says so.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::people::{Authority, Person, Voice, outcome, signed};
use super::place;
use crate::covers;
use crate::program_rig::{Program, run};

/// A verified server, and two people.
struct Place {
    dir: TempDir,
    ann: Person,
    bob: Person,
}

impl Place {
    fn new() -> Self {
        let dir = place();
        let authority = Authority::new("authority");
        fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
        let (ann, bob) = (authority.issue("agent:ann"), authority.issue("agent:bob"));
        Self { dir, ann, bob }
    }

    fn start(&self) -> Program {
        let anchors = format!("--trust-anchors={}", self.dir.path().join("ca.pem").display());
        let roles = r#"--role-policy={"default_role":"contributor"}"#;
        Program::start(&self.dir.path().join("data"), &["--security-profile=verified", roles, &anchors])
    }

    /// Stops it and verifies what it leaves, by what a SESSION_INFO said.
    fn assert_honest(&self, program: Program, info: &Value) {
        assert_eq!(program.stop(), Some(0));
        let own = &info["payload"]["security_config"]["coordinator_key_fingerprint"];
        let keys = self.dir.path().join("keys.json");
        fs::write(&keys, json!({"coordinator": [own], "trust_anchors": ["ca.pem"]}).to_string()).unwrap();
        let [keys, data] = [keys, self.dir.path().join("data")].map(|it| it.to_str().unwrap().to_owned());
        let said = run(&["audit", "verify", "--json", "--keys", &keys, "--data-dir", &data]);
        let report: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!((&report["findings"], said.status.code()), (&json!([]), Some(0)), "{report:#}");
    }
}

async fn joined(program: &Program, person: &Person) -> (Voice, Value) {
    let mut voice = connected(program, person).await;
    let info = voice.hello(person.credential()).await;
    assert_eq!(outcome(&info), "SESSION_INFO", "{info}");
    (voice, info)
}

async fn connected(program: &Program, person: &Person) -> Voice {
    Voice::of(person, program.connect("/").await.counts_anew())
}

#[tokio::test]
async fn a_hello_with_secrets_elsewhere_is_refused_and_accuses_nobody() {
    covers!("SEC-12", "SEC-23", "SEC-25", "PRV-05");
    let place = Place::new();
    let program = place.start();
    let (_ann, info) = joined(&program, &place.ann).await;
    let hello = |credential: Value, extensions: Value| {
        json!({
            "display_name": "bob", "roles": ["contributor"], "capabilities": [], "credential": credential,
            "extensions": extensions,
        })
    };
    let mut more = place.bob.credential();
    more["nonce"] = json!("s");
    let nothing = json!({});
    for (credential, extensions) in [
        (place.bob.credential(), json!({"x": {"credential": "s"}})),
        (more, nothing.clone()),
        (json!("s"), nothing),
    ] {
        let mut bob = connected(&program, &place.bob).await;
        bob.say("HELLO", hello(credential, extensions)).await;
        assert_eq!(outcome(&bob.client.next().await), "AUTHORIZATION_FAILED");
    }
    // Signed as it is kept.
    let mut bob = connected(&program, &place.bob).await;
    let kept = json!({"x": {"credential": false}});
    let message = bob.client.envelope("HELLO", hello(place.bob.credential(), kept));
    let text = signed(message, &bob.key).replace(r#""credential":false"#, r#""credential":"s""#);
    bob.client.send(text).await;
    assert_eq!(outcome(&bob.client.next().await), "SESSION_INFO");
    place.assert_honest(program, &info);
}

#[tokio::test]
async fn what_is_refused_unlooked_at_accuses_nobody() {
    covers!("SEC-23", "SEC-25", "D-134");
    let place = Place::new();
    let program = place.start();
    let (mut ann, info) = joined(&program, &place.ann).await;
    let scope = json!({"kind": "file_set", "resources": ["a.py"]});
    let announce = json!({"intent_id": "i1", "objective": "work", "scope": scope});
    let text = signed(ann.client.envelope("INTENT_ANNOUNCE", announce), &ann.key);
    ann.client.send(text.clone()).await;
    ann.client.until("INTENT_ANNOUNCE").await;
    // What everybody is sent, by somebody who shows nothing.
    let mut mallory = program.connect("/").await;
    mallory.send(text).await;
    assert_eq!(mallory.next().await["message_type"], "PROTOCOL_ERROR");
    let list = |count: usize| json!({"status": "working", "extensions": {"x": vec![0; count]}});
    ann.say("HEARTBEAT", list(10_001)).await;
    assert_eq!(outcome(&ann.client.until("PROTOCOL_ERROR").await), "MALFORMED_MESSAGE");
    // It would be short enough as it is kept.
    let message =
        ann.client.envelope("HEARTBEAT", json!({"status": "working", "extensions": {"credential": false}}));
    let long = format!(r#""credential":[{}0]"#, "0,".repeat(10_000));
    ann.client.send(signed(message, &ann.key).replace(r#""credential":false"#, &long)).await;
    assert_eq!(outcome(&ann.client.until("PROTOCOL_ERROR").await), "MALFORMED_MESSAGE");
    place.assert_honest(program, &info);
}
