//! Whose key signed a frame, as far as a connection can say (SEC-22, SEC-23).

use mpac_core::{ShownKey, Signed};
use mpac_wire::{Fingerprint, PrincipalId, PublicKey, Signature};

use super::keys::Keys;
use super::proof::Judged;
use crate::signing::known::Known;
use crate::signing::{self, Verifying};

/// The keys that a connection knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring<'a> {
    /// That of the certificate which this HELLO shows, and whose that is.
    pub(super) shown: Option<(&'a PublicKey, &'a PrincipalId)>,
    /// Those that an operator registered; where sessions are verified only certificates count (SEC-39).
    pub(super) registered: Option<&'a Keys>,
    /// Those that the session has met.
    pub(super) known: &'a Known,
}

impl Ring<'_> {
    /// Verifies the frame by the one of these keys that its `signature` names.
    pub(super) fn judge(self, frame: &str, signature: Option<&str>) -> Judged {
        let Some(text) = signature else { return Judged::Is(Signed::Missing) };
        let Ok(named) = text.parse::<Signature>() else { return Judged::Is(Signed::Malformed) };
        let Some((key, shown)) = self.find(&named.key) else { return Judged::ByUnknownKey(text.to_owned()) };
        Judged::Is(match signing::verify(frame, Some(text), |_| Some(Verifying::Ed25519(key))) {
            Signed::Good { key, .. } => Signed::Good { key, shown },
            other => other,
        })
    }

    fn find(&self, key: &Fingerprint) -> Option<(PublicKey, Option<ShownKey>)> {
        if let Some((shown, owner)) = self.shown
            && shown.fingerprint() == *key
        {
            return Some((shown.clone(), Some(ShownKey::ed25519(owner.clone(), shown.clone()))));
        }
        if let Some(signer) = self.registered.and_then(|keys| keys.signer(key)) {
            let shown = ShownKey::ed25519(signer.principal.clone(), signer.public_key.clone());
            return Some((signer.public_key.clone(), Some(shown)));
        }
        self.known.get(key).map(|key| (key, None))
    }
}
