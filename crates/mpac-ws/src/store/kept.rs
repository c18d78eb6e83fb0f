//! The files of a session as commits left them: what a restart needs beside the coordinator.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use mpac_core::{Notice, Output, SessionConfig};
use mpac_wire::{Content, StateRef};
use serde::{Deserialize, Serialize};

use crate::error::Unwritten;
use crate::workspace::unmerged::Unmerged;
use crate::workspace::{File, Workspace};

/// A session's configuration, and what was committed in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    /// As the coordinator was made with it, files included.
    pub(crate) config: SessionConfig,
    /// Shared with the snapshot that is being written: nobody waits while contents are copied.
    committed: BTreeMap<String, Arc<Committed>>,
}

/// A file as a commit left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Committed {
    content: Content,
    state_ref: StateRef,
    /// What it was before, the newest last: whoever has that on disk has not seen the commit.
    earlier: VecDeque<StateRef>,
}

/// So many states of a file before the last one are known: what it was at first, and the latest. A directory that stopped being
/// written to between them, as many commits ago, is not recognised; what it holds then counts as somebody's.
const EARLIER: usize = 256;

/// The shared files of a session that is taken up.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) workspace: Workspace,
    /// Commits that are not in the directory.
    pub(crate) unwritten: Vec<(String, File)>,
    /// Files that somebody else changed in the directory.
    pub(crate) changed: Vec<String>,
}

impl Restored {
    /// Tries no more to write what `dir` cannot hold. Gives which files these are, and why.
    pub(crate) fn leave_out(&mut self, dir: &Workspace) -> Vec<Unwritten> {
        let mut alone = Vec::new();
        self.unwritten.retain(|(path, _)| {
            let refused = dir.has_room_for(path).err();
            alone.extend(refused.as_ref().map(|refused| Unwritten::new(path.clone(), refused)));
            refused.is_none()
        });
        alone
    }
}

impl Kept {
    /// Of a session that begins.
    pub(crate) const fn new(config: SessionConfig) -> Self {
        Self { config, committed: BTreeMap::new() }
    }

    /// Of one that goes on under `config`. Where its host has something else than was committed, it has its reasons: the
    /// directory was changed by somebody else.
    #[must_use]
    pub(crate) fn going_on(mut self, config: SessionConfig) -> Self {
        let base = config.workspace.as_ref();
        let differs = |path: &str, it: &Committed| {
            base.and_then(|base| base.get(path)).is_some_and(|there| *there != it.state_ref)
        };
        self.committed.retain(|path, it| !differs(path, it));
        self.config = config;
        self
    }

    /// Every file that was committed: its name, its content, its reference.
    pub(crate) fn contents(&self) -> impl Iterator<Item = (&str, &str, &StateRef)> {
        self.committed.iter().map(|(path, it)| (path.as_str(), &*it.content, &it.state_ref))
    }

    /// What was committed, as JSON.
    pub(super) fn committed(&self) -> serde_json::Result<String> {
        let committed: BTreeMap<&String, &Committed> =
            self.committed.iter().map(|(path, it)| (path, &**it)).collect();
        serde_json::to_string(&committed)
    }

    /// The opposite of [`Kept::committed`].
    pub(super) fn read(config: SessionConfig, committed: &str) -> serde_json::Result<Self> {
        let committed: BTreeMap<String, Committed> = serde_json::from_str(committed)?;
        Ok(Self { config, committed: committed.into_iter().map(|(path, it)| (path, it.into())).collect() })
    }

    /// Takes notice of an output.
    pub(crate) fn hear(&mut self, output: &Output) {
        let Output::Notice(Notice::FileUpdated { path, content, state_ref, .. }) = output else { return };
        let base = self.config.workspace.as_ref().and_then(|base| base.get(path));
        // What is there already is added to: a file may have been committed many thousand times.
        let mut earlier = match self.committed.remove(path) {
            Some(before) => {
                // A snapshot may have it still: its content is not needed here.
                let (mut earlier, state_ref) = match Arc::try_unwrap(before) {
                    Ok(before) => (before.earlier, before.state_ref),
                    Err(shared) => (shared.earlier.clone(), shared.state_ref.clone()),
                };
                earlier.push_back(state_ref);
                earlier
            }
            None => base.cloned().into_iter().collect(),
        };
        // A file that goes back to what it was has been that before, and is it now.
        earlier.retain(|it| it != state_ref);
        if earlier.len() > EARLIER {
            // Not the first: that is what a directory holds which is never written to.
            earlier.remove(1);
        }
        let (content, state_ref) = (content.clone(), state_ref.clone());
        self.committed.insert(path.clone(), Arc::new(Committed { content, state_ref, earlier }));
    }

