//! Joining, relays, and frames that are refused.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::covers;
use crate::rig::{Host, host, kind_of};

#[tokio::test]
async fn an_announce_reaches_everybody_who_joined_and_its_sender() {
    let host = host(&[]).await;
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    let mut stranger = host.connect("/").await;
    alice.announce("i-1", "a.py").await;
    for client in [&mut alice, &mut bob] {
        let relay = client.until("INTENT_ANNOUNCE").await;
        assert_eq!(relay["payload"]["intent_id"], "i-1");
        assert_eq!(relay["sender"]["principal_id"], "agent:alice");
    }
    stranger.send(r#"{"type":"FILE_LIST"}"#).await;
    assert_eq!(stranger.next().await["type"], "FILE_LIST_RESPONSE", "who has not joined hears no relay");
}

#[tokio::test]
async fn a_relay_is_the_text_that_came() {
    let host = host(&[]).await;
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    let scope = json!({"kind": "file_set", "resources": ["é.py"]});
    let announce = json!({"intent_id": "i", "objective": "o", "scope": scope, "x-team": {"n": 1.5}});
    let text = alice.envelope("INTENT_ANNOUNCE", announce).to_string().replace("1.5", " 1.50 ");
    alice.send(text.clone()).await;
    let relayed = loop {
        use futures::StreamExt;
        match bob.socket.next().await.unwrap().unwrap() {
            Message::Text(frame) if frame.contains("INTENT_ANNOUNCE") => break frame,
            _ => {}
        }
    };
    assert_eq!(relayed.as_str(), text);
}

#[tokio::test]
async fn a_binary_frame_of_text_is_as_good_as_a_text_frame() {
    covers!("SRV-01");
    let host = host(&[]).await;
    let mut client = host.connect("/").await;
    client.who = "agent:alice".to_owned();
    let hello =
        client.envelope("HELLO", json!({"display_name": "A", "roles": ["owner"], "capabilities": []}));
    client.frame(Message::Binary(hello.to_string().into_bytes().into())).await;
    assert_eq!(client.next().await["message_type"], "SESSION_INFO");
}

#[tokio::test]
async fn frames_that_cannot_be_read_are_refused_and_the_connection_stays() {
    let host = host(&[]).await;
    let mut client = host.connect("/").await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let bad = ["{bad", "", "[1]", "7", "{}", r#"{"type":"FILE_NAP"}"#, r#"{"message_type":"HELLO"}"#, &deep];
    for text in bad {
        client.send(text).await;
        let answer = client.next().await;
        assert_eq!(answer["message_type"], "PROTOCOL_ERROR", "{text}");
        assert_eq!(answer["payload"]["error_code"], "MALFORMED_MESSAGE", "{text}");
    }
    client.frame(Message::Binary(vec![0xff, 0xfe].into())).await;
    assert_eq!(client.next().await["payload"]["error_code"], "MALFORMED_MESSAGE");
    assert_eq!(client.hello("agent:alice").await["message_type"], "SESSION_INFO");
}

#[tokio::test]
async fn twenty_malformed_frames_close_with_1008() {
    let host = host(&[]).await;
    let mut client = host.connect("/").await;
    for _ in 0..20 {
        client.send("{bad").await;
    }
    let (kinds, code) = client.rest().await;
    assert_eq!(code, 1008);
    assert!(kinds.iter().all(|kind| kind == "PROTOCOL_ERROR") && kinds.len() == 20, "{kinds:?}");
}

#[tokio::test]
async fn a_message_before_hello_and_one_in_somebody_else_s_name_are_refused() {
    let host = host(&[]).await;
    let mut bob = host.join("agent:bob").await;
    let mut alice = host.connect("/").await;
    alice.who = "agent:alice".to_owned();
    alice.announce("i-1", "a.py").await;
    assert_eq!(alice.until("PROTOCOL_ERROR").await["payload"]["error_code"], "INVALID_REFERENCE");
    alice.hello("agent:alice").await;
    alice.who = "agent:bob".to_owned();
    alice.announce("i-2", "a.py").await;
    assert_eq!(alice.until("PROTOCOL_ERROR").await["payload"]["error_code"], "AUTHORIZATION_FAILED");
    bob.announce("i-3", "b.py").await;
    assert_eq!(
        bob.until("INTENT_ANNOUNCE").await["payload"]["intent_id"],
        "i-3",
        "nothing of the others came through"
    );
}

#[tokio::test]
async fn a_name_is_taken_while_its_connection_is_open_and_free_again_afterwards() {
    let host = host(&[]).await;
    let first = host.join("agent:alice").await;
    assert_eq!(from_another_process(&host).await, "PROTOCOL_ERROR");
    first.hang_up().await;
    assert_eq!(from_another_process(&host).await, "SESSION_INFO");
}

/// What a HELLO of the same principal and another instance is answered with, on a connection of its own.
async fn from_another_process(host: &Host) -> String {
    let mut client = host.connect("/").await;
    client.who = "agent:alice".to_owned();
    let mut hello =
        client.envelope("HELLO", json!({"display_name": "A", "roles": ["owner"], "capabilities": []}));
    hello["sender"]["sender_instance_id"] = json!("agent:alice:2");
    client.send(hello.to_string()).await;
    kind_of(&client.next().await).to_owned()
}

#[tokio::test]
async fn a_reconnect_of_the_same_process_takes_over_and_the_old_connection_is_closed_with_4001() {
    let host = host(&[]).await;
    let mut old = host.join("agent:alice").await;
    let mut new = host.connect("/").await;
    new.who = "agent:alice".to_owned();
    let mut hello =
        new.envelope("HELLO", json!({"display_name": "A", "roles": ["owner"], "capabilities": []}));
    hello["message_id"] = json!("hello-2");
    hello["watermark"]["value"] = json!(5);
    new.send(hello.to_string()).await;
    assert_eq!(kind_of(&new.next().await), "SESSION_INFO");
    assert_eq!(old.close_code().await, 4001);
    new.is_alive().await;
}
