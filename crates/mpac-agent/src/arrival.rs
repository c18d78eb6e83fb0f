//! What a frame from the coordinator is.

use std::path::PathBuf;
use std::time::Duration;

use mpac_core::participant::{Compensation, Distrust};
use mpac_wire::sideband::{
    FileContent, FileEntry, FileError, FileListResponse, FileUpdated, SessionSummary, SessionSummaryResponse,
    SidebandType,
};
use mpac_wire::{Envelope, Fingerprint, Limits, Message, MessageType, PrincipalId, Received, Timestamp};
use serde::Deserialize;

/// Largest frame taken from a coordinator, in bytes.
pub(crate) const MAX_FRAME_IN: usize = 16 << 20;

/// One frame, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// An MPAC message.
    Message(Box<Envelope>, Box<Message>),
    /// The answer to a sideband request.
    Answer(Answer),
    /// FILE_UPDATED, a push.
    Updated(FileUpdated),
    /// A frame that cannot be read, and why. It changes nothing.
    Unreadable(String),
    /// The coordinator has been silent for this long; and again as soon as it is heard of.
    Silence(Option<Duration>),
    /// How the session stands: the answer to a report of a break.
    Summary(Box<SessionSummary>),
    /// The connection broke. What was said and not answered is of unknown fate.
    Broken {
        /// Why.
        why: String,
        /// For how long it will be tried again.
        patience: Duration,
    },
    /// Another attempt to connect comes up.
    Retrying(Attempt),
    /// The coordinator has let us in again; SESSION_INFO comes next.
    Back(Back),
    /// Something about who is to be believed that a person should know.
    Trust(TrustNews),
    /// A resolution rejects what we have committed, and wants it undone (GOV-21).
    Compensate(Compensation),
    /// The connection ended for good, and why. Nothing comes after it.
    Ended(String),
}

/// What a person should know where messages are signed.
#[derive(Debug, Clone, PartialEq)]
pub enum TrustNews {
    /// The coordinator signs, by this key (SEC-30).
    Trusted {
        /// The key.
        key: Fingerprint,
        /// Nobody had told it before: the person should compare it.
        first_use: bool,
        /// Where it is remembered for the next time, or why it is not.
        kept: Option<Result<PathBuf, String>>,
    },
    /// The coordinator signs with another key, which the one before has vouched for.
    Changed {
        /// The key.
        key: Fingerprint,
        /// Why it could not be remembered.
        unkept: Option<String>,
    },
    /// The own key was replaced (SEC-32).
    Rotated {
        /// The new one.
        key: Fingerprint,
        /// From when on the one before is no good.
        old_until: Timestamp,
        /// Why the key file does not say so.
        unkept: Option<String>,
    },
    /// A message was dropped for its signature (SEC-27); of those that follow only SESSION_INFO is told.
    Dropped {
        /// Its type.
        kind: MessageType,
        /// Who is said to have written it.
        sender: PrincipalId,
        /// Why.
        why: Distrust,
        /// The key that a dropped SESSION_INFO shows.
        shown: Option<String>,
    },
    /// The coordinator decided against its own rules (SEC-28).
    Contradiction {
        /// What happened.
        what: String,
        /// Everybody whom it concerns is told.
        reported: bool,
    },
    /// The record ends here.
    NotRecorded {
        /// The file, and why.
        why: String,
    },
}

/// An attempt to connect after a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// How long until then.
    pub wait: Duration,
    /// Why the one before failed, or the connection broke.
    pub why: String,
}

/// The end of a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// How long it lasted.
    pub after: Duration,
    /// The coordinator's epoch before and now: a higher one is another life of it, or another coordinator.
    pub epochs: (u64, u64),
    /// Where it was found, if there was a choice.
    pub url: Option<String>,
}

/// The answer to a sideband request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To FILE_LIST.
    Files(Vec<FileEntry>),
    /// To FILE_READ.
    Content(FileContent),
    /// To FILE_READ of something that cannot be had.
    Error(FileError),
    /// To FILE_LIST or FILE_READ, but it cannot be read.
    Unreadable {
        /// What it answers; a FILE_READ's path is empty when it cannot be read either.
        to: Question,
        /// Why.
        why: String,
    },
}

/// What an answer answers: answers have no ids, so they are told apart by type and path (PAR-11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// FILE_LIST.
    List,
    /// FILE_READ of this path.
    Read(String),
}

impl Answer {
    /// What it answers.
    #[must_use]
    pub fn to(&self) -> Question {
        match self {
            Self::Files(_) => Question::List,
            Self::Content(file) => Question::Read(file.path.clone()),
            Self::Error(error) => Question::Read(error.path.clone()),
            Self::Unreadable { to, .. } => to.clone(),
        }
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default, rename = "type")]
    kind: Option<SidebandType>,
}

#[derive(Deserialize)]
struct Path {
    path: String,
}

