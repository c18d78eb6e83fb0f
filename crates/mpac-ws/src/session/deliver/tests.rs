//! To whom each output goes.

use mpac_wire::SessionId;

use super::*;
use crate::outbox::{Next, QueueLimits, outbox};
use crate::signing::key_file::Keys;
use crate::signing::ring::Ring;
use crate::signing::signer::Signer;

fn delivery() -> Delivery {
    let events = Events::new(SessionId::new("s").unwrap());
    Delivery::new((events, Meters::default()), Workspace::default(), None, 50, true)
}

fn connection(delivery: &mut Delivery, conn: u64, principal: Option<&str>) -> crate::outbox::Queue {
    let (outbox, queue) =
        outbox(QueueLimits { frames: 10, bytes: 1000, together: u64::MAX }, Meters::default());
    delivery.joined(ConnId(conn), outbox);
    if let Some(principal) = principal {
        let principal = PrincipalId::new(principal).unwrap();
        delivery.carry_out(Output::Notice(Notice::Bound { conn: ConnId(conn), principal }));
    }
    queue
}

/// How many frames a connection got before it was closed.
async fn got(queue: &crate::outbox::Queue) -> (usize, u16) {
    let mut frames = Vec::new();
    loop {
        let mut batch = Vec::new();
        match queue.next(&mut batch).await {
            Next::Frames => frames.extend(batch),
            Next::Close(frame) => return (frames.len(), frame.code),
        }
    }
}

#[tokio::test]
async fn all_are_the_bound_connections_and_only_the_named_ones_get_the_rest() {
    let mut delivery = delivery();
    let queues = [Some("a"), Some("b"), None].map(|who| {
        let conn = delivery.connections.len() as u64;
        connection(&mut delivery, conn, who)
    });
    delivery.send(&Recipients::All, &"1".into(), None);
    delivery.send(&Recipients::Only(vec![PrincipalId::new("b").unwrap()]), &"2".into(), None);
    delivery.send(&Recipients::Conn(ConnId(2)), &"3".into(), None);
    delivery.finish().await;
    let mut counts = Vec::new();
    for queue in &queues {
        counts.push(got(queue).await);
    }
    assert_eq!(counts, [(1, 1001), (2, 1001), (1, 1001)]);
}

#[tokio::test]
async fn who_is_unbound_hears_nothing_more() {
    let mut delivery = delivery();
    let queue = connection(&mut delivery, 1, Some("a"));
    delivery.carry_out(Output::Notice(Notice::Unbound { conn: ConnId(1) }));
    delivery.send(&Recipients::All, &"1".into(), None);
    delivery.finish().await;
    assert_eq!(got(&queue).await, (0, 1001));
}

#[tokio::test]
async fn a_frame_larger_than_the_limit_is_not_sent() {
    let mut delivery = delivery();
    let queue = connection(&mut delivery, 1, Some("a"));
    delivery.send(&Recipients::All, &"x".repeat(51).into(), None);
    delivery.send(&Recipients::All, &"x".repeat(50).into(), None);
    delivery.finish().await;
    assert_eq!(got(&queue).await, (1, 1001));
}

#[tokio::test]
async fn files_are_listed_once_for_all_who_ask_until_one_changes() {
    let mut delivery = delivery();
    delivery.max_frame = 1_000;
    let committed = |content: &str| {
        Output::Notice(Notice::FileUpdated {
            to: Recipients::All,
            path: "a.py".to_owned(),
            content: content.into(),
            state_ref: mpac_wire::StateRef::of(content),
            updated_by: PrincipalId::new("p").unwrap(),
        })
    };
    for (content, size) in [("x", r#""size":1}"#), ("four", r#""size":4}"#)] {
        delivery.carry_out(committed(content));
        let [first, second] = [(); 2].map(|()| delivery.answer(&Request::FileList));
        assert!(first.text().contains(size), "{}", first.text());
        assert!(std::ptr::eq(first.text(), second.text()), "the same text, not another like it");
        assert_eq!(delivery.meters.bytes_held(), first.text().len() as u64, "once for both");
        drop((first, second));
        assert_eq!(delivery.meters.bytes_held(), 0, "nobody waits for it");
    }
}

#[tokio::test]
async fn what_cannot_be_signed_is_not_said_where_all_is_signed() {
    let keys = || Ring::new(Keys::fresh().unwrap());
    let own = keys();
    let good = own.current().public().fingerprint();
    // As whoever does not sign may write it: two members of one name are two messages in one.
    let (fit, unfit) = (r#"{"x":1}"#, r#"{"x":1,"x":2}"#);
    for (ring, always, payload, expected) in [
        (&own, true, fit, (1, 1001)),
        (&own, true, unfit, (0, 1011)),
        (&own, false, unfit, (1, 1001)),
        (&keys(), true, fit, (0, 1011)),
        (&keys(), false, fit, (1, 1001)),
    ] {
        let mut delivery = delivery();
        delivery.max_frame = 10_000;
        delivery.voice = Voice::new(Some(Signer::new(ring.clone(), good)), always);
        let queue = connection(&mut delivery, 1, Some("a"));
        let text = format!(
            r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"X","message_id":"m","session_id":"s","sender":{{"principal_id":"c","principal_type":"service","sender_instance_id":"i"}},"ts":"2026-01-01T00:00:00Z","payload":{payload}}}"#
        );
        let envelope = serde_json::from_str(&text).unwrap();
        delivery.carry_out(Output::Send { to: Recipients::All, envelope });
        delivery.finish().await;
        assert_eq!(got(&queue).await, expected, "{always} {payload}");
    }
}

#[tokio::test]
async fn a_session_that_fails_closes_its_connections_with_1011() {
    let mut delivery = delivery();
    let queue = connection(&mut delivery, 1, None);
    drop(delivery);
    assert_eq!(got(&queue).await, (0, 1011));
}
