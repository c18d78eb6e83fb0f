//! The forms of one message of the coordinator's: whoever sees less of others' work gets another one, under the same id (PRV-02).

use std::collections::{BTreeMap, BTreeSet};

use mpac_wire::redact::BLANK;
use mpac_wire::transcript::Direction;
use serde_json::Value;

use super::examine::Expected;

/// The forms of every message that the rules give, by its id.
#[derive(Debug, Default)]
pub(super) struct Forms<'a>(BTreeMap<&'a str, BTreeSet<(u64, &'a str)>>);

impl<'a> Forms<'a> {
    pub(super) fn of(expected: &'a [Expected]) -> Self {
        let mut forms = Self::default();
        for it in expected.iter().filter(|it| it.direction == Direction::Outbound) {
            forms.0.entry(&it.message_id).or_default().insert((it.log_seq, &it.content));
        }
        forms
    }

    /// Whether the rules give both, at one entry of the log.
    pub(super) fn are_of_one(&self, message_id: &str, one: &str, other: &str) -> bool {
        let Some(forms) = self.0.get(message_id) else { return false };
        forms.iter().any(|(n, content)| *content == one && forms.contains(&(*n, other)))
    }
}

/// Whether they differ in nothing but what one of them leaves out: then they are no lie in a session that limits what some see.
pub(super) fn may_be_of_one(one: &str, other: &str) -> bool {
    let read = |text| serde_json::from_str::<Value>(text).ok();
    read(one).zip(read(other)).is_some_and(|(one, other)| is_same_but_blank(&one, &other))
}

fn is_same_but_blank(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|other| is_same_but_blank(value, other)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same_but_blank(one, other))
        }
        _ => one == other || one == BLANK || other == BLANK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_no_other_message() {
        let whole = r#"{"id":"c","about":{"description":"ours","files":["a",1]}}"#;
        for (other, same) in [
            (whole, true),
            (r#"{"id":"c","about":{"description":"[redacted]","files":["a",1]}}"#, true),
            (r#"{"id":"c","about":{"description":"theirs","files":["a",1]}}"#, false),
            (r#"{"id":"c","about":{"description":"[redacted]","files":["b",1]}}"#, false),
            (r#"{"id":"c","about":{"description":"[redacted]","files":["a"]}}"#, false),
            (r#"{"id":"c","about":{"files":["a",1]}}"#, false),
            ("no JSON", false),
        ] {
            assert_eq!(may_be_of_one(whole, other), same, "{other}");
            assert_eq!(may_be_of_one(other, whole), same, "{other}");
        }
    }
}
