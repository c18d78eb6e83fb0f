//! A task that meets a freeze keeps what it has, and goes on when the conflict is resolved.

use std::time::Duration;

use mpac_agent::error::AgentError;
use mpac_agent::task::{Outcome, TaskOptions};
use mpac_wire::StateRef;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::at_work::{count, joined};
use crate::covers;
use crate::fake_coordinator::{Lines, Peer, report};
use crate::hands::Hands;
use crate::returning::{begun, listener, summary, welcome};

const FROZEN: &str = "a.py is frozen until conflict c is resolved";

type Work = JoinHandle<Result<Outcome, AgentError>>;

/// The commit of `a.py` has been sent, whose text was this; and the intent.
async fn committing(options: TaskOptions, text: &str) -> (Peer, Lines, Work, Value, String) {
    let (mut peer, lines, work) = joined(Hands::on(&["a.py"]), options).await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", text).await;
    let commit = peer.take("OP_COMMIT").await;
    (peer, lines, work, commit, intent)
}

async fn freeze(peer: &mut Peer, message: &Value) {
    peer.refuse(message, "SCOPE_FROZEN", FROZEN).await;
    peer.answer_read("a.py", "old\n").await;
}

async fn resolve(peer: &mut Peer, conflict: &str, outcome: Value) {
    let mut resolution = json!({"resolution_id": format!("r-{conflict}"), "conflict_id": conflict,
        "decision": "dismissed", "rationale": "so it is"});
    if !outcome.is_null() {
        resolution["outcome"] = outcome;
    }
    peer.say("RESOLUTION", resolution).await;
}

async fn end(mut peer: Peer, work: Work) -> (Result<Outcome, AgentError>, Vec<Value>) {
    while peer.next().await.is_some() {}
    (work.await.unwrap(), peer.said)
}

fn ids(batch: &Value) -> Vec<&Value> {
    let entries = batch["payload"]["operations"].as_array().unwrap().iter().map(|it| &it["op_id"]);
    entries.chain([&batch["payload"]["batch_id"]]).collect()
}

