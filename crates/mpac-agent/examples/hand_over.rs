//! Two agents: the first begins, has to go and hands its intent over; the second takes it over and finishes.
//!
//! ```sh
//! cargo run -p mpac-agent --example hand_over -- ws://127.0.0.1:8766 money.py
//! ```

use mpac_agent::agent::{Agent, Announce, Claim, Committed, ConnectOptions, Edit, Event, FileState, Leaving};
use mpac_agent::error::AgentError;

/// Hands the work on `path` from Ann to Ben; what Ben committed.
pub(crate) async fn hand_over(url: &str, path: &str) -> Result<Committed, AgentError> {
    let (ann, _) = Agent::connect(ConnectOptions::new(url, "Ann")).await?;
    let (ben, mut events) = Agent::connect(ConnectOptions::new(url, "Ben")).await?;

    let begun = ann.announce(Announce::files("add a heading", [path])).await?.intent;
    ann.leave(Leaving::handing_over()).await?;

    // Ben hears of the intent and of Ann's leaving; only then it can be claimed (CLM-01).
    let left = |event| match event {
        Event::Left { principal_id, .. } if principal_id == *ann.me() => Some(()),
        _ => None,
    };
    events.find(left).await.ok_or_else(|| AgentError::Lost("it ended".to_owned()))?;

    let mine = ben.claim_intent(Claim::of(begun)).await?;
    let file = ben.read_file(path).await?.unwrap_or_else(FileState::absent);
    let text = format!("# heading\n{}", file.content);
    let committed = ben.commit(Some(&mine), Edit::of(path, &file, text)).await?;
    ben.withdraw(&mine, Some("task_completed")).await?;
    ben.leave(Leaving::default()).await?;
    Ok(committed)
}

#[tokio::main]
async fn main() -> Result<(), AgentError> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:8766".to_owned());
    let path = arguments.next().unwrap_or_else(|| "notes.md".to_owned());
    let committed = hand_over(&url, &path).await?;
    println!("{} went from {} to {}", committed.path, committed.before, committed.after);
    Ok(())
}
