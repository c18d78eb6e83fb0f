//! Whose word is believed where messages are signed (SEC-27, SEC-30 to SEC-32).
//!
//! The program around a participant verifies and signs. It asks [`Participant::key_for`] by which key, and tells
//! [`Participant::hear_signed`] what came of it. In a verified session, and wherever the coordinator's key was
//! [pinned](Participant::pin_coordinator), what lacks a good signature is dropped before it can change anything.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use mpac_wire::names::{SecurityProfile, SignatureAlgorithm};
use mpac_wire::payload::{KeyChange, KeyRotation, ParticipantKey, ParticipantKeys, SessionInfo};
use mpac_wire::{
    Envelope, Fingerprint, Message, MessageId, PrincipalId, PublicKey, Seconds, Signature, Timestamp,
};

use super::epochs::is_coordinators_alone;
use super::news::News;
use super::{Participant, Stamp};
use crate::signed::{Signed, is_ed25519};

/// Principals whose keys are kept, and keys of each.
const MOST_PRINCIPALS: usize = 10_000;
const MOST_KEYS: usize = 8;
/// How long after its end a key is still good here: clocks differ by no more in a session that looks at times.
const SLACK: Seconds = Seconds::whole(300);

/// Why a message was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// It has no signature, or none that fits it.
    NotSigned,
    /// It is signed with a key that is not its sender's, as far as that is known.
    WrongKey,
    /// SESSION_INFO names another key of the coordinator than the one that was pinned or trusted before.
    OtherCoordinator,
    /// SESSION_INFO does not bring the key that its fingerprint names.
    NoKey,
}

/// The keys that count.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trust {
    /// The coordinator's, told from outside.
    pinned: Option<Fingerprint>,
    /// The coordinator's, once SESSION_INFO has brought it.
    coordinator: Option<PublicKey>,
    /// Participants sign too: the session is verified.
    sealed: bool,
    members: BTreeMap<PrincipalId, Vec<ParticipantKey>>,
    /// The own key that was asked for last and not confirmed yet.
    asked: Option<Fingerprint>,
    /// The HEARTBEAT that asked for it, while it can still be answered.
    asking: Option<MessageId>,
    /// The own key in use, as the coordinator said last.
    own: Option<Fingerprint>,
    /// When the own key is to be replaced, unless that has been told.
    rotate_at: Option<Timestamp>,
    /// That something was dropped has been told since the last SESSION_INFO.
    told: bool,
}

impl Trust {
    /// When the own key is to be replaced.
    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.rotate_at
    }

    /// Whether that is due and is news.
    pub(super) fn falls_due(&mut self, now: Timestamp) -> bool {
        self.rotate_at.take_if(|at| *at <= now).is_some()
    }

    /// The connection is gone. What has become of a rotation PARTICIPANT_KEYS says at the next join.
    pub(super) fn connection_lost(&mut self) {
        self.asking = None;
    }

    /// A message was refused: if it asked for another key, another can be asked for.
    pub(super) fn refused(&mut self, message: Option<&str>) {
        self.asking.take_if(|asking| Some(asking.as_str()) == message);
    }

    /// The key that the coordinator must sign with, if that is known.
    fn expected(&self) -> Option<Fingerprint> {
        self.coordinator.as_ref().map(PublicKey::fingerprint).or(self.pinned)
    }

    /// Whether everything is signed: the session is verified.
    pub(super) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether anybody's word needs a signature.
    const fn is_needed(&self) -> bool {
        self.pinned.is_some() || self.coordinator.is_some()
    }

    fn members_key(&self, who: &PrincipalId, key: &Fingerprint, now: Timestamp) -> Option<&ParticipantKey> {
        let good = |it: &&ParticipantKey| it.valid_until.is_none_or(|until| now < until.after(&SLACK));
        self.members.get(who)?.iter().find(|it| it.fingerprint == *key).filter(good)
    }

    /// Of each principal it names the message lists every good key.
    fn learn(&mut self, keys: ParticipantKeys, coordinator: Option<&PrincipalId>) {
        let mut news: BTreeMap<PrincipalId, Vec<ParticipantKey>> = BTreeMap::new();
        for key in keys.keys {
            let named = key.fingerprint == key.public_key.fingerprint() && is_ed25519(&key.public_key);
            let fits = named && key.algorithm == SignatureAlgorithm::Ed25519;
            // The coordinator's own key changes by what its old one signs, and by nothing else.
            if !fits || coordinator == Some(&key.principal_id) {
                continue;
            }
            let listed = news.entry(key.principal_id.clone()).or_default();
            if listed.len() < MOST_KEYS {
                listed.push(key);
            }
        }
        // A key has one owner: whoever is listed with it now.
        let owners: BTreeMap<Fingerprint, PrincipalId> = news
            .iter()
            .flat_map(|(who, keys)| keys.iter().map(move |key| (key.fingerprint, who.clone())))
            .collect();
        for (who, keys) in &mut self.members {
            keys.retain(|key| owners.get(&key.fingerprint).is_none_or(|owner| owner == who));
        }
        for (principal, keys) in news {
            if self.members.len() < MOST_PRINCIPALS || self.members.contains_key(&principal) {
                self.members.insert(principal, keys);
            }
        }
    }
}

