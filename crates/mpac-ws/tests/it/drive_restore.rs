//! A driven session is stored and taken up again.

use serde_json::{Value, json};

use crate::covers;
use crate::drive_rig::{Drive, at, brief};

/// Ann and Bob are in each other's way on a.py; Carol has left.
fn session(config: &Value) -> Drive {
    let mut drive = Drive::open(config.clone());
    for who in ["ann", "bob", "carol"] {
        drive.hello(0.0, who);
    }
    drive.say(1.0, "carol", "GOODBYE", json!({"reason": "user_exit"}));
    drive.announce(2.0, "ann", "i-ann", "a.py");
    drive.announce(3.0, "bob", "i-bob", "a.py");
    drive
}

fn snapshot(drive: &mut Drive, second: f64) -> Value {
    let answer = drive.ask(second, "snapshot", json!({}));
    assert_eq!(answer["ok"], true, "{answer}");
    answer["snapshot"].clone()
}

fn restored(second: f64, snapshot: &Value, config: &Value) -> Drive {
    let mut drive = Drive::start(&[]);
    let answer = drive.ask(second, "restore", json!({"snapshot": snapshot, "config": config}));
    assert_eq!(answer, json!({"ok": true}));
    drive
}

fn heartbeat() -> Value {
    json!({"status": "idle"})
}

#[test]
fn a_session_goes_on_under_the_next_epoch_without_another_hello() {
    covers!("REC-12", "REC-18", "D-036");
    let config = json!({"session_id": "s", "resolution_timeout_sec": 100, "default_intent_ttl_sec": 100_000});
    let mut before = session(&config);
    let stored = snapshot(&mut before, 50.0);
    assert_eq!((&stored["captured_at"], &stored["coordinator_epoch"]), (&json!(at(50.0)), &json!(1)));
    let mut drive = restored(80.0, &stored, &config);
    // Liveness begins afresh; the conflict of second 3 has waited 47 s of its 100.
    assert_eq!(drive.ask(80.0, "next_deadline", json!({}))["at"], at(133.000_001));
    let again = snapshot(&mut drive, 80.0);
    assert_eq!((&again["coordinator_epoch"], &again["lamport_clock"]), (&json!(2), &stored["lamport_clock"]));
    assert_eq!(brief(&drive.say(81.0, "ann", "HEARTBEAT", heartbeat())), [""; 0]);
    let withdraw = json!({"intent_id": "i-bob"});
    let out = drive.say(82.0, "bob", "INTENT_WITHDRAW", withdraw);
    assert_eq!(brief(&out)[0], "all relay INTENT_WITHDRAW");
    // Who left has to say HELLO again, and so does somebody nobody knows.
    for who in ["carol", "dan"] {
        assert_eq!(
            brief(&drive.say(83.0, who, "HEARTBEAT", heartbeat())),
            ["sender coordinator PROTOCOL_ERROR INVALID_REFERENCE"]
        );
    }
    let status = drive.out(84.0, "status", json!({"event": "recovered"}));
    assert_eq!(status[0]["envelope"]["coordinator_epoch"], 2);
    let closed = drive.out(85.0, "close", json!({}));
    assert_eq!(closed.last().unwrap()["envelope"]["payload"]["summary"]["duration_sec"], 85);
}

#[test]
fn a_hello_after_a_restore_is_answered_with_the_news_of_it() {
    covers!("REC-15", "D-038");
    let config = json!({"session_id": "s"});
    let stored = snapshot(&mut session(&config), 4.0);
    let mut drive = restored(5.0, &stored, &config);
    assert_eq!(
        brief(&drive.hello(5.0, "ann")),
        [
            "sender coordinator SESSION_INFO",
            "ann coordinator COORDINATOR_STATUS",
            "sender coordinator INTENT_UPDATE"
        ]
    );
    // A connection that ends is not taken up a second time.
    drive.ask(6.0, "disconnect", json!({"conn": "ann"}));
    assert_eq!(
        brief(&drive.say(7.0, "ann", "HEARTBEAT", heartbeat())),
        ["sender coordinator PROTOCOL_ERROR INVALID_REFERENCE"]
    );
}

#[test]
fn what_fell_due_meanwhile_fires_with_the_next_command() {
    let config = json!({"session_id": "s"});
    let stored = snapshot(&mut session(&config), 4.0);
    let mut drive = restored(1000.0, &stored, &config);
    assert_eq!(drive.ask(1000.0, "next_deadline", json!({}))["at"], at(302.0));
    assert_eq!(snapshot(&mut drive, 1000.0)["intents"][0]["state"], "ACTIVE");
    let out = drive.out(1001.0, "tick", json!({}));
    assert_eq!(
        brief(&out),
        ["all coordinator RESOLUTION"],
        "both intents expired, and with them the conflict"
    );
    assert_eq!(out[0]["envelope"]["ts"], at(1001.0));
}

