//! Whose keys were told to the participants, and when they were good. For people: whoever verifies works it out anew.

use std::collections::BTreeMap;

use mpac_core::Output;
use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::payload::{ParticipantKey, ParticipantKeys};
use mpac_wire::{Fingerprint, Message, PrincipalId, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::audit::lived::Lived;
use crate::store::replay::Replay;

/// A key, and since when the coordinator spoke with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnKey {
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) public_key: PublicKey,
    pub(super) fingerprint: Fingerprint,
    pub(super) valid_from: Timestamp,
}

/// What is known along a log.
#[derive(Debug)]
pub(super) struct KeyBook {
    own: Vec<OwnKey>,
    told: BTreeMap<(PrincipalId, Fingerprint), ParticipantKey>,
}

impl KeyBook {
    /// As it is before the first entry that `replay` follows.
    pub(super) fn before(replay: &Replay) -> Self {
        let keys = replay.session().into_iter().flat_map(|(coordinator, _)| coordinator.view().keys());
        let told = keys.map(|key| ((key.principal_id.clone(), key.fingerprint), key)).collect();
        Self { own: Vec::new(), told }
    }

    /// Takes note of an entry.
    pub(super) fn note(&mut self, lived: &Lived<'_>) {
        let Some((coordinator, kept)) = lived.replay.session() else { return };
        let at = lived.entry.at();
        if let Some(key) = coordinator.view().coordinator_key()
            && self.own.last().is_none_or(|last| last.public_key != *key)
        {
            let (public_key, fingerprint) = (key.clone(), key.fingerprint());
            let algorithm = SignatureAlgorithm::Ed25519;
            self.own.push(OwnKey { algorithm, public_key, fingerprint, valid_from: at });
        }
        let own = kept.config.coordinator_id();
        for output in lived.outputs {
            let Output::Send { envelope, .. } = output else { continue };
            // Cheaper than reading every message.
            if envelope.message_type.as_str() != ParticipantKeys::TYPE {
                continue;
            }
            let told = envelope.message().ok().and_then(|message: Message| ParticipantKeys::of(&message));
            if let Some(told) = told {
                self.hear(told.keys.into_iter().filter(|key| key.principal_id != own).collect(), at);
            }
        }
    }

    /// Of each principal it names, a message lists every good key: the others are over.
    fn hear(&mut self, keys: Vec<ParticipantKey>, at: Timestamp) {
        for ((principal, fingerprint), known) in &mut self.told {
            let named = keys.iter().any(|key| key.principal_id == *principal);
            if named && keys.iter().all(|key| key.fingerprint != *fingerprint) {
                known.valid_until.get_or_insert(at);
            }
        }
        for key in keys {
            self.told.insert((key.principal_id.clone(), key.fingerprint), key);
        }
    }

    /// The coordinator's in order, and those of the participants.
    pub(super) fn into_keys(self) -> (Vec<OwnKey>, Vec<ParticipantKey>) {
        (self.own, self.told.into_values().collect())
    }
}
