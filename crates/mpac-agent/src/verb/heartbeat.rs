//! `heartbeat`: says what is done under this name, and stays if it is asked to.

use std::fmt::Write as _;

use mpac_wire::names::HeartbeatStatus;
use serde_json::{Value, json};

use super::ending::unless_interrupted;
use super::looking::line;
use super::out::{Out, end_of, follow, interrupted};
use super::own::named;
use super::prolonging::{pause, prolong};
use super::watching::sentence;
use crate::agent::{Agent, Events, KnownIntent};
use crate::cli::heartbeat::Heartbeat;
use crate::error::AgentError;
use crate::report::one_line;

pub(super) async fn heartbeat(
    agent: &Agent,
    mut events: Events,
    asked: &Heartbeat,
    out: &mut Out,
) -> Result<(), AgentError> {
    let status = unless_interrupted(say(agent, asked)).await?;
    // Whoever reads the lines that come now may send either at once.
    let interrupted = interrupted();
    tell(agent, asked, &status, out).await?;
    if !asked.hold {
        let me = agent.me();
        out.note(&format!("without --hold the others see {me} as offline from now on; its intents stay"));
        return Ok(());
    }
    let (mut lost, mut ended) = (None, None);
    let end = async {
        tokio::select! {
            () = interrupted => {}
            error = keep_up(agent, asked) => ended = Some(error),
        }
    };
    follow(&mut events, end, |event| {
        out.event(&event, &sentence(&event));
        lost = end_of(&event);
        lost.is_none()
    })
    .await;
    lost.or(ended).map_or(Ok(()), Err)
}

/// What the options say, each in its message: the status that the others see.
async fn say(agent: &Agent, asked: &Heartbeat) -> Result<HeartbeatStatus, AgentError> {
    if let Some(intent) = &asked.intent {
        named(&agent.view().await?, intent)?;
    }
    if let Some((intent, ttl_sec)) = asked.intent.as_ref().zip(asked.ttl_sec) {
        prolong(agent, intent, ttl_sec).await?;
    }
    if let Some((model, status)) = asked.model.as_ref().zip(asked.model_status.clone()) {
        agent.report_health(model, status, asked.model_detail.as_deref());
    }
    let status = asked.status.clone().unwrap_or(match asked.intent {
        Some(_) => HeartbeatStatus::Working,
        None => HeartbeatStatus::Idle,
    });
    agent.heartbeat_now(status.clone(), asked.intent.clone()).await?;
    Ok(status)
}

/// Prolongs the intent again and again, until that fails.
async fn keep_up(agent: &Agent, asked: &Heartbeat) -> AgentError {
    let Some((intent, ttl_sec)) = asked.intent.as_ref().zip(asked.ttl_sec) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(pause(ttl_sec)).await;
        if let Err(error) = prolong(agent, intent, ttl_sec).await {
            return error;
        }
    }
}

/// What was said, and what the session knows of this name by now.
async fn tell(
    agent: &Agent,
    asked: &Heartbeat,
    status: &HeartbeatStatus,
    out: &mut Out,
) -> Result<(), AgentError> {
    let view = agent.view().await?;
    let (interval_sec, wants_health) = agent.rhythm().await?;
    let own: Vec<&KnownIntent> = view.intents.iter().filter(|intent| intent.own).collect();
    let on = asked.intent.as_ref().map_or(String::new(), |intent| format!(" on {intent}"));
    let mut text = one_line(&format!("{} is {status}{on}", view.me));
    if asked.hold {
        let _ = write!(text, ", until Ctrl-C, with a heartbeat every {interval_sec} s");
    }
    match (&asked.model, &asked.model_status) {
        (Some(model), Some(status)) if wants_health => {
            let _ = write!(text, "\n{}", one_line(&format!("{model} is {status}")));
        }
        (Some(_), _) => {
            text.push_str("\nthis session does not want to know how models are, so that was not said")
        }
        _ => {}
    }
    for intent in &own {
        let left = intent.expires_in_sec.map_or(String::new(), |left| format!(", {left:.0} s left"));
        let _ = write!(text, "\n  {}{left}", line(intent));
    }
    if own.is_empty() {
        text.push_str("\nno live intents of this name");
    }
    let model = |model: &String| -> Value {
        json!({
            "model_id": model, "provider_status": asked.model_status, "status_detail": asked.model_detail,
            "told": wants_health,
        })
    };
    out.done(
        &text,
        json!({
            "principal_id": view.me, "status": status, "active_intent_id": asked.intent,
            "backend_health": asked.model.as_ref().map(model), "heartbeat_interval_sec": interval_sec,
            "is_complete": view.is_complete, "intents": own,
        }),
    );
    Ok(())
}
