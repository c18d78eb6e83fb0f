//! A session whose log fails, or whose coordinator does.

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}

use std::ops::ControlFlow;

use axum::extract::ws::Utf8Bytes;
use clap::Parser;
use mpac_core::{ConnId, OutOfOrder, Record, Step};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::cli::Settings;
use crate::metrics::Meters;
use crate::outbox::{Next, Queue, QueueLimits, outbox};
use crate::store::Durability;
use crate::store::entry::{Entry, Start};
use crate::store::faulty::{Fault, Memory};
use crate::store::journal::Begin;
use crate::store::log::{Found, Log};
use crate::store::replay::Replay;
use crate::workspace::Workspace;

const HELLO: &str = r#"{"protocol":"MPAC","version":"0.1.13","message_type":"HELLO","message_id":"m1","session_id":"default",
    "sender":{"principal_id":"agent:a","principal_type":"agent","sender_instance_id":"a:1"},"ts":"2026-01-02T03:04:05Z",
    "payload":{"display_name":"a","roles":["contributor"],"capabilities":[]}}"#;

/// A session on media in memory, and one connection to it.
fn session(media: &Memory) -> (mpsc::Sender<Inbound>, Queue, tokio::task::JoinHandle<Vec<Unwritten>>) {
    let (inbox, queue, session, receiver) = idle(media);
    (inbox, queue, tokio::spawn(session.run(receiver)))
}

/// The same before it runs.
fn idle(media: &Memory) -> (mpsc::Sender<Inbound>, Queue, Session, mpsc::Receiver<Inbound>) {
    let settings = Settings::try_parse_from(["mpac-ws", "--port=0"]).unwrap();
    let template = Template::new(&settings, Workspace::default()).unwrap();
    let id = mpac_wire::SessionId::new("default").unwrap();
    let mut session = template.session(id, Tenure::default(), None).unwrap();
    session.journal = Journal::on(Log::create(Box::new(media.clone()), Durability::Fsync).unwrap());
    let (inbox, receiver) = mpsc::channel(20);
    let (outbox, queue) =
        outbox(QueueLimits { frames: 10, bytes: 100_000, together: u64::MAX }, Meters::default());
    inbox.try_send(Inbound::Joined { conn: ConnId(1), outbox }).unwrap();
    (inbox, queue, session, receiver)
}

/// What is in the log.
fn entries(media: &Memory) -> Vec<String> {
    let mut said = Vec::new();
    let mut visit = |_: &Found<'_>, entry: Entry| {
        said.push(serde_json::to_string(&entry).unwrap());
        Ok(ControlFlow::Continue(()))
    };
    Log::resume(Box::new(media.clone()), Durability::Fsync, None, &mut visit).unwrap();
    said
}

async fn say(inbox: &mpsc::Sender<Inbound>, text: impl Into<Utf8Bytes>) {
    let frame = Frame::Text(text.into());
    inbox.send(Inbound::Frame { conn: ConnId(1), frame, proof: Proof::default(), room: None }).await.unwrap();
}

/// How many frames came before the connection was closed, and with which code.
async fn closed(queue: &Queue) -> (usize, u16) {
    let mut frames = 0;
    loop {
        let mut batch = Vec::new();
        match queue.next(&mut batch).await {
            Next::Frames => frames += batch.len(),
            Next::Close(frame) => return (frames, frame.code),
        }
    }
}

#[tokio::test]
async fn what_could_not_be_made_durable_is_seen_by_nobody_and_the_session_stops() {
    for fault in [Fault::Sync, Fault::NoSpace(0), Fault::NoSpace(200)] {
        let media = Memory::default();
        let (inbox, queue, task) = session(&media);
        say(&inbox, "{bad").await;
        assert_eq!(queue.next(&mut Vec::new()).await, Next::Frames, "an answer, once its cause is stored");
        let synced = media.state().syncs;
        assert_eq!(synced, 1);
        media.state().fault = Some(fault);
        say(&inbox, HELLO).await;
        assert_eq!(closed(&queue).await, (0, 1011), "{fault:?}: no SESSION_INFO");
        assert!(media.state().syncs <= synced + 1, "{fault:?}: a failed sync is not tried again");
        assert_eq!(task.await.unwrap(), [], "{fault:?}");
        assert!(inbox.is_closed(), "{fault:?}: later connections are refused");
    }
}

