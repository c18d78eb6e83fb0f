//! What came off a connection: the text, kept, and its envelope.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::content::Unseen;
use crate::envelope::{Envelope, Payload};
use crate::error::{DecodeError, decode};
use crate::id::MessageId;
use crate::limits::Limits;
use crate::message::Message;
use crate::names::MessageType;
use crate::object::{Extra, Key, Raw};
use crate::plain;
use crate::sideband::Request;

/// A message as it came. Relays and logs use the text, rules the envelope.
#[derive(Clone)]
pub struct Received {
    text: Arc<str>,
    envelope: Box<Envelope>,
    /// What the payload says, where it was read with the envelope.
    message: Option<Box<Message>>,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, envelope, message: _ } = self;
        f.debug_struct("Received").field("text", &Unseen(text)).field("envelope", envelope).finish()
    }
}

impl Received {
    /// Checks the limits and reads the envelope; and the payload by its type, where that takes no second look at it.
    ///
    /// # Errors
    /// When a limit is exceeded, the text is no JSON object, or a field is missing or of a wrong type (ENV-01).
    pub fn parse(text: impl Into<Arc<str>>, limits: &Limits) -> Result<Self, DecodeError> {
        let text = text.into();
        limits.check(&text)?;
        Self::read(text)
    }

    /// The same without a look at the payload, for whoever does not want it.
    ///
    /// # Errors
    /// The same.
    pub fn parse_envelope(text: impl Into<Arc<str>>, limits: &Limits) -> Result<Self, DecodeError> {
        let text = text.into();
        limits.check(&text)?;
        Self::read_envelope(text)
    }

    fn read(text: Arc<str>) -> Result<Self, DecodeError> {
        match plain::read(&text) {
            Some((envelope, message)) => Ok(Self { text, envelope, message: Some(message) }),
            None => Self::read_envelope(text),
        }
    }

    fn read_envelope(text: Arc<str>) -> Result<Self, DecodeError> {
        let envelope = Box::new(decode(&text, "")?);
        Ok(Self { text, envelope, message: None })
    }

    /// The text as it came.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Everything around the payload, and the payload unread.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// What the payload says, if it was read with the envelope and has not been taken yet. [`Envelope::message`] reads it in any
    /// case.
    pub fn take_message(&mut self) -> Option<Box<Message>> {
        self.message.take()
    }

    /// What the payload says: taken from here, or read.
    ///
    /// # Errors
    /// As [`Envelope::message`].
    pub fn message(&mut self) -> Result<Box<Message>, DecodeError> {
        self.take_message().map_or_else(|| self.envelope.message().map(Box::new), Ok)
    }

    /// The envelope alone.
    pub fn into_envelope(self) -> Box<Envelope> {
        self.envelope
    }

    /// The text of the same message with its payload's members changed by `edit`. Everything outside the payload
    /// stays as it came, and so does every member's value; white space between the members goes (ENV-16).
    ///
    /// # Errors
    /// When the payload is no object, which [`Received::parse`] has ruled out.
    pub fn with_payload(&self, edit: impl FnOnce(&mut Extra)) -> Result<String, DecodeError> {
        let (before, payload, after) = self.around_payload()?;
        let mut members: Members = decode(payload, "payload")?;
        edit(&mut members.extra);
        Ok([before, Payload::of(&members).get(), after].concat())
    }

    /// The text before the payload, the payload's own, and the text behind it.
    fn around_payload(&self) -> Result<(&str, &str, &str), DecodeError> {
        let Outline(payload) = decode(&self.text, "")?;
        // The parser borrows from the text, so the payload's place in it is the distance of the two.
        let start = payload.as_ptr() as usize - self.text.as_ptr() as usize;
        let end = start + payload.len();
        match (self.text.get(..start), self.text.get(end..)) {
            (Some(before), Some(after)) => Ok((before, payload, after)),
            _ => Err(DecodeError::shape("payload", "expected an object")),
        }
    }
}

object! {
    /// Any object, as its members.
    #[doc(hidden)]
    pub struct Members {
    }
}

/// Where the payload of an envelope is: of a repeated key the last one counts.
struct Outline<'a>(&'a str);

impl<'de> Deserialize<'de> for Outline<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OutlineVisitor;
        impl<'de> Visitor<'de> for OutlineVisitor {
            type Value = Outline<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut payload = None;
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    if key == "payload" {
                        payload = Some(value.get());
                    }
                }
                payload.map(Outline).ok_or_else(|| A::Error::missing_field("payload"))
            }
        }
        deserializer.deserialize_map(OutlineVisitor)
    }
}

/// One frame: a message, or a request beside the protocol.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a frame is one or the other, and whoever reads frames must know both"
)]
pub enum Frame {
    /// An MPAC message.
    Message(Received),
    /// A sideband request (`spec/wire.md` §7).
    Sideband(Request),
}

object! {
    /// The members that tell what a frame is.
    #[doc(hidden)]
    pub struct Naming {
        /// Of a message.
        opt message_type: Raw,
        /// Of a sideband request.
        opt kind as "type": Raw,
        /// For the error that answers a bad message.
        opt message_id: Raw,
    }
}