/// The key that SESSION_INFO brings, if it fits its fingerprint.
fn presented(info: &SessionInfo) -> Option<PublicKey> {
    let security = info.security_config.as_ref()?;
    let key: PublicKey = security.coordinator_public_key.as_ref()?.parse().ok()?;
    let fingerprint: Fingerprint = security.coordinator_key_fingerprint.as_ref()?.parse().ok()?;
    (is_ed25519(&key) && key.fingerprint() == fingerprint).then_some(key)
}

impl Participant {
    /// The coordinator has this key, somebody says whom the user trusts: an invitation, for instance. From here on nothing
    /// counts that it has not signed, and no session is joined whose coordinator has another (SEC-30). It stands over a key
    /// that was trusted before: the coordinator may have rotated it while nobody here listened.
    pub fn pin_coordinator(&mut self, key: Fingerprint) {
        self.trust.pinned = Some(key);
        self.trust.coordinator.take_if(|known| known.fingerprint() != key);
    }

    /// The coordinator's key, where its signatures are asked for: to be kept for the next time (SEC-30).
    pub const fn coordinator_key(&self) -> Option<&PublicKey> {
        self.trust.coordinator.as_ref()
    }

    /// By which key the signature of this message is to be verified; `None` when no key counts that it could be of. The
    /// algorithm is Ed25519, whatever the message says.
    pub fn key_for(&self, envelope: &Envelope, message: &Message) -> Option<PublicKey> {
        let signature: Signature = envelope.signature.as_deref()?.parse().ok()?;
        let named = |key: &PublicKey| key.fingerprint() == signature.key;
        if let Some(key) = self.trust.coordinator.as_ref().filter(|key| named(key)) {
            return Some(key.clone());
        }
        if let Message::SessionInfo(info) = message {
            return presented(info).filter(named);
        }
        let sender = &envelope.sender.principal_id;
        self.trust.members_key(sender, &signature.key, self.now).map(|it| it.public_key.clone())
    }

    /// Whether a message counts, as far as signatures say.
    pub(super) fn believe(
        &self,
        envelope: &Envelope,
        message: &Message,
        signed: &Signed,
    ) -> Result<(), Distrust> {
        let key = match (signed, &envelope.signature) {
            (Signed::Good { key, .. }, Some(_)) => Some(*key),
            _ => None,
        };
        if let Message::SessionInfo(info) = message {
            return self.believe_info(info, key);
        }
        if !self.trust.is_needed() {
            return Ok(());
        }
        // Whoever refuses our HELLO need not be the coordinator, and gets nothing by it.
        let unknown = self.trust.coordinator.is_none();
        if unknown && matches!(message, Message::ProtocolError(_)) {
            return Ok(());
        }
        let sender = &envelope.sender.principal_id;
        let is_coordinators = self.authority.principal() == Some(sender)
            || is_coordinators_alone(message)
            || matches!(message, Message::ProtocolError(_))
            || ParticipantKeys::of(message).is_some();
        if !is_coordinators && !self.trust.sealed && !unknown {
            return Ok(()); // participants of an authenticated session need not sign (SEC-22)
        }
        let key = key.ok_or(Distrust::NotSigned)?;
        let good = match is_coordinators || unknown {
            true => self.trust.coordinator.as_ref().is_some_and(|it| it.fingerprint() == key),
            false => self.trust.members_key(sender, &key, self.now).is_some(),
        };
        if good { Ok(()) } else { Err(Distrust::WrongKey) }
    }

    fn believe_info(&self, info: &SessionInfo, key: Option<Fingerprint>) -> Result<(), Distrust> {
        let expected = self.trust.expected();
        if expected.is_none() && info.security_profile != SecurityProfile::Verified {
            return Ok(());
        }
        // What a former session was signed with, one that says it is open must be too: nobody takes signatures away.
        let presented = presented(info).ok_or(Distrust::NoKey)?.fingerprint();
        if expected.is_some_and(|expected| expected != presented) {
            return Err(Distrust::OtherCoordinator);
        }
        match key {
            None => Err(Distrust::NotSigned),
            Some(key) if key != presented => Err(Distrust::WrongKey),
            Some(_) => Ok(()),
        }
    }

