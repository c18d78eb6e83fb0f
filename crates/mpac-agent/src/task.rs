//! One task from plan to commit.
//!
//! list files → plan → announce → settle conflicts → read all files → write them → commit them → withdraw. Every arrow waits
//! for an answer or for somebody's message, never for a fixed time. A connection that breaks at any of them comes back by
//! itself ([`Session`]), and the work goes on where it stood.
//!
//! - **Settling** (`settle`): all rivals are asked about at the same time (`deciding`), as many as files are written.
//! - **Reading**: the files of the plan are asked for together, one round trip for all.
//! - **Writing** (`write`): [`parallel_writes`](TaskOptions::parallel_writes) at the same time, where the brain can be
//!   [forked](Brain::fork) and the plan is not [in order](Plan::in_order): whoever plans knows best whether a file has to fit
//!   what another becomes. People see one file after the other, in the order of the plan.
//! - **Committing**: all files are written, and approved, before the first is committed, so an answer that cannot be used
//!   leaves nothing behind. Several go in one batch, all or none (`batch`), where the server keeps a batch's texts; else one
//!   after the other (`commit`).
//! - **What is frozen** (`frozen`) while a conflict is not resolved is waited for, for as long as others are.
//! - **A file that moved** while we wrote, waited or committed (`moved`): the two changes are merged where they do not touch,
//!   and the brain is asked again where they do. Either is shown, and approved, like the first. Where nothing of the new text
//!   has come yet, it is asked again at once (`write::overtaken`).

mod batch;
mod commit;
mod deciding;
mod draft;
mod dry;
mod frozen;
mod health;
mod moved;
mod outcome;
mod queue;
mod settle;
mod spending;
mod tally;
mod think;
mod tracing;
mod voice;
mod write;

use std::collections::BTreeSet;
use std::time::Duration;

use mpac_wire::{IntentId, PrincipalId};
use tokio::sync::{mpsc, oneshot};

use crate::brain::{Brain, BrainError, FileEntry, Notes, OtherFile, Plan, PlanAsk};
use crate::console::Style;
use crate::decide::check_plan;
use crate::error::AgentError;
use crate::naming::Naming;
use crate::report::count;
use crate::session::{OwnIntent, Sending, Session};

use crate::view::YIELDED;

use frozen::Thaw;
use health::Shown;
use queue::Freed;
use settle::Settled;
use think::{Ear, think};

pub use outcome::Outcome;
pub(crate) use tally::Found;
pub use tally::{Change, Tally};
pub(crate) use tracing::{find_out, undecided};

/// How long somebody we yielded to, or who holds our files, is waited for, and the resolution of a conflict that froze them.
pub const WAIT_LIMIT: Duration = Duration::from_secs(300);

/// So many files are written at the same time by default: enough to matter, and few enough for the limits that APIs have.
pub const PARALLEL_WRITES: usize = 4;

/// A file's change that was shown and waits for its person.
#[derive(Debug)]
pub struct Question {
    /// The file.
    pub path: String,
    /// Its text now.
    pub before: String,
    /// What it is to become.
    pub after: String,
    answer: oneshot::Sender<bool>,
}

impl Question {
    /// Whether it may be committed. A question that is dropped is answered with no.
    pub fn answer(self, yes: bool) {
        // A task that has ended meanwhile does not want the answer any more.
        let _ = self.answer.send(yes);
    }
}

/// Asks the person whether what was just shown may be committed.
#[derive(Debug, Clone)]
pub struct Approver(mpsc::UnboundedSender<Question>);

impl Approver {
    /// The asking end and the end where the questions arrive.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Question>) {
        let (ask, asked) = mpsc::unbounded_channel();
        (Self(ask), asked)
    }

    /// Asks about this change. An answer that never comes is a no: nobody to ask is nobody who agrees.
    fn ask(&self, path: &str, before: &str, after: &str) -> oneshot::Receiver<bool> {
        let (answer, answered) = oneshot::channel();
        let (path, before, after) = (path.to_owned(), before.to_owned(), after.to_owned());
        // Dropped with its sender, where nobody takes questions.
        let _ = self.0.send(Question { path, before, after, answer });
        answered
    }
}

/// What a task is run with.
#[derive(Debug, Clone)]
pub struct TaskOptions {
    /// How often a file is redone when somebody else was faster.
    pub max_rebase: u32,
    /// Who looks at each diff before its commit; `None` commits without asking.
    pub approver: Option<Approver>,
    /// How many files are written at the same time, where the brain and the plan allow it, and how many conflicts are decided
    /// on; 0 counts as 1.
    pub parallel_writes: usize,
    /// Commit each file by itself, in the plan's order, also where all or none would go.
    pub commit_each: bool,
    /// How long others are waited for; see [`WAIT_LIMIT`].
    pub wait_limit: Duration,
    /// How long the whole task may take, waiting included; `None` for as long as it takes.
    pub time_limit: Option<Duration>,
    /// Plan, write and show the diffs, but announce nothing and commit nothing.
    pub dry_run: bool,
    /// Who else hears what the brain says, tokens and costs included.
    pub listener: Option<Notes>,
    /// What it comes to is counted here.
    pub tally: Tally,
}

