//! A coordinator of a verified session: the core with a socket, a key, and one file. It trusts the keys that the test names, and
//! says what it is told to beside what the core says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use futures::{SinkExt as _, StreamExt as _};
use mpac_agent::signing::{Signing, verify};
use mpac_core::{
    ConnId, Coordinator, IdSource, Identity, Input, Notice, Output, Peer, Recipients, SessionConfig,
    ShownKey, Signed,
};
use mpac_wire::names::{CredentialType, SecurityProfile};
use mpac_wire::policy::RolePolicy;
use mpac_wire::{
    Envelope, Message, MessageType, PrincipalId, PublicKey, Received, SessionId, StateRef, Timestamp,
};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

/// What it knows.
pub(crate) struct State {
    core: Coordinator,
    pub(crate) signing: Signing,
    /// Whose keys are certified.
    certified: Vec<(PrincipalId, PublicKey)>,
    files: BTreeMap<String, String>,
    connections: BTreeMap<u64, mpsc::UnboundedSender<Option<String>>>,
    bound: BTreeMap<u64, PrincipalId>,
    next: u64,
    /// Every message that came, and what was found out about its signature.
    pub(crate) heard: Vec<(Envelope, Signed)>,
    /// The frames that it sent.
    pub(crate) sent: Vec<String>,
    /// The message with this in it breaks every connection before anybody hears what came of it. Once.
    pub(crate) breaks_at: Option<&'static str>,
    /// Changes with each message that came and was answered.
    pulse: watch::Sender<()>,
}

/// The running coordinator.
pub(crate) struct SealedHost {
    pub(crate) url: String,
    pub(crate) state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Drop for SealedHost {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl SealedHost {
    pub(crate) async fn start(certified: &[(&str, &PublicKey)]) -> Self {
        let signing = Signing::generate().unwrap();
        let mut config = SessionConfig::new(SessionId::new("s").unwrap());
        config.security_profile = SecurityProfile::Verified;
        config.coordinator_key = Some(signing.public().clone());
        config.workspace = Some([("a.py".to_owned(), StateRef::of("old"))].into());
        config.role_policy =
            Some(serde_json::from_value::<RolePolicy>(json!({"default_role": "contributor"})).unwrap());
        let core = Coordinator::new(config, IdSource::new(7), now()).unwrap();
        let certified =
            certified.iter().map(|(who, key)| (PrincipalId::new(*who).unwrap(), (*key).clone())).collect();
        let state = State {
            core,
            signing,
            certified,
            files: [("a.py".to_owned(), "old".to_owned())].into(),
            connections: BTreeMap::new(),
            bound: BTreeMap::new(),
            next: 0,
            heard: Vec::new(),
            sent: Vec::new(),
            breaks_at: None,
            pulse: watch::Sender::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
                        serve(socket, &shared).await;
                    }
                });
            }
        });
        Self { url, state, serving }
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until somebody has said this, and the core has answered it.
    pub(crate) async fn heard(&self, kind: &MessageType) {
        let mut pulse = self.now().pulse.subscribe();
        while !self.now().heard.iter().any(|(envelope, _)| envelope.message_type == *kind) {
            let next = tokio::time::timeout(Duration::from_secs(20), pulse.changed()).await;
            next.expect("it is said in time").unwrap();
        }
    }

    /// Breaks every connection.
    pub(crate) fn break_off(&self) {
        self.now().connections.values().for_each(|to| drop(to.send(None)));
    }

    /// Says this to everybody, as it stands.
    pub(crate) fn inject(&self, frame: &str) {
        self.now().deliver(&Recipients::All, frame);
    }
}

