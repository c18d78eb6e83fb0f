//! The shared files of one session: what FILE_LIST and FILE_READ answer from, and commits change.
//!
//! Contents are shared (`Arc<str>`), so a session's copy of a loaded directory costs its names, not its bytes.

pub mod load;
pub(crate) mod path;
pub(crate) mod write_back;
pub(crate) mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpac_wire::StateRef;

/// Files by their shared name, which sorts them in code-point order as FILE_LIST wants them.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    dir: Option<PathBuf>,
    files: BTreeMap<String, File>,
}

/// One shared file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct File {
    /// The text, byte for byte (D-092).
    pub content: Arc<str>,
    /// The reference to it (OCC-01).
    pub state_ref: StateRef,
}

impl File {
    pub(crate) fn new(content: Arc<str>) -> Self {
        Self { state_ref: StateRef::of(&content), content }
    }

    /// Whether a FILE_CONTENT with this file is at most `max_frame` bytes long.
    pub(crate) fn fits(&self, path: &str, max_frame: usize) -> bool {
        crate::sideband::file_content(path, self).len() <= max_frame
    }
}

impl Workspace {
    /// The directory it was read from, in full, for SESSION_SUMMARY.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Every file in the order of FILE_LIST.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The file of this name, if it is shared.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// What the core is told of it.
    pub(crate) fn refs(&self) -> BTreeMap<String, StateRef> {
        self.files.iter().map(|(path, file)| (path.clone(), file.state_ref.clone())).collect()
    }

    /// How large they are, in bytes.
    pub(crate) fn sizes(&self) -> BTreeMap<String, u64> {
        self.files.iter().map(|(path, file)| (path.clone(), file.content.len() as u64)).collect()
    }

    pub(crate) fn put(&mut self, path: &str, file: File) {
        self.files.insert(path.to_owned(), file);
    }
}

#[cfg(test)]
mod tests;
