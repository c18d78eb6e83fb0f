//! How the agent speaks: the core's [`Participant`], with the clock and the ids that it leaves to its host.

use mpac_core::IdSource;
use mpac_core::ProtocolLevel;
use mpac_core::participant::{
    Contradiction, Heard, Introduction, News, Participant, Presence, Stamp, Withheld,
};
use mpac_wire::names::{HeartbeatStatus, PrincipalType, ProviderStatus, SecurityProfile};
use mpac_wire::payload::session::{BackendHealth, Hello};
use mpac_wire::sideband::SessionSummary;
use mpac_wire::signature::NotCanonical;
use mpac_wire::{
    ConflictId, Envelope, Fingerprint, InstanceId, IntentId, Message, MessageId, PrincipalId, Seconds,
    Sender, SessionId, StateRef,
};

use crate::clock::now;
use crate::error::AgentError;
use crate::key_file::KeyFile;
use crate::known::Known;
use crate::naming::draw;
use crate::security::Equipment;
use crate::signing;

/// Who speaks, and where.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The own principal.
    pub principal: PrincipalId,
    /// The session.
    pub session: SessionId,
}

/// The participant of one process: one incarnation, one Lamport clock (PAR-01).
#[derive(Debug)]
pub struct Voice {
    participant: Participant,
    ids: IdSource,
    /// What signs; without it nothing is signed.
    keys: Option<KeyFile>,
    known: Option<Known>,
    /// How the own model was last.
    model: ProviderStatus,
}

