//! Names for values, and patterns over JSON.

use std::collections::BTreeMap;

use mpac_wire::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// How far from `$now+N` a time may be, in microseconds: deadlines are kept to a second.
const TOLERANCE: i64 = 1_500_000;

/// What names stand for.
#[derive(Clone, Debug)]
pub(super) struct Names {
    variables: BTreeMap<String, Value>,
    /// message_id of the step's own message, and of labelled ones.
    pub(super) sent: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) now: Timestamp,
}

/// Why a value does not match.
#[derive(Debug, PartialEq)]
pub(super) struct Mismatch {
    pub(super) path: String,
    pub(super) expected: String,
    pub(super) found: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "." } else { &self.path };
        write!(f, "{path}: expected {}, found {}", self.expected, self.found)
    }
}

/// A string of a story that is a name.
enum Name<'a> {
    Absent,
    Any,
    Time,
    Sent(Option<&'a str>),
    Ref(&'a str),
    Now(f64),
    Repeat(&'a str, usize),
    Variable(&'a str),
}

/// What `text` names, if anything; `$$` begins a string that begins with `$`.
fn name(text: &str) -> Option<Name<'_>> {
    let name = text.strip_prefix('$').filter(|rest| !rest.is_empty() && !rest.starts_with('$'))?;
    if let Some(content) = name.strip_prefix("ref:") {
        return Some(Name::Ref(content));
    }
    if let Some((what, times)) = name.strip_prefix("repeat:").and_then(|rest| rest.rsplit_once(':'))
        && let Ok(times) = times.parse()
    {
        return Some(Name::Repeat(what, times));
    }
    if let Some(offset) = name.strip_prefix("now") {
        return if offset.is_empty() { Some(Name::Now(0.0)) } else { offset.parse().ok().map(Name::Now) };
    }
    Some(match name {
        "absent" => Name::Absent,
        "any" => Name::Any,
        "time" => Name::Time,
        "sent" => Name::Sent(None),
        _ => name.strip_prefix("sent:").map_or(Name::Variable(name), |label| Name::Sent(Some(label))),
    })
}

/// The variable that `text` is, if it is one.
pub(super) fn variable(text: &str) -> Option<&str> {
    if let Some(Name::Variable(name)) = name(text) { Some(name) } else { None }
}

/// `sha256:` and the first 16 digits of the content's hash (OCC-01).
pub(super) fn state_ref(content: &str) -> String {
    let hash: String = Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

/// Objects merge, everything else replaces.
pub(super) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(old) if old.is_object() && value.is_object() => merge(old, value),
                    _ => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (into, from) => *into = from,
    }
}

impl Names {
    pub(super) fn new(session: &str, now: Timestamp) -> Self {
        let session = ("session".to_owned(), Value::from(session));
        Self { variables: BTreeMap::from([session]), sent: None, labels: BTreeMap::new(), now }
    }

    fn later(&self, seconds: f64) -> Timestamp {
        Timestamp::from_micros(self.now.micros() + (seconds * 1e6).round() as i64)
    }

    /// The value with every name replaced, and without what is absent.
    ///
    /// # Errors
    /// A variable has no value yet, or a label was never given.
    pub(super) fn fill(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => self.fill_text(text)?,
            Value::Array(list) => {
                Value::Array(list.iter().map(|value| self.fill(value)).collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let mut filled = Map::new();
                for (key, value) in map {
                    if !value.as_str().is_some_and(|text| matches!(name(text), Some(Name::Absent))) {
                        filled.insert(key.clone(), self.fill(value)?);
                    }
                }
                Value::Object(filled)
            }
            other => other.clone(),
        })
    }

    fn fill_text(&self, text: &str) -> Result<Value, String> {
        let Some(name) = name(text) else {
            return Ok(text.strip_prefix('$').filter(|rest| rest.starts_with('$')).unwrap_or(text).into());
        };
        Ok(match name {
            Name::Absent | Name::Any | Name::Time => return Err(format!("{text} cannot be sent")),
            Name::Sent(None) => self.sent.clone().ok_or("nothing was sent in this step")?.into(),
            Name::Sent(Some(label)) => {
                self.labels.get(label).ok_or_else(|| format!("no step is labelled `{label}`"))?.clone().into()
            }
            Name::Ref(content) => state_ref(content).into(),
            Name::Now(offset) => self.later(offset).to_string().into(),
            Name::Repeat(what, times) => what.repeat(times).into(),
            Name::Variable(name) => {
                self.variables.get(name).ok_or_else(|| format!("${name} has no value yet"))?.clone()
            }
        })
    }

    /// Whether `value` matches; then the variables have their values, else nothing has changed.
    pub(super) fn matches(&mut self, pattern: &Value, value: Option<&Value>) -> Result<(), Mismatch> {
        let before = self.variables.clone();
        let outcome = self.compare("", pattern, value);
        if outcome.is_err() {
            self.variables = before;
        }
        outcome
    }

    fn compare(&mut self, path: &str, pattern: &Value, value: Option<&Value>) -> Result<(), Mismatch> {
        let value = value.filter(|value| !value.is_null());
        let wrong = |expected: String| {
            let found = value.map_or_else(|| "nothing".to_owned(), short);
            Err(Mismatch { path: path.to_owned(), expected, found })
        };
        match pattern {
            Value::Null if value.is_none() => Ok(()),
            Value::String(text) => self.compare_text(path, text, value),
            Value::Object(map) if map.keys().any(|key| key.starts_with('$')) => {
                self.compare_special(path, map, value)
            }
            Value::Object(map) => {
                let Some(Value::Object(found)) = value else { return wrong("an object".to_owned()) };
                for (key, pattern) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.compare(&path, pattern, found.get(key))?;
                }
                Ok(())
            }
            Value::Array(list) => {
                let Some(Value::Array(found)) = value else { return wrong("an array".to_owned()) };
                if list.len() != found.len() {
                    return wrong(format!("{} elements: {}", list.len(), short(pattern)));
                }
                for (at, (pattern, value)) in list.iter().zip(found).enumerate() {
                    self.compare(&format!("{path}[{at}]"), pattern, Some(value))?;
                }
                Ok(())
            }
            Value::Number(number) if value.and_then(Value::as_f64) == number.as_f64() => Ok(()),
            pattern if value == Some(pattern) => Ok(()),
            pattern => wrong(short(pattern)),
        }
    }

    fn compare_text(&mut self, path: &str, text: &str, value: Option<&Value>) -> Result<(), Mismatch> {
        let wrong = |expected: String| {
            let found = value.map_or_else(|| "nothing".to_owned(), short);
            Err(Mismatch { path: path.to_owned(), expected, found })
        };
        let time = || value.and_then(Value::as_str).and_then(|text| Timestamp::parse(text).ok());
        match name(text) {
            Some(Name::Absent) => {
                if value.is_none() {
                    Ok(())
                } else {
                    wrong("nothing".to_owned())
                }
            }
            Some(Name::Any) => {
                if value.is_some() {
                    Ok(())
                } else {
                    wrong("anything".to_owned())
                }
            }
            Some(Name::Time) => {
                if time().is_some() {
                    Ok(())
                } else {
                    wrong("a time".to_owned())
                }
            }
            Some(Name::Now(offset)) => {
                let expected = self.later(offset);
                let near = |at: Timestamp| (at.micros() - expected.micros()).abs() <= TOLERANCE;
                if time().is_some_and(near) { Ok(()) } else { wrong(format!("about {expected}")) }
            }
            Some(Name::Variable(name)) if !self.variables.contains_key(name) => match value {
                Some(value) => {
                    self.variables.insert(name.to_owned(), value.clone());
                    Ok(())
                }
                None => wrong("anything".to_owned()),
            },
            _ => match self.fill_text(text) {
                Ok(expected) if value == Some(&expected) => Ok(()),
                Ok(expected) => wrong(short(&expected)),
                Err(problem) => wrong(problem),
            },
        }
    }

    fn compare_special(
        &mut self,
        path: &str,
        map: &Map<String, Value>,
        value: Option<&Value>,
    ) -> Result<(), Mismatch> {
        let wrong = |expected: String| {
            let found = value.map_or_else(|| "nothing".to_owned(), short);
            Err(Mismatch { path: path.to_owned(), expected, found })
        };
        let elements = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (key, wanted) in map.iter().filter(|(key, _)| key.starts_with('$')) {
            let listed = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
            let right = match key.as_str() {
                "$has" => listed.iter().all(|wanted| self.is_in(wanted, value)),
                "$lacks" => value.is_some() && !listed.iter().any(|wanted| self.is_in(wanted, value)),
                "$set" => {
                    let mut left: Vec<&Value> = elements.iter().collect();
                    let found = |names: &mut Self, left: &mut Vec<&Value>, wanted: &Value| {
                        let at = left.iter().position(|value| names.matches(wanted, Some(value)).is_ok());
                        at.map(|at| left.remove(at)).is_some()
                    };
                    value.is_some_and(Value::is_array)
                        && listed.iter().all(|wanted| found(self, &mut left, wanted))
                        && left.is_empty()
                }
                "$size" => {
                    let size = value.and_then(|value| {
                        value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len))
                    });
                    size.map(|size| size as u64) == wanted.as_u64()
                }
                "$not" => self.matches(wanted, value).is_err(),
                "$one" => listed.iter().any(|wanted| self.matches(wanted, value).is_ok()),
                "$from" => value.and_then(Value::as_f64) >= wanted.as_f64() && value.is_some(),
                "$to" => value.and_then(Value::as_f64).is_some_and(|found| Some(found) <= wanted.as_f64()),
                "$starts" => {
                    let start = wanted.as_str().unwrap_or_default();
                    value.and_then(Value::as_str).is_some_and(|text| text.starts_with(start))
                }
                "$find" => return self.find(path, map, wanted, elements),
                other => return wrong(format!("something that `{other}` cannot say")),
            };
            if !right {
                return wrong(short(&Value::Object(map.clone())));
            }
        }
        Ok(())
    }

    fn is_in(&mut self, wanted: &Value, value: Option<&Value>) -> bool {
        match value {
            Some(Value::Array(list)) => list.iter().any(|value| self.matches(wanted, Some(value)).is_ok()),
            Some(Value::String(text)) => match self.fill(wanted) {
                Ok(Value::String(wanted)) => text.contains(&wanted),
                _ => false,
            },
            _ => false,
        }
    }

    fn find(
        &mut self,
        path: &str,
        map: &Map<String, Value>,
        wanted: &Value,
        elements: &[Value],
    ) -> Result<(), Mismatch> {
        let mut found = elements.iter().filter(|element| self.matches(wanted, Some(element)).is_ok());
        let (first, second) = (found.next(), found.next());
        let path = format!("{path}[{}]", short(wanted));
        match (first, second) {
            (Some(element), None) => {
                let rest = map.iter().filter(|(key, _)| *key != "$find");
                let rest = Value::Object(rest.map(|(key, value)| (key.clone(), value.clone())).collect());
                self.compare(&path, &rest, Some(element))
            }
            _ => Err(Mismatch {
                path,
                expected: "exactly one".to_owned(),
                found: if second.is_some() { "several" } else { "none" }.to_owned(),
            }),
        }
    }
}

