//! One file on its way to its next version: what is wanted, what was written, and how it is shown.

use super::Worker;
use crate::brain::{OtherFile, Plan, WriteAsk, Written};
use crate::connection::MAX_FRAME_OUT;
use crate::console::{Console, Palette};
use crate::diff::{self, LiveDiff};
use crate::error::AgentError;
use crate::session::FileState;

/// So much of a change is told when other files are written.
const MAX_DIFF_BYTES: usize = 16 << 10;

/// A file that is to get a new text.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) path: String,
    /// What it is to be based on.
    pub(super) base: FileState,
    pub(super) how: How,
}

/// Where the new text comes from.
#[derive(Debug)]
pub(super) enum How {
    /// The brain writes it; `rebased` when it has written one on an older base.
    Write { rebased: bool },
    /// Our change and that of somebody else, put together.
    Merged(Written),
}

/// A text that may be committed.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) path: String,
    /// What it was written on top of.
    pub(super) base: FileState,
    pub(super) written: Written,
}

impl Wanted {
    /// The heading above its diff.
    pub(super) fn heading(&self) -> String {
        let Self { path, base, how } = self;
        match how {
            How::Write { .. } => format!("writing {path} on top of {}", base.state_ref),
            How::Merged(_) => {
                format!(
                    "merged {path} with what others changed elsewhere in it, on top of {}",
                    base.state_ref
                )
            }
        }
    }

    /// The question to the brain, where it is to be asked.
    pub(super) fn ask(&self, task: &str, plan: &Plan, written: &[OtherFile]) -> Option<WriteAsk> {
        let How::Write { rebased } = self.how else { return None };
        Some(WriteAsk {
            task: task.to_owned(),
            plan: plan.clone(),
            path: self.path.clone(),
            content: self.base.content.clone(),
            rebased,
            written: written.iter().filter(|other| other.path != self.path).cloned().collect(),
            whole: false,
            fault: None,
        })
    }
}

impl Worker<'_> {
    /// All files of a plan as they are now, to be written.
    pub(super) async fn read_all(&mut self, plan: &Plan) -> Result<Vec<Wanted>, AgentError> {
        let paths: Vec<String> = plan.paths().cloned().collect();
        let bases = self.session.read_files(&paths).await?;
        let wanted = paths.into_iter().zip(bases);
        Ok(wanted.map(|(path, base)| Wanted { path, base, how: How::Write { rebased: false } }).collect())
    }
}

/// Notes a change for the files that are written after it.
pub(super) fn remember(written: &mut Vec<OtherFile>, path: &str, before: &str, after: &str) {
    let mut diff = diff::unified(path, before, after, Palette::PLAIN).join("\n");
    if let Some((at, _)) = diff.char_indices().find(|(at, _)| *at >= MAX_DIFF_BYTES) {
        diff.truncate(at);
        diff.push_str("\n... (and more)");
    }
    written.retain(|other| other.path != path);
    written.push(OtherFile { path: path.to_owned(), diff });
}

/// Shows of a change what was not shown while it was written.
pub(super) fn show(console: &mut Console, wanted: &Wanted, after: &str, live: Option<LiveDiff>) {
    if let Some(mut live) = live {
        let rest = live.finish();
        if live.leads_to(after) {
            return console.block(&rest);
        }
    }
    let lines = diff::shown(&wanted.path, &wanted.base.content, after, console.look());
    console.block(&lines);
}

/// So much of a frame is left for what stands around a text: the envelope, the ids, a signature.
const ROOM: usize = 16 << 10;

/// A text that no commit can carry is refused before anything of the plan is committed.
pub(super) fn check_size(path: &str, written: &Written) -> Result<(), AgentError> {
    let summary = written.summary.as_deref().map_or(0, in_frame);
    // Its path is the operation's target and the change's name.
    let bytes = in_frame(&written.content) + summary + 2 * in_frame(path) + ROOM;
    if bytes <= MAX_FRAME_OUT {
        return Ok(());
    }
    Err(AgentError::TooLarge { what: format!("the commit to {path}"), bytes, limit: MAX_FRAME_OUT })
}

/// How much room a text takes in a frame: each quote, backslash and control character more than in its file.
fn in_frame(text: &str) -> usize {
    let longer = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..=0x1f => 5,
        _ => 0,
    };
    text.bytes().map(longer).sum::<usize>() + text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_to_leave_room_for_what_stands_around_it() {
        let written = |size: usize, summary: usize| Written {
            content: "x".repeat(size),
            summary: Some("s".repeat(summary)),
        };
        let most = MAX_FRAME_OUT - ROOM - 2;
        check_size("a", &written(most, 0)).unwrap();
        for (path, too_much) in
            [("a", written(most + 1, 0)), ("a", written(most, 1)), ("ab", written(most, 0))]
        {
            let error = check_size(path, &too_much).unwrap_err();
            assert!(matches!(error, AgentError::TooLarge { bytes, limit, .. } if bytes > limit), "{error}");
        }
        check_size("a", &written(MAX_FRAME_OUT, 0)).unwrap_err();
    }

    #[test]
    fn what_is_escaped_takes_more_room() {
        assert_eq!(in_frame("a\"\n\u{1}"), serde_json::to_string("a\"\n\u{1}").unwrap().len() - 2);
    }
}