#[test]
fn a_snapshot_changes_nothing_and_a_restore_replaces_everything() {
    let config = json!({"session_id": "s"});
    let (mut looked_at, mut other) = (session(&config), session(&config));
    let stored = snapshot(&mut looked_at, 60.0);
    assert_eq!(snapshot(&mut looked_at, 60.0), stored);
    assert_eq!(looked_at.out(95.0, "tick", json!({})), other.out(95.0, "tick", json!({})));
    // Time begins anew with it, and so do the connections.
    let request = json!({"snapshot": stored, "config": config});
    assert_eq!(looked_at.ask(10.0, "restore", request), json!({"ok": true}));
    assert_eq!(snapshot(&mut looked_at, 60.0)["coordinator_epoch"], 2);
    assert_eq!(brief(&looked_at.say(61.0, "ann", "HEARTBEAT", heartbeat())), [""; 0]);
}

#[test]
fn no_command_is_earlier_than_a_snapshot() {
    let mut drive = session(&json!({"session_id": "s"}));
    let stored = snapshot(&mut drive, 60.0);
    for command in ["snapshot", "tick"] {
        let answer = drive.ask(59.9, command, json!({}));
        assert_eq!(answer["error"]["code"], "TIME_WENT_BACK", "{answer}");
    }
    assert_eq!(snapshot(&mut drive, 60.0), stored, "the same moment is none that is earlier");
    assert_eq!(brief(&drive.say(60.0, "ann", "HEARTBEAT", heartbeat())), [""; 0]);
}

#[test]
fn the_configuration_is_the_callers_and_an_epoch_of_0_has_a_successor() {
    let mut stored = snapshot(&mut session(&json!({"session_id": "s"})), 4.0);
    stored["coordinator_epoch"] = json!(0);
    for (config, id) in [(json!({"session_id": "t"}), "t"), (json!({}), "s")] {
        let mut drive = restored(5.0, &stored, &config);
        let again = snapshot(&mut drive, 5.0);
        assert_eq!((&again["session_id"], &again["coordinator_epoch"]), (&json!(id), &json!(1)));
    }
}

#[test]
fn a_closed_session_stays_closed() {
    let config = json!({"session_id": "s"});
    let mut drive = session(&config);
    drive.out(4.0, "close", json!({}));
    let mut drive = restored(5.0, &snapshot(&mut drive, 4.0), &config);
    assert_eq!(
        brief(&drive.say(6.0, "ann", "HEARTBEAT", heartbeat())),
        ["sender coordinator PROTOCOL_ERROR SESSION_CLOSED"]
    );
    assert_eq!(drive.out(7.0, "close", json!({})).len(), 0);
}

#[test]
fn a_snapshot_that_is_none_is_refused_and_the_session_stays() {
    let config = json!({"session_id": "s"});
    let mut drive = session(&config);
    let stored = snapshot(&mut drive, 4.0);
    let mut refused = |change: fn(&mut Value), code: &str, message: &str| {
        let mut request = json!({"snapshot": stored, "config": config});
        change(&mut request);
        let answer = drive.ask(5.0, "restore", request);
        assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!(code)), "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(message), "{answer}");
        assert_eq!(snapshot(&mut drive, 5.0)["coordinator_epoch"], 1);
    };
    let snap = "INVALID_SNAPSHOT";
    refused(|it| it["snapshot"] = json!(null), "MALFORMED_COMMAND", "snapshot is missing");
    refused(|it| it["snapshot"] = json!([1]), snap, "snapshot: invalid type");
    refused(|it| it["snapshot"]["snapshot_version"] = json!(3), snap, "snapshot_version 3");
    refused(|it| it["snapshot"]["intents"][0]["scope"] = json!(7), snap, "snapshot.intents[0].scope");
    refused(|it| it["snapshot"]["intents"][0]["state"] = json!("ODD"), snap, "ODD");
    refused(|it| it["snapshot"]["captured_at"] = json!("now"), snap, "RFC 3339");
    refused(|it| it["config"] = json!({"sesion_id": "s"}), "INVALID_CONFIG", "did you mean `session_id`?");
    refused(
        |it| it["config"]["execution_model"] = json!("pre_commit"),
        "INVALID_CONFIG",
        "execution_model pre_commit needs a governance session",
    );
    refused(
        |it| it["config"]["compliance_profile"] = json!("governance"),
        snap,
        r#"compliance_profile: the configuration says "governance", the snapshot "core""#,
    );
    refused(
        |it| it["config"]["heartbeat_interval_sec"] = json!(0),
        "INVALID_CONFIG",
        "heartbeat_interval_sec",
    );
}

#[test]
fn snapshots_of_the_other_implementations_are_taken_up() {
    covers!("REC-19");
    for text in [
        include_str!("../../../../fixtures/snapshots/python-0.1.0.json"),
        include_str!("../../../../fixtures/snapshots/typescript.json"),
    ] {
        let stored: Value = serde_json::from_str(text).unwrap();
        let mut drive = restored(0.0, &stored, &json!({}));
        let again = snapshot(&mut drive, 0.0);
        assert_eq!(again["session_id"], stored["session_id"]);
        assert_eq!(again["intents"][0]["intent_id"], stored["intents"][0]["intent_id"]);
    }
}
