//! Writing and committing the files of a plan, one after the other.

use mpac_wire::StateRef;
use mpac_wire::names::OpKind;
use mpac_wire::payload::operation::{FileChange, OpCommit};

use super::{Outcome, Worker, think};
use crate::brain::{BrainError, Plan, WriteAsk, Written};
use crate::console::Style;
use crate::decide::{CommitVerdict, Heard, judge_commit};
use crate::diff;
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
    pub(super) async fn write_all(&mut self, plan: &Plan) -> Result<Outcome, AgentError> {
        let mut committed = Vec::new();
        for path in plan.files.iter().chain(&plan.new_files) {
            match self.write_one(plan, path).await? {
                Fate::Committed => committed.push(path.clone()),
                Fate::Unchanged => {}
                Fate::Declined if committed.is_empty() => return Ok(Outcome::Declined),
                Fate::Left if committed.is_empty() => return Ok(Outcome::Yielded),
                Fate::Declined | Fate::Left => break,
            }
        }
        Ok(if committed.is_empty() { Outcome::Unchanged } else { Outcome::Committed(committed) })
    }

    async fn write_one(&mut self, plan: &Plan, path: &str) -> Result<Fate, AgentError> {
        let mut base = self.session.read_file(path).await?.unwrap_or_else(FileState::absent);
        for redone in 0..=self.options.max_rebase {
            self.say(Style::Bold, &format!("writing {path} on top of {}", base.state_ref));
            let ask = WriteAsk {
                task: self.task.clone(),
                plan: plan.clone(),
                path: path.to_owned(),
                content: base.content.clone(),
                rebased: redone > 0,
                fault: None,
            };
            let written = self.think_of(ask).await?;
            match self.attempt(plan, path, &base, written).await? {
                Attempt::Over(fate) => return Ok(fate),
                Attempt::Stale(now) => base = now,
            }
            if redone < self.options.max_rebase {
                let text = format!("stale: {path} is at {} by now; rebasing", base.state_ref);
                self.say(Style::Yellow, &text);
            }
        }
        let attempts = self.options.max_rebase + 1;
        Err(AgentError::AlwaysStale { path: path.to_owned(), attempts, current: base.state_ref })
    }

    /// The brain's text; one round of repair for an answer that is none.
    async fn think_of(&mut self, mut ask: WriteAsk) -> Result<Written, AgentError> {
        loop {
            let thought = self.brain.write_file(ask.clone(), &self.notes);
            match think(self.session, &mut self.heard, "writing", thought).await? {
                Ok(written) => return Ok(written),
                Err(BrainError::Unusable(why)) if ask.fault.is_none() => {
                    let text = format!("the answer is no file ({why}); asking for another");
                    self.say(Style::Yellow, &text);
                    ask.fault = Some(why);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn attempt(
        &mut self,
        plan: &Plan,
        path: &str,
        base: &FileState,
        written: Written,
    ) -> Result<Attempt, AgentError> {
        if written.content == base.content {
            self.say(Style::Plain, &format!("{path} already is as it should be"));
            return Ok(Attempt::Over(Fate::Unchanged));
        }
        let lines = diff::unified(path, &base.content, &written.content, self.session.console().palette());
        self.session.console().block(&lines);
        if let Some(approver) = &self.options.approver
            && !self.session.meanwhile(approver.approves()).await?
        {
            return Ok(Attempt::Over(Fate::Declined));
        }
        let held = self.brain.before_commit(&self.notes);
        think(self.session, &mut self.heard, "committing", held).await??;
        self.send(plan, path, base, written).await
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
