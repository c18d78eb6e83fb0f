//! One agent in one session: what it asks, what it hears, and what it tells its person about it.
//!
//! Everything that arrives is taken in by `step`, in order, whatever the agent is doing at the
//! moment. Nothing here waits for a fixed time: an exchange ends when its answer is there, and because a coordinator
//! handles the frames of one connection in their order, the answer to a file request sent right *after* a message
//! proves that everything the coordinator had to say about the message has arrived (the Python servers
//! handle one frame completely before they read the next as well).
//!
//! The connection may break at any time and come back: `away` looks at the session then, and who had something under way finds
//! out what became of it.

mod absorb;
mod away;
mod commit;
mod exchange;
mod files;
mod intent;
mod manner;
mod pace;
mod parts;
mod trust;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mpac_wire::names::{ExecutionModel, GoodbyeReason, HeartbeatStatus, IntentDisposition, ProviderStatus};
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::payload::session::{Goodbye, SessionInfo};
use mpac_wire::sideband::SessionSummary;
use mpac_wire::{IntentId, Message, PrincipalId, StateRef};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::agent::Teller;
use crate::arrival::{Arrival, Back};
use crate::connection::{Connection, Link};
use crate::console::{Console, Style};
use crate::decide::{Holder, Sign};
use crate::error::AgentError;
use crate::report::indented;
use crate::view::View;

use away::Place;
use exchange::{Asked, Subject, Watched, within};
use files::{Base, Bases};
use intent::INTENT_TTL_SEC;
use manner::Manner;
use pace::Pace;

pub(crate) use trust::Trust;

pub(crate) use commit::{Sending, Sent};
pub use files::FileState;
pub(crate) use intent::OwnIntent;
pub(crate) use manner::ask_for_summary;
pub(crate) use parts::Parts;

/// How long an answer may take (PAR-12).
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long leaving may take.
pub(crate) const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// How this agent names the state of a file ([`StateRef::of`](mpac_wire::StateRef::of)).
const STATE_REF_FORMAT: &str = "sha256";

/// The session and the agent's place in it.
#[derive(Debug)]
pub struct Session {
    link: Link,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    keeper: JoinHandle<()>,
    console: Console,
    view: View,
    info: Option<SessionInfo>,
    /// Sideband requests without an answer, oldest first; one whose asker gave up stays until it or a later one is
    /// answered.
    asked: VecDeque<Asked>,
    next_request: u64,
    watched: Option<Watched>,
    own: Option<OwnIntent>,
    intent_ttl_sec: u32,
    /// When the own intent needs more time.
    renew_at: Option<Instant>,
    /// Conflict reports about the own intent that nobody has decided on yet.
    undecided: Option<Vec<ConflictReport>>,
    /// Signs of others, while a task cares.
    signs: Option<Vec<Sign>>,
    /// How often something was heard that may have ended a freeze.
    settled: u64,
    /// Something went against the own intent, a resolution for instance. It ends the task at its next wait, and goes
    /// with the task.
    stop: Option<AgentError>,
    /// What the last commit was based on.
    base: Option<Base>,
    /// What the task writes on top of.
    bases: Bases,
    /// Of requests for files.
    pace: Pace,
    /// What kind of server it is.
    manner: Manner,
    /// The coordinator gives no sign of life.
    silent: bool,
    answer_limit: Duration,
    in_task: bool,
    /// What the task has committed, and the state of the file before.
    committed: Vec<(String, StateRef)>,
    /// The coordinator's epoch did not rise in the last break.
    same_epoch: bool,
    place: Place,
    /// The connection came back, and SESSION_INFO has not been read.
    back: Option<Back>,
    /// How the session stood after the last break, until it is made use of.
    summary: Option<Box<SessionSummary>>,
    /// Intents that were given up, with the reason, until their withdrawal has come back.
    orphans: BTreeMap<IntentId, String>,
    /// Who holds the files of the own intent that was refused.
    taken: Option<Vec<Holder>>,
    /// By which freeze it could not be announced again after a break.
    frozen: Option<AgentError>,
    /// What was found out about signatures before somebody listened.
    trust: Vec<Trust>,
    /// Over a part of somebody's connection: who else hears what tasks use up.
    teller: Option<Teller>,
}

