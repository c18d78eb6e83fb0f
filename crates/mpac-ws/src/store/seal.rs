//! Seals: entries in which the coordinator signs how its log stands (SEC-25, D-130).
//!
//! The chain of checksums shows damage. It does not show that somebody wrote the log anew, for anybody can make checksums; a
//! signature over the chain's head only the coordinator can make. What a seal covers can be changed by nobody without the key;
//! what came after the last one can be cut off unseen, and so can everything behind an older seal, by whoever can write to the
//! data directory, as long as nobody else has a later one. So seals are frequent: after the first entry that a process writes,
//! then after [`EVERY`] entries at the latest, with each snapshot, with another key, and at the end.

use std::sync::Arc;

use mpac_wire::signature::{NotCanonical, signed_bytes};
use mpac_wire::{Fingerprint, SessionId, Signature, Timestamp};
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use crate::signing::{self, Signing, Verifying};

/// So many entries at the most have no seal after them, as long as the process lives.
pub(crate) const EVERY: u64 = 64;

/// What the coordinator signs: the entry itself without `signature`, in canonical form, as with messages (`spec/wire.md` §12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    /// The time of the entry that it covers last.
    pub(crate) at: Timestamp,
    pub(crate) session_id: SessionId,
    /// The last entry that it covers: the one before it.
    pub(crate) seq: u64,
    /// The checksum of that entry.
    pub(crate) head: String,
    /// By the key that the coordinator signs its messages with.
    pub(crate) signature: String,
}

impl Seal {
    /// Whether it is about the entry before it, as every seal is.
    pub(super) fn is_of(&self, seq: u64, head: &str) -> bool {
        self.seq == seq && self.head == head
    }

    /// Which key it says it is by.
    pub(crate) fn key(&self) -> Option<Fingerprint> {
        self.signature.parse::<Signature>().ok().map(|signature| signature.key)
    }

    /// Whether this key made it.
    pub(crate) fn is_by(&self, key: &Verifying) -> bool {
        let Ok(text) = serde_json::to_string(&Entry::Seal(self.clone())) else { return false };
        let verdict = signing::verify(&text, Some(&self.signature), |_| Some(key.clone()));
        matches!(verdict, mpac_core::Signed::Good { .. })
    }
}

/// Seals the log of one session.
#[derive(Clone, Debug)]
pub(crate) struct Sealer {
    session: SessionId,
    key: Arc<Signing>,
    /// Entries since the last seal.
    since: u64,
    /// When the last entry was received that this process wrote, if it has no seal.
    behind: Option<Timestamp>,
}

impl Sealer {
    /// Whatever is in the log already, the next entry is followed by a seal.
    pub(crate) const fn new(session: SessionId, key: Arc<Signing>) -> Self {
        Self { session, key, since: EVERY - 1, behind: None }
    }

    /// Goes on with another key. The one before has sealed the entry that says so.
    pub(crate) fn switch(&mut self, key: Arc<Signing>) {
        self.key = key;
    }

    /// One more entry is written; whether a seal is due. The one that says that another key takes the place of this one is sealed
    /// at once: whoever trusts the one can then trust the other.
    pub(super) fn count(&mut self, entry: &Entry) -> bool {
        (self.since, self.behind) = (self.since + 1, Some(entry.at()));
        self.since >= EVERY || entry.is_rotation()
    }

    /// The seal behind entry `seq`; `None` where nothing was written that has none.
    pub(super) fn seal(&mut self, seq: u64, head: &str) -> Result<Option<Entry>, NotCanonical> {
        let Some(at) = self.behind.take() else { return Ok(None) };
        let session_id = self.session.clone();
        let mut seal = Seal { at, session_id, seq, head: head.to_owned(), signature: String::new() };
        let entry = serde_json::to_string(&Entry::Seal(seal.clone()));
        let entry = entry.map_err(|error| NotCanonical::Syntax { problem: error.to_string() })?;
        seal.signature = self.key.over(signed_bytes(&entry)?.as_bytes()).to_string();
        self.since = 0;
        Ok(Some(Entry::Seal(seal)))
    }
}

#[cfg(test)]
mod tests;
