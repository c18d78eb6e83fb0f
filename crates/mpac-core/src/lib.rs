//! The rules of MPAC, pure and synchronous: a function from inputs to outputs.
//!
//! A host feeds a [`Coordinator`] one [`Record`] at a time and carries out what comes back, in order. It wakes the
//! coordinator at [`Step::next_deadline`]; there is nothing else to remember:
//!
//! ```
//! use mpac_core::{ConnId, Coordinator, IdSource, Input, Output, Peer, SessionConfig};
//! use mpac_wire::{SessionId, Timestamp};
//!
//! let now = Timestamp::parse("2026-01-02T03:04:05Z")?;
//! let config = SessionConfig::new(SessionId::new("demo")?);
//! let mut coordinator = Coordinator::new(config, IdSource::new(7), now)?;
//!
//! let record = coordinator.stamp(now, Input::Frame { from: Peer::unproven(ConnId(1)), text: "{bad".into() });
//! let step = coordinator.apply(&record)?; // the only method that changes anything
//! let [Output::Send { envelope, .. }] = step.outputs.as_slice() else { panic!("one refusal") };
//! assert!(envelope.to_json().contains("MALFORMED_MESSAGE"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | [`input`], [`output`] | the vocabularies at the wall |
//! | [`coordinator`] | the doors; inside, a folder for each protocol layer, a file for each message type |
//! | [`table`] | the three life cycles, one screen each |
//! | [`scope`] | when scopes overlap, and the index that finds them |
//! | [`refusal`], [`error`] | every reason to refuse a message, its code and its rule; the caller's own mistakes |
//! | [`remark`] | what an operator should hear of, though nothing was refused |
//! | [`signed`] | what a host found out about a signature: the cryptography is never here |
//! | [`config`], [`ids`], [`lamport`] | a session's configuration; reproducible ids; the clock of messages |
//! | [`participant`] | the client's half |
//! | `by_id`, `by_own_id` | records by an id, and by the id they have: found by a hash, walked in order |
//! | `backoff` | the wait after a rejection, the same on both sides |
//! | `digest` | what a step said as one number, for logs |
//!
//! # Never here
//!
//! Nothing in this crate reads a clock, draws a random number, waits, or does IO: it is `no_std`. The same
//! configuration, seed and records give the same outputs, byte for byte. A refused message leaves no trace but in
//! the clock, the sender's frontier and its liveness (ENV-14).
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod backoff;
mod by_id;
mod by_own_id;
pub mod config;
pub mod coordinator;
mod digest;
pub mod error;
pub mod ids;
pub mod input;
pub mod lamport;
pub mod output;
pub mod participant;
pub mod refusal;
pub mod remark;
pub mod scope;
pub mod signed;
pub mod table;

pub use config::{ProtocolLevel, SessionConfig};
pub use coordinator::{Coordinator, View};
pub use error::{ConfigError, OutOfOrder, RestoreError};
pub use ids::IdSource;
pub use input::{Command, ConnId, Identity, Input, Peer, Record};
pub use output::{HangUpReason, Notice, Output, Recipients, Step};
pub use participant::Participant;
pub use refusal::Refusal;
pub use remark::Remark;
pub use signed::{ShownKey, Signed};
