//! A session as it stands, in lines for people.

use std::collections::{BTreeMap, BTreeSet};

use mpac_core::Coordinator;
use mpac_wire::StateRef;
use mpac_wire::snapshot::{ConflictRecord, IntentRecord, OperationRecord, ParticipantRecord, Snapshot};

use super::text::{covered, harmless};
use crate::store::kept::Kept;

/// Everything that people ask of it, after entry `n`.
pub(super) fn lines(coordinator: &Coordinator, kept: &Kept, n: u64) -> String {
    let snapshot = coordinator.snapshot();
    let state = match (coordinator.view().is_closed(), coordinator.view().is_open()) {
        (true, _) => ", closed",
        (false, false) => ", nobody has joined yet",
        (false, true) => "",
    };
    let mut text = format!(
        "session {} after entry {n}, {}: epoch {}, Lamport {}{state}\n",
        harmless(snapshot.session_id.as_str()),
        snapshot.captured_at,
        coordinator.epoch(),
        coordinator.view().lamport()
    );
    let conflicts = snapshot.conflicts.as_deref().unwrap_or_default();
    section(&mut text, "participants", snapshot.participants.iter().flatten().map(participant));
    section(&mut text, "intents", snapshot.intents.iter().flatten().map(intent));
    section(&mut text, "operations", snapshot.operations.iter().flatten().map(operation));
    section(&mut text, "conflicts", conflicts.iter().map(conflict));
    let frozen = conflicts.iter().filter(|it| it.scope_frozen == Some(true));
    section(&mut text, "frozen", frozen.map(freeze));
    section(&mut text, "claims", claims(&snapshot));
    section(&mut text, "deferrals", deferrals(&snapshot));
    section(&mut text, "files", files(&snapshot, kept));
    text
}

fn section(text: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let lines: Vec<String> = lines.into_iter().collect();
    if lines.is_empty() {
        return;
    }
    text.extend([title, " (", &lines.len().to_string(), ")\n"]);
    lines.iter().for_each(|line| text.extend(["  ", line, "\n"]));
}

fn participant(it: &ParticipantRecord) -> String {
    let state = match (it.departed, it.is_available) {
        (Some(true), _) => "has left",
        (_, Some(false)) => "is unavailable",
        _ => it.status.as_ref().map_or("is here", |status| status.as_str()),
    };
    let roles: Vec<&str> = it.roles.iter().flatten().map(|role| role.as_str()).collect();
    let seen = it.last_seen.map(|at| format!(", last heard {at}")).unwrap_or_default();
    format!(
        "{} ({}): {}{seen}",
        harmless(it.principal_id.as_str()),
        harmless(&roles.join(", ")),
        harmless(state)
    )
}

fn intent(it: &IntentRecord) -> String {
    let until = it.expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
    format!(
        "{} {} of {} on {}{until}: {}",
        harmless(it.intent_id.as_str()),
        it.state.as_ref().map_or("ACTIVE", |state| state.as_str()),
        harmless(it.principal_id.as_str()),
        covered(&it.scope),
        harmless(it.objective.as_deref().unwrap_or_default())
    )
}

fn operation(it: &OperationRecord) -> String {
    let intent = it.intent_id.as_deref().filter(|id| !id.is_empty());
    let intent =
        intent.map_or_else(|| "without an intent".to_owned(), |id| format!("under {}", harmless(id)));
    let state_ref =
        |it: &Option<StateRef>| it.as_ref().map_or_else(|| "?".to_owned(), |it| harmless(it.as_str()));
    format!(
        "{} {} of {} on {}, {intent}: {} -> {}",
        harmless(it.op_id.as_str()),
        it.state.as_ref().map_or("PROPOSED", |state| state.as_str()),
        harmless(it.principal_id.as_str()),
        harmless(it.target.as_deref().unwrap_or("?")),
        state_ref(&it.state_ref_before),
        state_ref(&it.state_ref_after)
    )
}

fn conflict(it: &ConflictRecord) -> String {
    let side = |who: Option<&str>, intent: Option<&str>| {
        let intent = intent.map(|intent| format!(" ({})", harmless(intent))).unwrap_or_default();
        who.map_or_else(|| "?".to_owned(), harmless) + &intent
    };
    let a = side(it.principal_a.as_ref().map(|it| it.as_str()), it.intent_a.as_ref().map(|it| it.as_str()));
    let b = side(it.principal_b.as_ref().map(|it| it.as_str()), it.intent_b.as_ref().map(|it| it.as_str()));
    let settled = it.resolution.as_ref().map(|resolution| {
        let by =
            it.resolved_by.as_ref().map(|by| format!(" by {}", harmless(by.as_str()))).unwrap_or_default();
        let why =
            resolution.rationale.as_deref().map(|why| format!(": {}", harmless(why))).unwrap_or_default();
        format!("; {}{by}{why}", harmless(resolution.decision.as_str()))
    });
    format!(
        "{} {} {} between {a} and {b}{}",
        harmless(it.conflict_id.as_str()),
        it.state.as_ref().map_or("OPEN", |state| state.as_str()),
        it.category.as_ref().map_or("scope_overlap", |category| category.as_str()),
        settled.unwrap_or_default()
    )
}

fn freeze(it: &ConflictRecord) -> String {
    let phase = it.phase.as_ref().map(|phase| format!(", phase {}", phase.get())).unwrap_or_default();
    let ends = it.phase_ends_at.map(|at| format!(" until {at}")).unwrap_or_default();
    let what = harmless(it.description.as_deref().unwrap_or_default());
    format!("by {}{phase}{ends}: {what}", harmless(it.conflict_id.as_str()))
}

fn claims(snapshot: &Snapshot) -> Vec<String> {
    let line = |it: &mpac_wire::snapshot::ClaimRecord| {
        format!(
            "{} of {} on {} of {}",
            harmless(it.claim_id.as_str()),
            harmless(it.claimer_principal_id.as_str()),
            harmless(it.original_intent_id.as_str()),
            harmless(it.original_principal_id.as_str())
        )
    };
    snapshot.pending_claims.iter().flatten().map(line).collect()
}

fn deferrals(snapshot: &Snapshot) -> Vec<String> {
    let line = |it: &mpac_wire::snapshot::DeferralRecord| {
        let reason = it.reason.as_deref().map(|it| format!(": {}", harmless(it))).unwrap_or_default();
        format!(
            "{} of {}, until {}{reason}",
            harmless(it.deferral_id.as_str()),
            harmless(it.principal_id.as_str()),
            it.expires_at
        )
    };
    snapshot.deferrals.iter().flatten().map(line).collect()
}

/// By their references; those whose content is in the log are marked.
fn files(snapshot: &Snapshot, kept: &Kept) -> Vec<String> {
    let committed: BTreeSet<&str> = kept.contents().map(|(name, ..)| name).collect();
    let mut refs: BTreeMap<&str, &StateRef> =
        kept.config.workspace.iter().flatten().map(|(name, state_ref)| (name.as_str(), state_ref)).collect();
    refs.extend(
        snapshot.target_state_refs.iter().flatten().map(|(name, state_ref)| (name.as_str(), state_ref)),
    );
    let line = |(name, state_ref): (&str, &StateRef)| {
        let mark = if committed.contains(name) { ", committed" } else { "" };
        format!("{} {}{mark}", harmless(name), harmless(state_ref.as_str()))
    };
    refs.into_iter().map(line).collect()
}
