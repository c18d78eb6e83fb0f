//! Overlaps with others: decide, step back, wait, and go on.

use mpac_agent::error::AgentError;
use mpac_agent::task::Outcome;
use serde_json::{Value, json};

use crate::covers;
use crate::fake_coordinator::{Peer, Work, report, script};

const YIELD: &str = r#","on_conflict":"yield","reason":"they were first""#;

fn alices(ours: &str) -> Vec<Value> {
    vec![report("c1", ours, "i-alice", "agent:Alice")]
}

fn announce(intent: &str) -> Value {
    json!({"intent_id": intent, "objective": "mend it too", "scope": {"kind": "file_set", "resources": ["a.py"]}})
}

async fn withdraws(peer: &mut Peer, who: &str, intent: &str, reason: &str) {
    peer.other(who, "INTENT_WITHDRAW", json!({"intent_id": intent, "reason": reason})).await;
}

async fn finish(work: &mut Work, intent: &str) {
    work.peer.answer_read("a.py", "old").await;
    work.peer.accept_commit("new").await;
    assert_eq!(work.peer.accept_withdraw(intent).await, "task_completed");
}

#[tokio::test]
async fn a_conflict_is_acknowledged_and_decided_and_the_work_proceeds() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), alices).await;
    finish(&mut work, &intent).await;
    assert_eq!(work.peer.said("CONFLICT_ACK").len(), 1);
    let lines = work.lines.clone();
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
    assert!(
        lines.text().contains("conflict with agent:Alice about a.py: scope_overlap, medium\n"),
        "{}",
        lines.text()
    );
    assert!(lines.text().contains("decision: proceed"), "{}", lines.text());
}

#[tokio::test]
async fn a_report_is_acknowledged_as_seen() {
    let mut work = Work::start("agent:Bob", &script("")).await;
    work.peer.answer_list(&["a.py"]).await;
    let announce = work.peer.take("INTENT_ANNOUNCE").await;
    work.peer.relay(&announce).await;
    let ours = announce["payload"]["intent_id"].as_str().unwrap();
    work.peer.say("CONFLICT_REPORT", alices(ours).remove(0)).await;
    let ack = loop {
        let frame = work.peer.next_of_any_kind().await.unwrap();
        if frame["message_type"] == "CONFLICT_ACK" {
            break frame;
        }
    };
    assert_eq!(ack["payload"], json!({"conflict_id": "c1", "ack_type": "seen"}));
    work.outcome.abort();
}

#[tokio::test]
async fn who_yields_withdraws_and_ends_when_the_other_commits() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(YIELD), alices).await;
    assert_eq!(work.peer.accept_withdraw(&intent).await, "yielded");
    let commit = json!({"op_id": "op-1", "intent_id": "i-alice", "target": "a.py", "op_kind": "replace",
        "state_ref_before": "sha256:0", "state_ref_after": "sha256:1"});
    work.peer.other("agent:Alice", "OP_COMMIT", commit).await;
    assert_eq!(work.end().await.unwrap(), Outcome::Yielded);
}

#[tokio::test]
async fn only_the_owners_end_of_an_intent_counts() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(YIELD), alices).await;
    work.peer.accept_withdraw(&intent).await;
    // Carol cannot end Alice's intent, though a Python server relays the attempt.
    withdraws(&mut work.peer, "agent:Carol", "i-alice", "yielded").await;
    withdraws(&mut work.peer, "agent:Alice", "i-alice", "task_completed").await;
    assert_eq!(work.end().await.unwrap(), Outcome::Yielded);
}

#[tokio::test]
async fn who_yielded_to_somebody_who_leaves_without_work_does_the_task() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(YIELD), alices).await;
    work.peer.accept_withdraw(&intent).await;
    work.peer.other("agent:Alice", "GOODBYE", json!({"reason": "user_exit"})).await;
    let again = work.peer.accept_announce(|_| vec![]).await;
    finish(&mut work, &again).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn who_yielded_still_waits_for_an_intent_whose_owner_left_it_to_its_time() {
    covers!("BYE-06");
    let (mut work, intent) = Work::announced("agent:Bob", &script(YIELD), alices).await;
    assert_eq!(work.peer.accept_withdraw(&intent).await, "yielded");
    let goodbye = json!({"reason": "completed", "intent_disposition": "expire"});
    work.peer.other("agent:Alice", "GOODBYE", goodbye).await;
    // She is back, and done.
    withdraws(&mut work.peer, "agent:Alice", "i-alice", "task_completed").await;
    assert_eq!(work.end().await.unwrap(), Outcome::Yielded);
}

