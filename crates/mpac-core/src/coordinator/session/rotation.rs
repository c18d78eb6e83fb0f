//! Somebody goes on with another key (SEC-32, D-127): a participant by a HEARTBEAT that its key in use signs, the
//! coordinator when its host says so.

use mpac_wire::names::{CoordinatorEvent, SignatureAlgorithm};
use mpac_wire::payload::{CoordinatorStatus, Heartbeat, KeyChange, KeyRotation, ParticipantKeys};
use mpac_wire::{DecodeError, Fingerprint, PrincipalId, PublicKey, Seconds, Timestamp};

use super::super::gate::Facts;
use super::super::keys::{BoundKey, MOST_GOOD};
use super::super::outbox::Outbox;
use super::super::state::{CoordinatorKey, Session};
use super::{signature, status};
use crate::output::{Notice, Recipients};
use crate::refusal::{Refusal, SignatureRefusal};
use crate::signed::{Signed, is_ed25519};

/// Where a HEARTBEAT asks for it.
const PLACE: &str = "payload.extensions.key_rotation";

/// A rotation that may be.
pub(super) struct Rotation {
    old: Fingerprint,
    new: PublicKey,
}

/// What a HEARTBEAT asks for, if anything. The open profile knows no keys.
pub(super) fn plan(
    session: &Session,
    facts: &Facts<'_>,
    heartbeat: &Heartbeat,
) -> Result<Option<Rotation>, Refusal> {
    let asked = heartbeat.extensions.as_ref().and_then(KeyRotation::in_extensions);
    let Some(asked) = asked.filter(|_| !session.config.is_open()) else { return Ok(None) };
    let rotation: KeyRotation = asked
        .read()
        .map_err(|error| DecodeError::shape(PLACE, alloc::string::ToString::to_string(&error)))?;
    let wrong = |problem: &str| Err(Refusal::Malformed(DecodeError::shape(PLACE, problem)));
    if rotation.algorithm.as_ref().is_some_and(|it| *it != SignatureAlgorithm::Ed25519) {
        return wrong("algorithm: expected ed25519");
    }
    let Some(new) = rotation.public_key else { return wrong("missing field `public_key`") };
    if !is_ed25519(&new) {
        return wrong("public_key: expected 32 bytes");
    }
    let fingerprint = new.fingerprint();
    if fingerprint != rotation.new_key_fingerprint {
        return wrong("new_key_fingerprint is not that of public_key");
    }
    let old = key_in_use(session, facts)?;
    let sender = &facts.envelope.sender.principal_id;
    match session.keys.get(&fingerprint) {
        Some((owner, _)) if owner != sender => return Err(SignatureRefusal::KeyOfAnother(fingerprint).into()),
        Some(_) => return Err(SignatureRefusal::KeyUsedBefore(fingerprint).into()),
        None if session.is_coordinator_key(&fingerprint) => {
            return Err(SignatureRefusal::KeyOfAnother(fingerprint).into());
        }
        None => {}
    }
    if session.keys.good(sender, session.now).count() >= MOST_GOOD {
        return Err(SignatureRefusal::TooManyRotations.into());
    }
    Ok(Some(Rotation { old, new }))
}

/// The key that signed, which must be the sender's newest: who holds only one that was replaced cannot replace others.
fn key_in_use(session: &Session, facts: &Facts<'_>) -> Result<Fingerprint, Refusal> {
    let signed = facts.envelope.signature.as_ref().map(|_| facts.signed);
    let Some(Signed::Good { key, .. }) = signed else {
        return Err(SignatureRefusal::RotationUnsigned.into());
    };
    let sender = &facts.envelope.sender.principal_id;
    match session.keys.get(key) {
        Some((owner, bound)) if owner == sender && bound.until.is_none() => Ok(*key),
        _ => Err(SignatureRefusal::KeyReplaced(*key).into()),
    }
}

/// The old key is good for two more heartbeat intervals; everybody is told.
pub(super) fn apply(session: &mut Session, out: &mut Outbox, principal: &PrincipalId, rotation: Rotation) {
    let now = session.now;
    let until = grace_end(session);
    let bound = BoundKey::new(rotation.new.clone(), now, false);
    session.keys.bind(principal, bound, until, now);
    tell(session, out, principal.clone(), rotation, until);
    let keys = signature::good(session, principal).collect();
    out.send(session, Recipients::All, ParticipantKeys::new(keys));
}

/// The coordinator goes on with another key. Its word on that is the last that the old one signs (SEC-26).
pub(in super::super) fn of_coordinator(session: &mut Session, out: &mut Outbox, new: &PublicKey) {
    let Some(old) = session.coordinator_key.as_ref().map(|it| it.key.fingerprint()) else { return };
    let fingerprint = new.fingerprint();
    if old == fingerprint || !is_ed25519(new) || session.keys.get(&fingerprint).is_some() || session.closed {
        return;
    }
    let principal = session.coordinator.principal_id.clone();
    let until = grace_end(session);
    tell(session, out, principal, Rotation { old, new: new.clone() }, until);
    session.coordinator_key = Some(CoordinatorKey { key: new.clone(), from: session.now });
    out.notice(Notice::CoordinatorKey { key: fingerprint });
}

fn grace_end(session: &Session) -> Timestamp {
    let twice = session.config.heartbeat_interval().micros().saturating_mul(2);
    session.now.after(&Seconds::from_micros(twice))
}

fn tell(session: &mut Session, out: &mut Outbox, who: PrincipalId, rotation: Rotation, until: Timestamp) {
    let coordinator = session.coordinator.principal_id.clone();
    let mut news = CoordinatorStatus::new(CoordinatorEvent::Heartbeat, coordinator, status::health(session));
    status::counted(session, &mut news);
    let (new, algorithm) = (rotation.new.fingerprint(), SignatureAlgorithm::Ed25519);
    news.extensions = KeyChange::new(who, rotation.old, new, rotation.new, algorithm, until).to_extensions();
    out.send(session, Recipients::All, news);
}
