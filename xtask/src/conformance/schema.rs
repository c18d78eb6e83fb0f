//! The published JSON Schema, `fixtures/schema/mpac.json`: validation, and the order in which it lists members.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::step::{self, Failure};

const PATH: &str = "fixtures/schema/mpac.json";

pub(super) struct Schema {
    message: Validator,
    authored: Validator,
    /// Members of each definition, in their order.
    orders: BTreeMap<String, Vec<String>>,
}

impl Schema {
    /// # Errors
    /// The file cannot be read, or is no schema.
    pub(super) fn load() -> Result<Self, Failure> {
        let text = step::text(&step::root().join(PATH))?;
        let wrong = |problem: String| Failure::check(format!("{PATH}: {problem}"));
        let whole: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let authored = json!({"$ref": "#/$defs/authored", "$defs": whole["$defs"]});
        let compile = |schema: &Value| {
            jsonschema::options()
                .should_validate_formats(true)
                .build(schema)
                .map_err(|error| wrong(error.to_string()))
        };
        let ordered: Ordered = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let orders = ordered.defs.into_iter().map(|(name, def)| (name, def.properties.0)).collect();
        Ok(Self { message: compile(&whole)?, authored: compile(&authored)?, orders })
    }

    /// What is wrong with a message, each with its place.
    pub(super) fn problems(&self, message: &Value) -> Vec<String> {
        let errors = self.message.iter_errors(message);
        errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// What it lacks of what a coordinator's message has.
    pub(super) fn authored_problem(&self, message: &Value) -> Option<String> {
        let error = self.authored.iter_errors(message).next()?;
        Some(format!("{}: {error}", error.instance_path()))
    }

    /// The first member of envelope, sender, watermark or payload that stands before one that it should follow.
    pub(super) fn disorder(&self, text: &str) -> Option<String> {
        let parts: Parts<'_> = serde_json::from_str(text).ok()?;
        let envelope: Keys = serde_json::from_str(text).ok()?;
        let inner = |raw: Option<&RawValue>| {
            raw.and_then(|raw| serde_json::from_str::<Keys>(raw.get()).ok()).unwrap_or_default()
        };
        let objects = [
            ("envelope", "envelope", envelope),
            ("sender", "sender", inner(parts.sender)),
            ("watermark", "watermark", inner(parts.watermark)),
            (parts.message_type.as_str(), "payload", inner(parts.payload)),
        ];
        objects.iter().find_map(|(definition, place, keys)| {
            let order = self.orders.get(*definition)?;
            out_of_order(order, &keys.0).map(|key| format!("{place}.{key} comes too late"))
        })
    }
}

/// The first of `keys` that `order` puts before one that precedes it.
fn out_of_order<'a>(order: &[String], keys: &'a [String]) -> Option<&'a str> {
    let mut last = 0;
    for key in keys {
        if let Some(at) = order.iter().position(|listed| listed == key) {
            if at < last {
                return Some(key);
            }
            last = at;
        }
    }
    None
}

#[derive(serde::Deserialize)]
struct Parts<'a> {
    #[serde(default)]
    message_type: String,
    #[serde(borrow)]
    sender: Option<&'a RawValue>,
    #[serde(borrow)]
    watermark: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Ordered {
    #[serde(rename = "$defs")]
    defs: BTreeMap<String, Definition>,
}

#[derive(serde::Deserialize)]
struct Definition {
    #[serde(default)]
    properties: Keys,
}

/// The keys of an object, in the order they stand.
#[derive(Default)]
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same lines that `mpac-wire` reads and writes byte for byte: the schema knows their members, in their order.
    #[test]
    fn every_member_that_the_types_know_is_in_the_schema_and_in_its_place() {
        const UNKNOWN: [&str; 3] = ["x", "first", "last"];
        let schema = Schema::load().unwrap();
        let text = step::text(&step::root().join("fixtures/messages/every-member.txt")).unwrap();
        let lines: Vec<(&str, &str)> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .collect();
        assert_eq!(lines.len(), 22);
        for (name, payload) in lines {
            let order = &schema.orders[name];
            let keys: Keys = serde_json::from_str(payload).unwrap();
            let known: Vec<&String> = keys.0.iter().filter(|key| !UNKNOWN.contains(&key.as_str())).collect();
            assert_eq!(out_of_order(order, &keys.0), None, "{name}");
            let mut listed: Vec<&String> = order.iter().collect();
            let mut found = known.clone();
            listed.sort();
            found.sort();
            assert_eq!(listed, found, "{name}: the members of the schema and of the types");
            let message = format!(
                r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"{name}","message_id":"m","session_id":"s","sender":{{"principal_id":"p","principal_type":"agent","sender_instance_id":"i"}},"ts":"2026-01-02T03:04:05Z","payload":{payload}}}"#
            );
            assert_eq!(schema.problems(&serde_json::from_str(&message).unwrap()), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_required_member_that_is_missing_or_null_is_found() {
        let schema = Schema::load().unwrap();
        let message = |payload: Value| {
            json!({"protocol": "MPAC", "version": "0.1.13", "message_type": "INTENT_ANNOUNCE", "message_id": "m", "session_id": "s",
                "sender": {"principal_id": "p", "principal_type": "agent", "sender_instance_id": "i"}, "ts": "2026-01-02T03:04:05Z", "payload": payload})
        };
        let scope = json!({"kind": "file_set", "resources": ["a"]});
        let good = json!({"intent_id": "i", "objective": "o", "scope": scope, "ttl_sec": null});
        assert_eq!(schema.problems(&message(good.clone())), [""; 0]);
        for (key, value) in [
            ("objective", Value::Null),
            ("intent_id", json!("")),
            ("scope", json!({"kind": "file_set"})),
            ("ttl_sec", json!(-1)),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            assert!(!schema.problems(&message(bad)).is_empty(), "{key}");
        }
    }
}
