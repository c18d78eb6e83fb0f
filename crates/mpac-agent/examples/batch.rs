//! Renames a word in several files, all of them or none, and does it again when somebody was faster.
//!
//! ```sh
//! cargo run -p mpac-agent --example batch -- ws://127.0.0.1:8766 total sum a.py b.py
//! ```

use mpac_agent::agent::{Agent, Announce, Batch, BatchOutcome, ConnectOptions, Edit};
use mpac_agent::error::AgentError;

/// Puts `to` in place of `from` in these files, in one commit; `None` when there is nothing to do.
pub(crate) async fn rename(
    agent: &Agent,
    (from, to): (&str, &str),
    files: &[String],
) -> Result<Option<BatchOutcome>, AgentError> {
    let intent = agent.announce(Announce::files(&format!("{from} becomes {to}"), files)).await?.intent;
    let outcome = loop {
        let mut edits = Vec::new();
        for path in files {
            if let Some(file) = agent.read_file(path).await?.filter(|file| file.content.contains(from)) {
                edits.push(Edit::of(path, &file, file.content.replace(from, to)));
            }
        }
        if edits.is_empty() {
            break Ok(None);
        }
        match agent.batch_commit(Batch::all_or_nothing(Some(&intent), edits)).await {
            // Nothing of it was applied: read again, and put the change on top of that.
            Err(AgentError::TurnedDown(refusal)) if refusal.is_stale() => {}
            done => break done.map(Some),
        }
    };
    agent.withdraw(&intent, Some("task_completed")).await?;
    outcome
}

#[tokio::main]
async fn main() -> Result<(), AgentError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, from, to, files @ ..] = arguments.as_slice() else {
        return Err(AgentError::Usage("give an address, two words and some files".to_owned()));
    };
    let (agent, _) = Agent::connect(ConnectOptions::new(url, "Renamer")).await?;
    let outcome = rename(&agent, (from, to), files).await?;
    let changed = outcome.map_or(0, |outcome| outcome.committed.len());
    println!("{changed} files changed");
    agent.leave(Default::default()).await
}
