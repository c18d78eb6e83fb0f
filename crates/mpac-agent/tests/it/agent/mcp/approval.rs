//! Changes in sessions that authorise first.

use mpac_agent::agent::{Agent, Announce, Edit, Event, Verdict};
use mpac_wire::names::Decision;
use mpac_wire::{OpId, StateRef};
use serde_json::{Value, json};

use super::super::{Host, heard, on_a, patiently};
use super::{Model, told};
use crate::covers;
use crate::fake_coordinator::{COORDINATOR, Peer, info, listening};

/// A session in which somebody has to approve each change.
async fn reviewed(flags: &[&str]) -> Host {
    let review =
        ["--execution-model=pre_commit", "--session-config", r#"{"operation_authorization": "review"}"#];
    Host::governed(&[&review, flags].concat()).await
}

fn proposed(event: Event) -> Option<OpId> {
    match event {
        Event::Proposed { op_id, .. } => Some(op_id),
        _ => None,
    }
}

async fn approve(ann: &Agent, op: &OpId) {
    let mut yes = Verdict::of(Decision::Approved);
    yes.accepted = vec![op.to_string()];
    ann.resolve_conflict(&op.as_str().parse().unwrap(), yes).await.unwrap();
}

#[tokio::test]
async fn a_change_that_waits_for_approval_is_gone_on_with_by_the_same_call() {
    covers!("OPS-24", "OPS-25");
    let host = reviewed(&[]).await;
    let (ann, mut events) = host.join_as("Ann", "owner").await;
    let mut ben = Model::start(&host, "Ben").await;
    ben.done("begin_task", json!({"objective": "his", "files": ["a.py"]})).await;
    let (_, read) = ben.done("get_file_state", json!({"path": "a.py"})).await;
    let change = |content: &str| json!({"path": "a.py", "content": content, "base_state_ref": read["state_ref"], "wait_sec": 1});

    let (text, first) = ben.refused("submit_change", change("his\n")).await;
    let op = heard(&mut events, proposed).await;
    assert_eq!((&first["code"], &first["op_id"]), (&json!("WAITS_FOR_APPROVAL"), &json!(op)));
    assert!(first["undecided"] == json!(false) && text.contains("waits for approval"), "{text}");
    assert!(text.contains("submit just the same change again"), "{text}");
    let (_, again) = ben.refused("submit_change", change("his\n")).await;
    assert_eq!(again["op_id"], json!(op));
    let (_, other) = ben.refused("submit_change", change("another\n")).await;
    let another = heard(&mut events, proposed).await;
    assert_eq!(
        other["op_id"],
        json!(another),
        "the same was not proposed twice, and another text is another change"
    );

    let mut no = Verdict::of(Decision::Rejected);
    no.rejected = vec![another.to_string()];
    ann.resolve_conflict(&another.as_str().parse().unwrap(), no).await.unwrap();
    let (_, rejected) = ben.refused("submit_change", change("another\n")).await;
    assert_eq!(rejected["code"], "OP_REJECT");
    let (_, anew) = ben.refused("submit_change", change("another\n")).await;
    assert!(anew["code"] == "WAITS_FOR_APPROVAL" && anew["op_id"] != json!(another), "{anew}");

    approve(&ann, &op).await;
    let (_, done) = ben.done("submit_change", change("his\n")).await;
    assert_eq!(done["op_id"], json!(op));
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "his\n");

    // Nobody waits for the approval of what is too late.
    let (eve, _) = host.join_as("Eve", "owner").await;
    // It covers another file, so nothing has to be settled first.
    let intent = eve.announce(Announce::files("hers", ["b.py"])).await.unwrap().intent;
    let hers = Edit::on("a.py", StateRef::of("his\n"), "hers\n");
    let late =
        json!({"path": "a.py", "content": "late\n", "base_state_ref": done["state_ref"], "wait_sec": 3});
    let (late, committed, ()) = tokio::join!(
        ben.refused("submit_change", late),
        eve.propose_and_commit(Some(&intent), hers),
        async {
            let hers = heard(&mut events, |event| match event {
                Event::Proposed { op_id, principal_id, .. } if principal_id == *eve.me() => Some(op_id),
                _ => None,
            });
            approve(&ann, &hers.await).await;
        }
    );
    committed.unwrap();
    assert_eq!((&late.1["code"], &late.1["content"]), (&json!("STALE_STATE_REF"), &json!("hers\n")));
}

