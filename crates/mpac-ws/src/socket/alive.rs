//! Whether the peer of a connection is still there (SRV-16).
//!
//! Whatever comes from it shows that, its answer to a ping or anything else. So does a write that had to wait and went on:
//! systems buffer tens of megabytes for a connection, and a slow reader finds the ping behind them. How slow it may be is the
//! queue's to say. And silence only counts while we listen: a session that is held up, by a slow disk for instance, takes
//! nothing from its connections, and an answer may lie there unread.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::Times;
use crate::outbox::Outbox;

/// What the reader of a connection tells its watch; both are parts of one task.
#[derive(Debug, Default)]
pub(super) struct Alive {
    heard: Notify,
    deaf: AtomicBool,
}

impl Alive {
    /// Something came.
    pub(super) fn heard(&self) {
        self.heard.notify_one();
    }

    /// Until this is done nothing more is read.
    pub(super) async fn unheard<T>(&self, held_up: impl Future<Output = T>) -> T {
        self.deaf.store(true, Ordering::Relaxed);
        let done = held_up.await;
        self.deaf.store(false, Ordering::Relaxed);
        done
    }

    /// Hands something to the transport; when there was no room and then is, the peer has taken what was before.
    pub(super) async fn taken<T>(&self, write: impl Future<Output = T>) -> T {
        let (mut write, mut waited) = (pin!(write), false);
        poll_fn(|context| match write.as_mut().poll(context) {
            Poll::Ready(done) => {
                if waited {
                    self.heard();
                }
                Poll::Ready(done)
            }
            Poll::Pending => {
                waited = true;
                Poll::Pending
            }
        })
        .await
    }

    /// Pings now and then; ends when nothing has come for as long as an answer may take, though we listened.
    pub(super) async fn watch(&self, outbox: &Outbox, times: Times) {
        loop {
            sleep(times.ping_every).await;
            // What came before the ping does not answer it.
            let _ = timeout(Duration::ZERO, self.heard.notified()).await;
            outbox.ping();
            while timeout(times.pong_within, self.heard.notified()).await.is_err() {
                if !self.deaf.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
}
