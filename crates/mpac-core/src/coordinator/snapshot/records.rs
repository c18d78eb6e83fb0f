//! From stored records to the session's.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use mpac_wire::names::{
    AckType, ConflictCategory, ConflictState, Decision, HeartbeatStatus, IntentState, OpKind, OperationState,
    PrincipalType, Priority, ProviderStatus, Role, Severity,
};
use mpac_wire::payload::{Backend, Basis};
use mpac_wire::snapshot::{ConflictRecord, IntentRecord, OperationRecord, ParticipantRecord, Snapshot};
use mpac_wire::{InstanceId, Integer, IntentId, MessageId, PrincipalId, Sender, Timestamp, Watermark};

use super::super::conflict::part::Part;
use super::super::gate::sorted;
use super::super::governance::timeout;
use super::super::records::{
    Conflict, Freeze, Member, Missed, NewIntent, Operation, Particulars, Proof, Settled,
};
use super::super::state::{Intent, Session};
use super::super::words;
use super::names::{conflict_state, intent_state, named, operation_state};
use super::waiting;
use crate::error::RestoreError;
use crate::table::{conflict, intent, operation};

/// Fills a fresh session with what a snapshot holds.
pub(super) fn read(session: &mut Session, snapshot: &Snapshot) -> Result<(), RestoreError> {
    for record in snapshot.participants.iter().flatten() {
        let member = participant(record, snapshot.captured_at, session.members.len() as u64);
        if session.members.insert(member) {
            return Err(RestoreError::repeated("participant", &record.principal_id));
        }
    }
    let mut order = Order::of(snapshot);
    for record in snapshot.intents.iter().flatten() {
        let intent = read_intent(session, record, snapshot.captured_at, &mut order)?;
        if session.intents.insert(intent) {
            return Err(RestoreError::repeated("intent", &record.intent_id));
        }
    }
    for record in snapshot.archived_intents.iter().flatten() {
        let intent = read_intent(session, record, snapshot.captured_at, &mut order)?;
        session.archived_intents.push_back(intent);
    }
    for record in snapshot.operations.iter().flatten() {
        let op = read_operation(record, snapshot.captured_at, &mut order)?;
        if session.operations.insert(op) {
            return Err(RestoreError::repeated("operation", &record.op_id));
        }
    }
    for record in snapshot.conflicts.iter().flatten() {
        let conflict = read_conflict(session, record, snapshot, &mut order)?;
        if record.sequence.is_some() && !conflict.state.is_terminal() {
            disputes_what_is_there(session, &conflict)?;
        }
        if session.conflicts.insert(conflict) {
            return Err(RestoreError::repeated("conflict", &record.conflict_id));
        }
    }
    session.sequence = order.last;
    waiting::read(session, snapshot)
}

/// Gives a place in the order of receipt to records that do not say theirs, behind all that do.
struct Order {
    last: u64,
    places: BTreeMap<(&'static str, String), u64>,
}

impl Order {
    fn of(snapshot: &Snapshot) -> Self {
        let get = |number: &Option<Integer>| number.as_ref().map(Integer::get);
        let captured = snapshot.captured_at;
        let intents = snapshot.intents.iter().flatten().map(|record| {
            let at = record.received_at.unwrap_or(captured);
            (get(&record.sequence), at, ("intent", record.intent_id.to_string()))
        });
        let operations = snapshot.operations.iter().flatten().map(|record| {
            let at = record.created_at.unwrap_or(captured);
            (get(&record.sequence), at, ("operation", record.op_id.to_string()))
        });
        let conflicts = snapshot.conflicts.iter().flatten().map(|record| {
            let at = record.created_at.unwrap_or(captured);
            (get(&record.sequence), at, ("conflict", record.conflict_id.to_string()))
        });
        let all: Vec<_> = intents.chain(operations).chain(conflicts).collect();
        let mut last = all.iter().filter_map(|(known, ..)| *known).max().unwrap_or(0);
        let mut unplaced: Vec<_> = all.into_iter().filter(|(known, ..)| known.is_none()).collect();
        unplaced.sort_by_key(|(_, at, _)| *at); // stable: records of one moment stay as they stood
        let mut places = BTreeMap::new();
        for (_, _, name) in unplaced {
            last += 1;
            places.insert(name, last);
        }
        Self { last, places }
    }

