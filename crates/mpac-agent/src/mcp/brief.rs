//! What others wrote, cut to what a model has use for: hosts cut or refuse long answers, and nobody is to fill them alone.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::SHOWN;
use crate::agent::Event;
use crate::report::{bytes, one_line};
use crate::verb::sentence;

/// Bytes of a text.
const WORDS: usize = 400;
/// Bytes of a list in all, and of what an object holds.
const LIST: usize = 2_000;
const OBJECT: usize = 6_000;
/// Bytes of a line, with all that it tells.
const LINE: usize = 3_000;

fn cut(text: &str, most: usize) -> String {
    match text.len() <= most {
        true => text.to_owned(),
        false => format!("{}… ({} in all)", &text[..text.floor_char_boundary(most)], bytes(text.len())),
    }
}

/// A text, or its beginning and how long it is.
pub(super) fn words(text: &str) -> String {
    cut(text, WORDS)
}

/// The same on one line, for a sentence in which others' words are some of several.
pub(super) fn line(text: &str) -> String {
    cut(&one_line(text), LINE)
}

/// Some names, or the first of them and how many they are.
pub(super) fn names<S: AsRef<str>>(all: &[S]) -> Vec<String> {
    let (mut told, mut size) = (Vec::new(), 0);
    for name in all {
        let name = words(name.as_ref());
        size += name.len();
        if size > LIST {
            told.push(left_out(all.len()));
            break;
        }
        told.push(name);
    }
    told
}

fn left_out(all: usize) -> String {
    format!("… ({all} in all)")
}

/// An event in words and as a value.
pub(super) fn event(mut of: Event) -> (String, Value) {
    let value = value(&of);
    match &mut of {
        Event::Announced { objective, files, .. } => {
            (*objective, *files) = (words(objective), names(files));
        }
        Event::Deferred { files, reason: text, .. } => {
            *files = names(files);
            shorten(text);
        }
        Event::Updated { objective: text, .. }
        | Event::Withdrawn { reason: text, .. }
        | Event::DeferralEnded { reason: text, .. }
        | Event::ClaimDecided { reason: text, .. }
        | Event::Proposed { summary: text, .. }
        | Event::Committed { summary: text, .. }
        | Event::Conflict { description: text, .. }
        | Event::Resolved { rationale: text, .. } => shorten(text),
        Event::Left { reason: text, .. }
        | Event::Rejected { reason: text, .. }
        | Event::Escalated { reason: text, .. }
        | Event::Warning { description: text, .. } => *text = words(text),
        _ => {}
    }
    (line(&sentence(&of)), value)
}

fn shorten(text: &mut Option<String>) {
    *text = text.as_deref().map(words);
}

/// A value with all texts and lists in it as these are.
pub(super) fn value(of: impl Serialize) -> Value {
    shortened(json!(of))
}

fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(words(&text)),
        Value::Array(all) => {
            let (number, mut size) = (all.len(), 0);
            let has_room = |it: &Value| fits(&mut size, it.to_string().len(), LIST);
            let mut told: Vec<Value> = all.into_iter().map(shortened).take_while(has_room).collect();
            if told.len() < number {
                told.push(left_out(number).into());
            }
            Value::Array(told)
        }
        Value::Object(all) => {
            let (number, mut size) = (all.len(), 0);
            let has_room =
                |(name, it): &(String, Value)| fits(&mut size, name.len() + it.to_string().len(), OBJECT);
            let members = all.into_iter().map(|(name, it)| (name, shortened(it)));
            let mut told: Map<String, Value> = members.take_while(has_room).collect();
            if told.len() < number {
                told.insert("…".to_owned(), format!("{number} in all").into());
            }
            Value::Object(told)
        }
        other => other,
    }
}

fn fits(size: &mut usize, more: usize, most: usize) -> bool {
    *size += more;
    *size <= most
}

/// How much an answer can still take, in words and in values.
#[derive(Debug)]
pub(super) struct Room {
    words: usize,
    values: usize,
    /// So many are passed over first: an earlier answer has told them.
    skip: usize,
    /// There was none for one, so there is none for those after it.
    is_full: bool,
}

/// What there was room for.
#[derive(Debug, Default)]
pub(super) struct Fitting {
    pub(super) lines: Vec<String>,
    pub(super) values: Vec<Value>,
    /// So many there was none for.
    pub(super) left: usize,
}

