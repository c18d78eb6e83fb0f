//! Somebody commits to a file when its new text has only just been asked for.

use std::time::Duration;

use mpac_agent::error::AgentError;
use mpac_agent::task::{Outcome, TaskOptions};
use mpac_wire::StateRef;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::at_work::joined;
use crate::fake_coordinator::{Lines, Peer};
use crate::hands::Hands;
use crate::returning::{begun, listener, summary, welcome};

/// Far more than all of it takes, and far less than a limit of the agent.
const SOON: Duration = Duration::from_secs(20);

/// Up to the question for the text of `a.py`, which the brain holds back.
async fn asked(
    hands: Hands,
    options: TaskOptions,
) -> (Peer, Lines, JoinHandle<Result<Outcome, AgentError>>, String, tokio::sync::oneshot::Sender<()>) {
    let (reached, go_on) = hands.hold_text();
    let (mut peer, lines, work) = joined(hands, options).await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old\nmid\nlast\n").await;
    reached.await.unwrap();
    (peer, lines, work, intent, go_on)
}

async fn alice_commits(peer: &mut Peer, text: &str) {
    let update = json!({"type": "FILE_UPDATED", "path": "a.py", "state_ref": StateRef::of(text).as_str(),
        "updated_by": "agent:Alice"});
    peer.send(&update).await;
}

#[tokio::test]
async fn a_question_of_which_nothing_has_come_is_asked_again_at_once() {
    let hands = Hands::on(&["a.py"]);
    let questions = hands.asked.clone();
    // What is held back never comes.
    let (mut peer, lines, work, intent, _held) = asked(hands, TaskOptions::default()).await;
    let theirs = "old and theirs\nmid\nlast\n";
    alice_commits(&mut peer, theirs).await;
    tokio::time::timeout(SOON, peer.answer_read("a.py", theirs))
        .await
        .unwrap_or_else(|_| panic!("{}", lines.text()));
    let commit = peer.accept_commit("new and theirs\nmid\nlast\n").await;
    assert_eq!(commit["payload"]["state_ref_before"], StateRef::of(theirs).as_str());
    assert_eq!(commit["payload"]["file_changes"]["a.py"]["content"], "new and theirs\nmid\nlast\n");
    peer.accept_withdraw(&intent).await;
    let told = lines.text();
    assert!(told.contains("asking again on top of that"), "{told}");
    assert_eq!(told.matches("writing a.py on top of").count(), 2, "each with its heading: {told}");
    assert_eq!(told.matches("-old and theirs").count(), 1, "{told}");
    let contents: Vec<String> = questions.lock().unwrap().iter().map(|ask| ask.content.clone()).collect();
    assert_eq!(contents, ["old\nmid\nlast\n", theirs]);
    assert!(questions.lock().unwrap().iter().all(|ask| !ask.rebased), "nothing was written before");
    work.abort();
}

#[tokio::test]
async fn an_answer_that_has_begun_is_waited_for_and_merged() {
    let mut hands = Hands::on(&["a.py"]);
    hands.begins_early = true;
    let questions = hands.asked.clone();
    let (mut peer, lines, work, intent, go_on) = asked(hands, TaskOptions::default()).await;
    let theirs = "old\nmid\nlast\ntheirs\n";
    alice_commits(&mut peer, theirs).await;
    // What arrives after it is shown after it was taken in.
    peer.other("agent:Alice", "INTENT_WITHDRAW", json!({"intent_id": "i", "reason": "task_completed"})).await;
    lines.wait_for("agent:Alice ended intent i").await;
    go_on.send(()).unwrap();
    peer.answer_read("a.py", theirs).await;
    let commit = peer.accept_commit("new\nmid\nlast\ntheirs\n").await;
    assert_eq!(commit["payload"]["file_changes"]["a.py"]["content"], "new\nmid\nlast\ntheirs\n");
    peer.accept_withdraw(&intent).await;
    assert_eq!(questions.lock().unwrap().len(), 1, "{}", lines.text());
    work.abort();
}

#[tokio::test]
async fn a_file_that_moves_all_the_time_does_not_hold_the_work_up_for_ever() {
    let hands = Hands::on(&["a.py"]);
    let questions = hands.asked.clone();
    let options = TaskOptions { max_rebase: 1, ..TaskOptions::default() };
    let (mut peer, lines, work, _, _held) = asked(hands.clone(), options).await;
    let (reached, go_on) = hands.hold_text();
    alice_commits(&mut peer, "old 1\n").await;
    peer.answer_read("a.py", "old 1\n").await;
    reached.await.unwrap();
    alice_commits(&mut peer, "old 2\n").await;
    peer.other("agent:Alice", "INTENT_WITHDRAW", json!({"intent_id": "i", "reason": "task_completed"})).await;
    lines.wait_for("agent:Alice ended intent i").await;
    assert_eq!(questions.lock().unwrap().len(), 2);
    go_on.send(()).unwrap();
    // Now it is written, and what moved is looked at as ever.
    peer.answer_read("a.py", "old 2\n").await;
    peer.accept_commit("new 2\n").await;
    work.abort();
}

#[tokio::test]
async fn what_is_heard_while_the_other_files_are_read_counts() {
    let hands = Hands::on(&["a.py", "b.py"]);
    let questions = hands.asked.clone();
    let options = TaskOptions { commit_each: true, ..TaskOptions::default() };
    let (mut peer, lines, work) = joined(hands, options).await;
    peer.answer_list(&["a.py", "b.py"]).await;
    peer.accept_announce(|_| vec![]).await;
    for path in ["a.py", "b.py"] {
        assert_eq!(peer.take("FILE_READ").await["path"], path);
    }
    peer.content("a.py", "old\n").await;
    alice_commits(&mut peer, "old and theirs\n").await;
    peer.content("b.py", "old\n").await;
    peer.answer_read("a.py", "old and theirs\n").await;
    let commit = peer.take("OP_COMMIT").await;
    assert_eq!(commit["payload"]["file_changes"]["a.py"]["content"], "new and theirs\n", "{}", lines.text());
    let asked: Vec<String> = questions.lock().unwrap().iter().map(|ask| ask.content.clone()).collect();
    assert_eq!(asked.len(), 2, "nobody was asked about the text that was over: {asked:?}");
    work.abort();
}

/// After a break nobody knows whether the file has moved; it has not.
#[tokio::test]
async fn a_break_alone_calls_nothing_off() {
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let hands = Hands::on(&["a.py"]);
    let (questions, (reached, go_on)) = (hands.asked.clone(), hands.hold_text());
    let (mut peer, work) = begun((&listener, &url), &lines, hands).await;
    peer.answer_list(&["a.py"]).await;
    peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    reached.await.unwrap();
    drop(peer);
    let mut peer = Peer::accept(&listener).await;
    peer.take("HELLO").await;
    welcome(&mut peer, 1, json!({})).await;
    peer.take("PROTOCOL_ERROR").await;
    peer.send(&summary(&[])).await;
    peer.answer_read("a.py", "old").await;
    let again = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await; // whether it has moved
    go_on.send(()).unwrap();
    peer.accept_commit("new").await;
    peer.accept_withdraw(&again).await;
    assert!(matches!(work.await.unwrap(), Ok(Outcome::Committed(_))), "{}", lines.text());
    assert_eq!(questions.lock().unwrap().len(), 1, "{}", lines.text());
}
