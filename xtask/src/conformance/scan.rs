//! Words and JSON values of one logical line, from left to right.

use serde_json::{Map, Value};

/// The rest of a line.
pub(super) struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.trim() }
    }

    /// The next word, which stays.
    pub(super) fn peek(&self) -> Option<&'a str> {
        let word = self.rest.split_whitespace().next()?;
        (!word.starts_with(['{', '['])).then_some(word)
    }

    pub(super) fn word(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.rest = self.rest[word.len()..].trim_start();
        Some(word)
    }

    /// The next word, which must be there.
    pub(super) fn need(&mut self, what: &str) -> Result<&'a str, String> {
        self.word().ok_or_else(|| format!("{what} is missing"))
    }

    /// Takes this word if it is next.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        self.peek() == Some(word) && self.word().is_some()
    }

    pub(super) fn must(&mut self, word: &str) -> Result<(), String> {
        if self.eat(word) { Ok(()) } else { Err(format!("`{word}` is missing")) }
    }

    /// The words up to the next JSON value or one of these.
    pub(super) fn words_until(&mut self, stops: &[&str]) -> Vec<&'a str> {
        let mut words = Vec::new();
        while let Some(word) = self.peek().filter(|word| !stops.contains(word)) {
            self.word();
            words.push(word);
        }
        words
    }

    /// The next JSON value.
    pub(super) fn json(&mut self) -> Result<Value, String> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                self.rest = self.rest[values.byte_offset()..].trim_start();
                Ok(value)
            }
            Some(Err(error)) => Err(format!("JSON: {error}")),
            None => Err("a JSON value is missing".to_owned()),
        }
    }

    /// An object if one is next, else an empty one.
    pub(super) fn optional_json(&mut self) -> Result<Value, String> {
        if self.rest.starts_with('{') { self.json() } else { Ok(Value::Object(Map::new())) }
    }

    /// `[RULE]`.
    pub(super) fn rule(&mut self) -> Option<String> {
        let inside = self.rest.strip_prefix('[')?.strip_suffix(']')?;
        self.rest = "";
        Some(inside.trim().to_owned())
    }

    /// Everything that is left, as it is.
    pub(super) fn all(&mut self) -> &'a str {
        core::mem::take(&mut self.rest)
    }

    pub(super) fn end(&self) -> Result<(), String> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("`{}` is left over", self.rest)) }
    }
}

/// Whether no brace or bracket outside of strings is open.
pub(super) fn is_whole(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_i32, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    depth <= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_values_and_a_rule_come_one_after_the_other() {
        let mut scan = Scan::new("alice sends X {\"a\": [1, \"}\"]} with {} [INT-01]");
        assert_eq!(scan.words_until(&["with"]), ["alice", "sends", "X"]);
        assert_eq!(scan.json().unwrap(), serde_json::json!({"a": [1, "}"]}));
        assert!(scan.eat("with") && scan.json().is_ok());
        assert_eq!(scan.rule().as_deref(), Some("INT-01"));
        assert!(scan.end().is_ok());
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        assert!(is_whole(r#"a {"b": "{\"["}"#) && !is_whole("a {\"b\": ["));
    }
}
