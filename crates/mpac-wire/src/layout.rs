//! White space between the tokens of a JSON text: none, or two spaces a level. The tokens stay as they are.

use alloc::string::String;

/// `json` without white space between its tokens.
///
/// Text that is no JSON comes back in some shape; nothing is lost but white space outside strings.
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let end = token_end(rest, first);
        if !first.is_ascii_whitespace() {
            out.push_str(&rest[..end]);
        }
        rest = &rest[end..];
    }
    out
}

/// `json` with two spaces a level and no newline at the end: the layout of the golden files.
pub fn pretty(json: &str) -> String {
    let json = compact(json);
    let mut out = String::with_capacity(json.len() * 2);
    let mut level = 0_usize;
    let mut rest = json.as_str();
    while let Some(first) = rest.chars().next() {
        let end = token_end(rest, first);
        let (token, tail) = rest.split_at(end);
        match first {
            '{' | '[' if tail.starts_with(['}', ']']) => {
                out.push_str(&rest[..2]);
                rest = &rest[2..];
                continue;
            }
            '{' | '[' => {
                level += 1;
                out.push_str(token);
                new_line(&mut out, level);
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                new_line(&mut out, level);
                out.push_str(token);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, level);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(token),
        }
        rest = tail;
    }
    out
}

fn new_line(out: &mut String, level: usize) {
    out.push('\n');
    for _ in 0..level {
        out.push_str("  ");
    }
}

/// Where the token that begins with `first` ends: a string as a whole, anything else a character at a time.
fn token_end(text: &str, first: char) -> usize {
    if first != '"' {
        return first.len_utf8();
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_between_tokens_changes() {
        let text = "{\n  \"a\\\\\": [\n    1.50,\n    \"x, {y}: \\\" é\"\n  ],\n  \"b\": {},\n  \"c\": []\n}";
        assert_eq!(compact(text), r#"{"a\\":[1.50,"x, {y}: \" é"],"b":{},"c":[]}"#);
        assert_eq!(pretty(&compact(text)), text);
    }

    #[test]
    fn text_that_is_no_json_ends_somewhere() {
        for text in ["", "\"", "\"\\", "]]}", "{{{", "é,"] {
            compact(text);
            pretty(text);
        }
    }
}
