//! The whole state of a session as one value. No rules.

mod backoffs;
mod changes;
mod claims;
mod deferrals;
pub(super) mod essence;
mod frozen;
mod indexes;
mod members;
mod presence;
mod rare;
mod sizes;
mod waiting;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{Priority, ScopeKind};
use mpac_wire::payload::ParticipantKey;
use mpac_wire::{
    BatchId, ClaimId, ConflictId, Fingerprint, InstanceId, IntentId, MessageId, OpId, PrincipalId, PublicKey,
    ResolutionId, Scope, Seconds, Sender, StateRef, Timestamp,
};

pub(crate) use backoffs::Backoffs;
pub(crate) use claims::Claims;
pub(crate) use deferrals::Deferrals;
pub(crate) use frozen::Frozen;
pub(crate) use members::Members;
pub(crate) use rare::{Absent, Rare};
pub(crate) use sizes::Sizes;

use super::deadlines::Deadlines;
use super::keys::{BoundKey, Keys};
use super::records::{
    Batch, Conflict, Connection, Frontier, Handover, Member, NewIntent, Operation, Recovery,
};
use super::replay::SeenIds;
use super::retention::{Finished, Forgotten, Recent};
use crate::by_id::{ById, SetsById};
use crate::by_own_id::{HasId, Records};
use crate::config::SessionConfig;
use crate::ids::IdSource;
use crate::input::ConnId;
use crate::lamport::LamportClock;
use crate::scope::{Names, ScopeIndex};
use crate::table::intent;
use waiting::{Rejudge, Waiting};

pub(super) use indexes::{count, discount};

/// Something by its place in the order of receipt: sorted by a number, whose comparison needs no look at a text that lies
/// elsewhere.
pub(crate) type InOrder<T> = (u64, T);

/// Somebody announced what they are about to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Intent {
    pub(crate) id: IntentId,
    pub(crate) owner: PrincipalId,
    pub(crate) objective: String,
    pub(crate) scope: Scope,
    state: intent::State,
    pub(crate) received_at: Timestamp,
    pub(crate) ttl: Seconds,
    pub(crate) expires_at: Timestamp,
    pub(crate) last_message: MessageId,
    pub(crate) assumptions: Vec<String>,
    pub(crate) priority: Priority,
    pub(crate) parent: Option<IntentId>,
    pub(crate) supersedes: Option<IntentId>,
    /// Why it is suspended (D-051).
    pub(crate) suspended_cause: Option<Box<str>>,
    pub(crate) sequence: u64,
}

impl HasId for Intent {
    type Id = IntentId;
    fn id(&self) -> &IntentId {
        &self.id
    }
}

impl Intent {
    /// What was announced, in a state that a table or a snapshot gives.
    pub(crate) fn begin(new: NewIntent, state: intent::State, at: Timestamp, sequence: u64) -> Self {
        Self {
            expires_at: at.after(&new.ttl),
            received_at: at,
            state,
            id: new.id,
            owner: new.owner,
            objective: new.objective,
            scope: new.scope,
            ttl: new.ttl,
            last_message: new.message,
            assumptions: new.assumptions,
            priority: new.priority,
            parent: new.parent,
            supersedes: new.supersedes,
            suspended_cause: None,
            sequence,
        }
    }

    pub(crate) fn state(&self) -> intent::State {
        self.state
    }

    pub(crate) fn is_live(&self) -> bool {
        !self.state.is_terminal()
    }

    /// Suspended because its owner's model is not well, not because the owner is gone (D-059).
    pub(crate) fn is_suspended_for_backend(&self) -> bool {
        self.state == intent::State::Suspended
            && self.suspended_cause.as_deref().is_some_and(|cause| cause.starts_with("backend_"))
    }
}

/// With what the coordinator's words are signed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CoordinatorKey {
    pub(crate) key: PublicKey,
    pub(crate) from: Timestamp,
}

