//! The tokens of a text that is known to be JSON, from left to right, each looked at once.

use alloc::borrow::Cow;
use alloc::string::String;

/// A place in the text.
#[derive(Clone)]
pub(crate) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The first byte of the next token.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest.bytes().next()
    }

    /// Goes over one sign of the grammar.
    pub(crate) fn step(&mut self) {
        self.peek();
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Whether the list or object is over; goes over the sign that says so, or the comma before the next entry. The end of
    /// the text ends everything.
    pub(crate) fn ends(&mut self, close: u8) -> bool {
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

    /// The next token, a string, with its quotes and escapes.
    pub(crate) fn quoted(&mut self) -> &'a str {
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
        token
    }

    /// The next token, a number, true, false or null.
    pub(crate) fn word(&mut self) -> &'a str {
        self.peek();
        let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// All of the next value, whatever is in it.
    pub(crate) fn value(&mut self) -> &'a str {
        let mut open = 0_usize;
        self.peek();
        let from_here = self.rest;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.quoted();
                }
                b'{' | b'[' => {
                    open += 1;
                    self.step();
                }
                b'}' | b']' => {
                    open = open.saturating_sub(1);
                    self.step();
                }
                b',' | b':' => self.step(),
                _ => {
                    self.word();
                }
            }
            if open == 0 {
                break;
            }
        }
        from_here.get(..from_here.len() - self.rest.len()).unwrap_or_default()
    }
}

/// What a string says, given with its quotes and escapes.
///
/// # Errors
/// When half of a surrogate pair is in it.
pub(crate) fn unquoted(token: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match token.get(1..token.len().saturating_sub(1)) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str(token).map(Cow::Owned),
    }
}

/// With the escapes that RFC 8785 §3.2.2.2 asks for and no others, which are those of this JSON library.
pub(crate) fn quote(text: &str, out: &mut String) {
    // A string is always JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_else(|_| unreachable!("a string is JSON")));
}