impl Voice {
    /// A new incarnation. Its ids begin at a random point.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let mut ids = IdSource::new(draw());
        let instance = InstanceId::new(format!("{}:{}", identity.principal, ids.next_uuid()))
            .expect("the text has a colon, so it is not empty");
        let sender = Sender::new(identity.principal, PrincipalType::Agent, instance);
        // HELLO is written like every other message; the introduction is for `Participant::hello`.
        let mut introduction = Introduction::new("");
        introduction.level = ProtocolLevel::V0_1_15; // a file that is taken is waited for, not fought over
        let mut participant = Participant::new(identity.session, sender, introduction);
        participant.expect_status_once_heard(); // not every Python server sends any
        Self { participant, ids, keys: None, known: None, model: ProviderStatus::Operational }
    }

    /// Signs with these keys, and believes no other coordinator than the one that was seen or named before. The
    /// witness and the chain are not for here.
    #[must_use]
    pub fn equipped(mut self, equipment: &mut Equipment) -> Self {
        (self.keys, self.known) = (equipment.keys.take(), equipment.known.take());
        if let Some(key) = equipment.pinned {
            self.participant.pin_coordinator(key);
        }
        self
    }

    /// The own principal.
    #[must_use]
    pub fn principal(&self) -> &PrincipalId {
        &self.participant.sender().principal_id
    }

    /// What is known, to be looked at.
    pub(super) fn participant(&self) -> &Participant {
        &self.participant
    }

    /// The envelope around a message that may always be said, with a new id, the time, and the next Lamport value.
    pub fn write(&mut self, message: Message) -> Envelope {
        let stamp = self.stamp();
        self.participant.write(stamp, message)
    }

    /// HEARTBEAT: what is being done, and how the model is, where the session wants to know (LIV-19, BHM-01).
    pub fn beat(&mut self, status: HeartbeatStatus, intent: Option<IntentId>) -> Envelope {
        self.participant.set_activity(status, intent, None);
        let stamp = self.stamp();
        self.participant.beat(stamp)
    }

    /// How the own model is; whether that is news. Until something else is known it works.
    pub fn model_is(&mut self, health: BackendHealth) -> bool {
        let news = self.model != health.provider_status;
        self.model = health.provider_status.clone();
        self.participant.backend_checked(now(), health);
        news
    }

    /// The envelope around a message, if it may be said now: a commit is held back while the coordinator is silent, for
    /// instance.
    ///
    /// # Errors
    /// The rule that is in the way.
    pub fn say(&mut self, message: Message) -> Result<Envelope, Withheld> {
        let stamp = self.stamp();
        self.participant.try_write(stamp, message)
    }

    /// As [`say`](Self::say), for a message whose fate a break has left unknown: its ids stay the same.
    ///
    /// # Errors
    /// The rule that is in the way.
    pub fn repeat(&mut self, message: Message) -> Result<Envelope, Withheld> {
        let stamp = self.stamp();
        self.participant.try_repeat(stamp, message)
    }

    /// HELLO after a break: the same incarnation, its counter going on (PAR-05, LAM-15).
    pub fn hello_again(&mut self, hello: Hello) -> Envelope {
        let stamp = self.stamp();
        self.participant.hello_again(stamp, hello)
    }

    /// What asks a coordinator for a summary after a break; `None` when it was asked.
    pub fn report_break(&mut self) -> Option<Envelope> {
        let stamp = self.stamp();
        self.participant.report_break(stamp)
    }

    /// The connection is gone.
    pub fn connection_lost(&mut self) {
        // What is of unknown fate now, the work finds out by itself: it knows what it waits for.
        let _ = self.participant.connection_lost(now());
    }

    /// An attempt to connect failed: how long the core wants to wait before the next (REC-06).
    pub fn connect_failed(&mut self) -> Seconds {
        let wait = self.participant.retry_in();
        self.participant.connect_failed();
        wait
    }

    /// The session as it stands.
    pub fn hear_summary(&mut self, summary: &SessionSummary) -> Vec<News> {
        self.participant.hear_summary(now(), summary)
    }

    /// Whether an own intent is at the coordinator.
    #[must_use]
    pub fn presence(&self, intent: &IntentId) -> Presence {
        self.participant.presence(intent)
    }

    /// The coordinator has lost these operations.
    pub fn forget_operations(&mut self, lost: &[String]) {
        self.participant.forget_operations(lost);
    }

    /// Whether SESSION_CLOSE has ended the session.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.participant.is_closed()
    }

    /// The coordinator's epoch; 0 before any.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.participant.epoch()
    }

    /// A message that was written is not sent after all.
    pub fn unsent(&mut self, message: &MessageId) {
        self.participant.unsent(message);
    }

    fn stamp(&mut self) -> Stamp {
        let id = MessageId::new(self.ids.next_uuid()).expect("a UUID's text is not empty");
        Stamp::new(id, now())
    }

    /// The frame of a message, signed where there is a key (SEC-23).
    ///
    /// # Errors
    /// When it says something that has no form that could be signed.
    pub fn seal(&self, mut envelope: Envelope) -> Result<String, NotCanonical> {
        if let Some(keys) = &self.keys {
            keys.current().sign(&mut envelope)?;
        }
        Ok(envelope.to_json())
    }

    /// Takes note of what arrived in a frame, and tells what it means. What is not fresh comes from a coordinator whose time is
    /// over, that is not ours, or from somebody who did not sign it: it has no effect at all (PAR-06, SEC-27).
    pub fn hear(&mut self, frame: &str, envelope: &Envelope, message: &Message) -> Heard {
        let key = self.participant.key_for(envelope, message);
        let signed = signing::verify(frame, envelope.signature.as_deref(), key.as_ref());
        self.participant.hear_signed(now(), envelope, message, &signed)
    }

    /// HEARTBEAT that asks for another key of our own, signed by the one in use. The new one is in the key file before (SEC-32).
    ///
    /// # Errors
    /// [`AgentError::NoRotation`], [`AgentError::KeyFile`].
    pub fn rotate_key(&mut self) -> Result<(Fingerprint, Envelope), AgentError> {
        let info = self.participant.session_info().filter(|_| self.participant.is_admitted());
        let info = info.ok_or_else(|| AgentError::Away { what: "another key".to_owned() })?;
        if info.security_profile == SecurityProfile::Open {
            return Err(AgentError::NoRotation("nobody verifies signatures in an open session"));
        }
        let keys =
            self.keys.as_mut().ok_or(AgentError::NoRotation("this agent has no key; give one with --key"))?;
        if self.participant.rotating().is_some() {
            return Err(AgentError::NoRotation(
                "the coordinator has not answered the last time yet; wait a moment",
            ));
        }
        let new = keys.prepare()?;
        let stamp = self.stamp();
        Ok((new.fingerprint(), self.participant.rotate_key(stamp, &new)))
    }

    /// What tells everybody whom it concerns that the coordinator contradicts itself (SEC-28).
    ///
    /// # Errors
    /// The rule that is in the way.
    pub fn report_contradiction(&mut self, found: &Contradiction) -> Result<Envelope, Withheld> {
        let id = ConflictId::new(format!("contradiction-{}", self.ids.next_uuid()))
            .expect("the text begins with `contradiction-`, so it is not empty");
        let report = self.participant.contradiction_report(id, found);
        self.say(report.into())
    }

    /// The keys.
    pub(super) fn keys(&mut self) -> Option<&mut KeyFile> {
        self.keys.as_mut()
    }

    /// Where the coordinator's key is remembered.
    pub(super) const fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// A file was read: its state is known now.
    pub fn read(&mut self, path: &str, state: StateRef) {
        self.participant.note_state(path, state);
    }
}
