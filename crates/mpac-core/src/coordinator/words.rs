//! Numbers of 64 bits as they are stored: sixteen hexadecimal digits each.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

const DIGITS: usize = 16;

/// One after the other, with nothing between them.
pub(crate) fn to_text(words: &[u64]) -> String {
    let mut text = String::with_capacity(words.len() * DIGITS);
    for word in words {
        let _ = write!(text, "{word:016x}"); // a String takes everything
    }
    text
}

/// The opposite; `None` for what that does not write.
pub(crate) fn parse(text: &str) -> Option<Vec<u64>> {
    let (words, rest) = text.as_bytes().as_chunks::<DIGITS>();
    let number = |digits: &[u8; DIGITS]| {
        let digits = core::str::from_utf8(digits).ok().filter(|it| !it.starts_with('+'))?;
        u64::from_str_radix(digits, 16).ok()
    };
    let words: Option<Vec<u64>> = words.iter().map(number).collect();
    words.filter(|_| rest.is_empty())
}
