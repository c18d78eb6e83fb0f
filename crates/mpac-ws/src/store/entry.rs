//! What a log says: a session was opened, was taken up again, and everything that came in between; and what became of its log.

use std::collections::BTreeMap;

use mpac_core::{ConfigError, Coordinator, IdSource, Record, RestoreError, SessionConfig};
use mpac_wire::{StateRef, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::fork::Forked;
use super::input::Stored;
use super::seal::Seal;
use crate::PROGRAM;
use crate::drive::stored;

/// One entry of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Entry {
    /// The session begins.
    Open(Start),
    /// The session begins where another one stood.
    Fork(Forked),
    /// The session goes on under the next epoch, after the end of the process that had it (REC-12).
    TakeUp(Start),
    /// Something happened, and led to the outputs of this digest.
    Input(Happened),
    /// The log was damaged, and somebody decided how to go on. Changes nothing in the session.
    Repaired(Repaired),
    /// The coordinator signs how the log stands. Changes nothing in the session.
    Seal(Seal),
}

impl Entry {
    /// Whether the coordinator goes on with another key.
    pub(crate) const fn is_rotation(&self) -> bool {
        matches!(self, Self::Input(Happened { input: Stored::RotateKey { .. }, .. }))
    }

    /// When it came, or was made.
    pub(crate) const fn at(&self) -> Timestamp {
        match self {
            Self::Open(start) | Self::TakeUp(start) => start.at(),
            Self::Fork(forked) => forked.at(),
            Self::Input(happened) => happened.received_at(),
            Self::Repaired(repaired) => repaired.at,
            Self::Seal(seal) => seal.at,
        }
    }
}

/// What became of a damaged log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repaired {
    pub(crate) at: Timestamp,
    pub(crate) program: String,
    /// What was wrong, and where.
    pub(crate) damage: String,
    /// `snapshot` or `cut`.
    pub(crate) way: String,
    /// The last entry of the damaged log that counts.
    pub(crate) after: u64,
    /// Entries behind it that could still be read, and are no part of the session any more.
    pub(crate) lost: u64,
    /// Where the damaged log is kept, beside this one.
    pub(crate) aside: String,
}

/// What a coordinator is made of, beside its snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    at: Timestamp,
    /// Hexadecimal: JSON's numbers end earlier.
    seed: String,
    program: String,
    /// A text, so that every number in it keeps its spelling.
    config: String,
    /// The shared files by name, as the host had them at this moment; absent where it shares none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<BTreeMap<String, StateRef>>,
    /// Their bytes, by the same names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sizes: BTreeMap<String, u64>,
}

/// An input, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Happened {
    seq: u64,
    received_at: Timestamp,
    input: Stored,
    /// [`Step::digest`](mpac_core::Step::digest).
    outputs: String,
}

/// An entry that cannot be made, or cannot be followed.
#[derive(Debug, Error)]
pub(crate) enum Unusable {
    #[error("its configuration cannot be read: {0}")]
    Config(String),
    #[error("its seed is no number")]
    Seed,
    #[error("{0}")]
    Refused(#[from] ConfigError),
    #[error("{0}")]
    NotRestored(#[from] RestoreError),
    #[error("an input of a kind that this version cannot store")]
    Unknown,
}

impl Start {
    /// # Errors
    /// When the configuration has no stored form, which is a fault of ours.
    pub(crate) fn new(config: &SessionConfig, seed: u64, at: Timestamp) -> Result<Self, Unusable> {
        let (files, sizes) = (config.workspace.clone(), config.workspace_sizes.clone());
        let text = stored::write(config).map_err(|error| Unusable::Config(error.to_string()))?;
        Ok(Self { at, seed: format!("{seed:016x}"), program: PROGRAM.to_owned(), config: text, files, sizes })
    }

    /// The version that wrote it.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    pub(crate) const fn at(&self) -> Timestamp {
        self.at
    }

    pub(crate) fn config(&self) -> Result<SessionConfig, Unusable> {
        let mut config = stored::read(&self.config).map_err(Unusable::Config)?;
        config.workspace.clone_from(&self.files);
        config.workspace_sizes.clone_from(&self.sizes);
        Ok(config)
    }

    /// The coordinator of a session that begins like this.
    pub(crate) fn open(&self) -> Result<Coordinator, Unusable> {
        Ok(Coordinator::new(self.config()?, IdSource::new(self.seed()?), self.at)?)
    }

    /// The coordinator that goes on from `before` like this.
    pub(crate) fn take_up(&self, before: &Coordinator) -> Result<Coordinator, Unusable> {
        Ok(Coordinator::restore(self.config()?, &before.snapshot(), self.seed()?, self.at)?)
    }

    fn seed(&self) -> Result<u64, Unusable> {
        u64::from_str_radix(&self.seed, 16).map_err(|_| Unusable::Seed)
    }
}

impl Happened {
    pub(crate) fn new(record: &Record, outputs: String) -> Result<Self, Unusable> {
        let input = Stored::of(&record.input).ok_or(Unusable::Unknown)?;
        Ok(Self { seq: record.seq, received_at: record.at, input, outputs })
    }

    /// As it is in a log.
    pub(super) const fn stored(seq: u64, received_at: Timestamp, input: Stored, outputs: String) -> Self {
        Self { seq, received_at, input, outputs }
    }

    /// When it came.
    pub(crate) const fn received_at(&self) -> Timestamp {
        self.received_at
    }

    pub(crate) const fn input(&self) -> &Stored {
        &self.input
    }

    /// The digest of the outputs.
    pub(crate) fn digest(&self) -> &str {
        &self.outputs
    }

    /// What the core is given again, and the digest of what it said then.
    pub(crate) fn into_parts(self) -> (Record, String) {
        (Record::new(self.seq, self.received_at, self.input.into_input()), self.outputs)
    }
}
