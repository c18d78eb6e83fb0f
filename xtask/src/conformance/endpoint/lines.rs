//! A coordinator that speaks the lines of `mpac-ws drive`, in this process or in another, under virtual time.

use std::collections::{BTreeMap, BTreeSet};

use mpac_wire::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::story::Local;
use super::{Endpoint, Event, Setup, Trouble, What};

/// When every session under virtual time is opened.
const EPOCH: &str = "2026-01-01T00:00:00Z";

/// Answers one request, a line, with one line.
pub(in super::super) trait Ask {
    fn ask(&mut self, request: &str) -> Result<String, Trouble>;
}

/// An answer. Messages stay the text they are: the order of their members is looked at.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    out: Vec<Out>,
    #[serde(default)]
    closed: Vec<Closed>,
    #[serde(default)]
    snapshot: Value,
    at: Option<String>,
}

#[derive(Deserialize)]
struct Out {
    to: Value,
    #[serde(alias = "message")]
    envelope: Box<RawValue>,
}

#[derive(Deserialize)]
struct Closed {
    conn: String,
    code: u16,
}

/// What of a message says who speaks where.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    message_type: String,
}

/// The protocol around it.
pub(in super::super) struct Lines<A> {
    asked: A,
    opened: Timestamp,
    now: Timestamp,
    config: Value,
    /// Who speaks on which connection, as the coordinator sees it.
    speakers: BTreeMap<String, String>,
    /// Connections that have begun and not ended.
    begun: BTreeSet<String>,
    saved: Option<Value>,
}

impl<A: Ask> Lines<A> {
    pub(in super::super) fn new(asked: A) -> Self {
        // A literal that is a time.
        let epoch = Timestamp::parse(EPOCH).unwrap_or(Timestamp::from_micros(0));
        Self {
            asked,
            opened: epoch,
            now: epoch,
            config: Value::Null,
            speakers: BTreeMap::new(),
            begun: BTreeSet::new(),
            saved: None,
        }
    }

    fn ask(&mut self, mut request: Value) -> Result<Answer, Trouble> {
        request["now"] = json!(self.now.to_string());
        let command = request["cmd"].to_string();
        self.ask_line(&command, &request.to_string())
    }

