//! Operations on single files: propose, commit, supersede. What a batch is stands in `batch`.

mod batch;

use mpac_core::Participant;
use mpac_core::participant::{Presence, Stage, Then, after_duplicate, is_duplicate, look_at, stands};
use mpac_wire::names::{ExecutionModel, OpKind};
use mpac_wire::payload::operation::{FileChange, OpCommit, OpPropose, OpSupersede};
use mpac_wire::{Content, IntentId, OpId, StateRef};

use super::files::{file_state, read};
use crate::agent::event::{Event, Events};
use crate::agent::hub::{Outcome, Reply, Said};
use crate::agent::{Agent, TurnedDown};
use crate::error::AgentError;
use crate::session::FileState;

pub use batch::{Batch, BatchOutcome};

/// A file's new text, on top of a state that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edit {
    /// The file.
    pub path: String,
    /// The state that the new text is based on; [`FileState::absent`]'s for a new file.
    pub before: StateRef,
    /// All of the new text.
    pub content: Content,
    /// For people.
    pub summary: Option<String>,
    /// What kind of change the others are told of; the whole text is sent in any case.
    pub op_kind: OpKind,
}

impl Edit {
    /// `content` in place of what was read.
    #[must_use]
    pub fn of(path: &str, base: &FileState, content: impl Into<Content>) -> Self {
        Self::on(path, base.state_ref.clone(), content)
    }

    /// `content` in place of what has this reference.
    #[must_use]
    pub fn on(path: &str, before: StateRef, content: impl Into<Content>) -> Self {
        let (path, content) = (path.to_owned(), content.into());
        Self { path, before, content, summary: None, op_kind: OpKind::Replace }
    }

    /// The reference of the new text.
    #[must_use]
    pub fn after(&self) -> StateRef {
        StateRef::of(&self.content)
    }

    /// It was made, by this operation.
    pub(crate) fn committed(&self, op: OpId) -> Committed {
        Committed { op, path: self.path.clone(), before: self.before.clone(), after: self.after() }
    }

    fn change(&self) -> (&str, FileChange) {
        (self.path.as_str(), FileChange::new(self.content.clone(), self.before.clone()))
    }
}

/// A file was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// By which operation.
    pub op: OpId,
    /// The file.
    pub path: String,
    /// From which state.
    pub before: StateRef,
    /// To which.
    pub after: StateRef,
}

/// What is to be proposed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Proposal {
    /// Under which intent.
    pub intent: Option<IntentId>,
    /// The file.
    pub path: String,
    /// How.
    pub op_kind: OpKind,
    /// For people.
    pub summary: Option<String>,
    /// The state that it would be based on.
    pub before: Option<StateRef>,
}

impl Proposal {
    /// A change of that file.
    #[must_use]
    pub fn of(intent: Option<&IntentId>, path: &str) -> Self {
        let (intent, path) = (intent.cloned(), path.to_owned());
        Self { intent, path, op_kind: OpKind::Replace, summary: None, before: None }
    }

    /// Just this change.
    pub(crate) fn of_edit(intent: Option<&IntentId>, edit: &Edit) -> Self {
        let (op_kind, summary) = (edit.op_kind.clone(), edit.summary.clone());
        Self { op_kind, summary, before: Some(edit.before.clone()), ..Self::of(intent, &edit.path) }
    }
}

/// Why a proposal is rejected where nobody has heard why.
const OVER: &str = "it is over already";

/// How a commit goes on.
enum Step {
    Done(Committed),
    /// It had not arrived, or not for certain: say the same again.
    Again,
    /// The connection broke before it: say it for the first time.
    NotSent,
    /// It was recorded and rejected: the same under another id.
    Anew,
}

