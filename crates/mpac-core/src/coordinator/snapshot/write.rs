//! From the session to its stored form.

use alloc::borrow::ToOwned;
use alloc::string::ToString;

use mpac_wire::snapshot::{
    AckRecord, AntiReplay, BackoffRecord, BatchRecord, ClaimRecord, ConflictRecord, ConnectionRecord,
    CoordinatorKeyRecord, CoordinatorState, DeferralRecord, ForgottenRecord, FrontierRecord, HandoverRecord,
    IntentRecord, KeyRecord, OperationRecord, ParticipantRecord, ResolutionRecord, Snapshot,
};
use mpac_wire::{BatchId, Integer, PrincipalId, Timestamp};

use super::super::conflict::part::Part;
use super::super::intent::claim::pending_on;
use super::super::keys::BoundKey;
use super::super::records::{Backoff, Batch, Claim, Conflict, Deferral, Member, Operation};
use super::super::retention::Forgotten;
use super::super::state::{Intent, Session};
use super::super::words;
use super::names::{conflict_state, intent_state, operation_state};

/// The session's version of the format.
const VERSION: u64 = 2;

/// The stored form as it is at `at`, `seq` inputs in: the references' fields, then ours.
pub(in super::super) fn write(session: &Session, seq: u64, at: Timestamp) -> Snapshot {
    let config = &session.config;
    let level = config.level.as_str().to_owned();
    let mut snapshot = Snapshot::new(
        Integer::new(VERSION),
        config.session_id.clone(),
        level.clone(),
        at,
        Integer::new(session.epoch),
        Integer::new(session.lamport.value()),
    );
    snapshot.anti_replay = Some(anti_replay(session));
    snapshot.participants = Some(session.members.values().map(participant).collect());
    snapshot.intents = Some(
        session
            .intents
            .values()
            .map(|intent| {
                let mut record = intent_record(intent);
                let claim = pending_on(session, &intent.id).and_then(|id| session.claims.get(id.as_str()));
                record.claimed_by = claim.map(|claim| claim.claimer.clone());
                record
            })
            .collect(),
    );
    snapshot.operations = Some(session.operations.values().map(operation_record).collect());
    snapshot.conflicts = Some(session.conflicts.values().map(conflict_record).collect());
    snapshot.pending_claims = Some(session.claims.values().map(claim_record).collect());
    snapshot.session_closed = Some(session.closed);
    snapshot.governance_policy = Some(config.effective_governance());
    snapshot.liveness_policy = Some(config.effective_liveness());
    snapshot.protocol_level = Some(level);
    snapshot.security_profile = Some(config.security_profile.clone());
    snapshot.compliance_profile = Some(config.compliance_profile.clone());
    snapshot.execution_model = Some(config.execution_model.clone());
    snapshot.state_ref_format = Some(config.state_ref_format.clone());
    snapshot.session_started_at = Some(session.started_at);
    snapshot.lifecycle_policy = Some(config.lifecycle.clone());
    snapshot.role_policy = config.role_policy.clone();
    snapshot.resource_registry = config.resource_registry.clone();
    snapshot.target_state_refs = Some(session.refs.to_ordered());
    snapshot.archived_intents = Some(session.archived_intents.iter().map(intent_record).collect());
    snapshot.backoff = Some(session.backoff.iter().map(backoff_record).collect());
    snapshot.deferrals = Some(session.deferrals.values().map(deferral_record).collect());
    snapshot.batches = Some(session.batches.iter().map(|(id, batch)| batch_record(id, batch)).collect());
    snapshot.handover = session
        .handover
        .as_ref()
        .map(|handover| HandoverRecord::new(handover.successor.clone(), Integer::new(handover.next_epoch)));
    snapshot.coordinator_state = Some(continuation(session, seq));
    snapshot
}

