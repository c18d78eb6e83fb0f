//! Accepted commits written into the directory they came from: atomically, never outside it, and never over what somebody
//! changed there meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::NamedTempFile;
use thiserror::Error;

use super::path::{
    TEMPORARY, components, copy_suffix, in_the_way, is_ignored_dir, is_ignored_file, stands_for_git,
};
use super::unmerged::Notes;
use super::{File, Workspace};

/// The directory as we last knew it.
#[derive(Debug)]
pub(crate) struct Mirror {
    root: PathBuf,
    /// What we loaded or wrote last; a file that differs was changed by somebody else.
    known: BTreeMap<String, Arc<str>>,
    unmerged: Notes,
}

/// What became of one commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The file is the commit's content now.
    Written,
    /// Somebody had deleted the file; it is the commit's content now.
    Back,
    /// Somebody changed the file or made one: theirs stays, the commit lies in the file of this name.
    KeptTheirs { beside: String },
}

/// Why a commit is in the session and not in the directory.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    #[error("the path leads out of the workspace")]
    Outside,
    #[error("{0:?} is not part of the workspace: names like it are ignored")]
    Ignored(String),
    #[error("{0:?} is a file of the workspace too, and no directory holds both")]
    Beside(String),
    #[error("{0:?} is a symbolic link, which is never followed")]
    Link(PathBuf),
    #[error("{path:?} is no {kind}")]
    Occupied { path: PathBuf, kind: &'static str },
    #[error("{0}: {1}")]
    Io(Step, io::Error),
}

impl Refused {
    /// Whether no directory could hold it beside the files that are there, so that it makes no sense to try again.
    pub(crate) fn is_for_good(&self) -> bool {
        match self {
            Self::Outside | Self::Ignored(_) | Self::Beside(_) => true,
            Self::Io(_, error) => error.kind() == io::ErrorKind::InvalidFilename,
            Self::Link(_) | Self::Occupied { .. } => false,
        }
    }
}

/// What was being done when the file system refused.
#[derive(Debug)]
pub(crate) enum Step {
    Look,
    Directory,
    Write,
    Replace,
    Note,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Look => "cannot look at what is there",
            Self::Directory => "cannot create its directory",
            Self::Write => "cannot write a temporary file beside it",
            Self::Replace => "cannot put the new file in its place",
            Self::Note => "cannot note in the data directory whose the file is",
        })
    }
}

impl Mirror {
    /// For the directory that `loaded` was read from; None when it was not read from one.
    pub(crate) fn of(loaded: &Workspace) -> Option<Self> {
        let known = loaded.files().map(|(path, file)| (path.to_owned(), Arc::clone(&file.content))).collect();
        Some(Self { root: loaded.dir()?.to_owned(), known, unmerged: Notes::default() })
    }

    /// Notes there what the next start has to know.
    #[must_use]
    pub(crate) fn noting(mut self, unmerged: Notes) -> Self {
        self.unmerged = unmerged;
        self
    }

    /// Writes `file` under its shared name, or beside it when somebody changed what is there.
    ///
    /// # Errors
    /// [`Refused`] when the name leads out or the file system says no; the directory is then as it was, but for
    /// directories created on the way.
    pub(crate) fn write(&mut self, name: &str, file: &File) -> Result<Outcome, Refused> {
        let (target, there) = self.place(name).map_err(|refused| self.beside_known(name, refused))?;
        let staged = stage(&target, &file.content, there.as_ref())?;
        let on_disk = match there {
            Some(_) => Some(fs::read(&target).map_err(|error| Refused::Io(Step::Look, error))?),
            None => None,
        };
        let known = self.known.get(name).map(|content| content.as_bytes());
        let noted = |noted: io::Result<()>| noted.map_err(|error| Refused::Io(Step::Note, error));
        let is_there = on_disk.as_deref() == Some(file.content.as_bytes());
        let outcome = if !is_there && on_disk.is_some() && on_disk.as_deref() != known {
            // Changed or created by somebody else: both are theirs to keep, also when the next start comes at once.
            noted(self.unmerged.note(name, &file.state_ref))?;
            beside(&target, staged, file)?
        } else if is_there {
            noted(self.unmerged.forget(name))?;
            Outcome::Written
        } else {
            // First, or a start in between would take our own commit for somebody's.
            noted(self.unmerged.forget(name))?;
            replace(&target, staged, on_disk.is_some())?;
            // Nobody can delete a file of a session, so one that somebody deleted here comes back, as it does at a start.
            if on_disk.is_none() && known.is_some() { Outcome::Back } else { Outcome::Written }
        };
        self.known.insert(name.to_owned(), Arc::clone(&file.content));
        Ok(outcome)
    }

