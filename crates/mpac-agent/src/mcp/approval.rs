//! Changes in sessions that authorise first (OPS-24): approval may take longer than hosts give a tool, so a change that waits for it
//! is gone on with when it is submitted again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mpac_core::participant::Stage;
use mpac_wire::{IntentId, OpId, StateRef};
use tokio::sync::OnceCell;

use super::input::{self, SubmitChange};
use crate::agent::{Agent, Committed, Edit, Proposal};
use crate::error::AgentError;
use crate::session::FileState;

/// How long is looked for what the file is meanwhile, where the connection is broken: the host has waited long enough.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// So many are remembered; of those before them most are over with their tasks.
const KEPT: usize = 64;

/// Proposals that were made here and are not known to be over.
#[derive(Debug, Default)]
pub(super) struct Proposed(Mutex<VecDeque<One>>);

/// The state of a file that may not be there.
pub(super) fn state_of(file: Option<&FileState>) -> StateRef {
    file.map_or_else(|| FileState::absent().state_ref, |file| file.state_ref.clone())
}

/// One, without its text: whoever submits it again gives that.
#[derive(Debug, Clone)]
pub(super) struct One {
    /// As which it is proposed, once it is: nobody proposes it beside another.
    op: Arc<OnceCell<OpId>>,
    /// What it was made by, if it was not the whole text.
    edits: Option<Vec<input::Edit>>,
    intent: IntentId,
    path: String,
    before: StateRef,
    after: StateRef,
    /// Whoever waits for it and completes it: nobody does so beside another.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What has come of a change.
#[derive(Debug)]
pub(super) enum Approval {
    Done(Committed),
    /// It waits, as this operation.
    Waits(OpId),
}

impl Proposed {
    /// Proposes the change, or finds it proposed, waits for as long as this, and completes it once it may be (OPS-25). Dropped in between
    /// it is remembered all the same.
    ///
    /// # Errors
    /// As [`Agent::propose_and_commit`].
    pub(super) async fn carry_out(
        &self,
        agent: &Agent,
        (intent, edit): (&IntentId, &Edit),
        edits: Option<Vec<input::Edit>>,
        patience: Duration,
    ) -> Result<Approval, AgentError> {
        let one = self.same((intent, edit), edits);
        let op = match one.proposed(agent, Proposal::of_edit(Some(intent), edit)).await {
            Ok(op) => op,
            Err(error) => {
                self.drop(&one);
                return Err(error);
            }
        };
        let authorised = async {
            let turn = one.turn.lock().await;
            agent.authorisation(&op).await.map(|()| turn)
        };
        let done = match tokio::time::timeout(patience, authorised).await {
            Ok(Ok(_turn)) => complete(agent, &op, intent, edit).await.map(Approval::Done),
            Ok(Err(error)) => Err(error),
            Err(_) => waits(agent, op.clone(), edit).await,
        };
        // Whoever hears that the file has moved on knows what has become of it.
        let is_told = matches!(done, Ok(Approval::Done(_)) | Err(AgentError::Stale { .. }));
        if is_told || is_over(agent, &op).await {
            self.drop(&one);
        }
        done
    }

    /// What the same call has made already, of which nobody was told: it was broken off, or its answer was lost. The file, which
    /// was just seen to be at `current`, may have another state by now; where it is as before the change, that is to be made anew.
    ///
    /// # Errors
    /// As [`Agent::read_file`].
    pub(super) async fn made(
        &self,
        agent: &Agent,
        asked: &SubmitChange,
        current: &StateRef,
    ) -> Result<Option<(IntentId, Committed)>, AgentError> {
        for (one, op) in self.committed(agent, |it| it.is_by(asked)).await {
            self.drop(&one);
            // It may have been committed since.
            if one.before == *current && state_of(agent.read_file(&one.path).await?.as_ref()) == one.before {
                continue;
            }
            let One { intent, path, before, after, .. } = one;
            return Ok(Some((intent, Committed { op, path, before, after })));
        }
        Ok(None)
    }

    /// What was committed to a file, for [`told`](Self::told) once that is read.
    pub(super) async fn made_to(&self, agent: &Agent, path: &str) -> Vec<One> {
        self.committed(agent, |it| it.path == path).await.into_iter().map(|(one, _)| one).collect()
    }

