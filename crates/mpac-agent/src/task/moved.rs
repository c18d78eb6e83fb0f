//! Files that are not any more what was written on top of.
//!
//! The base of a draft is read before the brain writes, and watched from then on: FILE_UPDATED tells of another text, and a
//! break leaves open whether there was one. What has moved is looked at again before it is committed, and what a commit finds
//! stale after it. Our change and theirs are merged where they do not touch; where they do, the brain writes again.

use super::Worker;
use super::draft::{Draft, How, Wanted};
use crate::brain::{Plan, Written};
use crate::console::Style;
use crate::decide::{Merged, merge};
use crate::error::AgentError;
use crate::session::FileState;

impl Worker<'_> {
    /// Brings those drafts up to date whose files are known to have moved. `None` when the person said no to what became of
    /// one. Each time something has moved counts as an attempt in `redone`; with none left it is for the commit to fail.
    pub(super) async fn up_to_date(
        &mut self,
        plan: &Plan,
        mut drafts: Vec<Draft>,
        redone: &mut u32,
    ) -> Result<Option<Vec<Draft>>, AgentError> {
        while *redone < self.options.max_rebase && drafts.iter().any(|it| self.session.has_moved(&it.path)) {
            let moved: Vec<String> =
                drafts.iter().map(|it| it.path.clone()).filter(|path| self.session.has_moved(path)).collect();
            let now = self.session.read_files(&moved).await?;
            let states = moved.into_iter().zip(now).collect();
            let (redo, same) = self.again(drafts, states);
            if redo.is_empty() {
                return Ok(Some(same));
            }
            *redone += 1;
            match self.redo(plan, redo, same).await? {
                Some(up_to_date) => drafts = up_to_date,
                None => return Ok(None),
            }
        }
        Ok(Some(drafts))
    }

    /// Shows or has written again what moved, and puts the drafts back into the plan's order.
    pub(super) async fn redo(
        &mut self,
        plan: &Plan,
        redo: Vec<Wanted>,
        same: Vec<Draft>,
    ) -> Result<Option<Vec<Draft>>, AgentError> {
        let Some(redone) = self.draft(plan, redo).await? else { return Ok(None) };
        let mut drafts: Vec<Draft> = same.into_iter().chain(redone).collect();
        let place = |draft: &Draft| plan.paths().position(|path| *path == draft.path);
        drafts.sort_by_key(place);
        Ok(Some(drafts))
    }

    /// What is to be done with drafts by the states that their files are in now: those that have to be redone, and those that
    /// are based on what is there.
    pub(super) fn again(
        &mut self,
        drafts: Vec<Draft>,
        mut now: Vec<(String, FileState)>,
    ) -> (Vec<Wanted>, Vec<Draft>) {
        let (mut redo, mut same) = (Vec::new(), Vec::new());
        for draft in drafts {
            let state = now.iter().position(|(path, _)| *path == draft.path).map(|at| now.swap_remove(at).1);
            match state.filter(|state| state.state_ref != draft.base.state_ref) {
                Some(state) => redo.push(self.rebased(draft, state)),
                None => same.push(draft),
            }
        }
        (redo, same)
    }

    /// Our change on top of another text than it was made for.
    pub(super) fn rebased(&mut self, draft: Draft, now: FileState) -> Wanted {
        let Draft { path, base, written } = draft;
        let how = match merge(&base.content, &written.content, &now.content) {
            Merged::Text(content) => {
                let text = format!("stale: {path} is at {} by now; the changes do not touch", now.state_ref);
                self.say(Style::Yellow, &text);
                How::Merged(Written { content, summary: written.summary })
            }
            Merged::Clash => {
                let text = format!("stale: {path} is at {} by now; rebasing", now.state_ref);
                self.say(Style::Yellow, &text);
                How::Write { rebased: true }
            }
        };
        Wanted { path, base: now, how }
    }
}
