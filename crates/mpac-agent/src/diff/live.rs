//! A diff that is shown while the new text is still being written.
//!
//! Text: lines that are as before are passed over; a hunk is settled, and shown, when enough lines after it are as before
//! again. What is settled stays, so the hunks together are a diff of the whole, if not always the shortest one. Of a new
//! file each line is shown at once.
//! Edits: each is shown as it comes, against the text that the ones before it have left.

use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use super::hunk::{Look, hunk, written};
use super::{CONTEXT_LINES, DEADLINE, heading, shown};
use crate::brain::edits::{Edit, apply_one};

/// So many lines as before settle what came before them: with fewer the contexts of two hunks would meet.
const SETTLING_LINES: usize = 2 * CONTEXT_LINES + 1;
/// A changed part is looked at each time it has grown by so many lines, and by a quarter: so the looks at a large one stay few.
const LOOK_EVERY: usize = 4;
/// The longest look while more is to come.
const LOOK_LIMIT: Duration = Duration::from_millis(50);
/// So much of the old text beyond what was written is searched for where the new text goes on.
const LOOK_AHEAD: usize = 200;

/// The diff of one file on its way.
#[derive(Debug)]
pub struct LiveDiff {
    path: String,
    look: Look,
    base: String,
    /// What it has become, as far as that is known.
    text: String,
    /// Where the unsettled lines of `base` begin.
    old: Place,
    /// The same in `text`.
    new: Place,
    /// Unsettled lines at the last look.
    looked_at: usize,
    edits: usize,
    headed: bool,
}

/// A place in a text, or a distance.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    lines: usize,
    bytes: usize,
}

impl Place {
    fn move_on(&mut self, by: Self) {
        self.lines += by.lines;
        self.bytes += by.bytes;
    }
}

/// What was settled at once.
struct Settled {
    hunks: Vec<String>,
    old: Place,
    new: Place,
}

impl LiveDiff {
    /// Of a file whose text is `base`.
    #[must_use]
    pub fn new(path: &str, base: &str, look: Look) -> Self {
        Self {
            path: path.to_owned(),
            look,
            base: base.to_owned(),
            text: String::new(),
            old: Place::default(),
            new: Place::default(),
            looked_at: 0,
            edits: 0,
            headed: false,
        }
    }

    /// Forgets everything: another answer begins.
    pub fn restart(&mut self) {
        *self = Self::new(&self.path, &self.base, self.look);
    }

    /// Whether what was shown leads to this text.
    #[must_use]
    pub fn leads_to(&self, content: &str) -> bool {
        self.headed && self.text == content
    }

    /// Takes the next part of the new text: the lines to show.
    pub fn push(&mut self, part: &str) -> Vec<String> {
        self.text.push_str(part);
        self.advance(false)
    }

    /// The new text is complete: the lines that remain to be shown.
    pub fn finish(&mut self) -> Vec<String> {
        if self.edits > 0 { Vec::new() } else { self.advance(true) }
    }

    /// Takes an edit: the lines to show. One that does not apply shows nothing; whoever reads the whole answer says why.
    pub fn edit(&mut self, edit: &Edit) -> Vec<String> {
        if self.edits == 0 {
            self.text = self.base.clone();
        }
        self.edits += 1;
        let Ok(after) = apply_one(&self.text, edit, self.edits) else { return Vec::new() };
        let mut lines = shown(&self.path, &self.text, &after, self.look);
        if self.headed && !lines.is_empty() {
            lines.drain(..2);
        }
        self.headed |= !lines.is_empty();
        self.text = after;
        lines
    }

    fn advance(&mut self, complete: bool) -> Vec<String> {
        let mut shown = Vec::new();
        loop {
            self.pass_over_equal();
            if self.base.is_empty() {
                shown.extend(self.all_new(complete));
                return shown;
            }
            let written = self.lines_written(complete).len();
            if !complete && written < self.looked_at + LOOK_EVERY.max(self.looked_at / 4) {
                return shown;
            }
            self.looked_at = written;
            let Some(settled) = self.settle(complete) else { return shown };
            if !settled.hunks.is_empty() && !self.headed {
                shown.extend(heading(&self.path, self.base.is_empty(), self.look.palette));
                self.headed = true;
            }
            shown.extend(settled.hunks);
            self.old.move_on(settled.old);
            self.new.move_on(settled.new);
            self.looked_at = 0;
            if complete {
                return shown;
            }
        }
    }

