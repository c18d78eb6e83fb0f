//! States as the wire writes them.

use mpac_wire::names::{ConflictState, IntentState, OperationState};

use crate::table::{conflict, intent, operation};

pub(in super::super) fn intent_state(state: intent::State) -> IntentState {
    match state {
        intent::State::Active => IntentState::Active,
        intent::State::Suspended => IntentState::Suspended,
        intent::State::Expired => IntentState::Expired,
        intent::State::Withdrawn => IntentState::Withdrawn,
        intent::State::Superseded => IntentState::Superseded,
        intent::State::Transferred => IntentState::Transferred,
    }
}

pub(super) fn operation_state(state: operation::State) -> OperationState {
    match state {
        operation::State::Proposed => OperationState::Proposed,
        operation::State::Committed => OperationState::Committed,
        operation::State::Rejected => OperationState::Rejected,
        operation::State::Abandoned => OperationState::Abandoned,
        operation::State::Frozen => OperationState::Frozen,
        operation::State::Superseded => OperationState::Superseded,
    }
}

pub(in super::super) fn conflict_state(state: conflict::State) -> ConflictState {
    match state {
        conflict::State::Open => ConflictState::Open,
        conflict::State::Acked => ConflictState::Acked,
        conflict::State::Escalated => ConflictState::Escalated,
        conflict::State::Resolved => ConflictState::Resolved,
        conflict::State::Closed => ConflictState::Closed,
        conflict::State::Dismissed => ConflictState::Dismissed,
    }
}

/// The state with this name; `None` for a name we do not know.
pub(super) fn named<S: Copy, N: PartialEq>(states: &[S], name: &N, write: impl Fn(S) -> N) -> Option<S> {
    states.iter().copied().find(|state| write(*state) == *name)
}
