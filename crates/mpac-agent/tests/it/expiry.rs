//! That an intent has expired is told to nobody: who waits for its end has to count along.

use std::time::Duration;

use mpac_agent::task::Outcome;
use serde_json::{Value, json};

use crate::fake_coordinator::{Peer, Work, report, script};

const YIELD: &str = r#","on_conflict":"yield""#;
const SHORT: Duration = Duration::from_millis(200);
/// Far below the limits that a missed expiry would run into.
const SOON: Duration = Duration::from_secs(20);

/// Alice announces with this time to live.
async fn alice_announces(peer: &mut Peer, ttl_sec: f64) {
    let announce = json!({"intent_id": "i-alice", "objective": "mend it too", "ttl_sec": ttl_sec,
        "scope": {"kind": "file_set", "resources": ["a.py"]}});
    peer.other("agent:Alice", "INTENT_ANNOUNCE", announce).await;
}

async fn taken(peer: &mut Peer) -> Value {
    let announce = peer.take("INTENT_ANNOUNCE").await;
    peer.refuse(&announce, "STALE_INTENT", "a.py is taken by intent i-alice (principal agent:Alice).").await;
    peer.answer_read("a.py", "old").await;
    announce
}

async fn finish(mut work: Work, intent: &str) {
    work.peer.answer_read("a.py", "old").await;
    work.peer.accept_commit("new").await;
    work.peer.accept_withdraw(intent).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn files_whose_holder_has_expired_in_silence_are_announced_for_again() {
    let mut work = Work::start("agent:Bob", &script("")).await;
    work.peer.answer_list(&["a.py"]).await;
    alice_announces(&mut work.peer, 0.3).await;
    taken(&mut work.peer).await;
    let again = tokio::time::timeout(SOON, work.peer.accept_announce(|_| vec![])).await;
    finish(work, &again.expect("an announce after the expiry")).await;
}

#[tokio::test]
async fn an_update_that_prolongs_the_intent_prolongs_the_wait() {
    let mut work = Work::start_with("agent:Bob", &script(""), 4 * SHORT).await;
    work.peer.answer_list(&["a.py"]).await;
    alice_announces(&mut work.peer, 0.1).await;
    let update = json!({"intent_id": "i-alice", "ttl_sec": 300.0});
    work.peer.other("agent:Alice", "INTENT_UPDATE", update).await;
    taken(&mut work.peer).await;
    work.lines.wait_for("agent:Alice still works there").await;
    assert_eq!(work.peer.said("INTENT_ANNOUNCE").len(), 1);
    work.outcome.abort();
}

#[tokio::test]
async fn at_the_limit_the_files_are_announced_for_once_more_and_then_left() {
    let mut work = Work::start_with("agent:Bob", &script(""), SHORT).await;
    work.peer.answer_list(&["a.py"]).await;
    let (first, second) = (taken(&mut work.peer).await, taken(&mut work.peer).await);
    assert_ne!(first["payload"]["intent_id"], second["payload"]["intent_id"]);
    work.peer.take("GOODBYE").await;
    assert_eq!(work.end().await.unwrap(), Outcome::Yielded);
}

#[tokio::test]
async fn files_that_came_free_unheard_are_had_at_the_limit() {
    let mut work = Work::start_with("agent:Bob", &script(""), SHORT).await;
    work.peer.answer_list(&["a.py"]).await;
    taken(&mut work.peer).await;
    let intent = work.peer.accept_announce(|_| vec![]).await;
    finish(work, &intent).await;
}

#[tokio::test]
async fn who_yielded_to_an_intent_that_expired_does_the_task() {
    let mut work = Work::start("agent:Bob", &script(YIELD)).await;
    work.peer.answer_list(&["a.py"]).await;
    alice_announces(&mut work.peer, 0.3).await;
    let ours = work.peer.accept_announce(|ours| vec![report("c1", ours, "i-alice", "agent:Alice")]).await;
    assert_eq!(work.peer.accept_withdraw(&ours).await, "yielded");
    let again = tokio::time::timeout(SOON, work.peer.accept_announce(|_| vec![])).await;
    finish(work, &again.expect("an announce after the expiry")).await;
}

#[tokio::test]
async fn who_stepped_back_too_and_goes_first_is_not_waited_for_without_end() {
    let mut work = Work::start_with("agent:Bob", &script(YIELD), SHORT).await;
    work.peer.answer_list(&["a.py"]).await;
    let ours = work.peer.accept_announce(|ours| vec![report("c1", ours, "i-alice", "agent:Alice")]).await;
    assert_eq!(work.peer.accept_withdraw(&ours).await, "yielded");
    let yielded = json!({"intent_id": "i-alice", "reason": "yielded"});
    work.peer.other("agent:Alice", "INTENT_WITHDRAW", yielded).await;
    let again = work.peer.accept_announce(|_| vec![]).await;
    finish(work, &again).await;
}
