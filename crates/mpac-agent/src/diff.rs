//! Unified diffs of what will be committed.

mod live;

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use crate::console::{Palette, Style};

pub use live::LiveDiff;

/// After this long the diff gets coarser instead of slower.
const DEADLINE: Duration = Duration::from_millis(500);
const CONTEXT_LINES: usize = 3;
const NO_END: &str = "\\ no newline at end of file";

/// The diff from `before` to `after`, a line per string, without line ends. Empty when nothing changes.
#[must_use]
pub fn unified(path: &str, before: &str, after: &str, palette: Palette) -> Vec<String> {
    if before == after {
        return Vec::new();
    }
    let diff = TextDiff::configure().timeout(DEADLINE).diff_lines(before, after);
    let mut lines = Vec::from(heading(path, before.is_empty(), palette));
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        lines.push(palette.paint(Style::Cyan, &hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(changed(sign, change.value(), palette));
            lines.extend(change.missing_newline().then(|| NO_END.to_owned()));
        }
    }
    lines
}

fn heading(path: &str, new: bool, palette: Palette) -> [String; 2] {
    let path = printable(path).replace('\n', "^J");
    let old = if new { "/dev/null".to_owned() } else { format!("a/{path}") };
    [format!("--- {old}"), format!("+++ b/{path}")].map(|line| palette.paint(Style::Bold, &line))
}

fn changed(sign: char, line: &str, palette: Palette) -> String {
    let style = match sign {
        '-' => Style::Red,
        '+' => Style::Green,
        _ => Style::Plain,
    };
    // A changed line end shows as ^M; other controls of a file must not reach the terminal.
    palette.paint(style, &format!("{sign}{}", printable(line.trim_end_matches('\n'))))
}

/// The text with control characters made visible (`^[`), save for tabs and line feeds.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\t' | '\n' => shown.push(letter),
            '\u{7f}' => shown.push_str("^?"),
            '\0'..='\u{1f}' => shown.extend(['^', char::from(letter as u8 + b'@')]),
            '\u{80}'..='\u{9f}' => shown.push('\u{fffd}'),
            _ => shown.push(letter),
        }
    }
    shown
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
