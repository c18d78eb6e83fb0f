//! What a participant proves itself with (`spec/wire.md` §3.6).

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::names::CredentialType;
use crate::time::ClaimedTime;

object! {
    /// A credential, sent in HELLO only.
    pub struct Credential {
        /// What it is.
        req kind as "type": CredentialType,
        /// The secret itself.
        req value: Secret,
        /// Who issued it.
        opt issuer: String,
        /// When it ends.
        opt expires_at: ClaimedTime,
    }
}

/// Text that must not reach a log: `Debug` does not show it (PRV-05).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret, for the one place that must look at it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(crate::open::TextVisitor(Self::new))
    }
}
