//! Changes in sessions that authorise first.

use mpac_agent::agent::{Agent, Announce, Edit, Event, Verdict};
use mpac_wire::names::Decision;
use mpac_wire::{OpId, StateRef};
use serde_json::json;

use super::super::{Host, heard, on_a};
use super::Model;
use crate::covers;

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
