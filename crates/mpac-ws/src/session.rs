//! One session: the task that owns its [`Coordinator`].
//!
//! It takes what waits, stamps and applies each input, waits until all of it is in the log, then carries the outputs out in
//! order. Nothing here decides anything about the protocol; what it knows of connections is who is bound, and that from the
//! core's notices.

mod alarm;
mod deliver;
mod events;
mod rollback;
mod setup;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

use mpac_core::{Command, ConnId, Coordinator, Input, Notice, Output, Peer};
use mpac_wire::names::{CloseDisposition, CloseReason, MessageType};
use mpac_wire::received::type_and_id_of;
use mpac_wire::redact::blank_credentials;
use mpac_wire::{Frame as Parsed, Limits, MessageId, PrincipalId, Seconds};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::yield_now;
use tracing::error;

use self::alarm::Alarm;
use self::deliver::Delivery;
use self::rollback::Applies;
pub(crate) use self::setup::{Goes, Template, Tenure, seed};
use self::snapshots::Snapshots;
use crate::clock;
use crate::error::Unwritten;
use crate::identity::proof::Proof;
use crate::outbox::Outbox;
use crate::registry::Tenancy;
use crate::signing::known::Known;
use crate::socket::Frame;
use crate::store::journal::{Journal, Unkept};
use crate::store::kept::Kept;

/// Inputs taken from the inbox at once: the bound on the work between two looks at the clock, and on what one sync is for.
const BATCH: usize = 256;
/// Bytes of answers after which the rest of a batch waits for the next: none of them leaves memory before what it was asked with
/// is in the log, and a few bytes ask for as much as a frame holds.
const ANSWERS: usize = 4 * 1024 * 1024;
/// Turns that everybody else has before the next batch is taken: the sockets send what the last one led to, and read what comes
/// of that, so that a batch, and a sync, is for all who have spoken by then. On one core two are 1.4 times the deliveries of none
/// with ten clients, in memory and durable, 1.2 to 1.3 times with fifty; more gain nothing. One client alone has
/// 0.67 of the deliveries without any on one machine, whose core falls asleep in between and wakes up late, and 1.02 on another.
const TURNS: usize = 2;
/// A machine that slept finds its clock far ahead of its timers, so the clock is asked at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What a session is told.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A connection came; nobody has said HELLO on it yet.
    Joined { conn: ConnId, outbox: Outbox },
    /// It sent something, which takes up room in the inbox until it is applied; and what the connection found proven by it.
    Frame { conn: ConnId, frame: Frame, proof: Proof, room: Option<OwnedSemaphorePermit> },
    /// It sent something that was not let in: whoever speaks on it says too much.
    TooFast { conn: ConnId, refers_to: Option<MessageId>, retry_after: Seconds },
    /// It is over.
    Left { conn: ConnId },
    /// The operator wants to know how it is, and before that, perhaps, something done.
    Ask { command: Option<Command>, done: oneshot::Sender<Standing> },
    /// The server stops: hand the session over to the next start, or close it, tell everybody, end.
    Stop,
}

/// How a session is, once everything before the question is carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) epoch: u64,
    pub(crate) open: bool,
    pub(crate) closed: bool,
    /// Where it is closed, the next one who joins begins it anew.
    pub(crate) renews: bool,
}