#[tokio::test]
async fn an_approved_change_that_meets_a_freeze_is_completed_by_the_same_call_after_it() {
    covers!("OPS-25", "FRZ-02");
    let host = reviewed(&["--resolution-timeout-sec=1"]).await;
    let (ann, mut events) = host.join_as("Ann", "owner").await;
    let mut ben = Model::start(&host, "Ben").await;
    ben.done("begin_task", json!({"objective": "his", "files": ["a.py"]})).await;
    let (_, read) = ben.done("get_file_state", json!({"path": "a.py"})).await;
    let his = json!({"path": "a.py", "content": "his\n", "base_state_ref": read["state_ref"], "wait_sec": 1});
    ben.refused("submit_change", his.clone()).await;
    let op = heard(&mut events, proposed).await;
    approve(&ann, &op).await;

    let conflict = ann.announce(on_a()).await.unwrap().conflicts[0].conflict_id.clone();
    // Nobody resolves it in time.
    heard(&mut events, |event| match event {
        Event::Warning { code, .. } => (code == "RESOLUTION_TIMEOUT").then_some(()),
        _ => None,
    })
    .await;
    let (_, frozen) = ben.refused("submit_change", his.clone()).await;
    assert_eq!(frozen["code"], "SCOPE_FROZEN");
    ann.resolve_conflict(&conflict, Verdict::of(Decision::Dismissed)).await.unwrap();
    let (_, done) = ben.done("submit_change", his).await;
    assert_eq!(done["op_id"], json!(op), "it needs no second approval");
}

/// Its session authorises first, and its model is about to put a line behind the one of `a.py`.
async fn at_work() -> (Peer, Model, Value) {
    let (url, accept) = listening().await;
    let coordinator = tokio::spawn(async move {
        let mut peer = accept.await.unwrap();
        peer.answers_barriers();
        peer.take("HELLO").await;
        peer.say("SESSION_INFO", info(json!({"execution_model": "pre_commit"}))).await;
        peer
    });
    let mut ben = Model::start_at(&format!("{url}/session/s"), "Ben").await;
    let mut peer = patiently(coordinator).await.unwrap();
    let begun = ben.ask_tool("begin_task", &json!({"objective": "his", "files": ["a.py"]})).await;
    let announce = peer.take("INTENT_ANNOUNCE").await;
    peer.relay(&announce).await;
    peer.answer_barrier().await;
    assert_eq!(ben.result().await.0, begun);
    let read = ben.ask_tool("get_file_state", &json!({"path": "a.py"})).await;
    peer.answer_read("a.py", "old\n").await;
    assert_eq!(ben.result().await.0, read);
    let edits = json!([{"search": "old", "replace": "old\nhis"}]);
    (peer, ben, json!({"path": "a.py", "edits": edits, "wait_sec": 2}))
}

async fn authorise(peer: &mut Peer, proposal: &Value) {
    let authorised = json!({"event": "authorization", "coordinator_id": COORDINATOR, "session_health": "healthy",
        "authorized_op_id": proposal["payload"]["op_id"]});
    peer.say("COORDINATOR_STATUS", authorised).await;
}

/// The host does not wait any longer for the answer to this.
async fn stops_waiting(ben: &mut Model, asked: u64) {
    let cancelled = json!({"requestId": asked, "reason": "too long"});
    ben.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled})).await;
    ben.request("tools/list", json!({})).await;
}

/// Both calls that ask for the change of this proposal.
async fn both_hear_that_it_is_made(ben: &mut Model, proposal: &Value) {
    for _ in 0..2 {
        let (is_done, text, value) = told(&ben.result().await.1);
        assert!(is_done, "{text}");
        assert_eq!(value["op_id"], proposal["payload"]["op_id"]);
    }
}

#[tokio::test]
async fn what_was_committed_and_not_told_is_told_by_the_same_call() {
    covers!("OPS-25");
    let (mut peer, mut ben, his) = at_work().await;
    let submitted = ben.ask_tool("submit_change", &his).await;
    peer.answer_read("a.py", "old\n").await;
    let proposal = peer.take("OP_PROPOSE").await;
    authorise(&mut peer, &proposal).await;
    let commit = peer.take("OP_COMMIT").await;
    stops_waiting(&mut ben, submitted).await;
    peer.relay(&commit).await;
    peer.answer_read("a.py", "old\nhis\n").await;

    // Another change on the old text is one, whoever made that.
    let other = json!({"path": "a.py", "edits": [{"search": "old", "replace": "other"}]});
    ben.ask_tool("submit_change", &other).await;
    peer.answer_read("a.py", "old\nhis\n").await;
    assert_eq!(told(&ben.result().await.1).2["code"], "STALE_STATE_REF");
    ben.ask_tool("submit_change", &his).await;
    peer.answer_read("a.py", "old\nhis\n").await;
    let (is_done, text, value) = told(&ben.result().await.1);
    assert!(is_done, "{text}");
    assert_eq!(value["op_id"], proposal["payload"]["op_id"]);
    assert_eq!(value["state_ref"], StateRef::of("old\nhis\n").as_str());
}

