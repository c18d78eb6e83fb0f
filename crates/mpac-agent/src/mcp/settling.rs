//! Tools about others: conflicts and deferrals.

use mpac_wire::names::{AckType, Decision};
use mpac_wire::{ConflictId, PrincipalId, Scope};
use serde_json::json;

use super::acting::id;
use super::answer::{Answer, names};
use super::bridge::Bridge;
use super::input::{Ack, AckConflict, Defer, EscalateConflict, ResolveConflict};
use super::looking::named;
use crate::agent::{self, Verdict};
use crate::error::AgentError;
use crate::report::one_line;

pub(super) async fn ack_conflict(bridge: &Bridge, asked: AckConflict) -> Result<Answer, AgentError> {
    let conflict: ConflictId = id(&asked.conflict_id, "conflict_id")?;
    let ack = AckType::from(asked.ack.unwrap_or(Ack::Seen));
    bridge.agent().await?.ack_conflict(&conflict, ack.clone()).await?;
    let text = format!("{conflict} is acknowledged as {ack}.");
    Ok(Answer::done(text, json!({"conflict_id": conflict, "ack_type": ack})))
}

pub(super) async fn escalate_conflict(
    bridge: &Bridge,
    asked: EscalateConflict,
) -> Result<Answer, AgentError> {
    let conflict: ConflictId = id(&asked.conflict_id, "conflict_id")?;
    let to: PrincipalId = id(&asked.to, "to")?;
    bridge.agent().await?.escalate_conflict(&conflict, &to, &asked.reason).await?;
    let text = format!("{conflict} is with {to} now; wait_for_change tells when it is settled.");
    Ok(Answer::done(text, json!({"conflict_id": conflict, "escalated_to": to})))
}

pub(super) async fn resolve_conflict(bridge: &Bridge, asked: ResolveConflict) -> Result<Answer, AgentError> {
    let conflict: ConflictId = id(&asked.conflict_id, "conflict_id")?;
    let decision = Decision::from(asked.decision);
    let mut verdict = Verdict::of(decision.clone());
    (verdict.rationale, verdict.rollback) = (asked.rationale, asked.rollback);
    (verdict.accepted, verdict.rejected) = (asked.accepted, asked.rejected);
    bridge.agent().await?.resolve_conflict(&conflict, verdict).await?;
    let text = format!("{conflict} is settled: {decision}.");
    Ok(Answer::done(text, json!({"conflict_id": conflict, "decision": decision})))
}

pub(super) async fn defer(bridge: &Bridge, asked: Defer) -> Result<Answer, AgentError> {
    let files = named(asked.files)?;
    let agent = bridge.agent().await?;
    let holders = agent.in_the_way(&Scope::files(files.iter().cloned())).await?;
    if holders.is_empty() {
        let text = format!(
            "Nobody else works on {}, so there is nobody to defer to: call begin_task.",
            files.join(", ")
        );
        return Ok(Answer::done(text, json!({"deferral_id": null, "holders": []})));
    }
    let names = names(&holders);
    let mut defer = agent::Defer::files(files.iter().cloned());
    if let Some(reason) = asked.reason {
        defer.reason = reason;
    }
    if let Some(ttl) = asked.ttl_sec.filter(|ttl| *ttl > 0) {
        defer.ttl_sec = ttl;
    }
    defer.holders.clone_from(&holders);
    let ttl = defer.ttl_sec;
    let deferral = agent.defer(defer).await?;
    let text = format!(
        "You stepped back from {} for {}, for at most {ttl} s. Next step: wait_for_change with until=\"free\" and these files.",
        files.join(", "),
        one_line(&names.join(", "))
    );
    Ok(Answer::done(text, json!({"deferral_id": deferral, "ttl_sec": ttl, "holders": names})))
}
