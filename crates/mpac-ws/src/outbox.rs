//! The frames that wait for one connection: bounded, so that a slow reader can neither hold up the others nor eat the memory.
//!
//! The session pushes and never waits; the connection's writer takes what is there in batches. SRV-08, D-134. What waits in all
//! queues of a server together is bounded too, or many slow readers would eat what one cannot.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use mpac_wire::Timestamp;
use tokio::sync::Notify;

use crate::metrics::Meters;
use crate::metrics::limit::Limit;
use crate::rate::{Pace, Paced};

/// Frames handed to the socket before one flush.
const BATCH: usize = 64;
/// Bytes that may wait for a connection in any case, however many wait for all: whoever reads as fast as others loses nothing to
/// those who do not.
const IN_ANY_CASE: usize = 1024 * 1024;

/// How much may wait for one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) frames: usize,
    /// Sum of the frames' lengths: 10,000 file contents would be far more than 10,000 heartbeats.
    pub(crate) bytes: usize,
    /// The memory that waits for all the connections that are counted by the same meters.
    pub(crate) together: u64,
}

/// The pushing end; clones push into the same queue.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(Arc<Shared>);

/// The taking end, held by the connection's writer.
#[derive(Debug)]
pub(crate) struct Queue(Arc<Shared>);

/// What the writer has to do next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Send the batch, then flush.
    Frames,
    /// Everything before it is sent: say this and leave.
    Close(CloseFrame),
}

#[derive(Debug)]
struct Shared {
    limits: QueueLimits,
    state: Mutex<State>,
    pushed: Notify,
    closing: Notify,
    admitted: Notify,
    renewed: Notify,
    meters: Meters,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Waiting>,
    bytes: usize,
    /// What the writer has in its hands: bytes, and what keeps them counted.
    taken: usize,
    writing: Vec<Arc<Held>>,
    close: Option<CloseFrame>,
    admitted: bool,
    paced: Option<Arc<Paced>>,
    until: Option<Timestamp>,
}

/// A text for one or many, whose memory is counted once, until the last who got it has written it.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    text: Utf8Bytes,
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    bytes: usize,
    meters: Meters,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    held: Option<Arc<Held>>,
}

impl Outgoing {
    pub(crate) fn new(text: Utf8Bytes, meters: &Meters) -> Self {
        let bytes = text.len();
        meters.held(count(bytes));
        Self { text, held: Arc::new(Held { bytes, meters: meters.clone() }) }
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        self.text.as_str()
    }
}

/// A text that is kept for whoever asks next, and counts only while somebody has not got it yet.
#[derive(Debug)]
pub(crate) struct Kept {
    text: Utf8Bytes,
    held: Weak<Held>,
}

impl Kept {
    pub(crate) const fn new(text: Utf8Bytes) -> Self {
        Self { text, held: Weak::new() }
    }

    pub(crate) fn outgoing(&mut self, meters: &Meters) -> Outgoing {
        if let Some(held) = self.held.upgrade() {
            return Outgoing { text: self.text.clone(), held };
        }
        let frame = Outgoing::new(self.text.clone(), meters);
        self.held = Arc::downgrade(&frame.held);
        frame
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meters.held(-count(self.bytes));
    }
}

pub(crate) fn outbox(limits: QueueLimits, meters: Meters) -> (Outbox, Queue) {
    let shared = Arc::new(Shared {
        limits,
        state: Mutex::default(),
        pushed: Notify::new(),
        closing: Notify::new(),
        admitted: Notify::new(),
        renewed: Notify::new(),
        meters,
    });
    (Outbox(Arc::clone(&shared)), Queue(shared))
}

impl Outbox {
    /// Queues a frame. When it does not fit, the reader is too slow: what waits is dropped and the connection closed with 1008.
    pub(crate) fn push(&self, frame: Outgoing) {
        let mut state = self.0.lock();
        if state.close.is_some() {
            return;
        }
        let Outgoing { text, held } = frame;
        let limits = &self.0.limits;
        let waited = state.bytes + state.taken;
        state.bytes += text.len();
        state.frames.push_back(Waiting { message: Message::Text(text), held: Some(held) });
        self.0.meters.queued(1);
        if state.frames.len() > limits.frames || state.bytes > limits.bytes {
            return self.give_up(
                state,
                Limit::Queue,
                "too slow: more frames were waiting for this connection than its queue holds",
            );
        }
        if waited > IN_ANY_CASE && self.0.meters.bytes_held() > limits.together {
            return self.give_up(
                state,
                Limit::Queues,
                "too slow: more was waiting for all connections together than this server holds",
            );
        }
        drop(state);
        self.0.pushed.notify_one();
    }

