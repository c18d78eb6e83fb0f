//! Somebody on a connection who speaks the protocol: well, or in somebody else's name.

use std::time::{SystemTime, UNIX_EPOCH};

use mpac_wire::Timestamp;
use serde_json::{Value, json};

use super::people::Person;
use super::wire::{Heard, Socket};
use crate::step::Failure;

/// What a server answered.
pub(super) const ACCEPTED: &str = "accepted";

/// A connection, and in whose name it speaks.
pub(super) struct Member {
    pub(super) socket: Socket,
    pub(super) who: String,
    pub(super) session: String,
    /// Which of several processes of that name.
    pub(super) instance: String,
    /// Of the last message.
    pub(super) lamport: u64,
    /// What came while something else was awaited, since it was last looked at.
    pub(super) missed: Vec<Value>,
    /// Whoever signs what is said here.
    pub(super) person: Option<Person>,
}

impl Member {
    pub(super) fn new(socket: Socket, who: &str) -> Self {
        Self {
            socket,
            who: who.to_owned(),
            session: "default".to_owned(),
            instance: format!("{who}:1"),
            lamport: 0,
            missed: Vec::new(),
            person: None,
        }
    }

    /// The next message of this member, with an id that nobody else uses.
    pub(super) fn envelope(&mut self, message_type: &str, payload: &Value) -> Value {
        self.lamport += 1;
        json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": message_type,
            "message_id": format!("{}-{}-{}", self.instance, self.lamport, micros()),
            "session_id": self.session,
            "sender": {"principal_id": self.who, "principal_type": "agent", "sender_instance_id": self.instance},
            "ts": ts(0), "payload": payload, "watermark": {"kind": "lamport_clock", "value": self.lamport},
        })
    }

    /// Sends any text.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn send(&mut self, text: &str) -> Result<(), Failure> {
        self.socket.text(text).map_err(Failure::io(format!("send as {}", self.who)))
    }

    /// The next frame that is meant.
    ///
    /// # Errors
    /// The connection ends, or nothing of the kind comes.
    pub(super) fn until(&mut self, is_meant: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        loop {
            let frame = match self.socket.next()? {
                Heard::Text(text) => serde_json::from_str::<Value>(&text)
                    .map_err(|error| Failure::check(format!("a server sent {text:?}: {error}")))?,
                Heard::Pong => continue,
                over => return Err(Failure::check(format!("{} was cut off: {over:?}", self.who))),
            };
            if is_meant(&frame) {
                return Ok(frame);
            }
            self.missed.push(frame);
        }
    }

    /// What the server makes of an envelope, signed where somebody signs and nobody has: [`ACCEPTED`], SESSION_INFO, or the code of its refusal.
    ///
    /// # Errors
    /// No answer.
    pub(super) fn told(&mut self, envelope: &Value) -> Result<String, Failure> {
        let text = match &self.person {
            Some(person) if envelope["signature"].is_null() => {
                let mut signed = envelope.clone();
                signed["signature"] = person.signature(envelope)?.into();
                signed.to_string()
            }
            _ => envelope.to_string(),
        };
        self.told_of(&text, envelope)
    }

    /// The same for a text that need not be what the envelope says.
    ///
    /// # Errors
    /// No answer.
    pub(super) fn told_of(&mut self, text: &str, envelope: &Value) -> Result<String, Failure> {
        self.send(text)?;
        let (id, is_hello) = (envelope["message_id"].clone(), envelope["message_type"] == "HELLO");
        let answer = self.until(|frame| {
            frame["payload"]["refers_to"] == id && frame["message_type"] == "PROTOCOL_ERROR"
                || frame["message_id"] == id
                || is_hello && frame["message_type"] == "SESSION_INFO"
        })?;
        Ok(match answer["payload"]["error_code"].as_str() {
            Some(code) => code.to_owned(),
            None if is_hello => "SESSION_INFO".to_owned(),
            None => ACCEPTED.to_owned(),
        })
    }

    /// The same for a message of this member.
    ///
    /// # Errors
    /// No answer.
    pub(super) fn say(&mut self, message_type: &str, payload: &Value) -> Result<String, Failure> {
        let envelope = self.envelope(message_type, payload);
        self.told(&envelope)
    }

    pub(super) fn hello(&mut self, credential: &Value) -> Result<String, Failure> {
        self.say("HELLO", &hello(credential))
    }

    /// The code with which a text is refused that need not be a message.
    ///
    /// # Errors
    /// It is not refused.
    pub(super) fn refused(&mut self, text: &str) -> Result<String, Failure> {
        self.send(text)?;
        let answer =
            self.until(|frame| frame["message_type"] == "PROTOCOL_ERROR" || frame["type"] == "FILE_ERROR")?;
        let code = answer["payload"]["error_code"].as_str().or_else(|| answer["error"].as_str());
        code.map(str::to_owned).ok_or_else(|| Failure::check(format!("no code in {answer}")))
    }

    pub(super) fn announce(&mut self, intent: &str, file: &str) -> Result<String, Failure> {
        self.say("INTENT_ANNOUNCE", &announcement(intent, file))
    }

    /// The answer to a request that is no message.
    ///
    /// # Errors
    /// No answer.
    pub(super) fn ask(&mut self, request: &Value) -> Result<Value, Failure> {
        self.send(&request.to_string())?;
        self.until(|frame| frame["message_type"].is_null() && frame["type"] != "FILE_UPDATED")
    }

    /// Waits until everything sent on this connection before is worked off.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        self.ask(&json!({"type": "FILE_LIST"})).map(drop)
    }
}

/// The payload of a HELLO.
pub(super) fn hello(credential: &Value) -> Value {
    let mut payload = json!({"display_name": "x", "roles": ["contributor"], "capabilities": []});
    if !credential.is_null() {
        payload["credential"] = credential.clone();
    }
    payload
}

pub(super) fn announcement(intent: &str, file: &str) -> Value {
    let scope = json!({"kind": "file_set", "resources": [file]});
    json!({"intent_id": intent, "objective": "work", "scope": scope})
}

pub(super) fn api_key(secret: &str) -> Value {
    json!({"type": "api_key", "value": secret})
}

/// So many seconds from now, as a message says it.
pub(super) fn ts(sec: i64) -> String {
    Timestamp::from_micros(micros() + sec * 1_000_000).to_string()
}

/// Microseconds since 1970.
pub(super) fn micros() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or_default()
}
