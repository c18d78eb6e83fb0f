//! Identifiers: newtypes over shared text, so that an intent is never mistaken for an operation.

use alloc::sync::Arc;
use core::fmt;

use serde::de::Error;
use thiserror::Error as ThisError;

/// Bytes of an identifier at the most (D-134).
pub const MAX_ID_BYTES: usize = 256;

/// The text given for an identifier is empty, or longer than [`MAX_ID_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error("an identifier has 1 to {MAX_ID_BYTES} bytes")]
pub struct InvalidId;

macro_rules! id {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        ///
        /// Text of 1 to [`MAX_ID_BYTES`] bytes; cloning shares it.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// # Errors
            /// When `text` is empty or too long.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                if text.is_empty() || text.len() > MAX_ID_BYTES { Err(InvalidId) } else { Ok(Self(text.into())) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl core::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl crate::plain::Plain for $name {
            fn plain(cursor: &mut crate::plain::Cursor<'_>) -> Option<Self> {
                Self::new(cursor.text()?).ok()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer
                    .deserialize_str(crate::open::TextVisitor(|text: &str| Self::new(text)))?
                    .map_err(D::Error::custom)
            }
        }
    )*};
}

id! {
    /// A batch of operations.
    BatchId;
    /// A claim on somebody's suspended intent.
    ClaimId;
    /// A conflict.
    ConflictId;
    /// A deferral.
    DeferralId;
    /// One incarnation of a process: kept over reconnects, new after a restart (LAM-15).
    InstanceId;
    /// An intent.
    IntentId;
    /// A message, unique for its sender's lifetime (ENV-06).
    MessageId;
    /// An operation.
    OpId;
    /// A principal: a person, an agent or a service, stable in its session.
    PrincipalId;
    /// A resolution.
    ResolutionId;
    /// A session.
    SessionId;
}
