//! Who is believed, and with which key we sign: what the core says about signatures, carried out.

use std::io;
use std::path::PathBuf;

use mpac_core::participant::{Hearing, News};
use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use mpac_wire::{Envelope, Fingerprint, Message, MessageId, MessageType};

use super::breaks::Break;
use super::keeper::Keeper;
use crate::arrival::{Arrival, TrustNews};
use crate::error::AgentError;

impl Keeper {
    /// What the core wants done at once: HELLO again to another coordinator (REC-23), a word to rivals (REC-25), keys kept, and
    /// what is to be undone handed on (GOV-21).
    pub(super) fn act(&mut self, envelope: &Envelope, message: &Message, news: &[News]) {
        for item in news {
            let answer = match item {
                News::HelloAgain { .. } => self.hello.clone().map(|hello| self.voice.hello_again(hello)),
                News::Rival(rival) => Some(self.voice.write(rival.to_error().into())),
                News::Refused { message: Some(id), error, warning: false } => {
                    self.refused(id, error);
                    None
                }
                News::Compensate(wanted) => {
                    self.hand_on(Arrival::Compensate(wanted.clone()));
                    None
                }
                other => {
                    if let Some(told) = self.about_trust(envelope, message, other) {
                        self.hand_on(Arrival::Trust(told));
                    }
                    None
                }
            };
            if let Some(answer) = answer {
                if answer.message_type == MessageType::Hello {
                    self.said_hello(&answer.message_id);
                }
                self.post(answer);
            }
        }
    }

    fn about_trust(&mut self, envelope: &Envelope, message: &Message, news: &News) -> Option<TrustNews> {
        match news {
            News::CoordinatorTrusted { key, first_use } => {
                let kept = self.remember(*key).map(|kept| kept.map_err(|error| error.to_string()));
                Some(TrustNews::Trusted { key: *key, first_use: *first_use, kept })
            }
            News::CoordinatorKeyChanged { new, .. } => {
                let unkept = self.remember(*new).and_then(Result::err).map(|error| error.to_string());
                Some(TrustNews::Changed { key: *new, unkept })
            }
            News::KeyRotated { key, old_until } => {
                let keys = self.voice.keys()?;
                let unkept = match keys.switch(key) {
                    Ok(true) => None,
                    // Another process of ours has it, which does not share the file.
                    Ok(false) => Some(format!("it is not in {}", keys.path().display())),
                    Err(error) => Some(error.to_string()),
                };
                Some(TrustNews::Rotated { key: *key, old_until: *old_until, unkept })
            }
            News::Admitted { .. } => {
                // That it could not be noted costs one HELLO the next time.
                let _ = self.voice.keys().map(|keys| keys.taken());
                None
            }
            News::Contradiction(found) => {
                let report = self.voice.report_contradiction(found);
                let reported = report.is_ok();
                if let Ok(report) = report {
                    self.post(report);
                }
                Some(TrustNews::Contradiction { what: found.to_string(), reported })
            }
            News::Distrusted { why, .. } => Some(TrustNews::Dropped {
                kind: envelope.message_type.clone(),
                sender: envelope.sender.principal_id.clone(),
                why: *why,
                shown: shown(message),
            }),
            _ => None,
        }
    }

    /// The coordinator has this key: where that is remembered.
    fn remember(&self, key: Fingerprint) -> Option<io::Result<PathBuf>> {
        let known = self.voice.known()?;
        Some(known.remember(key).map(|()| known.path().to_owned()))
    }

    /// Asks for another key of our own.
    pub(super) fn rotate_key(&mut self) -> Result<Fingerprint, AgentError> {
        let (key, envelope) = self.voice.rotate_key()?;
        self.post(envelope);
        Ok(key)
    }

    /// HELLO was refused for who signed it, and the key file has another key: a rotation whose answer never came may have
    /// happened.
    pub(super) fn greets_by_another_key(&mut self, news: &[News]) -> bool {
        let Some((_, said)) = &self.greeting else { return false };
        let is_about_the_key =
            |code: &ErrorCode| matches!(code, ErrorCode::AuthorizationFailed | ErrorCode::CredentialRejected);
        let refused = news.iter().any(|item| match item {
            News::Refused { message: Some(id), error, warning: false } => {
                id == said && is_about_the_key(&error.error_code)
            }
            _ => false,
        });
        if !refused || !self.voice.keys().is_some_and(|keys| keys.try_another()) {
            return false;
        }
        let Some(hello) = self.hello.clone() else { return false };
        let envelope = self.voice.hello_again(hello);
        self.said_hello(&envelope.message_id);
        self.post(envelope);
        true
    }

    /// HELLO was said once more, under this id.
    pub(super) fn said_hello(&mut self, id: &MessageId) {
        if let Some((_, said)) = &mut self.greeting {
            *said = id.clone();
        }
        if let Some((hello, _)) = self.outage.as_mut().and_then(|outage| outage.hello.as_mut()) {
            *hello = id.clone();
        }
    }

    /// The work knows its HELLO by the id under which it gave it.
    pub(super) fn answers_the_greeting(&self, message: &mut Message) {
        if let (Message::ProtocolError(error), Some((known, said))) = (message, &self.greeting)
            && known != said
            && error.refers_to.as_deref() == Some(said.as_str())
        {
            error.refers_to = Some(known.as_str().to_owned());
        }
    }

    /// Somebody answers HELLO whom we may not follow (REC-24): on this way there is nobody for us.
    pub(super) fn not_ours(&mut self, envelope: &Envelope, message: &Message, hearing: Hearing) {
        if self.outage.is_none() || !matches!(message, Message::SessionInfo(_)) {
            return;
        }
        let epoch = envelope.coordinator_epoch.as_ref().map_or(0, |epoch| epoch.get());
        let why = match hearing {
            Hearing::Stale => format!(
                "the coordinator there is of epoch {epoch} and this session was at {} already: it has been replaced, or its data is gone (start the agent again to join it all the same)",
                self.voice.epoch()
            ),
            Hearing::Untrusted => {
                "the coordinator there does not sign with the key of this session's".to_owned()
            }
            _ => "the coordinator there is not the one of this session".to_owned(),
        };
        self.verdict = Some(Break::Again(why));
    }

    /// The HELLO after a break is refused: it would be again.
    fn refused(&mut self, id: &MessageId, error: &ProtocolError) {
        let hello = self.outage.as_ref().and_then(|outage| outage.hello.as_ref());
        if hello.is_some_and(|(hello, _)| hello == id) {
            let why = format!(
                "the coordinator does not let us in again: {}: {}",
                error.error_code, error.description
            );
            self.verdict = Some(Break::Final(why));
        }
    }
}

/// The key that SESSION_INFO shows.
fn shown(message: &Message) -> Option<String> {
    match message {
        Message::SessionInfo(info) => info.security_config.as_ref()?.coordinator_key_fingerprint.clone(),
        _ => None,
    }
}
