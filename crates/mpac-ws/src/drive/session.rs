//! One session under virtual time: the core, and what a host keeps beside it.

use std::collections::BTreeSet;

use mpac_core::{
    Command, ConnId, Coordinator, IdSource, Input, Notice, Output, Peer, Recipients, RestoreError,
    SessionConfig,
};
use mpac_wire::names::{CloseDisposition, CloseReason, CoordinatorEvent, MessageType, SecurityProfile};
use mpac_wire::payload::Hello;
use mpac_wire::sideband::Request;
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{PrincipalId, Received, SessionId, Timestamp};

use super::config::Config;
use super::connections::{Claimed, Connections};
use super::credentials::Verifier;
use super::failure::{Code, Failure};
use super::outputs::{HungUp, Out, Outputs, To, What};
use super::signatures::Ring;
use crate::sideband;
use crate::signing::Signing;
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
    /// With what it signs, and what takes its place when the core says so.
    signing: Option<Signing>,
    next_signing: Option<Signing>,
    ring: Ring,
    /// Who joined before the restore and has not spoken since.
    returning: BTreeSet<PrincipalId>,
    /// The latest moment that a command named.
    now: Timestamp,
}

impl Session {
    /// Opens one.
    pub(super) fn open(config: Config, seed: u64, now: Timestamp) -> Result<Self, Failure> {
        let core = Coordinator::new(config.core(), IdSource::new(seed), now)
            .map_err(|error| Failure::new(Code::InvalidConfig, format!("config: {error}")))?;
        Ok(Self::around(core, config, now))
    }

    /// Takes one up from its snapshot, under the next epoch.
    pub(super) fn restore(
        mut config: Config,
        mut snapshot: Snapshot,
        seed: u64,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        // The configuration's name wins, in the snapshot too: the core takes up no session of another name (REC-11).
        if config.names_session {
            snapshot.session_id = config.core.session_id.clone();
        } else {
            config.core.session_id = snapshot.session_id.clone();
        }
        let core =
            Coordinator::restore(config.core(), &snapshot, seed, now).map_err(|error| match error {
                RestoreError::Config(error) => Failure::new(Code::InvalidConfig, format!("config: {error}")),
                error => Failure::new(Code::InvalidSnapshot, format!("snapshot: {error}")),
            })?;
        if let Some(signing) = &config.signing
            && core.view().coordinator_key() != Some(signing.public())
        {
            let problem =
                "config.coordinator_key: the snapshot is of a coordinator that signs with another key";
            return Err(Failure::new(Code::InvalidConfig, problem.to_owned()));
        }
        let mut session = Self::around(core, config, now);
        let known = snapshot.participants.into_iter().flatten();
        session.returning = known.map(|record| record.principal_id).collect();
        Ok(session)
    }

    fn around(core: Coordinator, config: Config, now: Timestamp) -> Self {
        let Config { core: kept, files, verifier, signing, ring, .. } = config;
        Self {
            open: core.view().is_open(),
            core,
            id: kept.session_id,
            connections: Connections::default(),
            pushes: files.is_some(),
            files: files.unwrap_or_default(),
            limits: kept.limits,
            is_open_profile: kept.security_profile == SecurityProfile::Open,
            verifier,
            signing,
            next_signing: None,
            ring,
            returning: BTreeSet::new(),
            now,
        }
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
        let (from, is_hello) = self.peer(conn, frame);
        if !is_hello {
            self.rebind(&mut outputs, conn, claimed);
        }
        self.apply(&mut outputs, Some(conn), Input::Frame { from, text: frame.into() });
        Ok(outputs)
    }

    /// Time passes: one sweep, at `now`, over all that is due.
    pub(super) fn tick(&mut self, now: Timestamp) -> Result<Outputs, Failure> {
        self.input(now, Input::Timeout)
    }

    /// The coordinator tells how the session is.
    pub(super) fn status(&mut self, now: Timestamp, event: CoordinatorEvent) -> Result<Outputs, Failure> {
        self.input(now, Input::Command(Command::Status(event)))
    }

    /// The coordinator hands the session over, by default to the next process under its own id, and falls silent.
    pub(super) fn hand_over(
        &mut self,
        now: Timestamp,
        successor: Option<PrincipalId>,
        next_epoch: u64,
    ) -> Result<Outputs, Failure> {
        let successor = successor.unwrap_or_else(|| SessionConfig::new(self.id.clone()).coordinator_id());
        self.input(now, Input::Command(Command::HandOver { successor, next_epoch }))
    }

    /// The coordinator signs with another key from here on.
    pub(super) fn rotate_key(&mut self, now: Timestamp, key: Signing) -> Result<Outputs, Failure> {
        let command = Command::RotateKey(key.public().clone());
        self.next_signing = Some(key);
        self.input(now, Input::Command(command))
    }

