//! Tasks with several files: read together, written at the same time, committed as one.

use std::collections::BTreeSet;

use mpac_agent::brain::BrainError;
use mpac_agent::error::AgentError;
use mpac_agent::task::{Approver, Outcome, TaskOptions};
use mpac_wire::StateRef;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::at_work::joined;
use crate::covers;
use crate::fake_coordinator::{Lines, Peer};
use crate::hands::Hands;

const FILES: [&str; 2] = ["a.py", "b.py"];

type Work = JoinHandle<Result<Outcome, AgentError>>;

/// At work, up to the reading of its files, which have not been answered; its intent.
async fn at_work(hands: Hands, options: TaskOptions, tells: bool) -> (Peer, Lines, Work, String) {
    let files = hands.plan.files.clone();
    let (mut peer, lines, work) = joined(hands, options).await;
    let paths: Vec<&str> = files.iter().map(String::as_str).collect();
    peer.answer_list(&paths).await;
    peer.take("PROTOCOL_ERROR").await;
    if tells {
        // As our coordinator, which so shows that it keeps the texts of a batch.
        peer.send(&json!({"type": "SESSION_SUMMARY_RESPONSE", "session": summary()})).await;
    }
    let intent = peer.accept_announce(|_| vec![]).await;
    (peer, lines, work, intent)
}

fn summary() -> Value {
    json!({"session_id": "s", "workspace_dir": null, "participant_count": 1, "active_intent_count": 0,
        "open_conflict_count": 0, "participants": [], "active_intents": [], "open_conflicts": []})
}

async fn reads(peer: &mut Peer, texts: &[(&str, &str)]) {
    // All are asked for before the first is answered.
    for (path, _) in texts {
        assert_eq!(peer.take("FILE_READ").await["path"], *path);
    }
    for (path, text) in texts {
        peer.content(path, text).await;
    }
}

/// The files of a batch, with the states that they are based on.
fn entries(batch: &Value) -> Vec<(Value, Value)> {
    let entries = batch["payload"]["operations"].as_array().unwrap();
    entries.iter().map(|entry| (entry["target"].clone(), entry["state_ref_before"].clone())).collect()
}

fn on(texts: &[(&str, &str)]) -> Vec<(Value, Value)> {
    texts.iter().map(|(path, text)| (json!(path), json!(StateRef::of(text).as_str()))).collect()
}

async fn end(mut peer: Peer, work: Work) -> (Result<Outcome, AgentError>, Vec<Value>) {
    while peer.next().await.is_some() {}
    (work.await.unwrap(), peer.said)
}

fn count(said: &[Value], kind: &str) -> usize {
    said.iter().filter(|message| message["message_type"] == kind).count()
}

#[tokio::test]
async fn several_files_are_read_together_and_committed_as_one() {
    covers!("BAT-01", "BAT-03", "BAT-05");
    let hands = Hands::on(&FILES);
    let (mut peer, lines, work, intent) = at_work(hands, TaskOptions::default(), true).await;
    let texts = [("a.py", "old a\n"), ("b.py", "old b\n")];
    reads(&mut peer, &texts).await;
    let batch = peer.take("OP_BATCH_COMMIT").await;
    let payload = &batch["payload"];
    assert_eq!((&payload["atomicity"], &payload["intent_id"]), (&json!("all_or_nothing"), &json!(intent)));
    assert_eq!(entries(&batch), on(&texts));
    for (entry, new) in payload["operations"].as_array().unwrap().iter().zip(["new a\n", "new b\n"]) {
        assert_eq!(entry["intent_id"], intent);
        assert_eq!(entry["state_ref_after"], StateRef::of(new).as_str());
        assert_eq!(payload["file_changes"][entry["target"].as_str().unwrap()]["content"], new);
    }
    peer.relay(&batch).await;
    peer.answer_read("a.py", "new a\n").await;
    assert_eq!(peer.accept_withdraw(&intent).await, "task_completed");
    let (outcome, said) = end(peer, work).await;
    assert_eq!(outcome.unwrap(), Outcome::Committed(FILES.map(str::to_owned).to_vec()));
    assert_eq!((count(&said, "OP_COMMIT"), count(&said, "OP_BATCH_COMMIT")), (0, 1));
    assert!(lines.text().contains("done: a.py, b.py committed"), "{}", lines.text());
}

