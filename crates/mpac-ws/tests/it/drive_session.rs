//! Whole sessions under virtual time.

use serde_json::{Value, json};

use crate::covers;
use crate::drive_rig::{Drive, at, brief, envelope};

const ERROR: &str = "all coordinator PROTOCOL_ERROR RESOLUTION_TIMEOUT";

/// Two intents on one file, with a proposal each, that nobody settles; times to live are out of the way.
fn disputed(config: Value) -> Drive {
    let mut drive = Drive::open(config);
    for (second, who) in [(0.0, "ann"), (0.5, "bob")] {
        assert_eq!(brief(&drive.hello(second, who)), ["sender coordinator SESSION_INFO"]);
    }
    assert_eq!(brief(&drive.announce(1.0, "ann", "i-ann", "a.py")), ["all relay INTENT_ANNOUNCE"]);
    assert_eq!(
        brief(&drive.announce(2.0, "bob", "i-bob", "a.py")),
        ["all relay INTENT_ANNOUNCE", "ann+bob coordinator CONFLICT_REPORT"]
    );
    for (second, who) in [(3.0, "ann"), (4.0, "bob")] {
        let op = json!({
            "op_id": format!("op-{who}"), "intent_id": format!("i-{who}"), "target": "a.py",
            "op_kind": "replace", "state_ref_before": "sha256:0", "state_ref_after": "sha256:1",
        });
        assert_eq!(brief(&drive.say(second, who, "OP_PROPOSE", op)), [""; 0]);
    }
    drive
}

fn patient() -> Value {
    json!({
        "default_intent_ttl_sec": 100_000, "unavailability_timeout_sec": 100_000, "resolution_timeout_sec": 100,
        "governance": {"frozen_scope_phase_1_sec": 10, "frozen_scope_phase_2_sec": 20},
    })
}

/// The messages' own times, in seconds.
fn times(out: &[Value]) -> Vec<&str> {
    out.iter().map(|it| it["envelope"]["ts"].as_str().unwrap()).collect()
}

#[test]
fn a_session_goes_through_a_freeze_to_its_close() {
    covers!("D-012", "GOV-14", "GOV-15", "FRZ-02", "FRZ-12", "FRZ-13", "FRZ-14", "SES-08", "SES-14");
    let mut drive = disputed(patient());
    assert_eq!(drive.ask(4.0, "next_deadline", json!({}))["at"], at(102.000_001));
    assert_eq!(brief(&drive.out(102.0, "tick", json!({}))), [""; 0]);
    assert_eq!(brief(&drive.out(102.000_001, "tick", json!({}))), [ERROR]);
    let commit = json!({
        "op_id": "op-new", "intent_id": "i-ann", "target": "a.py", "op_kind": "replace",
        "state_ref_before": "sha256:0", "state_ref_after": "sha256:1",
    });
    assert_eq!(
        brief(&drive.say(103.0, "ann", "OP_COMMIT", commit)),
        ["sender coordinator PROTOCOL_ERROR SCOPE_FROZEN"]
    );
    assert_eq!(brief(&drive.out(112.0, "tick", json!({}))), [""; 0]);
    assert_eq!(brief(&drive.out(112.000_001, "tick", json!({}))), [ERROR]);
    assert_eq!(
        brief(&drive.out(132.000_001, "tick", json!({}))),
        ["all coordinator RESOLUTION", "bob coordinator OP_REJECT"]
    );
    let closed = drive.out(140.0, "close", json!({"reason": "manual"}));
    assert_eq!(brief(&closed), ["ann coordinator OP_REJECT", "all coordinator SESSION_CLOSE"]);
    let payload = &closed[1]["envelope"]["payload"];
    assert_eq!((&payload["reason"], &payload["summary"]["duration_sec"]), (&json!("manual"), &json!(140)));
    assert_eq!(brief(&drive.out(141.0, "close", json!({"reason": "timeout"}))), [""; 0]);
    assert_eq!(
        brief(&drive.say(142.0, "ann", "HEARTBEAT", json!({"status": "idle"}))),
        ["sender coordinator PROTOCOL_ERROR SESSION_CLOSED"]
    );
    assert_eq!(brief(&drive.out(143.0, "tick", json!({}))), [""; 0]);
    assert_eq!(brief(&drive.out(144.0, "status", json!({"event": "heartbeat"}))), [""; 0]);
    assert_eq!(drive.ask(144.0, "next_deadline", json!({})), json!({"ok": true, "at": null}));
    assert_eq!(drive.end(), (Some(0), String::new()));
}

