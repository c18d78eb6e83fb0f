//! A server in this process, and clients that speak plain JSON to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use futures::{SinkExt, StreamExt};
use mpac_ws::cli::Settings;
use mpac_ws::error::Error;
use mpac_ws::server::Server;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Long enough for a busy machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn patiently<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("nothing came")
}

/// A running server. It ends with its test's runtime; [`Host::stop`] is for what an orderly end does.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

/// Starts a server with `flags` on a free port.
pub(crate) async fn host(flags: &[&str]) -> Host {
    let settings = Settings::try_parse_from([&["mpac-ws", "--port=0"], flags].concat()).unwrap();
    let server = Server::bind(settings).await.unwrap();
    let (address, metrics) = (server.address(), server.metrics_address());
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.run(async { stopped.await.unwrap_or(()) }));
    Host { address, metrics, stop, task }
}

impl Host {
    /// Stops it and waits until it is down, which takes a while longer where a client neither reads nor hangs up.
    pub(crate) async fn stop(self) {
        patiently(self.stopping()).await.unwrap().unwrap();
    }

    /// Begins the stop.
    pub(crate) fn stopping(self) -> JoinHandle<Result<(), Error>> {
        let _ = self.stop.send(());
        self.task
    }

    /// A connection to `path` on which nobody has said HELLO.
    pub(crate) async fn connect(&self, path: &str) -> Client {
        self.connect_with(path, None).await
    }

    /// As [`Host::connect`], with a receive buffer of that many bytes.
    pub(crate) async fn connect_with(&self, path: &str, buffer: Option<u32>) -> Client {
        Client::connect(self.address, path, buffer).await
    }

    /// `who`, admitted to the default session.
    pub(crate) async fn join(&self, who: &str) -> Client {
        let mut client = self.connect("/").await;
        assert_eq!(client.hello(who).await["message_type"], "SESSION_INFO");
        client
    }
}

/// What a connection runs over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// One connection.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<Box<dyn Transport>>,
    pub(crate) who: String,
    pub(crate) session: String,
    count: u64,
}

impl Client {
    /// A connection to `path`, with a receive buffer of that many bytes.
    pub(crate) async fn connect(address: SocketAddr, path: &str, buffer: Option<u32>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = buffer {
            socket.set_recv_buffer_size(bytes).unwrap();
        }
        let stream = socket.connect(address).await.unwrap();
        Self::over(Box::new(stream), address, path).await
    }

    /// A connection over a transport that is there already.
    pub(crate) async fn over(transport: Box<dyn Transport>, address: SocketAddr, path: &str) -> Self {
        let (socket, _) = client_async(format!("ws://{address}{path}"), transport).await.unwrap();
        Self { socket, who: String::new(), session: "default".to_owned(), count: 0 }
    }

    /// Goes on counting where an earlier connection of the same participant ended.
    pub(crate) fn goes_on_after(&mut self, before: &Self) {
        self.count = before.count;
    }

    /// Begins to count where no client of this process has come yet, so that no message repeats another's id.
    pub(crate) fn counts_anew(mut self) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1_000);
        self.count = NEXT.fetch_add(1_000, Ordering::Relaxed);
        self
    }

    /// Says HELLO as `who` and gives the answer.
    pub(crate) async fn hello(&mut self, who: &str) -> Value {
        self.hello_with(who, json!(null)).await
    }

    /// As [`Client::hello`], with a credential unless that is null.
    pub(crate) async fn hello_with(&mut self, who: &str, credential: Value) -> Value {
        self.who = who.to_owned();
        let mut hello = json!({"display_name": who, "roles": ["contributor"], "capabilities": []});
        if !credential.is_null() {
            hello["credential"] = credential;
        }
        self.say("HELLO", hello).await;
        self.next().await
    }

    /// Sends a message.
    pub(crate) async fn say(&mut self, message_type: &str, payload: Value) {
        let text = self.envelope(message_type, payload).to_string();
        self.send(text).await;
    }

    /// What [`Client::say`] sends.
    pub(crate) fn envelope(&mut self, message_type: &str, payload: Value) -> Value {
        self.count += 1;
        json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": message_type,
            "message_id": format!("{}-{}", self.who, self.count), "session_id": self.session,
            "sender": {
                "principal_id": self.who, "principal_type": "agent", "sender_instance_id": format!("{}:1", self.who),
            },
            "ts": now(), "payload": payload,
            "watermark": {"kind": "lamport_clock", "value": self.count},
        })
    }

    /// Announces an intent on one file.
    pub(crate) async fn announce(&mut self, id: &str, file: &str) {
        let scope = json!({"kind": "file_set", "resources": [file]});
        self.say("INTENT_ANNOUNCE", json!({"intent_id": id, "objective": "work", "scope": scope})).await;
    }

    /// Sends a text frame as it is.
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.frame(Message::Text(text.into().into())).await;
    }

    pub(crate) async fn frame(&mut self, message: Message) {
        patiently(self.socket.send(message)).await.unwrap();
    }

    /// The next text frame, or nothing once there are no more.
    #[cfg(target_os = "linux")]
    pub(crate) async fn next_or_end(&mut self) -> Option<Value> {
        patiently(async {
            loop {
                // A close is answered while the end is waited for.
                if let Message::Text(text) = self.socket.next().await?.ok()? {
                    return Some(serde_json::from_str(&text).unwrap());
                }
            }
        })
        .await
    }

    /// The next text frame.
    pub(crate) async fn next(&mut self) -> Value {
        // Patience with the whole of it: the server's pings are no progress.
        patiently(async {
            loop {
                match self.socket.next().await.expect("the connection ended").unwrap() {
                    Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                    Message::Close(frame) => panic!("closed: {frame:?}"),
                    _ => {}
                }
            }
        })
        .await
    }

    /// The next frame whose `message_type` or `type` is `kind`.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if kind_of(&frame) == kind {
                return frame;
            }
        }
    }

    /// Reads to the end: the kinds of what came, and the close code (1006 when there was none).
    pub(crate) async fn rest(&mut self) -> (Vec<String>, u16) {
        let mut kinds = Vec::new();
        let code = patiently(async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        kinds.push(kind_of(&serde_json::from_str(&text).unwrap()).to_owned());
                    }
                    Some(Ok(Message::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return 1006,
                }
            }
        });
        let code = code.await;
        (kinds, code)
    }

    pub(crate) async fn close_code(&mut self) -> u16 {
        self.rest().await.1
    }

    /// Hangs up, and waits until the server has let the connection go.
    pub(crate) async fn hang_up(mut self) {
        self.frame(Message::Close(None)).await;
        while let Some(Ok(_)) = patiently(self.socket.next()).await {}
    }

    /// That it is still served: asks for the files and waits for them, skipping everything else.
    pub(crate) async fn is_alive(&mut self) -> Value {
        self.send(r#"{"type":"FILE_LIST"}"#).await;
        self.until("FILE_LIST_RESPONSE").await
    }
}

/// Now, as a sender writes it.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    mpac_wire::Timestamp::from_micros(since.as_micros().try_into().unwrap()).to_string()
}

pub(crate) fn kind_of(frame: &Value) -> &str {
    frame["message_type"].as_str().or_else(|| frame["type"].as_str()).unwrap_or("?")
}