impl Session {
    /// A session over an open connection; [`join`](Self::join) comes next.
    #[must_use]
    pub fn new(me: PrincipalId, connection: Connection, console: Console) -> Self {
        Self {
            link: connection.link,
            arrivals: connection.arrivals,
            keeper: connection.keeper,
            console,
            view: View::new(me),
            info: None,
            asked: VecDeque::new(),
            next_request: 0,
            watched: None,
            own: None,
            intent_ttl_sec: INTENT_TTL_SEC,
            renew_at: None,
            undecided: None,
            signs: None,
            settled: 0,
            stop: None,
            base: None,
            bases: Bases::default(),
            pace: Pace::default(),
            manner: Manner::Unknown,
            silent: false,
            answer_limit: ANSWER_LIMIT,
            in_task: false,
            committed: Vec::new(),
            same_epoch: false,
            place: Place::Here,
            back: None,
            summary: None,
            orphans: BTreeMap::new(),
            taken: None,
            frozen: None,
            trust: Vec::new(),
            teller: None,
        }
    }

    /// Another limit than [`ANSWER_LIMIT`].
    #[must_use]
    pub fn with_answer_limit(mut self, limit: Duration) -> Self {
        self.answer_limit = limit;
        self
    }

    /// Another time to live of own intents than half an hour. They are renewed as long as a task works under them, so this
    /// is how long one stands in the way of others that a coordinator without liveness checks has to end by itself. 0 counts
    /// as 1.
    #[must_use]
    pub fn with_intent_ttl_sec(mut self, ttl_sec: u32) -> Self {
        self.intent_ttl_sec = ttl_sec.max(1);
        self
    }

    /// HELLO, and what the coordinator says to it (PAR-02).
    ///
    /// # Errors
    /// [`AgentError::Refused`] with the coordinator's reason, [`AgentError::NoAnswer`], [`AgentError::Lost`],
    /// [`AgentError::StateRefFormat`] when this agent could not name the state of a file there.
    pub async fn join(&mut self, hello: Message) -> Result<(), AgentError> {
        let id = match self.link.say(hello, "HELLO").await {
            Ok(id) => id,
            Err(error) => return Err(self.with_reason(error)),
        };
        self.watch(id, Subject::None);
        let limit = self.answer_limit;
        while self.info.is_none() {
            if self.is_away() {
                self.step().await?;
            } else {
                within(limit, "HELLO", self.step()).await?;
            }
            self.refused("HELLO")?;
        }
        self.watched = None;
        if let Some(info) = self.info.as_ref().filter(|info| info.state_ref_format != STATE_REF_FORMAT) {
            return Err(AgentError::StateRefFormat(info.state_ref_format.clone()));
        }
        self.greet();
        Ok(())
    }

    /// What the coordinator said when it let us in; `None` before.
    pub(crate) fn info(&self) -> Option<&SessionInfo> {
        self.info.as_ref()
    }

