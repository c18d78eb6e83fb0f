//! The program as a whole: what it sends first and last, and its exit code.

use std::path::PathBuf;

use clap::Parser as _;
use mpac_agent::cli::Program;
use serde_json::json;

use crate::fake_coordinator::{info, listening, report, script};

/// A script file of this test's own.
pub(crate) fn script_file(test: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.json"));
    std::fs::write(&path, text).unwrap();
    path
}

fn cli(url: &str, more: &[&str]) -> Program {
    let fixed = ["mpac-agent", url, "--name", "Bob", "--session", "s", "--task", "mend"];
    Program::try_parse_from(fixed.iter().chain(more)).unwrap()
}

#[tokio::test]
async fn a_committed_task_says_hello_and_goodbye_and_exits_with_0() {
    let (url, accept) = listening().await;
    let script = script_file("exit_0", &script(""));
    let more = ["--script", script.to_str().unwrap(), "--role", "contributor", "--role", "reviewer"];
    let exit = tokio::spawn(mpac_agent::run(cli(&url, &more)));
    let mut peer = accept.await.unwrap();
    let hello = peer.take("HELLO").await;
    assert_eq!(hello["sender"]["principal_id"], "agent:Bob");
    assert_eq!(hello["session_id"], "s");
    assert_eq!(hello["payload"]["display_name"], "Bob");
    assert_eq!(hello["payload"]["roles"], json!(["contributor", "reviewer"]));
    assert_eq!(hello["payload"].get("backend"), None, "a script has no model");
    peer.welcome().await;
    let goodbye = peer.serve_task(true).await;
    assert_eq!(goodbye["payload"], json!({"reason": "completed", "intent_disposition": "withdraw"}));
    assert_eq!(exit.await.unwrap(), 0);
}

#[tokio::test]
async fn a_yielded_task_exits_with_3() {
    let (url, accept) = listening().await;
    let script = script_file("exit_3", &script(r#","on_conflict":"yield""#));
    let exit = tokio::spawn(mpac_agent::run(cli(&url, &["--script", script.to_str().unwrap()])));
    let mut peer = accept.await.unwrap();
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|ours| vec![report("c", ours, "i-alice", "agent:Alice")]).await;
    assert_eq!(peer.accept_withdraw(&intent).await, "yielded");
    let done = json!({"intent_id": "i-alice", "reason": "task_completed"});
    peer.other("agent:Alice", "INTENT_WITHDRAW", done).await;
    peer.take("GOODBYE").await;
    assert!(peer.next().await.is_none());
    assert_eq!(exit.await.unwrap(), 3);
}

#[tokio::test]
async fn a_failed_task_exits_with_1_and_a_bad_script_with_2() {
    let (url, accept) = listening().await;
    let good = script_file("exit_1", &script(""));
    let exit = tokio::spawn(mpac_agent::run(cli(&url, &["--script", good.to_str().unwrap()])));
    let mut peer = accept.await.unwrap();
    let hello = peer.take("HELLO").await;
    peer.refuse(&hello, "AUTHORIZATION_FAILED", "agent:Bob is here already").await;
    assert_eq!(exit.await.unwrap(), 1);
    let bad = script_file("exit_2", r#"{"plan":{"objective":"o","files":[]},"edit":{}}"#);
    assert_eq!(mpac_agent::run(cli(&url, &["--script", bad.to_str().unwrap()])).await, 2);
}

#[tokio::test]
async fn a_session_whose_state_references_are_others_is_left_before_any_work() {
    let (url, accept) = listening().await;
    let script = script_file("other_format", &script(""));
    let exit = tokio::spawn(mpac_agent::run(cli(&url, &["--script", script.to_str().unwrap()])));
    let mut peer = accept.await.unwrap();
    peer.take("HELLO").await;
    peer.say("SESSION_INFO", info(json!({"state_ref_format": "git_commit"}))).await;
    assert_eq!(peer.take("GOODBYE").await["payload"]["reason"], "error");
    assert!(peer.next().await.is_none());
    assert_eq!(exit.await.unwrap(), 1);
}
