//! Saying again what was said before.

use serde_json::{Value, json};

use super::member::{ACCEPTED, announcement, api_key, hello, ts};
use super::scene::{AUTHENTICATED, OPEN, Scene, Stage};
use super::{Attack, Done, ensure};

/// Bob works in the open, and is heard.
const BOB_WORKS: Stage = Stage { allowed: &["agent:bob"], ..AUTHENTICATED };

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "says-a-message-twice",
        ids: &["SEC-17", "D-124"],
        answer: "REPLAY_DETECTED, also on another connection",
        stage: BOB_WORKS,
        run: twice,
    },
    Attack {
        name: "says-a-message-again-after-a-crash",
        ids: &["SEC-20", "D-124"],
        answer: "REPLAY_DETECTED for all of 300 messages",
        stage: BOB_WORKS,
        run: after_a_crash,
    },
    Attack {
        name: "says-anothers-hello-again",
        ids: &["SEC-17", "SEC-20", "HEL-03"],
        answer: "REPLAY_DETECTED, before and after a crash",
        stage: BOB_WORKS,
        run: hello_again,
    },
    Attack {
        name: "says-it-too-late-or-too-early",
        ids: &["SEC-18", "D-125"],
        answer: "REPLAY_DETECTED, MALFORMED_MESSAGE where it is no time",
        stage: AUTHENTICATED,
        run: at_another_time,
    },
    Attack {
        name: "says-a-message-twice-in-the-open",
        ids: &["SEC-19", "LAM-13", "D-027"],
        answer: "MALFORMED_MESSAGE, after a crash too",
        stage: Stage { allowed: &["agent:bob"], ..OPEN },
        run: twice_in_the_open,
    },
];

fn twice(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &[])?;
    let mut bob = scene.stranger("agent:bob")?;
    ensure("HELLO", &bob.hello(&api_key(&key))?, "SESSION_INFO")?;
    let said = bob.envelope("INTENT_ANNOUNCE", &announcement("bobs", "bobs.txt"));
    ensure("the first time", &bob.told(&said)?, ACCEPTED)?;
    ensure("the second time", &bob.told(&said)?, "REPLAY_DETECTED")?;
    bob.socket.cut();
    let mut again = scene.stranger("agent:bob")?;
    again.lamport = bob.lamport;
    ensure("HELLO again", &again.hello(&api_key(&key))?, "SESSION_INFO")?;
    ensure("on another connection", &again.told(&said)?, "REPLAY_DETECTED")?;
    // The same words under a new id are the sender's own business; the id of the intent is used up.
    let mut renamed = said;
    renamed["message_id"] = "another".into();
    renamed["watermark"]["value"] = (again.lamport + 1).into();
    ensure("under another id", &again.told(&renamed)?, "MALFORMED_MESSAGE")
}

fn after_a_crash(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &[])?;
    let mut bob = scene.stranger("agent:bob")?;
    ensure("HELLO", &bob.hello(&api_key(&key))?, "SESSION_INFO")?;
    let mut said = Vec::new();
    for count in 0..300 {
        let message =
            bob.envelope("INTENT_ANNOUNCE", &announcement(&format!("i{count}"), &format!("{count}.txt")));
        ensure("announce", &bob.told(&message)?, ACCEPTED)?;
        said.push(message);
    }
    scene.crash()?;
    let mut again = scene.stranger("agent:bob")?;
    again.lamport = bob.lamport;
    ensure("HELLO again", &again.hello(&api_key(&key))?, "SESSION_INFO")?;
    for message in &said {
        ensure("a message from before", &again.told(message)?, "REPLAY_DETECTED")?;
    }
    Ok(())
}

fn hello_again(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &[])?;
    let mut bob = scene.stranger("agent:bob")?;
    let heard = bob.envelope("HELLO", &hello(&api_key(&key)));
    ensure("HELLO", &bob.told(&heard)?, "SESSION_INFO")?;
    for _ in 0..2 {
        let mut eve = scene.stranger("agent:bob")?;
        ensure("the HELLO that was heard", &eve.told(&heard)?, "REPLAY_DETECTED")?;
        let files = eve.ask(&json!({"type": "FILE_LIST"}))?;
        ensure("what she sees", &files["error"], &json!("not authorized"))?;
        scene.crash()?;
    }
    Ok(())
}

fn at_another_time(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    for sec in [-301, -86_400, 301, 86_400 * 365] {
        let mut message = bob.envelope("INTENT_ANNOUNCE", &announcement("bobs", "bobs.txt"));
        message["ts"] = ts(sec).into();
        ensure(&format!("{sec} s from now"), &bob.told(&message)?, "REPLAY_DETECTED")?;
    }
    for text in ["", "now", "2026-13-01T00:00:00Z", "1e9", "2026-01-02 03:04:05"] {
        let mut message = bob.envelope("INTENT_ANNOUNCE", &announcement("bobs", "bobs.txt"));
        message["ts"] = text.into();
        ensure(text, &bob.told(&message)?, "MALFORMED_MESSAGE")?;
    }
    Ok(())
}

fn twice_in_the_open(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let said = bob.envelope("INTENT_ANNOUNCE", &announcement("bobs", "bobs.txt"));
    ensure("the first time", &bob.told(&said)?, ACCEPTED)?;
    ensure("the second time", &bob.told(&said)?, "MALFORMED_MESSAGE")?;
    scene.crash()?;
    let mut again = scene.stranger("agent:bob")?;
    again.lamport = bob.lamport;
    ensure("HELLO again", &again.hello(&Value::Null)?, "SESSION_INFO")?;
    ensure("after a crash", &again.told(&said)?, "MALFORMED_MESSAGE")
}
