//! INTENT_CLAIM: somebody would go on with a suspended intent (CLM-01 to CLM-15, D-084 to D-086).

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use mpac_wire::names::{ClaimApproval, ClaimDecision, Decision, Priority, Role};
use mpac_wire::payload::{IntentClaim, IntentClaimStatus, Resolution};
use mpac_wire::{ClaimId, IntentId, PrincipalId, Seconds, Timestamp};

use super::super::cascade;
use super::super::conflict::{detect, resolve};
use super::super::gate::{Facts, sorted};
use super::super::outbox::Outbox;
use super::super::quota;
use super::super::records::{Claim, NewIntent};
use super::super::state::Session;
use super::announce::complete;
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::scope::is_inside;
use crate::table::intent::{Event, State};

/// How long a refused claimer is not told of others' claims, in seconds (D-131): the Python agent compares no ids.
const QUIET_SEC: Seconds = Seconds::whole(60);

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    claim: IntentClaim,
) -> Result<(), Refusal> {
    plan(session, facts, &claim).inspect_err(|refusal| {
        if matches!(refusal, Refusal::ClaimTaken(_)) {
            keep_from_others_claims(session, facts.envelope.sender.principal_id.clone());
        }
    })?;
    let original = session.intents.get(&claim.original_intent_id);
    let fits = original.is_some_and(|original| {
        is_inside(session.scopes.names(), &claim.scope, &[&original.scope], &<_>::default())
    });
    let id = claim.claim_id.clone();
    session.register_claim(Claim {
        id: claim.claim_id,
        original: claim.original_intent_id,
        owner: claim.original_principal_id,
        new_intent: claim.new_intent_id,
        claimer: facts.envelope.sender.principal_id.clone(),
        objective: claim.objective,
        scope: claim.scope,
        justification: claim.justification,
        message: facts.envelope.message_id.clone(),
        submitted_at: session.now,
        granted_at: granted_by_itself(session, session.now),
    });
    show(session, out, facts, &id);
    if !fits {
        end(session, out, &id, ClaimDecision::Rejected, "scope_not_contained");
    }
    Ok(())
}

/// When a claim made at `at` is granted without anybody's word; in governance sessions never (CLM-07, CLM-08).
pub(in super::super) fn granted_by_itself(session: &Session, at: Timestamp) -> Option<Timestamp> {
    (!is_governed(session)).then(|| at.after(&session.config.claim_grace()))
}

/// Unknown, used ids, not theirs to claim, wrong state, no room, in this order.
fn plan(session: &Session, facts: &Facts<'_>, claim: &IntentClaim) -> Result<(), Refusal> {
    complete(session, &claim.scope)?;
    let id = &claim.original_intent_id;
    let original = session.intents.get(id).ok_or_else(|| Refusal::UnknownIntent(id.clone()))?;
    let duplicate = |field, value: &str| Err(Refusal::Duplicate { field, value: value.to_owned() });
    if session.is_claim_known(&claim.claim_id) || resolve::is_subject(session, claim.claim_id.as_str()) {
        return duplicate("claim_id", claim.claim_id.as_str());
    }
    if session.claims.promise(&claim.new_intent_id) || session.intents.contains_key(&claim.new_intent_id) {
        return duplicate("new_intent_id", claim.new_intent_id.as_str());
    }
    if original.owner != claim.original_principal_id {
        return Err(Refusal::WrongOwner { intent: id.clone(), stated: claim.original_principal_id.clone() });
    }
    if original.owner == facts.envelope.sender.principal_id {
        return Err(Refusal::OwnClaim(id.clone()));
    }
    if original.state() == State::Transferred || pending_on(session, id).is_some() {
        return Err(Refusal::ClaimTaken(id.clone()));
    }
    if original.state() != State::Suspended {
        return Err(Refusal::IntentState { intent: id.clone(), state: original.state() });
    }
    Ok(quota::intents(session, &facts.envelope.sender.principal_id, 0)?)
}

/// Whether somebody must approve claims here (CLM-15).
fn is_governed(session: &Session) -> bool {
    match &session.config.liveness.intent_claim_approval {
        Some(approval) => *approval == ClaimApproval::Governance,
        None => session.config.is_governed(),
    }
}

/// The claim on an intent that is not decided.
pub(in super::super) fn pending_on(session: &Session, original: &IntentId) -> Option<ClaimId> {
    session.claims.on(original).cloned()
}

/// Owners, arbiters and the original owner see a claim; the claimer needs no echo (`spec/wire.md` §8.1).
fn show(session: &Session, out: &mut Outbox, facts: &Facts<'_>, id: &ClaimId) {
    let Some(claim) = session.claims.get(id.as_str()) else { return };
    let governing = session.members.iter().filter(|(_, member)| member.governs()).map(|(id, _)| id.clone());
    let mut to = sorted(governing.chain([claim.owner.clone()]));
    to.retain(|principal| *principal != claim.claimer);
    if !to.is_empty() {
        cascade::relay(out, facts, Recipients::Only(to), facts.received.text().clone());
    }
}

/// Grants the claims whose grace is over: one without any is granted with its own message.
pub(in super::super) fn settle(session: &mut Session, out: &mut Outbox) {
    if session.closed {
        return;
    }
    for id in session.deadlines.due_claims(session.now) {
        grace_over(session, out, &id);
    }
}

/// The grace is over and nobody objected (CLM-08).
pub(in super::super) fn grace_over(session: &mut Session, out: &mut Outbox, id: &ClaimId) {
    approve(session, out, id, None);
}

