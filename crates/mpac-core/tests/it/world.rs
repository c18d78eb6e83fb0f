//! A coordinator and named participants in virtual time: the rig the scenarios are written with.

use std::collections::BTreeMap;

use mpac_core::participant::{Introduction, News, Stamp};
use mpac_core::{
    Command, ConnId, Coordinator, IdSource, Identity, Input, Notice, Output, Participant, Peer, Recipients,
    Record, Remark, SessionConfig, ShownKey, Signed, Step,
};
use mpac_wire::names::{CloseDisposition, CloseReason, OpKind, PrincipalType, Role, SignatureAlgorithm};
use mpac_wire::payload::{FileChange, OpCommit};
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{
    ClaimedTime, ConflictId, Credential, Envelope, Fingerprint, InstanceId, IntentId, Message, MessageId,
    MessageType, OpId, PrincipalId, PublicKey, Received, Scope, Sender, SessionId, Signature, StateRef,
    Timestamp,
};

/// When every world begins.
pub(crate) const START: &str = "2026-01-02T03:04:05Z";

/// One delivered message, as its receiver sees it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// `service:coordinator-s`, or whose relay it is.
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) text: String,
    pub(crate) message: Message,
}

impl Delivery {
    /// `TYPE` and what matters of it: an error's code, a resolution's decision, an id.
    pub(crate) fn line(&self) -> String {
        let kind = self.message.message_type();
        let detail = match &self.message {
            Message::ProtocolError(error) => error.error_code.to_string(),
            Message::Resolution(resolution) => resolution.decision.to_string(),
            Message::OpReject(reject) => format!("{} {}", reject.op_id, reject.reason),
            Message::IntentUpdate(update) => {
                format!("{} {}", update.intent_id, update.objective.clone().unwrap_or_default())
            }
            Message::IntentWithdraw(withdraw) => withdraw.intent_id.to_string(),
            Message::CoordinatorStatus(status) => status.event.to_string(),
            Message::SessionClose(close) => close.reason.to_string(),
            _ => String::new(),
        };
        format!("{kind} {detail}").trim_end().to_owned()
    }
}

pub(crate) struct World {
    pub(crate) config: SessionConfig,
    /// Whether indexes and the stored form are compared after every step.
    pub(crate) checked: bool,
    pub(crate) coordinator: Coordinator,
    pub(crate) now: Timestamp,
    pub(crate) people: BTreeMap<String, (ConnId, Participant)>,
    connections: BTreeMap<ConnId, String>,
    /// What the host proved of each connection; nothing where there is no entry.
    pub(crate) identities: BTreeMap<ConnId, Identity>,
    /// With which key each signs; who has none signs nothing. A HELLO shows it.
    pub(crate) keys: BTreeMap<String, PublicKey>,
    /// With which key the host signs what the coordinator says.
    pub(crate) own_key: Option<PublicKey>,
    /// Who speaks on which connection, by the core's notices.
    bound: BTreeMap<ConnId, String>,
    next_id: u64,
    /// As it was before the log began: new, or taken up from a snapshot.
    pub(crate) base: Coordinator,
    /// Everything that was applied since, for replays.
    pub(crate) log: Vec<Record>,
    /// What each record led to.
    pub(crate) steps: Vec<Step>,
    /// Files as a host would store them.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) hung_up: Vec<(ConnId, u16)>,
    /// What the participants made of what they heard.
    news: BTreeMap<String, Vec<News>>,
}

pub(crate) fn session_id() -> SessionId {
    SessionId::new("s").unwrap()
}

/// A core session with one shared file, `a.py`, and no status heartbeats in between.
pub(crate) fn config() -> SessionConfig {
    let mut config = SessionConfig::new(session_id());
    config.status_heartbeats = false;
    config.workspace = Some(BTreeMap::from([("a.py".to_owned(), StateRef::of("one\n"))]));
    config
}

pub(crate) fn intent(id: &str) -> IntentId {
    IntentId::new(id).unwrap()
}

pub(crate) fn op(id: &str) -> OpId {
    OpId::new(id).unwrap()
}

pub(crate) fn commit_payload(
    id: &str,
    under: Option<&str>,
    target: &str,
    before: &str,
    after: &str,
) -> OpCommit {
    let mut commit =
        OpCommit::new(op(id), target.to_owned(), OpKind::Replace, StateRef::of(before), StateRef::of(after));
    commit.intent_id = under.map(intent);
    commit.file_changes =
        Some([(target, FileChange::new(after.into(), StateRef::of(before)))].into_iter().collect());
    commit
}