#[tokio::test]
async fn a_server_that_tells_nothing_of_itself_gets_one_commit_a_file() {
    covers!("PAR-13");
    let hands = Hands::on(&FILES);
    let (mut peer, _, work, intent) = at_work(hands, TaskOptions::default(), false).await;
    reads(&mut peer, &[("a.py", "old\n"), ("b.py", "old\n")]).await;
    for path in FILES {
        let commit = peer.take("OP_COMMIT").await;
        assert_eq!(commit["payload"]["target"], path);
        peer.relay(&commit).await;
        peer.answer_read(path, "new\n").await;
    }
    peer.accept_withdraw(&intent).await;
    let (outcome, said) = end(peer, work).await;
    assert!(matches!(outcome, Ok(Outcome::Committed(files)) if files == FILES));
    assert_eq!(count(&said, "OP_BATCH_COMMIT"), 0);
}

/// A batch is refused because this entry of it is stale.
async fn stale(peer: &mut Peer, batch: &Value, path: &str, code: &str) {
    let entries = batch["payload"]["operations"].as_array().unwrap();
    let op = &entries.iter().find(|entry| entry["target"] == path).unwrap()["op_id"];
    let reject = json!({"op_id": batch["payload"]["batch_id"], "reason": "batch_validation_failed",
        "rejected_ops": [op], "reasons": {op.as_str().unwrap(): code}});
    peer.say("OP_REJECT", reject).await;
    peer.answer_read("a.py", "old\n").await; // behind the batch
}