/// Ticks at each deadline up to `last`, as a host does that is always awake.
fn awake(drive: &mut Drive, last: f64) -> Vec<Value> {
    let mut out = Vec::new();
    loop {
        let next = drive.ask(last, "next_deadline", json!({}))["at"].take();
        match next.as_str().filter(|next| *next <= at(last).as_str()) {
            Some(next) => {
                let line = json!({"cmd": "tick", "now": next}).to_string();
                let mut answer: Value = serde_json::from_str(&drive.line(line.as_bytes())).unwrap();
                out.extend(answer["out"].take().as_array().unwrap().clone());
            }
            None => return out,
        }
    }
}

#[test]
fn a_tick_is_one_sweep_and_ticks_at_each_deadline_are_a_host_that_is_awake() {
    covers!("D-013", "FRZ-08");
    let mut drive = disputed(patient());
    let out = awake(&mut drive, 500.0);
    assert_eq!(times(&out), [102.000_001, 112.000_001, 132.000_001, 132.000_001].map(at));
    // A host that slept finds the conflict old, and begins with the first phase.
    for late in [true, false] {
        let mut drive = disputed(patient());
        let out = if late {
            drive.out(500.0, "tick", json!({}))
        } else {
            drive.say(500.0, "ann", "HEARTBEAT", json!({"status": "idle"}))
        };
        assert_eq!((brief(&out), times(&out)), (vec![ERROR.to_owned()], vec![at(500.0).as_str()]));
        assert_eq!(brief(&drive.out(509.999_999, "tick", json!({}))), [""; 0]);
        assert_eq!(brief(&drive.out(510.0, "tick", json!({}))), [ERROR]);
    }
}

#[test]
fn one_sweep_has_the_order_of_kinds() {
    covers!("D-013");
    let mut drive = Drive::open(json!({"lifecycle": {"session_ttl_sec": 200}}));
    drive.hello(0.0, "ann");
    let scope = json!({"kind": "file_set", "resources": ["a.py"]});
    let intent = json!({"intent_id": "i", "objective": "o", "scope": scope, "ttl_sec": 100});
    drive.say(1.0, "ann", "INTENT_ANNOUNCE", intent);
    // Silent since second 91, expired since second 101, and the session's own time is over: that comes first.
    let out = drive.out(201.0, "tick", json!({}));
    assert_eq!(brief(&out), ["all coordinator SESSION_CLOSE"]);
    let summary = &out[0]["envelope"]["payload"]["summary"];
    assert_eq!((&summary["withdrawn_intents"], &summary["expired_intents"]), (&json!(1), &json!(0)));
}

#[test]
fn a_message_brings_what_was_due_first() {
    covers!("D-013", "LIV-04");
    let mut drive = Drive::open(json!({}));
    drive.hello(0.0, "ann");
    let out = drive.say(90.5, "ann", "HEARTBEAT", json!({"status": "idle"}));
    assert_eq!(brief(&out), ["all coordinator PROTOCOL_ERROR PARTICIPANT_UNAVAILABLE"]);
    assert_eq!(times(&out), [at(90.5)]);
}

#[test]
fn what_a_message_makes_due_at_once_waits_but_a_claim_without_grace_does_not() {
    covers!("CLM-08");
    let mut drive = Drive::open(json!({"intent_claim_grace_sec": 0}));
    drive.hello(0.0, "ann");
    drive.hello(0.0, "bob");
    let scope = json!({"kind": "file_set", "resources": ["a.py"]});
    let short = json!({"intent_id": "i-0", "objective": "o", "scope": scope, "ttl_sec": 0});
    drive.say(1.0, "ann", "INTENT_ANNOUNCE", short);
    assert_eq!(drive.ask(1.0, "next_deadline", json!({}))["at"], at(1.0));
    drive.announce(2.0, "ann", "i-1", "a.py");
    drive.say(3.0, "ann", "GOODBYE", json!({"reason": "user_exit", "intent_disposition": "transfer"}));
    let claim = json!({
        "claim_id": "c", "original_intent_id": "i-1", "original_principal_id": "ann", "new_intent_id": "i-2",
        "objective": "o", "scope": scope,
    });
    let out = drive.say(4.0, "bob", "INTENT_CLAIM", claim);
    assert_eq!(brief(&out), ["ann relay INTENT_CLAIM", "ann+bob coordinator INTENT_CLAIM_STATUS"]);
    assert_eq!(out[1]["envelope"]["payload"]["decision"], "approved");
}

