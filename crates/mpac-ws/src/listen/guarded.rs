//! A socket that has to come to the point: who connects and says nothing, or says it a byte at a time, is hung up on; so is who
//! begins a message and sends far more than one can have, with nothing in it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::doors::Pass;
use crate::metrics::limit::Limit;
use crate::metrics::{Held, Meters};

/// A socket with a time limit until somebody says that its first request was seen.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    socket: S,
    limit: Option<Pin<Box<Sleep>>>,
    seen: Arc<State>,
    _pass: Pass,
    _held: Held,
    meters: Meters,
}

/// Lifts the limit, and tells messages from what is none.
#[derive(Clone, Debug)]
pub(super) struct Seen(Arc<State>);

#[derive(Debug, Default)]
struct State {
    request: AtomicBool,
    /// Bytes since the last message, but for control frames.
    bytes: AtomicU64,
    /// How many there may be; 0 where nobody counts.
    most: AtomicU64,
}

/// More came for one message than any has, whatever is in it.
#[derive(Debug, Error)]
#[error("a message takes too many bytes")]
pub(crate) struct Endless;

impl Seen {
    pub(super) fn tell(&self) {
        self.0.request.store(true, Ordering::Relaxed);
    }

    /// From here on a message has so many bytes at the most, with all that its fragments cost.
    pub(super) fn counts(&self, most: u64) {
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.most.store(most, Ordering::Relaxed);
    }

    /// A whole one has come.
    pub(super) fn message(&self) {
        self.0.bytes.store(0, Ordering::Relaxed);
    }

    /// A frame of so many bytes has come that is part of none.
    pub(super) fn beside(&self, bytes: u64) {
        // Never fails with `Some`. Where a message came in the same read, nothing is left to take it from.
        let _ = self
            .0
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| Some(it.saturating_sub(bytes)));
    }
}

impl State {
    fn came(&self, bytes: usize) -> io::Result<()> {
        let most = self.most.load(Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if most > 0 && before.saturating_add(bytes as u64) > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Endless));
        }
        Ok(())
    }
}

impl<S> Guarded<S> {
    pub(super) fn new(socket: S, limit: Duration, (pass, meters): (Pass, Meters)) -> (Self, Seen) {
        let seen = Arc::<State>::default();
        let guarded = Self {
            socket,
            limit: Some(Box::pin(sleep(limit))),
            seen: Arc::clone(&seen),
            _pass: pass,
            _held: meters.connected(),
            meters,
        };
        (guarded, Seen(seen))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(limit) = &mut self.limit {
            // Only a read looks: it is what waits for the other end.
            let over = limit.as_mut().poll(cx).is_ready();
            if self.seen.request.load(Ordering::Relaxed) {
                self.limit = None;
            } else if over {
                self.limit = None;
                self.meters.reached(Limit::Handshake);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request came in time")));
            }
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        Poll::Ready(self.seen.came(buf.filled().len() - before))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, parts)
    }
}