/// The state of the task.
#[derive(Debug)]
pub(crate) struct Session {
    core: Coordinator,
    /// Its name, for the one who goes on after a stop.
    coordinator: PrincipalId,
    /// Where open sessions are counted: how many more there may be. Configured ones are open from the start (SES-02).
    places: Option<Arc<Semaphore>>,
    /// Held from the first accepted HELLO to the close; while it is, the session outlives its connections.
    place: Option<OwnedSemaphorePermit>,
    /// Held until that HELLO: a session that waits for it has a place among those that do.
    waits: Option<OwnedSemaphorePermit>,
    limits: Limits,
    /// Keys of participants, for the connections.
    known: Known,
    tenancy: Tenancy,
    delivery: Delivery,
    journal: Journal,
    /// What a snapshot needs beside the coordinator.
    kept: Kept,
    snapshots: Snapshots,
    alarm: Alarm,
    /// It was closed just now, and nobody has been told yet.
    closing: bool,
    /// Questions of this batch.
    asked: Vec<oneshot::Sender<Standing>>,
    /// Why it has to end.
    unkept: Option<Unkept>,
    /// [`Coordinator::apply`], but in tests of what it does where that fails.
    applies: Applies,
    /// What it failed on: nothing more is applied before it is as it was.
    failed: Option<Input>,
}

impl Session {
    /// The keys that its participants were seen to sign with.
    pub(crate) const fn known(&self) -> &Known {
        &self.known
    }

