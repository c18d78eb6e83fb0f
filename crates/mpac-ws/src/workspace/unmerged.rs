//! Files that somebody changed, so that a commit had to be written beside them: what is in their place counts at the next start,
//! even where it is what the file was once. Without this it would be taken for what no commit had reached.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use mpac_wire::{SessionId, StateRef};
use tracing::warn;

use crate::store::whole;

const NAME: &str = "unmerged.json";

/// Of each session by the name of the file, the last commit that was written beside it. Kept in the data directory: whoever
/// merges may delete what lies there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unmerged {
    /// None where nothing outlives the server.
    data: Option<PathBuf>,
    commits: BTreeMap<String, Commits>,
}

type Commits = BTreeMap<String, StateRef>;

/// The same of the session that has the directory now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    all: Unmerged,
    session: String,
}

impl Unmerged {
    /// As the servers before left them.
    pub(crate) fn read(data: &Path) -> io::Result<Self> {
        Ok(Self { data: Some(data.to_owned()), commits: whole::read_json(data, NAME)?.unwrap_or_default() })
    }

    /// None of this session yet: it begins, or its log has by now what was in the directory when it was taken up.
    pub(crate) fn anew(&self, session: &SessionId) -> Notes {
        let (mut all, session) = (self.clone(), session.to_string());
        if all.commits.remove(&session).is_some()
            && let Err(error) = all.write()
        {
            warn!("what {NAME} says of session {session} is out of date and cannot be removed: {error}");
        }
        Notes { all, session }
    }

    /// Whether a file that is like this now is so by somebody's hand. Who put the commit itself there has merged the two.
    pub(crate) fn has(&self, session: &SessionId, name: &str, there: &StateRef) -> bool {
        let commit = self.commits.get(session.as_str()).and_then(|commits| commits.get(name));
        commit.is_some_and(|commit| commit != there)
    }

    fn write(&self) -> io::Result<()> {
        let Some(data) = &self.data else { return Ok(()) };
        if self.commits.is_empty() {
            whole::remove(data, NAME)
        } else {
            whole::write_json(data, NAME, &self.commits)
        }
    }
}

impl Notes {
    /// What is in the place of this file is somebody's; this commit goes beside it.
    pub(super) fn note(&mut self, name: &str, commit: &StateRef) -> io::Result<()> {
        self.change(|commits| commits.insert(name.to_owned(), commit.clone()).as_ref() != Some(commit))
    }

    /// What is in its place is a commit again, or is about to be.
    pub(super) fn forget(&mut self, name: &str) -> io::Result<()> {
        self.change(|commits| commits.remove(name).is_some())
    }

    /// Writes down what is changed; where that fails, nothing is, so that the next try writes.
    fn change(&mut self, change: impl FnOnce(&mut Commits) -> bool) -> io::Result<()> {
        let mut commits = self.all.commits.get(&self.session).cloned().unwrap_or_default();
        if !change(&mut commits) {
            return Ok(());
        }
        let before = if commits.is_empty() {
            self.all.commits.remove(&self.session)
        } else {
            self.all.commits.insert(self.session.clone(), commits)
        };
        self.all.write().inspect_err(|_| {
            match before {
                Some(before) => self.all.commits.insert(self.session.clone(), before),
                None => self.all.commits.remove(&self.session),
            };
        })
    }
}
