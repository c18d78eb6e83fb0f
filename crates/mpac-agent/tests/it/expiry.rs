//! That an intent has expired is told to nobody: who waits for its end has to count along, and whoever works under one has to
//! renew it.

use std::time::Duration;

use mpac_agent::naming::Naming;
use mpac_agent::task::{Outcome, TaskOptions, run_task};
use serde_json::{Value, json};

use crate::fake_coordinator::{Lines, Peer, Work, connected, hello, report, script};
use crate::hands::Hands;

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

#[tokio::test]
async fn an_intent_lives_as_long_as_there_is_work_under_it() {
    let (session, _, mut peer) = connected("agent:Bob", &Lines::default()).await;
    let mut hands = Hands::on(&["a.py"]);
    let (reached, _go_on) = hands.hold();
    let work = tokio::spawn(async move {
        let mut session = session.with_intent_ttl_sec(1);
        session.join(hello()).await.unwrap();
        run_task(&mut session, &mut hands, &mut Naming::new("Bob"), &TaskOptions::default(), "mend").await
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    reached.await.unwrap();
    // Nothing else comes, however often its time would have been over.
    for _ in 0..2 {
        let update = peer.take("INTENT_UPDATE").await;
        assert_eq!(update["payload"]["intent_id"], intent);
        assert_eq!(update["payload"]["ttl_sec"].as_f64(), Some(1.0));
        assert_eq!(update["payload"].as_object().unwrap().len(), 2, "and says nothing else: {update}");
    }
    work.abort();
}

#[tokio::test]
async fn a_commit_whose_intent_is_over_is_made_under_another() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    work.peer.answer_read("a.py", "old").await;
    let commit = work.peer.take("OP_COMMIT").await;
    let reject = json!({"op_id": commit["payload"]["op_id"], "reason": "intent_terminated"});
    work.peer.say("OP_REJECT", reject).await;
    work.peer.answer_read("a.py", "old").await;
    let again = work.peer.accept_announce(|_| vec![]).await;
    assert_ne!(again, intent);
    let second = work.peer.accept_commit("new").await;
    assert_eq!(second["payload"]["intent_id"], again);
    assert_ne!(second["payload"]["op_id"], commit["payload"]["op_id"]);
    work.peer.accept_withdraw(&again).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn one_whose_intents_are_over_each_time_is_given_up() {
    let (mut work, _) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    work.peer.answer_read("a.py", "old").await;
    for round in 1..=2 {
        let commit = work.peer.take("OP_COMMIT").await;
        let reject = json!({"op_id": commit["payload"]["op_id"], "reason": "intent_terminated"});
        work.peer.say("OP_REJECT", reject).await;
        work.peer.answer_read("a.py", "old").await;
        if round == 1 {
            work.peer.accept_announce(|_| vec![]).await;
        }
    }
    let error = work.end().await.unwrap_err().to_string();
    assert!(error.contains("intent_terminated"), "{error}");
}
