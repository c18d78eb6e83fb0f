//! The records of a session as the invariants look at them.

use std::collections::{BTreeMap, BTreeSet};

use mpac_core::Coordinator;
use mpac_core::table::{conflict, intent, operation};
use mpac_wire::names::Role;
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{ConflictId, IntentId, OpId, Timestamp};

#[derive(Debug)]
pub(super) struct Member {
    pub(super) available: bool,
    pub(super) departed: bool,
    pub(super) roles: Vec<Role>,
}

impl Member {
    /// Sees claims, and decides.
    pub(super) fn governs(&self) -> bool {
        !self.departed && self.roles.iter().any(|role| matches!(role, Role::Owner | Role::Arbiter))
    }

    /// Sees proposals.
    pub(super) fn reviews(&self) -> bool {
        !self.departed
            && self.roles.iter().any(|role| matches!(role, Role::Reviewer | Role::Owner | Role::Arbiter))
    }
}

#[derive(Debug)]
pub(super) struct Intent {
    pub(super) owner: String,
    pub(super) state: intent::State,
    pub(super) files: BTreeSet<String>,
}

impl Intent {
    pub(super) fn is_live(&self) -> bool {
        !self.state.is_terminal()
    }

    pub(super) fn shares_with(&self, other: &Self) -> bool {
        !self.files.is_disjoint(&other.files)
    }
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) proposer: String,
    pub(super) state: operation::State,
    pub(super) intent: Option<String>,
    pub(super) target: String,
    pub(super) grace_until: Option<Timestamp>,
    pub(super) authorised: bool,
}

#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) state: conflict::State,
    pub(super) intents: Vec<String>,
    pub(super) ops: Vec<String>,
    pub(super) frozen: bool,
    pub(super) phase: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Claim {
    pub(super) original: String,
    pub(super) owner: String,
    pub(super) new: String,
    pub(super) claimer: String,
}

#[derive(Debug)]
pub(super) struct Picture {
    pub(super) members: BTreeMap<String, Member>,
    pub(super) intents: BTreeMap<String, Intent>,
    pub(super) ops: BTreeMap<String, Operation>,
    pub(super) conflicts: BTreeMap<String, Conflict>,
    pub(super) claims: BTreeMap<String, Claim>,
    /// How many finished intents were replaced by others of the same id.
    pub(super) archived: usize,
    pub(super) epoch: u64,
    pub(super) lamport: u64,
}

impl Picture {
    pub(super) fn of(coordinator: &Coordinator) -> Self {
        let snapshot = coordinator.snapshot();
        Self {
            members: members(&snapshot),
            intents: intents(coordinator, &snapshot),
            ops: ops(coordinator, &snapshot),
            conflicts: conflicts(coordinator, &snapshot),
            claims: claims(&snapshot),
            archived: snapshot.archived_intents.as_ref().map_or(0, Vec::len),
            epoch: snapshot.coordinator_epoch.get(),
            lamport: snapshot.lamport_clock.get(),
        }
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (&String, &Intent)> {
        self.intents.iter().filter(|(_, intent)| intent.is_live())
    }

    /// Whether nothing is left that time could change.
    pub(super) fn is_quiet(&self) -> bool {
        self.live().next().is_none()
            && !self.ops.values().any(|op| op.state.is_pending())
            && self.claims.is_empty()
            && self.conflicts.values().all(|conflict| conflict.state.is_terminal())
    }
}

fn members(snapshot: &Snapshot) -> BTreeMap<String, Member> {
    let records = snapshot.participants.iter().flatten();
    let member = records.map(|record| {
        let member = Member {
            available: record.is_available == Some(true),
            departed: record.departed == Some(true),
            roles: record.roles.clone().unwrap_or_default(),
        };
        (record.principal_id.to_string(), member)
    });
    member.collect()
}

fn intents(coordinator: &Coordinator, snapshot: &Snapshot) -> BTreeMap<String, Intent> {
    let state = |id: &IntentId| coordinator.view().intent(id).expect("a record has a state");
    let records = snapshot.intents.iter().flatten().map(|record| {
        let intent = Intent {
            owner: record.principal_id.to_string(),
            state: state(&record.intent_id),
            files: record.scope.resources.iter().flatten().cloned().collect(),
        };
        (record.intent_id.to_string(), intent)
    });
    records.collect()
}

fn ops(coordinator: &Coordinator, snapshot: &Snapshot) -> BTreeMap<String, Operation> {
    let state = |id: &OpId| coordinator.view().operation(id).expect("a record has a state");
    let records = snapshot.operations.iter().flatten().map(|record| {
        let op = Operation {
            proposer: record.principal_id.to_string(),
            state: state(&record.op_id),
            intent: record.intent_id.clone().filter(|id| !id.is_empty()),
            target: record.target.clone().unwrap_or_default(),
            grace_until: record.grace_until,
            authorised: record.authorized_by.is_some(),
        };
        (record.op_id.to_string(), op)
    });
    records.collect()
}

fn conflicts(coordinator: &Coordinator, snapshot: &Snapshot) -> BTreeMap<String, Conflict> {
    let state = |id: &ConflictId| coordinator.view().conflict(id).expect("a record has a state");
    let records = snapshot.conflicts.iter().flatten().map(|record| {
        let conflict = Conflict {
            state: state(&record.conflict_id),
            intents: record.related_intents.iter().flatten().map(ToString::to_string).collect(),
            ops: record.related_ops.iter().flatten().map(ToString::to_string).collect(),
            frozen: record.scope_frozen == Some(true),
            phase: record.phase.as_ref().map(|phase| phase.get()),
        };
        (record.conflict_id.to_string(), conflict)
    });
    records.collect()
}

fn claims(snapshot: &Snapshot) -> BTreeMap<String, Claim> {
    let records = snapshot.pending_claims.iter().flatten().map(|record| {
        let claim = Claim {
            original: record.original_intent_id.to_string(),
            owner: record.original_principal_id.to_string(),
            new: record.new_intent_id.to_string(),
            claimer: record.claimer_principal_id.to_string(),
        };
        (record.claim_id.to_string(), claim)
    });
    records.collect()
}
