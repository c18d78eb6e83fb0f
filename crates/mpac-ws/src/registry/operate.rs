//! What an operator asks of the sessions.

use std::collections::BTreeMap;

use mpac_core::Command;
use tokio::sync::{mpsc, oneshot};

use super::{Refused, Registry, lock};
use crate::error::Unwritten;
use crate::session::{Inbound, Standing};

impl Registry {
    /// Completes when a participant has reported another coordinator.
    pub(crate) async fn conflict(&self) {
        self.conflict.notified().await;
    }

    /// Every session that is open, and its epoch.
    pub(crate) async fn epochs(&self) -> BTreeMap<String, u64> {
        let inboxes = self.inboxes();
        let mut epochs = BTreeMap::new();
        for (id, inbox) in inboxes {
            if let Some(it) = ask(&inbox, None).await.filter(|it| it.open && !it.closed) {
                epochs.insert(id, it.epoch);
            }
        }
        epochs
    }

    /// Inputs that wait for their sessions.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = |inbox: &mpsc::Sender<Inbound>| inbox.max_capacity() - inbox.capacity();
        lock(&self.sessions).by_id.values().map(|entry| waiting(&entry.inbox)).sum()
    }

    /// Has a session do something, and gives how it was before and how it is then; `None` where none of that id runs.
    pub(crate) async fn tell(&self, id: &str, command: Command) -> Option<(Standing, Standing)> {
        let inbox = self.inboxes().remove(id)?;
        let before = ask(&inbox, None).await?;
        Some((before, ask(&inbox, Some(command)).await?))
    }

    /// Silences every session, because somebody else has them under these epochs (REC-26). Later connections are told so.
    ///
    /// Gives the accepted commits that are in no file.
    pub(crate) async fn fence(&self, epochs: &BTreeMap<String, u64>) -> Vec<Unwritten> {
        lock(&self.sessions).over = Some(Refused::Elsewhere);
        for (id, inbox) in self.inboxes() {
            let Some(standing) = ask(&inbox, None).await else { continue };
            // Above its own in any case: who fences has the sessions, also one that both of them took up.
            let epoch = epochs.get(&id).copied().unwrap_or_default().max(standing.epoch + 1);
            ask(&inbox, Some(Command::Fence { epoch })).await;
        }
        self.end().await
    }

    fn inboxes(&self) -> BTreeMap<String, mpsc::Sender<Inbound>> {
        lock(&self.sessions).by_id.iter().map(|(id, entry)| (id.clone(), entry.inbox.clone())).collect()
    }
}

/// `None` when the session ends before it answers.
async fn ask(inbox: &mpsc::Sender<Inbound>, command: Option<Command>) -> Option<Standing> {
    let (done, answer) = oneshot::channel();
    inbox.send(Inbound::Ask { command, done }).await.ok()?;
    answer.await.ok()
}
