//! Every message that the reference's participant builds, with its members in the same order.

use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{
    AckType, Atomicity, ConflictCategory, Decision, GoodbyeReason, HeartbeatStatus, IntentDisposition,
    OpKind, Severity,
};
use mpac_wire::payload::{
    Backend, BackendHealth, Basis, BatchEntry, ConflictAck, ConflictEscalate, ConflictReport, FileChanges,
    Goodbye, Heartbeat, Hello, IntentAnnounce, IntentClaim, IntentDeferred, IntentUpdate, IntentWithdraw,
    OpBatchCommit, OpCommit, OpPropose, OpSupersede, Outcome, Resolution,
};
use mpac_wire::{
    BatchId, ClaimId, ConflictId, DeferralId, Envelope, IntentId, OpId, PrincipalId, Scope, Seconds,
    StateRef, Watermark,
};

use super::{Participant, Stamp};

impl Participant {
    /// HELLO: asks to join, first and after every reconnect (PAR-02).
    pub fn hello(&mut self, stamp: Stamp, backend: Option<Backend>) -> Envelope {
        let who = &self.introduction;
        let mut hello = Hello::new(who.display_name.clone(), who.capabilities.clone());
        hello.roles = Some(who.roles.clone());
        hello.credential = who.credential.clone();
        hello.backend = backend;
        hello.implementation = who.implementation.clone();
        self.write(stamp, hello)
    }

    /// HEARTBEAT: alive, and doing this (LIV-19).
    pub fn heartbeat(
        &mut self,
        stamp: Stamp,
        status: HeartbeatStatus,
        active_intent: Option<IntentId>,
        summary: Option<String>,
        backend_health: Option<BackendHealth>,
    ) -> Envelope {
        let mut heartbeat = Heartbeat::new(status);
        heartbeat.active_intent_id = active_intent;
        heartbeat.summary = summary;
        heartbeat.backend_health = backend_health;
        self.write(stamp, heartbeat)
    }

    /// GOODBYE with what becomes of the intents; lists those that are not over (BYE-02).
    pub fn goodbye(
        &mut self,
        stamp: Stamp,
        reason: GoodbyeReason,
        disposition: IntentDisposition,
    ) -> Envelope {
        let active: Vec<IntentId> = self.intents.keys().cloned().collect();
        let mut goodbye = Goodbye::new(reason);
        goodbye.intent_disposition = Some(disposition);
        goodbye.active_intents = (!active.is_empty()).then_some(active);
        self.write(stamp, goodbye)
    }

    /// INTENT_ANNOUNCE: about to do this.
    pub fn announce(
        &mut self,
        stamp: Stamp,
        intent: IntentId,
        objective: String,
        scope: Scope,
        ttl_sec: Option<Seconds>,
    ) -> Envelope {
        let mut announce = IntentAnnounce::new(intent, objective, scope);
        announce.ttl_sec = ttl_sec;
        self.write(stamp, announce)
    }

    /// INTENT_UPDATE: what is given replaces what was.
    pub fn update(
        &mut self,
        stamp: Stamp,
        intent: IntentId,
        objective: Option<String>,
        scope: Option<Scope>,
        ttl_sec: Option<Seconds>,
    ) -> Envelope {
        let mut update = IntentUpdate::new(intent);
        update.objective = objective;
        update.scope = scope;
        update.ttl_sec = ttl_sec;
        self.write(stamp, update)
    }

    /// INTENT_WITHDRAW: given up, or done (INT-23).
    pub fn withdraw(&mut self, stamp: Stamp, intent: IntentId, reason: Option<String>) -> Envelope {
        let mut withdraw = IntentWithdraw::new(intent);
        withdraw.reason = reason;
        self.write(stamp, withdraw)
    }

    /// INTENT_DEFERRED: saw these at work on this scope, and stepped back (DEF-01).
    pub fn defer(
        &mut self,
        stamp: Stamp,
        deferral: DeferralId,
        scope: Scope,
        ttl_sec: Seconds,
        (observed_intents, observed_principals): (Vec<String>, Vec<PrincipalId>),
        category: Option<String>,
    ) -> Envelope {
        let mut deferred = IntentDeferred::new();
        deferred.deferral_id = Some(deferral);
        deferred.scope = Some(scope);
        deferred.reason = Some("yielded".into());
        deferred.ttl_sec = Some(ttl_sec);
        deferred.observed_intent_ids = (!observed_intents.is_empty()).then_some(observed_intents);
        deferred.observed_principals = (!observed_principals.is_empty()).then_some(observed_principals);
        deferred.category = category;
        self.write(stamp, deferred)
    }

    /// INTENT_CLAIM: would go on with somebody's suspended intent.
    pub fn claim(
        &mut self,
        stamp: Stamp,
        claim: ClaimId,
        of: (IntentId, PrincipalId),
        new: NewIntent,
    ) -> Envelope {
        let (original, owner) = of;
        let mut message = IntentClaim::new(claim, original, owner, new.intent, new.objective, new.scope);
        message.justification = new.justification;
        self.write(stamp, message)
    }

