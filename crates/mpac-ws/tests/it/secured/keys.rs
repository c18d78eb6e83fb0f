//! Keys that `mpac-ws token` and `mpac-ws invite` make.

use std::io::{self, Write};

use serde_json::json;

use super::{api_key, command, command_to, id, place, said, secret, server};
use crate::covers;

#[tokio::test]
async fn a_key_lets_its_owner_in_and_nobody_else() {
    covers!("SEC-06", "SEC-07", "SEC-08", "SEC-11", "SEC-16", "HEL-10", "D-123");
    let dir = place();
    let key = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let host = server(dir.path(), &[]).await;
    let mut bob = host.connect("/").await.counts_anew();
    let info = bob.hello_with("agent:bob", api_key(&key)).await;
    assert_eq!(info["payload"]["identity_verified"], true);
    assert_eq!(info["payload"]["identity_method"], "api_key");
    for (who, credential) in [
        ("agent:eve", api_key(&key)),
        ("agent:bob", api_key(&format!("{key}0"))),
        ("agent:bob", api_key("")),
        ("agent:bob", json!(null)),
        ("agent:bob", json!({"type": "bearer_token", "value": key})),
        ("agent:bob", json!({"type": "custom", "value": key})),
        ("agent:bob", json!({"type": "x509_chain", "value": key})),
        ("agent:bob", json!({"type": "no_such_type", "value": key})),
    ] {
        assert_eq!(
            said(&host, "/", who, credential.clone()).await,
            "CREDENTIAL_REJECTED",
            "{who} {credential}"
        );
    }
    bob.is_alive().await; // nobody has taken his place
}

#[tokio::test]
async fn who_is_not_in_sees_and_says_nothing() {
    covers!("SEC-41", "D-126", "SEC-04", "HEL-03");
    let dir = place();
    let key = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let host = server(dir.path(), &[]).await;
    let mut eve = host.connect("/").await.counts_anew();
    for request in ["FILE_LIST", "FILE_READ", "SESSION_SUMMARY"] {
        eve.send(json!({"type": request, "path": "a"}).to_string()).await;
        let answer = eve.next().await;
        assert_eq!(answer["type"], "FILE_ERROR", "{answer}");
        assert_eq!(answer["error"], "not authorized", "{answer}");
    }
    let mut bob = host.connect("/").await.counts_anew();
    bob.hello_with("agent:bob", api_key(&key)).await;
    // A voice that is not hers, on her own connection, and his own on hers.
    eve.who = "agent:bob".to_owned();
    eve.announce("i1", "a.py").await;
    assert_eq!(eve.next().await["message_type"], "PROTOCOL_ERROR");
    bob.announce("i2", "a.py").await;
    assert_eq!(bob.until("INTENT_ANNOUNCE").await["payload"]["intent_id"], "i2");
    eve.send(json!({"type": "FILE_LIST"}).to_string()).await;
    assert_eq!(eve.next().await["type"], "FILE_ERROR", "nothing of his announce has come to her");
}

#[tokio::test]
async fn a_key_of_one_session_opens_no_other() {
    let dir = place();
    let add = ["token", "add", "bob", "--session=shop"];
    let key = secret(&command(dir.path(), &add).unwrap());
    let host = server(dir.path(), &["--multi-session"]).await;
    assert_eq!(said(&host, "/session/shop", "agent:bob", api_key(&key)).await, "SESSION_INFO");
    assert_eq!(said(&host, "/session/bank", "agent:bob", api_key(&key)).await, "CREDENTIAL_REJECTED");
}

#[tokio::test]
async fn whoever_is_in_by_a_revoked_key_is_put_out() {
    let dir = place();
    let [bobs, anns] =
        ["bob", "ann"].map(|who| secret(&command(dir.path(), &["token", "add", who]).unwrap()));
    let host = server(dir.path(), &[]).await;
    let (mut bob, mut ann) = (host.connect("/").await.counts_anew(), host.connect("/").await.counts_anew());
    bob.hello_with("agent:bob", api_key(&bobs)).await;
    ann.hello_with("agent:ann", api_key(&anns)).await;
    command(dir.path(), &["token", "revoke", id(&bobs)]).unwrap();
    assert_eq!(bob.close_code().await, 1008);
    ann.is_alive().await;
    assert_eq!(said(&host, "/", "agent:bob", api_key(&bobs)).await, "CREDENTIAL_REJECTED");
    let unknown = command(dir.path(), &["token", "revoke", "0123"]).unwrap_err().to_string();
    assert!(unknown.contains("token list"), "{unknown}");
}

