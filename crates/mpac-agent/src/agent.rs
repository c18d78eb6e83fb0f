//! An agent as a value: what a program embeds that takes part in a session.
//!
//! ```text
//!  Agent ─┐                       ┌─▶ Events     (each its own copy, in order)
//!  Agent ─┼──orders──▶  hub  ─────┤
//!  Agent ─┘   ▲          │ ▲      └─▶ view()     (a snapshot, no round trip)
//!             │          ▼ │
//!     task on a lane   connection ──▶ coordinator
//! ```
//!
//! One task, the hub, owns the connection and takes in everything that arrives, in order. An [`Agent`] is a handle to it: cheap
//! to clone, and any number of callers may use it at once. The last handle that goes says GOODBYE. [`Events`] tells what
//! happens, and [`Agent::view`] how the session stands by that. A whole task, with a model behind it
//! ([`Agent::run_task`]), runs on a lane: a connection of its own to look at, over the same socket; verbs go on beside it.
//!
//! **How a verb waits.** It sends its message and right after it a request for a file. A coordinator handles the frames of
//! one connection in their order, so the answer to the request proves that everything about the message has come (PAR-11,
//! PAR-12). Nothing waits for a fixed time, and many exchanges may be under way. What has no answer within
//! [`ConnectOptions::answer_limit`] ends with [`AgentError::NoAnswer`].
//!
//! **Breaks.** While the connection is broken verbs wait for its return, for as long as the connection itself is tried
//! again ([`ConnectOptions::patience`]). What was on its way when it broke is looked for afterwards and repeated only if it
//! did not arrive; where that cannot be told the verb says [`AgentError::Unsettled`].
//!
//! **Dropping.** Every future may be dropped at any time. What it had sent may take effect, and what it would have left
//! behind does not stay: an intent whose announce or claim nobody waits for any more is withdrawn, also when its answer comes
//! later or the connection is broken at the moment. A commit is one message, so it happens or it does not; likewise a batch.
//! A work of several steps ([`execute_task`](Agent::execute_task), [`run_task`](Agent::run_task)) withdraws its intent;
//! what it has committed before stays. Whatever else happens, the coordinator ends the intents of a process that is gone by
//! their time, after suspending them (LIV-05).
//!
//! **Refusals** are [`AgentError::TurnedDown`] with the code, the rule, who holds what, the time left and the next step, as
//! far as the coordinator says; [`AgentError::Withheld`] is the same by the core's rules, before anything is sent.
//!
//! ```no_run
//! use mpac_agent::agent::{Agent, Announce, ConnectOptions, Edit, Event};
//!
//! # async fn example() -> Result<(), mpac_agent::error::AgentError> {
//! let (agent, mut events) = Agent::connect(ConnectOptions::new("ws://127.0.0.1:8766", "Bob")).await?;
//! let announced = agent.announce(Announce::files("fix the rounding", ["money.py"])).await?;
//! for conflict in &announced.conflicts {
//!     println!("in conflict with {:?}", conflict.principal_b);
//! }
//! if let Some(file) = agent.read_file("money.py").await? {
//!     let text = file.content.replace("round(", "half_even(");
//!     agent.commit(Some(&announced.intent), Edit::of("money.py", &file, text)).await?;
//! }
//! agent.withdraw(&announced.intent, Some("task_completed")).await?;
//! if let Some(Event::Committed { path, .. }) = events.next().await {
//!     println!("somebody committed {path}");
//! }
//! agent.leave(Default::default()).await
//! # }
//! ```

mod book;
mod connect;
mod event;
mod hub;
pub(crate) mod refusal;
mod teller;
mod telling;
mod verbs;
mod view;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mpac_core::participant::{Participant, Stage};
use mpac_wire::sideband::{FileEntry, Request};
use mpac_wire::{Message, OpId, PrincipalId};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::connection::Link;
use crate::error::AgentError;
use crate::history::History;
use crate::naming::Naming;
use crate::task::{Found, Tally};

