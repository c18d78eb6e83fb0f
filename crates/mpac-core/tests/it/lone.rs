//! One participant and a coordinator that says whatever a test wants it to say.

use mpac_core::Participant;
use mpac_core::participant::{Heard, Introduction, News, Stamp, Withheld};
use mpac_wire::names::{
    ComplianceProfile, CoordinatorEvent, ExecutionModel, PrincipalType, SecurityProfile, SessionHealth,
    WatermarkKind,
};
use mpac_wire::payload::{CoordinatorStatus, IntentAnnounce, OpCommit, ProtocolError, SessionInfo};
use mpac_wire::{
    Envelope, Integer, Message, MessageId, Scope, Sender, SessionId, StateRef, Timestamp, Watermark,
};

use crate::world::{START, intent, op};

/// The coordinator that lets it in.
pub(crate) const COORDINATOR: &str = "service:coordinator-s";

pub(crate) struct Lone {
    pub(crate) who: Participant,
    pub(crate) now: Timestamp,
    /// Who the coordinator's messages are from: principal, instance, epoch, and the Lamport value of the last.
    pub(crate) from: (String, String, u64, u64),
    count: u64,
}

pub(crate) fn session_info() -> SessionInfo {
    SessionInfo::new(
        SessionId::new("s").unwrap(),
        "0.1.13".to_owned(),
        SecurityProfile::Open,
        ComplianceProfile::Core,
        WatermarkKind::LamportClock,
        "sha256".to_owned(),
        Vec::new(),
    )
}

pub(crate) fn governed() -> SessionInfo {
    let mut info = session_info();
    info.compliance_profile = ComplianceProfile::Governance;
    info
}

pub(crate) fn pre_commit() -> SessionInfo {
    let mut info = governed();
    info.execution_model = Some(ExecutionModel::PreCommit);
    info
}

pub(crate) fn status(event: CoordinatorEvent, of: &str) -> CoordinatorStatus {
    CoordinatorStatus::new(event, of.parse().unwrap(), SessionHealth::Healthy)
}

pub(crate) fn announce(id: &str, files: &[&str]) -> IntentAnnounce {
    IntentAnnounce::new(intent(id), "o".to_owned(), Scope::files(files.iter().copied()))
}

pub(crate) fn commit(id: &str, under: Option<&str>, target: &str, before: &str, after: &str) -> OpCommit {
    let refs = (StateRef::of(before), StateRef::of(after));
    let mut commit = OpCommit::new(op(id), target.to_owned(), "replace".into(), refs.0, refs.1);
    commit.intent_id = under.map(intent);
    commit
}

pub(crate) fn refusal(code: &str, refers_to: &MessageId, description: &str) -> ProtocolError {
    let mut error = ProtocolError::new(code.into(), description.to_owned());
    error.refers_to = Some(refers_to.to_string());
    error
}

pub(crate) fn sender(principal: &str, instance: &str) -> Sender {
    Sender::new(principal.parse().unwrap(), PrincipalType::Agent, instance.parse().unwrap())
}

impl Lone {
    /// Bob, who has said nothing.
    pub(crate) fn new() -> Self {
        let mut who = Participant::new(
            SessionId::new("s").unwrap(),
            sender("bob", "bob:1"),
            Introduction::capable("Bob"),
        );
        let now = Timestamp::parse(START).unwrap();
        assert_eq!(who.wake(now), []);
        let from = (COORDINATOR.to_owned(), format!("{COORDINATOR}:epoch-1"), 1, 0);
        Self { who, now, from, count: 0 }
    }

    /// Bob, let in.
    pub(crate) fn joined() -> Self {
        Self::joined_to(session_info())
    }

    pub(crate) fn joined_to(info: SessionInfo) -> Self {
        let mut lone = Self::new();
        lone.hello();
        assert!(matches!(lone.coordinator(info).news.as_slice(), [News::Admitted { .. }]));
        lone
    }

    /// Bob, let in by one that says what it answers, as our coordinators do and Python servers do not.
    pub(crate) fn joined_to_ours() -> Self {
        let mut lone = Self::new();
        let hello = lone.hello();
        lone.from.3 += 10;
        let (principal, instance, epoch, lamport) = lone.from.clone();
        let info = Message::from(session_info());
        let mut envelope = lone.envelope((&principal, &instance), Some(epoch), lamport, &info);
        envelope.in_reply_to = Some(hello);
        lone.who.hear_at(lone.now, &envelope, &info);
        lone
    }

