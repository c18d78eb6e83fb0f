//! Several files in one message.

use std::collections::BTreeSet;

use mpac_wire::names::Atomicity;
use mpac_wire::payload::operation::{BatchEntry, OpBatchCommit};
use mpac_wire::{BatchId, IntentId};

use super::{Committed, Edit};
use crate::agent::hub::Reply;
use crate::agent::{Agent, TurnedDown};
use crate::error::AgentError;

/// Changes that belong together.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// Under which intent, all of them (BAT-03).
    pub intent: Option<IntentId>,
    /// All or none, or each that can be (BAT-05, BAT-06).
    pub atomicity: Atomicity,
    /// The files; each at most once.
    pub edits: Vec<Edit>,
    /// For people.
    pub summary: Option<String>,
}

impl Batch {
    /// All of these or none.
    #[must_use]
    pub fn all_or_nothing(intent: Option<&IntentId>, edits: impl IntoIterator<Item = Edit>) -> Self {
        let (intent, edits) = (intent.cloned(), edits.into_iter().collect());
        Self { intent, atomicity: Atomicity::AllOrNothing, edits, summary: None }
    }
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BatchOutcome {
    /// It.
    pub batch: BatchId,
    /// What was committed: all, of a batch that is all or nothing.
    pub committed: Vec<Committed>,
    /// What was not, with the reason; always empty for one that is all or nothing.
    pub rejected: Vec<(Edit, String)>,
}

impl Agent {
    /// OP_BATCH_COMMIT: several files in one message, all of them or (`best_effort`) each that can be.
    ///
    /// Dropped before it is done it happens or it does not: what is all or nothing is never half there.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`] for one that is all or nothing, with the reason of each entry that was not good, such as
    /// STALE_STATE_REF; nothing is applied then (BAT-05). [`AgentError::Usage`] for a batch without files or with one twice,
    /// [`AgentError::Unsupported`] on a server that may lose the texts, as Python servers do,
    /// [`AgentError::PreCommit`] in a session that authorises first, [`AgentError::TooLarge`], [`AgentError::Withheld`] before
    /// anything is sent, [`AgentError::Unsettled`] after a break that leaves it open, [`AgentError::Ignored`],
    /// [`AgentError::NoAnswer`], [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub async fn batch_commit(&self, batch: Batch) -> Result<BatchOutcome, AgentError> {
        let mut paths = BTreeSet::new();
        if batch.edits.is_empty() || !batch.edits.iter().all(|edit| paths.insert(edit.path.as_str())) {
            return Err(AgentError::Usage("a batch changes one file or more, each once".to_owned()));
        }
        self.keeps_texts_of("a batch commit")?;
        if self.is_pre_commit().await? {
            return Err(AgentError::PreCommit);
        }
        let what = format!("the batch commit to {} files", batch.edits.len());
        let id: BatchId =
            self.id("batch", "").parse().expect("the text begins with `batch-`, so it is not empty");
        let committed: Vec<Committed> = batch.edits.iter().map(|edit| self.entry(edit)).collect();
        let entries = batch.edits.iter().zip(&committed).map(|(edit, entry)| {
            let (before, after) = (entry.before.clone(), entry.after.clone());
            let mut one =
                BatchEntry::new(entry.op.clone(), edit.path.clone(), edit.op_kind.clone(), before, after);
            one.summary = edit.summary.clone();
            one.intent_id = batch.intent.clone();
            one
        });
        let mut message = OpBatchCommit::new(id.clone(), batch.atomicity.clone(), entries.collect());
        message.intent_id = batch.intent.clone();
        message.summary = batch.summary.clone();
        message.file_changes = Some(batch.edits.iter().map(Edit::change).collect());
        let reply = match self.say(message, &what).await {
            Ok(reply) => reply,
            Err(AgentError::Unsettled { what }) => {
                // The files tell, if nobody has changed them since.
                return match self.are_there(&committed).await? {
                    true => Ok(BatchOutcome { batch: id, committed, rejected: Vec::new() }),
                    false => Err(AgentError::Unsettled { what }),
                };
            }
            Err(error) => return Err(error),
        };
        if batch.atomicity != Atomicity::BestEffort {
            return self.all(reply, id, committed, &what).await;
        }
        some(&reply, id, committed, &batch, &what)
    }

    fn entry(&self, edit: &Edit) -> Committed {
        let op = self.op_id(&edit.path);
        Committed { op, path: edit.path.clone(), before: edit.before.clone(), after: edit.after() }
    }

    async fn all(
        &self,
        reply: Box<Reply>,
        batch: BatchId,
        committed: Vec<Committed>,
        what: &str,
    ) -> Result<BatchOutcome, AgentError> {
        if reply.reject.is_some() {
            let why = reasons(&reply, &committed).into_iter().flatten().collect::<Vec<_>>().join("; ");
            let refusal = TurnedDown::rejected(what, format!("batch_validation_failed: {why}"));
            return Err(AgentError::TurnedDown(Box::new(refusal)));
        }
        reply.not_refused(what)?;
        // Python servers relay none: the files tell.
        if reply.echo || self.are_there(&committed).await? {
            return Ok(BatchOutcome { batch, committed, rejected: Vec::new() });
        }
        Err(AgentError::Ignored { what: what.to_owned() })
    }

    async fn are_there(&self, committed: &[Committed]) -> Result<bool, AgentError> {
        for entry in committed {
            if self.read_file(&entry.path).await?.is_none_or(|now| now.state_ref != entry.after) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Of one that takes what it can.
fn some(
    reply: &Reply,
    id: BatchId,
    entries: Vec<Committed>,
    batch: &Batch,
    what: &str,
) -> Result<BatchOutcome, AgentError> {
    if let Some(error) = &reply.error {
        return Err(AgentError::TurnedDown(Box::new(TurnedDown::of(what, error))));
    }
    let mut outcome = BatchOutcome { batch: id, committed: Vec::new(), rejected: Vec::new() };
    let stored = |entry: &Committed| {
        reply.updated.iter().any(|(path, state)| *path == entry.path && *state == entry.after)
    };
    let why = reasons(reply, &entries);
    for ((entry, edit), why) in entries.into_iter().zip(&batch.edits).zip(why) {
        match why {
            Some(why) => outcome.rejected.push((edit.clone(), why)),
            // Python servers drop stale entries without a word.
            None if !reply.echo && !stored(&entry) => {
                outcome.rejected.push((edit.clone(), format!("{}: not stored", edit.path)));
            }
            None => outcome.committed.push(entry),
        }
    }
    Ok(outcome)
}

/// Why each entry was rejected; `None` for those that were not.
fn reasons(reply: &Reply, entries: &[Committed]) -> Vec<Option<String>> {
    let Some(reject) = &reply.reject else { return vec![None; entries.len()] };
    let listed = reject.rejected_ops.as_deref();
    let reason = |entry: &Committed| {
        // A reject that lists none is about all of them.
        if listed.is_some_and(|ops| !ops.contains(&entry.op)) {
            return None;
        }
        let told = reject.reasons.as_ref().and_then(|reasons| reasons.get(entry.op.as_str()));
        let told = told.map(|raw| raw.read::<String>().unwrap_or_else(|_| raw.get().to_owned()));
        Some(format!("{}: {}", entry.path, told.unwrap_or_else(|| reject.reason.to_string())))
    };
    entries.iter().map(reason).collect()
}
