//! Which connection speaks for whom (D-015, D-016).

use mpac_wire::PrincipalId;

use super::super::outbox::Outbox;
use super::super::state::Session;
use super::status;
use crate::input::ConnId;
use crate::output::Notice;

/// From here on `conn` speaks for `principal`, and for nobody else.
pub(super) fn bind(session: &mut Session, out: &mut Outbox, conn: ConnId, principal: &PrincipalId) {
    if let Some(member) = session.members.get_mut(principal) {
        let known = member.conn.replace(conn) == Some(conn);
        session.connections.entry(conn).or_default().principal = Some(principal.clone());
        if !known {
            out.notice(Notice::Bound { conn, principal: principal.clone() });
        }
    }
    status::schedule(session);
}

/// From here on `conn` is nobody's. Removes only its own binding (HEL-15).
pub(super) fn unbind(session: &mut Session, out: &mut Outbox, conn: ConnId) {
    let principal = session.connections.get_mut(&conn).and_then(|connection| connection.principal.take());
    if let Some(principal) = principal {
        if let Some(member) = session.members.get_mut(&principal)
            && member.conn == Some(conn)
        {
            member.conn = None;
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
