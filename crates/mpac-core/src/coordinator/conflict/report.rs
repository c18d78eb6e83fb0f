//! CONFLICT_REPORT by a participant, in the specification's form or in the references' (CON-04, D-107).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use mpac_wire::names::BasisKind;
use mpac_wire::payload::{Basis, ConflictReport};
use mpac_wire::{IntentId, PrincipalId, Raw, Scope};

use super::super::cascade;
use super::super::gate::{Facts, sorted};
use super::super::governance::uncertain;
use super::super::intent::announce;
use super::super::outbox::Outbox;
use super::super::session::divergence;
use super::super::state::Session;
use super::found::{audience, governing, open};
use super::resolve;
use crate::output::Recipients;
use crate::refusal::Refusal;

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    report: ConflictReport,
) -> Result<(), Refusal> {
    if divergence::is_reserved(&report.conflict_id) {
        return Err(Refusal::ReservedConflictId(report.conflict_id));
    }
    let report = normalised(session, facts, report)?;
    let id = report.conflict_id.as_str();
    // Nor that of a claim or a proposal: a RESOLUTION that names it would go to the conflict (D-084).
    if resolve::is_subject(session, id) {
        let value = report.conflict_id.as_str().to_owned();
        return Err(Refusal::Duplicate { field: "conflict_id", value });
    }
    // What a signature covers goes on as it is; whoever reads it fills in the same.
    let text = match facts.is_signed() {
        true => facts.received.text().clone(),
        false => facts.edited(&session.config.limits, |members| complete(members, &report))?.into(),
    };
    let id = report.conflict_id.clone();
    let principals = principals(session, &report);
    let sender = facts.envelope.sender.principal_id.clone();
    let to = match audience(session, &principals, &governing(session)) {
        Recipients::Only(list) => Recipients::Only(sorted(list.into_iter().chain([sender.clone()]))),
        everybody => everybody,
    };
    open(session, report, facts.envelope.message_id.clone(), (principals, Some(sender)), None);
    cascade::relay(out, facts, to, text);
    cascade::dismiss_if_over(session, out, &id); // a report about what is over already
    uncertain::reported(session, out, &id);
    Ok(())
}

/// Fills in what the references leave out, and checks that what it speaks of is there.
fn normalised(
    session: &Session,
    facts: &Facts<'_>,
    mut report: ConflictReport,
) -> Result<ConflictReport, Refusal> {
    // What it must say comes before what it speaks of.
    let based_on = report.based_on_watermark.take().or_else(|| facts.envelope.watermark.clone());
    let based_on = based_on.ok_or(Refusal::WatermarkNeeded)?; // D-030
    based_on.lamport_value()?; // of a kind we read: a value that can be (LAM-14)
    report.based_on_watermark = Some(based_on);
    for (field, scope) in [("scope_a", &report.scope_a), ("scope_b", &report.scope_b)] {
        if let Some(scope) = scope {
            announce::comparable(session, field, scope)?;
        }
    }
    let sides = [report.intent_a.clone(), report.intent_b.clone()];
    let intents = report.related_intents.take().unwrap_or_default();
    let mut intents = once(intents.into_iter().chain(sides.into_iter().flatten()));
    let ops = once(report.related_ops.take().unwrap_or_default());
    if let Some(id) = intents.iter().find(|id| !session.intents.contains_key(*id)) {
        return Err(Refusal::UnknownIntent(id.clone()));
    }
    if let Some(id) = ops.iter().find(|id| !session.operations.contains_key(*id)) {
        return Err(Refusal::UnknownOperation(id.clone()));
    }
    if intents.is_empty() && ops.is_empty() {
        let scopes: Vec<&Scope> = [&report.scope_a, &report.scope_b].into_iter().flatten().collect();
        intents =
            on_these_scopes(session, report.involved_principals.as_deref().unwrap_or_default(), &scopes);
        if intents.is_empty() {
            return Err(Refusal::NothingRelated);
        }
    }
    // A side is an intent and its owner, not whom the report names.
    let owner = |intent: &Option<IntentId>| Some(session.intents.get(intent.as_ref()?)?.owner.clone());
    (report.principal_a, report.principal_b) = (owner(&report.intent_a), owner(&report.intent_b));
    report.related_intents = Some(intents);
    report.related_ops = Some(ops);
    if report.basis.as_ref().is_none_or(|basis| basis.kind.is_none()) {
        let mut basis = report.basis.take().unwrap_or_else(Basis::new);
        basis.kind = Some(BasisKind::Heuristic);
        report.basis = Some(basis);
    }
    if report.description.is_none() {
        report.description = Some(report.details.clone().unwrap_or_default());
    }
    Ok(report)
}

/// Each where it comes first: what is named twice is one thing, to be looked at once.
fn once<T: Ord + Clone>(list: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    list.into_iter().filter(|it| seen.insert(it.clone())).collect()
}

/// The live intents of these principals that overlap one of these scopes: the TypeScript participant names no ids.
fn on_these_scopes(session: &Session, principals: &[PrincipalId], scopes: &[&Scope]) -> Vec<IntentId> {
    let principals: BTreeSet<&PrincipalId> = principals.iter().collect();
    let theirs =
        |id: &IntentId| session.intents.get(id).is_some_and(|intent| principals.contains(&intent.owner));
    sorted(scopes.iter().flat_map(|scope| session.scopes.overlaps(scope).into_keys()).filter(theirs))
}

/// The members that the relayed message must have (ENV-16).
fn complete(members: &mut mpac_wire::Extra, report: &ConflictReport) {
    let set = |members: &mut mpac_wire::Extra, key: &str, value: Option<Raw>| {
        if let Some(value) = value {
            members.replace(key, value);
        }
    };
    set(members, "related_intents", report.related_intents.as_ref().and_then(|it| Raw::of(it).ok()));
    set(members, "related_ops", report.related_ops.as_ref().and_then(|it| Raw::of(it).ok()));
    set(members, "basis", report.basis.as_ref().and_then(|it| Raw::of(it).ok()));
    set(members, "based_on_watermark", report.based_on_watermark.as_ref().and_then(|it| Raw::of(it).ok()));
    set(members, "description", report.description.as_ref().and_then(|it| Raw::of(it).ok()));
}

/// Who is in it: owners of its intents and proposers of its operations, whatever the report says.
fn principals(session: &Session, report: &ConflictReport) -> Vec<PrincipalId> {
    let intents = report.related_intents.iter().flatten().filter_map(|id| session.intents.get(id));
    let ops = report.related_ops.iter().flatten().filter_map(|id| session.operations.get(id));
    sorted(intents.map(|intent| intent.owner.clone()).chain(ops.map(|op| op.proposer.clone())))
}
