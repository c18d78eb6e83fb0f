//! The envelope around every message (`spec/wire.md` §2).

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::ops::Range;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;
use smol_str::SmolStr;

use crate::content::Unseen;

use crate::error::{DecodeError, decode};
use crate::id::{InstanceId, MessageId, PrincipalId, SessionId};
use crate::message::Message;
use crate::names::{MessageType, PrincipalType};
use crate::number::Integer;
use crate::object::Raw;
use crate::plain::Cursor;
use crate::time::ClaimedTime;
use crate::watermark::Watermark;

object! {
    /// Who speaks (ENV-02).
    pub struct Sender: Plain {
        /// Stable in the session.
        req principal_id: PrincipalId,
        /// Human, agent or service.
        req principal_type: PrincipalType,
        /// Which incarnation of it.
        req sender_instance_id: InstanceId,
    }
}

object! {
    /// One message: the ten base fields in their order, then those that the references never send (ENV-01, ENV-08).
    pub struct Envelope: Plain {
        /// Always [`Envelope::PROTOCOL`]; that it is, is the coordinator's check (ENV-03).
        req protocol: SmolStr,
        /// The level of its session: `0.1.13` and so on (ENV-04).
        req version: SmolStr,
        /// How to read the payload.
        req message_type: MessageType,
        /// Unique for its sender's lifetime (ENV-06).
        req message_id: MessageId,
        /// The session it belongs to.
        req session_id: SessionId,
        /// Who sent it.
        req sender: Sender,
        /// The sender's own clock, for the audit trail only (INT-05).
        req ts: ClaimedTime,
        /// Unread until [`Envelope::message`].
        req payload by message_type: Payload,
        /// The sender's place in the causal order (ENV-11, ENV-12).
        opt watermark: Watermark,
        /// On every message that a coordinator wrote, and on no other (ENV-10).
        opt coordinator_epoch: Integer,
        /// The message it answers.
        opt in_reply_to: MessageId,
        /// For tracing across systems.
        opt trace_id: String,
        /// The policy it appeals to.
        opt policy_ref: String,
        /// `spec/wire.md` §12.
        opt signature: String,
        /// Namespaced additions (EXT-01).
        opt extensions: Raw,
    }
}

impl Envelope {
    /// What [`Envelope::protocol`] says.
    pub const PROTOCOL: &'static str = "MPAC";

    /// Reads the payload by the message type. A type we do not know is [`Message::Unknown`], not an error (D-007).
    ///
    /// # Errors
    /// When the payload has not the fields of its type; the path begins with `payload`.
    pub fn message(&self) -> Result<Message, DecodeError> {
        Message::read(&self.message_type, &self.payload)
    }

    /// JSON on one line, in the order of `spec/wire.md`.
    pub fn to_json(&self) -> String {
        let json = text_of(self);
        // Parts kept as text may have come in another layout. Inside a string a line break is always escaped.
        if has_line_break(json.as_bytes()) { crate::layout::compact(&json) } else { json }
    }

    /// JSON with two spaces a level and no newline at the end, as in the golden files.
    pub fn to_json_pretty(&self) -> String {
        crate::layout::pretty(&self.to_json())
    }
}

/// Its JSON, written into room that is there: a text that grows is copied each time.
#[cfg(feature = "std")]
fn text_of(envelope: &Envelope) -> String {
    /// Bytes that an envelope rarely has beside its payload.
    const AROUND_PAYLOAD: usize = 768;
    let mut json = alloc::vec::Vec::with_capacity(envelope.payload.get().len() + AROUND_PAYLOAD);
    let written = envelope.serialize(&mut serde_json::Serializer::new(&mut json));
    // Nothing in an envelope can refuse: all keys are text and all raw parts are JSON already.
    written.unwrap_or_else(|error| unreachable!("an envelope is JSON: {error}"));
    String::from_utf8(json).unwrap_or_else(|error| unreachable!("JSON is UTF-8: {error}"))
}

/// Its JSON. Without std the library lets nobody choose the room.
#[cfg(not(feature = "std"))]
fn text_of(envelope: &Envelope) -> String {
    // Nothing in an envelope can refuse: all keys are text and all raw parts are JSON already.
    serde_json::to_string(envelope).unwrap_or_else(|error| unreachable!("an envelope is JSON: {error}"))
}

/// Looked for in small parts, each to its end: that way the compiler compares many bytes at once.
fn has_line_break(text: &[u8]) -> bool {
    const PART: usize = 128;
    let in_part =
        |part: &[u8]| part.iter().fold(false, |found, byte| found | (*byte == b'\n') | (*byte == b'\r'));
    text.chunks(PART).any(in_part)
}

/// A payload: an object, kept as text until its type is known.
#[derive(Clone)]
pub struct Payload(Form);

/// Where the text is.
#[derive(Clone)]
enum Form {
    Alone(Raw),
    /// A part of what came, all of which is kept with it.
    Within(Arc<str>, Range<usize>),
}

impl Payload {
    /// The JSON text of `value`, which must be an object of this crate.
    pub fn of<T: Serialize>(value: &T) -> Self {
        // The objects of this crate have text keys and JSON values, so they serialise.
        let raw = Raw::of(value).unwrap_or_else(|error| unreachable!("a payload is JSON: {error}"));
        Self(Form::Alone(raw))
    }

    /// The JSON text.
    pub fn get(&self) -> &str {
        match &self.0 {
            Form::Alone(raw) => raw.get(),
            // From the `{` to behind the `}` that the parser has seen there, so between characters.
            Form::Within(text, at) => &text[at.clone()],
        }
    }

    /// Reads it as the payload type `T`.
    ///
    /// # Errors
    /// When it has not the fields of `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        decode(self.get(), "payload")
    }

    /// Reads what it says, too, which the cursor keeps.
    pub(crate) fn plain_by(cursor: &mut Cursor<'_>, message_type: &MessageType) -> Option<Self> {
        let begin = cursor.at();
        let message = Message::plain(message_type, cursor)?;
        cursor.keep(message);
        Some(Self(Form::Within(Arc::clone(cursor.whole()), begin..cursor.at())))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unseen(self.get()).fmt(f)
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Form::Alone(raw) => raw.serialize(serializer),
            Form::Within(..) => {
                let raw: &RawValue = serde_json::from_str(self.get()).map_err(S::Error::custom)?;
                raw.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        if raw.get().starts_with('{') {
            Ok(Self(Form::Alone(raw)))
        } else {
            Err(D::Error::custom("expected an object"))
        }
    }
}
