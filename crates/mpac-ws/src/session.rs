//! One session: the task that owns its [`Coordinator`].
//!
//! It takes what waits, stamps and applies each input, waits until all of it is in the log, then carries the outputs out in
//! order. While the disk is busy with one batch the next is decided; what comes of that waits for a sync of its own. Nothing
//! here decides anything about the protocol; what it knows of connections is who is bound, and that from the core's notices.

mod alarm;
mod deliver;
mod events;
mod setup;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

use mpac_core::{Command, ConnId, Coordinator, Input, Notice, Output, Peer};
use mpac_wire::names::{CloseDisposition, CloseReason, MessageType};
use mpac_wire::redact::blank_credentials;
use mpac_wire::{Frame as Parsed, Limits, MessageId, PrincipalId, Seconds};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::error;

use self::alarm::Alarm;
use self::deliver::Delivery;
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

/// Inputs decided at once: the bound on the work between two looks at the clock, and on what one sync is for.
const BATCH: usize = 256;
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
    limits: Limits,
    /// Keys of participants, for the connections.
    known: Known,
    tenancy: Tenancy,
    delivery: Delivery,
    journal: Journal,
    /// What a snapshot needs beside the coordinator.
    kept: Kept,
    snapshots: Snapshots,
    /// It was closed just now, and nobody has been told yet.
    closing: bool,
    /// Why it has to end.
    unkept: Option<Unkept>,
}

/// What a session waits for.
struct Incoming {
    inbox: mpsc::Receiver<Inbound>,
    batch: Vec<Inbound>,
    alarm: Alarm,
}

/// What was decided and nobody has seen yet.
#[derive(Default)]
struct Decided {
    /// How much came and was worked off.
    inputs: usize,
    outputs: Vec<Output>,
    /// Questions, and their answers.
    asked: Vec<(oneshot::Sender<Standing>, Standing)>,
    /// It is the last.
    over: bool,
}

impl Decided {
    /// What came of one input.
    fn add(&mut self, outputs: Vec<Output>) {
        self.inputs += 1;
        self.outputs.extend(outputs);
    }

    const fn is_anything(&self) -> bool {
        self.inputs > 0 || self.over
    }
}

impl Session {
    /// The keys that its participants were seen to sign with.
    pub(crate) const fn known(&self) -> &Known {
        &self.known
    }

    /// Runs until it is stopped, or until it is not open and nobody is connected to it. Gives the commits that are in no file.
    pub(crate) async fn run(mut self, inbox: mpsc::Receiver<Inbound>) -> Vec<Unwritten> {
        let mut incoming = Incoming { inbox, batch: Vec::with_capacity(BATCH), alarm: Alarm::default() };
        let mut decided = Decided::default();
        loop {
            if !decided.is_anything() {
                self.next(&mut incoming, &mut decided).await;
            }
            let over = decided.over;
            let Some(ahead) = self.see_through(decided, &mut incoming).await else { break };
            decided = ahead;
            if over {
                break;
            }
            if self.journal.is_short() && !decided.over {
                // The disk is full. There is room to say goodbye, and what waits in the inbox was promised nothing.
                decided.outputs.extend(self.apply(Input::Command(self.farewell())));
                decided.over = true;
            }
            if !decided.is_anything() && self.is_temporary() && self.tenancy.end() {
                break;
            }
        }
        self.snapshots.settle().await;
        self.journal.finish().await;
        self.delivery.finish().await
    }

    /// Waits for what comes next, and applies it. Can be dropped meanwhile.
    async fn next(&mut self, incoming: &mut Incoming, decided: &mut Decided) {
        // With more at hand the disk is set to work first: lines can be written while it is busy.
        if !self.journal.is_at_rest() || incoming.inbox.is_empty() {
            self.delivery.report().await;
        }
        // The clock before the timer: an expired sleep may still say "pending" when the task's budget is spent.
        let now = clock::now();
        let deadline = self.core.next_deadline();
        if deadline.is_some_and(|at| at <= now) {
            return decided.add(self.apply(Input::Timeout));
        }
        let deadline = deadline.into_iter().chain(self.snapshots.due(false)).min();
        let nap = deadline.map_or(LONGEST_SLEEP, |at| clock::until(at, now).min(LONGEST_SLEEP));
        tokio::select! {
            taken = incoming.inbox.recv_many(&mut incoming.batch, BATCH - decided.inputs) => decided.over |= taken == 0,
            lamport = self.snapshots.written() => {
                return decided.add(self.apply(Input::Command(Command::Persisted { lamport })));
            }
            () = incoming.alarm.within(nap) => {}
        }
        for inbound in incoming.batch.drain(..) {
            decided.over |= matches!(inbound, Inbound::Stop);
            self.take(inbound, decided);
        }
    }

