//! Bundles changed by whoever has the coordinator's real keys, or by whoever has none.

use mpac_core::SessionConfig;
use mpac_wire::signature::signed_bytes;
use mpac_wire::transcript::{Chain, Direction};
use mpac_wire::{SessionId, Timestamp};
use serde_json::{Value, json};

use super::world::{OWN, OWN_2, public, signing};
use crate::audit::evidence::head::Head;
use crate::hex::sha256;
use crate::store::snapshot::Position;

/// A bundle as it was made.
#[derive(Clone)]
pub(super) struct Forger(pub(super) Value);

/// A message of the chain.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) at: Timestamp,
    pub(super) outbound: bool,
    pub(super) envelope: Value,
}

impl Message {
    pub(super) fn is(&self, message_type: &str) -> bool {
        self.envelope["message_type"] == message_type
    }

    /// With the signature of the coordinator's first key over what it says now.
    pub(super) fn sign(&mut self) {
        self.envelope = serde_json::from_str(&super::world::signed(self.envelope.clone(), OWN)).unwrap();
    }
}

impl Forger {
    pub(super) fn new(bundle: &str) -> Self {
        Self(serde_json::from_str(bundle).unwrap())
    }

    pub(super) fn chain(&mut self) -> &mut Vec<Value> {
        self.0["transcript"]["log_chain"].as_array_mut().unwrap()
    }

    pub(super) fn log(&mut self) -> &mut Vec<Value> {
        self.0["log"].as_array_mut().unwrap()
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        let chain = self.0["transcript"]["log_chain"].as_array().unwrap();
        let message = |link: &Value| Message {
            at: Timestamp::parse(link["received_at"].as_str().unwrap()).unwrap(),
            outbound: link["direction"] == "outbound",
            envelope: link["envelope"].clone(),
        };
        chain.iter().map(message).collect()
    }

    /// The chain is of these messages instead, and the coordinator has signed that.
    #[must_use]
    pub(super) fn with(mut self, messages: &[Message]) -> Self {
        let mut chain = Chain::default();
        let links = messages.iter().map(|it| {
            let way = if it.outbound { Direction::Outbound } else { Direction::Inbound };
            serde_json::from_str(&chain.add(it.at, way, &it.envelope.to_string())).unwrap()
        });
        *self.chain() = links.collect();
        self.0["transcript"]["messages"] = messages.iter().map(|it| it.envelope.clone()).collect();
        let (log_seq, log_head) = (self.0["head"]["log_seq"].clone(), self.0["head"]["log_head"].clone());
        self.head(&chain, log_seq.as_u64().unwrap(), log_head.as_str().unwrap());
        self
    }

    fn head(&mut self, chain: &Chain, n: u64, sum: &str) {
        let log = Position { n, sum: sum.to_owned() };
        let at = Timestamp::parse(self.0["head"]["at"].as_str().unwrap()).unwrap();
        let id = SessionId::new("default").unwrap();
        let head = Head::sign(id, at, chain, &log, &signing(OWN_2)).unwrap();
        self.0["head"] = serde_json::to_value(head).unwrap();
    }

    /// The log is another one, with good checksums, and the coordinator has sealed and signed that.
    #[must_use]
    pub(super) fn with_log(mut self, change: impl Fn(u64, &mut Value)) -> Self {
        let mut prev = "0".repeat(64);
        let mut records = Vec::new();
        for (n, text) in self.log().iter().enumerate() {
            let mut record: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
            record["prev"] = prev.clone().into();
            change(n as u64 + 1, &mut record["entry"]);
            if record["entry"]["kind"] == "seal" {
                let entry = &mut record["entry"];
                let by = if entry["signature"]
                    .as_str()
                    .unwrap()
                    .contains(&public(OWN).fingerprint().to_string())
                {
                    OWN
                } else {
                    OWN_2
                };
                entry["head"] = prev.into();
                let bytes = signed_bytes(&entry.to_string()).unwrap();
                entry["signature"] = signing(by).over(bytes.as_bytes()).to_string().into();
            }
            let text = record.to_string();
            prev = sha256(&text);
            records.push(Value::from(text));
        }
        let mut chain = Chain::default();
        for link in self.chain() {
            chain.follow(&link.to_string()).unwrap();
        }
        let n = records.len() as u64;
        *self.log() = records;
        self.head(&chain, n, &prev);
        self
    }

    /// Older entries left the session otherwise, by whoever has no key: its checksum is good, and nobody has signed it.
    #[must_use]
    pub(super) fn with_base(mut self, change: impl Fn(&mut Value)) -> Self {
        let base = self.0["base"].as_str().unwrap();
        self.0["base"] = other_base(base, change).into();
        self
    }

    /// What the coordinator might say, though nothing asks for it.
    pub(super) fn word(id: &str) -> Message {
        let coordinator = SessionConfig::new(SessionId::new("default").unwrap()).coordinator_id();
        let envelope = json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": "COORDINATOR_STATUS", "message_id": id,
            "session_id": "default", "ts": "2026-01-02T03:04:09Z",
            "sender": {
                "principal_id": coordinator, "principal_type": "service", "sender_instance_id": "x",
            },
            "payload": {"event": "heartbeat", "coordinator_id": coordinator, "session_health": "healthy"},
        });
        let at = Timestamp::parse("2026-01-02T03:04:09Z").unwrap();
        let mut message = Message { at, outbound: true, envelope };
        message.sign();
        message
    }
}

/// A base that says something else.
pub(super) fn other_base(text: &str, change: impl Fn(&mut Value)) -> String {
    let mut base = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    change(&mut base);
    let json = base.to_string();
    format!("{}\n{json}\n", sha256(&json))
}
