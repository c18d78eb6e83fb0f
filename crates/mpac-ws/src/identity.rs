//! Who somebody is, by what they show: everything that needs a look outside the protocol.
//!
//! The core decides who may come in (SEC-06 to SEC-08); what it is told is made here, before a HELLO reaches its session. What
//! is not configured cannot be verified, and is said to be so (SEC-13).

pub(crate) mod card;
pub(crate) mod certificate;
pub(crate) mod certificates;
pub(crate) mod chain;
mod custom;
mod jwt;
pub(crate) mod kept;
pub(crate) mod key_file;
pub(crate) mod keys;
mod opening;
pub(crate) mod proof;
mod refused;
pub(crate) mod secret;
mod signature;
pub(crate) mod signers;
mod twin;

use std::future::pending;
use std::sync::Arc;

use mpac_core::Identity;
use mpac_wire::names::{CredentialType, MessageType};
use mpac_wire::{Credential, Frame, InstanceId, Limits, Message, Sender, SessionId, Timestamp};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tracing::warn;

use self::card::Card;
use self::chain::{Anchors, Chain};
use self::custom::Custom;
use self::jwt::Provider;
use self::key_file::KeyFile;
use self::keys::Keys;
use self::proof::Proof;
use self::secret::Hash;
use self::signature::Ring;
use crate::clock;
use crate::signing::known::Known;

/// Where something is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) session: &'a SessionId,
    /// The certificate of the other end, which has its key.
    pub(crate) certificate: Option<&'a CertificateDer<'static>>,
    /// Nobody has proven anything on this connection yet.
    pub(crate) stranger: bool,
}

/// A credential, and who shows it where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) at: At<'a>,
    pub(crate) sender: &'a Sender,
    pub(crate) credential: &'a Credential,
}

/// By what somebody is in that can be no good any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The name of a key, and which of its secrets was shown: a rotation ends the one before.
    Key { id: String, secret: Hash },
    /// A certificate that is trusted by its fingerprint, and until when.
    Certificate { fingerprint: String, ends: Option<Timestamp> },
    /// Certificates that led to a trust anchor, and until when.
    Chain { chain: Chain, ends: Timestamp },
}

/// Whether whoever is in by something may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// Until then, unless something changes.
    Until(Timestamp),
    Over,
}

impl Standing {
    const fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Over }
    }
}

/// What was found out about a credential.
#[derive(Debug)]
struct Found {
    identity: Identity,
    by: Option<By>,
    taken: Option<Taken>,
}

impl Found {
    const fn new(identity: Identity, by: Option<By>) -> Self {
        Self { identity, by, taken: None }
    }
}

/// An invitation that this very credential took up: its key, and who has it now.
#[derive(Debug)]
pub(crate) struct Taken {
    key: String,
    instance: InstanceId,
}

/// What was found out about a frame.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) proof: Proof,
    pub(crate) by: Option<By>,
    pub(crate) taken: Option<Taken>,
}

/// Everything that can say whether a credential is good.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    keys: Option<KeyFile>,
    tokens: Option<Provider>,
    anchors: Option<Anchors>,
    custom: Option<Custom>,
    /// Only certificates say whose a key is.
    certified_only: bool,
    changes: watch::Sender<()>,
}

impl Verifier {
    /// Whether anybody has to prove anything.
    pub(crate) const fn is_needed(&self) -> bool {
        self.keys.is_some()
    }

    /// Whether there could be a credential in a frame, and somebody who looks at it. Nearly every frame is let go here; an
    /// escape may spell the word.
    pub(crate) fn may_look(&self, text: &str) -> bool {
        self.keys.is_some() && (text.contains("credential") || text.contains("\\u"))
    }

