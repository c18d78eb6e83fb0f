//! Meeting a freeze (PAR-23): what was planned or written is kept, and said again when the conflict is resolved.

use std::convert::Infallible;

use mpac_wire::names::HeartbeatStatus;

use super::Worker;
use crate::console::Style;
use crate::error::AgentError;
use crate::report::one_line;
use crate::session::Session;

/// What is waited for.
#[derive(Debug)]
pub(super) struct Thaw {
    paths: Vec<String>,
    /// So many of them may stay frozen.
    bears: usize,
    /// How much had been heard of resolutions when these were found frozen.
    heard: u64,
}

impl Thaw {
    /// For a commit to these files.
    pub(super) fn of_all(paths: Vec<String>, heard: u64) -> Self {
        Self { paths, bears: 0, heard }
    }

    /// For an announce of these files, which is refused where all of them are frozen (FRZ-03).
    pub(super) fn of_any(paths: Vec<String>, heard: u64) -> Self {
        let bears = paths.len().saturating_sub(1);
        Self { paths, bears, heard }
    }
}

impl Worker<'_> {
    /// Whether a commit failed by a freeze alone. What may have arrived is not said anew for that; and where there is no intent
    /// the announce has met one, and has waited.
    pub(super) fn commit_meets_freeze(&self, error: &AgentError) -> bool {
        error.is_frozen() && !self.options.tally.is_under_way() && self.session.own().is_some()
    }

    /// Waits until it is worth another try, for each freeze no longer than for others: one that is met after it ends by itself
    /// as well.
    ///
    /// # Errors
    /// `error`, by which it has failed, when that time is over.
    pub(super) async fn wait_for_thaw(&mut self, thaw: Thaw, error: AgentError) -> Result<(), AgentError> {
        let limit = self.options.wait_limit;
        let text = format!("{error}; waiting until that is resolved, {} s at the most", limit.as_secs());
        self.say(Style::Yellow, &one_line(&text));
        self.session.set_status(HeartbeatStatus::Blocked);
        match tokio::time::timeout(limit, thawed(self.session, thaw)).await {
            Ok(thawed) => thawed?,
            Err(_) => {
                self.say(
                    Style::Yellow,
                    &format!("still frozen after {} s, as far as is known", limit.as_secs()),
                );
                return Err(error);
            }
        }
        self.session.set_status(HeartbeatStatus::Working);
        Ok(())
    }
}

/// The end of a freeze is not told as such. What may have brought it about is, and the core knows what it was told is frozen.
async fn thawed(session: &mut Session, mut thaw: Thaw) -> Result<(), AgentError> {
    loop {
        let news = |session: &Session| session.settled() != thaw.heard;
        session.meanwhile_or(std::future::pending::<Infallible>(), news).await?;
        thaw.heard = session.settled();
        if session.frozen_of(&thaw.paths).await? <= thaw.bears {
            return Ok(());
        }
    }
}
