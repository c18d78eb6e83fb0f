//! The shared files as a server held them beside what was committed, for those who have the log and not its directory.
//!
//! `DATA/files/<hash>` is one content, `DATA/files.json` says which names have which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mpac_wire::StateRef;

use super::whole;
use crate::workspace::{File, Workspace};

const NAMES: &str = "files.json";

/// Contents by their references.
#[derive(Debug)]
pub(crate) struct Base {
    data: PathBuf,
}

impl Base {
    /// In a data directory, which has to exist.
    pub(crate) fn of(data: &Path) -> io::Result<Self> {
        let base = Self { data: data.to_owned() };
        super::private_dirs().create(base.dir())?;
        Ok(base)
    }

    /// What need not be sent again.
    pub(crate) fn has(&self) -> io::Result<BTreeSet<String>> {
        let entries = fs::read_dir(self.dir())?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    /// Keeps a content.
    pub(crate) fn put(&self, content: &str) -> io::Result<()> {
        whole::write(&self.dir(), &key(&StateRef::of(content)), content.as_bytes())
    }

    /// These are the files now; every content is there already. Contents of no file go.
    pub(crate) fn name(&self, names: &BTreeMap<String, StateRef>) -> io::Result<()> {
        whole::write_json(&self.data, NAMES, names)?;
        let used: BTreeSet<String> = names.values().map(key).collect();
        for stale in self.has()?.difference(&used) {
            fs::remove_file(self.dir().join(stale))?;
        }
        Ok(())
    }

    fn dir(&self) -> PathBuf {
        self.data.join("files")
    }
}

/// Adds to `workspace` what a data directory has of files that it lacks, and gives what was added.
///
/// # Errors
/// When a content cannot be read, or is not what it was.
pub(crate) fn complete(data: &Path, workspace: &mut Workspace) -> io::Result<Vec<(String, File)>> {
    let names: BTreeMap<String, StateRef> = whole::read_json(data, NAMES)?.unwrap_or_default();
    let mut added = Vec::new();
    for (name, state_ref) in names {
        if workspace.get(&name).is_some() {
            continue;
        }
        let path = data.join("files").join(key(&state_ref));
        let file = File::new(fs::read_to_string(&path)?.into());
        if file.state_ref != state_ref {
            return Err(io::Error::other(format!("{} is damaged", path.display())));
        }
        workspace.put(&name, file.clone());
        added.push((name, file));
    }
    Ok(added)
}

/// A file name for a reference: the digits of the hash.
pub(crate) fn key(state_ref: &StateRef) -> String {
    let text = state_ref.as_str();
    text.rsplit_once(':').map_or(text, |(_, digits)| digits).to_owned()
}
