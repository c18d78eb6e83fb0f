//! Signatures: what a person is told about them (SEC-27, SEC-30).

use mpac_core::participant::Distrust;
use mpac_wire::{Fingerprint, MessageType};

use super::Session;
use crate::arrival::TrustNews;
use crate::console::Style;
use crate::error::AgentError;
use crate::report::one_line;

/// What was found out about signatures, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    pub(crate) description: String,
    /// It is a reason to worry, or to look.
    pub(crate) alarming: bool,
}

impl TrustNews {
    /// In words, and in which colour.
    pub(crate) fn told(&self) -> (Style, String) {
        match self {
            Self::Trusted { key, first_use, kept } => {
                let kept = match kept {
                    None => String::new(),
                    Some(Ok(_)) if !first_use => String::new(),
                    Some(Ok(path)) => format!("; it is remembered in {}", path.display()),
                    Some(Err(why)) => format!("; it could not be remembered: {why}"),
                };
                match first_use {
                    false => (Style::Dim, format!("the coordinator signs, by the key it is known by{kept}")),
                    true => (
                        Style::Yellow,
                        format!(
                            "the coordinator signs with {key}, which nobody has told before: compare it with what the coordinator printed when it started{kept}"
                        ),
                    ),
                }
            }
            Self::Changed { key, unkept } => {
                let unkept = unkept
                    .as_ref()
                    .map_or(String::new(), |why| format!("; that could not be remembered: {why}"));
                (
                    Style::Yellow,
                    format!(
                        "the coordinator signs with another key now, {key}, and its old one says so{unkept}"
                    ),
                )
            }
            Self::Rotated { key, old_until, unkept } => {
                let unkept = unkept.as_ref().map_or(String::new(), |why| format!("; but {why}"));
                let text = format!("your key is {key} now; the one before is good until {old_until}{unkept}");
                (Style::Green, text)
            }
            Self::Dropped { kind, sender, why, shown } => {
                let text = dropped(kind, sender.as_str(), *why, shown.as_deref());
                (Style::Red, text)
            }
            Self::Contradiction { what, reported } => {
                let told = match reported {
                    true => "everybody whom it concerns is told",
                    false => "it could not be told to anybody now",
                };
                let text = format!(
                    "the coordinator contradicts itself: {what}; {told}. What it signed is evidence (--record keeps it)"
                );
                (Style::Red, text)
            }
            Self::NotRecorded { why } => (Style::Red, format!("the record ends here: {why}")),
        }
    }

    /// The same for a program.
    pub(crate) fn trust(&self) -> Trust {
        let (style, description) = self.told();
        Trust { description, alarming: matches!(style, Style::Yellow | Style::Red) }
    }
}

impl Session {
    /// Asks for another key of our own; what comes of it is told when the coordinator has answered.
    ///
    /// # Errors
    /// As [`Link::rotate_key`](crate::connection::Link::rotate_key).
    pub async fn rotate_key(&mut self) -> Result<Fingerprint, AgentError> {
        self.link.rotate_key().await
    }

    /// # Errors
    /// [`AgentError::Distrusted`] when whoever answers HELLO is not the coordinator.
    pub(super) fn about_trust(&mut self, news: TrustNews) -> Result<(), AgentError> {
        let (style, text) = news.told();
        if let TrustNews::Dropped { kind: MessageType::SessionInfo, .. } = news
            && self.info.is_none()
        {
            return Err(AgentError::Distrusted(text));
        }
        if self.info.is_none() {
            self.trust.push(news.trust());
        }
        self.say(style, &one_line(&text));
        Ok(())
    }
}

fn dropped(kind: &MessageType, sender: &str, why: Distrust, shown: Option<&str>) -> String {
    if *kind != MessageType::SessionInfo {
        let why = match why {
            Distrust::NotSigned => "has no signature that fits it",
            _ => "is signed with a key that is not its sender's",
        };
        return format!("dropped: {kind} from {sender} {why}; more of that kind is dropped without a word");
    }
    match why {
        Distrust::OtherCoordinator => format!(
            "the coordinator shows the key {}, and it is known by another: either somebody stands in for it, or it was replaced. Ask whoever runs it, over another way; if that is its key, join with --coordinator-key and that key once",
            shown.unwrap_or("of nobody")
        ),
        Distrust::NoKey => "the coordinator shows no key, and it is known to have one: either somebody stands in for it, or the session is not verified any more. Ask whoever runs it; if so, remove its line from the known coordinators (--known-coordinators), or do not give --coordinator-key".to_owned(),
        _ => "whoever answers HELLO does not have the coordinator's key: somebody stands in for it. Ask whoever runs it".to_owned(),
    }
}
