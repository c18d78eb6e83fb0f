//! Why a text could not be read, and where.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::{String, ToString};

use serde::Deserialize;
use thiserror::Error;

/// Why a frame or a payload could not be read. Each names the place and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame is larger than [`Limits::max_bytes`](crate::Limits) (D-134).
    #[error("the frame has {bytes} bytes, more than the {max} allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Nested deeper than [`Limits::max_depth`](crate::Limits) (ENV-18).
    #[error("nested deeper than {max} levels")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// A list or an object has more entries than allowed (D-134).
    #[error("{key}: more than {max} entries")]
    TooMany {
        /// The key it stands under.
        key: String,
        /// The limit.
        max: usize,
    },
    /// Not JSON (ENV-18).
    #[error("not JSON: {problem}")]
    Syntax {
        /// What the parser says, with line and column.
        problem: String,
    },
    /// JSON of another shape (ENV-01, D-003).
    #[error("{path}: {problem}")]
    Shape {
        /// The place as a JSON path from the envelope: `payload.scope.kind`.
        path: String,
        /// What was expected there.
        problem: String,
    },
    /// An object with neither `message_type` nor a sideband `type` that is known.
    #[error("neither a message (no message_type) nor a known request{}", match .found {
        Some(found) => alloc::format!(": type {found:?}"),
        None => String::from(" (no type)"),
    })]
    UnknownRequest {
        /// The `type` it had.
        found: Option<String>,
    },
}

impl DecodeError {
    /// A shape error at `path`.
    pub fn shape(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Shape { path: path.into(), problem: problem.into() }
    }
}

/// Reads `text` as a `T` that stands at `place` in its envelope.
///
/// The second pass, which finds the path, is made for bad input only.
pub(crate) fn decode<'de, T: Deserialize<'de>>(text: &'de str, place: &str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|first| {
        if !first.is_data() {
            return DecodeError::Syntax { problem: first.to_string() };
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let (inner, problem) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Err(error) => (error.path().to_string(), error.inner().to_string()),
            // The same text was refused a moment ago; keep the first answer.
            Ok(_) => (String::new(), first.to_string()),
        };
        let path = match (place, inner.as_str()) {
            (place, "." | "") => place.to_owned(),
            ("", inner) => inner.to_owned(),
            (place, inner) => alloc::format!("{place}.{inner}"),
        };
        // The parser's position is of the part it was given, not of the frame: the path says more.
        let problem = problem.rfind(" at line ").map_or(problem.as_str(), |end| &problem[..end]);
        let problem = without_what_was_found(problem);
        let path = if path.is_empty() { String::from("envelope") } else { path };
        DecodeError::shape(path, problem)
    })
}

/// The parser quotes a text that stands where something else should. What stands in the wrong place may be anything: a
/// content, a secret (PRV-03, PRV-05).
fn without_what_was_found(problem: &str) -> Cow<'_, str> {
    for kind in ["invalid type: string ", "invalid value: string "] {
        if let Some(rest) = problem.strip_prefix(kind)
            && rest.starts_with('"')
            && let Some(end) = rest.rfind("\", expected ")
        {
            return alloc::format!("{}{}", kind.trim_end(), &rest[end + 1..]).into();
        }
    }
    problem.into()
}
