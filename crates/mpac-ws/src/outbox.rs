//! The frames that wait for one connection: bounded, so that a slow reader can neither hold up the others nor eat the memory.
//!
//! The session pushes and never waits; the connection's writer takes what is there in batches. SRV-08, D-134.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use mpac_wire::Timestamp;
use tokio::sync::Notify;

use crate::metrics::Meters;
use crate::metrics::limit::Limit;
use crate::rate::{Pace, Paced};

/// Frames handed to the socket before one flush.
const BATCH: usize = 64;

/// How much may wait for one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) frames: usize,
    /// Sum of the frames' lengths: 10,000 file contents would be far more than 10,000 heartbeats.
    pub(crate) bytes: usize,
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
    frames: VecDeque<Message>,
    bytes: usize,
    close: Option<CloseFrame>,
    admitted: bool,
    paced: Option<Arc<Paced>>,
    until: Option<Timestamp>,
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
    pub(crate) fn push(&self, text: Utf8Bytes) {
        let mut state = self.0.lock();
        if state.close.is_some() {
            return;
        }
        state.bytes += text.len();
        state.frames.push_back(Message::Text(text));
        self.0.meters.queued(1);
        if state.frames.len() > self.0.limits.frames || state.bytes > self.0.limits.bytes {
            self.0.meters.queued(-count(state.frames.len()));
            state.frames.clear();
            drop(state);
            self.close_for(
                Limit::Queue,
                "too slow: more frames were waiting for this connection than its queue holds",
            );
            return;
        }
        drop(state);
        self.0.pushed.notify_one();
    }

    /// Queues a ping ahead of everything else, so that its answer says how the connection is and not how long the queue is.
    pub(crate) fn ping(&self) {
        self.0.lock().frames.push_front(Message::Ping(axum::body::Bytes::new()));
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
        if state.frames.is_empty() {
            return state.close.clone().map(Next::Close);
        }
        let some = state.frames.len().min(BATCH);
        batch.extend(state.frames.drain(..some));
        self.0.meters.queued(-count(some));
        state.bytes -= batch.iter().map(text_len).sum::<usize>().min(state.bytes);
        Some(Next::Frames)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under this lock, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a gauge.
fn count(frames: usize) -> i64 {
    i64::try_from(frames).unwrap_or(i64::MAX)
}

impl Drop for Shared {
    fn drop(&mut self) {
        let left = self
            .state
            .get_mut()
            .map_or_else(|state| state.into_inner().frames.len(), |state| state.frames.len());
        self.meters.queued(-count(left));
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

    const SMALL: QueueLimits = QueueLimits { frames: 3, bytes: 100 };

    fn texts(batch: &[Message]) -> Vec<&str> {
        batch.iter().filter_map(|message| message.to_text().ok()).collect()
    }

    #[tokio::test]
    async fn frames_leave_in_the_order_they_came() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        outbox.push("1".into());
        outbox.push("2".into());
        outbox.close(1001, "stop");
        outbox.push("late".into());
        let mut batch = Vec::new();
        assert_eq!(queue.next(&mut batch).await, Next::Frames);
        assert_eq!(texts(&batch), ["1", "2"]);
        assert!(matches!(queue.next(&mut Vec::new()).await, Next::Close(frame) if frame.code == 1001));
    }

    #[tokio::test]
    async fn a_reader_with_too_many_frames_waiting_is_closed_with_1008() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        for _ in 0..4 {
            outbox.push("x".into());
        }
        assert!(matches!(queue.next(&mut Vec::new()).await, Next::Close(frame) if frame.code == 1008));
    }

    #[tokio::test]
    async fn a_reader_with_too_many_bytes_waiting_is_closed_with_1008() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        outbox.push("x".repeat(60).into());
        outbox.push("x".repeat(60).into());
        outbox.close(1001, "the first close wins");
        assert!(matches!(queue.next(&mut Vec::new()).await, Next::Close(frame) if frame.code == 1008));
    }

    #[tokio::test]
    async fn what_was_taken_makes_room_again() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        for _ in 0..10 {
            outbox.push("x".repeat(60).into());
            assert_eq!(queue.next(&mut Vec::new()).await, Next::Frames);
        }
    }

    #[tokio::test]
    async fn a_ping_overtakes_what_waits() {
        let (outbox, queue) = outbox(SMALL, Meters::default());
        outbox.push("x".into());
        outbox.ping();
        let mut batch = Vec::new();
        queue.next(&mut batch).await;
        assert!(matches!(batch[0], Message::Ping(_)));
    }
}