impl Frame {
    /// Reads one frame.
    ///
    /// # Errors
    /// As [`Received::parse`]; and when it is neither a message nor a known request.
    pub fn parse(text: impl Into<Arc<str>>, limits: &Limits) -> Result<Self, DecodeError> {
        Self::parse_with(Received::read, text.into(), limits)
    }

    /// The same, of a message without a look at its payload: what a stranger sends is not to cost more than its refusal.
    ///
    /// # Errors
    /// The same.
    pub fn parse_envelope(text: impl Into<Arc<str>>, limits: &Limits) -> Result<Self, DecodeError> {
        Self::parse_with(Received::read_envelope, text.into(), limits)
    }

    fn parse_with(
        read: impl FnOnce(Arc<str>) -> Result<Received, DecodeError>,
        text: Arc<str>,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        limits.check(&text)?;
        // Nearly every frame is a message: read it as one first, and ask what it is only when that fails.
        let refused = match read(Arc::clone(&text)) {
            Ok(received) => return Ok(Self::Message(received)),
            Err(error @ DecodeError::Shape { .. }) => error,
            Err(error) => return Err(error),
        };
        match decode::<Naming>(&text, "") {
            Ok(Naming { message_type: None, kind, .. }) => {
                Request::read(kind.as_ref(), &text).map(Self::Sideband)
            }
            Ok(_) => Err(refused),
            Err(error) => Err(error),
        }
    }
}

/// The type and the id of a message that could not be read, if it has them: a refusal refers to the id (D-025), and an error
/// is not answered by one, however broken it is (ERR-03).
pub fn type_and_id_of(text: &str) -> (Option<MessageType>, Option<MessageId>) {
    let Ok(named) = serde_json::from_str::<Naming>(text) else { return (None, None) };
    let message_type = named.message_type.and_then(|it| it.read().ok());
    (message_type, named.message_id.and_then(|it| it.read().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const TEXT: &str = r#"{"protocol":"MPAC","version":"0.1.13","message_type":"OP_COMMIT","message_id":"m","session_id":"s","sender":{"principal_id":"p","principal_type":"agent","sender_instance_id":"i"},"ts":"2026-01-02T03:04:05Z","payload":{"op_id":"o","file_changes":{"a":{"content":"1.50"}},"n":1e3},"x":[1.0]}"#;

    #[test]
    fn a_member_is_cut_out_and_the_rest_stays_as_it_came() {
        let received = Received::parse(TEXT, &Limits::default()).unwrap();
        let cut = received.with_payload(|members| members.remove("file_changes")).unwrap();
        assert_eq!(cut, TEXT.replace(r#""file_changes":{"a":{"content":"1.50"}},"#, ""));
        // Odd order, escapes and layout outside the payload are nobody's business.
        let odd = TEXT.replace(r#""x":[1.0]"#, r#" "x" : "\u00e9" , "message_id" : "m" "#);
        let received = Received::parse(odd.as_str(), &Limits::default()).unwrap();
        let cut = received.with_payload(|members| members.remove("file_changes")).unwrap();
        assert_eq!(cut, odd.replace(r#""file_changes":{"a":{"content":"1.50"}},"#, ""));
    }

    #[test]
    fn the_error_names_the_place() {
        let parse = |text: &str| Frame::parse(text, &Limits::default()).unwrap_err().to_string();
        assert_eq!(
            parse(&TEXT.replace(r#""p","#, "7,")),
            "sender.principal_id: invalid type: integer `7`, expected a string"
        );
        assert_eq!(parse(&TEXT.replace(r#""session_id":"s","#, "")), "envelope: missing field `session_id`");
        assert!(parse("{bad").starts_with("not JSON: "), "{}", parse("{bad"));
        assert_eq!(parse("[1]"), "envelope: invalid type: sequence, expected an object");
        assert_eq!(
            parse(r#"{"type":"FILE_NAP"}"#),
            r#"neither a message (no message_type) nor a known request: type "FILE_NAP""#
        );
        assert_eq!(parse("{}"), "neither a message (no message_type) nor a known request (no type)");
    }

    #[test]
    fn not_a_number_is_not_json() {
        for token in ["NaN", "Infinity", "-Infinity"] {
            let text = TEXT.replace("1e3", token);
            assert!(
                matches!(Frame::parse(text, &Limits::default()), Err(DecodeError::Syntax { .. })),
                "{token}"
            );
        }
    }

    #[test]
    fn a_refusal_can_name_the_message_it_refers_to() {
        let id = || Some("m-1".parse().unwrap());
        for (text, named) in [
            (r#"{"message_id":"m-1","sender":7}"#, (None, id())),
            (r#"{"message_type":"HELLO","message_id":7}"#, (Some(MessageType::Hello), None)),
            (r#"{"message_id":"m-1","message_type":7}"#, (None, id())),
            ("{bad", (None, None)),
        ] {
            assert_eq!(type_and_id_of(text), named, "{text}");
        }
    }
}
