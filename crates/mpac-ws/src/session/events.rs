//! What an operator sees of a session: one line for each thing that people did.
//!
//! Lines wait until those who hear of these things have heard: whoever writes a line reads the message once more, and may wake
//! the thread for stderr, which on one core runs before the sockets do.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

use mpac_wire::names::MessageType;
use mpac_wire::{Envelope, Fingerprint, Limits, Message, PrincipalId, Received, Scope, SessionId, StateRef};
use tracing::{Level, enabled, error, info, warn};

use crate::signing::signer::Unsigned;
use crate::store::journal::Unkept;

/// Characters of a text by somebody else that are shown.
const SHOWN: usize = 100;

/// Writes the lines.
#[derive(Debug)]
pub(super) struct Events {
    session: SessionId,
    waiting: Vec<Event>,
}

/// What there will be a line about.
#[derive(Debug)]
enum Event {
    /// A participant's message, as it came.
    Relayed(Arc<str>),
    /// A message of the coordinator, and who hears it.
    Sent(Box<Envelope>, String),
    /// Words.
    Line(String),
    /// The same, of something that an operator should know.
    Warning(String),
}

impl Events {
    pub(super) const fn new(session: SessionId) -> Self {
        Self { session, waiting: Vec::new() }
    }

    /// Whether there is anything to write.
    pub(super) const fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes the lines.
    pub(super) fn write(&mut self) {
        for event in std::mem::take(&mut self.waiting) {
            match event {
                Event::Relayed(text) => {
                    if let Ok(mut received) = Received::parse(text, &Limits::default())
                        && let Ok(message) = received.message()
                    {
                        self.said(received.envelope(), &message, "everybody");
                    }
                }
                Event::Sent(envelope, to) => {
                    if let Ok(message) = envelope.message() {
                        self.said(&envelope, &message, &to);
                    }
                }
                Event::Line(text) => info!("[{}] {text}", Shown(self.session.as_str())),
                Event::Warning(text) => warn!("[{}] {}", Shown(self.session.as_str()), Shown(&text)),
            }
        }
    }

    pub(super) fn joined(&mut self, who: &PrincipalId, here: usize) {
        self.line(format!("{} joined ({here} here)", Shown(who.as_str())));
    }

    pub(super) fn left(&mut self, who: &PrincipalId, here: usize) {
        // After a goodbye, or without one: then what it announced stays until it is back or counts as unavailable.
        self.line(format!("{} is disconnected ({here} here)", Shown(who.as_str())));
    }

    pub(super) fn closed(&mut self, reason: &str) {
        self.line(format!("session closed: {}", Shown(reason)));
    }

    /// Something that an operator should know, though nothing was refused.
    pub(super) fn remarked(&mut self, text: String) {
        self.waiting.push(Event::Warning(text));
    }

    /// The session has stopped, and everything anybody was told is in its log.
    pub(super) fn failed(&mut self, why: &Unkept) {
        self.write();
        let session = Shown(self.session.as_str());
        if let Unkept::Broken(_) | Unkept::Unread(_) = why {
            error!(
                "[{session}] stopped: {why}. This is a bug: please report what is above; then start the server again"
            );
            return;
        }
        error!(
            "[{session}] stopped: its log cannot be written: {why}. Everything that anybody was told is in it; mend the disk or \
             make room, and start the server again"
        );
    }

    /// A message that nobody hears, and those it was for are hung up on.
    pub(super) fn unsigned(&mut self, why: &Unsigned) {
        self.write();
        error!("[{}] a message could not be signed and was not sent: {why}", Shown(self.session.as_str()));
    }

    /// The coordinator goes on with another key (SEC-32).
    pub(super) fn signs_with(&mut self, key: &Fingerprint) {
        self.line(format!("the coordinator signs with {key} from now on"));
    }

    /// A participant hears a second coordinator (REC-25).
    pub(super) fn other_coordinator(&mut self, reported_by: &PrincipalId) {
        self.line(format!("{} reports a second coordinator of this session", Shown(reported_by.as_str())));
    }

    /// A participant's message that was accepted.
    pub(super) fn relayed(&mut self, message_type: &MessageType, text: &Arc<str>) {
        if is_told(message_type) {
            self.waiting.push(Event::Relayed(Arc::clone(text)));
        }
    }

    /// A message of the coordinator; `to` is who hears it.
    pub(super) fn sent(&mut self, envelope: Box<Envelope>, to: &str) {
        if is_told(&envelope.message_type) {
            self.waiting.push(Event::Sent(envelope, to.to_owned()));
        }
    }

    fn said(&self, envelope: &Envelope, message: &Message, to: &str) {
        if let Some(what) = describe(message, to) {
            let session = Shown(self.session.as_str());
            match envelope.coordinator_epoch {
                Some(_) => info!("[{session}] the coordinator {what}"),
                None => info!("[{session}] {} {what}", Shown(envelope.sender.principal_id.as_str())),
            }
        }
    }

    fn line(&mut self, text: String) {
        self.waiting.push(Event::Line(text));
    }
}

impl Drop for Events {
    /// What led to a panic is what an operator wants to read then.
    fn drop(&mut self) {
        self.write();
    }
}

/// Whether there is a line about such a message. A relay is not kept for a log that nobody writes.
fn is_told(message_type: &MessageType) -> bool {
    enabled!(Level::INFO) && tells_something(message_type)
}