    /// Drops what waits, and closes the connection.
    fn give_up(&self, mut state: MutexGuard<'_, State>, limit: Limit, why: &str) {
        self.0.meters.queued(-count(state.frames.len()));
        state.frames.clear();
        state.bytes = 0;
        drop(state);
        self.close_for(limit, why);
    }

    /// Queues a ping ahead of everything else, so that its answer says how the connection is and not how long the queue is.
    pub(crate) fn ping(&self) {
        let message = Message::Ping(axum::body::Bytes::new());
        self.0.lock().frames.push_front(Waiting { message, held: None });
        self.0.meters.queued(1);
        self.0.pushed.notify_one();
    }

    /// Closes the connection once what waits is sent. The first close wins.
    pub(crate) fn close(&self, code: u16, reason: &str) {
        self.end(code, reason);
    }

    /// The same with 1009: a frame was larger than the limit (D-134).
    pub(crate) fn too_large(&self, reason: &str) {
        if self.end(1009, reason) {
            self.0.meters.reached(Limit::Frame);
        }
    }

    /// The same with 1008, because a limit was reached.
    pub(crate) fn close_for(&self, limit: Limit, reason: &str) {
        if self.end(1008, reason) {
            self.0.meters.reached(limit);
        }
    }

    /// Whether this was the first close.
    fn end(&self, code: u16, reason: &str) -> bool {
        let mut state = self.0.lock();
        let first = state.close.is_none();
        if first {
            state.close = Some(CloseFrame { code, reason: reason.into() });
        }
        drop(state);
        self.0.pushed.notify_one();
        self.0.closing.notify_one();
        first
    }

    /// Somebody has joined on this connection, whose messages are counted with those of all their connections.
    pub(crate) fn admit(&self, paced: Option<Arc<Paced>>) {
        let mut state = self.0.lock();
        (state.admitted, state.paced) = (true, paced);
        drop(state);
        self.0.admitted.notify_one();
    }

    /// One more message came.
    pub(crate) fn pace(&self) -> Pace {
        let paced = self.0.lock().paced.clone();
        paced.map_or(Pace::Fine, |paced| paced.take(Instant::now()))
    }

    /// Whoever has joined on this connection showed a credential that ends then.
    pub(crate) fn let_in_until(&self, until: Option<Timestamp>) {
        let before = std::mem::replace(&mut self.0.lock().until, until);
        if before != until {
            self.0.renewed.notify_one();
        }
    }

    /// When that credential ends, if it does.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.0.lock().until
    }

    /// Returns once that is another moment; for one waiter.
    pub(crate) async fn renewed(&self) {
        self.0.renewed.notified().await;
    }

    /// Whether somebody has joined on this connection.
    pub(crate) fn has_admitted(&self) -> bool {
        self.0.lock().admitted
    }

    /// Returns once somebody has joined on this connection; for one waiter.
    pub(crate) async fn admitted(&self) {
        self.0.admitted.notified().await;
    }

    /// Whether a close was asked for: nothing more is pushed, and nothing more is listened to.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.lock().close.is_some()
    }
}

impl Queue {
    /// Waits for something to do; `batch` is filled with the frames to send and has to be empty.
    pub(crate) async fn next(&self, batch: &mut Vec<Message>) -> Next {
        loop {
            if let Some(next) = self.take(batch) {
                return next;
            }
            self.0.pushed.notified().await;
        }
    }

    /// Returns once a close was asked for, whatever still waits before it.
    pub(crate) async fn closing(&self) {
        self.0.closing.notified().await;
    }