/// Reads one text frame.
#[must_use]
pub fn read(text: &str) -> Arrival {
    let mut limits = Limits::default();
    limits.max_bytes = MAX_FRAME_IN;
    let refused = match Received::parse(text, &limits) {
        Ok(mut received) => {
            return match received.message() {
                Ok(message) => Arrival::Message(received.into_envelope(), message),
                Err(error) => Arrival::Unreadable(format!("{}: {error}", received.envelope().message_type)),
            };
        }
        Err(error) => error.to_string(),
    };
    match serde_json::from_str::<Kind>(text) {
        Ok(Kind { kind: Some(kind) }) => read_sideband(&kind, text),
        _ => Arrival::Unreadable(refused),
    }
}

fn read_sideband(kind: &SidebandType, text: &str) -> Arrival {
    let read = match kind {
        SidebandType::FileListResponse => serde_json::from_str(text)
            .map(|response: FileListResponse| Arrival::Answer(Answer::Files(response.files))),
        SidebandType::FileContent => {
            serde_json::from_str(text).map(|content| Arrival::Answer(Answer::Content(content)))
        }
        SidebandType::FileError => {
            serde_json::from_str(text).map(|error| Arrival::Answer(Answer::Error(error)))
        }
        SidebandType::FileUpdated => serde_json::from_str(text).map(Arrival::Updated),
        SidebandType::SessionSummaryResponse => serde_json::from_str(text)
            .map(|response: SessionSummaryResponse| Arrival::Summary(Box::new(response.session))),
        _ => return Arrival::Unreadable(format!("unexpected {kind}")),
    };
    read.unwrap_or_else(|error| {
        let why = format!("{kind}: {error}");
        let to = match kind {
            SidebandType::FileListResponse => Question::List,
            SidebandType::FileContent | SidebandType::FileError => {
                Question::Read(serde_json::from_str(text).map_or(String::new(), |Path { path }| path))
            }
            _ => return Arrival::Unreadable(why),
        };
        Arrival::Answer(Answer::Unreadable { to, why })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_their_type() {
        let list = read(
            r#"{"type": "FILE_LIST_RESPONSE", "files": [{"path": "a", "state_ref": "sha256:1", "size": 3}]}"#,
        );
        assert!(
            matches!(list, Arrival::Answer(Answer::Files(files)) if files.len() == 1 && files[0].path == "a")
        );
        let content =
            read(r#"{"type": "FILE_CONTENT", "path": "a", "content": "x", "state_ref": "sha256:1"}"#);
        assert!(matches!(content, Arrival::Answer(Answer::Content(content)) if content.content == "x"));
        let error = read(r#"{"type": "FILE_ERROR", "path": "a", "error": "File not found"}"#);
        assert!(matches!(error, Arrival::Answer(Answer::Error(_))));
        let push = read(
            r#"{"type": "FILE_UPDATED", "path": "a", "state_ref": "sha256:1", "updated_by": "agent:B"}"#,
        );
        assert!(matches!(push, Arrival::Updated(_)));
    }

    #[test]
    fn what_cannot_be_read_says_why_and_is_nothing_else() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"type":"LATER"}"#,
            r#"{"type":"FILE_UPDATED"}"#,
            r#"{"message_type":"HELLO"}"#,
        ] {
            assert!(matches!(read(text), Arrival::Unreadable(_)), "{text}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_still_says_what_it_answers() {
        let to = |text: &str| match read(text) {
            Arrival::Answer(Answer::Unreadable { to, .. }) => to,
            other => panic!("{other:?}"),
        };
        assert_eq!(to(r#"{"type":"FILE_LIST_RESPONSE","files":7}"#), Question::List);
        assert_eq!(to(r#"{"type":"FILE_CONTENT","path":"a","content":7}"#), Question::Read("a".to_owned()));
        assert_eq!(to(r#"{"type":"FILE_ERROR"}"#), Question::Read(String::new()));
    }

    #[test]
    fn a_message_of_the_python_server_is_read() {
        let text = r#"{"protocol": "MPAC", "version": "0.1.13", "message_type": "CONFLICT_REPORT", "message_id": "m", "session_id": "s", "sender": {"principal_id": "service:coordinator-s", "principal_type": "service", "sender_instance_id": "c"}, "ts": "2026-01-02T03:04:05Z", "payload": {"conflict_id": "c1", "category": "scope_overlap", "severity": "medium", "principal_a": "agent:A", "principal_b": "agent:B", "intent_a": "i1", "intent_b": "i2"}, "watermark": {"kind": "lamport_clock", "value": 4}, "coordinator_epoch": 1}"#;
        let Arrival::Message(envelope, message) = read(text) else { panic!("no message") };
        assert!(envelope.coordinator_epoch.is_some());
        assert!(matches!(*message, Message::ConflictReport(report) if report.basis.is_none()));
    }
}