use hub::{BARRIER, Order, Outcome, Place, Reply, Said};

pub use crate::session::FileState;
pub use connect::ConnectOptions;
pub use event::{Ended, Event, Events};
pub use mpac_core::participant::Holder;
pub use refusal::TurnedDown;
pub(crate) use teller::Teller;
pub use verbs::conflict::{Report, Verdict};
pub use verbs::intent::{Announce, Announced, Claim, Defer, Update};
pub use verbs::operation::{Batch, BatchOutcome, Committed, Edit, Proposal};
pub use verbs::presence::Leaving;
pub use verbs::task::Work;
pub use view::{Conflict, Deferral, KnownFile, KnownIntent, Person, Snapshot};

/// A participant of a session. See the [module](self).
#[derive(Debug, Clone)]
pub struct Agent(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    orders: mpsc::UnboundedSender<Order>,
    events: broadcast::WeakSender<Event>,
    place: watch::Receiver<Place>,
    link: Link,
    me: PrincipalId,
    name: String,
    naming: Mutex<Naming>,
    answer_limit: Duration,
    history: History,
    /// The server told how the session stands without being asked for a summary, as servers of this project do.
    tells: AtomicBool,
}

impl Agent {
    /// The own principal.
    #[must_use]
    pub fn me(&self) -> &PrincipalId {
        &self.0.me
    }

    /// The events from now on. Those since the start come with [`connect`](Self::connect).
    #[must_use]
    pub fn events(&self) -> Events {
        match self.0.events.upgrade() {
            Some(events) => Events(events.subscribe()),
            // It is over: an end without events before it.
            None => Events(broadcast::channel(1).1),
        }
    }

    /// How the session stands by all that has arrived (PAR-09): who works on what, open conflicts, the states of files.
    /// Nothing is sent for it, so it may be asked at any time, also while the connection is broken.
    ///
    /// # Errors
    /// [`AgentError::Lost`], [`AgentError::SessionClosed`] after the end.
    pub async fn view(&self) -> Result<Snapshot, AgentError> {
        let (tell, told) = oneshot::channel();
        self.order(Order::View(tell))?;
        told.await.map_err(|_| self.ended())?
    }

