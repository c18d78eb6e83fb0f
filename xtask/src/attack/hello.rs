//! Races at the door.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::member::{ACCEPTED, Member, announcement, api_key, hello};
use super::scene::{AUTHENTICATED, OPEN, Scene, Stage, write};
use super::wire::Heard;
use super::{Attack, Done, ensure};
use crate::step::Failure;

/// Bob may be heard.
const BOB: &[&str] = &["agent:bob"];
/// With a program that takes its time over slow credentials.
const PROGRAM: Stage = Stage {
    flags: &["--credential-command", "sh judge.sh"],
    prepare: write_judge,
    allowed: BOB,
    ..AUTHENTICATED
};
/// How long the program takes over a slow one.
const SLOW: Duration = Duration::from_secs(3);

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "joins-eight-times-at-once",
        ids: &["HEL-14", "D-016"],
        answer: "one is in, seven get 4001",
        stage: AUTHENTICATED,
        run: at_once,
    },
    Attack {
        name: "joins-eight-times-at-once-in-the-open",
        ids: &["HEL-14", "D-016", "SEC-02"],
        answer: "one is in, seven get AUTHORIZATION_FAILED",
        stage: OPEN,
        run: at_once_in_the_open,
    },
    Attack {
        name: "says-hello-as-two-people",
        ids: &["D-015", "HEL-13"],
        answer: "SESSION_INFO, then AUTHORIZATION_FAILED",
        stage: AUTHENTICATED,
        run: two_people,
    },
    Attack {
        name: "comes-and-leaves-in-one-breath",
        ids: &["HEL-13", "D-019"],
        answer: "each in its order",
        stage: Stage { allowed: BOB, ..AUTHENTICATED },
        run: one_breath,
    },
    Attack {
        name: "overtakes-a-slow-credential",
        ids: &["SEC-13", "HEL-14"],
        answer: "who is in last is in, the other gets 4001",
        stage: PROGRAM,
        run: overtakes,
    },
    Attack {
        name: "goes-while-its-credential-is-judged",
        ids: &["SEC-13", "HEL-03"],
        answer: "as if it had gone afterwards: its place is free",
        stage: PROGRAM,
        run: goes_meanwhile,
    },
    Attack {
        name: "keeps-the-judge-of-credentials-busy",
        ids: &["SEC-13", "D-134"],
        answer: "keys and members do not wait for it",
        stage: PROGRAM,
        run: busy_judge,
    },
];

fn write_judge(dir: &Path) -> Done {
    let text = format!(
        "read line\ncase \"$line\" in\n  *slow*) sleep {} ;;\nesac\n\
         echo '{{\"accept\":true,\"principal_id\":\"agent:bob\",\"roles\":[\"contributor\"]}}'\n",
        SLOW.as_secs()
    );
    write(&dir.join("judge.sh"), &text)
}

fn custom(value: &str) -> Value {
    json!({"type": "custom", "value": value})
}

/// Eight processes of Bob at the door; what each was told.
fn eight(scene: &Scene, credential: &Value) -> Result<Vec<(Member, String)>, Failure> {
    let mut bobs = Vec::new();
    for count in 0..8 {
        let mut bob = scene.stranger("agent:bob")?;
        bob.instance = format!("agent:bob:{count}");
        bobs.push(bob);
    }
    thread::scope(|scope| {
        let join = |mut bob: Member| {
            scope.spawn(move || {
                let told = bob.hello(credential)?;
                Ok((bob, told))
            })
        };
        let joining: Vec<_> = bobs.into_iter().map(join).collect();
        joining
            .into_iter()
            .map(|it| it.join().unwrap_or_else(|_| Err(Failure::check("a client panicked"))))
            .collect()
    })
}

fn at_once(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &[])?;
    let mut alive = 0;
    for (mut bob, told) in eight(scene, &api_key(&key))? {
        ensure("HELLO", &told, "SESSION_INFO")?;
        bob.send(&json!({"type": "FILE_LIST"}).to_string())?;
        loop {
            match bob.socket.next()? {
                Heard::Text(text) if text.contains("FILE_LIST_RESPONSE") => {
                    alive += 1;
                    break;
                }
                Heard::Text(_) | Heard::Pong => {}
                over => {
                    ensure("the end of an older one", &over, &Heard::Close(4001))?;
                    break;
                }
            }
        }
    }
    ensure("how many are in", &alive, &1)
}

fn at_once_in_the_open(scene: &mut Scene) -> Done {
    let told: Vec<String> = eight(scene, &Value::Null)?
        .into_iter()
        .map(|(bob, told)| {
            bob.socket.cut();
            told
        })
        .collect();
    let count = |word: &str| told.iter().filter(|told| *told == word).count();
    ensure("how many are in", &count("SESSION_INFO"), &1)?;
    ensure("how many are not", &count("AUTHORIZATION_FAILED"), &7)
}

