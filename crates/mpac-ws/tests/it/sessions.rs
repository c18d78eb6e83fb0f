//! Many sessions on one server.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::covers;
use crate::rig::{Client, Host, host};

async fn in_session(host: &Host, id: &str) -> Client {
    let mut client = host.connect(&format!("/session/{id}")).await;
    client.session = id.to_owned();
    client
}

async fn summary(client: &mut Client) -> serde_json::Value {
    client.send(r#"{"type":"SESSION_SUMMARY"}"#).await;
    client.until("SESSION_SUMMARY_RESPONSE").await["session"].take()
}

#[tokio::test]
async fn a_path_without_session_is_closed_with_4004() {
    covers!("SRV-02");
    let host = host(&["--multi-session"]).await;
    for path in ["/", "/session/", "/session", "/sessions/a", "/session//a"] {
        assert_eq!(host.connect(path).await.close_code().await, 4004, "{path}");
    }
}

#[tokio::test]
async fn without_multi_session_every_path_leads_to_the_one_session() {
    covers!("SRV-02");
    let host = host(&["--session", "team"]).await;
    for (n, path) in ["/", "/session/other", "/a/b?c=d", "/healthz"].iter().enumerate() {
        let mut client = host.connect(path).await;
        client.session = "team".to_owned();
        assert_eq!(client.hello(&format!("agent:{n}")).await["payload"]["session_id"], "team", "{path}");
    }
}

#[tokio::test]
async fn sessions_do_not_hear_each_other() {
    covers!("SRV-03");
    let host = host(&["--multi-session"]).await;
    let (mut alice, mut bob) = (in_session(&host, "a").await, in_session(&host, "b").await);
    alice.hello("agent:same").await;
    assert_eq!(bob.hello("agent:same").await["message_type"], "SESSION_INFO", "names are per session");
    alice.announce("i-a", "a.py").await;
    bob.announce("i-b", "a.py").await;
    assert_eq!(bob.next().await["payload"]["intent_id"], "i-b");
}

#[tokio::test]
async fn the_id_is_not_decoded_and_what_follows_it_is_ignored() {
    let host = host(&["--multi-session"]).await;
    let mut client = host.connect("/session/a%20b/more?x=y").await;
    client.session = "a%20b".to_owned();
    assert_eq!(client.hello("agent:alice").await["payload"]["session_id"], "a%20b");
}

#[tokio::test]
async fn a_session_exists_from_its_first_accepted_hello() {
    let host = host(&["--multi-session"]).await;
    let (mut first, mut second) = (in_session(&host, "x").await, in_session(&host, "x").await);
    let unknown = summary(&mut first).await;
    assert_eq!(unknown["error"], "session_not_found");
    assert_eq!(unknown["workspace_dir"], json!(null));
    assert_eq!(first.is_alive().await["files"], json!([]));
    first.session = "y".to_owned();
    first.hello("agent:alice").await;
    assert_eq!(summary(&mut first).await["error"], "session_not_found", "a refused HELLO opens nothing");
    first.session = "x".to_owned();
    first.hello("agent:alice").await;
    assert_eq!(summary(&mut second).await["participant_count"], 1);
}

#[tokio::test]
async fn a_session_that_nobody_opened_has_no_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.py"), "x").unwrap();
    let host = host(&["--multi-session", "--workspace", dir.path().to_str().unwrap()]).await;
    let mut client = in_session(&host, "x").await;
    let read = |path| json!({"type": "FILE_READ", "path": path}).to_string();
    assert_eq!(client.is_alive().await["files"], json!([]));
    client.send(read("a.py")).await;
    assert_eq!(client.next().await["error"], "File not found");
    client.hello("agent:alice").await;
    assert_eq!(client.is_alive().await["files"][0]["path"], "a.py");
    client.send(read("a.py")).await;
    assert_eq!(client.next().await["content"], "x");
}

#[tokio::test]
async fn an_opened_session_outlives_a_participant_who_came_and_went_in_one_write() {
    use futures::SinkExt;
    let host = host(&["--multi-session"]).await;
    for n in 0..50 {
        let id = format!("s{n}");
        let mut alice = in_session(&host, &id).await;
        alice.who = "agent:alice".to_owned();
        let hello = alice
            .envelope("HELLO", json!({"display_name": "A", "roles": ["contributor"], "capabilities": []}));
        let scope = json!({"kind": "file_set", "resources": ["a.py"]});
        let announce = json!({"intent_id": "i-1", "objective": "work", "scope": scope});
        let announce = alice.envelope("INTENT_ANNOUNCE", announce);
        for frame in [
            Message::Text(hello.to_string().into()),
            Message::Text(announce.to_string().into()),
            Message::Close(None),
        ] {
            alice.socket.feed(frame).await.unwrap();
        }
        alice.socket.flush().await.unwrap();
        // At the same time, so that now and then it is there before the session has read what came first.
        let mut bob = in_session(&host, &id).await;
        alice.close_code().await;
        drop(alice);
        let mut late = in_session(&host, &id).await;
        for client in [&mut bob, &mut late] {
            assert_eq!(summary(client).await["active_intents"][0]["intent_id"], "i-1", "session {n}");
        }
    }
}

