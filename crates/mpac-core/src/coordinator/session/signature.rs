//! Whether a message is signed by a key of its sender, and how a key becomes one (SEC-22, SEC-23, SEC-31, D-129).

use alloc::vec::Vec;

use mpac_wire::names::MessageType;
use mpac_wire::payload::{ParticipantKey, ParticipantKeys};
use mpac_wire::{Fingerprint, PrincipalId};

use super::super::gate::Facts;
use super::super::keys::BoundKey;
use super::super::outbox::Outbox;
use super::super::state::Session;
use crate::output::Recipients;
use crate::refusal::{Refusal, SignatureRefusal};
use crate::signed::{ShownKey, Signed};

/// Keys in one message at the most: some 300 bytes each, and 1,800 where an id is as long as it may be and full of escapes, so
/// that no frame is larger than the 1 MiB that may be sent (SRV-18).
const MOST_TOLD: usize = 500;

/// Step 11. In the open profile nobody looks at signatures; in the authenticated one there need not be one.
pub(in super::super) fn judge(session: &Session, facts: &Facts<'_>) -> Result<(), Refusal> {
    if session.config.is_open() {
        return Ok(());
    }
    let present = facts.envelope.signature.is_some();
    match facts.signed {
        _ if !present && session.config.is_verified() => Err(SignatureRefusal::Missing.into()),
        _ if !present => Ok(()),
        // There is one, and nobody has looked at it.
        Signed::Missing | Signed::Wrong => Err(SignatureRefusal::Wrong.into()),
        Signed::Malformed => Err(SignatureRefusal::Malformed.into()),
        Signed::Good { key, shown } => belongs(session, facts, key, shown.as_ref()),
    }
}

/// Whether the key is the sender's. Of one that a HELLO brings its credential decides, which is looked at later.
fn belongs(
    session: &Session,
    facts: &Facts<'_>,
    key: &Fingerprint,
    shown: Option<&ShownKey>,
) -> Result<(), Refusal> {
    let sender = &facts.envelope.sender.principal_id;
    let is_hello = facts.envelope.message_type == MessageType::Hello;
    let is_new = |shown: &ShownKey| is_hello && shown.is_public(key);
    match (session.keys.get(key), shown) {
        (Some((owner, bound)), _) if owner == sender => {
            if bound.is_over(session.now) {
                Err(SignatureRefusal::KeyOver(*key).into())
            } else {
                Ok(())
            }
        }
        // Whoever announced a key without a credential for it gives way to whoever has one.
        (Some((_, bound)), Some(shown)) if !bound.certified && is_new(shown) => Ok(()),
        (Some(_), _) => Err(SignatureRefusal::KeyOfAnother(*key).into()),
        (None, Some(shown)) if is_new(shown) => Ok(()),
        // The host's own table vouches for it; that proves nothing to others.
        (None, Some(shown)) if !session.config.is_verified() => {
            if shown.principal == *sender {
                Ok(())
            } else {
                Err(SignatureRefusal::KeyOfAnother(*key).into())
            }
        }
        (None, _) => Err(SignatureRefusal::Wrong.into()),
    }
}

/// The key that an otherwise good HELLO brings, if it is a new one.
pub(super) fn brought(session: &Session, facts: &Facts<'_>) -> Result<Option<BoundKey>, Refusal> {
    if session.config.is_open() || facts.envelope.signature.is_none() {
        return Ok(None);
    }
    let Signed::Good { key, shown: Some(shown) } = facts.signed else { return Ok(None) };
    let sender = &facts.envelope.sender.principal_id;
    if session.keys.get(key).is_some_and(|(owner, _)| owner == sender) || !shown.is_public(key) {
        return Ok(None);
    }
    if shown.principal != *sender || session.is_coordinator_key(key) {
        return Err(SignatureRefusal::KeyOfAnother(*key).into());
    }
    Ok(shown.public_key.clone().map(|public| BoundKey::new(public, session.now, true)))
}

/// From here on `principal` signs with this key, and with none that it had before: it has proven itself anew.
pub(super) fn bind(session: &mut Session, principal: &PrincipalId, key: BoundKey) {
    let now = session.now;
    session.keys.bind(principal, key, now, now);
}

/// Tells a joiner all keys, and the others those of the joiner if they are new (SEC-31).
pub(super) fn tell(session: &mut Session, out: &mut Outbox, joiner: &PrincipalId, is_new: bool) {
    if session.config.is_open() {
        return;
    }
    if is_new {
        let others = session.members.iter().filter(|(id, member)| *id != joiner && member.conn.is_some());
        let others: Vec<PrincipalId> = others.map(|(id, _)| id.clone()).collect();
        let keys: Vec<ParticipantKey> = good(session, joiner).collect();
        if !others.is_empty() && !keys.is_empty() {
            out.send(session, Recipients::Only(others), ParticipantKeys::new(keys));
        }
    }
    let present = session.members.iter().filter(|(_, member)| !member.departed);
    let theirs = present.map(|(id, _)| good(session, id).collect());
    let own = session.coordinator_key_told().into_iter().collect();
    for part in in_parts(core::iter::once(own).chain(theirs), MOST_TOLD) {
        out.send(session, Recipients::Only([joiner.clone()].into()), ParticipantKeys::new(part));
    }
}

/// So many in one message at the most, and all of one person's in one: they take the place of what was told of them before.
fn in_parts<T>(groups: impl Iterator<Item = Vec<T>>, most: usize) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    for group in groups.filter(|group| !group.is_empty()) {
        match parts.last_mut().filter(|part| part.len() + group.len() <= most) {
            Some(part) => part.extend(group),
            None => parts.push(group),
        }
    }
    parts
}

/// The good keys of somebody, as others are told.
pub(super) fn good(session: &Session, principal: &PrincipalId) -> impl Iterator<Item = ParticipantKey> {
    session.keys.good(principal, session.now).map(|bound| bound.told(principal))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn the_keys_of_one_person_are_told_together() {
        let all = [vec![], vec![1, 1], vec![2], vec![3, 3], vec![4]];
        assert_eq!(in_parts(all.into_iter(), 3), [vec![1, 1, 2], vec![3, 3, 4]]);
        assert_eq!(in_parts([vec![1, 1], vec![2, 2]].into_iter(), 3), [[1, 1], [2, 2]]);
        assert!(in_parts([Vec::<u8>::new()].into_iter(), 3).is_empty());
    }
}