impl Agent {
    /// OP_PROPOSE: would change this file. In a pre-commit session somebody's or the coordinator's authorisation follows
    /// ([`authorisation`](Self::authorisation)); in others it only tells the reviewers.
    ///
    /// Dropped before it is done, a proposal may stay that changes nothing; it ends with its intent.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`]: SCOPE_FROZEN, INVALID_REFERENCE for the intent, OP_REJECT. [`AgentError::Withheld`] by the
    /// core's rules before anything is sent, [`AgentError::Unsettled`] after a break, [`AgentError::NoAnswer`],
    /// [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub async fn propose(&self, proposal: Proposal) -> Result<OpId, AgentError> {
        let what = format!("the proposal for {}", proposal.path);
        let op = self.op_id(&proposal.path);
        let mut message = OpPropose::new(op.clone(), proposal.path, proposal.op_kind);
        message.intent_id = proposal.intent;
        message.summary = proposal.summary;
        message.state_ref_before = proposal.before;
        // Nobody is told of an accepted proposal but those who may judge it.
        self.say(message, &what).await?.not_refused(&what)?;
        Ok(op)
    }

    /// Waits until a proposal is authorised (OPS-24), for as long as that takes; at once in a post-commit session. May be
    /// dropped at any time.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`] when it is rejected, or over because we were taken for gone, [`AgentError::Usage`] for an operation that is not ours,
    /// [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub async fn authorisation(&self, op: &OpId) -> Result<(), AgentError> {
        let mut events = self.events();
        let mut why = OVER;
        loop {
            match self.stage(op).await? {
                Stage::Authorised | Stage::Committed => return Ok(()),
                Stage::Asked => why = self.next_word(&mut events, op).await?,
                _ => return Err(rejected(op, why.to_owned())),
            }
        }
    }

    /// Where an own operation stands; where nobody has to authorise, each is.
    pub(crate) async fn stage(&self, op: &OpId) -> Result<Stage, AgentError> {
        let asked = op.clone();
        let look = move |it: &Participant| match it.may_apply(&asked) {
            true => Some(Stage::Authorised),
            false => it.operation(&asked).map(|known| known.stage),
        };
        let known = self.0.link.look(look).await?;
        known.ok_or_else(|| AgentError::Usage(format!("{op} was not proposed by this agent")))
    }

    /// Waits until it may stand elsewhere, and says what has ended it if it is over then.
    async fn next_word(&self, events: &mut Events, op: &OpId) -> Result<&'static str, AgentError> {
        loop {
            match events.next().await {
                Some(Event::Authorised { op_id, .. }) if op_id == *op => return Ok(OVER),
                Some(Event::Rejected { op_id, reason }) if op_id == *op => return Err(rejected(op, reason)),
                // Of what ends with that the coordinator tells at the next HELLO only (LIV-12).
                Some(Event::Left { principal_id, .. }) if principal_id == *self.me() => {
                    return Ok("participant_unavailable");
                }
                Some(Event::Lagged { .. } | Event::ConnectionBack { .. }) => return Ok(OVER),
                Some(_) => {}
                None => return Err(self.ended()),
            }
        }
    }

    /// OP_COMMIT: this text, on top of that state, under an intent of ours (INT-01).
    ///
    /// When the connection breaks behind it, the file is looked at afterwards, and it is said again only if it did not
    /// arrive, under the id that it had. Dropped before it is done, the commit happens or it does not; nothing half.
    ///
    /// # Errors
    /// [`AgentError::Stale`] with the file as it is now, when somebody was faster (OCC-13). [`AgentError::TurnedDown`]: the
    /// same where the file cannot be read, OP_REJECT when the intent is over, SCOPE_FROZEN, and others.
    /// [`AgentError::PreCommit`] in a session that authorises first
    /// ([`propose_and_commit`](Self::propose_and_commit) does), [`AgentError::TooLarge`], [`AgentError::Withheld`] before
    /// anything is sent, [`AgentError::Ignored`], [`AgentError::NoAnswer`], [`AgentError::Lost`],
    /// [`AgentError::SessionClosed`].
    pub async fn commit(&self, intent: Option<&IntentId>, edit: Edit) -> Result<Committed, AgentError> {
        if self.is_pre_commit().await? {
            return Err(AgentError::PreCommit);
        }
        let op = self.op_id(&edit.path);
        self.commit_as(op, intent, &edit).await
    }

    /// OP_PROPOSE, the authorisation where the session wants one (OPS-24), and OP_COMMIT of the same operation (OPS-25), for
    /// as long as that takes.
    ///
    /// Dropped before it is done, as [`propose`](Self::propose) and [`commit`](Self::commit).
    ///
    /// # Errors
    /// As [`propose`](Self::propose), [`authorisation`](Self::authorisation) and [`commit`](Self::commit).
    pub async fn propose_and_commit(
        &self,
        intent: Option<&IntentId>,
        edit: Edit,
    ) -> Result<Committed, AgentError> {
        let op = self.propose(Proposal::of_edit(intent, &edit)).await?;
        self.authorisation(&op).await?;
        self.commit_as(op, intent, &edit).await
    }

    pub(crate) async fn commit_as(
        &self,
        mut op: OpId,
        intent: Option<&IntentId>,
        edit: &Edit,
    ) -> Result<Committed, AgentError> {
        let what = format!("the commit to {}", edit.path);
        let mut again = false;
        loop {
            let mut commit = OpCommit::new(
                op.clone(),
                edit.path.clone(),
                edit.op_kind.clone(),
                edit.before.clone(),
                edit.after(),
            );
            commit.intent_id = intent.cloned();
            commit.summary = edit.summary.clone();
            commit.file_changes = Some([edit.change()].into_iter().collect());
            match self.commit_once(&commit, again, &what).await? {
                Step::Done(committed) => return Ok(committed),
                Step::Again => again = true,
                Step::NotSent => {}
                Step::Anew => {
                    op = self.op_id(&edit.path);
                    again = false;
                }
            }
        }
    }

    async fn commit_once(&self, commit: &OpCommit, again: bool, what: &str) -> Result<Step, AgentError> {
        let path = &commit.target;
        self.here().await?;
        if again {
            let now = self.read_file(path).await?.unwrap_or_else(FileState::absent);
            if now.state_ref == commit.state_ref_after {
                return Ok(Step::Done(done(commit)));
            }
        }
        let message = Box::new(commit.clone().into());
        let said = if again { Said::Again(message) } else { Said::First(message) };
        match self.exchange(said, read(path), what).await? {
            Outcome::Answered(reply) => self.judge(commit, *reply, again, what).await,
            Outcome::Broken { sent, .. } if sent || again => Ok(Step::Again),
            Outcome::Broken { .. } => Ok(Step::NotSent),
        }
    }

    async fn judge(
        &self,
        commit: &OpCommit,
        mut reply: Reply,
        again: bool,
        what: &str,
    ) -> Result<Step, AgentError> {
        let path = &commit.target;
        // An answer that says nothing of the file does not hide what was said of the commit.
        let read = reply.answer.take().map_or(Ok(None), |answer| file_state(path, answer));
        let read = read.map(|now| now.unwrap_or_else(FileState::absent));
        let is_committed = |error| stands(error, &commit.op_id) == Some(Stage::Committed);
        if again && reply.error.as_ref().is_some_and(is_committed) {
            return Ok(Step::Done(done(commit)));
        }
        if again && reply.error.as_ref().is_some_and(|error| is_duplicate(error, "op_id")) {
            let now = read?;
            let lives = match &commit.intent_id {
                Some(intent) => self.0.link.presence(intent.clone()).await? == Presence::Live,
                None => true,
            };
            return match after_duplicate(look_at(commit, &now.state_ref), lives) {
                Then::Done => Ok(Step::Done(done(commit))),
                Then::Anew => Ok(Step::Anew),
                _ => Err(stale(path, now)),
            };
        }
        let is_stale =
            reply.error.as_ref().is_some_and(|error| error.error_code.as_str() == "STALE_STATE_REF");
        let read = match read {
            Ok(now) if is_stale => return Err(stale(path, now)),
            read => read,
        };
        reply.not_refused(what)?;
        if !reply.echo {
            return Err(AgentError::Ignored { what: what.to_owned() });
        }
        if reply.updated.iter().any(|(file, state)| file == path && *state == commit.state_ref_after) {
            return Ok(Step::Done(done(commit)));
        }
        let now = read?;
        if now.state_ref == commit.state_ref_after {
            return Ok(Step::Done(done(commit)));
        }
        // Python servers relay a commit whose text their store then turns down.
        Err(stale(path, now))
    }

    /// OP_SUPERSEDE: this text in place of what an earlier commit to the same file brought (OPS-19). `edit.before` is the
    /// state that commit left.
    ///
    /// Dropped before it is done it happens or it does not.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`]: INVALID_REFERENCE for an operation that is not committed or not ours to replace; else as
    /// [`commit`](Self::commit), [`AgentError::Unsupported`] on a server that may lose the text, as Python servers do, and
    /// [`AgentError::Unsettled`] after a break that leaves it open.
    pub async fn supersede(
        &self,
        replaces: &OpId,
        intent: Option<&IntentId>,
        edit: Edit,
        reason: Option<&str>,
    ) -> Result<Committed, AgentError> {
        self.keeps_texts_of("a commit in place of another")?;
        let what = format!("the commit to {} in place of {replaces}", edit.path);
        let op = self.op_id(&edit.path);
        let mut message = OpSupersede::new(op.clone(), replaces.clone(), edit.path.clone());
        message.intent_id = intent.cloned();
        message.reason = reason.map(str::to_owned);
        message.op_kind = Some(edit.op_kind.clone());
        message.state_ref_after = Some(edit.after());
        message.summary = edit.summary.clone();
        message.file_changes = Some([edit.change()].into_iter().collect());
        let committed = edit.committed(op);
        let now = match self.say(message, &what).await {
            Ok(reply) => {
                if reply.error.as_ref().is_some_and(|error| error.error_code.as_str() == "STALE_STATE_REF") {
                    let now = self.read_file(&edit.path).await?;
                    return Err(stale(&edit.path, now.unwrap_or_else(FileState::absent)));
                }
                reply.not_refused(&what)?;
                if reply.echo || reply.updated.iter().any(|(file, _)| *file == edit.path) {
                    return Ok(committed);
                }
                // Python servers relay none: the file tells.
                self.read_file(&edit.path).await?
            }
            Err(AgentError::Unsettled { .. }) => self.read_file(&edit.path).await?,
            Err(error) => return Err(error),
        };
        if now.is_some_and(|now| now.state_ref == committed.after) {
            return Ok(committed);
        }
        Err(AgentError::Unsettled { what })
    }

    /// Whether work has to be authorised before it is done (PAR-10).
    async fn is_pre_commit(&self) -> Result<bool, AgentError> {
        self.0.link.look(|it| it.execution_model() == ExecutionModel::PreCommit).await
    }

    fn op_id(&self, path: &str) -> OpId {
        self.id("op", path).parse().expect("the text begins with `op-`, so it is not empty")
    }
}

fn done(commit: &OpCommit) -> Committed {
    Committed {
        op: commit.op_id.clone(),
        path: commit.target.clone(),
        before: commit.state_ref_before.clone(),
        after: commit.state_ref_after.clone(),
    }
}

fn rejected(op: &OpId, why: String) -> AgentError {
    AgentError::TurnedDown(Box::new(TurnedDown::rejected(&format!("the proposal {op}"), why)))
}

fn stale(path: &str, current: FileState) -> AgentError {
    AgentError::Stale { path: path.to_owned(), current: Box::new(current) }
}
