//! Verbs about others: conflicts, claims, deferrals.

use std::time::Duration;

use mpac_wire::Scope;
use serde_json::json;

use super::out::Out;
use crate::agent::{Agent, Event, Events, Verdict};
use crate::cli::verb::{Ack, Claim, Defer, Escalate, Report, Resolve};
use crate::error::AgentError;

pub(super) async fn ack(agent: &Agent, asked: &Ack, out: &mut Out) -> Result<(), AgentError> {
    agent.ack_conflict(&asked.conflict, asked.how.clone()).await?;
    let text = format!("{} is acknowledged as {}", asked.conflict, asked.how);
    out.done(&text, json!({"conflict_id": asked.conflict, "ack_type": asked.how}));
    Ok(())
}

pub(super) async fn escalate(agent: &Agent, asked: &Escalate, out: &mut Out) -> Result<(), AgentError> {
    agent.escalate_conflict(&asked.conflict, &asked.to, &asked.reason).await?;
    let text = format!("{} is with {} now", asked.conflict, asked.to);
    out.done(&text, json!({"conflict_id": asked.conflict, "escalate_to": asked.to}));
    Ok(())
}

pub(super) async fn resolve(agent: &Agent, asked: &Resolve, out: &mut Out) -> Result<(), AgentError> {
    let mut verdict = Verdict::of(asked.decision.clone());
    verdict.rationale.clone_from(&asked.rationale);
    verdict.accepted.clone_from(&asked.accepted);
    verdict.rejected.clone_from(&asked.rejected);
    verdict.rollback.clone_from(&asked.rollback);
    agent.resolve_conflict(&asked.conflict, verdict).await?;
    let text = format!("{} is settled: {}", asked.conflict, asked.decision);
    out.done(&text, json!({"conflict_id": asked.conflict, "decision": asked.decision}));
    Ok(())
}

pub(super) async fn report(agent: &Agent, asked: &Report, out: &mut Out) -> Result<(), AgentError> {
    let mut report = crate::agent::Report::of(&asked.description, asked.intents.iter().cloned());
    report.severity = asked.severity.clone();
    let conflict = agent.report_conflict(report).await?;
    out.done(&format!("reported as {conflict}"), json!({ "conflict_id": conflict }));
    Ok(())
}

pub(super) async fn claim(agent: &Agent, asked: &Claim, out: &mut Out) -> Result<(), AgentError> {
    let mut claim = crate::agent::Claim::of(asked.intent.clone());
    claim.owner.clone_from(&asked.owner);
    claim.scope = (!asked.files.is_empty()).then(|| Scope::files(asked.files.iter().cloned()));
    claim.objective.clone_from(&asked.objective);
    claim.justification.clone_from(&asked.justification);
    claim.patience = Duration::from_secs(asked.wait_sec.into());
    out.note(&format!("claiming {}; the decision may take a while", asked.intent));
    let intent = agent.claim_intent(claim).await?;
    let text = format!("{} goes on as {intent}", asked.intent);
    out.done(&text, json!({"claimed_intent_id": asked.intent, "intent_id": intent}));
    Ok(())
}

/// A deferral ends with its process, so it is waited for.
pub(super) async fn defer(
    agent: &Agent,
    mut events: Events,
    asked: &Defer,
    out: &mut Out,
) -> Result<(), AgentError> {
    let holders = agent.in_the_way(&Scope::files(asked.files.iter().cloned())).await?;
    if holders.is_empty() {
        out.done("nobody works there", json!({"holders": [], "ended": "nobody_there"}));
        return Ok(());
    }
    let names: Vec<&str> = holders.iter().map(|it| it.principal.as_str()).collect();
    let mut defer = crate::agent::Defer::files(asked.files.iter().cloned());
    (defer.ttl_sec, defer.reason) = (asked.ttl_sec, asked.reason.clone());
    defer.holders.clone_from(&holders);
    let deferral = agent.defer(defer).await?;
    out.note(&format!("stepped back for {}; waiting for the end of that", names.join(", ")));
    let ended = events.find(|event| match event {
        Event::DeferralEnded { deferral_id, status, .. } => {
            (deferral_id.as_ref() == Some(&deferral)).then_some(status)
        }
        Event::Disconnected { .. } | Event::SessionClosed { .. } => Some("lost".to_owned()),
        _ => None,
    });
    // The coordinator's clock ends it; ours is for a word that was lost.
    let limit = Duration::from_secs(u64::from(asked.ttl_sec) + 5);
    let gave_up =
        || AgentError::GaveUp { what: "the files to be free".to_owned(), seconds: asked.ttl_sec.into() };
    let ended = tokio::time::timeout(limit, ended).await.map_err(|_| gave_up())?;
    match ended.as_deref() {
        Some("resolved") => {
            out.done("the files are free", json!({"deferral_id": deferral, "ended": "resolved"}));
            Ok(())
        }
        Some("lost") | None => Err(AgentError::Lost("it ended while waiting".to_owned())),
        Some(_) => Err(gave_up()),
    }
}