const fn tells_something(message_type: &MessageType) -> bool {
    use MessageType as T;
    matches!(
        message_type,
        T::IntentAnnounce
            | T::IntentWithdraw
            | T::OpCommit
            | T::OpBatchCommit
            | T::OpSupersede
            | T::ConflictReport
            | T::ProtocolError
            | T::Resolution
    )
}

fn describe(message: &Message, to: &str) -> Option<String> {
    Some(match message {
        Message::IntentAnnounce(it) => {
            let (id, scope) = (Shown(it.intent_id.as_str()), covered(&it.scope));
            format!("announced {id} on {}: {}", Shown(&scope), Shown(&it.objective))
        }
        Message::IntentWithdraw(it) => {
            let id = Shown(it.intent_id.as_str());
            match it.reason.as_deref() {
                Some(reason) => format!("withdrew {id}: {}", Shown(reason)),
                None => format!("withdrew {id}"),
            }
        }
        Message::OpCommit(it) => {
            let (before, after) = (bare(&it.state_ref_before), bare(&it.state_ref_after));
            format!("committed {} ({} -> {})", Shown(&it.target), Shown(before), Shown(after))
        }
        Message::OpBatchCommit(it) => {
            let targets: Vec<&str> = it.operations.iter().map(|entry| entry.target.as_str()).collect();
            format!("committed {} files: {}", targets.len(), Shown(&targets.join(", ")))
        }
        Message::OpSupersede(it) => {
            format!("committed {} in place of {}", Shown(&it.target), Shown(it.supersedes_op_id.as_str()))
        }
        Message::ConflictReport(it) => {
            let [one, other] = [&it.principal_a, &it.principal_b]
                .map(|who| Shown(who.as_ref().map_or("?", PrincipalId::as_str)));
            let (category, severity) = (Shown(it.category.as_str()), Shown(it.severity.as_str()));
            format!("reported a conflict: {category} ({severity}) between {one} and {other}")
        }
        Message::ProtocolError(it) => {
            format!("told {}: {}: {}", Shown(to), Shown(it.error_code.as_str()), Shown(&it.description))
        }
        Message::Resolution(it) => format!("resolved a conflict: {}", Shown(it.decision.as_str())),
        _ => return None,
    })
}

fn covered(scope: &Scope) -> Cow<'_, str> {
    match scope.resources.as_ref().or(scope.entities.as_ref()).or(scope.task_ids.as_ref()) {
        Some(listed) => listed.join(", ").into(),
        None => scope.pattern.as_deref().unwrap_or(scope.kind.as_str()).into(),
    }
}

/// The reference without the name of its hash.
fn bare(state_ref: &StateRef) -> &str {
    state_ref.as_str().strip_prefix("sha256:").unwrap_or(state_ref.as_str())
}

/// A part of a line that somebody else wrote: it may hold line ends and terminal codes, and may be long.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = *self;
        // No character takes less than a byte.
        let end = if text.len() > SHOWN { text.char_indices().nth(SHOWN) } else { None };
        let (text, rest) = end.map_or((text, ""), |(end, _)| (&text[..end], "..."));
        for (number, clean) in text.split(char::is_control).enumerate() {
            if number > 0 {
                f.write_char(' ')?;
            }
            f.write_str(clean)?;
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use mpac_wire::names::{ErrorCode, OpKind};
    use mpac_wire::payload::{IntentAnnounce, OpCommit, ProtocolError};
    use mpac_wire::{IntentId, OpId};

    use super::*;
    use crate::stderr::tests::told;

    #[test]
    fn an_announce_is_one_line_whatever_is_in_it() {
        let id = IntentId::new("i-1").unwrap();
        let announce =
            IntentAnnounce::new(id, "fix\nthe \u{1b}[31mbug".to_owned(), Scope::files(["a.py", "b.py"]));
        let line = describe(&announce.into(), "everybody").unwrap();
        assert_eq!(line, "announced i-1 on a.py, b.py: fix the  [31mbug");
    }

    #[test]
    fn a_commit_names_its_target_and_both_references() {
        let op = OpId::new("op-1").unwrap();
        let (before, after) = (StateRef::of(""), StateRef::of("hello\n"));
        let commit = OpCommit::new(op, "a.py".to_owned(), OpKind::Replace, before, after);
        assert_eq!(
            describe(&commit.into(), "everybody").unwrap(),
            "committed a.py (e3b0c44298fc1c14 -> 5891b5b522d5df08)"
        );
    }

    #[test]
    fn a_refusal_names_whom_it_was_told_and_why() {
        let error = ProtocolError::new(ErrorCode::StaleStateRef, "read it again".to_owned());
        assert_eq!(
            describe(&error.into(), "agent:bob").unwrap(),
            "told agent:bob: STALE_STATE_REF: read it again"
        );
    }

    #[test]
    fn what_waits_when_the_session_panics_is_written() {
        let session = SessionId::new("s\n1").unwrap();
        let text = told(|| {
            let mut events = Events::new(session);
            events.joined(&PrincipalId::new("agent:a").unwrap(), 1);
            catch_unwind(AssertUnwindSafe(move || {
                events.remarked("something\todd".to_owned());
                std::panic::panic_any(())
            }))
            .unwrap_err();
        });
        let lines: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("Z ")).map(|(_, it)| it).collect();
        assert_eq!(lines, [" INFO [s 1] agent:a joined (1 here)", " WARN [s 1] something odd"]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(Shown(&"é".repeat(200)).to_string(), format!("{}...", "é".repeat(SHOWN)));
    }
}
