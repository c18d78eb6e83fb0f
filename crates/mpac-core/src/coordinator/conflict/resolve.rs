//! RESOLUTION: somebody with authority settles a conflict, and the outcome is applied (GOV-01 to GOV-10, D-113).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{Decision, RejectReason, Role};
use mpac_wire::payload::{IntentWithdraw, Outcome, Resolution};
use mpac_wire::{ClaimId, ConflictId, IntentId, OpId, PrincipalId, Raw, Watermark};

use super::super::cascade::{self, Grace};
use super::super::gate::Facts;
use super::super::intent::{backoff, claim as claims};
use super::super::operation::authorise;
use super::super::outbox::Outbox;
use super::super::records::{Conflict, Settled};
use super::super::session::{catch_up, divergence};
use super::super::state::{InOrder, Session};
use super::known;
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::table::conflict::{Event, State, next};
use crate::table::{intent, operation};

/// What an outcome rejects, told apart.
#[derive(Default)]
struct Rejected {
    intents: Vec<IntentId>,
    ops: Vec<OpId>,
}

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    resolution: Resolution,
) -> Result<(), Refusal> {
    if let Some(subject) = other_subject(session, resolution.conflict_id.as_str()) {
        return decide(session, out, facts, &subject, &resolution);
    }
    let record = known(session, &resolution.conflict_id)?;
    unused(session, &resolution)?;
    let by = &facts.envelope.sender.principal_id;
    authorised(session, record, by)?; // before order: GOV-03
    if record.resolution.is_some() {
        return Err(Refusal::AlreadyResolved(record.id.clone()));
    }
    let dismisses = resolution.decision == Decision::Dismissed;
    let on = if dismisses { Event::Dismissed } else { Event::Resolved };
    if next(Some(record.state), on).is_none() {
        return Err(Refusal::ConflictState { conflict: record.id.clone(), state: record.state });
    }
    let rejected = match &resolution.outcome {
        Some(outcome) => judged(session, record, outcome)?,
        None => Rejected::default(),
    };
    let conflict = record.id.clone();
    let escalated_to = record.escalated.as_ref().map(|(target, _)| target.clone());
    let text = completed(session, facts, &resolution)?;
    settle(session, facts, resolution, on, escalated_to, &text);
    cascade::relay(out, facts, Recipients::All, text.text.into());
    settle_earlier(session, out, &conflict, on);
    apply(session, out, &conflict, &rejected);
    Ok(())
}

/// What a RESOLUTION may name beside a conflict (D-084).
enum Subject {
    Claim(ClaimId),
    Proposals(Vec<OpId>),
}

/// Whether a RESOLUTION that names this id goes to something already. Nothing else may take it: one of the two would be
/// decided in the other's place (D-084).
pub(in super::super) fn is_subject(session: &Session, id: &str) -> bool {
    session.conflicts.contains_key(id) || other_subject(session, id).is_some()
}

/// Conflict ids first, then claims, then proposals.
fn other_subject(session: &Session, id: &str) -> Option<Subject> {
    if session.conflicts.contains_key(id) {
        return None;
    }
    if let Some(claim) = session.claims.get(id) {
        return Some(Subject::Claim(claim.id.clone()));
    }
    let ops = authorise::named(session, id);
    (authorise::is_pre_commit(session) && !ops.is_empty()).then_some(Subject::Proposals(ops))
}

/// Decides on a claim or on proposals: the id first, then authority; relayed complete, then carried out.
fn decide(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    subject: &Subject,
    resolution: &Resolution,
) -> Result<(), Refusal> {
    unused(session, resolution)?;
    let by = &facts.envelope.sender.principal_id;
    let approved = match subject {
        Subject::Claim(claim) => claims::judge(session, by, claim, resolution)?,
        Subject::Proposals(ops) => authorise::judge(session, by, ops, resolution)?,
    };
    let completed = completed(session, facts, resolution)?;
    session.resolutions.insert(completed.id, session.config.retained_records);
    cascade::relay(out, facts, Recipients::All, completed.text.into());
    match subject {
        Subject::Claim(claim) => claims::decided(session, out, by, claim, approved),
        Subject::Proposals(ops) => authorise::decided(session, out, by, ops, approved),
    }
    Ok(())
}

/// Every resolution has an id of its own (D-114).
fn unused(session: &Session, resolution: &Resolution) -> Result<(), Refusal> {
    match &resolution.resolution_id {
        Some(id) if session.resolutions.contains(id) => {
            Err(Refusal::Duplicate { field: "resolution_id", value: id.as_str().to_owned() })
        }
        _ => Ok(()),
    }
}

