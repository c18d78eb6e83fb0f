//! Somebody who works in a session and remembers what they were told.
//!
//! Every commit adds one line with its own id to a file, so a file shows which commits are in it, and how often.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use mpac_wire::StateRef;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// A server that does not answer for so long is stuck.
const ANSWER: Duration = Duration::from_secs(30);

/// One person and everything they remember across the server's lives.
pub(crate) struct Person {
    name: String,
    /// Messages sent, which is also the Lamport value of the last.
    sent: u64,
    ops: u64,
    /// File and id of each commit that came back.
    acknowledged: Vec<(String, String)>,
    /// Sent, and not known to have been accepted.
    in_flight: Option<Commit>,
    /// The highest that the coordinator spoke under, and its last Lamport value.
    epoch: u64,
    lamport: u64,
    /// How long a server may take to answer, whatever else it says.
    patience: Duration,
}

#[derive(Clone)]
struct Commit {
    file: String,
    op: String,
}

/// Why a life ends.
enum End {
    /// The server is gone.
    Gone,
    /// Something is not as it has to be.
    Wrong(String),
}

type Socket = WebSocket<TcpStream>;

impl Person {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            name: format!("agent:p{number}"),
            sent: 0,
            ops: 0,
            acknowledged: Vec::new(),
            in_flight: None,
            epoch: 0,
            lamport: 0,
            patience: ANSWER,
        }
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) const fn committed(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn acknowledged(&self) -> Vec<(String, String)> {
        self.acknowledged.clone()
    }

    /// Joins, looks at what was acknowledged, and works in files of this round until the server is gone. `all` is what
    /// anybody was told was committed; without a round all of it is looked for, with one only this person's last commits.
    pub(crate) fn live(
        &mut self,
        url: &str,
        round: Option<u64>,
        all: &[(String, String)],
    ) -> Result<(), String> {
        self.lived(url, round, (None, all))
    }

    /// The same, but only for so many commits; the server has to be there all the time.
    pub(crate) fn commits(&mut self, url: &str, round: u64, most: usize) -> Result<(), String> {
        match self.work(url, Some(round), (Some(most), &[])) {
            Ok(()) => Ok(()),
            Err(End::Gone) => Err(format!("{}: the server went away", self.name)),
            Err(End::Wrong(what)) => Err(format!("{}: {what}", self.name)),
        }
    }

    /// The next server that they join may be the one they know.
    pub(crate) const fn may_return(&mut self) {
        self.epoch = self.epoch.saturating_sub(1);
    }

    fn lived(
        &mut self,
        url: &str,
        round: Option<u64>,
        what: (Option<usize>, &[(String, String)]),
    ) -> Result<(), String> {
        match self.work(url, round, what) {
            Ok(()) => Ok(()),
            Err(End::Gone) if round.is_some() => Ok(()),
            Err(End::Gone) => Err(format!("{}: the server went away, and nobody killed it", self.name)),
            Err(End::Wrong(what)) => Err(format!("{}: {what}", self.name)),
        }
    }

    fn work(
        &mut self,
        url: &str,
        round: Option<u64>,
        (most, all): (Option<usize>, &[(String, String)]),
    ) -> Result<(), End> {
        let socket = &mut self.join(url)?;
        self.settle(socket)?;
        let Some(round) = round else { return self.look_at_all(socket, all) };
        let mine: Vec<_> = self.acknowledged.iter().rev().take(2).cloned().collect();
        for (file, op) in mine {
            self.is_there_once(socket, &file, &op)?;
        }
        let files = [format!("{}-{round}.txt", self.name.replace(':', "-")), format!("shared-{round}.txt")];
        let before = self.committed();
        loop {
            for file in &files {
                if most.is_some_and(|most| self.committed() - before >= most) {
                    return Ok(());
                }
                self.ops += 1;
                let op = format!("{}-op-{}", self.name, self.ops);
                if !self.commit(socket, Commit { file: file.clone(), op: op.clone() })? {
                    return Err(End::Wrong(format!("{op} was refused as sent before, which it was not")));
                }
            }
        }
    }

    fn join(&mut self, url: &str) -> Result<Socket, End> {
        let address = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let stream = TcpStream::connect(address).map_err(|_| End::Gone)?;
        let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(ANSWER)));
        prepared.map_err(|_| End::Gone)?;
        let (mut socket, _) = tungstenite::client(url, stream).map_err(|_| End::Gone)?;
        let before = self.epoch;
        self.say(
            &mut socket,
            "HELLO",
            &json!({"display_name": self.name, "roles": ["contributor"], "capabilities": []}),
        )?;
        let info = self.until(&mut socket, |frame| frame["message_type"] == "SESSION_INFO")?;
        if info["coordinator_epoch"].as_u64() <= Some(before) {
            return Err(End::Wrong(format!("epoch {} after {before}", info["coordinator_epoch"])));
        }
        Ok(socket)
    }

    /// Finds out about the commit that nobody answered: sent again it is refused if it is there, and accepted if not.
    fn settle(&mut self, socket: &mut Socket) -> Result<(), End> {
        let Some(commit) = self.in_flight.clone() else { return Ok(()) };
        let (file, op) = (commit.file.clone(), commit.op.clone());
        let was_there = count(&self.read(socket, &file)?, &op) == 1;
        if !self.commit(socket, commit)? {
            if !was_there {
                return Err(End::Wrong(format!("{op} was refused and is not in {file}")));
            }
            self.acknowledged.push((file.clone(), op.clone()));
        }
        self.in_flight = None;
        self.is_there_once(socket, &file, &op)
    }

    /// Adds the commit's line to its file, again and again while others are faster. Whether it was accepted now; if not, it
    /// was refused because it is there already.
    fn commit(&mut self, socket: &mut Socket, commit: Commit) -> Result<bool, End> {
        loop {
            let before = self.read(socket, &commit.file)?;
            let after = format!("{before}{}\n", commit.op);
            let (from, to) = (StateRef::of(&before), StateRef::of(&after));
            let mut changes = json!({});
            changes[&commit.file] = json!({"content": after, "state_ref_before": from.as_str()});
            let payload = json!({
                "op_id": commit.op, "target": commit.file, "op_kind": "replace", "state_ref_before": from.as_str(),
                "state_ref_after": to.as_str(), "file_changes": changes,
            });
            self.in_flight = Some(commit.clone());
            self.say(socket, "OP_COMMIT", &payload)?;
            let message = format!("{}-{}", self.name, self.sent);
            let answer = self.until(socket, |frame| {
                let payload = &frame["payload"];
                frame["message_type"] == "OP_COMMIT" && payload["op_id"] == commit.op.as_str()
                    || frame["message_type"] == "PROTOCOL_ERROR" && payload["refers_to"] == message.as_str()
            })?;
            if answer["message_type"] == "OP_COMMIT" {
                self.in_flight = None;
                self.acknowledged.push((commit.file, commit.op));
                return Ok(true);
            }
            let payload = &answer["payload"];
            match (payload["error_code"].as_str(), payload["description"].as_str()) {
                // A second time under the same id.
                (_, Some(text)) if text.starts_with("duplicate op_id") => return Ok(false),
                (Some("STALE_STATE_REF"), _) => {}
                _ => return Err(End::Wrong(format!("{} was refused: {payload}", commit.op))),
            }
        }
    }

    fn look_at_all(&mut self, socket: &mut Socket, all: &[(String, String)]) -> Result<(), End> {
        let files: std::collections::BTreeSet<&String> = all.iter().map(|(file, _)| file).collect();
        for file in files {
            let content = self.read(socket, file)?;
            let expected: Vec<&String> = all.iter().filter(|(of, _)| of == file).map(|(_, op)| op).collect();
            for op in &expected {
                once(&content, file, op)?;
            }
            let mut lines: Vec<&str> = content.lines().collect();
            lines.sort_unstable();
            if lines.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(End::Wrong(format!("{file} has a line twice")));
            }
        }
        Ok(())
    }

    fn is_there_once(&mut self, socket: &mut Socket, file: &str, op: &str) -> Result<(), End> {
        let content = self.read(socket, file)?;
        once(&content, file, op)
    }

    /// A file's content; nothing where there is no such file.
    fn read(&mut self, socket: &mut Socket, file: &str) -> Result<String, End> {
        send(socket, &json!({"type": "FILE_READ", "path": file}))?;
        let answer = self.until(socket, |frame| {
            (frame["type"] == "FILE_CONTENT" || frame["type"] == "FILE_ERROR") && frame["path"] == file
        })?;
        Ok(answer["content"].as_str().unwrap_or_default().to_owned())
    }

    fn say(&mut self, socket: &mut Socket, message_type: &str, payload: &Value) -> Result<(), End> {
        self.sent += 1;
        let envelope = json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": message_type,
            "message_id": format!("{}-{}", self.name, self.sent), "session_id": "default",
            "sender": {
                "principal_id": self.name, "principal_type": "agent",
                "sender_instance_id": format!("{}:1", self.name),
            },
            "ts": "2026-01-02T03:04:05Z", "payload": payload,
            "watermark": {"kind": "lamport_clock", "value": self.sent},
        });
        send(socket, &envelope)
    }

    /// The next frame that is meant; the coordinator's epoch and clock may only rise in all of them.
    fn until(&mut self, socket: &mut Socket, is_meant: impl Fn(&Value) -> bool) -> Result<Value, End> {
        let until = Instant::now() + self.patience;
        loop {
            // Its statuses come all the time, so silence alone would never be found.
            if Instant::now() > until {
                return Err(End::Wrong(format!("no answer came for {:?}", self.patience)));
            }
            let text = match socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                // A signal to this process, whoever it was for, is nothing that the server did.
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::Interrupted => {
                    continue;
                }
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    return Err(End::Wrong(format!("nothing came for {ANSWER:?}")));
                }
                Err(_) => return Err(End::Gone),
            };
            let frame: Value =
                serde_json::from_str(&text).map_err(|error| End::Wrong(format!("not JSON: {error}")))?;
            self.hear(&frame)?;
            if is_meant(&frame) {
                return Ok(frame);
            }
        }
    }

    fn hear(&mut self, frame: &Value) -> Result<(), End> {
        let Some(epoch) = frame["coordinator_epoch"].as_u64() else { return Ok(()) };
        let lamport = frame["watermark"]["value"].as_u64().unwrap_or_default();
        if epoch < self.epoch || lamport <= self.lamport {
            return Err(End::Wrong(format!(
                "epoch {epoch}, Lamport {lamport} came after epoch {}, Lamport {}",
                self.epoch, self.lamport
            )));
        }
        (self.epoch, self.lamport) = (epoch, lamport);
        Ok(())
    }
}