    /// The session ends.
    pub(super) fn close(
        &mut self,
        now: Timestamp,
        reason: CloseReason,
        disposition: CloseDisposition,
    ) -> Result<Outputs, Failure> {
        self.input(now, Input::Command(Command::Close { reason, disposition }))
    }

    /// A connection ends; one that never was is no mistake.
    pub(super) fn disconnect(&mut self, now: Timestamp, name: &str) -> Result<Outputs, Failure> {
        self.not_before(now)?;
        let ended = self.connections.end(name);
        self.input(now, ended.map_or(Input::Timeout, |conn| Input::Disconnect { conn }))
    }

    fn input(&mut self, now: Timestamp, input: Input) -> Result<Outputs, Failure> {
        self.go_to(now)?;
        let mut outputs = Outputs::default();
        self.apply(&mut outputs, None, input);
        Ok(outputs)
    }

    /// The session in its stored form. Nothing in it changes, but no later command may be of an earlier moment than
    /// the one it bears.
    pub(super) fn snapshot(&mut self, now: Timestamp) -> Result<Snapshot, Failure> {
        self.go_to(now)?;
        Ok(self.core.snapshot_at(now))
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

    /// Hands one input to the core, which applies everything due at this time first.
    fn apply(&mut self, outputs: &mut Outputs, asking: Option<ConnId>, input: Input) {
        let step = self.core.handle(self.now, input);
        self.carry_out(outputs, asking, step.outputs);
    }

    /// What is proven of the other end, and whether the frame is a HELLO: only that shows a credential.
    fn peer(&self, conn: ConnId, frame: &str) -> (Peer, bool) {
        let mut peer = Peer::unproven(conn);
        // Where anybody may join, a credential is looked at only if the caller said which are good (SEC-15).
        let verifies = !self.is_open_profile || self.verifier.is_configured();
        if !verifies && self.returning.is_empty() {
            return (peer, false);
        }
        let Ok(received) = Received::parse_envelope(frame, &self.limits) else { return (peer, false) };
        if !self.is_open_profile {
            peer.signed = self.ring.verify(self.core.view(), frame, received.envelope());
        }
        let is_hello = received.envelope().message_type == MessageType::Hello;
        if verifies
            && is_hello
            && let Ok(Hello { credential: Some(credential), .. }) = received.envelope().payload.read()
        {
            let principal = &received.envelope().sender.principal_id;
            peer.identity = self.verifier.identify(&self.id, principal, &credential);
        }
        (peer, is_hello)
    }

    /// Somebody who joined before the restore goes on speaking: the connection is theirs without another HELLO.
    fn rebind(&mut self, outputs: &mut Outputs, conn: ConnId, claimed: Claimed) {
        let Claimed::Sender(sender) = claimed else { return };
        if self.returning.contains(&sender.principal_id) {
            let rebind = Command::Rebind {
                conn,
                principal: sender.principal_id,
                principal_type: sender.principal_type,
                instance: sender.sender_instance_id,
            };
            self.apply(outputs, Some(conn), Input::Command(rebind));
        }
    }

    fn carry_out(&mut self, outputs: &mut Outputs, asking: Option<ConnId>, steps: Vec<Output>) {
        for output in steps {
            let (to, what) = match output {
                Output::Relay { to, text, .. } => (to, What::Relay(text)),
                Output::Send { to, mut envelope } => {
                    if let Some(key) = &self.signing
                        && let Err(error) = key.sign(&mut envelope)
                    {
                        // Only a snapshot can have brought it in; whoever needs the signature drops the message.
                        tracing::warn!(message = %envelope.message_id, %error, "not signed");
                    }
                    (to, What::Coordinator(envelope))
                }
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
                    Some(news) => news,
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

    /// Takes note; gives what is to be heard of it, and by whom.
    fn notice(&mut self, notice: Notice) -> Option<(Recipients, What)> {
        match notice {
            Notice::Bound { conn, principal } => {
                self.returning.remove(&principal);
                self.connections.bind(conn, principal);
            }
            Notice::Unbound { conn } => self.connections.unbind(conn),
            Notice::FileUpdated { to, path, content, state_ref, updated_by } => {
                let file = File::known_as(content.into(), state_ref);
                let news = sideband::file_updated(&path, &file, &updated_by);
                self.files.put(&path, file);
                return self.pushes.then_some((to, What::Sideband(news)));
            }
            Notice::Opened => self.open = true,
            Notice::CoordinatorKey { .. } => self.signing = self.next_signing.take(),
            Notice::Closed { .. } | Notice::CoordinatorConflict { .. } | Notice::Remark(_) => {}
        }
        None
    }
}
