//! A session whose log fails.

use std::ops::ControlFlow;

use axum::extract::ws::Utf8Bytes;
use clap::Parser;
use mpac_core::ConnId;
use tokio::sync::mpsc;

use super::*;
use crate::cli::Settings;
use crate::metrics::Meters;
use crate::outbox::{Next, Queue, QueueLimits, outbox};
use crate::store::Durability;
use crate::store::entry::Entry;
use crate::store::faulty::{Fault, Memory};
use crate::store::log::{Found, Log};
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
        let mut said = Vec::new();
        let mut visit = |_: &Found<'_>, entry: Entry| {
            said.push(serde_json::to_string(&entry).unwrap());
            Ok(ControlFlow::Continue(()))
        };
        Log::resume(Box::new(media.clone()), Durability::Fsync, None, &mut visit).unwrap();
        let [.., bad, farewell] = said.as_slice() else { panic!("{said:?}") };
        assert!(bad.contains("{bad") && farewell.contains("hand_over"), "{left}: {farewell}");
    }
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
