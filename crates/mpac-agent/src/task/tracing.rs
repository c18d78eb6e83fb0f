//! Work that was broken off in the midst of a commit: whether that was committed.

use std::time::Duration;

use super::tally::Found;
use super::{Change, Tally, Worker};
use crate::console::Style;
use crate::error::AgentError;
use crate::session::{Sending, Sent, Session};

/// How long the answer may take: whoever broke the work off waits for it.
const FIND_OUT_LIMIT: Duration = Duration::from_secs(3);

/// What became of what the work had sent. Where the coordinator answers, the answer comes after everything about that.
pub(crate) async fn find_out(session: &mut Session, tally: &Tally) -> Found {
    if !tally.is_under_way() {
        return Found::default();
    }
    let listed = tokio::time::timeout(FIND_OUT_LIMIT, session.list_files_now()).await;
    let listed = listed.ok().and_then(Result::ok);
    let found = tally.find_out(session.link(), listed.as_deref()).await;
    for Change { path, state_ref_before, state_ref_after } in &found.committed {
        session.say(Style::Green, &format!("committed {path}: {state_ref_before} -> {state_ref_after}"));
        session.note_committed(path, state_ref_before.clone());
    }
    found
}

/// Work that ends like this has left these open.
pub(crate) fn undecided(why: AgentError, found: Found) -> AgentError {
    if found.undecided.is_empty() {
        return why;
    }
    let paths = found.undecided.into_iter().map(|change| change.path).collect();
    AgentError::Undecided { paths, why: Box::new(why) }
}

impl Worker<'_> {
    /// Commits. Until it is known what came of it, that is under way.
    pub(super) async fn say_commit(&mut self, sending: &mut Sending) -> Result<Sent, AgentError> {
        let operations = sending.operations().into_iter().map(|(op, path, (before, after))| {
            (Some(op), Change { path, state_ref_before: before, state_ref_after: after })
        });
        self.options.tally.sends(operations.collect());
        let sent = self.session.commit(sending).await;
        // It will be said again, or is left to the others, or ends the work.
        let is_open = sending.may_have_arrived() && matches!(sent, Ok(Sent::Homeless) | Err(_));
        if !is_open {
            self.options.tally.answered();
        }
        sent
    }

    /// The files are left to the others. Whether what was sent before is there all the same.
    ///
    /// # Errors
    /// [`AgentError::Unsettled`] when that cannot be told.
    pub(super) async fn had_arrived(&mut self, what: &str) -> Result<bool, AgentError> {
        let found = find_out(self.session, &self.options.tally).await;
        match found.undecided.is_empty() {
            true => Ok(!found.committed.is_empty()),
            false => Err(AgentError::Unsettled { what: what.to_owned() }),
        }
    }
}