    /// Runs until it is stopped, or until it is not open and nobody is connected to it. Gives the commits that are in no file.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Inbound>) -> Vec<Unwritten> {
        let mut batch = Vec::with_capacity(BATCH);
        let mut over = false;
        while !over {
            let mut outputs = self.next(&mut inbox, &mut batch, &mut over).await;
            if !self.mended(&mut outputs).await || !self.see_through(outputs, over).await {
                break;
            }
            if !over && self.journal.is_short() {
                // The disk is full. There is room to say goodbye, and what waits in the inbox was promised nothing.
                over = true;
                let mut outputs = self.apply(Input::Command(self.farewell()));
                if !self.mended(&mut outputs).await || !self.see_through(outputs, over).await {
                    break;
                }
            }
            self.answer().await;
            over |= self.is_temporary() && self.tenancy.end();
        }
        self.delivery.report().await;
        self.snapshots.settle().await;
        self.journal.finish().await;
        self.delivery.finish().await
    }

    /// Waits for what comes next, and applies it.
    async fn next(
        &mut self,
        inbox: &mut mpsc::Receiver<Inbound>,
        batch: &mut Vec<Inbound>,
        over: &mut bool,
    ) -> Vec<Output> {
        self.delivery.report().await;
        for _ in 0..TURNS {
            yield_now().await;
        }
        // The clock before the timer: an expired sleep may still say "pending" when the task's budget is spent.
        let now = clock::now();
        let deadline = self.core.next_deadline();
        if deadline.is_some_and(|at| at <= now) {
            return self.apply(Input::Timeout);
        }
        let deadline = deadline.into_iter().chain(self.snapshots.due(false)).min();
        let nap = deadline.map_or(LONGEST_SLEEP, |at| clock::until(at, now).min(LONGEST_SLEEP));
        if batch.is_empty() {
            tokio::select! {
                taken = inbox.recv_many(batch, BATCH) => *over = taken == 0,
                lamport = self.snapshots.written() => return self.apply(Input::Command(Command::Persisted { lamport })),
                () = self.alarm.within(nap) => {}
            }
            // The first is taken from the end.
            batch.reverse();
        }
        let (mut outputs, mut answers) = (Vec::new(), 0);
        while (answers < ANSWERS || *over)
            && self.failed.is_none()
            && let Some(inbound) = batch.pop()
        {
            // What came behind a stop was promised nothing, like what still waits in the inbox.
            if *over && matches!(inbound, Inbound::Frame { .. } | Inbound::TooFast { .. }) {
                continue;
            }
            *over |= matches!(inbound, Inbound::Stop);
            let led_to = self.take(inbound);
            answers += led_to.iter().map(answer_bytes).sum::<usize>();
            outputs.extend(led_to);
        }
        outputs
    }

    /// Carries outputs out once they may be seen: what somebody sees is in the log, and nobody sees anything of what is not
    /// (SRV-13). False where that is impossible, which everybody is told.
    async fn see_through(&mut self, outputs: Vec<Output>, over: bool) -> bool {
        let nothing_kept = self.journal.is_unopened();
        if let Err(unkept) = self.settle(over).await {
            if nothing_kept {
                // First, so that whoever comes again begins anew.
                self.tenancy.leave();
            }
            self.delivery.fail(&unkept);
            return false;
        }
        for output in outputs {
            let other_key = matches!(output, Output::Notice(Notice::CoordinatorKey { .. }));
            self.delivery.carry_out(output);
            if let Some(key) = self.delivery.signing().filter(|_| other_key) {
                self.journal.seal_with(key);
            }
        }
        true
    }

    /// Makes durable what has happened, and writes the session down as a whole when that is due, or at its end (REC-07).
    async fn settle(&mut self, over: bool) -> Result<(), Unkept> {
        if let Some(unkept) = self.unkept.take() {
            return Err(unkept);
        }
        self.journal.settle(self.core.view().is_open()).await?;
        let closing = std::mem::take(&mut self.closing);
        let last = over || closing;
        let due =
            self.snapshots.due(last).is_some_and(|due| last || self.journal.is_full() || due <= clock::now());
        if due {
            match self.journal.position().await? {
                Some(mark) => self.snapshots.take(mark, &self.core, &self.kept).await,
                None => self.snapshots.skip(),
            }
        }
        if closing {
            // Before anybody hears of it (SES-19).
            self.snapshots.settle().await;
        }
        Ok(())
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
            Inbound::Frame { conn, frame, proof, room: _room } if self.delivery.knows(conn) => {
                self.frame(conn, frame, proof)
            }
            // Both halves of a closing connection report its end; the core hears of it once.
            Inbound::Left { conn } if self.delivery.left(conn) => {
                self.tenancy.left();
                self.apply(Input::Disconnect { conn })
            }
            Inbound::TooFast { conn, refers_to, retry_after } if self.delivery.knows(conn) => {
                self.apply(Input::Command(Command::TurnAway { conn, refers_to, retry_after }))
            }
            Inbound::Frame { .. } | Inbound::Left { .. } | Inbound::TooFast { .. } => Vec::new(),
            Inbound::Ask { command, done } => {
                self.asked.push(done);
                command.map(|command| self.apply(Input::Command(command))).unwrap_or_default()
            }
            Inbound::Stop => self.apply(Input::Command(self.farewell())),
        }
    }

    async fn answer(&mut self) {
        if !self.asked.is_empty() {
            // Whoever hears that a session is closed may look for the line about it.
            self.delivery.report().await;
        }
        let view = self.core.view();
        let standing = Standing {
            epoch: self.core.epoch(),
            open: view.is_open(),
            closed: view.is_closed(),
            renews: self.places.is_some(),
        };
        for done in self.asked.drain(..) {
            // Whoever asked may have gone.
            let _ = done.send(standing);
        }
    }

    /// A session that is stored goes on later, under the same coordinator and the next epoch; any other is over (SRV-12).
    fn farewell(&self) -> Command {
        if self.journal.is_on() && !self.core.view().is_closed() {
            let successor = self.coordinator.clone();
            return Command::HandOver { successor, next_epoch: self.core.epoch() + 1 };
        }
        let (reason, disposition) = (CloseReason::CoordinatorShutdown, CloseDisposition::WithdrawAll);
        Command::Close { reason, disposition }
    }

    fn frame(&mut self, conn: ConnId, frame: Frame, proof: Proof) -> Vec<Output> {
        let outputs = self.heard(conn, frame, proof);
        if self.failed.is_none() {
            self.delivery.let_in_until(conn, self.core.view().admitted_until(conn));
        }
        outputs
    }

    fn heard(&mut self, conn: ConnId, frame: Frame, proof: Proof) -> Vec<Output> {
        let Frame::Text(text) = frame else {
            let problem = "the frame is binary and not UTF-8 text".into();
            return self.apply(Input::Unreadable { from: Peer::unproven(conn), refers_to: None, problem });
        };
        // Its signature may be over what is blanked below.
        let from = proof.complete(conn, text.as_str(), self.core.view(), &self.known);
        let text = match without_credentials(text.as_str(), &self.limits) {
            Ok(text) => text,
            Err(problem) => {
                let (message_type, refers_to) = type_and_id_of(text.as_str());
                if message_type == Some(MessageType::ProtocolError) {
                    return Vec::new(); // an error is never answered by an error (ERR-03)
                }
                return self.apply(Input::Unreadable { from, refers_to, problem: problem.into() });
            }
        };
        if let Some(places) = self.places.as_ref().filter(|_| !self.core.view().is_open())
            && is_hello(&text, &self.limits)
        {
            // Taken before the core decides, so that two sessions cannot open on the last one.
            self.place = Arc::clone(places).try_acquire_owned().ok();
            let mut outputs = self.apply(Input::Command(Command::Vacancy(self.place.is_some())));
            outputs.extend(self.apply(Input::Frame { from, text }));
            if self.core.view().is_open() {
                self.waits = None;
            } else if self.place.take().is_none() {
                self.delivery.no_place();
            }
            return outputs;
        }
        self.apply(Input::Frame { from, text })
    }

    fn apply(&mut self, input: Input) -> Vec<Output> {
        if self.failed.is_some() {
            return Vec::new();
        }
        // That a snapshot was written is no reason for another.
        let is_frame = matches!(input, Input::Frame { .. } | Input::Unreadable { .. });
        let is_remark = matches!(input, Input::Command(Command::Persisted { .. }));
        let record = self.core.stamp(clock::now(), input);
        let Some(applied) = self.guarded(record) else { return Vec::new() };
        match applied {
            Ok((record, step)) => {
                if is_frame {
                    self.delivery.received(step.received.as_ref());
                }
                if let Err(unkept) = self.journal.note(&record, &step) {
                    self.unkept.get_or_insert(unkept);
                }
                if !matches!(self.journal, Journal::Off) {
                    step.outputs.iter().for_each(|output| self.kept.hear(output));
                    if !is_remark || !step.outputs.is_empty() {
                        self.snapshots.changed(record.at);
                    }
                }
                for output in &step.outputs {
                    match output {
                        Output::Notice(Notice::Closed { .. }) => {
                            self.place = None;
                            self.closing = true;
                        }
                        Output::Notice(Notice::CoordinatorConflict { .. }) => self.tenancy.conflict(),
                        _ => {}
                    }
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

fn answer_bytes(output: &Output) -> usize {
    match output {
        Output::Answer { text, .. } => text.len(),
        _ => 0,
    }
}

/// What may be logged of a frame, and is therefore all that the coordinator reads: HELLO, requests beside the protocol and what
/// cannot be read, with credentials blanked (PRV-05). Anything else stays byte for byte what came.
fn without_credentials(text: &str, limits: &Limits) -> Result<Arc<str>, String> {
    // An escape may spell the word.
    if !text.contains("credential") && !text.contains("\\u") {
        return Ok(text.into());
    }
    match Parsed::parse_envelope(Arc::<str>::from(text), limits) {
        Ok(Parsed::Message(received)) if received.envelope().message_type != MessageType::Hello => {
            Ok(text.into())
        }
        came => match blank_credentials(text) {
            // It is too large because of what would be blanked, so nobody has judged it as it came.
            Ok(blanked) if came.is_err() && Parsed::parse_envelope(blanked.as_str(), limits).is_ok() => {
                Err("what it has for a credential is too large".to_owned())
            }
            Ok(blanked) => Ok(blanked.into()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Whether a frame could open a session; that it does is the core's to say.
fn is_hello(text: &Arc<str>, limits: &Limits) -> bool {
    matches!(
        Parsed::parse_envelope(Arc::clone(text), limits),
        Ok(Parsed::Message(received)) if received.envelope().message_type == MessageType::Hello
    )
}

#[cfg(test)]
mod tests;