    /// The files after a restart: those of `loaded`, and what was committed. With write-back, which knows what is `unmerged`,
    /// the directory has the last word, except over commits that never reached it; they are given back, to be written.
    pub(crate) fn files(&self, loaded: &Workspace, unmerged: Option<&Unmerged>) -> Restored {
        let mut restored = Restored { workspace: loaded.clone(), unwritten: Vec::new(), changed: Vec::new() };
        for (path, it) in &self.committed {
            let Committed { content, state_ref, earlier } = &**it;
            let there = loaded.get(path).map(|there| &there.state_ref);
            let is_theirs = |there: &StateRef, unmerged: &Unmerged| {
                there != state_ref
                    && (!earlier.contains(there) || unmerged.has(&self.config.session_id, path, there))
            };
            if unmerged.zip(there).is_some_and(|(unmerged, there)| is_theirs(there, unmerged)) {
                restored.changed.push(path.clone());
                continue;
            }
            let file = File::known_as((**content).into(), state_ref.clone());
            if there != Some(state_ref) {
                restored.unwritten.push((path.clone(), file.clone()));
            }
            restored.workspace.put(path, file);
        }
        restored
    }
}

#[cfg(test)]
mod tests {
    use mpac_wire::{PrincipalId, SessionId};

    use super::*;

    fn kept(base: &[(&str, &str)], commits: &[(&str, &str)]) -> Kept {
        let mut kept = Kept::new(config(base));
        for (path, content) in commits {
            kept.hear(&Output::Notice(Notice::FileUpdated {
                to: mpac_core::Recipients::All,
                path: (*path).to_owned(),
                content: (*content).into(),
                state_ref: StateRef::of(content),
                updated_by: PrincipalId::new("p").unwrap(),
            }));
        }
        kept
    }

    fn config(base: &[(&str, &str)]) -> SessionConfig {
        let mut config = SessionConfig::new(SessionId::new("s").unwrap());
        config.workspace = Some(workspace(base).refs());
        config
    }

    fn workspace(files: &[(&str, &str)]) -> Workspace {
        let mut workspace = Workspace::default();
        files.iter().for_each(|(path, content)| workspace.put(path, File::new((*content).into())));
        workspace
    }

    /// What `a` holds after a restart, and what is to be written.
    fn restored(kept: &Kept, on_disk: &[(&str, &str)], write_back: bool) -> (String, usize, usize) {
        let unmerged = Unmerged::default();
        let restored = kept.files(&workspace(on_disk), write_back.then_some(&unmerged));
        let content = restored.workspace.get("a").unwrap().content.to_string();
        (content, restored.unwritten.len(), restored.changed.len())
    }

    #[test]
    fn what_is_on_disk_says_whether_a_commit_reached_it() {
        let kept = kept(&[("a", "0")], &[("a", "1"), ("a", "2")]);
        let is = |content: &str, unwritten, changed| (content.to_owned(), unwritten, changed);
        assert_eq!(restored(&kept, &[("a", "2")], true), is("2", 0, 0), "it did");
        for before in ["0", "1"] {
            assert_eq!(restored(&kept, &[("a", before)], true), is("2", 1, 0), "{before}: it did not");
        }
        assert_eq!(restored(&kept, &[], true), is("2", 1, 0), "removed: it comes back");
        assert_eq!(restored(&kept, &[("a", "x")], true), is("x", 0, 1), "somebody changed it");
        assert_eq!(restored(&kept, &[("a", "x")], false), is("2", 1, 0), "the directory is not written to");
    }

    #[test]
    fn what_is_known_of_a_file_does_not_grow_with_its_commits() {
        let contents: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let commits: Vec<(&str, &str)> = contents.iter().map(|content| ("a", content.as_str())).collect();
        let kept = kept(&[("a", "base")], &commits);
        assert_eq!(kept.committed["a"].earlier.len(), EARLIER);
        let (last, near, far) = ("999".to_owned(), "999".to_owned(), "3".to_owned());
        assert_eq!(restored(&kept, &[("a", "998")], true), (last.clone(), 1, 0), "just not written");
        assert_eq!(restored(&kept, &[("a", "800")], true), (near, 1, 0));
        assert_eq!(restored(&kept, &[("a", "3")], true), (far, 0, 1), "too far behind to be known");
        assert_eq!(restored(&kept, &[("a", "base")], true), (last, 1, 0), "never written to");
    }

    #[test]
    fn a_file_that_goes_back_to_what_it_was_is_not_written_again() {
        let kept = kept(&[("a", "0")], &[("a", "1"), ("a", "0")]);
        assert_eq!(restored(&kept, &[("a", "0")], true), ("0".to_owned(), 0, 0));
        assert_eq!(restored(&kept, &[("a", "1")], true), ("0".to_owned(), 1, 0));
    }

    #[test]
    fn what_the_host_had_at_a_later_start_stands_over_an_earlier_commit() {
        let before = kept(&[("a", "0")], &[("a", "1"), ("b", "1")]);
        let after = before.going_on(config(&[("a", "theirs"), ("b", "1")]));
        assert_eq!(restored(&after, &[("a", "theirs")], true), ("theirs".to_owned(), 1, 0), "b is missing");
        let text = after.committed().unwrap();
        assert!(!text.contains("\"a\"") && text.contains("\"b\""), "{text}");
        assert_eq!(Kept::read(after.config.clone(), &text).unwrap(), after);
    }
}
