//! PROTOCOL_ERROR from the coordinator: each reaches the caller (ERR-10), none is answered by another (ERR-03).

use alloc::boxed::Box;

use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use mpac_wire::{Message, MessageId, PrincipalId, Seconds};

use super::answers::Sent;
use super::frozen::meant;
use super::news::{News, Over};
use super::operations::Stage;
use super::{Fate, Participant};
use crate::backoff;

impl Participant {
    pub(super) fn refused(&mut self, error: &ProtocolError) {
        if error.error_code == ErrorCode::ParticipantUnavailable {
            return self.somebody_is_gone(error);
        }
        let message = self.answers.named(error.refers_to.as_deref()).filter(|_| is_answer(&error.error_code));
        let warning = is_warning(error);
        if !warning {
            self.trust.refused(error.refers_to.as_deref());
        }
        if let Some(id) = &message {
            self.answered(id, error, warning);
        } else if error.error_code == ErrorCode::ScopeFrozen && error.refers_to.is_none() {
            self.told_of_a_freeze(error);
        }
        self.news.push(News::Refused { message, error: Box::new(error.clone()), warning });
        if error.error_code == ErrorCode::SessionClosed {
            self.close(); // which forgets what was asked
        }
    }

    /// LIV-06; Python servers put the principal into `refers_to`.
    fn somebody_is_gone(&mut self, error: &ProtocolError) {
        let named = error.affected_principal.clone();
        let Some(who) = named.or_else(|| PrincipalId::new(error.refers_to.as_deref()?).ok()) else { return };
        if who == self.sender.principal_id {
            self.unconfirmed = self.intents.keys().cloned().collect();
            self.news.push(News::TakenForGone);
            if let Some(heard) = self.answers.named(error.refers_to.as_deref()) {
                self.abandoned_until(&heard);
            }
        } else {
            self.others.unavailable(&who);
        }
    }

    fn answered(&mut self, id: &MessageId, error: &ProtocolError, warning: bool) {
        let there = self.is_there_already(id, error);
        let warning = warning || there;
        let before = self.answers.get(id).map(|sent| sent.fate.clone());
        if !warning {
            self.watch_refusal(id, &error.error_code);
        }
        // A warning comes after the echo; Python servers send it in place of one.
        let fate = if warning { Fate::Accepted } else { Fate::Refused(error.error_code.clone()) };
        let Some(sent) = self.answers.settle(id, fate) else { return };
        if error.error_code == ErrorCode::ScopeFrozen {
            self.froze(&sent, error, warning);
        }
        if warning {
            if let Message::IntentAnnounce(announce) = &sent.message
                && before != Some(Fate::Accepted)
            {
                self.accept(id, announce);
            }
            return;
        }
        match &sent.message {
            Message::Hello(_) if self.link.asked.as_ref() == Some(id) => self.link.asked = None,
            Message::IntentAnnounce(announce) => match error.error_code {
                ErrorCode::StaleIntent => self.taken(announce, error),
                ErrorCode::IntentBackoff => {
                    let policy = self.info.as_ref().and_then(|info| info.liveness_policy.as_ref());
                    let wait = retry_after(error).unwrap_or(Seconds::whole(30)).min(backoff::longest(policy));
                    self.told_to_wait(announce, self.now.after(&wait));
                }
                _ => {}
            },
            Message::IntentWithdraw(withdraw) if error.error_code == ErrorCode::InvalidReference => {
                self.answers.forget_announce(&withdraw.intent_id);
                // Its time was over, of which nobody is told. Outside the same code says that HELLO comes first.
                if self.link.inside {
                    self.intent_over(&withdraw.intent_id, Over::NotListed);
                }
            }
            Message::IntentClaim(claim) => self.claims.refused(&claim.claim_id),
            Message::Heartbeat(_) if error.error_code == ErrorCode::BackendSwitchDenied => {
                self.backend.switched();
            }
            _ => self.refused_operations(id, &sent, error),
        }
    }

    fn refused_operations(&mut self, id: &MessageId, sent: &Sent, error: &ProtocolError) {
        let message = &sent.message;
        let stale = error.error_code == ErrorCode::StaleStateRef;
        let recorded = self.is_recorded_already(id, error);
        if recorded {
            self.recorded_before(message);
        }
        self.told_where_they_stand(message, error);
        for (id, operation) in super::operations::asked(message) {
            if !recorded && self.operations.get(&id).is_some_and(|it| it.stage == Stage::Asked) {
                self.operations.moved(&id, Stage::Rejected);
            }
            if stale {
                let meant = meant(&error.description, &operation.target, &sent.brought);
                meant.into_iter().for_each(|path| self.states.went_stale(path));
            }
        }
    }
}

/// Whether this code answers the message it refers to. These three tell of something else and name a message on the way.
const fn is_answer(code: &ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::ParticipantUnavailable | ErrorCode::ResolutionTimeout | ErrorCode::StateDivergence
    )
}

/// Whether the message that an error answers was accepted all the same (D-119).
#[must_use]
pub fn is_warning(error: &ProtocolError) -> bool {
    let extensions = error.extensions.as_ref().and_then(|raw| raw.read::<serde_json::Value>().ok());
    let accepted = extensions.as_ref().and_then(|it| it.get("mpac")?.get("accepted")?.as_bool());
    accepted == Some(true) || error.description.starts_with("Warning:")
}

/// `extensions.retry_after_sec`.
fn retry_after(error: &ProtocolError) -> Option<Seconds> {
    let extensions: serde_json::Value = error.extensions.as_ref()?.read().ok()?;
    let seconds = extensions.get("retry_after_sec")?.as_f64().filter(|it| it.is_finite() && *it >= 0.0)?;
    Some(Seconds::from_micros((seconds * 1e6) as i64)) // `as` saturates
}