    /// Has the coordinator let us in?
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.info.is_some()
    }

    pub(crate) fn greet(&mut self) {
        let Some(info) = &self.info else { return };
        let here =
            info.participant_count.as_ref().map_or(String::new(), |here| format!(", {} here", here.get()));
        let joined = format!("joined session {} as {}{here}", info.session_id, self.view.me());
        let warnings = info.compatibility_errors.clone().unwrap_or_default();
        self.say(Style::Bold, &joined);
        for warning in warnings {
            self.say(Style::Yellow, &format!("the coordinator warns: {warning}"));
        }
    }

    /// # Errors
    /// [`AgentError::PreCommit`] when work has to be authorised before it is done (PAR-10).
    pub(crate) fn require_post_commit(&self) -> Result<(), AgentError> {
        match self.info.as_ref().and_then(|info| info.execution_model.as_ref()) {
            Some(ExecutionModel::PreCommit) => Err(AgentError::PreCommit),
            _ => Ok(()),
        }
    }

    /// The conflicts reported at the announce; later ones are shown and acknowledged, and the work goes on.
    pub(crate) fn take_undecided(&mut self) -> Vec<ConflictReport> {
        self.undecided.take().unwrap_or_default()
    }

    /// Whether there are any.
    pub(crate) fn has_undecided(&self) -> bool {
        self.undecided.as_ref().is_some_and(|undecided| !undecided.is_empty())
    }

    /// What was seen of others since the announce, or since the last call.
    pub(crate) fn take_signs(&mut self) -> Vec<Sign> {
        self.signs.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The same, left for the next look.
    pub(crate) fn signs(&self) -> &[Sign] {
        self.signs.as_deref().unwrap_or_default()
    }

    /// The task does not care for signs any more.
    pub(crate) fn forget_signs(&mut self) {
        self.signs = None;
    }

    /// A task begins.
    pub(crate) fn begin_task(&mut self) {
        (self.in_task, self.stop) = (true, None);
        self.committed.clear();
        self.link.status(HeartbeatStatus::Working, None);
    }

    /// The task has committed a file that was in this state before.
    pub(crate) fn note_committed(&mut self, path: &str, before: StateRef) {
        self.committed.push((path.to_owned(), before));
    }

    /// Whether a recovery has lost what the task committed; the resolution that came after the last commit is no matter.
    ///
    /// # Errors
    /// [`AgentError::Diverged`].
    pub(crate) fn check_committed(&mut self) -> Result<(), AgentError> {
        match self.stop.take() {
            Some(error @ AgentError::Diverged(_)) => Err(error),
            _ => Ok(()),
        }
    }

    /// The task is over: what still comes about it has nobody to tell. A resolution against its intent that
    /// came with its last answers would otherwise end whatever waits next.
    pub(crate) fn end_task(&mut self) {
        (self.signs, self.stop, self.base) = (None, None, None);
        (self.taken, self.frozen) = (None, None);
        self.bases = Bases::default();
        self.in_task = false;
        self.committed.clear();
        self.link.status(HeartbeatStatus::Idle, None);
    }

    /// The writing end.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Says something whose fate does not matter to the work.
    pub(crate) fn mention(&self, message: Message) {
        self.link.mention(message);
    }

    /// What heartbeats say of the own model from now on, where the session wants to know (BHM-01).
    pub(crate) fn report_health(&self, model: String, status: ProviderStatus, detail: Option<String>) {
        self.link.health(model, status, detail);
    }

    /// What heartbeats say of the task from now on, with the intent that it works under (LIV-19).
    pub(crate) fn set_status(&self, status: HeartbeatStatus) {
        self.link.status(status, self.own.as_ref().map(|own| own.id.clone()));
    }

    /// GOODBYE, and the end of the connection once everything is sent.
    pub async fn leave(self, reason: GoodbyeReason) {
        let mut goodbye = Goodbye::new(reason);
        goodbye.intent_disposition = Some(IntentDisposition::Withdraw);
        self.link.mention(goodbye.into());
        self.link.close();
        // What cannot be sent in this time has nobody to read it.
        let _ = tokio::time::timeout(LEAVE_LIMIT, self.keeper).await;
    }

    /// The others.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn view_mut(&mut self) -> &mut View {
        &mut self.view
    }

    /// The own live intent.
    pub(crate) fn own(&self) -> Option<&OwnIntent> {
        self.own.as_ref()
    }

    /// A line for people. What others wrote in it stays on it.
    pub(crate) fn say(&mut self, style: Style, text: &str) {
        self.console.say(style, &indented(text));
    }

    /// Where lines for people go.
    pub fn console(&mut self) -> &mut Console {
        &mut self.console
    }
}
