//! What a command led to, as the caller reads it.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use mpac_core::{ConnId, HangUpReason, Recipients};
use mpac_wire::{Envelope, PrincipalId};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::connections::Connections;

/// Who receives.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub(super) enum To {
    /// `"all"` or `"sender"`.
    Word(&'static str),
    /// Those who speak for these.
    Principals(Vec<PrincipalId>),
}

impl To {
    /// `asking` is the connection of the command that led to this, if it has one.
    pub(super) fn of(recipients: Recipients, asking: Option<ConnId>, connections: &Connections) -> Self {
        match recipients {
            Recipients::All => Self::Word("all"),
            Recipients::Conn(conn) if Some(conn) == asking => Self::Word("sender"),
            Recipients::Conn(conn) => {
                Self::Principals(connections.principal(conn).cloned().into_iter().collect())
            }
            Recipients::Only(principals) => Self::Principals(principals),
        }
    }
}

/// What is sent.
#[derive(Debug)]
pub(super) enum What {
    /// The coordinator's own message.
    Coordinator(Box<Envelope>),
    /// A participant's message, as it came.
    Relay(Arc<str>),
    /// What is not MPAC: an answer about files or the session, or news of a file.
    Sideband(Utf8Bytes),
}

/// One output.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) to: To,
    pub(super) what: What,
}

impl Serialize for Out {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("to", &self.to)?;
        match &self.what {
            What::Coordinator(envelope) => {
                map.serialize_entry("kind", "coordinator")?;
                map.serialize_entry("envelope", envelope)?;
            }
            What::Relay(text) => {
                map.serialize_entry("kind", "relay")?;
                map.serialize_entry("envelope", &raw::<S>(text)?)?;
            }
            What::Sideband(text) => {
                map.serialize_entry("kind", "sideband")?;
                map.serialize_entry("message", &raw::<S>(text)?)?;
            }
        }
        map.end()
    }
}

/// The core passes JSON on as it came.
fn raw<S: Serializer>(text: &str) -> Result<&RawValue, S::Error> {
    serde_json::from_str(text).map_err(serde::ser::Error::custom)
}

/// A connection that the coordinator closes.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct HungUp {
    conn: String,
    code: u16,
    reason: &'static str,
}

impl HungUp {
    pub(super) fn new(conn: &str, reason: HangUpReason) -> Self {
        Self { conn: conn.to_owned(), code: reason.code(), reason: reason.text() }
    }
}

/// The members of an answer that tells what happened.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Outputs {
    pub(super) out: Vec<Out>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) closed: Vec<HungUp>,
}
