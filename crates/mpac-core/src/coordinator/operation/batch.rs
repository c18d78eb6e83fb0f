//! OP_BATCH_COMMIT: several operations in one message (BAT-01 to BAT-16, D-101). In a pre-commit session the first one is
//! only a request.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use mpac_wire::names::{Atomicity, RejectReason};
use mpac_wire::payload::{BatchEntry, OpBatchCommit, OpReject};
use mpac_wire::{OpId, PrincipalId, Raw, StateRef};

use super::super::cascade;
use super::super::conflict::detect;
use super::super::gate::Facts;
use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::records::{Batch, Operation, Particulars};
use super::super::state::Session;
use super::authorise::{is_pre_commit, is_subject};
use super::content::{self, Upload};
use super::{Guard, attach_to_conflicts, begins, commit, commit_guard, request, well_formed};
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::scope::{contains_target, normalize};
use crate::table::operation::Event;

/// The entries, judged one after the other.
#[derive(Default)]
struct Judged {
    accepted: Vec<BatchEntry>,
    rejected: Vec<(OpId, Refusal)>,
    /// What each target will be at.
    refs: BTreeMap<String, StateRef>,
}

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    mut batch: OpBatchCommit,
) -> Result<(), Refusal> {
    let sender = facts.envelope.sender.principal_id.clone();
    check_form(session, &batch)?;
    let known = session.batches.get(&batch.batch_id).filter(|_| is_pre_commit(session));
    let guard = match known {
        // A completion goes by what was asked for, where it does not say so itself (BAT-09).
        Some(known) => {
            request::completes(session, facts, &batch, known)?;
            batch.intent_id = known.intent.clone();
            Guard::Usable
        }
        None => commit_guard(session, batch.intent_id.as_ref())?,
    };
    if guard == Guard::TooLate {
        reject(session, out, &sender, &batch, RejectReason::IntentTerminated, &[]);
        return Ok(());
    }
    if is_pre_commit(session) && !session.batches.contains_key(&batch.batch_id) {
        return request::many(session, out, facts, batch, guard);
    }
    let judged = judge(session, &batch)?;
    let whole = batch.atomicity == Atomicity::AllOrNothing;
    if whole && !judged.rejected.is_empty() {
        reject(session, out, &sender, &batch, RejectReason::BatchValidationFailed, &judged.rejected);
        return Ok(());
    }
    let changes = (batch.intent_id.as_ref(), batch.file_changes.as_ref());
    let upload = Upload::plan_batch(session, changes, &judged.refs, whole)?;
    let text = passed_on(facts, &batch, &judged.accepted)?;
    if !judged.accepted.is_empty() {
        apply(session, out, facts, &batch, &judged, guard, upload, text);
    }
    if !judged.rejected.is_empty() {
        reject(session, out, &sender, &batch, RejectReason::BatchEntriesRejected, &judged.rejected);
    }
    Ok(())
}

/// What makes the whole message malformed (BAT-01, BAT-02).
fn check_form(session: &Session, batch: &OpBatchCommit) -> Result<(), Refusal> {
    if !matches!(batch.atomicity, Atomicity::AllOrNothing | Atomicity::BestEffort) {
        return Err(Refusal::UnknownAtomicity(batch.atomicity.clone())); // D-004
    }
    let (count, max) = (batch.operations.len(), session.config.limits.max_batch);
    if count == 0 || count > max {
        return Err(Refusal::BatchSize { count, max });
    }
    let entries = batch.operations.iter();
    well_formed(session, entries.flat_map(|entry| [&entry.state_ref_before, &entry.state_ref_after]))?;
    content::may_come(session, batch.file_changes.as_ref())?;
    let duplicate = |field, value: &str| Err(Refusal::Duplicate { field, value: value.to_owned() });
    if session.batches.contains_key(&batch.batch_id) && !is_pre_commit(session) {
        return duplicate("batch_id", batch.batch_id.as_str());
    }
    let mut seen = BTreeSet::new();
    match batch.operations.iter().find(|entry| !seen.insert(&entry.op_id)) {
        Some(entry) => duplicate("op_id", entry.op_id.as_str()),
        None => Ok(()),
    }
}

/// Each entry against the state that the accepted ones before it leave (BAT-04).
fn judge(session: &Session, batch: &OpBatchCommit) -> Result<Judged, Refusal> {
    let mut judged = Judged::default();
    for entry in &batch.operations {
        match judge_entry(session, batch, entry, &judged.refs) {
            Ok(target) => {
                judged.refs.insert(target, entry.state_ref_after.clone());
                judged.accepted.push(entry.clone());
            }
            // BAT-13: all or nothing means this refusal is about the message.
            Err(refusal @ Refusal::TargetFrozen { .. }) if batch.atomicity == Atomicity::AllOrNothing => {
                return Err(refusal);
            }
            Err(refusal) => judged.rejected.push((entry.op_id.clone(), refusal)),
        }
    }
    Ok(judged)
}

fn judge_entry(
    session: &Session,
    batch: &OpBatchCommit,
    entry: &BatchEntry,
    ahead: &BTreeMap<String, StateRef>,
) -> Result<String, Refusal> {
    let target = normalize(&entry.target);
    if is_pre_commit(session) {
        frozen::target(session, &target, batch.intent_id.as_ref())?; // a completion: its entries are known
    } else {
        is_possible(session, batch, entry)?;
    }
    match ahead.get(&target).or_else(|| session.refs.get(&target)) {
        Some(current) if *current != entry.state_ref_before => Err(Refusal::StaleStateRef {
            target,
            current: current.clone(),
            stated: entry.state_ref_before.clone(),
        }),
        _ => Ok(target),
    }
}