    /// What is proven by the signature of a frame, and by the credential in it if it is a HELLO with one: the core looks for
    /// one nowhere else.
    ///
    /// From a stranger, who has proven nothing `at` this connection, only a HELLO is looked at: anything else is refused without
    /// that, and a signature costs much more to verify than to invent.
    pub(crate) async fn look(&self, text: &str, at: At<'_>, known: &Known, limits: &Limits) -> Looked {
        let is_signed = self.keys.is_some() && text.contains("signature");
        if !is_signed && !self.may_look(text) {
            return Looked::default();
        }
        let Ok(Frame::Message(received)) = Frame::parse_envelope(text, limits) else {
            return Looked::default();
        };
        let envelope = received.envelope();
        if at.stranger && envelope.message_type != MessageType::Hello {
            return Looked::default();
        }
        let credential = match envelope.message_type {
            MessageType::Hello => envelope.message().ok().and_then(|message| match message {
                Message::Hello(hello) => hello.credential,
                _ => None,
            }),
            _ => None,
        };
        let shown = credential.as_ref().map(|credential| Shown { at, sender: &envelope.sender, credential });
        let card = shown.and_then(Card::of);
        let found = match shown {
            Some(shown) => self.identify(shown, card.as_ref(), clock::now()).await,
            None => Found::new(Identity::Unproven, None),
        };
        let needs_signature = card.as_ref().is_some_and(|card| !card.is_of_connection(at.certificate));
        let owner = match &found.identity {
            Identity::Proven { principal, .. } => principal,
            _ => &envelope.sender.principal_id,
        };
        let shown = card.as_ref().and_then(Card::key).map(|key| (key, owner));
        let (table, last) = self.registered();
        let ring = Ring { shown, registered: table.as_deref(), last_registered: last.as_deref(), known };
        let kept = kept::signed(text, envelope);
        let signature = ring.judge(kept.as_deref().unwrap_or(text), envelope.signature.as_deref());
        let proof = Proof { identity: found.identity, signature, kept, needs_signature };
        Looked { proof, by: found.by, taken: found.taken }
    }

    /// What `shown` proves at `now`. Only the credential's owner is proven, never the name that was claimed with it: whether
    /// the two are the same is for the core to see (SEC-08, D-123).
    async fn identify(&self, shown: Shown<'_>, card: Option<&Card>, now: Timestamp) -> Found {
        let method = shown.credential.kind.clone();
        let rejected = |method| Found::new(Identity::Rejected { method }, None);
        let found = match method {
            CredentialType::ApiKey | CredentialType::MtlsFingerprint => self.by_keys(shown, now),
            CredentialType::BearerToken if secret::id(shown.credential.value.reveal()).is_some() => {
                self.by_keys(shown, now)
            }
            CredentialType::BearerToken => match &self.tokens {
                None => self.by_keys(shown, now),
                Some(provider) => provider.identify(shown, now).map(|identity| Found::new(identity, None)),
            },
            CredentialType::X509Chain => match &self.anchors {
                None => return Found::new(Identity::Unproven, None),
                Some(anchors) => card.and_then(|card| self.by_chain(anchors, shown, card, now)),
            },
            CredentialType::Custom => match &self.custom {
                None => return Found::new(Identity::Unproven, None),
                Some(custom) => custom.identify(shown).await.map(|identity| Found::new(identity, None)),
            },
            _ => return Found::new(Identity::Unproven, None),
        };
        found.unwrap_or_else(|| rejected(method))
    }

    fn by_keys(&self, shown: Shown<'_>, now: Timestamp) -> Option<Found> {
        self.keys.as_ref()?.identify(shown, now)
    }

    /// By certificates that lead to somebody who is trusted; what is said about the first of them among the keys stands over
    /// that.
    fn by_chain(&self, anchors: &Anchors, shown: Shown<'_>, card: &Card, now: Timestamp) -> Option<Found> {
        let chain = card.chain()?;
        let refused = |why: &dyn std::fmt::Display| refused::tell(shown, why);
        let ends = anchors.judge(chain, card.read(), now).inspect_err(|why| refused(why)).ok()?;
        let Some(owner) = card.read().owner(&shown.sender.principal_id) else {
            refused(&"it names nobody");
            return None;
        };
        let keys = self.table()?;
        if chain.certificates().iter().any(|it| keys.is_barred(it)) {
            refused(&"one of them is revoked");
            return None;
        }
        let said = keys.said_of(chain.leaf());
        let good = said.iter().find(|it| it.is_good(shown, now) && it.principal == *owner);
        if good.is_none() && !said.is_empty() {
            refused(&"`mpac-ws token` says that it is not good here");
            return None;
        }
        let ends = good.and_then(|it| it.expires_at).map_or(ends, |at| at.min(ends));
        let identity = Identity::Proven {
            principal: owner.clone(),
            method: CredentialType::X509Chain,
            issuer: Some(card.read().issuer.as_str().into()),
            roles: good.and_then(|it| it.roles.clone()),
            expires_at: Some(ends),
        };
        Some(Found::new(identity, Some(By::Chain { chain: chain.clone(), ends })))
    }

    /// The keys, while they can be read.
    fn table(&self) -> Option<Arc<Keys>> {
        self.keys.as_ref()?.usable()
    }

