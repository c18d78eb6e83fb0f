//! Edits by search and replace, which change a large file without writing all of it anew.
//!
//! The search text must be in the file exactly once. Anything else is a mistake of whoever wrote the edit: it is told,
//! never guessed at.

use serde::Deserialize;
use thiserror::Error;

/// Longest part of a search text that is shown in a message.
const SHOWN_CHARS: usize = 120;

/// One change: this text becomes that one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Edit {
    /// Text of the file, copied exactly.
    pub search: String,
    /// What stands there afterwards.
    pub replace: String,
}

/// Why edits do not apply. `number` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misfit {
    /// Nothing to look for.
    #[error("edit {number}: \"search\" is empty; copy the lines that are to change")]
    Empty {
        /// Which edit.
        number: usize,
    },
    /// The text is not in the file.
    #[error("edit {number}: the file does not contain {search}; copy it exactly, white space included")]
    Missing {
        /// Which edit.
        number: usize,
        /// The beginning of what was looked for, quoted.
        search: String,
    },
    /// The text is there more than once.
    #[error("edit {number}: the file contains {search} {count} times; take more lines around it")]
    Ambiguous {
        /// Which edit.
        number: usize,
        /// The beginning of what was looked for, quoted.
        search: String,
        /// How often it is there.
        count: usize,
    },
}

/// The text after all edits, each applied to what the ones before it have left.
///
/// In a file whose lines all end in CR LF, edits written with plain line feeds are meant to have the same ends.
///
/// # Errors
/// The first [`Misfit`]; nothing is changed then.
pub fn apply(content: &str, edits: &[Edit]) -> Result<String, Misfit> {
    edits.iter().enumerate().try_fold(content.to_owned(), |text, (at, edit)| apply_one(&text, edit, at + 1))
}

/// The text after one edit, the `number`th.
///
/// # Errors
/// Its [`Misfit`].
pub fn apply_one(text: &str, edit: &Edit, number: usize) -> Result<String, Misfit> {
    if edit.search.is_empty() {
        return Err(Misfit::Empty { number });
    }
    let fitted = if ends_in_crlf(text) {
        Edit { search: crlf(&edit.search), replace: crlf(&edit.replace) }
    } else {
        edit.clone()
    };
    replace_once(text, &fitted.search, &fitted.replace).map_err(|count| {
        let search = quoted(&edit.search);
        if count == 0 {
            Misfit::Missing { number, search }
        } else {
            Misfit::Ambiguous { number, search, count }
        }
    })
}

/// The text with its one occurrence of `search` replaced.
///
/// # Errors
/// How often it occurs, when that is not once. Occurrences may overlap: `aa` is twice in `aaa`.
pub fn replace_once(text: &str, search: &str, replace: &str) -> Result<String, usize> {
    let mut count = 0;
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(search)) {
        count += 1;
        from += at + text[from + at..].chars().next().map_or(1, char::len_utf8);
    }
    if count == 1 { Ok(text.replacen(search, replace, 1)) } else { Err(count) }
}

fn ends_in_crlf(text: &str) -> bool {
    let feeds = text.matches('\n').count();
    feeds > 0 && text.matches("\r\n").count() == feeds
}

fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("{shown:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(search: &str, replace: &str) -> Edit {
        Edit { search: search.to_owned(), replace: replace.to_owned() }
    }

    #[test]
    fn edits_apply_in_order_to_what_the_ones_before_have_left() {
        let edits = [edit("one\n", "two\n"), edit("two\nend", "three\nend")];
        assert_eq!(apply("one\nend\n", &edits).unwrap(), "three\nend\n");
        assert_eq!(apply("as it is", &[]).unwrap(), "as it is");
    }

    #[test]
    fn a_text_that_is_not_there_or_there_twice_is_told_with_its_number() {
        let missing = apply("abc", &[edit("a", "x"), edit("a", "y")]).unwrap_err();
        assert_eq!(missing, Misfit::Missing { number: 2, search: "\"a\"".to_owned() });
        let twice = apply("x = 1\nx = 1\n", &[edit("x = 1\n", "")]).unwrap_err();
        assert!(twice.to_string().contains("edit 1: the file contains \"x = 1\\n\" 2 times"), "{twice}");
        assert_eq!(apply("abc", &[edit("", "x")]), Err(Misfit::Empty { number: 1 }));
    }

    #[test]
    fn occurrences_that_overlap_are_ambiguous_as_well() {
        assert_eq!(replace_once("aaa", "aa", "b"), Err(2));
        assert_eq!(replace_once("ää", "ä", "b"), Err(2));
        assert_eq!(replace_once("äbä", "b", ""), Ok("ää".to_owned()));
    }

    #[test]
    fn white_space_counts() {
        assert!(matches!(apply("\tx\n", &[edit("    x\n", "y\n")]), Err(Misfit::Missing { .. })));
    }

    #[test]
    fn a_file_with_crlf_keeps_it() {
        assert_eq!(apply("a\r\nb\r\n", &[edit("a\nb\n", "c\nd\n")]).unwrap(), "c\r\nd\r\n");
        assert_eq!(apply("a\r\nb\r\n", &[edit("a\r\n", "")]).unwrap(), "b\r\n");
        assert!(apply("a\r\nb\n", &[edit("a\nb", "c")]).is_err(), "mixed ends are left alone");
    }

    #[test]
    fn a_long_search_is_shown_by_its_beginning() {
        let misfit = apply("", &[edit(&"x".repeat(500), "")]).unwrap_err().to_string();
        assert!(misfit.len() < 300 && misfit.contains("xxx\"..."), "{misfit}");
    }
}
