//! Committing several files at once, all or none (OP_BATCH_COMMIT, BAT-05).

use mpac_wire::names::{Atomicity, OpKind};
use mpac_wire::payload::operation::{BatchEntry, OpBatchCommit};
use mpac_wire::{BatchId, StateRef};

use super::commit::change_of;
use super::draft::Draft;
use super::frozen::Thaw;
use super::{Outcome, Worker};
use crate::brain::Plan;
use crate::console::Style;
use crate::decide::{CommitVerdict, Heard, judge_batch};
use crate::error::{AgentError, FROZEN};
use crate::report::count;
use crate::session::{Sending, Sent};

/// Coordinators take no more entries in one batch (D-134).
const MOST_ENTRIES: usize = 1_000;

/// The code of an entry that somebody was faster at.
const STALE: &str = "STALE_STATE_REF";

/// What became of it.
pub(super) enum Together {
    Over(Outcome),
    /// It does not fit into one batch; nothing was committed.
    TooMuch(Vec<Draft>),
}

/// What became of one attempt at it.
enum Attempt {
    Committed,
    /// That was found out, and noted, when the files were left to the others.
    HadArrived,
    /// Somebody was faster at some of the files.
    Stale,
    /// Some of the files are frozen; what it would fail with.
    Frozen(AgentError),
    /// A break has cost us our intent, and others work there now.
    Left,
}

