//! What falls due, and in which order (`spec/requirements.md` §1, D-012, D-013).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use mpac_wire::{ClaimId, ConflictId, DeferralId, IntentId, OpId, PrincipalId, Timestamp};

/// Why something happens without a message. The order of the variants is the order in one sweep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The session's own time is over (SES-12).
    SessionTtl,
    /// An intent's time is over; the number keeps the order of receipt (INT-07).
    IntentTtl(u64, IntentId),
    /// A proposal has outlived its intent for long enough (CAS-02).
    Grace(u64, OpId),
    /// A participant has been silent for too long (LIV-04).
    Silent(PrincipalId),
    /// A deferral's time is over (DEF-09).
    DeferralTtl(DeferralId),
    /// A claim's grace is over (CLM-08).
    ClaimGrace(ClaimId),
    /// A conflict has been pending for too long (GOV-14).
    Unresolved(u64, ConflictId),
    /// The next phase of a freeze begins (FRZ-09, FRZ-13).
    FreezePhase(u64, ConflictId),
    /// Everything has been done for long enough (SES-11).
    AutoClose,
    /// The next COORDINATOR_STATUS heartbeat (REC-01).
    Status,
}

impl Cause {
    /// Its place among others that are due in the same sweep.
    fn rank(&self) -> u8 {
        match self {
            Self::SessionTtl => 0,
            Self::IntentTtl(..) => 1,
            Self::Grace(..) => 2,
            Self::Silent(_) => 3,
            Self::DeferralTtl(_) => 4,
            Self::ClaimGrace(_) => 5,
            Self::Unresolved(..) => 6,
            Self::FreezePhase(..) => 7,
            Self::AutoClose => 8,
            Self::Status => 9,
        }
    }
}

/// All deadlines, ordered by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deadlines(BTreeSet<(Timestamp, Cause)>);

impl Deadlines {
    pub(crate) fn insert(&mut self, at: Timestamp, cause: Cause) {
        self.0.insert((at, cause));
    }

    pub(crate) fn remove(&mut self, at: Timestamp, cause: &Cause) {
        self.0.remove(&(at, cause.clone()));
    }

    /// Moves one to another time; one that was not there is added.
    pub(crate) fn postpone(&mut self, from: Timestamp, to: Timestamp, cause: Cause) {
        let mut entry = (from, cause);
        self.0.remove(&entry);
        entry.0 = to;
        self.0.insert(entry);
    }

    /// Removes a cause whatever its time is.
    pub(crate) fn remove_all(&mut self, cause: &Cause) {
        self.0.retain(|(_, known)| known != cause);
    }

    /// When the first one is.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Those due at `now`, in the order of one sweep: by kind, then by time, then by order of receipt.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<(Timestamp, Cause)> {
        let mut due: Vec<_> = self.0.iter().take_while(|(at, _)| *at <= now).cloned().collect();
        due.sort_by_key(|(at, cause)| (cause.rank(), *at));
        due
    }

    /// The claims whose grace is over at `now`, first come first.
    pub(crate) fn due_claims(&self, now: Timestamp) -> Vec<ClaimId> {
        let due = self.0.iter().take_while(|(at, _)| *at <= now);
        let claim = |cause: &Cause| match cause {
            Cause::ClaimGrace(id) => Some(id.clone()),
            _ => None,
        };
        due.filter_map(|(_, cause)| claim(cause)).collect()
    }

    /// Takes one that is about to fire; says whether it was still there.
    pub(crate) fn take(&mut self, at: Timestamp, cause: &Cause) -> bool {
        self.0.remove(&(at, cause.clone()))
    }
}
