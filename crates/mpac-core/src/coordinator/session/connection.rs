//! Which connection speaks for whom (D-015, D-016).

use mpac_wire::{PrincipalId, Sender};

use super::super::outbox::Outbox;
use super::super::records::Connection;
use super::super::recover;
use super::super::state::Session;
use super::status;
use crate::input::ConnId;
use crate::output::Notice;

/// From here on `conn` speaks for `principal`, and for nobody else.
pub(super) fn bind(session: &mut Session, out: &mut Outbox, conn: ConnId, principal: &PrincipalId) {
    if let Some(member) = session.members.get_mut(principal) {
        let known = member.conn.replace(conn) == Some(conn);
        let instance = member.sender.sender_instance_id.clone();
        session.review_instance(principal, &instance);
        session.review_member(principal);
        session.connections.get_or_insert_with(conn, Connection::default).principal = Some(principal.clone());
        if !known {
            out.notice(Notice::Bound { conn, principal: principal.clone() });
        }
    }
    status::schedule(session);
}

/// The host vouches for it: `conn` is that of a participant who joined before the session was taken up, and who may go
/// on without another HELLO. A connection that is taken, and a participant who is not there or is connected, stay as
/// they are.
pub(in super::super) fn rebind(session: &mut Session, out: &mut Outbox, conn: ConnId, sender: Sender) {
    let principal = &sender.principal_id.clone();
    let taken = session.connections.get(&conn).is_some_and(|connection| connection.principal.is_some());
    let Some(member) = session.members.get_mut(principal) else { return };
    if taken || member.departed || member.conn.is_some() || session.closed {
        return;
    }
    member.sender = sender;
    recover::came_back(session, principal);
    bind(session, out, conn, principal);
}

/// The bound triple, without what a sender says of itself beside it.
pub(super) fn plain(sender: &Sender) -> Sender {
    Sender::new(sender.principal_id.clone(), sender.principal_type.clone(), sender.sender_instance_id.clone())
}

/// From here on `conn` is nobody's. Removes only its own binding (HEL-15).
pub(super) fn unbind(session: &mut Session, out: &mut Outbox, conn: ConnId) {
    let principal = session.connections.get_mut(&conn).and_then(|connection| connection.principal.take());
    if let Some(principal) = principal {
        if let Some(member) = session.members.get_mut(&principal)
            && member.conn == Some(conn)
        {
            member.conn = None;
            let instance = member.sender.sender_instance_id.clone();
            session.review_instance(&principal, &instance);
            session.review_member(&principal);
        }
        out.notice(Notice::Unbound { conn });
    }
    status::schedule(session);
}

/// A connection ended: no protocol state changes until the liveness timeout (LIV-16, D-057).
pub(in super::super) fn lost(session: &mut Session, out: &mut Outbox, conn: ConnId) {
    unbind(session, out, conn);
    session.connections.remove(&conn);
}
