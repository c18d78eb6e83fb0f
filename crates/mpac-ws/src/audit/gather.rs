//! The messages of a session as they crossed the wire, the coordinator's own signed again: with Ed25519 the same key makes the
//! same signature, so the log need not hold any (SEC-26, SEC-29).

use std::path::Path;

use mpac_wire::signature::NotCanonical;
use mpac_wire::transcript::{Chain, Crossed};
use mpac_wire::{Fingerprint, Raw};

use super::lived::Lived;
use super::problem::Problem;
use super::voice::{Said, Voice};
use super::which::Which;
use crate::signing::key_file::{Keys, Place};
use crate::store::replay::Replay;

/// The signing keys of whoever wrote a session's log: in `named`, or in the data directory. `None` where there are none.
///
/// # Errors
/// When they cannot be read.
pub(super) fn signing_keys(which: &Which, named: Option<&Path>) -> Result<Option<Keys>, Problem> {
    let Some(place) = Place::of(named, Some(&which.data)) else { return Ok(None) };
    Keys::read(place).map_err(|error| Problem::Other(Box::new(error.into())))
}

/// What is gathered along a log.
#[derive(Debug)]
pub(super) struct Gathered {
    keys: Option<Keys>,
    voice: Voice,
    /// Every message, with the coordinator's clock after it.
    messages: Vec<(String, u64)>,
    /// The same as a hash chain, and how it ends.
    pub(super) links: Vec<Raw>,
    pub(super) chain: Chain,
    /// The first key that was missing.
    missing: Option<Fingerprint>,
    /// The first message that could not be signed: what it quotes is let in by no session whose messages must be.
    unsigned: Option<NotCanonical>,
}

impl Gathered {
    /// Along what `replay` follows from here on; `keys` sign.
    pub(super) fn along(replay: &Replay, keys: Option<Keys>) -> Self {
        let (voice, chain) = (Voice::before(replay), Chain::default());
        let (messages, links) = (Vec::new(), Vec::new());
        Self { keys, voice, messages, links, chain, missing: None, unsigned: None }
    }

    /// Takes the messages of an entry.
    ///
    /// # Errors
    /// When something of it has no JSON form, which is a fault of ours.
    pub(super) fn take(&mut self, lived: &Lived<'_>) -> serde_json::Result<()> {
        for crossed in self.voice.crossed(lived.entry, lived.outputs, lived.replay) {
            let (at, clock, direction) = (crossed.at, crossed.clock, crossed.direction());
            let text = match crossed.said {
                Said::Heard(text) => text,
                Said::Spoken(mut envelope, key) => {
                    if let Some(key) = key {
                        match self.keys.as_ref().and_then(|keys| keys.get(&key)) {
                            Some(signing) => {
                                if let Err(error) = signing.sign(&mut envelope) {
                                    self.unsigned.get_or_insert(error);
                                }
                            }
                            None => {
                                self.missing.get_or_insert(key);
                            }
                        }
                    }
                    envelope.to_json()
                }
            };
            self.links.push(serde_json::from_str(&self.chain.add(at, direction, &text))?);
            self.messages.push((text, clock));
        }
        Ok(())
    }

    /// Every message, for a transcript.
    pub(super) fn messages(&self) -> impl Iterator<Item = Crossed<'_>> {
        self.messages.iter().map(|(text, clock)| Crossed { text, clock: *clock })
    }

    /// The keys that sign.
    pub(super) const fn keys(&self) -> Option<&Keys> {
        self.keys.as_ref()
    }

    /// Whether every word of the coordinator's is signed that can be.
    ///
    /// # Errors
    /// Which key is missing.
    pub(super) fn has_keys(&self, which: &Which, named: Option<&Path>) -> Result<(), Problem> {
        let Some(key) = self.missing else { return Ok(()) };
        let looked = Place::of(named, Some(&which.data)).map(|place| place.current().to_owned());
        Err(Problem::NoSigningKey { key, path: looked.unwrap_or_default() })
    }

    /// Whether every word of the coordinator's is signed, as it has to be in a verified session (SEC-26).
    ///
    /// # Errors
    /// Which key is missing, or why something could not be signed.
    pub(super) fn is_signed(&self, which: &Which, named: Option<&Path>) -> Result<(), Problem> {
        self.has_keys(which, named)?;
        match &self.unsigned {
            Some(error) => Err(Problem::Log { path: which.dir.clone(), reason: error.to_string() }),
            None => Ok(()),
        }
    }
}
