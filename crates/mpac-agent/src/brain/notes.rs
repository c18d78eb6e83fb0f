//! What a brain says while it works.

use std::fmt;
use std::sync::Arc;
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
pub struct Notes {
    to: mpsc::UnboundedSender<Note>,
    counter: Option<Arc<dyn Counter>>,
}

/// Is told what is used up when it is said: of a question that is given up nobody reads any more what it cost.
pub(crate) trait Counter: fmt::Debug + Send + Sync {
    /// A call has used up this much.
    fn count(&self, spent: &Spent);
}

impl Notes {
    /// A writer and the reader of what it writes.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (to, reader) = mpsc::unbounded_channel();
        (Self { to, counter: None }, reader)
    }

    /// As [`channel`](Self::channel), and what is used up is counted there.
    pub(crate) fn counted(counter: Arc<dyn Counter>) -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (to, reader) = mpsc::unbounded_channel();
        (Self { to, counter: Some(counter) }, reader)
    }

    /// Notes that nobody reads.
    #[must_use]
    pub fn unread() -> Self {
        Self::channel().0
    }

    /// Says something.
    pub fn say(&self, note: Note) {
        if let (Note::Used(spent), Some(counter)) = (&note, &self.counter) {
            counter.count(spent);
        }
        // A closed reader is somebody who does not want to know.
        let _ = self.to.send(note);
    }
}
