//! OP_PROPOSE: a participant asks to change something (OPS-01, OPS-02).

use alloc::borrow::ToOwned;
use alloc::sync::Arc;

use mpac_wire::payload::OpPropose;

use super::super::cascade;
use super::super::gate::{Facts, sorted};
use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::quota;
use super::super::records::{Operation, Particulars};
use super::super::state::Session;
use super::authorise::{is_pre_commit, is_subject};
use super::{Guard, attach_to_conflicts, begins, current, reject_too_late, strict_guard, well_formed};
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::scope::{contains_target, normalize};
use crate::table::operation::Event;

pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    propose: OpPropose,
) -> Result<(), Refusal> {
    well_formed(session, &propose.state_ref_before)?;
    if session.operations.contains_key(&propose.op_id) || is_subject(session, propose.op_id.as_str()) {
        return Err(Refusal::Duplicate { field: "op_id", value: propose.op_id.as_str().to_owned() });
    }
    let guard = strict_guard(session, propose.intent_id.as_ref())?;
    let target = normalize(&propose.target);
    if guard != Guard::TooLate {
        frozen::target(session, &target, propose.intent_id.as_ref())?;
        // In a pre-commit session a stale proposal waits (D-097).
        if let Some(stated) = propose.state_ref_before.as_ref().filter(|_| !is_pre_commit(session)) {
            current(session, &target, stated)?;
        }
    }
    let too_late = guard == Guard::TooLate;
    let event = if too_late { Event::ProposedTooLate } else { Event::Proposed };
    let scope = propose.intent_id.as_ref().and_then(|id| session.intents.get(id)).map(|intent| &intent.scope);
    let record = Operation {
        out_of_scope: scope.and_then(|scope| contains_target(session.scopes.names(), scope, &propose.target))
            == Some(false),
        id: propose.op_id,
        intent: propose.intent_id,
        proposer: facts.envelope.sender.principal_id.clone(),
        state: begins(event),
        target: propose.target,
        kind: propose.op_kind,
        before: propose.state_ref_before,
        after: None,
        created_at: session.now,
        uncoordinated: guard == Guard::Uncoordinated,
        content_missing: false,
        contested: false,
        of_earlier_intent: false,
        sequence: 0,
        more: Particulars { change_ref: propose.change_ref, summary: propose.summary, ..Particulars::NONE }
            .into(),
    };
    if too_late {
        reject_too_late(session, out, record);
        return Ok(());
    }
    quota::operations(session, &record.proposer, 1)?;
    let op = record.id.clone();
    session.register_operation(record);
    attach_to_conflicts(session, &op);
    show_to_reviewers(session, out, facts, facts.received.text().clone());
    Ok(())
}

/// Reviewers, owners and arbiters see proposals; the proposer needs no echo (`spec/wire.md` §8.1).
pub(super) fn show_to_reviewers(session: &Session, out: &mut Outbox, facts: &Facts<'_>, text: Arc<str>) {
    let sender = &facts.envelope.sender.principal_id;
    let members = session.members.iter();
    let reviewers = members.filter(|(id, member)| *id != sender && !member.departed && member.reviews());
    let to = sorted(reviewers.map(|(id, _)| id.clone()));
    if !to.is_empty() {
        cascade::relay(out, facts, Recipients::Only(to), text);
    }
}
