//! Too much of everything: whoever sends it, or takes nothing, leaves; the others go on.

use std::time::{Duration, Instant};

use serde_json::json;

use super::member::ACCEPTED;
use super::scene::{AUTHENTICATED, OPEN, PLANTED, Scene, Stage};
use super::wire::{self, GOES_ON, PING, Socket, TEXT_BEGINS};
use super::{Attack, Done, ensure};
use crate::step::Failure;

/// What the bystander waits at most for an answer while somebody floods the server: far more than it should take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "talks-without-end", ids: &["SEC-37", "D-134"], answer: "1008", stage: OPEN, run: talks },
    Attack {
        name: "pings-without-end",
        ids: &["SEC-37", "D-134"],
        answer: "1008",
        stage: OPEN,
        run: |scene| drowns(scene, &wire::frame(PING, &[b'x'; 125]).repeat(100), 1008),
    },
    Attack {
        name: "sends-fragments-of-nothing-without-end",
        ids: &["SEC-37", "D-134"],
        answer: "1009 after eight times the largest frame",
        stage: Stage { flags: &["--max-frame-bytes", "65536"], ..OPEN },
        run: empty_fragments,
    },
    Attack {
        name: "talks-nonsense-without-end",
        ids: &["D-025"],
        answer: "1008 after twenty",
        stage: OPEN,
        run: nonsense,
    },
    Attack {
        name: "comes-and-goes-without-end",
        ids: &["SEC-37", "HEL-15"],
        answer: "nobody notices",
        stage: AUTHENTICATED,
        run: comes_and_goes,
    },
    Attack {
        name: "talks-and-is-not-in",
        ids: &["SEC-37", "SEC-41"],
        answer: "1008 after fifty, all of them refused",
        stage: AUTHENTICATED,
        run: unproven,
    },
    Attack {
        name: "stops-reading",
        ids: &["SRV-08", "D-134"],
        answer: "1008 or cut off, and the others hear everything",
        stage: Stage { allowed: &["agent:bob", "agent:ann"], flags: &["--queue-frames", "50"], ..OPEN },
        run: stops_reading,
    },
    Attack {
        name: "asks-for-everything-and-reads-nothing",
        ids: &["SRV-08", "D-134"],
        answer: "1008 or cut off",
        stage: Stage {
            flags: &["--queue-frames", "50", "--rate-burst", "100000", "--rate-per-sec", "100000"],
            ..OPEN
        },
        run: reads_nothing,
    },
    Attack {
        name: "asks-how-all-of-it-stands-without-end",
        ids: &["SEC-37", "D-134", "SRV-11", "LAM-22"],
        answer: "too large, to each, and it costs nobody else anything",
        stage: Stage { allowed: &["agent:eve"], ..OPEN },
        run: asks_for_all,
    },
];

/// Sends the same bytes until the server hangs up, while the bystander gets her answers.
fn drowns(scene: &mut Scene, bytes: &[u8], code: u16) -> Done {
    let (socket, _) = Socket::open(scene.dial()?, "/", &[])?;
    drowns_on(scene, socket, bytes, code)
}

fn drowns_on(scene: &mut Scene, mut socket: Socket, bytes: &[u8], code: u16) -> Done {
    let (began, mut last) = (Instant::now(), Instant::now());
    while socket.raw(bytes).is_ok() {
        if last.elapsed() > Duration::from_millis(20) {
            last = answered(scene)?;
        }
        ensure("that the flood is ended in time", &(began.elapsed() < wire::ANSWER), &true)?;
    }
    let end = socket.end()?;
    // A reset may overtake the close frame of a server that is not listened to.
    ensure(&format!("the end: {end}"), &(end == code || end == 0), &true)
}

/// Asks for the bystander; when she had her answer, which has to be soon.
fn answered(scene: &mut Scene) -> Result<Instant, Failure> {
    let asked = Instant::now();
    scene.ann.settle()?;
    ensure("that she is answered in time", &(asked.elapsed() < PATIENCE), &true)?;
    Ok(Instant::now())
}

fn talks(scene: &mut Scene) -> Done {
    let request = json!({"type": "FILE_READ", "path": PLANTED}).to_string();
    let mut eve = scene.stranger("agent:eve")?;
    for _ in 0..2000 {
        if eve.send(&request).is_err() {
            break;
        }
    }
    ensure("the end", &eve.socket.end()?, &1008)
}

/// Far below the limit of frames a second: each would be in the log.
fn unproven(scene: &mut Scene) -> Done {
    let request = json!({"type": "FILE_READ", "path": PLANTED}).to_string();
    let mut eve = scene.stranger("agent:eve")?;
    let began = Instant::now();
    for _ in 0..51 {
        eve.send(&request)?;
    }
    ensure("the end", &eve.socket.end()?, &1008)?;
    ensure("that it is not for being late", &(began.elapsed() < PATIENCE), &true)
}

