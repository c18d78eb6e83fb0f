//! A socket that has to come to the point: who connects and says nothing, or says it a byte at a time, is hung up on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

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
    seen: Arc<AtomicBool>,
    _pass: Pass,
    _held: Held,
    meters: Meters,
}

/// Lifts the limit.
#[derive(Clone, Debug)]
pub(super) struct Seen(Arc<AtomicBool>);

impl Seen {
    pub(super) fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<S> Guarded<S> {
    pub(super) fn new(socket: S, limit: Duration, (pass, meters): (Pass, Meters)) -> (Self, Seen) {
        let seen = Arc::new(AtomicBool::new(false));
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
            if self.seen.load(Ordering::Relaxed) {
                self.limit = None;
            } else if over {
                self.limit = None;
                self.meters.reached(Limit::Handshake);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request came in time")));
            }
        }
        Pin::new(&mut self.socket).poll_read(cx, buf)
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
