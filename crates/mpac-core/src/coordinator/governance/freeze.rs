//! The three phases of a freeze (FRZ-01, FRZ-08 to FRZ-18, D-117, D-118, D-120).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{Decision, ErrorCode, Priority, RejectReason, Role};
use mpac_wire::payload::{Outcome, ProtocolError, Resolution};
use mpac_wire::{ConflictId, IntentId, OpId, PrincipalId};

use super::super::cascade;
use super::super::operation::authorise;
use super::super::outbox::Outbox;
use super::super::records::{Conflict, Freeze, Settled};
use super::super::session::catch_up;
use super::super::state::{InOrder, Session};
use super::{arbiter, timeout};
use crate::output::Recipients;
use crate::table::conflict::{self, State};
use crate::table::operation;

/// Nobody settled the conflict: its scope is frozen, phase 1 begins, and everybody learns of it.
pub(super) fn begin(session: &mut Session, out: &mut Outbox, id: &ConflictId) {
    let phase_ends = Some(session.now.after(&session.config.frozen_phase(1)));
    session.set_freeze(id, Freeze { at: session.now, phase: 1, phase_ends, favoured: None });
    let text = alloc::format!("conflict {id} was not resolved in time; its scope is frozen until it is");
    remind(session, out, id, text);
}

/// The next phase begins.
pub(in super::super) fn next_phase(session: &mut Session, out: &mut Outbox, id: &ConflictId) {
    let Some(freeze) = session.conflicts.get(id).and_then(|record| record.freeze.as_deref().cloned()) else {
        return;
    };
    if freeze.phase == 1 {
        second_phase(session, out, id, freeze);
    } else {
        third_phase(session, out, id);
    }
}

/// An arbiter is asked, and the most urgent intent may go on (FRZ-09 to FRZ-12).
fn second_phase(session: &mut Session, out: &mut Outbox, id: &ConflictId, freeze: Freeze) {
    let third = freeze.phase_ends.unwrap_or(session.now).after(&session.config.frozen_phase(2));
    let disabled = session.config.governance.frozen_scope_disable_phase_3 == Some(true);
    let favoured = most_urgent(session, id);
    session.set_freeze(
        id,
        Freeze { phase: 2, phase_ends: (!disabled).then_some(third), favoured: favoured.clone(), ..freeze },
    );
    let Some(record) = session.conflicts.get(id) else { return };
    if !is_with_an_arbiter(session, record)
        && let Some(arbiter) = arbiter(session)
    {
        timeout::escalate(session, out, id, arbiter, "frozen_scope_phase_2");
    }
    let told = favoured.is_some_and(|favoured| tell_the_others(session, out, id, &favoured));
    if !told {
        let text =
            alloc::format!("conflict {id} is still open and its scope frozen: somebody must resolve it");
        remind(session, out, id, text);
    }
}

/// Whether somebody who is here and an arbiter has been asked already.
pub(super) fn is_with_an_arbiter(session: &Session, record: &Conflict) -> bool {
    let target = record.escalated.as_ref().and_then(|(target, _)| session.members.get(target));
    record.state == State::Escalated
        && target.is_some_and(|member| member.available && member.roles.contains(&Role::Arbiter))
}

/// An arbiter has come: whatever is frozen in phase 2 and with nobody who could settle it goes to them, or it might stay
/// frozen for good (FRZ-09, D-110).
pub(in super::super) fn somebody_came(session: &mut Session, out: &mut Outbox, principal: &PrincipalId) {
    if !session.members.get(principal).is_some_and(|member| member.roles.contains(&Role::Arbiter)) {
        return;
    }
    let waiting = |id: &&ConflictId| {
        session.conflicts.get(*id).is_some_and(|record| {
            record.freeze.as_ref().is_some_and(|freeze| freeze.phase >= 2)
                && !is_with_an_arbiter(session, record)
        })
    };
    for id in session.frozen.conflicts().filter(waiting).cloned().collect::<Vec<_>>() {
        timeout::escalate(session, out, &id, principal.clone(), "frozen_scope_phase_2");
    }
}

/// The related intent that ranks strictly above all others that are not over (D-120).
fn most_urgent(session: &Session, id: &ConflictId) -> Option<IntentId> {
    let record = session.conflicts.get(id)?;
    let live =
        record.intents.iter().filter_map(|id| session.intents.get(id)).filter(|intent| intent.is_live());
    let mut ranked: Vec<(u8, &IntentId)> = live.map(|intent| (rank(&intent.priority), &intent.id)).collect();
    ranked.sort_by_key(|(rank, _)| core::cmp::Reverse(*rank));
    match ranked.as_slice() {
        [(first, id), (second, _), ..] if first > second => Some((*id).clone()),
        [(_, alone)] => Some((*alone).clone()), // above all others, of which there are none
        _ => None,
    }
}

/// low < normal < high < critical; what we do not know ranks as normal.
fn rank(priority: &Priority) -> u8 {
    match priority {
        Priority::Low => 0,
        Priority::High => 2,
        Priority::Critical => 3,
        _ => 1,
    }
}

