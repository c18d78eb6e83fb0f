//! What a participant makes of what it hears.

use mpac_wire::names::ClaimDecision;
use mpac_wire::payload::IntentAnnounce;
use mpac_wire::{Envelope, Integer, Message, MessageId, PrincipalId, Watermark};

use super::{OwnIntent, Participant};
use crate::scope::{Names, Overlap, overlap};

/// How far below the bound a Lamport value must be to be adopted.
const ROOM: u64 = 1 << 20;

/// Whether a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hearing {
    /// It does.
    Fresh,
    /// It was written under an epoch that is over: dropped without effect (REC-24).
    Stale,
}

impl Participant {
    /// Takes note of a message that arrived: clock, epoch, admission, and the fate of own intents.
    ///
    /// Own intents change only by what was relayed or what the coordinator says (PAR-09), and a relay is believed only
    /// if its sender is who it speaks for (PAR-14).
    pub fn hear(&mut self, envelope: &Envelope, message: &Message) -> Hearing {
        let sender = &envelope.sender.principal_id;
        let from_coordinator = self.is_coordinator(envelope, message);
        if from_coordinator && let Some(epoch) = envelope.coordinator_epoch.as_ref().map(Integer::get) {
            if epoch < self.epoch {
                return Hearing::Stale;
            }
            self.epoch = epoch;
        }
        // A value that is none only ticks; a gap never stops the rule (LAM-17). Nor is one adopted that leaves no room
        // to count on: every later message of ours would be refused (LAM-14).
        let value =
            envelope.watermark.as_ref().and_then(|watermark| watermark.lamport_value().ok()).flatten();
        self.clock.receive(value.filter(|value| *value < Watermark::MAX_LAMPORT - ROOM));
        if from_coordinator {
            self.hear_coordinator(sender, message);
        } else if *sender == self.sender.principal_id {
            self.hear_echo(envelope, message);
        }
        Hearing::Fresh
    }

    /// Whether the coordinator wrote it: it says so, and is the one that let this participant in (PAR-26). Anybody may
    /// put an epoch into an envelope, but nobody else's SESSION_INFO is ever passed on.
    fn is_coordinator(&self, envelope: &Envelope, message: &Message) -> bool {
        let known = match &self.admission {
            Some((_, coordinator)) => *coordinator == envelope.sender.principal_id,
            None => false,
        };
        envelope.coordinator_epoch.is_some() && (known || matches!(message, Message::SessionInfo(_)))
    }

    /// An own message came back: it was accepted (D-132).
    fn hear_echo(&mut self, envelope: &Envelope, message: &Message) {
        match message {
            Message::IntentAnnounce(announced) => {
                self.accept(&envelope.message_id, announced);
            }
            Message::IntentUpdate(update) => {
                if let Some(own) = self.intents.get_mut(&update.intent_id) {
                    let announced = &mut own.announced;
                    announced.objective =
                        update.objective.clone().unwrap_or_else(|| announced.objective.clone());
                    announced.scope = update.scope.clone().unwrap_or_else(|| announced.scope.clone());
                    announced.ttl_sec = update.ttl_sec.clone().or_else(|| announced.ttl_sec.clone());
                }
            }
            Message::IntentWithdraw(withdraw) => {
                self.intents.remove(&withdraw.intent_id);
            }
            _ => {}
        }
    }

    /// An announce is accepted, and what it supersedes is over.
    fn accept(&mut self, message_id: &MessageId, announced: &IntentAnnounce) {
        self.announced.remove(message_id.as_str());
        if let Some(old) = &announced.supersedes_intent_id {
            self.intents.remove(old);
        }
        // From level 0.1.15 on it also takes the place of own intents that it overlaps (LCK-06).
        let locks = self.session_info().is_some_and(|info| info.protocol_version.as_str() >= "0.1.15");
        if locks {
            self.intents.retain(|_, own| {
                let scope = &own.announced.scope;
                let direct =
                    matches!(overlap(&Names::default(), scope, &announced.scope), Some(Overlap::Shared(_)));
                scope.kind != announced.scope.kind || !direct
            });
        }
        let own = OwnIntent { announced: announced.clone(), message_id: message_id.clone() };
        self.intents.insert(announced.intent_id.clone(), own);
    }

    fn hear_coordinator(&mut self, sender: &PrincipalId, message: &Message) {
        if let Message::SessionInfo(info) = message {
            self.admission = Some((info.clone(), sender.clone()));
            return;
        }
        match message {
            Message::SessionClose(_) => {
                self.closed = true;
                self.intents.clear();
                self.announced.clear();
            }
            Message::IntentWithdraw(withdraw) => {
                self.intents.remove(&withdraw.intent_id);
            }
            Message::IntentClaimStatus(status) if status.decision == ClaimDecision::Approved => {
                self.intents.remove(&status.original_intent_id); // somebody else's from here on (PAR-22)
            }
            Message::ProtocolError(error) => {
                // A refused announce is no intent; a warning about one that was accepted comes after its echo.
                if let Some(refused) = &error.refers_to {
                    self.announced.remove(refused.as_str());
                }
            }
            _ => {}
        }
    }
}
