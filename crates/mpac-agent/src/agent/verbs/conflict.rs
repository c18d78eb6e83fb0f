//! Conflicts: report, acknowledge, escalate, resolve.

use mpac_wire::names::{AckType, BasisKind, ConflictCategory, Decision, Severity};
use mpac_wire::payload::conflict::{
    Basis, ConflictAck, ConflictEscalate, ConflictReport, Outcome, Resolution,
};
use mpac_wire::{ConflictId, IntentId, OpId, PrincipalId, ResolutionId, Watermark};

use crate::agent::Agent;
use crate::error::AgentError;

/// A conflict that nobody else has seen.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// What kind.
    pub category: ConflictCategory,
    /// How bad.
    pub severity: Severity,
    /// In words.
    pub description: String,
    /// The intents in it; one or more of these or of `ops` (CON-02).
    pub intents: Vec<IntentId>,
    /// The operations in it.
    pub ops: Vec<OpId>,
    /// By what it was found.
    pub basis: BasisKind,
    /// What might be done about it.
    pub suggested_action: Option<String>,
}

impl Report {
    /// Two intents whose goals do not go together, as far as somebody sees.
    #[must_use]
    pub fn of(description: &str, intents: impl IntoIterator<Item = IntentId>) -> Self {
        Self {
            category: ConflictCategory::SemanticGoalConflict,
            severity: Severity::Medium,
            description: description.to_owned(),
            intents: intents.into_iter().collect(),
            ops: Vec::new(),
            basis: BasisKind::HumanReport,
            suggested_action: None,
        }
    }
}

/// How a conflict is to be settled. Ids are those of intents or operations in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verdict {
    /// What is decided.
    pub decision: Decision,
    /// Why.
    pub rationale: Option<String>,
    /// What goes on.
    pub accepted: Vec<String>,
    /// What does not: intents are withdrawn, operations rejected (GOV-06).
    pub rejected: Vec<String>,
    /// What was merged.
    pub merged: Vec<String>,
    /// How a committed operation that is rejected is to be undone; needed then (GOV-05).
    pub rollback: Option<String>,
}

impl Verdict {
    /// That, and no word about single intents.
    #[must_use]
    pub fn of(decision: Decision) -> Self {
        let (accepted, rejected, merged) = (Vec::new(), Vec::new(), Vec::new());
        Self { decision, rationale: None, accepted, rejected, merged, rollback: None }
    }
}

impl Agent {
    /// CONFLICT_REPORT by a participant (CON-04). The new conflict.
    ///
    /// Dropped before it is done it takes effect or not.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`]: INVALID_REFERENCE for an id that is not known there. [`AgentError::Withheld`] while
    /// messages may have been missed (LAM-18), [`AgentError::Unsettled`] after a break, [`AgentError::NoAnswer`],
    /// [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub async fn report_conflict(&self, report: Report) -> Result<ConflictId, AgentError> {
        let what = "the conflict report";
        let id: ConflictId =
            self.id("conflict", "").parse().expect("the text begins with `conflict-`, so it is not empty");
        let mut basis = Basis::new();
        basis.kind = Some(report.basis);
        let mut message = ConflictReport::new(id.clone(), report.category, report.severity);
        message.related_intents = Some(report.intents);
        message.related_ops = Some(report.ops);
        message.basis = Some(basis);
        message.based_on_watermark = Some(self.0.link.look(|it| Watermark::lamport(it.lamport())).await?);
        message.description = Some(report.description);
        message.suggested_action = report.suggested_action;
        // Python servers take it and pass it on to nobody, so that a missing echo says nothing.
        self.say(message, what).await?.not_refused(what)?;
        Ok(id)
    }

    /// CONFLICT_ACK: seen, accepted or disputed (CON-06, CON-20).
    ///
    /// A break is waited out, and it is said again: to acknowledge twice does no harm. Dropped before it is done it takes
    /// effect or not.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`] for a conflict that is not known there, or that is not ours; else as
    /// [`report_conflict`](Self::report_conflict).
    pub async fn ack_conflict(&self, conflict: &ConflictId, ack: AckType) -> Result<(), AgentError> {
        let what = format!("the acknowledgement of {conflict}");
        loop {
            match self.say(ConflictAck::new(conflict.clone(), ack.clone()), &what).await {
                Ok(reply) => return reply.accepted(&what),
                Err(AgentError::Unsettled { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// CONFLICT_ESCALATE to an owner or arbiter (CON-07, PAR-25), who answers with a RESOLUTION.
    ///
    /// Dropped before it is done it takes effect or not.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`] for a conflict or a principal that it may not be escalated to; else as
    /// [`report_conflict`](Self::report_conflict).
    pub async fn escalate_conflict(
        &self,
        conflict: &ConflictId,
        to: &PrincipalId,
        reason: &str,
    ) -> Result<(), AgentError> {
        let what = format!("the escalation of {conflict}");
        let message = ConflictEscalate::new(conflict.clone(), to.clone(), reason.to_owned());
        self.say(message, &what).await?.accepted(&what)
    }

    /// RESOLUTION of a conflict, or of a claim or a proposal that waits for approval, under their ids (D-084). It needs the
    /// authority: owner or arbiter, and once escalated whom it was escalated to (GOV-01, GOV-02).
    ///
    /// Dropped before it is done it takes effect or not.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`]: AUTHORIZATION_FAILED, RESOLUTION_CONFLICT when another came first (GOV-04),
    /// INVALID_REFERENCE, MALFORMED_MESSAGE without a rollback that is needed (GOV-05); else as
    /// [`report_conflict`](Self::report_conflict).
    pub async fn resolve_conflict(&self, conflict: &ConflictId, verdict: Verdict) -> Result<(), AgentError> {
        let what = format!("the resolution of {conflict}");
        let id: ResolutionId = self
            .id("resolution", "")
            .parse()
            .expect("the text begins with `resolution-`, so it is not empty");
        let mut message = Resolution::new(conflict.clone(), verdict.decision);
        message.resolution_id = Some(id);
        message.rationale = Some(verdict.rationale.unwrap_or_default());
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let mut outcome = Outcome::new();
        (outcome.accepted, outcome.rejected) = (some(verdict.accepted), some(verdict.rejected));
        (outcome.merged, outcome.rollback) = (some(verdict.merged), verdict.rollback);
        message.outcome = (outcome != Outcome::new()).then_some(outcome);
        self.say(message, &what).await?.accepted(&what)
    }
}
