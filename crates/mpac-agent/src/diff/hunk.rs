//! One changed part with the lines around it: removed above added, or beside each other.

use similar::DiffOp;

use super::printable::{columns, printable, wrap};
use crate::console::{Palette, Style};

/// What is said behind a last line without an end.
const NO_END: &str = "\\ no newline at end of file";

/// How a change is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// In which colours.
    pub palette: Palette,
    /// Old and new beside each other, in so many columns together; `None`: removed lines above added ones.
    pub side_by_side: Option<usize>,
}

impl Look {
    /// Removed lines above added ones.
    #[must_use]
    pub const fn unified(palette: Palette) -> Self {
        Self { palette, side_by_side: None }
    }
}

/// One hunk, numbered from where its slices start in the file.
pub(super) fn hunk<S: AsRef<str>>(
    ops: &[DiffOp],
    (old, new): (&[S], &[S]),
    start: (usize, usize),
    look: Look,
) -> Vec<String> {
    let (Some(first), Some(last)) = (ops.first(), ops.last()) else { return Vec::new() };
    let range = |from: usize, to: usize, start: usize| match to - from {
        0 => format!("{},0", start + from),
        1 => format!("{}", start + from + 1),
        many => format!("{},{many}", start + from + 1),
    };
    let olds = range(first.old_range().start, last.old_range().end, start.0);
    let news = range(first.new_range().start, last.new_range().end, start.1);
    let mut lines = vec![look.palette.paint(Style::Cyan, &format!("@@ -{olds} +{news} @@"))];
    let halves = look.side_by_side.map(|width| {
        let last = (start.0 + last.old_range().end).max(start.1 + last.new_range().end);
        Halves::new(width, last.to_string().len(), look.palette)
    });
    for op in ops {
        let (olds, news) = (&old[op.old_range()], &new[op.new_range()]);
        let equal = matches!(op, DiffOp::Equal { .. });
        match &halves {
            Some(halves) => {
                let from = (start.0 + op.old_range().start, start.1 + op.new_range().start);
                let rows = olds.len().max(news.len());
                lines.extend((0..rows).flat_map(|row| {
                    let line = |lines: &[S], from: usize| {
                        lines.get(row).map(|line| (from + row + 1, line.as_ref().to_owned()))
                    };
                    halves.row(line(olds, from.0), line(news, from.1), equal)
                }));
            }
            None => {
                let mut add = |sign, texts: &[S]| {
                    lines.extend(texts.iter().flat_map(|text| written(sign, text.as_ref(), look.palette)));
                };
                if equal {
                    add(' ', olds);
                } else {
                    add('-', olds);
                    add('+', news);
                }
            }
        }
    }
    lines
}

/// One line of a diff, and the remark behind a last line without an end.
pub(super) fn written(sign: char, line: &str, palette: Palette) -> impl Iterator<Item = String> {
    let remark = (!line.ends_with('\n')).then(|| NO_END.to_owned());
    // A changed line end shows as ^M; other controls of a file must not reach the terminal.
    let shown = palette.paint(colour(sign), &format!("{sign}{}", printable(line.trim_end_matches('\n'))));
    std::iter::once(shown).chain(remark)
}

const fn colour(sign: char) -> Style {
    match sign {
        '-' => Style::Red,
        '+' => Style::Green,
        _ => Style::Plain,
    }
}

/// Two columns, `  12 - old text | 13 + new text`. Long lines go on in the next row: who approves a change has to see
/// all of it.
struct Halves {
    digits: usize,
    /// For the text of one side.
    room: usize,
    palette: Palette,
}

/// Number, sign, and a blank behind each.
const GUTTER: usize = 3;
const BETWEEN: &str = " | ";

impl Halves {
    fn new(width: usize, digits: usize, palette: Palette) -> Self {
        let half = width.saturating_sub(BETWEEN.len()) / 2;
        Self { digits, room: half.saturating_sub(digits + GUTTER).max(1), palette }
    }

    fn row(&self, old: Option<(usize, String)>, new: Option<(usize, String)>, equal: bool) -> Vec<String> {
        let (minus, plus) = if equal { (' ', ' ') } else { ('-', '+') };
        let (old, new) = (self.cells(old, minus), self.cells(new, plus));
        let rows = old.len().max(new.len());
        let blank = || (" ".repeat(self.digits + GUTTER), String::new());
        let row = |at: usize| {
            let (left, right) = (old.get(at).cloned(), new.get(at).cloned());
            let (left, right) = (left.unwrap_or_else(blank), right.unwrap_or_else(blank));
            let fill = " ".repeat(self.room.saturating_sub(columns(&left.1)));
            let left = self.palette.paint(colour(minus), &format!("{}{}", left.0, left.1));
            let right = self.palette.paint(colour(plus), format!("{}{}", right.0, right.1).trim_end());
            format!("{left}{fill}{BETWEEN}{right}").trim_end().to_owned()
        };
        (0..rows).map(row).collect()
    }

    /// Gutter and text of each row that a line takes.
    fn cells(&self, line: Option<(usize, String)>, sign: char) -> Vec<(String, String)> {
        let Some((number, line)) = line else { return Vec::new() };
        let mut texts = wrap(&printable(line.trim_end_matches('\n')), self.room);
        if !line.ends_with('\n') {
            texts.extend(wrap(NO_END, self.room));
        }
        let gutter = |at: usize| match at {
            0 => format!("{number:>width$} {sign} ", width = self.digits),
            _ => " ".repeat(self.digits + GUTTER),
        };
        texts.into_iter().enumerate().map(|(at, text)| (gutter(at), text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown;
    use super::*;

    fn beside(width: usize) -> Look {
        Look { palette: Palette::PLAIN, side_by_side: Some(width) }
    }

    #[test]
    fn old_and_new_stand_beside_each_other() {
        let lines = shown("n", "one\ntwo\nthree\n", "one\n2\n2b\nthree\n", beside(40));
        assert_eq!(
            lines[3..],
            [
                "1   one            | 1   one",
                "2 - two            | 2 + 2",
                "                   | 3 + 2b",
                "3   three          | 4   three",
            ]
        );
    }

    #[test]
    fn long_lines_go_on_below_and_nothing_is_left_out() {
        let lines = shown("n", "abcdefghijklmnopqrstuvwxyz\n", "\u{6f22}\u{5b57}\t\u{1b}[2J!", beside(35));
        assert_eq!(
            lines[3..],
            [
                "1 - abcdefghijkl | 1 + \u{6f22}\u{5b57}    ^[[2",
                "    mnopqrstuvwx |     J!",
                "    yz           |     \\ no newline",
                "                 |      at end of f",
                "                 |     ile",
            ]
        );
        assert!(lines.iter().all(|line| columns(line) <= 35), "{lines:?}");
    }

    #[test]
    fn colours_fill_no_gaps_and_end_in_their_row() {
        let look = Look { palette: Palette::COLOUR, side_by_side: Some(40) };
        let lines = shown("n", "a\n", "b\n", look);
        assert_eq!(lines[3], "\u{1b}[31m1 - a\u{1b}[0m              | \u{1b}[32m1 + b\u{1b}[0m");
    }

    #[test]
    fn a_width_that_is_none_still_shows_everything() {
        let lines = shown("n", "abc\n", "xyz\n", beside(1));
        let left: String = lines[3..].iter().filter_map(|line| line.chars().nth(4)).collect();
        assert_eq!(left, "abc");
    }
}