#[tokio::test]
async fn what_was_committed_is_told_once_and_what_came_after_it_is_another_change() {
    covers!("OPS-25");
    // It is read, or somebody has undone it: then the same call makes it again.
    for is_read in [true, false] {
        let (mut peer, mut ben, his) = at_work().await;
        let submitted = ben.ask_tool("submit_change", &his).await;
        peer.answer_read("a.py", "old\n").await;
        let proposal = peer.take("OP_PROPOSE").await;
        authorise(&mut peer, &proposal).await;
        let commit = peer.take("OP_COMMIT").await;
        stops_waiting(&mut ben, submitted).await;
        peer.relay(&commit).await;
        peer.answer_read("a.py", "old\nhis\n").await;
        let content = if is_read { "old\nhis\n" } else { "old\n" };
        if is_read {
            let read = ben.ask_tool("get_file_state", &json!({"path": "a.py"})).await;
            peer.answer_read("a.py", content).await;
            assert_eq!(ben.result().await.0, read);
        }
        ben.ask_tool("submit_change", &his).await;
        peer.answer_read("a.py", content).await;
        if !is_read {
            peer.answer_read("a.py", content).await;
        }
        let again = peer.take("OP_PROPOSE").await;
        assert_ne!(again["payload"]["op_id"], proposal["payload"]["op_id"], "{is_read}");
    }
}

#[tokio::test]
async fn who_waits_for_the_completion_by_an_equal_call_is_told_that_it_is_made() {
    let (mut peer, mut ben, mut his) = at_work().await;
    his["wait_sec"] = json!(50);
    ben.ask_tool("submit_change", &his).await;
    peer.answer_read("a.py", "old\n").await;
    let proposal = peer.take("OP_PROPOSE").await;
    his["wait_sec"] = json!(2);
    ben.ask_tool("submit_change", &his).await;
    peer.answer_read("a.py", "old\n").await;
    authorise(&mut peer, &proposal).await;
    let commit = peer.take("OP_COMMIT").await;
    peer.take("FILE_READ").await;
    // The other has waited for its turn, and looks what the file is.
    peer.take("FILE_READ").await;
    peer.relay(&commit).await;
    for _ in 0..2 {
        peer.content("a.py", "old\nhis\n").await;
    }
    both_hear_that_it_is_made(&mut ben, &proposal).await;
}

#[tokio::test]
async fn two_equal_calls_at_once_are_one_proposal() {
    let (mut peer, mut ben, his) = at_work().await;
    for _ in 0..2 {
        ben.ask_tool("submit_change", &his).await;
    }
    for _ in 0..2 {
        peer.take("FILE_READ").await;
    }
    for _ in 0..2 {
        peer.content("a.py", "old\n").await;
    }
    let proposal = peer.take("OP_PROPOSE").await;
    // The other goes on before it is known what the proposal has led to.
    ben.request("tools/list", json!({})).await;
    authorise(&mut peer, &proposal).await;
    peer.accept_commit("old\nhis\n").await;
    both_hear_that_it_is_made(&mut ben, &proposal).await;
}

#[tokio::test]
async fn a_proposal_that_nobody_has_waited_for_is_gone_on_with() {
    let (mut peer, mut ben, his) = at_work().await;
    let submitted = ben.ask_tool("submit_change", &his).await;
    peer.answer_read("a.py", "old\n").await;
    let proposal = peer.take("OP_PROPOSE").await;
    stops_waiting(&mut ben, submitted).await;
    ben.ask_tool("submit_change", &his).await;
    peer.answer_read("a.py", "old\n").await;
    authorise(&mut peer, &proposal).await;
    peer.accept_commit("old\nhis\n").await;
    let (is_done, text, value) = told(&ben.result().await.1);
    assert!(is_done, "{text}");
    assert_eq!(value["op_id"], proposal["payload"]["op_id"]);
}
