//! Whether people of several organisations meet in a session that nobody chose to leave open (SEC-36).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;

use mpac_wire::PrincipalId;

use super::super::outbox::Outbox;
use super::super::records::Member;
use super::super::state::Session;
use crate::remark::Remark;

/// Tells the host when `joined` is the first of its organisation and not the first of all.
pub(super) fn look_at(session: &Session, out: &mut Outbox, joined: &PrincipalId) {
    if session.config.security_declared || !session.config.is_open() {
        return;
    }
    let Some(own) = session.members.get(joined).and_then(domain) else { return };
    let others = session.members.iter().filter(|(id, _)| *id != joined);
    let mut domains: BTreeSet<String> = others.filter_map(|(_, member)| domain(member)).collect();
    if !domains.is_empty() && domains.insert(own) {
        out.remark(Remark::SeveralOrganisations { domains: domains.into_iter().collect() });
    }
}

/// The domain of somebody's id (`agent:bob@example.org`), or else of whoever vouches for it (`https://id.example.org/`).
fn domain(member: &Member) -> Option<String> {
    let id = member.sender.principal_id.as_str();
    let by_id = id.rsplit_once('@').map(|(_, domain)| domain);
    let issuer = member.proof.as_ref().and_then(|proof| proof.issuer.as_deref());
    let by_issuer = issuer.and_then(|issuer| issuer.split_once("://")).map(|(_, rest)| rest);
    let text = by_id.or(by_issuer)?;
    let host = text.split(['/', ':', '?', '#']).next().unwrap_or_default();
    (!host.is_empty()).then(|| host.to_ascii_lowercase().to_owned())
}