impl Default for TaskOptions {
    /// Commits without asking, and redoes a file twice.
    fn default() -> Self {
        Self {
            max_rebase: 2,
            approver: None,
            parallel_writes: PARALLEL_WRITES,
            commit_each: false,
            wait_limit: WAIT_LIMIT,
            time_limit: None,
            dry_run: false,
            listener: None,
            tally: Tally::default(),
        }
    }
}

/// A task at work.
struct Worker<'a> {
    session: &'a mut Session,
    brain: &'a mut dyn Brain,
    naming: &'a mut Naming,
    options: &'a TaskOptions,
    task: String,
    notes: Notes,
    ear: Ear,
    /// What was written so far, one entry a file.
    written: Vec<OtherFile>,
    /// Beside whom the work goes on, by what was decided.
    beside: Vec<Rival>,
}

/// Runs one task. If it breaks off, its intent is withdrawn.
///
/// # Errors
/// What went wrong. Each file is committed as a whole or not at all, several in one batch all or none; where the server takes
/// no batches, those committed before stay.
pub async fn run_task(
    session: &mut Session,
    brain: &mut dyn Brain,
    naming: &mut Naming,
    options: &TaskOptions,
    task: &str,
) -> Result<Outcome, AgentError> {
    session.begin_task();
    options.tally.ends(None);
    let (notes, ear) = Ear::new(options, brain.model_id(), session.teller());
    let (task, model) = (task.to_owned(), brain.model_id());
    let (written, beside) = (Vec::new(), Vec::new());
    let mut worker = Worker { session, brain, naming, options, task, notes, ear, written, beside };
    let outcome = match options.time_limit {
        None => worker.run().await,
        Some(limit) => {
            let late = |_| Err(AgentError::TaskTooLong { seconds: limit.as_secs() });
            tokio::time::timeout(limit, worker.run()).await.unwrap_or_else(late)
        }
    };
    let outcome = match outcome {
        Ok(outcome) => {
            options.tally.ends(Some(outcome.clone()));
            worker.finish(outcome).await
        }
        Err(error) => Err(undecided(error, find_out(worker.session, &options.tally).await)),
    };
    if let Some(used) = worker.ear.spent(worker.session).map(|spent| format!("used: {spent}")) {
        worker.say(Style::Dim, &used);
    }
    if outcome.is_err() {
        session.abandon("task_failed");
    }
    if let Err(AgentError::Brain(error)) = &outcome
        && let Some((model, shown)) = model.zip(Shown::by_failure(error))
    {
        session.report_health(model, shown.status, shown.detail);
    }
    session.end_task();
    outcome
}

