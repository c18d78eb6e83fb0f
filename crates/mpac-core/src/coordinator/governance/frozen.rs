//! What a frozen scope refuses (FRZ-02 to FRZ-07, FRZ-10, D-071, D-119).

use alloc::borrow::ToOwned;
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

/// Refuses an operation whose target lies in a frozen scope, unless its intent is the favoured one there.
pub(in super::super) fn target(
    session: &Session,
    target: &str,
    intent: Option<&IntentId>,
) -> Result<(), Refusal> {
    let passes = |conflict: &ConflictId| {
        intent
            .zip(session.conflicts.get(conflict))
            .is_some_and(|(intent, record)| favours(session, record, intent))
    };
    match session.frozen.holder(target, passes) {
        Some(id) => Err(Refusal::TargetFrozen { target: target.to_owned(), conflict: id.clone() }),
        None => Ok(()),
    }
}

/// Whether a conflict's freeze is open for this intent; for one that is over it is open no more (D-120).
pub(in super::super) fn favours(session: &Session, record: &Conflict, intent: &IntentId) -> bool {
    record.freeze.as_ref().and_then(|freeze| freeze.favoured.as_ref()) == Some(intent)
        && session.intents.get(intent).is_some_and(Intent::is_live)
}

/// How much of a scope is frozen, and by what; entirely frozen is refused. Only those that hold a part of it are named: who
/// waits for one of the others waits for nothing.
pub(in super::super) fn scope(session: &Session, asked: &Scope) -> Result<Option<Warning>, Refusal> {
    // First: by its look a scope lies inside also where names would tell it apart (SCO-17, D-066).
    if session.frozen.encloses(asked, &session.intents) {
        return Err(Refusal::ScopeFrozen(session.frozen.holders_by_look(asked).into_iter().collect()));
    }
    let holders: Vec<ConflictId> = session.frozen.holders(asked).into_iter().collect();
    Ok((!holders.is_empty()).then_some(Warning(holders)))
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
