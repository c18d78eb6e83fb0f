//! A session that begins where another one stood: its log starts with the other one as it was then.

use mpac_core::Coordinator;
use mpac_wire::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::entry::Start;
use super::kept::Kept;
use super::snapshot::{NotSaved, Position, session};

/// The first entry of such a log. With it nothing of the other log is needed any more; where it came from can be looked up
/// there as long as that one exists.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forked {
    origin: Origin,
    /// Configuration and files; its seed means nothing here, whoever takes the session up brings one.
    start: Start,
    /// The form of the specification (REC-08), as a text, so that every number in it keeps its spelling.
    snapshot: String,
    /// Contents that were committed.
    committed: String,
}

/// Where a fork comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    pub(crate) session: SessionId,
    /// After which of its entries.
    pub(crate) after: Position,
}

impl Forked {
    /// The session as `core` and `kept` have it, under the name `id`.
    pub(crate) fn new(
        origin: Origin,
        (core, kept): (&Coordinator, &Kept),
        id: &SessionId,
        now: Timestamp,
    ) -> Result<Self, NotSaved> {
        let mut config = kept.config.clone();
        config.session_id = id.clone();
        let mut snapshot = core.snapshot();
        snapshot.session_id = id.clone();
        let start = Start::new(&config, 0, now)?;
        let snapshot = serde_json::to_string(&snapshot)?;
        Ok(Self { origin, start, snapshot, committed: kept.committed()? })
    }

    /// The session it begins with: exactly as it stood, under the epoch that it had.
    pub(crate) fn load(&self) -> Result<(Coordinator, Kept), String> {
        session(&self.start, &self.snapshot, &self.committed)
    }

    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// When it was made.
    pub(crate) const fn at(&self) -> Timestamp {
        self.start.at()
    }

    /// The version that made it.
    pub(crate) fn program(&self) -> &str {
        self.start.program()
    }

    /// What it is called.
    pub(crate) fn session(&self) -> Result<SessionId, String> {
        Ok(self.start.config().map_err(|error| error.to_string())?.session_id)
    }
}
