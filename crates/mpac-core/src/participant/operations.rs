//! Own operations: what was asked, authorised and committed (PAR-10, OPS-24, OPS-25, OPS-31).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use mpac_wire::names::{Atomicity, ExecutionModel, OpKind, RejectReason};
use mpac_wire::payload::{CoordinatorStatus, OpReject, ProtocolError};
use mpac_wire::{BatchId, IntentId, Message, MessageId, OpId, StateRef};

use super::Participant;
use super::bounded::Shelf;
use super::fate::stands;
use super::news::News;
use crate::scope::same_path;

/// How many are remembered.
const MOST: usize = 2_048;

/// Where an own operation stands. It moves by the coordinator's word (OPS-31), and where that was lost by what its target shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Asked for, and nothing has been heard.
    Asked,
    /// It may be carried out.
    Authorised,
    /// It was accepted.
    Committed,
    /// It was refused, rejected or overruled.
    Rejected,
}

/// An own operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OwnOperation {
    /// What it changes.
    pub target: alloc::string::String,
    /// How.
    pub op_kind: OpKind,
    /// Under which intent.
    pub intent: Option<IntentId>,
    /// From which state to which, where it was said.
    pub states: Option<(StateRef, StateRef)>,
    /// The batch it belongs to, when that is all or nothing.
    pub batch: Option<BatchId>,
    /// Where it stands.
    pub stage: Stage,
    /// The message that asked for it last was not answered: it may have been accepted (PAR-12).
    unanswered: bool,
    /// That it was committed was not heard but concluded: its target was as it leaves it, which somebody else may have
    /// written, or a resolution that wants something undone rejects it, which may have known its proposal alone.
    pub(super) shown: bool,
    /// It was asked for before it was committed: that the coordinator knows it tells nothing of the commit.
    proposed: bool,
    /// The batch it belongs to, when that is best effort: what is rejected of it was not committed (BAT-06).
    partly: Option<BatchId>,
}

/// The own operations of late.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operations(Shelf<OpId, OwnOperation>);

impl Default for Operations {
    fn default() -> Self {
        Self(Shelf::new(MOST))
    }
}

impl Operations {
    pub(super) fn get(&self, id: &OpId) -> Option<&OwnOperation> {
        self.0.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&OpId, &OwnOperation)> {
        self.0.iter()
    }

    /// An own message asks for operations. One that was asked for before keeps its stage: this completes it.
    pub(super) fn asked(&mut self, message: &Message) {
        let asks: Vec<(OpId, OwnOperation)> = asked(message);
        for (id, mut operation) in asks {
            if let Some(known) = self.0.get(&id) {
                operation.stage = known.stage;
                operation.batch = operation.batch.or_else(|| known.batch.clone());
                operation.proposed = known.proposed || known.states.is_none();
                if known.stage == Stage::Committed {
                    operation.partly = known.partly.clone();
                }
            }
            self.0.insert(id, operation);
        }
    }