impl Worker<'_> {
    /// Commits all files or none. When somebody was faster at some of them, ours are put on top of theirs and all are sent again;
    /// when some are frozen, after the end of that.
    pub(super) async fn commit_together(
        &mut self,
        plan: &Plan,
        mut drafts: Vec<Draft>,
    ) -> Result<Together, AgentError> {
        if drafts.len() > MOST_ENTRIES {
            let many = drafts.len();
            let text = format!(
                "{many} files are more than the {MOST_ENTRIES} of one batch; they are committed one by one"
            );
            self.say(Style::Yellow, &text);
            return Ok(Together::TooMuch(drafts));
        }
        let mut redone = 0;
        loop {
            self.before_commit().await?;
            let Some(up_to_date) = self.up_to_date(plan, drafts, &mut redone).await? else {
                return Ok(Together::Over(Outcome::Declined));
            };
            drafts = up_to_date;
            if drafts.is_empty() {
                return Ok(Together::Over(Outcome::Unchanged));
            }
            let settled = self.session.settled();
            let sent = match self.send_together(plan, &drafts).await {
                Err(error) if self.commit_meets_freeze(&error) => Ok(Attempt::Frozen(error)),
                sent => sent,
            };
            match sent {
                Ok(done @ (Attempt::Committed | Attempt::HadArrived)) => {
                    if matches!(done, Attempt::Committed) {
                        drafts.iter().for_each(|draft| self.note_committed(draft));
                    }
                    let paths = drafts.into_iter().map(|draft| draft.path).collect();
                    return Ok(Together::Over(Outcome::Committed(paths)));
                }
                Ok(Attempt::Left) => return Ok(Together::Over(Outcome::Yielded)),
                Ok(Attempt::Stale) => {}
                Ok(Attempt::Frozen(error)) => {
                    let paths = drafts.iter().map(|draft| draft.path.clone()).collect();
                    self.wait_for_thaw(Thaw::of_all(paths, settled), error).await?;
                    continue;
                }
                Err(AgentError::TooLarge { bytes, limit, .. }) => {
                    let text = format!(
                        "the files make a message of {bytes} bytes and {limit} is the most; they are committed one by one"
                    );
                    self.say(Style::Yellow, &text);
                    return Ok(Together::TooMuch(drafts));
                }
                Err(error) => return Err(error),
            }
            match self.after_stale(plan, drafts, &mut redone).await? {
                Some(again) => drafts = again,
                None => return Ok(Together::Over(Outcome::Declined)),
            }
        }
    }

    /// All of them again, on top of what others made of some.
    async fn after_stale(
        &mut self,
        plan: &Plan,
        drafts: Vec<Draft>,
        redone: &mut u32,
    ) -> Result<Option<Vec<Draft>>, AgentError> {
        let paths: Vec<String> = drafts.iter().map(|draft| draft.path.clone()).collect();
        let now = self.session.read_files(&paths).await?;
        let moved = drafts.iter().zip(&now).find(|(draft, now)| draft.base.state_ref != now.state_ref);
        if *redone >= self.options.max_rebase {
            let (path, current) = moved.or_else(|| drafts.iter().zip(&now).next()).map_or_else(
                || (String::new(), StateRef::of("")),
                |(draft, now)| (draft.path.clone(), now.state_ref.clone()),
            );
            return Err(AgentError::AlwaysStale { path, attempts: *redone + 1, current });
        }
        *redone += 1;
        self.say(Style::Yellow, "stale: nothing of the batch was committed");
        let (redo, same) = self.again(drafts, paths.into_iter().zip(now).collect());
        self.redo(plan, redo, same).await
    }

    /// Commits, whatever the connection does meanwhile.
    async fn send_together(&mut self, plan: &Plan, drafts: &[Draft]) -> Result<Attempt, AgentError> {
        self.say(Style::Bold, &format!("committing {} together", count(drafts.len(), "file")));
        let mut sending = Sending::batch(self.batch_of(drafts));
        let mut rejected = false;
        loop {
            if !self.is_announced(plan, &sending).await? {
                let had_arrived = self.had_arrived(&sending.what()).await?;
                return Ok(if had_arrived { Attempt::HadArrived } else { Attempt::Left });
            }
            match self.say_commit(&mut sending).await? {
                // Once: one that is over at once again is over for a reason.
                Sent::Answered(heard, _) if heard.is_without_intent() && !rejected => {
                    rejected = true;
                    self.session.has_expired();
                    sending = Sending::batch(self.batch_of(drafts));
                }
                Sent::Answered(heard, _) => return judge(drafts, &heard),
                Sent::Applied => return Ok(Attempt::Committed),
                Sent::Anew => sending = Sending::batch(self.batch_of(drafts)),
                Sent::Rebase(_) => return Ok(Attempt::Stale),
                Sent::Homeless => {}
            }
        }
    }

    fn batch_of(&mut self, drafts: &[Draft]) -> OpBatchCommit {
        let id: BatchId = self
            .naming
            .id("batch", &self.task)
            .parse()
            .expect("the text begins with `batch-`, so it is not empty");
        let entries = drafts.iter().map(|draft| {
            let (before, after) = (draft.base.state_ref.clone(), StateRef::of(&draft.written.content));
            let op = self.naming.operation(&draft.path);
            let mut entry = BatchEntry::new(op, draft.path.clone(), OpKind::Replace, before, after);
            entry.summary = draft.written.summary.clone().filter(|summary| !summary.is_empty());
            entry
        });
        let mut batch = OpBatchCommit::new(id, Atomicity::AllOrNothing, entries.collect());
        batch.file_changes = Some(drafts.iter().map(change_of).collect());
        batch
    }
}

fn judge(drafts: &[Draft], heard: &Heard) -> Result<Attempt, AgentError> {
    let what = format!("the batch commit to {} files", drafts.len());
    match judge_batch(heard) {
        CommitVerdict::Accepted => Ok(Attempt::Committed),
        CommitVerdict::Stale => Ok(Attempt::Stale),
        CommitVerdict::Refused(refusal) => Err(AgentError::refused(&what, refusal)),
        CommitVerdict::Rejected(reason) => {
            let path = drafts.iter().map(|draft| draft.path.as_str()).collect::<Vec<_>>().join(", ");
            let mut codes: Vec<&str> = heard.entries.iter().map(|(_, code)| code.as_str()).collect();
            codes.sort_unstable();
            codes.dedup();
            let why = if codes.is_empty() { reason } else { format!("{reason} ({})", codes.join(", ")) };
            let error = AgentError::Rejected { path, reason: why };
            // What is stale beside it shows when the freeze is over.
            let frozen = codes.contains(&FROZEN) && codes.iter().all(|code| [FROZEN, STALE].contains(code));
            if frozen { Ok(Attempt::Frozen(error)) } else { Err(error) }
        }
        CommitVerdict::Ignored => Err(AgentError::Ignored { what }),
    }
}
