//! What a brain says while it works.

use std::time::Duration;

use tokio::sync::mpsc;

use super::edits::Edit;
use super::usage::Spent;

/// Something a brain says while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// An answer begins; one that was on its way before is void.
    Began,
    /// Bytes of the answer received so far.
    Received(usize),
    /// The next part of what the answer says for people: a plan's objective, a decision's reason, a file's text.
    Text(String),
    /// The next edit of the answer, not looked at yet.
    Edit(Edit),
    /// A line for people.
    Said(String),
    /// What a call has used up.
    Used(Spent),
    /// A request failed and is tried again after `wait`.
    Retrying {
        /// The failure.
        why: String,
        /// The pause before the next attempt.
        wait: Duration,
    },
    /// A script waits for somebody else.
    WaitingFor(String),
}

/// Where a brain puts its [`Note`]s. Nobody has to read them.
#[derive(Debug, Clone)]
pub struct Notes(mpsc::UnboundedSender<Note>);

impl Notes {
    /// A writer and the reader of what it writes.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Notes that nobody reads.
    #[must_use]
    pub fn unread() -> Self {
        Self::channel().0
    }

    /// Says something.
    pub fn say(&self, note: Note) {
        // A closed reader is somebody who does not want to know.
        let _ = self.0.send(note);
    }
}
