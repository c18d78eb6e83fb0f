//! Why a message is refused although nothing is wrong with it: there is too much of something already.

use alloc::collections::BTreeMap;

use mpac_wire::names::ErrorCode;
use mpac_wire::{Raw, Seconds};
use thiserror::Error;

/// Which limit was reached. Each names the option that sets it, as `extensions.mpac.limit` does for programs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(clippy::exhaustive_enums, reason = "as for Refusal")]
pub enum LimitReached {
    /// A deferral too many (SES-27).
    #[error(
        "{whose} {max} deferrals already, and no more may stand at one time ({limit}): announce, or let one end"
    )]
    Deferrals {
        /// `you have` or `this session has`.
        whose: &'static str,
        /// How many there may be.
        max: usize,
        /// The option that says so.
        limit: &'static str,
    },
    /// An intent, operation or conflict too many that is not over (SEC-37).
    #[error(
        "you have {max} {what} already that are not over, and no more may be at one time ({limit}): end one first"
    )]
    Open {
        /// `intents`, `operations` or `conflicts`.
        what: &'static str,
        /// How many there may be.
        max: usize,
        /// The option that says so.
        limit: &'static str,
        /// Seconds until the first of them ends by itself, where one does.
        retry_after: Option<Seconds>,
    },
    /// The shared files would become too large (SEC-37).
    #[error(
        "payload.file_changes: the workspace would have {would} {what}, and may have {max} ({limit}): nothing of this is stored"
    )]
    Workspace {
        /// `bytes` or `files`.
        what: &'static str,
        /// How many there would be.
        would: u64,
        /// How many there may be.
        max: u64,
        /// The option that says so.
        limit: &'static str,
    },
    /// Messages come faster than the host lets one principal send them (SEC-37).
    #[error(
        "too many messages, on all your connections together (principal_rate_per_sec): this one was not looked at"
    )]
    Rate {
        /// Seconds until there is room again.
        retry_after: Seconds,
    },
}

impl LimitReached {
    /// No code of the protocol says "too much"; other limits of messages answer with this one too (D-134).
    pub(super) const fn code(&self) -> ErrorCode {
        match self {
            Self::Deferrals { .. } | Self::Open { .. } | Self::Workspace { .. } | Self::Rate { .. } => {
                ErrorCode::MalformedMessage
            }
        }
    }

    pub(super) const fn requirement(&self) -> &'static str {
        match self {
            Self::Deferrals { .. } => "SES-27",
            Self::Open { .. } | Self::Workspace { .. } | Self::Rate { .. } => "SEC-37",
        }
    }

    /// The option whose value was reached.
    pub const fn option(&self) -> &'static str {
        match self {
            Self::Deferrals { limit, .. } | Self::Open { limit, .. } | Self::Workspace { limit, .. } => limit,
            Self::Rate { .. } => "principal_rate_per_sec",
        }
    }

    /// `mpac.limit`, and `retry_after_sec` where waiting helps.
    pub(super) fn extensions(&self) -> Option<Raw> {
        let mut members = BTreeMap::new();
        members.insert("mpac", Raw::of(&serde_json::json!({ "limit": self.option() })).ok()?);
        if let Self::Open { retry_after: Some(seconds), .. } | Self::Rate { retry_after: seconds } = self {
            members.insert("retry_after_sec", Raw::of(seconds).ok()?);
        }
        Raw::of(&members).ok()
    }
}
