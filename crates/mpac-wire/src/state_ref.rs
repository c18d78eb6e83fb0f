//! State references: which content an operation was based on.

use core::fmt;

use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use crate::plain::{Cursor, Plain};

/// A reference to the state of one target.
///
/// In sessions whose `state_ref_format` is `sha256` it is `sha256:` and the first 16 hex digits of SHA-256 over the
/// UTF-8 content (OCC-01): 23 bytes, which lie in the value itself. In others it is opaque and compared for equality only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateRef(SmolStr);

impl StateRef {
    /// The reference to `content` (OCC-01).
    pub fn of(content: &str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let mut text = alloc::string::String::with_capacity(23);
        text.push_str("sha256:");
        for byte in digest.iter().take(8) {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        Self(text.into())
    }

    /// As somebody stated it.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether it is written in this format. Of `sha256` only the prefix is asked for: shortened examples go on working,
    /// and a reference that fits no content is stale wherever that matters. Every other format is opaque (SES-25).
    pub fn has_format(&self, format: &str) -> bool {
        format != "sha256" || self.0.strip_prefix("sha256:").is_some_and(|digest| !digest.is_empty())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StateRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Plain for StateRef {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.text().map(|text| Self::new(&text))
    }
}

impl serde::Serialize for StateRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for StateRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(crate::open::TextVisitor(Self::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_examples() {
        for (content, state_ref) in [
            ("", "sha256:e3b0c44298fc1c14"),
            ("hello\n", "sha256:5891b5b522d5df08"),
            ("héllo", "sha256:3c48591d8d098a45"),
            ("a\r\nb", "sha256:18745f36a05e2907"),
        ] {
            assert_eq!(StateRef::of(content).as_str(), state_ref);
        }
    }
}
