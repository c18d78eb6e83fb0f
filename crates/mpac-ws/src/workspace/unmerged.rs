//! Files that somebody changed, so that a commit had to be written beside them: what is in their place counts at the next start,
//! even where it is what the file was once. Without this it would be taken for what no commit had reached.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use mpac_wire::StateRef;
use tracing::warn;

use crate::store::whole;

const NAME: &str = "unmerged.json";

/// By the name of the file, the last commit that was written beside it. Kept in the data directory: whoever merges may delete
/// what lies there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unmerged {
    /// None where nothing outlives the server.
    data: Option<PathBuf>,
    commits: BTreeMap<String, StateRef>,
}

impl Unmerged {
    /// As the server before left them.
    pub(crate) fn read(data: &Path) -> io::Result<Self> {
        Ok(Self { data: Some(data.to_owned()), commits: whole::read_json(data, NAME)?.unwrap_or_default() })
    }

    /// None yet: a session begins, or its log has by now what was in the directory when it was taken up.
    pub(crate) fn anew(&self) -> Self {
        if let Some(data) = self.data.as_ref().filter(|_| !self.commits.is_empty())
            && let Err(error) = whole::remove(data, NAME)
        {
            warn!("{} cannot be removed: {error}", data.join(NAME).display());
        }
        Self { data: self.data.clone(), commits: BTreeMap::new() }
    }

    /// Whether a file that is like this now is so by somebody's hand. Who put the commit itself there has merged the two.
    pub(crate) fn has(&self, name: &str, there: &StateRef) -> bool {
        self.commits.get(name).is_some_and(|commit| commit != there)
    }

    /// What is in the place of this file is somebody's; this commit goes beside it.
    pub(super) fn note(&mut self, name: &str, commit: &StateRef) -> io::Result<()> {
        if self.commits.get(name) == Some(commit) {
            return Ok(());
        }
        let before = self.commits.insert(name.to_owned(), commit.clone());
        self.keep(name, before)
    }

    /// What is in its place is a commit again, or is about to be.
    pub(super) fn forget(&mut self, name: &str) -> io::Result<()> {
        match self.commits.remove(name) {
            None => Ok(()),
            before => self.keep(name, before),
        }
    }

    /// Writes it down; where that fails, this file is as it was before, so that the next try writes.
    fn keep(&mut self, name: &str, before: Option<StateRef>) -> io::Result<()> {
        let Some(data) = &self.data else { return Ok(()) };
        whole::write_json(data, NAME, &self.commits).inspect_err(|_| {
            match before {
                Some(before) => self.commits.insert(name.to_owned(), before),
                None => self.commits.remove(name),
            };
        })
    }
}
