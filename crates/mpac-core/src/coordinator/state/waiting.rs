//! Pre-commit sessions: which operations wait for their authorisation, and which of them must be judged again because
//! something they may have waited for has changed (OPS-07). A record costs what it touches, however many wait.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::ExecutionModel;
use mpac_wire::{ConflictId, IntentId, OpId, PrincipalId, StateRef};

use super::super::records::Operation;
use super::{Session, put, take};
use crate::scope::normalize;
use crate::table::operation::Event;

/// What has to be judged again before the record is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rejudge {
    /// A freeze has changed: any operation may have waited for it.
    everything: bool,
    ops: BTreeSet<OpId>,
}

/// Derived: operations that are pending and not authorised, by normalised target.
pub(crate) type Waiting = BTreeMap<String, BTreeSet<OpId>>;

impl Session {
    fn authorises(&self) -> bool {
        self.config.execution_model == ExecutionModel::PreCommit
    }

    pub(super) fn index_waiting(&mut self, record: &Operation) {
        if self.authorises() && record.state.is_pending() && record.more.authorised.is_none() {
            put(&mut self.waiting, normalize(&record.target), record.id.clone());
        }
    }

    /// It is over, or authorised.
    pub(super) fn waits_no_more(&mut self, id: &OpId) {
        let target = self.operations.get(id).map(|record| normalize(&record.target));
        if let Some(target) = target.filter(|_| self.authorises()) {
            take(&mut self.waiting, &target, id);
        }
    }

    /// Notes who authorised an operation, now.
    pub(crate) fn authorise(&mut self, id: &OpId, by: PrincipalId) -> Option<()> {
        self.move_operation(id, Event::Authorised)?;
        let now = self.now;
        self.operations.get_mut(id)?.more.authorised = Some((by, now));
        self.waits_no_more(id);
        Some(())
    }

    /// Gives a target another current reference (OCC-04).
    pub(crate) fn set_ref(&mut self, target: String, to: StateRef) {
        self.rejudge.ops.extend(self.waiting.get(&target).into_iter().flatten().cloned());
        self.refs.insert(target, to);
    }

    /// An operation may have become possible.
    pub(crate) fn rejudge_operation(&mut self, id: &OpId) {
        if self.authorises() {
            self.rejudge.ops.insert(id.clone());
        }
    }

    /// An intent's state or scope has changed: its own operations, and those under intents it is in conflict with.
    pub(super) fn rejudge_intent(&mut self, id: &IntentId) {
        if !self.authorises() {
            return;
        }
        self.rejudge.ops.extend(self.pending_by_intent.get(id).into_iter().flatten().cloned());
        for (_, conflict) in self.disputes_by_intent.get(id).cloned().unwrap_or_default() {
            self.rejudge_conflict(&conflict);
        }
    }

    /// A conflict is over, or what it is about has changed.
    pub(super) fn rejudge_conflict(&mut self, id: &ConflictId) {
        if !self.authorises() {
            return;
        }
        let Some(record) = self.conflicts.get(id) else { return };
        let pending = record.intents.iter().filter_map(|intent| self.pending_by_intent.get(intent));
        self.rejudge.ops.extend(pending.flatten().cloned());
    }

    pub(crate) fn rejudge_everything(&mut self) {
        self.rejudge.everything = true;
    }

    /// Takes what has to be judged, in the order of receipt.
    pub(crate) fn take_rejudged(&mut self) -> Vec<OpId> {
        if !self.rejudge.everything && self.rejudge.ops.is_empty() {
            return Vec::new();
        }
        let Rejudge { everything, ops } = core::mem::take(&mut self.rejudge);
        let of = |op: &OpId| Some((self.operations.get(op)?.sequence, op.clone()));
        let mut found: Vec<(u64, OpId)> = if everything {
            self.waiting.values().flatten().filter_map(of).collect()
        } else {
            ops.iter().filter_map(of).collect()
        };
        found.sort();
        found.into_iter().map(|(_, op)| op).collect()
    }
}