/// Before escalation owners and arbiters decide, afterwards whom it was handed to or whom the policy lists.
fn authorised(session: &Session, record: &Conflict, by: &PrincipalId) -> Result<(), Refusal> {
    let roles = session.members.get(by).map(|member| member.roles.as_slice()).unwrap_or_default();
    // A settled conflict is judged by the phase in which it was settled (GOV-03).
    let escalated_to = match &record.resolution {
        Some(settled) => settled.escalated_to.as_ref(),
        None => record.escalated.as_ref().map(|(target, _)| target),
    };
    let (allowed, needed) = match escalated_to {
        None => (
            roles.iter().any(|role| matches!(role, Role::Owner | Role::Arbiter)),
            "the role owner or arbiter".to_owned(),
        ),
        Some(target) => (
            target == by || roles.contains(&Role::Arbiter) && is_listed(session, record, by),
            alloc::format!("{target}, to whom it was escalated"),
        ),
    };
    if allowed {
        Ok(())
    } else {
        Err(Refusal::MayNotResolve { principal: by.clone(), conflict: record.id.clone(), needed })
    }
}

/// Whether the policy lets this arbiter decide escalated conflicts of this category (GOV-02, D-111).
fn is_listed(session: &Session, record: &Conflict, by: &PrincipalId) -> bool {
    let Some(policy) = &session.config.governance.escalated_arbiters else { return false };
    [record.category.as_str(), "*"].iter().any(|key| policy.get(key).is_some_and(|list| list.contains(by)))
}

/// Checks that an outcome speaks of this conflict, and consistently (GOV-05, D-113).
fn judged(session: &Session, record: &Conflict, outcome: &Outcome) -> Result<Rejected, Refusal> {
    let accepted: BTreeSet<&String> = outcome.accepted.iter().flatten().collect();
    let merged = outcome.merged.iter().flatten();
    let place = (record.sequence, record.id.clone());
    let mut rejected = Rejected::default();
    for id in outcome.accepted.iter().flatten().chain(merged) {
        part_of(session, &place, id)?;
    }
    for id in outcome.rejected.iter().flatten() {
        if accepted.contains(id) {
            return Err(Refusal::ContradictoryOutcome(id.clone()));
        }
        match part_of(session, &place, id)? {
            Part::Intent(intent) => rejected.intents.push(intent),
            Part::Op(op) => {
                let state = session.operations.get(&op).map(|record| record.state);
                if state == Some(operation::State::Committed) && outcome.rollback.is_none() {
                    return Err(Refusal::RollbackMissing(op));
                }
                rejected.ops.push(op);
            }
        }
    }
    Ok(rejected)
}

enum Part {
    Intent(IntentId),
    Op(OpId),
}

/// A related intent, a related operation, or an operation of a related intent. Asked of the indexes, where an open conflict is:
/// an outcome may name ten thousand ids, and the conflict as many.
fn part_of(session: &Session, place: &InOrder<ConflictId>, id: &str) -> Result<Part, Refusal> {
    let is_related =
        |intent: &IntentId| session.disputes_by_intent.get(intent).is_some_and(|known| known.contains(place));
    if let Ok(intent) = IntentId::new(id)
        && is_related(&intent)
    {
        return Ok(Part::Intent(intent));
    }
    let op = session.operations.get(id).filter(|op| {
        session.disputes_by_op.get(&op.id).is_some_and(|known| known.contains(place))
            || !op.of_earlier_intent && op.intent.as_ref().is_some_and(is_related)
    });
    match op {
        Some(op) => Ok(Part::Op(op.id.clone())),
        None => Err(Refusal::ForeignOutcome(id.to_owned())),
    }
}

/// What is relayed: the message, with the id and rationale that the references leave out (GOV-09, D-114).
struct Completed {
    text: String,
    id: mpac_wire::ResolutionId,
}

fn completed(
    session: &mut Session,
    facts: &Facts<'_>,
    resolution: &Resolution,
) -> Result<Completed, Refusal> {
    let id = match &resolution.resolution_id {
        Some(id) => id.clone(),
        None => cascade::draw_resolution_id(session), // not used yet: the message may still be refused
    };
    if facts.is_signed() {
        return Ok(Completed { text: facts.received.text().as_ref().to_owned(), id });
    }
    let text = facts.edited(&session.config.limits, |members| {
        if resolution.resolution_id.is_none()
            && let Ok(id) = Raw::of(&id)
        {
            members.insert("resolution_id", id);
        }
        if resolution.rationale.is_none()
            && let Ok(rationale) = Raw::of("")
        {
            members.insert("rationale", rationale);
        }
    })?;
    Ok(Completed { text, id })
}

