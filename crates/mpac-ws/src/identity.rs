//! Who somebody is, by what they show: everything that needs a look outside the protocol.
//!
//! The core decides who may come in (SEC-06 to SEC-08); what it is told is made here, before a HELLO reaches its session. What
//! is not configured cannot be verified, and is said to be so (SEC-13).

pub(crate) mod certificates;
mod custom;
mod jwt;
pub(crate) mod key_file;
pub(crate) mod keys;
pub(crate) mod secret;

use std::future::pending;

use mpac_core::Identity;
use mpac_wire::names::{CredentialType, SecurityProfile};
use mpac_wire::{Credential, Frame, Limits, Message, Sender, SessionId, Timestamp};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tracing::warn;

use self::custom::Custom;
use self::jwt::Provider;
use self::key_file::KeyFile;
use crate::cli::Settings;
use crate::clock;
use crate::error::Error;

/// Where something is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) session: &'a SessionId,
    /// The certificate of the other end, which has its key.
    pub(crate) certificate: Option<&'a CertificateDer<'static>>,
}

/// A credential, and who shows it where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) at: At<'a>,
    pub(crate) sender: &'a Sender,
    pub(crate) credential: &'a Credential,
}

/// The name of a key, or the fingerprint of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(String);

/// What was found out about a credential.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) identity: Identity,
    /// By which of the keys that can be revoked.
    pub(crate) by: Option<KeyId>,
}

/// Everything that can say whether a credential is good.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    keys: Option<KeyFile>,
    tokens: Option<Provider>,
    custom: Option<Custom>,
    changes: watch::Sender<()>,
}

impl Verifier {
    /// As the settings want it. In an open session nobody has to prove anything, and nothing is looked at (SEC-15).
    ///
    /// # Errors
    /// When one of its files cannot be read: that is to show at the start, and not when the first one comes.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Error> {
        let security = &settings.security;
        if security.security_profile == SecurityProfile::Open {
            return Ok(Self::default());
        }
        let unreadable = |error: &dyn std::fmt::Display| Error::Session(error.to_string());
        let keys = KeyFile::at(key_file::path(settings)?);
        keys.read().map_err(|error| unreadable(&error))?;
        let tokens = Provider::of(security).map_err(|error| unreadable(&error))?;
        let custom = security.credential_command.as_deref().map(Custom::new);
        Ok(Self { keys: Some(keys), tokens, custom, changes: watch::Sender::default() })
    }

    /// Whether there could be a credential in a frame, and somebody who looks at it. Nearly every frame is let go here; an
    /// escape may spell the word.
    pub(crate) fn may_look(&self, text: &str) -> bool {
        self.keys.is_some() && (text.contains("credential") || text.contains("\\u"))
    }

    /// What is proven by the credential in a frame, if it is a HELLO with one: the core looks nowhere else.
    pub(crate) async fn look(&self, text: &str, at: At<'_>, limits: &Limits) -> Option<Found> {
        if !self.may_look(text) {
            return None;
        }
        let Ok(Frame::Message(received)) = Frame::parse(text, limits) else { return None };
        let Ok(Message::Hello(hello)) = received.envelope().message() else { return None };
        let credential = hello.credential?;
        let sender = &received.envelope().sender;
        Some(self.identify(Shown { at, sender, credential: &credential }, clock::now()).await)
    }

    /// What `shown` proves at `now`. Only the credential's owner is proven, never the name that was claimed with it: whether
    /// the two are the same is for the core to see (SEC-08, D-123).
    async fn identify(&self, shown: Shown<'_>, now: Timestamp) -> Found {
        let method = shown.credential.kind.clone();
        let rejected = |method| Found { identity: Identity::Rejected { method }, by: None };
        let found = match method {
            CredentialType::ApiKey | CredentialType::MtlsFingerprint => self.by_keys(shown, now),
            CredentialType::BearerToken if secret::id(shown.credential.value.reveal()).is_some() => {
                self.by_keys(shown, now)
            }
            CredentialType::BearerToken => match &self.tokens {
                None => self.by_keys(shown, now),
                Some(provider) => provider.identify(shown, now).map(|identity| Found { identity, by: None }),
            },
            CredentialType::Custom => match &self.custom {
                None => return Found { identity: Identity::Unproven, by: None },
                Some(custom) => custom.identify(shown).await.map(|identity| Found { identity, by: None }),
            },
            _ => return Found { identity: Identity::Unproven, by: None },
        };
        found.unwrap_or_else(|| rejected(method))
    }

    fn by_keys(&self, shown: Shown<'_>, now: Timestamp) -> Option<Found> {
        self.keys.as_ref()?.identify(shown, now)
    }

    /// Tells those who wait for it whenever the keys change. Never returns.
    pub(crate) async fn watch(&self) {
        let Some(keys) = &self.keys else { return pending().await };
        loop {
            keys.changed().await;
            self.changes.send_replace(());
        }
    }

    /// Hears of it when the keys change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether whoever is in by this key may stay.
    pub(crate) fn is_still_good(&self, by: &KeyId) -> bool {
        // While the list cannot be read nobody new comes in, and those who are in stay in.
        self.keys.as_ref().is_some_and(|keys| keys.read().map_or(true, |keys| keys.has(&by.0, clock::now())))
    }
}

impl KeyFile {
    /// `None` when nothing good was shown.
    fn identify(&self, shown: Shown<'_>, now: Timestamp) -> Option<Found> {
        let keys = match self.read() {
            Ok(keys) => keys,
            Err(error) => {
                warn!("{error}");
                return None;
            }
        };
        if shown.credential.kind == CredentialType::MtlsFingerprint {
            let trusted = keys.trusted(shown, now)?;
            return Some(Found {
                identity: trusted.identity(),
                by: Some(KeyId(trusted.fingerprint.clone())),
            });
        }
        let key = keys.good(shown, now)?;
        let identity = Identity::Proven {
            principal: key.principal.clone(),
            method: key.method.clone(),
            issuer: None,
            roles: key.roles.clone(),
            expires_at: key.good_until(shown.credential.value.reveal()),
        };
        if key.is_unclaimed_invite() && key.principal == shown.sender.principal_id {
            // Whoever is first has it; a second one that comes at the same moment finds it taken.
            let taken = self.edit(|keys| keys.claim(&key.id, &shown.sender.sender_instance_id));
            if !matches!(taken, Ok(true)) {
                return None;
            }
        }
        Some(Found { identity, by: Some(KeyId(key.id.clone())) })
    }
}
