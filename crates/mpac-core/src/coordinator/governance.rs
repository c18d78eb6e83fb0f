//! Governance: what happens when nobody decides, and what is frozen meanwhile.

pub(super) mod freeze;
pub(super) mod frozen;
pub(super) mod timeout;
pub(super) mod uncertain;

use mpac_wire::PrincipalId;
use mpac_wire::names::Role;

use super::state::Session;

/// The arbiter who is asked first: by the order of the role policy, then by the order of joining (GOV-13).
fn arbiter(session: &Session) -> Option<PrincipalId> {
    let members = session.members.iter();
    let present = members.filter(|(_, member)| member.available && member.roles.contains(&Role::Arbiter));
    present.min_by_key(|(id, member)| (place(session, id), member.joined)).map(|(id, _)| id.clone())
}

/// Somebody's place in the role policy; behind all others where it has none.
fn place(session: &Session, principal: &PrincipalId) -> usize {
    let policy = session.config.role_policy.as_ref().and_then(|policy| policy.role_assignments.as_ref());
    policy
        .and_then(|assigned| assigned.iter().position(|(id, _)| id == principal.as_str()))
        .unwrap_or(usize::MAX)
}
