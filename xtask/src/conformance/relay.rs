//! What a relay may change of a message, and how the coordinator's own are told from relays.

use serde_json::Value;

/// Whether the coordinator wrote it: its epoch is on it (ENV-10), or the sender is the reserved one (SES-03).
pub(super) fn is_authored(value: &Value) -> bool {
    let sender = value["sender"]["principal_id"].as_str().unwrap_or_default();
    value.get("coordinator_epoch").is_some_and(Value::is_number) || sender.starts_with("service:coordinator-")
}

/// Members that a relay completes where they are missing (ENV-16).
const RESOLUTION: [&str; 4] = ["resolution_id", "conflict_id", "decision", "rationale"];
const REPORT: [&str; 8] = [
    "conflict_id",
    "related_intents",
    "related_ops",
    "category",
    "severity",
    "basis",
    "based_on_watermark",
    "description",
];

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
    let is_new = |(key, value): &(&String, &Value)| original.get(*key).is_none() && !value.is_null();
    if let Some((key, value)) = relayed.as_object().into_iter().flatten().find(is_new) {
        return Err(Some(format!("{key} was added: {value}")));
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
    let completed = match original["message_type"].as_str() {
        Some("RESOLUTION") => &RESOLUTION[..],
        Some("CONFLICT_REPORT") => &REPORT,
        _ => &[],
    };
    let is_new =
        |key: &&String| !sent.contains_key(*key) && !is_named(key) && !completed.contains(&key.as_str());
    match got.keys().find(is_new) {
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
        let mut changed = relayed.clone();
        changed["note"] = json!("by the coordinator");
        assert!(same(&original, &changed, &json!({})).is_err(), "nothing is added to the envelope");
        let report =
            json!({"message_id": "m", "message_type": "CONFLICT_REPORT", "payload": {"severity": "low"}});
        let mut completed = report.clone();
        completed["payload"]["category"] = json!("other");
        assert_eq!(same(&report, &completed, &json!({})), Ok(()));
        completed["payload"]["x"] = json!(1);
        assert!(same(&report, &completed, &json!({})).is_err(), "only what is required is completed");
        let mut changed = relayed;
        changed["coordinator_epoch"] = json!(1);
        assert!(same(&original, &changed, &json!({})).is_err() && is_authored(&changed));
    }
}
