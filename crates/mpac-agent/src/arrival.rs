//! What a frame from the coordinator is.

use mpac_wire::sideband::{FileContent, FileEntry, FileError, FileListResponse, FileUpdated, SidebandType};
use mpac_wire::{Envelope, Limits, Message, Received};
use serde::Deserialize;

/// Largest frame taken from a coordinator, in bytes.
pub(crate) const MAX_FRAME_IN: usize = 16 << 20;

/// One frame, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// An MPAC message.
    Message(Box<Envelope>, Box<Message>),
    /// The answer to the oldest sideband request that has none yet.
    Answer(Answer),
    /// FILE_UPDATED, a push.
    Updated(FileUpdated),
    /// A frame that cannot be read, and why. It changes nothing.
    Unreadable(String),
    /// The connection ended, and why. Nothing comes after it.
    Ended(String),
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
    /// SESSION_SUMMARY_RESPONSE or an answer of a later kind.
    Other,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default, rename = "type")]
    kind: Option<SidebandType>,
}

/// Reads one text frame.
#[must_use]
pub fn read(text: &str) -> Arrival {
    let mut limits = Limits::default();
    limits.max_bytes = MAX_FRAME_IN;
    let refused = match Received::parse(text, &limits) {
        Ok(received) => {
            let envelope = received.envelope().clone();
            return match envelope.message() {
                Ok(message) => Arrival::Message(Box::new(envelope), Box::new(message)),
                Err(error) => Arrival::Unreadable(format!("{}: {error}", envelope.message_type)),
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
        SidebandType::SessionSummaryResponse => Ok(Arrival::Answer(Answer::Other)),
        _ => return Arrival::Unreadable(format!("unexpected {kind}")),
    };
    read.unwrap_or_else(|error| Arrival::Unreadable(format!("{kind}: {error}")))
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
            r#"{"type":"FILE_CONTENT"}"#,
            r#"{"message_type":"HELLO"}"#,
        ] {
            assert!(matches!(read(text), Arrival::Unreadable(_)), "{text}");
        }
    }

    #[test]
    fn a_message_of_the_python_server_is_read() {
        let text = r#"{"protocol": "MPAC", "version": "0.1.13", "message_type": "CONFLICT_REPORT", "message_id": "m", "session_id": "s", "sender": {"principal_id": "service:coordinator-s", "principal_type": "service", "sender_instance_id": "c"}, "ts": "2026-01-02T03:04:05Z", "payload": {"conflict_id": "c1", "category": "scope_overlap", "severity": "medium", "principal_a": "agent:A", "principal_b": "agent:B", "intent_a": "i1", "intent_b": "i2"}, "watermark": {"kind": "lamport_clock", "value": 4}, "coordinator_epoch": 1}"#;
        let Arrival::Message(envelope, message) = read(text) else { panic!("no message") };
        assert!(envelope.coordinator_epoch.is_some());
        assert!(matches!(*message, Message::ConflictReport(report) if report.basis.is_none()));
    }
}
