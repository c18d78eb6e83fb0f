//! Whether a participant's message is signed by a key of whoever it says it is from, judged anew.

use mpac_core::{ConnId, Coordinator, Signed};
use mpac_wire::names::CredentialType;
use mpac_wire::payload::Hello;
use mpac_wire::{Envelope, Fingerprint, MessageType, PublicKey, Signature, Timestamp};

use super::trust::{Trust, Why};
use crate::identity::certificate::Read;
use crate::identity::chain::Chain;
use crate::identity::kept::is_blanked;
use crate::signing::{self, Verifying};
use crate::store::entry::Entry;
use crate::store::input::Stored;
use crate::store::kept::Kept;

/// A participant's message as the log has it.
#[derive(Debug)]
pub(super) struct Came {
    conn: ConnId,
    pub(super) text: String,
    pub(super) envelope: Envelope,
    /// What the coordinator's host said of its signature.
    pub(super) said: Signed,
}

impl Came {
    /// The one that an entry holds, if it does.
    pub(super) fn with(entry: &Entry) -> Option<Self> {
        let Entry::Input(happened) = entry else { return None };
        let input = happened.input();
        let Stored::Frame { conn, text, .. } = input else { return None };
        let envelope = serde_json::from_str(text).ok()?;
        Some(Self { conn: ConnId(*conn), text: text.clone(), envelope, said: input.signed()? })
    }

    pub(super) fn judged(&self) -> Judged<'_> {
        Judged { text: &self.text, envelope: &self.envelope, said: &self.said }
    }

    /// Whether its host has to find that its signature is good, by the session before it. Else it may have looked at none, for the
    /// core refuses such a message anyway: one that is too large, or of somebody who was not let in, or by a key that the session
    /// does not know any more. Outside verified sessions a signature may be taken for bad because the key was revoked, which
    /// stands in no log.
    pub(super) fn has_to_be_good(&self, (coordinator, kept): &(Coordinator, Kept)) -> bool {
        let (view, judged) = (coordinator.view(), self.judged());
        let is_known = judged.named().is_some_and(|key| view.key(&key).is_some() || judged.brings(&key));
        let is_let_in = self.envelope.message_type == MessageType::Hello || view.is_bound(self.conn);
        let is_whole = !is_blanked(&self.envelope) && kept.config.limits.check(&self.text).is_ok();
        let may_be_revoked = !kept.config.is_verified() && matches!(self.said, Signed::Wrong);
        !kept.config.is_open() && !may_be_revoked && is_known && is_let_in && is_whole
    }
}

/// The same, to be judged anew.
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

    fn brings(&self, key: &Fingerprint) -> bool {
        self.brought().any(|it| it.fingerprint() == *key)
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
        let brings = self.brings(&named);
        match wrong {
            Wrong::NotSigned => {
                let is_of_other = !matches!(self.said, Signed::Good { key, .. } if *key == named);
                is_of_other || brings || find(&named).is_some()
            }
            Wrong::GoodAfterAll => brings,
            Wrong::Blanked | Wrong::Secret => false,
        }
    }

    /// Until when this HELLO lets its sender in, by its certificate: `Some(None)` where that does not count, `None` where it shows
    /// nothing that proves anything.
    pub(super) fn until(&self, trust: &Trust, at: Timestamp) -> Option<Option<Timestamp>> {
        trust.until(&self.envelope.sender.principal_id, &shown(self.envelope)?, at).ok()
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
