//! OP_COMMIT: a participant says what it has done (OPS-03, OPS-09, OPS-28, OCC-02 to OCC-16). In a pre-commit session
//! the first one is only a request.

use alloc::string::String;

use mpac_wire::names::Atomicity;
use mpac_wire::payload::OpCommit;
use mpac_wire::{IntentId, OpId};

use super::super::cascade;
use super::super::conflict::detect;
use super::super::gate::Facts;
use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::records::{Operation, Particulars};
use super::super::state::Session;
use super::authorise::{completable, is_pre_commit};
use super::content::{self, Upload};
use super::{
    Guard, attach_to_conflicts, begins, commit_guard, current, reject_too_late, request, well_formed,
};
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::scope::{contains_target, normalize};
use crate::table::operation::{Event, State};

/// Everything that was checked.
struct Plan {
    guard: Guard,
    /// The intent it counts under.
    intent: Option<IntentId>,
    /// It completes a proposal of its own (D-103).
    completes: bool,
    target: String,
    upload: Upload,
}

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    commit: OpCommit,
) -> Result<(), Refusal> {
    well_formed(session, [&commit.state_ref_before, &commit.state_ref_after])?;
    content::may_come(session, commit.file_changes.as_ref())?;
    if is_pre_commit(session) && !session.operations.contains_key(&commit.op_id) {
        return request::one(session, out, facts, commit);
    }
    let plan = plan(session, facts, &commit)?;
    let text = facts.without_contents("file_changes", commit.file_changes.is_some(), &commit.extra)?;
    let Plan { guard, intent, completes, target, upload } = plan;
    let op = commit.op_id.clone();
    if guard == Guard::TooLate {
        if completes {
            cascade::grace_over(session, out, &op);
        } else {
            let late = record(session, facts, commit, intent, Event::ProposedTooLate);
            reject_too_late(session, out, late);
        }
        return Ok(());
    }
    let after = commit.state_ref_after.clone();
    let mut record = record(session, facts, commit, intent, Event::Committed);
    record.uncoordinated = guard == Guard::Uncoordinated;
    record.content_missing = session.files.contains(&target) && !upload.has(&target);
    let beside = upload.beside(|path| path == target);
    // Nearly every commit is made under an intent that covers all of it, and about which nobody quarrels.
    let strays = completes || record.uncoordinated || record.out_of_scope || !beside.is_empty();
    let disputed = |intent: &IntentId| session.disputes_by_intent.contains_key(intent);
    let disputed = completes || record.intent.as_ref().is_some_and(disputed);
    cascade::relay(out, facts, Recipients::All, text);
    if !record.content_missing {
        session.set_ref(target, after); // OCC-04; without content the file is as it was (OCC-16)
    }
    let superseded = if completes {
        complete(session, record)
    } else {
        session.register_operation(record);
        None
    };
    upload.apply(session, out, &facts.envelope.sender.principal_id);
    if disputed {
        attach_to_conflicts(session, &op);
    }
    if strays {
        detect::concurrent_writes(session, out, &[op], &beside);
    }
    if let Some(old) = superseded {
        cascade::operation_ended(session, out, &old);
    }
    Ok(())
}

/// Duplicate, intent, frozen target, state references, contents, in this order.
fn plan(session: &Session, facts: &Facts<'_>, commit: &OpCommit) -> Result<Plan, Refusal> {
    let known = session.operations.get(&commit.op_id);
    let completes = match known {
        Some(known) if is_pre_commit(session) => {
            completable(session, known, &facts.envelope.sender.principal_id, &commit.target)?;
            not_part_of_a_whole(session, known)?;
            true
        }
        Some(known) => completes(facts, known, commit)?,
        None => false,
    };
    // A proposal that is completed goes on under its own intent.
    let proposed_under = known.filter(|_| completes).and_then(|known| known.intent.clone());
    let intent = proposed_under.or_else(|| commit.intent_id.clone());
    let guard = commit_guard(session, intent.as_ref())?;
    let target = normalize(&commit.target);
    if guard == Guard::TooLate {
        return Ok(Plan { guard, intent, completes, target, upload: Upload::default() });
    }
    frozen::target(session, &target, intent.as_ref())?;
    current(session, &target, &commit.state_ref_before)?;
    let upload = Upload::plan(
        session,
        (intent.as_ref(), commit.file_changes.as_ref()),
        &target,
        Some(&commit.state_ref_after),
    )?;
    Ok(Plan { guard, intent, completes, target, upload })
}

