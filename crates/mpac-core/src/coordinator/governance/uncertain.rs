//! A match of meanings that is too unsure for a machine goes to a human (CON-15, CON-16).

use mpac_wire::names::{BasisKind, MatchType, PrincipalType, Role};
use mpac_wire::payload::Basis;
use mpac_wire::{ConflictId, PrincipalId};

use super::super::outbox::Outbox;
use super::super::records::Member;
use super::super::state::Session;
use super::{place, timeout};

/// A conflict was reported: if it is uncertain and a human with authority is here, that human decides. Whatever else the
/// coordinator does of its own accord with a conflict stays as it is: it settles none but by dismissal and by the last
/// phase of a freeze.
pub(in super::super) fn reported(session: &mut Session, out: &mut Outbox, id: &ConflictId) {
    let open = session.conflicts.get(id).filter(|conflict| !conflict.state.is_terminal());
    if !open.is_some_and(|conflict| is_uncertain(session, &conflict.basis)) {
        return;
    }
    if let Some(human) = human(session) {
        timeout::escalate(session, out, id, human, "semantic_match_uncertain");
        timeout::arm(session, id); // pending since the escalation from here on (D-116)
    }
}

/// Whether a basis says so itself, or is less sure than the session asks for.
fn is_uncertain(session: &Session, basis: &Basis) -> bool {
    let threshold = session.config.semantic_confidence_threshold;
    basis.kind == Some(BasisKind::SemanticMatch)
        && (basis.match_type == Some(MatchType::Uncertain)
            || basis.confidence.as_ref().is_some_and(|confidence| confidence.as_f64() < threshold))
}

/// The human arbiter who is asked first, else the owner who joined first.
fn human(session: &Session) -> Option<PrincipalId> {
    let is_human = |member: &Member| member.available && member.sender.principal_type == PrincipalType::Human;
    let with = |role: Role| {
        let humans = session.members.iter().filter(|(_, member)| is_human(member));
        let found = humans.filter(|(_, member)| member.roles.contains(&role));
        found.min_by_key(|(id, member)| (place(session, id), member.joined)).map(|(id, _)| id.clone())
    };
    with(Role::Arbiter).or_else(|| with(Role::Owner))
}
