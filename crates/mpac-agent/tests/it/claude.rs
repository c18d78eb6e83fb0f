//! The client of the Messages API, over real HTTP.

use std::time::Duration;

use mpac_agent::brain::claude::{ANSWER_LIMIT, Claude, ClaudeConfig};
use mpac_agent::brain::retry::Backoff;
use mpac_agent::brain::{
    Brain as _, BrainError, Choice, ConflictAsk, FileEntry, Note, Notes, Plan, PlanAsk, WriteAsk,
};
use mpac_agent::prompt::Persona;
use mpac_wire::Secret;
use serde_json::json;
use tokio::net::TcpSocket;

use crate::fake_api::{FakeApi, error, raw_stream, stream, text_events, tool_events};

fn claude(url: &str) -> Claude {
    claude_waiting(url, ANSWER_LIMIT)
}

fn claude_waiting(url: &str, answer_limit: Duration) -> Claude {
    claude_of("model-1", url, answer_limit)
}

fn claude_of(model: &str, url: &str, answer_limit: Duration) -> Claude {
    let mut config = ClaudeConfig::new(Secret::new("sk-test"), model);
    config.base_url = format!("{url}/");
    config.backoff =
        Backoff { attempts: 3, first: Duration::from_millis(4), longest: Duration::from_secs(1) };
    config.jitter = || 255;
    config.answer_limit = answer_limit;
    Claude::new(config, Persona { name: "Bob".to_owned(), about: None }).unwrap()
}

fn plan_ask(fault: Option<&str>) -> PlanAsk {
    let files = vec![FileEntry { path: "a.py".to_owned(), size: 3 }];
    PlanAsk { task: "mend".to_owned(), files, fault: fault.map(str::to_owned) }
}

fn plan() -> Plan {
    Plan { objective: "o".to_owned(), files: vec!["a.py".to_owned()], ..Plan::default() }
}

fn write_ask() -> WriteAsk {
    WriteAsk {
        task: "t".to_owned(),
        plan: plan(),
        path: "a.py".to_owned(),
        content: "old\n".to_owned(),
        rebased: false,
        written: vec![],
        whole: false,
        fault: None,
    }
}

fn planned() -> String {
    stream(&tool_events("plan_task", &json!({"objective": "o", "files": ["a.py"]}), "tool_use"))
}

#[tokio::test]
async fn a_plan_is_asked_for_by_its_tool() {
    let api = FakeApi::answering(vec![planned()]).await;
    assert_eq!(claude(&api.url).plan(plan_ask(None), &Notes::unread()).await.unwrap(), plan());
    let asked = api.asked().remove(0);
    assert!(asked.head.starts_with("post /v1/messages http/1.1\r\n"), "{}", asked.head);
    assert!(asked.head.contains("x-api-key: sk-test\r\n"), "{}", asked.head);
    assert!(asked.head.contains("anthropic-version: 2023-06-01\r\n"), "{}", asked.head);
    assert_eq!((&asked.body["model"], &asked.body["stream"]), (&json!("model-1"), &json!(true)));
    assert_eq!(asked.body["tool_choice"]["name"], "plan_task");
    assert_eq!(asked.body["tools"][0]["name"], "plan_task");
    assert!(asked.body["system"][0]["text"].as_str().unwrap().starts_with("You are Bob,"));
}

