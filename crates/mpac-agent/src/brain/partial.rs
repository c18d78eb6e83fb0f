//! Reading the input of a tool while it is still arriving, so that people see it come.
//!
//! Only for showing: what counts is the whole input, read by [`tools`](crate::tools) when it is complete. So this reads
//! leniently, and what it makes of broken JSON does not matter.

use super::edits::Edit;

/// Something that can be shown already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// The next part of the text of the wanted field.
    Text(String),
    /// One entry of `edits`, complete.
    Edit(Edit),
}

/// What the string is that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Key,
    Wanted,
    Other,
}

/// The state between two pieces.
#[derive(Debug, Clone)]
pub(super) struct Partial {
    wanted: &'static str,
    depth: usize,
    inside: Option<Inside>,
    /// An escape that is not complete yet.
    escape: String,
    /// The next string at the top is a key.
    expects_key: bool,
    key: String,
    /// The entry of `edits` that is open.
    entry: Option<String>,
}

impl Partial {
    /// For an input whose field `wanted` is to be told as it comes.
    pub(super) fn new(wanted: &'static str) -> Self {
        let (escape, key) = (String::new(), String::new());
        Self { wanted, depth: 0, inside: None, escape, expects_key: false, key, entry: None }
    }

    /// Takes the next characters of the input.
    pub(super) fn push(&mut self, json: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        for letter in json.chars() {
            if let Some(entry) = &mut self.entry {
                entry.push(letter);
            }
            match self.inside {
                Some(inside) => self.in_string(inside, letter, &mut text),
                None => pieces.extend(self.outside(letter)),
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces
    }

    fn in_string(&mut self, inside: Inside, letter: char, text: &mut String) {
        let mut give = |key: &mut String, letters: &str| match inside {
            Inside::Key => key.push_str(letters),
            Inside::Wanted => text.push_str(letters),
            Inside::Other => {}
        };
        if !self.escape.is_empty() || letter == '\\' {
            self.escape.push(letter);
            if is_whole(&self.escape) {
                let quoted = format!("\"{}\"", self.escape);
                let letters = serde_json::from_str(&quoted).unwrap_or_else(|_| "\u{fffd}".to_owned());
                give(&mut self.key, &letters);
                self.escape.clear();
            }
        } else if letter == '"' {
            self.inside = None;
        } else {
            give(&mut self.key, letter.encode_utf8(&mut [0; 4]));
        }
    }

    fn outside(&mut self, letter: char) -> Option<Piece> {
        match letter {
            '"' => {
                let top = self.depth == 1;
                self.inside = Some(match (top, self.expects_key) {
                    (true, true) => {
                        self.key.clear();
                        Inside::Key
                    }
                    (true, false) if self.key == self.wanted => Inside::Wanted,
                    _ => Inside::Other,
                });
            }
            ':' if self.depth == 1 => self.expects_key = false,
            ',' if self.depth == 1 => self.expects_key = true,
            '{' | '[' => {
                self.depth += 1;
                self.expects_key |= self.depth == 1;
                if letter == '{' && self.depth == 3 && self.key == "edits" {
                    self.entry = Some("{".to_owned());
                }
            }
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                if letter == '}' && self.depth == 2 {
                    let edit = self.entry.take().and_then(|entry| serde_json::from_str(&entry).ok());
                    return edit.map(Piece::Edit);
                }
            }
            _ => {}
        }
        None
    }
}

/// Is the escape complete? The first half of a surrogate pair is not.
fn is_whole(escape: &str) -> bool {
    let letters = escape.chars().count();
    let Some(digits) = escape.strip_prefix("\\u") else { return letters >= 2 };
    let unit = digits.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    letters >= if unit.is_some_and(|unit| (0xd800..0xdc00).contains(&unit)) { 12 } else { 6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything told of an input that arrives in pieces of `size` characters.
    fn told(json: &str, size: usize) -> (String, Vec<Edit>) {
        let mut partial = Partial::new("content");
        let letters: Vec<char> = json.chars().collect();
        let (mut text, mut edits) = (String::new(), Vec::new());
        for piece in letters.chunks(size).flat_map(|piece| partial.push(&piece.iter().collect::<String>())) {
            match piece {
                Piece::Text(more) => text.push_str(&more),
                Piece::Edit(edit) => edits.push(edit),
            }
        }
        (text, edits)
    }

    #[test]
    fn the_wanted_text_is_the_same_however_it_arrives() {
        let content = "a \"quoted\" \\ tab\t line\nä 日 \u{1f600} end {[,:]}";
        let escaped = r#"{"summary":"content","content":"A\/\u00e4\ud83d\ude00\n","x":{"content":"no"}}"#;
        for size in [1, 2, 3, 7, 1_000] {
            let json = serde_json::json!({"path": "p", "content": content, "z": ["content"]}).to_string();
            assert_eq!(told(&json, size).0, content, "{size}");
            assert_eq!(told(escaped, size).0, "A/ä\u{1f600}\n", "{size}");
        }
    }

    #[test]
    fn text_is_told_before_the_input_is_complete() {
        let mut partial = Partial::new("content");
        assert_eq!(partial.push(r#"{"content":"one\n"#), [Piece::Text("one\n".to_owned())]);
        assert_eq!(partial.push(r"two\"), [Piece::Text("two".to_owned())]);
        assert_eq!(partial.push(r#"n""#), [Piece::Text("\n".to_owned())]);
    }

    #[test]
    fn each_edit_is_told_when_it_is_complete() {
        let json =
            r#"{"edits":[{"search":"{a}","replace":"\"}"},{"search":"b","replace":""}],"summary":"s"}"#;
        let edit =
            |search: &str, replace: &str| Edit { search: search.to_owned(), replace: replace.to_owned() };
        for size in [1, 5, 1_000] {
            assert_eq!(told(json, size), (String::new(), vec![edit("{a}", "\"}"), edit("b", "")]), "{size}");
        }
        let broken = r#"{"edits":[{"search":"a"},{"search":"b","replace":"c"}]}"#;
        assert_eq!(told(broken, 3).1, [edit("b", "c")]);
    }

    #[test]
    fn broken_input_harms_nobody() {
        for odd in
            ["", "}}}}]]", "\"", r#"{"content":"\ud83d"#, r#"{"content":"\ud83d x \q \u00zz"}"#, "[[[", "\\"]
        {
            for size in [1, 4] {
                told(odd, size);
            }
        }
    }
}