    /// In the order in which they were committed.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&OpId, &OwnOperation)> {
        self.0.in_order()
    }

    pub(super) fn moved(&mut self, id: &OpId, stage: Stage) -> bool {
        let known = self.0.get_mut(id);
        known.map(|known| (known.stage, known.unanswered, known.shown) = (stage, false, false)).is_some()
    }

    /// What became of those that a message asks for is not known.
    pub(super) fn unknown(&mut self, message: &Message) {
        for (id, _) in asked(message) {
            if let Some(known) = self.0.get_mut(&id) {
                known.unanswered = matches!(known.stage, Stage::Asked | Stage::Authorised);
            }
        }
    }

    /// A target was read. Gives those of unknown fate that leave it so; of the others to it, it tells nothing any more.
    fn shown_by(&mut self, target: &str, state: &StateRef) -> Vec<OpId> {
        let of_target = |it: &OwnOperation| it.unanswered && same_path(&it.target, target);
        let known = self.0.iter().filter(|(_, it)| of_target(it));
        let known: Vec<OpId> = known.map(|(id, _)| id.clone()).collect();
        let mut shown = Vec::new();
        for id in known {
            let Some(it) = self.0.get_mut(&id) else { continue };
            it.unanswered = false;
            it.shown = it.states.as_ref().is_some_and(|(_, after)| after == state);
            if it.shown {
                shown.push(id);
            }
        }
        shown
    }

    /// It was accepted, after all others that were.
    fn committed(&mut self, id: &OpId) {
        if let Some(mut operation) = self.0.remove(id) {
            (operation.stage, operation.unanswered) = (Stage::Committed, false);
            self.0.insert(id.clone(), operation);
        }
    }

    /// The coordinator has not said that it was accepted.
    fn concluded(&mut self, id: &OpId) {
        if let Some(known) = self.0.get_mut(id) {
            known.shown = true;
        }
    }

    /// The coordinator has said that it was accepted.
    fn told(&mut self, id: &OpId) {
        if let Some(known) = self.0.get_mut(id) {
            known.shown = false;
        }
    }

    /// Puts those that were committed into the order in which they were.
    pub(super) fn sort(&self, committed: &mut [(OpId, OwnOperation)]) {
        committed.sort_by_key(|(id, _)| self.0.age(id));
    }

    /// The operations of an all-or-nothing batch, in its order.
    pub(super) fn of_batch(&self, batch: &str) -> Vec<(OpId, OwnOperation)> {
        let of = self.0.in_order().filter(|(_, it)| it.batch.as_ref().is_some_and(|it| it.as_str() == batch));
        of.map(|(id, it)| (id.clone(), it.clone())).collect()
    }
}

/// The operations that a message asks for.
pub(super) fn asked(message: &Message) -> Vec<(OpId, OwnOperation)> {
    let new = |target: &str, op_kind: &OpKind, intent: &Option<IntentId>| OwnOperation {
        target: target.into(),
        op_kind: op_kind.clone(),
        intent: intent.clone(),
        states: None,
        batch: None,
        stage: Stage::Asked,
        unanswered: false,
        shown: false,
        proposed: false,
        partly: None,
    };
    match message {
        Message::OpPropose(it) => [(it.op_id.clone(), new(&it.target, &it.op_kind, &it.intent_id))].into(),
        Message::OpCommit(it) => {
            let mut operation = new(&it.target, &it.op_kind, &it.intent_id);
            operation.states = Some((it.state_ref_before.clone(), it.state_ref_after.clone()));
            [(it.op_id.clone(), operation)].into()
        }
        Message::OpSupersede(it) => {
            let kind = it.op_kind.clone().unwrap_or(OpKind::Replace);
            [(it.op_id.clone(), new(&it.target, &kind, &it.intent_id))].into()
        }
        Message::OpBatchCommit(it) => {
            let is_whole = it.atomicity == Atomicity::AllOrNothing;
            let batch = |is_it: bool| is_it.then(|| it.batch_id.clone());
            let entry = |entry: &mpac_wire::payload::BatchEntry| {
                let mut operation = new(&entry.target, &entry.op_kind, &it.intent_id);
                operation.states = Some((entry.state_ref_before.clone(), entry.state_ref_after.clone()));
                (operation.batch, operation.partly) = (batch(is_whole), batch(!is_whole));
                (entry.op_id.clone(), operation)
            };
            it.operations.iter().map(entry).collect()
        }
        _ => Vec::new(),
    }
}

impl Participant {
    /// `post_commit` where the session does not say (SES-06).
    pub fn execution_model(&self) -> ExecutionModel {
        let stated = self.session_info().and_then(|info| info.execution_model.clone());
        stated.unwrap_or(ExecutionModel::PostCommit)
    }

    /// Whether a mutation may be carried out: in a pre-commit session only after the authorisation of exactly this
    /// operation (OPS-24).
    pub fn may_apply(&self, op: &OpId) -> bool {
        self.execution_model() != ExecutionModel::PreCommit
            || self.operations.get(op).is_some_and(|it| it.stage == Stage::Authorised)
    }

