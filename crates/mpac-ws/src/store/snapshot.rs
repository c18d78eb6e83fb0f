//! Snapshots beside a log: from one of them on, its entries need not be lived through again.
//!
//! `snapshot-<n>` holds the session after entry `n`: a line with the checksum of the rest, and one line of JSON. The last two
//! are kept; one that cannot be read is passed over, and without any the log is followed from its beginning (REC-11).
//! `base-<n>` is one that a segment begins behind: it stays, compressed, as long as that segment, so that what is before it
//! can go.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mpac_core::Coordinator;
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::entry::{Start, Unusable};
use super::gzip;
use super::kept::Kept;
use super::media::sync_dir;
use crate::hex::sha256;

/// Snapshots that are kept.
const KEEP: usize = 2;
/// How the names of finished ones begin.
const SNAPSHOT: &str = "snapshot-";
const BASE: &str = "base-";
/// How the names of unfinished ones begin.
pub(super) const HALF: &str = ".snapshot-";

/// A place in a log: the number and the checksum of its last entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) n: u64,
    pub(crate) sum: String,
}

/// The session at a place in its log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    after: Position,
    /// Configuration and files; its seed means nothing here.
    start: Start,
    /// The form of the specification (REC-08), as a text, so that every number in it keeps its spelling.
    snapshot: String,
    /// As a text, because it is only read where it is needed.
    committed: String,
}

/// Why a session has no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSaved {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it has no JSON form: {0}")]
    Form(#[from] serde_json::Error),
    #[error("{0}")]
    Unusable(#[from] Unusable),
}

impl Saved {
    /// The session as it stands after `after`.
    pub(crate) fn new(after: Position, core: &Coordinator, kept: &Kept) -> Result<Self, NotSaved> {
        let start = Start::new(&kept.config, 0, core.view().now())?;
        let snapshot = serde_json::to_string(&core.snapshot())?;
        Ok(Self { after, start, snapshot, committed: kept.committed()? })
    }

    /// Puts it beside its log: whole, or not at all (REC-09). Older ones but the last go; one behind which a segment `begins`
    /// is a base too. Blocks.
    pub(crate) fn write(&self, dir: &Path, begins: bool) -> Result<(), NotSaved> {
        let json = serde_json::to_string(self)?;
        let mut file = tempfile::Builder::new().prefix(HALF).tempfile_in(dir)?;
        writeln!(file, "{}\n{json}", sha256(json.as_bytes()))?;
        file.as_file().sync_all()?;
        let path = dir.join(format!("{SNAPSHOT}{:020}", self.after.n));
        file.persist(&path).map_err(|error| error.error)?;
        let base = base(dir, self.after.n);
        if begins && !base.exists() && fs::hard_link(&path, &base).is_err() {
            // A file system without links.
            fs::copy(&path, &base)?;
            fs::File::open(&base)?.sync_all()?;
        }
        sync_dir(dir)?;
        for (_, old) in listed(dir)?.iter().rev().skip(KEEP) {
            fs::remove_file(old)?;
        }
        // What a crash left of one that was being written.
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(HALF) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The session, exactly as it was, and its place in the log.
    pub(crate) fn load(&self) -> Result<(Coordinator, Kept), String> {
        session(&self.start, &self.snapshot, &self.committed)
    }

    /// What the session is called.
    pub(crate) fn session(&self) -> Result<SessionId, Unusable> {
        Ok(self.start.config()?.session_id)
    }

    pub(crate) const fn after(&self) -> &Position {
        &self.after
    }

    /// When its last entry was received.
    pub(super) const fn at(&self) -> Timestamp {
        self.start.at()
    }

    pub(crate) fn program(&self) -> &str {
        self.start.program()
    }
}

/// The session that these say.
pub(super) fn session(start: &Start, snapshot: &str, committed: &str) -> Result<(Coordinator, Kept), String> {
    let config = start.config().map_err(|error| error.to_string())?;
    let snapshot: Snapshot = serde_json::from_str(snapshot).map_err(|error| error.to_string())?;
    let coordinator = Coordinator::load(config.clone(), &snapshot).map_err(|error| error.to_string())?;
    let kept = Kept::read(config, committed).map_err(|error| error.to_string())?;
    Ok((coordinator, kept))
}

/// The snapshots in a directory, the newest first: each, or why it cannot be read. One is read when it is asked for.
pub(crate) fn all(dir: &Path) -> io::Result<impl Iterator<Item = (PathBuf, Result<Saved, String>)> + use<>> {
    let newest_first = listed(dir)?.into_iter().rev();
    Ok(newest_first.map(|(_, path)| {
        let saved = read(&path);
        (path, saved)
    }))
}

/// One of those that are listed.
pub(super) fn read(path: &Path) -> Result<Saved, String> {
    open(path).map_err(|error| error.to_string())
}

/// The same, with the error that kept it from being read.
pub(super) fn open(path: &Path) -> io::Result<Saved> {
    let text = String::from_utf8(gzip::read(path)?).map_err(io::Error::other)?;
    parse(&text).map_err(io::Error::other)
}

/// The one that a text is.
pub(super) fn parse(text: &str) -> Result<Saved, String> {
    let (sum, json) = text.split_once('\n').ok_or("it is not whole")?;
    let json = json.strip_suffix('\n').ok_or("it is not whole")?;
    if sum != sha256(json.as_bytes()) {
        return Err("its checksum does not match".to_owned());
    }
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// By the number of the entry, in ascending order.
pub(super) fn listed(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    named(dir, SNAPSHOT)
}

/// Where the base behind that entry lies.
pub(super) fn base(dir: &Path, n: u64) -> PathBuf {
    dir.join(format!("{BASE}{n:020}"))
}

/// The bases in a directory, in the same order; a compressed one under the name that it would have otherwise.
pub(super) fn bases(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    named(dir, BASE)
}

fn named(dir: &Path, prefix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(digits) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
        let digits = digits.strip_suffix(gzip::SUFFIX).unwrap_or(digits);
        found.extend(digits.parse().ok().map(|n: u64| (n, dir.join(format!("{prefix}{digits}")))));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
pub(super) mod tests;
