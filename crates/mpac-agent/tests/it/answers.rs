//! Which answer belongs to which question, and what is a file's text after a commit that came too late.

use mpac_agent::error::AgentError;
use mpac_agent::task::Outcome;
use mpac_wire::StateRef;
use serde_json::{Value, json};

use crate::fake_coordinator::{Lines, Work, connected, hello, script};

fn updated(path: &str, content: &str) -> Value {
    json!({"type": "FILE_UPDATED", "path": path, "state_ref": StateRef::of(content).as_str(),
        "updated_by": "agent:Alice"})
}

#[tokio::test]
async fn the_content_of_another_file_is_never_what_a_commit_is_based_on() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    work.peer.take("FILE_READ").await;
    work.peer.content("b.py", "old, but not here").await;
    work.peer.content("a.py", "old").await;
    let commit = work.peer.accept_commit("new").await;
    assert_eq!(commit["payload"]["state_ref_before"], StateRef::of("old").as_str());
    assert_eq!(commit["payload"]["file_changes"]["a.py"]["content"], "new");
    work.peer.accept_withdraw(&intent).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn a_summary_that_nobody_asked_for_answers_nothing() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    work.peer.take("FILE_READ").await;
    work.peer.send(&json!({"type": "SESSION_SUMMARY_RESPONSE", "session": {}})).await;
    work.peer.content("a.py", "old").await;
    work.peer.accept_commit("new").await;
    work.peer.accept_withdraw(&intent).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_its_question_and_no_other() {
    for broken in
        [json!({"type": "FILE_CONTENT", "path": "a.py", "content": 7}), json!({"type": "FILE_ERROR"})]
    {
        let (mut session, _, mut peer) = connected("agent:Bob", &Lines::default()).await;
        let read = tokio::spawn(async move {
            session.join(hello()).await?;
            let error = session.read_file("a.py").await.unwrap_err();
            assert!(matches!(&error, AgentError::Unreadable { path, .. } if path == "a.py"), "{error}");
            session.read_file("a.py").await
        });
        peer.take("HELLO").await;
        peer.welcome().await;
        peer.take("FILE_READ").await;
        peer.send(&broken).await;
        peer.answer_read("a.py", "text").await;
        assert_eq!(read.await.unwrap().unwrap().unwrap().content, "text");
    }
}

#[tokio::test]
async fn a_text_that_is_still_on_its_way_is_waited_for_and_costs_no_rebase() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old 0").await;
    // More often than there are rebases: each time the old text comes first.
    for round in 1..=2 {
        let commit = peer.take("OP_COMMIT").await;
        peer.refuse(&commit, "STALE_STATE_REF", "again").await;
        peer.answer_read("a.py", &format!("old {}", round - 1)).await;
        peer.send(&updated("b.py", "another file")).await;
        peer.send(&updated("a.py", &format!("old {round}"))).await;
        peer.answer_read("a.py", &format!("old {round}")).await;
    }
    let commit = peer.accept_commit("new 2").await;
    assert_eq!(commit["payload"]["state_ref_before"], StateRef::of("old 2").as_str());
    peer.accept_withdraw(&intent).await;
    let lines = work.lines.clone();
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
    let same = format!("is at {} by now", StateRef::of("old 0"));
    assert!(!lines.text().contains(&same), "{}", lines.text());
}

#[tokio::test]
async fn a_text_announced_before_the_old_one_is_handed_out_is_not_waited_for_again() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old 0").await;
    let commit = peer.take("OP_COMMIT").await;
    peer.refuse(&commit, "STALE_STATE_REF", "again").await;
    peer.send(&updated("a.py", "old 1")).await;
    peer.answer_read("a.py", "old 0").await;
    peer.answer_read("a.py", "old 1").await;
    peer.accept_commit("new 1").await;
    peer.accept_withdraw(&intent).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}
