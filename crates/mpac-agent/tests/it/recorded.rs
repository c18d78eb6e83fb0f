//! Claude at work on recorded answers: what is shown, what it costs, and where it stops by itself.

use mpac_agent::brain::usage::Cost;
use mpac_agent::brain::{Note, Notes};
use mpac_agent::task::{Outcome, Tally};
use serde_json::{Value, json};

use crate::at_work::{AtWork, count, long_file, recorded};
use crate::fake_api::{FakeApi, stream, tool_events};

#[tokio::test]
async fn a_large_file_is_changed_by_edits_and_the_diff_is_shown_once() {
    let (notes, mut heard) = Notes::channel();
    let responses = ["plan", "edits"].map(recorded).to_vec();
    let mut work = AtWork::start(responses, |_, options| options.listener = Some(notes)).await;
    let old = long_file();
    let intent = work.reading(&old).await;
    let new = old.replace("line 150\n", "line 150, mended\n");
    let commit = work.peer.accept_commit(&new).await;
    assert_eq!(commit["payload"]["file_changes"]["a.py"]["content"], new.as_str());
    assert_eq!(commit["payload"]["summary"], "mend line 150");
    work.peer.accept_withdraw(&intent).await;
    let (lines, asked) = (work.lines.clone(), work.api.clone());
    assert_eq!(work.end().await.0.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
    let text = lines.text();
    assert_eq!(text.matches("+line 150, mended").count(), 1, "{text}");
    assert!(text.contains("@@ -147,7 +147,7 @@"), "{text}");
    assert!(
        text.contains(
            "used: 2 calls, 3332 tokens in (2400 from the cache), 128 out; estimated at $0.0055 by prices of "
        ),
        "{text}"
    );
    let notes: Vec<Note> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
    let used = notes.iter().filter(|note| matches!(note, Note::Used(_))).count();
    assert!(used == 2 && notes.iter().any(|note| matches!(note, Note::Edit(_))), "{notes:?}");
    let question = &asked.asked()[1].body;
    let file = &question["messages"][0]["content"][0];
    assert_eq!(file["text"], format!("FILE: a.py\n\nCURRENT CONTENT:\n{old}"));
    let cached = json!({"type": "ephemeral"});
    assert_eq!([&file["cache_control"], &question["system"][0]["cache_control"]], [&cached, &cached]);
    assert_eq!(question["messages"][0]["content"][1].get("cache_control"), None);
}

#[tokio::test]
async fn a_small_file_is_written_whole_and_a_file_that_is_right_is_not_committed() {
    let mut work = AtWork::start(["plan", "file-unchanged"].map(recorded).to_vec(), |_, _| {}).await;
    let intent = work.reading("old\n").await;
    assert_eq!(work.peer.accept_withdraw(&intent).await, "task_completed");
    assert_eq!(work.api.asked()[1].body["tool_choice"]["name"], "write_file");
    let lines = work.lines.clone();
    let (outcome, said, _) = work.end().await;
    assert_eq!((outcome.unwrap(), count(&said, "OP_COMMIT")), (Outcome::Unchanged, 0));
    assert!(lines.text().contains("done: nothing had to change"), "{}", lines.text());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_shown_and_counted_anew() {
    let mut work = AtWork::start(["plan", "cut-off", "file"].map(recorded).to_vec(), |_, _| {}).await;
    let intent = work.reading("old\n").await;
    work.peer.accept_commit("new\n").await;
    work.peer.accept_withdraw(&intent).await;
    let lines = work.lines.clone();
    work.end().await.0.unwrap();
    let text = lines.text();
    assert!(text.contains("the answer broke off; trying again"), "{text}");
    assert!(text.contains("used: 3 calls"), "the one that broke off was paid for as well: {text}");
    let (_, after) = text.split_once("trying again").unwrap();
    assert!(after.contains("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-old\n+new\n"), "{text}");
}

#[tokio::test]
async fn what_a_question_has_used_up_counts_when_it_is_broken_off_with_its_task() {
    let whole = recorded("file");
    let half = whole.rfind("event: content_block_delta").unwrap();
    let (api, _never) = FakeApi::holding_the_last(vec![recorded("plan")], whole, half).await;
    let (mut tally, (notes, mut heard)) = (Tally::default(), Notes::channel());
    let mut work = AtWork::start_on(api, |_, options| {
        (tally, options.listener) = (options.tally.clone(), Some(notes));
    })
    .await;
    work.reading("old\n").await;
    // The second: the plan is done.
    for _ in 0..2 {
        while heard.recv().await.unwrap() != Note::Began {}
    }
    while !matches!(heard.recv().await.unwrap(), Note::Received(_)) {}
    let planned = tally.used();
    work.break_off().await;
    let used = tally.used();
    assert_eq!((planned.calls, used.calls), (1, 2));
    assert!(used.usage.input > planned.usage.input && used.usage.output > planned.usage.output, "{used:?}");
    while !matches!(heard.recv().await.expect("it is told to whoever listens"), Note::Used(_)) {}
}

#[tokio::test]
async fn a_budget_stops_before_the_next_call_and_withdraws() {
    type Change = fn(&mut mpac_agent::brain::claude::ClaudeConfig);
    let cases: [(Change, &str); 2] = [
        (|config| config.budget.tokens = Some(800), "876 of 800 tokens are used"),
        (|config| config.budget.cost = Some(Cost::nano_dollars(1_000_000)), "$0.0034 of $0.0010 are spent"),
    ];
    for (change, told) in cases {
        let responses = ["plan", "file"].map(recorded).to_vec();
        let mut work = AtWork::start(responses, |config, _| change(config)).await;
        let intent = work.reading("old\n").await;
        let lines = work.lines.clone();
        let (outcome, said, asked) = work.end().await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("the budget is used up") && error.contains(told), "{error}");
        assert_eq!((asked, count(&said, "OP_COMMIT")), (1, 0));
        let withdrawn = said.iter().find(|message| message["message_type"] == "INTENT_WITHDRAW").unwrap();
        assert_eq!(withdrawn["payload"], json!({"intent_id": intent, "reason": "task_failed"}));
        assert!(lines.text().contains("used: 1 call, 812 tokens in, 64 out"), "{}", lines.text());
    }
}

#[tokio::test]
async fn a_dry_run_shows_everything_and_says_nothing_to_others() {
    let mut work = AtWork::start(["plan", "file"].map(recorded).to_vec(), |_, options| {
        options.dry_run = true;
    })
    .await;
    let alice = json!({"intent_id": "i-alice", "objective": "o", "scope": {"kind": "file_set", "resources": ["a.py"]}});
    work.peer.other("agent:Alice", "INTENT_ANNOUNCE", alice).await;
    work.peer.answer_list(&["a.py"]).await;
    work.peer.answer_read("a.py", "old\n").await;
    let lines = work.lines.clone();
    let (outcome, said, _) = work.end().await;
    assert_eq!(outcome.unwrap(), Outcome::Shown(vec!["a.py".to_owned()]));
    let kinds: Vec<&Value> = said.iter().map(|message| &message["message_type"]).collect();
    assert!(
        kinds.iter().all(|kind| ["HELLO", "HEARTBEAT", "GOODBYE"].iter().any(|known| *kind == known)),
        "{kinds:?}"
    );
    let text = lines.text();
    assert!(text.contains("-old\n+new\n") && text.contains("a.py would be committed; nothing was"), "{text}");
    assert!(text.contains("agent:Alice works on a.py; this would be a conflict"), "{text}");
}

#[tokio::test]
async fn the_cost_of_an_unknown_model_is_unknown() {
    let mut work = AtWork::start(["plan", "file-unchanged"].map(recorded).to_vec(), |config, _| {
        config.model = "model-of-tomorrow".to_owned();
    })
    .await;
    let intent = work.reading("old\n").await;
    work.peer.accept_withdraw(&intent).await;
    let lines = work.lines.clone();
    work.end().await.0.unwrap();
    assert!(
        lines.text().contains("used: 2 calls, 1624 tokens in, 128 out; cost unknown"),
        "{}",
        lines.text()
    );
}

#[tokio::test]
async fn a_hunk_is_shown_before_the_answer_is_complete() {
    let old: String = (1..=60).map(|number| format!("{number}\n")).collect();
    let new = old.replacen("5\n", "five\n", 1);
    let whole = stream(&tool_events("write_file", &json!({"content": new}), "tool_use"));
    let half = whole.rfind("event: content_block_delta").unwrap();
    let (api, go_on) = FakeApi::holding_the_last(vec![recorded("plan")], whole, half).await;
    let mut work = AtWork::start_on(api, |_, _| {}).await;
    let intent = work.reading(&old).await;
    work.lines.wait_for("-5\n+five\n 6\n 7\n 8\n").await;
    go_on.send(()).unwrap();
    work.peer.accept_commit(&new).await;
    work.peer.accept_withdraw(&intent).await;
    let lines = work.lines.clone();
    work.end().await.0.unwrap();
    assert_eq!(lines.text().matches("+five").count(), 1, "{}", lines.text());
}
