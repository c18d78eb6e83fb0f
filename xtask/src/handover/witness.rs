//! Somebody who joins a session and listens to what its coordinator says.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mpac_wire::StateRef;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::step::Failure;

/// A server that says nothing for so long is stuck.
const ANSWER: Duration = Duration::from_secs(20);

static JOINED: AtomicU64 = AtomicU64::new(0);

/// One connection.
pub(super) struct Witness {
    name: String,
    instance: String,
    socket: WebSocket<TcpStream>,
    sent: u64,
    /// What SESSION_INFO said.
    pub(super) epoch: u64,
}

impl Witness {
    pub(super) fn join(url: &str, name: &str) -> Result<Self, Failure> {
        let address = url.trim_start_matches("ws://");
        let stream = TcpStream::connect(address).map_err(Failure::io(format!("connect to {url}")))?;
        let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(ANSWER)));
        prepared.map_err(Failure::io("set up a socket"))?;
        let (socket, _) = tungstenite::client(url, stream)
            .map_err(|error| Failure::check(format!("{url} takes no connection: {error}")))?;
        // Each connection is an incarnation of its own, which counts from the beginning.
        let instance = format!("{name}:{}", JOINED.fetch_add(1, Ordering::Relaxed));
        let mut witness = Self { name: name.to_owned(), instance, socket, sent: 0, epoch: 0 };
        let hello = json!({"display_name": name, "roles": ["contributor"], "capabilities": []});
        witness.say("HELLO", &hello)?;
        let info = witness.until(|frame| frame["message_type"] == "SESSION_INFO")?;
        witness.epoch = info["coordinator_epoch"].as_u64().unwrap_or_default();
        Ok(witness)
    }

    /// The next COORDINATOR_STATUS that tells of this.
    pub(super) fn status(&mut self, event: &str) -> Result<Value, Failure> {
        self.until(|frame| {
            frame["message_type"] == "COORDINATOR_STATUS" && frame["payload"]["event"] == event
        })
    }

    /// Sends a commit, and waits for nothing.
    pub(super) fn commit(&mut self, file: &str, content: &str) -> Result<(), Failure> {
        let (before, after) = (StateRef::of(""), StateRef::of(content));
        let mut changes = json!({});
        changes[file] = json!({"content": content, "state_ref_before": before.as_str()});
        let payload = json!({
            "op_id": format!("{}-{file}", self.name), "target": file, "op_kind": "replace",
            "state_ref_before": before.as_str(), "state_ref_after": after.as_str(), "file_changes": changes,
        });
        self.say("OP_COMMIT", &payload)
    }

    /// The content of a file; `None` where there is none.
    pub(super) fn read(&mut self, file: &str) -> Result<Option<String>, Failure> {
        self.send(&json!({"type": "FILE_READ", "path": file}))?;
        let answer = self.until(|frame| {
            (frame["type"] == "FILE_CONTENT" || frame["type"] == "FILE_ERROR") && frame["path"] == file
        })?;
        Ok(answer["content"].as_str().map(str::to_owned))
    }

    /// Listens to the end: the close code, and the epochs of all that was still said.
    pub(super) fn end(mut self) -> Result<(u16, Vec<u64>), Failure> {
        let mut epochs = Vec::new();
        loop {
            match self.frame() {
                Ok(Message::Text(text)) => {
                    epochs.extend(parse(&text)?["coordinator_epoch"].as_u64());
                }
                Ok(Message::Close(frame)) => {
                    return Ok((frame.map_or(1005, |frame| frame.code.into()), epochs));
                }
                Ok(_) => {}
                Err(error) => return Err(Failure::check(format!("{} was cut off: {error}", self.name))),
            }
        }
    }

    fn say(&mut self, message_type: &str, payload: &Value) -> Result<(), Failure> {
        self.sent += 1;
        let envelope = json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": message_type,
            "message_id": format!("{}-{}", self.instance, self.sent), "session_id": "default",
            "sender": {
                "principal_id": self.name, "principal_type": "agent", "sender_instance_id": self.instance,
            },
            "ts": "2026-01-02T03:04:05Z", "payload": payload,
            "watermark": {"kind": "lamport_clock", "value": self.sent},
        });
        self.send(&envelope)
    }

    fn send(&mut self, value: &Value) -> Result<(), Failure> {
        let sent = self.socket.send(Message::text(value.to_string()));
        sent.map_err(|error| Failure::check(format!("{} cannot send: {error}", self.name)))
    }

    /// The next frame; a read that a signal to this process broke off is nothing that the server did.
    fn frame(&mut self) -> tungstenite::Result<Message> {
        loop {
            match self.socket.read() {
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                came => return came,
            }
        }
    }

    fn until(&mut self, is_meant: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let until = Instant::now() + ANSWER;
        loop {
            if Instant::now() > until {
                return Err(Failure::check(format!("{} waits in vain", self.name)));
            }
            let message = self.frame();
            let message =
                message.map_err(|error| Failure::check(format!("{} hears nothing: {error}", self.name)))?;
            if let Message::Text(text) = message {
                let frame = parse(&text)?;
                if is_meant(&frame) {
                    return Ok(frame);
                }
            }
        }
    }
}

fn parse(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::check(format!("a frame is not JSON: {error}")))
}