#[tokio::test]
async fn when_both_yield_the_second_by_name_works_after_the_first() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(YIELD), alices).await;
    assert_eq!(work.peer.accept_withdraw(&intent).await, "yielded");
    withdraws(&mut work.peer, "agent:Alice", "i-alice", "yielded").await;
    work.peer.other("agent:Alice", "INTENT_ANNOUNCE", announce("i-alice-2")).await;
    withdraws(&mut work.peer, "agent:Alice", "i-alice-2", "task_completed").await;
    let again = work.peer.accept_announce(|_| vec![]).await;
    assert_ne!(again, intent, "a fresh id");
    finish(&mut work, &again).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn when_both_yield_the_first_by_name_announces_again_and_is_not_asked_twice() {
    let carols = |ours: &str| vec![report("c1", ours, "i-carol", "agent:Carol")];
    let (mut work, intent) = Work::announced("agent:Bob", &script(YIELD), carols).await;
    assert_eq!(work.peer.accept_withdraw(&intent).await, "yielded");
    withdraws(&mut work.peer, "agent:Carol", "i-carol", "yielded").await;
    let again = work.peer.accept_announce(|ours| vec![report("c2", ours, "i-carol-2", "agent:Carol")]).await;
    finish(&mut work, &again).await;
    let lines = work.lines.clone();
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
    assert!(lines.text().contains("settled before with agent:Carol"), "{}", lines.text());
}

#[tokio::test]
async fn who_yields_to_somebody_already_gone_keeps_its_intent() {
    // The script decides only after Alice has withdrawn.
    let waits = format!(
        r#"{YIELD},"wait_for":[{{"before":"decide","event":"INTENT_WITHDRAW","from":"agent:Alice"}}]"#
    );
    let (mut work, intent) = Work::announced("agent:Bob", &script(&waits), alices).await;
    withdraws(&mut work.peer, "agent:Alice", "i-alice", "yielded").await;
    finish(&mut work, &intent).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn a_conflict_that_comes_later_is_shown_and_the_work_goes_on() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(YIELD), |_| vec![]).await;
    let mut later = report("c1", &intent, "i-carol", "agent:Carol");
    later["intent_a"] = json!("i-carol");
    later["principal_a"] = json!("agent:Carol");
    later["intent_b"] = json!(intent);
    later["principal_b"] = json!("agent:Bob");
    work.peer.say("CONFLICT_REPORT", later).await;
    finish(&mut work, &intent).await;
    let lines = work.lines.clone();
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
    assert!(lines.text().contains("conflict with agent:Carol"), "{}", lines.text());
    assert!(lines.text().contains("the work goes on"), "{}", lines.text());
}

#[tokio::test]
async fn files_that_are_taken_are_waited_for() {
    let mut work = Work::start("agent:Bob", &script("")).await;
    let peer = &mut work.peer;
    peer.answer_list(&["a.py"]).await;
    let refused = peer.take("INTENT_ANNOUNCE").await;
    peer.refuse(
        &refused,
        "STALE_INTENT",
        "Files ['a.py'] are taken by intent i-alice (principal agent:Alice).",
    )
    .await;
    peer.answer_read("a.py", "old").await;
    withdraws(peer, "agent:Carol", "i-alice", "not hers").await;
    withdraws(peer, "agent:Alice", "i-alice", "task_completed").await;
    let intent = peer.accept_announce(|_| vec![]).await;
    assert_ne!(refused["payload"]["intent_id"], json!(intent));
    finish(&mut work, &intent).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn a_resolution_against_the_intent_ends_the_work() {
    let waits = r#","wait_for":[{"before":"write","event":"OP_COMMIT"}]"#;
    let (mut work, intent) = Work::announced("agent:Bob", &script(waits), alices).await;
    work.peer.answer_read("a.py", "old").await;
    let resolution = json!({"resolution_id": "r", "conflict_id": "c1", "decision": "rejected",
        "rationale": "Alice goes first", "outcome": {"rejected": [intent]}});
    work.peer.other("human:Olga", "RESOLUTION", resolution).await;
    let error = work.end().await.unwrap_err();
    assert!(matches!(&error, AgentError::Overruled(why) if why == "Alice goes first"), "{error}");
}
