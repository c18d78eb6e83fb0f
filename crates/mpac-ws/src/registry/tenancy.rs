//! A session's way out of the registry: only its task knows when it is over.

use std::sync::{Arc, Mutex, Weak};

use tokio::sync::Notify;

use super::{Sessions, lock};

/// A session's place in the registry, held by its task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tenancy {
    id: String,
    /// Weak, because the registry holds the inbox of the task that holds this.
    sessions: Weak<Mutex<Sessions>>,
    conflict: Arc<Notify>,
}

impl Tenancy {
    pub(super) const fn new(id: String, sessions: Weak<Mutex<Sessions>>, conflict: Arc<Notify>) -> Self {
        Self { id, sessions, conflict }
    }

    /// Gives a seat back, once everything that came from it is worked off.
    pub(crate) fn left(&self) {
        let Some(sessions) = self.sessions.upgrade() else { return };
        if let Some(entry) = lock(&sessions).by_id.get_mut(&self.id) {
            entry.connections = entry.connections.saturating_sub(1);
        }
    }

    /// A participant says that there is another coordinator: somebody has to look (REC-25).
    pub(crate) fn conflict(&self) {
        self.conflict.notify_one();
    }

    /// Leaves the registry, whoever has a seat: a session that nobody has opened must not keep its id from others.
    pub(crate) fn leave(&self) {
        let Some(sessions) = self.sessions.upgrade() else { return };
        lock(&sessions).by_id.remove(&self.id);
    }

    /// Leaves the registry, unless somebody has a seat; then true, and the next connection to this id begins anew.
    pub(crate) fn end(&self) -> bool {
        let Some(sessions) = self.sessions.upgrade() else { return true };
        let mut sessions = lock(&sessions);
        let empty = sessions.by_id.get(&self.id).is_some_and(|entry| entry.connections == 0);
        if empty {
            sessions.by_id.remove(&self.id);
        }
        empty
    }
}
