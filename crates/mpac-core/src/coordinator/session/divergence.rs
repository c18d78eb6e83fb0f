//! After a recovery a participant may have seen more than the coordinator remembers: nothing is merged, governance
//! decides (REC-16, REC-17, REC-30, D-041).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use mpac_wire::{ConflictId, MessageId, OpId, PrincipalId, Raw, StateRef};
use sha2::{Digest, Sha256};

use super::super::conflict::found;
use super::super::outbox::{Outbox, listed};
use super::super::records::{Conflict, Operation};
use super::super::retention::Trace;
use super::super::state::Session;
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::table::operation::State;

/// What the ids of these conflicts begin with, and those of no other.
const PREFIX: &str = "divergence:";

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
    let unknown: Vec<String> =
        committed_ops(extensions).into_iter().filter(|op| !ever_had(session, op)).collect();
    if unknown.is_empty() {
        session.recovery.diverged.remove(principal);
        session.review_member(principal);
    } else {
        diverged(session, out, principal, hello, &unknown);
    }
}

/// Whether such an operation was committed, for nobody names another: where only its proposal is there, its completion was
/// lost. One that was forgotten because it ended long ago is no loss (SES-27).
fn ever_had(session: &Session, op: &str) -> bool {
    session.operations.get(op).is_some_and(was_committed)
        || session.forgotten.traces.may_contain(Trace::Operation(op))
}

const fn was_committed(record: &Operation) -> bool {
    match record.state {
        State::Committed | State::Superseded => true,
        State::Proposed | State::Frozen | State::Rejected | State::Abandoned => false,
    }
}

