//! One connection over channels.

use std::pin::pin;
use std::sync::Mutex;

use futures::channel::mpsc::{Receiver, SendError, Sender, channel};
use futures::future::{Either, select};
use futures::stream::unfold;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, consume_budget};
use tokio::time::timeout;

use super::*;
use crate::metrics::Meters;
use crate::outbox::{Outgoing, QueueLimits, outbox};

/// Far longer than any of these tests.
const LONG: Duration = Duration::from_secs(600);
/// Nobody waits for it but the connection under test.
const SHORT: Duration = Duration::from_millis(2);
const PATIENT: Times = Times { ping_every: LONG, pong_within: LONG, close_within: LONG };
const LIMITS: SocketLimits =
    SocketLimits { max_frame: 20, rate_per_sec: 1, rate_burst: 3, idle: None, times: PATIENT };
/// For what would never end.
const TOO_LONG: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Session {
    frames: Mutex<Vec<Frame>>,
    came: Notify,
    left: Mutex<usize>,
    held_up: Mutex<bool>,
    goes_on: Notify,
}

impl Link for Session {
    async fn frame(&self, frame: Frame) -> bool {
        self.frames.lock().unwrap().push(frame);
        self.came.notify_one();
        let held_up = *self.held_up.lock().unwrap();
        if held_up {
            self.goes_on.notified().await;
        }
        true
    }
    async fn left(&self) {
        *self.left.lock().unwrap() += 1;
    }
}

/// The peer's end of one connection.
struct Rig {
    peer: Sender<Result<Message, Lost>>,
    wire: Receiver<Message>,
    outbox: Outbox,
    session: &'static Session,
    task: JoinHandle<()>,
}

fn queue() -> (Outbox, Queue) {
    outbox(QueueLimits { frames: 10, bytes: 1000, together: u64::MAX }, Meters::default())
}

fn rig(times: Times) -> Rig {
    let limits = SocketLimits { times, ..LIMITS };
    let (peer, stream) = channel(8);
    let (sink, wire) = channel(0); // a peer with no room at all: every frame waits until it is read
    let (outbox, queue) = queue();
    let session: &'static Session = Box::leak(Box::default());
    let ends = (outbox.clone(), queue);
    let task = tokio::spawn(async move { run(stream, sink, ends, limits, session).await });
    Rig { peer, wire, outbox, session, task }
}

impl Rig {
    async fn send(&mut self, message: Message) {
        self.peer.send(Ok(message)).await.unwrap();
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(Some(frame)) = self.wire.next().await.unwrap() {
                return frame.code;
            }
        }
    }

    /// Hangs up from the peer's side and waits until everything has ended.
    async fn end(self) -> &'static Session {
        drop(self.peer);
        self.task.await.unwrap();
        self.session
    }
}