#[tokio::test]
async fn a_rotated_key_and_the_one_before_are_both_good_for_a_while() {
    let dir = place();
    let old = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let host = server(dir.path(), &[]).await;
    let new = secret(&command(dir.path(), &["token", "rotate", id(&old)]).unwrap());
    for key in [&old, &new] {
        assert_eq!(said(&host, "/", "agent:bob", api_key(key)).await, "SESSION_INFO");
    }
    let newest = secret(&command(dir.path(), &["token", "rotate", id(&old), "--grace=0s"]).unwrap());
    assert_eq!(said(&host, "/", "agent:bob", api_key(&new)).await, "CREDENTIAL_REJECTED");
    assert_eq!(said(&host, "/", "agent:bob", api_key(&newest)).await, "SESSION_INFO");
}

#[tokio::test]
async fn whoever_is_in_by_the_secret_before_is_put_out_when_its_grace_is_over() {
    let dir = place();
    let [bobs, anns] =
        ["bob", "ann"].map(|who| secret(&command(dir.path(), &["token", "add", who]).unwrap()));
    let host = server(dir.path(), &[]).await;
    let (mut bob, mut ann) = (host.connect("/").await.counts_anew(), host.connect("/").await.counts_anew());
    bob.hello_with("agent:bob", api_key(&bobs)).await;
    ann.hello_with("agent:ann", api_key(&anns)).await;
    let bobs = secret(&command(dir.path(), &["token", "rotate", id(&bobs), "--grace=1s"]).unwrap());
    assert_eq!(
        bob.close_code().await,
        1008,
        "after a second, and not before somebody changes the keys again"
    );
    let mut bob = host.connect("/").await.counts_anew();
    bob.hello_with("agent:bob", api_key(&bobs)).await;
    command(dir.path(), &["token", "rotate", id(&anns), "--grace=0s"]).unwrap();
    assert_eq!(ann.close_code().await, 1008);
    bob.is_alive().await; // he has shown the one that counts
}

#[tokio::test]
async fn a_second_credential_does_not_outlive_the_first() {
    let dir = place();
    let [bobs, anns] =
        ["bob", "ann"].map(|who| secret(&command(dir.path(), &["token", "add", who]).unwrap()));
    let host = server(dir.path(), &[]).await;
    let mut bob = host.connect("/").await.counts_anew();
    bob.hello_with("agent:bob", api_key(&bobs)).await;
    // Good, but hers: he is still here by his own.
    bob.hello_with("agent:ann", api_key(&anns)).await;
    bob.until("PROTOCOL_ERROR").await;
    command(dir.path(), &["token", "revoke", id(&bobs)]).unwrap();
    assert_eq!(bob.close_code().await, 1008);
}

