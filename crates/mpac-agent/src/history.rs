//! Which kinds of message have been seen from whom since connecting, for [`scripted`](crate::brain::scripted)
//! brains that wait for somebody else; and every frame, where a [`Witness`] writes them down.

use std::collections::BTreeSet;
use std::fmt;

use tokio::sync::watch;

use crate::clock::now;
use crate::witness::{Direction, Witness};

/// A kind of message from somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// As in the envelope's `message_type`.
    pub message_type: String,
    /// Principal id of the sender; `None` for anybody.
    pub from: Option<String>,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => write!(f, "{} from {from}", self.message_type),
            None => write!(f, "{} from anybody", self.message_type),
        }
    }
}

type Seen = BTreeSet<(String, String)>;

/// The reading end. It holds one entry per kind and sender, so it does not grow with the messages.
#[derive(Debug, Clone)]
pub struct History(watch::Receiver<Seen>);

/// The writing end, kept by the connection.
#[derive(Debug)]
pub struct Recorder {
    seen: watch::Sender<Seen>,
    witness: Option<Witness>,
}

/// An empty history: its writer and its reader.
#[must_use]
pub fn channel() -> (Recorder, History) {
    let (sender, receiver) = watch::channel(Seen::new());
    (Recorder { seen: sender, witness: None }, History(receiver))
}

impl History {
    /// Has it been seen already?
    #[must_use]
    pub fn has(&self, wanted: &Sighting) -> bool {
        contains(&self.0.borrow(), wanted)
    }

    /// Waits until it has been seen; `false` when the connection ends before that.
    pub async fn wait(&mut self, wanted: &Sighting) -> bool {
        self.0.wait_for(|seen| contains(seen, wanted)).await.is_ok()
    }
}

impl Recorder {
    /// Has everything written down as well.
    #[must_use]
    pub fn with_witness(mut self, witness: Option<Witness>) -> Self {
        self.witness = witness;
        self
    }

    /// A frame went this way. Gives the reason when it cannot be written down: from then on nothing is, so that there is no hole
    /// in what is.
    pub fn frame(&mut self, direction: Direction, frame: &str) -> Option<String> {
        let witness = self.witness.as_mut()?;
        let error = witness.note(now(), direction, frame).err()?;
        let why = format!("{}: {error}", witness.path().display());
        self.witness = None;
        Some(why)
    }

    /// Notes a message. The caller leaves out its own.
    pub fn record(&self, message_type: &str, from: &str) {
        self.seen.send_if_modified(|seen| seen.insert((message_type.to_owned(), from.to_owned())));
    }
}

fn contains(seen: &Seen, wanted: &Sighting) -> bool {
    seen.iter().any(|(message_type, from)| {
        *message_type == wanted.message_type && wanted.from.as_ref().is_none_or(|name| name == from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(from: Option<&str>) -> Sighting {
        Sighting { message_type: "OP_COMMIT".to_owned(), from: from.map(str::to_owned) }
    }

    #[tokio::test]
    async fn what_was_seen_before_the_wait_counts() {
        let (recorder, mut history) = channel();
        recorder.record("OP_COMMIT", "agent:A");
        assert!(history.has(&commit(None)) && !history.has(&commit(Some("agent:B"))));
        assert!(history.wait(&commit(Some("agent:A"))).await);
    }
}