#[tokio::test]
async fn a_refused_plan_is_asked_again_with_what_was_wrong() {
    let api = FakeApi::answering(vec![planned(), planned()]).await;
    let mut claude = claude(&api.url);
    claude.plan(plan_ask(None), &Notes::unread()).await.unwrap();
    claude.plan(plan_ask(Some("there is no file `a.py`")), &Notes::unread()).await.unwrap();
    let messages = api.asked()[1].body["messages"].clone();
    let roles: Vec<_> = messages.as_array().unwrap().iter().map(|message| message["role"].clone()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(messages[1]["content"][0]["input"], json!({"objective": "o", "files": ["a.py"]}));
    let result = &messages[2]["content"][0];
    assert_eq!(result["tool_use_id"], messages[1]["content"][0]["id"]);
    assert_eq!(result["is_error"], true);
    assert!(result["content"].as_str().unwrap().contains("there is no file `a.py`"));
}

#[tokio::test]
async fn an_overloaded_api_is_asked_again_after_the_pause_it_names() {
    let answers = vec![error(529, ""), error(429, "retry-after: 0\r\n"), planned()];
    let api = FakeApi::answering(answers).await;
    let (notes, mut heard) = Notes::channel();
    assert!(claude(&api.url).plan(plan_ask(None), &notes).await.is_ok());
    assert_eq!(api.asked().len(), 3);
    // The whole of the pause, as the chance of these tests has it.
    let first = Duration::from_millis(4);
    assert!(matches!(heard.recv().await, Some(Note::Retrying { wait, .. }) if wait == first));
    assert!(matches!(heard.recv().await, Some(Note::Retrying { wait: Duration::ZERO, .. })));
}

#[tokio::test]
async fn a_pause_may_be_named_by_its_end() {
    let answers = vec![error(429, "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n"), planned()];
    let api = FakeApi::answering(answers).await;
    let (notes, mut heard) = Notes::channel();
    assert!(claude(&api.url).plan(plan_ask(None), &notes).await.is_ok());
    assert!(matches!(heard.recv().await, Some(Note::Retrying { wait: Duration::ZERO, .. })), "it has passed");
}

#[tokio::test]
async fn the_text_is_told_while_the_answer_is_still_coming() {
    let whole =
        stream(&tool_events("write_file", &json!({"content": "one\ntwo\nthree and more"}), "tool_use"));
    let half = whole.rfind("event: content_block_delta").unwrap();
    let (api, go_on) = FakeApi::holding_the_last(Vec::new(), whole, half).await;
    let mut claude = claude(&api.url);
    let (notes, mut heard) = Notes::channel();
    let written = {
        let mut writing = claude.write_file(write_ask(), &notes);
        let text = async {
            loop {
                if let Some(Note::Text(text)) = heard.recv().await {
                    return text;
                }
            }
        };
        tokio::select! {
            biased;
            written = &mut writing => panic!("{written:?}"),
            text = text => assert_eq!(text, "one\ntw"),
        }
        go_on.send(()).unwrap();
        writing.await
    };
    assert_eq!(written.unwrap().content, "one\ntwo\nthree and more");
}

#[tokio::test]
async fn an_answer_that_is_given_up_counts_as_far_as_it_has_come() {
    let mut events = tool_events("write_file", &json!({"content": "one\ntwo\nthree and more"}), "tool_use");
    events[0]["message"]["usage"] = json!({"input_tokens": 7, "output_tokens": 1});
    let whole = stream(&events);
    let half = whole.rfind("event: content_block_delta").unwrap();
    let (api, _never) = FakeApi::holding_the_last(Vec::new(), whole, half).await;
    let mut config = ClaudeConfig::new(Secret::new("sk-test"), "model-1");
    config.base_url.clone_from(&api.url);
    config.budget.tokens = Some(13);
    let mut claude = Claude::new(config, Persona { name: "Bob".to_owned(), about: None }).unwrap();
    let (notes, mut heard) = Notes::channel();
    {
        let mut writing = claude.write_file(write_ask(), &notes);
        let text = async { while !matches!(heard.recv().await, Some(Note::Text(_))) {} };
        tokio::select! {
            biased;
            written = &mut writing => panic!("{written:?}"),
            () = text => {}
        }
    }
    let used = std::iter::from_fn(|| heard.try_recv().ok()).find_map(|note| match note {
        Note::Used(spent) => Some((spent.calls, spent.usage.input, spent.usage.output)),
        _ => None,
    });
    // `{"content":"one\ntw` had come.
    assert_eq!(used, Some((1, 7, 7)));
    let error = claude.write_file(write_ask(), &notes).await.unwrap_err();
    assert!(matches!(&error, BrainError::OverBudget(why) if why.contains("14 of 13 tokens")), "{error}");
}

#[tokio::test]
async fn an_answer_that_does_not_say_what_it_used_is_the_last_one_under_a_budget() {
    let api = FakeApi::answering(vec![planned(), planned()]).await;
    let mut config = ClaudeConfig::new(Secret::new("sk-test"), "model-1");
    config.base_url.clone_from(&api.url);
    config.budget.tokens = Some(1_000);
    let mut claude = Claude::new(config, Persona { name: "Bob".to_owned(), about: None }).unwrap();
    claude.plan(plan_ask(None), &Notes::unread()).await.unwrap();
    let error = claude.plan(plan_ask(None), &Notes::unread()).await.unwrap_err();
    assert!(matches!(&error, BrainError::OverBudget(why) if why.contains("did not say")), "{error}");
    assert_eq!(api.asked().len(), 1);
}

#[tokio::test]
async fn patience_has_an_end() {
    let api = FakeApi::answering(vec![error(500, ""), error(503, ""), error(529, "")]).await;
    let failed = claude(&api.url).plan(plan_ask(None), &Notes::unread()).await.unwrap_err();
    assert_eq!(failed.to_string(), "the Messages API answered 529: as told (some_error)");
    let api = FakeApi::answering(vec![error(429, "retry-after: 3600\r\n")]).await;
    let failed = claude(&api.url).plan(plan_ask(None), &Notes::unread()).await.unwrap_err();
    let said = "the Messages API answered 429: as told (some_error); try again in 3600 s";
    assert_eq!(failed.to_string(), said, "nobody waits for so long, but it is told");
}

#[tokio::test]
async fn other_refusals_are_never_repeated() {
    for status in [400, 401, 403, 404, 413] {
        let api = FakeApi::answering(vec![error(status, "retry-after: 0\r\n"), planned()]).await;
        let failed = claude(&api.url).plan(plan_ask(None), &Notes::unread()).await.unwrap_err();
        assert_eq!(failed, BrainError::Refused { status, message: "as told (some_error)".to_owned() });
        assert_eq!(api.asked().len(), 1);
    }
}

#[tokio::test]
async fn the_key_does_not_follow_a_redirect() {
    for status in [301, 302, 307, 308] {
        let elsewhere = FakeApi::answering(vec![planned()]).await;
        let to = format!("location: {}/v1/messages\r\n", elsewhere.url);
        let api = FakeApi::answering(vec![error(status, &to)]).await;
        let failed = claude(&api.url).plan(plan_ask(None), &Notes::unread()).await.unwrap_err();
        assert!(
            matches!(&failed, BrainError::Redirected { to, .. } if to.starts_with(&elsewhere.url)),
            "{failed}"
        );
        assert!(elsewhere.asked().is_empty(), "{status}");
        assert_eq!(api.asked().len(), 1, "asking again would end the same way");
    }
}

#[tokio::test]
async fn pings_do_not_prolong_an_answer_for_ever() {
    let api = FakeApi::pinging().await;
    let mut claude = claude_waiting(&api, Duration::from_millis(200));
    let notes = Notes::unread();
    let asked = tokio::time::timeout(Duration::from_secs(20), claude.plan(plan_ask(None), &notes)).await;
    assert_eq!(asked.expect("an end before the test's own").unwrap_err(), BrainError::TooSlow(0));
}

#[tokio::test]
async fn an_answer_that_is_no_file_is_asked_for_again_with_what_was_wrong() {
    let sorry = stream(&text_events("I'm sorry, I can't see the file."));
    let whole = stream(&tool_events("write_file", &json!({"content": "new\n"}), "tool_use"));
    let api = FakeApi::answering(vec![sorry, whole]).await;
    let mut claude = claude(&api.url);
    let failed = claude.write_file(write_ask(), &Notes::unread()).await.unwrap_err();
    let BrainError::Unusable(why) = failed else { panic!("{failed}") };
    let again = WriteAsk { fault: Some(why.clone()), ..write_ask() };
    assert_eq!(claude.write_file(again, &Notes::unread()).await.unwrap().content, "new\n");
    let messages = api.asked()[1].body["messages"].clone();
    assert_eq!(messages[0], api.asked()[0].body["messages"][0]);
    assert_eq!(messages[1]["content"], "I'm sorry, I can't see the file.");
    assert!(messages[2]["content"].as_str().unwrap().contains(&why), "{messages}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let whole = tool_events("write_file", &json!({"content": "new\n"}), "tool_use");
    let api = FakeApi::answering(vec![stream(&whole[..4]), raw_stream(""), stream(&whole)]).await;
    let written = claude(&api.url).write_file(write_ask(), &Notes::unread()).await.unwrap();
    assert_eq!((written.content.as_str(), api.asked().len()), ("new\n", 3));
}

#[tokio::test]
async fn a_truncated_file_is_an_error_and_not_a_file() {
    let cut = tool_events("write_file", &json!({"content": "half"}), "max_tokens");
    let api = FakeApi::answering(vec![stream(&cut), planned()]).await;
    let failed = claude(&api.url).write_file(write_ask(), &Notes::unread()).await.unwrap_err();
    assert_eq!(failed, BrainError::CutOff(8_194));
    assert_eq!(api.asked().len(), 1, "asking again would be cut off again");
}

#[tokio::test]
async fn no_model_is_asked_for_more_than_it_writes() {
    for (model, whole, most) in [
        ("claude-opus-4-1-20250805", true, 32_000),
        ("claude-3-5-haiku-latest", false, 8_192),
        ("model-1", true, 64_000),
        ("model-1", false, 32_000),
    ] {
        let whole_file = tool_events("write_file", &json!({"content": "new\n"}), "tool_use");
        let api = FakeApi::answering(vec![stream(&whole_file)]).await;
        let ask = WriteAsk { content: "old\n".repeat(50_000), whole, ..write_ask() };
        let mut brain = claude_of(model, &api.url, ANSWER_LIMIT);
        brain.write_file(ask, &Notes::unread()).await.unwrap();
        assert_eq!(api.asked()[0].body["max_tokens"], json!(most), "{model}");
    }
}

#[tokio::test]
async fn a_file_in_plain_text_is_taken_and_its_progress_told() {
    let api = FakeApi::answering(vec![stream(&text_events("```python\nnew\n```"))]).await;
    let (notes, mut heard) = Notes::channel();
    let written = claude(&api.url).write_file(write_ask(), &notes).await.unwrap();
    assert_eq!((written.content.as_str(), written.summary), ("new\n", None));
    drop(notes);
    let mut last = None;
    while let Some(note) = heard.recv().await {
        last = Some(note);
    }
    assert_eq!(last, Some(Note::Received(17)));
}

#[tokio::test]
async fn a_decision_comes_with_its_reason() {
    let answer =
        tool_events("decide_conflict", &json!({"decision": "yield", "reason": "same work"}), "tool_use");
    let api = FakeApi::answering(vec![stream(&answer)]).await;
    let ask = ConflictAsk {
        task: "t".to_owned(),
        plan: plan(),
        category: "scope_overlap".to_owned(),
        severity: "medium".to_owned(),
        other: "agent:Alice".to_owned(),
        other_objective: None,
        other_files: vec![],
        description: None,
        fault: None,
    };
    let decision = claude(&api.url).decide_conflict(ask, &Notes::unread()).await.unwrap();
    assert_eq!((decision.choice, decision.reason.as_str()), (Choice::Yield, "same work"));
}

#[tokio::test]
async fn a_malformed_stream_is_an_error_and_not_asked_again() {
    for body in ["data: {not json}\n\n", "no colon here\n\n", "data: [1]\n\n", "event: a\nevent: b\n\n"] {
        let api = FakeApi::answering(vec![raw_stream(body), planned()]).await;
        let failed = claude(&api.url).plan(plan_ask(None), &Notes::unread()).await.unwrap_err();
        assert!(matches!(failed, BrainError::Broken(_)), "{body}: {failed}");
        assert_eq!(api.asked().len(), 1, "{body}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_names_the_address() {
    // Bound, so nobody else gets the port, and not listening.
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    let failed = claude(&url).plan(plan_ask(None), &Notes::unread()).await.unwrap_err();
    assert!(
        matches!(&failed, BrainError::Unreachable { url: tried, why } if *tried == format!("{url}/v1/messages") && why.contains("refused")),
        "{failed}"
    );
}