fn empty_fragments(scene: &mut Scene) -> Done {
    let (mut socket, _) = Socket::open(scene.dial()?, "/", &[])?;
    socket.frame(TEXT_BEGINS, b"{").map_err(Failure::io("begin a message"))?;
    drowns_on(scene, socket, &wire::frame(GOES_ON, b"").repeat(1000), 1009)
}

fn nonsense(scene: &mut Scene) -> Done {
    let mut eve = scene.stranger("agent:eve")?;
    for count in 0..19 {
        ensure(&format!("frame {count}"), &eve.refused("{planted")?, "MALFORMED_MESSAGE")?;
    }
    eve.send("{planted")?;
    ensure("the end", &eve.socket.end()?, &1008)
}

fn comes_and_goes(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &[])?;
    for count in 0..200 {
        let mut bob = scene.stranger("agent:bob")?;
        if count % 2 == 0 {
            bob.lamport = count;
            bob.send(&bob_says(count, &key).to_string())?;
        }
        bob.socket.cut();
    }
    let mut bob = scene.stranger("agent:bob")?;
    bob.instance = "agent:bob:last".to_owned();
    ensure("his HELLO", &bob.hello(&super::member::api_key(&key))?, "SESSION_INFO")
}

fn bob_says(count: u64, key: &str) -> serde_json::Value {
    json!({
        "protocol": "MPAC", "version": "0.1.13", "message_type": "HELLO", "message_id": format!("hello-{count}"),
        "session_id": "default",
        "sender": {"principal_id": "agent:bob", "principal_type": "agent", "sender_instance_id": format!("bob-{count}")},
        "ts": super::member::ts(0), "payload": super::member::hello(&super::member::api_key(key)),
        "watermark": {"kind": "lamport_clock", "value": 1},
    })
}

fn stops_reading(scene: &mut Scene) -> Done {
    // In, and deaf from here on.
    let mut eve = scene.member("agent:eve")?;
    let mut bob = scene.member("agent:bob")?;
    let objective = "x".repeat(100_000);
    for count in 0..200 {
        let scope = json!({"kind": "file_set", "resources": [format!("{count}.txt")]});
        let payload = json!({"intent_id": format!("i{count}"), "objective": objective, "scope": scope});
        let asked = Instant::now();
        ensure("his announcement", &bob.say("INTENT_ANNOUNCE", &payload)?, ACCEPTED)?;
        ensure("that he is answered in time", &(asked.elapsed() < PATIENCE), &true)?;
        // She reads, so she is no slow reader; what she heard is looked at here.
        let intent = payload["intent_id"].clone();
        scene.ann.until(|frame| frame["payload"]["intent_id"] == intent)?;
    }
    let end = eve.socket.end()?;
    ensure(&format!("the end: {end}"), &(end == 1008 || end == 0), &true)
}

fn reads_nothing(scene: &mut Scene) -> Done {
    let mut eve = scene.stranger("agent:eve")?;
    let request = json!({"type": "FILE_READ", "path": "shared.txt"}).to_string();
    let began = Instant::now();
    while eve.send(&request).is_ok() {
        ensure("that it ends in time", &(began.elapsed() < wire::ANSWER * 2), &true)?;
    }
    scene.ann.settle()?;
    let end = eve.socket.end()?;
    ensure(&format!("the end: {end}"), &(end == 1008 || end == 0), &true)
}

/// A few bytes are sent for each answer, and what it would have to tell is far more than a frame holds.
fn asks_for_all(scene: &mut Scene) -> Done {
    const ASKED: usize = 128;
    let mut eve = scene.member("agent:eve")?;
    for count in 0..20 {
        let scope = json!({"kind": "file_set", "resources": [format!("{count}.txt")]});
        let objective = "x".repeat(500_000);
        let payload = json!({"intent_id": format!("i{count}"), "objective": objective, "scope": scope});
        ensure("her announcement", &eve.say("INTENT_ANNOUNCE", &payload)?, ACCEPTED)?;
        // Ann reads, so that nobody is too slow but by what comes next.
        let intent = payload["intent_id"].clone();
        scene.ann.until(|frame| frame["payload"]["intent_id"] == intent)?;
    }
    let gap = eve.envelope("PROTOCOL_ERROR", &json!({"error_code": "CAUSAL_GAP", "description": "missed"}));
    let request = json!({"type": "SESSION_SUMMARY"}).to_string();
    let mut asked = wire::frame(wire::TEXT, gap.to_string().as_bytes());
    asked.extend(wire::frame(wire::TEXT, request.as_bytes()).repeat(ASKED - 1));
    eve.socket.raw(&asked).map_err(Failure::io("ask without end"))?;
    answered(scene)?;
    for _ in 0..ASKED {
        let answer = eve.until(|frame| frame["message_type"].is_null())?;
        ensure("her answer", &answer["error"], &json!("too large"))?;
    }
    Ok(())
}