    /// Carries out what was decided once it may be seen: what somebody sees is in the log, and nobody sees anything of what is
    /// not (SRV-13). Gives what was decided meanwhile; `None` where it is impossible, which everybody is told.
    async fn see_through(&mut self, decided: Decided, incoming: &mut Incoming) -> Option<Decided> {
        let ahead = match self.settle(decided.over, incoming).await {
            Ok(ahead) => ahead,
            Err(unkept) => {
                if matches!(unkept, Unkept::TooMuch) {
                    // First, so that whoever comes again begins anew.
                    self.tenancy.leave();
                }
                self.delivery.fail(&unkept);
                return None;
            }
        };
        for output in decided.outputs {
            let other_key = matches!(output, Output::Notice(Notice::CoordinatorKey { .. }));
            self.delivery.carry_out(output);
            if let Some(key) = self.delivery.signing().filter(|_| other_key) {
                self.journal.seal_with(key);
            }
        }
        for (done, standing) in decided.asked {
            // Whoever asked may have gone.
            let _ = done.send(standing);
        }
        Some(ahead)
    }

    /// Makes durable what has happened, and writes the session down as a whole when that is due, or at its end (REC-07). Gives
    /// what was decided while the disk was busy: nothing where the session is written down, which is as its log is.
    async fn settle(&mut self, over: bool, incoming: &mut Incoming) -> Result<Decided, Unkept> {
        if let Some(unkept) = self.unkept.take() {
            return Err(unkept);
        }
        let closing = std::mem::take(&mut self.closing);
        let last = over || closing;
        let due =
            self.snapshots.due(last).is_some_and(|due| last || self.journal.is_full() || due <= clock::now());
        let mut ahead = Decided::default();
        if let Some(mut writing) = self.journal.write(self.core.view().is_open()) {
            let mut looks = !last && !due;
            let written = loop {
                tokio::select! {
                    biased;
                    written = &mut writing => break written,
                    () = self.next(incoming, &mut ahead), if looks => {
                        looks = ahead.is_anything() && !ahead.over && ahead.inputs < BATCH;
                    }
                }
            };
            self.journal.written(written)?;
        }
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
        Ok(ahead)
    }

    /// Whether it is there for its connections only: nobody has opened it, or it is closed.
    fn is_temporary(&self) -> bool {
        self.places.is_some() && self.place.is_none()
    }

    fn take(&mut self, inbound: Inbound, decided: &mut Decided) {
        let outputs = match inbound {
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
                let outputs = command.map(|command| self.apply(Input::Command(command)));
                decided.asked.push((done, self.standing()));
                outputs.unwrap_or_default()
            }
            Inbound::Stop => self.apply(Input::Command(self.farewell())),
        };
        decided.add(outputs);
    }

    fn standing(&self) -> Standing {
        let view = self.core.view();
        Standing { epoch: self.core.epoch(), open: view.is_open(), closed: view.is_closed() }
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
        self.delivery.let_in_until(conn, self.core.view().admitted_until(conn));
        outputs
    }

    fn heard(&mut self, conn: ConnId, frame: Frame, proof: Proof) -> Vec<Output> {
        let Frame::Text(text) = frame else {
            let problem = "the frame is binary and not UTF-8 text".into();
            return self.apply(Input::Unreadable { from: Peer::unproven(conn), problem });
        };
        // Over what came, so before anything of it is blanked.
        let from = proof.complete(conn, text.as_str(), self.core.view(), &self.known);
        let text = match without_credentials(text.as_str(), &self.limits) {
            Ok(text) => text,
            Err(problem) => return self.apply(Input::Unreadable { from, problem: problem.into() }),
        };
        if let Some(places) = self.places.as_ref().filter(|_| !self.core.view().is_open())
            && is_hello(&text, &self.limits)
        {
            // Taken before the core decides, so that two sessions cannot open on the last one.
            self.place = Arc::clone(places).try_acquire_owned().ok();
            let mut outputs = self.apply(Input::Command(Command::Vacancy(self.place.is_some())));
            outputs.extend(self.apply(Input::Frame { from, text }));
            if !self.core.view().is_open() && self.place.take().is_none() {
                self.delivery.no_place();
            }
            return outputs;
        }
        self.apply(Input::Frame { from, text })
    }

    fn apply(&mut self, input: Input) -> Vec<Output> {
        // That a snapshot was written is no reason for another.
        let is_frame = matches!(input, Input::Frame { .. } | Input::Unreadable { .. });
        let is_remark = matches!(input, Input::Command(Command::Persisted { .. }));
        let record = self.core.stamp(clock::now(), input);
        match self.core.apply(&record) {
            Ok(step) => {
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

/// What may be logged of a frame, and is therefore all that the coordinator reads: HELLO, requests beside the protocol and what
/// cannot be read, with credentials blanked (PRV-05). Anything else stays byte for byte what came.
fn without_credentials(text: &str, limits: &Limits) -> Result<Arc<str>, String> {
    // An escape may spell the word.
    if !text.contains("credential") && !text.contains("\\u") {
        return Ok(text.into());
    }
    match Parsed::parse(Arc::<str>::from(text), limits) {
        Ok(Parsed::Message(received)) if received.envelope().message_type != MessageType::Hello => {
            Ok(text.into())
        }
        Ok(Parsed::Message(_) | Parsed::Sideband(_)) | Err(_) => match blank_credentials(text) {
            Ok(blanked) => Ok(blanked.into()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Whether a frame could open a session; that it does is the core's to say.
fn is_hello(text: &Arc<str>, limits: &Limits) -> bool {
    matches!(
        Parsed::parse(Arc::clone(text), limits),
        Ok(Parsed::Message(received)) if received.envelope().message_type == MessageType::Hello
    )
}

#[cfg(test)]
mod tests;
