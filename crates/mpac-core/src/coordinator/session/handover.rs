//! A coordinator stops: it hands its session over, or learns that somebody else has it (REC-20, REC-26, D-042).

use mpac_wire::names::CoordinatorEvent;
use mpac_wire::payload::CoordinatorStatus;
use mpac_wire::{Integer, PrincipalId};

use super::super::outbox::Outbox;
use super::super::records::Handover;
use super::super::recover::later;
use super::super::state::Session;
use super::status::{counted, health};
use crate::input::ConnId;
use crate::output::{HangUpReason, Recipients};

/// Announces the successor and falls silent. An epoch that is not above the current one becomes the next one: epochs
/// never decrease (REC-27).
pub(in super::super) fn hand_over(
    session: &mut Session,
    out: &mut Outbox,
    successor: PrincipalId,
    epoch: u64,
) {
    if session.closed || session.retired {
        return;
    }
    let Some(next_epoch) = later(session.epoch).map(|next| Integer::new(epoch.max(next)).get()) else {
        return;
    };
    let coordinator = session.coordinator.principal_id.clone();
    let mut status = CoordinatorStatus::new(CoordinatorEvent::Handover, coordinator, health(session));
    counted(session, &mut status);
    status.successor_coordinator_id = Some(successor.clone());
    status.next_coordinator_epoch = Some(Integer::new(next_epoch));
    out.send(session, Recipients::All, status);
    session.handover = Some(Handover { successor, next_epoch });
    retire(session, out, HangUpReason::HandedOver);
}

/// A later coordinator has the session: this one must not say another word, not even goodbye (REC-26). Its epoch is
/// kept, also by one that fell silent before: whoever takes the session up from here speaks above it (REC-27).
pub(in super::super) fn fence(session: &mut Session, out: &mut Outbox, epoch: u64) {
    let epoch = Integer::new(epoch).get(); // as far as the wire can carry it
    if epoch <= session.epoch {
        return;
    }
    session.fenced_by = session.fenced_by.max(Some(epoch));
    if !session.retired {
        retire(session, out, HangUpReason::Fenced);
    }
}

fn retire(session: &mut Session, out: &mut Outbox, reason: HangUpReason) {
    session.retired = true;
    let connections: alloc::vec::Vec<ConnId> = session.connections.keys().copied().collect();
    for conn in connections {
        out.hang_up(conn, reason);
    }
}
