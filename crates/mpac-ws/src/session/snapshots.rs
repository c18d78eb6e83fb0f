//! When a session is written down as a whole (REC-07).

use mpac_core::Coordinator;
use mpac_wire::{Seconds, SessionId, Timestamp};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

use crate::store::kept::Kept;
use crate::store::log::Mark;
use crate::store::snapshot::{NotSaved, Saved};

/// At the most one is being written, beside the session.
#[derive(Debug)]
pub(super) struct Snapshots {
    session: SessionId,
    /// Half a heartbeat interval, so that writing has the other half.
    every: Seconds,
    due: Option<Timestamp>,
    /// Gives the Lamport clock of what was written.
    writing: Option<JoinHandle<Result<u64, NotSaved>>>,
    /// The same of the last that was, until somebody asks.
    written: Option<u64>,
}

impl Snapshots {
    pub(super) fn new(session: SessionId, heartbeat_interval: &Seconds) -> Self {
        let every = Seconds::from_micros(heartbeat_interval.micros() / 2);
        Self { session, every, due: None, writing: None, written: None }
    }

    /// Something happened that no snapshot shows.
    pub(super) fn changed(&mut self, now: Timestamp) {
        self.due.get_or_insert_with(|| now.after(&self.every));
    }

    /// When the next one is to be taken. As long as one is being written there is none, so that the session does not wait
    /// for a disk that is busy; unless it is the `last`, which is taken whatever it takes.
    pub(super) fn due(&self, last: bool) -> Option<Timestamp> {
        let is_writing = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        self.due.filter(|_| last || !is_writing)
    }

    /// There is nowhere to put one, as long as nobody has opened the session.
    pub(super) const fn skip(&mut self) {
        self.due = None;
    }

    /// Writes the session down as it stands after `after`, once the one before is written. One that cannot be written is
    /// no loss, the log has it all; the next change brings the next try.
    pub(super) async fn take(&mut self, mark: Mark, core: &Coordinator, kept: &Kept) {
        self.settle().await;
        self.due = None;
        let (core, kept) = (core.clone(), kept.clone());
        let lamport = core.view().lamport();
        self.writing = Some(spawn_blocking(move || {
            Saved::new(mark.after, &core, &kept)?.write(&mark.beside.dir, mark.begins)?;
            if let Some(house) = mark.beside.house {
                house.look_after(&mark.beside.dir);
            }
            Ok(lamport)
        }));
    }

    /// Completes when another one is written, with its Lamport clock. Can be dropped meanwhile.
    pub(super) async fn written(&mut self) -> u64 {
        loop {
            if let Some(lamport) = self.written.take() {
                return lamport;
            }
            if self.writing.is_none() {
                std::future::pending().await
            }
            self.settle().await;
        }
    }

    /// Returns once nothing is being written. Can be dropped meanwhile.
    pub(super) async fn settle(&mut self) {
        let Some(writing) = &mut self.writing else { return };
        let result = writing.await;
        self.writing = None;
        let problem = match result {
            Ok(Ok(lamport)) => {
                self.written = Some(lamport);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        warn!("[{}] no snapshot, so the next start takes longer: {problem}", self.session);
    }
}
