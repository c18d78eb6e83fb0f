//! A log lived through again: the coordinator it leads to, and the files that were committed.

use std::collections::{BTreeMap, BTreeSet};

use mpac_core::{Coordinator, Notice, Output};
use mpac_wire::{SessionId, StateRef};

use super::entry::{Entry, Start};
use crate::workspace::{File, Workspace};

/// Follows a log entry by entry; every digest is made again and compared.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    coordinator: Option<Coordinator>,
    session: Option<SessionId>,
    /// The program that wrote what is being followed.
    program: String,
    /// The files as the host last had them.
    base: BTreeMap<String, StateRef>,
    committed: BTreeMap<String, Committed>,
}

/// A file as a commit left it.
#[derive(Debug)]
struct Committed {
    file: File,
    /// What it was before: whoever has that on disk has not seen the commit.
    earlier: BTreeSet<StateRef>,
}

impl Replay {
    /// Follows one entry.
    ///
    /// # Errors
    /// Why it does not follow from those before.
    pub(crate) fn follow(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Open(start) if self.coordinator.is_none() => {
                let coordinator = start.open().map_err(|error| format!("cannot be opened: {error}"))?;
                self.begin(&start, coordinator)
            }
            Entry::Open(_) => Err("opens a session that is open".to_owned()),
            Entry::TakeUp(start) => {
                let before = self.coordinator.take().ok_or("takes up a session that never began")?;
                let coordinator =
                    start.take_up(&before).map_err(|error| format!("cannot be taken up: {error}"))?;
                self.begin(&start, coordinator)
            }
            Entry::Input(happened) => {
                let coordinator = self.coordinator.as_mut().ok_or("comes before the session begins")?;
                let (record, expected) = happened.into_parts();
                let step = coordinator.apply(&record).map_err(|error| error.to_string())?;
                if step.digest() != expected {
                    return Err(format!(
                        "led to other outputs than those that were logged by {}",
                        self.program
                    ));
                }
                step.outputs.into_iter().for_each(|output| self.commit(output));
                Ok(())
            }
        }
    }

    /// The coordinator as the last entry left it, and the session it is of.
    pub(crate) fn coordinator(&self) -> Option<(&SessionId, &Coordinator)> {
        self.session.as_ref().zip(self.coordinator.as_ref())
    }

    /// The files after a restart: those of `loaded`, and what was committed. With `write_back` the directory has the last
    /// word, except over commits that never reached it; they are given back, to be written.
    pub(crate) fn files(&self, loaded: &Workspace, write_back: bool) -> Restored {
        let mut restored = Restored { workspace: loaded.clone(), unwritten: Vec::new(), changed: Vec::new() };
        for (path, Committed { file, earlier }) in &self.committed {
            let there = loaded.get(path).map(|there| &there.state_ref);
            let theirs = there.filter(|there| **there != file.state_ref && !earlier.contains(there));
            if write_back && theirs.is_some() {
                restored.changed.push(path.clone());
                continue;
            }
            if there != Some(&file.state_ref) {
                restored.unwritten.push((path.clone(), file.clone()));
            }
            restored.workspace.put(path, file.clone());
        }
        restored
    }

    fn begin(&mut self, start: &Start, coordinator: Coordinator) -> Result<(), String> {
        let config = start.config().map_err(|error| error.to_string())?;
        start.program().clone_into(&mut self.program);
        if self.session.as_ref().is_some_and(|id| *id != config.session_id) {
            return Err("takes up a session of another id".to_owned());
        }
        self.session = Some(config.session_id);
        self.base = config.workspace.unwrap_or_default();
        // Where the host had something else, it has its reasons: the directory was changed while no server ran.
        let base = &self.base;
        self.committed.retain(|path, it| base.get(path).is_none_or(|there| *there == it.file.state_ref));
        self.coordinator = Some(coordinator);
        Ok(())
    }

    fn commit(&mut self, output: Output) {
        let Output::Notice(Notice::FileUpdated { path, content, state_ref, .. }) = output else { return };
        let file = File { content: content.into(), state_ref };
        let base = self.base.get(&path).cloned();
        match self.committed.get_mut(&path) {
            Some(it) => {
                it.earlier.insert(it.file.state_ref.clone());
                it.earlier.remove(&file.state_ref);
                it.file = file;
            }
            None => {
                self.committed.insert(path, Committed { file, earlier: base.into_iter().collect() });
            }
        }
    }
}

/// The shared files of a session that is taken up.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) workspace: Workspace,
    /// Commits that are not in the directory.
    pub(crate) unwritten: Vec<(String, File)>,
    /// Files that were changed in the directory while no server ran.
    pub(crate) changed: Vec<String>,
}
