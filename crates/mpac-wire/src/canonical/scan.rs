//! The tokens of a text that is known to be JSON, from left to right, each looked at once.

use alloc::borrow::Cow;
use alloc::string::ToString;

use super::NotCanonical;

/// A place in the text.
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The first byte of the next token.
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest.bytes().next()
    }

    /// Goes over one sign of the grammar.
    pub(super) fn step(&mut self) {
        self.peek();
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Whether the list or object is over; goes over the sign that says so, or the comma before the next entry. The end of
    /// the text ends everything.
    pub(super) fn ends(&mut self, close: u8) -> bool {
        match self.peek() {
            Some(byte) if byte == close => {
                self.step();
                true
            }
            Some(b',') => {
                self.step();
                false
            }
            Some(_) => false,
            None => true,
        }
    }

    /// The next token, a string, without its quotes and escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, NotCanonical> {
        self.peek();
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        while let Some(byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        let (token, rest) = self.rest.split_at_checked(end + 1).unwrap_or((self.rest, ""));
        self.rest = rest;
        if let Some(plain) = token.get(1..end).filter(|text| !text.contains('\\')) {
            return Ok(Cow::Borrowed(plain));
        }
        serde_json::from_str(token)
            .map(Cow::Owned)
            .map_err(|error| NotCanonical::Syntax { problem: error.to_string() })
    }

    /// The next token, a number, true, false or null.
    pub(super) fn word(&mut self) -> &'a str {
        self.peek();
        let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }
}
