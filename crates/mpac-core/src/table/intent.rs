//! The life of an intent (`spec/requirements.md` §3.1).

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the table has no other state")]
pub enum State {
    /// Its owner works under it.
    Active,
    /// Its owner is gone, or its owner's model is; it can be claimed.
    Suspended,
    /// Its time ran out.
    Expired,
    /// Its owner, a resolution or the close gave it up.
    Withdrawn,
    /// Another intent of its owner took its place.
    Superseded,
    /// Somebody else's intent took its place.
    Transferred,
}

/// What can happen to an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the table has no other event")]
pub enum Event {
    /// INTENT_ANNOUNCE with its id, or a claim approved that names it as the new one.
    Announced,
    /// INTENT_UPDATE by its owner.
    Updated,
    /// INTENT_WITHDRAW or GOODBYE by its owner.
    Withdrawn,
    /// The session closes and withdraws all.
    SessionClosed,
    /// Its deadline is reached.
    TtlReached,
    /// Another intent of its owner replaces it.
    Superseded,
    /// Its owner is unavailable, leaves it to others, or has no working model.
    Suspended,
    /// Its owner is back.
    OwnerReturned,
    /// A claim on it is approved.
    ClaimApproved,
    /// A resolution rejects it.
    ResolutionRejected,
}

/// Every state.
pub const STATES: [State; 6] = [
    State::Active,
    State::Suspended,
    State::Expired,
    State::Withdrawn,
    State::Superseded,
    State::Transferred,
];

/// Every event.
pub const EVENTS: [Event; 10] = [
    Event::Announced,
    Event::Updated,
    Event::Withdrawn,
    Event::SessionClosed,
    Event::TtlReached,
    Event::Superseded,
    Event::Suspended,
    Event::OwnerReturned,
    Event::ClaimApproved,
    Event::ResolutionRejected,
];

impl State {
    /// Whether nothing can happen to it any more.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Active | Self::Suspended => false,
            Self::Expired | Self::Withdrawn | Self::Superseded | Self::Transferred => true,
        }
    }
}

/// What `on` makes of `from`. An owner's withdrawal of a suspended intent is two steps: OwnerReturned, then
/// Withdrawn (D-081).
#[rustfmt::skip]
pub const fn next(from: Option<State>, on: Event) -> Option<State> {
    use {Event as E, State as S};
    Some(match (from, on) {
        (None,               E::Announced)          => S::Active,      // INT-03, CLM-09
        (Some(S::Active),    E::Updated)            => S::Active,      // INT-12
        (Some(S::Active),    E::Withdrawn)          => S::Withdrawn,   // INT-15, BYE-04
        (Some(S::Active),    E::TtlReached)         => S::Expired,     // INT-07
        (Some(S::Active),    E::Superseded)         => S::Superseded,  // INT-17, LCK-06
        (Some(S::Active),    E::Suspended)          => S::Suspended,   // LIV-07, BYE-05, BHM-05
        (Some(S::Active),    E::ResolutionRejected) => S::Withdrawn,   // INT-19
        (Some(S::Suspended), E::ResolutionRejected) => S::Withdrawn,   // INT-19
        (Some(S::Active),    E::SessionClosed)      => S::Withdrawn,   // SES-16
        (Some(S::Suspended), E::OwnerReturned)      => S::Active,      // LIV-14, HEL-17
        (Some(S::Suspended), E::ClaimApproved)      => S::Transferred, // CLM-09
        (Some(S::Suspended), E::TtlReached)         => S::Expired,     // INT-07
        _ => return None, // a move that is not listed cannot happen: INT-18
    })
}
