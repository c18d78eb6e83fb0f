//! Speaking in a name that is not one's own.

use serde_json::{Value, json};

use super::member::{ACCEPTED, Member, announcement, api_key};
use super::scene::{AUTHENTICATED, OPEN, PLANTED, Scene, Stage};
use super::wire::Heard;
use super::{Attack, Done, ensure};

const BOB_WORKS: Stage = Stage { allowed: &["agent:bob"], ..AUTHENTICATED };

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "speaks-for-another-member",
        ids: &["SEC-04", "D-015"],
        answer: "AUTHORIZATION_FAILED for every type",
        stage: AUTHENTICATED,
        run: speaks_for_another,
    },
    Attack {
        name: "speaks-as-another-process-of-itself",
        ids: &["SEC-04", "D-015"],
        answer: "AUTHORIZATION_FAILED",
        stage: AUTHENTICATED,
        run: speaks_as_another_process,
    },
    Attack {
        name: "speaks-before-it-is-in",
        ids: &["SEC-04", "SEC-41"],
        answer: "INVALID_REFERENCE, and no file is shown",
        stage: AUTHENTICATED,
        run: speaks_before_hello,
    },
    Attack {
        name: "touches-what-is-anothers",
        ids: &["D-022", "SEC-04"],
        answer: "AUTHORIZATION_FAILED, duplicate intent_id",
        stage: Stage { allowed: &["agent:ann"], ..AUTHENTICATED },
        run: touches_anothers,
    },
    Attack {
        name: "joins-as-the-coordinator",
        ids: &["SEC-05", "D-017", "HEL-03"],
        answer: "AUTHORIZATION_FAILED, then 1008",
        stage: OPEN,
        run: joins_as_the_coordinator,
    },
    Attack {
        name: "speaks-as-the-coordinator",
        ids: &["SEC-05", "D-017"],
        answer: "AUTHORIZATION_FAILED, also for what only it may say",
        stage: OPEN,
        run: speaks_as_the_coordinator,
    },
    Attack {
        name: "shows-a-stolen-key-under-its-own-name",
        ids: &["SEC-08", "D-123", "D-018"],
        answer: "CREDENTIAL_REJECTED, after five 1008",
        stage: BOB_WORKS,
        run: stolen_key,
    },
    Attack {
        name: "looks-like-somebody-with-a-key",
        ids: &["SEC-08", "D-123"],
        answer: "CREDENTIAL_REJECTED for every spelling",
        stage: AUTHENTICATED,
        run: looks_like_ann,
    },
    Attack {
        name: "looks-like-somebody-in-an-open-session",
        ids: &["SEC-02", "SEC-04"],
        answer: "somebody else, who owns nothing of hers",
        stage: Stage { allowed: LOOK_ALIKES, ..OPEN },
        run: looks_like_ann_in_the_open,
    },
    Attack {
        name: "looks-like-the-coordinator",
        ids: &["SEC-05", "D-017"],
        answer: "an ordinary member, AUTHORIZATION_FAILED beyond that",
        stage: OPEN,
        run: looks_like_the_coordinator,
    },
];

/// For people all of these are agent:ann; identifiers are compared byte by byte.
const LOOK_ALIKES: &[&str] = &[
    "agent:ann ",
    " agent:ann",
    "Agent:ann",
    "agent:Ann",
    "agent:аnn",
    "agent:ann\u{200b}",
    "agent:a\u{200d}nn",
    "agent:ann\u{202e}",
    "\u{202d}agent:ann",
    "agent:ａnn",
    "agent:an\u{6e}\u{0300}",
    "agent:an\u{01f9}",
    "agent:ann\u{0}",
    "agent:ann\n",
    "agent：ann",
];

/// One payload of every type that a member may send.
fn everything() -> Vec<(&'static str, Value)> {
    let conflict = json!({"conflict_id": "c", "reason": PLANTED});
    vec![
        ("HEARTBEAT", json!({"status": "idle"})),
        ("GOODBYE", json!({"reason": "user_exit", "intent_disposition": "withdraw"})),
        ("INTENT_ANNOUNCE", announcement("planted-intent", "shared.txt")),
        ("INTENT_UPDATE", json!({"intent_id": "anns", "objective": PLANTED})),
        ("INTENT_WITHDRAW", json!({"intent_id": "anns", "reason": PLANTED})),
        ("INTENT_CLAIM", json!({"claim_id": "c", "original_intent_id": "anns"})),
        ("OP_COMMIT", json!({"op_id": "o", "target": "shared.txt", "op_kind": "replace"})),
        ("OP_REJECT", json!({"op_id": "o", "reason": PLANTED})),
        ("CONFLICT_ACK", conflict.clone()),
        ("CONFLICT_ESCALATE", conflict.clone()),
        ("CONFLICT_REPORT", conflict),
        ("RESOLUTION", json!({"conflict_id": "c", "decision": "approved"})),
        ("SESSION_CLOSE", json!({"reason": "manual"})),
        ("COORDINATOR_STATUS", json!({"event": "handover"})),
    ]
}

fn speaks_for_another(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    for (message_type, payload) in everything() {
        let mut forged = eve.envelope(message_type, &payload);
        forged["sender"] = json!({
            "principal_id": "agent:ann", "principal_type": "agent", "sender_instance_id": "agent:ann:1",
        });
        ensure(message_type, &eve.told(&forged)?, "AUTHORIZATION_FAILED")?;
    }
    Ok(())
}

