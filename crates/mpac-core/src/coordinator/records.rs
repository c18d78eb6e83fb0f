//! What a session keeps of each participant, operation, conflict, claim and connection. No rules.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{
    AckType, Atomicity, ConflictCategory, CoordinatorEvent, CredentialType, Decision, HeartbeatStatus,
    OpKind, Priority, ProviderStatus, Role, Severity,
};
use mpac_wire::payload::{Backend, Basis, IntentWithdraw, OpReject, Outcome};
use mpac_wire::{
    BatchId, ClaimId, ConflictId, DeferralId, InstanceId, IntentId, MessageId, OpId, PrincipalId,
    ResolutionId, Scope, Seconds, Sender, StateRef, Timestamp, Watermark,
};

use super::conflict::part::Part;
use super::retention::Recent;
use super::state::{Absent, Rare};
pub(crate) use crate::backoff::Backoff;
use crate::by_id::Equivalent;
use crate::by_own_id::HasId;
use crate::input::ConnId;
use crate::table::{conflict, operation};

/// A participant, present or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) sender: Sender,
    pub(crate) display_name: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) capabilities: Vec<String>,
    /// What its last HELLO proved, if anything.
    pub(crate) proof: Option<Proof>,
    pub(crate) backend: Option<Backend>,
    /// How that is doing, by its last report (BHM-03).
    pub(crate) provider_status: ProviderStatus,
    /// Whether everybody was told that it is not well.
    pub(crate) alerted: bool,
    /// The model it may switch to (D-060).
    pub(crate) approved_model: Option<String>,
    pub(crate) status: HeartbeatStatus,
    pub(crate) available: bool,
    /// Said GOODBYE and no HELLO since (D-019).
    pub(crate) departed: bool,
    pub(crate) last_seen: Timestamp,
    pub(crate) last_message: Option<MessageId>,
    /// Its connection, while there is one.
    pub(crate) conn: Option<ConnId>,
    /// Its place in the order of joining.
    pub(crate) joined: u64,
    /// What it could not be told yet.
    pub(crate) missed: Missed,
}

/// A verified identity (SEC-16). The secret that proved it is not kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proof {
    pub(crate) method: CredentialType,
    pub(crate) issuer: Option<String>,
    /// From when on it proves nothing any more.
    pub(crate) expires_at: Option<Timestamp>,
}

/// What ended while its owner was away, or was decided against (HEL-18): the last `retained_records` of each, since people
/// who only fall silent are told with their next HELLO, which may never come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Missed {
    pub(crate) intents: Vec<IntentWithdraw>,
    pub(crate) operations: Vec<OpReject>,
    /// Conflicts whose resolution ended an intent of its, or rejects what it has committed. How they were settled is in their
    /// records.
    pub(crate) resolutions: Vec<ConflictId>,
}

impl HasId for Member {
    type Id = PrincipalId;
    fn id(&self) -> &PrincipalId {
        &self.sender.principal_id
    }
}

impl Member {
    /// Only observers: may look, report and escalate (INT-21).
    pub(crate) fn is_read_only(&self) -> bool {
        !self.roles.is_empty() && self.roles.iter().all(|role| *role == Role::Observer)
    }

    /// Reviewer, owner or arbiter (OPS-17, D-084).
    pub(crate) fn reviews(&self) -> bool {
        self.roles.iter().any(|role| matches!(role, Role::Reviewer | Role::Owner | Role::Arbiter))
    }

    /// Owner or arbiter, present (D-044).
    pub(crate) fn governs(&self) -> bool {
        !self.departed && self.roles.iter().any(|role| matches!(role, Role::Owner | Role::Arbiter))
    }
}

/// What a new intent begins with; its state is the table's to give.
pub(crate) struct NewIntent {
    pub(crate) id: IntentId,
    pub(crate) owner: PrincipalId,
    pub(crate) objective: String,
    pub(crate) scope: Scope,
    pub(crate) ttl: Seconds,
    pub(crate) message: MessageId,
    pub(crate) assumptions: Vec<String>,
    pub(crate) priority: Priority,
    pub(crate) parent: Option<IntentId>,
    pub(crate) supersedes: Option<IntentId>,
}