    fn take(&self, batch: &mut Vec<Message>) -> Option<Next> {
        let mut state = self.0.lock();
        let some = state.frames.len().min(BATCH);
        let State { frames, bytes, taken, writing, .. } = &mut *state;
        // What was taken before this is written.
        *taken = 0;
        writing.clear();
        for Waiting { message, held } in frames.drain(..some) {
            *taken += text_len(&message);
            writing.extend(held);
            batch.push(message);
        }
        *bytes -= *taken;
        if some > 0 {
            self.0.meters.queued(-count(some));
        }
        if some == 0 { state.close.clone().map(Next::Close) } else { Some(Next::Frames) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a gauge.
fn count(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

impl Drop for Shared {
    fn drop(&mut self) {
        let left = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.meters.queued(-count(left.frames.len()));
    }
}

fn text_len(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: QueueLimits = QueueLimits { frames: 3, bytes: 100, together: u64::MAX };

    fn frame(text: &str) -> Outgoing {
        Outgoing::new(text.to_owned().into(), &Meters::default())
    }

    fn texts(batch: &[Message]) -> Vec<&str> {
        batch.iter().filter_map(|message| message.to_text().ok()).collect()
    }

    #[tokio::test]
    async fn frames_leave_in_the_order_they_came() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        outbox.push(frame("1"));
        outbox.push(frame("2"));
        outbox.close(1001, "stop");
        outbox.push(frame("late"));
        let mut batch = Vec::new();
        assert_eq!(queue.next(&mut batch).await, Next::Frames);
        assert_eq!(texts(&batch), ["1", "2"]);
        assert!(matches!(queue.next(&mut Vec::new()).await, Next::Close(frame) if frame.code == 1001));
    }

    #[tokio::test]
    async fn a_reader_with_too_many_frames_waiting_is_closed_with_1008() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        for _ in 0..4 {
            outbox.push(frame("x"));
        }
        assert!(matches!(queue.next(&mut Vec::new()).await, Next::Close(frame) if frame.code == 1008));
    }

    #[tokio::test]
    async fn a_reader_with_too_many_bytes_waiting_is_closed_with_1008() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        outbox.push(frame(&"x".repeat(60)));
        outbox.push(frame(&"x".repeat(60)));
        outbox.close(1001, "the first close wins");
        assert!(matches!(queue.next(&mut Vec::new()).await, Next::Close(frame) if frame.code == 1008));
    }

    #[tokio::test]
    async fn what_was_taken_makes_room_again() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        for _ in 0..10 {
            outbox.push(frame(&"x".repeat(60)));
            assert_eq!(queue.next(&mut Vec::new()).await, Next::Frames);
        }
    }

    #[tokio::test]
    async fn a_ping_overtakes_what_waits() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        outbox.push(frame("x"));
        outbox.ping();
        let mut batch = Vec::new();
        queue.next(&mut batch).await;
        assert!(matches!(batch[0], Message::Ping(_)));
    }

    #[tokio::test]
    async fn when_too_much_waits_for_all_together_whoever_has_much_of_it_is_closed() {
        let together = 3 * IN_ANY_CASE as u64;
        let limits = QueueLimits { frames: 100, bytes: 100 * IN_ANY_CASE, together };
        let meters = Meters::default();
        let [(slow, dropped), (other, queue)] = [(); 2].map(|()| outbox(limits, meters.clone()));
        let push =
            |outbox: &Outbox, bytes: usize| outbox.push(Outgoing::new("x".repeat(bytes).into(), &meters));
        push(&slow, IN_ANY_CASE);
        push(&slow, IN_ANY_CASE);
        // What is being written is as much memory as what waits for it.
        assert_eq!(dropped.next(&mut Vec::new()).await, Next::Frames);
        push(&other, IN_ANY_CASE);
        assert_eq!(meters.bytes_held(), together);
        push(&other, 2);
        assert!(!other.is_closing() && !slow.is_closing());
        push(&slow, 1);
        assert!(matches!(dropped.next(&mut Vec::new()).await, Next::Close(frame) if frame.code == 1008));
        assert_eq!(meters.bytes_held(), IN_ANY_CASE as u64 + 2, "nothing waits for it any more");
        push(&other, IN_ANY_CASE);
        assert!(!other.is_closing(), "there is room for all who are left");
        drop((other, queue));
        assert_eq!(meters.bytes_held(), 0);
    }

    #[tokio::test]
    async fn what_several_get_counts_once_until_the_last_has_written_it() {
        let meters = Meters::default();
        let [(fast, reads), (slow, waits)] = [(); 2].map(|()| outbox(SMALL, meters.clone()));
        let frame = Outgoing::new("x".repeat(10).into(), &meters);
        [&fast, &slow].iter().for_each(|outbox| outbox.push(frame.clone()));
        drop(frame);
        assert_eq!(reads.next(&mut Vec::new()).await, Next::Frames);
        drop((fast, reads));
        assert_eq!(meters.bytes_held(), 10, "the other keeps it");
        drop((slow, waits));
        assert_eq!(meters.bytes_held(), 0);
    }
}
