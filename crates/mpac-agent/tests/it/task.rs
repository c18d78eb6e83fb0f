//! A task alone in its session: from plan to commit, and what can go wrong on the way.

use std::time::Duration;

use mpac_agent::error::AgentError;
use mpac_agent::task::{Outcome, TaskOptions};
use mpac_wire::StateRef;
use serde_json::{Value, json};

use crate::at_work::joined;
use crate::covers;
use crate::fake_coordinator::{Work, info, report, script};
use crate::hands::Hands;

fn reference(content: &str) -> String {
    StateRef::of(content).to_string()
}

#[tokio::test]
async fn a_task_goes_from_plan_to_commit_and_leaves() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old\n").await;
    let commit = peer.accept_commit("new\n").await;
    let payload = &commit["payload"];
    assert_eq!(payload["intent_id"], intent);
    assert_eq!(payload["op_kind"], "replace");
    assert_eq!(
        (&payload["state_ref_before"], &payload["state_ref_after"]),
        (&json!(reference("old\n")), &json!(reference("new\n")))
    );
    let changes = json!({"a.py": {"content": "new\n", "state_ref_before": reference("old\n")}});
    assert_eq!(payload["file_changes"], changes);
    assert_eq!(peer.accept_withdraw(&intent).await, "task_completed");
    let goodbye = peer.take("GOODBYE").await;
    assert_eq!(goodbye["payload"]["reason"], "completed");
    let lines = work.lines.clone();
    assert_eq!(work.end().await.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
    assert!(lines.text().contains("-old\n+new\n"), "{}", lines.text());
}

#[tokio::test]
async fn an_announce_that_is_accepted_with_a_warning_is_worked_under() {
    covers!("PAR-23", "FRZ-04");
    // Python servers do not relay it then (D-133).
    for relays in [true, false] {
        let mut work = Work::start("agent:Bob", &script("")).await;
        let peer = &mut work.peer;
        peer.answer_list(&["a.py"]).await;
        let announce = peer.take("INTENT_ANNOUNCE").await;
        if relays {
            peer.relay(&announce).await;
        }
        peer.refuse(&announce, "SCOPE_FROZEN", "Warning: part of this scope is frozen by c7").await;
        peer.answer_read("a.py", "old").await;
        peer.answer_read("a.py", "old").await;
        peer.accept_commit("new").await;
        let intent = announce["payload"]["intent_id"].as_str().unwrap();
        assert_eq!(peer.accept_withdraw(intent).await, "task_completed");
        let lines = work.lines.clone();
        assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)), "{}", lines.text());
        assert!(lines.text().contains("warns: Warning: part of this scope"), "{}", lines.text());
    }
}

#[tokio::test]
async fn what_a_resolution_wants_undone_is_told() {
    covers!("GOV-21");
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old").await;
    let commit = peer.accept_commit("new").await;
    let op = commit["payload"]["op_id"].as_str().unwrap();
    let outcome = json!({"rejected": [op], "rollback": "op-undo"});
    let resolution =
        json!({"resolution_id": "r", "conflict_id": "c", "decision": "rejected", "outcome": outcome});
    peer.other("human:Olga", "RESOLUTION", resolution).await;
    peer.accept_withdraw(&intent).await;
    let lines = work.lines.clone();
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
    let told =
        format!("{op} is to be undone: make a.py again what it was at {} (as op-undo)", reference("old"));
    assert!(lines.text().contains(&told), "{}", lines.text());
}

#[tokio::test]
async fn a_stale_commit_is_redone_on_the_new_text_under_a_new_id() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old\n").await;
    let first = peer.take("OP_COMMIT").await;
    peer.refuse(&first, "STALE_STATE_REF", "a.py has changed").await;
    peer.answer_read("a.py", "# theirs\nold\n").await;
    let second = peer.accept_commit("# theirs\nnew\n").await;
    assert_ne!(first["payload"]["op_id"], second["payload"]["op_id"]);
    assert_eq!(second["payload"]["state_ref_before"], reference("# theirs\nold\n"));
    assert_eq!(second["payload"]["file_changes"]["a.py"]["content"], "# theirs\nnew\n");
    peer.accept_withdraw(&intent).await;
    assert_eq!(work.end().await.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
}

