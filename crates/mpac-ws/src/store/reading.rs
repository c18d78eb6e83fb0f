//! Everything that is kept of a session, from its base on, for whoever reads it: a restart, an audit, a repair.
//!
//! What is kept begins with the session, or, where older entries were deleted or are lost, behind a snapshot that stays for
//! that: its base. The file `begins` names it, and says why, on one line of JSON for each time; the last one counts.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use mpac_wire::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::gzip;
use super::media::{Files, Media, sync_dir};
use super::read::{Damage, Reader, Torn, Visit};
use super::replay::Replay;
use super::snapshot::{self, Position, Saved};

/// The name of the file.
pub(super) const BEGINS: &str = "begins";
/// How the names of unfinished ones begin.
pub(super) const HALF: &str = ".begins-";

/// Where what is kept begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begins {
    /// What is kept comes after this entry.
    pub(crate) after: u64,
    /// Since when.
    pub(crate) at: Timestamp,
    /// For people: what became of the entries up to there.
    pub(crate) why: String,
}

impl Begins {
    /// What a session's directory says, if its beginning is not there any more.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(dir.join(BEGINS)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let last = text.lines().next_back().unwrap_or_default();
        serde_json::from_str(last).map(Some).map_err(|error| io::Error::other(format!("{BEGINS}: {error}")))
    }

    /// Says it in the directory, below what was said before: whole, or not at all.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let path = dir.join(BEGINS);
        let before = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
        let mut file = tempfile::Builder::new().prefix(HALF).tempfile_in(dir)?;
        let line = serde_json::to_string(self).map_err(io::Error::other)?;
        writeln!(file, "{before}{line}")?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        sync_dir(dir)
    }
}

/// What whoever reads a log whose first record is the one after `behind` needs to begin: files by their names.
///
/// # Errors
/// When they are not there, or cannot be read: what is kept may have changed meanwhile.
pub(crate) fn origin(dir: &Path, behind: u64) -> io::Result<Vec<(String, String)>> {
    if behind == 0 {
        return Ok(Vec::new());
    }
    let begins = Begins::read(dir)?.filter(|begins| begins.after == behind);
    let begins = begins
        .ok_or_else(|| io::Error::other(format!("what is kept does not begin after entry {behind}")))?;
    let base = snapshot::base(dir, behind);
    let name = base.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let text = String::from_utf8(gzip::read(&base)?).map_err(io::Error::other)?;
    let line = serde_json::to_string(&begins).map_err(io::Error::other)?;
    Ok(vec![(name, text), (BEGINS.to_owned(), format!("{line}\n"))])
}

/// A replay from the base of this text, and the place in the log behind which it begins.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn from_text(base: &str) -> Result<(Replay, Position), String> {
    let saved = snapshot::parse(base)?;
    Ok((Replay::from(saved.load()?, saved.program()), saved.after().clone()))
}

/// A session in its directory, read and never changed.
#[derive(Debug)]
pub(crate) struct Reading {
    dir: PathBuf,
    files: Files,
    base: Option<(Begins, Saved)>,
}

impl Reading {
    /// # Errors
    /// When the directory cannot be read, or its base cannot.
    pub(crate) fn open(dir: &Path) -> Result<Self, Damage> {
        let mut begins = Begins::read(dir)?;
        let base = loop {
            let Some(found) = begins else { break None };
            match snapshot::open(&snapshot::base(dir, found.after)) {
                Ok(saved) => break Some((found, saved)),
                Err(error) => {
                    // Older entries may have been deleted between the two.
                    begins = Begins::read(dir)?;
                    if begins.as_ref() == Some(&found) {
                        let n = found.after;
                        let reason = format!("base-{n:020}, which it begins behind: {error}");
                        return Err(io::Error::new(error.kind(), reason).into());
                    }
                }
            }
        };
        Ok(Self { dir: dir.to_owned(), files: Files::live(dir.to_owned()), base })
    }

    /// Where what is kept begins, if not with the session.
    pub(crate) fn begins(&self) -> Option<&Begins> {
        self.base.as_ref().map(|(begins, _)| begins)
    }

    /// The same as a place in the log.
    pub(crate) fn base(&self) -> Option<&Position> {
        self.base.as_ref().map(|(_, saved)| saved.after())
    }

    /// The same as it is written, for [`from_text`].
    ///
    /// # Errors
    /// When it cannot be read any more.
    pub(crate) fn base_text(&self) -> io::Result<Option<String>> {
        let Some((begins, _)) = &self.base else { return Ok(None) };
        let text = gzip::read(&snapshot::base(&self.dir, begins.after))?;
        String::from_utf8(text).map(Some).map_err(io::Error::other)
    }

    /// Whether there is nothing yet.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.base.is_none() && self.files.segments()?.is_empty() && self.files.head()?.is_none())
    }

    /// The session's id, where the base says it.
    pub(crate) fn session(&self) -> Option<SessionId> {
        let (_, saved) = self.base.as_ref()?;
        saved.session().ok()
    }

    /// A replay that all entries can be followed with.
    ///
    /// # Errors
    /// Why the base cannot be used.
    pub(crate) fn replay(&self) -> Result<Replay, String> {
        match &self.base {
            Some((_, saved)) => Ok(Replay::from(saved.load()?, saved.program())),
            None => Ok(Replay::default()),
        }
    }

    /// Hands every entry to `visit`; gives the number of the last one.
    ///
    /// # Errors
    /// At the first that is damaged, or that `visit` refuses; [`Damage::Deleted`] when older entries went meanwhile.
    pub(crate) fn entries(&self, visit: &mut Visit<'_>) -> Result<(u64, Option<Torn>), Damage> {
        let mut reader = Reader::new(&self.files, self.base());
        match reader.run(visit) {
            Err(Damage::Missing(_) | Damage::Io(_)) if !self.is_as_it_was()? => Err(Damage::Deleted),
            run => run.map(|()| (reader.end.n, reader.end.torn)),
        }
    }

    fn is_as_it_was(&self) -> io::Result<bool> {
        Ok(Begins::read(&self.dir)?.as_ref() == self.begins())
    }
}
