//! OP_REJECT by a participant: a proposal is refused, a commit contested (OPS-17, OPS-18, BAT-11, D-095).

use alloc::vec::Vec;

use mpac_wire::OpId;
use mpac_wire::payload::OpReject;

use super::super::cascade;
use super::super::gate::{Facts, sorted};
use super::super::outbox::Outbox;
use super::super::session::catch_up;
use super::super::state::Session;
use super::authorise::is_pre_commit;
use crate::output::Recipients;
use crate::refusal::Refusal;
use crate::table::operation::{Event, State};

/// The gate has asked for the role already.
pub(in super::super) fn handle(
    session: &mut Session,
    out: &mut Outbox,
    facts: &Facts<'_>,
    reject: &OpReject,
) -> Result<(), Refusal> {
    let sender = &facts.envelope.sender.principal_id;
    let ops = named(session, &reject.op_id)?;
    let proposers = ops.iter().filter_map(|op| session.operations.get(op)).map(|op| op.proposer.clone());
    let to = sorted(proposers.chain([sender.clone()]));
    cascade::relay(out, facts, Recipients::Only(to), facts.received.text().clone());
    for op in &ops {
        if session.move_operation(op, Event::Rejected).is_some() {
            if let Some(proposer) = session.operations.get(op).map(|record| record.proposer.clone()) {
                let told = OpReject::new(op.clone(), reject.reason.clone());
                catch_up::operation_refused(session, &proposer, &told);
            }
            cascade::operation_ended(session, out, op);
        } else if let Some(record) = session.operations.get_mut(op) {
            record.contested = true; // what was committed stays
        }
    }
    cascade::batches_fall(session, out, &ops, &reject.reason);
    Ok(())
}

/// One operation that is pending or committed, or all pending ones of a batch.
fn named(session: &Session, id: &OpId) -> Result<Vec<OpId>, Refusal> {
    if let Some(record) = session.operations.get(id) {
        return match record.state {
            State::Proposed | State::Frozen => Ok([id.clone()].into()),
            State::Committed if !is_pre_commit(session) => Ok([id.clone()].into()),
            State::Committed | State::Rejected | State::Abandoned | State::Superseded => {
                Err(Refusal::OperationState { op: id.clone(), state: record.state })
            }
        };
    }
    let ops = session.pending_of(id.as_str()).ok_or_else(|| Refusal::UnknownOperation(id.clone()))?;
    if ops.is_empty() { Err(Refusal::NothingPending(id.clone())) } else { Ok(ops) }
}
