//! The client's half of the protocol: builds messages, keeps the Lamport clock, remembers what it announced.
//!
//! Like the coordinator it does no IO. Ids and times come with every call:
//!
//! ```
//! use mpac_core::participant::{Introduction, Participant, Stamp};
//! use mpac_wire::names::PrincipalType;
//! use mpac_wire::{InstanceId, MessageId, PrincipalId, Scope, Sender, SessionId, Timestamp};
//!
//! let stamp = |id: &str| Stamp::new(MessageId::new(id).unwrap(), Timestamp::from_micros(0));
//! let sender = Sender::new(PrincipalId::new("agent:bob")?, PrincipalType::Agent, InstanceId::new("agent:bob:1")?);
//! let mut bob = Participant::new(SessionId::new("default")?, sender, Introduction::new("Bob"));
//! let hello = bob.hello(stamp("m-1"), None);
//! assert!(hello.to_json().contains(r#""watermark":{"kind":"lamport_clock","value":1}"#));
//! # Ok::<(), mpac_wire::InvalidId>(())
//! ```

mod answers;
mod backend;
mod bounded;
mod build;
mod capabilities;
mod claims;
mod compensation;
mod conflicts;
mod contradictions;
mod deferrals;
mod epochs;
mod errors;
mod fate;
mod frozen;
mod gap;
mod hear;
mod heartbeat;
mod ids;
mod news;
mod operations;
mod others;
mod own;
mod permission;
mod reconnect;
mod silence;
mod states;
mod summary;
mod time;
mod trust;

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{Role, ScopeKind};
use mpac_wire::payload::SessionInfo;
use mpac_wire::payload::session::Implementation;
use mpac_wire::{
    ClaimedTime, Credential, Envelope, IntentId, Message, MessageId, PrincipalId, Sender, SessionId,
    Timestamp,
};

use crate::backoff::Backoff;
use crate::config::{ProtocolLevel, minor_version};
use crate::lamport::LamportClock;
use crate::scope::Names;
use answers::Answers;
use bounded::Recent;

pub use answers::{ANSWER_LIMIT, Fate};
pub use build::NewIntent;
pub use capabilities::CAPABILITIES;
pub use compensation::{Compensation, Reversal};
pub use conflicts::KnownConflict;
pub use contradictions::{Contradiction, ContradictionKind};
pub use deferrals::{OtherDeferral, holders};
pub use epochs::Rival;
pub use errors::is_warning;
pub use fate::{
    Found, Presence, Then, after_duplicate, divergent, is_duplicate, look_at, look_at_change, stands,
};
pub use hear::{Heard, Hearing};
pub use news::{Holder, News, Over};
pub use operations::{OwnOperation, Stage};
pub use others::{OtherIntent, Standing};
pub use own::OwnIntent;
pub use permission::Withheld;
pub use reconnect::retry_delay;
pub use trust::Distrust;

/// How many own intents that are over are remembered.
const MOST_ENDED: usize = 1_024;

/// What each message needs from outside: its id and the sender's time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stamp {
    /// Not used before by this sender (ENV-06).
    pub message_id: MessageId,
    /// The sender's wall clock.
    pub ts: ClaimedTime,
}

impl Stamp {
    /// An id and a time.
    pub fn new(message_id: MessageId, ts: impl Into<ClaimedTime>) -> Self {
        Self { message_id, ts: ts.into() }
    }
}

/// What a participant says of itself in HELLO.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Introduction {
    /// For people.
    pub display_name: String,
    /// The roles asked for; `participant` by default, as the reference libraries do.
    pub roles: Vec<Role>,
    /// What it can do (CAP-01).
    pub capabilities: Vec<String>,
    /// What it proves itself with.
    pub credential: Option<Credential>,
    /// The software it is; said only where it is set (HEL-20).
    pub implementation: Option<Implementation>,
    /// The highest level it copes with, said before the session's is known: 0.1.13 by default, as the reference
    /// libraries say. A coordinator warns those who state a lower one than the session's (HEL-07).
    pub level: ProtocolLevel,
}

impl Introduction {
    /// A name, and the defaults.
    pub fn new(display_name: &str) -> Self {
        Self {
            display_name: display_name.to_owned(),
            roles: [Role::Participant].into(),
            capabilities: Vec::new(),
            credential: None,
            implementation: None,
            level: ProtocolLevel::V0_1_13,
        }
    }

