//! Driven sessions that ask who somebody is.

use serde_json::{Value, json};

use crate::covers;
use crate::drive_rig::{Drive, at, brief, envelope};

const REJECTED: &str = "sender coordinator PROTOCOL_ERROR CREDENTIAL_REJECTED";
const INFO: &str = "sender coordinator SESSION_INFO";

fn authenticated(credentials: Value) -> Drive {
    let roles = json!({"default_role": "contributor"});
    Drive::open(
        json!({"security_profile": "authenticated", "role_policy": roles, "credentials": credentials}),
    )
}

/// A HELLO that shows this key, if any, and asks for the role of owner.
fn hello(drive: &mut Drive, second: f64, who: &str, key: Option<&str>) -> Vec<Value> {
    let mut payload = json!({"display_name": who, "roles": ["owner"], "capabilities": []});
    if let Some(key) = key {
        payload["credential"] = json!({"type": "api_key", "value": key, "issuer": "us"});
    }
    drive.say(second, who, "HELLO", payload)
}

#[test]
fn a_listed_credential_lets_its_principal_in_and_nobody_else() {
    covers!("SEC-06", "SEC-07", "SEC-08", "SEC-16");
    let accept = json!([
        {"type": "api_key", "value": "k-ann", "principal_id": "ann", "roles": ["owner"]},
        {"type": "api_key", "value": "k-all", "sessions": ["s"]},
        {"type": "api_key", "value": "k-other", "sessions": ["t"]},
    ]);
    let mut drive = authenticated(json!({"accept": accept}));
    for key in [None, Some(""), Some("wrong"), Some("k-ann"), Some("k-other")] {
        // Refused HELLOs in a row close a connection, so each comes on its own.
        drive.ask(0.0, "disconnect", json!({"conn": "bob"}));
        assert_eq!(brief(&hello(&mut drive, 0.0, "bob", key)), [REJECTED], "{key:?}");
    }
    let bob = hello(&mut drive, 1.0, "bob", Some("k-all"));
    assert_eq!(brief(&bob), [INFO]);
    let info = |out: &[Value]| out[0]["envelope"]["payload"].clone();
    assert_eq!(info(&bob)["granted_roles"], json!(["contributor"]), "by the role policy");
    let ann = info(&hello(&mut drive, 2.0, "ann", Some("k-ann")));
    assert_eq!(ann["granted_roles"], json!(["owner"]), "the credential's roles win");
    assert_eq!(
        (&ann["identity_verified"], &ann["identity_method"], &ann["identity_issuer"]),
        (&json!(true), &json!("api_key"), &json!("us"))
    );
}

#[test]
fn an_empty_list_accepts_nobody_and_without_a_list_anything_passes() {
    let mut drive = authenticated(json!({"accept": []}));
    assert_eq!(brief(&hello(&mut drive, 0.0, "ann", Some("k"))), [REJECTED]);
    let mut drive = authenticated(json!(null));
    assert_eq!(brief(&hello(&mut drive, 0.0, "ann", Some(""))), [REJECTED]);
    assert_eq!(brief(&hello(&mut drive, 1.0, "ann", None)), [REJECTED]);
    assert_eq!(brief(&hello(&mut drive, 2.0, "ann", Some("anything"))), [INFO]);
}

#[test]
fn who_says_which_credentials_are_good_means_it_in_an_open_session_too() {
    covers!("SEC-15");
    let mut drive = Drive::open(json!({"credentials": {"accept": []}}));
    assert_eq!(brief(&hello(&mut drive, 0.0, "ann", Some("k"))), [REJECTED]);
    assert_eq!(brief(&hello(&mut drive, 1.0, "ann", None)), [INFO]);
    let mut drive = Drive::open(json!({}));
    let out = hello(&mut drive, 0.0, "ann", Some(""));
    assert_eq!(out[0]["envelope"]["payload"]["identity_verified"], false);
}

#[test]
fn nobody_gets_a_role_by_asking() {
    covers!("ROL-02");
    let mut drive = Drive::start(&[]);
    let answer = drive.ask(0.0, "open", json!({"config": {"security_profile": "authenticated"}}));
    assert_eq!(answer["error"]["code"], "INVALID_CONFIG", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("role_policy"), "{answer}");
    assert!(!message.contains("credential_roles"), "no key of config: {answer}");
}

#[test]
fn the_replay_window_is_the_configured_one() {
    covers!("SEC-17", "SEC-18");
    let roles = json!({"default_role": "contributor"});
    let mut drive = Drive::open(
        json!({"security_profile": "authenticated", "role_policy": roles, "replay_window_sec": 10}),
    );
    hello(&mut drive, 0.0, "ann", Some("k"));
    let heartbeat = envelope(5.0, "ann", "HEARTBEAT", &json!({"status": "idle"}));
    let replayed = ["sender coordinator PROTOCOL_ERROR REPLAY_DETECTED"];
    let old = json!({"envelope": envelope(4.0, "ann", "HEARTBEAT", &json!({"status": "idle"}))});
    assert_eq!(brief(&drive.out(14.5, "message", old)), replayed);
    assert_eq!(brief(&drive.out(15.0, "message", json!({"envelope": heartbeat}))), [""; 0]);
    // What was seen is remembered over a restore, and the connection is still Ann's.
    let stored = drive.ask(15.0, "snapshot", json!({}))["snapshot"].take();
    let config = json!({"session_id": "s", "security_profile": "authenticated", "role_policy": roles});
    let mut drive = Drive::start(&[]);
    drive.ask(15.5, "restore", json!({"snapshot": stored, "config": config}));
    assert_eq!(brief(&drive.out(16.0, "message", json!({"envelope": heartbeat}))), replayed);
    let fresh = json!({"envelope": envelope(17.0, "ann", "HEARTBEAT", &json!({"status": "idle"}))});
    assert_eq!(brief(&drive.out(17.0, "message", fresh)), [""; 0]);
    assert_eq!(drive.ask(17.0, "next_deadline", json!({}))["at"], at(107.000_001));
}
