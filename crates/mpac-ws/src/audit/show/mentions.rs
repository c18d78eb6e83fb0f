//! Which intents, operations, conflicts and files a message names, whatever its type.

use std::collections::BTreeSet;

use serde_json::Value;

/// Ids and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    pub(super) intents: BTreeSet<String>,
    pub(super) ops: BTreeSet<String>,
    pub(super) conflicts: BTreeSet<String>,
    pub(super) files: BTreeSet<String>,
}

impl Mentions {
    /// Those of a payload. Names of members say what their texts are, so types to come are found as well.
    pub(super) fn of(payload: &Value) -> Self {
        let mut mentions = Self::default();
        mentions.walk(payload);
        mentions
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.intents.extend(other.intents.iter().cloned());
        self.ops.extend(other.ops.iter().cloned());
        self.conflicts.extend(other.conflicts.iter().cloned());
        self.files.extend(other.files.iter().cloned());
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(members) => members.iter().for_each(|(key, value)| self.member(key, value)),
            _ => {}
        }
    }

    fn member(&mut self, key: &str, value: &Value) {
        if key == "file_changes" {
            self.files.extend(value.as_object().into_iter().flat_map(|files| files.keys().cloned()));
            return;
        }
        let set = match key {
            // A state, or what shall become of them.
            _ if key.ends_with("disposition") => return,
            "intent_a" | "intent_b" => &mut self.intents,
            _ if ["intent_id", "intent_ids", "_intents"].iter().any(|end| key.ends_with(end)) => {
                &mut self.intents
            }
            "op_id" | "op_ids" | "related_ops" | "rejected_ops" => &mut self.ops,
            _ if key.ends_with("_op_id") => &mut self.ops,
            _ if key.ends_with("conflict_id") => &mut self.conflicts,
            "target" | "path" | "resources" | "pattern" => &mut self.files,
            _ => return self.walk(value),
        };
        let texts = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        set.extend(texts.iter().filter_map(Value::as_str).map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[test]
    fn names_are_found_wherever_they_stand() {
        let mentions = Mentions::of(&json!({
            "intent_a": "i1", "intent_b": "i2", "related_intents": ["i3"], "original_intent_id": "i4",
            "active_intents_disposition": "withdraw_all", "conflict_id": "c1", "supersedes_op_id": "o2",
            "operations": [{"op_id": "o1", "target": "a.py"}, 7],
            "scope": {"kind": "file_set", "resources": ["b.py"], "pattern": "c/**"},
            "file_changes": {"d.py": {"content": "{\"intent_id\": \"no\"}"}},
        }));
        assert_eq!(mentions.intents, set(&["i1", "i2", "i3", "i4"]));
        assert_eq!(mentions.ops, set(&["o1", "o2"]));
        assert_eq!(mentions.conflicts, set(&["c1"]));
        assert_eq!(mentions.files, set(&["a.py", "b.py", "c/**", "d.py"]));
    }
}