    /// A name, and everything this participant can do (CAP-01).
    pub fn capable(display_name: &str) -> Self {
        let capabilities = CAPABILITIES.iter().map(|it| (*it).to_owned()).collect();
        Self { capabilities, ..Self::new(display_name) }
    }
}

/// One participant of one session.
///
/// A workflow asks it what it may do, writes through [`try_write`](Self::try_write), feeds it what it hears
/// ([`hear_at`](Self::hear_at)) and wakes it when a deadline passes ([`wake`](Self::wake)); the [`News`] it gives back say
/// what to do. Whatever it remembers has a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    session_id: SessionId,
    sender: Sender,
    introduction: Introduction,
    clock: LamportClock,
    /// The latest time told; it never runs backwards.
    now: Timestamp,
    link: reconnect::Link,
    authority: epochs::Authority,
    trust: trust::Trust,
    decisions: contradictions::Decisions,
    /// What the coordinator said at the last HELLO (HEL-16).
    info: Option<SessionInfo>,
    /// The names of things that it gave.
    names: Names,
    pulse: silence::Pulse,
    beat: heartbeat::Beat,
    answers: Answers,
    intents: BTreeMap<IntentId, OwnIntent>,
    /// Own intents that may not be ours any more (PAR-22).
    unconfirmed: BTreeSet<IntentId>,
    /// Own intents that are over.
    ended: Recent<IntentId>,
    others: others::Others,
    conflicts: conflicts::Conflicts,
    operations: operations::Operations,
    claims: claims::Claims,
    deferrals: deferrals::Deferrals,
    frozen: frozen::Frozen,
    backoff: Vec<Backoff>,
    gap: gap::Gap,
    states: states::States,
    backend: backend::BackendCare,
    ids: ids::Ids,
    repeats: fate::Repeats,
    /// The first kind of scope that was seen, and whether there was another (SCO-13).
    first_kind: Option<ScopeKind>,
    mixed: bool,
    closed: bool,
    /// What has happened since the last call that gives news.
    news: Vec<News>,
}

impl Participant {
    /// A participant that has said nothing yet.
    pub fn new(session_id: SessionId, sender: Sender, introduction: Introduction) -> Self {
        Self {
            session_id,
            sender,
            introduction,
            clock: LamportClock::default(),
            now: Timestamp::from_micros(i64::MIN),
            link: reconnect::Link::default(),
            authority: epochs::Authority::default(),
            trust: trust::Trust::default(),
            decisions: contradictions::Decisions::default(),
            info: None,
            names: Names::default(),
            pulse: silence::Pulse::default(),
            beat: heartbeat::Beat::default(),
            answers: Answers::default(),
            intents: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            ended: Recent::new(MOST_ENDED),
            others: others::Others::default(),
            conflicts: conflicts::Conflicts::default(),
            operations: operations::Operations::default(),
            claims: claims::Claims::default(),
            deferrals: deferrals::Deferrals::default(),
            frozen: frozen::Frozen::default(),
            backoff: Vec::new(),
            gap: gap::Gap::default(),
            states: states::States::default(),
            backend: backend::BackendCare::default(),
            ids: ids::Ids::default(),
            repeats: fate::Repeats::default(),
            first_kind: None,
            mixed: false,
            closed: false,
            news: Vec::new(),
        }
    }

    /// Who it is.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Its session.
    pub fn session_id(&self) -> &SessionId {
        &self.session_id
    }

    /// Its clock.
    pub fn lamport(&self) -> u64 {
        self.clock.value()
    }

    /// What the coordinator said when it let this participant in (HEL-16).
    pub const fn session_info(&self) -> Option<&SessionInfo> {
        self.info.as_ref()
    }

    /// Who the coordinator is, once known (PAR-26).
    pub fn coordinator(&self) -> Option<&PrincipalId> {
        self.authority.principal()
    }

    /// The highest coordinator epoch accepted; 0 before any (REC-24).
    pub const fn epoch(&self) -> u64 {
        self.authority.epoch()
    }

    /// Whether SESSION_INFO has come, and nothing since that ended it (HEL-16).
    pub const fn is_admitted(&self) -> bool {
        self.link.inside && !self.closed
    }

