//! A coordinator with just the rules that matter to one who comes back, which breaks the connection at a step of the
//! test's choice. What it knows outlives its connections.
//!
//! A step is a frame that it is about to take, and each frame that it is about to send: a break there loses the frame. So a
//! break at each step in turn is a break before and after each receipt and each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::{SinkExt as _, StreamExt as _};
use mpac_wire::StateRef;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::fake_coordinator::{info, report};

/// How it differs from ours, and what happens when it breaks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// It knows no summaries, and takes whatever comes under an id that it has: as the Python servers.
    pub(crate) simple: bool,
    /// A break is its end: intents and operations are gone after it.
    pub(crate) forgets: bool,
    /// Somebody else's intent was there first, and the two are in conflict.
    pub(crate) conflict: bool,
    /// With its end the files are as they were at first, too.
    pub(crate) loses_files: bool,
    /// At the break somebody else commits: a line at the end of each file.
    pub(crate) busy: bool,
    /// At the break the intents of whoever is away expire.
    pub(crate) expires: bool,
    /// While somebody is away, somebody else's intent takes the files, until so many announces were refused.
    pub(crate) taken_for: usize,
}

/// What it knows.
#[derive(Default)]
pub(crate) struct State {
    manner: Manner,
    steps: usize,
    breaks_at: Vec<usize>,
    epoch: u64,
    clock: u64,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) live: BTreeSet<String>,
    ended: BTreeSet<String>,
    ops: BTreeSet<String>,
    /// The file of each commit that was applied.
    pub(crate) applied: Vec<String>,
    refusals_left: usize,
    pub(crate) hellos: Vec<Value>,
    broken: usize,
    /// The task was over for the agent.
    pub(crate) said_goodbye: bool,
}

/// The running coordinator.
pub(crate) struct Small {
    pub(crate) url: String,
    pub(crate) state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Drop for Small {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Small {
    /// Breaks at these steps, counted from 0 over all connections.
    pub(crate) async fn start(manner: Manner, breaks_at: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let files = ["a.py", "b.py"].map(|file| (file.to_owned(), "old\n".to_owned()));
        let state = State { manner, breaks_at, epoch: 1, files: files.into(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
                    serve(socket, &shared).await;
                }
            }
        });
        Self { url, state, serving }
    }

    /// How often it has broken a connection.
    pub(crate) fn broken(&self) -> usize {
        self.state.lock().unwrap().broken
    }
}

/// Until the connection ends or is broken.
async fn serve(mut socket: WebSocketStream<TcpStream>, state: &Mutex<State>) {
    while let Some(Ok(frame)) = socket.next().await {
        let Frame::Text(text) = frame else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if ["HEARTBEAT", "CONFLICT_ACK", "INTENT_DEFERRED"].iter().any(|kind| frame["message_type"] == *kind)
        {
            continue; // which comes when it likes
        }
        state.lock().unwrap().said_goodbye |= frame["message_type"] == "GOODBYE";
        if state.lock().unwrap().breaks() {
            return;
        }
        let answers = state.lock().unwrap().take(&frame);
        for answer in answers {
            if state.lock().unwrap().breaks() {
                return;
            }
            if socket.send(Frame::text(answer.to_string())).await.is_err() {
                return;
            }
        }
    }
}

impl State {
    /// Counts a step: whether the connection breaks there.
    fn breaks(&mut self) -> bool {
        let now = self.breaks_at.contains(&self.steps);
        self.steps += 1;
        if now {
            self.broke();
        }
        now
    }

    fn broke(&mut self) {
        self.broken += 1;
        if self.manner.forgets {
            (self.live, self.ended, self.ops) = Default::default();
        }
        if self.manner.forgets || self.manner.busy {
            self.epoch += u64::from(!self.manner.simple);
        }
        if self.manner.expires {
            self.ended.append(&mut self.live);
        }
        if self.manner.loses_files {
            self.files.values_mut().for_each(|text| "old\n".clone_into(text));
        }
        if self.manner.busy {
            self.files.values_mut().for_each(|text| text.push_str("alice\n"));
        }
        if self.manner.taken_for > 0 {
            self.ended.append(&mut self.live);
            self.refusals_left = self.manner.taken_for;
        }
    }