/// New, of the batch's intent, and not frozen.
pub(super) fn is_possible(
    session: &Session,
    batch: &OpBatchCommit,
    entry: &BatchEntry,
) -> Result<(), Refusal> {
    if session.operations.contains_key(&entry.op_id) || is_subject(session, entry.op_id.as_str()) {
        return Err(Refusal::DuplicateCommit(entry.op_id.clone()));
    }
    if let Some(intent) = &entry.intent_id
        && batch.intent_id.as_ref() != Some(intent)
    {
        return Err(Refusal::ForeignIntent(intent.clone())); // BAT-03
    }
    frozen::target(session, &normalize(&entry.target), batch.intent_id.as_ref())
}

/// What others get: no contents, and only what was accepted (BAT-14).
pub(super) fn passed_on(
    facts: &Facts<'_>,
    batch: &OpBatchCommit,
    accepted: &[BatchEntry],
) -> Result<Arc<str>, Refusal> {
    if facts.sealed || accepted.len() == batch.operations.len() {
        return facts.without_contents("file_changes", batch.file_changes.is_some(), &batch.extra);
    }
    let text = facts.received.with_payload(|members| {
        members.remove("file_changes");
        if let Ok(accepted) = Raw::of(accepted) {
            members.replace("operations", accepted);
        }
    })?;
    Ok(text.into())
}

#[expect(clippy::too_many_arguments, reason = "one for each thing that was settled before")]
fn apply(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    batch: &OpBatchCommit,
    judged: &Judged,
    guard: Guard,
    upload: Upload,
    text: Arc<str>,
) {
    let sender = &facts.envelope.sender.principal_id;
    let ops: Vec<OpId> = judged.accepted.iter().map(|entry| entry.op_id.clone()).collect();
    let mut superseded = Vec::new();
    for entry in &judged.accepted {
        let target = normalize(&entry.target);
        let mut record = record(session, sender, batch, entry, guard, Event::Committed);
        record.content_missing = session.files.contains(&target) && !upload.has(&target);
        if !record.content_missing {
            session.set_ref(target, entry.state_ref_after.clone());
        }
        if session.operations.contains_key(&record.id) {
            superseded.extend(commit::complete(session, record));
        } else {
            session.register_operation(record);
        }
    }
    if !session.batches.contains_key(&batch.batch_id) {
        let known = Batch {
            atomicity: batch.atomicity.clone(),
            principal: sender.clone(),
            intent: batch.intent_id.clone(),
            ops: ops.clone(),
        };
        session.batches.insert(batch.batch_id.clone(), known);
    }
    cascade::relay(out, facts, Recipients::All, text);
    let beside = upload.beside(|path| judged.refs.contains_key(path));
    upload.apply(session, out, sender);
    for op in &ops {
        attach_to_conflicts(session, op);
    }
    detect::concurrent_writes(session, out, &ops, &beside); // one for the union of the targets: BAT-07
    for old in &superseded {
        cascade::operation_ended(session, out, old);
    }
}

pub(super) fn record(
    session: &Session,
    sender: &PrincipalId,
    batch: &OpBatchCommit,
    entry: &BatchEntry,
    guard: Guard,
    event: Event,
) -> Operation {
    let scope = batch.intent_id.as_ref().and_then(|id| session.intents.get(id)).map(|intent| &intent.scope);
    Operation {
        id: entry.op_id.clone(),
        intent: batch.intent_id.clone(),
        proposer: sender.clone(),
        state: begins(event),
        target: entry.target.clone(),
        kind: entry.op_kind.clone(),
        before: Some(entry.state_ref_before.clone()),
        after: Some(entry.state_ref_after.clone()),
        created_at: session.now,
        uncoordinated: guard == Guard::Uncoordinated,
        out_of_scope: scope.and_then(|scope| contains_target(session.scopes.names(), scope, &entry.target))
            == Some(false),
        content_missing: false,
        contested: false,
        of_earlier_intent: false,
        sequence: 0,
        more: Particulars {
            batch: Some(batch.batch_id.clone()),
            change_ref: entry.change_ref.clone(),
            summary: entry.summary.clone(),
            ..Particulars::NONE
        }
        .into(),
    }
}

/// Tells the sender which entries were refused, and why (BAT-05, BAT-06).
pub(super) fn reject(
    session: &mut Session,
    out: &mut Outbox,
    sender: &PrincipalId,
    batch: &OpBatchCommit,
    reason: RejectReason,
    rejected: &[(OpId, Refusal)],
) {
    // A batch's id stands where an operation's does; both are non-empty text.
    let Ok(id) = OpId::new(batch.batch_id.as_str()) else { return };
    let mut message = OpReject::new(id, reason);
    if rejected.is_empty() {
        let intent = batch.intent_id.as_ref().and_then(|id| session.intents.get(id));
        message.refers_to = intent.map(|intent| intent.last_message.clone());
    } else {
        message.rejected_ops = Some(rejected.iter().map(|(op, _)| op.clone()).collect());
        let reasons = rejected.iter().filter_map(|(op, why)| Some((op.as_str(), Raw::of(&why.code()).ok()?)));
        message.reasons = Some(reasons.collect());
    }
    // A signed batch is passed on whole: everybody has to hear what of it does not count (BAT-14, D-128).
    let partly = message.reason == RejectReason::BatchEntriesRejected;
    let to = match session.config.is_verified() && partly {
        true => Recipients::All,
        false => Recipients::Only([sender.clone()].into()),
    };
    out.send(session, to, message);
}
