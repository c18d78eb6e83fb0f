//! What a relay may change of a message, and how the coordinator's own are told from relays.

use serde_json::Value;

/// Whether the coordinator wrote it: its epoch is on it (ENV-10), or the sender is the reserved one (SES-03).
pub(super) fn is_authored(value: &Value) -> bool {
    let sender = value["sender"]["principal_id"].as_str().unwrap_or_default();
    value.get("coordinator_epoch").is_some_and(Value::is_number) || sender.starts_with("service:coordinator-")
}

/// Whether `relayed` is `original`: envelope and payload in meaning, but for `file_changes` and what `pattern` names
/// (ENV-16, EXT-05).
pub(super) fn same(original: &Value, relayed: &Value, pattern: &Value) -> Result<(), Option<String>> {
    if relayed["message_id"] != original["message_id"] {
        return Err(None);
    }
    for (key, value) in original.as_object().into_iter().flatten() {
        if key != "payload" && !value.is_null() && relayed.get(key) != Some(value) {
            return Err(Some(format!("{key}: it was {value}, and is {}", relayed[key])));
        }
    }
    if relayed.get("coordinator_epoch").is_some() && original.get("coordinator_epoch").is_none() {
        return Err(Some("a relay has got an epoch".to_owned()));
    }
    let (Some(sent), Some(got)) = (original["payload"].as_object(), relayed["payload"].as_object()) else {
        return Err(Some("it has no payload".to_owned()));
    };
    let is_named = |key: &str| pattern.get(key).is_some();
    for (key, value) in sent.iter().filter(|(key, _)| *key != "file_changes" && !is_named(key)) {
        let got = got.get(key).unwrap_or(&Value::Null);
        if got != value {
            return Err(Some(format!("payload.{key}: it was {value}, and is {got}")));
        }
    }
    if got.contains_key("file_changes") && !is_named("file_changes") {
        return Err(Some("contents were relayed".to_owned()));
    }
    let completed = matches!(original["message_type"].as_str(), Some("RESOLUTION" | "CONFLICT_REPORT"));
    match got.keys().find(|key| !sent.contains_key(*key) && !is_named(key) && !completed) {
        Some(key) => Err(Some(format!("payload.{key} was added"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_relay_loses_contents_and_nothing_else() {
        let original = json!({"message_id": "m", "sender": {"principal_id": "a", "x": 1}, "ts": "t", "payload": {"a": 1, "file_changes": {}}});
        let relayed = json!({"message_id": "m", "sender": {"principal_id": "a", "x": 1}, "ts": "t", "payload": {"a": 1}});
        assert_eq!(same(&original, &relayed, &json!({})), Ok(()));
        let mut changed = relayed.clone();
        changed["payload"]["a"] = json!(2);
        assert!(same(&original, &changed, &json!({})).is_err());
        assert_eq!(same(&original, &changed, &json!({"a": 2})), Ok(()), "the pattern judges what it names");
        let mut changed = relayed.clone();
        changed["payload"]["b"] = json!(2);
        assert!(same(&original, &changed, &json!({})).is_err());
        let mut changed = relayed;
        changed["coordinator_epoch"] = json!(1);
        assert!(same(&original, &changed, &json!({})).is_err() && is_authored(&changed));
    }
}
