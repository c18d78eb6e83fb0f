//! Whose word is the coordinator's: epoch fencing and split brain (REC-24, REC-25, PAR-26).
//!
//! Anybody may put an epoch into an envelope, so an epoch alone makes no coordinator. The one that counts is the sender
//! of the SESSION_INFO that answered HELLO, until another proves that it took over: the successor a handover named, or one
//! that says `recovered` or `assumed` with a higher epoch while the known one is out of reach (REC-22).

use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{CoordinatorEvent, ErrorCode};
use mpac_wire::payload::{CoordinatorStatus, ProtocolError};
use mpac_wire::{Envelope, InstanceId, Integer, Message, MessageId, PrincipalId, Sender};

/// How many contenders for one epoch are remembered; of more than these nobody is told.
const MOST_RIVALS: usize = 8;

/// Two coordinators with one epoch: one of them was followed, the other's message was dropped (REC-25).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rival {
    /// The epoch that both claim.
    pub epoch: u64,
    /// The message that showed it.
    pub message_id: MessageId,
    /// Whose word counts: the one with the higher Lamport value.
    pub followed: (PrincipalId, InstanceId),
    /// Whose word does not.
    pub dropped: (PrincipalId, InstanceId),
}

impl Rival {
    /// COORDINATOR_CONFLICT, to be sent to both (REC-25).
    pub fn to_error(&self) -> ProtocolError {
        let (followed, dropped) = (&self.followed, &self.dropped);
        let text: String = alloc::format!(
            "two coordinators claim epoch {}: {} ({}) is followed, {} ({}) is not",
            self.epoch,
            followed.0,
            followed.1,
            dropped.0,
            dropped.1
        );
        let mut error = ProtocolError::new(ErrorCode::CoordinatorConflict, text);
        error.refers_to = Some(self.message_id.as_str().into());
        error
    }
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// The coordinator.
    Coordinator,
    /// A participant, whatever it says of itself.
    Peer,
    /// A coordinator whose epoch is over.
    Stale,
    /// A coordinator that is not the one we follow.
    Foreign,
}

/// What else decides whether somebody may take over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    /// The HELLO without an answer.
    pub(super) asked: Option<&'a MessageId>,
    /// The known coordinator is silent, or the connection to it was lost.
    pub(super) out_of_reach: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    principal: PrincipalId,
    instance: InstanceId,
    /// The highest Lamport value heard from it.
    lamport: u64,
    /// It has answered HELLO under this epoch.
    let_us_in: bool,
}

/// The coordinator as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Authority {
    /// The highest epoch accepted.
    epoch: u64,
    known: Option<Known>,
    /// Named by a handover, with its epoch.
    successor: Option<(PrincipalId, u64)>,
    /// Who contended for this epoch, so that each rival is told of once.
    told: Vec<(PrincipalId, InstanceId)>,
}

impl Authority {
    /// The coordinator's principal.
    pub(super) fn principal(&self) -> Option<&PrincipalId> {
        self.known.as_ref().map(|known| &known.principal)
    }

    /// The highest epoch accepted.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// It answered HELLO.
    pub(super) const fn admitted(&mut self) {
        if let Some(known) = &mut self.known {
            known.let_us_in = true;
        }
    }

