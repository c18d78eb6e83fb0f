//! What is in a file: somebody's work, which belongs into the workspace and the log and nowhere else.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::plain::{Cursor, Plain};

/// A file's text. `Debug` says how long it is and nothing of it, so that no log line can hold it by mistake (PRV-03).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Content(String);

/// Says how long a text is, and nothing of it: for the `Debug` of whatever holds one.
#[derive(Clone, Copy)]
pub struct Unseen<'a>(pub &'a str);

impl Deref for Content {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Content> for String {
    fn from(content: Content) -> Self {
        content.0
    }
}

impl From<Content> for Arc<str> {
    fn from(content: Content) -> Self {
        content.0.into()
    }
}

impl PartialEq<str> for Content {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Content {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unseen(&self.0).fmt(f)
    }
}

impl fmt::Debug for Unseen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

impl Plain for Content {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        String::plain(cursor).map(Self)
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}
