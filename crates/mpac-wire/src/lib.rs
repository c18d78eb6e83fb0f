//! The wire format of MPAC: open on input, exact on output.
//!
//! A frame is read in two steps. [`Received::parse`] checks the limits, reads the envelope and keeps the text
//! that came; [`Envelope::message`] then reads the payload by its type. Where a message is written as nearly everybody writes it, the
//! first step has read the payload already, and [`Received::take_message`] has it. Writing gives the field order of the
//! specification, and what was read is written back byte for byte, in compact and in two-space layout:
//!
//! ```
//! use mpac_wire::{Limits, Message, Received};
//!
//! let text = r#"{"protocol":"MPAC","version":"0.1.13","message_type":"INTENT_WITHDRAW","message_id":"m-1",
//!   "session_id":"s","sender":{"principal_id":"agent:bob","principal_type":"agent","sender_instance_id":"i-1"},
//!   "ts":"2026-01-02T03:04:05.120Z","payload":{"intent_id":"i1","x-team":"blue"}}"#;
//! let received = Received::parse(text, &Limits::default())?;
//! let Message::IntentWithdraw(withdraw) = received.envelope().message()? else { panic!("another type") };
//! assert_eq!(withdraw.intent_id.as_str(), "i1");
//! assert_eq!(withdraw.extra.get("x-team"), Some(r#""blue""#)); // nothing that came is dropped
//! # Ok::<(), mpac_wire::DecodeError>(())
//! ```
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | [`envelope`], [`received`], [`limits`] | the envelope, the text that came with it, what a frame may cost |
//! | [`message`], [`payload`] | the 22 message types and their payloads |
//! | [`names`], [`open`] | every enumerated string, open to values we do not know |
//! | [`id`], [`time`], [`number`], [`state_ref`] | scalars, each keeping the spelling it came in |
//! | [`scope`], [`watermark`], [`policy`], [`credential`], [`content`] | the shared objects |
//! | [`canonical`], [`signature`] | the one form of a JSON text that is signed (RFC 8785), and how signatures are written |
//! | [`sideband`], [`snapshot`], [`transcript`] | what is not MPAC on the same socket; the stored forms |
//! | [`layout`] | white space between tokens |
//! | `plain`, `scan` | the quick way to read, which leaves everything odd to `serde`; the tokens of a text that is JSON |
//! | [`object`] | the macro behind every object, and [`object::Extra`], the members we do not know |
//!
//! # Never here
//!
//! Nothing in this crate reads a clock, draws a random number, opens a socket or keeps state: it is `no_std`.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

// The two macro modules come first: `macro_rules!` is visible only below its definition.
#[macro_use]
pub mod object;
#[macro_use]
pub mod open;

pub mod canonical;
pub mod content;
pub mod credential;
pub mod envelope;
pub mod error;
pub mod id;
pub mod layout;
pub mod limits;
pub mod message;
pub mod names;
pub mod number;
pub mod payload;
#[doc(hidden)]
pub mod plain;
pub mod policy;
pub mod received;
pub mod redact;
mod scan;
pub mod scope;
pub mod sideband;
pub mod signature;
pub mod snapshot;
pub mod state_ref;
pub mod time;
pub mod transcript;
pub mod watermark;

pub use content::{Content, Unseen};
pub use credential::{Credential, Secret};
pub use envelope::{Envelope, Payload, Sender};
pub use error::DecodeError;
pub use id::{
    BatchId, ClaimId, ConflictId, DeferralId, InstanceId, IntentId, InvalidId, MessageId, OpId, PrincipalId,
    ResolutionId, SessionId,
};
pub use limits::Limits;
pub use message::Message;
pub use names::MessageType;
pub use number::{Integer, Number};
pub use object::{Extra, Raw};
pub use open::Unlisted;
pub use received::{Frame, Received};
pub use scope::Scope;
pub use signature::{Fingerprint, PublicKey, Signature};
pub use state_ref::StateRef;
pub use time::{ClaimedTime, Seconds, Timestamp};
pub use watermark::Watermark;
