//! The conflict and governance layers: who is in whose way, and who decides.

pub(super) mod ack;
mod dependency;
pub(super) mod detect;
pub(super) mod escalate;
pub(super) mod found;
pub(super) mod part;
pub(super) mod report;
pub(super) mod resolve;

use mpac_wire::ConflictId;

use super::records::Conflict;
use super::state::Session;
use crate::refusal::Refusal;

fn known<'a>(session: &'a Session, id: &ConflictId) -> Result<&'a Conflict, Refusal> {
    session.conflicts.get(id).ok_or_else(|| Refusal::UnknownConflict(id.clone()))
}