    /// Whoever reads a file knows what has become of these: the same call is another change then.
    pub(super) fn told(&self, made: &[One]) {
        made.iter().for_each(|one| self.drop(one));
    }

    async fn committed(&self, agent: &Agent, is_meant: impl Fn(&One) -> bool) -> Vec<(One, OpId)> {
        let meant: Vec<One> = self.all().iter().filter(|it| is_meant(it)).cloned().collect();
        let mut committed = Vec::new();
        for one in meant {
            let Some(op) = one.op.get().cloned() else { continue };
            if agent.stage(&op).await.is_ok_and(|stage| stage == Stage::Committed) {
                committed.push((one, op));
            }
        }
        committed
    }

    /// Nobody who joins anew can complete what was proposed before.
    pub(super) fn forget(&self) {
        self.all().clear();
    }

    /// The same as before, or a new one that is not proposed yet.
    fn same(&self, (intent, edit): (&IntentId, &Edit), edits: Option<Vec<input::Edit>>) -> One {
        let (before, after) = (edit.before.clone(), edit.after());
        let mut all = self.all();
        let is_it = |it: &&One| {
            (&it.intent, &it.path, &it.before, &it.after) == (intent, &edit.path, &before, &after)
        };
        if let Some(one) = all.iter().find(is_it) {
            return one.clone();
        }
        let (intent, path) = (intent.clone(), edit.path.clone());
        let (op, turn) = (Arc::default(), Arc::default());
        let one = One { op, edits, intent, path, before, after, turn };
        all.push_back(one.clone());
        if all.len() > KEPT {
            all.pop_front();
        }
        one
    }

    fn drop(&self, one: &One) {
        self.all().retain(|known| !Arc::ptr_eq(&known.op, &one.op));
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<One>> {
        // A panic elsewhere has left it as good as ever.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl One {
    /// Proposes it, unless that is done. Whoever is dropped meanwhile leaves it to go on, so that its id is not lost.
    async fn proposed(&self, agent: &Agent, proposal: Proposal) -> Result<OpId, AgentError> {
        let (op, agent) = (self.op.clone(), agent.clone());
        let proposing = async move { op.get_or_try_init(|| agent.propose(proposal)).await.cloned() };
        match tokio::spawn(proposing).await {
            Ok(proposed) => proposed,
            // Nobody aborts it.
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Whether this call asks for it. Where it is not said what the change is based on, that may be what it has led to by now.
    fn is_by(&self, asked: &SubmitChange) -> bool {
        let is_same = match (&asked.content, &asked.edits) {
            (Some(content), _) => StateRef::of(content) == self.after,
            (None, Some(edits)) => self.edits.as_ref() == Some(edits),
            (None, None) => false,
        };
        is_same
            && asked.path == self.path
            && asked.base_state_ref.as_deref().is_none_or(|said| said == self.before.as_str())
            && asked.intent_id.as_deref().is_none_or(|said| said == self.intent.as_str())
    }
}

/// What is on its way, was held back or met a freeze may still be completed by the same call (OPS-25), which also tells of what was
/// committed meanwhile.
async fn is_over(agent: &Agent, op: &OpId) -> bool {
    match agent.stage(op).await {
        Ok(stage) => stage == Stage::Rejected,
        // It is so old that it is not known any more.
        Err(error) => matches!(error, AgentError::Usage(_)),
    }
}

/// One that is based on an old text waits for ever (D-097), unless it is what an equal call has made meanwhile.
async fn waits(agent: &Agent, op: OpId, edit: &Edit) -> Result<Approval, AgentError> {
    let Ok(current) = tokio::time::timeout(LOOK_LIMIT, agent.read_file(&edit.path)).await else {
        return Ok(Approval::Waits(op));
    };
    let current = current?.unwrap_or_else(FileState::absent);
    if agent.stage(&op).await? == Stage::Committed {
        return Ok(Approval::Done(edit.committed(op)));
    }
    match current.state_ref == edit.before {
        true => Ok(Approval::Waits(op)),
        false => Err(AgentError::Stale { path: edit.path.clone(), current: Box::new(current) }),
    }
}

async fn complete(agent: &Agent, op: &OpId, intent: &IntentId, edit: &Edit) -> Result<Committed, AgentError> {
    if agent.stage(op).await? == Stage::Committed {
        // By another call, which had its turn before.
        return Ok(edit.committed(op.clone()));
    }
    agent.commit_as(op.clone(), Some(intent), edit).await
}