/// A RESOLUTION names the claim: governance decides, and in core sessions anybody else may object (D-084, D-085). Says
/// whether it is approved.
pub(in super::super) fn judge(
    session: &Session,
    by: &PrincipalId,
    id: &ClaimId,
    resolution: &Resolution,
) -> Result<bool, Refusal> {
    let governs = session
        .members
        .get(by)
        .is_some_and(|member| member.roles.iter().any(|role| matches!(role, Role::Owner | Role::Arbiter)));
    let approves = match resolution.decision {
        Decision::Approved => true,
        Decision::Rejected => false,
        _ => return Err(Refusal::ClaimDecision(resolution.decision.clone())), // D-004
    };
    let governed = is_governed(session);
    let own = session.claims.get(id.as_str()).is_some_and(|claim| claim.claimer == *by);
    if own || !(if governed { governs } else { !approves }) {
        let needed = if governed {
            "an owner or arbiter other than the claimer"
        } else {
            "nobody: it is granted by itself"
        };
        return Err(Refusal::MayNotDecide { principal: by.clone(), claim: id.clone(), needed });
    }
    Ok(approves)
}

/// Carries a decision on a claim out.
pub(in super::super) fn decided(
    session: &mut Session,
    out: &mut Outbox,
    by: &PrincipalId,
    id: &ClaimId,
    approved: bool,
) {
    if approved {
        approve(session, out, id, Some(by.clone()));
    } else {
        let reason = if is_governed(session) { "rejected" } else { "objected" };
        end(session, out, id, ClaimDecision::Rejected, reason);
    }
}

/// The original is handed over, and the claimer's intent begins (CLM-09).
fn approve(session: &mut Session, out: &mut Outbox, id: &ClaimId, by: Option<PrincipalId>) {
    let Some(claim) = session.take_claim(id) else { return };
    let to = audience(session, &claim, by.as_ref());
    let mut status =
        IntentClaimStatus::new(claim.id.clone(), claim.original.clone(), ClaimDecision::Approved);
    status.new_intent_id = Some(claim.new_intent.clone());
    status.approved_by = by;
    super::end(session, out, &claim.original, Event::ClaimApproved);
    let new = NewIntent {
        id: claim.new_intent.clone(),
        owner: claim.claimer.clone(),
        objective: claim.objective,
        scope: claim.scope.clone(),
        ttl: session.config.default_intent_ttl_sec.clone(), // D-072
        message: claim.message,
        assumptions: Vec::new(),
        priority: Priority::Normal,
        parent: None,
        supersedes: None,
    };
    out.send(session, Recipients::Only(to), status);
    if let Some(overlapping) = session.register_intent(new) {
        detect::of_new(session, out, &claim.new_intent, overlapping);
    }
}

/// A claim ends without effect; the original may be claimed again (CLM-11).
pub(in super::super) fn end(
    session: &mut Session,
    out: &mut Outbox,
    id: &ClaimId,
    decision: ClaimDecision,
    reason: &str,
) {
    let Some(claim) = session.take_claim(id) else { return };
    let to = audience(session, &claim, None);
    if decision == ClaimDecision::Rejected {
        keep_from_others_claims(session, claim.claimer);
    }
    let mut status = IntentClaimStatus::new(claim.id, claim.original, decision);
    status.reason = Some(reason.to_owned());
    out.send(session, Recipients::Only(to), status);
}

/// Whoever was just refused could take what others are told of their claims for its own answer (D-131).
fn keep_from_others_claims(session: &mut Session, claimer: PrincipalId) {
    let now = session.now;
    session.refused_claimers.retain(|_, until| now < *until);
    session.refused_claimers.insert(claimer, now.after(&QUIET_SEC));
}

/// Everybody, save those who could take it for the answer to a claim of their own (CLM-14, D-131).
fn audience(session: &Session, claim: &Claim, approver: Option<&PrincipalId>) -> Vec<PrincipalId> {
    let now = session.now;
    let waits = |principal: &PrincipalId| session.claims.of(principal).next().is_some();
    let refused = |principal: &PrincipalId| {
        session.refused_claimers.get(principal).is_some_and(|until: &Timestamp| now < *until)
    };
    let present = session.members.iter().filter(|(_, member)| !member.departed).map(|(id, _)| id);
    let others = present.filter(|id| !waits(id) && !refused(id)).cloned();
    let concerned = [Some(&claim.claimer), Some(&claim.owner), approver];
    sorted(others.chain(concerned.into_iter().flatten().cloned()))
}

/// The owner of a suspended intent is back before anybody decided (CLM-10, LIV-15).
pub(super) fn owner_returned(session: &mut Session, out: &mut Outbox, original: &IntentId) {
    if let Some(id) = pending_on(session, original) {
        end(session, out, &id, ClaimDecision::Withdrawn, "original_owner_rejoined");
    }
}

/// The original is over for another reason (CLM-13).
pub(in super::super) fn original_ended(session: &mut Session, out: &mut Outbox, original: &IntentId) {
    if let Some(id) = pending_on(session, original) {
        end(session, out, &id, ClaimDecision::Rejected, "intent_no_longer_suspended");
    }
}

/// The claimer is gone (CLM-13).
pub(in super::super) fn claimer_lost(session: &mut Session, out: &mut Outbox, claimer: &PrincipalId) {
    for id in session.claims.of(claimer).cloned().collect::<Vec<_>>() {
        end(session, out, &id, ClaimDecision::Rejected, "claimer_unavailable");
    }
}