    /// Somebody else's intents, as far as they were heard of (PAR-09).
    pub fn others(&self) -> impl Iterator<Item = (&IntentId, &OtherIntent)> {
        self.others.iter()
    }

    /// The intents it has announced and not heard of again.
    pub fn unanswered(&self) -> impl Iterator<Item = &IntentId> {
        self.answers.iter().filter_map(|(_, sent)| match (&sent.fate, &sent.message) {
            (Fate::Waiting | Fate::Unknown, Message::IntentAnnounce(announce)) => Some(&announce.intent_id),
            _ => None,
        })
    }

    /// What became of an own message; `None` for one that is not remembered.
    pub fn fate(&self, message: &MessageId) -> Option<&Fate> {
        self.answers.get(message).map(|sent| &sent.fate)
    }

    /// Whether the session is over: nothing but GOODBYE may be sent (SES-15).
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// What goes out as `version`: the session's level as soon as it is known, and before what the introduction says
    /// (ENV-04).
    fn version(&self) -> &str {
        let session = self.session_info().map(|info| info.protocol_version.as_str());
        session
            .filter(|version| minor_version(version).is_some())
            .unwrap_or_else(|| self.introduction.level.as_str())
    }

    /// Writes any message, whether it may be sent or not: ticks the clock, and remembers what was asked. The builders of
    /// single messages go through here as well. Workflows use [`try_write`](Self::try_write), which asks first.
    ///
    /// Only the ten base fields go out, and of these no epoch: that is what unmodified Python servers take (ENV-09).
    pub fn write(&mut self, stamp: Stamp, message: impl Into<Message>) -> Envelope {
        let message = message.into();
        self.time_is(stamp.ts.at());
        self.remember(&stamp.message_id, &message);
        let mut envelope = Envelope::new(
            Envelope::PROTOCOL.into(),
            self.version().into(),
            message.message_type(),
            stamp.message_id,
            self.session_id.clone(),
            self.sender.clone(),
            stamp.ts,
            message.to_payload(),
        );
        envelope.watermark = Some(self.clock.tick());
        envelope
    }

    /// A message that was written could not be sent: nothing will be heard of it. Its ids stay used.
    pub fn unsent(&mut self, message: &MessageId) {
        self.lost_acknowledgement(message);
        self.answers.unsent(message);
    }

    fn remember(&mut self, id: &MessageId, message: &Message) {
        let is_request = self.is_request(message);
        self.answers.sent(id.clone(), message, self.now, is_request);
        self.operations.asked(message);
        self.gap.note(message);
        let ids = &mut self.ids;
        match message {
            Message::Hello(hello) => {
                self.link.asked = Some(id.clone());
                self.backend.declare(hello.backend.clone());
            }
            Message::Goodbye(_) => self.link.inside = false, // only HELLO is taken from a leaver (D-019)
            Message::Heartbeat(heartbeat) => {
                self.beat.begin(self.now);
                if heartbeat.backend_health.as_ref().is_some_and(|it| it.switched_from.is_some()) {
                    self.backend.switched();
                }
            }
            Message::IntentAnnounce(it) => ids.used(it.intent_id.as_str()),
            Message::IntentDeferred(it) => it.deferral_id.iter().for_each(|id| ids.used(id.as_str())),
            Message::IntentClaim(it) => {
                ids.used(it.claim_id.as_str());
                ids.used(it.new_intent_id.as_str());
                self.claims.sent(id.clone(), it.clone());
            }
            Message::OpPropose(it) => ids.used(it.op_id.as_str()),
            Message::OpCommit(it) => ids.used(it.op_id.as_str()),
            Message::OpSupersede(it) => ids.used(it.op_id.as_str()),
            Message::OpBatchCommit(it) => {
                ids.used(it.batch_id.as_str());
                it.operations.iter().for_each(|entry| ids.used(entry.op_id.as_str()));
            }
            Message::ConflictReport(it) => ids.used(it.conflict_id.as_str()),
            Message::Resolution(it) => it.resolution_id.iter().for_each(|id| ids.used(id.as_str())),
            Message::ConflictAck(it) => self.conflicts.acknowledged(&it.conflict_id),
            _ => {}
        }
    }

    fn saw_kind(&mut self, kind: &ScopeKind) {
        self.mixed |= self.first_kind.get_or_insert_with(|| kind.clone()) != kind;
    }
}
