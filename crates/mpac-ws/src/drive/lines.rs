//! Lines of bounded length off any reader.

use std::io::{self, BufRead};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// A line of more bytes than allowed. It is read to its end and forgotten.
    TooLong,
}

/// The next line; none at the end. A last line needs no line end.
pub(super) fn next(input: &mut impl BufRead, most: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut length = 0_usize;
    let mut any = false;
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            break;
        }
        any = true;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        length = length.saturating_add(part.len());
        if length <= most {
            line.extend_from_slice(part);
        } else {
            line = Vec::new();
        }
        let taken = part.len() + usize::from(end.is_some());
        input.consume(taken);
        if end.is_some() {
            break;
        }
    }
    let line = if length <= most { Line::Whole(line) } else { Line::TooLong };
    Ok(any.then_some(line))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// Every line, read through a buffer so small that lines do not fit into it.
    fn all(text: &str, most: usize) -> Vec<Option<String>> {
        let mut input = BufReader::with_capacity(3, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = next(&mut input, most).unwrap() {
            lines.push(match line {
                Line::Whole(bytes) => Some(String::from_utf8(bytes).unwrap()),
                Line::TooLong => None,
            });
        }
        lines
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn every_line_is_one_also_an_empty_one_and_a_last_one_without_end() {
        assert_eq!(all("", 5), []);
        assert_eq!(all("a\n\nbcdef", 5), [some("a"), some(""), some("bcdef")]);
        assert_eq!(all("\n", 5), [some("")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_to_its_end() {
        assert_eq!(all("abcdefghijklmno\nxy\nabcdef", 5), [None, some("xy"), None]);
        assert_eq!(all("abcde\n", 5), [some("abcde")]);
    }
}
