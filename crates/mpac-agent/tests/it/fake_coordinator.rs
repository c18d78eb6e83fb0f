//! The other end of the agent's socket, spoken by the test: it takes what the agent sends, in order, and says
//! what the test wants. It knows no rules.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use mpac_agent::brain::scripted::ScriptedBrain;
use mpac_agent::connection::{Identity, Route, Target, Voice, connect};
use mpac_agent::console::{Console, Palette};
use mpac_agent::error::AgentError;
use mpac_agent::history::{self, History};
use mpac_agent::naming::Naming;
use mpac_agent::session::Session;
use mpac_agent::task::{Outcome, TaskOptions, WAIT_LIMIT, run_task};
use mpac_wire::payload::session::Hello;
use mpac_wire::{PrincipalId, SessionId, StateRef};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// The coordinator's principal.
pub(crate) const COORDINATOR: &str = "service:coordinator-s";

/// The file that an agent asks for to know that everything before has been handled.
const BARRIER: &str = "mpac-agent-barrier";

/// The coordinator's end of one connection.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
    clock: u64,
    /// What an [`Agent`](mpac_agent::agent::Agent) asks beside its work is answered as Python 0.1 servers do.
    answers_barriers: bool,
    /// Every MPAC message that the agent has sent.
    pub(crate) said: Vec<Value>,
}

/// Everything the agent told its person.
#[derive(Clone, Default)]
pub(crate) struct Lines(watch::Sender<String>);

impl Lines {
    pub(crate) fn text(&self) -> String {
        self.0.borrow().clone()
    }

    pub(crate) fn add(&self, line: &str) {
        self.0.send_modify(|text| text.push_str(line));
    }

    /// Waits until it has been told.
    pub(crate) async fn wait_for(&self, part: &str) {
        let mut lines = self.0.subscribe();
        let told = lines.wait_for(|text| text.contains(part));
        let told = tokio::time::timeout(Duration::from_secs(20), told).await.map(|_| ());
        assert!(told.is_ok(), "`{part}` is not in: {}", self.text());
    }

    pub(crate) fn console(&self) -> Console {
        let lines = self.clone();
        Console::lines_to(Palette::PLAIN, Box::new(move |line| lines.add(&line)))
    }
}

/// An agent that has connected and said nothing yet, and the other end.
pub(crate) async fn connected(principal: &str, lines: &Lines) -> (Session, History, Peer) {
    let (url, accept) = listening().await;
    let (session, history) = opened(principal, &url, Duration::ZERO, lines).await;
    (session, history, accept.await.unwrap())
}

/// An agent that has connected to this address and said nothing yet, with so much patience after a break.
pub(crate) async fn opened(
    principal: &str,
    url: &str,
    patience: Duration,
    lines: &Lines,
) -> (Session, History) {
    let route = Route::once(Target::new(url, Vec::new()).unwrap()).with_patience(patience);
    let me = PrincipalId::new(principal).unwrap();
    let (recorder, history) = history::channel();
    let voice = Voice::new(Identity { principal: me.clone(), session: SessionId::new("s").unwrap() });
    let connection = connect(route, voice, recorder).await.unwrap();
    (Session::new(me, connection, lines.console()), history)
}

/// The other end for an agent that connects by itself: its address, and the socket once it has come.
pub(crate) async fn listening() -> (String, JoinHandle<Peer>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let accept = tokio::spawn(async move { Peer::accept(&listener).await });
    (url, accept)
}

pub(crate) fn hello() -> mpac_wire::Message {
    Hello::new("Bob".to_owned(), Vec::new()).into()
}

/// A script for the task of most tests: `a.py`, where `old` becomes `new`.
pub(crate) fn script(more: &str) -> String {
    format!(
        r#"{{"plan":{{"objective":"mend it","files":["a.py"]}},"edits":{{"a.py":[{{"find":"old","replace":"new"}}]}}{more}}}"#
    )
}

/// A joined agent at work on a scripted task, and the other end after SESSION_INFO.
pub(crate) struct Work {
    pub(crate) peer: Peer,
    pub(crate) lines: Lines,
    pub(crate) outcome: JoinHandle<Result<Outcome, AgentError>>,
}

impl Work {
    pub(crate) async fn start(principal: &str, script: &str) -> Self {
        Self::start_with(principal, script, WAIT_LIMIT).await
    }

    /// With another limit for waiting for others.
    pub(crate) async fn start_with(principal: &str, script: &str, wait_limit: Duration) -> Self {
        let lines = Lines::default();
        let (mut session, history, mut peer) = connected(principal, &lines).await;
        let script = script.to_owned();
        let outcome = tokio::spawn(async move {
            session.join(hello()).await?;
            let mut brain = ScriptedBrain::parse("test".to_owned(), &script, history)?;
            let options = TaskOptions { wait_limit, ..TaskOptions::default() };
            let mut naming = Naming::new("Bob");
            let outcome = run_task(&mut session, &mut brain, &mut naming, &options, "mend").await;
            session.leave("completed".into()).await;
            outcome
        });
        peer.take("HELLO").await;
        peer.welcome().await;
        Self { peer, lines, outcome }
    }

