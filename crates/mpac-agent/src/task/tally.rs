//! What a task has come to so far, for whoever asks, also when the task has failed or was broken off.

use std::sync::{Arc, Mutex, PoisonError};

use mpac_core::participant::Stage;
use mpac_core::scope::{normalize, same_path};
use mpac_wire::sideband::FileEntry;
use mpac_wire::{OpId, StateRef};
use serde::Serialize;

use super::Outcome;
use crate::brain::usage::Spent;
use crate::connection::Link;
use crate::session::FileState;

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
    under_way: Vec<Sent>,
    undecided: Vec<Change>,
    outcome: Option<Outcome>,
}

/// It was sent to be committed, and its answer is awaited. The id is that of its operation, where that is known.
pub(crate) type Sent = (Option<OpId>, Change);

/// What became of that after its work was broken off.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) committed: Vec<Change>,
    /// Neither what was heard nor its file tells.
    pub(crate) undecided: Vec<Change>,
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

    /// Of which it could not be found out whether it was committed, when the work was broken off in the midst of it.
    #[must_use]
    pub fn undecided(&self) -> Vec<Change> {
        self.with(|counted| counted.undecided.clone())
    }

    /// How the last task has ended, if it has: what remains then is to end its intent.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.with(|counted| counted.outcome.clone())
    }

    /// A task begins, or has ended.
    pub(super) fn ends(&self, outcome: Option<Outcome>) {
        self.with(|counted| counted.outcome = outcome);
    }

    /// This goes out now, whether for the first time or again.
    pub(crate) fn sends(&self, sent: Vec<Sent>) {
        self.with(|counted| counted.under_way = sent);
    }

    /// What became of that is known.
    pub(crate) fn answered(&self) {
        self.sends(Vec::new());
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.with(|counted| !counted.under_way.is_empty())
    }

    /// What became of what was under way, by what the participant has heard, and by a list of the files that was asked for
    /// after it, if that came.
    pub(crate) async fn find_out(&self, link: &Link, listed: Option<&[FileEntry]>) -> Found {
        let mut found = Found::default();
        for (op, change) in self.with(|counted| std::mem::take(&mut counted.under_way)) {
            let stage = match op {
                Some(op) => link.look(move |it| it.operation(&op).map(|it| it.stage)).await,
                None => Ok(Some(Stage::Asked)),
            };
            // After the end of the connection nobody knows more than that it was to go out.
            let Some(stage) = stage.unwrap_or(Some(Stage::Asked)) else { continue };
            match was_committed(stage, &change, listed) {
                Some(true) => found.committed.push(change),
                Some(false) => {}
                None => found.undecided.push(change),
            }
        }
        self.with(|counted| {
            counted.committed.extend(found.committed.iter().cloned());
            counted.undecided.extend(found.undecided.iter().cloned());
        });
        found
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

/// Whether a change that is at this stage was committed; `None` where that cannot be told.
fn was_committed(stage: Stage, change: &Change, listed: Option<&[FileEntry]>) -> Option<bool> {
    let Some(listed) = listed else {
        return match stage {
            Stage::Committed => Some(true),
            Stage::Rejected => Some(false),
            _ => None,
        };
    };
    let path = normalize(&change.path);
    let file = listed.iter().find(|file| same_path(&file.path, &path));
    let now = file.map_or_else(|| FileState::absent().state_ref, |file| file.state_ref.clone());
    match stage {
        Stage::Rejected => Some(false),
        _ if now == change.state_ref_after => Some(true),
        // Python servers echo a commit before its text is stored, and also when it never is.
        Stage::Committed => (now != change.state_ref_before).then_some(true),
        // It was handled before the list was.
        _ => (now == change.state_ref_before).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpac_wire::Integer;

    #[test]
    fn what_was_heard_and_what_is_there_tell_together() {
        let change = Change {
            path: "./a.py".to_owned(),
            state_ref_before: StateRef::of("old"),
            state_ref_after: StateRef::of("new"),
        };
        let listed = |text| vec![FileEntry::new("a.py".to_owned(), StateRef::of(text), Integer::new(3))];
        for (stage, unheard, old, new, another) in [
            (Stage::Committed, Some(true), None, Some(true), Some(true)),
            (Stage::Rejected, Some(false), Some(false), Some(false), Some(false)),
            (Stage::Asked, None, Some(false), Some(true), None),
        ] {
            assert_eq!(was_committed(stage, &change, None), unheard, "{stage:?}");
            for (text, expected) in [("old", old), ("new", new), ("another", another)] {
                assert_eq!(was_committed(stage, &change, Some(&listed(text))), expected, "{stage:?} {text}");
            }
        }
        let created = Change { state_ref_before: FileState::absent().state_ref, ..change };
        assert_eq!(was_committed(Stage::Asked, &created, Some(&[])), Some(false), "no such file");
    }
}
