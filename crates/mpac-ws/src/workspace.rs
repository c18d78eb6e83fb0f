//! The shared files of one session: what FILE_LIST and FILE_READ answer from, and commits change.
//!
//! A session's copy of a loaded directory costs nothing until its first commit, and then its names: contents are always shared.

pub mod load;
pub(crate) mod path;
pub(crate) mod secrets;
pub(crate) mod unmerged;
pub(crate) mod write_back;
pub(crate) mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpac_wire::{StateRef, Unseen};

/// Files by their shared name, which sorts them in code-point order as FILE_LIST wants them.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    dir: Option<PathBuf>,
    files: Arc<BTreeMap<String, File>>,
}

/// One shared file. Its `Debug` shows nothing of the content.
#[derive(Clone)]
#[non_exhaustive]
pub struct File {
    /// The text, byte for byte (D-092).
    pub content: Arc<str>,
    /// The reference to it (OCC-01).
    pub state_ref: StateRef,
    /// Its code points, as FILE_LIST tells them: counted once, because lists are asked for more often than files change.
    pub(crate) size: u64,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { content, state_ref, size } = self;
        let mut shown = f.debug_struct("File");
        shown.field("content", &Unseen(content)).field("state_ref", state_ref).field("size", size).finish()
    }
}

impl File {
    pub(crate) fn new(content: Arc<str>) -> Self {
        let state_ref = StateRef::of(&content);
        Self::known_as(content, state_ref)
    }

    /// One whose reference is known already.
    pub(crate) fn known_as(content: Arc<str>, state_ref: StateRef) -> Self {
        let size = content.chars().count() as u64;
        Self { content, state_ref, size }
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

    /// Whether a directory with these files could hold one of this name, too.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn has_room_for(&self, name: &str) -> Result<(), write_back::Refused> {
        write_back::fitting(name, &self.files)
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
        Arc::make_mut(&mut self.files).insert(path.to_owned(), file);
    }
}

#[cfg(test)]
mod tests;
