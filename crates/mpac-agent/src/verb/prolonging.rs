//! Own intents that live on as long as somebody stays with them (INT-12).

use std::time::Duration;

use mpac_wire::IntentId;

use crate::agent::{Agent, Update};
use crate::error::AgentError;

/// When an intent is prolonged: after two thirds of its time, so that a message that is late does not cost it.
pub(super) fn pause(ttl_sec: u32) -> Duration {
    Duration::from_secs(ttl_sec.into()) * 2 / 3
}

/// Its time, counted from now.
///
/// # Errors
/// As [`Agent::update_intent`]; a break is waited out.
pub(super) async fn prolong(agent: &Agent, intent: &IntentId, ttl_sec: u32) -> Result<(), AgentError> {
    let update = || Update { ttl_sec: Some(ttl_sec), ..Update::default() };
    loop {
        match agent.update_intent(intent, update()).await {
            // A break came between; to prolong it twice is no harm.
            Err(AgentError::Unsettled { .. }) => {}
            done => return done.map(drop),
        }
    }
}

/// Prolongs it again and again. Where that fails it is tried a few times more, for the reason may pass; `failed` is the last
/// one, if nothing has come of it since. That the intent is over is for others to tell.
pub(super) async fn keep_alive(
    agent: &Agent,
    intent: &IntentId,
    ttl_sec: u32,
    failed: &mut Option<AgentError>,
) {
    let mut wait = pause(ttl_sec);
    loop {
        tokio::time::sleep(wait).await;
        *failed = prolong(agent, intent, ttl_sec).await.err();
        wait = if failed.is_none() { pause(ttl_sec) } else { pause(ttl_sec) / 8 };
    }
}
