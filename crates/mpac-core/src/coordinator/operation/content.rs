//! `file_changes`: new contents that come with a commit, judged together with it (OCC-05 to OCC-08, D-091, D-092).

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::payload::FileChanges;
use mpac_wire::{Content, IntentId, PrincipalId, StateRef};

use super::super::governance::frozen;
use super::super::outbox::Outbox;
use super::super::quota;
use super::super::state::Session;
use super::current;
use crate::output::{Notice, Recipients};
use crate::refusal::Refusal;
use crate::scope::{is_safe, normalize};

/// Whether contents may come with a message at all: where states are not named by content, nothing could be based on
/// what they leave (D-091, CAP-09).
pub(super) fn may_come(session: &Session, changes: Option<&FileChanges>) -> Result<(), Refusal> {
    let format = &session.config.state_ref_format;
    let any = changes.is_some_and(|changes| changes.iter().next().is_some());
    if any && format != "sha256" { Err(Refusal::NoContents(format.clone())) } else { Ok(()) }
}

/// A file as it will be.
struct File {
    path: String,
    content: Content,
    before: StateRef,
    after: StateRef,
}

/// Contents that have passed every check.
#[derive(Default)]
pub(super) struct Upload(Vec<File>);

impl Upload {
    /// Checks all entries; one that fails refuses the message.
    ///
    /// `intent` is the operation's, `target` its target, normalised, and `after` what the message says it left there.
    pub(super) fn plan(
        session: &Session,
        (intent, changes): (Option<&IntentId>, Option<&FileChanges>),
        target: &str,
        after: Option<&StateRef>,
    ) -> Result<Self, Refusal> {
        Self::check(session, intent, changes, |path| (path == target).then_some(after))
    }

    /// The same for a batch: `refs` is where its accepted entries leave their targets. Unless the batch goes as a
    /// `whole`, contents of targets that were not accepted are left out (D-091).
    pub(super) fn plan_batch(
        session: &Session,
        (intent, changes): (Option<&IntentId>, Option<&FileChanges>),
        refs: &BTreeMap<String, StateRef>,
        whole: bool,
    ) -> Result<Self, Refusal> {
        // Also of what is left out: nothing that could never be stored passes in silence (OCC-08).
        if let Some((key, _)) =
            changes.into_iter().flat_map(FileChanges::iter).find(|(key, _)| !is_safe(&normalize(key)))
        {
            return Err(Refusal::UnsafePath(key.to_owned()));
        }
        let accepted: Option<FileChanges> = changes.filter(|_| !whole).map(|changes| {
            let kept = changes.iter().filter(|(key, _)| refs.contains_key(&normalize(key)));
            kept.map(|(key, change)| (key, change.clone())).collect()
        });
        Self::check(session, intent, accepted.as_ref().or(changes), |path| refs.get(path).map(Some))
    }

    /// `stated` gives, for a target of the message, the reference it says it left there, if it says one.
    fn check<'a>(
        session: &Session,
        intent: Option<&IntentId>,
        changes: Option<&FileChanges>,
        stated: impl Fn(&str) -> Option<Option<&'a StateRef>>,
    ) -> Result<Self, Refusal> {
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for (key, change) in changes.into_iter().flat_map(FileChanges::iter) {
            let path = normalize(key);
            if !is_safe(&path) {
                return Err(Refusal::UnsafePath(key.to_owned()));
            }
            if !seen.insert(path.clone()) {
                return Err(Refusal::RepeatedPath(path));
            }
            frozen::target(session, &path, intent)?; // whatever the target is, this is written (FRZ-02)
            current(session, &path, &change.state_ref_before)?; // whether or not there is a file yet (OCC-12)
            let after = StateRef::of(&change.content);
            match stated(&path) {
                Some(Some(stated)) if *stated != after => {
                    let stated = stated.clone();
                    return Err(Refusal::ContentMismatch { target: path, computed: after, stated });
                }
                Some(None) => return Err(Refusal::AfterNeeded(path)),
                Some(Some(_)) | None => {}
            }
            files.push(File {
                path,
                content: change.content.clone(),
                before: change.state_ref_before.clone(),
                after,
            });
        }
        quota::workspace(session, files.iter().map(|file| (file.path.as_str(), file.content.len())))?;
        Ok(Self(files))
    }

    /// Whether it brings the content of `target`.
    pub(super) fn has(&self, target: &str) -> bool {
        self.0.iter().any(|file| file.path == target)
    }

    /// The paths that no operation of the message has as its target.
    pub(super) fn beside(&self, is_target: impl Fn(&str) -> bool) -> Vec<String> {
        let paths = self.0.iter().map(|file| &file.path);
        paths.filter(|path| !is_target(path)).cloned().collect()
    }

    /// The files are current from here on, and the host is told to store and announce them.
    pub(super) fn apply(self, session: &mut Session, out: &mut Outbox, by: &PrincipalId) {
        let limit = session.config.retained_records;
        for File { path, content, before, after: state_ref } in self.0 {
            // Of the target its operation tells, which has set the reference already.
            if session.refs.get(&path) != Some(&state_ref) {
                session.forgotten.state(&path, &before, limit);
            }
            session.files.insert(path.clone());
            session.sizes.set(path.clone(), content.len() as u64);
            session.set_ref(path.clone(), state_ref.clone());
            out.notice(Notice::FileUpdated {
                to: Recipients::All,
                path,
                content,
                state_ref,
                updated_by: by.clone(),
            });
        }
    }
}