fn settle(
    session: &mut Session,
    facts: &Facts<'_>,
    resolution: Resolution,
    on: Event,
    escalated_to: Option<PrincipalId>,
    completed: &Completed,
) {
    let id = &resolution.conflict_id;
    // Over before its outcome is applied: what ends now must not dismiss it as well.
    end(session, id, on);
    session.resolutions.insert(completed.id.clone(), session.config.retained_records);
    let at = session.now;
    if let Some(record) = session.conflicts.get_mut(id) {
        let settled = Settled {
            id: completed.id.clone(),
            by: facts.envelope.sender.principal_id.clone(),
            decision: resolution.decision,
            outcome: resolution.outcome,
            rationale: resolution.rationale.unwrap_or_default(),
            at,
            escalated_to,
            causally_partial: facts.envelope.watermark.as_ref().is_some_and(Watermark::is_opaque),
        };
        record.resolution = Some(settled.into());
    }
}

fn end(session: &mut Session, id: &ConflictId, on: Event) {
    if session.move_conflict(id, on) == Some(State::Resolved) {
        session.move_conflict(id, Event::Archived);
    }
}

/// What is decided of a divergence is decided of its principal's earlier ones, but for those that somebody else was asked to
/// decide (GOV-02). Everybody may know of one from a summary.
fn settle_earlier(session: &mut Session, out: &mut Outbox, conflict: &ConflictId, on: Event) {
    for id in divergence::settled_with(session, conflict) {
        let decided = session.conflicts.get(conflict).and_then(|record| record.resolution.as_deref());
        let Some(mut settled) = decided.cloned() else { return };
        if session.conflicts.get(&id).is_none_or(|record| authorised(session, record, &settled.by).is_err()) {
            continue;
        }
        settled.id = cascade::draw_resolution_id(session);
        session.resolutions.insert(settled.id.clone(), session.config.retained_records);
        end(session, &id, on);
        let Some(record) = session.conflicts.get_mut(&id) else { continue };
        settled.escalated_to = record.escalated.as_ref().map(|(target, _)| target.clone());
        // It has nothing that an outcome could be about.
        settled.outcome = None;
        record.resolution = Some(settled.into());
        tell_as_it_was(session, out, Recipients::All, &id);
    }
}

/// Tells somebody who was away how a conflict was settled, as long as it is remembered (HEL-18). The message itself is not
/// kept: the coordinator says it, and whose decision it was, of what kind of conflict: its report may have gone past it as well.
pub(in super::super) fn tell_as_it_was(
    session: &mut Session,
    out: &mut Outbox,
    to: Recipients,
    conflict: &ConflictId,
) {
    let Some(record) = session.conflicts.get(conflict) else { return };
    let Some(settled) = record.resolution.as_deref() else { return };
    let mut resolution = Resolution::new(conflict.clone(), settled.decision.clone());
    resolution.resolution_id = Some(settled.id.clone());
    resolution.rationale = Some(settled.rationale.clone());
    resolution.outcome = settled.outcome.clone();
    let mut more = serde_json::json!({ "category": record.category });
    if settled.by != session.coordinator.principal_id {
        more["resolved_by"] = settled.by.as_str().into();
    }
    if let Ok(more) = Raw::of(&serde_json::json!({ "mpac": more })) {
        resolution.extra.insert("extensions", more);
    }
    out.send(session, to, resolution);
}

/// Rejected intents are withdrawn, rejected proposals rejected; what was committed stays as it is.
fn apply(session: &mut Session, out: &mut Outbox, conflict: &ConflictId, rejected: &Rejected) {
    catch_up::commits_overruled(session, conflict, &rejected.ops);
    for id in &rejected.intents {
        if session.move_intent(id, intent::Event::ResolutionRejected).is_none() {
            continue; // over already: listed in vain
        }
        backoff::rejected(session, conflict, id);
        let mut withdraw = IntentWithdraw::new(id.clone());
        withdraw.reason = Some("rejected_by_resolution".to_owned());
        catch_up::intent_overruled(session, conflict, &withdraw);
        out.send(session, Recipients::All, withdraw); // D-082
        cascade::intent_ended(session, out, id, Grace::Granted);
    }
    for op in &rejected.ops {
        if session.move_operation(op, operation::Event::Rejected).is_none() {
            continue;
        }
        if let Some(proposer) = session.operations.get(op).map(|record| record.proposer.clone()) {
            out.reject(session, &proposer, op, RejectReason::ResolutionRejected, None);
        }
        cascade::operation_ended(session, out, op);
    }
    cascade::batches_fall(session, out, &rejected.ops, &RejectReason::ResolutionRejected);
}
