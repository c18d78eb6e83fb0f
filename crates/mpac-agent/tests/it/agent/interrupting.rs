//! Ctrl-C, with a coordinator that is gone or says nothing more: it ends a verb soon all the same.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};

use serde_json::{Value, json};

use super::patiently;
use super::program::command;
use crate::covers;
use crate::fake_coordinator::{Peer, listening, script};

/// Holds an intent, and has said so: the program and the other end, which answers nothing after that.
async fn holding() -> (Child, Peer) {
    let (mut child, mut peer) = joined(&["announce", "a.py", "-m", "his", "--hold", "--json"]).await;
    let announce = peer.take("INTENT_ANNOUNCE").await;
    peer.relay(&announce).await;
    peer.answer_barrier().await;
    shown(&mut child, "verb", "announce").await;
    (child, peer)
}

/// A verb that has joined.
pub(super) async fn joined(arguments: &[&str]) -> (Child, Peer) {
    let (url, accept) = listening().await;
    let patient = ["--session", "s", "--answer-within-sec", "300"];
    let child = command(&url, "Bob", &[arguments, &patient].concat()).spawn().unwrap();
    let mut peer = patiently(accept).await.unwrap();
    peer.answers_barriers();
    peer.take("HELLO").await;
    peer.welcome().await;
    (child, peer)
}

/// Reads the lines of JSON up to one with this member.
pub(super) async fn shown(child: &mut Child, member: &'static str, is: &'static str) {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let read = tokio::task::spawn_blocking(move || {
        loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it has ended");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line[member] == is {
                return lines.into_inner();
            }
        }
    });
    child.stdout = Some(patiently(read).await.unwrap());
}

pub(super) fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Its exit code, and the rest of what it printed.
pub(super) async fn end(mut child: Child) -> (Option<i32>, String) {
    let done = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text)
    });
    patiently(done).await.unwrap()
}

#[tokio::test]
async fn who_holds_an_intent_does_not_wait_for_a_connection_that_is_broken() {
    let (mut child, peer) = holding().await;
    peer.close(1012, "restarts").await;
    shown(&mut child, "event", "connection_lost").await;
    interrupt(&child);
    let (code, text) = end(child).await;
    assert!(code == Some(5) && text.contains("does not wait for its return"), "{code:?} {text}");
}

#[tokio::test]
async fn who_holds_an_intent_does_not_wait_long_for_an_answer() {
    let (child, mut peer) = holding().await;
    interrupt(&child);
    peer.take("INTENT_WITHDRAW").await;
    let (code, text) = end(child).await;
    assert!(code == Some(6) && text.contains("no answer to the withdrawal"), "{code:?} {text}");
}

#[tokio::test]
async fn a_second_ctrl_c_is_not_swallowed() {
    let (child, mut peer) = holding().await;
    interrupt(&child);
    peer.take("INTENT_WITHDRAW").await;
    interrupt(&child);
    let (code, text) = end(child).await;
    assert!(code == Some(1) && text.contains("interrupted"), "{code:?} {text}");
}

#[tokio::test]
async fn who_would_hold_an_intent_can_be_broken_off_before_it_is_there() {
    let (child, mut peer) = joined(&["announce", "a.py", "-m", "his", "--hold", "--json"]).await;
    peer.take("INTENT_ANNOUNCE").await;
    interrupt(&child);
    let (code, text) = end(child).await;
    assert!(code == Some(1) && text.contains("interrupted"), "{code:?} {text}");
}

#[tokio::test]
async fn what_a_verb_had_announced_for_itself_is_not_waited_for_long() {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let (child, mut peer) = joined(&["commit", "a.py", "--from", from, "--json"]).await;
    let announce = peer.take("INTENT_ANNOUNCE").await;
    peer.relay(&announce).await;
    peer.answer_barrier().await;
    peer.take("FILE_READ").await;
    interrupt(&child);
    peer.take("INTENT_WITHDRAW").await;
    let (code, text) = end(child).await;
    assert!(code == Some(1) && text.contains("interrupted"), "{code:?} {text}");
}

#[tokio::test]
async fn what_a_task_has_withdrawn_itself_is_over_and_nothing_else_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script("")).unwrap();
    let path = file.path().to_str().unwrap();
    let (mut child, mut peer) = joined(&["task", "mend it", "--script", path]).await;
    peer.answer_list(&["a.py"]).await;
    peer.accept_announce(|_| vec![]).await;
    peer.take("FILE_READ").await;
    interrupt(&child);
    // The task's own, and at once the verb's, which has not heard of it.
    let own = peer.take("INTENT_WITHDRAW").await;
    let again = peer.take("INTENT_WITHDRAW").await;
    assert_eq!(own["payload"]["intent_id"], again["payload"]["intent_id"]);
    peer.relay(&own).await;
    peer.refuse(&again, "INVALID_REFERENCE", "the intent is over").await;
    peer.answer_barrier().await;
    let mut told = child.stderr.take().unwrap();
    let (code, _) = end(child).await;
    let mut text = String::new();
    told.read_to_string(&mut text).unwrap();
    assert!(code == Some(1) && text.contains("interrupted"), "{code:?} {text}");
    assert!(!text.contains("ends by its time"), "{text}");
}