    /// Whether the coordinator that speaks now has answered HELLO under its epoch: then `recovered` and `assumed`, which
    /// follow its SESSION_INFO, ask for nothing more (D-038).
    pub(super) fn has_let_us_in(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.let_us_in)
    }

    /// Takes note of an announced handover.
    pub(super) fn hand_over(&mut self, successor: PrincipalId, epoch: u64) -> bool {
        let valid = epoch > self.epoch;
        if valid {
            self.successor = Some((successor, epoch));
        }
        valid
    }

    /// Judges who wrote a message, follows a valid successor, and tells of a rival the first time it is heard.
    pub(super) fn judge(
        &mut self,
        envelope: &Envelope,
        message: &Message,
        now: Circumstances<'_>,
    ) -> (Author, Option<Rival>) {
        let Some(epoch) = envelope.coordinator_epoch.as_ref().map(Integer::get) else {
            return (Author::Peer, None);
        };
        if epoch < self.epoch {
            return (Author::Stale, None);
        }
        let sender = &envelope.sender;
        let lamport = value(envelope);
        let Some(known) = &mut self.known else {
            return (self.meet(envelope, message, epoch, now), None);
        };
        let same_principal = known.principal == sender.principal_id;
        if same_principal && (epoch > self.epoch || known.instance == sender.sender_instance_id) {
            self.follow(sender, epoch, lamport);
            return (Author::Coordinator, None);
        }
        let claims = same_principal || self.claims_to_take_over(sender, epoch, message, now);
        if epoch > self.epoch {
            if claims {
                self.follow(sender, epoch, lamport);
                return (Author::Coordinator, None);
            }
            return (if is_coordinators_alone(message) { Author::Foreign } else { Author::Peer }, None);
        }
        if !claims && !is_coordinators_alone(message) {
            return (Author::Peer, None);
        }
        self.contest(envelope, epoch, lamport, claims)
    }

    /// Nobody let us in yet: the answer to HELLO says who the coordinator is.
    fn meet(&mut self, envelope: &Envelope, message: &Message, epoch: u64, now: Circumstances<'_>) -> Author {
        match message {
            Message::SessionInfo(_) if now.asked.is_some() => {
                self.follow(&envelope.sender, epoch, value(envelope));
                Author::Coordinator
            }
            // Whoever refuses HELLO is believed in that, and is nobody yet.
            Message::ProtocolError(error)
                if now.asked.is_some_and(|asked| error.refers_to.as_deref() == Some(asked.as_str())) =>
            {
                Author::Coordinator
            }
            _ => Author::Peer,
        }
    }

    /// Whether somebody else than the known coordinator may take its place with this message.
    fn claims_to_take_over(
        &self,
        sender: &Sender,
        epoch: u64,
        message: &Message,
        now: Circumstances<'_>,
    ) -> bool {
        match message {
            // Only ever the answer to our own HELLO, on a connection we opened.
            Message::SessionInfo(_) => now.asked.is_some(),
            Message::CoordinatorStatus(status) if status.coordinator_id == sender.principal_id => {
                let named = self.successor.as_ref() == Some(&(sender.principal_id.clone(), epoch));
                match status.event {
                    CoordinatorEvent::Assumed if named => true,
                    CoordinatorEvent::Assumed | CoordinatorEvent::Recovered => {
                        now.out_of_reach || epoch == self.epoch
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// One epoch, two coordinators: the higher Lamport value wins, if its sender may be a coordinator at all.
    fn contest(
        &mut self,
        envelope: &Envelope,
        epoch: u64,
        lamport: u64,
        claims: bool,
    ) -> (Author, Option<Rival>) {
        let sender = &envelope.sender;
        let Some(known) = &self.known else { return (Author::Foreign, None) };
        let old = (known.principal.clone(), known.instance.clone());
        let new = (sender.principal_id.clone(), sender.sender_instance_id.clone());
        let wins = claims && lamport > known.lamport;
        let first = self.told.len() < MOST_RIVALS && !self.told.contains(&new);
        for one in [&old, &new] {
            if first && !self.told.contains(one) {
                self.told.push(one.clone());
            }
        }
        let (followed, dropped) = if wins { (new, old) } else { (old, new) };
        if wins {
            self.follow(sender, epoch, lamport);
        }
        let rival = Rival { epoch, message_id: envelope.message_id.clone(), followed, dropped };
        (if wins { Author::Coordinator } else { Author::Foreign }, first.then_some(rival))
    }

    fn follow(&mut self, sender: &Sender, epoch: u64, lamport: u64) {
        let instance = &sender.sender_instance_id;
        let before = self.known.take().filter(|known| known.instance == *instance);
        self.known = Some(Known {
            principal: sender.principal_id.clone(),
            instance: instance.clone(),
            lamport: before.as_ref().map_or(lamport, |known| known.lamport.max(lamport)),
            let_us_in: epoch == self.epoch && before.is_some_and(|known| known.let_us_in),
        });
        if epoch > self.epoch {
            self.told.clear();
        }
        self.epoch = epoch;
        self.successor = self.successor.take().filter(|(_, next)| *next > epoch);
    }
}

/// What a status means for who speaks next, where it is a handover.
pub(super) fn handover(status: &CoordinatorStatus) -> Option<(PrincipalId, u64)> {
    if status.event != CoordinatorEvent::Handover {
        return None;
    }
    Some((status.successor_coordinator_id.clone()?, status.next_coordinator_epoch.as_ref()?.get()))
}

/// Types that no participant may send.
pub(super) const fn is_coordinators_alone(message: &Message) -> bool {
    matches!(
        message,
        Message::SessionInfo(_)
            | Message::SessionClose(_)
            | Message::CoordinatorStatus(_)
            | Message::IntentClaimStatus(_)
    )
}

fn value(envelope: &Envelope) -> u64 {
    let watermark = envelope.watermark.as_ref();
    watermark.and_then(|watermark| watermark.lamport_value().ok()).flatten().unwrap_or(0)
}
