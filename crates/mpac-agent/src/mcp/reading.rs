//! The tool that reads the shared files, in parts that a host does not cut.

use std::fmt::Write as _;

use mpac_wire::Scope;
use serde_json::json;

use super::answer::{Answer, SHOWN, all_held, names};
use super::bridge::Bridge;
use super::input::GetFileState;
use super::looking::in_workspace;
use crate::agent::{Agent, Snapshot};
use crate::error::AgentError;
use crate::report::one_line;
use crate::session::FileState;

pub(super) async fn get_file_state(bridge: &Bridge, asked: GetFileState) -> Result<Answer, AgentError> {
    let agent = bridge.agent().await?;
    let Some(path) = &asked.path else { return listed(&agent, asked.prefix.as_deref().unwrap_or("")).await };
    in_workspace(path)?;
    let made = bridge.proposed.made_to(&agent, path).await;
    let (file, view) = (agent.read_file(path).await?, agent.view().await?);
    bridge.proposed.told(&made);
    let holders = agent.in_the_way(&Scope::files([path.clone()])).await?;
    let held = all_held(&holders, Some(&view));
    let mut about: String = held.lines.iter().map(|line| format!(" Held by {line}.")).collect();
    if held.left > 0 {
        let _ = write!(about, " {} more of these are not told here.", held.left);
    }
    let names = names(&holders);
    let Some(file) = file else {
        bridge.saw(path, &FileState::absent().state_ref);
        let text = format!("{path} does not exist; submit_change with content creates it.{about}");
        return Ok(Answer::done(text, json!({"path": path, "exists": false, "holders": names})));
    };
    let by = last_change(&view, path);
    let changed = by.as_ref().map_or(String::new(), |by| format!(", last changed by {}", one_line(by)));
    let mut text = format!("{path} is at {}{changed}.{about}", file.state_ref);
    let mut value = json!({
        "path": path, "exists": true, "state_ref": file.state_ref, "updated_by": by, "holders": names,
    });
    if asked.with_content.unwrap_or(true) {
        let part = Part::of(&file.content, asked.from_line.unwrap_or(1), asked.lines).ok_or_else(|| {
            AgentError::Usage(format!("{path} has no line with that number; lines count from 1"))
        })?;
        let has_read_all = bridge.saw_part(path, &file.state_ref, &part);
        let _ = write!(text, " {}:\n{}", part.title(has_read_all), part.text);
        value["content"] = json!(part.text);
        value["more"] = json!(part.has_more());
        if !part.is_all() {
            (value["from_line"], value["to_line"]) = (json!(part.from), json!(part.to));
            (value["lines"], value["cut"]) = (json!(part.of), json!(part.is_cut));
        }
    }
    Ok(Answer::done(text, value))
}

/// The files whose paths begin so, as many as hosts let pass.
async fn listed(agent: &Agent, prefix: &str) -> Result<Answer, AgentError> {
    let mut files = agent.list_files().await?;
    let all = files.len();
    files.retain(|file| file.path.starts_with(prefix));
    let found = files.len();
    let mut lines = String::new();
    let mut told = 0;
    for file in &files {
        let line = format!("\n{} ({} characters, {})", one_line(&file.path), file.size.get(), file.state_ref);
        if lines.len() + line.len() > SHOWN {
            break;
        }
        lines.push_str(&line);
        told += 1;
    }
    files.truncate(told);
    let which = if prefix.is_empty() { String::new() } else { format!(", {found} of them under {prefix:?}") };
    let cut = match found - told {
        0 => String::new(),
        more => format!(" {more} more are not told here; call it again with a (longer) prefix to see them."),
    };
    let text = format!("{all} files are shared{which}.{cut}{lines}");
    let value = json!({ "files": files, "total": all, "found": found, "more": told < found });
    Ok(Answer::done(text, value))
}

fn last_change(view: &Snapshot, path: &str) -> Option<String> {
    view.files.get(path)?.updated_by.as_ref().map(ToString::to_string)
}

/// Some lines of a text.
#[derive(Debug, PartialEq)]
pub(super) struct Part<'a> {
    text: &'a str,
    /// The numbers of its first and last line; lines count from 1.
    pub(super) from: usize,
    pub(super) to: usize,
    /// How many the text has.
    pub(super) of: usize,
    /// The one line is so long that only its beginning is here.
    pub(super) is_cut: bool,
}