    /// The keys that sign, while they can be read, and as they could be read last. Not where only certificates count.
    fn registered(&self) -> (Option<Arc<Keys>>, Option<Arc<Keys>>) {
        match &self.keys {
            Some(keys) if !self.certified_only => {
                let now = keys.usable();
                let last = now.clone().or_else(|| keys.last());
                (now, last)
            }
            _ => (None, None),
        }
    }

    /// Tells those who wait for it whenever the keys or the anchors change. Never returns.
    pub(crate) async fn watch(&self) {
        let Some(keys) = &self.keys else { return pending().await };
        let anchors = async || match &self.anchors {
            Some(anchors) => anchors.changed().await,
            None => pending().await,
        };
        loop {
            tokio::select! {
                () = keys.changed() => {}
                () = anchors() => {}
            }
            self.changes.send_replace(());
        }
    }

    /// Leaves an invitation to the next one: whoever took it up has left without having joined.
    pub(crate) fn give_back(&self, taken: &Taken) {
        let Some(keys) = &self.keys else { return };
        if let Err(error) = keys.edit(|keys| keys.give_back(&taken.key, &taken.instance)) {
            warn!("{error}; the invitation {} stays taken up, though nobody joined with it", taken.key);
        }
    }

    /// Hears of it when the keys change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether whoever is in by this may stay.
    pub(crate) fn standing(&self, by: &By, now: Timestamp) -> Standing {
        // While the list cannot be read nobody new comes in, and those who are in stay in.
        let Some(keys) = self.table() else { return Standing::of(self.keys.is_some()) };
        match by {
            By::Key { id, secret } => keys.standing(id, secret, now),
            By::Certificate { fingerprint, ends } => {
                Standing::of(keys.trusts(fingerprint, while_good(*ends, now)))
            }
            By::Chain { chain, ends } => {
                let now = while_good(Some(*ends), now);
                let said = keys.said_of(chain.leaf());
                let stands = said.is_empty() || said.iter().any(|it| it.is_current(now));
                let stands = stands && !chain.certificates().iter().any(|it| keys.is_barred(it));
                let read = certificate::Read::of(chain.leaf());
                let trusted =
                    |anchors: &Anchors| read.is_some_and(|read| anchors.judge(chain, &read, now).is_ok());
                Standing::of(stands && self.anchors.as_ref().is_some_and(trusted))
            }
        }
    }
}

/// `now`, or the last moment at which something was good that was shown to be good until `ends`. That it ends then is the
/// session's business (SEC-14); what has taken it back, or has ended it earlier, has done so by that moment.
fn while_good(ends: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let last = ends.map(|ends| Timestamp::from_micros(ends.micros().saturating_sub(1)));
    last.map_or(now, |last| last.min(now))
}

impl KeyFile {
    /// `None` when nothing good was shown.
    fn identify(&self, shown: Shown<'_>, now: Timestamp) -> Option<Found> {
        let keys = match self.read() {
            Ok(keys) => keys,
            Err(error) => {
                refused::tell(shown, error);
                return None;
            }
        };
        if shown.credential.kind == CredentialType::MtlsFingerprint {
            let Some(trusted) = keys.trusted(shown, now) else {
                refused::tell(
                    shown,
                    "this connection shows no certificate of that fingerprint that `mpac-ws token trust` made good here",
                );
                return None;
            };
            let (fingerprint, ends) = (trusted.fingerprint.clone(), trusted.expires_at);
            let by = By::Certificate { fingerprint, ends };
            return Some(Found::new(trusted.identity(), Some(by)));
        }
        let key = keys.good(shown, now).inspect_err(|why| refused::tell(shown, why)).ok()?;
        let identity = Identity::Proven {
            principal: key.principal.clone(),
            method: key.method.clone(),
            issuer: None,
            roles: key.roles.clone(),
            expires_at: key.good_until(shown.credential.value.reveal()),
        };
        let mut taken = None;
        if key.is_unclaimed_invite() && key.principal == shown.sender.principal_id {
            // Whoever is first has it; a second one that comes at the same moment finds it taken.
            let instance = shown.sender.sender_instance_id.clone();
            if !matches!(self.edit(|keys| keys.claim(&key.id, &instance)), Ok(true)) {
                refused::tell(shown, format_args!("the invitation {} is taken up already", key.id));
                return None;
            }
            taken = Some(Taken { key: key.id.clone(), instance });
        }
        let secret = Hash::of(shown.credential.value.reveal());
        Some(Found { identity, by: Some(By::Key { id: key.id.clone(), secret }), taken })
    }
}

#[cfg(test)]
mod tests;
