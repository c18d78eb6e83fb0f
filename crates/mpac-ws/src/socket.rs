//! One connection: what it may send, what waits for it, and how it ends.
//!
//! Generic over stream and sink, so that tests give it channels. Three things run beside each other until one of them is
//! over: reading, writing, and watching that the peer still answers pings (SRV-16).

mod alive;

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, Utf8Bytes};
use futures::{Sink, SinkExt, Stream, StreamExt};
use mpac_wire::Unseen;
use tokio::time::{sleep, timeout_at};

use self::alive::Alive;
use crate::metrics::limit::Limit;
use crate::outbox::{Next, Outbox, Queue};
use crate::rate::RateLimit;

/// What one connection may cost. D-134.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketLimits {
    pub(crate) max_frame: usize,
    pub(crate) rate_per_sec: u32,
    pub(crate) rate_burst: u32,
    /// How long it may send nothing but pongs, if there is an end to that.
    pub(crate) idle: Option<Duration>,
    pub(crate) times: Times,
}

/// How long one waits for a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) ping_every: Duration,
    pub(crate) pong_within: Duration,
    /// For what still waits and the answer to our close frame.
    pub(crate) close_within: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let [ping_every, pong_within, close_within] = [20, 20, 5].map(Duration::from_secs);
        Self { ping_every, pong_within, close_within }
    }
}

const TOO_MANY: &str = "too many messages: the rate limit of this server is exceeded";

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// A frame so large that it was not even read.
    TooLarge,
    /// A text frame that is not UTF-8.
    NotText,
    /// Not the WebSocket protocol.
    Protocol,
    /// The transport is gone.
    Gone,
}

/// What a frame holds.
#[derive(PartialEq, Eq)]
pub(crate) enum Frame {
    Text(Utf8Bytes),
    /// Binary that is not UTF-8: malformed, but no reason to hang up (D-025).
    NotText,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => Unseen(text).fmt(f),
            Self::NotText => f.write_str("NotText"),
        }
    }
}

/// The session's side of a connection.
pub(crate) trait Link {
    /// Passes a frame on, waiting for room; false when the session takes no more.
    fn frame(&self, frame: Frame) -> impl Future<Output = bool> + Send;
    /// Says that the connection is over; saying it twice is harmless.
    fn left(&self) -> impl Future<Output = ()> + Send;
}

/// Runs the connection until it is over.
pub(crate) async fn run(
    mut stream: impl Stream<Item = Result<Message, Lost>> + Unpin,
    mut sink: impl Sink<Message> + Unpin,
    (outbox, queue): (Outbox, Queue),
    limits: SocketLimits,
    link: &impl Link,
) {
    let times = limits.times;
    let alive = Alive::default();
    let closing = async {
        queue.closing().await;
        // Told at once: the principal may be on its way back while a slow socket still closes.
        link.left().await;
        sleep(times.close_within).await;
    };
    tokio::select! {
        // Who sends without a pause takes all that this task may do in a turn, so that reading comes behind what has an end. And
        // what has come is read before anybody says that nothing came: it may be this program that was held up.
        biased;
        () = closing => {}
        () = write(&mut sink, &queue, &alive) => {}
        () = read(&mut stream, &outbox, limits, link, &alive) => {}
        () = alive.watch(&outbox, times) => outbox.close_for(Limit::Silence, "no answer to a ping"),
    }
    // Before the transport goes: whoever sees its end can come back under the same name.
    link.left().await;
    drop((stream, sink));
}

/// Passes frames on until the peer is gone. Once the connection is closing they are read and dropped, so that our close
/// frame is not lost in a reset.
async fn read(
    mut stream: impl Stream<Item = Result<Message, Lost>> + Unpin,
    outbox: &Outbox,
    limits: SocketLimits,
    link: &impl Link,
    alive: &Alive,
) {
    let mut rate = RateLimit::new(limits.rate_per_sec, limits.rate_burst, Instant::now());
    let mut heard = Instant::now();
    while let Some(item) = next(&mut stream, limits.idle.map(|idle| heard + idle), outbox).await {
        alive.heard();
        let size = match &item {
            Ok(Message::Text(text)) => text.len(),
            Ok(Message::Binary(bytes)) => bytes.len(),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) | Err(_) => 0,
        };
        let frame = match item {
            Ok(Message::Text(text)) => Frame::Text(text),
            Ok(Message::Binary(bytes)) => Utf8Bytes::try_from(bytes).map_or(Frame::NotText, Frame::Text),
            // Nobody needs so many; a flood of them costs as much as one of messages.
            Ok(Message::Ping(_) | Message::Pong(_)) if !rate.take(Instant::now()) => {
                outbox.close_for(Limit::Rate, TOO_MANY);
                continue;
            }
            // The others are answered by the library below; after a close the stream ends.
            Ok(Message::Pong(_) | Message::Ping(_) | Message::Close(_)) => continue,
            Err(lost) => return give_up(lost, outbox).await,
        };
        heard = Instant::now();
        if outbox.is_closing() {
            continue;
        }
        if size > limits.max_frame {
            outbox.too_large("the frame is larger than this server's limit");
        } else if !rate.take(heard) {
            outbox.close_for(Limit::Rate, TOO_MANY);
        } else if !alive.unheard(link.frame(frame)).await {
            outbox.close(1001, "the session is over");
        }
    }
}

/// The next item. Closes the connection when nothing has been said until `quiet`.
async fn next<T>(
    stream: &mut (impl Stream<Item = T> + Unpin),
    quiet: Option<Instant>,
    outbox: &Outbox,
) -> Option<T> {
    let Some(quiet) = quiet else { return stream.next().await };
    match timeout_at(quiet.into(), stream.next()).await {
        Ok(item) => item,
        Err(_) => {
            outbox.close_for(Limit::Idle, "nothing was said on this connection for too long");
            stream.next().await
        }
    }
}

async fn give_up(lost: Lost, outbox: &Outbox) {
    match lost {
        Lost::TooLarge => outbox.too_large("the frame is larger than this server's limit"),
        Lost::NotText => outbox.close(1007, "a text frame that is not UTF-8"),
        Lost::Protocol => outbox.close(1002, "not the WebSocket protocol"),
        Lost::Gone => return,
    }
    // Nothing more can be read, but the close frame is still to be written.
    pending().await
}

/// Writes what waits, one flush a batch. Ends when the transport fails; after a close frame the peer has the word.
async fn write(mut sink: impl Sink<Message> + Unpin, queue: &Queue, alive: &Alive) {
    let mut batch = Vec::new();
    loop {
        match queue.next(&mut batch).await {
            Next::Frames => {
                for message in batch.drain(..) {
                    if alive.taken(sink.feed(message)).await.is_err() {
                        return;
                    }
                }
                if alive.taken(sink.flush()).await.is_err() {
                    return;
                }
            }
            Next::Close(frame) => {
                if sink.send(Message::Close(Some(frame))).await.is_ok() {
                    pending::<Infallible>().await;
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
