//! Signals that mean what keys mean. Between two lines, and where the terminal is a plain one, Ctrl-C is a signal.

use super::keyboard::Typed;

/// Caught, so that they do not end the program.
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From now on. `None` where that is not possible.
    pub(super) fn catch() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let of = |kind| signal(kind).ok();
        Some(Self {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            hangup: of(SignalKind::hangup())?,
        })
    }

    /// The next one. Safe to be dropped while it waits.
    pub(super) async fn next(&mut self) -> Typed {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Typed::Interrupt,
            Some(()) = self.terminate.recv() => Typed::Hangup,
            Some(()) = self.hangup.recv() => Typed::Hangup,
            else => std::future::pending().await,
        }
    }
}

/// Caught, so that they do not end the program.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// From now on.
    pub(super) fn catch() -> Option<Self> {
        Some(Self)
    }

    /// The next one. Safe to be dropped while it waits.
    pub(super) async fn next(&mut self) -> Typed {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Typed::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}
