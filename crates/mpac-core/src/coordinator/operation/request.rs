//! Pre-commit sessions: a first OP_COMMIT or OP_BATCH_COMMIT is only a request (OPS-04, BAT-08, BAT-09, OCC-10, D-096).

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use mpac_wire::names::{Atomicity, RejectReason};
use mpac_wire::payload::{BatchEntry, OpBatchCommit, OpCommit};
use mpac_wire::{IntentId, OpId};

use super::super::gate::Facts;
use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::quota;
use super::super::records::{Batch, Operation};
use super::super::state::Session;
use super::authorise::{completable, is_any_blocked, is_subject};
use super::propose::show_to_reviewers;
use super::{Guard, attach_to_conflicts, batch, commit, commit_guard, reject_too_late};
use crate::refusal::Refusal;
use crate::scope::normalize;
use crate::table::operation::Event;

/// A commit of something that nobody has proposed yet: shown to reviewers, its contents not stored.
pub(super) fn one(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    commit: OpCommit,
) -> Result<(), Refusal> {
    if is_subject(session, commit.op_id.as_str()) {
        return Err(Refusal::DuplicateCommit(commit.op_id));
    }
    let intent = commit.intent_id.clone();
    let guard = commit_guard(session, intent.as_ref())?;
    if guard == Guard::TooLate {
        let late = commit::record(session, facts, commit, intent, Event::ProposedTooLate);
        reject_too_late(session, out, late);
        return Ok(());
    }
    frozen::target(session, &normalize(&commit.target), intent.as_ref())?;
    quota::operations(session, &facts.envelope.sender.principal_id, 1)?;
    let text = facts.without_contents("file_changes", commit.file_changes.is_some(), &commit.extra)?;
    let mut record = commit::record(session, facts, commit, intent, Event::Proposed);
    record.uncoordinated = guard == Guard::Uncoordinated;
    let op = record.id.clone();
    session.register_operation(record);
    attach_to_conflicts(session, &op);
    show_to_reviewers(session, out, facts, text);
    Ok(())
}

/// A batch that is not known yet: all its entries become proposals, or none where it goes as a whole.
pub(super) fn many(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    message: OpBatchCommit,
    guard: Guard,
) -> Result<(), Refusal> {
    if is_subject(session, message.batch_id.as_str()) {
        return Err(Refusal::Duplicate { field: "batch_id", value: message.batch_id.as_str().to_owned() });
    }
    let sender = facts.envelope.sender.principal_id.clone();
    let whole = message.atomicity == Atomicity::AllOrNothing;
    let mut records: Vec<Operation> = Vec::new();
    let mut accepted: Vec<BatchEntry> = Vec::new();
    let mut rejected: Vec<(OpId, Refusal)> = Vec::new();
    for entry in &message.operations {
        match batch::is_possible(session, &message, entry) {
            Ok(()) => {
                records.push(batch::record(session, &sender, &message, entry, guard, Event::Proposed));
                accepted.push(entry.clone());
            }
            Err(refusal @ Refusal::TargetFrozen { .. }) if whole => return Err(refusal), // BAT-13
            Err(refusal) => rejected.push((entry.op_id.clone(), refusal)),
        }
    }
    if whole {
        // As a whole it can be authorised at once, or it is refused (BAT-05); in a review it waits for its reviewer.
        if rejected.is_empty() && is_any_blocked(session, records.iter()) {
            let blocked = |record: &Operation| (record.id.clone(), Refusal::Blocked(record.id.clone()));
            rejected = records.iter().map(blocked).collect();
        }
        if !rejected.is_empty() {
            batch::reject(session, out, &sender, &message, RejectReason::BatchValidationFailed, &rejected);
            return Ok(());
        }
    }
    quota::operations(session, &sender, records.len())?;
    let text = batch::passed_on(facts, &message, &accepted)?;
    let ops: Vec<OpId> = records.iter().map(|record| record.id.clone()).collect();
    if !ops.is_empty() {
        let known = Batch {
            atomicity: message.atomicity.clone(),
            principal: sender.clone(),
            intent: message.intent_id.clone(),
            ops: ops.clone(),
        };
        session.batches.insert(message.batch_id.clone(), known);
        records.into_iter().for_each(|record| session.register_operation(record));
        for op in &ops {
            attach_to_conflicts(session, op);
        }
        show_to_reviewers(session, out, facts, text);
    }
    if !rejected.is_empty() {
        batch::reject(session, out, &sender, &message, RejectReason::BatchEntriesRejected, &rejected);
    }
    Ok(())
}

/// Whether a known batch may be completed as this message says (BAT-09).
pub(super) fn completes(
    session: &Session,
    facts: &Facts<'_>,
    message: &OpBatchCommit,
    known: &Batch,
) -> Result<(), Refusal> {
    let sender = &facts.envelope.sender.principal_id;
    for entry in &message.operations {
        let record = session
            .operations
            .get(&entry.op_id)
            .filter(|it| it.more.batch.as_ref() == Some(&message.batch_id));
        let record = record.ok_or_else(|| Refusal::UnknownOperation(entry.op_id.clone()))?;
        completable(session, record, sender, &entry.target)?;
    }
    says_the_same(session, message, known)?;
    if known.atomicity == Atomicity::AllOrNothing && message.operations.len() != known.ops.len() {
        return Err(Refusal::BatchIncomplete { batch: message.batch_id.clone(), entries: known.ops.len() });
    }
    Ok(())
}

/// A completion goes by what was asked for; it is relayed as it came, so it may not say anything else (BAT-03).
fn says_the_same(session: &Session, message: &OpBatchCommit, known: &Batch) -> Result<(), Refusal> {
    let otherwise = |field, asked: &str, found: &str| Refusal::AskedOtherwise {
        batch: message.batch_id.clone(),
        field,
        asked: asked.to_owned(),
        found: found.to_owned(),
    };
    if message.atomicity != known.atomicity {
        return Err(otherwise("atomicity", known.atomicity.as_str(), message.atomicity.as_str()));
    }
    let asked = known.intent.as_ref();
    let entries = message.operations.iter().filter_map(|entry| entry.intent_id.as_ref());
    let named = message.intent_id.iter().map(|intent| ("intent_id", intent));
    let mut named = named.chain(entries.map(|intent| ("operations.intent_id", intent)));
    if let Some((field, found)) = named.find(|(_, found)| asked != Some(*found)) {
        return Err(otherwise(field, asked.map_or("no intent", IntentId::as_str), found.as_str()));
    }
    if message.intent_id.is_none() && session.config.requires_intent() {
        return Err(Refusal::IntentNeeded);
    }
    Ok(())
}
