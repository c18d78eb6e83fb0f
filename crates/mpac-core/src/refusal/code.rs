//! The code and the rule of every refusal: total on purpose, so that a new reason has no default.

use alloc::collections::BTreeMap;

use mpac_wire::names::ErrorCode;
use mpac_wire::{DecodeError, Raw};

use super::Refusal;

impl Refusal {
    /// The code on the wire. Total on purpose: a new reason has no default.
    pub const fn code(&self) -> ErrorCode {
        use ErrorCode as C;
        match self {
            Self::Malformed(_)
            | Self::Unreadable(_)
            | Self::WrongProtocol(_)
            | Self::BadLamport(_)
            | Self::LamportNotAbove { .. }
            | Self::ScopeIncomplete { .. }
            | Self::ScopeEntryTooLong { .. }
            | Self::Duplicate { .. }
            | Self::ReservedConflictId(_)
            | Self::ContradictoryOutcome(_)
            | Self::RollbackMissing(_)
            | Self::IntentNeeded
            | Self::ClaimDecision(_)
            | Self::ScopeNeeded
            | Self::TooManyObserved { .. }
            | Self::TooManyDeclared { .. }
            | Self::ReviewDecision(_)
            | Self::BatchIncomplete { .. }
            | Self::AfterNeeded(_)
            | Self::UnknownAtomicity(_)
            | Self::BatchSize { .. }
            | Self::NothingRelated
            | Self::WatermarkNeeded
            | Self::WatermarkMissing(_)
            | Self::UrisNeeded(_)
            | Self::ContentMismatch { .. }
            | Self::UnsafePath(_)
            | Self::StateRefFormat { .. }
            | Self::RepeatedPath(_) => C::MalformedMessage,
            Self::VersionMismatch(_) => C::VersionMismatch,
            Self::ForeignSession { .. }
            | Self::NotAdmitted
            | Self::NoVacancy(_)
            | Self::UnknownIntent(_)
            | Self::UnknownConflict(_)
            | Self::UnknownParticipant(_)
            | Self::UnknownOperation(_)
            | Self::NothingPending(_)
            | Self::Blocked(_)
            | Self::PartOfBatch { .. }
            | Self::ForeignIntent(_)
            | Self::AskedOtherwise { .. }
            | Self::WrongOwner { .. }
            | Self::OwnClaim(_)
            | Self::IntentState { .. }
            | Self::OperationState { .. }
            | Self::TargetChanged { .. }
            | Self::ConflictState { .. }
            | Self::ForeignOutcome(_) => C::InvalidReference,
            Self::OperationFrozen(_) | Self::TargetFrozen { .. } | Self::ScopeFrozen(_) => C::ScopeFrozen,
            Self::SessionClosed => C::SessionClosed,
            Self::CoordinatorId(_)
            | Self::ForeignSender { .. }
            | Self::PrincipalTaken(_)
            | Self::CoordinatorOnly(_)
            | Self::ReadOnly(_)
            | Self::NoRole(_)
            | Self::NotOwner { .. }
            | Self::NotRelated { .. }
            | Self::MayNotResolve { .. }
            | Self::MayNotDecide { .. }
            | Self::MayNotReject(_)
            | Self::MayNotReview(_)
            | Self::NotAuthorised(_)
            | Self::NotAuthor { .. }
            | Self::NoAuthority(_) => C::AuthorizationFailed,
            Self::Signature(refusal) => refusal.code(),
            Self::Limit(reached) => reached.code(),
            Self::StaleIntent { .. } => C::StaleIntent,
            Self::CredentialNeeded
            | Self::CredentialIllFormed(_)
            | Self::CredentialRejected(_)
            | Self::CredentialUnverifiable(_)
            | Self::CertificateNeeded(_)
            | Self::CredentialOfAnother(_)
            | Self::CredentialExpired => C::CredentialRejected,
            Self::Replayed(_) | Self::OutsideWindow { .. } => C::ReplayDetected,
            Self::ExtensionsMissing(_) | Self::NoReview | Self::NoContents(_) => C::CapabilityUnsupported,
            Self::BackendSwitchDenied { .. } => C::BackendSwitchDenied,
            Self::IntentBackoff { .. } => C::IntentBackoff,
            Self::ClaimTaken(_) => C::ClaimConflict,
            Self::UnknownType(_) => C::UnknownMessageType,
            Self::AlreadyResolved(_) => C::ResolutionConflict,
            Self::Diverged { .. } => C::StateDivergence,
            Self::DuplicateCommit(_) | Self::StaleStateRef { .. } => C::StaleStateRef,
        }
    }

