//! What other people wrote, made fit for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

use mpac_wire::Scope;

/// Characters of a text by somebody else that are shown on a line.
const SHOWN: usize = 160;

/// On one line, without what a terminal would obey, or would show in another order than it is written, and not too long.
pub(super) fn harmless(text: &str) -> String {
    let (text, more) = match text.char_indices().nth(SHOWN) {
        Some((end, _)) => (&text[..end], "..."),
        None => (text, ""),
    };
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => clean.push(' '),
            c if is_obeyed(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    clean + more
}

/// What an intent covers.
pub(super) fn covered(scope: &Scope) -> String {
    let listed = scope.resources.as_ref().or(scope.entities.as_ref()).or(scope.task_ids.as_ref());
    let text = listed.map(|names| names.join(", ")).or_else(|| scope.pattern.clone());
    harmless(text.as_deref().unwrap_or(scope.kind.as_str()))
}

/// A line of JSON that means the same and that a terminal can show: what it would obey is written as an escape. Such
/// characters can only be inside of texts.
pub(super) fn harmless_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_obeyed) {
        return json.into();
    }
    let mut clean = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            // White space between the members of what came.
            '\n' | '\r' | '\t' => clean.push(' '),
            // All of them are in the first plane, so one escape is enough. Writing to a text does not fail.
            c if is_obeyed(c) => drop(write!(clean, "\\u{:04x}", u32::from(c))),
            c => clean.push(c),
        }
    }
    clean.into()
}

fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_what_it_is() {
        assert_eq!(
            harmless("fix\nthe \u{1b}[31mbug\u{202e}\u{9b}"),
            "fix the \\u{1b}[31mbug\\u{202e}\\u{9b}"
        );
        assert_eq!(harmless(&"é".repeat(200)), format!("{}...", "é".repeat(SHOWN)));
    }

    #[test]
    fn json_stays_the_same_value() {
        let json = "{\"a\": \"\u{9b}31m\u{7f}\u{202e}é\",\n\t\"b\": 1.50}";
        let clean = harmless_json(json);
        assert!(!clean.chars().any(is_obeyed), "{clean}");
        assert!(clean.contains("1.50"));
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&clean), value(json));
    }
}
