//! One session under virtual time: the core, and what a host keeps beside it.

use mpac_core::{Command, ConnId, Coordinator, IdSource, Input, Notice, Output, Peer, Recipients};
use mpac_wire::names::{CloseDisposition, CloseReason, MessageType, SecurityProfile};
use mpac_wire::payload::Hello;
use mpac_wire::sideband::Request;
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{Received, SessionId, Timestamp};

use super::config::Config;
use super::connections::{Claimed, Connections};
use super::credentials::Verifier;
use super::failure::{Code, Failure};
use super::outputs::{HungUp, Out, Outputs, To, What};
use crate::sideband;
use crate::workspace::{File, Workspace};

/// A coordinator and its surroundings.
#[derive(Debug)]
pub(super) struct Session {
    core: Coordinator,
    id: SessionId,
    connections: Connections,
    files: Workspace,
    /// Whether the caller shares files, and so hears of new contents.
    pushes: bool,
    /// Before it is opened, a session has no files for anybody (D-031).
    open: bool,
    limits: mpac_wire::Limits,
    is_open_profile: bool,
    verifier: Verifier,
    /// The latest moment that a command named.
    now: Timestamp,
}

impl Session {
    /// Opens one.
    pub(super) fn open(config: Config, seed: u64, now: Timestamp) -> Result<Self, Failure> {
        let Config { mut core, files, verifier } = config;
        if let Some(files) = &files {
            core.workspace =
                files.files().map(|(path, file)| (path.to_owned(), file.state_ref.clone())).collect();
        }
        let (id, limits, open) = (core.session_id.clone(), core.limits.clone(), !core.opens_with_hello);
        let is_open_profile = core.security_profile == SecurityProfile::Open;
        let coordinator = Coordinator::new(core, IdSource::new(seed), now)
            .map_err(|error| Failure::new(Code::InvalidConfig, format!("config: {error}")))?;
        Ok(Self {
            core: coordinator,
            id,
            connections: Connections::default(),
            pushes: files.is_some(),
            files: files.unwrap_or_default(),
            open,
            limits,
            is_open_profile,
            verifier,
            now,
        })
    }

    /// A frame comes.
    pub(super) fn message(
        &mut self,
        now: Timestamp,
        conn: Option<&str>,
        frame: &str,
    ) -> Result<Outputs, Failure> {
        self.go_to(now)?;
        let mut outputs = Outputs::default();
        let claimed = Claimed::of(frame);
        let conn = self.connections.number(conn.unwrap_or_else(|| claimed.connection()));
        self.fire(&mut outputs, Some(conn));
        let from = self.peer(conn, frame);
        self.apply(&mut outputs, Some(conn), Input::Frame { from, text: frame.into() });
        Ok(outputs)
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: Timestamp) -> Result<Outputs, Failure> {
        self.go_to(now)?;
        let mut outputs = Outputs::default();
        self.fire(&mut outputs, None);
        self.apply(&mut outputs, None, Input::Timeout);
        Ok(outputs)
    }

    /// The session ends.
    pub(super) fn close(
        &mut self,
        now: Timestamp,
        reason: CloseReason,
        disposition: CloseDisposition,
    ) -> Result<Outputs, Failure> {
        self.go_to(now)?;
        let mut outputs = Outputs::default();
        self.fire(&mut outputs, None);
        self.apply(&mut outputs, None, Input::Command(Command::Close { reason, disposition }));
        Ok(outputs)
    }

    /// A connection ends.
    pub(super) fn disconnect(&mut self, now: Timestamp, name: &str) -> Result<Outputs, Failure> {
        self.go_to(now)?;
        let mut outputs = Outputs::default();
        self.fire(&mut outputs, None);
        if let Some(conn) = self.connections.end(name) {
            self.apply(&mut outputs, None, Input::Disconnect { conn });
        }
        Ok(outputs)
    }

    /// The session in its stored form.
    pub(super) fn snapshot(&self, now: Timestamp) -> Result<Snapshot, Failure> {
        self.not_before(now)?;
        let mut snapshot = self.core.snapshot();
        snapshot.captured_at = now;
        Ok(snapshot)
    }

    /// When the next timer is due.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.core.next_deadline()
    }

    fn not_before(&self, now: Timestamp) -> Result<(), Failure> {
        if now < self.now {
            let message = format!("now: {now} is before {}; time does not go back", self.now);
            return Err(Failure::new(Code::TimeWentBack, message));
        }
        Ok(())
    }

    fn go_to(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.not_before(now)?;
        self.now = now;
        Ok(())
    }

    /// Fires each timer that is due at its own moment, as a host does that is always awake.
    fn fire(&mut self, outputs: &mut Outputs, asking: Option<ConnId>) {
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= self.now) {
            let step = self.core.handle_timeout(at);
            self.carry_out(outputs, asking, step.outputs);
        }
    }

    fn apply(&mut self, outputs: &mut Outputs, asking: Option<ConnId>, input: Input) {
        let step = self.core.handle(self.now, input);
        self.carry_out(outputs, asking, step.outputs);
    }

    /// What is proven of the other end: only a HELLO shows a credential.
    fn peer(&self, conn: ConnId, frame: &str) -> Peer {
        let mut peer = Peer::unproven(conn);
        // Where anybody may join, a credential is looked at only if the caller said which are good (SEC-15).
        if (!self.is_open_profile || self.verifier.is_configured())
            && let Ok(received) = Received::parse(frame, &self.limits)
            && received.envelope().message_type == MessageType::Hello
            && let Ok(Hello { credential: Some(credential), .. }) = received.envelope().payload.read()
        {
            let principal = &received.envelope().sender.principal_id;
            peer.identity = self.verifier.identify(&self.id, principal, &credential);
        }
        peer
    }

    fn carry_out(&mut self, outputs: &mut Outputs, asking: Option<ConnId>, steps: Vec<Output>) {
        for output in steps {
            let (to, what) = match output {
                Output::Relay { to, text, .. } => (to, What::Relay(text)),
                Output::Send { to, envelope } => (to, What::Coordinator(Box::new(envelope))),
                Output::Workspace { conn, request } => (Recipients::Conn(conn), self.answer(&request)),
                Output::Answer { conn, text } => {
                    let answer = sideband::complete(&text, &self.files, self.limits.max_bytes);
                    (Recipients::Conn(conn), What::Sideband(answer))
                }
                Output::HangUp { conn, reason } => {
                    outputs.closed.push(HungUp::new(self.connections.name(conn), reason));
                    continue;
                }
                Output::Notice(notice) => match self.notice(notice) {
                    Some(news) => (Recipients::All, news),
                    None => continue,
                },
            };
            let to = To::of(to, asking, &self.connections);
            outputs.out.push(Out { to, what });
        }
    }

    fn answer(&self, request: &Request) -> What {
        let nothing = Workspace::default();
        let files = if self.open { &self.files } else { &nothing };
        What::Sideband(sideband::answer(request, files, self.limits.max_bytes))
    }

    /// Takes note; gives what all are to hear of it.
    fn notice(&mut self, notice: Notice) -> Option<What> {
        match notice {
            Notice::Bound { conn, principal } => self.connections.bind(conn, principal),
            Notice::Unbound { conn } => self.connections.unbind(conn),
            Notice::FileUpdated { path, content, state_ref, updated_by } => {
                let file = File { content: content.into(), state_ref };
                let news = sideband::file_updated(&path, &file, &updated_by);
                self.files.put(&path, file);
                return self.pushes.then_some(What::Sideband(news));
            }
            Notice::Opened => self.open = true,
            Notice::Closed { .. } => {}
        }
        None
    }
}
