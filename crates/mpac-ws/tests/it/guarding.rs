//! Limits as an operator sees them: each answers, each is counted, and nobody else pays.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::covers;
use crate::rig::{Client, Host, host, patiently};
use crate::secured::{api_key, command, place, secret, server};

const METRICS: &str = "--metrics-listen=127.0.0.1:0";

/// What a GET is answered with, head and body.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    patiently(stream.read_to_string(&mut text)).await.unwrap();
    text
}

/// One sample, by its name and labels as they are written.
async fn metric(host: &Host, name: &str) -> f64 {
    let text = get(host.metrics.unwrap(), "/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

async fn reached(host: &Host, limit: &str) -> f64 {
    metric(host, &format!("mpac_limit_reached_total{{limit=\"{limit}\"}}")).await
}

fn heartbeat() -> Value {
    json!({"status": "idle"})
}

#[tokio::test]
async fn what_happens_is_counted_and_nobody_is_named() {
    let dir = place();
    let data = format!("--data-dir={}", dir.path().display());
    let host = host(&[METRICS, &data]).await;
    assert!(get(host.metrics.unwrap(), "/healthz").await.ends_with("ok\n"));
    assert!(get(host.metrics.unwrap(), "/").await.starts_with("HTTP/1.1 404"));
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    alice.announce("i-of-alice", "path-of-alice.py").await;
    bob.until("INTENT_ANNOUNCE").await;
    alice.announce("i-of-alice", "path-of-alice.py").await;
    alice.until("PROTOCOL_ERROR").await;
    bob.send(json!({"type": "FILE_LIST"}).to_string()).await;
    bob.until("FILE_LIST_RESPONSE").await;
    for (name, expected) in [
        ("mpac_connections", 2.0),
        ("mpac_participants", 2.0),
        ("mpac_sessions", 1.0),
        ("mpac_connections_accepted_total", 2.0),
        (r#"mpac_messages_received_total{type="HELLO"}"#, 2.0),
        (r#"mpac_messages_received_total{type="INTENT_ANNOUNCE"}"#, 2.0),
        (r#"mpac_messages_received_total{type="none"}"#, 1.0),
        (r#"mpac_messages_sent_total{type="INTENT_ANNOUNCE"}"#, 2.0),
        (r#"mpac_messages_sent_total{type="SESSION_INFO"}"#, 2.0),
        (r#"mpac_refusals_total{code="MALFORMED_MESSAGE"}"#, 1.0),
        ("mpac_queued_frames", 0.0),
        ("mpac_queued_inputs", 0.0),
    ] {
        assert_eq!(metric(&host, name).await, expected, "{name}");
    }
    // What was read here is written there a moment later.
    patiently(async { while metric(&host, "mpac_queued_bytes").await > 0.0 {} }).await;
    assert!(metric(&host, "mpac_log_sync_seconds_count").await >= 4.0, "one sync for each step at least");
    assert!(metric(&host, "mpac_log_written_bytes_total").await > 1000.0);
    let text = get(host.metrics.unwrap(), "/metrics").await;
    assert!(!text.contains("alice") && !text.contains("bob"), "{text}");
    alice.hang_up().await;
    patiently(async { while metric(&host, "mpac_participants").await > 1.0 {} }).await;
}

#[tokio::test]
async fn who_keeps_connections_to_the_metrics_uses_nothing_up() {
    covers!("SEC-37");
    let busy = host(&[METRICS]).await;
    let (mut idle, address) = (Vec::new(), busy.metrics.unwrap());
    for _ in 0..16 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let refused = rest(TcpStream::connect(address).await.unwrap()).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let host = host(&[METRICS, "--handshake-within-sec=1"]).await;
    let address = host.metrics.unwrap();
    assert_eq!(rest(TcpStream::connect(address).await.unwrap()).await, "", "whoever asks nothing has to go");
    let mut asks = TcpStream::connect(address).await.unwrap();
    asks.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(rest(asks).await.ends_with("ok\n"), "once");
    assert_eq!(metric(&host, "mpac_connections_accepted_total").await, 0.0);
}

/// What comes until the end.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    patiently(stream.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn whoever_says_nothing_for_too_long_has_to_leave() {
    covers!("SEC-37");
    let host = host(&[METRICS, "--idle-after-sec=1"]).await;
    let mut silent = host.join("agent:silent").await;
    let (kinds, code) = silent.rest().await;
    assert_eq!((kinds.len(), code), (0, 1008));
    assert_eq!(reached(&host, "idle_after_sec").await, 1.0);
}

#[tokio::test]
async fn strangers_cannot_fill_the_log() {
    covers!("SEC-37", "SEC-41");
    let dir = place();
    let key = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let host = server(dir.path(), &[METRICS, "--credential-attempts=1"]).await;
    let mut bob = host.connect("/").await.counts_anew();
    bob.hello_with("agent:bob", api_key(&key)).await;
    // All of them before the first can cost anybody a wait.
    let (mut eve, mut mallory) =
        (host.connect("/").await.counts_anew(), host.connect("/").await.counts_anew());
    eve.who = "agent:eve".to_owned();
    for _ in 0..50 {
        eve.say("HEARTBEAT", heartbeat()).await;
        assert_eq!(eve.next().await["message_type"], "PROTOCOL_ERROR");
    }
    eve.say("HEARTBEAT", heartbeat()).await;
    assert_eq!(eve.rest().await, (Vec::new(), 1008));
    mallory.send(json!({"type": "FILE_READ", "path": "x".repeat(600_000)}).to_string()).await;
    assert_eq!(mallory.close_code().await, 1008);
    assert_eq!(reached(&host, "unproven_frames").await, 2.0);
    let late = TcpStream::connect(host.address).await.unwrap();
    let late = tokio_tungstenite::client_async(format!("ws://{}/", host.address), late).await;
    assert!(late.is_err(), "it counts against the address");
    for _ in 0..60 {
        bob.say("HEARTBEAT", heartbeat()).await;
    }
    bob.is_alive().await;
}

#[tokio::test]
async fn guesses_from_one_address_get_slower_and_whoever_is_in_stays() {
    covers!("SEC-37", "HEL-03");
    let dir = place();
    let key = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let host = server(dir.path(), &[METRICS, "--credential-attempts=4"]).await;
    let mut bob = host.connect("/").await.counts_anew();
    bob.hello_with("agent:bob", api_key(&key)).await;
    let mut waiting = host.connect("/").await.counts_anew();
    let mut eve = host.connect("/").await.counts_anew();
    for n in 0..4 {
        let refused = eve.hello_with("agent:bob", api_key(&format!("{key}{n}"))).await;
        assert_eq!(refused["payload"]["error_code"], "CREDENTIAL_REJECTED");
    }
    // On this connection, on one that was there already, and on a new one.
    eve.say(
        "HELLO",
        json!({"display_name": "e", "roles": [], "capabilities": [], "credential": api_key(&key)}),
    )
    .await;
    assert_eq!(eve.close_code().await, 1008, "even with the right key: she may not try");
    waiting
        .say(
            "HELLO",
            json!({"display_name": "e", "roles": [], "capabilities": [], "credential": api_key("x")}),
        )
        .await;
    assert_eq!(waiting.close_code().await, 1008);
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut answer = vec![0; 400];
    let length = patiently(stream.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
    assert!(answer.starts_with("http/1.1 429") && answer.contains("retry-after: 1\r\n"), "{answer}");
    bob.is_alive().await;
    assert_eq!(reached(&host, "credential_attempts").await, 3.0);
    // The wait is over when the server lets somebody come.
    patiently(async {
        loop {
            let stream = TcpStream::connect(host.address).await.unwrap();
            if tokio_tungstenite::client_async(format!("ws://{}/", host.address), stream).await.is_ok() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_principal_is_slowed_on_all_connections_together() {
    covers!("SEC-37");
    let dir = place();
    let [bob, eve] = ["bob", "eve"].map(|who| secret(&command(dir.path(), &["token", "add", who]).unwrap()));
    let flags = [METRICS, "--multi-session", "--principal-rate-per-sec=1", "--principal-rate-burst=6"];
    let host = server(dir.path(), &flags).await;
    let mut here = joined(&host, "a", "agent:bob", &bob).await;
    let mut there = joined(&host, "b", "agent:bob", &bob).await;
    let mut other = joined(&host, "a", "agent:eve", &eve).await;
    for _ in 0..4 {
        here.say("HEARTBEAT", heartbeat()).await;
    }
    here.is_alive().await; // the fifth
    for _ in 0..3 {
        there.say("HEARTBEAT", heartbeat()).await;
    }
    let refused = there.until("PROTOCOL_ERROR").await;
    assert_eq!(refused["payload"]["extensions"]["mpac"]["limit"], "principal_rate_per_sec", "{refused}");
    let refers_to = refused["payload"]["refers_to"].as_str().unwrap();
    assert!(refers_to.starts_with("agent:bob-"), "the one that was not let in: {refers_to}");
    assert_eq!(refused["payload"]["extensions"]["retry_after_sec"], 1);
    // Who does not hear that is given up.
    for _ in 0..60 {
        there.say("HEARTBEAT", heartbeat()).await;
    }
    assert_eq!(there.rest().await.1, 1008);
    other.is_alive().await;
    assert!(reached(&host, "principal_rate_per_sec").await >= 3.0, "each answer, and the end");
}

#[tokio::test]
async fn an_error_that_comes_too_fast_is_not_answered() {
    covers!("ERR-03", "SEC-37");
    let dir = place();
    let bob = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let flags = ["--multi-session", "--principal-rate-per-sec=1", "--principal-rate-burst=6"];
    let host = server(dir.path(), &flags).await;
    let mut client = joined(&host, "a", "agent:bob", &bob).await;
    let error = json!({"error_code": "MALFORMED_MESSAGE", "description": "what you said", "refers_to": "m"});
    for _ in 0..10 {
        client.say("PROTOCOL_ERROR", error.clone()).await;
    }
    let mut said = Vec::new();
    for _ in 0..4 {
        let heartbeat = client.envelope("HEARTBEAT", heartbeat());
        said.push(heartbeat["message_id"].clone());
        client.send(heartbeat.to_string()).await;
    }
    let refused = client.until("PROTOCOL_ERROR").await;
    assert!(said.contains(&refused["payload"]["refers_to"]), "{refused}");
}

async fn joined(host: &Host, session: &str, who: &str, key: &str) -> Client {
    let mut client = host.connect(&format!("/session/{session}")).await.counts_anew();
    client.session = session.to_owned();
    assert_eq!(client.hello_with(who, api_key(key)).await["message_type"], "SESSION_INFO");
    client
}

#[tokio::test]
async fn what_is_open_and_what_is_stored_has_a_limit_that_is_named_and_counted() {
    covers!("SEC-37", "SRV-10");
    let limits = r#"{"max_open_intents_each": 1, "max_open_conflicts_each": 1, "limits": {"max_batch": 1}}"#;
    let config = format!("--session-config={limits}");
    let host = host(&[METRICS, &config, "--max-workspace-bytes=10", "--max-workspace-files=1"]).await;
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    alice.announce("i1", "a.py").await;
    alice.announce("i2", "b.py").await;
    let refused = alice.until("PROTOCOL_ERROR").await;
    assert_eq!(refused["payload"]["extensions"]["mpac"]["limit"], "max_open_intents_each");
    let wait = refused["payload"]["extensions"]["retry_after_sec"].as_i64().unwrap();
    assert!((290..=300).contains(&wait), "{wait}");
    bob.announce("j", "a.py").await;
    bob.until("CONFLICT_REPORT").await;
    bob.announce("k", "c.py").await;
    assert_eq!(
        bob.until("PROTOCOL_ERROR").await["payload"]["extensions"]["mpac"]["limit"],
        "max_open_conflicts_each"
    );
    for (op, path, content, limit) in [
        ("o1", "x", "eleven byte", "max_workspace_bytes"),
        ("o2", "x", "ten bytes!", ""),
        ("o3", "y", "", "max_workspace_files"),
    ] {
        alice.say("OP_COMMIT", commit(op, path, content)).await;
        if limit.is_empty() {
            alice.until("FILE_UPDATED").await;
        } else {
            let refused = alice.until("PROTOCOL_ERROR").await;
            assert_eq!(refused["payload"]["extensions"]["mpac"]["limit"], limit, "{refused}");
        }
    }
    alice.send(json!({"type": "FILE_LIST"}).to_string()).await;
    assert_eq!(alice.until("FILE_LIST_RESPONSE").await["files"].as_array().unwrap().len(), 1);
    for limit in
        ["max_open_intents_each", "max_open_conflicts_each", "max_workspace_bytes", "max_workspace_files"]
    {
        assert_eq!(reached(&host, limit).await, 1.0, "{limit}");
    }
}

fn commit(op: &str, path: &str, content: &str) -> Value {
    let (before, after) = (mpac_wire::StateRef::of(""), mpac_wire::StateRef::of(content));
    json!({
        "op_id": op, "target": path, "op_kind": "replace", "state_ref_before": before.as_str(),
        "state_ref_after": after.as_str(),
        "file_changes": {path: {"content": content, "state_ref_before": before.as_str()}},
    })
}

#[tokio::test]
async fn every_way_to_be_hung_up_on_is_counted() {
    let flags = [METRICS, "--rate-per-sec=1", "--rate-burst=40", "--max-connections-per-address=3"];
    let host = host(&flags).await;
    let mut witness = host.join("agent:witness").await;
    let mut large = host.connect("/").await;
    large.send("x".repeat(1_048_577)).await;
    assert_eq!(large.close_code().await, 1009);
    drop(large);
    let mut babbler = host.connect("/").await;
    for _ in 0..20 {
        babbler.send("{").await;
    }
    assert_eq!(babbler.rest().await.1, 1008);
    drop(babbler);
    let mut fast = host.connect("/").await;
    for _ in 0..42 {
        fast.send(r#"{"type":"FILE_LIST"}"#).await;
    }
    assert_eq!(fast.rest().await.1, 1008);
    drop(fast);
    let mut pushy = host.connect("/").await;
    pushy.who = "agent:pushy".to_owned();
    for _ in 0..5 {
        pushy.say("HELLO", json!({"display_name": 7})).await;
    }
    assert_eq!(pushy.rest().await.1, 1008);
    drop(pushy);
    let mut deep = host.connect("/").await;
    deep.send("[".repeat(200)).await;
    assert_eq!(deep.next().await["payload"]["extensions"]["mpac"]["limit"], "max_depth");
    drop(deep);
    // A pong nobody asked for is no reason; that there are too many of them is nobody's loss.
    witness.frame(Message::Pong(Vec::new().into())).await;
    witness.is_alive().await;
    for limit in ["max_frame_bytes", "malformed_frames", "rate_per_sec", "refused_hellos", "max_depth"] {
        assert_eq!(reached(&host, limit).await, 1.0, "{limit}");
    }
    let (_a, _b) = (dial(&host).await, dial(&host).await);
    patiently(async {
        // A connection that is over makes room a moment later than its client knows.
        let mut open = Vec::new();
        while reached(&host, "max_connections_per_address").await < 1.0 {
            open.push(dial(&host).await);
        }
    })
    .await;
}

async fn dial(host: &Host) -> TcpStream {
    TcpStream::connect(host.address).await.unwrap()
}
