//! Where a log says itself that it does not have everything: it was repaired, or whoever wrote it came to an end before all that
//! was said was kept.

use mpac_wire::Timestamp;
use serde::Serialize;

use crate::store::entry::Entry;

/// A repair, as the log has it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Repair {
    /// The entry that says so.
    pub(super) log_seq: u64,
    pub(super) at: Timestamp,
    /// `snapshot` or `cut`.
    pub(super) way: String,
    /// The last entry of the damaged log that counts.
    pub(super) after: u64,
    /// Entries behind it that could still be read.
    pub(super) lost: u64,
    /// What is kept of the damaged log.
    pub(super) aside: String,
}

/// All of them along a log.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    repairs: Vec<Repair>,
    /// From when to when, and which entry says so.
    times: Vec<(Timestamp, Timestamp, u64)>,
}

impl Gaps {
    /// Looks at entry `n`; the last that happened `before` it in the session, which may have been `handed_over`.
    pub(super) fn note(&mut self, n: u64, entry: &Entry, before: Timestamp, handed_over: bool) {
        match entry {
            Entry::Repaired(it) => self.repairs.push(Repair {
                log_seq: n,
                at: it.at,
                way: it.way.clone(),
                after: it.after,
                lost: it.lost,
                aside: it.aside.clone(),
            }),
            // Nobody took leave: it crashed, or this goes on from a copy that may not have had the last of it.
            Entry::TakeUp(_) if !handed_over => {}
            _ => return,
        }
        self.times.push((before, entry.at(), n));
    }

    /// The entry that says of this time that what was said then may be lost.
    pub(super) fn around(&self, at: Timestamp) -> Option<u64> {
        let gap = self.times.iter().find(|(from, to, _)| *from <= at && at <= *to);
        gap.map(|(.., n)| *n)
    }

    pub(super) fn into_repairs(self) -> Vec<Repair> {
        self.repairs
    }
}
