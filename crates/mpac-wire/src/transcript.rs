//! Transcripts: the specification's form, and the one the Python server writes (`spec/wire.md` §11).

pub mod chain;
mod export;
mod import;

use alloc::string::String;
use alloc::vec::Vec;

use crate::envelope::Envelope;
use crate::id::{PrincipalId, SessionId};
use crate::names::{MessageType, PrincipalType, Role, SecurityProfile};
use crate::number::Number;
use crate::object::Raw;
use crate::snapshot::Snapshot;
use crate::time::ClaimedTime;
pub use chain::{BrokenLink, Chain, Direction, Link};
pub use export::Crossed;
pub use import::Imported;

object! {
    /// An exported transcript (SES-20, D-034).
    pub struct Transcript {
        /// Which session.
        req session_id: SessionId,
        /// Its level.
        req protocol_version: String,
        /// When it was written.
        req exported_at: ClaimedTime,
        /// How members proved who they are.
        req security_profile: SecurityProfile,
        /// Who took part.
        req participants: Vec<Principal>,
        /// Every message in either direction, by Lamport value, then principal, then incarnation.
        req messages: Vec<Envelope>,
        /// How it ended.
        req final_snapshot: Snapshot,
        /// In verified sessions (D-130).
        opt log_chain: Vec<Raw>,
    }
}

object! {
    /// Somebody who took part (`spec/wire.md` §3.7).
    pub struct Principal {
        /// Who.
        req principal_id: PrincipalId,
        /// What.
        req principal_type: PrincipalType,
        /// For people.
        opt display_name: String,
        /// What it might do.
        opt roles: Vec<Role>,
        /// What it could do.
        opt capabilities: Vec<String>,
        /// Since when; written by the TypeScript reference.
        opt joined_at: ClaimedTime,
    }
}

object! {
    /// One entry of the array that the Python server writes.
    pub struct PythonEntry {
        /// Seconds since the server started.
        req ts: Number,
        /// In the newer versions.
        opt session_id: SessionId,
        /// `inbound` or `outbound`.
        req direction: String,
        /// The sender, of inbound messages.
        opt from: String,
        /// Its type.
        req message_type: MessageType,
        /// The message.
        req envelope: Raw,
    }
}