/// Somebody changes something, or asks to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operation {
    pub(crate) id: OpId,
    pub(crate) intent: Option<IntentId>,
    pub(crate) proposer: PrincipalId,
    pub(crate) state: operation::State,
    pub(crate) target: String,
    pub(crate) kind: OpKind,
    pub(crate) before: Option<StateRef>,
    pub(crate) after: Option<StateRef>,
    pub(crate) created_at: Timestamp,
    pub(crate) uncoordinated: bool,
    pub(crate) out_of_scope: bool,
    pub(crate) content_missing: bool,
    /// Objected to after the fact (OPS-18, D-118).
    pub(crate) contested: bool,
    /// Committed before the intent that has the id of its own now was announced (D-024).
    pub(crate) of_earlier_intent: bool,
    pub(crate) sequence: u64,
    pub(crate) more: Rare<Particulars>,
}

impl HasId for Operation {
    type Id = OpId;
    fn id(&self) -> &OpId {
        &self.id
    }
}

/// What few operations have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Particulars {
    pub(crate) batch: Option<BatchId>,
    /// The committed operation that it replaces once it is completed (D-099).
    pub(crate) supersedes: Option<OpId>,
    /// Who approved it, where a review is asked for (D-084).
    pub(crate) approved_by: Option<PrincipalId>,
    /// Who authorised it, and when (OPS-06).
    pub(crate) authorised: Option<(PrincipalId, Timestamp)>,
    pub(crate) change_ref: Option<String>,
    pub(crate) summary: Option<String>,
    /// Until when it outlives its intent (CAS-02).
    pub(crate) grace_until: Option<Timestamp>,
}

impl Particulars {
    pub(crate) const NONE: Self = Self {
        batch: None,
        supersedes: None,
        approved_by: None,
        authorised: None,
        change_ref: None,
        summary: None,
        grace_until: None,
    };
}

impl Absent for Particulars {
    const ABSENT: &'static Self = &Self::NONE;
}

/// Somebody stepped back for others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deferral {
    pub(crate) id: DeferralId,
    pub(crate) principal: PrincipalId,
    pub(crate) scope: Scope,
    pub(crate) reason: String,
    pub(crate) observed_intents: Vec<String>,
    pub(crate) observed_principals: Vec<PrincipalId>,
    pub(crate) category: String,
    pub(crate) received_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// Operations that came in one message (BAT-10).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    pub(crate) atomicity: Atomicity,
    pub(crate) principal: PrincipalId,
    pub(crate) intent: Option<IntentId>,
    pub(crate) ops: Vec<OpId>,
}

/// One side of a conflict: who, and under which intent.
pub(crate) type Side = (PrincipalId, Option<IntentId>);

/// Two parties are in each other's way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conflict {
    pub(crate) id: ConflictId,
    pub(crate) category: ConflictCategory,
    pub(crate) severity: Severity,
    pub(crate) basis: Basis,
    pub(crate) based_on: Watermark,
    pub(crate) description: String,
    pub(crate) intents: Vec<IntentId>,
    pub(crate) ops: Vec<OpId>,
    /// Owners of the intents and proposers of the operations, sorted.
    pub(crate) principals: Vec<PrincipalId>,
    /// Who reported it, or whose message led to it.
    pub(crate) author: Option<PrincipalId>,
    /// The newer side.
    pub(crate) a: Option<Side>,
    /// The older side.
    pub(crate) b: Option<Side>,
    /// What the scopes overlap in, where the coordinator found that they do, or in what a divergence consists; of one that is
    /// over nobody asks (CON-22, REC-30).
    pub(crate) part: Option<Part>,
    pub(crate) state: conflict::State,
    pub(crate) created_at: Timestamp,
    pub(crate) report: Option<MessageId>,
    pub(crate) acks: Vec<(PrincipalId, AckType, Timestamp)>,
    pub(crate) escalated: Option<(PrincipalId, Timestamp)>,
    pub(crate) resolution: Option<Box<Settled>>,
    /// When it has been pending for too long (GOV-14).
    pub(crate) timeout_at: Option<Timestamp>,
    pub(crate) freeze: Option<Box<Freeze>>,
    pub(crate) sequence: u64,
}