    /// A frame as it is written: how its numbers are spelled, and in which order its members stand, is part of it. What is no
    /// JSON object goes as text.
    fn ask_frame(&mut self, conn: &str, frame: &str) -> Result<Answer, Trouble> {
        let is_object = serde_json::from_str::<serde_json::Map<String, Value>>(frame).is_ok();
        let (member, value) = if is_object {
            ("envelope", mpac_wire::layout::compact(frame))
        } else {
            ("text", json!(frame).to_string())
        };
        let (conn, now) = (json!(conn), json!(self.now.to_string()));
        let line = format!(r#"{{"cmd":"message","now":{now},"conn":{conn},"{member}":{value}}}"#);
        self.ask_line("message", &line)
    }

    fn ask_line(&mut self, command: &str, line: &str) -> Result<Answer, Trouble> {
        let line = self.asked.ask(line)?;
        let answer: Answer = serde_json::from_str(&line)
            .map_err(|error| Trouble::Broken(format!("not an answer ({error}): {line}")))?;
        if answer.ok {
            return Ok(answer);
        }
        let problem = format!("{}: {}", answer.error["code"], answer.error["message"]);
        Err(Trouble::Broken(format!("{command} was refused: {problem}")))
    }

    /// The outputs of an answer, each to its receivers; then connections that the coordinator closes end.
    fn events(&mut self, answer: &Answer, asking: Option<(&str, &Value)>) -> Result<Vec<Event>, Trouble> {
        let mut events = Vec::new();
        for out in &answer.out {
            let text = out.envelope.get();
            for conn in self.receivers(out, text, asking)? {
                events.push(Event { conn, what: What::Frame(text.to_owned()) });
            }
        }
        for Closed { conn, code } in &answer.closed {
            self.speakers.remove(conn);
            if !self.begun.remove(conn) {
                return Err(Trouble::Broken(format!("it closes `{conn}`, which is no connection")));
            }
            events.push(Event { conn: conn.clone(), what: What::Closed(*code) });
            events.extend(self.told(json!({"cmd": "disconnect", "conn": conn}))?);
        }
        Ok(events)
    }

    fn receivers(
        &mut self,
        out: &Out,
        text: &str,
        asking: Option<(&str, &Value)>,
    ) -> Result<Vec<String>, Trouble> {
        Ok(match (&out.to, asking) {
            (Value::String(word), Some((conn, frame))) if word == "sender" => {
                // The sender of an accepted HELLO speaks on this connection from here on.
                let kind =
                    serde_json::from_str::<Kind>(text).map(|kind| kind.message_type).unwrap_or_default();
                if kind == "SESSION_INFO"
                    && let Some(principal) = frame["sender"]["principal_id"].as_str()
                {
                    self.speakers.retain(|_, speaker| speaker != principal);
                    self.speakers.insert(conn.to_owned(), principal.to_owned());
                }
                vec![conn.to_owned()]
            }
            (Value::Array(principals), _) => {
                let addressed = |speaker: &String| principals.iter().any(|it| it == speaker.as_str());
                let conns = self.speakers.iter().filter(|(_, speaker)| addressed(speaker));
                conns.map(|(conn, _)| conn.clone()).collect()
            }
            (Value::String(word), _) if word == "all" => self.speakers.keys().cloned().collect(),
            (to, _) => return Err(Trouble::Broken(format!("nobody is meant by \"to\":{to}: {text}"))),
        })
    }

    fn told(&mut self, request: Value) -> Result<Vec<Event>, Trouble> {
        let answer = self.ask(request)?;
        self.events(&answer, None)
    }

    fn save(&mut self) -> Result<(), Trouble> {
        self.saved = Some(self.ask(json!({"cmd": "snapshot"}))?.snapshot);
        Ok(())
    }

    fn restore(&mut self) -> Result<(), Trouble> {
        let saved = self.saved.clone().ok_or_else(|| Trouble::Broken("nothing was saved".to_owned()))?;
        self.speakers.clear();
        self.begun.clear();
        self.ask(json!({"cmd": "restore", "config": self.config, "snapshot": saved})).map(drop)
    }
}

impl<A: Ask> Endpoint for Lines<A> {
    fn open(&mut self, setup: &Setup<'_>) -> Result<(), Trouble> {
        self.config = setup.config();
        let opened = self.ask(json!({"cmd": "open", "seed": 1, "config": self.config}));
        opened.map(drop).map_err(|trouble| match trouble {
            Trouble::Broken(problem) if problem.contains("INVALID_CONFIG") => Trouble::Refused(problem),
            other => other,
        })
    }

