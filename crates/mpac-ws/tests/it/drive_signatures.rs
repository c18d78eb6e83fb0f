//! Driven sessions in which everything is signed, with real keys.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::signature::signed_bytes;
use mpac_wire::{Fingerprint, PublicKey, Signature};
use serde_json::{Value, json};

use crate::covers;
use crate::drive_rig::{Drive, brief, envelope};

fn pair(n: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[n; 32]).unwrap()
}

fn public(n: u8) -> PublicKey {
    PublicKey::new(pair(n).public_key().as_ref())
}

fn hex(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

fn sign(mut envelope: Value, n: u8) -> Value {
    let bytes = signed_bytes(&envelope.to_string()).unwrap();
    let made = pair(n).sign(bytes.as_bytes());
    let signature = Signature::new(SignatureAlgorithm::Ed25519, public(n).fingerprint(), made.as_ref());
    envelope["signature"] = json!(signature.to_string());
    envelope
}

fn is_signed(envelope: &Value, n: u8) -> bool {
    let signature: Signature = envelope["signature"].as_str().unwrap().parse().unwrap();
    let bytes = signed_bytes(&envelope.to_string()).unwrap();
    signature.key == public(n).fingerprint()
        && UnparsedPublicKey::new(&ED25519, public(n).as_bytes())
            .verify(bytes.as_bytes(), &signature.bytes)
            .is_ok()
}

const OWN: u8 = 9;

fn config() -> Value {
    json!({
        "security_profile": "verified", "role_policy": {"default_role": "contributor"},
        "coordinator_key": {"seed": hex(OWN)},
        "credentials": {"accept": [
            {"type": "x509_chain", "value": "ann's", "principal_id": "ann"},
            {"type": "x509_chain", "value": "bob's", "principal_id": "bob"},
            {"type": "api_key", "value": "bob's", "principal_id": "bob"},
        ]},
        "keys": [{"principal_id": "ann", "public_key": public(1)}, {"principal_id": "bob", "public_key": public(2)}],
    })
}

fn hello(second: f64, who: &str, kind: &str) -> Value {
    let credential = json!({"type": kind, "value": format!("{who}'s")});
    let payload =
        json!({"display_name": who, "roles": ["contributor"], "capabilities": [], "credential": credential});
    envelope(second, who, "HELLO", &payload)
}

fn send(drive: &mut Drive, second: f64, envelope: &Value) -> Vec<Value> {
    let out = drive.out(second, "message", json!({"envelope": envelope}));
    for it in out.iter().filter(|it| it["kind"] == "coordinator") {
        assert!(is_signed(&it["envelope"], OWN), "{it}");
    }
    out
}

const FAILED: &str = "sender coordinator PROTOCOL_ERROR AUTHORIZATION_FAILED";

fn court() -> Drive {
    let mut drive = Drive::open(config());
    send(&mut drive, 0.0, &sign(hello(0.0, "ann", "x509_chain"), 1));
    let out = send(&mut drive, 0.1, &sign(hello(0.1, "bob", "x509_chain"), 2));
    let expected = [
        "sender coordinator SESSION_INFO",
        "ann coordinator PARTICIPANT_KEYS",
        "bob coordinator PARTICIPANT_KEYS",
    ];
    assert_eq!(brief(&out), expected);
    drive
}

#[test]
fn everything_that_the_coordinator_says_is_signed() {
    covers!("SEC-26", "SEC-30", "D-121");
    let mut drive = court();
    // Errors, synthetic messages and those that nobody asked for.
    let unsigned = envelope(1.0, "bob", "HEARTBEAT", &json!({"status": "idle"}));
    assert_eq!(brief(&send(&mut drive, 1.0, &unsigned)), [FAILED]);
    let scope = json!({"kind": "file_set", "resources": ["a"]});
    for (second, who, key) in [(2.0, "ann", 1), (3.0, "bob", 2)] {
        let intent = json!({"intent_id": who, "objective": "o", "scope": scope, "ttl_sec": 30});
        let announced = sign(envelope(second, who, "INTENT_ANNOUNCE", &intent), key);
        let out = send(&mut drive, second, &announced);
        assert_eq!(out[0]["envelope"], announced, "as it was signed");
    }
    for (cmd, request) in [("tick", json!({})), ("status", json!({})), ("close", json!({}))] {
        let out = drive.out(200.0, cmd, request);
        assert!(!out.is_empty(), "{cmd}");
        assert!(out.iter().all(|it| is_signed(&it["envelope"], OWN)), "{out:?}");
    }
}

#[test]
fn what_was_changed_on_the_way_is_refused_whatever_it_is() {
    covers!("SEC-23", "SEC-24", "D-121", "D-129");
    let mut drive = court();
    let mut message = envelope(1.0, "bob", "HEARTBEAT", &json!({"status": "idle", "summary": "s", "x": 1.5}));
    message["watermark"] = json!({"kind": "lamport_clock", "value": 5});
    message["trace_id"] = json!("t");
    let good = sign(message, 2);
    let places = [
        "/version",
        "/message_id",
        "/ts",
        "/payload/status",
        "/payload/summary",
        "/payload/x",
        "/watermark/value",
        "/trace_id",
    ];
    let others = [
        json!("0.1.14"),
        json!("m"),
        json!("2026-01-01T00:00:02Z"),
        json!("working"),
        json!("S"),
        json!(1.25),
        json!(6),
        json!("T"),
    ];
    for (place, other) in places.iter().zip(others) {
        let mut changed = good.clone();
        *changed.pointer_mut(place).unwrap() = other;
        assert_eq!(brief(&send(&mut drive, 1.0, &changed)), [FAILED], "{place}");
    }
    let text = good.to_string();
    // What another reader would take otherwise is not what was signed.
    let twice = text.replacen('{', r#"{"ts":"2026-01-01T00:00:09Z","#, 1);
    let answer = drive.out(1.0, "message", json!({"text": twice}));
    assert_eq!(brief(&answer), [FAILED]);
    let spaced = text.replace(',', " ,\n").replace("1.5", "15e-1");
    assert!(
        drive.out(1.0, "message", json!({"text": spaced, "conn": "bob"})).is_empty(),
        "the same, written otherwise"
    );
    let later = sign(envelope(2.0, "bob", "HEARTBEAT", &json!({"status": "idle"})), 1);
    assert_eq!(brief(&send(&mut drive, 2.0, &later)), [FAILED], "ann's key");
}

#[test]
fn a_certificate_and_a_signature_by_its_key_let_somebody_in() {
    covers!("SEC-23", "SEC-39", "SEC-06");
    let mut drive = Drive::open(config());
    let rejected = "sender coordinator PROTOCOL_ERROR CREDENTIAL_REJECTED";
    let cases = [
        (hello(0.0, "bob", "x509_chain"), FAILED),
        (sign(hello(0.0, "bob", "x509_chain"), 1), FAILED),
        (sign(hello(0.0, "bob", "x509_chain"), 7), FAILED),
        (sign(hello(0.0, "bob", "api_key"), 2), rejected),
    ];
    for (message, expected) in cases {
        assert_eq!(brief(&send(&mut drive, 0.0, &message)), [expected], "{message}");
    }
}

#[test]
fn keys_are_rotated_by_both_sides() {
    covers!("SEC-32", "D-127", "SEC-26");
    let mut drive = court();
    let rotation = json!({"new_key_fingerprint": public(3).fingerprint(), "public_key": public(3)});
    let beat = json!({"status": "idle", "extensions": {"key_rotation": rotation}});
    let out = send(&mut drive, 1.0, &sign(envelope(1.0, "bob", "HEARTBEAT", &beat), 2));
    assert_eq!(brief(&out), ["all coordinator COORDINATOR_STATUS", "all coordinator PARTICIPANT_KEYS"]);
    let passes = |drive: &mut Drive, second: f64, key: u8| {
        let beat = sign(envelope(second, "bob", "HEARTBEAT", &json!({"status": "idle"})), key);
        send(drive, second, &beat).is_empty()
    };
    assert!(passes(&mut drive, 60.9, 2) && passes(&mut drive, 60.95, 3));
    assert!(!passes(&mut drive, 61.0, 2) && passes(&mut drive, 61.1, 3));
    // The old key signs that there is a new one; the new one everything that follows.
    let out = drive.out(62.0, "rotate_key", json!({"seed": hex(8)}));
    assert!(is_signed(&out[0]["envelope"], OWN));
    let status = drive.out(63.0, "status", json!({}));
    assert!(is_signed(&status[0]["envelope"], 8));
    // Whoever takes the session up must have the key it goes on with.
    let snapshot = drive.ask(64.0, "snapshot", json!({}))["snapshot"].clone();
    let refused = drive.ask(65.0, "restore", json!({"snapshot": snapshot, "config": config()}));
    assert_eq!(refused["error"]["code"], "INVALID_CONFIG", "{refused}");
    let mut later = config();
    later["coordinator_key"] = json!({"seed": hex(8)});
    let restored = drive.ask(66.0, "restore", json!({"snapshot": snapshot, "config": later}));
    assert_eq!(restored, json!({"ok": true}));
    let beat = sign(envelope(67.0, "bob", "HEARTBEAT", &json!({"status": "idle"})), 3);
    assert!(drive.out(67.0, "message", json!({"envelope": beat})).is_empty(), "keys are in the snapshot");
}

#[test]
fn an_authenticated_session_takes_macs_and_unsigned_messages() {
    covers!("SEC-22", "D-129");
    let secret = PublicKey::new(&[5; 32]); // of the same spelling
    let mut drive = Drive::open(json!({
        "security_profile": "authenticated", "role_policy": {"default_role": "contributor"},
        "keys": [{"principal_id": "bob", "secret": secret}, {"principal_id": "ann", "public_key": public(1)}],
    }));
    let mac = |mut envelope: Value, key: &[u8]| {
        let bytes = signed_bytes(&envelope.to_string()).unwrap();
        let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[5; 32]), bytes.as_bytes());
        let signature = Signature::new(SignatureAlgorithm::HmacSha256, Fingerprint::of(key), made.as_ref());
        envelope["signature"] = json!(signature.to_string());
        envelope
    };
    let beat = |second: f64| envelope(second, "bob", "HEARTBEAT", &json!({"status": "idle"}));
    drive.out(0.0, "message", json!({"envelope": hello(0.0, "bob", "api_key")}));
    let mut changed = mac(beat(3.0), secret.as_bytes());
    changed["payload"]["status"] = json!("working");
    for (message, passes) in [
        (beat(1.0), true),
        (mac(beat(2.0), secret.as_bytes()), true),
        (changed, false),
        (mac(beat(3.0), b"another"), false),
        (sign(beat(3.0), 1), false),
        (mac(beat(3.0), public(1).as_bytes()), false),
    ] {
        let out = drive.out(3.0, "message", json!({"envelope": message}));
        assert_eq!(out.is_empty(), passes, "{message}");
    }
}
