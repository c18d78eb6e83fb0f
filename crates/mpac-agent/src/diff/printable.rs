//! Text of others, made harmless for a terminal and honest for an eye.

use unicode_width::UnicodeWidthChar as _;

/// A tab goes on to the next multiple of this.
const TAB: usize = 4;

/// The text with control characters made visible (`^[`), save for tabs and line feeds, and likewise what would show other
/// text than is there (`<U+202E>`): marks that turn the direction of writing, and letters that nobody sees.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\t' | '\n' => shown.push(letter),
            '\u{7f}' => shown.push_str("^?"),
            '\0'..='\u{1f}' => shown.extend(['^', char::from(letter as u8 + b'@')]),
            '\u{80}'..='\u{9f}' => shown.push('\u{fffd}'),
            _ if deceives(letter) => shown.push_str(&format!("<U+{:04X}>", u32::from(letter))),
            _ => shown.push(letter),
        }
    }
    shown
}

/// What makes a reader see other text than is there.
const fn deceives(letter: char) -> bool {
    matches!(letter,
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // direction
        | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{2028}' | '\u{2029}' // no width, or a line end of its own
        | '\u{e0000}'..='\u{e007f}') // letters that no font shows
}

/// Whether a text can be shown as it is, on one line.
#[must_use]
pub(crate) fn is_printable(text: &str) -> bool {
    !text.contains(['\t', '\n']) && printable(text) == text
}

/// How many columns a printable text takes.
#[must_use]
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|letter| letter.width().unwrap_or(0)).sum()
}

/// The beginning of a printable text that fits so many columns; what is left out shows as `..`.
#[must_use]
pub(crate) fn cut(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let mut rows = wrap(text, room.saturating_sub(2).max(1));
    let mut first = if rows.is_empty() { String::new() } else { rows.swap_remove(0) };
    first.truncate(first.trim_end().len());
    first.push_str("..");
    first
}

/// A printable line in rows of at most so many columns (a letter that is wider than that gets a row of its own), tabs
/// filled up. At least one row.
#[must_use]
pub(super) fn wrap(line: &str, room: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let (mut row, mut used) = (String::new(), 0);
    let mut at = 0;
    let mut put = |letter: char, width: usize| {
        if width > 0 && used > 0 && used + width > room {
            rows.push(std::mem::take(&mut row));
            used = 0;
        }
        row.push(letter);
        used += width;
    };
    for letter in line.chars() {
        if letter == '\t' {
            let fill = TAB - at % TAB;
            (0..fill).for_each(|_| put(' ', 1));
            at += fill;
        } else {
            let width = letter.width().unwrap_or(0);
            put(letter, width);
            at += width;
        }
    }
    rows.push(row);
    rows
}

/// A printable text in lines of at most so many columns, broken between words and set in a little where it goes on. A word
/// that is longer stays whole, to be copied.
#[must_use]
pub(crate) fn fold(text: &str, room: usize) -> String {
    let mut folded = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            folded.push('\n');
        }
        if columns(line) <= room {
            folded.push_str(line);
            continue;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        let further = " ".repeat((indent + 2).min(room / 4));
        folded.push_str(&line[..indent]);
        let (mut used, mut first) = (indent, true);
        for word in line[indent..].split(' ') {
            let width = columns(word);
            if !first && used + 1 + width > room {
                folded.truncate(folded.trim_end_matches(' ').len());
                folded.push('\n');
                folded.push_str(&further);
                used = further.len();
            } else if !first {
                folded.push(' ');
                used += 1;
            }
            folded.push_str(word);
            used += width;
            first = false;
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_instead() {
        assert_eq!(printable("a\u{1b}]0;x\u{7}b\u{7f}\u{9b}2J"), "a^[]0;x^Gb^?\u{fffd}2J");
        assert_eq!(printable("a\tb\nc\r"), "a\tb\nc^M");
    }

    #[test]
    fn what_deceives_the_eye_is_shown_instead() {
        assert_eq!(printable("if a\u{202e}b\u{2066}"), "if a<U+202E>b<U+2066>");
        assert_eq!(printable("ad\u{200b}min\u{e0041}"), "ad<U+200B>min<U+E0041>");
        let fine = "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{1f468}\u{200d}\u{1f469} e\u{301}";
        assert_eq!(printable(fine), fine, "ordinary writing stays as it is");
        assert!(is_printable("src/a.py") && !is_printable("a\tb") && !is_printable("a\u{1b}[2J"));
    }

    #[test]
    fn rows_are_as_wide_as_their_letters() {
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("\u{6f22}\u{5b57}x", 3), ["\u{6f22}", "\u{5b57}x"]);
        assert_eq!(wrap("e\u{301}e\u{301}", 1), ["e\u{301}", "e\u{301}"], "a mark stays with its letter");
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("\u{6f22}", 1), ["\u{6f22}"]);
        assert_eq!(wrap("a\tb", 80), ["a   b"]);
        assert_eq!(wrap("\u{6f22}\tb", 80), ["\u{6f22}  b"]);
    }

    #[test]
    fn prose_is_broken_between_words() {
        assert_eq!(fold("one two three", 8), "one two\n  three");
        assert_eq!(fold("  one two three\nfour", 9), "  one two\n  three\nfour");
        assert_eq!(fold("sha256:0123456789 is it", 8), "sha256:0123456789\n  is it");
        assert_eq!(fold("\u{6f22}\u{5b57} \u{6f22}\u{5b57}", 8), "\u{6f22}\u{5b57}\n  \u{6f22}\u{5b57}");
        assert_eq!(fold("fits\n\n", 8), "fits\n\n");
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        assert_eq!([cut("abcdef", 6), cut("abcdef", 5), cut("a", 0)], ["abcdef", "abc..", "a.."]);
        assert_eq!(cut("\u{6f22}\u{5b57}\u{6f22}", 5), "\u{6f22}..");
    }
}