#[tokio::test]
async fn text_and_binary_frames_reach_the_session_alike() {
    let mut rig = rig(PATIENT);
    rig.send(Message::Text("a".into())).await;
    rig.send(Message::Binary("b".into())).await;
    rig.send(Message::Binary(vec![0xff].into())).await;
    let session = rig.end().await;
    let expected = [Frame::Text("a".into()), Frame::Text("b".into()), Frame::NotText];
    assert_eq!(*session.frames.lock().unwrap(), expected);
    assert!(*session.left.lock().unwrap() > 0);
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_with_1009_and_one_of_the_limit_does_not() {
    let mut rig = rig(PATIENT);
    rig.send(Message::Text("x".repeat(20).into())).await;
    rig.send(Message::Text("x".repeat(21).into())).await;
    assert_eq!(rig.close_code().await, 1009);
    assert_eq!(rig.end().await.frames.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn binary_frames_over_the_limit_close_with_1009_whatever_they_hold() {
    for byte in [b'x', 0xff] {
        let mut rig = rig(PATIENT);
        rig.send(Message::Binary(vec![byte; 21].into())).await;
        assert_eq!(rig.close_code().await, 1009);
        assert_eq!(*rig.end().await.frames.lock().unwrap(), []);
    }
}

#[tokio::test]
async fn a_frame_that_was_never_read_whole_closes_with_1009_too() {
    let mut rig = rig(PATIENT);
    rig.peer.send(Err(Lost::TooLarge)).await.unwrap();
    assert_eq!(rig.close_code().await, 1009);
}

#[tokio::test]
async fn more_messages_than_the_burst_close_with_1008() {
    let mut rig = rig(PATIENT);
    for _ in 0..4 {
        rig.send(Message::Text("x".into())).await;
    }
    assert_eq!(rig.close_code().await, 1008);
    assert_eq!(rig.end().await.frames.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn more_pings_or_pongs_than_the_burst_close_with_1008() {
    for message in [Message::Ping(Vec::new().into()), Message::Pong(Vec::new().into())] {
        let mut rig = rig(PATIENT);
        for _ in 0..4 {
            rig.send(message.clone()).await;
        }
        assert_eq!(rig.close_code().await, 1008);
        assert_eq!(*rig.end().await.frames.lock().unwrap(), []);
    }
}

#[tokio::test]
async fn frames_after_the_close_are_dropped() {
    let mut rig = rig(PATIENT);
    rig.outbox.close(1001, "stop");
    assert_eq!(rig.close_code().await, 1001);
    rig.send(Message::Text("late".into())).await;
    assert_eq!(*rig.end().await.frames.lock().unwrap(), []);
}

#[tokio::test]
async fn a_reader_who_never_reads_is_given_up_after_the_grace() {
    let rig = rig(Times { close_within: SHORT, ..PATIENT });
    for _ in 0..12 {
        rig.outbox.push(Outgoing::new("x".into(), &Meters::default()));
    }
    rig.task.await.unwrap();
    assert!(*rig.session.left.lock().unwrap() > 0);
}

/// Pings from somebody who never pauses: of each turn of the task they take all that it may do.
fn flood() -> impl Stream<Item = Result<Message, Lost>> {
    unfold((), async |()| {
        consume_budget().await;
        Some((Ok(Message::Ping(Vec::new().into())), ()))
    })
}

#[tokio::test]
async fn who_sends_without_a_pause_and_reads_is_told_why_it_ends() {
    let (sink, mut wire) = channel(0);
    let session = Session::default();
    let sink = pin!(sink.with(async |message| {
        consume_budget().await;
        Ok::<_, SendError>(message)
    }));
    let flood = pin!(flood());
    let connection = pin!(run(flood, sink, queue(), LIMITS, &session));
    let told =
        pin!(async { matches!(wire.next().await, Some(Message::Close(Some(frame))) if frame.code == 1008) });
    let end = timeout(TOO_LONG, select(connection, told)).await.expect("it is told");
    assert!(matches!(end, Either::Right((true, _))));
}

#[tokio::test]
async fn who_sends_without_a_pause_and_reads_nothing_is_given_up_after_the_grace() {
    let (mut sink, _wire) = channel(0);
    sink.try_send(Message::Text("there is no room behind it".into())).unwrap();
    let session = Session::default();
    let limits = SocketLimits { times: Times { close_within: SHORT, ..PATIENT }, ..LIMITS };
    let flood = pin!(flood());
    timeout(TOO_LONG, run(flood, sink, queue(), limits, &session)).await.expect("it is over");
    assert!(*session.left.lock().unwrap() > 0);
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dropped() {
    let mut rig = rig(Times { ping_every: SHORT, pong_within: SHORT, ..PATIENT });
    assert!(matches!(rig.wire.next().await, Some(Message::Ping(_))));
    rig.task.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_still_reads_what_was_before_the_ping_stays() {
    let mut rig = rig(Times { ping_every: SHORT, pong_within: LONG, ..PATIENT });
    for _ in 0..6 {
        rig.outbox.push(Outgoing::new("x".into(), &Meters::default()));
    }
    let mut pings = 0;
    while pings < 3 {
        // No answer to any of them, and the next comes all the same.
        pings += usize::from(matches!(rig.wire.next().await, Some(Message::Ping(_))));
        rig.outbox.push(Outgoing::new("x".into(), &Meters::default()));
    }
    assert!(!rig.task.is_finished());
    rig.end().await;
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays() {
    let mut rig = rig(Times { ping_every: SHORT, ..PATIENT });
    for _ in 0..3 {
        assert!(matches!(rig.wire.next().await, Some(Message::Ping(_))));
        rig.send(Message::Pong(Vec::new().into())).await;
    }
    assert!(!rig.task.is_finished());
    rig.end().await;
}

#[tokio::test]
async fn a_peer_that_says_something_else_after_a_ping_stays_too() {
    let mut rig = rig(Times { ping_every: SHORT, ..PATIENT });
    for _ in 0..3 {
        assert!(matches!(rig.wire.next().await, Some(Message::Ping(_))));
        rig.send(Message::Text("x".into())).await;
    }
    assert!(!rig.task.is_finished());
    rig.end().await;
}

#[tokio::test]
async fn nobody_is_dropped_while_the_session_is_held_up() {
    let mut rig = rig(Times { ping_every: SHORT, pong_within: SHORT, ..PATIENT });
    *rig.session.held_up.lock().unwrap() = true;
    rig.send(Message::Text("x".into())).await;
    rig.session.came.notified().await;
    assert!(matches!(rig.wire.next().await, Some(Message::Ping(_))));
    rig.send(Message::Pong(Vec::new().into())).await;
    sleep(SHORT * 10).await; // the time that would be too long otherwise
    assert!(!rig.task.is_finished(), "its answer lies there, unread");
    *rig.session.held_up.lock().unwrap() = false;
    rig.session.goes_on.notify_one();
    assert!(
        matches!(rig.wire.next().await, Some(Message::Ping(_))),
        "the answer is read, and the next one asked for"
    );
    rig.task.await.unwrap();
}

#[test]
fn unless_a_test_says_otherwise_a_peer_is_asked_and_waited_for_as_the_specification_has_it() {
    // SRV-16: a ping each 20 s, and 20 s for the pong.
    let Times { ping_every, pong_within, .. } = Times::default();
    assert_eq!((ping_every, pong_within), (Duration::from_secs(20), Duration::from_secs(20)));
}
