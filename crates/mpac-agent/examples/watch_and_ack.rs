//! A bot that stays in a session, tells what happens, and acknowledges the conflicts that concern it.
//!
//! ```sh
//! cargo run -p mpac-agent --example watch_and_ack -- ws://127.0.0.1:8766 money.py
//! ```

use mpac_agent::agent::{Agent, Announce, ConnectOptions, Event};
use mpac_agent::error::AgentError;
use mpac_wire::names::AckType;

/// Keeps an eye on `files` until the session ends or `acks` conflicts were acknowledged; how many were.
pub(crate) async fn watch(url: &str, files: &[String], acks: usize) -> Result<usize, AgentError> {
    let (agent, mut events) = Agent::connect(ConnectOptions::new(url, "Watcher")).await?;
    let announced = agent.announce(Announce::files("keeps an eye on them", files)).await?;
    let mut acknowledged = 0;
    while acknowledged < acks {
        let Some(event) = events.next().await else { return Ok(acknowledged) };
        match event {
            Event::Conflict { conflict_id, intents, description, .. }
                if intents.contains(&announced.intent) =>
            {
                println!("conflict {conflict_id}: {}", description.unwrap_or_default());
                agent.ack_conflict(&conflict_id, AckType::Seen).await?;
                acknowledged += 1;
            }
            // Too slow for a moment: what is still open is in the view.
            Event::Lagged { .. } => {
                for conflict in agent.view().await?.conflicts.into_iter().filter(|it| it.unacknowledged) {
                    agent.ack_conflict(&conflict.conflict_id, AckType::Seen).await?;
                    acknowledged += 1;
                }
            }
            Event::Committed { principal_id, path, summary, .. } => {
                println!("{principal_id} changed {path}: {}", summary.unwrap_or_default());
            }
            _ => {}
        }
    }
    agent.leave(Default::default()).await?;
    Ok(acknowledged)
}

#[tokio::main]
async fn main() -> Result<(), AgentError> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:8766".to_owned());
    let files: Vec<String> = arguments.collect();
    watch(&url, &files, usize::MAX).await.map(drop)
}
