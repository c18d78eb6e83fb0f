//! What will be committed, as changes to what is there.

mod hunk;
mod live;
mod printable;

use std::time::{Duration, Instant};

use similar::{Algorithm, capture_diff_slices_deadline, group_diff_ops};

use crate::console::{Palette, Style};

pub use hunk::Look;
pub use live::LiveDiff;
pub use printable::printable;
pub(crate) use printable::{columns, cut, fold, is_printable};

/// After this long the diff gets coarser instead of slower.
const DEADLINE: Duration = Duration::from_millis(500);
const CONTEXT_LINES: usize = 3;

/// The unified diff from `before` to `after`, a line per string, without line ends. Empty when nothing changes.
#[must_use]
pub fn unified(path: &str, before: &str, after: &str, palette: Palette) -> Vec<String> {
    shown(path, before, after, Look::unified(palette))
}

/// The diff from `before` to `after`, a line per string, without line ends. Empty when nothing changes. A new file has
/// nothing to stand beside, so it is shown from top to bottom in either way.
#[must_use]
pub fn shown(path: &str, before: &str, after: &str, look: Look) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let look = if before.is_empty() { Look::unified(look.palette) } else { look };
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(Instant::now() + DEADLINE));
    let mut lines = Vec::from(heading(path, before.is_empty(), look.palette));
    for group in group_diff_ops(ops, CONTEXT_LINES) {
        lines.extend(hunk::hunk(&group, (&old, &new), (0, 0), look));
    }
    lines
}

fn heading(path: &str, new: bool, palette: Palette) -> [String; 2] {
    let path = printable(path).replace('\n', "^J");
    let old = if new { "/dev/null".to_owned() } else { format!("a/{path}") };
    [format!("--- {old}"), format!("+++ b/{path}")].map(|line| palette.paint(Style::Bold, &line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "one\ntwo\nthree\n";

    #[test]
    fn a_plain_diff_has_no_escapes() {
        let lines = unified("n.txt", BEFORE, "one\n2\nthree\n", Palette::PLAIN);
        assert_eq!(lines, ["--- a/n.txt", "+++ b/n.txt", "@@ -1,3 +1,3 @@", " one", "-two", "+2", " three"]);
    }

    #[test]
    fn a_coloured_diff_is_the_plain_one_in_colours() {
        let lines = unified("n.txt", BEFORE, "one\n2\nthree\n", Palette::COLOUR);
        assert_eq!(lines[4], "\u{1b}[31m-two\u{1b}[0m");
        assert_eq!(lines[5], "\u{1b}[32m+2\u{1b}[0m");
        assert_eq!(lines[3], " one");
    }

    #[test]
    fn no_change_gives_no_diff() {
        assert!(unified("n.txt", BEFORE, BEFORE, Palette::PLAIN).is_empty());
    }

    #[test]
    fn a_new_file_comes_from_nowhere_and_a_lost_line_end_is_told() {
        let lines = unified("n.txt", "", "one", Palette::PLAIN);
        assert_eq!(lines[0], "--- /dev/null");
        assert_eq!(lines[3..], ["+one", "\\ no newline at end of file"]);
    }

    #[test]
    fn a_files_name_cannot_steer_the_terminal_or_add_lines() {
        let lines = unified("a\u{1b}[2J\n+++ b/x", "a\n", "b\n", Palette::PLAIN);
        assert_eq!(lines[..2], ["--- a/a^[[2J^J+++ b/x", "+++ b/a^[[2J^J+++ b/x"]);
    }

    #[test]
    fn line_ends_and_escapes_of_a_file_are_shown_and_not_obeyed() {
        let lines = unified("n.txt", "a\n", "a\r\n\u{1b}[2J\n", Palette::PLAIN);
        assert!(lines.contains(&"+a^M".to_owned()) && lines.contains(&"+^[[2J".to_owned()), "{lines:?}");
    }
}
