//! Ctrl-C, with a coordinator that is gone or says nothing more: it ends a verb soon all the same.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};

use serde_json::Value;

use super::patiently;
use super::program::command;
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
