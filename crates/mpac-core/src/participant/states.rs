//! The states of targets as we know them: what cannot be matched is not judged by (OPS-23, PAR-15), and what proved stale
//! is read again before the next commit (OCC-13).

use alloc::string::String;

use mpac_wire::{Message, OpId, StateRef};

use super::Participant;
use super::bounded::Shelf;
use super::news::News;
use crate::scope::normalize;

/// How many targets, and how many operations that cannot be matched, are remembered.
const MOST: usize = 16_384;

/// What is known of the states of targets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct States {
    /// Normalised target to its state.
    known: Shelf<String, StateRef>,
    /// Targets that a refusal said have moved on.
    stale: Shelf<String, ()>,
    /// Operations of others that were based on a state we do not have, with their targets.
    unverifiable: Shelf<OpId, String>,
}

impl Default for States {
    fn default() -> Self {
        Self { known: Shelf::new(MOST), stale: Shelf::new(MOST), unverifiable: Shelf::new(MOST) }
    }
}

impl States {
    pub(super) fn is_stale(&self, target: &str) -> bool {
        self.stale.contains(&normalize(target))
    }

    pub(super) fn went_stale(&mut self, target: &str) {
        let target = normalize(target);
        self.known.remove(&target);
        self.stale.insert(target, ());
    }

    pub(super) fn is_unverifiable(&self, op: &OpId) -> bool {
        self.unverifiable.contains(op)
    }

    /// Somebody changed a target. True when we did not have the state it was changed from.
    fn changed(
        &mut self,
        op: &OpId,
        target: &str,
        (before, after): (&StateRef, &StateRef),
        own: bool,
    ) -> bool {
        let target = normalize(target);
        let matched = own || self.known.get(&target) == Some(before);
        self.known.insert(target.clone(), after.clone());
        if !matched {
            self.unverifiable.insert(op.clone(), target);
        }
        !matched
    }
}

impl Participant {
    /// The host read a target, or was told its state: FILE_CONTENT, FILE_LIST_RESPONSE. Operations on it can be judged by
    /// again, it may be committed to, and what became of a commit to it that was not answered is clear: one that left this
    /// state was accepted (PAR-12).
    pub fn note_state(&mut self, target: &str, state: StateRef) {
        let target = normalize(target);
        self.states.stale.remove(&target);
        self.states.unverifiable.retain(|_, it| *it != target);
        self.answers.read(&target, &state);
        self.operations_shown(&target, &state);
        self.states.known.insert(target, state);
    }

    /// The state a target was last heard to be in.
    pub fn state_of(&self, target: &str) -> Option<&StateRef> {
        self.states.known.get(&normalize(target))
    }

    /// Whether an operation of somebody else was based on a state that we do not have (`causally_unverifiable`, OPS-23).
    pub fn is_unverifiable(&self, op: &OpId) -> bool {
        self.states.is_unverifiable(op)
    }

    /// A commit came by, our own or somebody's.
    pub(super) fn note_commits(&mut self, message: &Message, own: bool) {
        self.watch_commits(message);
        let one = |it: &mut Self, op: &OpId, target: &str, states: (&StateRef, &StateRef)| {
            if it.states.changed(op, target, states, own) {
                it.news.push(News::Unverifiable(op.clone()));
            }
        };
        match message {
            Message::OpCommit(it) => {
                one(self, &it.op_id, &it.target, (&it.state_ref_before, &it.state_ref_after));
            }
            Message::OpBatchCommit(batch) => {
                for it in &batch.operations {
                    one(self, &it.op_id, &it.target, (&it.state_ref_before, &it.state_ref_after));
                }
            }
            Message::OpSupersede(it) => {
                if let Some(after) = &it.state_ref_after {
                    self.states.known.insert(normalize(&it.target), after.clone());
                }
            }
            _ => {}
        }
    }
}
