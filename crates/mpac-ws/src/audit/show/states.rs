//! What changed its state with an entry: also where nobody was told, as with operations that freeze (CAS-05, CAS-10).

use std::collections::BTreeMap;

use mpac_core::Coordinator;
use mpac_wire::names::{HeartbeatStatus, IntentState, OperationState};
use serde::Serialize;

/// By what it is and its id.
pub(super) type States = BTreeMap<(&'static str, String), String>;

/// One change.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// `participant`, `intent`, `operation`, `conflict`, `claim`, `deferral` or `session`.
    pub(super) what: &'static str,
    pub(super) id: String,
    /// Absent where it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    /// Absent where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<String>,
}

/// How everything in a session stands.
pub(super) fn states(coordinator: &Coordinator) -> States {
    let snapshot = coordinator.snapshot();
    let mut states = States::new();
    let mut put = |what, id: &str, state: &str| states.insert((what, id.to_owned()), state.to_owned());
    for it in snapshot.participants.iter().flatten() {
        let state = match (it.departed, it.is_available) {
            (Some(true), _) => "departed",
            (_, Some(false)) => "unavailable",
            _ => it.status.as_ref().map_or("here", HeartbeatStatus::as_str),
        };
        put("participant", it.principal_id.as_str(), state);
    }
    for it in snapshot.intents.iter().flatten() {
        let state = it.state.as_ref().map_or("ACTIVE", IntentState::as_str);
        put("intent", it.intent_id.as_str(), state);
    }
    for it in snapshot.operations.iter().flatten() {
        let state = it.state.as_ref().map_or("PROPOSED", OperationState::as_str);
        put("operation", it.op_id.as_str(), state);
    }
    for it in snapshot.conflicts.iter().flatten() {
        let state = it.state.as_ref().map_or("OPEN", |state| state.as_str());
        let frozen = if it.scope_frozen == Some(true) { ", its scope frozen" } else { "" };
        put("conflict", it.conflict_id.as_str(), &format!("{state}{frozen}"));
    }
    for it in snapshot.pending_claims.iter().flatten() {
        put("claim", it.claim_id.as_str(), "pending");
    }
    for it in snapshot.deferrals.iter().flatten() {
        put("deferral", it.deferral_id.as_str(), "open");
    }
    let session = if coordinator.view().is_closed() { "closed" } else { "open" };
    put("session", snapshot.session_id.as_str(), session);
    states
}

/// From one to the other, in the order of what they are and their ids.
pub(super) fn changes(before: &States, after: &States) -> Vec<Change> {
    let change = |key: &(&'static str, String)| {
        let (from, to) = (before.get(key), after.get(key));
        let (what, id) = key.clone();
        (from != to).then(|| Change { what, id, from: from.cloned(), to: to.cloned() })
    };
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    after.keys().chain(gone).filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_and_moved_is_told_and_the_rest_is_not() {
        let states = |of: &[(&'static str, &str, &str)]| -> States {
            of.iter().map(|(what, id, state)| ((*what, (*id).to_owned()), (*state).to_owned())).collect()
        };
        let before =
            states(&[("intent", "a", "ACTIVE"), ("intent", "b", "ACTIVE"), ("claim", "c", "pending")]);
        let after =
            states(&[("intent", "a", "WITHDRAWN"), ("intent", "b", "ACTIVE"), ("operation", "o", "x")]);
        let told: Vec<String> = changes(&before, &after)
            .iter()
            .map(|it| format!("{} {} {:?} {:?}", it.what, it.id, it.from.as_deref(), it.to.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                "intent a Some(\"ACTIVE\") Some(\"WITHDRAWN\")",
                "operation o None Some(\"x\")",
                "claim c Some(\"pending\") None"
            ]
        );
    }
}
