//! A session whose log fails.

use clap::Parser;
use mpac_core::ConnId;
use tokio::sync::mpsc;

use super::*;
use crate::cli::Settings;
use crate::outbox::{Next, Queue, QueueLimits, outbox};
use crate::store::Durability;
use crate::store::faulty::{Fault, Memory};
use crate::store::log::Log;
use crate::workspace::Workspace;

const HELLO: &str = r#"{"protocol":"MPAC","version":"0.1.13","message_type":"HELLO","message_id":"m1","session_id":"default",
    "sender":{"principal_id":"agent:a","principal_type":"agent","sender_instance_id":"a:1"},"ts":"2026-01-02T03:04:05Z",
    "payload":{"display_name":"a","roles":["contributor"],"capabilities":[]}}"#;

/// A session on media in memory, and one connection to it.
fn session(media: &Memory) -> (mpsc::Sender<Inbound>, Queue, tokio::task::JoinHandle<Vec<Unwritten>>) {
    let settings = Settings::try_parse_from(["mpac-ws", "--port=0"]).unwrap();
    let template = Template::new(&settings, Workspace::default()).unwrap();
    let id = mpac_wire::SessionId::new("default").unwrap();
    let mut session = template.session(id, Tenure::default(), None).unwrap();
    session.journal = Journal::on(Log::create(Box::new(media.clone()), Durability::Fsync).unwrap());
    let (inbox, receiver) = mpsc::channel(10);
    let (outbox, queue) = outbox(QueueLimits { frames: 10, bytes: 100_000 });
    inbox.try_send(Inbound::Joined { conn: ConnId(1), outbox }).unwrap();
    (inbox, queue, tokio::spawn(session.run(receiver)))
}

async fn say(inbox: &mpsc::Sender<Inbound>, text: &'static str) {
    let frame = Frame::Text(text.into());
    inbox
        .send(Inbound::Frame { conn: ConnId(1), frame, identity: Identity::Unproven, room: None })
        .await
        .unwrap();
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