impl HasId for Conflict {
    type Id = ConflictId;
    fn id(&self) -> &ConflictId {
        &self.id
    }
}

/// Nobody settled a conflict in time: its scope is frozen (FRZ-01).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Freeze {
    pub(crate) at: Timestamp,
    /// 1 to 2; the third phase ends the conflict.
    pub(crate) phase: u8,
    /// When the next phase begins, if there is one.
    pub(crate) phase_ends: Option<Timestamp>,
    /// The one intent whose operations pass, from phase 2 on (FRZ-10).
    pub(crate) favoured: Option<IntentId>,
}

/// Somebody would go on with a suspended intent, and nobody has decided yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claim {
    pub(crate) id: ClaimId,
    pub(crate) original: IntentId,
    pub(crate) owner: PrincipalId,
    pub(crate) new_intent: IntentId,
    pub(crate) claimer: PrincipalId,
    pub(crate) objective: String,
    pub(crate) scope: Scope,
    pub(crate) justification: Option<String>,
    pub(crate) message: MessageId,
    pub(crate) submitted_at: Timestamp,
    /// When it is granted by itself; in governance sessions never (CLM-07, CLM-08).
    pub(crate) granted_at: Option<Timestamp>,
}

/// Who settled a conflict, when and how (GOV-10).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settled {
    pub(crate) id: ResolutionId,
    pub(crate) by: PrincipalId,
    pub(crate) decision: Decision,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) rationale: String,
    pub(crate) at: Timestamp,
    /// It was escalated then, to whom: later comers are judged by that (GOV-03).
    pub(crate) escalated_to: Option<PrincipalId>,
    /// Its watermark could not be read (LAM-05).
    pub(crate) causally_partial: bool,
}

/// The last that was heard of one sender instance (SEC-21).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frontier {
    pub(crate) ts: Option<Timestamp>,
    pub(crate) lamport: Option<u64>,
    /// When, by our clock.
    pub(crate) heard_at: Timestamp,
}

/// One sender instance, for looking its [`Frontier`] up: nothing is copied.
#[derive(Hash)]
pub(crate) struct Incarnation<'a>(&'a PrincipalId, &'a InstanceId);

impl<'a> Incarnation<'a> {
    pub(crate) const fn of(sender: &'a Sender) -> Self {
        Self(&sender.principal_id, &sender.sender_instance_id)
    }
}

impl Equivalent<(PrincipalId, InstanceId)> for Incarnation<'_> {
    fn equivalent(&self, (principal, instance): &(PrincipalId, InstanceId)) -> bool {
        self.0 == principal && self.1 == instance
    }
}

/// A connection: who speaks on it, and how it behaved.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Connection {
    pub(crate) principal: Option<PrincipalId>,
    pub(crate) refused_hellos: u32,
    /// When its malformed frames of the last minute came (D-025).
    pub(crate) malformed: VecDeque<Timestamp>,
}

/// Who goes on with the session (REC-20, REC-21).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Handover {
    pub(crate) successor: PrincipalId,
    pub(crate) next_epoch: u64,
}

/// What is left to do after a session was taken up from a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recovery {
    /// How and when it last was: `recovered` or `assumed`.
    pub(crate) taken_up: Option<(CoordinatorEvent, Timestamp)>,
    /// Who has not been told yet (D-038).
    pub(crate) untold: BTreeSet<PrincipalId>,
    /// Who was available then and is not back yet (D-039).
    pub(crate) awaited: BTreeSet<PrincipalId>,
    /// Whose state has diverged, as they said in this epoch, and in which conflict that is settled (REC-30).
    pub(crate) diverged: BTreeMap<PrincipalId, ConflictId>,
    /// Whose divergence was settled in this epoch: it is not opened again, and the conflict may be forgotten.
    pub(crate) settled: Recent<PrincipalId>,
}

impl Recovery {
    /// Nothing to do. `seed` is the session's.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            taken_up: None,
            untold: BTreeSet::new(),
            awaited: BTreeSet::new(),
            diverged: BTreeMap::new(),
            settled: Recent::new(seed),
        }
    }
}
