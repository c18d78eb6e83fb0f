//! `watch`: what happens, as it happens, in sentences.

use std::time::Duration;

use serde_json::Value;

use super::out::{Out, end_of, follow, interrupted};
use crate::agent::{Event, Events};
use crate::cli::verb::Watch;
use crate::error::AgentError;
use crate::report::{count, one_line, to_undo};

pub(super) async fn watch(mut events: Events, asked: &Watch, out: &mut Out) -> Result<(), AgentError> {
    let end = async {
        match asked.for_sec {
            Some(seconds) => {
                let over = tokio::time::sleep(Duration::from_secs(seconds.into()));
                tokio::select! { () = over => {}, () = interrupted() => {} }
            }
            None => interrupted().await,
        }
    };
    let mut left = asked.count;
    let mut ended = None;
    follow(&mut events, end, |event| {
        if is_wanted(&event, &asked.only) {
            out.event(&event, &sentence(&event));
            left = left.map(|left| left - 1);
        }
        if let Some(end) = end_of(&event) {
            ended = Some(end);
        }
        left != Some(0) && out.goes_on()
    })
    .await;
    match ended {
        Some(error) if left != Some(0) => Err(error),
        _ => Ok(()),
    }
}

fn is_wanted(event: &Event, only: &[String]) -> bool {
    only.is_empty() || kind(event).is_some_and(|kind| only.contains(&kind))
}

/// `event` of its JSON.
fn kind(event: &Event) -> Option<String> {
    match serde_json::to_value(event).ok()?.get("event")? {
        Value::String(kind) => Some(kind.clone()),
        _ => None,
    }
}

/// An event in words, on one line whatever is in them.
pub(crate) fn sentence(event: &Event) -> String {
    one_line(&words(event))
}

fn words(event: &Event) -> String {
    let tail = |text: &Option<String>| text.as_ref().map_or(String::new(), |text| format!(": {text}"));
    match event {
        Event::Joined { principal_id } => format!("{principal_id} is here"),
        Event::Left { principal_id, reason } => format!("{principal_id} left ({reason})"),
        Event::Announced { intent_id, principal_id, objective, files } => {
            format!("{principal_id} announced {intent_id}: {objective} [{}]", files.join(", "))
        }
        Event::Updated { intent_id, principal_id, objective, .. } => {
            format!("{principal_id} changed {intent_id}{}", tail(objective))
        }
        Event::Standing { intent_id, suspended: true } => {
            format!("{intent_id} is suspended and can be claimed")
        }
        Event::Standing { intent_id, .. } => format!("{intent_id} is back"),
        Event::Withdrawn { intent_id, principal_id, reason } => {
            format!("{principal_id} ended {intent_id}{}", tail(reason))
        }
        Event::OwnIntentEnded { intent_id, .. } => format!("our intent {intent_id} is over"),
        Event::Deferred { principal_id, files, reason, .. } => {
            let who = principal_id.as_ref().map_or("somebody", |who| who.as_str());
            format!("{who} stepped back from [{}]{}", files.join(", "), tail(reason))
        }
        Event::DeferralEnded { status, reason, .. } => format!("a deferral is {status}{}", tail(reason)),
        Event::Claimed { intent_id, principal_id, .. } => {
            format!("{principal_id} would take over {intent_id}")
        }
        Event::ClaimDecided { intent_id, decision, reason, .. } => {
            format!("the claim on {intent_id} is {decision}{}", tail(reason))
        }
        Event::Proposed { op_id, principal_id, path, summary, .. } => {
            format!("{principal_id} proposed {op_id} for {path}{}", tail(summary))
        }
        Event::Authorised { op_id, .. } => format!("{op_id} may be carried out"),
        Event::Committed { op_id, principal_id, path, summary, .. } => {
            format!("{principal_id} committed {path} ({op_id}){}", tail(summary))
        }
        Event::Superseded { supersedes_op_id, principal_id, path, .. } => {
            format!("{principal_id} replaced {supersedes_op_id} in {path}")
        }
        Event::Rejected { op_id, reason } => format!("{op_id} was rejected: {reason}"),
        Event::FileUpdated { path, state_ref, .. } => format!("{path} is at {state_ref}"),
        _ => about_conflicts(event),
    }
}

fn about_conflicts(event: &Event) -> String {
    match event {
        Event::Conflict { conflict_id, category, severity, principals, description, .. } => {
            let names: Vec<&str> = principals.iter().map(|who| who.as_str()).collect();
            let words = description.as_ref().map_or(String::new(), |words| format!(": {words}"));
            format!("conflict {conflict_id} ({category}, {severity}) of {}{words}", names.join(" and "))
        }
        Event::Acknowledged { conflict_id, principal_id, ack_type } => {
            format!("{principal_id} acknowledged {conflict_id} ({ack_type})")
        }
        Event::Escalated { conflict_id, principal_id, escalate_to, reason } => {
            format!("{principal_id} escalated {conflict_id} to {escalate_to}: {reason}")
        }
        Event::Resolved { conflict_id, principal_id, decision, rationale, .. } => {
            let why = rationale.as_ref().filter(|why| !why.is_empty());
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            format!("{principal_id} settled {conflict_id}: {decision}{why}")
        }
        Event::Compensation { op_id, reverses_op_id, path, state_ref_after, .. } => {
            to_undo(reverses_op_id, path, (state_ref_after, op_id))
        }
        Event::Warning { code, description } => format!("the coordinator says {code}: {description}"),
        Event::Trust { description, .. } => description.clone(),
        Event::ConnectionLost { why, retrying_for_sec } => {
            format!("connection lost ({why}); trying again for {retrying_for_sec} s")
        }
        Event::ConnectionBack { after_sec } => format!("back after {after_sec:.1} s"),
        Event::CoordinatorSilent { for_sec } => format!("the coordinator has been silent for {for_sec} s"),
        Event::CoordinatorBack => "the coordinator is heard of again".to_owned(),
        Event::Used { calls, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, .. } => {
            let read = input_tokens.saturating_add(*cache_read_tokens).saturating_add(*cache_write_tokens);
            format!("{}: {read} tokens in, {output_tokens} out", count(*calls as usize, "call"))
        }
        Event::SessionClosed { reason } => format!("the session is closed ({reason})"),
        Event::Disconnected { why } => format!("disconnected: {why}"),
        Event::Lagged { lost } => format!("{lost} events were lost"),
        other => format!("{other:?}"),
    }
}
