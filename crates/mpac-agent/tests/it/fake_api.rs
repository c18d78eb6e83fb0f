//! A Messages API on loopback that gives canned answers in their order and keeps the requests.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// One request: its head in lower case, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Value,
}

#[derive(Clone)]
pub(crate) struct FakeApi {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeApi {
    /// Answers one request after the other with these, then closes its door.
    pub(crate) async fn answering(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let mut stream = answer_one(&listener, &kept).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self { url, asked }
    }

    /// Takes one request and answers with a stream of pings that never ends: its address.
    pub(crate) async fn pinging() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream).await;
            let mut answer = raw_stream("");
            let mut pace = tokio::time::interval(std::time::Duration::from_millis(10));
            while stream.write_all(answer.as_bytes()).await.is_ok() {
                answer = "event: ping\ndata: {\"type\":\"ping\"}\n\n".to_owned();
                pace.tick().await;
            }
        });
        url
    }

    /// As `answering`, and then one more request with the first part of a response, whose rest comes when the test says so.
    pub(crate) async fn holding_the_last(
        answers: Vec<String>,
        last: String,
        at: usize,
    ) -> (Self, oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (go_on, wait) = oneshot::channel();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                answer_one(&listener, &kept).await.write_all(answer.as_bytes()).await.unwrap();
            }
            let mut stream = answer_one(&listener, &kept).await;
            stream.write_all(&last.as_bytes()[..at]).await.unwrap();
            wait.await.unwrap();
            stream.write_all(&last.as_bytes()[at..]).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        (Self { url, asked }, go_on)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// The next request is kept; what is written to its stream answers it.
async fn answer_one(listener: &TcpListener, kept: &Mutex<Vec<Asked>>) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let request = read(&mut stream).await;
    kept.lock().unwrap().push(request);
    stream
}

async fn read(stream: &mut TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).await.unwrap(), 0, "cut off: {head}");
    }
    let head = head.to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    Asked { head, body: serde_json::from_slice(&body).unwrap() }
}

/// A response whose body ends with the connection.
fn response(status: u16, headers: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\nconnection: close\r\n{headers}\r\n{body}")
}

/// An error in the API's shape.
pub(crate) fn error(status: u16, headers: &str) -> String {
    let body = json!({"type": "error", "error": {"type": "some_error", "message": "as told"}});
    response(status, headers, "application/json", &body.to_string())
}

/// A stream of these events.
pub(crate) fn stream(events: &[Value]) -> String {
    let body: String = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect();
    response(200, "", "text/event-stream", &body)
}

/// Anything at all as the stream's body.
pub(crate) fn raw_stream(body: &str) -> String {
    response(200, "", "text/event-stream", body)
}

/// The events of an answer that uses a tool.
pub(crate) fn tool_events(name: &str, input: &Value, stop_reason: &str) -> Vec<Value> {
    let input = input.to_string();
    let (one, two) = input.split_at(input.len() / 2);
    let piece = |text: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": text}});
    vec![
        json!({"type": "message_start", "message": {"id": "m"}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": name, "input": {}}}),
        json!({"type": "ping"}),
        piece(one),
        piece(two),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason}}),
        json!({"type": "message_stop"}),
    ]
}

/// The events of an answer in plain text.
pub(crate) fn text_events(text: &str) -> Vec<Value> {
    vec![
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ]
}
