//! OP_SUPERSEDE: a committed operation is replaced, or an orphaned proposal finds another intent (OPS-19, CAS-03,
//! D-099, D-100).

use alloc::borrow::ToOwned;
use alloc::string::String;

use mpac_wire::names::{RejectReason, Role};
use mpac_wire::payload::OpSupersede;

use super::super::cascade;
use super::super::conflict::detect;
use super::super::gate::Facts;
use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::quota;
use super::super::records::{Operation, Particulars};
use super::super::state::Session;
use super::authorise::{is_pre_commit, is_subject};
use super::content::{self, Upload};
use super::propose::show_to_reviewers;
use super::{Guard, attach_to_conflicts, begins, commit_guard, current, reject_too_late, well_formed};
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::scope::{contains_target, normalize};
use crate::table::intent::State as IntentState;
use crate::table::operation::{Event, State};

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    supersede: OpSupersede,
) -> Result<(), Refusal> {
    well_formed(session, &supersede.state_ref_after)?;
    content::may_come(session, supersede.file_changes.as_ref())?;
    let old = plan(session, facts, &supersede)?.clone();
    if old.more.grace_until.is_some() {
        return reassociate(session, out, facts, &supersede, &old);
    }
    let guard = commit_guard(session, supersede.intent_id.as_ref())?;
    if guard == Guard::TooLate {
        let late = successor(session, facts, &supersede, &old, Event::ProposedTooLate);
        reject_too_late(session, out, late);
        return Ok(());
    }
    let target = normalize(&old.target);
    let intent = supersede.intent_id.as_ref();
    frozen::target(session, &target, intent)?;
    if let Some(after) = &old.after {
        current(session, &target, after)?;
    }
    let upload = Upload::plan(
        session,
        (intent, supersede.file_changes.as_ref()),
        &target,
        supersede.state_ref_after.as_ref(),
    )?;
    let text = facts.without_contents("file_changes", supersede.file_changes.is_some(), &supersede.extra)?;
    let beside = upload.beside(|path| path == target);
    let content_missing = session.files.contains(&target) && !upload.has(&target);
    let mut record = successor(session, facts, &supersede, &old, Event::Committed);
    record.uncoordinated = guard == Guard::Uncoordinated;
    record.content_missing = content_missing;
    let op = record.id.clone();
    if is_pre_commit(session) {
        quota::operations(session, &record.proposer, 1)?;
        record.state = begins(Event::Proposed);
        record.more.supersedes = Some(old.id.clone());
        session.register_operation(record);
        attach_to_conflicts(session, &op);
        show_to_reviewers(session, out, facts, text);
        return Ok(());
    }
    // One that says nothing of the state leaves it where the old one did: the next is judged by that (OCC-12).
    record.after = record.after.or(old.after);
    session.register_operation(record);
    session.move_operation(&old.id, Event::Superseded);
    if let Some(after) = supersede.state_ref_after.filter(|_| !content_missing) {
        session.set_ref(target, after);
    }
    cascade::relay(out, facts, Recipients::All, text);
    upload.apply(session, out, &facts.envelope.sender.principal_id);
    attach_to_conflicts(session, &op);
    detect::concurrent_writes(session, out, &[op], &beside);
    cascade::operation_ended(session, out, &old.id);
    Ok(())
}

/// Unknown, used id, not theirs, wrong state, another target, in this order.
fn plan<'a>(
    session: &'a Session,
    facts: &Facts<'_>,
    supersede: &OpSupersede,
) -> Result<&'a Operation, Refusal> {
    let id = &supersede.supersedes_op_id;
    let old = session.operations.get(id).ok_or_else(|| Refusal::UnknownOperation(id.clone()))?;
    if session.operations.contains_key(&supersede.op_id) || is_subject(session, supersede.op_id.as_str()) {
        return Err(Refusal::Duplicate { field: "op_id", value: supersede.op_id.as_str().to_owned() });
    }
    let sender = &facts.envelope.sender.principal_id;
    let governs = session
        .members
        .get(sender)
        .is_some_and(|member| member.roles.iter().any(|role| matches!(role, Role::Owner | Role::Arbiter)));
    let orphaned = old.state == State::Proposed && old.more.grace_until.is_some();
    if old.proposer != *sender && (orphaned || !governs) {
        return Err(Refusal::NotAuthor { op: id.clone(), author: old.proposer.clone() });
    }
    if old.state != State::Committed && !orphaned {
        return Err(Refusal::OperationState { op: id.clone(), state: old.state });
    }
    if normalize(&old.target) != normalize(&supersede.target) {
        return Err(Refusal::TargetChanged {
            op: id.clone(),
            proposed: old.target.clone(),
            committed: supersede.target.clone(),
        });
    }
    Ok(old)
}

/// A proposal whose intent is over goes on under another one: the new one is PROPOSED, the old one REJECTED.
fn reassociate(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    supersede: &OpSupersede,
    old: &Operation,
) -> Result<(), Refusal> {
    let intent = supersede.intent_id.as_ref().ok_or(Refusal::IntentNeeded)?;
    let record = session.intents.get(intent).ok_or_else(|| Refusal::UnknownIntent(intent.clone()))?;
    if record.state() != IntentState::Active {
        return Err(Refusal::IntentState { intent: intent.clone(), state: record.state() });
    }
    frozen::target(session, &normalize(&old.target), Some(intent))?;
    let text = facts.without_contents("file_changes", supersede.file_changes.is_some(), &supersede.extra)?;
    let mut record = successor(session, facts, supersede, old, Event::Proposed);
    record.more.supersedes = old.more.supersedes.clone();
    record.before = old.before.clone();
    record.after = None;
    let op = record.id.clone();
    session.register_operation(record);
    session.move_operation(&old.id, Event::Rejected);
    attach_to_conflicts(session, &op);
    show_to_reviewers(session, out, facts, text);
    out.reject(session, &old.proposer, &old.id, RejectReason::Reassociated, None);
    cascade::operation_ended(session, out, &old.id);
    Ok(())
}

fn successor(
    session: &Session,
    facts: &Facts<'_>,
    supersede: &OpSupersede,
    old: &Operation,
    event: Event,
) -> Operation {
    let scope =
        supersede.intent_id.as_ref().and_then(|id| session.intents.get(id)).map(|intent| &intent.scope);
    let summary: Option<String> = supersede.summary.clone().or_else(|| supersede.reason.clone());
    Operation {
        id: supersede.op_id.clone(),
        intent: supersede.intent_id.clone(),
        proposer: facts.envelope.sender.principal_id.clone(),
        state: begins(event),
        target: supersede.target.clone(),
        kind: supersede.op_kind.clone().unwrap_or_else(|| old.kind.clone()),
        before: old.after.clone(),
        after: supersede.state_ref_after.clone(),
        created_at: session.now,
        uncoordinated: false,
        out_of_scope: scope
            .and_then(|scope| contains_target(session.scopes.names(), scope, &supersede.target))
            == Some(false),
        content_missing: false,
        contested: false,
        of_earlier_intent: false,
        sequence: 0,
        more: Particulars { change_ref: supersede.change_ref.clone(), summary, ..Particulars::NONE }.into(),
    }
}