#[tokio::test]
async fn the_coordinator_of_a_session_counts_on_from_before_it_was_opened() {
    let host = host(&["--multi-session"]).await;
    let mut client = in_session(&host, "x").await;
    let mut last = 0;
    for _ in 0..3 {
        client.send("{bad").await;
        let value = client.next().await["watermark"]["value"].as_u64().unwrap();
        assert!(value > last, "{value} after {last}");
        last = value;
    }
    let info = client.hello("agent:alice").await;
    assert_eq!(info["message_type"], "SESSION_INFO");
    assert!(info["watermark"]["value"].as_u64().unwrap() > last, "{info}");
}

#[tokio::test]
async fn five_refused_hellos_close_an_unopened_session_s_connection_too() {
    let host = host(&["--multi-session", "--max-sessions=1"]).await;
    let mut alice = in_session(&host, "a").await;
    alice.hello("agent:alice").await;
    let mut bob = in_session(&host, "b").await;
    for _ in 0..5 {
        assert_eq!(bob.hello("agent:bob").await["payload"]["error_code"], "INVALID_REFERENCE");
    }
    assert_eq!(bob.close_code().await, 1008);
}

#[tokio::test]
async fn a_refused_hello_takes_no_place() {
    let host = host(&["--multi-session", "--max-sessions=1"]).await;
    let mut alice = in_session(&host, "a").await;
    alice.session = "elsewhere".to_owned();
    assert_eq!(alice.hello("agent:alice").await["message_type"], "PROTOCOL_ERROR");
    let mut bob = in_session(&host, "b").await;
    assert_eq!(bob.hello("agent:bob").await["message_type"], "SESSION_INFO");
}

#[tokio::test]
async fn beyond_the_limit_a_hello_is_refused_and_the_connection_stays() {
    let host = host(&["--multi-session", "--max-sessions=1"]).await;
    let (mut alice, mut bob) = (in_session(&host, "a").await, in_session(&host, "b").await);
    assert_eq!(alice.hello("agent:alice").await["message_type"], "SESSION_INFO");
    let refused = bob.hello("agent:bob").await;
    assert_eq!(refused["message_type"], "PROTOCOL_ERROR");
    assert_eq!(refused["payload"]["error_code"], "INVALID_REFERENCE");
    assert_eq!(refused["payload"]["refers_to"], "agent:bob-1");
    assert_eq!(summary(&mut bob).await["error"], "session_not_found");
    let mut late = in_session(&host, "a").await;
    assert_eq!(late.hello("agent:late").await["message_type"], "SESSION_INFO");
}

#[tokio::test]
async fn sessions_that_nobody_opens_take_up_only_so_much() {
    let dir = tempfile::tempdir().unwrap();
    // So many that sixteen sessions know the names of all that may be known.
    for n in 0..15_700 {
        std::fs::write(dir.path().join(n.to_string()), "").unwrap();
    }
    let host = host(&["--multi-session", "--workspace", dir.path().to_str().unwrap()]).await;
    let mut waiting = Vec::new();
    for n in 0..16 {
        waiting.push(in_session(&host, &n.to_string()).await);
        assert_eq!(summary(&mut waiting[n]).await["error"], "session_not_found");
    }
    assert_eq!(in_session(&host, "16").await.close_code().await, 1013);
    assert_eq!(waiting[0].hello("agent:alice").await["message_type"], "SESSION_INFO");
    let mut next = in_session(&host, "16").await;
    assert_eq!(next.hello("agent:bob").await["message_type"], "SESSION_INFO");
}

#[tokio::test]
async fn a_configured_session_is_there_before_anybody_joins() {
    let host = host(&["--multi-session", "--session", "team"]).await;
    let mut client = in_session(&host, "team").await;
    assert_eq!(summary(&mut client).await["participant_count"], 0);
}

#[tokio::test]
async fn at_level_0_1_15_a_file_that_is_announced_is_locked() {
    let host = host(&["--protocol-level=0.1.15"]).await;
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    alice.announce("i-a", "a.py").await;
    bob.until("INTENT_ANNOUNCE").await;
    bob.announce("i-b", "a.py").await;
    assert_eq!(bob.until("PROTOCOL_ERROR").await["payload"]["error_code"], "STALE_INTENT");
}

#[tokio::test]
async fn the_coordinator_speaks_when_its_time_has_come() {
    let host = host(&["--heartbeat-interval-sec=0.01"]).await;
    let mut alice = host.join("agent:alice").await;
    for _ in 0..3 {
        assert_eq!(alice.until("COORDINATOR_STATUS").await["payload"]["event"], "heartbeat");
    }
}
