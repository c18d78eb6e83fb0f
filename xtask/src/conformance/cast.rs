//! Who sends: senders, Lamport clocks, message ids, and the envelope around what a story says.

use std::collections::BTreeMap;

use mpac_wire::Timestamp;
use serde_json::{Map, Value, json};

use super::pattern::{Names, merge};

/// Everybody of one story.
pub(super) struct Cast {
    session: String,
    version: String,
    /// Beginning of every message id; no two stories share it.
    ids: String,
    sent: u64,
    /// Sender by connection, once it is another than the connection's name says.
    senders: BTreeMap<String, Value>,
    /// Last value by principal and instance (LAM-06).
    clocks: BTreeMap<(String, String), u64>,
    /// The last frame of each connection.
    last: BTreeMap<String, String>,
}

impl Cast {
    pub(super) fn new(session: &str, version: &str, ids: String) -> Self {
        Self {
            session: session.to_owned(),
            version: version.to_owned(),
            ids,
            sent: 0,
            senders: BTreeMap::new(),
            clocks: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// The next message id, as text of a UUID.
    pub(super) fn next_id(&mut self) -> String {
        self.sent += 1;
        format!("{}-{:012x}", self.ids, self.sent)
    }

    /// Whole and filled in: what goes out on `conn`.
    pub(super) fn envelope(
        &mut self,
        names: &Names,
        conn: &str,
        kind: &str,
        payload: &Value,
        with: &Value,
    ) -> Result<Value, String> {
        let with = names.fill(with).map(|filled| keep_absent(with, filled))?;
        let mut sender = self.sender(conn);
        if kind == "HELLO"
            && let Some(other) = with.get("sender").filter(|sender| sender.is_object())
        {
            merge(&mut sender, other.clone());
            self.senders.insert(conn.to_owned(), sender.clone());
        }
        let key = clock_key(&sender);
        let clock = self.clocks.entry(key.clone()).or_default();
        *clock += 1; // LAM-07
        let mut envelope = json!({
            "protocol": "MPAC",
            "version": self.version,
            "message_type": kind,
            "message_id": names.sent,
            "session_id": session_of(&self.session, conn),
            "sender": sender,
            "ts": names.now.to_string(),
            "payload": names.fill(payload)?,
            "watermark": {"kind": "lamport_clock", "value": *clock},
        });
        merge(&mut envelope, with);
        let envelope = without_absent(envelope);
        if let Some(value) =
            envelope["watermark"]["value"].as_u64().filter(|_| clock_key(&envelope["sender"]) == key)
        {
            // A value that a story makes up does not set the clock beyond what can be followed.
            if let Some(clock) = self.clocks.get_mut(&key).filter(|_| value < 1 << 50) {
                *clock = value.max(*clock);
            }
        }
        Ok(envelope)
    }

    fn sender(&self, conn: &str) -> Value {
        self.senders.get(conn).cloned().unwrap_or_else(|| {
            let principal = conn.split(['@', '/']).next().unwrap_or(conn);
            json!({"principal_id": principal, "principal_type": "agent", "sender_instance_id": format!("{principal}-1")})
        })
    }

    pub(super) fn sent(&mut self, conn: &str, frame: &str) {
        self.last.insert(conn.to_owned(), frame.to_owned());
    }

    pub(super) fn last(&self, conn: &str) -> Option<String> {
        self.last.get(conn).cloned()
    }

    /// The receive rule (LAM-08).
    pub(super) fn hears(&mut self, conn: &str, message: &Value) {
        if let Some(value) = message["watermark"]["value"].as_u64() {
            let clock = self.clocks.entry(clock_key(&self.sender(conn))).or_default();
            *clock = value.max(*clock) + 1;
        }
    }
}

/// The session of a connection: `alice@b` speaks in a second one beside the story's.
pub(super) fn session_of(session: &str, conn: &str) -> String {
    match conn.split_once('@') {
        Some((_, other)) if !other.starts_with('/') => format!("{session}-{other}"),
        _ => session.to_owned(),
    }
}

/// A message id's beginning for a story: the same in every run.
pub(super) fn ids(story: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash: Vec<String> = Sha256::digest(story).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let hash = hash.concat();
    format!("{}-{}-4{}-8000", &hash[..8], &hash[8..12], &hash[12..15])
}

/// For servers in real time.
pub(super) fn wall_clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn clock_key(sender: &Value) -> (String, String) {
    let part = |key: &str| sender[key].as_str().unwrap_or_default().to_owned();
    (part("principal_id"), part("sender_instance_id"))
}

const ABSENT: &str = "$absent";

/// `fill` takes absent members away; here they must stay until the envelope is merged.
fn keep_absent(written: &Value, mut filled: Value) -> Value {
    if let (Value::Object(written), Value::Object(filled)) = (written, &mut filled) {
        for (key, value) in written {
            if value == ABSENT {
                filled.insert(key.clone(), ABSENT.into());
            } else if let Some(inner) = filled.get_mut(key) {
                *inner = keep_absent(value, inner.take());
            }
        }
    }
    filled
}

fn without_absent(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| value != ABSENT);
            Value::Object(kept.map(|(key, value)| (key, without_absent(value))).collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_whole_unless_a_story_takes_something_away() {
        let mut cast = Cast::new("s", "0.1.13", ids("a/b"));
        let mut names = Names::new("s", Timestamp::from_micros(0));
        names.sent = Some(cast.next_id());
        let with = json!({"watermark": "$absent", "sender": {"principal_type": "human", "sender_instance_id": "$absent"}});
        let envelope = cast.envelope(&names, "alice/2", "X", &json!({"a": "$absent"}), &with).unwrap();
        assert_eq!(envelope["sender"], json!({"principal_id": "alice", "principal_type": "human"}));
        assert_eq!((envelope.get("watermark"), &envelope["payload"]), (None, &json!({})));
        assert_eq!(envelope["message_id"].as_str().map(str::len), Some(36));
    }

    #[test]
    fn a_connection_may_be_in_another_session_or_on_another_path() {
        assert_eq!(session_of("s", "alice/2@b"), "s-b");
        assert_eq!((session_of("s", "alice"), session_of("s", "alice@/x")), ("s".to_owned(), "s".to_owned()));
    }

    #[test]
    fn a_hello_can_make_somebody_else_of_a_connection() {
        let mut cast = Cast::new("s", "0.1.13", ids("a/b"));
        let names = Names::new("s", Timestamp::from_micros(0));
        let with = json!({"sender": {"sender_instance_id": "alice-2"}});
        cast.envelope(&names, "alice", "HELLO", &json!({}), &with).unwrap();
        let next = cast.envelope(&names, "alice", "X", &json!({}), &json!({})).unwrap();
        assert_eq!(next["sender"]["sender_instance_id"], "alice-2");
        cast.hears("alice", &json!({"watermark": {"value": 9}}));
        let next = cast.envelope(&names, "alice", "X", &json!({}), &json!({})).unwrap();
        assert_eq!(next["watermark"]["value"], 11);
    }
}