#[tokio::test]
async fn a_commit_that_meets_a_freeze_is_said_anew_when_that_is_over() {
    covers!("PAR-23", "PAR-24");
    let base = "old\nmid\nlast\n";
    let (mut peer, lines, work, first, intent) = committing(TaskOptions::default(), base).await;
    freeze(&mut peer, &first).await;
    lines
        .wait_for("a.py is frozen until conflict c is resolved; waiting until that is resolved, 300 s")
        .await;
    // What is over now is not what it waits for.
    resolve(&mut peer, "another", Value::Null).await;
    peer.other("agent:Alice", "INTENT_WITHDRAW", json!({"intent_id": "i", "reason": "task_completed"})).await;
    let theirs = "old\nmid\nlast\ntheirs\n";
    let update = json!({"type": "FILE_UPDATED", "path": "a.py", "state_ref": StateRef::of(theirs).as_str(),
        "updated_by": "agent:Alice"});
    peer.send(&update).await;
    resolve(&mut peer, "c", Value::Null).await;
    peer.answer_read("a.py", theirs).await;
    let again = peer.accept_commit("new\nmid\nlast\ntheirs\n").await;
    assert_ne!(first["payload"]["op_id"], again["payload"]["op_id"]);
    assert_eq!(again["payload"]["intent_id"], intent);
    assert_eq!(again["payload"]["state_ref_before"], StateRef::of(theirs).as_str());
    assert_eq!(again["payload"]["file_changes"]["a.py"]["content"], "new\nmid\nlast\ntheirs\n");
    assert_eq!(peer.accept_withdraw(&intent).await, "task_completed");
    let (outcome, said) = end(peer, work).await;
    assert_eq!(outcome.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
    assert!(said.iter().any(|it| it["payload"]["status"] == "blocked"), "others see that it waits (LIV-19)");
    assert_eq!(lines.text().matches("waiting until that is resolved").count(), 1, "{}", lines.text());
}

#[tokio::test]
async fn what_was_told_to_be_frozen_is_not_sent_before_that_is_over() {
    covers!("PAR-23", "FRZ-04");
    let (mut peer, lines, work) = joined(Hands::on(&["a.py"]), TaskOptions::default()).await;
    peer.answer_list(&["a.py"]).await;
    let announce = peer.take("INTENT_ANNOUNCE").await;
    let intent = announce["payload"]["intent_id"].as_str().unwrap();
    peer.relay(&announce).await;
    peer.say("CONFLICT_REPORT", report("c", intent, "i-alice", "agent:Alice")).await;
    peer.refuse(&announce, "SCOPE_FROZEN", "Warning: part of this scope is frozen by c; leave it").await;
    peer.answer_read("a.py", "old\n").await;
    peer.answer_read("a.py", "old\n").await;
    lines.wait_for("the commit to a.py was held back: a.py is frozen").await;
    resolve(&mut peer, "c", Value::Null).await;
    peer.accept_commit("new\n").await;
    peer.accept_withdraw(intent).await;
    end(peer, work).await.0.unwrap();
}

#[tokio::test]
async fn a_freeze_that_lasts_too_long_ends_the_task() {
    let options = TaskOptions { wait_limit: Duration::from_millis(50), ..TaskOptions::default() };
    let (mut peer, lines, work, commit, intent) = committing(options, "old\n").await;
    freeze(&mut peer, &commit).await;
    let withdraw = peer.take("INTENT_WITHDRAW").await;
    assert_eq!(withdraw["payload"], json!({"intent_id": intent, "reason": "task_failed"}));
    let (outcome, said) = end(peer, work).await;
    let error = outcome.unwrap_err().to_string();
    assert_eq!(error, format!("the coordinator refused the commit to a.py: SCOPE_FROZEN: {FROZEN}"));
    assert_eq!(count(&said, "OP_COMMIT"), 1);
    assert!(lines.text().contains("still frozen"), "{}", lines.text());
}

/// As when three work on a file: each commits later than the one before, so their conflicts are frozen one after the other.
#[tokio::test]
async fn the_time_for_a_freeze_begins_with_that_freeze() {
    covers!("PAR-23", "FRZ-02");
    let wait_limit = Duration::from_millis(500);
    let options = TaskOptions { wait_limit, ..TaskOptions::default() };
    let (mut peer, lines, work, mut commit, intent) = committing(options, "old\n").await;
    for conflict in ["c1", "c2"] {
        let text = format!("a.py is frozen until conflict {conflict} is resolved");
        peer.refuse(&commit, "SCOPE_FROZEN", &text).await;
        resolve(&mut peer, conflict, Value::Null).await;
        peer.answer_read("a.py", "old\n").await;
        commit = peer.take("OP_COMMIT").await;
        // What the first freeze may be waited for is over before anything is heard of the second.
        tokio::time::sleep(wait_limit).await;
    }
    peer.relay(&commit).await;
    peer.answer_read("a.py", "new\n").await;
    peer.accept_withdraw(&intent).await;
    end(peer, work).await.0.unwrap();
    assert_eq!(lines.text().matches("waiting until that is resolved").count(), 2, "{}", lines.text());
}

#[tokio::test]
async fn a_resolution_against_the_intent_that_waits_ends_its_task() {
    let (mut peer, lines, work, commit, intent) = committing(TaskOptions::default(), "old\n").await;
    freeze(&mut peer, &commit).await;
    lines.wait_for("waiting until that is resolved").await;
    resolve(&mut peer, "c", json!({"rejected": [intent]})).await;
    let (outcome, said) = end(peer, work).await;
    assert!(matches!(outcome, Err(AgentError::Overruled(_))), "{outcome:?}");
    assert_eq!(count(&said, "OP_COMMIT"), 1);
}

/// A batch of `a.py` and `b.py` has been sent by a task to a server that takes it.
async fn committing_together() -> (Peer, Lines, Work, Value) {
    let files = ["a.py", "b.py"];
    let (mut peer, lines, work) = joined(Hands::on(&files), TaskOptions::default()).await;
    peer.answer_list(&files).await;
    peer.take("PROTOCOL_ERROR").await;
    peer.send(&summary(&[])).await;
    peer.accept_announce(|_| vec![]).await;
    for path in files {
        assert_eq!(peer.take("FILE_READ").await["path"], path);
    }
    for path in files {
        peer.content(path, "old\n").await;
    }
    let batch = peer.take("OP_BATCH_COMMIT").await;
    (peer, lines, work, batch)
}

#[tokio::test]
async fn a_batch_that_meets_a_freeze_is_said_anew_when_that_is_over() {
    covers!("PAR-23", "PAR-24", "BAT-13");
    for refused in [true, false] {
        let (mut peer, lines, work, first) = committing_together().await;
        if refused {
            freeze(&mut peer, &first).await;
        } else {
            let op = &first["payload"]["operations"][0]["op_id"];
            let reject = json!({"op_id": first["payload"]["batch_id"], "reason": "batch_validation_failed",
                "rejected_ops": [op], "reasons": {op.as_str().unwrap(): "SCOPE_FROZEN"}});
            peer.say("OP_REJECT", reject).await;
            peer.answer_read("a.py", "old\n").await;
        }
        lines.wait_for("waiting until that is resolved").await;
        resolve(&mut peer, "c", Value::Null).await;
        let again = peer.take("OP_BATCH_COMMIT").await;
        assert!(ids(&again).iter().all(|id| !ids(&first).contains(id)), "{first} {again}");
        peer.relay(&again).await;
        peer.answer_read("a.py", "new\n").await;
        let intent = again["payload"]["intent_id"].as_str().unwrap();
        peer.accept_withdraw(intent).await;
        let (outcome, _) = end(peer, work).await;
        assert!(matches!(outcome, Ok(Outcome::Committed(files)) if files.len() == 2), "{}", lines.text());
    }
}

#[tokio::test]
async fn an_announce_that_meets_a_freeze_is_said_anew_when_that_is_over() {
    covers!("PAR-23", "FRZ-03");
    let (mut peer, lines, work) = joined(Hands::on(&["a.py"]), TaskOptions::default()).await;
    peer.answer_list(&["a.py"]).await;
    let first = peer.take("INTENT_ANNOUNCE").await;
    peer.refuse(&first, "SCOPE_FROZEN", "this scope is frozen until these conflicts are resolved: [\"c\"]")
        .await;
    peer.answer_read("a.py", "old\n").await;
    lines.wait_for("waiting until that is resolved").await;
    resolve(&mut peer, "c", Value::Null).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    assert_ne!(first["payload"]["intent_id"], intent);
    peer.answer_read("a.py", "old\n").await;
    peer.accept_commit("new\n").await;
    peer.accept_withdraw(&intent).await;
    end(peer, work).await.0.unwrap();
}

/// A break has cost the intent, and what announces it again meets a freeze.
async fn back_in_a_freeze(peer: Peer, listener: &TcpListener) -> Peer {
    drop(peer);
    let mut peer = Peer::accept(listener).await;
    peer.take("HELLO").await;
    welcome(&mut peer, 1, json!({})).await;
    peer.take("PROTOCOL_ERROR").await;
    peer.send(&summary(&[])).await;
    peer.answer_read("a.py", "old").await;
    let announce = peer.take("INTENT_ANNOUNCE").await;
    freeze(&mut peer, &announce).await;
    peer
}

/// A break costs the intent, and its scope is frozen still when it would be announced again.
#[tokio::test]
async fn a_break_in_a_freeze_costs_nothing_that_was_written() {
    covers!("PAR-23", "PAR-22");
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let hands = Hands::on(&["a.py"]);
    let asked = hands.asked.clone();
    let (mut peer, work) = begun((&listener, &url), &lines, hands).await;
    let commit = peer.until_commit().await;
    freeze(&mut peer, &commit).await;
    lines.wait_for("waiting until that is resolved").await;
    let mut peer = back_in_a_freeze(peer, &listener).await;
    lines.wait_for("the coordinator refused the announce: SCOPE_FROZEN").await;
    resolve(&mut peer, "c", Value::Null).await;
    loop {
        let frame: Value = peer.next().await.unwrap();
        if frame["message_type"] == "INTENT_ANNOUNCE" {
            peer.relay(&frame).await;
        } else if frame["type"] == "FILE_READ" {
            peer.content("a.py", "old").await;
        } else {
            assert_eq!(frame["message_type"], "OP_COMMIT", "{frame}");
            assert_ne!(frame["payload"]["op_id"], commit["payload"]["op_id"]);
            break;
        }
    }
    assert_eq!(asked.lock().unwrap().len(), 1, "{}", lines.text());
    work.abort();
}

#[tokio::test]
async fn nothing_is_written_under_an_intent_that_a_break_and_a_freeze_have_cost() {
    covers!("PAR-23", "PAR-22");
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let (mut peer, work) = begun((&listener, &url), &lines, Hands::on(&["a.py"])).await;
    peer.answer_list(&["a.py"]).await;
    peer.take("INTENT_ANNOUNCE").await;
    let mut peer = back_in_a_freeze(peer, &listener).await;
    resolve(&mut peer, "c", Value::Null).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    peer.accept_commit("new").await;
    peer.accept_withdraw(&intent).await;
    work.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_commit_that_a_break_and_a_freeze_keep_from_arriving_is_said_again_when_that_is_over() {
    covers!("PAR-22", "PAR-23");
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let (mut peer, work) = begun((&listener, &url), &lines, Hands::on(&["a.py"])).await;
    let commit = peer.until_commit().await;
    let mut peer = back_in_a_freeze(peer, &listener).await;
    peer.answer_read("a.py", "old").await;
    lines.wait_for("waiting until that is resolved").await;
    resolve(&mut peer, "c", Value::Null).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    let again = peer.accept_commit("new").await;
    assert_eq!(again["payload"]["op_id"], commit["payload"]["op_id"], "it may have arrived");
    assert_eq!(again["payload"]["intent_id"], intent);
    peer.accept_withdraw(&intent).await;
    work.await.unwrap().unwrap();
}