/// A value in at most some 200 characters.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names {
        Names::new("s", Timestamp::parse("2026-01-01T00:00:00Z").unwrap())
    }

    fn fits(pattern: Value, value: Value) -> bool {
        names().matches(&pattern, Some(&value)).is_ok()
    }

    #[test]
    fn objects_match_in_part_and_arrays_in_full() {
        assert!(fits(json!({"a": 60}), json!({"a": 60.0, "b": 1})));
        assert!(!fits(json!({"a": [1]}), json!({"a": [1, 2]})));
        assert!(fits(json!({"a": "$absent", "b": "$any"}), json!({"a": null, "b": 0})));
        assert!(!fits(json!({"b": "$any"}), json!({"b": null})));
    }

    #[test]
    fn patterns_say_more_than_equality() {
        assert!(fits(json!({"$set": [1, 2]}), json!([2, 1])) && !fits(json!({"$set": [1]}), json!([1, 1])));
        assert!(fits(json!({"$has": ["b"]}), json!("abc")) && !fits(json!({"$lacks": ["b"]}), json!("abc")));
        assert!(fits(json!({"$from": 1, "$to": 2}), json!(1.5)) && !fits(json!({"$to": 2}), json!(3)));
        assert!(!fits(json!({"$from": 1}), json!("x")) && fits(json!({"$one": [1, "x"]}), json!("x")));
        assert!(fits(json!("$now+60"), json!("2026-01-01T00:01:01Z")));
        assert!(!fits(json!("$now+60"), json!("2026-01-01T00:01:02Z")));
        let list = json!([{"id": 1, "s": "A"}, {"id": 2, "s": "B"}]);
        assert!(fits(json!({"$find": {"id": 2}, "s": "B"}), list.clone()));
        assert!(
            !fits(json!({"$find": {"id": 2}, "s": "A"}), list.clone()) && !fits(json!({"$find": {}}), list)
        );
    }

    #[test]
    fn a_variable_takes_its_first_value_and_keeps_it_only_where_the_whole_matched() {
        let mut names = names();
        assert!(names.matches(&json!({"a": "$x", "b": 1}), Some(&json!({"a": 7, "b": 2}))).is_err());
        assert!(names.fill(&json!("$x")).is_err());
        assert!(names.matches(&json!({"a": "$x"}), Some(&json!({"a": 7}))).is_ok());
        assert_eq!(names.fill(&json!(["$x", "$$x"])).unwrap(), json!([7, "$x"]));
        assert!(names.matches(&json!("$x"), Some(&json!(8))).is_err());
    }

    #[test]
    fn what_is_sent_is_filled_in() {
        let mut names = names();
        names.sent = Some("m".to_owned());
        let filled = names.fill(
            &json!({"a": "$ref:hello\n", "b": "$absent", "c": "$now-1", "d": "$sent", "e": "$repeat:xy:2"}),
        );
        let expected = json!({"a": "sha256:5891b5b522d5df08", "c": "2025-12-31T23:59:59.000000Z", "d": "m", "e": "xyxy"});
        assert_eq!(filled.unwrap(), expected);
    }
}