    /// Whether the coordinator can be spoken to at the moment; verbs wait for it.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(*self.0.place.borrow(), Place::Here)
    }

    /// Whether the connection is broken and being tried again.
    pub(crate) fn is_away(&self) -> bool {
        matches!(*self.0.place.borrow(), Place::Away)
    }

    /// Which kinds of message have been seen from whom, for a [scripted brain](crate::brain::scripted).
    #[must_use]
    pub fn history(&self) -> History {
        self.0.history.clone()
    }

    /// Python servers record batches and superseding commits and lose their texts, after which nobody can commit to those
    /// files any more.
    ///
    /// # Errors
    /// [`AgentError::Unsupported`] where the server has not shown that it is another one.
    fn keeps_texts_of(&self, what: &str) -> Result<(), AgentError> {
        if self.0.tells.load(Ordering::Relaxed) {
            return Ok(());
        }
        let why = "servers of mpac 0.1 and 0.2 record it and lose the texts, after which nobody can commit to these files, and this server has not shown that it is another one; commit the files one by one";
        Err(AgentError::Unsupported { what: what.to_owned(), why: why.to_owned() })
    }

    /// A fresh id of this kind (PAR-24).
    fn id(&self, kind: &str, about: &str) -> String {
        // A panic elsewhere has left the counter as good as ever.
        self.0.naming.lock().unwrap_or_else(PoisonError::into_inner).id(kind, about)
    }

    fn order(&self, order: Order) -> Result<(), AgentError> {
        self.0.orders.send(order).map_err(|_| self.ended())
    }

    /// What became of what was under way, by a list of the files that came after it.
    pub(crate) async fn find_out(&self, tally: &Tally, listed: Option<&[FileEntry]>) -> Found {
        tally.find_out(&self.0.link, listed).await
    }

    /// Why it is over.
    fn ended(&self) -> AgentError {
        match &*self.0.place.borrow() {
            Place::Ended(end) => end.error(),
            Place::Here | Place::Away => AgentError::Lost("it is closed".to_owned()),
        }
    }

    /// Waits until something can be said.
    pub(crate) async fn here(&self) -> Result<(), AgentError> {
        let mut place = self.0.place.clone();
        match place.wait_for(|place| !matches!(place, Place::Away)).await.as_deref() {
            Ok(Place::Ended(end)) => Err(end.error()),
            Ok(_) => Ok(()),
            Err(_) => Err(self.ended()),
        }
    }

    /// Says something, and gives what was heard until the barrier behind it was answered.
    async fn exchange(&self, said: Said, barrier: Request, what: &str) -> Result<Outcome, AgentError> {
        let (tell, told) = oneshot::channel();
        let operations = said.operations();
        self.order(Order::Exchange { said, barrier, what: what.to_owned(), tell })?;
        let limit = self.0.answer_limit;
        match tokio::time::timeout(limit, told).await {
            Ok(Ok(outcome)) => outcome,
            // Its request was passed over, or it is all over.
            Ok(Err(_)) if matches!(*self.0.place.borrow(), Place::Ended(_)) => Err(self.ended()),
            Ok(Err(_)) | Err(_) => Err(AgentError::NoAnswer {
                what: what.to_owned(),
                seconds: limit.as_secs(),
                accepted: self.accepted(operations).await,
            }),
        }
    }

    /// Those of these operations that the coordinator has accepted, as far as that was heard.
    async fn accepted(&self, operations: Vec<OpId>) -> Vec<OpId> {
        let is_accepted = |it: &Participant, op: &OpId| {
            it.operation(op).is_some_and(|operation| operation.stage == Stage::Committed)
        };
        let look = move |it: &Participant| operations.into_iter().filter(|op| is_accepted(it, op)).collect();
        // After the end there is nobody to ask, and another error to tell.
        self.0.link.look(look).await.unwrap_or_default()
    }

    /// Says something once, waiting for the coordinator if it has to.
    ///
    /// # Errors
    /// [`AgentError::Unsettled`] when the connection broke behind it.
    async fn say(&self, message: impl Into<Message>, what: &str) -> Result<Box<Reply>, AgentError> {
        let message = message.into();
        loop {
            self.here().await?;
            match self.exchange(Said::First(Box::new(message.clone())), barrier(), what).await? {
                Outcome::Answered(reply) => return Ok(reply),
                Outcome::Broken { sent: false, .. } => {}
                Outcome::Broken { sent: true, .. } => {
                    return Err(AgentError::Unsettled { what: what.to_owned() });
                }
            }
        }
    }
}

fn barrier() -> Request {
    Request::FileRead { path: Some(BARRIER.to_owned()) }
}

impl Reply {
    /// # Errors
    /// [`AgentError::TurnedDown`].
    fn not_refused(&self, what: &str) -> Result<(), AgentError> {
        if let Some(error) = &self.error {
            return Err(AgentError::TurnedDown(Box::new(TurnedDown::of(what, error))));
        }
        match &self.reject {
            Some(reject) => {
                let refusal = TurnedDown::rejected(what, reject.reason.to_string());
                Err(AgentError::TurnedDown(Box::new(refusal)))
            }
            None => Ok(()),
        }
    }

    /// What is echoed when it is accepted, was.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`], [`AgentError::Ignored`].
    fn accepted(&self, what: &str) -> Result<(), AgentError> {
        self.not_refused(what)?;
        // Python servers send a warning in place of the echo (D-133).
        if self.echo || self.warning.is_some() {
            return Ok(());
        }
        Err(AgentError::Ignored { what: what.to_owned() })
    }
}