    fn place(&mut self, known: Option<&Integer>, kind: &'static str, id: &str) -> u64 {
        let found = known.map(Integer::get).or_else(|| self.places.get(&(kind, id.to_owned())).copied());
        found.unwrap_or_else(|| {
            self.last += 1;
            self.last
        })
    }
}

fn participant(record: &ParticipantRecord, captured: Timestamp, place: u64) -> Member {
    let id = &record.principal_id;
    // Bounded alike; the references do not say which incarnation it was.
    let unknown =
        || InstanceId::new(id.as_str()).unwrap_or_else(|_| unreachable!("it has the length of an id"));
    // Nobody else is offline and not available, and the references say no more than that.
    let gone = record.status == Some(HeartbeatStatus::Offline) && record.is_available == Some(false);
    // Whoever left is not here, whatever else a snapshot says: nobody waits for their silence.
    let departed = record.departed.unwrap_or(gone);
    let backend = record
        .backend_model_id
        .clone()
        .map(|model| Backend::new(model, record.backend_provider.clone().unwrap_or_default()));
    Member {
        sender: Sender::new(
            id.clone(),
            record.principal_type.clone().unwrap_or(PrincipalType::Agent),
            record.sender_instance_id.clone().unwrap_or_else(unknown),
        ),
        display_name: record.display_name.clone().unwrap_or_else(|| id.to_string()),
        roles: record.roles.clone().unwrap_or_else(|| [Role::Participant].into()),
        capabilities: record.capabilities.clone().unwrap_or_default(),
        proof: record.identity_method.clone().map(|method| Proof {
            method,
            issuer: record.identity_issuer.clone(),
            expires_at: record.identity_expires_at,
        }),
        backend,
        provider_status: record.backend_provider_status.clone().unwrap_or(ProviderStatus::Unknown),
        alerted: record.backend_alerted.unwrap_or(false),
        approved_model: record.approved_model_id.clone(),
        status: record.status.clone().unwrap_or(HeartbeatStatus::Idle),
        available: record.is_available.unwrap_or(true) && !departed,
        departed,
        last_seen: record.last_seen.unwrap_or(captured),
        last_message: record.last_message_id.clone(),
        conn: None,
        joined: record.joined.as_ref().map_or(place, Integer::get),
        missed: Missed {
            intents: record.ended_intents.clone().unwrap_or_default(),
            operations: record.ended_operations.clone().unwrap_or_default(),
            resolutions: record.overruled_in.clone().unwrap_or_default(),
        },
    }
}

fn read_intent(
    session: &Session,
    record: &IntentRecord,
    captured: Timestamp,
    order: &mut Order,
) -> Result<Intent, RestoreError> {
    let id = &record.intent_id;
    let state = record.state.clone().unwrap_or(IntentState::Active);
    let state = named(&intent::STATES, &state, intent_state)
        .ok_or_else(|| RestoreError::state("intent", id, state.as_str()))?;
    let received_at = record.received_at.unwrap_or(captured);
    let ttl = record.ttl_sec.clone().unwrap_or_else(|| session.config.default_intent_ttl_sec.clone());
    let new = NewIntent {
        id: id.clone(),
        owner: record.principal_id.clone(),
        objective: record.objective.clone().unwrap_or_default(),
        scope: record.scope.clone(),
        ttl,
        message: record.last_message_id.clone().unwrap_or_else(|| unknown_message(id)),
        assumptions: record.assumptions.clone().unwrap_or_default(),
        priority: record.priority.clone().unwrap_or(Priority::Normal),
        parent: record.parent_intent_id.clone(),
        supersedes: record.supersedes_intent_id.clone(),
    };
    let sequence = order.place(record.sequence.as_ref(), "intent", id.as_str());
    let mut intent = Intent::begin(new, state, received_at, sequence);
    intent.expires_at = record.expires_at.unwrap_or(intent.expires_at);
    intent.suspended_cause = record.suspended_cause.as_deref().map(Into::into);
    Ok(intent)
}

/// The references do not always say which message it was.
fn unknown_message(id: &IntentId) -> MessageId {
    MessageId::new(id.as_str()).unwrap_or_else(|_| unreachable!("it has the length of an id"))
}

fn read_operation(
    record: &OperationRecord,
    captured: Timestamp,
    order: &mut Order,
) -> Result<Operation, RestoreError> {
    let id = &record.op_id;
    let state = record.state.clone().unwrap_or(OperationState::Proposed);
    let state = named(&operation::STATES, &state, operation_state)
        .ok_or_else(|| RestoreError::state("operation", id, state.as_str()))?;
    let intent = record.intent_id.as_deref().unwrap_or_default();
    let created_at = record.created_at.unwrap_or(captured);
    let by = record.authorized_by.clone();
    Ok(Operation {
        id: id.clone(),
        intent: IntentId::new(intent).ok(), // empty when none
        proposer: record.principal_id.clone(),
        state,
        target: record.target.clone().unwrap_or_default(),
        kind: record.op_kind.clone().unwrap_or(OpKind::Replace),
        before: record.state_ref_before.clone(),
        after: record.state_ref_after.clone(),
        created_at,
        uncoordinated: record.uncoordinated.unwrap_or(false),
        out_of_scope: record.out_of_scope.unwrap_or(false),
        content_missing: record.content_missing.unwrap_or(false),
        contested: record.contested.unwrap_or(false),
        of_earlier_intent: record.of_earlier_intent.unwrap_or(false),
        sequence: order.place(record.sequence.as_ref(), "operation", id.as_str()),
        more: Particulars {
            batch: record.batch_id.clone(),
            supersedes: record.supersedes_op_id.clone(),
            approved_by: record.approved_by.clone(),
            authorised: by.map(|by| (by, record.authorized_at.unwrap_or(created_at))),
            change_ref: record.change_ref.clone(),
            summary: record.summary.clone(),
            grace_until: record.grace_until,
        }
        .into(),
    })
}

fn read_conflict(
    session: &Session,
    record: &ConflictRecord,
    snapshot: &Snapshot,
    order: &mut Order,
) -> Result<Conflict, RestoreError> {
    let id = &record.conflict_id;
    let state = record.state.clone().unwrap_or(ConflictState::Open);
    let state = named(&conflict::STATES, &state, conflict_state)
        .ok_or_else(|| RestoreError::state("conflict", id, state.as_str()))?;
    // We never stop half way; one that somebody else left resolved is archived, or nothing would ever end it (GOV-07).
    let state = conflict::next(Some(state), conflict::Event::Archived).unwrap_or(state);
    let created_at = record.created_at.unwrap_or(snapshot.captured_at);
    let side = |principal: &Option<_>, intent: &Option<IntentId>| {
        principal.clone().map(|principal| (principal, intent.clone()))
    };
    let (a, b) = (side(&record.principal_a, &record.intent_a), side(&record.principal_b, &record.intent_b));
    let mut intents = record.related_intents.clone().unwrap_or_default();
    if intents.is_empty() {
        intents = [record.intent_a.clone(), record.intent_b.clone()].into_iter().flatten().collect();
    }
    let sides = || [&a, &b].into_iter().flatten().map(|(principal, _)| principal.clone());
    let principals = record.involved_principals.clone();
    let escalated = record.escalated_to.clone().map(|to| (to, record.escalated_at.unwrap_or(created_at)));
    let based_on = || Watermark::lamport(snapshot.lamport_clock.get());
    let mut conflict = Conflict {
        id: id.clone(),
        category: record.category.clone().unwrap_or(ConflictCategory::ScopeOverlap),
        severity: record.severity.clone().unwrap_or(Severity::Medium),
        basis: record.basis.clone().unwrap_or_else(Basis::new),
        based_on: record.based_on_watermark.clone().unwrap_or_else(based_on),
        description: record.description.clone().unwrap_or_default(),
        intents,
        ops: record.related_ops.clone().unwrap_or_default(),
        principals: principals.unwrap_or_else(|| sorted(sides())),
        author: record.author.clone(),
        part: if state.is_terminal() { None } else { part(record)? },
        a,
        b,
        state,
        created_at,
        report: record.report_message_id.clone(),
        acks: acks(record),
        // One that is not over can still be decided, whatever stands beside it.
        resolution: settled(record, escalated.as_ref().map(|(to, _)| to.clone()), created_at)
            .filter(|_| state.is_terminal())
            .map(Box::new),
        escalated,
        timeout_at: record.resolution_due_at,
        freeze: freeze(session, record, snapshot.captured_at).map(Box::new),
        sequence: order.place(record.sequence.as_ref(), "conflict", id.as_str()),
    };
    // A reference does not say when it has been pending for too long, but since when it is.
    let ours = record.sequence.is_some();
    if !ours && !state.is_terminal() && conflict.freeze.is_none() {
        let since = conflict.escalated.as_ref().map_or(created_at, |(_, at)| *at);
        conflict.timeout_at = timeout::pending_until(session, since);
    }
    Ok(conflict)
}

/// What an open conflict is about is not forgotten (SES-27). The references let anybody report about anything.
fn disputes_what_is_there(session: &Session, conflict: &Conflict) -> Result<(), RestoreError> {
    let missing = |id: &str| Err(RestoreError::dangling("conflict", conflict.id.to_string(), id));
    if let Some(id) = conflict.intents.iter().find(|id| !session.intents.contains_key(*id)) {
        return missing(id.as_str());
    }
    match conflict.ops.iter().find(|id| !session.operations.contains_key(*id)) {
        Some(id) => missing(id.as_str()),
        None => Ok(()),
    }
}

/// What its scopes overlap in. Earlier builds wrote the names themselves.
fn part(record: &ConflictRecord) -> Result<Option<Part>, RestoreError> {
    if let Some(text) = &record.overlap_marks {
        let marks = words::parse(text);
        return marks.map(|marks| Some(Part::marked(marks))).ok_or(RestoreError::Overlap);
    }
    Ok(record.overlap.as_ref().map(|names| match names.as_slice() {
        [] => Part::Assumed,
        names => Part::named(names),
    }))
}

fn acks(record: &ConflictRecord) -> Vec<(PrincipalId, AckType, Timestamp)> {
    let acks = record.acks.iter().flatten();
    acks.map(|ack| (ack.principal_id.clone(), ack.ack_type.clone(), ack.at)).collect()
}

/// How it was settled; the references keep who and by which message.
fn settled(
    record: &ConflictRecord,
    escalated_to: Option<PrincipalId>,
    created_at: Timestamp,
) -> Option<Settled> {
    let (id, by) = (record.resolution_id.clone()?, record.resolved_by.clone()?);
    let how = record.resolution.as_ref();
    let dismissed = record.state == Some(ConflictState::Dismissed);
    let guess = if dismissed { Decision::Dismissed } else { Decision::Approved };
    Some(Settled {
        id,
        by,
        decision: how.map_or(guess, |how| how.decision.clone()),
        outcome: how.and_then(|how| how.outcome.clone()),
        rationale: how.and_then(|how| how.rationale.clone()).unwrap_or_default(),
        at: how.map_or(created_at, |how| how.resolved_at),
        causally_partial: how.and_then(|how| how.causally_partial).unwrap_or(false),
        escalated_to,
    })
}

/// A reference keeps that a scope is frozen, and not since when: its first phase begins again.
fn freeze(session: &Session, record: &ConflictRecord, captured: Timestamp) -> Option<Freeze> {
    let Some(at) = record.frozen_at else {
        return (record.scope_frozen == Some(true)).then(|| Freeze {
            at: captured,
            phase: 1,
            phase_ends: Some(captured.after(&session.config.frozen_phase(1))),
            favoured: None,
        });
    };
    Some(Freeze {
        at,
        phase: record.phase.as_ref().map_or(1, |phase| u8::try_from(phase.get()).unwrap_or(u8::MAX)),
        phase_ends: record.phase_ends_at,
        favoured: record.favoured_intent_id.clone(),
    })
}