#[tokio::test]
async fn an_error_that_is_too_large_by_a_credential_is_not_answered() {
    covers!("ERR-03");
    let media = Memory::default();
    let (inbox, queue, _task) = session(&media);
    let credential = json!({"type": "custom", "value": "x".repeat(Limits::default().max_bytes)});
    for (message_type, is_answered) in [("PROTOCOL_ERROR", false), ("OP_COMMIT", true)] {
        let mut message: Value = serde_json::from_str(HELLO).unwrap();
        message["message_type"] = message_type.into();
        message["message_id"] = message_type.into();
        message["payload"] = json!({"credential": credential});
        say(&inbox, message.to_string()).await;
        if is_answered {
            let mut frames = Vec::new();
            assert_eq!(queue.next(&mut frames).await, Next::Frames);
            let [answer] = frames.as_slice() else { panic!("{frames:?}") };
            let answer = answer.to_text().unwrap();
            assert!(answer.contains(r#""refers_to":"OP_COMMIT""#), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_full_disk_has_room_left_for_a_farewell() {
    for left in [0, 100, 250] {
        let media = Memory::default();
        let (inbox, queue, task) = session(&media);
        say(&inbox, HELLO).await;
        assert_eq!(queue.next(&mut Vec::new()).await, Next::Frames);
        {
            let state = &mut *media.state();
            // Not even what was set aside in the segment is there.
            let written = state.segments[&1].iter().rposition(|&byte| byte != 0).unwrap() + 1;
            state.segments.get_mut(&1).unwrap().truncate(written);
            (state.fault, state.reserve) = (Some(Fault::NoSpace(left)), Some(100_000));
        }
        say(&inbox, "{bad").await;
        // The answer, which is stored like anything else; then `handover`, and nothing more.
        let mut frames = Vec::new();
        let code = loop {
            match queue.next(&mut frames).await {
                Next::Frames => {}
                Next::Close(frame) => break frame.code,
            }
        };
        assert_eq!((frames.len(), code), (2, 4002), "{left}");
        let farewell = frames[1].to_text().unwrap();
        assert!(farewell.contains(r#""event":"handover""#), "{farewell}");
        assert_eq!(task.await.unwrap(), []);
        assert!(inbox.is_closed());
        media.state().fault = None;
        let said = entries(&media);
        let [.., bad, farewell] = said.as_slice() else { panic!("{said:?}") };
        assert!(bad.contains("{bad") && farewell.contains("hand_over"), "{left}: {farewell}");
    }
}

#[tokio::test]
async fn what_comes_behind_a_stop_is_in_no_log() {
    let media = Memory::default();
    let (inbox, _queue, session, receiver) = idle(&media);
    say(&inbox, HELLO).await;
    inbox.send(Inbound::Stop).await.unwrap();
    say(&inbox, "{bad").await;
    assert_eq!(session.run(receiver).await, []);
    let said = entries(&media);
    assert!(said.last().unwrap().contains("hand_over"), "{said:?}");
}

#[tokio::test]
async fn answers_to_a_flood_of_questions_are_not_in_memory_all_at_once() {
    const ASKED: usize = 12;
    let (inbox, _queue, mut session, mut receiver) = idle(&Memory::default());
    let announce = HELLO.replace("HELLO", "INTENT_ANNOUNCE").replace("m1", "m2").replace(
        r#"{"display_name":"a","roles":["contributor"],"capabilities":[]}"#,
        &format!(
            r#"{{"intent_id":"i","objective":"{}","scope":{{"kind":"file_set","resources":["a"]}}}}"#,
            "x".repeat(1_000_000)
        ),
    );
    say(&inbox, HELLO).await;
    say(&inbox, announce).await;
    for _ in 0..ASKED {
        say(&inbox, r#"{"type":"SESSION_SUMMARY"}"#).await;
    }
    let (mut batch, mut over, mut answered) = (Vec::new(), false, Vec::new());
    while answered.iter().sum::<usize>() < ASKED {
        let outputs = session.next(&mut receiver, &mut batch, &mut over).await;
        let long = outputs.iter().filter(|output| answer_bytes(output) > 1_000_000);
        answered.push(long.count());
    }
    assert_eq!(answered, [5, 5, 2]);
}

#[test]
fn a_session_is_kept_as_long_as_its_configuration_says_and_else_the_flag() {
    let days = |flags: &[&str]| {
        let settings = Settings::try_parse_from([&["mpac-ws", "--port=0"], flags].concat()).unwrap();
        let template = Template::new(&settings, Workspace::default()).unwrap();
        template.configured().lifecycle.audit_retention_days.as_ref().map(mpac_wire::Integer::get)
    };
    assert_eq!(days(&[]), None, "that is 90");
    assert_eq!(days(&["--audit-retention-days=7"]), Some(7));
    let others = r#"--session-config={"lifecycle": {"auto_close": true}}"#;
    assert_eq!(days(&["--audit-retention-days=7", others]), Some(7), "it says nothing about it");
    let says = r#"--session-config={"lifecycle": {"audit_retention_days": 0}}"#;
    assert_eq!(days(&["--audit-retention-days=7", says]), Some(0));
}

#[test]
fn what_is_too_large_as_it_came_is_not_read_because_it_is_kept_smaller() {
    let limits = Limits::default();
    let text = |list: String| {
        HELLO.replace(r#""capabilities":[]"#, &format!(r#""capabilities":[],"credential":{list}"#))
    };
    let long = |name: &str| text(format!("[{}0]", "0,".repeat(10_000))).replace("HELLO", name);
    for name in ["HELLO", "HEARTBEAT"] {
        let refused = without_credentials(&long(name), &limits).unwrap_err();
        assert!(refused.contains("too large"), "{refused}");
    }
    let short = text("[0]".to_owned());
    assert!(without_credentials(&short, &limits).unwrap().contains(r#""credential":false"#));
    // What cannot be read either way is answered by the core.
    let bad = long("HELLO").replace(r#""ts""#, r#""time""#);
    assert!(without_credentials(&bad, &limits).unwrap().contains(r#""credential":false"#));
}

/// Fails on whatever speaks of poison, after it has done all of it.
fn applies(core: &mut Coordinator, record: &Record) -> Result<Step, OutOfOrder> {
    let step = core.apply(record);
    let poisonous = matches!(&record.input, Input::Frame { text, .. } if text.contains("poison"));
    assert!(!poisonous, "a bug");
    step
}

fn announce(id: &str) -> String {
    let payload = format!(
        r#"{{"intent_id":"{id}","objective":"o","scope":{{"kind":"file_set","resources":["{id}.py"]}}}}"#
    );
    HELLO
        .replace("HELLO", "INTENT_ANNOUNCE")
        .replace("m1", &format!("m-{id}"))
        .replace(r#"{"display_name":"a","roles":["contributor"],"capabilities":[]}"#, &payload)
}

/// The next frames, one after the other.
async fn heard(queue: &Queue, frames: usize) -> Vec<Value> {
    let mut batch = Vec::new();
    while batch.len() < frames {
        assert_eq!(queue.next(&mut batch).await, Next::Frames);
    }
    batch.iter().map(|frame| serde_json::from_str(frame.to_text().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn a_message_that_the_coordinator_fails_on_is_refused_and_nobody_else_notices() {
    covers!("ERR-06", "D-026");
    // A session that was there before, and one that begins in the same batch.
    for is_begun in [true, false] {
        let media = Memory::default();
        let (inbox, queue, mut session, receiver) = idle(&Memory::default());
        session.applies = applies;
        let start = Start::new(&session.kept.config, 1, clock::now()).unwrap();
        session.core = start.open().unwrap();
        let opening = media.clone();
        let begin = Begin(Arc::new(move || Log::create(Box::new(opening.clone()), Durability::Fsync)));
        let journal = Journal::unopened(begin, None, Entry::Open(start));
        session.journal = if is_begun { journal.begun().unwrap() } else { journal };
        let task = tokio::spawn(session.run(receiver));
        for text in
            [HELLO, &announce("i-1"), &announce("poison"), &announce("i-2"), r#"{"type":"SESSION_SUMMARY"}"#]
        {
            say(&inbox, text.to_owned()).await;
        }
        let heard = heard(&queue, 5).await;
        let kinds: Vec<_> = heard
            .iter()
            .map(|it| it["message_type"].as_str().or_else(|| it["type"].as_str()).unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "SESSION_INFO",
                "INTENT_ANNOUNCE",
                "PROTOCOL_ERROR",
                "INTENT_ANNOUNCE",
                "SESSION_SUMMARY_RESPONSE"
            ]
        );
        let error = &heard[2]["payload"];
        assert_eq!(
            (&error["error_code"], &error["refers_to"]),
            (&json!("MALFORMED_MESSAGE"), &json!("m-poison"))
        );
        let live: Vec<_> = heard[4]["session"]["active_intents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["intent_id"])
            .collect();
        assert_eq!(live, ["i-1", "i-2"], "nothing of it has happened");
        inbox.send(Inbound::Stop).await.unwrap();
        assert_eq!(closed(&queue).await.1, 4002);
        task.await.unwrap();
        let mut replay = Replay::default();
        let mut visit = |_: &Found<'_>, entry: Entry| replay.follow(entry).map(ControlFlow::Continue);
        Log::resume(Box::new(media.clone()), Durability::Fsync, None, &mut visit).unwrap();
        assert!(replay.session().is_some(), "and its log is whole");
    }
}

#[tokio::test]
async fn an_error_that_the_coordinator_fails_on_is_not_answered() {
    covers!("ERR-03");
    let media = Memory::default();
    let (inbox, queue, mut session, receiver) = idle(&Memory::default());
    session.applies = applies;
    let start = Start::new(&session.kept.config, 1, clock::now()).unwrap();
    session.core = start.open().unwrap();
    let begin = Begin(Arc::new(move || Log::create(Box::new(media.clone()), Durability::Fsync)));
    session.journal = Journal::unopened(begin, None, Entry::Open(start)).begun().unwrap();
    let _task = tokio::spawn(session.run(receiver));
    say(&inbox, HELLO).await;
    let payload = r#"{"error_code":"CAUSAL_GAP","description":"poison"}"#;
    let error = announce("i").replace("INTENT_ANNOUNCE", "PROTOCOL_ERROR");
    let (before, _) = error.split_once(r#""payload":"#).unwrap();
    say(&inbox, format!(r#"{before}"payload":{payload}}}"#)).await;
    say(&inbox, announce("i-1")).await;
    let heard = heard(&queue, 2).await;
    assert_eq!(heard[1]["message_type"], "INTENT_ANNOUNCE");
}

#[tokio::test]
async fn what_fails_without_a_log_ends_its_session() {
    let (inbox, queue, mut session, receiver) = idle(&Memory::default());
    (session.applies, session.journal) = (applies, Journal::Off);
    let task = tokio::spawn(session.run(receiver));
    say(&inbox, HELLO).await;
    say(&inbox, announce("poison")).await;
    assert_eq!(closed(&queue).await, (0, 1011));
    task.await.unwrap();
}