    /// As `start`, and up to the announce, which is relayed to the agent with whatever `reports` the test makes
    /// of it before the file request after it is answered.
    pub(crate) async fn announced(
        principal: &str,
        script: &str,
        reports: impl Fn(&str) -> Vec<Value>,
    ) -> (Self, String) {
        let mut work = Self::start(principal, script).await;
        work.peer.answer_list(&["a.py"]).await;
        let intent = work.peer.accept_announce(reports).await;
        (work, intent)
    }

    pub(crate) async fn end(self) -> Result<Outcome, AgentError> {
        let Self { mut peer, outcome, .. } = self;
        // The agent's last words; the socket stays open until it has closed its end.
        while peer.next().await.is_some() {}
        outcome.await.unwrap()
    }
}

impl Peer {
    /// The next connection of a listener.
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self {
            socket: tokio_tungstenite::accept_async(stream).await.unwrap(),
            clock: 0,
            answers_barriers: false,
            said: Vec::new(),
        }
    }

    /// From now on what an agent asks beside its work is answered and passed over.
    pub(crate) fn answers_barriers(&mut self) {
        self.answers_barriers = true;
    }

    /// Answers the request that stands behind what an agent has said, and takes nothing of what comes after it.
    pub(crate) async fn answer_barrier(&mut self) {
        while let Some(value) = self.next_of_any_kind().await {
            if value["path"] == BARRIER {
                return self.pass_barrier().await;
            }
        }
    }

    async fn pass_barrier(&mut self) {
        self.send(&json!({"type": "FILE_ERROR", "path": BARRIER, "error": "File not found"})).await;
    }

    /// Closes the socket with this code.
    pub(crate) async fn close(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).await.unwrap();
        // The other end answers with a close of its own.
        while self.next_of_any_kind().await.is_some() {}
    }

    /// The next frame, heartbeats, acknowledgements and deferrals passed over; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let value = self.next_of_any_kind().await?;
            if self.answers_barriers && value["path"] == BARRIER {
                self.pass_barrier().await;
                continue;
            }
            let asks_for_summary = self.answers_barriers && value["payload"]["error_code"] == "CAUSAL_GAP";
            let aside = ["HEARTBEAT", "CONFLICT_ACK", "INTENT_DEFERRED"];
            if !aside.iter().any(|kind| value["message_type"] == *kind) && !asks_for_summary {
                return Some(value);
            }
        }
    }

    pub(crate) async fn next_of_any_kind(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await {
                Some(Ok(Frame::Text(text))) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if value.get("message_type").is_some() {
                        self.said.push(value.clone());
                    }
                    return Some(value);
                }
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next frame, which must be of this type.
    pub(crate) async fn take(&mut self, kind: &str) -> Value {
        let value = self.next().await.unwrap_or_else(|| panic!("the agent left instead of sending {kind}"));
        let found = value["message_type"].as_str().or_else(|| value["type"].as_str()).unwrap().to_owned();
        assert_eq!(found, kind, "{value}");
        value
    }

    pub(crate) async fn send(&mut self, value: &Value) {
        self.socket.send(Frame::text(value.to_string())).await.unwrap();
    }

    /// Back to its sender, as every coordinator relays it.
    pub(crate) async fn relay(&mut self, message: &Value) {
        let mut message = message.clone();
        message["payload"].as_object_mut().unwrap().remove("file_changes");
        self.send(&message).await;
    }

    /// A message of the coordinator's own.
    pub(crate) async fn say(&mut self, kind: &str, payload: Value) {
        let message = self.message(COORDINATOR, kind, payload);
        self.send(&message).await;
    }

    /// A relayed message of somebody else.
    pub(crate) async fn other(&mut self, principal: &str, kind: &str, payload: Value) {
        let message = self.message(principal, kind, payload);
        self.send(&message).await;
    }

    pub(crate) fn message(&mut self, principal: &str, kind: &str, payload: Value) -> Value {
        self.clock += 1;
        let mut message = json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": kind, "message_id": format!("m-{}", self.clock),
            "session_id": "s",
            "sender": {"principal_id": principal, "principal_type": "agent", "sender_instance_id": "i"},
            "ts": "2026-01-02T03:04:05Z", "payload": payload,
            "watermark": {"kind": "lamport_clock", "value": 100 + self.clock},
        });
        if principal == COORDINATOR {
            message["coordinator_epoch"] = json!(1);
        }
        message
    }

    /// SESSION_INFO with no more than the Python 0.1.0 server's required members, and without policies.
    pub(crate) async fn welcome(&mut self) {
        self.say("SESSION_INFO", info(json!({}))).await;
    }

    pub(crate) async fn answer_list(&mut self, paths: &[&str]) {
        self.take("FILE_LIST").await;
        let files: Vec<Value> =
            paths.iter().map(|path| json!({"path": path, "state_ref": "sha256:0", "size": 3})).collect();
        self.send(&json!({"type": "FILE_LIST_RESPONSE", "files": files})).await;
    }

    /// Plays along until `a.py`, which was `old`, is committed by a task.
    pub(crate) async fn until_commit(&mut self) -> Value {
        self.answer_list(&["a.py"]).await;
        self.accept_announce(|_| vec![]).await;
        self.answer_read("a.py", "old").await;
        self.take("OP_COMMIT").await
    }

    pub(crate) async fn answer_read(&mut self, path: &str, content: &str) {
        let asked = self.take("FILE_READ").await;
        assert_eq!(asked["path"], path);
        self.content(path, content).await;
    }

    /// FILE_CONTENT, whether it was asked for or not.
    pub(crate) async fn content(&mut self, path: &str, content: &str) {
        let state_ref = StateRef::of(content);
        let answer = json!({"type": "FILE_CONTENT", "path": path, "content": content, "state_ref": state_ref.as_str()});
        self.send(&answer).await;
    }

    /// Takes an announce, relays it, reports, and answers the file request behind it: the intent's id.
    pub(crate) async fn accept_announce(&mut self, reports: impl Fn(&str) -> Vec<Value>) -> String {
        let announce = self.take("INTENT_ANNOUNCE").await;
        let intent = announce["payload"]["intent_id"].as_str().unwrap().to_owned();
        self.relay(&announce).await;
        for report in reports(&intent) {
            self.say("CONFLICT_REPORT", report).await;
        }
        self.answer_read("a.py", "old").await;
        intent
    }

    /// Takes a commit, relays it, pushes FILE_UPDATED and answers the file request behind it: the commit.
    pub(crate) async fn accept_commit(&mut self, content: &str) -> Value {
        let commit = self.take("OP_COMMIT").await;
        self.relay(&commit).await;
        let update = json!({"type": "FILE_UPDATED", "path": commit["payload"]["target"],
            "state_ref": commit["payload"]["state_ref_after"], "updated_by": commit["sender"]["principal_id"]});
        self.send(&update).await;
        self.answer_read("a.py", content).await;
        commit
    }

    /// The messages of this type that the agent has sent.
    pub(crate) fn said(&self, kind: &str) -> Vec<&Value> {
        self.said.iter().filter(|message| message["message_type"] == kind).collect()
    }

    /// Refuses a message.
    pub(crate) async fn refuse(&mut self, message: &Value, code: &str, description: &str) {
        let payload =
            json!({"error_code": code, "description": description, "refers_to": message["message_id"]});
        self.say("PROTOCOL_ERROR", payload).await;
    }

    /// A whole task, from its list of files until the agent has left; `commits` or not. GOODBYE.
    pub(crate) async fn serve_task(&mut self, commits: bool) -> Value {
        self.answer_list(&["a.py"]).await;
        let intent = self.accept_announce(|_| vec![]).await;
        self.answer_read("a.py", "old").await;
        if commits {
            self.accept_commit("new").await;
        }
        let reason = if commits { "task_completed" } else { "declined" };
        assert_eq!(self.accept_withdraw(&intent).await, reason);
        let goodbye = self.take("GOODBYE").await;
        assert!(self.next().await.is_none());
        goodbye
    }

    /// Takes a withdrawal, relays it, answers the request behind it: its reason.
    pub(crate) async fn accept_withdraw(&mut self, intent: &str) -> String {
        let withdraw = self.take("INTENT_WITHDRAW").await;
        assert_eq!(withdraw["payload"]["intent_id"], intent);
        self.relay(&withdraw).await;
        self.answer_read("a.py", "old").await;
        withdraw["payload"]["reason"].as_str().unwrap().to_owned()
    }
}

/// A SESSION_INFO payload.
pub(crate) fn info(more: Value) -> Value {
    let mut info = json!({
        "session_id": "s", "protocol_version": "0.1.13", "security_profile": "open", "compliance_profile": "core",
        "watermark_kind": "lamport_clock", "state_ref_format": "sha256", "granted_roles": ["contributor"],
    });
    info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    info
}

/// A report as the Python servers write it: `theirs` was there first.
pub(crate) fn report(conflict: &str, ours: &str, theirs: &str, owner: &str) -> Value {
    json!({"conflict_id": conflict, "category": "scope_overlap", "severity": "medium", "principal_a": "agent:Bob",
        "principal_b": owner, "intent_a": ours, "intent_b": theirs})
}
