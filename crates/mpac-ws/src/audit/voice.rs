//! What crossed the wire with an entry of a log, and which key the coordinator spoke with.

use mpac_core::{Notice, Output};
use mpac_wire::transcript::Direction;
use mpac_wire::{Envelope, Fingerprint, Timestamp};

use crate::store::entry::Entry;
use crate::store::input::Stored;
use crate::store::replay::Replay;

/// A message that crossed the wire. A relay is what came, and is not given again.
#[derive(Debug)]
pub(super) struct Crossed {
    /// By the coordinator's clock.
    pub(super) at: Timestamp,
    /// The coordinator's Lamport clock after it.
    pub(super) clock: u64,
    pub(super) said: Said,
}

/// Who said it.
#[derive(Debug)]
pub(super) enum Said {
    /// A participant: the frame as it is in the log.
    Heard(String),
    /// The coordinator, which signed it with this key.
    Spoken(Box<Envelope>, Option<Fingerprint>),
}

impl Crossed {
    pub(super) const fn direction(&self) -> Direction {
        match self.said {
            Said::Heard(_) => Direction::Inbound,
            Said::Spoken(..) => Direction::Outbound,
        }
    }
}

/// The coordinator's voice along a log: with which key it signs.
#[derive(Debug, Default)]
pub(super) struct Voice {
    key: Option<Fingerprint>,
}

impl Voice {
    /// As it is before the first entry that `replay` follows.
    pub(super) fn before(replay: &Replay) -> Self {
        Self { key: key(replay) }
    }

    /// The messages of an entry that led to these outputs, in order; `replay` has followed it. A frame that is no message is
    /// none of them.
    pub(super) fn crossed(&mut self, entry: &Entry, outputs: &[Output], replay: &Replay) -> Vec<Crossed> {
        let (Entry::Input(happened), Some((coordinator, _))) = (entry, replay.session()) else {
            self.key = key(replay);
            return Vec::new();
        };
        let (at, clock) = (happened.received_at(), coordinator.view().lamport());
        let mut crossed = Vec::new();
        if let Stored::Frame { text, .. } = happened.input()
            && serde_json::from_str::<Envelope>(text).is_ok()
        {
            crossed.push(Crossed { at, clock, said: Said::Heard(text.clone()) });
        }
        for output in outputs {
            match output {
                Output::Send { envelope, .. } => {
                    let said = Said::Spoken(envelope.clone(), self.key);
                    crossed.push(Crossed { at, clock, said });
                }
                Output::Notice(Notice::CoordinatorKey { key }) => self.key = Some(*key),
                _ => {}
            }
        }
        crossed
    }
}

fn key(replay: &Replay) -> Option<Fingerprint> {
    let (coordinator, _) = replay.session()?;
    coordinator.view().coordinator_key().map(|key| key.fingerprint())
}
