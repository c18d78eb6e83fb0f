//! What the calls to the model show of its health, for HEARTBEAT's `backend_health` (BHM-01).
//!
//! Nobody else is asked: a call that is answered shows a model that works, one that has to be repeated one that does not quite.
//! That it is down is said when a task has failed by it and its intent is withdrawn: said before, it would suspend the intent
//! instead (BHM-05).

use mpac_wire::names::ProviderStatus;

use crate::brain::{BrainError, Note};

/// How the model is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) status: ProviderStatus,
    pub(super) detail: Option<String>,
}

impl Shown {
    /// An answer came, usable or not.
    pub(super) const WELL: Self = Self { status: ProviderStatus::Operational, detail: None };

    /// By what is said while it is asked.
    pub(super) fn by(note: &Note) -> Option<Self> {
        match note {
            Note::Used(_) => Some(Self::WELL),
            Note::Retrying { why, .. } => {
                Some(Self { status: ProviderStatus::Degraded, detail: Some(why.clone()) })
            }
            _ => None,
        }
    }

    /// By why there is no answer; `None` when that tells nothing about the model: a budget, our own request, our key.
    pub(super) fn by_failure(error: &BrainError) -> Option<Self> {
        let ill = |status| Some(Self { status, detail: Some(error.to_string()) });
        match error {
            BrainError::Unreachable { .. } | BrainError::TooSlow(_) | BrainError::Broken(_) => {
                ill(ProviderStatus::Down)
            }
            BrainError::Refused { status: 500.., .. } => ill(ProviderStatus::Down),
            // It works, and has no time for us.
            BrainError::Refused { status: 429, .. } => ill(ProviderStatus::Degraded),
            BrainError::Unusable(_)
            | BrainError::Misfit(_)
            | BrainError::CutOff(_)
            | BrainError::Declined => Some(Self::WELL),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_tells_about_the_model_counts() {
        let of = |error: BrainError| Shown::by_failure(&error).map(|shown| shown.status);
        let refused = |status| BrainError::Refused { status, message: "m".to_owned() };
        for (error, status) in [
            (refused(529), Some(ProviderStatus::Down)),
            (refused(500), Some(ProviderStatus::Down)),
            (refused(429), Some(ProviderStatus::Degraded)),
            (refused(401), None),
            (BrainError::TooSlow(1), Some(ProviderStatus::Down)),
            (BrainError::OverBudget("b".to_owned()), None),
            (BrainError::Unusable("u".to_owned()), Some(ProviderStatus::Operational)),
        ] {
            assert_eq!(of(error.clone()), status, "{error}");
        }
        let retrying =
            Note::Retrying { why: "the Messages API answered 529".to_owned(), wait: Duration::ZERO };
        let shown = Shown::by(&retrying).unwrap();
        assert_eq!(shown.status, ProviderStatus::Degraded);
        assert_eq!(shown.detail.as_deref(), Some("the Messages API answered 529"));
        assert_eq!(Shown::by(&Note::Began), None);
    }
}