impl<'a> Part<'a> {
    /// From this line on, as many as are asked for and as hosts let pass. `None` when there is no such line.
    fn of(all: &'a str, from: usize, most: Option<usize>) -> Option<Self> {
        let of = all.split_inclusive('\n').count();
        if from == 0 || from > of.max(1) {
            return None;
        }
        let before: usize = all.split_inclusive('\n').take(from - 1).map(str::len).sum();
        let rest = &all[before..];
        let (mut size, mut lines) = (0, 0);
        for line in rest.split_inclusive('\n').take(most.unwrap_or(usize::MAX).max(1)) {
            if size + line.len() > SHOWN {
                break;
            }
            (size, lines) = (size + line.len(), lines + 1);
        }
        let is_cut = lines == 0 && !rest.is_empty();
        if is_cut {
            size = rest.floor_char_boundary(SHOWN);
        }
        let to = if is_cut { from } else { from + lines - lines.min(1) };
        Some(Self { text: &rest[..size], from, to, of, is_cut })
    }

    fn is_all(&self) -> bool {
        self.from == 1 && self.told_to() == self.of
    }

    /// The last line that is here to its end.
    fn told_to(&self) -> usize {
        if self.is_cut || self.of == 0 { self.from - 1 } else { self.to }
    }

    /// Whether there are lines after it.
    fn has_more(&self) -> bool {
        self.to < self.of
    }

    /// `has_read_all`: with the parts that were told before, it is the whole text. They may have been told to another conversation, so
    /// only who reads to the end is not warned.
    fn title(&self, has_read_all: bool) -> String {
        if self.is_all() {
            return "Its text".to_owned();
        }
        let Self { from, to, of, .. } = self;
        let which = match self.is_cut {
            true => format!("The beginning of its line {from} of {of}, which is too long to be told"),
            false if from == to => format!("Its line {from} of {of}"),
            false => format!("Its lines {from} to {to} of {of}"),
        };
        let more = if self.has_more() { format!("; from_line {} goes on", to + 1) } else { String::new() };
        let unread = match has_read_all && !self.has_more() {
            true => "",
            false => ". Change it with edits: content would replace what you have not read as well",
        };
        format!("{which}{more}{unread}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(all: &str, from: usize, most: Option<usize>) -> Option<(&str, usize, usize, bool)> {
        Part::of(all, from, most).map(|it| (it.text, it.from, it.told_to(), it.is_all()))
    }

    #[test]
    fn what_is_short_is_told_at_once_and_parts_on_demand() {
        let all = "one\ntwo\nthree";
        assert_eq!(part(all, 1, None), Some((all, 1, 3, true)));
        assert_eq!(part(all, 2, None), Some(("two\nthree", 2, 3, false)));
        assert_eq!(part(all, 2, Some(1)), Some(("two\n", 2, 2, false)));
        assert_eq!(part(all, 1, Some(9)), Some((all, 1, 3, true)));
        assert_eq!(part("", 1, None), Some(("", 1, 0, true)));
        assert_eq!((part(all, 0, None), part(all, 4, None), part("", 2, None)), (None, None, None));
    }

    #[test]
    fn what_is_long_is_told_in_whole_lines_one_part_after_the_other() {
        let all: String = (1..=5_000).map(|n| format!("line {n} says ä\n")).collect();
        let (mut from, mut read) = (1, String::new());
        while let Some(it) = Part::of(&all, from, None) {
            assert!(it.text.len() <= SHOWN && it.text.ends_with('\n') && !it.is_all());
            assert!(it.title(false).contains("with edits"), "{}", it.title(false));
            read.push_str(it.text);
            from = it.to + 1;
            let is_last = from > it.of;
            assert_eq!((it.has_more(), it.title(true).contains("goes on")), (!is_last, !is_last));
        }
        assert_eq!(read, all);
    }

    #[test]
    fn a_line_that_no_host_lets_pass_is_cut_and_counts_as_unread() {
        let all = format!("{}\nend\n", "ä".repeat(SHOWN));
        let first = Part::of(&all, 1, None).unwrap();
        assert!(first.is_cut && first.text.len() <= SHOWN && first.told_to() == 0, "{first:?}");
        assert!(first.title(false).contains("from_line 2 goes on"), "{}", first.title(false));
        assert_eq!(part(&all, 2, None), Some(("end\n", 2, 2, false)));
    }
}