    /// What is known of an own operation.
    pub fn operation(&self, op: &OpId) -> Option<&OwnOperation> {
        self.operations.get(op)
    }

    /// Whether a message only asks for an authorisation (D-096).
    pub(super) fn is_request(&self, message: &Message) -> bool {
        let authorised = |op: &OpId| self.operations.get(op).is_some_and(|it| it.stage == Stage::Authorised);
        self.needs_authorisation() && asked(message).iter().any(|(op, _)| !authorised(op))
    }

    /// Own operations that are authorised and not completed: carry them out and send OP_COMMIT (OPS-25).
    pub fn to_complete(&self) -> impl Iterator<Item = (&OpId, &OwnOperation)> {
        self.operations.iter().filter(|(_, it)| it.stage == Stage::Authorised)
    }

    /// The coordinator authorised an operation; somebody else's changes nothing here (PAR-11).
    pub(super) fn authorised(&mut self, status: &CoordinatorStatus) {
        let Some(op) = &status.authorized_op_id else { return };
        if self.operations.get(op).is_some_and(|it| it.stage == Stage::Asked) {
            self.operations.moved(op, Stage::Authorised);
            self.answers.authorised(op);
            self.news.push(News::Authorised(op.clone()));
        }
    }

    /// An operation, or some of a batch, was rejected.
    pub(super) fn rejected(&mut self, reject: &OpReject) {
        let of_batch = self.operations.of_batch(reject.op_id.as_str()).into_iter().map(|(id, _)| id);
        let listed = reject.rejected_ops.iter().flatten().cloned();
        let named: Vec<OpId> = listed.chain([reject.op_id.clone()]).chain(of_batch).collect();
        let mut own = false;
        // A signed batch comes back whole, and what of it does not count is said behind it (BAT-14, D-128).
        let is_left_out = |it: &OwnOperation| {
            let of_it = it.partly.as_ref().is_some_and(|batch| batch.as_str() == reject.op_id.as_str());
            of_it && reject.reason == RejectReason::BatchEntriesRejected
        };
        for op in &named {
            // What is committed stays committed; undoing it is what a resolution asks for (D-118).
            match self.operations.get(op).map(|it| (it.stage, it.shown || is_left_out(it))) {
                Some((Stage::Committed, false) | (Stage::Rejected, _)) => own = true,
                // The coordinator knows better what it has than a target does.
                Some(_) => own |= self.operations.moved(op, Stage::Rejected),
                None => {}
            }
        }
        if own {
            self.news.push(News::Rejected { op: reject.op_id.clone(), reason: reject.reason.clone() });
        }
    }

    /// We were taken for gone, which ends all that waits for the coordinator, and it tells of none but at our next HELLO
    /// (LIV-11, LIV-12). `heard` is the last of ours that it had heard then (D-050): what was asked for later waits. A
    /// completion that was on its way completes nothing any more.
    pub(super) fn abandoned_until(&mut self, heard: &MessageId) {
        let later = self.answers.after(heard).flat_map(|sent| asked(&sent.message));
        let later: BTreeSet<OpId> = later.map(|(op, _)| op).collect();
        let pre_commit = self.execution_model() == ExecutionModel::PreCommit;
        // What may have been committed without our knowing is not over.
        let waits = |op: &OpId, it: &OwnOperation| match it.stage {
            Stage::Asked => (pre_commit || !it.unanswered) && !later.contains(op),
            Stage::Authorised => !it.unanswered,
            Stage::Committed | Stage::Rejected => false,
        };
        let waiting = self.operations.in_order().filter(|(op, it)| waits(op, it));
        let waiting: Vec<OpId> = waiting.map(|(op, _)| op.clone()).collect();
        for op in waiting {
            self.operations.moved(&op, Stage::Rejected);
            self.news.push(News::Rejected { op, reason: RejectReason::ParticipantUnavailable });
        }
    }

