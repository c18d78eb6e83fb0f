//! The operation layer (`spec/wire.md` §6.13 to §6.17).

use alloc::string::String;
use alloc::vec::Vec;

use crate::content::Content;
use crate::id::{BatchId, IntentId, MessageId, OpId};
use crate::names::{Atomicity, OpKind, RejectReason};
use crate::object::{Ordered, Raw};
use crate::state_ref::StateRef;

object! {
    /// OP_PROPOSE: asks to do an operation (OPS-01).
    pub struct OpPropose: Plain {
        /// Not used before.
        req op_id: OpId,
        /// The intent it serves; needed in governance sessions (OPS-14).
        opt intent_id: IntentId,
        /// What it changes.
        req target: String,
        /// How.
        req op_kind: OpKind,
        /// Where the change can be seen.
        opt change_ref: String,
        /// For people.
        opt summary: String,
        /// For an early staleness check; a field of this project.
        opt state_ref_before: StateRef,
    }
}

object! {
    /// OP_COMMIT: says that an operation was done, on which state, with which result (OPS-03).
    pub struct OpCommit: Plain {
        /// Not used before, or an own proposal's (D-103).
        req op_id: OpId,
        /// The intent it serves; needed in governance sessions (OPS-14).
        opt intent_id: IntentId,
        /// What it changed.
        req target: String,
        /// How.
        req op_kind: OpKind,
        /// The state it was based on; null is refused (OPS-05).
        req state_ref_before: StateRef,
        /// The state it left.
        req state_ref_after: StateRef,
        /// Where the change can be seen.
        opt change_ref: String,
        /// For people.
        opt summary: String,
        /// New contents for the shared workspace; taken out before the message is relayed (OCC-05).
        opt file_changes: FileChanges,
    }
}

/// New contents by path, in the order given.
pub type FileChanges = Ordered<FileChange>;

object! {
    /// The new content of one file.
    pub struct FileChange: Plain {
        /// The whole content.
        req content: Content,
        /// What it replaces (OCC-03).
        req state_ref_before: StateRef,
    }
}

object! {
    /// OP_BATCH_COMMIT: several operations at once (BAT-01).
    pub struct OpBatchCommit: Plain {
        /// Not used before.
        req batch_id: BatchId,
        /// All or none, or as many as can be.
        req atomicity: Atomicity,
        /// At least one.
        req operations: Vec<BatchEntry>,
        /// The intent all of them serve (BAT-03).
        opt intent_id: IntentId,
        /// For people.
        opt summary: String,
        /// New contents for the shared workspace (D-091).
        opt file_changes: FileChanges,
    }
}

object! {
    /// One operation of a batch.
    pub struct BatchEntry: Plain {
        /// Not used before.
        req op_id: OpId,
        /// What it changed.
        req target: String,
        /// How.
        req op_kind: OpKind,
        /// The state it was based on.
        req state_ref_before: StateRef,
        /// The state it left.
        req state_ref_after: StateRef,
        /// Where the change can be seen.
        opt change_ref: String,
        /// For people.
        opt summary: String,
        /// Must equal the batch's.
        opt intent_id: IntentId,
    }
}

object! {
    /// OP_REJECT: an operation or a batch is refused (OPS-17).
    pub struct OpReject {
        /// An operation's id or a batch's.
        req op_id: OpId,
        /// Why.
        req reason: RejectReason,
        /// The last message of the intent that ended (CAS-01).
        opt refers_to: MessageId,
        /// Which entries of a batch (BAT-05).
        opt rejected_ops: Vec<OpId>,
        /// Why each of them: op id to code; a field of this project.
        opt reasons: Ordered<Raw>,
    }
}

object! {
    /// OP_SUPERSEDE: a committed operation is replaced (OPS-19).
    pub struct OpSupersede: Plain {
        /// Of the new operation.
        req op_id: OpId,
        /// The old one.
        req supersedes_op_id: OpId,
        /// The same as the old one's.
        req target: String,
        /// The intent it serves.
        opt intent_id: IntentId,
        /// Why.
        opt reason: String,
        /// How; absent means as the old one.
        opt op_kind: OpKind,
        /// The state it left.
        opt state_ref_after: StateRef,
        /// Where the change can be seen.
        opt change_ref: String,
        /// For people.
        opt summary: String,
        /// New contents for the shared workspace (D-091).
        opt file_changes: FileChanges,
    }
}