impl Worker<'_> {
    async fn run(&mut self) -> Result<Outcome, AgentError> {
        self.session.require_post_commit()?;
        let plan = self.plan().await?;
        if plan.paths().nth(1).is_some() && !self.options.commit_each {
            // Known by the time that several files are to be committed.
            self.session.look_at_manner();
        }
        if self.options.dry_run {
            return self.show_only(&plan).await;
        }
        let mut settled_with = BTreeSet::new();
        let mut rounds = 0;
        loop {
            rounds += 1;
            if !self.announce(&plan).await? {
                return Ok(Outcome::Yielded);
            }
            match self.settle(&plan, &settled_with).await? {
                Settled::Proceed => break,
                Settled::Yield { to, watchable } if watchable && rounds == 1 => {
                    match self.step_back(to).await? {
                        Some(with) => settled_with = with,
                        None => return Ok(Outcome::Yielded),
                    }
                }
                Settled::Yield { .. } => {
                    self.leave_it().await?;
                    return Ok(Outcome::Yielded);
                }
            }
        }
        self.write_all(&plan).await
    }

    /// Ends the intent, outside the time limit: what is done is done, whatever comes of that. The coordinator ends the intent
    /// of one that is gone by itself (LIV-05).
    async fn finish(&mut self, outcome: Outcome) -> Result<Outcome, AgentError> {
        if let Err(error) = self.session.withdraw(outcome.reason()).await {
            self.say(Style::Yellow, &format!("the intent could not be ended: {error}"));
        }
        self.session.check_committed()?;
        self.say_done(&outcome);
        Ok(outcome)
    }

    /// Whether there is an intent to work under: one that a break has cost us, because others were faster to announce, is
    /// announced again when they are done. Who announced meanwhile was first then, so the conflicts are ours to decide. False
    /// when they hold the files for too long, and when they are to go first.
    async fn is_announced(&mut self, plan: &Plan, sending: &Sending) -> Result<bool, AgentError> {
        // What may be there already is not given up; the state references protect both.
        let decides = !sending.may_have_arrived();
        if self.session.own().is_some() {
            if !decides || !self.session.has_undecided() {
                return Ok(true);
            }
        } else {
            let holders = self.session.take_taken();
            if !holders.is_empty() {
                let files: Vec<String> = plan.paths().cloned().collect();
                self.wait_for(&files, &holders).await?;
            }
            let announced = self.announce(plan).await?;
            if !announced || !decides {
                return Ok(announced);
            }
        }
        match self.settle(plan, &BTreeSet::new()).await? {
            Settled::Proceed => Ok(true),
            Settled::Yield { .. } => {
                self.leave_it().await?;
                Ok(false)
            }
        }
    }

    /// Yields for good.
    async fn leave_it(&mut self) -> Result<(), AgentError> {
        self.session.withdraw(YIELDED).await?;
        self.say(Style::Yellow, "yielded; the task is left to the others");
        Ok(())
    }

    async fn plan(&mut self) -> Result<Plan, AgentError> {
        let listed = self.session.list_files().await?;
        let existing: BTreeSet<String> = listed.iter().map(|file| file.path.clone()).collect();
        let files: Vec<FileEntry> =
            listed.into_iter().map(|file| FileEntry { path: file.path, size: file.size.get() }).collect();
        self.say(Style::Bold, &format!("planning over {}", count(files.len(), "file")));
        let mut ask = PlanAsk { task: self.task.clone(), files, fault: None };
        loop {
            let answer =
                think(self.session, &mut self.ear, "planning", self.brain.plan(ask.clone(), &self.notes))
                    .await?;
            let fault = match answer.map(|plan| check_plan(plan, &existing)) {
                Ok(Ok(plan)) => return Ok(self.show(plan)),
                // One round of repair, for a bad plan and for an answer that is none.
                Ok(Err(fault)) if ask.fault.is_some() => return Err(fault.into()),
                Ok(Err(fault)) => fault.to_string(),
                Err(BrainError::Unusable(why)) if ask.fault.is_none() => why,
                Err(error) => return Err(error.into()),
            };
            self.say(Style::Yellow, &format!("the plan cannot be used ({fault}); asking for another"));
            ask.fault = Some(fault);
        }
    }

    fn show(&mut self, plan: Plan) -> Plan {
        self.say(Style::Bold, &format!("plan: {}", plan.objective));
        for path in &plan.files {
            self.say(Style::Plain, &format!("  change {path}"));
        }
        for path in &plan.new_files {
            self.say(Style::Plain, &format!("  create {path}"));
        }
        plan
    }

    /// Announces the plan, after waiting for those who hold its files where the session locks them (level
    /// 0.1.15 and the Python server 0.2.13), and for the end of a freeze. False when they hold them for too long, and also after
    /// one more announce: their end may have been missed.
    async fn announce(&mut self, plan: &Plan) -> Result<bool, AgentError> {
        let files: Vec<String> = plan.paths().cloned().collect();
        let mut waited = Freed::Perhaps;
        loop {
            let id = self.naming.intent(&plan.objective);
            self.say(Style::Bold, &format!("announcing {id}"));
            let own = OwnIntent { id, objective: plan.objective.clone(), files: files.clone() };
            let settled = self.session.settled();
            let holders = match self.session.announce(own).await {
                // Also between two tries of a commit that may have arrived: it is not said anew for that.
                Err(error) if error.is_frozen() => {
                    self.wait_for_thaw(Thaw::of_any(files.clone(), settled), error).await?;
                    continue;
                }
                announced => announced?,
            };
            if holders.is_empty() {
                return Ok(true);
            }
            if waited == Freed::NotHeardOf {
                self.say(Style::Yellow, "taken still; the task is left to the others");
                return Ok(false);
            }
            waited = self.wait_for(&files, &holders).await?;
        }
    }

    fn say(&mut self, style: Style, text: &str) {
        self.session.say(style, text);
    }

    fn say_done(&mut self, outcome: &Outcome) {
        match outcome {
            // Told where it happened.
            Outcome::Yielded => {}
            Outcome::Declined | Outcome::Partly { .. } => self.say(Style::Yellow, &outcome.to_string()),
            _ => self.say(Style::Green, &outcome.to_string()),
        }
    }
}

/// Somebody else's intent that overlaps with the own one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rival {
    principal: PrincipalId,
    intent: Option<IntentId>,
}
