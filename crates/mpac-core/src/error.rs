//! The caller's own mistakes.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};

use mpac_wire::Timestamp;
use mpac_wire::names::SecurityProfile;
use thiserror::Error;

/// The configuration cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Something this coordinator does not do yet.
    #[error("{option} = {value} is not supported yet")]
    Unsupported {
        /// Which option.
        option: &'static str,
        /// Set to what.
        value: String,
    },
    /// Core sessions commit at once (SES-05).
    #[error("execution_model pre_commit needs a governance session: set compliance_profile to governance")]
    PreCommitInCore,
    /// Outside the open profile nobody gets a role just by asking (ROL-02).
    #[error("a session of the {0} profile needs a role_policy, or credentials that grant roles")]
    NoRolePolicy(SecurityProfile),
    /// In the verified profile the coordinator signs what it writes (SEC-26).
    #[error("a verified session needs the coordinator's key to sign with")]
    NoCoordinatorKey,
    /// Where anybody may take any name, nothing can be kept from anybody (PRV-02).
    #[error(
        "visibility hides nothing in an open session, where roles are what people say: choose the profile authenticated or verified"
    )]
    VisibleToAll,
    /// A key of another length.
    #[error("the coordinator's key is no Ed25519 public key, which has 32 bytes")]
    CoordinatorKey,
    /// The workspace needs content hashes (OCC-17).
    #[error("a session with a workspace uses state_ref_format sha256, not {0:?}")]
    StateRefFormat(String),
    /// The coordinator's own ids are made of it.
    #[error("a session id has at most {max} bytes, this one has {bytes}", max = crate::config::MAX_SESSION_ID_BYTES)]
    SessionId {
        /// How long it is.
        bytes: usize,
    },
    /// Nobody could settle what is escalated (D-047).
    #[error("require_arbiter_strict is set, but role_policy assigns the role arbiter to nobody")]
    NoArbiter,
    /// Waits would shrink with every rejection (BKO-01).
    #[error("intent_backoff_multiplier must be a number of 1 or more, not {0}")]
    Multiplier(String),
    /// A duration that must not be zero.
    #[error("{0} must be more than 0")]
    Zero(&'static str),
}

/// A snapshot cannot be taken up: the one before it may be (REC-11).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The session could not be opened with this configuration either.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The snapshot is of another session, or of this one under other rules.
    #[error("{field}: the configuration says {configured:?}, the snapshot {stored:?}")]
    Mismatch {
        /// Which key.
        field: &'static str,
        /// Its value in the configuration.
        configured: String,
        /// Its value in the snapshot.
        stored: String,
    },
    /// A format that this coordinator does not know.
    #[error("snapshot_version {0} is newer than this coordinator")]
    Version(u64),
    /// No epoch is left that no coordinator has had.
    #[error("coordinator_epoch {0} has no successor")]
    Epoch(u64),
    /// Two records of one id.
    #[error("{kind} {id:?} stands there twice")]
    Repeated {
        /// Of what.
        kind: &'static str,
        /// Which.
        id: String,
    },
    /// A state that the table does not have.
    #[error("{kind} {id:?} is in the unknown state {state:?}")]
    State {
        /// Of what.
        kind: &'static str,
        /// Which.
        id: String,
        /// Which state.
        state: String,
    },
    /// A record names another that is not there, or not in the state it needs.
    #[error("{kind} {id:?} needs {missing:?}, which is not there or not in the right state")]
    Dangling {
        /// Of what.
        kind: &'static str,
        /// Which.
        id: String,
        /// What it names.
        missing: String,
    },
    /// A record names something that can be had once, and another has it.
    #[error("{kind} {id:?} needs {taken:?} for itself, which something else has")]
    Taken {
        /// Of what.
        kind: &'static str,
        /// Which.
        id: String,
        /// What it names.
        taken: String,
    },
    /// The seed of its ids cannot be read.
    #[error("id_seed {0:?} is no hexadecimal number")]
    Seed(String),
    /// What is left of forgotten operations cannot be read.
    #[error("forgotten.trace_words is not 16 hexadecimal digits a word")]
    Traces,
    /// What a conflict is about cannot be read.
    #[error("an overlap_marks is not 16 hexadecimal digits a name")]
    Overlap,
    /// A key that does not name a principal and an incarnation.
    #[error("{0:?} does not name a participant")]
    Frontier(String),
}

impl RestoreError {
    pub(crate) fn repeated(kind: &'static str, id: impl ToString) -> Self {
        Self::Repeated { kind, id: id.to_string() }
    }

    pub(crate) fn state(kind: &'static str, id: impl ToString, state: &str) -> Self {
        Self::State { kind, id: id.to_string(), state: state.to_owned() }
    }

    pub(crate) fn taken(kind: &'static str, id: impl ToString, taken: impl ToString) -> Self {
        Self::Taken { kind, id: id.to_string(), taken: taken.to_string() }
    }

    pub(crate) fn dangling(kind: &'static str, id: String, missing: impl ToString) -> Self {
        Self::Dangling { kind, id, missing: missing.to_string() }
    }
}

/// The caller applied a record out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("record {found} at {at}, expected record {expected} at {not_before} or later")]
pub struct OutOfOrder {
    pub(crate) found: u64,
    pub(crate) at: Timestamp,
    pub(crate) expected: u64,
    pub(crate) not_before: Timestamp,
}
