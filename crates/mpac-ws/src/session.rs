//! One session: the task that owns its [`Coordinator`].
//!
//! It takes what waits, stamps and applies each input, then carries the outputs out in order. Nothing here decides anything
//! about the protocol; what it knows of connections is who is bound, and that from the core's notices.

mod deliver;
mod events;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use mpac_core::{Command, ConnId, Coordinator, Input, Notice, Output, Peer};
use mpac_wire::names::{CloseDisposition, CloseReason, MessageType};
use mpac_wire::{Frame as Parsed, Limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;
use tracing::error;

use self::deliver::Delivery;
pub(crate) use self::setup::Template;
use crate::clock;
use crate::error::Unwritten;
use crate::outbox::Outbox;
use crate::registry::Tenancy;
use crate::socket::Frame;

/// Inputs taken from the inbox at once: the bound on the work between two looks at the clock.
const BATCH: usize = 64;
/// A machine that slept finds its clock far ahead of its timers, so the clock is asked at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What a session is told.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A connection came; nobody has said HELLO on it yet.
    Joined { conn: ConnId, outbox: Outbox },
    /// It sent something, which takes up room in the inbox until it is applied.
    Frame { conn: ConnId, frame: Frame, room: Option<OwnedSemaphorePermit> },
    /// It is over.
    Left { conn: ConnId },
    /// The server stops: close the session, tell everybody, end.
    Stop,
}

/// The state of the task.
#[derive(Debug)]
pub(crate) struct Session {
    core: Coordinator,
    /// Where open sessions are counted: how many more there may be. Configured ones are open from the start (SES-02).
    places: Option<Arc<Semaphore>>,
    /// Held from the first accepted HELLO to the close; while it is, the session outlives its connections.
    place: Option<OwnedSemaphorePermit>,
    limits: Limits,
    tenancy: Tenancy,
    delivery: Delivery,
}

impl Session {
    /// Runs until it is stopped, or until it is not open and nobody is connected to it. Gives the commits that are in no file.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Inbound>) -> Vec<Unwritten> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut over = false;
        while !over {
            let mut outputs = Vec::new();
            // The clock before the timer: an expired sleep may still say "pending" when the task's budget is spent.
            let now = clock::now();
            let deadline = self.core.next_deadline();
            if deadline.is_some_and(|at| at <= now) {
                outputs = self.apply(Input::Timeout);
            } else {
                let nap = deadline.map_or(LONGEST_SLEEP, |at| clock::until(at, now).min(LONGEST_SLEEP));
                tokio::select! {
                    taken = inbox.recv_many(&mut batch, BATCH) => over = taken == 0,
                    () = sleep(nap) => {}
                }
                for inbound in batch.drain(..) {
                    over |= matches!(inbound, Inbound::Stop);
                    outputs.extend(self.take(inbound));
                }
            }
            for output in outputs {
                self.delivery.carry_out(output);
            }
            over |= self.is_temporary() && self.tenancy.end();
        }
        self.delivery.finish().await
    }

    /// Whether it is there for its connections only: nobody has opened it, or it is closed.
    fn is_temporary(&self) -> bool {
        self.places.is_some() && self.place.is_none()
    }

    fn take(&mut self, inbound: Inbound) -> Vec<Output> {
        match inbound {
            Inbound::Joined { conn, outbox } => {
                self.delivery.joined(conn, outbox);
                Vec::new()
            }
            Inbound::Frame { conn, frame, room: _room } if self.delivery.knows(conn) => {
                self.frame(conn, frame)
            }
            // Both halves of a closing connection report its end; the core hears of it once.
            Inbound::Left { conn } if self.delivery.left(conn) => {
                self.tenancy.left();
                self.apply(Input::Disconnect { conn })
            }
            Inbound::Frame { .. } | Inbound::Left { .. } => Vec::new(),
            Inbound::Stop => {
                let (reason, disposition) = (CloseReason::CoordinatorShutdown, CloseDisposition::WithdrawAll);
                self.apply(Input::Command(Command::Close { reason, disposition }))
            }
        }
    }

    fn frame(&mut self, conn: ConnId, frame: Frame) -> Vec<Output> {
        let from = Peer::unproven(conn);
        let Frame::Text(text) = frame else {
            return self
                .apply(Input::Unreadable { from, problem: "the frame is binary and not UTF-8 text".into() });
        };
        let text: Arc<str> = text.as_str().into();
        if let Some(places) = self.places.as_ref().filter(|_| !self.core.view().is_open())
            && is_hello(&text, &self.limits)
        {
            // Taken before the core decides, so that two sessions cannot open on the last one.
            self.place = Arc::clone(places).try_acquire_owned().ok();
            let mut outputs = self.apply(Input::Command(Command::Vacancy(self.place.is_some())));
            outputs.extend(self.apply(Input::Frame { from, text }));
            if !self.core.view().is_open() {
                self.place = None;
            }
            return outputs;
        }
        self.apply(Input::Frame { from, text })
    }

    fn apply(&mut self, input: Input) -> Vec<Output> {
        let record = self.core.stamp(clock::now(), input);
        match self.core.apply(&record) {
            Ok(step) => {
                if step.outputs.iter().any(|output| matches!(output, Output::Notice(Notice::Closed { .. }))) {
                    self.place = None;
                }
                step.outputs
            }
            Err(out_of_order) => {
                // Stamped a line above by the same coordinator, so this is a bug; the input is lost, the session goes on.
                error!("{out_of_order}");
                Vec::new()
            }
        }
    }
}

/// Whether a frame could open a session; that it does is the core's to say.
fn is_hello(text: &Arc<str>, limits: &Limits) -> bool {
    matches!(
        Parsed::parse(Arc::clone(text), limits),
        Ok(Parsed::Message(received)) if received.envelope().message_type == MessageType::Hello
    )
}
