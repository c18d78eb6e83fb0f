//! What falls due, and in which order (`spec/requirements.md` §1, D-012, D-013).

mod silence;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use mpac_wire::{ClaimId, ConflictId, DeferralId, IntentId, OpId, PrincipalId, Timestamp};
use silence::Silence;

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
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deadlines {
    /// All but those of silence.
    others: BTreeSet<(Timestamp, Cause)>,
    silence: Silence,
}

impl Deadlines {
    /// None yet. `seed` is the session's.
    pub(crate) fn new(seed: u64) -> Self {
        Self { others: BTreeSet::new(), silence: Silence::new(seed) }
    }

    pub(crate) fn clear(&mut self) {
        self.others.clear();
        self.silence.clear();
    }

    /// Adds one; [`Cause::Silent`] has [`watch_silence`](Self::watch_silence).
    pub(crate) fn insert(&mut self, at: Timestamp, cause: Cause) {
        self.others.insert((at, cause));
    }

    /// Adds when somebody's silence falls due, or moves it.
    pub(crate) fn watch_silence(&mut self, of: &PrincipalId, until: Timestamp) {
        self.silence.set(of, until);
    }

    pub(crate) fn ignore_silence(&mut self, of: &PrincipalId) {
        self.silence.remove(of);
    }

    pub(crate) fn remove(&mut self, at: Timestamp, cause: &Cause) {
        self.others.remove(&(at, cause.clone()));
    }

    /// Removes a cause whatever its time is.
    pub(crate) fn remove_all(&mut self, cause: &Cause) {
        self.others.retain(|(_, known)| known != cause);
    }

    /// When the first one is.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.others.first().map(|(at, _)| *at).into_iter().chain(self.silence.first()).min()
    }

    /// Those due at `now`, in the order of one sweep: by kind, then by time, then by order of receipt.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<(Timestamp, Cause)> {
        if self.next().is_none_or(|first| first > now) {
            return Vec::new(); // as nearly always
        }
        let mut silent: Vec<_> = self.silence.iter().take_while(|(at, _)| *at <= now).collect();
        silent.sort_unstable(); // no two are alike
        let silent = silent.into_iter().map(|(at, who)| (at, Cause::Silent(who.clone())));
        let others = self.others.iter().take_while(|(at, _)| *at <= now).cloned();
        let mut due: Vec<_> = others.chain(silent).collect();
        due.sort_by_key(|(at, cause)| (cause.rank(), *at));
        due
    }

    /// The claims whose grace is over at `now`, first come first.
    pub(crate) fn due_claims(&self, now: Timestamp) -> Vec<ClaimId> {
        let due = self.others.iter().take_while(|(at, _)| *at <= now);
        let claim = |cause: &Cause| match cause {
            Cause::ClaimGrace(id) => Some(id.clone()),
            _ => None,
        };
        due.filter_map(|(_, cause)| claim(cause)).collect()
    }

    /// Takes one that is about to fire; says whether it was still there.
    pub(crate) fn take(&mut self, at: Timestamp, cause: &Cause) -> bool {
        match cause {
            Cause::Silent(who) => {
                let there = self.silence.get(who) == Some(at);
                if there {
                    self.silence.remove(who);
                }
                there
            }
            _ => self.others.remove(&(at, cause.clone())),
        }
    }
}
