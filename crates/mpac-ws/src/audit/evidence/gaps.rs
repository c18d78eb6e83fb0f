//! Where a log says itself that it does not have everything: it was repaired, or whoever wrote it came to an end before all that
//! was said was kept.

use std::ops::RangeInclusive;

use mpac_core::Coordinator;
use mpac_wire::Timestamp;
use serde::Serialize;

use crate::store::entry::Entry;
use crate::store::input::Stored;

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
    gaps: Vec<Gap>,
    /// The session is somebody else's: what happened last before the log said so, and up to which epoch they have it.
    fenced: Option<(Timestamp, u64)>,
}

/// Where what was said may be lost.
#[derive(Debug)]
struct Gap {
    from: Timestamp,
    to: Timestamp,
    /// Under which epochs others had the session. They need not have heard when this one took it up, and nor need whoever had
    /// it under an earlier one, whose last words are then not in this log either.
    elsewhere: Option<RangeInclusive<u64>>,
    /// The entry that says so.
    n: u64,
}

impl Gaps {
    /// Looks at entry `n`, before which the session was this one.
    pub(super) fn note(&mut self, n: u64, entry: &Entry, session: &Coordinator) {
        let (before, handed_over) = (session.view().now(), session.view().is_handed_over());
        let gap = |from, elsewhere| Gap { from, to: entry.at().max(before), elsewhere, n };
        match entry {
            Entry::Repaired(it) => {
                self.repairs.push(Repair {
                    log_seq: n,
                    at: it.at,
                    way: it.way.clone(),
                    after: it.after,
                    lost: it.lost,
                    aside: it.aside.clone(),
                });
                self.gaps.push(gap(before, None));
            }
            Entry::Input(it) => {
                if let Stored::Fence { epoch } = *it.input()
                    && epoch > session.epoch()
                {
                    let (from, highest) = self.fenced.unwrap_or((before, epoch));
                    self.fenced = Some((from, highest.max(epoch)));
                }
            }
            Entry::TakeUp(_) => match self.fenced.take() {
                Some((from, epoch)) => {
                    self.gaps.push(gap(from, Some(session.epoch().saturating_add(1)..=epoch)));
                }
                // Nobody took leave: it crashed, or this goes on from a copy that may not have had the last of it.
                None if !handed_over => self.gaps.push(gap(before, None)),
                None => {}
            },
            Entry::Open(_) | Entry::Fork(_) | Entry::Seal(_) => {}
        }
    }

    /// The entry that says that what was said at this time, under this epoch, may be lost.
    pub(super) fn around(&self, at: Timestamp, epoch: Option<u64>) -> Option<u64> {
        self.gaps.iter().find(|gap| gap.is_around(at, epoch)).map(|gap| gap.n)
    }

    pub(super) fn into_repairs(self) -> Vec<Repair> {
        self.repairs
    }
}

impl Gap {
    fn is_around(&self, at: Timestamp, epoch: Option<u64>) -> bool {
        let is_elsewhere = self.elsewhere.as_ref().zip(epoch).is_some_and(|(elsewhere, epoch)| {
            elsewhere.contains(&epoch) || epoch < *elsewhere.start() && self.from <= at
        });
        is_elsewhere || self.from <= at && at <= self.to
    }
}
