//! What one principal may keep open at one time, and how large the workspace may become: asked before a message changes
//! anything (SEC-37).

use mpac_wire::{Message, PrincipalId, Seconds};

use super::state::Session;
use crate::refusal::LimitReached;

/// Whether `owner` may have one more live intent once `ending` of its own are over. A claim that waits counts: nobody
/// asks again when it is granted.
pub(super) fn intents(session: &Session, owner: &PrincipalId, ending: usize) -> Result<(), LimitReached> {
    let max = session.config.max_open_each.intents;
    let live = session.live_of(owner);
    let claimed = session.claims.of(owner).count();
    let standing = live.len().saturating_sub(ending) + claimed;
    if standing < max {
        return Ok(());
    }
    let ends = live.filter_map(|id| session.intents.get(id)).map(|it| it.expires_at);
    let retry_after = ends.min().map(|at| whole(&at.since(session.now)));
    Err(LimitReached::Open { what: "intents", max, limit: "max_open_intents_each", retry_after })
}

/// Whether `proposer` may have `more` operations waiting.
pub(super) fn operations(session: &Session, proposer: &PrincipalId, more: usize) -> Result<(), LimitReached> {
    let max = session.config.max_open_each.operations;
    let waiting = session.pending_by_proposer.get(proposer).map_or(0, |ops| ops.len());
    if waiting.saturating_add(more) <= max {
        return Ok(());
    }
    Err(LimitReached::Open { what: "operations", max, limit: "max_open_operations_each", retry_after: None })
}

/// Whether `sender` may send what could lead to another conflict.
pub(super) fn conflicts(
    session: &Session,
    sender: &PrincipalId,
    message: &Message,
) -> Result<(), LimitReached> {
    let max = session.config.max_open_each.conflicts;
    if session.disputes_by_author.is_empty() || !may_open_a_conflict(message) {
        return Ok(());
    }
    if session.disputes_by_author.get(sender).copied().unwrap_or_default() < max {
        return Ok(());
    }
    Err(LimitReached::Open { what: "conflicts", max, limit: "max_open_conflicts_each", retry_after: None })
}

const fn may_open_a_conflict(message: &Message) -> bool {
    matches!(
        message,
        Message::ConflictReport(_)
            | Message::IntentAnnounce(_)
            | Message::IntentClaim(_)
            | Message::IntentUpdate(_)
            | Message::OpBatchCommit(_)
            | Message::OpCommit(_)
            | Message::OpSupersede(_)
    )
}

/// Whether the workspace may become as these new contents make it. What makes it smaller always may.
pub(super) fn workspace<'a>(
    session: &Session,
    contents: impl Iterator<Item = (&'a str, usize)>,
) -> Result<(), LimitReached> {
    let limits = &session.config.workspace_limits;
    let (before, mut bytes) = (session.sizes.total(), session.sizes.total());
    let mut files = session.files.len();
    for (path, length) in contents {
        bytes = bytes.saturating_sub(session.sizes.of(path)).saturating_add(length as u64);
        files += usize::from(!session.files.contains(path));
    }
    let (what, would, max, limit) = if bytes > limits.max_bytes && bytes > before {
        ("bytes", bytes, limits.max_bytes, "max_workspace_bytes")
    } else if files > limits.max_files && files > session.files.len() {
        ("files", files as u64, limits.max_files as u64, "max_workspace_files")
    } else {
        return Ok(());
    };
    Err(LimitReached::Workspace { what, would, max, limit })
}

/// Whole seconds, not less: whoever comes back after them comes late enough.
pub(super) fn whole(wait: &Seconds) -> Seconds {
    Seconds::whole(
        u32::try_from(wait.micros().max(0).saturating_add(999_999) / 1_000_000).unwrap_or(u32::MAX).max(1),
    )
}