    /// Bob, let in, with an accepted intent `i` on `a`.
    pub(crate) fn working() -> Self {
        let mut lone = Self::joined();
        lone.accepted(announce("i", &["a"]));
        lone
    }

    pub(crate) fn stamp(&mut self) -> Stamp {
        self.count += 1;
        Stamp::new(format!("m{}", self.count).parse().unwrap(), self.now)
    }

    pub(crate) fn hello(&mut self) -> MessageId {
        let stamp = self.stamp();
        self.who.hello(stamp, None).message_id
    }

    /// Bob says this, if he may.
    pub(crate) fn say(&mut self, message: impl Into<Message>) -> Result<Envelope, Withheld> {
        let stamp = self.stamp();
        self.who.try_write(stamp, message)
    }

    /// Why Bob may not say this.
    pub(crate) fn withheld(&mut self, message: impl Into<Message>) -> Withheld {
        let before = self.who.clone();
        let stamp = self.stamp();
        let why = self.who.try_write(stamp, message).expect_err("it is withheld");
        assert_eq!(self.who, before, "a message withheld leaves nothing behind");
        why
    }

    /// Bob says this and it is accepted.
    pub(crate) fn accepted(&mut self, message: impl Into<Message>) -> MessageId {
        let envelope = self.say(message).expect("it may be said");
        let heard = self.echo(&envelope);
        assert!(heard.contains(&News::Accepted(envelope.message_id.clone())), "{heard:?}");
        envelope.message_id
    }

    /// Bob's message comes back.
    pub(crate) fn echo(&mut self, envelope: &Envelope) -> Vec<News> {
        self.who.hear_at(self.now, envelope, &envelope.message().unwrap()).news
    }

    /// Bob's message is refused.
    pub(crate) fn refuse(&mut self, envelope: &Envelope, code: &str, description: &str) -> Vec<News> {
        self.coordinator(refusal(code, &envelope.message_id, description)).news
    }

    /// The coordinator says this.
    pub(crate) fn coordinator(&mut self, message: impl Into<Message>) -> Heard {
        self.from.3 += 10;
        let (principal, instance, epoch, lamport) = self.from.clone();
        self.somebody((&principal, &instance), Some(epoch), lamport, message)
    }

    /// A relay of what `name` says.
    pub(crate) fn peer(&mut self, name: &str, message: impl Into<Message>) -> Vec<News> {
        self.somebody((name, &format!("{name}:1")), None, 1, message).news
    }

    pub(crate) fn somebody(
        &mut self,
        (principal, instance): (&str, &str),
        epoch: Option<u64>,
        lamport: u64,
        message: impl Into<Message>,
    ) -> Heard {
        let message = message.into();
        let envelope = self.envelope((principal, instance), epoch, lamport, &message);
        self.who.hear_at(self.now, &envelope, &message)
    }

    fn envelope(
        &mut self,
        (principal, instance): (&str, &str),
        epoch: Option<u64>,
        lamport: u64,
        message: &Message,
    ) -> Envelope {
        self.count += 1;
        let mut envelope = Envelope::new(
            "MPAC".into(),
            "0.1.13".into(),
            message.message_type(),
            format!("x{}", self.count).parse().unwrap(),
            SessionId::new("s").unwrap(),
            sender(principal, instance),
            self.now.into(),
            message.to_payload(),
        );
        envelope.coordinator_epoch = epoch.map(Integer::new);
        envelope.watermark = Some(Watermark::lamport(lamport));
        envelope
    }

    /// Time passes without anybody waking Bob on the way.
    pub(crate) fn pass(&mut self, seconds: f64) -> Vec<News> {
        self.now = Timestamp::from_micros(self.now.micros() + (seconds * 1e6) as i64);
        self.who.wake(self.now)
    }

    /// As often as a coordinator says that it is there.
    pub(crate) fn status(&mut self) -> Vec<News> {
        let of = self.from.0.clone();
        self.coordinator(status(CoordinatorEvent::Heartbeat, &of)).news
    }

    /// Seconds until Bob wants to be woken.
    pub(crate) fn due_in(&self) -> Option<f64> {
        Some((self.who.next_deadline()?.micros() - self.now.micros()) as f64 / 1e6)
    }
}