    /// Removes a file that is known, and the directories that it leaves empty.
    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        let path = self.root.join(name);
        fs::remove_file(&path)?;
        self.known.remove(name);
        let dirs = path.ancestors().skip(1).take_while(|dir| *dir != self.root);
        // The first that is not empty has none above it that is.
        dirs.map(fs::remove_dir).take_while(Result::is_ok).for_each(drop);
        Ok(())
    }

    /// The path of a shared name and what is there, with its directories made; no step of it is a link or an ignored name.
    ///
    /// The directory says what it can hold, not what is known: somebody may have made room.
    fn place(&self, name: &str) -> Result<(PathBuf, Option<Metadata>), Refused> {
        let (last, parents) = shareable(name)?;
        let mut path = self.root.clone();
        for part in parents {
            path.push(part);
            match entry(&path)? {
                None => fs::create_dir(&path).map_err(|error| Refused::Io(Step::Directory, error))?,
                Some(found) if found.is_symlink() => return Err(Refused::Link(path)),
                Some(found) if found.is_dir() => {}
                Some(_) => return Err(Refused::Occupied { path, kind: "directory" }),
            }
        }
        path.push(last);
        let there = look(&path)?;
        Ok((path, there))
    }

    /// What is in the way stays there for good where it is a file of the session.
    fn beside_known(&self, name: &str, refused: Refused) -> Refused {
        let Refused::Occupied { path, .. } = &refused else { return refused };
        match in_the_way(name, &self.known).filter(|other| self.root.join(other).starts_with(path)) {
            Some(other) => Refused::Beside(other.to_owned()),
            None => refused,
        }
    }
}

/// Whether a directory with `files` may hold a file of this name too, and can.
///
/// # Errors
/// Why not.
pub(crate) fn fitting<V>(name: &str, files: &BTreeMap<String, V>) -> Result<(), Refused> {
    shareable(name)?;
    match in_the_way(name, files) {
        Some(other) => Err(Refused::Beside(other.to_owned())),
        None => Ok(()),
    }
}

/// The last component of a name, and those before it.
///
/// # Errors
/// Why no directory may hold a file of this name.
fn shareable(name: &str) -> Result<(&str, Vec<&str>), Refused> {
    let mut parents = components(name).ok_or(Refused::Outside)?;
    let last = parents.pop().ok_or(Refused::Outside)?;
    let ignored = parents
        .iter()
        .find(|part| is_ignored_dir(part) || stands_for_git(part))
        .or_else(|| Some(&last).filter(|last| ignored_leaf(last)));
    if let Some(part) = ignored {
        return Err(Refused::Ignored((*part).to_owned()));
    }
    Ok((last, parents))
}

fn ignored_leaf(name: &str) -> bool {
    // A file may take the place of an ignored directory too: `.git` is one in a worktree.
    is_ignored_file(name) || (name.starts_with('.') && is_ignored_dir(name)) || stands_for_git(name)
}

/// What is at `path` itself, links not followed.
fn entry(path: &Path) -> Result<Option<Metadata>, Refused> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Refused::Io(Step::Look, error)),
    }
}

fn look(target: &Path) -> Result<Option<Metadata>, Refused> {
    match entry(target)? {
        Some(found) if found.is_symlink() => Err(Refused::Link(target.to_owned())),
        Some(found) if !found.is_file() => {
            Err(Refused::Occupied { path: target.to_owned(), kind: "regular file" })
        }
        found => Ok(found),
    }
}

/// The whole content in a temporary file of the same directory, on disk, with the mode of the file it will replace.
fn stage(target: &Path, content: &str, like: Option<&Metadata>) -> Result<NamedTempFile, Refused> {
    let failed = |error| Refused::Io(Step::Write, error);
    let mut staged = temporary(target.parent().unwrap_or(target), like).map_err(failed)?;
    staged.write_all(content.as_bytes()).map_err(failed)?;
    if let Some(like) = like {
        // What the umask took from it.
        staged.as_file().set_permissions(like.permissions()).map_err(failed)?;
    }
    staged.as_file().sync_all().map_err(failed)?;
    Ok(staged)
}

/// An empty one, which from the start is open to nobody whom the file it will replace is not open to.
pub(super) fn temporary(dir: &Path, like: Option<&Metadata>) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // A new file gets what any other does: that less the umask.
        let mode = like.map_or(0o666, |like| like.permissions().mode() & 0o7777);
        builder.permissions(PermissionsExt::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = like;
    builder.tempfile_in(dir)
}

fn replace(target: &Path, staged: NamedTempFile, exists: bool) -> Result<(), Refused> {
    // Where nothing was a moment ago, whatever is there now is not ours to replace.
    let placed = if exists { staged.persist(target) } else { staged.persist_noclobber(target) };
    placed.map_err(|error| Refused::Io(Step::Replace, error.error))?;
    sync_parent(target);
    Ok(())
}

/// `name.mpac-1a2b3c4d` beside the file that is kept.
fn beside(target: &Path, staged: NamedTempFile, file: &File) -> Result<Outcome, Refused> {
    let mut path = target.as_os_str().to_owned();
    path.push(copy_suffix(&file.state_ref));
    let path = PathBuf::from(path);
    if let Err(error) = staged.persist_noclobber(&path) {
        // The same commit written twice; anything else under that name is not ours.
        if fs::read(&path).ok().as_deref() != Some(file.content.as_bytes()) {
            return Err(Refused::Io(Step::Replace, error.error));
        }
    }
    sync_parent(&path);
    Ok(Outcome::KeptTheirs { beside: path.file_name().unwrap_or_default().to_string_lossy().into_owned() })
}

/// Makes the rename durable; a file system that cannot sync a directory has no more to offer.
fn sync_parent(path: &Path) {
    if let Some(dir) = path.parent().and_then(|parent| fs::File::open(parent).ok()) {
        let _ = dir.sync_all();
    }
}
