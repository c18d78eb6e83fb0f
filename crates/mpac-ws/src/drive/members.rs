//! Reading JSON objects member by member, so that every mistake is named with its path.
//!
//! Values stay the text they came in until somebody reads them: an envelope reaches the core as it was written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{Code, Failure};
use crate::config::closest;

/// The members of one object; of a repeated key the last one counts.
#[derive(Debug)]
pub(super) struct Members<'a> {
    place: String,
    code: Code,
    map: BTreeMap<String, &'a RawValue>,
}

/// One value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    path: String,
    code: Code,
    raw: &'a RawValue,
}

impl<'a> Members<'a> {
    /// Reads `text` as an object; failures in it have this `code`.
    pub(super) fn of_line(text: &'a str, code: Code) -> Result<Self, Failure> {
        let map = serde_json::from_str(text).map_err(|error| {
            let problem = if error.is_data() { "not a JSON object".to_owned() } else { not_json(&error) };
            Failure::new(Code::MalformedLine, problem)
        })?;
        Ok(Self { place: String::new(), code, map })
    }

    /// An object without members, for one that was left out.
    pub(super) fn none(place: &str, code: Code) -> Self {
        Self { place: place.to_owned(), code, map: BTreeMap::new() }
    }

    /// Refuses members that are not among `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        match self.map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Failure::new(self.code, unknown(&self.path(key), key, known))),
            None => Ok(()),
        }
    }

    /// The member called `name`; null counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<At<'a>> {
        self.any(name).filter(|at| at.text() != "null")
    }

    /// The member called `name`, be it null.
    pub(super) fn any(&self, name: &str) -> Option<At<'a>> {
        let raw = *self.map.get(name)?;
        Some(At { path: self.path(name), code: self.code, raw })
    }

    /// The member called `name`, which must be there.
    pub(super) fn need(&self, name: &str) -> Result<At<'a>, Failure> {
        self.get(name).ok_or_else(|| Failure::new(self.code, format!("{} is missing", self.path(name))))
    }

    /// Every member, by key.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, At<'a>)> {
        self.map.iter().map(|(key, raw)| {
            let path = format!("{}[{key:?}]", self.place);
            (key.as_str(), At { path, code: self.code, raw })
        })
    }

    fn path(&self, key: &str) -> String {
        join(&self.place, key)
    }
}

impl<'a> At<'a> {
    /// The same value, its failures being of another kind.
    pub(super) fn under(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// Whether its key says that it is a number of seconds.
    pub(super) fn is_duration(&self) -> bool {
        self.path.trim_end_matches(['"', ']']).ends_with("_sec")
    }

    /// The JSON text, as it came.
    pub(super) fn text(&self) -> &'a str {
        self.raw.get()
    }

    pub(super) fn read<T: Deserialize<'a>>(&self) -> Result<T, Failure> {
        let text = self.raw.get();
        serde_json::from_str(text).map_err(|first| {
            // The second pass, which finds the path, is made for wrong values only.
            let mut again = serde_json::Deserializer::from_str(text);
            match serde_path_to_error::deserialize::<_, T>(&mut again) {
                Err(error) if error.path().iter().next().is_some() => {
                    let inner = error.path().to_string();
                    let joint = if inner.starts_with('[') { "" } else { "." };
                    Failure::new(self.code, format!("{}{joint}{inner}: {}", self.path, plain(error.inner())))
                }
                _ => self.wrong(plain(&first)),
            }
        })
    }

    /// The value as one of the `listed` ones.
    pub(super) fn one_of<T: Clone>(&self, listed: &[T], name: impl Fn(&T) -> String) -> Result<T, Failure> {
        let text: String = self.read()?;
        match listed.iter().find(|value| name(value) == text) {
            Some(value) => Ok(value.clone()),
            None => {
                let names: Vec<String> = listed.iter().map(name).collect();
                Err(self.wrong(format!("{text:?} is none of {}", names.join(", "))))
            }
        }
    }

    /// The value as an object.
    pub(super) fn members(&self) -> Result<Members<'a>, Failure> {
        let map = serde_json::from_str(self.raw.get()).map_err(|_| self.wrong("expected an object"))?;
        Ok(Members { place: self.path.clone(), code: self.code, map })
    }

    /// The value as a list.
    pub(super) fn list(&self) -> Result<Vec<Self>, Failure> {
        let raws: Vec<&RawValue> =
            serde_json::from_str(self.raw.get()).map_err(|_| self.wrong("expected a list"))?;
        let at = |(n, raw)| Self { path: format!("{}[{n}]", self.path), code: self.code, raw };
        Ok(raws.into_iter().enumerate().map(at).collect())
    }

    /// Refuses members that a type has kept because it does not know them. They are taken from it: a known one written as
    /// null is kept too, which means absent and is not to be written anywhere.
    pub(super) fn only_known(&self, extra: mpac_wire::Extra, known: &[&str]) -> Result<(), Failure> {
        match extra.keys().find(|key| !known.contains(key)) {
            Some(key) => Err(Failure::new(self.code, unknown(&join(&self.path, key), key, known))),
            None => Ok(()),
        }
    }

    pub(super) fn wrong(&self, problem: impl std::fmt::Display) -> Failure {
        Failure::new(self.code, format!("{}: {problem}", self.path))
    }
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

