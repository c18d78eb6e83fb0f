//! The caller's own mistakes.

use alloc::string::String;

use mpac_wire::Timestamp;
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
    #[error(
        "an authenticated session needs a role_policy, or credentials that grant roles (credential_roles)"
    )]
    NoRolePolicy,
    /// Nobody could ever settle what is escalated (D-047).
    #[error("require_arbiter_strict: role_policy assigns the role arbiter to nobody")]
    NoArbiter,
    /// The workspace needs content hashes (OCC-17).
    #[error("a session with a workspace uses state_ref_format sha256, not {0:?}")]
    StateRefFormat(String),
    /// A duration that must not be zero.
    #[error("{0} must be more than 0")]
    Zero(&'static str),
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
