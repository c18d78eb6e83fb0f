//! The coordinator of one session, and the only doors into it.

mod cascade;
mod conflict;
mod deadlines;
mod dispatch;
mod gate;
mod governance;
mod intent;
mod keys;
mod operation;
mod outbox;
mod quota;
mod records;
mod recover;
mod replay;
mod retention;
mod session;
mod snapshot;
mod state;
mod view;
mod visibility;
mod words;

use mpac_wire::Timestamp;
use mpac_wire::snapshot::Snapshot;

use crate::config::SessionConfig;
use crate::error::{ConfigError, OutOfOrder, RestoreError};
use crate::ids::IdSource;
use crate::input::{ConnId, Input, Peer, Record};
use crate::output::Step;
use outbox::Outbox;
use state::Session;
pub use view::View;

/// The coordinator of one session.
///
/// Two that were given the same configuration, seed and records are equal and have said the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinator {
    session: Session,
    /// Of the last record applied.
    seq: u64,
}

impl Coordinator {
    /// Opens a session.
    ///
    /// # Errors
    /// When the configuration asks for what this coordinator does not do, or contradicts itself.
    pub fn new(config: SessionConfig, ids: IdSource, now: Timestamp) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { session: Session::open(config, ids, 1, now), seq: 0 }) // REC-10
    }

    /// The session exactly as it was when [`snapshot`](Self::snapshot) wrote it, under the same epoch: for replaying
    /// the records after it. `config` is the one it was opened with.
    ///
    /// # Errors
    /// When the snapshot contradicts itself, the configuration cannot be opened, or the two disagree on session id,
    /// security profile, compliance profile or execution model, as far as the snapshot names them (REC-11).
    pub fn load(config: SessionConfig, snapshot: &Snapshot) -> Result<Self, RestoreError> {
        let (session, seq) = snapshot::read(config, snapshot, 0)?;
        Ok(Self { session, seq })
    }

    /// Takes a session up from its snapshot, ours or a reference's, after a crash, a restart or a handover (REC-11 to
    /// REC-21).
    ///
    /// Its epoch is the snapshot's + 1, or the one that a handover announced; in any case above that of every later
    /// coordinator that the stored one was told of (REC-12, REC-27). Participants stay what they were and say
    /// HELLO again. Times to live went on; liveness begins afresh; waiting for resolutions and the phases of a freeze
    /// leave out the time between the snapshot and `now` (D-036). Nothing fires and nothing is said before the next
    /// record, and the Lamport clock stays where it was. `seed` may be the same as before: ids differ by epoch.
    ///
    /// # Errors
    /// As for [`load`](Self::load); and when no epoch is left.
    pub fn restore(
        config: SessionConfig,
        snapshot: &Snapshot,
        seed: u64,
        now: Timestamp,
    ) -> Result<Self, RestoreError> {
        let (mut session, seq) = snapshot::read(config, snapshot, seed)?;
        recover::take_up(&mut session, seed, now)?;
        Ok(Self { session, seq })
    }

    /// Numbers an input and gives it its time, which never runs backwards (D-011). Changes nothing.
    pub fn stamp(&self, now: Timestamp, input: Input) -> Record {
        Record::new(self.seq + 1, now.max(self.session.now), input)
    }

    /// Applies one record: everything due at its time first, then its input. The only method that changes anything.
    ///
    /// # Errors
    /// When the record is not the next one, or is older than the last; then nothing has changed.
    pub fn apply(&mut self, record: &Record) -> Result<Step, OutOfOrder> {
        if record.seq != self.seq + 1 || record.at < self.session.now {
            return Err(OutOfOrder {
                found: record.seq,
                at: record.at,
                expected: self.seq + 1,
                not_before: self.session.now,
            });
        }
        self.seq = record.seq;
        let mut out = Outbox::default();
        if self.session.retired {
            self.session.now = record.at;
            if let Input::Command(crate::Command::Fence { epoch }) = &record.input {
                session::handover::fence(&mut self.session, &mut out, *epoch);
            }
            return Ok(Step { outputs: out.outputs, next_deadline: None, received: None }); // not another word (REC-26)
        }
        dispatch::timers(&mut self.session, &mut out, record.at);
        match &record.input {
            Input::Frame { from, text } => gate::frame(&mut self.session, &mut out, from, text),
            Input::Unreadable { from, refers_to, problem } => {
                gate::unreadable(&mut self.session, &mut out, (from, refers_to.as_ref()), problem)
            }
            Input::Disconnect { conn } => session::connection::lost(&mut self.session, &mut out, *conn),
            Input::Command(command) => dispatch::command(&mut self.session, &mut out, command),
            Input::Timeout => {}
        }
        intent::claim::settle(&mut self.session, &mut out);
        operation::authorise::settle(&mut self.session, &mut out);
        session::lifecycle::settle(&mut self.session);
        retention::settle(&mut self.session);
        let outputs = visibility::applied(&self.session, out.outputs);
        Ok(Step { outputs, next_deadline: self.next_deadline(), received: out.received })
    }

    /// [`stamp`](Self::stamp) and [`apply`](Self::apply) in one, for hosts that keep no log.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Step {
        let record = self.stamp(now, input);
        match self.apply(&record) {
            Ok(step) => step,
            Err(error) => unreachable!("stamped a moment ago: {error}"),
        }
    }

    /// A frame without a log.
    pub fn handle_frame(&mut self, now: Timestamp, conn: ConnId, text: &str) -> Step {
        self.handle(now, Input::Frame { from: Peer::unproven(conn), text: text.into() })
    }

    /// A deadline without a log. Early is harmless; at [`next_deadline`](Self::next_deadline) it makes progress.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Step {
        self.handle(now, Input::Timeout)
    }

    /// When the next thing falls due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.session.closed || self.session.retired { None } else { self.session.deadlines.next() }
    }

    /// The session as it stands, in the stored form (REC-08), at the time of the last record.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(self.session.now)
    }

    /// The same at `now`: the outage that a recovery leaves out begins there. Nothing fires and nothing changes.
    pub fn snapshot_at(&self, now: Timestamp) -> Snapshot {
        snapshot::write(&self.session, self.seq, now.max(self.session.now))
    }

    /// Under which epoch it speaks (REC-10, REC-27).
    pub fn epoch(&self) -> u64 {
        self.session.epoch
    }

    /// Whether every index equals one made anew from the records, and no operation waits that could go on: always, or
    /// there is a bug. For tests.
    pub fn indexes_are_sound(&self) -> bool {
        self.session == self.session.rebuilt_indexes()
            && operation::authorise::nothing_is_overlooked(&self.session)
    }

    /// What of the session a rule can still ask about, as text. Two sessions under one configuration whose essences are
    /// equal go on alike, but for ids, Lamport values and absolute times. For tests, which tell states apart by it.
    pub fn essence(&self) -> alloc::string::String {
        state::essence::essence(&self.session)
    }

    /// A read-only look at it, for status pages and tests.
    pub fn view(&self) -> View<'_> {
        View::new(&self.session)
    }
}
