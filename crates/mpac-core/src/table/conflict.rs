//! The life of a conflict (`spec/requirements.md` §3.3).

/// Where a conflict stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the table has no other state")]
pub enum State {
    /// Reported.
    Open,
    /// Somebody in it has seen it.
    Acked,
    /// Handed to somebody with authority.
    Escalated,
    /// Decided; becomes CLOSED in the same step.
    Resolved,
    /// Over, decided.
    Closed,
    /// Over, without a decision or with the decision that there is none.
    Dismissed,
}

/// What can happen to a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the table has no other event")]
pub enum Event {
    /// CONFLICT_REPORT, or found by the coordinator.
    Reported,
    /// CONFLICT_ACK `seen` or `accepted`.
    Acked,
    /// CONFLICT_ACK `disputed`.
    Disputed,
    /// CONFLICT_ESCALATE.
    Escalated,
    /// RESOLUTION with any decision but `dismissed`.
    Resolved,
    /// RESOLUTION with the decision `dismissed`.
    Dismissed,
    /// Everything in it is over.
    AllEnded,
    /// The last phase of its freeze begins.
    FreezePhase3,
    /// RESOLVED was recorded.
    Archived,
}

/// Every state.
pub const STATES: [State; 6] =
    [State::Open, State::Acked, State::Escalated, State::Resolved, State::Closed, State::Dismissed];

/// Every event.
pub const EVENTS: [Event; 9] = [
    Event::Reported,
    Event::Acked,
    Event::Disputed,
    Event::Escalated,
    Event::Resolved,
    Event::Dismissed,
    Event::AllEnded,
    Event::FreezePhase3,
    Event::Archived,
];

impl State {
    /// CLOSED or DISMISSED.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Open | Self::Acked | Self::Escalated | Self::Resolved => false,
            Self::Closed | Self::Dismissed => true,
        }
    }
}

/// What `on` makes of `from`.
#[rustfmt::skip]
pub const fn next(from: Option<State>, on: Event) -> Option<State> {
    use {Event as E, State as S};
    Some(match (from, on) {
        (None,               E::Reported)                => S::Open,      // CON-01, CON-04
        (Some(S::Open),      E::Acked)                   => S::Acked,     // CON-06
        (Some(S::Open),      E::Disputed)                => S::Open,      // D-109
        (Some(S::Acked),     E::Acked | E::Disputed)     => S::Acked,     // D-109
        (Some(S::Escalated), E::Acked | E::Disputed)     => S::Escalated, // D-109
        (Some(S::Open | S::Acked), E::Escalated)         => S::Escalated, // CON-07
        (Some(S::Open | S::Acked | S::Escalated), E::Resolved)  => S::Resolved,  // GOV-01, GOV-02
        (Some(S::Open | S::Acked | S::Escalated), E::Dismissed) => S::Dismissed, // D-112
        (Some(S::Open | S::Acked | S::Escalated), E::AllEnded)  => S::Dismissed, // CON-10
        (Some(S::Open),      E::FreezePhase3)            => S::Closed,    // FRZ-16
        (Some(S::Acked | S::Escalated), E::FreezePhase3) => S::Resolved,  // D-117
        (Some(S::Resolved),  E::Archived)                => S::Closed,    // GOV-07
        _ => return None, // a move that is not listed cannot happen
    })
}
