//! What a participant makes of what it hears.

use mpac_wire::{Envelope, Integer, Message, PrincipalId};

use super::Participant;

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
        if let Some(epoch) = envelope.coordinator_epoch.as_ref().map(Integer::get) {
            if epoch < self.epoch {
                return Hearing::Stale;
            }
            self.epoch = epoch;
        }
        // A value that is none only ticks; a gap never stops the rule (LAM-17).
        let value =
            envelope.watermark.as_ref().and_then(|watermark| watermark.lamport_value().ok()).flatten();
        self.clock.receive(value);
        let sender = &envelope.sender.principal_id;
        if *sender == self.sender.principal_id {
            self.hear_echo(envelope, message);
        } else if envelope.coordinator_epoch.is_some() {
            self.hear_coordinator(sender, message);
        }
        Hearing::Fresh
    }

    /// An own message came back: it was accepted (D-132).
    fn hear_echo(&mut self, envelope: &Envelope, message: &Message) {
        match message {
            Message::IntentAnnounce(announced) => {
                if let Some(own) = self.intents.get_mut(&announced.intent_id) {
                    own.accepted |= own.message_id == envelope.message_id;
                }
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

    fn hear_coordinator(&mut self, sender: &PrincipalId, message: &Message) {
        if let Message::SessionInfo(info) = message {
            self.admission = Some((info.clone(), sender.clone()));
            return;
        }
        if self.admission.as_ref().is_none_or(|(_, coordinator)| coordinator != sender) {
            return; // PAR-26
        }
        match message {
            Message::SessionClose(_) => {
                self.closed = true;
                self.intents.clear();
            }
            Message::IntentWithdraw(withdraw) => {
                self.intents.remove(&withdraw.intent_id);
            }
            Message::ProtocolError(error) => {
                // A refused announce is no intent; a warning about one that was accepted came after its echo.
                let refused = error.refers_to.as_deref();
                self.intents.retain(|_, own| own.accepted || refused != Some(own.message_id.as_str()));
            }
            _ => {}
        }
    }
}
