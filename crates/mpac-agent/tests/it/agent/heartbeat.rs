//! `mpac-agent heartbeat`, as a process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};

use mpac_agent::agent::Event;
use serde_json::{Value, json};

use super::program::{command, run, told};
use super::{Host, heard, patiently};
use crate::covers;

/// Ends it as its user would: its exit code.
async fn interrupt(mut held: Child) -> Option<i32> {
    assert!(Command::new("kill").args(["-INT", &held.id().to_string()]).status().unwrap().success());
    let done = tokio::task::spawn_blocking(move || {
        if let Some(stdout) = &mut held.stdout {
            stdout.read_to_string(&mut String::new()).unwrap();
        }
        held.wait().unwrap()
    });
    patiently(done).await.unwrap().code()
}

/// Starts it, and gives the first line of its JSON.
async fn held(host: &Host, arguments: &[&str]) -> (Child, Value) {
    let arguments = [&["heartbeat", "--hold", "--json"], arguments].concat();
    let mut child = command(&host.url, "Bob", &arguments).spawn().unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        shown.read_line(&mut line).unwrap();
        (line, shown.into_inner())
    });
    let (line, stdout) = patiently(first).await.unwrap();
    child.stdout = Some(stdout);
    (child, serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

#[tokio::test]
async fn it_tells_what_was_said_and_what_is_left_of_the_intents() {
    covers!("LIV-02", "LIV-19");
    let host = Host::start(&["--heartbeat-interval-sec=7"]).await;
    let (code, idle) = told(&host, "Bob", &["heartbeat"]).await;
    assert_eq!((code, &idle["status"], &idle["active_intent_id"]), (Some(0), &json!("idle"), &Value::Null));
    assert_eq!((&idle["principal_id"], &idle["intents"]), (&json!("agent:Bob"), &json!([])));
    assert_eq!((&idle["heartbeat_interval_sec"], &idle["backend_health"]), (&json!(7.0), &Value::Null));

    let (_, announced) = told(&host, "Bob", &["announce", "a.py", "-m", "mend it", "--ttl-sec", "60"]).await;
    let intent = announced["intent_id"].as_str().unwrap();
    let (code, working) = told(&host, "Bob", &["heartbeat", "--intent", intent, "--ttl-sec", "900"]).await;
    assert_eq!(
        (code, &working["status"], &working["active_intent_id"]),
        (Some(0), &json!("working"), &json!(intent))
    );
    assert!(working["intents"][0]["expires_in_sec"].as_f64().unwrap() > 800.0, "{working}");
    let (code, text) = run(&host, "Bob", &["heartbeat", "--status", "blocked", "--intent", intent]).await;
    assert_eq!(code, Some(0));
    assert!(
        text.contains(&format!("agent:Bob is blocked on {intent}\n  {intent}: mend it [a.py]\n")),
        "{text}"
    );
    assert!(text.contains("offline from now on; its intents stay"), "{text}");
    let (_, who) = told(&host, "Ann", &["who"]).await;
    assert_eq!(who["intents"][0]["intent_id"], intent, "it has outlived the program");
}

#[tokio::test]
async fn while_it_is_held_the_others_see_what_is_done() {
    covers!("LIV-01", "LIV-19", "BYE-06");
    let host = Host::start(&[]).await;
    let (_, announced) = told(&host, "Bob", &["announce", "a.py", "-m", "mend it"]).await;
    let intent = announced["intent_id"].as_str().unwrap();
    let (child, first) = held(&host, &["--status", "awaiting_review", "--intent", intent]).await;
    assert_eq!((&first["ok"], &first["status"]), (&json!(true), &json!("awaiting_review")));
    let (_, who) = told(&host, "Ann", &["who"]).await;
    let bob = who["people"].as_array().unwrap().iter().find(|person| person["principal_id"] == "agent:Bob");
    assert_eq!(bob.unwrap()["status"], "awaiting_review", "{who}");
    let (code, taken) = told(&host, "Bob", &["heartbeat"]).await;
    assert_eq!(code, Some(4), "a name is in a session once: {taken}");
    assert_eq!(interrupt(child).await, Some(0));
    let (_, who) = told(&host, "Ann", &["who"]).await;
    assert_eq!(who["intents"][0]["intent_id"], intent);
}

#[tokio::test]
async fn an_intent_is_prolonged_as_long_as_it_is_held() {
    covers!("INT-12");
    let host = Host::start(&[]).await;
    let (ann, mut events) = host.join("Ann").await;
    let (_, announced) = told(&host, "Bob", &["announce", "a.py", "-m", "mend it"]).await;
    let intent = announced["intent_id"].as_str().unwrap().to_owned();
    let (child, _) = held(&host, &["--intent", &intent, "--ttl-sec", "3"]).await;
    // At once, and again and again.
    for _ in 0..3 {
        heard(&mut events, |event| {
            matches!(&event, Event::Updated { intent_id, .. } if intent_id.as_str() == intent).then_some(())
        })
        .await;
    }
    let over = ann.view().await.unwrap().intents;
    assert_eq!(over.len(), 1, "{over:?}");
    assert_eq!(interrupt(child).await, Some(0));
}

#[tokio::test]
async fn what_was_suspended_when_a_program_died_is_back() {
    covers!("LIV-07", "LIV-14");
    let host = Host::start(&["--heartbeat-interval-sec=0.2", "--unavailability-timeout-sec=1.5"]).await;
    let (_ann, mut events) = host.join("Ann").await;
    let mut child = command(&host.url, "Bob", &["announce", "a.py", "-m", "his", "--hold"]).spawn().unwrap();
    heard(&mut events, |event| matches!(event, Event::Announced { .. }).then_some(())).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let suspended = |wanted: bool| {
        move |event| match event {
            Event::Standing { intent_id, suspended } if suspended == wanted => Some(intent_id),
            _ => None,
        }
    };
    let intent = heard(&mut events, suspended(true)).await;
    let (code, back) = told(&host, "Bob", &["heartbeat"]).await;
    assert_eq!((code, &back["intents"][0]["intent_id"]), (Some(0), &json!(intent)), "{back}");
    assert_eq!(back["intents"][0]["suspended"], false);
    assert_eq!(back["intents"][0]["expires_in_sec"], Value::Null, "a summary does not tell");
    assert_eq!(heard(&mut events, suspended(false)).await, intent);
}

#[tokio::test]
async fn a_model_that_is_down_costs_the_intents_where_the_session_wants_to_know() {
    covers!("BHM-01", "BHM-05");
    let policy = r#"{"backend_health_policy": {"enabled": true, "on_down": "suspend_and_claim"}}"#;
    for (flags, told_so) in [(&["--session-config", policy][..], true), (&[], false)] {
        let host = Host::start(flags).await;
        told(&host, "Bob", &["announce", "a.py", "-m", "mend it"]).await;
        let down = ["heartbeat", "--model", "anthropic/m", "--model-status", "down", "--model-detail", "529"];
        let (code, said) = told(&host, "Bob", &down).await;
        let expected = json!({"model_id": "anthropic/m", "provider_status": "down", "status_detail": "529", "told": told_so});
        assert_eq!((code, &said["backend_health"]), (Some(0), &expected));
        assert_eq!(said["intents"][0]["suspended"], told_so, "{said}");
        let (_, who) = told(&host, "Ann", &["who"]).await;
        assert_eq!(who["intents"][0]["suspended"], told_so, "{who}");
        let (_, text) = run(&host, "Bob", &down).await;
        assert_eq!(text.contains("does not want to know how models are"), !told_so, "{text}");
        assert_eq!(text.contains("anthropic/m is down"), told_so, "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_bad_usage() {
    let host = Host::start(&[]).await;
    let (code, unknown) = told(&host, "Bob", &["heartbeat", "--intent", "i-nobody"]).await;
    assert_eq!(code, Some(2), "{unknown}");
    assert!(unknown["message"].as_str().unwrap().contains("no live intent of agent:Bob"), "{unknown}");
    for arguments in [
        &["--status", "asleep"][..],
        &["--ttl-sec", "60"],
        &["--model", "anthropic/m"],
        &["--model-status", "down"],
        &["--model", "m", "--model-status", "down"],
        &["--intent", "i", "--ttl-sec", "0"],
    ] {
        let (code, text) = run(&host, "Bob", &[&["heartbeat"], arguments].concat()).await;
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
    }
    assert_eq!(told(&host, "", &["heartbeat"]).await.0, Some(2), "it needs a name");
}

#[tokio::test]
async fn a_session_that_ends_while_it_is_held_is_told() {
    let host = Host::start(&[]).await;
    let (mut child, _) = held(&host, &["--reconnect-for-sec", "0"]).await;
    host.stop.send(()).unwrap();
    let done = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (child.wait().unwrap().code(), text)
    });
    let (code, text) = patiently(done).await.unwrap();
    assert_eq!(code, Some(5), "{text}");
}
