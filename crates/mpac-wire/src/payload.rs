//! The payloads, a file for each layer; fields in the order of `spec/wire.md` §6.

pub mod conflict;
pub mod error;
pub mod intent;
pub mod keys;
pub mod operation;
pub mod session;

pub use conflict::{Basis, ConflictAck, ConflictEscalate, ConflictReport, Outcome, Resolution};
pub use error::ProtocolError;
pub use intent::{
    IntentAnnounce, IntentClaim, IntentClaimStatus, IntentDeferred, IntentUpdate, IntentWithdraw,
};
pub use keys::{KeyChange, KeyRotation, ParticipantKey, ParticipantKeys};
pub use operation::{
    BatchEntry, FileChange, FileChanges, OpBatchCommit, OpCommit, OpPropose, OpReject, OpSupersede,
};
pub use session::{
    Backend, BackendHealth, CoordinatorStatus, Goodbye, Heartbeat, Hello, SessionClose, SessionInfo, Summary,
};
