//! Bad messages: each is refused with its code, changes nothing, and leaves everybody else working.

use mpac_wire::StateRef;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Client, Host, host};

fn file_set(path: &str) -> Value {
    json!({"kind": "file_set", "resources": [path]})
}

fn commit(op: &str, path: &str, before: &str, after: &str) -> Value {
    let before = StateRef::of(before);
    let mut changes = json!({});
    changes[path] = json!({"content": after, "state_ref_before": before.as_str()});
    json!({
        "op_id": op, "target": path, "op_kind": "replace", "state_ref_before": before.as_str(),
        "state_ref_after": StateRef::of(after).as_str(), "file_changes": changes,
    })
}

/// What anybody can see of a session, without the time at which it was looked at.
async fn state(client: &mut Client) -> Value {
    client.send(r#"{"type":"SESSION_SUMMARY"}"#).await;
    let mut summary = client.until("SESSION_SUMMARY_RESPONSE").await["session"].take();
    summary["captured_at"] = Value::Null;
    for participant in summary["participants"].as_array_mut().unwrap() {
        // A refused message shows that its sender is there, as every other does.
        participant["last_seen"] = Value::Null;
    }
    json!({"session": summary, "files": client.is_alive().await})
}

/// Alice, who has an intent and a file; Bob, who watches.
async fn two(host: &Host) -> (Client, Client) {
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    alice.announce("i-1", "a.py").await;
    alice.say("OP_COMMIT", commit("op-1", "a.py", "", "one")).await;
    for client in [&mut alice, &mut bob] {
        client.until("FILE_UPDATED").await;
    }
    (alice, bob)
}

/// That Alice's message is refused with `code`, Bob hears nothing of it, nothing has changed, and both go on.
async fn refused(alice: &mut Client, bob: &mut Client, bad: Message, code: &str, round: usize) {
    let before = state(bob).await;
    let what = format!("{bad:?}");
    alice.frame(bad).await;
    let answer = alice.next().await;
    assert_eq!(answer["payload"]["error_code"], code, "{what}: {answer}");
    assert_eq!(state(bob).await, before, "{what}");
    for (client, name) in [(&mut *bob, "b"), (&mut *alice, "a")] {
        client.announce(&format!("{name}-{round}"), &format!("{name}{round}.txt")).await;
    }
    for client in [alice, bob] {
        for name in ["b", "a"] {
            let relay = client.next().await;
            assert_eq!(relay["payload"]["intent_id"], format!("{name}-{round}"), "{what}: {relay}");
        }
    }
}

#[tokio::test]
async fn wrong_types_inside_a_payload_are_refused_and_nobody_else_notices() {
    let host = host(&[]).await;
    let (mut alice, mut bob) = two(&host).await;
    let mut wrong_content = commit("op-2", "b.py", "", "x");
    wrong_content["file_changes"]["b.py"]["content"] = json!(7);
    let cases = [
        ("INTENT_ANNOUNCE", json!({"intent_id": 7, "objective": "o", "scope": file_set("b.py")})),
        ("INTENT_ANNOUNCE", json!({"intent_id": "i-2", "objective": ["o"], "scope": file_set("b.py")})),
        ("INTENT_ANNOUNCE", json!({"intent_id": "i-2", "objective": "o", "scope": "b.py"})),
        (
            "INTENT_ANNOUNCE",
            json!({"intent_id": "i-2", "objective": "o", "scope": {"kind": "file_set", "resources": "b.py"}}),
        ),
        (
            "INTENT_ANNOUNCE",
            json!({"intent_id": "i-2", "objective": "o", "scope": file_set("b.py"), "ttl_sec": {}}),
        ),
        ("INTENT_WITHDRAW", json!({"intent_id": null})),
        ("OP_COMMIT", wrong_content),
        ("OP_COMMIT", json!([])),
        ("HELLO", json!({"display_name": {}, "roles": "owner", "capabilities": 1})),
    ];
    for (round, (message_type, payload)) in cases.into_iter().enumerate() {
        let bad = Message::Text(alice.envelope(message_type, payload).to_string().into());
        refused(&mut alice, &mut bob, bad, "MALFORMED_MESSAGE", round).await;
    }
}

#[tokio::test]
async fn frames_that_are_no_messages_are_refused_and_nobody_else_notices() {
    let host = host(&[]).await;
    let (mut alice, mut bob) = two(&host).await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let cases =
        ["{bad", "", "[1]", "7", "{}", r#"{"type":"FILE_NAP"}"#, r#"{"message_type":"HELLO"}"#, &deep];
    let frames = cases.map(|text| Message::Text(text.into())).into_iter();
    for (round, bad) in frames.chain([Message::Binary(vec![0xff, 0xfe].into())]).enumerate() {
        refused(&mut alice, &mut bob, bad, "MALFORMED_MESSAGE", round).await;
    }
}

#[tokio::test]
async fn identifiers_that_are_taken_are_refused_and_nobody_else_notices() {
    let host = host(&[]).await;
    let (mut alice, mut bob) = two(&host).await;
    let again = json!({"intent_id": "i-1", "objective": "again", "scope": file_set("b.py")});
    let cases = [
        ("INTENT_ANNOUNCE", again, "MALFORMED_MESSAGE"),
        ("OP_COMMIT", commit("op-1", "b.py", "", "x"), "STALE_STATE_REF"),
        ("OP_COMMIT", commit("op-2", "a.py", "zero", "x"), "STALE_STATE_REF"),
        ("INTENT_WITHDRAW", json!({"intent_id": "i-9"}), "INVALID_REFERENCE"),
    ];
    for (round, (message_type, payload, code)) in cases.into_iter().enumerate() {
        let bad = Message::Text(alice.envelope(message_type, payload).to_string().into());
        refused(&mut alice, &mut bob, bad, code, round).await;
    }
}