#[test]
fn a_message_goes_through_as_it_was_written() {
    let mut drive = Drive::open(json!({}));
    drive.hello(0.0, "ann");
    let scope = json!({"kind": "file_set", "resources": ["a.py"]});
    let odd =
        envelope(1.0, "ann", "INTENT_ANNOUNCE", &json!({"intent_id": "i", "objective": "o", "scope": scope}))
            .to_string()
            .replace(r#""objective":"o""#, "\"objective\" : \"\\u00e9\u{2028}\",  \"x\":1.50e1");
    let line = format!(r#"{{"cmd":"message","now":"{}","envelope":{odd}}}"#, at(1.0));
    let answer = drive.line(line.as_bytes());
    // Some readers end lines at that character; as an escape it is the same text.
    assert!(answer.contains("\"objective\" : \"\\u00e9\\u2028\",  \"x\":1.50e1"), "{answer}");
    // A frame given as text may have line ends in it; the answer is one line all the same.
    let text =
        envelope(2.0, "ann", "INTENT_ANNOUNCE", &json!({"intent_id": "j", "objective": "o", "scope": scope}));
    let text = serde_json::to_string_pretty(&text).unwrap();
    let out = drive.out(2.0, "message", json!({"text": text}));
    assert_eq!(brief(&out)[0], "all relay INTENT_ANNOUNCE");
    assert_eq!(out[0]["envelope"], serde_json::from_str::<Value>(&text).unwrap());
}

#[test]
fn a_connection_is_its_senders_unless_it_is_named() {
    covers!("D-015", "D-016");
    let mut drive = Drive::open(json!({}));
    let heartbeat = |who| envelope(1.0, who, "HEARTBEAT", &json!({"status": "idle"}));
    drive.hello(0.0, "ann");
    assert_eq!(
        brief(&drive.out(1.0, "message", json!({"conn": "ann", "envelope": heartbeat("bob")}))),
        ["sender coordinator PROTOCOL_ERROR AUTHORIZATION_FAILED"]
    );
    assert_eq!(
        brief(&drive.out(1.0, "message", json!({"conn": "other", "envelope": heartbeat("ann")}))),
        ["sender coordinator PROTOCOL_ERROR INVALID_REFERENCE"]
    );
    assert_eq!(brief(&drive.out(1.0, "message", json!({"envelope": heartbeat("ann")}))), [""; 0]);
    // The same incarnation on another connection takes over; the answer names the one to be closed.
    let hello = json!({"display_name": "ann", "roles": ["contributor"], "capabilities": []});
    let hello = envelope(2.0, "ann", "HELLO", &hello);
    let answer = drive.ask(2.0, "message", json!({"conn": "other", "envelope": hello}));
    assert_eq!(brief(answer["out"].as_array().unwrap()), ["sender coordinator SESSION_INFO"]);
    let closed = json!([{"conn": "ann", "code": 4001, "reason": "replaced by a newer connection"}]);
    assert_eq!(answer["closed"], closed);
    // A connection that ended is nobody's.
    assert_eq!(drive.ask(3.0, "disconnect", json!({"conn": "other"})), json!({"ok": true, "out": []}));
    assert_eq!(
        brief(&drive.out(4.0, "message", json!({"conn": "other", "envelope": heartbeat("ann")}))),
        ["sender coordinator PROTOCOL_ERROR INVALID_REFERENCE"]
    );
    assert_eq!(drive.ask(5.0, "disconnect", json!({"conn": "never"})), json!({"ok": true, "out": []}));
}

#[test]
fn statuses_come_when_they_are_asked_for() {
    let mut drive = Drive::open(json!({}));
    drive.hello(0.0, "ann");
    assert_eq!(drive.ask(1.0, "next_deadline", json!({}))["at"], at(90.000_001));
    let out = drive.out(60.0, "status", json!({"event": "heartbeat"}));
    assert_eq!(brief(&out), ["all coordinator COORDINATOR_STATUS"]);
    assert_eq!(out[0]["envelope"]["payload"]["event"], "heartbeat");
    let answer = drive.ask(61.0, "status", json!({"event": "handover", "next_epoch": 5}));
    let payload = &answer["out"][0]["envelope"]["payload"];
    assert_eq!(payload["successor_coordinator_id"], "service:coordinator-s");
    assert_eq!(payload["next_coordinator_epoch"], 5);
    assert_eq!(answer["closed"][0]["code"], 4002);
    assert_eq!(brief(&drive.say(62.0, "ann", "HEARTBEAT", json!({"status": "idle"}))), [""; 0]);
}

#[test]
fn opening_again_begins_afresh() {
    let mut drive = Drive::open(json!({}));
    let first = drive.hello(5.0, "ann");
    drive.reopen(json!({}));
    assert_eq!(drive.hello(5.0, "ann"), first);
}

#[test]
fn the_same_lines_give_the_same_bytes() {
    let run = |seed: u64| {
        let mut drive = Drive::start(&[]);
        let mut lines = vec![
            json!({"cmd": "open", "now": at(0.0), "seed": seed, "config": {"session_id": "s"}}),
            json!({"cmd": "message", "now": at(0.0), "envelope": {"type": "SESSION_SUMMARY"}}),
            json!({"cmd": "message", "now": at(0.0), "text": "{bad"}),
        ];
        for who in ["ann", "bob"] {
            let hello = json!({"display_name": who, "roles": ["contributor"], "capabilities": []});
            let scope = json!({"kind": "file_set", "resources": ["a.py"]});
            let intent = json!({"intent_id": who, "objective": "o", "scope": scope});
            for (message_type, payload) in [("HELLO", hello), ("INTENT_ANNOUNCE", intent)] {
                let envelope = envelope(1.0, who, message_type, &payload);
                lines.push(json!({"cmd": "message", "now": at(1.0), "envelope": envelope}));
            }
        }
        lines.push(json!({"cmd": "tick", "now": at(1000.0)}));
        lines.push(json!({"cmd": "snapshot", "now": at(1000.0)}));
        lines.push(json!({"cmd": "close", "now": at(1000.0)}));
        lines.iter().map(|line| drive.line(line.to_string().as_bytes())).collect::<String>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2), "the seed is used");
}

#[test]
fn an_authenticated_session_knows_its_credentials_and_their_roles() {
    let accept = json!([
        {"type": "api_key", "value": "a", "principal_id": "ann", "roles": ["arbiter", "contributor"]},
        {"type": "api_key", "value": "b", "principal_id": "bob"},
    ]);
    let mut drive = Drive::open(json!({
        "security_profile": "authenticated", "credentials": {"accept": accept}, "replay_window_sec": 60,
        "role_policy": {"default_role": "contributor"},
    }));
    let hello = |value: Option<&str>| {
        let mut hello = json!({"display_name": "x", "roles": ["arbiter"], "capabilities": []});
        if let Some(value) = value {
            hello["credential"] = json!({"type": "api_key", "value": value});
        }
        hello
    };
    for (second, credential) in [(0.0, None), (0.1, Some("b")), (0.2, Some("c"))] {
        assert_eq!(
            brief(&drive.say(second, "ann", "HELLO", hello(credential))),
            ["sender coordinator PROTOCOL_ERROR CREDENTIAL_REJECTED"]
        );
    }
    let joined = drive.say(1.0, "ann", "HELLO", hello(Some("a")));
    let info = &joined[0]["envelope"]["payload"];
    assert_eq!(info["granted_roles"], json!(["arbiter"]), "in place of the policy");
    assert_eq!((&info["identity_verified"], &info["identity_method"]), (&json!(true), &json!("api_key")));
    let joined = drive.say(1.0, "bob", "HELLO", hello(Some("b")));
    assert_eq!(joined[0]["envelope"]["payload"]["granted_roles"], json!(["contributor"]), "by the policy");
    let heartbeat = envelope(2.0, "ann", "HEARTBEAT", &json!({"status": "idle"}));
    assert_eq!(brief(&drive.out(2.0, "message", json!({"envelope": heartbeat}))), [""; 0]);
    for (second, frame) in
        [(3.0, heartbeat), (90.0, envelope(29.0, "ann", "HEARTBEAT", &json!({"status": "idle"})))]
    {
        assert_eq!(
            brief(&drive.out(second, "message", json!({"envelope": frame}))),
            ["sender coordinator PROTOCOL_ERROR REPLAY_DETECTED"]
        );
    }
    // Without roles from anywhere such a session is not opened.
    let bare = json!({"config": {"security_profile": "authenticated"}});
    let refused = drive.ask(91.0, "open", bare);
    assert_eq!(refused["error"]["code"], "INVALID_CONFIG");
    assert!(refused["error"]["message"].as_str().unwrap().contains("role_policy"), "{refused}");
}