fn unknown(path: &str, key: &str, known: &[&str]) -> String {
    // Nobody mistypes a name into something this long, and comparing costs the product of the lengths.
    let near = if key.len() <= 100 { closest(key, known) } else { None };
    match near {
        Some(meant) => format!("{path}: unknown key (did you mean `{meant}`?)"),
        None => format!("{path}: unknown key; there are {}", known.join(", ")),
    }
}

/// What the parser calls by names of its own language.
const WORDS: [(&str, &str); 8] = [
    ("expected usize", "expected a whole number, 0 or more"),
    ("expected u64", "expected a whole number, 0 or more"),
    ("expected u32", "expected a whole number, 0 or more"),
    ("expected u8", "expected a whole number from 0 to 255"),
    ("expected f64", "expected a number"),
    ("expected a sequence", "expected a list"),
    ("invalid type: sequence,", "invalid type: list,"),
    ("invalid type: map,", "invalid type: object,"),
];

/// The parser's words, understandable, and without its position, which is one in a part of the line.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]).to_owned();
    // Only at the ends: what stands between may be quoted from the input.
    WORDS.iter().fold(text, |text, (from, to)| match (text.strip_suffix(from), text.strip_prefix(from)) {
        (Some(before), _) => format!("{before}{to}"),
        (None, Some(behind)) => format!("{to}{behind}"),
        (None, None) => text,
    })
}

fn not_json(error: &serde_json::Error) -> String {
    // A line of `drive` is one line; a file may have more.
    let line = if error.line() > 1 { format!("line {}, ", error.line()) } else { String::new() };
    format!("not JSON: {}, at {line}byte {}", plain(error), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Members<'_> {
        Members::of_line(text, Code::MalformedCommand).unwrap()
    }

    fn complaint<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        result.unwrap_err().message
    }

    #[test]
    fn values_stay_as_they_were_written() {
        let members = line(r#"{"a": 1, "a": [1.50,  "\u00e9"] , "b":null}"#);
        assert_eq!(members.get("a").unwrap().text(), r#"[1.50,  "\u00e9"]"#);
        assert!(members.get("b").is_none() && members.get("c").is_none());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let members = line(r#"{"a": {"b": {"c": [1, "x"]}}, "l": [0, {"x": 1}]}"#);
        let inner = members.need("a").unwrap().members().unwrap();
        let at = inner.need("b").unwrap();
        assert_eq!(
            complaint(at.read::<BTreeMap<String, Vec<u8>>>()),
            "a.b.c[1]: invalid type: string \"x\", expected a whole number from 0 to 255"
        );
        assert_eq!(
            complaint(at.read::<usize>()),
            "a.b: invalid type: object, expected a whole number, 0 or more"
        );
        assert_eq!(complaint(at.read::<Vec<u8>>()), "a.b: invalid type: object, expected a list");
        assert_eq!(complaint(inner.need("d")), "a.d is missing");
        let list = members.need("l").unwrap().list().unwrap();
        assert_eq!(complaint(list[0].members()), "l[0]: expected an object");
        assert_eq!(
            complaint(list[1].members().unwrap().only(&["xy", "bcd"])),
            "l[1].x: unknown key (did you mean `xy`?)"
        );
        assert_eq!(complaint(members.only(&["a"])), "l: unknown key (did you mean `a`?)");
    }

    #[test]
    fn a_line_that_is_no_object_is_told_so() {
        let refused = |text| complaint(Members::of_line(text, Code::MalformedCommand));
        for text in ["[]", "7", "\"x\"", "null"] {
            assert_eq!(refused(text), "not a JSON object", "{text}");
        }
        assert_eq!(refused("{\"a\":}"), "not JSON: expected value, at byte 6");
        assert_eq!(refused("{\n\"a\":}"), "not JSON: expected value, at line 2, byte 5");
    }
}
