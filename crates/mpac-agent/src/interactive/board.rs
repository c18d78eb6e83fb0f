//! What the line editor shows and completes, set by whoever knows it. The editor runs on a thread of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::agent::Snapshot;
use crate::diff::{cut, is_printable};

/// Shared by the editor's thread and the rest.
#[derive(Debug, Default)]
pub(super) struct Board {
    names: Mutex<Names>,
    status: Mutex<Status>,
}

/// What can be completed.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) files: Vec<String>,
    pub(super) conflicts: Vec<String>,
    pub(super) intents: Vec<String>,
    /// Those of this name.
    pub(super) own_intents: Vec<String>,
    pub(super) people: Vec<String>,
}

/// What goes on.
#[derive(Debug, Default)]
enum Status {
    #[default]
    Idle,
    /// A task works: since when, and how far it is.
    Working { since: Instant, progress: String },
    /// It waits for an answer of the person.
    Asking { since: Instant },
}

impl Names {
    /// Those of a session as it stands. What a terminal would obey is no name to offer.
    pub(super) fn of(view: &Snapshot) -> Self {
        let offered = |names: Vec<String>| -> Vec<String> {
            names.into_iter().filter(|name| is_printable(name)).collect()
        };
        let others = view.people.iter().filter(|person| person.principal_id != view.me);
        Self {
            files: offered(view.files.keys().cloned().collect()),
            conflicts: offered(view.conflicts.iter().map(|it| it.conflict_id.to_string()).collect()),
            own_intents: offered(
                view.intents.iter().filter(|it| it.own).map(|it| it.intent_id.to_string()).collect(),
            ),
            intents: offered(view.intents.iter().map(|it| it.intent_id.to_string()).collect()),
            people: offered(others.map(|person| person.principal_id.to_string()).collect()),
        }
    }
}

impl Board {
    pub(super) fn know(&self, names: Names) {
        *lock(&self.names) = names;
    }

    pub(super) fn names(&self) -> Names {
        lock(&self.names).clone()
    }

    /// A task begins.
    pub(super) fn begin(&self) {
        *lock(&self.status) = Status::Working { since: Instant::now(), progress: String::new() };
    }

    /// It is over.
    pub(super) fn end(&self) {
        *lock(&self.status) = Status::Idle;
    }

    /// Whether it waits for the person.
    pub(super) fn ask(&self, asks: bool) {
        let mut status = lock(&self.status);
        *status = match &*status {
            Status::Working { since, .. } if asks => Status::Asking { since: *since },
            Status::Asking { since } if !asks => Status::Working { since: *since, progress: String::new() },
            _ => return,
        };
    }

    /// How far it is.
    pub(super) fn progress(&self, text: &str) {
        if let Status::Working { progress, .. } = &mut *lock(&self.status) {
            text.trim().clone_into(progress);
        }
    }

    /// What is to be seen behind the prompt, in at most so many columns; nothing when nothing goes on.
    pub(super) fn shown(&self, room: usize) -> String {
        let text = match &*lock(&self.status) {
            Status::Idle => return String::new(),
            Status::Working { since, progress } if progress.is_empty() => {
                format!("{} working (Ctrl-C cancels)", clock(since.elapsed().as_secs()))
            }
            Status::Working { since, progress } => {
                format!("{} {progress}", clock(since.elapsed().as_secs()))
            }
            Status::Asking { .. } => "y, n, d, a or ?".to_owned(),
        };
        cut(&text, room)
    }

    /// Whether something changes by the second.
    pub(super) fn is_moving(&self) -> bool {
        matches!(*lock(&self.status), Status::Working { .. })
    }
}

/// `1:05`.
fn clock(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere has left it as good as ever.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_as_far_as_there_is_room() {
        let board = Board::default();
        board.progress("nobody works");
        assert!(board.shown(40).is_empty() && !board.is_moving());
        board.begin();
        assert_eq!(board.shown(40), "0:00 working (Ctrl-C cancels)");
        board.progress("  planning: 2.1 kB so far");
        assert_eq!(board.shown(40), "0:00 planning: 2.1 kB so far");
        assert_eq!(board.shown(12), "0:00 plann..");
        board.ask(true);
        board.progress("late");
        assert!(board.shown(40).starts_with("y, n") && !board.is_moving());
        board.ask(false);
        assert_eq!(board.shown(40), "0:00 working (Ctrl-C cancels)");
        board.end();
        assert!(board.shown(40).is_empty());
        assert_eq!(clock(65), "1:05");
    }
}
