//! What an operator asks of the sessions.

use std::collections::BTreeMap;

use mpac_core::Command;
use mpac_wire::Fingerprint;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::{Refused, Registry, lock};
use crate::session::{Inbound, Standing};
use crate::signing::key_file::SigningKeyError;
use crate::signing::ring::Ring;

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

    /// The keys that sessions are signed with; `None` where they are not.
    pub(crate) fn ring(&self) -> Option<&Ring> {
        self.template.ring()
    }

    /// Makes a new key and has every session go on with it: each tells its participants, signed with the one before (SEC-32).
    /// Gives the new one and how many sessions have it; `None` where nothing is signed.
    ///
    /// # Errors
    /// When the key cannot be made or written; then nothing has changed.
    pub(crate) async fn rotate_key(&self) -> Result<Option<(Fingerprint, usize)>, SigningKeyError> {
        let Some(ring) = self.ring().cloned() else { return Ok(None) };
        let made = spawn_blocking(move || ring.rotate()).await;
        let key = made.map_err(|error| SigningKeyError::Make(error.to_string()))??.public().clone();
        let mut told = 0;
        for inbox in self.inboxes().values() {
            told += usize::from(ask(inbox, Some(Command::RotateKey(key.clone()))).await.is_some());
        }
        Ok(Some((key.fingerprint(), told)))
    }

    /// Silences every session, because somebody else has them under these epochs (REC-26). Later connections are told so.
    pub(crate) async fn fence(&self, epochs: &BTreeMap<String, u64>) {
        lock(&self.sessions).over = Some(Refused::Elsewhere);
        for (id, inbox) in self.inboxes() {
            let Some(standing) = ask(&inbox, None).await else { continue };
            // Above its own in any case: who fences has the sessions, also one that both of them took up.
            let epoch = epochs.get(&id).copied().unwrap_or_default().max(standing.epoch + 1);
            ask(&inbox, Some(Command::Fence { epoch })).await;
        }
        self.end().await;
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