fn speaks_as_another_process(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    for (member, value) in [("sender_instance_id", "agent:eve:2"), ("principal_type", "human")] {
        let mut forged = eve.envelope("INTENT_ANNOUNCE", &announcement(PLANTED, "shared.txt"));
        forged["sender"][member] = value.into();
        ensure(member, &eve.told(&forged)?, "AUTHORIZATION_FAILED")?;
    }
    Ok(())
}

fn speaks_before_hello(scene: &mut Scene) -> Done {
    let mut eve = scene.stranger("agent:ann")?;
    for (message_type, payload) in everything() {
        let code = eve.say(message_type, &payload)?;
        ensure(message_type, &code, "INVALID_REFERENCE")?;
    }
    for request in ["FILE_LIST", "FILE_READ", "SESSION_SUMMARY"] {
        let answer = eve.ask(&json!({"type": request, "path": "shared.txt"}))?;
        ensure(request, &answer["error"], &json!("not authorized"))?;
    }
    Ok(())
}

fn touches_anothers(scene: &mut Scene) -> Done {
    ensure("announce", &scene.ann.announce("anns", "anns.txt")?, ACCEPTED)?;
    let mut eve = scene.member("agent:eve")?;
    let payload = json!({"intent_id": "anns", "reason": PLANTED, "objective": PLANTED});
    ensure("withdraw", &eve.say("INTENT_WITHDRAW", &payload)?, "AUTHORIZATION_FAILED")?;
    ensure("update", &eve.say("INTENT_UPDATE", &payload)?, "AUTHORIZATION_FAILED")?;
    ensure("announce again", &eve.announce("anns", "eves.txt")?, "MALFORMED_MESSAGE")
}

fn joins_as_the_coordinator(scene: &mut Scene) -> Done {
    let mut eve = scene.stranger("service:coordinator-default")?;
    for _ in 0..4 {
        ensure("HELLO", &eve.hello(&Value::Null)?, "AUTHORIZATION_FAILED")?;
    }
    let last = eve.envelope("HELLO", &super::member::hello(&Value::Null));
    eve.send(&last.to_string())?;
    ensure("the end", &eve.socket.end()?, &1008)
}

fn speaks_as_the_coordinator(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    let mut said = everything();
    said.push(("INTENT_CLAIM_STATUS", json!({"claim_id": "c", "decision": "approved"})));
    said.push(("SESSION_INFO", json!({"session_id": "default"})));
    said.push(("PARTICIPANT_KEYS", json!({"keys": []})));
    for (message_type, payload) in said {
        let mut forged = eve.envelope(message_type, &payload);
        forged["sender"] = json!({
            "principal_id": "service:coordinator-default", "principal_type": "service",
            "sender_instance_id": "service:coordinator-default:epoch-1",
        });
        forged["coordinator_epoch"] = 9.into();
        ensure(message_type, &eve.told(&forged)?, "AUTHORIZATION_FAILED")?;
    }
    for message_type in ["SESSION_CLOSE", "COORDINATOR_STATUS", "SESSION_INFO", "INTENT_CLAIM_STATUS"] {
        let code = eve.say(message_type, &json!({"reason": PLANTED, "event": "handover"}))?;
        ensure(message_type, &code, "AUTHORIZATION_FAILED")?;
    }
    Ok(())
}

fn stolen_key(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &[])?;
    let mut eve = scene.stranger("agent:eve")?;
    for _ in 0..4 {
        ensure("HELLO", &eve.hello(&api_key(&key))?, "CREDENTIAL_REJECTED")?;
    }
    let last = eve.envelope("HELLO", &super::member::hello(&api_key(&key)));
    eve.send(&last.to_string())?;
    ensure("the end", &eve.socket.end()?, &1008)?;
    // It is still his.
    let mut bob = scene.stranger("agent:bob")?;
    ensure("his HELLO", &bob.hello(&api_key(&key))?, "SESSION_INFO")
}

fn looks_like_ann(scene: &mut Scene) -> Done {
    let key = scene.key("ann", &[])?;
    for name in LOOK_ALIKES {
        let mut eve = scene.stranger(name)?;
        ensure(name, &eve.hello(&api_key(&key))?, "CREDENTIAL_REJECTED")?;
    }
    Ok(())
}

fn looks_like_ann_in_the_open(scene: &mut Scene) -> Done {
    ensure("announce", &scene.ann.announce("anns", "anns.txt")?, ACCEPTED)?;
    scene.ann.missed.clear();
    for name in LOOK_ALIKES {
        let mut eve = scene.member(name)?;
        let withdraw = json!({"intent_id": "anns", "reason": PLANTED});
        ensure(name, &eve.say("INTENT_WITHDRAW", &withdraw)?, "AUTHORIZATION_FAILED")?;
    }
    // Her own name is taken while she is here.
    let mut eve = scene.stranger("agent:ann")?;
    eve.instance = "another".to_owned();
    ensure("her own name", &eve.hello(&Value::Null)?, "AUTHORIZATION_FAILED")
}

fn looks_like_the_coordinator(scene: &mut Scene) -> Done {
    for name in ["service:coordinator-default ", "Service:coordinator-default", "service:coordinator-defаult"]
    {
        let mut eve: Member = scene.member(name)?;
        for message_type in ["SESSION_CLOSE", "COORDINATOR_STATUS", "SESSION_INFO"] {
            let mut forged = eve.envelope(message_type, &json!({"reason": PLANTED, "event": "handover"}));
            forged["coordinator_epoch"] = 9.into();
            ensure(name, &eve.told(&forged)?, "AUTHORIZATION_FAILED")?;
        }
        eve.settle()?;
        eve.socket.cut();
        ensure("the end", &eve.socket.next()?, &Heard::End)?;
    }
    Ok(())
}