impl Room {
    /// For an answer that tells nothing else.
    pub(super) fn whole() -> Self {
        Self { words: SHOWN, values: SHOWN, skip: 0, is_full: false }
    }

    /// The same, for what comes after so many.
    pub(super) fn after(skip: usize) -> Self {
        Self { skip, ..Self::whole() }
    }

    /// For what is told beside something else.
    pub(super) fn aside() -> Self {
        Self { words: SHOWN / 4, values: SHOWN / 4, ..Self::whole() }
    }

    /// Whether there is room for this too, which takes it then.
    pub(super) fn takes(&mut self, line: &str, value: &Value) -> bool {
        let left = (self.words.checked_sub(line.len()), self.values.checked_sub(value.to_string().len()));
        let (Some(words), Some(values)) = left else { return false };
        (self.words, self.values) = (words, values);
        true
    }

    /// As many of these as there is room for, from the first on.
    pub(super) fn fit<T>(
        &mut self,
        all: impl IntoIterator<Item = T>,
        told: impl Fn(T) -> (String, Value),
    ) -> Fitting {
        let mut fitting = Fitting::default();
        for one in all {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            if !self.is_full {
                let (line, value) = told(one);
                if self.takes(&line, &value) {
                    fitting.lines.push(line);
                    fitting.values.push(value);
                    continue;
                }
                self.is_full = true;
            }
            fitting.left += 1;
        }
        fitting
    }
}

/// What an answer says where its lists go on, if they do.
pub(super) fn going_on(cursor: usize, has_more: bool) -> String {
    match has_more {
        true => format!("\nNext step: call it again with after={cursor} for the rest."),
        false => String::new(),
    }
}

impl Fitting {
    /// Each on a line of its own, and what is left out.
    pub(super) fn text(&self, before: &str) -> String {
        let lines = self.lines.iter().map(|line| format!("\n{before}{line}"));
        let left = (self.left > 0).then(|| format!("\n{} more of these are not told here.", self.left));
        lines.chain(left).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_stays_and_what_is_long_says_how_long_it_is() {
        assert_eq!(words("mend it"), "mend it");
        let long = words(&"ä".repeat(450_000));
        assert!(long.len() < 500 && long.starts_with('ä') && long.ends_with("… (900.0 kB in all)"), "{long}");
        assert_eq!(names(&["a", "b"]), ["a", "b"]);
        let many: Vec<String> = (0..5_000).map(|n| format!("src/{n}.py")).collect();
        let told = names(&many);
        assert!(told.len() < 400 && told.last().unwrap() == "… (5000 in all)", "{told:?}");
        let of = json!({"n": 1, "files": many, "deep": [{"words": "x".repeat(9_000)}], "none": null});
        let told = value(&of);
        assert!(told.to_string().len() < OBJECT, "{told}");
        assert_eq!((&told["n"], &told["none"]), (&json!(1), &Value::Null));
        assert_eq!(told["deep"][0]["words"].as_str().unwrap().len(), WORDS + "… (9.0 kB in all)".len());
        let short = json!({"files": ["a.py"], "objective": "mend it"});
        assert_eq!(value(&short), short);
        let members: Map<String, Value> = (0..5_000).map(|n| (n.to_string(), json!(n))).collect();
        assert!(value(members).to_string().len() < 2 * OBJECT);
    }

    #[test]
    fn an_answer_takes_what_it_has_room_for_and_counts_the_rest() {
        let mut room = Room::aside();
        let told = room.fit(0..100, |n| (format!("{n:01000}"), json!(n)));
        assert_eq!((told.lines.len(), told.values.len(), told.left), (8, 8, 92));
        assert!(told.text("").ends_with("\n92 more of these are not told here."));
        assert!(!room.takes(&"x".repeat(1_000), &Value::Null) && room.takes("", &Value::Null));
        let short = room.fit(0..2, |n| (String::new(), json!(n)));
        assert_eq!((short.lines.len(), short.left), (0, 2), "it comes after what is left out");
        let mut room = Room::after(3);
        let (first, second) =
            (room.fit(0..2, |n| ("x".to_owned(), json!(n))), room.fit(2..5, |n| ("x".to_owned(), json!(n))));
        assert_eq!((first.values, second.values), (vec![], vec![json!(3), json!(4)]));
    }
}
