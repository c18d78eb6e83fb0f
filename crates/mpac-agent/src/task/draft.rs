//! Writing one file: the brain's text, shown and approved. Nothing is sent.

use super::Worker;
use super::think::think;
use crate::brain::{BrainError, OtherFile, Plan, WriteAsk, Written};
use crate::connection::MAX_FRAME_OUT;
use crate::console::{Palette, Style};
use crate::diff::{self, LiveDiff};
use crate::error::AgentError;
use crate::session::FileState;

/// So much of a change is told when other files are written.
const MAX_DIFF_BYTES: usize = 16 << 10;

/// A text that may be committed.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) path: String,
    /// What it was written on top of.
    pub(super) base: FileState,
    pub(super) written: Written,
}

/// What became of writing a file.
#[derive(Debug)]
pub(super) enum Drafted {
    Ready(Draft),
    /// It already is as it should be.
    Unchanged,
    /// The person said no.
    Declined,
}

impl Worker<'_> {
    /// Has the next version of a file written. `rebased` when one for an older base was written before.
    pub(super) async fn draft(
        &mut self,
        plan: &Plan,
        path: &str,
        base: FileState,
        rebased: bool,
    ) -> Result<Drafted, AgentError> {
        self.say(Style::Bold, &format!("writing {path} on top of {}", base.state_ref));
        let ask = WriteAsk {
            task: self.task.clone(),
            plan: plan.clone(),
            path: path.to_owned(),
            content: base.content.clone(),
            rebased,
            written: self.written.iter().filter(|other| other.path != path).cloned().collect(),
            whole: false,
            fault: None,
        };
        self.ear.live = Some(LiveDiff::new(path, &base.content, self.session.console().look()));
        let thought = self.think_of(ask).await;
        let live = self.ear.live.take();
        let written = thought?;
        if written.content == base.content {
            self.say(Style::Plain, &format!("{path} already is as it should be"));
            return Ok(Drafted::Unchanged);
        }
        self.show_diff(path, &base, &written, live);
        if !self.options.dry_run {
            check_size(path, &written)?;
        }
        self.remember(path, &base, &written);
        if let Some(approver) = self.options.approver.as_ref().filter(|_| !self.options.dry_run)
            && !self.session.meanwhile(approver.approves(path, &base.content, &written.content)).await?
        {
            return Ok(Drafted::Declined);
        }
        Ok(Drafted::Ready(Draft { path: path.to_owned(), base, written }))
    }

    /// For the files that are written after this one.
    fn remember(&mut self, path: &str, base: &FileState, written: &Written) {
        let mut diff = diff::unified(path, &base.content, &written.content, Palette::PLAIN).join("\n");
        if let Some((at, _)) = diff.char_indices().find(|(at, _)| *at >= MAX_DIFF_BYTES) {
            diff.truncate(at);
            diff.push_str("\n... (and more)");
        }
        self.written.retain(|other| other.path != path);
        self.written.push(OtherFile { path: path.to_owned(), diff });
    }

    /// What was not shown while it was written.
    fn show_diff(&mut self, path: &str, base: &FileState, written: &Written, live: Option<LiveDiff>) {
        let console = self.session.console();
        if let Some(mut live) = live {
            let rest = live.finish();
            if live.leads_to(&written.content) {
                return console.block(&rest);
            }
        }
        let lines = diff::shown(path, &base.content, &written.content, console.look());
        console.block(&lines);
    }

    /// The brain's text; one round of repair for an answer that is none. Edits that do not apply even then are asked
    /// for as the whole text.
    async fn think_of(&mut self, mut ask: WriteAsk) -> Result<Written, AgentError> {
        loop {
            let thought = self.brain.write_file(ask.clone(), &self.notes);
            let (what, why) = match think(self.session, &mut self.ear, "writing", thought).await? {
                Ok(written) => return Ok(written),
                Err(BrainError::Misfit(why)) if ask.fault.is_none() => ("the edits do not apply", why),
                Err(BrainError::Misfit(why)) if !ask.whole => {
                    ask.whole = true;
                    ("the edits do not apply again", why)
                }
                Err(BrainError::Unusable(why)) if ask.fault.is_none() => ("the answer is no file", why),
                Err(error) => return Err(error.into()),
            };
            let wanted = if ask.whole { "the whole file" } else { "another" };
            self.say(Style::Yellow, &format!("{what} ({why}); asking for {wanted}"));
            ask.fault = Some(why);
        }
    }
}

/// A text that no commit can carry is refused before anything of the plan is committed.
fn check_size(path: &str, written: &Written) -> Result<(), AgentError> {
    // Each quote, backslash and control character takes more room in the frame than in the file.
    let longer = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..=0x1f => 5,
        _ => 0,
    };
    let bytes = written.content.bytes().map(longer).sum::<usize>() + written.content.len();
    if bytes <= MAX_FRAME_OUT {
        return Ok(());
    }
    Err(AgentError::TooLarge { what: format!("the commit to {path}"), bytes, limit: MAX_FRAME_OUT })
}
