//! The MCP bridge: a session as tools and resources for a model in an MCP host (Claude Code, Cursor, ...).
//!
//! ```text
//!  host ──stdin/stdout──▶ server ──▶ tool ──▶ acting, looking, reading, ... ──▶ Agent ──▶ coordinator
//!                           ▲                                                          │
//!                           └──────── resource updates ◀──── bridge ◀────── events ────┘
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `server` | all that knows the SDK, but for the schemas: requests in, results and notifications out |
//! | `tool`, `input` | the table of tools; what each takes, with the descriptions that a model reads |
//! | `acting`, `looking`, `reading`, `settling`, `waiting` | the tools, plain async functions from input to `Answer` |
//! | `answer` | results, and refusals in words: rule, holder, time left, next step |
//! | `approval` | changes that wait until they are authorised, to be gone on with |
//! | `brief` | what others wrote, cut so that an answer takes it |
//! | `bridge` | the agent behind it: joined at the start, joined anew when that failed or ended; what was announced here |
//! | `recent`, `wanted` | what others have done, for those who wait; whom it concerns |
//! | `resource` | the session's state as resources, and which event changes which |
//!
//! **Joining** begins with the program, so that the others see it and the view is there when the first tool asks. A host shows
//! a server that ends at once as "failed" and its words to nobody, so a coordinator that cannot be reached does not end it: each
//! tool tries again and says why it cannot. Breaks are the [`Agent`](crate::agent::Agent)'s to mend; a tool that is
//! called meanwhile waits for that only as long as hosts wait for tools.
//!
//! **Leaving**: when the host goes, the intents that were announced, renewed or claimed here are withdrawn; those that others of the same
//! name have made stay (BYE-04, BYE-06).

mod acting;
mod answer;
mod approval;
mod bridge;
mod brief;
mod input;
mod looking;
mod reading;
mod recent;
mod resource;
mod server;
mod settling;
#[cfg(test)]
mod tests;
mod tool;
mod waiting;
mod wanted;

use std::sync::Arc;

use rmcp::ServiceExt as _;
use rmcp::transport::io::stdio_pipes;

use crate::cli::Mcp;
use crate::error::AgentError;
use crate::verb::interrupted;

use bridge::Bridge;
use server::Server;

/// Serves the host on standard input and output until it goes, or the program is told to stop.
///
/// # Errors
/// [`AgentError::Usage`] for options that cannot be right, [`AgentError::Host`].
pub async fn run(asked: &Mcp) -> Result<(), AgentError> {
    let bridge = Arc::new(Bridge::new(asked.joining.clone())?);
    let joining = tokio::spawn(join(bridge.clone()));
    let served = tokio::select! {
        served = serve(bridge.clone()) => served,
        () = interrupted() => Ok(()),
    };
    joining.abort();
    bridge.leave().await;
    served
}

async fn serve(bridge: Arc<Bridge>) -> Result<(), AgentError> {
    let failed = |why: String| AgentError::Host(why);
    let running = match Server::new(bridge).serve(stdio_pipes()).await {
        Ok(running) => running,
        // It went before it said anything.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(failed(error.to_string())),
    };
    running.waiting().await.map(drop).map_err(|error| failed(error.to_string()))
}

/// So that the session is there when the first tool is called; a failure is told again by each tool.
async fn join(bridge: Arc<Bridge>) {
    if let Err(error) = bridge.agent().await {
        bridge::log(&format!("not in the session yet: {error}; each tool tries again"));
    }
}