    fn take(&mut self, frame: &Value) -> Vec<Value> {
        let payload = &frame["payload"];
        match frame["message_type"].as_str().or_else(|| frame["type"].as_str()).unwrap() {
            "HELLO" => {
                self.hellos.push(frame.clone());
                let epochs = self.epoch;
                vec![self.say("SESSION_INFO", &info(json!({"participant_count": epochs})))]
            }
            "FILE_LIST" => {
                let files = self.files.iter().map(
                    |(path, text)| json!({"path": path, "state_ref": StateRef::of(text).as_str(), "size": text.len()}),
                );
                vec![json!({"type": "FILE_LIST_RESPONSE", "files": files.collect::<Vec<_>>()})]
            }
            "FILE_READ" => {
                let Some(text) = self.files.get(frame["path"].as_str().unwrap()) else {
                    return vec![
                        json!({"type": "FILE_ERROR", "path": frame["path"], "error": "File not found"}),
                    ];
                };
                let state_ref = StateRef::of(text);
                vec![
                    json!({"type": "FILE_CONTENT", "path": frame["path"], "content": text, "state_ref": state_ref.as_str()}),
                ]
            }
            "INTENT_ANNOUNCE" => self.announced(frame, payload["intent_id"].as_str().unwrap()),
            "INTENT_WITHDRAW" => {
                let id = payload["intent_id"].as_str().unwrap();
                if !self.live.remove(id) {
                    return vec![self.refuse(frame, "INVALID_REFERENCE", "unknown intent")];
                }
                self.ended.insert(id.to_owned());
                vec![frame.clone()]
            }
            "OP_COMMIT" => self.committed(frame, payload),
            "OP_BATCH_COMMIT" => self.committed_together(frame, payload),
            "PROTOCOL_ERROR" if !self.manner.simple => vec![self.summary()],
            "PROTOCOL_ERROR" | "GOODBYE" => vec![],
            other => panic!("{other}"),
        }
    }

    fn announced(&mut self, frame: &Value, id: &str) -> Vec<Value> {
        if self.refusals_left > 0 {
            self.refusals_left -= 1;
            let mut error =
                self.refuse(frame, "STALE_INTENT", "taken by intent i-alice (principal agent:Alice)");
            let holders =
                json!([{"intent_id": "i-alice", "principal_id": "agent:Alice", "resources": ["a.py"]}]);
            error["payload"]["extensions"] = json!({"mpac": {"holders": holders}});
            let scope = json!({"kind": "file_set", "resources": ["a.py"]});
            let theirs = json!({"intent_id": "i-alice", "objective": "hers", "scope": scope});
            let began = self.relay_alice("INTENT_ANNOUNCE", &theirs);
            // She is done right after she was in the way; the announce that follows is refused again, or not.
            let over = json!({"intent_id": "i-alice", "reason": "task_completed"});
            let done = self.relay_alice("INTENT_WITHDRAW", &over);
            return vec![began, error, done];
        }
        if !self.manner.simple && (self.live.contains(id) || self.ended.contains(id)) {
            return vec![self.refuse(frame, "MALFORMED_MESSAGE", &format!("duplicate intent_id \"{id}\""))];
        }
        self.live.insert(id.to_owned());
        let mut answers = vec![frame.clone()];
        if self.manner.conflict {
            answers.push(self.say("CONFLICT_REPORT", &conflict(id)));
        }
        answers
    }

    fn committed(&mut self, frame: &Value, payload: &Value) -> Vec<Value> {
        let (op, path) = (payload["op_id"].as_str().unwrap(), payload["target"].as_str().unwrap());
        let intent = payload["intent_id"].as_str().unwrap();
        if !self.manner.simple && self.ops.contains(op) {
            return vec![self.refuse(frame, "STALE_STATE_REF", &format!("duplicate op_id \"{op}\""))];
        }
        if !self.live.contains(intent) {
            // As ours: recorded, and rejected.
            self.ops.insert(op.to_owned());
            let reject = self.say("OP_REJECT", &json!({"op_id": op, "reason": "intent_terminated"}));
            return vec![reject];
        }
        if StateRef::of(&self.files[path]).as_str() != payload["state_ref_before"] {
            return vec![self.refuse(frame, "STALE_STATE_REF", "it has moved on")];
        }
        self.ops.insert(op.to_owned());
        self.applied.push(path.to_owned());
        let text = payload["file_changes"][path]["content"].as_str().unwrap();
        self.files.insert(path.to_owned(), text.to_owned());
        let mut relayed = frame.clone();
        relayed["payload"].as_object_mut().unwrap().remove("file_changes");
        let updated = json!({"type": "FILE_UPDATED", "path": path, "state_ref": payload["state_ref_after"],
            "updated_by": frame["sender"]["principal_id"]});
        vec![relayed, updated]
    }

