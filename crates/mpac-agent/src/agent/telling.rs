//! From a message to the events that it is.

use mpac_core::participant::Compensation;
use mpac_wire::names::ErrorCode;
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::payload::{IntentDeferred, IntentUpdate, ProtocolError};
use mpac_wire::{Envelope, Message, PrincipalId};

use super::event::Event;

/// What a message tells. `coordinator`: it is the coordinator's own.
pub(super) fn events(envelope: &Envelope, message: &Message, coordinator: bool) -> Vec<Event> {
    let principal_id = envelope.sender.principal_id.clone();
    let one = match message.clone() {
        Message::IntentAnnounce(it) => Event::Announced {
            intent_id: it.intent_id,
            principal_id,
            objective: it.objective,
            files: it.scope.resources.unwrap_or_default(),
        },
        Message::IntentUpdate(it) => return vec![updated(it, principal_id, coordinator)],
        Message::IntentWithdraw(it) => {
            Event::Withdrawn { intent_id: it.intent_id, principal_id, reason: it.reason }
        }
        Message::IntentDeferred(it) => deferred(it),
        Message::IntentClaim(it) => {
            Event::Claimed { claim_id: it.claim_id, intent_id: it.original_intent_id, principal_id }
        }
        Message::IntentClaimStatus(it) if coordinator => Event::ClaimDecided {
            claim_id: it.claim_id,
            intent_id: it.original_intent_id,
            new_intent_id: it.new_intent_id,
            decision: it.decision.to_string(),
            reason: it.reason,
        },
        Message::OpPropose(it) => Event::Proposed {
            op_id: it.op_id,
            principal_id,
            path: it.target,
            intent_id: it.intent_id,
            summary: it.summary,
        },
        Message::CoordinatorStatus(it) if coordinator => {
            return it
                .authorized_op_id
                .map(|op_id| Event::Authorised { op_id, by: it.authorized_by })
                .into_iter()
                .collect();
        }
        Message::OpCommit(_) | Message::OpBatchCommit(_) => return committed(&principal_id, message),
        Message::OpSupersede(it) => Event::Superseded {
            op_id: it.op_id,
            supersedes_op_id: it.supersedes_op_id,
            principal_id,
            path: it.target,
        },
        Message::OpReject(it) => Event::Rejected { op_id: it.op_id, reason: it.reason.to_string() },
        Message::ConflictReport(it) => conflict(*it),
        Message::ConflictAck(it) => {
            Event::Acknowledged { conflict_id: it.conflict_id, principal_id, ack_type: it.ack_type }
        }
        Message::ConflictEscalate(it) => Event::Escalated {
            conflict_id: it.conflict_id,
            principal_id,
            escalate_to: it.escalate_to,
            reason: it.reason,
        },
        Message::Resolution(it) => Event::Resolved {
            conflict_id: it.conflict_id,
            principal_id,
            decision: it.decision.to_string(),
            rationale: it.rationale,
            rejected: it.outcome.and_then(|outcome| outcome.rejected).unwrap_or_default(),
        },
        Message::Goodbye(it) => Event::Left { principal_id, reason: it.reason.to_string() },
        Message::ProtocolError(it) if coordinator => return vec![error(it)],
        _ => return Vec::new(),
    };
    vec![one]
}

fn updated(it: IntentUpdate, principal_id: PrincipalId, coordinator: bool) -> Event {
    if coordinator {
        // D-051; Python servers say it in the objective alone.
        let stated = it.extensions.as_ref().and_then(|raw| raw.read::<serde_json::Value>().ok());
        let state = stated.as_ref().and_then(|it| it.get("mpac")?.get("state")?.as_str());
        let suspended = match state {
            Some(state) => state == "SUSPENDED",
            None => it.objective.as_ref().is_some_and(|text| text.starts_with("[SUSPENDED")),
        };
        return Event::Standing { intent_id: it.intent_id, suspended };
    }
    let files = it.scope.map(|scope| scope.resources.unwrap_or_default());
    Event::Updated { intent_id: it.intent_id, principal_id, objective: it.objective, files }
}

fn deferred(it: IntentDeferred) -> Event {
    match it.status {
        Some(status) => Event::DeferralEnded {
            deferral_id: it.deferral_id,
            status: status.to_string(),
            reason: it.reason,
        },
        None => Event::Deferred {
            deferral_id: it.deferral_id,
            principal_id: it.principal_id,
            files: it.scope.and_then(|scope| scope.resources).unwrap_or_default(),
            reason: it.reason,
            expires_at: it.expires_at.map(|at| at.as_str().to_owned()),
        },
    }
}

fn committed(principal_id: &PrincipalId, message: &Message) -> Vec<Event> {
    match message.clone() {
        Message::OpCommit(it) => vec![Event::Committed {
            op_id: it.op_id,
            principal_id: principal_id.clone(),
            path: it.target,
            intent_id: it.intent_id,
            batch_id: None,
            state_ref_before: it.state_ref_before,
            state_ref_after: it.state_ref_after,
            summary: it.summary,
        }],
        Message::OpBatchCommit(batch) => {
            let (intent_id, batch_id) = (batch.intent_id, batch.batch_id);
            let of = |it: mpac_wire::payload::BatchEntry| Event::Committed {
                op_id: it.op_id,
                principal_id: principal_id.clone(),
                path: it.target,
                intent_id: intent_id.clone(),
                batch_id: Some(batch_id.clone()),
                state_ref_before: it.state_ref_before,
                state_ref_after: it.state_ref_after,
                summary: it.summary,
            };
            batch.operations.into_iter().map(of).collect()
        }
        _ => Vec::new(),
    }
}

/// The same for a report that came and for one that a summary lists.
pub(super) fn conflict(it: ConflictReport) -> Event {
    let mut principals = it.involved_principals.unwrap_or_default();
    let mut intents = it.related_intents.unwrap_or_default();
    for who in it.principal_a.into_iter().chain(it.principal_b) {
        if !principals.contains(&who) {
            principals.push(who);
        }
    }
    for intent in it.intent_a.into_iter().chain(it.intent_b) {
        if !intents.contains(&intent) {
            intents.push(intent);
        }
    }
    Event::Conflict {
        conflict_id: it.conflict_id,
        category: it.category,
        severity: it.severity,
        principals,
        intents,
        description: it.description,
    }
}

pub(super) fn compensations(wanted: &Compensation) -> Vec<Event> {
    let one = wanted.reversals.iter().cloned().map(|it| Event::Compensation {
        op_id: it.op_id,
        reverses_op_id: it.reverses,
        path: it.target,
        state_ref_before: it.before,
        state_ref_after: it.after,
    });
    one.collect()
}

fn error(it: ProtocolError) -> Event {
    if it.error_code == ErrorCode::ParticipantUnavailable {
        // Python coordinators put the principal into `refers_to`.
        let named = it.affected_principal.or_else(|| PrincipalId::new(it.refers_to.as_deref()?).ok());
        if let Some(principal_id) = named {
            return Event::Left { principal_id, reason: "unavailable".to_owned() };
        }
    }
    Event::Warning { code: it.error_code.to_string(), description: it.description }
}
