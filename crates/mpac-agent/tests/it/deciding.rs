//! Conflicts with several others: all are decided on at the same time.

use std::time::Duration;

use mpac_agent::error::AgentError;
use mpac_agent::task::{Outcome, TaskOptions};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::at_work::joined;
use crate::covers;
use crate::fake_coordinator::{Lines, Peer, report};
use crate::hands::Hands;
use crate::returning::{begun, listener, summary, welcome};

/// Far more than all of it takes, and far less than a limit of the agent.
const SOON: Duration = Duration::from_secs(20);

type Work = JoinHandle<Result<Outcome, AgentError>>;

fn both(ours: &str) -> Vec<Value> {
    let theirs = [("c1", "i-alice", "agent:Alice"), ("c2", "i-carol", "agent:Carol")];
    theirs.map(|(conflict, intent, owner)| report(conflict, ours, intent, owner)).into()
}

/// Up to an announce in conflict with Alice and Carol; its intent.
async fn between_two(hands: Hands, options: TaskOptions) -> (Peer, Lines, Work, String) {
    let (mut peer, lines, work) = joined(hands, options).await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(both).await;
    (peer, lines, work, intent)
}

async fn finish(peer: &mut Peer, intent: &str) {
    peer.answer_read("a.py", "old").await;
    peer.accept_commit("new").await;
    assert_eq!(peer.accept_withdraw(intent).await, "task_completed");
}

/// Where each of these is in what the person was told, which has it.
fn places(told: &str, parts: &[&str]) -> Vec<usize> {
    let place = |part: &&str| told.find(part).unwrap_or_else(|| panic!("`{part}` is not in {told}"));
    parts.iter().map(place).collect()
}

#[tokio::test]
async fn all_rivals_are_asked_about_at_once_and_shown_in_order() {
    covers!("PAR-19");
    let mut hands = Hands::on(&["a.py"]);
    // One after the other this would never end. What is known first, about Carol, is shown after what comes before it.
    hands.decides_after = [("agent:Alice", "agent:Carol")].into();
    hands.mumbles_about = ["agent:Alice"].into();
    let about = hands.about.clone();
    let (mut peer, lines, work, intent) = between_two(hands, TaskOptions::default()).await;
    tokio::time::timeout(SOON, finish(&mut peer, &intent))
        .await
        .unwrap_or_else(|_| panic!("{}", lines.text()));
    assert_eq!(peer.said("CONFLICT_ACK").len(), 2);
    let told = lines.text();
    let places = places(
        &told,
        &[
            "thought about agent:Alice",
            "the answer is no decision (mumbled about agent:Alice)",
            "decision: proceed beside agent:Alice (r)",
            "thought about agent:Carol",
            "decision: proceed beside agent:Carol (r)",
            "proceeding",
        ],
    );
    assert!(places.is_sorted(), "{told}");
    // Each is asked about once, and there is a repair only of what needs it.
    assert_eq!(*about.borrow(), ["agent:Alice", "agent:Carol", "agent:Alice"]);
    work.abort();
}

/// The report came before the answer to the announce, and says that the other one is the newer side (`spec/wire.md` §6.18).
#[tokio::test]
async fn whoever_announced_first_does_not_decide() {
    covers!("PAR-19");
    let hands = Hands::on(&["a.py"]);
    let about = hands.about.clone();
    let (mut peer, lines, work) = joined(hands, TaskOptions::default()).await;
    peer.answer_list(&["a.py"]).await;
    let older = |ours: &str| {
        let mut report = report("c1", "i-alice", ours, "agent:Bob");
        report["principal_a"] = "agent:Alice".into();
        vec![report]
    };
    let intent = peer.accept_announce(older).await;
    tokio::time::timeout(SOON, finish(&mut peer, &intent))
        .await
        .unwrap_or_else(|_| panic!("{}", lines.text()));
    assert_eq!(peer.said("CONFLICT_ACK").len(), 1);
    assert!(about.borrow().is_empty());
    assert!(lines.text().contains("(they came later; the work goes on)"), "{}", lines.text());
    work.abort();
}

#[tokio::test]
async fn one_to_whom_it_yields_is_enough() {
    for yields_to in ["agent:Alice", "agent:Carol"] {
        let mut hands = Hands::on(&["a.py"]);
        hands.yields_to = [yields_to].into();
        let (mut peer, lines, work, intent) = between_two(hands, TaskOptions::default()).await;
        assert_eq!(peer.accept_withdraw(&intent).await, "yielded");
        lines.wait_for(&format!("yielded to {yields_to}; watching")).await;
        assert!(lines.text().contains(&format!("decision: yield to {yields_to} (r)")), "{}", lines.text());
        work.abort();
    }
}

#[tokio::test]
async fn a_brain_that_cannot_be_forked_or_may_not_decides_one_after_the_other() {
    for alone in [true, false] {
        let mut hands = Hands::on(&["a.py"]);
        hands.alone = alone;
        let about = hands.about.clone();
        let (reached, go_on) = hands.hold_decision();
        let parallel_writes = if alone { 4 } else { 1 };
        let options = TaskOptions { parallel_writes, ..TaskOptions::default() };
        let (mut peer, lines, work, intent) = between_two(hands, options).await;
        reached.await.unwrap();
        assert_eq!(*about.borrow(), ["agent:Alice"]);
        go_on.send(()).unwrap();
        finish(&mut peer, &intent).await;
        assert_eq!(*about.borrow(), ["agent:Alice", "agent:Carol"]);
        assert!(lines.text().contains("decision: proceed beside agent:Carol"), "{}", lines.text());
        work.abort();
    }
}