/// `mpac.committed_ops` of a HELLO's extensions, each once; of another shape, or what can be no id, names none.
fn committed_ops(extensions: Option<&Raw>) -> Vec<String> {
    let read = || -> Option<Vec<String>> {
        let extensions: serde_json::Value = extensions?.read().ok()?;
        let list = extensions.get("mpac")?.get("committed_ops")?.as_array()?;
        let mut seen = BTreeSet::new();
        let ids = list.iter().filter_map(|op| OpId::new(op.as_str()?).ok());
        Some(ids.map(|op| op.as_str().to_owned()).filter(|op| seen.insert(op.clone())).collect())
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

/// Whether a reference was ever current for a target, as far as the records and the traces tell. What an operation would have left
/// that was not committed never was.
fn ever_known(session: &Session, target: &str, stated: &StateRef) -> bool {
    let mut on_target =
        session.operations.values().filter(|op| crate::scope::normalize(&op.target) == target);
    let after = |op: &Operation| was_committed(op) && op.after.as_ref() == Some(stated);
    on_target.any(|op| op.before.as_ref() == Some(stated) || after(op))
        || session.forgotten.traces.may_contain(Trace::State(target, stated))
}

/// Tells the participant what differs, and opens the conflict in which that is settled: one in each epoch, unless one of an
/// earlier epoch is open that is about all of it. One that is not stays with those who govern and holds nobody back any more:
/// in this one they read of all that differs now.
fn diverged(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    refers_to: &MessageId,
    what: &[String],
) {
    if session.recovery.settled.contains(principal) {
        return; // in this epoch already, whether or not the conflict is still remembered
    }
    let id = conflict_about(session, principal, what);
    let is_known = session.conflicts.contains_key(&id);
    let text = alloc::format!(
        "{principal} knows of what the coordinator does not after its recovery: commit it again, or let governance decide"
    );
    let mut error = ProtocolError::new(ErrorCode::StateDivergence, text);
    error.refers_to = Some(refers_to.as_str().into());
    error.extensions = Raw::of(&serde_json::json!({ "mpac": { "divergent": what } })).ok();
    out.send(session, Recipients::Only([principal.clone()].into()), error);
    if session.recovery.diverged.insert(principal.clone(), id.clone()).as_ref() == Some(&id) {
        return;
    }
    session.review_member(principal);
    if is_known {
        // Of this epoch, and its sender had taken it back: governance has not settled it yet.
        if id != conflict_id(session, principal) {
            found::divergence_again(session, out, &id, principal);
        }
        return;
    }
    let text = alloc::format!("{principal} and the recovered coordinator differ in {}", listed(what));
    found::divergence(session, out, id, principal, (what, text));
}

/// The conflict in which this is settled: of this epoch where there is one, else the latest that is open and about all of it,
/// else a new one.
fn conflict_about(session: &Session, principal: &PrincipalId, what: &[String]) -> ConflictId {
    let id = conflict_id(session, principal);
    if session.conflicts.contains_key(&id) {
        return id;
    }
    let names_all = |it: &Conflict| it.part.as_ref().is_some_and(|part| part.names_all(what));
    let earlier = open_of(session, principal).filter(|it| names_all(it)).max_by_key(|it| it.sequence);
    earlier.map_or(id, |it| it.id.clone())
}

/// The divergences of a principal that are not settled.
fn open_of<'a>(session: &'a Session, principal: &'a PrincipalId) -> impl Iterator<Item = &'a Conflict> {
    session.conflicts.values().filter(|it| !it.state.is_terminal() && is_about(it, principal))
}

/// What is settled with this divergence that governance has just decided: the open ones of earlier epochs, if it is the one in
/// which all that differs in this epoch is settled. Nobody would have a reason to settle them any more (REC-30).
pub(in super::super) fn settled_with(session: &Session, id: &ConflictId) -> Vec<ConflictId> {
    let whose = session.conflicts.get(id).and_then(whose);
    let whose = whose.filter(|principal| session.recovery.settled.contains(*principal));
    whose.into_iter().flat_map(|principal| open_of(session, principal)).map(|it| it.id.clone()).collect()
}

/// Whether an id is one that only the coordinator gives.
pub(in super::super) fn is_reserved(id: &ConflictId) -> bool {
    id.as_str().starts_with(PREFIX)
}

/// Whether this is the conflict about what this principal knows: by its rule and its one side, which no report can
/// have, and not by its id alone.
fn is_about(conflict: &Conflict, principal: &PrincipalId) -> bool {
    whose(conflict) == Some(principal)
}

/// Whose divergence this is; `None` for conflicts about other things.
fn whose(conflict: &Conflict) -> Option<&PrincipalId> {
    let (principal, intent) = conflict.a.as_ref()?;
    let by_rule = conflict.basis.rule_id.as_deref() == Some(found::DIVERGENCE);
    (by_rule && intent.is_none()).then_some(principal)
}

/// Whether it is about what somebody knows and the recovered coordinator does not.
pub(in super::super) fn is_one(conflict: &Conflict) -> bool {
    whose(conflict).is_some()
}

/// A conflict is over: if it was one of these, of this epoch or in which what was named in it `is_awaited`, its principal may go
/// on and is not asked again until the next recovery.
pub(in super::super) fn settled(session: &mut Session, id: &ConflictId, is_awaited: bool) {
    let Some(principal) = session.conflicts.get(id).and_then(|record| whose(record)).cloned() else { return };
    if is_awaited || conflict_id(session, &principal) == *id {
        let limit = session.config.retained_records;
        session.recovery.settled.insert(principal, limit);
    }
}

/// `divergence:<principal_id>:<epoch>`: of the conflict that there is, or of one to be opened. Where something else has
/// that id, as a snapshot from elsewhere may have it, a number goes behind.
fn conflict_id(session: &Session, principal: &PrincipalId) -> ConflictId {
    let epoch = session.epoch;
    let named = |name: &str, suffix: &str| ConflictId::new(alloc::format!("{PREFIX}{name}:{epoch}{suffix}"));
    // 64 characters of the digest, up to 40 digits and the rest are below 256 bytes.
    let id = |suffix: &str| {
        let short = || named(&digest(principal), suffix).unwrap_or_else(|_| unreachable!("short"));
        named(principal.as_str(), suffix).unwrap_or_else(|_| short())
    };
    let free = |id: &ConflictId| session.conflicts.get(id).is_none_or(|known| is_about(known, principal));
    let numbered = (2_u64..).map(|n| id(&alloc::format!(":{n}")));
    let mut ids = core::iter::once(id("")).chain(numbered);
    ids.find(free).unwrap_or_else(|| unreachable!("there are fewer conflicts than numbers"))
}

/// Stands for a principal whose id is too long: the SHA-256 of it, in hexadecimal digits.
fn digest(principal: &PrincipalId) -> String {
    let digest = Sha256::digest(principal.as_str().as_bytes());
    digest.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

/// Operations of a participant whose state has diverged wait for governance (REC-30).
pub(in super::super) fn check(session: &Session, principal: &PrincipalId) -> Result<(), Refusal> {
    match session.recovery.diverged.get(principal) {
        Some(conflict) => Err(Refusal::Diverged { principal: principal.clone(), conflict: conflict.clone() }),
        None => Ok(()),
    }
}