    fn advance(&mut self, seconds: f64) -> Result<Vec<Event>, Trouble> {
        let until = Timestamp::from_micros(self.opened.micros() + (seconds * 1e6).round() as i64);
        let mut events = Vec::new();
        if until <= self.now {
            return Ok(events);
        }
        loop {
            let answer = self.ask(json!({"cmd": "next_deadline"}))?;
            let parsed = answer.at.as_deref().map(Timestamp::parse).transpose();
            let due = parsed
                .map_err(|error| Trouble::Broken(format!("next_deadline is at {:?}: {error}", answer.at)))?;
            let Some(due) = due.filter(|due| *due <= until) else { break };
            let overdue = due < self.now;
            self.now = due.max(self.now);
            events.extend(self.told(json!({"cmd": "tick"}))?);
            let again = self.ask(json!({"cmd": "next_deadline"}))?;
            if again.at == answer.at && !overdue {
                return Err(Trouble::Broken(format!("a timer stays due at {:?}", answer.at)));
            }
            if again.at == answer.at {
                break; // what is due already and stays so waits for the next input
            }
        }
        self.now = until;
        events.extend(self.told(json!({"cmd": "tick"}))?);
        Ok(events)
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn send(&mut self, conn: &str, frame: &str) -> Result<Vec<Event>, Trouble> {
        self.begun.insert(conn.to_owned());
        let answer = self.ask_frame(conn, frame)?;
        let value: Value = serde_json::from_str(frame).unwrap_or_default();
        let events = self.events(&answer, Some((conn, &value)))?;
        let refused =
            |event: &Event| matches!(&event.what, What::Frame(text) if text.contains("\"PROTOCOL_ERROR\""));
        if value["message_type"] == "GOODBYE" && !events.iter().any(refused) {
            self.speakers.remove(conn); // who has left hears nothing more
        }
        Ok(events)
    }

    fn disconnect(&mut self, conn: &str) -> Result<Vec<Event>, Trouble> {
        self.speakers.remove(conn);
        self.begun.remove(conn);
        self.told(json!({"cmd": "disconnect", "conn": conn}))
    }

    fn local(&mut self, local: &Local) -> Result<Vec<Event>, Trouble> {
        match local {
            Local::Close { reason, disposition } => {
                let mut request = json!({"cmd": "close", "reason": reason});
                if let Some(disposition) = disposition {
                    request["disposition"] = json!(disposition);
                }
                self.told(request)
            }
            Local::Beat => self.told(json!({"cmd": "status", "event": "heartbeat"})),
            Local::HandOver { to, epoch } => {
                let mut request = json!({"cmd": "status", "event": "handover", "successor": to});
                if let Some(epoch) = epoch {
                    request["next_epoch"] = json!(epoch);
                }
                self.told(request)
            }
            Local::Save => self.save().map(|()| Vec::new()),
            Local::Restore => self.restore().map(|()| Vec::new()),
            Local::Load { snapshot } => {
                self.saved = Some(snapshot.clone());
                self.restore().map(|()| Vec::new())
            }
            Local::Stop => Err(Trouble::Skip("there is no process to stop".to_owned())),
            Local::Restart => {
                self.save()?;
                self.restore().map(|()| Vec::new())
            }
        }
    }

    fn snapshot(&mut self) -> Result<Option<Value>, Trouble> {
        Ok(Some(self.ask(json!({"cmd": "snapshot"}))?.snapshot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one answer after the other, the last for ever.
    struct Says(Vec<&'static str>);

    impl Ask for Says {
        fn ask(&mut self, _: &str) -> Result<String, Trouble> {
            Ok(if self.0.len() > 1 { self.0.remove(0) } else { self.0[0] }.to_owned())
        }
    }

    fn broken(outcome: Result<Vec<Event>, Trouble>) -> String {
        match outcome {
            Err(Trouble::Broken(problem)) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_told_and_not_guessed_at() {
        let says = |answer: &'static str| broken(Lines::new(Says(vec![answer])).send("alice", "{}"));
        assert!(says("hello").starts_with("not an answer"));
        assert!(says(r#"{"ok":false,"error":{"code":"X","message":"no"}}"#).contains("message"));
        let out = r#"{"ok":true,"out":[{"to":"everybody","envelope":{}}]}"#;
        assert!(says(out).contains("nobody is meant by \"to\":\"everybody\""));
        assert!(says(r#"{"ok":true,"closed":[{"conn":"bob","code":1008}]}"#).contains("`bob`"));
        let to_sender = r#"{"ok":true,"at":"2026-01-01T00:00:01Z","out":[{"to":"sender","envelope":{}}]}"#;
        assert!(broken(Lines::new(Says(vec![to_sender])).advance(2.0)).contains("\"sender\""), "of a timer");
        assert!(broken(Lines::new(Says(vec![r#"{"ok":true,"at":"soon"}"#])).advance(2.0)).contains("soon"));
    }

    #[test]
    fn a_connection_ends_once_however_often_it_is_closed() {
        let closes = r#"{"ok":true,"closed":[{"conn":"alice","code":1008}]}"#;
        assert!(broken(Lines::new(Says(vec![closes])).send("alice", "{}")).contains("no connection"));
        let events = Lines::new(Says(vec![closes, r#"{"ok":true}"#])).send("alice", "{}").unwrap();
        assert_eq!(events, [Event { conn: "alice".to_owned(), what: What::Closed(1008) }]);
    }
}
