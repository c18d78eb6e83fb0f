//! Committing what was written, one file after the other.

use mpac_wire::StateRef;
use mpac_wire::names::OpKind;
use mpac_wire::payload::operation::{FileChange, OpCommit};

use super::draft::{Draft, Drafted};
use super::think::think;
use super::{Outcome, Worker};
use crate::brain::{Plan, Written};
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
        let mut drafts = Vec::new();
        for path in plan.files.iter().chain(&plan.new_files) {
            let base = self.session.read_file(path).await?.unwrap_or_else(FileState::absent);
            match self.draft(plan, path, base, false).await? {
                Drafted::Ready(draft) => drafts.push(draft),
                Drafted::Unchanged => {}
                Drafted::Declined => return Ok(Outcome::Declined),
            }
        }
        let mut committed = Vec::new();
        for draft in drafts {
            let path = draft.path.clone();
            match self.commit(plan, draft).await? {
                Fate::Committed => committed.push(path),
                Fate::Unchanged => {}
                Fate::Declined if committed.is_empty() => return Ok(Outcome::Declined),
                Fate::Left if committed.is_empty() => return Ok(Outcome::Yielded),
                Fate::Declined | Fate::Left => break,
            }
        }
        Ok(if committed.is_empty() { Outcome::Unchanged } else { Outcome::Committed(committed) })
    }

    /// Commits one file; when somebody was faster it is written again on top of theirs.
    async fn commit(&mut self, plan: &Plan, mut draft: Draft) -> Result<Fate, AgentError> {
        let mut redone = 0;
        loop {
            let held = self.brain.before_commit(&self.notes);
            think(self.session, &mut self.ear, "committing", held).await??;
            let Draft { path, base, written } = draft;
            let base = match self.send(plan, &path, &base, written).await? {
                Attempt::Over(fate) => return Ok(fate),
                Attempt::Stale(now) => now,
            };
            if redone == self.options.max_rebase {
                return Err(AgentError::AlwaysStale { path, attempts: redone + 1, current: base.state_ref });
            }
            redone += 1;
            self.say(Style::Yellow, &format!("stale: {path} is at {} by now; rebasing", base.state_ref));
            draft = match self.draft(plan, &path, base, true).await? {
                Drafted::Ready(draft) => draft,
                Drafted::Unchanged => return Ok(Fate::Unchanged),
                Drafted::Declined => return Ok(Fate::Declined),
            };
        }
    }

    /// Commits what was written, whatever the connection does meanwhile.
    async fn send(
        &mut self,
        plan: &Plan,
        path: &str,
        base: &FileState,
        written: Written,
    ) -> Result<Attempt, AgentError> {
        let after = StateRef::of(&written.content);
        let mut sending = Sending::new(self.commit_of(path, base, &after, &written));
        loop {
            if !self.is_announced(plan).await? {
                return Ok(Attempt::Over(Fate::Left));
            }
            match self.session.commit(&mut sending).await? {
                Sent::Answered(heard, now) => return self.judge(path, base, &after, (heard, now)).await,
                Sent::Applied => {
                    self.note_committed(path, base, &after);
                    return Ok(Attempt::Over(Fate::Committed));
                }
                Sent::Anew => sending = Sending::new(self.commit_of(path, base, &after, &written)),
                Sent::Rebase(now) => return Ok(Attempt::Stale(now)),
                Sent::Homeless => {}
            }
        }
    }

    async fn judge(
        &mut self,
        path: &str,
        base: &FileState,
        after: &StateRef,
        (heard, now): (Heard, Option<FileState>),
    ) -> Result<Attempt, AgentError> {
        match judge_commit(&heard, after, now.as_ref().map(|now| &now.state_ref)) {
            CommitVerdict::Accepted => {
                self.note_committed(path, base, after);
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
            CommitVerdict::Rejected(reason) => Err(AgentError::Rejected { path: path.to_owned(), reason }),
            CommitVerdict::Ignored => Err(AgentError::Ignored { what: format!("the commit to {path}") }),
        }
    }

    fn note_committed(&mut self, path: &str, base: &FileState, after: &StateRef) {
        self.say(Style::Green, &format!("committed {path}: {} -> {after}", base.state_ref));
        self.session.note_committed(path, base.state_ref.clone());
    }

    fn commit_of(&mut self, path: &str, base: &FileState, after: &StateRef, written: &Written) -> OpCommit {
        let before = base.state_ref.clone();
        let op = self.naming.operation(path);
        let mut commit = OpCommit::new(op, path.to_owned(), OpKind::Replace, before.clone(), after.clone());
        commit.summary = written.summary.clone().filter(|summary| !summary.is_empty());
        commit.file_changes =
            Some([(path, FileChange::new(written.content.as_str().into(), before))].into_iter().collect());
        commit
    }
}
