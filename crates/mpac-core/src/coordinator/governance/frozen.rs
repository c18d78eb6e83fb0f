//! What a frozen scope refuses (FRZ-02 to FRZ-07, FRZ-10, D-071, D-119).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use mpac_wire::{ConflictId, IntentId, Raw, Scope};

use super::super::gate::Facts;
use super::super::outbox::Outbox;
use super::super::records::Conflict;
use super::super::state::{Intent, Session};
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::scope::{Cover, contains_target, cover, normalize, same_path};

/// Refuses an operation whose target lies in a frozen scope, unless its intent is the favoured one there.
pub(in super::super) fn target(
    session: &Session,
    target: &str,
    intent: Option<&IntentId>,
) -> Result<(), Refusal> {
    for record in session.frozen.iter().filter_map(|id| session.conflicts.get(id)) {
        let passes = intent.is_some_and(|intent| favours(session, record, intent));
        if !passes && holds(session, record, target) {
            return Err(Refusal::TargetFrozen { target: target.to_owned(), conflict: record.id.clone() });
        }
    }
    Ok(())
}

/// Whether a conflict's freeze is open for this intent; for one that is over it is open no more (D-120).
pub(in super::super) fn favours(session: &Session, record: &Conflict, intent: &IntentId) -> bool {
    record.freeze.as_ref().and_then(|freeze| freeze.favoured.as_ref()) == Some(intent)
        && session.intents.get(intent).is_some_and(Intent::is_live)
}

fn holds(session: &Session, record: &Conflict, target: &str) -> bool {
    // A scope that does not say what it covers is frozen as a whole (D-069).
    scopes(session, record).any(|scope| contains_target(session.scopes.names(), scope, target) != Some(false))
        || targeted(session, record).any(|frozen| same_path(frozen, target))
}

/// The scopes of the intents, as last known, over or not (D-071).
fn scopes<'a>(session: &'a Session, record: &'a Conflict) -> impl Iterator<Item = &'a Scope> {
    record.intents.iter().filter_map(|id| session.intents.get(id)).map(|intent| &intent.scope)
}

fn targeted<'a>(session: &'a Session, record: &'a Conflict) -> impl Iterator<Item = &'a str> {
    record.ops.iter().filter_map(|id| session.operations.get(id)).map(|op| op.target.as_str())
}

/// How much of a scope is frozen, and by what; entirely frozen is refused.
pub(in super::super) fn scope(session: &Session, asked: &Scope) -> Result<Option<Warning>, Refusal> {
    if session.frozen.is_empty() {
        return Ok(None);
    }
    let frozen = session.frozen.iter().filter_map(|id| session.conflicts.get(id));
    let records: Vec<&Conflict> = frozen.collect();
    let covered_by = |records: &[&Conflict]| {
        // Each once, however many conflicts are about it.
        let intents: BTreeSet<&IntentId> = records.iter().flat_map(|record| &record.intents).collect();
        let known = intents.into_iter().filter_map(|id| session.intents.get(id));
        let union: Vec<&Scope> = known.map(|intent| &intent.scope).collect();
        let targets: BTreeSet<String> =
            records.iter().flat_map(|record| targeted(session, record)).map(normalize).collect();
        cover(session.scopes.names(), asked, &union, &targets)
    };
    // Only those that hold a part of it are named: who waits for one of the others waits for nothing.
    let conflicts = || {
        let holding = records.iter().filter(|record| covered_by(&[record]) != Cover::None);
        holding.map(|record| record.id.clone()).collect()
    };
    match covered_by(&records) {
        Cover::Entire => Err(Refusal::ScopeFrozen(conflicts())),
        Cover::Partial => Ok(Some(Warning(conflicts()))),
        Cover::None => Ok(None),
    }
}

/// Part of an accepted scope is frozen.
pub(in super::super) struct Warning(Vec<ConflictId>);

impl Warning {
    /// Tells the sender, after the relay: its message was accepted all the same (FRZ-04, SRV-07).
    pub(in super::super) fn send(self, session: &mut Session, out: &mut Outbox, facts: &Facts<'_>) {
        let list = self.0.iter().map(ConflictId::as_str).collect::<Vec<_>>().join(", ");
        let text = alloc::format!("Warning: part of this scope is frozen by {list}; leave that part alone");
        let mut error = ProtocolError::new(ErrorCode::ScopeFrozen, text);
        error.refers_to = Some(facts.envelope.message_id.as_str().into());
        error.extensions = Raw::of(&serde_json::json!({ "mpac": { "accepted": true } })).ok();
        out.answer(session, Recipients::Conn(facts.conn), error, Some(&facts.envelope.message_id));
    }
}