    /// All or nothing, as ours: only a batch that was accepted is remembered.
    fn committed_together(&mut self, frame: &Value, payload: &Value) -> Vec<Value> {
        assert!(!self.manner.simple, "a batch that would lose its texts: {frame}");
        assert_eq!(payload["atomicity"], "all_or_nothing");
        let (batch, intent) = (payload["batch_id"].as_str().unwrap(), payload["intent_id"].as_str().unwrap());
        if self.ops.contains(batch) {
            return vec![self.refuse(frame, "MALFORMED_MESSAGE", &format!("duplicate batch_id \"{batch}\""))];
        }
        let reject = |reason: &str, stale: &[&Value]| {
            let reasons: Value = stale
                .iter()
                .map(|op| (op.as_str().unwrap().to_owned(), json!("STALE_STATE_REF")))
                .collect::<serde_json::Map<_, _>>()
                .into();
            json!({"op_id": batch, "reason": reason, "rejected_ops": stale, "reasons": reasons})
        };
        if !self.live.contains(intent) {
            return vec![self.say("OP_REJECT", &json!({"op_id": batch, "reason": "intent_terminated"}))];
        }
        let entries = payload["operations"].as_array().unwrap();
        let state = |entry: &Value| StateRef::of(&self.files[entry["target"].as_str().unwrap()]);
        let stale: Vec<&Value> = entries
            .iter()
            .filter(|entry| state(entry).as_str() != entry["state_ref_before"])
            .map(|entry| &entry["op_id"])
            .collect();
        if !stale.is_empty() {
            return vec![self.say("OP_REJECT", &reject("batch_validation_failed", &stale))];
        }
        self.ops.insert(batch.to_owned());
        let mut answers = vec![frame.clone()];
        answers[0]["payload"].as_object_mut().unwrap().remove("file_changes");
        for entry in entries {
            assert_eq!(entry["intent_id"], intent);
            let path = entry["target"].as_str().unwrap();
            self.applied.push(path.to_owned());
            let text = payload["file_changes"][path]["content"].as_str().unwrap();
            self.files.insert(path.to_owned(), text.to_owned());
            answers.push(json!({"type": "FILE_UPDATED", "path": path, "state_ref": entry["state_ref_after"],
                "updated_by": frame["sender"]["principal_id"]}));
        }
        answers
    }

    fn summary(&self) -> Value {
        let intents = self.live.iter().map(|id| {
            json!({"intent_id": id, "principal_id": "agent:Bob", "objective": "o", "state": "ACTIVE",
                "scope": {"kind": "file_set", "resources": ["a.py", "b.py"]}, "claimed_by": null})
        });
        let conflicts: Vec<Value> = match self.live.first().filter(|_| self.manner.conflict) {
            Some(id) => vec![conflict(id)],
            None => vec![],
        };
        let session = json!({"session_id": "s", "workspace_dir": null, "captured_at": "2026-01-02T03:04:05Z",
            "participant_count": 1, "active_intent_count": self.live.len(), "open_conflict_count": 0,
            "participants": [], "active_intents": intents.collect::<Vec<_>>(), "open_conflicts": conflicts});
        json!({"type": "SESSION_SUMMARY_RESPONSE", "session": session})
    }

    fn relay_alice(&mut self, kind: &str, payload: &Value) -> Value {
        let mut message = self.say(kind, payload);
        message["sender"]["principal_id"] = json!("agent:Alice");
        message.as_object_mut().unwrap().remove("coordinator_epoch");
        message
    }

    fn refuse(&mut self, frame: &Value, code: &str, text: &str) -> Value {
        let payload = json!({"error_code": code, "description": text, "refers_to": frame["message_id"]});
        self.say("PROTOCOL_ERROR", &payload)
    }

    fn say(&mut self, kind: &str, payload: &Value) -> Value {
        self.clock += 1;
        json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": kind, "message_id": format!("c-{}", self.clock),
            "session_id": "s", "ts": "2026-01-02T03:04:05Z", "payload": payload,
            "sender": {"principal_id": "service:coordinator-s", "principal_type": "service",
                "sender_instance_id": format!("service:coordinator-s:epoch-{}", self.epoch)},
            "watermark": {"kind": "lamport_clock", "value": 100 + self.clock}, "coordinator_epoch": self.epoch,
        })
    }
}

/// As a report, and as a summary lists it.
fn conflict(ours: &str) -> Value {
    let mut conflict = report(&format!("c-{ours}"), ours, "i-alice", "agent:Alice");
    conflict["state"] = json!("OPEN");
    conflict
}