fn send(socket: &mut Socket, value: &Value) -> Result<(), End> {
    socket.send(Message::text(value.to_string())).map_err(|_| End::Gone)
}

fn count(content: &str, op: &str) -> usize {
    content.lines().filter(|line| *line == op).count()
}

fn once(content: &str, file: &str, op: &str) -> Result<(), End> {
    match count(content, op) {
        1 => Ok(()),
        count => Err(End::Wrong(format!("{op} was acknowledged and is {count} times in {file}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server for one connection, which says what it likes to each frame until it has had enough.
    fn server(mut says: impl FnMut(&mut WebSocket<TcpStream>, &Value) -> bool + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            while let Ok(message) = socket.read() {
                let Message::Text(text) = message else { continue };
                if !says(&mut socket, &serde_json::from_str(&text).unwrap()) {
                    return;
                }
            }
        });
        url
    }

    fn coordinator(message_type: &str, lamport: u64, payload: &Value) -> Message {
        let frame = json!({
            "message_type": message_type, "coordinator_epoch": 1, "payload": payload,
            "watermark": {"kind": "lamport_clock", "value": lamport},
        });
        Message::text(frame.to_string())
    }

    #[test]
    fn a_server_that_shows_life_and_never_answers_is_found() {
        let url = server(|socket, _| {
            let mut statuses = 1..;
            let mut beat = || {
                let lamport = statuses.next().unwrap_or_default();
                socket.send(coordinator("COORDINATOR_STATUS", lamport, &json!({"event": "heartbeat"})))
            };
            while beat().is_ok() {}
            false
        });
        let mut person = Person { patience: Duration::from_millis(200), ..Person::new(1) };
        assert_eq!(person.live(&url, Some(1), &[]), Err("agent:p1: no answer came for 200ms".to_owned()));
    }

    #[test]
    fn a_new_commit_is_not_refused_as_one_that_was_there() {
        let mut lamport = 0;
        let url = server(move |socket, frame| {
            lamport += 1;
            let answer = match frame["message_type"].as_str() {
                Some("HELLO") => coordinator("SESSION_INFO", lamport, &json!({})),
                Some(_) => {
                    let refused = json!({
                        "refers_to": frame["message_id"], "error_code": "INVALID_REFERENCE",
                        "description": "duplicate op_id",
                    });
                    coordinator("PROTOCOL_ERROR", lamport, &refused)
                }
                None => Message::text(json!({"type": "FILE_ERROR", "path": frame["path"]}).to_string()),
            };
            socket.send(answer).is_ok()
        });
        let told = Person::new(1).commits(&url, 1, 1);
        assert_eq!(
            told,
            Err("agent:p1: agent:p1-op-1 was refused as sent before, which it was not".to_owned())
        );
    }
}
