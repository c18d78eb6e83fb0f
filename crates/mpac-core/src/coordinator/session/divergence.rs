//! After a recovery a participant may have seen more than the coordinator remembers: nothing is merged, governance
//! decides (REC-16, REC-17, REC-30, D-041).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use mpac_wire::{ConflictId, MessageId, PrincipalId, Raw, StateRef};

use super::super::conflict::found;
use super::super::outbox::{Outbox, listed};
use super::super::state::Session;
use crate::output::Recipients;
use crate::refusal::Refusal;

/// A HELLO names operations that its sender knows to be committed: those that the recovered state does not have.
pub(super) fn after_hello(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    hello: &MessageId,
    extensions: Option<&Raw>,
) {
    if session.recovery.taken_up.is_none() {
        return;
    }
    let unknown: Vec<String> = committed_ops(extensions)
        .into_iter()
        .filter(|op| !session.operations.contains_key(op.as_str()))
        .collect();
    if unknown.is_empty() {
        session.recovery.diverged.remove(principal);
    } else {
        diverged(session, out, principal, hello, &unknown);
    }
}

/// `mpac.committed_ops` of a HELLO's extensions; of another shape it names none.
fn committed_ops(extensions: Option<&Raw>) -> Vec<String> {
    let read = || -> Option<Vec<String>> {
        let extensions: serde_json::Value = extensions?.read().ok()?;
        let list = extensions.get("mpac")?.get("committed_ops")?.as_array()?;
        Some(list.iter().filter_map(|op| op.as_str().map(ToOwned::to_owned)).collect())
    };
    read().unwrap_or_default()
}

/// A commit is refused as stale soon after a recovery, and builds on something the coordinator has never known.
pub(in super::super) fn after_stale_commit(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    message: &MessageId,
    refusal: &Refusal,
) {
    let Refusal::StaleStateRef { target, stated, .. } = refusal else { return };
    let Some((_, at)) = &session.recovery.taken_up else { return };
    let recent = session.now.since(*at) <= session.config.unavailability_timeout();
    if recent && !ever_known(session, target, stated) {
        diverged(session, out, principal, message, core::slice::from_ref(target));
    }
}

/// Whether a reference was ever current for a target, as far as the records tell.
fn ever_known(session: &Session, target: &str, stated: &StateRef) -> bool {
    let mut on_target =
        session.operations.values().filter(|op| crate::scope::normalize(&op.target) == target);
    on_target.any(|op| op.before.as_ref() == Some(stated) || op.after.as_ref() == Some(stated))
}

/// Tells the participant what differs, and opens the conflict in which that is settled; one at a time.
fn diverged(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    refers_to: &MessageId,
    what: &[String],
) {
    let id = conflict_id(session, principal);
    if session.conflicts.get(&id).is_some_and(|conflict| conflict.state.is_terminal()) {
        return; // settled in this epoch already
    }
    let text = alloc::format!(
        "{principal} knows of what the coordinator does not after its recovery: commit it again, or let governance decide"
    );
    let mut error = ProtocolError::new(ErrorCode::StateDivergence, text);
    error.refers_to = Some(refers_to.as_str().into());
    error.extensions = Raw::of(&serde_json::json!({ "mpac": { "divergent": what } })).ok();
    out.send(session, Recipients::Only([principal.clone()].into()), error);
    if session.recovery.diverged.contains_key(principal) {
        return;
    }
    let text = alloc::format!("{principal} and the recovered coordinator differ in {}", listed(what));
    found::divergence(session, out, id.clone(), principal, text);
    session.recovery.diverged.insert(principal.clone(), id);
}

/// `divergence:<principal_id>:<epoch>`, shortened where that is too long for an id.
fn conflict_id(session: &Session, principal: &PrincipalId) -> ConflictId {
    let epoch = session.epoch;
    let whole = ConflictId::new(alloc::format!("divergence:{principal}:{epoch}"));
    whole.unwrap_or_else(|_| {
        let head: String = principal.as_str().chars().take(40).collect();
        // 40 characters of four bytes, 20 digits and the rest are below 256 bytes.
        ConflictId::new(alloc::format!("divergence:{head}:{epoch}")).unwrap_or_else(|_| unreachable!("short"))
    })
}

/// Operations of a participant whose state has diverged wait for governance (REC-30).
pub(in super::super) fn check(session: &Session, principal: &PrincipalId) -> Result<(), Refusal> {
    match session.recovery.diverged.get(principal) {
        Some(conflict) => Err(Refusal::Diverged { principal: principal.clone(), conflict: conflict.clone() }),
        None => Ok(()),
    }
}
