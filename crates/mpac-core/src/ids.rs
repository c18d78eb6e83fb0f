//! Ids that can be made again: a replay makes the same ones.

use mpac_wire::MessageId;
use sha2::{Digest, Sha256};
use uuid::Builder;

/// Where the coordinator's ids come from: a seed, the epoch and a counter. A plain value, so that it can be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdSource {
    seed: u64,
    epoch: u64,
    counter: u64,
}

impl IdSource {
    /// The host draws the seed when a session opens and keeps it with the log.
    pub const fn new(seed: u64) -> Self {
        Self { seed, epoch: 1, counter: 0 }
    }

    /// The same seed under another epoch: gives ids that no earlier epoch gave.
    #[must_use]
    pub const fn at_epoch(seed: u64, epoch: u64) -> Self {
        Self { seed, epoch, counter: 0 }
    }

    /// One that has come this far.
    pub(crate) const fn resume(seed: u64, epoch: u64, counter: u64) -> Self {
        Self { seed, epoch, counter }
    }

    /// Seed, epoch, and how many ids were made.
    pub(crate) const fn parts(&self) -> (u64, u64, u64) {
        (self.seed, self.epoch, self.counter)
    }

    /// The text of a UUID v4 that this source has not given before.
    pub fn next_uuid(&mut self) -> alloc::string::String {
        self.counter += 1;
        let mut hash = Sha256::new();
        for part in [self.seed, self.epoch, self.counter] {
            hash.update(part.to_be_bytes());
        }
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest.iter()).for_each(|(byte, from)| *byte = *from);
        alloc::format!("{}", Builder::from_random_bytes(bytes).into_uuid().as_hyphenated())
    }

    pub(crate) fn message_id(&mut self) -> MessageId {
        // A UUID's text is never empty.
        MessageId::new(self.next_uuid()).unwrap_or_else(|_| unreachable!("a UUID is not empty"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids_and_no_two_alike() {
        let (mut one, mut two) = (IdSource::new(7), IdSource::new(7));
        let first = one.next_uuid();
        assert_eq!(first, two.next_uuid());
        assert_ne!(first, one.next_uuid());
        assert_ne!(first, IdSource::at_epoch(7, 2).next_uuid());
        assert_eq!(uuid::Uuid::parse_str(&first).unwrap().get_version_num(), 4);
    }
}
