//! Answers that cannot be used: each ends in a clear message, a withdrawn intent, and no commit.

use mpac_agent::error::AgentError;
use serde_json::{Value, json};

use crate::at_work::{AtWork, count, long_file, recorded};
use crate::fake_api::{stream, tool_events};
use crate::fake_coordinator::report;

/// The message that the task ended with. `asked` is how many requests that may have taken.
async fn failed(work: AtWork, asked: usize, case: &str) -> (String, Vec<Value>) {
    let (outcome, said, questions) = work.end().await;
    let error = outcome.unwrap_err();
    assert_eq!((count(&said, "OP_COMMIT"), questions), (0, asked), "{case}: {error}");
    (error.to_string(), said)
}

#[tokio::test]
async fn a_plan_that_cannot_be_used_is_never_announced() {
    // How often it is asked: once more for a repair, once more for a failure that may pass, or not again.
    let cases = [
        ("empty-stream", 2, "the answer broke off"),
        ("empty-answer", 2, "neither `plan_task` nor a JSON object"),
        ("empty-input", 2, "plan_task: EOF"),
        ("half-json", 2, "plan_task: EOF"),
        ("missing-key", 2, "missing field `objective`"),
        ("unknown-tool", 2, "it used the tool `run_shell` instead of `plan_task`"),
        ("prose", 2, "neither `plan_task` nor a JSON object"),
        ("plan-unknown-file", 2, "there is no file `login.py` in the workspace"),
        ("plan-escapes", 2, "`../../.ssh/authorized_keys` cannot be created"),
        ("plan-absolute", 2, "`/etc/passwd` cannot be created"),
        ("plan-without-files", 2, "it names no file to write"),
        ("refusal", 1, "the model declined to answer"),
        ("paused", 1, "it stopped for the reason pause_turn"),
        ("overloaded-in-stream", 2, "overloaded_error: Overloaded"),
        ("invalid-in-stream", 1, "the conversation is too long"),
        ("malformed-event", 1, "stream event"),
    ];
    for (case, asked, told) in cases {
        let mut work = AtWork::start(vec![recorded(case); 2], |_, _| {}).await;
        work.peer.answer_list(&["a.py"]).await;
        let (error, said) = failed(work, asked, case).await;
        assert!(error.contains(told), "{case}: {error}");
        assert_eq!(count(&said, "INTENT_ANNOUNCE"), 0, "{case}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_withdraws_the_intent_and_is_not_committed() {
    let cases = [
        ("empty-stream", 2, "the answer broke off"),
        ("empty-answer", 2, "neither write_file nor one fenced block"),
        ("truncated", 1, "cut off at 8194 tokens"),
        ("not-json", 2, "write_file: expected value"),
        ("wrong-type", 2, "write_file: invalid type"),
        ("unknown-tool", 2, "it used the tool `run_shell` instead of `write_file`"),
        ("prose", 2, "neither write_file nor one fenced block"),
        ("refusal", 1, "the model declined to answer"),
        ("cut-off", 2, "the answer broke off"),
        ("overloaded-in-stream", 2, "overloaded_error: Overloaded"),
        ("malformed-event", 1, "stream event"),
    ];
    for (case, asked, told) in cases {
        let mut work =
            AtWork::start([vec![recorded("plan")], vec![recorded(case); 2]].concat(), |_, _| {}).await;
        let intent = work.reading("old\n").await;
        let (error, said) = failed(work, 1 + asked, case).await;
        assert!(error.contains(told), "{case}: {error}");
        withdrawn(&said, &intent, case);
    }
}

fn withdrawn(said: &[Value], intent: &str, case: &str) {
    let withdrawals: Vec<&Value> =
        said.iter().filter(|message| message["message_type"] == "INTENT_WITHDRAW").collect();
    assert_eq!(withdrawals.len(), 1, "{case}");
    assert_eq!(withdrawals[0]["payload"], json!({"intent_id": intent, "reason": "task_failed"}), "{case}");
}

#[tokio::test]
async fn edits_that_do_not_apply_are_asked_for_again_then_as_the_whole_file_and_then_given_up() {
    let cases = [
        ("edits-missing", "edit 1: the file does not contain \"line 999\\n\""),
        ("edits-ambiguous", "edit 1: the file contains \"line 15\" 11 times"),
        ("edits-empty-search", "edit 1: \"search\" is empty"),
        ("edits-second-misfits", "edit 2: the file does not contain \"line 150\\n\""),
    ];
    for (case, told) in cases {
        let mut work =
            AtWork::start([vec![recorded("plan")], vec![recorded(case); 3]].concat(), |_, _| {}).await;
        let intent = work.reading(&long_file()).await;
        let asked = work.api.clone();
        let lines = work.lines.clone();
        let (error, said) = failed(work, 4, case).await;
        assert!(error.contains(told), "{case}: {error}");
        assert!(lines.text().contains("the edits do not apply again"), "{}", lines.text());
        withdrawn(&said, &intent, case);
        let asked = asked.asked();
        let names = |at: usize| {
            (asked[at].body["tool_choice"]["type"].clone(), asked[at].body["tool_choice"]["name"].clone())
        };
        assert_eq!([names(1), names(2)], [(json!("any"), Value::Null), (json!("any"), Value::Null)]);
        assert_eq!(names(3), (json!("tool"), json!("write_file")), "the whole file, then");
        let repair = &asked[2].body["messages"][2]["content"][0]["content"];
        assert!(repair.as_str().unwrap().contains(told), "{repair}");
    }
}

#[tokio::test]
async fn the_whole_file_takes_the_place_of_edits_that_do_not_apply() {
    let responses = ["plan", "edits-missing", "edits-ambiguous", "file"].map(recorded).to_vec();
    let mut work = AtWork::start(responses, |_, _| {}).await;
    let intent = work.reading(&long_file()).await;
    let commit = work.peer.accept_commit("new\n").await;
    assert_eq!(commit["payload"]["file_changes"]["a.py"]["content"], "new\n");
    work.peer.accept_withdraw(&intent).await;
    work.end().await.0.unwrap();
}

#[tokio::test]
async fn a_decision_that_is_none_is_asked_for_once_more_and_then_the_task_fails() {
    let responses = ["plan", "decision-maybe", "decision-maybe"].map(recorded).to_vec();
    let mut work = AtWork::start(responses, |_, _| {}).await;
    work.peer.answer_list(&["a.py"]).await;
    let intent = work.peer.accept_announce(|ours| vec![report("c", ours, "i-alice", "agent:Alice")]).await;
    let (error, said) = failed(work, 3, "decision-maybe").await;
    assert!(error.contains("decision `maybe` is neither `proceed` nor `yield`"), "{error}");
    withdrawn(&said, &intent, "decision-maybe");
}

#[tokio::test]
async fn a_decision_is_corrected_in_its_repair() {
    let responses = ["plan", "decision-maybe", "decision-proceed", "file"].map(recorded).to_vec();
    let mut work = AtWork::start(responses, |_, _| {}).await;
    work.peer.answer_list(&["a.py"]).await;
    let intent = work.peer.accept_announce(|ours| vec![report("c", ours, "i-alice", "agent:Alice")]).await;
    work.peer.answer_read("a.py", "old\n").await;
    work.peer.accept_commit("new\n").await;
    work.peer.accept_withdraw(&intent).await;
    let repair = work.api.asked()[2].body["messages"][2]["content"][0].clone();
    assert!(
        repair["is_error"] == true && repair["content"].as_str().unwrap().contains("`maybe`"),
        "{repair}"
    );
    work.end().await.0.unwrap();
}

#[tokio::test]
async fn a_bad_answer_for_the_second_file_leaves_the_first_alone() {
    let plan = json!({"objective": "o", "files": ["a.py", "b.py"], "in_order": true});
    let plan = stream(&tool_events("plan_task", &plan, "tool_use"));
    let mut work = AtWork::start(vec![plan, recorded("file"), recorded("refusal")], |_, _| {}).await;
    work.peer.answer_list(&["a.py", "b.py"]).await;
    work.peer.take("PROTOCOL_ERROR").await; // how does the session stand? No answer: no batches
    let intent = work.peer.accept_announce(|_| vec![]).await;
    work.peer.answer_read("a.py", "old\n").await;
    work.peer.answer_read("b.py", "old\n").await;
    let (lines, asked) = (work.lines.clone(), work.api.clone());
    let (error, said) = failed(work, 3, "second file").await;
    let second = asked.asked()[2].body["messages"][0]["content"][1]["text"].clone();
    assert!(
        second.as_str().unwrap().ends_with("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-old\n+new"),
        "{second}"
    );
    assert_eq!(error, "the model declined to answer");
    assert!(lines.text().contains("+++ b/a.py"), "the first was written: {}", lines.text());
    withdrawn(&said, &intent, "second file");
}

#[tokio::test]
async fn a_second_file_that_grew_too_large_leaves_the_first_alone() {
    let plan = json!({"objective": "o", "files": ["a.py", "b.py"], "in_order": true});
    let plan = stream(&tool_events("plan_task", &plan, "tool_use"));
    let large = stream(&tool_events("write_file", &json!({"content": "\n".repeat(1 << 20)}), "tool_use"));
    let mut work = AtWork::start(vec![plan, recorded("file"), large], |_, _| {}).await;
    work.peer.answer_list(&["a.py", "b.py"]).await;
    work.peer.take("PROTOCOL_ERROR").await; // how does the session stand? No answer: no batches
    let intent = work.peer.accept_announce(|_| vec![]).await;
    work.peer.answer_read("a.py", "old\n").await;
    work.peer.answer_read("b.py", "old\n").await;
    let (error, said) = failed(work, 3, "too large").await;
    assert!(error.contains("the commit to b.py makes a frame of"), "{error}");
    withdrawn(&said, &intent, "too large");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_ends_the_task() {
    let mut work = AtWork::start(vec![recorded("plan")], |config, options| {
        config.backoff.attempts = 100;
        config.backoff.first = std::time::Duration::from_millis(10);
        options.time_limit = Some(std::time::Duration::from_millis(300));
    })
    .await;
    // The door is closed after the plan: the file is asked for again and again, until the task's time is over.
    let intent = work.reading("old\n").await;
    let (outcome, said, _) = work.end().await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, AgentError::TaskTooLong { seconds: 0 }), "{error}");
    withdrawn(&said, &intent, "time limit");
}