/// Everything a session is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Session {
    pub(crate) config: SessionConfig,
    pub(crate) coordinator: Sender,
    pub(crate) epoch: u64,
    pub(crate) ids: IdSource,
    pub(crate) lamport: LamportClock,
    pub(crate) started_at: Timestamp,
    pub(crate) now: Timestamp,
    /// Does not exist yet for anybody outside: nobody has said HELLO (D-031).
    pub(crate) unopened: bool,
    /// The host has room for it.
    pub(crate) vacancy: bool,
    pub(crate) closed: bool,
    pub(crate) members: Members,
    pub(crate) connections: ById<ConnId, Connection>,
    pub(crate) intents: Records<Intent>,
    /// Finished records whose id was used again (D-024).
    pub(crate) archived_intents: VecDeque<Intent>,
    pub(crate) operations: Records<Operation>,
    pub(crate) batches: BTreeMap<BatchId, Batch>,
    pub(crate) conflicts: Records<Conflict>,
    pub(crate) deferrals: Deferrals,
    /// Who should wait before announcing what again (D-083).
    pub(crate) backoff: Backoffs,
    /// Claims that nobody has decided on yet.
    pub(crate) claims: Claims,
    pub(crate) claim_ids: Recent<ClaimId>,
    /// Whose claim was refused lately, and until when that matters (D-131).
    pub(crate) refused_claimers: BTreeMap<PrincipalId, Timestamp>,
    pub(crate) resolutions: Recent<ResolutionId>,
    pub(crate) frontier: ById<(PrincipalId, InstanceId), Frontier>,
    /// Outside the open profile: what was received lately (SEC-17).
    pub(crate) seen_ids: SeenIds,
    /// Whose keys are good (SEC-31).
    pub(crate) keys: Keys,
    /// Its own: that of the configuration, until it was rotated.
    pub(crate) coordinator_key: Option<CoordinatorKey>,
    /// Current reference by normalised target (OCC-02).
    pub(crate) refs: ById<String, StateRef>,
    /// The targets that are files of the workspace.
    pub(crate) files: BTreeSet<String>,
    /// And how large they are.
    pub(crate) sizes: Sizes,
    /// Counts intents, operations and conflicts in the order of receipt (OPS-30).
    pub(crate) sequence: u64,
    /// Which waiting operations may have become possible.
    pub(crate) rejudge: Rejudge,
    /// When the session closes as completed, while everything is done.
    pub(crate) closes_at: Option<Timestamp>,
    /// When the next COORDINATOR_STATUS heartbeat is due, while somebody listens.
    pub(crate) next_status: Option<Timestamp>,
    /// Who goes on with it, once it is handed over (REC-20).
    pub(crate) handover: Option<Handover>,
    /// A later coordinator has it: nothing is said any more (REC-26).
    pub(crate) retired: bool,
    /// The highest epoch of a later coordinator that the host has told of.
    pub(crate) fenced_by: Option<u64>,
    /// The Lamport clock of the last snapshot that the host has stored (REC-04).
    pub(crate) persisted: Option<u64>,
    /// What is left to do after it was taken up from a snapshot.
    pub(crate) recovery: Recovery,
    /// What it does not remember one by one any more.
    pub(crate) forgotten: Forgotten,
    /// Derived: see [`Session::rebuilt_indexes`].
    pub(crate) scopes: ScopeIndex,
    /// Derived: how many intents of each scope kind are remembered, finished ones included (SCO-13).
    pub(crate) scope_kinds: BTreeMap<ScopeKind, usize>,
    /// Derived: live intents by owner, in the order of receipt.
    pub(crate) live: SetsById<PrincipalId, InOrder<IntentId>>,
    /// Derived: pending operations by intent, by proposer, and by the operation that they will replace.
    pub(crate) pending_by_intent: SetsById<IntentId, OpId>,
    pub(crate) pending_by_proposer: SetsById<PrincipalId, OpId>,
    pub(crate) pending_by_superseded: SetsById<OpId, OpId>,
    /// Derived: operations that are not over, committed ones included, by intent; without those of an earlier intent of its id.
    pub(crate) standing_by_intent: SetsById<IntentId, InOrder<OpId>>,
    /// Derived: conflicts that are not over, by intent and by operation.
    pub(crate) disputes_by_intent: SetsById<IntentId, InOrder<ConflictId>>,
    pub(crate) disputes_by_op: SetsById<OpId, InOrder<ConflictId>>,
    /// Derived: how many conflicts that are not over came from whom.
    pub(crate) disputes_by_author: ById<PrincipalId, usize>,
    /// Derived: conflicts whose scope is frozen, and what by each.
    pub(crate) frozen: Frozen,
    /// Derived: how many conflicts are not over.
    pub(crate) open_conflicts: u64,
    /// Derived: what falls due.
    pub(crate) deadlines: Deadlines,
    /// Derived: what waits for its authorisation.
    pub(crate) waiting: Waiting,
    /// Derived: what may be forgotten.
    pub(crate) finished: Finished,
}

