//! Reading a directory: text files, byte for byte, without what .gitignore files and the reference's lists leave out.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use ignore::{DirEntry, WalkBuilder};

use super::path::{is_copy, is_ignored_dir, is_nobodys, shared_name};
use super::{File, Workspace};
use crate::error::Error;

/// A file that is there and not shared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its path below the directory.
    pub path: String,
    /// Why, in words.
    pub reason: String,
}

/// How much is shared. D-134.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a frame, into which a file has to fit.
    pub frame: usize,
    /// Bytes of all files together.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: 1_048_576, total: 268_435_456 }
    }
}

/// How far the loading is, for whoever waits for it, and whether anybody does.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    bytes: AtomicU64,
    abandoned: AtomicBool,
}

impl Progress {
    /// Files read so far, and the bytes in them.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        (self.files.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Nobody wants the result any more: the loading ends with what it has.
    pub fn abandon(&self) {
        self.abandoned.store(true, Relaxed);
    }

    /// Counts a file; gives the bytes of all.
    fn count(&self, bytes: usize) -> u64 {
        self.files.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed) + bytes as u64
    }
}

/// Reads every text file below `dir` that fits into a frame, and names those it leaves out. Blocks.
///
/// Ignored files are not named: nobody expects them. Symbolic links are named and never followed, and so are commits that lie
/// beside a file: only there somebody can find them.
///
/// # Errors
/// [`Error::Workspace`] when `dir` itself is no readable directory, [`Error::WorkspaceTooLarge`] when there is more text
/// than `limits` allow.
pub fn load(dir: &Path, limits: &Limits, progress: &Progress) -> Result<(Workspace, Vec<Skipped>), Error> {
    let root = dir.canonicalize().map_err(|source| Error::workspace(dir, source))?;
    // A file in the place of the directory, or one that may not be read, fails here and not halfway.
    fs::read_dir(&root).map_err(|source| Error::workspace(dir, source))?;
    let mut files = BTreeMap::new();
    let mut skipped = Vec::new();
    for entry in walk(&root) {
        if progress.abandoned.load(Relaxed) {
            break;
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                skipped.push(Skipped { path: ".".to_owned(), reason: error.to_string() });
                continue;
            }
        };
        let Ok(relative) = entry.path().strip_prefix(&root) else { continue };
        if entry.file_type().is_none_or(|kind| kind.is_dir()) {
            continue;
        }
        match shared_name(relative).ok_or_else(|| "its name cannot be shared".to_owned()).and_then(|name| {
            let file = read(&entry, &name, limits.frame)?;
            Ok((name, file))
        }) {
            Ok((name, file)) => {
                if progress.count(file.content.len()) > limits.total {
                    return Err(Error::WorkspaceTooLarge { path: dir.to_owned(), limit: limits.total });
                }
                files.insert(name, file);
            }
            Err(reason) => skipped.push(Skipped { path: relative.display().to_string(), reason }),
        }
    }
    skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((Workspace { dir: Some(root), files: Arc::new(files) }, skipped))
}

fn walk(root: &Path) -> ignore::Walk {
    WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(true)
        .git_exclude(true)
        // The rules inside the directory hold with or without a repository around it; those outside do not.
        .require_git(false)
        .parents(false)
        .follow_links(false)
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            let dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.depth() == 0 || if dir { !is_ignored_dir(&name) } else { !is_nobodys(&name) }
        })
        .build()
}

fn read(entry: &DirEntry, name: &str, max_frame: usize) -> Result<File, String> {
    let kind = entry.file_type().ok_or("not a file")?;
    if kind.is_symlink() {
        return Err("symbolic link".to_owned());
    }
    if !kind.is_file() {
        return Err("not a regular file".to_owned());
    }
    if entry.file_name().to_str().is_some_and(is_copy) {
        return Err("a commit that was written beside a file: merge the two, then delete it".to_owned());
    }
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let length = entry.metadata().map_err(|error| error.to_string())?.len();
    let too_large = || format!("too large for one frame ({length} bytes)");
    if length > max_frame as u64 {
        return Err(too_large());
    }
    let bytes = fs::read(entry.path()).map_err(unreadable)?;
    let content = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    let file = File::new(content.into());
    if file.fits(name, max_frame) { Ok(file) } else { Err(too_large()) }
}