fn two_people(scene: &mut Scene) -> Done {
    let (bobs, eves) = (scene.key("bob", &[])?, scene.key("eve", &[])?);
    let mut bob = scene.stranger("agent:bob")?;
    ensure("HELLO", &bob.hello(&api_key(&bobs))?, "SESSION_INFO")?;
    ensure("HELLO once more", &bob.hello(&api_key(&bobs))?, "SESSION_INFO")?;
    "agent:eve".clone_into(&mut bob.who);
    "agent:eve:1".clone_into(&mut bob.instance);
    ensure("HELLO as somebody else", &bob.hello(&api_key(&eves))?, "AUTHORIZATION_FAILED")
}

fn one_breath(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &[])?;
    let mut bob = scene.stranger("agent:bob")?;
    let mut said = Vec::new();
    for _ in 0..30 {
        said.push(bob.envelope("HELLO", &hello(&api_key(&key))));
        said.push(bob.envelope("INTENT_ANNOUNCE", &announcement(&format!("i{}", bob.lamport), "bobs.txt")));
        said.push(bob.envelope("GOODBYE", &json!({"reason": "user_exit", "intent_disposition": "withdraw"})));
        said.push(bob.envelope("HEARTBEAT", &json!({"status": "idle"})));
    }
    for message in &said {
        bob.send(&message.to_string())?;
    }
    for turn in said.chunks(4) {
        bob.until(|frame| frame["message_type"] == "SESSION_INFO")?;
        bob.until(|frame| frame["message_id"] == turn[1]["message_id"])?;
        let refused = bob.until(|frame| frame["message_type"] == "PROTOCOL_ERROR")?;
        ensure("whom it refers to", &refused["payload"]["refers_to"], &turn[3]["message_id"])?;
        ensure("a word after the goodbye", &refused["payload"]["error_code"], &json!("INVALID_REFERENCE"))?;
    }
    Ok(())
}

fn overtakes(scene: &mut Scene) -> Done {
    let began = Instant::now();
    let (mut slow, mut fast) = (scene.stranger("agent:bob")?, scene.stranger("agent:bob")?);
    "agent:bob:fast".clone_into(&mut fast.instance);
    let joins = slow.envelope("HELLO", &hello(&custom("slow")));
    let works = slow.envelope("INTENT_ANNOUNCE", &announcement("slows", "bobs.txt"));
    slow.send(&joins.to_string())?;
    slow.send(&works.to_string())?;
    ensure("the fast one", &fast.hello(&custom("fast"))?, "SESSION_INFO")?;
    ensure("at once", &(began.elapsed() < SLOW), &true)?;
    slow.until(|frame| frame["message_type"] == "SESSION_INFO")?;
    slow.until(|frame| frame["message_id"] == works["message_id"])?;
    ensure("the end of the fast one", &fast.socket.end()?, &4001)
}

fn goes_meanwhile(scene: &mut Scene) -> Done {
    let mut slow = scene.stranger("agent:bob")?;
    let joins = slow.envelope("HELLO", &hello(&custom("slow")));
    slow.send(&joins.to_string())?;
    slow.socket.cut();
    // As if he had gone a moment later: he was in, and his place is free.
    scene.wait_for_log("agent:bob is disconnected")?;
    let mut next = scene.stranger("agent:bob")?;
    "agent:bob:next".clone_into(&mut next.instance);
    ensure("the next one", &next.hello(&custom("fast"))?, "SESSION_INFO")
}

fn busy_judge(scene: &mut Scene) -> Done {
    let key = scene.key("carl", &[])?;
    let mut crowd = Vec::new();
    for count in 0..20 {
        let mut one = scene.stranger(&format!("agent:crowd-{count}"))?;
        let joins = one.envelope("HELLO", &hello(&custom("slow")));
        one.send(&joins.to_string())?;
        crowd.push(one);
    }
    let began = Instant::now();
    scene.ann.settle()?;
    let mut carl = scene.stranger("agent:carl")?;
    ensure("somebody with a key", &carl.hello(&api_key(&key))?, "SESSION_INFO")?;
    ensure("at once", &(began.elapsed() < SLOW), &true)?;
    for one in &mut crowd {
        // The program vouches for Bob, and they are not Bob; or there was no place with it in time.
        let answer = one.until(|frame| !frame["payload"]["error_code"].is_null())?;
        ensure("one of the crowd", &answer["payload"]["error_code"], &json!("CREDENTIAL_REJECTED"))?;
    }
    let mut bob = scene.stranger("agent:bob")?;
    ensure("Bob, later", &bob.hello(&custom("fast"))?, "SESSION_INFO")?;
    ensure("his work", &bob.announce("bobs", "bobs.txt")?, ACCEPTED)
}