/// What a replay must know beside what everybody sees.
fn continuation(session: &Session, seq: u64) -> CoordinatorState {
    let (seed, epoch, counter) = session.ids.parts();
    let number = Integer::new;
    let mut state = CoordinatorState::new(
        number(seq),
        alloc::format!("{seed:016x}"),
        number(epoch),
        number(counter),
        number(session.sequence),
    );
    let flag = |on: bool| on.then_some(true);
    state.unopened = flag(session.unopened);
    state.no_vacancy = flag(!session.vacancy);
    state.closes_at = session.closes_at;
    state.next_status_at = session.next_status;
    state.workspace_files = Some(session.files.iter().cloned().collect());
    let sizes = session.sizes.iter().map(|(path, bytes)| (path.clone(), Integer::new(bytes)));
    state.workspace_file_bytes = Some(sizes.collect());
    state.connections = Some(
        session
            .connections
            .iter()
            .map(|(conn, connection)| {
                let mut record = ConnectionRecord::new(number(conn.0));
                record.principal_id = connection.principal.clone();
                record.refused_hellos = Some(number(connection.refused_hellos.into()));
                record.malformed_at = Some(connection.malformed.iter().copied().collect());
                record
            })
            .collect(),
    );
    state.claim_ids = Some(session.claim_ids.iter().cloned().collect());
    state.resolution_ids = Some(session.resolutions.iter().cloned().collect());
    state.forgotten = Some(forgotten(&session.forgotten));
    let refused = session.refused_claimers.iter();
    state.refused_claimers = Some(refused.map(|(who, until)| (who.to_string(), *until)).collect());
    state.keys = Some(session.keys.iter().map(|(owner, bound)| key_record(owner, bound)).collect());
    let own = session.coordinator_key.as_ref();
    state.coordinator_key = own.map(|own| CoordinatorKeyRecord::new(own.key.clone(), own.from));
    state.retired = flag(session.retired);
    state.fenced_by_epoch = session.fenced_by.map(number);
    state.snapshot_lamport_clock = session.persisted.map(number);
    let recovery = &session.recovery;
    state.recovered_at = recovery.taken_up.as_ref().map(|(_, at)| *at);
    state.recovered_as = recovery.taken_up.as_ref().map(|(how, _)| how.as_str().to_owned());
    state.untold = Some(recovery.untold.iter().cloned().collect());
    state.awaited = Some(recovery.awaited.iter().cloned().collect());
    let diverged = recovery.diverged.iter();
    state.divergences_settled = Some(recovery.settled.iter().cloned().collect());
    state.diverged = Some(diverged.map(|(who, conflict)| (who.to_string(), conflict.clone())).collect());
    state
}

fn key_record(owner: &PrincipalId, bound: &BoundKey) -> KeyRecord {
    let mut record = KeyRecord::new(owner.clone(), bound.key.clone(), bound.from);
    record.valid_until = bound.until;
    record.certified = bound.certified.then_some(true);
    record
}

fn forgotten(counts: &Forgotten) -> ForgottenRecord {
    let mut record = ForgottenRecord::new();
    let named = |name: &str, count: &u64| (name.to_owned(), Integer::new(*count));
    let intents = counts.intents.iter();
    record.intents = Some(intents.map(|(state, n)| named(intent_state(*state).as_str(), n)).collect());
    let operations = counts.operations.iter();
    record.trace_words = counts.traces.to_text();
    record.operations =
        Some(operations.map(|(state, n)| named(operation_state(*state).as_str(), n)).collect());
    let conflicts = counts.conflicts.iter();
    record.conflicts = Some(conflicts.map(|(state, n)| named(conflict_state(*state).as_str(), n)).collect());
    record.participants = Some(Integer::new(counts.participants));
    record
}

fn anti_replay(session: &Session) -> AntiReplay {
    let frontier = session.frontier.iter().map(|((principal, instance), last)| {
        let mut record = FrontierRecord::new();
        record.last_ts = last.ts.map(Into::into);
        record.last_lamport = last.lamport.map(Integer::new);
        record.heard_at = Some(last.heard_at);
        if principal.as_str().contains('|') || instance.as_str().contains('|') {
            record.principal_id = Some(principal.clone());
            record.sender_instance_id = Some(instance.clone());
        }
        let key = if principal.as_str().contains('|') {
            // No other key begins like this, and the length says where the principal ends.
            alloc::format!("|{}|{principal}|{instance}", principal.as_str().len())
        } else {
            alloc::format!("{principal}|{instance}")
        };
        (key, record)
    });
    let mut anti_replay = AntiReplay::new();
    anti_replay.replay_window_sec = Some(session.config.replay_window_sec.clone());
    session.seen_ids.store(&mut anti_replay);
    anti_replay.sender_frontier = Some(frontier.collect());
    anti_replay
}

