//! Whether a participant's message is signed by a key of whoever it says it is from, judged anew.

use mpac_core::Signed;
use mpac_wire::names::CredentialType;
use mpac_wire::payload::Hello;
use mpac_wire::{Envelope, Fingerprint, PublicKey, Signature, Timestamp};

use super::trust::{Trust, Why};
use crate::identity::certificate::Read;
use crate::identity::chain::Chain;
use crate::identity::kept::is_blanked;
use crate::signing::{self, Verifying};

/// A participant's message as the log has it, with what the coordinator's host said of its signature.
pub(super) struct Judged<'a> {
    pub(super) text: &'a str,
    pub(super) envelope: &'a Envelope,
    pub(super) said: &'a Signed,
}

/// What somebody shows with a HELLO: its certificates, or a text in their place.
fn shown(envelope: &Envelope) -> Option<String> {
    let hello: Hello = envelope.payload.read().ok()?;
    let credential = hello.credential?;
    (credential.kind == CredentialType::X509Chain).then(|| credential.value.reveal().to_owned())
}

impl Judged<'_> {
    /// The key that its signature names, by which it need not be good.
    fn named(&self) -> Option<Fingerprint> {
        self.envelope.signature.as_ref()?.parse::<Signature>().ok().map(|signature| signature.key)
    }

    /// The key that signed it: one of those that `find` has, or that it brings. `None` where its signature is not good by any.
    pub(super) fn signer(&self, find: &dyn Fn(&Fingerprint) -> Option<PublicKey>) -> Option<PublicKey> {
        let named = self.named()?;
        let key = find(&named).into_iter().chain(self.brought()).find(|key| key.fingerprint() == named)?;
        let with = Verifying::Ed25519(key.clone());
        let verdict = signing::verify(self.text, self.envelope.signature.as_deref(), |_| Some(with));
        matches!(verdict, Signed::Good { .. }).then_some(key)
    }

    /// The keys that a HELLO shows: by what the host found, and by its certificate.
    fn brought(&self) -> impl Iterator<Item = PublicKey> {
        let by_host = match self.said {
            Signed::Good { shown: Some(shown), .. } => shown.public_key.clone(),
            _ => None,
        };
        let chain = shown(self.envelope).and_then(|text| Chain::parse(&text).ok());
        let by_itself = chain.and_then(|chain| Read::of(chain.leaf())).and_then(|leaf| leaf.key);
        by_host.into_iter().chain(by_itself)
    }

    /// By which key it is signed, if it is; `find` has those of the session before the message.
    ///
    /// # Errors
    /// What contradicts what the host said.
    pub(super) fn check(
        &self,
        find: &dyn Fn(&Fingerprint) -> Option<PublicKey>,
    ) -> Result<Option<PublicKey>, Wrong> {
        let signer = self.signer(find);
        match (self.said, signer) {
            (Signed::Good { key, .. }, Some(signer)) if signer.fingerprint() == *key => Ok(Some(signer)),
            // That of a MAC is a secret, and what was blanked cannot be verified by anybody any more.
            (Signed::Good { .. }, None) if is_blanked(self.envelope) => Err(Wrong::Blanked),
            (Signed::Good { shown: Some(shown), .. }, None) if shown.public_key.is_none() => {
                Err(Wrong::Secret)
            }
            (Signed::Good { .. }, _) => Err(Wrong::NotSigned),
            (_, Some(_)) => Err(Wrong::GoodAfterAll),
            (_, None) => Ok(None),
        }
    }

    /// Whether this is wrong whichever keys the session knew before the message: it is signed badly by the very key that it names,
    /// or well by one that it brings.
    pub(super) fn shows_by_itself(
        &self,
        wrong: Wrong,
        find: &dyn Fn(&Fingerprint) -> Option<PublicKey>,
    ) -> bool {
        let Some(named) = self.named() else { return true };
        let brings = self.brought().any(|key| key.fingerprint() == named);
        match wrong {
            Wrong::NotSigned => {
                let is_of_other = !matches!(self.said, Signed::Good { key, .. } if *key == named);
                is_of_other || brings || find(&named).is_some()
            }
            Wrong::GoodAfterAll => brings,
            Wrong::Blanked | Wrong::Secret => false,
        }
    }

    /// Until when this HELLO lets its sender in, by its certificate.
    pub(super) fn until(&self, trust: &Trust, at: Timestamp) -> Option<Timestamp> {
        trust.until(&self.envelope.sender.principal_id, &shown(self.envelope)?, at)
    }

    /// Whether a key that this HELLO brought is that of its sender.
    ///
    /// # Errors
    /// Why nobody can say so.
    pub(super) fn owner(&self, trust: &Trust, key: &PublicKey, at: Timestamp) -> Result<Why, String> {
        trust.owner(&self.envelope.sender.principal_id, key, shown(self.envelope).as_deref(), at)
    }
}

/// What is wrong with what the host said of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is not as good as was said.
    NotSigned,
    /// It is good, and was said not to be.
    GoodAfterAll,
    /// The log does not hold what was signed.
    Blanked,
    /// It is by a shared secret, which the host alone has.
    Secret,
}
