//! The tool that waits.

use std::time::Duration;

use mpac_wire::Scope;
use serde_json::json;
use tokio::time::Instant;

use super::answer::{Answer, all_held, names};
use super::bridge::Bridge;
use super::input::{Until, WaitForChange};
use super::looking::named;
use super::recent::Since;
use super::wanted::Wanted;
use crate::agent::Agent;
use crate::error::AgentError;

/// By default: hosts give tools about a minute.
const WAIT_SEC: u32 = 30;
const MOST_SEC: u32 = 600;
/// How often is looked whether somebody's task has expired, of which nobody may tell in time.
const GLANCE: Duration = Duration::from_secs(1);

pub(super) async fn wait_for_change(bridge: &Bridge, asked: WaitForChange) -> Result<Answer, AgentError> {
    let agent = bridge.agent().await?;
    let end =
        Instant::now() + Duration::from_secs(asked.timeout_sec.unwrap_or(WAIT_SEC).clamp(1, MOST_SEC).into());
    match asked.until {
        Until::Change => change(bridge, &asked, end).await,
        Until::Free => {
            let files = named(asked.files.clone())?;
            free(bridge, &agent, files, end).await
        }
    }
}

async fn change(bridge: &Bridge, asked: &WaitForChange, end: Instant) -> Result<Answer, AgentError> {
    let mut news = bridge.recent.news();
    let wanted = Wanted::about(&asked.files);
    loop {
        news.mark_unchanged();
        let since = bridge.recent.since(asked.after, &wanted);
        let is_over = Instant::now() >= end;
        if !since.events.lines.is_empty() || since.has_gap || is_over {
            bridge.recent.tell(&since, &wanted);
            return Ok(told(&since, asked));
        }
        // Whichever comes first; then it is looked again.
        let _ = tokio::time::timeout_at(end, news.changed()).await;
    }
}

fn told(since: &Since, asked: &WaitForChange) -> Answer {
    let mut text = since.events.lines.join("\n");
    let left = since.events.left;
    if left > 0 {
        text.push_str(&format!("\n{left} more events are not told yet: call it again for the next."));
    }
    if since.has_gap {
        text.push_str("\nMore has happened than is kept: look at who_is_working and get_file_state.");
    }
    let timed_out = since.events.lines.is_empty() && !since.has_gap;
    if timed_out {
        let what =
            if asked.files.is_empty() { String::new() } else { format!(" about {}", asked.files.join(", ")) };
        text = format!("Nothing has happened{what} in that time. Call it again to go on waiting.");
    }
    let value = json!({
        "timed_out": timed_out, "events": since.events.values, "more": left > 0, "cursor": since.cursor,
        "has_gap": since.has_gap,
    });
    Answer::done(text.trim_start(), value)
}

async fn free(
    bridge: &Bridge,
    agent: &Agent,
    files: Vec<String>,
    end: Instant,
) -> Result<Answer, AgentError> {
    let mut news = bridge.recent.news();
    let scope = Scope::files(files.iter().cloned());
    loop {
        news.mark_unchanged();
        let holders = agent.in_the_way(&scope).await?;
        if holders.is_empty() {
            let text = format!(
                "Nobody else works on {} now. Read it anew with get_file_state, and call begin_task before somebody else does.",
                files.join(", ")
            );
            return Ok(Answer::done(text, json!({"timed_out": false, "is_free": true, "files": files})));
        }
        let now = Instant::now();
        if now >= end {
            let view = agent.view().await?;
            let text = format!(
                "It is not free yet:{}\nNext step: call it again to go on waiting, or choose other files.",
                all_held(&holders, Some(&view)).text("Held by ")
            );
            let names = names(&holders);
            let value = json!({"timed_out": true, "is_free": false, "files": files, "holders": names});
            return Ok(Answer::done(text, value));
        }
        let _ = tokio::time::timeout_at(end.min(now + GLANCE), news.changed()).await;
    }
}
