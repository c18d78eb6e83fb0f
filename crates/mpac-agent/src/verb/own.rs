//! The own intents that a verb may name, or work under.

use mpac_wire::IntentId;

use crate::agent::{Agent, KnownIntent, Snapshot};
use crate::error::AgentError;

/// What is known of this intent of ours; nothing where the server does not tell what was there before.
///
/// # Errors
/// [`AgentError::Usage`] for one that is another's, over, or was never there: heartbeats do not name it (LIV-19), and a commit
/// under it would pass by whoever holds the files, for coordinators take one under any intent (D-093).
pub(super) fn named<'a>(
    view: &'a Snapshot,
    intent: &IntentId,
) -> Result<Option<&'a KnownIntent>, AgentError> {
    match view.intents.iter().find(|it| it.intent_id == *intent) {
        Some(known) if known.own => Ok(Some(known)),
        None if !view.is_complete => Ok(None),
        _ => Err(AgentError::Usage(format!(
            "{intent} is no live intent of {}; `who` shows those that there are",
            view.me
        ))),
    }
}

/// The intent to commit these files under: the one that is `given`, else one that covers all of them; `None` where there is
/// no such. One that covers some of them is in the way: from level 0.1.15 on another would take its place (LCK-06).
pub(super) async fn covering(
    agent: &Agent,
    given: Option<&IntentId>,
    files: &[String],
) -> Result<Option<IntentId>, AgentError> {
    let view = agent.view().await?;
    if let Some(intent) = given {
        // What a scope of another kind covers is for the coordinator to say.
        let known = named(&view, intent)?.filter(|it| !it.files().is_empty());
        if let Some(file) = known.and_then(|it| files.iter().find(|file| !it.covers(file))) {
            return Err(AgentError::Usage(format!(
                "{intent} does not cover {file}; make it cover that (`update`), or leave --intent out"
            )));
        }
        return Ok(Some(intent.clone()));
    }
    match view.own_on(files).next() {
        None => Ok(None),
        Some((intent, covered)) if covered == files.len() => Ok(Some(intent.intent_id.clone())),
        Some((intent, _)) => Err(AgentError::Usage(format!(
            "intent {} of this name covers some of these files; make it cover all (`update`), end it (`withdraw`), or name another with --intent",
            intent.intent_id
        ))),
    }
}
