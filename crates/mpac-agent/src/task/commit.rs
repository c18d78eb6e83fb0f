//! Committing what was written: all together where that goes, else one file after the other.

use mpac_wire::StateRef;
use mpac_wire::names::OpKind;
use mpac_wire::payload::operation::{FileChange, OpCommit};

use super::batch::Together;
use super::draft::Draft;
use super::frozen::Thaw;
use super::think::think;
use super::{Change, Outcome, Worker};
use crate::brain::Plan;
use crate::console::Style;
use crate::decide::{CommitVerdict, Heard, judge_commit};
use crate::error::AgentError;
use crate::session::{FileState, Sending, Sent};

/// What became of one file.
enum Fate {
    Committed,
    Unchanged,
    Declined,
    /// A break has cost us our intent, and others work there now.
    Left,
}

/// What became of one attempt at it.
enum Attempt {
    Over(Fate),
    /// Somebody was faster; the file as it is now.
    Stale(FileState),
}

impl Worker<'_> {
    /// Writes every file of the plan, and commits them when all are written.
    pub(super) async fn write_all(&mut self, plan: &Plan) -> Result<Outcome, AgentError> {
        let wanted = self.read_all(plan).await?;
        let Some(mut drafts) = self.draft(plan, wanted).await? else { return Ok(Outcome::Declined) };
        if drafts.len() > 1 && !self.options.commit_each && self.session.takes_batches() {
            match self.commit_together(plan, drafts).await? {
                Together::Over(outcome) => return Ok(outcome),
                Together::TooMuch(left) => drafts = left,
            }
        }
        // All that moved meanwhile at once, and before the first is committed.
        let Some(drafts) = self.up_to_date(plan, drafts, &mut 0).await? else {
            return Ok(Outcome::Declined);
        };
        let mut committed = Vec::new();
        let mut drafts = drafts.into_iter();
        while let Some(draft) = drafts.next() {
            let path = draft.path.clone();
            match self.commit(plan, draft).await? {
                Fate::Committed => committed.push(path),
                Fate::Unchanged => {}
                Fate::Declined if committed.is_empty() => return Ok(Outcome::Declined),
                Fate::Left if committed.is_empty() => return Ok(Outcome::Yielded),
                Fate::Declined | Fate::Left => {
                    let left = std::iter::once(path).chain(drafts.map(|draft| draft.path)).collect();
                    return Ok(Outcome::Partly { committed, left });
                }
            }
        }
        Ok(if committed.is_empty() { Outcome::Unchanged } else { Outcome::Committed(committed) })
    }

    /// Commits one file; when somebody was faster ours is put on top of theirs, and when it is frozen the end of that is waited
    /// for.
    async fn commit(&mut self, plan: &Plan, draft: Draft) -> Result<Fate, AgentError> {
        let mut redone = 0;
        let mut drafts = vec![draft];
        loop {
            self.before_commit().await?;
            let Some(mut up_to_date) = self.up_to_date(plan, drafts, &mut redone).await? else {
                return Ok(Fate::Declined);
            };
            let Some(draft) = up_to_date.pop() else { return Ok(Fate::Unchanged) };
            let settled = self.session.settled();
            let now = match self.send(plan, &draft).await {
                Ok(Attempt::Over(fate)) => return Ok(fate),
                Ok(Attempt::Stale(now)) => now,
                Err(error) if self.commit_meets_freeze(&error) => {
                    let thaw = Thaw::of_all(vec![draft.path.clone()], settled);
                    self.wait_for_thaw(thaw, error).await?;
                    drafts = vec![draft];
                    continue;
                }
                Err(error) => return Err(error),
            };
            if redone >= self.options.max_rebase {
                let (path, current) = (draft.path, now.state_ref);
                return Err(AgentError::AlwaysStale { path, attempts: redone + 1, current });
            }
            redone += 1;
            let wanted = self.rebased(draft, now);
            match self.draft(plan, vec![wanted]).await? {
                Some(again) => drafts = again,
                None => return Ok(Fate::Declined),
            }
        }
    }

    pub(super) async fn before_commit(&mut self) -> Result<(), AgentError> {
        let held = self.brain.before_commit(&self.notes);
        Ok(think(self.session, &mut self.ear, "committing", held).await??)
    }

    /// Commits what was written, whatever the connection does meanwhile.
    async fn send(&mut self, plan: &Plan, draft: &Draft) -> Result<Attempt, AgentError> {
        let mut sending = Sending::new(self.commit_of(draft));
        let mut rejected = false;
        loop {
            if !self.is_announced(plan, &sending).await? {
                let had_arrived = self.had_arrived(&sending.what()).await?;
                return Ok(Attempt::Over(if had_arrived { Fate::Committed } else { Fate::Left }));
            }
            match self.say_commit(&mut sending).await? {
                // Once: one that is over at once again is over for a reason.
                Sent::Answered(heard, _) if heard.is_without_intent() && !rejected => {
                    rejected = true;
                    self.session.has_expired();
                    sending = Sending::new(self.commit_of(draft));
                }
                Sent::Answered(heard, now) => return self.judge(draft, (heard, now)).await,
                Sent::Applied => {
                    self.note_committed(draft);
                    return Ok(Attempt::Over(Fate::Committed));
                }
                Sent::Anew => sending = Sending::new(self.commit_of(draft)),
                Sent::Rebase(now) => return Ok(Attempt::Stale(now)),
                Sent::Homeless => {}
            }
        }
    }

    async fn judge(
        &mut self,
        draft: &Draft,
        (heard, now): (Heard, Option<FileState>),
    ) -> Result<Attempt, AgentError> {
        let Draft { path, base, written } = draft;
        let after = StateRef::of(&written.content);
        match judge_commit(&heard, &after, now.as_ref().map(|now| &now.state_ref)) {
            CommitVerdict::Accepted => {
                self.note_committed(draft);
                Ok(Attempt::Over(Fate::Committed))
            }
            CommitVerdict::Stale => {
                let mut now = now.unwrap_or_else(FileState::absent);
                if now.state_ref == base.state_ref {
                    self.say(Style::Dim, "stale: somebody else's text is on its way");
                    now = self.session.read_moved(path).await?.unwrap_or_else(FileState::absent);
                }
                Ok(Attempt::Stale(now))
            }
            CommitVerdict::Refused(refusal) => {
                Err(AgentError::refused(&format!("the commit to {path}"), refusal))
            }
            CommitVerdict::Rejected(reason) => Err(AgentError::Rejected { path: path.clone(), reason }),
            CommitVerdict::Ignored => Err(AgentError::Ignored { what: format!("the commit to {path}") }),
        }
    }

    pub(super) fn note_committed(&mut self, draft: &Draft) {
        let Draft { path, base, written } = draft;
        let after = StateRef::of(&written.content);
        self.say(Style::Green, &format!("committed {path}: {} -> {after}", base.state_ref));
        self.session.note_committed(path, base.state_ref.clone());
        let (path, state_ref_before) = (path.clone(), base.state_ref.clone());
        self.options.tally.commits(Change { path, state_ref_before, state_ref_after: after });
    }

    fn commit_of(&mut self, draft: &Draft) -> OpCommit {
        let Draft { path, base, written } = draft;
        let (before, after) = (base.state_ref.clone(), StateRef::of(&written.content));
        let op = self.naming.operation(path);
        let mut commit = OpCommit::new(op, path.clone(), OpKind::Replace, before, after);
        commit.summary = written.summary.clone().filter(|summary| !summary.is_empty());
        commit.file_changes = Some([change_of(draft)].into_iter().collect());
        commit
    }
}

/// The text that goes along.
pub(super) fn change_of(draft: &Draft) -> (&str, FileChange) {
    let change = FileChange::new(draft.written.content.as_str().into(), draft.base.state_ref.clone());
    (draft.path.as_str(), change)
}
