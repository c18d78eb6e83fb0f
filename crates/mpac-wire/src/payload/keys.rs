//! How keys reach everybody: PARTICIPANT_KEYS, and the extensions of HEARTBEAT and COORDINATOR_STATUS for their rotation
//! (`spec/wire.md` §12, SEC-31, SEC-32, D-127). None of the 22 types: receivers that do not know it ignore it (EXT-04).

use alloc::vec::Vec;

use crate::envelope::Payload;
use crate::id::PrincipalId;
use crate::message::Message;
use crate::names::{MessageType, SignatureAlgorithm};
use crate::object::Raw;
use crate::signature::{Fingerprint, PublicKey};
use crate::time::Timestamp;

object! {
    /// PARTICIPANT_KEYS: the coordinator tells whose keys are good (SEC-31). For each principal that it names it lists
    /// all of them; what it says of others stands.
    pub struct ParticipantKeys {
        /// Every good key of the principals it is about.
        req keys: Vec<ParticipantKey>,
    }
}

object! {
    /// Somebody's key, the coordinator's own included.
    pub struct ParticipantKey {
        /// Whose.
        req principal_id: PrincipalId,
        /// For which signatures.
        req algorithm: SignatureAlgorithm,
        /// The key.
        req public_key: PublicKey,
        /// Its name in signatures.
        req fingerprint: Fingerprint,
        /// From when on.
        req valid_from: Timestamp,
        /// From when on it is no good any more; absent for the one in use.
        opt valid_until: Timestamp,
    }
}

impl ParticipantKeys {
    /// The message type.
    pub const TYPE: &'static str = "PARTICIPANT_KEYS";

    /// Reads it, if the message is one.
    pub fn of(message: &Message) -> Option<Self> {
        match message {
            Message::Unknown { message_type, payload } if message_type.as_str() == Self::TYPE => {
                payload.read().ok()
            }
            _ => None,
        }
    }
}

impl From<ParticipantKeys> for Message {
    fn from(keys: ParticipantKeys) -> Self {
        Self::Unknown { message_type: MessageType::from(ParticipantKeys::TYPE), payload: Payload::of(&keys) }
    }
}

object! {
    /// `extensions.key_rotation` of a HEARTBEAT: the sender goes on with another key (D-127).
    pub struct KeyRotation {
        /// Its name in signatures.
        req new_key_fingerprint: Fingerprint,
        /// The key itself. Optional on the wire; a coordinator that has not got it otherwise cannot verify anything by it.
        opt public_key: PublicKey,
        /// For which signatures; absent means `ed25519`.
        opt algorithm: SignatureAlgorithm,
    }
}

object! {
    /// `extensions.mpac.key_change` of a COORDINATOR_STATUS: somebody has rotated its key (SEC-32).
    pub struct KeyChange {
        /// Who; the coordinator's own id where it is the coordinator's key.
        req principal_id: PrincipalId,
        /// The key in use until now.
        req old_key_fingerprint: Fingerprint,
        /// The one that takes its place.
        req new_key_fingerprint: Fingerprint,
        /// The new key.
        req public_key: PublicKey,
        /// For which signatures.
        req algorithm: SignatureAlgorithm,
        /// Until when the old one is good as well.
        req old_key_valid_until: Timestamp,
    }
}

object! {
    /// The extensions of a HEARTBEAT that matter here.
    #[doc(hidden)]
    pub struct HeartbeatExtensions {
        /// As it came; what is no rotation is the sender's mistake.
        opt key_rotation: Raw,
    }
}

object! {
    /// The extensions of a COORDINATOR_STATUS that matter here.
    #[doc(hidden)]
    pub struct StatusExtensions {
        /// This project's.
        opt mpac: StatusNews,
    }
}

object! {
    /// What this project adds to a COORDINATOR_STATUS.
    #[doc(hidden)]
    pub struct StatusNews {
        /// Somebody's new key.
        opt key_change: KeyChange,
    }
}

impl KeyChange {
    /// As the extensions of a COORDINATOR_STATUS.
    pub fn to_extensions(&self) -> Option<Raw> {
        let mut news = StatusNews::new();
        news.key_change = Some(self.clone());
        let mut extensions = StatusExtensions::new();
        extensions.mpac = Some(news);
        Raw::of(&extensions).ok()
    }

    /// What the extensions of a COORDINATOR_STATUS say.
    pub fn of_extensions(extensions: &Raw) -> Option<Self> {
        extensions.read::<StatusExtensions>().ok()?.mpac?.key_change
    }
}

impl KeyRotation {
    /// As the extensions of a HEARTBEAT.
    pub fn to_extensions(&self) -> Option<Raw> {
        let mut extensions = HeartbeatExtensions::new();
        extensions.key_rotation = Raw::of(self).ok();
        Raw::of(&extensions).ok()
    }

    /// What the extensions of a HEARTBEAT ask for, as it came.
    pub fn in_extensions(extensions: &Raw) -> Option<Raw> {
        extensions.read::<HeartbeatExtensions>().ok()?.key_rotation
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn keys_travel_in_a_message_that_nobody_needs_to_know() {
        let key = PublicKey::new(&[7; 32]);
        let at = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        let listed = ParticipantKey::new(
            PrincipalId::new("p").unwrap(),
            SignatureAlgorithm::Ed25519,
            key.clone(),
            key.fingerprint(),
            at,
        );
        let message = Message::from(ParticipantKeys::new([listed].into()));
        assert_eq!(message.message_type().as_str(), "PARTICIPANT_KEYS");
        let payload = message.to_payload();
        assert!(payload.get().contains(
            r#""public_key":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","fingerprint":"sha256:"#
        ));
        let back = Message::read(&message.message_type(), &payload).unwrap();
        assert_eq!(ParticipantKeys::of(&back), ParticipantKeys::of(&message));
        assert!(ParticipantKeys::of(&back).is_some());
    }

    #[test]
    fn rotations_and_changes_read_back() {
        let key = PublicKey::new(&[7; 32]);
        let mut rotation = KeyRotation::new(key.fingerprint());
        rotation.public_key = Some(key.clone());
        let raw = KeyRotation::in_extensions(&rotation.to_extensions().unwrap()).unwrap();
        assert_eq!(raw.read::<KeyRotation>().unwrap(), rotation);
        let change = KeyChange::new(
            PrincipalId::new("p").unwrap(),
            Fingerprint::of(b"old"),
            key.fingerprint(),
            key,
            SignatureAlgorithm::Ed25519,
            Timestamp::parse("2026-01-02T03:04:05Z").unwrap(),
        );
        let extensions = change.to_extensions().unwrap();
        assert!(
            extensions.get().starts_with(r#"{"mpac":{"key_change":{"principal_id":"p","#),
            "{extensions:?}"
        );
        assert_eq!(KeyChange::of_extensions(&extensions), Some(change));
        let other = Raw::of(&serde_json::json!({"mpac": {"other": 1}})).unwrap();
        assert_eq!(KeyChange::of_extensions(&other).map(|it| it.principal_id.to_string()), None);
    }
}