#[tokio::test]
async fn a_stale_entry_holds_back_all_and_is_merged_without_the_brain() {
    covers!("BAT-05", "BAT-16", "PAR-24");
    let hands = Hands::on(&FILES);
    let asked = hands.clone();
    let (mut peer, lines, work, intent) = at_work(hands, TaskOptions::default(), true).await;
    reads(&mut peer, &[("a.py", "old\n"), ("b.py", "old\nmid\nlast\n")]).await;
    let first = peer.take("OP_BATCH_COMMIT").await;
    stale(&mut peer, &first, "b.py", "STALE_STATE_REF").await;
    let moved = [("a.py", "old\n"), ("b.py", "old\nmid\nlast\ntheirs\n")];
    reads(&mut peer, &moved).await;
    let second = peer.take("OP_BATCH_COMMIT").await;
    assert_eq!(entries(&second), on(&moved));
    let changes = &second["payload"]["file_changes"];
    assert_eq!(changes["a.py"]["content"], "new\n");
    assert_eq!(changes["b.py"]["content"], "new\nmid\nlast\ntheirs\n");
    let ids = |batch: &Value| -> BTreeSet<String> {
        let ops = batch["payload"]["operations"].as_array().unwrap().iter().map(|it| &it["op_id"]);
        ops.chain([&batch["payload"]["batch_id"]]).map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    assert!(ids(&first).is_disjoint(&ids(&second)), "what was refused is not said again under its ids");
    peer.relay(&second).await;
    peer.answer_read("a.py", "new\n").await;
    peer.accept_withdraw(&intent).await;
    assert!(matches!(end(peer, work).await.0, Ok(Outcome::Committed(files)) if files == FILES));
    assert_eq!(asked.paths().len(), 2, "each file was written once");
    let told = lines.text();
    assert!(told.contains("the changes do not touch") && told.contains("merged b.py"), "{told}");
    assert!(told.matches("+++ b/b.py").count() == 2, "the merged text is shown: {told}");
}

#[tokio::test]
async fn a_true_clash_in_a_batch_asks_the_brain_again_about_that_file() {
    let hands = Hands::on(&FILES);
    let asked = hands.clone();
    let (mut peer, _, work, intent) = at_work(hands, TaskOptions::default(), true).await;
    reads(&mut peer, &[("a.py", "old\n"), ("b.py", "old\n")]).await;
    let first = peer.take("OP_BATCH_COMMIT").await;
    stale(&mut peer, &first, "b.py", "STALE_STATE_REF").await;
    reads(&mut peer, &[("a.py", "old\n"), ("b.py", "old and theirs\n")]).await;
    let second = peer.take("OP_BATCH_COMMIT").await;
    assert_eq!(second["payload"]["file_changes"]["b.py"]["content"], "new and theirs\n");
    peer.relay(&second).await;
    peer.answer_read("a.py", "new\n").await;
    peer.accept_withdraw(&intent).await;
    end(peer, work).await.0.unwrap();
    let asked = asked.asked.lock().unwrap();
    let again: Vec<_> = asked.iter().filter(|ask| ask.rebased).map(|ask| ask.path.as_str()).collect();
    assert_eq!((asked.len(), again), (3, vec!["b.py"]));
}

#[tokio::test]
async fn a_batch_that_is_always_stale_ends_at_the_limit_with_nothing_committed() {
    let options = TaskOptions { max_rebase: 1, ..TaskOptions::default() };
    let (mut peer, _, work, intent) = at_work(Hands::on(&FILES), options, true).await;
    reads(&mut peer, &[("a.py", "old 0\n"), ("b.py", "old\n")]).await;
    for round in 1..=2 {
        let batch = peer.take("OP_BATCH_COMMIT").await;
        stale(&mut peer, &batch, "a.py", "STALE_STATE_REF").await;
        reads(&mut peer, &[("a.py", &format!("old {round}\n")), ("b.py", "old\n")]).await;
    }
    let withdraw = peer.take("INTENT_WITHDRAW").await;
    assert_eq!(withdraw["payload"], json!({"intent_id": intent, "reason": "task_failed"}));
    let error = end(peer, work).await.0.unwrap_err();
    assert!(matches!(&error, AgentError::AlwaysStale { attempts: 2, path, .. } if path == "a.py"), "{error}");
}

#[tokio::test]
async fn a_batch_that_is_refused_for_another_reason_says_so_and_withdraws() {
    let cases = [
        ("INVALID_REFERENCE", "a.py, b.py was rejected: batch_validation_failed (INVALID_REFERENCE)"),
        ("", "SESSION"),
    ];
    for (code, told) in cases {
        let (mut peer, _, work, intent) = at_work(Hands::on(&FILES), TaskOptions::default(), true).await;
        reads(&mut peer, &[("a.py", "old\n"), ("b.py", "old\n")]).await;
        let batch = peer.take("OP_BATCH_COMMIT").await;
        if code.is_empty() {
            peer.refuse(&batch, "SESSION_READ_ONLY", "not today").await;
            peer.answer_read("a.py", "old\n").await;
        } else {
            stale(&mut peer, &batch, "b.py", code).await;
        }
        let withdraw = peer.take("INTENT_WITHDRAW").await;
        assert_eq!(withdraw["payload"], json!({"intent_id": intent, "reason": "task_failed"}));
        let (outcome, said) = end(peer, work).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert_eq!((count(&said, "OP_BATCH_COMMIT"), count(&said, "OP_COMMIT")), (1, 0));
    }
}

#[tokio::test]
async fn what_does_not_fit_into_one_message_is_committed_file_by_file_with_a_word() {
    let (mut peer, lines, work, intent) = at_work(Hands::on(&FILES), TaskOptions::default(), true).await;
    let large = format!("old {}\n", "x".repeat(700 << 10));
    let new = large.replace("old", "new");
    reads(&mut peer, &[("a.py", &large), ("b.py", &large)]).await;
    for path in FILES {
        let commit = peer.take("OP_COMMIT").await;
        assert_eq!(commit["payload"]["target"], path);
        peer.relay(&commit).await;
        peer.answer_read(path, &new).await;
    }
    peer.accept_withdraw(&intent).await;
    assert!(matches!(end(peer, work).await.0, Ok(Outcome::Committed(files)) if files == FILES));
    assert!(lines.text().contains("they are committed one by one"), "{}", lines.text());
}

#[tokio::test]
async fn files_are_written_at_the_same_time_and_shown_one_after_the_other() {
    let mut hands = Hands::on(&["a.py", "b.py", "c.py"]);
    // One after the other this would never end.
    hands.after = [("a.py", "b.py"), ("b.py", "c.py")].into();
    let (mut peer, lines, work, _) = at_work(hands, TaskOptions::default(), true).await;
    reads(&mut peer, &[("a.py", "old a\n"), ("b.py", "old b\n"), ("c.py", "old c\n")]).await;
    peer.take("OP_BATCH_COMMIT").await;
    let told = lines.text();
    let places: Vec<usize> = [
        "writing 3 files, 3 at the same time",
        "writing a.py on",
        "+new a",
        "writing b.py on",
        "+new b",
        "writing c.py on",
        "+new c",
    ]
    .into_iter()
    .map(|part| told.find(part).unwrap_or_else(|| panic!("`{part}` is not in {told}")))
    .collect();
    assert!(places.is_sorted(), "{told}");
    assert_eq!(told.matches("+new").count(), 3, "each once: {told}");
    work.abort();
}

#[tokio::test]
async fn no_more_files_are_written_at_a_time_than_the_options_say() {
    let hands = Hands::on(&["a.py", "b.py", "c.py"]);
    let asked = hands.clone();
    let options = TaskOptions { parallel_writes: 1, ..TaskOptions::default() };
    let (mut peer, _, work, _) = at_work(hands, options, true).await;
    reads(&mut peer, &[("a.py", "old\n"), ("b.py", "old\n"), ("c.py", "old\n")]).await;
    peer.take("OP_BATCH_COMMIT").await;
    assert_eq!(asked.paths(), ["a.py", "b.py", "c.py"]);
    work.abort();
}

#[tokio::test]
async fn a_plan_that_is_in_order_tells_each_file_what_became_of_those_before() {
    let mut hands = Hands::on(&["a.py", "b.py", "c.py"]);
    hands.plan.in_order = true;
    let asked = hands.clone();
    let (mut peer, lines, work, _) = at_work(hands, TaskOptions::default(), true).await;
    reads(&mut peer, &[("a.py", "old\n"), ("b.py", "right\n"), ("c.py", "old\n")]).await;
    let batch = peer.take("OP_BATCH_COMMIT").await;
    assert_eq!(entries(&batch).len(), 2, "b.py was right already");
    let asked = asked.asked.lock().unwrap();
    let known = |at: usize| asked[at].written.iter().map(|it| it.path.as_str()).collect::<Vec<_>>();
    assert_eq!((known(0), known(1), known(2)), (vec![], vec!["a.py"], vec!["a.py"]));
    assert!(!lines.text().contains("at the same time"), "{}", lines.text());
    work.abort();
}

#[tokio::test]
async fn one_file_that_cannot_be_written_leaves_all_alone() {
    let mut hands = Hands::on(&["a.py", "b.py", "c.py"]);
    hands.fails = [("c.py", BrainError::Declined)].into();
    // Nobody waits for those that are still at it, and they count all the same.
    hands.after = [("a.py", "never")].into();
    let options = TaskOptions::default();
    let tally = options.tally.clone();
    let (mut peer, lines, work, intent) = at_work(hands, options, true).await;
    reads(&mut peer, &[("a.py", "old\n"), ("b.py", "old\n"), ("c.py", "old\n")]).await;
    let withdraw = peer.take("INTENT_WITHDRAW").await;
    assert_eq!(withdraw["payload"], json!({"intent_id": intent, "reason": "task_failed"}));
    let (outcome, said) = end(peer, work).await;
    assert!(matches!(outcome, Err(AgentError::Brain(BrainError::Declined))));
    assert_eq!(tally.used().calls, 3);
    assert!(lines.text().contains("used: 3 calls"), "{}", lines.text());
    assert_eq!((count(&said, "OP_BATCH_COMMIT"), count(&said, "OP_COMMIT")), (0, 0));
}

#[tokio::test]
async fn nothing_is_committed_before_every_diff_is_approved() {
    for (answers, committed) in [([true, true], true), ([true, false], false)] {
        let (approver, mut questions) = Approver::channel();
        let options = TaskOptions { approver: Some(approver), ..TaskOptions::default() };
        let (mut peer, lines, work, intent) = at_work(Hands::on(&FILES), options, true).await;
        reads(&mut peer, &[("a.py", "old a\n"), ("b.py", "old b\n")]).await;
        for (answer, shown) in answers.into_iter().zip(["+new a", "+new b"]) {
            let question = questions.recv().await.unwrap();
            assert!(lines.text().contains(shown), "{}", lines.text());
            assert!(shown != "+new a" || !lines.text().contains("+new b"), "one at a time: {}", lines.text());
            question.answer(answer);
        }
        if committed {
            let batch = peer.take("OP_BATCH_COMMIT").await;
            peer.relay(&batch).await;
            peer.answer_read("a.py", "new a\n").await;
        }
        // Who stepped back for us takes `task_completed` for work that was done, and leaves the task to us.
        let reason = if committed { "task_completed" } else { "declined" };
        assert_eq!(peer.accept_withdraw(&intent).await, reason);
        let (outcome, said) = end(peer, work).await;
        assert_eq!(outcome.unwrap() == Outcome::Declined, !committed);
        assert_eq!(count(&said, "OP_BATCH_COMMIT"), usize::from(committed));
        let reviewed = said.iter().any(|it| it["payload"]["status"] == "awaiting_review");
        assert!(reviewed, "heartbeats say that somebody looks at it (LIV-19)");
    }
}

#[tokio::test]
async fn what_is_merged_is_approved_as_well() {
    let (approver, mut questions) = Approver::channel();
    let options = TaskOptions { approver: Some(approver), ..TaskOptions::default() };
    let (mut peer, lines, work, intent) = at_work(Hands::on(&FILES), options, true).await;
    let base = "old\nmid\nlast\n";
    reads(&mut peer, &[("a.py", base), ("b.py", "old\n")]).await;
    questions.recv().await.unwrap().answer(true);
    let second = questions.recv().await.unwrap();
    // While the person looks at the second file somebody else changes the first.
    let theirs = "old\nmid\nlast\ntheirs\n";
    let update = json!({"type": "FILE_UPDATED", "path": "a.py", "state_ref": StateRef::of(theirs).as_str(),
        "updated_by": "agent:Alice"});
    peer.send(&update).await;
    peer.other(
        "agent:Alice",
        "OP_COMMIT",
        json!({"op_id": "o", "target": "a.py", "op_kind": "replace",
        "state_ref_before": "sha256:0", "state_ref_after": StateRef::of(theirs).as_str()}),
    )
    .await;
    lines.wait_for("agent:Alice committed a.py").await;
    second.answer(true);
    peer.answer_read("a.py", theirs).await; // the old copy is not what is committed on
    let third = questions.recv().await.unwrap();
    assert!(lines.text().contains("merged a.py"), "{}", lines.text());
    third.answer(false);
    assert_eq!(peer.accept_withdraw(&intent).await, "declined");
    let (outcome, said) = end(peer, work).await;
    assert_eq!(outcome.unwrap(), Outcome::Declined);
    assert_eq!(count(&said, "OP_BATCH_COMMIT"), 0);
}

#[tokio::test]
async fn who_is_turned_out_in_the_middle_of_a_batch_hears_why() {
    for (code, named) in [(1008, "turns us down"), (4002, "ended"), (1000, "ended")] {
        let (mut peer, lines, work, _) = at_work(Hands::on(&FILES), TaskOptions::default(), true).await;
        reads(&mut peer, &[("a.py", "old\n"), ("b.py", "old\n")]).await;
        peer.take("OP_BATCH_COMMIT").await;
        peer.close(code, "the credential was revoked").await;
        let error = work.await.unwrap().unwrap_err().to_string();
        assert!(error.contains(named), "{code}: {error}");
        assert!(!lines.text().contains("committed a.py"), "{}", lines.text());
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_had_is_named_before_anything_is_written() {
    let hands = Hands::on(&FILES);
    let asked = hands.clone();
    let (mut peer, _, work, intent) = at_work(hands, TaskOptions::default(), true).await;
    peer.take("FILE_READ").await;
    peer.take("FILE_READ").await;
    peer.content("a.py", "old\n").await;
    peer.send(&json!({"type": "FILE_ERROR", "path": "b.py", "error": "too large"})).await;
    let withdraw = peer.take("INTENT_WITHDRAW").await;
    assert_eq!(withdraw["payload"], json!({"intent_id": intent, "reason": "task_failed"}));
    let error = end(peer, work).await.0.unwrap_err().to_string();
    assert_eq!(error, "the coordinator cannot hand out b.py: too large");
    assert_eq!(asked.paths(), [""; 0]);
}

#[tokio::test]
async fn more_files_than_a_batch_takes_are_committed_one_by_one_for_that_reason() {
    let names: Vec<String> = (0..1_001).map(|number| format!("f{number}.py")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hands = Hands::on(&names);
    let (mut peer, lines, work) = joined(hands, TaskOptions::default()).await;
    peer.answer_list(&names).await;
    peer.take("PROTOCOL_ERROR").await;
    peer.send(&json!({"type": "SESSION_SUMMARY_RESPONSE", "session": summary()})).await;
    let announce = peer.take("INTENT_ANNOUNCE").await;
    peer.relay(&announce).await;
    peer.answer_read("f0.py", "old\n").await;
    for name in &names {
        peer.answer_read(name, "old\n").await;
    }
    assert_eq!(peer.take("OP_COMMIT").await["payload"]["target"], "f0.py");
    let text = lines.text();
    assert!(text.contains("1001 files are more than the 1000 of one batch"), "{text}");
    work.abort();
}