    /// An own message was not answered.
    pub(super) fn lost_answer(&mut self, message: &MessageId) {
        if let Some(sent) = self.answers.get(message) {
            self.operations.unknown(&sent.message);
        }
    }

    /// An own commit was accepted.
    pub(super) fn committed(&mut self, message: &Message) {
        for (op, _) in asked(message) {
            self.was_committed(&op);
            self.operations.told(&op);
        }
    }

    /// A commit of ours is refused because one of its operations was committed before, or will never be (OPS-31). What holds for
    /// one entry of a batch that is all or nothing holds for all of them.
    pub(super) fn told_where_they_stand(&mut self, message: &Message, error: &ProtocolError) {
        let asks = asked(message);
        let Some((op, stage)) = asks.iter().find_map(|(op, it)| Some(((op, it), stands(error, op)?))) else {
            return;
        };
        let same_batch = |it: &OwnOperation| it.batch.is_some() && it.batch == op.1.batch;
        for (id, _) in asks.iter().filter(|(id, it)| id == op.0 || same_batch(it)) {
            match self.operations.get(id).map(|it| (it.stage, it.shown)) {
                // As with OP_REJECT.
                None | Some((Stage::Committed, false) | (Stage::Rejected, _)) => {}
                Some(_) if stage == Stage::Committed => {
                    self.operations.committed(id);
                    self.operations.told(id);
                }
                Some(_) => {
                    self.operations.moved(id, stage);
                }
            }
        }
    }

    /// In a pre-commit session only a completion is; a Python server relays the request too.
    fn was_committed(&mut self, op: &OpId) {
        let pre_commit = self.execution_model() == ExecutionModel::PreCommit;
        let stage = self.operations.get(op).map(|it| it.stage);
        if stage == Some(Stage::Authorised) || (!pre_commit && stage == Some(Stage::Asked)) {
            self.operations.committed(op);
        }
    }

    /// A resolution is about a commit of unknown fate: the coordinator has it, and with it the batch that it is part of (PAR-12).
    /// Of a completion that says nothing, since the coordinator knew the operation before; nor of what was only proposed before,
    /// unless the resolution says what becomes of a commit (`undoes`, D-113), and then an OP_REJECT behind it knows better.
    /// Its age stays: what was committed later is undone first.
    pub(super) fn recorded_unheard(&mut self, op: &OpId, undoes: bool) {
        let lost = |it: &OwnOperation| {
            it.stage == Stage::Asked && it.unanswered && it.states.is_some() && (undoes || !it.proposed)
        };
        let Some(it) = self.operations.get(op).filter(|it| lost(it)) else { return };
        if self.execution_model() == ExecutionModel::PreCommit {
            return;
        }
        let batch = it.batch.as_ref().map(|batch| self.operations.of_batch(batch.as_str()));
        let whole = batch.unwrap_or_else(|| [(op.clone(), it.clone())].into());
        for (op, it) in whole.iter().filter(|(_, it)| lost(it)) {
            self.operations.moved(op, Stage::Committed);
            if it.proposed {
                self.operations.concluded(op);
            }
        }
    }

    /// A target was read, and is as an operation of unknown fate leaves it: that was committed (PAR-12). One of a batch that
    /// is all or nothing was when all of them are shown: somebody else may have written the same to one.
    pub(super) fn operations_shown(&mut self, target: &str, state: &StateRef) {
        for op in self.operations.shown_by(target, state) {
            let batch = self.operations.get(&op).and_then(|it| it.batch.clone());
            match batch.map(|batch| self.operations.of_batch(batch.as_str())) {
                Some(whole) if whole.iter().all(|(_, it)| it.shown) => {
                    whole.iter().for_each(|(op, _)| self.was_committed(op));
                }
                Some(_) => {}
                None => self.was_committed(&op),
            }
        }
    }
}