/// A break while the brain decides about Alice costs the intent, and Carol has announced when it is announced again.
#[tokio::test]
async fn a_rival_that_comes_while_the_brain_decides_is_asked_about_at_once() {
    covers!("PAR-22");
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let mut hands = Hands::on(&["a.py"]);
    // Not before the question about Carol there is a decision about Alice.
    hands.decides_after = [("agent:Alice", "agent:Carol")].into();
    let about = hands.about.clone();
    let (mut peer, work) = begun((&listener, &url), &lines, hands).await;
    peer.answer_list(&["a.py"]).await;
    let first = peer.accept_announce(|ours| both(ours).drain(..1).collect()).await;
    about.subscribe().wait_for(|about| about.len() == 1).await.unwrap();
    drop(peer);
    let mut peer = come_back(&listener, &summary(&["i-alice", "i-carol"])).await;
    let again = peer.accept_announce(both).await;
    assert_eq!(again, format!("{first}-again"));
    let finished = tokio::time::timeout(SOON, finish(&mut peer, &again)).await;
    finished.unwrap_or_else(|_| panic!("{}", lines.text()));
    assert!(matches!(work.await.unwrap(), Ok(Outcome::Committed(_))), "{}", lines.text());
    assert_eq!(*about.borrow(), ["agent:Alice", "agent:Carol"], "Alice is the same rival as before");
}

/// A break costs the intent after everything was decided, and Alice's is there first when it is announced again.
#[tokio::test]
async fn whom_a_break_made_the_second_decides_before_the_commit() {
    covers!("PAR-22");
    for (yields, known) in [(true, false), (false, false), (false, true)] {
        let (listener, url) = listener().await;
        let lines = Lines::default();
        let mut hands = Hands::on(&["a.py"]);
        hands.yields_to = yields.then_some("agent:Alice").into_iter().collect();
        let (about, (reached, go_on)) = (hands.about.clone(), hands.hold());
        let (mut peer, work) = begun((&listener, &url), &lines, hands).await;
        peer.answer_list(&["a.py"]).await;
        let alices = |ours: &str| both(ours).drain(..1).collect::<Vec<_>>();
        let first = peer.accept_announce(|ours| if known { alices(ours) } else { vec![] }).await;
        peer.answer_read("a.py", "old").await;
        reached.await.unwrap();
        drop(peer);
        let mut peer = come_back(&listener, &summary(&["i-alice"])).await;
        let again = peer.accept_announce(alices).await;
        assert_eq!(again, format!("{first}-again"));
        lines.wait_for("conflict with agent:Alice").await;
        go_on.send(()).unwrap();
        let done = async {
            peer.answer_read("a.py", "old").await;
            if yields {
                assert_eq!(peer.accept_withdraw(&again).await, "yielded");
            } else {
                peer.accept_commit("new").await;
                peer.accept_withdraw(&again).await;
            }
            work.await.unwrap().unwrap()
        };
        let done = tokio::time::timeout(SOON, done).await;
        let done = done.unwrap_or_else(|_| panic!("{yields} {known} {}", lines.text()));
        assert_eq!(done == Outcome::Yielded, yields, "{done}");
        assert_eq!(*about.borrow(), ["agent:Alice"], "{yields} {known}: once");
        assert!(!lines.text().contains("they came later"), "{}", lines.text());
    }
}

/// The other end after a break, when the agent has looked at the session.
async fn come_back(listener: &TcpListener, summary: &Value) -> Peer {
    let mut peer = Peer::accept(listener).await;
    peer.take("HELLO").await;
    welcome(&mut peer, 1, serde_json::json!({})).await;
    peer.take("PROTOCOL_ERROR").await;
    peer.send(summary).await;
    peer.answer_read("a.py", "old").await;
    peer
}

/// The first break costs the intent, and the second comes before all is heard of its announce.
#[tokio::test]
async fn after_two_breaks_whoever_comes_during_the_commit_came_later() {
    covers!("PAR-19", "PAR-22");
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let hands = Hands::on(&["a.py"]);
    let (about, (reached, go_on)) = (hands.about.clone(), hands.hold());
    let (mut peer, work) = begun((&listener, &url), &lines, hands).await;
    peer.answer_list(&["a.py"]).await;
    peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    reached.await.unwrap();
    drop(peer);
    let mut peer = come_back(&listener, &summary(&[])).await;
    let announce = peer.take("INTENT_ANNOUNCE").await;
    let again = announce["payload"]["intent_id"].as_str().unwrap().to_owned();
    peer.relay(&announce).await;
    drop(peer);
    let mut ours = summary(&[&again]);
    ours["session"]["active_intents"][0]["principal_id"] = "agent:Bob".into();
    let mut peer = come_back(&listener, &ours).await;
    lines.wait_for(&format!("intent {again} is still there")).await;
    go_on.send(()).unwrap();
    let done = async {
        peer.answer_read("a.py", "old").await;
        let commit = peer.take("OP_COMMIT").await;
        let mut later = report("c1", &again, "", "agent:Carol");
        later.as_object_mut().unwrap().remove("intent_b");
        peer.say("CONFLICT_REPORT", later).await;
        peer.relay(&commit).await;
        peer.answer_read("a.py", "new").await;
        peer.accept_withdraw(&again).await;
        work.await.unwrap().unwrap()
    };
    let done = tokio::time::timeout(SOON, done).await;
    let done = done.unwrap_or_else(|_| panic!("{}", lines.text()));
    assert_eq!(done, Outcome::Committed(vec!["a.py".to_owned()]));
    assert!(about.borrow().is_empty() && lines.text().contains("they came later"), "{}", lines.text());
}