async fn serve(socket: WebSocketStream<TcpStream>, state: &Mutex<State>) {
    let (mut sink, mut stream) = socket.split();
    let (to, mut outgoing) = mpsc::unbounded_channel();
    let conn = state.lock().unwrap().connected(to);
    loop {
        tokio::select! {
            frame = outgoing.recv() => match frame.flatten() {
                Some(text) => if sink.send(Frame::text(text)).await.is_err() { break },
                None => break,
            },
            frame = stream.next() => match frame {
                Some(Ok(Frame::Text(text))) => state.lock().unwrap().take(conn, &text),
                Some(Ok(Frame::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    let mut state = state.lock().unwrap();
    state.connections.remove(&conn);
    state.input(Input::Disconnect { conn: ConnId(conn) });
}

impl State {
    fn connected(&mut self, to: mpsc::UnboundedSender<Option<String>>) -> u64 {
        self.next += 1;
        self.connections.insert(self.next, to);
        self.next
    }

    fn take(&mut self, conn: u64, text: &str) {
        let mut from = Peer::unproven(ConnId(conn));
        if let Ok(received) = Received::parse(text, &mpac_wire::Limits::default()) {
            let envelope = received.envelope().clone();
            (from.identity, from.signed) = self.look(text, &envelope);
            self.heard.push((envelope, from.signed.clone()));
        }
        if self.breaks_at.take_if(|part| text.contains(*part)).is_some() {
            std::mem::take(&mut self.connections).values().for_each(|to| drop(to.send(None)));
        }
        self.input(Input::Frame { from, text: text.into() });
        self.pulse.send_replace(());
    }

    /// As a server looks at it: the certificate of a HELLO proves who its owner is, and the key is its own or one that the
    /// session knows.
    fn look(&self, text: &str, envelope: &Envelope) -> (Identity, Signed) {
        let signature = envelope.signature.as_deref();
        let named = signature.and_then(|it| it.parse::<mpac_wire::Signature>().ok()).map(|it| it.key);
        let sender = &envelope.sender.principal_id;
        let own = self.certified.iter().find(|(who, key)| who == sender && Some(key.fingerprint()) == named);
        let known = named.as_ref().and_then(|key| self.core.view().key(key));
        let signed = verify(text, signature, known.or_else(|| own.map(|(_, key)| key)));
        let Ok(Message::Hello(hello)) = envelope.message() else { return (Identity::Unproven, signed) };
        let shows = hello.credential.as_ref().is_some_and(|it| it.kind == CredentialType::X509Chain);
        if !shows || !self.certified.iter().any(|(who, _)| who == sender) {
            return (Identity::Unproven, signed);
        }
        let identity = Identity::Proven {
            principal: sender.clone(),
            method: CredentialType::X509Chain,
            issuer: None,
            roles: None,
            expires_at: None,
        };
        let signed = match (signed, own) {
            (Signed::Good { key, .. }, Some((who, public))) if known.is_none() => {
                Signed::Good { key, shown: Some(ShownKey::ed25519(who.clone(), public.clone())) }
            }
            (signed, _) => signed,
        };
        (identity, signed)
    }

    pub(crate) fn input(&mut self, input: Input) {
        let step = self.core.handle(now(), input);
        for output in step.outputs {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Relay { to, text, .. } => self.deliver(&to, &text),
            Output::Send { to, mut envelope } => {
                self.signing.sign(&mut envelope).unwrap();
                self.deliver(&to, &envelope.to_json());
            }
            Output::Workspace { conn, request } => {
                let answer = self.answer(&serde_json::from_str(&request.to_json()).unwrap());
                self.deliver(&Recipients::Conn(conn), &answer.to_string());
            }
            Output::Answer { conn, text } => self.deliver(&Recipients::Conn(conn), &text),
            Output::HangUp { conn, .. } => {
                self.connections.get(&conn.0).map(|to| to.send(None));
            }
            Output::Notice(Notice::Bound { conn, principal }) => {
                self.bound.insert(conn.0, principal);
            }
            Output::Notice(Notice::Unbound { conn }) => {
                self.bound.remove(&conn.0);
            }
            Output::Notice(Notice::FileUpdated { to, path, content, state_ref, updated_by }) => {
                let news = json!({"type": "FILE_UPDATED", "path": path, "state_ref": state_ref.as_str(),
                    "updated_by": updated_by.as_str()});
                self.files.insert(path, content.into());
                self.deliver(&to, &news.to_string());
            }
            Output::Notice(_) => {}
        }
    }

    fn answer(&self, request: &serde_json::Value) -> serde_json::Value {
        let entry = |path: &str, text: &str| json!({"path": path, "state_ref": StateRef::of(text).as_str(), "size": text.len()});
        match request["type"].as_str().unwrap() {
            "FILE_LIST" => {
                let files: Vec<_> = self.files.iter().map(|(path, text)| entry(path, text)).collect();
                json!({"type": "FILE_LIST_RESPONSE", "files": files})
            }
            _ => {
                let path = request["path"].as_str().unwrap();
                let Some(text) = self.files.get(path) else {
                    return json!({"type": "FILE_ERROR", "path": path, "error": "File not found"});
                };
                json!({"type": "FILE_CONTENT", "path": path, "content": text, "state_ref": StateRef::of(text).as_str()})
            }
        }
    }

    fn deliver(&mut self, to: &Recipients, text: &str) {
        let is_for = |conn: &u64| match to {
            Recipients::All => self.bound.contains_key(conn),
            Recipients::Conn(one) => one.0 == *conn,
            Recipients::Only(people) => self.bound.get(conn).is_some_and(|who| people.contains(who)),
        };
        for to in self.connections.iter().filter(|(conn, _)| is_for(conn)).map(|(_, to)| to) {
            // Whoever has left does not hear it.
            let _ = to.send(Some(text.to_owned()));
        }
        self.sent.push(text.to_owned());
    }

    /// The content of `a.py`.
    pub(crate) fn file(&self) -> &str {
        &self.files["a.py"]
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}