    /// The rule it goes back to.
    pub const fn requirement(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "ENV-01",
            Self::Unreadable(_) => "ERR-02",
            Self::WrongProtocol(_) => "ENV-03",
            Self::VersionMismatch(_) => "ENV-05",
            Self::ForeignSession { .. } => "ENV-13",
            Self::NoVacancy(_) => "SES-02",
            Self::Diverged { .. } | Self::ReservedConflictId(_) => "REC-30",
            Self::SessionClosed => "SES-14",
            Self::CoordinatorId(_) => "SEC-05",
            Self::NotAdmitted => "SES-24",
            Self::ForeignSender { .. } => "SEC-04",
            Self::PrincipalTaken(_) => "HEL-14",
            Self::BadLamport(_) => "LAM-14",
            Self::LamportNotAbove { .. } => "LAM-13",
            Self::CoordinatorOnly(_) => "SES-09",
            Self::UnknownType(_) => "EXT-04",
            Self::ReadOnly(_) => "INT-21",
            Self::NoRole(_) => "ROL-03",
            Self::ExtensionsMissing(_) => "EXT-02",
            Self::StateRefFormat { .. } => "SES-25",
            Self::ScopeIncomplete { .. } => "SCO-01",
            Self::ScopeEntryTooLong { .. } | Self::TooManyObserved { .. } | Self::TooManyDeclared { .. } => {
                "SRV-10"
            }
            Self::Limit(reached) => reached.requirement(),
            Self::Duplicate { .. } => "D-022",
            Self::DuplicateCommit(_) => "OPS-12",
            Self::UnknownIntent(_) | Self::NotOwner { .. } => "INT-11",
            Self::UnknownConflict(_) => "CON-09",
            Self::UnknownParticipant(_) | Self::NoAuthority(_) => "CON-07",
            Self::IntentState { .. } => "INT-18",
            Self::OperationState { .. } => "ERR-09",
            Self::OperationFrozen(_) | Self::TargetChanged { .. } => "OPS-09",
            Self::ConflictState { .. } | Self::NotRelated { .. } => "CON-06",
            Self::AlreadyResolved(_) => "GOV-04",
            Self::MayNotResolve { .. } => "GOV-01",
            Self::ForeignOutcome(_) | Self::ContradictoryOutcome(_) => "D-113",
            Self::RollbackMissing(_) => "GOV-05",
            Self::IntentNeeded => "OPS-14",
            Self::StaleStateRef { .. } => "OCC-03",
            Self::ContentMismatch { .. } => "OCC-06",
            Self::WrongOwner { .. } | Self::OwnClaim(_) => "CLM-04",
            Self::ClaimTaken(_) => "CLM-02",
            Self::ClaimDecision(_) => "D-004",
            Self::MayNotDecide { .. } => "CLM-07",
            Self::ScopeNeeded => "DEF-02",
            Self::StaleIntent { .. } => "LCK-01",
            Self::BackendSwitchDenied { .. } => "BHM-09",
            Self::IntentBackoff { .. } => "BKO-04",
            Self::UnknownOperation(_) | Self::MayNotReject(_) => "OPS-17",
            Self::NotAuthorised(_) => "OPS-09",
            Self::Blocked(_) => "OPS-07",
            Self::BatchIncomplete { .. } | Self::PartOfBatch { .. } | Self::AskedOtherwise { .. } => "BAT-09",
            Self::MayNotReview(_) | Self::ReviewDecision(_) => "D-084",
            Self::NothingPending(_) => "BAT-11",
            Self::NotAuthor { .. } => "OPS-19",
            Self::AfterNeeded(_) | Self::NoContents(_) => "D-091",
            Self::UnknownAtomicity(_) | Self::BatchSize { .. } => "BAT-01",
            Self::ForeignIntent(_) => "BAT-03",
            Self::NothingRelated => "CON-02",
            Self::WatermarkNeeded => "CON-03",
            Self::WatermarkMissing(_) => "ENV-12",
            Self::UrisNeeded(_) => "SCO-13",
            Self::CredentialNeeded | Self::CredentialIllFormed(_) => "SEC-06",
            Self::CredentialRejected(_) => "SEC-07",
            Self::CredentialUnverifiable(_) => "SEC-13",
            Self::CredentialOfAnother(_) => "SEC-08",
            Self::CredentialExpired => "SEC-14",
            Self::CertificateNeeded(_) => "SEC-39",
            Self::Signature(refusal) => refusal.requirement(),
            Self::Replayed(_) => "SEC-17",
            Self::OutsideWindow { .. } => "SEC-18",
            Self::NoReview => "CAP-09",
            Self::TargetFrozen { .. } => "FRZ-02",
            Self::ScopeFrozen(_) => "FRZ-03",
            Self::UnsafePath(_) | Self::RepeatedPath(_) => "OCC-08",
        }
    }

    /// What a program may want to know beyond the code: `extensions.mpac.duplicate` (D-022), `.holders` (LCK-03), `.limit` (SEC-37).
    pub fn extensions(&self) -> Option<Raw> {
        if let Self::StaleIntent { holders, .. } = self {
            let holders: alloc::vec::Vec<_> = holders
                .iter()
                .map(|it| {
                    serde_json::json!({
                        "intent_id": it.intent.as_str(),
                        "principal_id": it.principal.as_str(),
                        "resources": it.resources,
                    })
                })
                .collect();
            return Raw::of(&serde_json::json!({ "mpac": { "holders": holders } })).ok();
        }
        if let Self::Limit(reached) = self {
            return reached.extensions();
        }
        if let Some(limit) = self.limit() {
            return Raw::of(&serde_json::json!({ "mpac": { "limit": limit } })).ok();
        }
        if let Self::IntentBackoff { retry_after } = self {
            return Raw::of(&BTreeMap::from([("retry_after_sec", retry_after)])).ok(); // BKO-05
        }
        let (field, value) = match self {
            Self::Duplicate { field, value } => (*field, value.as_str()),
            Self::DuplicateCommit(op) => ("op_id", op.as_str()),
            _ => return None,
        };
        Raw::of(&serde_json::json!({ "mpac": { "duplicate": { "field": field, "value": value } } })).ok()
    }

    /// The option whose value was reached or exceeded, where that is why (D-134).
    pub const fn limit(&self) -> Option<&'static str> {
        Some(match self {
            Self::Malformed(DecodeError::TooLarge { .. }) => "max_bytes",
            Self::Malformed(DecodeError::TooDeep { .. }) => "max_depth",
            Self::Malformed(DecodeError::TooMany { .. }) => "max_entries",
            Self::ScopeEntryTooLong { .. } => "max_entry_bytes",
            Self::BatchSize { count, .. } if *count > 0 => "max_batch",
            Self::TooManyObserved { .. } => "max_observed",
            Self::TooManyDeclared { .. } => "max_declared",
            Self::Limit(reached) => reached.option(),
            _ => return None,
        })
    }
}