#[tokio::test]
async fn a_task_that_waits_for_the_end_of_a_freeze_can_be_broken_off() {
    covers!("PAR-23");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script("")).unwrap();
    let path = file.path().to_str().unwrap();
    let (child, mut peer) = joined(&["task", "mend it", "--script", path, "--json"]).await;
    let commit = peer.until_commit().await;
    peer.refuse(&commit, "SCOPE_FROZEN", "a.py is frozen until conflict c is resolved").await;
    peer.answer_read("a.py", "old").await;
    while peer.next_of_any_kind().await.unwrap()["payload"]["status"] != "blocked" {}
    interrupt(&child);
    let own = peer.take("INTENT_WITHDRAW").await;
    assert_eq!(own["payload"]["intent_id"], commit["payload"]["intent_id"]);
    let coordinator = tokio::spawn(async move {
        while peer.next().await.is_some() {}
        peer.said
    });
    let (code, text) = end(child).await;
    let said = coordinator.await.unwrap();
    let told: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(
        (code, &told["outcome"], &told["undecided"]),
        (Some(1), &"cancelled".into(), &Value::Null),
        "{told}"
    );
    assert_eq!(said.iter().filter(|it| it["message_type"] == "OP_COMMIT").count(), 1);
}

/// A verb that has sent its commit, is interrupted, and finds the file like that, or is told nothing.
async fn interrupted_at_commit(verb: &str, found: Option<fn(&Value) -> Value>) -> (Option<i32>, Value) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script("")).unwrap();
    let path = file.path().to_str().unwrap();
    let (child, mut peer) = match verb {
        "task" => joined(&["task", "mend it", "--script", path, "--json"]).await,
        _ => joined(&[verb, "a.py", "--from", path, "--json"]).await,
    };
    let commit = loop {
        let frame = peer.next().await.unwrap();
        if frame["message_type"] == "OP_COMMIT" {
            break frame;
        } else if frame["message_type"] == "INTENT_ANNOUNCE" {
            peer.relay(&frame).await;
        } else if frame["type"] == "FILE_READ" {
            peer.content("a.py", "old").await;
        } else {
            peer.send(&json!({"type": "FILE_LIST_RESPONSE", "files": [{"path": "a.py", "state_ref": "sha256:0", "size": 3}]}))
                .await;
        }
    };
    interrupt(&child);
    let coordinator = tokio::spawn(async move {
        while let Some(frame) = peer.next().await {
            if frame["type"] == "FILE_LIST"
                && let Some(found) = found
            {
                let file = json!({"path": "a.py", "state_ref": found(&commit["payload"]), "size": 3});
                peer.send(&json!({"type": "FILE_LIST_RESPONSE", "files": [file]})).await;
            }
        }
    });
    let (code, text) = end(child).await;
    coordinator.await.unwrap();
    (code, serde_json::from_str(text.lines().last().unwrap()).unwrap())
}

#[tokio::test]
async fn what_became_of_a_commit_under_way_is_found_out() {
    covers!("PAR-12");
    for verb in ["commit", "task"] {
        let (code, told) = interrupted_at_commit(verb, Some(|it| it["state_ref_after"].clone())).await;
        assert_eq!((code, &told["committed"][0]["path"]), (Some(1), &"a.py".into()), "{verb} {told}");
        let (code, told) = interrupted_at_commit(verb, Some(|it| it["state_ref_before"].clone())).await;
        assert_eq!((code, &told["committed"][0]), (Some(1), &Value::Null), "{verb} {told}");
        let (code, told) = interrupted_at_commit(verb, None).await;
        assert_eq!((code, &told["undecided"][0]["path"]), (Some(6), &"a.py".into()), "{verb} {told}");
        assert!(told["message"].as_str().unwrap().contains("is not known"), "{verb} {told}");
    }
}

#[tokio::test]
async fn a_task_of_which_only_the_end_of_its_intent_is_missing_is_done() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script("")).unwrap();
    let path = file.path().to_str().unwrap();
    let (child, mut peer) = joined(&["task", "mend it", "--script", path, "--json"]).await;
    peer.answer_list(&["a.py"]).await;
    peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    peer.accept_commit("new").await;
    peer.take("INTENT_WITHDRAW").await;
    interrupt(&child);
    let coordinator = tokio::spawn(async move { while peer.next().await.is_some() {} });
    let (code, text) = end(child).await;
    coordinator.await.unwrap();
    let told: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((code, &told["outcome"], &told["ok"]), (Some(0), &"committed".into(), &true.into()), "{told}");
}