    /// The next lines of a new file, without the numbers of a hunk, which nobody knows yet.
    fn all_new(&mut self, complete: bool) -> Vec<String> {
        let lines: Vec<String> = self.lines_written(complete).into_iter().map(str::to_owned).collect();
        let mut shown = Vec::new();
        if !lines.is_empty() && !self.headed {
            shown.extend(heading(&self.path, true, self.look.palette));
            self.headed = true;
        }
        self.new.move_on(Place { lines: lines.len(), bytes: lines.iter().map(String::len).sum() });
        shown.extend(lines.iter().flat_map(|line| written('+', line, self.look.palette)));
        shown
    }

    /// What can be settled of the unsettled lines; all of it when the text is complete.
    fn settle(&self, complete: bool) -> Option<Settled> {
        let before = self.lines_before();
        let with_before = |lines: &[&'_ str]| -> Vec<String> {
            before.iter().chain(lines).map(|line| (*line).to_owned()).collect()
        };
        let (rest, written) =
            (self.base[self.old.bytes..].split_inclusive('\n'), self.lines_written(complete));
        let seen = if complete { usize::MAX } else { written.len() + LOOK_AHEAD };
        let old = with_before(&rest.take(seen).collect::<Vec<_>>());
        let new = with_before(&written);
        let deadline = Some(Instant::now() + if complete { DEADLINE } else { LOOK_LIMIT });
        let mut ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline);
        if !complete {
            let settles = |op: &DiffOp| matches!(op, DiffOp::Equal { len, .. } if *len >= SETTLING_LINES);
            // The first part is a change, or the lines before it.
            let found = ops.iter().skip(1).position(settles)?;
            ops.truncate(found + 2);
        }
        let end = ops.last().map_or((0, 0), |op| (op.old_range().end, op.new_range().end));
        let part = |lines: &[String], end: usize| {
            let lines = lines.get(before.len()..end).unwrap_or_default();
            Place { lines: lines.len(), bytes: lines.iter().map(String::len).sum() }
        };
        let start = (self.old.lines - before.len(), self.new.lines - before.len());
        let settled = (part(&old, end.0), part(&new, end.1));
        let hunks = group_diff_ops(ops, CONTEXT_LINES)
            .iter()
            .flat_map(|group| hunk(group, (&old, &new), start, self.look))
            .collect();
        Some(Settled { hunks, old: settled.0, new: settled.1 })
    }

    fn pass_over_equal(&mut self) {
        loop {
            let first = |text: &str| text.find('\n').map(|end| end + 1);
            let (old, new) = (&self.base[self.old.bytes..], &self.text[self.new.bytes..]);
            let Some(bytes) = first(old).filter(|end| first(new) == Some(*end) && old[..*end] == new[..*end])
            else {
                return;
            };
            self.old.move_on(Place { lines: 1, bytes });
            self.new.move_on(Place { lines: 1, bytes });
        }
    }

    /// The unsettled lines of the new text that are complete.
    fn lines_written(&self, all: bool) -> Vec<&str> {
        let rest = &self.text[self.new.bytes..];
        let end = if all { rest.len() } else { rest.rfind('\n').map_or(0, |end| end + 1) };
        rest[..end].split_inclusive('\n').collect()
    }

    /// The lines before the unsettled ones, which are the same on both sides, for the context of a hunk.
    fn lines_before(&self) -> Vec<&str> {
        let mut lines: Vec<&str> =
            self.base[..self.old.bytes].split_inclusive('\n').rev().take(CONTEXT_LINES).collect();
        lines.reverse();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Palette;

    fn text(lines: impl IntoIterator<Item = String>) -> String {
        lines.into_iter().map(|line| line + "\n").collect()
    }

    fn numbers(count: usize) -> Vec<String> {
        (1..=count).map(|number| number.to_string()).collect()
    }

    /// Everything shown when the text arrives in pieces of so many characters.
    fn shown(base: &str, after: &str, size: usize) -> (Vec<String>, bool) {
        let mut live = LiveDiff::new("n", base, Look::unified(Palette::PLAIN));
        let letters: Vec<char> = after.chars().collect();
        let mut lines: Vec<String> =
            letters.chunks(size).flat_map(|piece| live.push(&piece.iter().collect::<String>())).collect();
        lines.extend(live.finish());
        (lines, live.leads_to(after))
    }

    /// What a diff makes of a text, by its own numbers.
    fn patched(base: &str, diff: &[String]) -> String {
        let old: Vec<&str> = base.split_inclusive('\n').collect();
        let (mut at, mut after) = (0, String::new());
        let mut lines = diff.iter().skip(2).peekable();
        while let Some(line) = lines.next() {
            let bare = lines.peek().is_some_and(|next| next.starts_with('\\'));
            let text = if bare { line[1..].to_owned() } else { format!("{}\n", &line[1..]) };
            match line.as_bytes()[0] {
                b'@' => {
                    let range = line[4..].split(' ').next().unwrap();
                    let (from, count) = range.split_once(',').unwrap_or((range, "1"));
                    let from: usize = from.parse().unwrap();
                    let to = if count == "0" { from } else { from - 1 };
                    after.push_str(&old[at..to].concat());
                    at = to;
                }
                b'+' => after.push_str(&text),
                b'-' => {
                    assert_eq!(old[at], text, "{diff:?}");
                    at += 1;
                }
                b' ' => {
                    assert_eq!(old[at], text, "{diff:?}");
                    after.push_str(&text);
                    at += 1;
                }
                _ => {}
            }
        }
        after + &old[at..].concat()
    }

    #[test]
    fn a_hunk_is_shown_before_the_text_is_complete() {
        let base = text(numbers(40));
        let mut new = numbers(40);
        new[9] = "ten".to_owned();
        let mut live = LiveDiff::new("n", &base, Look::unified(Palette::PLAIN));
        assert!(live.push(&text(new[..12].to_vec())).is_empty(), "it may go on changing");
        let lines = live.push(&text(new[12..24].to_vec()));
        let expected =
            ["--- a/n", "+++ b/n", "@@ -7,7 +7,7 @@", " 7", " 8", " 9", "-10", "+ten", " 11", " 12", " 13"];
        assert_eq!(lines, expected);
        assert!(live.push(&text(new[24..].to_vec())).is_empty());
        assert!(live.finish().is_empty() && live.leads_to(&text(new)));
    }

    #[test]
    fn what_is_shown_is_a_diff_of_the_whole_however_it_arrives() {
        let base = text(numbers(60));
        let mut new = numbers(60);
        new.splice(3..5, ["three", "four", "five"].map(str::to_owned));
        new.splice(20..32, []);
        new.push("more".to_owned());
        let rotated: Vec<String> = numbers(60).into_iter().cycle().skip(30).take(60).collect();
        let cases = [
            text(new),
            text(rotated),
            text(numbers(9)),
            String::new(),
            "1\n2\nthree".to_owned(),
            text(numbers(61)),
        ];
        for after in cases {
            for size in [1, 5, 64, 10_000] {
                let (diff, leads) = shown(&base, &after, size);
                assert!(leads && patched(&base, &diff) == after, "{size}: {diff:?}");
            }
        }
    }

    #[test]
    fn a_new_file_is_shown_whole_and_an_unchanged_one_not_at_all() {
        let (lines, _) = shown("", "a\nb\n", 1);
        assert_eq!(lines, ["--- /dev/null", "+++ b/n", "+a", "+b"]);
        let mut live = LiveDiff::new("n", "", Look::unified(Palette::PLAIN));
        assert_eq!(live.push("a\nb")[2..], ["+a"]);
        assert_eq!(live.finish(), ["+b", "\\ no newline at end of file"]);
        assert!(live.leads_to("a\nb"));
        assert_eq!(shown("a\n", "a\n", 1), (vec![], false));
        let (lines, leads) = shown("a\n", "a", 1);
        assert_eq!(lines[2..], ["@@ -1 +1 @@", "-a", "+a", "\\ no newline at end of file"]);
        assert!(leads);
    }

    #[test]
    fn a_large_file_that_is_written_anew_takes_no_long_looks() {
        let base = text((0..3_000).map(|number| format!("old {number}")));
        let after = text((0..3_000).map(|number| format!("new {}", number % 1_000)));
        let began = Instant::now();
        let (lines, leads) = shown(&base, &after, 40);
        assert!(leads && lines.len() > 6_000);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn each_edit_is_shown_as_it_comes_and_one_that_does_not_apply_shows_nothing() {
        let edit =
            |search: &str, replace: &str| Edit { search: search.to_owned(), replace: replace.to_owned() };
        let mut live = LiveDiff::new("n", "a\nb\nc\n", Look::unified(Palette::PLAIN));
        assert_eq!(
            live.edit(&edit("b", "B")),
            ["--- a/n", "+++ b/n", "@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]
        );
        assert!(live.edit(&edit("b", "x")).is_empty());
        assert_eq!(live.edit(&edit("c\n", ""))[0], "@@ -1,3 +1,2 @@");
        assert!(live.finish().is_empty() && live.leads_to("a\nB\n"));
        live.restart();
        assert!(!live.leads_to("a\nB\n") && live.edit(&edit("a", "A"))[0].starts_with("---"));
    }
}