/// A coordinator that was written down and read again.
pub(crate) fn reloaded(coordinator: &Coordinator, config: &SessionConfig) -> Coordinator {
    let text = serde_json::to_string(&coordinator.snapshot()).unwrap();
    Coordinator::load(config.clone(), &serde_json::from_str(&text).unwrap()).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: SessionConfig) -> Self {
        let now = Timestamp::parse(START).unwrap();
        let coordinator = Coordinator::new(config.clone(), IdSource::new(7), now).unwrap();
        Self {
            base: coordinator.clone(),
            config,
            checked: true,
            now,
            people: BTreeMap::new(),
            connections: BTreeMap::new(),
            identities: BTreeMap::new(),
            keys: BTreeMap::new(),
            own_key: coordinator.view().coordinator_key().cloned(),
            bound: BTreeMap::new(),
            next_id: 0,
            coordinator,
            log: Vec::new(),
            steps: Vec::new(),
            files: BTreeMap::new(),
            hung_up: Vec::new(),
            news: BTreeMap::new(),
        }
    }

    /// The world with these contributors in it.
    pub(crate) fn of(names: &[&str]) -> Self {
        let mut world = Self::new();
        for name in names {
            world.join(name, &[Role::Contributor]);
        }
        world
    }

    /// The next message id and the world's time.
    pub(crate) fn stamp(&mut self) -> Stamp {
        self.next_id += 1;
        let id = MessageId::new(format!("m{}", self.next_id)).unwrap();
        Stamp::new(id, ClaimedTime::from(self.now))
    }

    pub(crate) fn participant(name: &str, incarnation: u32, roles: &[Role]) -> Participant {
        Self::participant_as(name, PrincipalType::Agent, incarnation, roles, None)
    }

    pub(crate) fn participant_with(
        name: &str,
        incarnation: u32,
        roles: &[Role],
        credential: Option<Credential>,
    ) -> Participant {
        Self::participant_as(name, PrincipalType::Agent, incarnation, roles, credential)
    }

    fn participant_as(
        name: &str,
        kind: PrincipalType,
        incarnation: u32,
        roles: &[Role],
        credential: Option<Credential>,
    ) -> Participant {
        let sender = Sender::new(
            PrincipalId::new(name).unwrap(),
            kind,
            InstanceId::new(format!("{name}:{incarnation}")).unwrap(),
        );
        let mut introduction = Introduction::new(name);
        introduction.roles = roles.to_vec();
        introduction.credential = credential;
        Participant::new(session_id(), sender, introduction)
    }

    /// A connection that nobody speaks on yet.
    pub(crate) fn connect(&mut self, name: &str) -> ConnId {
        let conn = ConnId(self.connections.len() as u64 + 1);
        self.connections.insert(conn, name.to_owned());
        conn
    }

    pub(crate) fn join(&mut self, name: &str, roles: &[Role]) -> Vec<Delivery> {
        self.join_as(name, PrincipalType::Agent, roles)
    }

    pub(crate) fn join_as(&mut self, name: &str, kind: PrincipalType, roles: &[Role]) -> Vec<Delivery> {
        let conn = self.connect(name);
        self.people.insert(name.to_owned(), (conn, Self::participant_as(name, kind, 1, roles, None)));
        self.hello(name)
    }

    pub(crate) fn hello(&mut self, name: &str) -> Vec<Delivery> {
        let stamp = self.stamp();
        let envelope = self.people.get_mut(name).unwrap().1.hello(stamp, None);
        self.send(name, &envelope)
    }

    /// `name` says this.
    pub(crate) fn say(&mut self, name: &str, message: impl Into<Message>) -> Vec<Delivery> {
        let stamp = self.stamp();
        let envelope = self.people.get_mut(name).unwrap().1.write(stamp, message);
        self.send(name, &envelope)
    }

    pub(crate) fn announce(&mut self, name: &str, id: &str, files: &[&str]) -> Vec<Delivery> {
        let stamp = self.stamp();
        let scope = Scope::files(files.iter().copied());
        let who = &mut self.people.get_mut(name).unwrap().1;
        let envelope = who.announce(stamp, intent(id), format!("{name} does {id}"), scope, None);
        self.send(name, &envelope)
    }

    pub(crate) fn withdraw(&mut self, name: &str, id: &str) -> Vec<Delivery> {
        self.say(name, mpac_wire::payload::IntentWithdraw::new(intent(id)))
    }

    pub(crate) fn send(&mut self, name: &str, envelope: &Envelope) -> Vec<Delivery> {
        let Some(key) = self.keys.get(name).cloned() else {
            return self.frame(self.people[name].0, &envelope.to_json());
        };
        let shown = (envelope.message_type == MessageType::Hello)
            .then(|| ShownKey::ed25519(envelope.sender.principal_id.clone(), key.clone()));
        self.send_signed(name, envelope, Signed::Good { key: key.fingerprint(), shown })
    }

    /// The same with a signature of which the host found this out.
    pub(crate) fn send_signed(&mut self, name: &str, envelope: &Envelope, signed: Signed) -> Vec<Delivery> {
        let key = match &signed {
            Signed::Good { key, .. } => *key,
            _ => Fingerprint::of(b"?"),
        };
        let mut envelope = envelope.clone();
        envelope.signature = (signed != Signed::Missing).then(|| signature(key));
        let conn = self.people[name].0;
        let identity = self.identities.get(&conn).cloned().unwrap_or(Identity::Unproven);
        let from = Peer::new(conn, identity).signed(signed);
        self.input(Input::Frame { from, text: envelope.to_json().into() })
    }

    pub(crate) fn frame(&mut self, conn: ConnId, text: &str) -> Vec<Delivery> {
        let identity = self.identities.get(&conn).cloned().unwrap_or(Identity::Unproven);
        self.input(Input::Frame { from: Peer::new(conn, identity), text: text.into() })
    }

    pub(crate) fn input(&mut self, input: Input) -> Vec<Delivery> {
        let record = self.coordinator.stamp(self.now, input);
        let step = self.coordinator.apply(&record).unwrap();
        self.log.push(record);
        self.steps.push(step.clone());
        if self.checked {
            assert!(self.coordinator.indexes_are_sound());
            assert_eq!(reloaded(&self.coordinator, &self.config), self.coordinator); // REC-29, D-037
        }
        self.carry_out(step)
    }

    /// The coordinator's process dies and another one takes the session up from the snapshot, `seconds` later. Nobody
    /// is connected any more.
    pub(crate) fn restart(&mut self, seconds: f64) {
        let snapshot = self.coordinator.snapshot_at(self.now);
        self.now = Timestamp::from_micros(self.now.micros() + (seconds * 1e6) as i64);
        self.restore(&snapshot);
    }

    /// Another coordinator takes this snapshot up, now.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot) {
        self.coordinator = Coordinator::restore(self.config.clone(), snapshot, 7, self.now).unwrap();
        self.base = self.coordinator.clone();
        self.log.clear();
        self.steps.clear();
        self.bound.clear();
        let names: Vec<String> = self.people.keys().cloned().collect();
        names.iter().for_each(|name| self.reconnect(name));
    }

    /// `name` speaks on a new connection from now on; the old one is simply not used any more.
    pub(crate) fn reconnect(&mut self, name: &str) {
        let conn = self.connect(name);
        if let Some(identity) = self.identities.get(&self.people[name].0).cloned() {
            self.identities.insert(conn, identity);
        }
        self.people.get_mut(name).unwrap().0 = conn;
    }

    pub(crate) fn close(&mut self) -> Vec<Delivery> {
        self.input(Input::Command(Command::Close {
            reason: CloseReason::CoordinatorShutdown,
            disposition: CloseDisposition::WithdrawAll,
        }))
    }

    /// Lets time pass, firing whatever falls due on the way.
    pub(crate) fn wait(&mut self, seconds: f64) -> Vec<Delivery> {
        let end = Timestamp::from_micros(self.now.micros() + (seconds * 1e6) as i64);
        let mut deliveries = Vec::new();
        while let Some(at) = self.coordinator.next_deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            deliveries.extend(self.input(Input::Timeout));
            let next = self.coordinator.next_deadline();
            assert!(next.is_none_or(|next| next > at), "a deadline that does not go away");
        }
        self.now = end;
        deliveries.extend(self.input(Input::Timeout));
        deliveries
    }

    fn carry_out(&mut self, step: Step) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for output in step.outputs {
            match output {
                Output::Relay { to, text, .. } => self.deliver(&to, &text, &mut deliveries),
                Output::Send { to, mut envelope } => {
                    envelope.signature = self.own_key.as_ref().map(|key| signature(key.fingerprint()));
                    self.deliver(&to, &envelope.to_json(), &mut deliveries);
                }
                Output::Notice(Notice::CoordinatorKey { .. }) => {
                    self.own_key = self.coordinator.view().coordinator_key().cloned();
                }
                Output::HangUp { conn, reason } => self.hung_up.push((conn, reason.code())),
                Output::Notice(Notice::FileUpdated { path, content, state_ref, .. }) => {
                    assert_eq!(StateRef::of(&content), state_ref);
                    self.files.insert(path, content.into());
                }
                Output::Notice(Notice::Bound { conn, principal }) => {
                    assert!(self.bound.insert(conn, principal.to_string()).is_none(), "bound twice");
                }
                Output::Notice(Notice::Unbound { conn }) => {
                    assert!(self.bound.remove(&conn).is_some(), "unbound without having been bound");
                }
                Output::Notice(_) | Output::Workspace { .. } | Output::Answer { .. } => {}
            }
        }
        deliveries
    }

    fn deliver(&mut self, to: &Recipients, text: &str, deliveries: &mut Vec<Delivery>) {
        let names: Vec<String> = match to {
            // As a host does it: the connections that are bound, by their notices.
            Recipients::All => self.bound.values().cloned().collect(),
            Recipients::Conn(conn) => vec![self.connections[conn].clone()],
            Recipients::Only(list) => {
                assert!(!list.is_empty() && list.is_sorted(), "{list:?}");
                let view = self.coordinator.view();
                assert!(self.forgetful() || list.iter().all(|who| view.is_member(who)), "{list:?}");
                let named = list.iter().map(ToString::to_string);
                named.filter(|name| self.bound.values().any(|bound| bound == name)).collect()
            }
        };
        let received =
            Received::parse(text, &mpac_wire::Limits::default()).expect("what goes out can be read");
        let message = received.envelope().message().expect("what goes out has the fields of its type");
        for name in names {
            if let Some((_, participant)) = self.people.get_mut(&name) {
                let envelope = received.envelope();
                // As a program around it does; that the signature fits the text is taken for granted here.
                let key = participant.key_for(envelope, &message);
                let signed = key.map_or(Signed::Missing, |key| Signed::by(key.fingerprint()));
                participant.watch_coordinator();
                let news = participant.hear_signed(self.now, envelope, &message, &signed).news;
                // Ours never gives a reason (SEC-28).
                let contradicts = |it: &News| matches!(it, News::Contradiction(_));
                assert!(!news.iter().any(contradicts), "{name}: {news:?}");
                self.news.entry(name.clone()).or_default().extend(news);
            }
            deliveries.push(Delivery {
                from: received.envelope().sender.principal_id.to_string(),
                to: name,
                text: text.to_owned(),
                message: message.clone(),
            });
        }
    }

    /// What an operator was told by the last input.
    pub(crate) fn remarks(&self) -> Vec<Remark> {
        let outputs = self.steps.last().into_iter().flat_map(|step| &step.outputs);
        let remark = |output: &Output| match output {
            Output::Notice(Notice::Remark(remark)) => Some(remark.clone()),
            _ => None,
        };
        outputs.filter_map(remark).collect()
    }

    /// What `name` has made of what it heard since it was asked last.
    pub(crate) fn news(&mut self, name: &str) -> Vec<News> {
        self.news.remove(name).unwrap_or_default()
    }

    /// `name` says this, if it may.
    pub(crate) fn try_say(
        &mut self,
        name: &str,
        message: impl Into<Message>,
    ) -> Result<Vec<Delivery>, mpac_core::participant::Withheld> {
        let stamp = self.stamp();
        let envelope = self.people.get_mut(name).unwrap().1.try_write(stamp, message)?;
        Ok(self.send(name, &envelope))
    }

    /// The participant called `name`.
    pub(crate) fn who(&mut self, name: &str) -> &mut Participant {
        &mut self.people.get_mut(name).unwrap().1
    }

    /// Whether people who left are forgotten.
    fn forgetful(&self) -> bool {
        self.config.retained_records < 100
    }

    /// The newest conflict.
    pub(crate) fn conflict(&self) -> ConflictId {
        self.coordinator.view().conflicts().last().cloned().expect("a conflict")
    }
}

/// A signature by this key, which nobody looks at.
pub(crate) fn signature(key: Fingerprint) -> String {
    Signature::new(SignatureAlgorithm::Ed25519, key, b"not looked at").to_string()
}

/// What `who` received, a line each.
pub(crate) fn heard(deliveries: &[Delivery], who: &str) -> Vec<String> {
    deliveries.iter().filter(|delivery| delivery.to == who).map(Delivery::line).collect()
}

/// The one error that `who` received.
pub(crate) fn error(deliveries: &[Delivery], who: &str) -> mpac_wire::payload::ProtocolError {
    let [Delivery { to, message: Message::ProtocolError(error), .. }] = deliveries else {
        panic!("not one error: {:?}", deliveries.iter().map(Delivery::line).collect::<Vec<_>>());
    };
    assert_eq!(to, who);
    error.clone()
}