    /// What is dropped is told once a session; of SESSION_INFO always, for somebody waits for it.
    pub(super) fn distrust(&mut self, envelope: &Envelope, message: &Message, why: Distrust) {
        let first = !core::mem::replace(&mut self.trust.told, true);
        if first || matches!(message, Message::SessionInfo(_)) {
            self.news.push(News::Distrusted { message: envelope.message_id.clone(), why });
        }
    }

    /// SESSION_INFO was believed and let us in.
    pub(super) fn trust_coordinator(&mut self, info: &SessionInfo) {
        self.trust.told = false;
        let verified = info.security_profile == SecurityProfile::Verified;
        self.trust.sealed = verified;
        if !verified && !self.trust.is_needed() {
            return;
        }
        let Some(key) = presented(info) else { return };
        if self.trust.coordinator.is_none() {
            let (key, first_use) = (key.fingerprint(), self.trust.pinned.is_none());
            self.news.push(News::CoordinatorTrusted { key, first_use });
        }
        self.trust.coordinator = Some(key);
    }

    /// The coordinator says whose keys are good.
    pub(super) fn keys_told(&mut self, keys: ParticipantKeys) {
        self.own_keys_told(&keys);
        if self.trust.coordinator.is_some() {
            self.trust.learn(keys, self.authority.principal());
        }
    }

    /// Among them our own. That we rotated may have been told while we did not hear it: the connection was broken, or this
    /// is another process. The key before lets us in only as long as its grace lasts.
    fn own_keys_told(&mut self, told: &ParticipantKeys) {
        let own = || told.keys.iter().filter(|it| it.principal_id == self.sender.principal_id);
        let Some(used) = own().find(|it| it.valid_until.is_none()) else { return };
        let asked_for = self.trust.asked == Some(used.fingerprint);
        let old_until = own().filter_map(|it| it.valid_until).max();
        if let Some(until) = old_until.or_else(|| asked_for.then_some(self.now)) {
            self.own_key_is(used.fingerprint, until);
        }
    }

    fn own_key_is(&mut self, key: Fingerprint, old_until: Timestamp) {
        let asked_for = self.trust.asked == Some(key);
        if self.trust.coordinator.is_none() && !asked_for {
            return;
        }
        if asked_for {
            (self.trust.asked, self.trust.asking) = (None, None);
        }
        if self.trust.own.replace(key) != Some(key) {
            self.news.push(News::KeyRotated { key, old_until });
        }
    }

    /// The coordinator says that somebody has another key, and signs that as it signed before. Where its own key is not
    /// known, as in an authenticated session without a pinned one, nobody vouches for that: then it counts for nothing but the
    /// key that we asked for.
    pub(super) fn key_changed(&mut self, change: &KeyChange) {
        let coordinator = self.trust.coordinator.as_ref().map(PublicKey::fingerprint);
        let new = change.new_key_fingerprint;
        if new != change.public_key.fingerprint() || !is_ed25519(&change.public_key) {
            return;
        }
        if self.authority.principal() == Some(&change.principal_id) {
            let Some(old) = coordinator else { return };
            self.trust.coordinator = Some(change.public_key.clone());
            self.trust.pinned = self.trust.pinned.map(|_| new);
            self.news.push(News::CoordinatorKeyChanged { old, new });
        } else if change.principal_id == self.sender.principal_id {
            self.own_key_is(new, change.old_key_valid_until);
        }
    }

    /// HEARTBEAT that asks for another key of our own, to be signed with the one in use. [`News::KeyRotated`] says that it
    /// is so; until then the old one signs (SEC-32).
    pub fn rotate_key(&mut self, stamp: Stamp, new: &PublicKey) -> Envelope {
        let mut rotation = KeyRotation::new(new.fingerprint());
        rotation.public_key = Some(new.clone());
        self.trust.asked = Some(new.fingerprint());
        self.trust.asking = Some(stamp.message_id.clone());
        self.beat_with(stamp, rotation.to_extensions())
    }

    /// The own key is to be replaced then: [`News::KeyRotationDue`] says so, once.
    pub const fn rotate_key_at(&mut self, at: Timestamp) {
        self.trust.rotate_at = Some(at);
    }

    /// The own key that was asked for, while the answer to that can still come.
    pub const fn rotating(&self) -> Option<&Fingerprint> {
        if self.trust.asking.is_some() { self.trust.asked.as_ref() } else { None }
    }
}