fn participant(member: &Member) -> ParticipantRecord {
    let mut record = ParticipantRecord::new(member.sender.principal_id.clone());
    record.principal_type = Some(member.sender.principal_type.clone());
    record.display_name = Some(member.display_name.clone());
    record.roles = Some(member.roles.clone());
    record.capabilities = Some(member.capabilities.clone());
    record.status = Some(member.status.clone());
    record.is_available = Some(member.available);
    record.last_seen = Some(member.last_seen);
    record.sender_instance_id = Some(member.sender.sender_instance_id.clone());
    record.departed = Some(member.departed);
    record.last_message_id = member.last_message.clone();
    record.backend_model_id = member.backend.as_ref().map(|backend| backend.model_id.clone());
    record.backend_provider_status = member.backend.as_ref().map(|_| member.provider_status.clone());
    record.backend_provider = member.backend.as_ref().map(|backend| backend.provider.clone());
    record.backend_alerted = member.alerted.then_some(true);
    record.approved_model_id = member.approved_model.clone();
    record.joined = Some(Integer::new(member.joined));
    identity(&mut record, member);
    record
}

/// What was proven, never by what (PRV-05); and what it has not been told yet.
fn identity(record: &mut ParticipantRecord, member: &Member) {
    if let Some(proof) = &member.proof {
        record.identity_method = Some(proof.method.clone());
        record.identity_issuer = proof.issuer.clone();
        record.identity_expires_at = proof.expires_at;
    }
    let missed = &member.missed;
    record.ended_intents = (!missed.intents.is_empty()).then(|| missed.intents.clone());
    record.ended_operations = (!missed.operations.is_empty()).then(|| missed.operations.clone());
    record.overruled_in = (!missed.resolutions.is_empty()).then(|| missed.resolutions.clone());
}

fn intent_record(intent: &Intent) -> IntentRecord {
    let mut record = IntentRecord::new(intent.id.clone(), intent.owner.clone(), intent.scope.clone());
    record.objective = Some(intent.objective.clone());
    record.state = Some(intent_state(intent.state()));
    record.received_at = Some(intent.received_at);
    record.ttl_sec = Some(intent.ttl.clone());
    record.expires_at = Some(intent.expires_at);
    record.last_message_id = Some(intent.last_message.clone());
    record.assumptions = Some(intent.assumptions.clone());
    record.priority = Some(intent.priority.clone());
    record.parent_intent_id = intent.parent.clone();
    record.supersedes_intent_id = intent.supersedes.clone();
    record.suspended_cause = intent.suspended_cause.as_deref().map(ToOwned::to_owned);
    record.sequence = Some(Integer::new(intent.sequence));
    record
}

fn operation_record(op: &Operation) -> OperationRecord {
    let flag = |on: bool| on.then_some(true);
    let mut record = OperationRecord::new(op.id.clone(), op.proposer.clone());
    record.intent_id = Some(op.intent.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default());
    record.state = Some(operation_state(op.state));
    record.target = Some(op.target.clone());
    record.op_kind = Some(op.kind.clone());
    record.state_ref_before = op.before.clone();
    record.state_ref_after = op.after.clone();
    record.batch_id = op.more.batch.clone();
    record.authorized_by = op.more.authorised.as_ref().map(|(by, _)| by.clone());
    record.authorized_at = op.more.authorised.as_ref().map(|(_, at)| *at);
    record.supersedes_op_id = op.more.supersedes.clone();
    record.approved_by = op.more.approved_by.clone();
    record.created_at = Some(op.created_at);
    record.change_ref = op.more.change_ref.clone();
    record.summary = op.more.summary.clone();
    record.uncoordinated = flag(op.uncoordinated);
    record.out_of_scope = flag(op.out_of_scope);
    record.contested = flag(op.contested);
    record.of_earlier_intent = flag(op.of_earlier_intent);
    record.content_missing = flag(op.content_missing);
    record.sequence = Some(Integer::new(op.sequence));
    record.grace_until = op.more.grace_until;
    record
}

fn claim_record(claim: &Claim) -> ClaimRecord {
    let mut record = ClaimRecord::new(
        claim.id.clone(),
        claim.original.clone(),
        claim.owner.clone(),
        claim.new_intent.clone(),
        claim.claimer.clone(),
        claim.scope.clone(),
    );
    record.objective = Some(claim.objective.clone());
    record.justification = claim.justification.clone();
    record.submitted_at = Some(claim.submitted_at);
    record.decision = Some("pending".to_owned());
    record.message_id = Some(claim.message.clone());
    record.granted_at = claim.granted_at;
    record
}

