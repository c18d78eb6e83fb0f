//! The life of an operation (`spec/requirements.md` §3.2).

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the table has no other state")]
pub enum State {
    /// Asked for, not done.
    Proposed,
    /// Done. Stable: only a supersession changes it.
    Committed,
    /// Refused.
    Rejected,
    /// Its proposer is gone.
    Abandoned,
    /// Its intent is suspended.
    Frozen,
    /// Another operation took its place.
    Superseded,
}

/// What can happen to an operation. Which event an OP_COMMIT is depends on the execution model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the table has no other event")]
pub enum Event {
    /// OP_PROPOSE, or a pre-commit request.
    Proposed,
    /// OP_PROPOSE naming an intent that is over.
    ProposedTooLate,
    /// OP_COMMIT that declares the operation done: post-commit, or a pre-commit completion.
    Committed,
    /// The coordinator or a reviewer authorises it.
    Authorised,
    /// OP_REJECT, a resolution, or the loss of a freeze's last phase.
    Rejected,
    /// Its intent is over, and so is the grace.
    IntentEnded,
    /// Its intent is suspended and its proposer still here.
    IntentSuspended,
    /// Its intent is active again.
    IntentRestored,
    /// Its proposer is unavailable or has left, or the session closed.
    ProposerLost,
    /// OP_SUPERSEDE names it as the old one.
    Superseded,
}

/// Every state.
pub const STATES: [State; 6] =
    [State::Proposed, State::Committed, State::Rejected, State::Abandoned, State::Frozen, State::Superseded];

/// Every event.
pub const EVENTS: [Event; 10] = [
    Event::Proposed,
    Event::ProposedTooLate,
    Event::Committed,
    Event::Authorised,
    Event::Rejected,
    Event::IntentEnded,
    Event::IntentSuspended,
    Event::IntentRestored,
    Event::ProposerLost,
    Event::Superseded,
];

impl State {
    /// REJECTED, ABANDONED or SUPERSEDED; COMMITTED is settled but not terminal.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Proposed | Self::Committed | Self::Frozen => false,
            Self::Rejected | Self::Abandoned | Self::Superseded => true,
        }
    }

    /// PROPOSED or FROZEN: something is still to come.
    pub const fn is_pending(self) -> bool {
        match self {
            Self::Proposed | Self::Frozen => true,
            Self::Committed | Self::Rejected | Self::Abandoned | Self::Superseded => false,
        }
    }
}

/// What `on` makes of `from`.
#[rustfmt::skip]
pub const fn next(from: Option<State>, on: Event) -> Option<State> {
    use {Event as E, State as S};
    Some(match (from, on) {
        (None,               E::Proposed)        => S::Proposed,   // OPS-01, OPS-04
        (None,               E::ProposedTooLate) => S::Rejected,   // OPS-02
        (None,               E::Committed)       => S::Committed,  // OPS-03
        (Some(S::Proposed),  E::Authorised)      => S::Proposed,   // OPS-06, OPS-10
        (Some(S::Proposed),  E::Committed)       => S::Committed,  // OPS-09, OPS-28
        (Some(S::Proposed),  E::Rejected)        => S::Rejected,   // OPS-17, FRZ-14
        (Some(S::Proposed),  E::IntentEnded)     => S::Rejected,   // CAS-01
        (Some(S::Proposed),  E::IntentSuspended) => S::Frozen,     // CAS-05
        (Some(S::Proposed),  E::ProposerLost)    => S::Abandoned,  // LIV-11, BYE-07, SES-16
        (Some(S::Frozen),    E::IntentRestored)  => S::Proposed,   // CAS-07
        (Some(S::Frozen),    E::IntentEnded)     => S::Rejected,   // CAS-06
        (Some(S::Frozen),    E::Rejected)        => S::Rejected,   // D-095
        (Some(S::Frozen),    E::ProposerLost)    => S::Abandoned,  // D-102
        (Some(S::Committed), E::Superseded)      => S::Superseded, // OPS-19
        _ => return None, // a move that is not listed cannot happen
    })
}
