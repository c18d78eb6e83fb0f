//! What a task has come to so far, for whoever asks, also when the task has failed or was broken off.

use std::sync::{Arc, Mutex, PoisonError};

use mpac_wire::StateRef;
use serde::Serialize;

use crate::brain::usage::Spent;

/// A file that a task has committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The file.
    pub path: String,
    /// Its state before.
    pub state_ref_before: StateRef,
    /// Its state with the task's text.
    pub state_ref_after: StateRef,
}

/// Counts what tasks use up and commit. Its clones count together.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    used: Spent,
    committed: Vec<Change>,
}

impl Tally {
    /// What the brain has used up. Without calls: nothing was counted, as with a script.
    #[must_use]
    pub fn used(&self) -> Spent {
        self.with(|counted| counted.used.clone())
    }

    /// What was committed, in that order.
    #[must_use]
    pub fn committed(&self) -> Vec<Change> {
        self.with(|counted| counted.committed.clone())
    }

    pub(super) fn add(&self, spent: &Spent) {
        self.with(|counted| counted.used += spent);
    }

    pub(super) fn commits(&self, change: Change) {
        self.with(|counted| counted.committed.push(change));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Counted) -> T) -> T {
        // Each look leaves it whole, so a panic elsewhere has left it as good as ever.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
