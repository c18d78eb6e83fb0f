//! The task of a session, and how it is reached.

use std::future::{Future, ready};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::error::Unwritten;
use crate::session::{Inbound, Session};
use crate::signing::known::Known;

/// Inputs that may wait for one session; then its connections are read no faster than it works.
const INBOX: usize = 1024;
/// The same in bytes of frames, which differ more than their number.
pub(super) const INBOX_BYTES: usize = 16 * 1024 * 1024;

/// A session as the registry has it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) inbox: mpsc::Sender<Inbound>,
    /// Bytes that may still wait in the inbox.
    pub(super) room: Arc<Semaphore>,
    pub(super) known: Known,
    pub(super) task: JoinHandle<Vec<Unwritten>>,
    /// Seats given out whose end the task has not worked off yet.
    pub(super) connections: usize,
}

impl Entry {
    /// Of one that is there.
    pub(super) fn of(session: Session) -> Self {
        Self::beginning(session.known().clone(), ready(Some(session)))
    }

    /// Of a session that is there later, if it can be begun.
    pub(super) fn beginning(
        known: Known,
        session: impl Future<Output = Option<Session>> + Send + 'static,
    ) -> Self {
        let (inbox, mut receiver) = mpsc::channel(INBOX);
        let task = tokio::spawn(async move {
            match session.await {
                Some(session) => session.run(receiver).await,
                None => {
                    // Whoever came for it is told, and nobody else can come.
                    receiver.close();
                    while let Some(waiting) = receiver.recv().await {
                        if let Inbound::Joined { outbox, .. } = waiting {
                            outbox.close(1011, "this session cannot be begun");
                        }
                    }
                    Vec::new()
                }
            }
        });
        Self { inbox, room: Arc::new(Semaphore::new(INBOX_BYTES)), known, task, connections: 0 }
    }
}
