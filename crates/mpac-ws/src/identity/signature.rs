//! Whose key signed a frame, as far as a connection can say (SEC-22, SEC-23).

use mpac_core::{ShownKey, Signed};
use mpac_wire::{PrincipalId, PublicKey, Signature};

use super::keys::Keys;
use super::proof::Judged;
use crate::signing::known::Known;
use crate::signing::{self, Verifying};

/// The keys that a connection knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring<'a> {
    /// That of the certificate which this HELLO shows, and whose that is.
    pub(super) shown: Option<(&'a PublicKey, &'a PrincipalId)>,
    /// Those that an operator registered, while they can be read; where sessions are verified only certificates count (SEC-39).
    pub(super) registered: Option<&'a Keys>,
    /// The same as they could be read last: what was revoked then does not come back because the file is damaged.
    pub(super) last_registered: Option<&'a Keys>,
    /// Those that the session has met.
    pub(super) known: &'a Known,
}

impl Ring<'_> {
    /// Verifies the frame by the one of these keys that its `signature` names.
    pub(super) fn judge(self, frame: &str, signature: Option<&str>) -> Judged {
        let Some(text) = signature else { return Judged::Is(Signed::Missing) };
        let Ok(named) = text.parse::<Signature>() else { return Judged::Is(Signed::Malformed) };
        let told_last = self.last_registered.and_then(|keys| keys.signer(&named.key));
        if told_last.is_some_and(|it| it.revoked_at.is_some()) {
            return Judged::Is(Signed::Wrong);
        }
        let registered = self.registered.and_then(|keys| keys.signer(&named.key));
        let shown = match (self.shown, registered) {
            (Some((key, owner)), _) if key.fingerprint() == named.key => Some((key, owner)),
            (_, registered) => registered.map(|it| (&it.public_key, &it.principal)),
        };
        let known = || self.known.get(&named.key);
        let Some(key) = shown.map(|(key, _)| key.clone()).or_else(known) else {
            return Judged::ByUnknownKey(text.to_owned());
        };
        let shown = shown.map(|(key, owner)| ShownKey::ed25519(owner.clone(), key.clone()));
        Judged::Is(match signing::verify(frame, Some(text), |_| Some(Verifying::Ed25519(key))) {
            Signed::Good { key, .. } => Signed::Good { key, shown },
            other => other,
        })
    }
}
