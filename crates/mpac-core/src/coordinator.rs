//! The coordinator of one session, and the only doors into it.

mod cascade;
mod conflict;
mod deadlines;
mod dispatch;
mod gate;
mod governance;
mod intent;
mod operation;
mod outbox;
mod records;
mod recover;
mod session;
mod state;
mod view;

use alloc::collections::{BTreeMap, BTreeSet};

use mpac_wire::names::PrincipalType;
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{InstanceId, Sender, Timestamp};

use crate::config::SessionConfig;
use crate::error::{ConfigError, OutOfOrder};
use crate::ids::IdSource;
use crate::input::{Command, ConnId, Input, Peer, Record};
use crate::lamport::LamportClock;
use crate::output::Step;
use crate::scope::ScopeIndex;
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
        let principal = config.coordinator_id();
        let epoch = 1; // REC-10
        // Never empty: the principal is not.
        let instance = InstanceId::new(alloc::format!("{principal}:epoch-{epoch}"))
            .unwrap_or_else(|_| unreachable!("a principal id is not empty"));
        let mut session = Session {
            coordinator: Sender::new(principal, PrincipalType::Service, instance),
            epoch,
            ids,
            lamport: LamportClock::default(),
            started_at: now,
            now,
            unopened: config.opens_with_hello,
            vacancy: true,
            closed: false,
            members: BTreeMap::new(),
            connections: BTreeMap::new(),
            intents: BTreeMap::new(),
            archived_intents: alloc::vec::Vec::new(),
            operations: BTreeMap::new(),
            batches: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            deferrals: BTreeMap::new(),
            backoff: alloc::vec::Vec::new(),
            claims: BTreeMap::new(),
            claim_ids: BTreeSet::new(),
            refused_claimers: BTreeMap::new(),
            resolutions: BTreeSet::new(),
            frontier: BTreeMap::new(),
            refs: config.workspace.clone(),
            files: config.workspace.keys().cloned().collect(),
            sequence: 0,
            rejudge: false,
            closes_at: None,
            next_status: None,
            scopes: ScopeIndex::default(),
            live: BTreeMap::new(),
            pending_by_intent: BTreeMap::new(),
            pending_by_proposer: BTreeMap::new(),
            disputes_by_intent: BTreeMap::new(),
            disputes_by_op: BTreeMap::new(),
            frozen: BTreeSet::new(),
            deadlines: deadlines::Deadlines::default(),
            config,
        };
        session::lifecycle::watch_age(&mut session);
        Ok(Self { session, seq: 0 })
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
        dispatch::timers(&mut self.session, &mut out, record.at);
        match &record.input {
            Input::Frame { from, text } => gate::frame(&mut self.session, &mut out, from, text),
            Input::Unreadable { from, problem } => {
                gate::unreadable(&mut self.session, &mut out, from, problem)
            }
            Input::Disconnect { conn } => session::connection::lost(&mut self.session, &mut out, *conn),
            Input::Command(Command::Vacancy(vacancy)) => self.session.vacancy = *vacancy,
            Input::Command(Command::Close { reason, disposition }) => {
                session::close::apply(&mut self.session, &mut out, reason, disposition);
            }
            Input::Timeout => {}
        }
        operation::authorise::settle(&mut self.session, &mut out);
        session::lifecycle::settle(&mut self.session);
        Ok(Step { outputs: out.0, next_deadline: self.next_deadline() })
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
        if self.session.closed { None } else { self.session.deadlines.next() }
    }

    /// The session as it stands, in the stored form (REC-08).
    pub fn snapshot(&self) -> Snapshot {
        recover::snapshot(&self.session)
    }

    /// Whether every index equals one made anew from the records: always, or there is a bug. For tests.
    pub fn indexes_are_sound(&self) -> bool {
        self.session == self.session.rebuilt_indexes()
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