/// Owners of the less urgent intents learn that the scope is open for the other one (FRZ-11). Says whether there are any.
fn tell_the_others(session: &mut Session, out: &mut Outbox, id: &ConflictId, favoured: &IntentId) -> bool {
    let Some(record) = session.conflicts.get(id) else { return false };
    let others = record.intents.iter().filter(|intent| *intent != favoured);
    let owners: BTreeSet<PrincipalId> = others
        .filter_map(|intent| session.intents.get(intent))
        .filter(|intent| intent.is_live())
        .map(|intent| intent.owner.clone())
        .collect();
    if owners.is_empty() {
        return false;
    }
    let text = alloc::format!(
        "the frozen scope of conflict {id} is open for {favoured}, which has the higher priority, and for nothing else"
    );
    let mut error = ProtocolError::new(ErrorCode::ScopeFrozen, text);
    error.conflict_id = Some(id.clone());
    out.send(session, Recipients::Only(owners.into_iter().collect()), error);
    true
}

pub(super) fn remind(session: &mut Session, out: &mut Outbox, id: &ConflictId, text: String) {
    let report = session.conflicts.get(id).and_then(|record| record.report.clone());
    let mut error = ProtocolError::new(ErrorCode::ResolutionTimeout, text);
    error.refers_to = report.map(|id| id.as_str().into()); // D-116
    error.conflict_id = Some(id.clone());
    out.send(session, Recipients::All, error);
}

/// The first committer wins, and the conflict is over (FRZ-13 to FRZ-16, D-118). An all-or-nothing batch wins as a whole:
/// its author would reverse all of it for one entry that lost (BAT-12).
fn third_phase(session: &mut Session, out: &mut Outbox, id: &ConflictId) {
    let candidates = candidates(session, id);
    let escalated_to =
        session.conflicts.get(id).and_then(|record| record.escalated.as_ref()).map(|(to, _)| to.clone());
    if session.move_conflict(id, conflict::Event::FreezePhase3) == Some(State::Resolved) {
        session.move_conflict(id, conflict::Event::Archived);
    }
    let resolution_id = cascade::next_resolution_id(session);
    let first = candidates.first().map(|first| authorise::unit(session, first)).unwrap_or_default();
    let (winners, losers): (Vec<&OpId>, Vec<&OpId>) = candidates.iter().partition(|op| first.contains(op));
    let is_committed = |op: &OpId| {
        session.operations.get(op).is_some_and(|record| record.state == operation::State::Committed)
    };
    let rollback = if losers.iter().any(|op| is_committed(op)) {
        alloc::format!("compensation:{resolution_id}")
    } else {
        "not_required".to_owned()
    };
    let mut outcome = Outcome::new();
    outcome.accepted = Some(winners.iter().map(|op| op.as_str().to_owned()).collect());
    outcome.rejected = Some(losers.iter().map(|op| op.as_str().to_owned()).collect());
    outcome.rollback = Some(rollback);
    let rationale = "frozen_scope_progressive_fallback_phase_3";
    let mut resolution = Resolution::new(id.clone(), Decision::PolicyOverride);
    resolution.resolution_id = Some(resolution_id.clone());
    resolution.rationale = Some(rationale.to_owned());
    resolution.outcome = Some(outcome.clone());
    let settled = Settled {
        id: resolution_id,
        by: session.coordinator.principal_id.clone(),
        decision: Decision::PolicyOverride,
        outcome: Some(outcome),
        rationale: rationale.to_owned(),
        at: session.now,
        escalated_to,
        causally_partial: false,
    };
    if let Some(record) = session.conflicts.get_mut(id) {
        record.resolution = Some(settled.into());
    }
    out.send(session, Recipients::All, resolution);
    catch_up::commits_overruled(session, id, losers.iter().copied());
    for op in &losers {
        lose(session, out, op);
    }
    cascade::batches_fall(session, out, losers, &RejectReason::FrozenScopeFallback);
}

/// Operations of the conflict and of its intents that are not over, in the order of receipt.
fn candidates(session: &Session, id: &ConflictId) -> Vec<OpId> {
    let Some(conflict) = session.conflicts.get(id) else { return Vec::new() };
    let standing = conflict.intents.iter().filter_map(|intent| session.standing_by_intent.get(intent));
    let named = conflict.ops.iter().chain(standing.flatten().map(|(_, op)| op));
    let named = named.filter_map(|op| session.operations.get(op));
    let found: BTreeSet<InOrder<OpId>> =
        named.filter(|op| !op.state.is_terminal()).map(|op| (op.sequence, op.id.clone())).collect();
    found.into_iter().map(|(_, op)| op).collect()
}

/// A proposal is rejected; what was committed stays and is marked, for its author to compensate.
fn lose(session: &mut Session, out: &mut Outbox, op: &OpId) {
    let rejected = session.move_operation(op, operation::Event::Rejected).is_some();
    let Some(record) = session.operations.get_mut(op) else { return };
    record.contested |= !rejected;
    let proposer = record.proposer.clone();
    out.reject(session, &proposer, op, RejectReason::FrozenScopeFallback, None);
    if rejected {
        cascade::operation_ended(session, out, op);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_ranked_and_an_unknown_one_is_normal() {
        let ranks = ["low", "normal", "high", "critical"].map(|it| rank(&Priority::from(it)));
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!(rank(&Priority::from("utterly_urgent")), rank(&Priority::Normal));
    }
}