    /// OP_PROPOSE: would change this.
    pub fn propose(
        &mut self,
        stamp: Stamp,
        op: OpId,
        intent: Option<IntentId>,
        target: String,
        kind: OpKind,
    ) -> Envelope {
        let mut propose = OpPropose::new(op, target, kind);
        propose.intent_id = intent;
        self.write(stamp, propose)
    }

    /// OP_COMMIT: changed this, from that state to this one, with the contents for the shared workspace (OPS-05).
    pub fn commit(
        &mut self,
        stamp: Stamp,
        op: OpId,
        intent: Option<IntentId>,
        (target, kind): (String, OpKind),
        (before, after): (StateRef, StateRef),
        file_changes: Option<FileChanges>,
    ) -> Envelope {
        let mut commit = OpCommit::new(op, target, kind, before, after);
        commit.intent_id = intent;
        commit.file_changes = file_changes;
        self.write(stamp, commit)
    }

    /// OP_BATCH_COMMIT: several at once.
    pub fn batch_commit(
        &mut self,
        stamp: Stamp,
        batch: BatchId,
        operations: Vec<BatchEntry>,
        atomicity: Atomicity,
        intent: Option<IntentId>,
        summary: Option<String>,
    ) -> Envelope {
        let mut message = OpBatchCommit::new(batch, atomicity, operations);
        message.intent_id = intent;
        message.summary = summary;
        self.write(stamp, message)
    }

    /// OP_SUPERSEDE: this in place of that.
    pub fn supersede(
        &mut self,
        stamp: Stamp,
        (op, supersedes): (OpId, OpId),
        target: String,
        intent: Option<IntentId>,
        reason: Option<String>,
        after: Option<StateRef>,
    ) -> Envelope {
        let mut message = OpSupersede::new(op, supersedes, target);
        message.intent_id = intent;
        message.reason = reason;
        message.state_ref_after = after;
        self.write(stamp, message)
    }

    /// CONFLICT_REPORT in the specification's form (CON-02, CON-03); the sides are the two owners and their intents.
    pub fn report_conflict(
        &mut self,
        stamp: Stamp,
        conflict: ConflictId,
        (category, severity): (ConflictCategory, Severity),
        (a, b): ((PrincipalId, IntentId), (PrincipalId, IntentId)),
        basis: Basis,
        description: String,
    ) -> Envelope {
        let mut report = ConflictReport::new(conflict, category, severity);
        report.related_intents = Some([a.1.clone(), b.1.clone()].into());
        report.basis = Some(basis);
        report.based_on_watermark = Some(Watermark::lamport(self.clock.value()));
        report.description = Some(description);
        set_sides(&mut report, a, b);
        self.write(stamp, report)
    }

    /// CONFLICT_REPORT as the reference's participant writes it: the two sides and nothing else (D-107).
    pub fn report_conflict_briefly(
        &mut self,
        stamp: Stamp,
        conflict: ConflictId,
        (category, severity): (ConflictCategory, Severity),
        (a, b): ((PrincipalId, IntentId), (PrincipalId, IntentId)),
    ) -> Envelope {
        let mut report = ConflictReport::new(conflict, category, severity);
        set_sides(&mut report, a, b);
        self.write(stamp, report)
    }

    /// CONFLICT_ACK: has seen it, accepts it or disputes it (PAR-19).
    pub fn ack(&mut self, stamp: Stamp, conflict: ConflictId, ack: AckType) -> Envelope {
        self.write(stamp, ConflictAck::new(conflict, ack))
    }

    /// CONFLICT_ESCALATE: somebody with authority shall decide (PAR-25).
    pub fn escalate(
        &mut self,
        stamp: Stamp,
        conflict: ConflictId,
        to: PrincipalId,
        reason: String,
        context: Option<String>,
    ) -> Envelope {
        let mut message = ConflictEscalate::new(conflict, to, reason);
        message.context = context;
        self.write(stamp, message)
    }

    /// RESOLUTION: decides.
    pub fn resolve(
        &mut self,
        stamp: Stamp,
        conflict: ConflictId,
        decision: Decision,
        rationale: Option<String>,
        outcome: Option<Outcome>,
    ) -> Envelope {
        let mut resolution = Resolution::new(conflict, decision);
        resolution.rationale = rationale;
        resolution.outcome = outcome;
        self.write(stamp, resolution)
    }
}

fn set_sides(report: &mut ConflictReport, a: (PrincipalId, IntentId), b: (PrincipalId, IntentId)) {
    (report.principal_a, report.intent_a) = (Some(a.0), Some(a.1));
    (report.principal_b, report.intent_b) = (Some(b.0), Some(b.1));
}

/// The intent that shall take a claimed one's place.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the arguments of one call")]
pub struct NewIntent {
    /// Its id.
    pub intent: IntentId,
    /// What for.
    pub objective: String,
    /// Equal to or inside the claimed one's (CLM-03).
    pub scope: Scope,
    /// Why.
    pub justification: Option<String>,
}