/// An entry of an all-or-nothing batch is completed with its batch only (BAT-09).
fn not_part_of_a_whole(session: &Session, known: &Operation) -> Result<(), Refusal> {
    let Some(id) = &known.more.batch else { return Ok(()) };
    match session.batches.get(id) {
        Some(batch) if batch.atomicity == Atomicity::AllOrNothing => {
            Err(Refusal::PartOfBatch { op: known.id.clone(), batch: id.clone() })
        }
        _ => Ok(()),
    }
}

/// A known op_id is a repeat, unless it is the sender's own proposal (OPS-12, D-023, D-103).
fn completes(facts: &Facts<'_>, known: &Operation, commit: &OpCommit) -> Result<bool, Refusal> {
    let duplicate = || Err(Refusal::DuplicateCommit(known.id.clone()));
    if known.proposer != facts.envelope.sender.principal_id {
        return duplicate();
    }
    match known.state {
        State::Proposed if known.more.grace_until.is_some() => {
            Err(Refusal::OperationState { op: known.id.clone(), state: known.state }) // CAS-09
        }
        State::Proposed if normalize(&known.target) != normalize(&commit.target) => {
            Err(Refusal::TargetChanged {
                op: known.id.clone(),
                proposed: known.target.clone(),
                committed: commit.target.clone(),
            })
        }
        State::Proposed => Ok(true),
        State::Frozen => Err(Refusal::OperationFrozen(known.id.clone())),
        State::Committed | State::Rejected | State::Abandoned | State::Superseded => duplicate(),
    }
}

pub(super) fn record(
    session: &Session,
    facts: &Facts<'_>,
    commit: OpCommit,
    intent: Option<IntentId>,
    event: Event,
) -> Operation {
    let scope = intent.as_ref().and_then(|id| session.intents.get(id)).map(|intent| &intent.scope);
    Operation {
        out_of_scope: scope.and_then(|scope| contains_target(session.scopes.names(), scope, &commit.target))
            == Some(false),
        id: commit.op_id,
        intent,
        proposer: facts.envelope.sender.principal_id.clone(),
        state: begins(event),
        target: commit.target,
        kind: commit.op_kind,
        before: Some(commit.state_ref_before),
        after: Some(commit.state_ref_after),
        created_at: session.now,
        uncoordinated: false,
        content_missing: false,
        contested: false,
        of_earlier_intent: false,
        sequence: 0,
        more: Particulars { change_ref: commit.change_ref, summary: commit.summary, ..Particulars::NONE }
            .into(),
    }
}

/// The proposal becomes what was committed; its author, place and time of receipt stay (OPS-11, OPS-30). What it
/// supersedes is superseded now (D-099).
pub(super) fn complete(session: &mut Session, committed: Operation) -> Option<OpId> {
    let op: OpId = committed.id.clone();
    session.move_operation(&op, Event::Committed);
    let asked_first = is_pre_commit(session); // then it was authorised as it was asked for
    let known = session.operations.get_mut(&op)?;
    *known = Operation {
        state: known.state,
        intent: known.intent.clone().or_else(|| committed.intent.clone().filter(|_| !asked_first)),
        uncoordinated: if asked_first { known.uncoordinated } else { committed.uncoordinated },
        sequence: known.sequence,
        created_at: known.created_at,
        more: Particulars {
            change_ref: committed.more.change_ref.clone().or_else(|| known.more.change_ref.clone()),
            summary: committed.more.summary.clone().or_else(|| known.more.summary.clone()),
            grace_until: None,
            ..(*known.more).clone()
        }
        .into(),
        ..committed
    };
    if let Some(intent) = &known.intent {
        session.standing_by_intent.put(intent.clone(), (known.sequence, op)); // the commit may have named it first
    }
    let old = known.more.supersedes.clone()?;
    session.move_operation(&old, Event::Superseded).map(|_| old)
}
