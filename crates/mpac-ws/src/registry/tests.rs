//! Which session a path leads to, and how one begins.

use clap::Parser;
use futures::poll;

use super::*;
use crate::identity::proof::Proof;
use crate::outbox::{Next, QueueLimits, outbox};
use crate::socket::Frame;

#[tokio::test]
async fn whoever_comes_to_a_session_that_is_still_begun_holds_up_nobody_and_is_heard_later() {
    let settings = Settings::try_parse_from(["mpac-ws", "--multi-session"]).unwrap();
    let registry = Registry::open(&settings, Workspace::default()).unwrap();
    // Another one is begun, however long that takes.
    let turn = Arc::clone(&registry.beginning).acquire_owned().await.unwrap();
    let (inbox, ..) = registry.take_seat("new").unwrap();
    assert!(inbox.same_channel(&registry.take_seat("new").unwrap().0));
    let too_long = "x".repeat(MAX_SESSION_ID_BYTES + 1);
    assert!(matches!(registry.take_seat(&too_long), Err(Refused::NoSession)));
    let (outbox, queue) =
        outbox(QueueLimits { frames: 9, bytes: 999, together: u64::MAX }, Meters::default());
    let conn = ConnId(1);
    let frame = Frame::Text(r#"{"type":"FILE_LIST"}"#.into());
    inbox.send(Inbound::Joined { conn, outbox }).await.unwrap();
    inbox.send(Inbound::Frame { conn, frame, proof: Proof::default(), room: None }).await.unwrap();
    let mut batch = Vec::new();
    {
        let mut answer = std::pin::pin!(queue.next(&mut batch));
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(poll!(answer.as_mut()).is_pending());
        }
        drop(turn);
        assert_eq!(answer.await, Next::Frames);
    }
    assert_eq!(batch.len(), 1);
    assert!(registry.stop().await.is_empty());
}

#[test]
fn the_session_is_the_one_segment_after_its_prefix_as_it_is_written() {
    assert_eq!(session_id("/session/a%20b"), Some("a%20b"));
    assert_eq!(session_id("/session/a/b/c"), Some("a"));
    for path in ["", "/", "/session", "/session/", "/session//a", "/sessions/a", "/x/session/a", "session/a"]
    {
        assert_eq!(session_id(path), None, "{path:?}");
    }
}
