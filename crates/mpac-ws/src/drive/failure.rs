//! Why a request is answered with `ok: false`.

use serde::Serialize;

/// Characters of a message at the most.
const LONGEST: usize = 1000;

/// What kind of mistake it is. The caller's, always: a refused *message* is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Code {
    /// The line is no JSON object in UTF-8.
    MalformedLine,
    /// The line is longer than lines may be.
    LineTooLong,
    /// There is no such command.
    UnknownCommand,
    /// The command lacks a member, or has one too many or of a wrong type.
    MalformedCommand,
    /// The session cannot be opened this way.
    InvalidConfig,
    /// The snapshot is none, or contradicts itself.
    InvalidSnapshot,
    /// There is no session yet.
    NotOpen,
    /// `now` is before an earlier one.
    TimeWentBack,
}

/// The answer to a request that cannot be carried out. Nothing has changed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    pub(super) code: Code,
    /// For people: what is wrong, where, and what would be right.
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // It quotes what came, and that may be long.
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push_str("...");
        }
        Self { code, message }
    }
}
