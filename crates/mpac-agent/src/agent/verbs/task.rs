//! Work of several steps: a task with a brain behind it, an edit by a function, the terminal.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mpac_wire::{IntentId, StateRef};
use tokio::sync::oneshot;

use super::Tentative;
use super::intent::Announce;
use super::operation::{Committed, Edit};
use crate::agent::event::{Event, Events};
use crate::agent::hub::Order;
use crate::agent::{Agent, Teller};
use crate::brain::Brain;
use crate::console::Console;
use crate::error::AgentError;
use crate::interactive::{self, Keyboard};
use crate::naming::Naming;
use crate::session::{FileState, Session};
use crate::task::{self, Outcome, TaskOptions};
use crate::view::COMPLETED;

/// How long the text is waited for that made a commit come too late: Python servers hand out the old one for a moment.
const MOVED_LIMIT: Duration = Duration::from_secs(5);

/// Work on some files.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Work {
    /// What for, in words.
    pub objective: String,
    /// The files, in the order in which they are changed.
    pub files: Vec<String>,
    /// How often a file is done again when somebody was faster; 2 by default.
    pub max_rebase: u32,
}

impl Work {
    /// On these files.
    #[must_use]
    pub fn on<S: Into<String>>(objective: &str, files: impl IntoIterator<Item = S>) -> Self {
        let files = files.into_iter().map(Into::into).collect();
        Self { objective: objective.to_owned(), files, max_rebase: 2 }
    }
}

impl Agent {
    /// Announces, reads each file, lets `edit` make its new text of its path and its text, commits it (again on the new text when somebody was faster),
    /// and withdraws the intent. The commits; none for a file that `edit` leaves as it is (`None`, or the same text). A file
    /// that is not there is empty. Conflicts do not stop it: the state references protect both sides.
    ///
    /// Dropped before it is done, the intent is withdrawn; what was committed before stays.
    ///
    /// # Errors
    /// As [`announce`](Self::announce), [`read_file`](Self::read_file) and [`commit`](Self::commit);
    /// [`AgentError::Stale`] when others were faster each time. The intent is withdrawn in each case; that it could not be is
    /// no error once the work is done.
    pub async fn execute_task<E: Future<Output = Option<String>> + Send>(
        &self,
        work: Work,
        mut edit: impl FnMut(String, String) -> E + Send,
    ) -> Result<Vec<Committed>, AgentError> {
        let announced = self.announce(Announce::files(&work.objective, work.files.iter().cloned())).await?;
        let intent = announced.intent;
        let mut tentative = Tentative::new(self, &intent);
        tentative.reason = "task_failed";
        let mut committed = Vec::new();
        for path in &work.files {
            committed.extend(self.change(&intent, path, work.max_rebase, &mut edit).await?);
        }
        // The work is done, whatever comes of this.
        tentative.reason = COMPLETED;
        if self.withdraw(&intent, Some(COMPLETED)).await.is_ok() {
            tentative.keep();
        }
        Ok(committed)
    }

    async fn change<E: Future<Output = Option<String>> + Send>(
        &self,
        intent: &IntentId,
        path: &str,
        max_rebase: u32,
        edit: &mut (impl FnMut(String, String) -> E + Send),
    ) -> Result<Option<Committed>, AgentError> {
        let mut base = self.read_file(path).await?.unwrap_or_else(FileState::absent);
        let mut left = max_rebase;
        loop {
            let mut events = self.events();
            let Some(text) =
                edit(path.to_owned(), base.content.clone()).await.filter(|text| *text != base.content)
            else {
                return Ok(None);
            };
            match self.commit(Some(intent), Edit::of(path, &base, text)).await {
                Err(AgentError::Stale { current, .. }) if left > 0 => {
                    left -= 1;
                    base = self.moved(&mut events, path, &base.state_ref, *current).await?;
                }
                done => return done.map(Some),
            }
        }
    }

    /// The text that made a commit come too late, which may be on its way still.
    async fn moved(
        &self,
        events: &mut Events,
        path: &str,
        before: &StateRef,
        current: FileState,
    ) -> Result<FileState, AgentError> {
        if current.state_ref != *before {
            return Ok(current);
        }
        let moved = events.find(|event| match event {
            Event::FileUpdated { path: file, state_ref, .. } if file == path => {
                (state_ref != *before).then_some(())
            }
            Event::Lagged { .. } | Event::ConnectionBack { .. } => Some(()),
            _ => None,
        });
        let _ = tokio::time::timeout(MOVED_LIMIT, moved).await;
        Ok(self.read_file(path).await?.unwrap_or_else(FileState::absent))
    }

    /// A whole task with a brain behind it: plan, announce, settle conflicts, write, commit, withdraw ([`task`]). It runs
    /// beside everything else that this agent does; lines for people go to `console`.
    ///
    /// Dropped before it is done, its intent is withdrawn; what was committed before stays.
    ///
    /// # Errors
    /// As [`task::run_task`].
    pub async fn run_task(
        &self,
        brain: &mut dyn Brain,
        options: &TaskOptions,
        task: &str,
        console: Console,
    ) -> Result<Outcome, AgentError> {
        let (mut session, mut naming) = self.session(console).await?;
        task::run_task(&mut session, brain, &mut naming, options, task).await
    }

    /// The terminal: takes tasks from `keyboard` until its person has enough ([`interactive`]). Verbs and events of
    /// this agent go on beside it.
    ///
    /// Dropped before it is done, as [`run_task`](Self::run_task).
    ///
    /// # Errors
    /// [`AgentError::Lost`], [`AgentError::SessionClosed`]; what else goes wrong is only shown.
    pub async fn run_interactive(
        &self,
        brain: &mut dyn Brain,
        options: TaskOptions,
        keyboard: &mut Keyboard,
        ask_before_commit: bool,
    ) -> Result<(), AgentError> {
        let own = self.session(keyboard.console()).await?;
        interactive::run(self, own, brain, options, keyboard, ask_before_commit).await
    }

    /// A session of one's own over this agent's connection.
    async fn session(&self, console: Console) -> Result<(Session, Naming), AgentError> {
        self.here().await?;
        let (tell, told) = oneshot::channel();
        self.order(Order::Lane(tell))?;
        let (connection, view, info) = told.await.map_err(|_| self.ended())?;
        let mut session = Session::joined(connection, view, info, console)
            .with_answer_limit(self.0.answer_limit)
            .telling(Teller::new(&self.0.orders));
        session.knows_manner(self.0.tells.load(Ordering::Relaxed));
        Ok((session, Naming::new(&self.0.name)))
    }
}