#[tokio::test]
async fn a_key_that_ends_ends_the_membership() {
    covers!("SEC-14");
    let dir = place();
    let key = secret(&command(dir.path(), &["token", "add", "bob", "--for=1s"]).unwrap());
    let host = server(dir.path(), &[]).await;
    let mut bob = host.connect("/").await.counts_anew();
    assert_eq!(bob.hello_with("agent:bob", api_key(&key)).await["message_type"], "SESSION_INFO");
    // Until its second is over he is answered by what he says; then by a refusal.
    loop {
        bob.say("HEARTBEAT", json!({"status": "idle"})).await;
        bob.send(r#"{"type":"FILE_LIST"}"#).await;
        let answer = bob.next().await;
        if answer["payload"]["error_code"] == "CREDENTIAL_REJECTED" {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_shows_no_other_credential_in_time_hears_nothing_more() {
    covers!("SEC-14");
    let dir = place();
    let add = |who: &str, more: &[&str]| {
        secret(&command(dir.path(), &[&["token", "add", who], more].concat()).unwrap())
    };
    let (first, second, anns) = (add("bob", &["--for=1s"]), add("bob", &[]), add("ann", &["--for=2s"]));
    let host = server(dir.path(), &["--hello-within-sec=1"]).await;
    let mut bob = host.connect("/").await.counts_anew();
    bob.hello_with("agent:bob", api_key(&first)).await;
    let mut ann = host.connect("/").await.counts_anew();
    assert_eq!(ann.hello_with("agent:ann", api_key(&anns)).await["message_type"], "SESSION_INFO");
    bob.hello_with("agent:bob", api_key(&second)).await;
    bob.announce("i", "a.py").await;
    assert_eq!(ann.until("INTENT_ANNOUNCE").await["payload"]["intent_id"], "i");
    assert_eq!(ann.close_code().await, 1008, "she says nothing, and was only listening");
    bob.is_alive().await; // his first is over for longer than hers
}

#[tokio::test]
async fn an_invitation_is_for_one() {
    let dir = place();
    let printed = command(dir.path(), &["invite", "bob", "--url=ws://shop.example:1"]).unwrap();
    assert!(printed.contains("mpac-agent ws://shop.example:1 --name bob"), "{printed}");
    let key = printed.split("api_key:").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let host = server(dir.path(), &[]).await;
    assert_eq!(said(&host, "/", "agent:eve", api_key(&key)).await, "CREDENTIAL_REJECTED", "not hers");
    assert_eq!(said(&host, "/", "agent:bob", api_key(&key)).await, "SESSION_INFO", "and still open");
    assert_eq!(said(&host, "/", "agent:bob", api_key(&key)).await, "SESSION_INFO", "the same comes back");
    let mut other = host.connect("/").await.counts_anew();
    other.who = "agent:bob".to_owned();
    let hello = json!({"display_name": "b", "roles": ["contributor"], "capabilities": [], "credential": api_key(&key)});
    let mut envelope = other.envelope("HELLO", hello);
    envelope["sender"]["sender_instance_id"] = "another".into();
    other.send(envelope.to_string()).await;
    assert_eq!(other.next().await["payload"]["error_code"], "CREDENTIAL_REJECTED");
    assert!(command(dir.path(), &["token", "list"]).unwrap().contains("taken up"));
}

#[tokio::test]
async fn an_invitation_is_not_used_up_by_a_hello_that_is_refused() {
    let dir = place();
    let printed = command(dir.path(), &["invite", "bob", "--url=ws://shop.example:1"]).unwrap();
    let key = printed.split("api_key:").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let host = server(dir.path(), &[]).await;
    let mut first = host.connect("/").await.counts_anew();
    first.who = "agent:bob".to_owned();
    let hello = json!({"display_name": "b", "roles": ["contributor"], "capabilities": [], "credential": api_key(&key)});
    let mut envelope = first.envelope("HELLO", hello);
    envelope["sender"]["sender_instance_id"] = "mistyped".into();
    envelope["session_id"] = "elsewhere".into();
    first.send(envelope.to_string()).await;
    assert_eq!(first.next().await["message_type"], "PROTOCOL_ERROR");
    assert!(
        command(dir.path(), &["token", "list"]).unwrap().contains("taken up"),
        "for as long as it is there"
    );
    drop(first);
    let changed = || !command(dir.path(), &["token", "list"]).unwrap().contains("taken up");
    while !changed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(said(&host, "/", "agent:bob", api_key(&key)).await, "SESSION_INFO");
}

#[tokio::test]
async fn no_secret_is_written_anywhere() {
    covers!("PRV-05");
    let dir = place();
    let key = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let host = server(dir.path(), &[]).await;
    let forged = format!("{}planted", &key[..40]);
    said(&host, "/", "agent:bob", api_key(&key)).await;
    said(&host, "/", "agent:bob", api_key(&forged)).await;
    said(&host, "/", "agent:bob", json!({"type": "bearer_token", "value": "planted", "issuer": "x"})).await;
    host.stop().await;
    let mut looked_at = 0;
    let mut dirs = vec![dir.path().to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            looked_at += 1;
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(&key[20..]) && !text.contains("planted"), "{}", path.display());
        }
    }
    assert!(looked_at >= 3, "the keys, the lock and a log at least");
}

/// Where nothing can be written.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_key_whose_secret_nobody_has_seen_is_named() {
    let dir = place();
    let mut ids = Vec::new();
    for words in [&["token", "add", "bob"][..], &["invite", "eve"]] {
        let error = command_to(&mut Full, dir.path(), words).unwrap_err().to_string();
        let all = command(dir.path(), &["token", "list"]).unwrap();
        let id = all.lines().last().unwrap().split(' ').next().unwrap().to_owned();
        assert!(error.contains(&format!("the key {id} was made or changed")), "{error}");
        assert!(
            error.contains(&format!("token revoke {id}")) && error.contains("no storage space"),
            "{error}"
        );
        ids.push(id);
    }
    let error = command_to(&mut Full, dir.path(), &["token", "rotate", &ids[0]]).unwrap_err().to_string();
    assert!(error.contains(&format!("token rotate {}", ids[0])), "{error}");
}

#[test]
fn the_list_tells_programs_and_people_what_there_is() {
    let dir = place();
    assert!(command(dir.path(), &["token", "list"]).unwrap().contains("no key yet"));
    let key = secret(&command(dir.path(), &["token", "add", "bob", "--session=s", "--for=1h"]).unwrap());
    command(dir.path(), &["token", "trust", "ann", &format!("--fingerprint={}", "AB".repeat(32))]).unwrap();
    let list = command(dir.path(), &["token", "list", "--json"]).unwrap();
    let lines: Vec<serde_json::Value> =
        list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["id"], &lines[0]["sessions"]), (&json!(id(&key)), &json!(["s"])));
    assert_eq!(lines[1]["id"], format!("sha256:{}", "ab".repeat(32)));
    assert!(!list.contains(&key[20..]));
}

#[tokio::test]
async fn further_settings_leave_the_door_shut() {
    covers!("SEC-06", "SEC-07");
    let dir = place();
    let host = server(dir.path(), &[r#"--session-config={"enforce_intent_backoff": true}"#]).await;
    assert_eq!(said(&host, "/", "agent:eve", json!(null)).await, "CREDENTIAL_REJECTED");
}