fn sizes(config: &SessionConfig) -> Sizes {
    let mut sizes = Sizes::default();
    sizes.extend(config.workspace_sizes.clone());
    sizes
}

/// Adds to one set of a map of sets.
pub(crate) fn put<K: Ord, V: Ord>(map: &mut BTreeMap<K, BTreeSet<V>>, key: K, value: V) {
    map.entry(key).or_default().insert(value);
}

/// Takes from one set of a map of sets, and the set away with its last entry.
pub(crate) fn take<K: Ord + Clone, V: Ord>(map: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = map.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

impl Session {
    /// A session in which nothing has happened.
    pub(crate) fn open(config: SessionConfig, ids: IdSource, epoch: u64, now: Timestamp) -> Self {
        let (seed, ..) = ids.parts();
        let mut session = Self {
            coordinator: config.coordinator(epoch),
            epoch,
            ids,
            lamport: LamportClock::default(),
            started_at: now,
            now,
            unopened: config.opens_with_hello,
            vacancy: true,
            closed: false,
            members: Members::new(seed),
            connections: ById::new(seed),
            intents: Records::new(seed),
            archived_intents: VecDeque::new(),
            operations: Records::new(seed),
            batches: BTreeMap::new(),
            conflicts: Records::new(seed),
            deferrals: Deferrals::default(),
            backoff: Backoffs::new(Names::new(config.resource_registry.as_ref()), seed),
            claims: Claims::default(),
            claim_ids: Recent::new(seed),
            refused_claimers: BTreeMap::new(),
            resolutions: Recent::new(seed),
            frontier: ById::new(seed),
            seen_ids: SeenIds::default(),
            keys: Keys::default(),
            coordinator_key: config.coordinator_key.clone().map(|key| CoordinatorKey { key, from: now }),
            refs: ById::new(seed),
            files: config.workspace.iter().flat_map(BTreeMap::keys).cloned().collect(),
            sizes: sizes(&config),
            sequence: 0,
            rejudge: Rejudge::default(),
            waiting: Waiting::new(),
            closes_at: None,
            next_status: None,
            handover: None,
            retired: false,
            persisted: None,
            fenced_by: None,
            recovery: Recovery::new(seed),
            scopes: ScopeIndex::new(Names::new(config.resource_registry.as_ref()), seed),
            forgotten: Forgotten::default(),
            scope_kinds: BTreeMap::new(),
            live: ById::new(seed),
            pending_by_intent: ById::new(seed),
            pending_by_proposer: ById::new(seed),
            pending_by_superseded: ById::new(seed),
            standing_by_intent: ById::new(seed),
            disputes_by_intent: ById::new(seed),
            disputes_by_op: ById::new(seed),
            disputes_by_author: ById::new(seed),
            frozen: Frozen::new(Names::new(config.resource_registry.as_ref()), seed),
            open_conflicts: 0,
            deadlines: Deadlines::new(seed),
            finished: Finished::default(),
            config,
        };
        session.refs.extend(session.config.workspace.clone().unwrap_or_default());
        super::session::lifecycle::watch_age(&mut session);
        session
    }

    /// The session begins now, and its age counts from here (D-031, SES-12).
    pub(crate) fn restart_clock(&mut self) {
        self.started_at = self.now;
        super::session::lifecycle::watch_age(self);
    }

    /// The next number in the order of receipt.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Whether a key is the coordinator's own.
    pub(crate) fn is_coordinator_key(&self, key: &Fingerprint) -> bool {
        self.coordinator_key.as_ref().is_some_and(|own| own.key.fingerprint() == *key)
    }

    /// The coordinator's own key, as everybody is told.
    pub(crate) fn coordinator_key_told(&self) -> Option<ParticipantKey> {
        let own = self.coordinator_key.as_ref()?;
        Some(BoundKey::new(own.key.clone(), own.from, true).told(&self.coordinator.principal_id))
    }

    /// Who speaks on a connection.
    pub(crate) fn bound(&self, conn: ConnId) -> Option<&Member> {
        self.members.get(self.connections.get(&conn)?.principal.as_ref()?)
    }
}