fn deferral_record(deferral: &Deferral) -> DeferralRecord {
    let mut record = DeferralRecord::new(
        deferral.id.clone(),
        deferral.principal.clone(),
        deferral.scope.clone(),
        deferral.expires_at,
    );
    record.reason = Some(deferral.reason.clone());
    record.observed_intent_ids = Some(deferral.observed_intents.clone());
    record.observed_principals = Some(deferral.observed_principals.clone());
    record.category = Some(deferral.category.clone());
    record.received_at = Some(deferral.received_at);
    record
}

fn backoff_record(backoff: &Backoff) -> BackoffRecord {
    BackoffRecord::new(
        backoff.principal.clone(),
        backoff.scope.clone(),
        Integer::new(backoff.rejections.into()),
        backoff.not_before,
    )
}

fn batch_record(id: &BatchId, batch: &Batch) -> BatchRecord {
    let mut record =
        BatchRecord::new(id.clone(), batch.atomicity.clone(), batch.principal.clone(), batch.ops.clone());
    record.intent_id = batch.intent.clone();
    record
}

fn conflict_record(conflict: &Conflict) -> ConflictRecord {
    let mut record = ConflictRecord::new(conflict.id.clone());
    record.category = Some(conflict.category.clone());
    record.severity = Some(conflict.severity.clone());
    record.principal_a = conflict.a.as_ref().map(|(principal, _)| principal.clone());
    record.principal_b = conflict.b.as_ref().map(|(principal, _)| principal.clone());
    record.intent_a = conflict.a.as_ref().and_then(|(_, intent)| intent.clone());
    record.intent_b = conflict.b.as_ref().and_then(|(_, intent)| intent.clone());
    record.state = Some(conflict_state(conflict.state));
    record.related_intents = Some(conflict.intents.clone());
    record.related_ops = Some(conflict.ops.clone());
    record.created_at = Some(conflict.created_at);
    record.escalated_to = conflict.escalated.as_ref().map(|(target, _)| target.clone());
    record.escalated_at = conflict.escalated.as_ref().map(|(_, at)| *at);
    record.resolution_id = conflict.resolution.as_ref().map(|settled| settled.id.clone());
    record.resolved_by = conflict.resolution.as_ref().map(|settled| settled.by.clone());
    record.scope_frozen = Some(conflict.freeze.is_some() && !conflict.state.is_terminal());
    record.frozen_at = conflict.freeze.as_ref().map(|freeze| freeze.at);
    record.phase = conflict.freeze.as_ref().map(|freeze| Integer::new(freeze.phase.into()));
    record.phase_ends_at = conflict.freeze.as_ref().and_then(|freeze| freeze.phase_ends);
    record.favoured_intent_id = conflict.freeze.as_ref().and_then(|freeze| freeze.favoured.clone());
    record.resolution_due_at = conflict.timeout_at;
    record.involved_principals = Some(conflict.principals.clone());
    record.author = conflict.author.clone();
    record.sequence = Some(Integer::new(conflict.sequence));
    record.basis = Some(conflict.basis.clone());
    record.based_on_watermark = Some(conflict.based_on.clone());
    record.causally_partial = conflict.based_on.is_opaque().then_some(true);
    record.description = Some(conflict.description.clone());
    match &conflict.part {
        Some(Part::Named(marks)) => record.overlap_marks = Some(words::to_text(marks)),
        Some(Part::Assumed) => record.overlap = Some([].into()),
        None => {}
    }
    record.report_message_id = conflict.report.clone();
    let acks = conflict.acks.iter();
    record.acks = Some(acks.map(|(who, what, at)| AckRecord::new(who.clone(), what.clone(), *at)).collect());
    record.resolution = conflict.resolution.as_ref().map(|settled| {
        let mut resolution = ResolutionRecord::new(settled.decision.clone(), settled.at);
        resolution.outcome = settled.outcome.clone();
        resolution.rationale = Some(settled.rationale.clone());
        resolution.causally_partial = settled.causally_partial.then_some(true);
        resolution
    });
    record
}
