//! What a participant that was away is told after its HELLO (HEL-18).
//!
//! Whoever comes back on a new connection is told of its live intents, in the form of D-051, and of the conflicts that it
//! was asked to decide. What ended meanwhile goes to the same process only: another one never heard of it, and the Python
//! agent, which starts anew each time, would take an old OP_REJECT for the answer to its next proposal and an
//! INTENT_WITHDRAW for somebody else stepping back. So does what was authorised and is still to be completed: it is said
//! once, and to its proposer alone (OPS-08).

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use mpac_wire::names::RejectReason;
use mpac_wire::payload::{IntentWithdraw, OpReject};
use mpac_wire::{ConflictId, IntentId, OpId, PrincipalId, Sender};

use super::super::conflict::resolve;
use super::super::gate::Facts;
use super::super::governance::timeout;
use super::super::intent;
use super::super::operation::authorise;
use super::super::outbox::Outbox;
use super::super::records::{Member, Missed};
use super::super::state::Session;
use crate::input::ConnId;
use crate::output::Recipients;
use crate::table::intent::State;
use crate::table::operation;

/// Whether it is the process that was here before which speaks.
pub(super) fn is_same_process(before: &Member, sender: &Sender) -> bool {
    before.sender.sender_instance_id == sender.sender_instance_id
}

/// What there is to tell.
pub(super) struct News {
    /// It has a new connection, or had none.
    returned: bool,
    /// It is the process that was here before.
    same_process: bool,
    missed: Missed,
}

impl News {
    /// What somebody must be told who was here `before`.
    pub(super) fn for_return(before: Option<&Member>, facts: &Facts<'_>) -> Self {
        let same = before.filter(|member| is_same_process(member, &facts.envelope.sender));
        Self {
            returned: before.is_some_and(|member| member.conn != Some(facts.conn)),
            same_process: same.is_some(),
            missed: same.map(|member| member.missed.clone()).unwrap_or_default(),
        }
    }

    /// Tells it, on this connection alone. Everybody has just been told of the intents that were `restored`.
    pub(super) fn tell(
        self,
        session: &mut Session,
        out: &mut Outbox,
        conn: ConnId,
        principal: &PrincipalId,
        restored: &[IntentId],
    ) {
        let to = || Recipients::Conn(conn);
        if self.returned {
            for id in session.live_of(principal).cloned().collect::<Vec<_>>() {
                if !restored.contains(&id) {
                    intent::tell_as_it_is(session, out, to(), &id);
                }
            }
        }
        for conflict in self.missed.resolutions {
            // By name, not by connection: it is told in as many words as whoever was there has seen (PRV-02).
            let to = Recipients::Only([principal.clone()].into());
            resolve::tell_as_it_was(session, out, to, &conflict);
        }
        for withdraw in self.missed.intents {
            out.send(session, to(), withdraw);
        }
        for reject in self.missed.operations {
            out.send(session, to(), reject);
        }
        if self.returned && self.same_process {
            authorise::tell_again(session, out, &to(), principal);
        }
        if self.returned {
            timeout::ask_again(session, out, &to(), principal);
        }
    }
}

fn ended_as(state: State) -> &'static str {
    match state {
        State::Active | State::Suspended | State::Withdrawn => "withdrawn",
        State::Expired => "expired",
        State::Superseded => "superseded",
        State::Transferred => "transferred",
    }
}

/// An intent ended. Its owner will be told when it comes back, if it is away.
pub(in super::super) fn intent_ended(session: &mut Session, id: &IntentId) {
    let limit = session.config.retained_records;
    let Some(record) = session.intents.get(id) else { return };
    if let Some(member) = session.members.get_mut(&record.owner)
        && member.conn.is_none()
    {
        let mut withdraw = IntentWithdraw::new(id.clone());
        withdraw.reason = Some(ended_as(record.state()).to_owned());
        keep(&mut member.missed.intents, [withdraw], limit);
    }
}

/// An operation was refused. Its proposer will be told when it comes back, if it is away.
pub(in super::super) fn operation_refused(session: &mut Session, proposer: &PrincipalId, reject: &OpReject) {
    let limit = session.config.retained_records;
    if let Some(member) = session.members.get_mut(proposer)
        && member.conn.is_none()
    {
        keep(&mut member.missed.operations, [reject.clone()], limit);
    }
}

/// What somebody proposed was abandoned. Nobody is told of that unless the proposer comes back with HELLO; one that left has
/// given it up itself. Whoever hears that it was taken for gone knows (LIV-11), and the Python agent would take an OP_REJECT
/// at any other time for the answer to its next proposal.
pub(in super::super) fn operations_abandoned(session: &mut Session, proposer: &PrincipalId, ops: Vec<OpId>) {
    let limit = session.config.retained_records;
    if let Some(member) = session.members.get_mut(proposer)
        && !member.available
    {
        let rejects = ops.into_iter().map(|op| OpReject::new(op, RejectReason::ParticipantUnavailable));
        keep(&mut member.missed.operations, rejects, limit);
    }
}

/// A resolution rejects these. Whoever has committed one and is away will be told, for it has to be undone (GOV-21, FRZ-15).
pub(in super::super) fn commits_overruled<'a>(
    session: &mut Session,
    conflict: &ConflictId,
    rejected: impl IntoIterator<Item = &'a OpId>,
) {
    let limit = session.config.retained_records;
    let records = rejected.into_iter().filter_map(|op| session.operations.get(op));
    for record in records.filter(|record| record.state == operation::State::Committed) {
        if let Some(member) = session.members.get_mut(&record.proposer) {
            overruled_in(member, conflict, limit);
        }
    }
}

/// A resolution ends an intent by this. Its owner will be told of both when it comes back, if it is away: it has to wait before
/// it announces such a scope again, by what the conflict was about (BKO-01, BKO-07).
pub(in super::super) fn intent_overruled(
    session: &mut Session,
    conflict: &ConflictId,
    withdraw: &IntentWithdraw,
) {
    let limit = session.config.retained_records;
    let Some(record) = session.intents.get(&withdraw.intent_id) else { return };
    if let Some(member) = session.members.get_mut(&record.owner)
        && member.conn.is_none()
    {
        keep(&mut member.missed.intents, [withdraw.clone()], limit);
        overruled_in(member, conflict, limit);
    }
}

/// Each conflict once, however much of somebody's a resolution rejects.
fn overruled_in(member: &mut Member, conflict: &ConflictId, limit: usize) {
    if member.conn.is_none() && member.missed.resolutions.last() != Some(conflict) {
        keep(&mut member.missed.resolutions, [conflict.clone()], limit);
    }
}

/// The latest only: who falls silent again and again and never says HELLO gathers no more than that (SES-27).
fn keep<T>(missed: &mut Vec<T>, more: impl IntoIterator<Item = T>, limit: usize) {
    missed.extend(more);
    missed.drain(..missed.len().saturating_sub(limit));
}
