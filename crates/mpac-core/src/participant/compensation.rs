//! Undoing what was committed and then decided against (GOV-21, FRZ-15, BAT-12).

use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::OpKind;
use mpac_wire::payload::{OpCommit, Resolution};
use mpac_wire::{IntentId, OpId, StateRef};
use sha2::{Digest, Sha256};

use super::Participant;
use super::news::News;
use super::operations::{OwnOperation, Stage};

/// What a resolution wants undone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compensation {
    /// The resolution's `rollback`: an operation id, or `compensation:<resolution_id>`, with which the ids of the
    /// compensating operations begin (D-118).
    pub rollback: String,
    /// What to send, in this order: the reverse of how it was done. Of an all-or-nothing batch all entries (BAT-12).
    pub reversals: Vec<Reversal>,
}

/// One operation undone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reversal {
    /// The id to commit it under.
    pub op_id: OpId,
    /// The operation it undoes.
    pub reverses: OpId,
    /// What it changes back.
    pub target: String,
    /// How it was changed.
    pub op_kind: OpKind,
    /// Under which intent it was changed.
    pub intent: Option<IntentId>,
    /// The state it left; if the target has moved on since, read it again and undo on top of that (OCC-13).
    pub before: StateRef,
    /// The state to go back to.
    pub after: StateRef,
}

impl Reversal {
    /// The compensating OP_COMMIT, without contents. The resolution, or its owner, may have ended the intent it was changed
    /// under: then it names none. Where the session wants one (INT-02), announce one for the target and name that.
    pub fn to_commit(&self, of: &Participant) -> OpCommit {
        let kind = self.op_kind.clone();
        let states = (self.before.clone(), self.after.clone());
        let mut commit = OpCommit::new(self.op_id.clone(), self.target.clone(), kind, states.0, states.1);
        let is_live = |intent: &IntentId| of.intents.get(intent).is_some_and(|own| !own.expired);
        commit.intent_id = self.intent.clone().filter(is_live);
        commit
    }
}

impl Participant {
    /// A resolution rejects operations: what of it is ours and committed has to be undone, unless it says that it need not.
    pub(super) fn overruled_operations(&mut self, resolution: &Resolution) {
        let Some(outcome) = &resolution.outcome else { return };
        let rejected = outcome.rejected.iter().flatten();
        let mut lost: Vec<(OpId, OwnOperation)> = Vec::new();
        for id in rejected.filter_map(|id| OpId::new(id).ok()) {
            self.recorded_unheard(&id, outcome.rollback.is_some());
            let Some(operation) = self.operations.get(&id).cloned() else { continue };
            if operation.stage != Stage::Committed {
                self.operations.moved(&id, Stage::Rejected);
                continue;
            }
            let whole = operation.batch.as_ref().map(|batch| self.operations.of_batch(batch.as_str()));
            for one in whole.unwrap_or_else(|| [(id, operation)].into()) {
                if one.1.stage == Stage::Committed && !lost.contains(&one) {
                    lost.push(one);
                }
            }
        }
        self.operations.sort(&mut lost);
        let rollback = outcome.rollback.as_deref().filter(|rollback| *rollback != "not_required");
        if let Some(rollback) = rollback
            && !lost.is_empty()
        {
            self.news.push(News::Compensate(compensation(rollback, &lost)));
        }
    }
}

fn compensation(rollback: &str, lost: &[(OpId, OwnOperation)]) -> Compensation {
    let mut reversals = Vec::new();
    for (id, operation) in lost.iter().rev() {
        // Without the states it left there is nothing to say what undoing it would be.
        let Some((before, after)) = operation.states.clone() else { continue };
        let alone = lost.len() == 1;
        reversals.push(Reversal {
            op_id: reversal_id(rollback, id, alone).unwrap_or_else(|| id.clone()),
            reverses: id.clone(),
            target: operation.target.clone(),
            op_kind: operation.op_kind.clone(),
            intent: operation.intent.clone(),
            before: after,
            after: before,
        });
    }
    Compensation { rollback: rollback.into(), reversals }
}

/// `rollback` itself when it names an operation and one is to be undone, else `rollback` and a digest of the id: several
/// losers use the same beginning, and ids have a greatest length. `None` when that is exceeded all the same.
fn reversal_id(rollback: &str, op: &OpId, alone: bool) -> Option<OpId> {
    if alone && !rollback.starts_with("compensation:") {
        return OpId::new(rollback).ok();
    }
    let digest = Sha256::digest(op.as_str().as_bytes());
    let mut text: String = rollback.into();
    text.push(':');
    for byte in digest.iter().take(6) {
        text.push_str(&alloc::format!("{byte:02x}"));
    }
    OpId::new(text).ok()
}