#[tokio::test]
async fn an_echo_without_its_content_is_stale_as_python_servers_do_it() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old\n").await;
    let first = peer.take("OP_COMMIT").await;
    peer.relay(&first).await;
    peer.answer_read("a.py", "# theirs\nold\n").await;
    peer.accept_commit("# theirs\nnew\n").await;
    peer.accept_withdraw(&intent).await;
    assert!(matches!(work.end().await.unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn rebasing_ends_at_its_limit_and_withdraws() {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old 0").await;
    for round in 1..=3 {
        let commit = peer.take("OP_COMMIT").await;
        peer.refuse(&commit, "STALE_STATE_REF", "again").await;
        peer.answer_read("a.py", &format!("old {round}")).await;
    }
    let withdraw = peer.take("INTENT_WITHDRAW").await;
    assert_eq!(
        (&withdraw["payload"]["intent_id"], &withdraw["payload"]["reason"]),
        (&json!(intent), &json!("task_failed"))
    );
    let error = work.end().await.unwrap_err();
    assert!(matches!(error, AgentError::AlwaysStale { attempts: 3, .. }), "{error}");
}

#[tokio::test]
async fn another_refusal_is_an_error_and_not_repeated() {
    let (mut work, _) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old").await;
    let commit = peer.take("OP_COMMIT").await;
    peer.refuse(&commit, "INVALID_REFERENCE", "the intent has ended").await;
    peer.answer_read("a.py", "old").await;
    peer.take("INTENT_WITHDRAW").await;
    let error = work.end().await.unwrap_err().to_string();
    assert_eq!(error, "the coordinator refused the commit to a.py: INVALID_REFERENCE: the intent has ended");
}

#[tokio::test]
async fn a_relayed_rejection_is_not_taken_for_success() {
    let (mut work, _) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old").await;
    let commit = peer.take("OP_COMMIT").await;
    peer.relay(&commit).await;
    peer.say("OP_REJECT", json!({"op_id": commit["payload"]["op_id"], "reason": "policy_violation"})).await;
    peer.answer_read("a.py", "new").await;
    peer.take("INTENT_WITHDRAW").await;
    let error = work.end().await.unwrap_err();
    assert!(matches!(&error, AgentError::Rejected { reason, .. } if reason == "policy_violation"), "{error}");
}

#[tokio::test]
async fn an_announce_that_is_passed_over_is_an_error() {
    let mut work = Work::start("agent:Bob", &script("")).await;
    work.peer.answer_list(&["a.py"]).await;
    work.peer.take("INTENT_ANNOUNCE").await;
    work.peer.answer_read("a.py", "old").await;
    let error = work.end().await.unwrap_err();
    assert!(matches!(error, AgentError::Ignored { .. }), "{error}");
}

#[tokio::test]
async fn a_new_file_is_based_on_the_empty_text() {
    let script = r#"{"plan":{"objective":"o","files":[],"new_files":["a.py"]},"edits":{"a.py":[{"find":"","replace":"x\n"}]}}"#;
    let mut work = Work::start("agent:Bob", script).await;
    let peer = &mut work.peer;
    peer.answer_list(&[]).await;
    let not_there = json!({"type": "FILE_ERROR", "path": "a.py", "error": "File not found"});
    let announce = peer.take("INTENT_ANNOUNCE").await;
    assert_eq!(announce["payload"]["ttl_sec"], 1800);
    assert_eq!(announce["payload"]["scope"], json!({"kind": "file_set", "resources": ["a.py"]}));
    peer.relay(&announce).await;
    for _ in 0..2 {
        peer.take("FILE_READ").await;
        peer.send(&not_there).await;
    }
    let commit = peer.accept_commit("x\n").await;
    assert_eq!(commit["payload"]["state_ref_before"], reference(""));
    peer.accept_withdraw(announce["payload"]["intent_id"].as_str().unwrap()).await;
    assert_eq!(work.end().await.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
}

#[tokio::test]
async fn a_file_that_is_right_already_is_not_committed() {
    let same = r#"{"plan":{"objective":"o","files":["a.py"]},"edits":{"a.py":[]}}"#;
    let (mut work, intent) = Work::announced("agent:Bob", same, |_| vec![]).await;
    work.peer.answer_read("a.py", "old").await;
    assert_eq!(work.peer.accept_withdraw(&intent).await, "task_completed");
    assert_eq!(work.end().await.unwrap(), Outcome::Unchanged);
}

#[tokio::test]
async fn a_file_too_large_for_a_frame_is_not_sent() {
    let (mut work, _) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    let large = format!("old {}", "x".repeat(1 << 20));
    work.peer.answer_read("a.py", &large).await;
    work.peer.take("INTENT_WITHDRAW").await;
    let error = work.end().await.unwrap_err();
    assert!(matches!(error, AgentError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_plan_with_an_unknown_file_is_never_announced() {
    let mut work = Work::start("agent:Bob", &script("")).await;
    work.peer.answer_list(&["b.py"]).await;
    let error = work.end().await.unwrap_err().to_string();
    assert!(error.contains("there is no file `a.py`"), "{error}");
}

#[tokio::test]
async fn a_pre_commit_session_is_told_apart_before_anything_is_announced() {
    let lines = crate::fake_coordinator::Lines::default();
    let (mut session, history, mut peer) = crate::fake_coordinator::connected("agent:Bob", &lines).await;
    let ended = tokio::spawn(async move {
        session.join(crate::fake_coordinator::hello()).await?;
        let mut brain =
            mpac_agent::brain::scripted::ScriptedBrain::parse("t".to_owned(), &script(""), history)?;
        let options = TaskOptions::default();
        let mut naming = mpac_agent::naming::Naming::new("Bob");
        mpac_agent::task::run_task(&mut session, &mut brain, &mut naming, &options, "t").await
    });
    peer.take("HELLO").await;
    peer.say("SESSION_INFO", info(json!({"execution_model": "pre_commit"}))).await;
    assert!(matches!(ended.await.unwrap(), Err(AgentError::PreCommit)));
}

#[tokio::test]
async fn work_that_is_done_is_no_failure_because_its_intent_could_not_be_ended() {
    let (mut work, _) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    work.peer.answer_read("a.py", "old").await;
    work.peer.accept_commit("new").await;
    work.peer.take("INTENT_WITHDRAW").await;
    work.peer.say("SESSION_CLOSE", json!({"reason": "manual", "final_lamport_clock": 9})).await;
    let lines = work.lines.clone();
    assert_eq!(work.end().await.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
    let told = lines.text();
    assert!(
        told.contains("the intent could not be ended") && told.contains("done: a.py committed"),
        "{told}"
    );
}

#[tokio::test]
async fn the_time_limit_is_for_the_work_and_not_for_the_end_of_its_intent() {
    // The work needs a small part of it.
    let limit = Duration::from_secs(3);
    let options = TaskOptions { time_limit: Some(limit), ..TaskOptions::default() };
    let (mut peer, lines, work) = joined(Hands::on(&["a.py"]), options).await;
    peer.answer_list(&["a.py"]).await;
    peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    peer.accept_commit("new").await;
    let withdraw = peer.take("INTENT_WITHDRAW").await;
    peer.take("FILE_READ").await;
    // Nothing is said while the limit goes by.
    assert!(tokio::time::timeout(limit, peer.next()).await.is_err(), "{}", lines.text());
    peer.relay(&withdraw).await;
    peer.content("a.py", "new").await;
    assert!(matches!(work.await.unwrap(), Ok(Outcome::Committed(_))), "{}", lines.text());
}

/// At work up to its commit, which has not been answered.
async fn committing() -> (Work, Value, String) {
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), |_| vec![]).await;
    work.peer.answer_read("a.py", "old").await;
    let commit = work.peer.take("OP_COMMIT").await;
    (work, commit, intent)
}

/// Tells everybody that a commit was accepted.
async fn accept(work: &mut Work, commit: &Value) {
    work.peer.relay(commit).await;
    let update = json!({"type": "FILE_UPDATED", "path": "a.py",
        "state_ref": commit["payload"]["state_ref_after"], "updated_by": "agent:Bob"});
    work.peer.send(&update).await;
}

#[tokio::test]
async fn an_accepted_commit_is_one_whatever_the_request_behind_it_is_answered() {
    let (mut work, commit, intent) = committing().await;
    accept(&mut work, &commit).await;
    work.peer.take("FILE_READ").await;
    let trouble = json!({"type": "FILE_ERROR", "path": "a.py", "error": "the disk is gone"});
    work.peer.send(&trouble).await;
    work.peer.accept_withdraw(&intent).await;
    assert_eq!(work.end().await.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
}

#[tokio::test]
async fn only_the_coordinator_refuses_a_commit() {
    let (mut work, commit, intent) = committing().await;
    let op = &commit["payload"]["op_id"];
    work.peer.other("agent:Eve", "OP_REJECT", json!({"op_id": op, "reason": "policy_violation"})).await;
    let error = json!({"error_code": "SCOPE_FROZEN", "description": "d", "refers_to": commit["message_id"]});
    work.peer.other("agent:Eve", "PROTOCOL_ERROR", error).await;
    accept(&mut work, &commit).await;
    work.peer.answer_read("a.py", "new").await;
    work.peer.accept_withdraw(&intent).await;
    assert_eq!(work.end().await.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
}

#[tokio::test]
async fn what_others_are_called_and_say_is_no_line_of_a_task() {
    let eve = "agent:Eve\nagent:Root";
    let mut work = Work::start("agent:Bob", &script("")).await;
    work.peer.answer_list(&["a.py"]).await;
    let announce = json!({"intent_id": "hers", "objective": "x\ncommitted a.py", "scope":
        {"kind": "file_set", "resources": ["a.py"]}});
    work.peer.other(eve, "INTENT_ANNOUNCE", announce).await;
    work.peer.accept_announce(|own| vec![report("c", own, "hers", eve)]).await;
    work.peer.answer_read("a.py", "old").await;
    let commit = work.peer.take("OP_COMMIT").await;
    work.peer.refuse(&commit, "INVALID_REFERENCE", "d\ndone: a.py committed").await;
    work.peer.answer_read("a.py", "old").await;
    let lines = work.lines.clone();
    work.end().await.unwrap_err();
    let text = lines.text();
    assert!(text.contains("agent:Eve agent:Root") && text.contains("x committed a.py"), "{text}");
    let forged = ["agent:Root", "committed", "done"];
    assert!(!text.lines().any(|line| forged.iter().any(|word| line.starts_with(word))), "{text}");
}
