//! Which conflicts are frozen, and what by each: the scopes of its intents, as last known, over or not, and the targets of its
//! operations (D-071). A look-up costs what is found, however many freezes there are.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use mpac_wire::{ConflictId, IntentId, Scope};

use super::super::records::{Conflict, Operation};
use super::{Intent, count, discount};
use crate::by_id::{ById, SetsById};
use crate::by_own_id::Records;
use crate::scope::{Names, Overlap, ScopeIndex, is_opaque, normalize};

/// Derived: what is frozen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frozen {
    conflicts: BTreeSet<ConflictId>,
    /// Their intents, as far as they are known, by what they cover.
    scopes: ScopeIndex,
    by_intent: SetsById<IntentId, ConflictId>,
    /// The targets of their operations, normalised, each a scope of its own.
    targets: ScopeIndex<String>,
    by_target: SetsById<String, ConflictId>,
    /// How many of a conflict's intents do not say what they cover: those that have any.
    opaque: BTreeMap<ConflictId, usize>,
}

impl Frozen {
    /// Nothing is. `seed` is the session's.
    pub(crate) fn new(names: Names, seed: u64) -> Self {
        Self {
            conflicts: BTreeSet::new(),
            targets: ScopeIndex::new(names.clone(), seed),
            scopes: ScopeIndex::new(names, seed),
            by_intent: ById::new(seed),
            by_target: ById::new(seed),
            opaque: BTreeMap::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.conflicts.clear();
        self.scopes = self.scopes.emptied();
        self.by_intent.clear();
        self.targets = self.targets.emptied();
        self.by_target.clear();
        self.opaque.clear();
    }

    /// Freezes what a conflict is about, unless it is frozen.
    pub(super) fn insert(&mut self, record: &Conflict, intents: &Records<Intent>, ops: &Records<Operation>) {
        if !self.conflicts.insert(record.id.clone()) {
            return;
        }
        for id in &record.intents {
            if let Some(intent) = intents.get(id) {
                if !self.by_intent.contains_key(id) {
                    self.scopes.insert(id, &intent.scope);
                }
                let is_known = self.by_intent.get(id).is_some_and(|known| known.contains(&record.id));
                if is_opaque(&intent.scope) && !is_known {
                    count(&mut self.opaque, &record.id);
                }
            }
            self.by_intent.put(id.clone(), record.id.clone());
        }
        let targets = record.ops.iter().filter_map(|op| ops.get(op)).map(|op| &op.target);
        targets.for_each(|target| self.insert_target(&record.id, target));
    }

    /// Adds the target of an operation to a conflict, if that is frozen.
    pub(super) fn insert_target(&mut self, conflict: &ConflictId, target: &str) {
        if !self.conflicts.contains(conflict) {
            return;
        }
        let target = normalize(target);
        if !self.by_target.contains_key(&target) {
            self.targets.insert(&target, &Scope::files([target.as_str()]));
        }
        self.by_target.put(target, conflict.clone());
    }

    /// The opposite of [`insert`](Self::insert); says whether the conflict was frozen.
    pub(super) fn remove(
        &mut self,
        record: &Conflict,
        intents: &Records<Intent>,
        ops: &Records<Operation>,
    ) -> bool {
        if !self.conflicts.remove(&record.id) {
            return false;
        }
        self.opaque.remove(&record.id);
        for id in &record.intents {
            self.by_intent.take(id, &record.id);
            if !self.by_intent.contains_key(id)
                && let Some(intent) = intents.get(id)
            {
                self.scopes.remove(id, &intent.scope);
            }
        }
        for op in record.ops.iter().filter_map(|op| ops.get(op)) {
            let target = normalize(&op.target);
            self.by_target.take(&target, &record.id);
            if !self.by_target.contains_key(&target) {
                self.targets.remove(&target, &Scope::files([target.as_str()]));
            }
        }
        true
    }

    /// An intent has another scope than `before`, or there was none of its id; says whether a frozen conflict is about it.
    pub(super) fn rescope(&mut self, id: &IntentId, before: Option<&Scope>, scope: &Scope) -> bool {
        let Some(conflicts) = self.by_intent.get(id) else { return false };
        let was_opaque = before.is_some_and(is_opaque);
        match (was_opaque, is_opaque(scope)) {
            (false, true) => conflicts.iter().for_each(|it| count(&mut self.opaque, it)),
            (true, false) => conflicts.iter().for_each(|it| discount(&mut self.opaque, it)),
            _ => {}
        }
        if let Some(before) = before {
            self.scopes.remove(id, before);
        }
        self.scopes.insert(id, scope);
        true
    }

    pub(crate) fn contains(&self, conflict: &ConflictId) -> bool {
        self.conflicts.contains(conflict)
    }

    /// The conflicts, in the order of their ids.
    pub(crate) fn conflicts(&self) -> impl Iterator<Item = &ConflictId> {
        self.conflicts.iter()
    }

    /// The first conflict that holds a target, of those that it does not pass. A scope that does not say what it covers is frozen
    /// as a whole (D-069).
    pub(crate) fn holder(&self, target: &str, passes: impl Fn(&ConflictId) -> bool) -> Option<&ConflictId> {
        // No other can come before the first of all.
        let first = self.conflicts.iter().find(|id| !passes(id))?;
        let opaque = self.opaque.keys().find(|id| !passes(id));
        if opaque == Some(first) {
            return opaque;
        }
        let covering = self.scopes.covering(target);
        let held = covering.iter().filter_map(|id| self.by_intent.get(id));
        let held = held.chain(self.by_target.get(&normalize(target)));
        held.filter_map(|conflicts| conflicts.iter().find(|id| !passes(id))).chain(opaque).min()
    }

    /// The conflicts that hold a part of a scope.
    pub(crate) fn holders(&self, scope: &Scope) -> BTreeSet<ConflictId> {
        if self.conflicts.is_empty() {
            return BTreeSet::new();
        }
        let (intents, targets) = (self.scopes.overlaps(scope), self.targets.overlaps(scope));
        let intents = intents.keys().filter_map(|id| self.by_intent.get(id));
        // What may only mean a target is not held by it.
        let shared = targets.iter().filter(|(_, overlap)| matches!(overlap, Overlap::Shared(_)));
        let targets = shared.filter_map(|(target, _)| self.by_target.get(target));
        intents.chain(targets).flatten().cloned().collect()
    }

    /// The same of one that lies inside what is frozen: whatever names say (D-066), also those whose files and patterns it looks
    /// like.
    pub(crate) fn holders_by_look(&self, scope: &Scope) -> BTreeSet<ConflictId> {
        let (intents, targets) = (self.scopes.look_alike(scope), self.targets.look_alike(scope));
        let intents = intents.iter().filter_map(|id| self.by_intent.get(id));
        let targets = targets.iter().filter_map(|target| self.by_target.get(target));
        let mut holders = self.holders(scope);
        holders.extend(intents.chain(targets).flatten().cloned());
        holders
    }

    /// Whether all of a scope is frozen, by one conflict or by several together.
    pub(crate) fn encloses(&self, scope: &Scope, intents: &Records<Intent>) -> bool {
        let is_target = |target: &str| self.by_target.contains_key(target);
        !self.conflicts.is_empty()
            && self.scopes.encloses(scope, is_target, |id| intents.get(id).map(|intent| &intent.scope))
    }
}

#[cfg(test)]
mod tests;
