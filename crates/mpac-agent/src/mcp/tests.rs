//! The words of refusals, and the table of tools.

use std::collections::BTreeSet;

use mpac_wire::StateRef;
use mpac_wire::payload::ProtocolError;
use serde_json::json;

use super::answer::Answer;
use super::resource::Resource;
use super::tool;
use crate::agent::TurnedDown;
use crate::error::AgentError;
use crate::session::FileState;

fn refused(text: &str) -> Answer {
    let error: ProtocolError = serde_json::from_str(text).unwrap();
    let error = AgentError::TurnedDown(Box::new(TurnedDown::of("the announce", &error)));
    Answer::refused("begin_task", &error, None)
}

#[test]
fn a_refusal_says_rule_holder_time_left_and_next_step() {
    let answer = refused(
        r#"{"error_code":"STALE_INTENT","description":"taken by intent i-1 (principal agent:A)","extensions":{"retry_after_sec":2.5}}"#,
    );
    assert!(answer.is_error);
    for part in ["begin_task was refused", "STALE_INTENT", "Rule: LCK-01", "Held by agent:A with task i-1"] {
        assert!(answer.text.contains(part), "{}", answer.text);
    }
    for part in ["Time left: 2.5 s", "Next step: ", "call defer", "wait_for_change", "take_over_task"] {
        assert!(answer.text.contains(part), "{}", answer.text);
    }
    let value = &answer.value;
    assert_eq!(value["ok"], json!(false));
    assert_eq!(value["rule"], json!("LCK-01"));
    assert_eq!(value["holders"][0]["principal_id"], json!("agent:A"));
    assert_eq!(value["retry_after_sec"], json!(2.5));
}

#[test]
fn no_refusal_sends_a_model_to_the_command_line() {
    for code in [
        "STALE_INTENT",
        "STALE_STATE_REF",
        "SCOPE_FROZEN",
        "INTENT_BACKOFF",
        "INVALID_REFERENCE",
        "AUTHORIZATION_FAILED",
        "CLAIM_CONFLICT",
        "RESOLUTION_CONFLICT",
        "OP_REJECT",
        "MALFORMED_MESSAGE",
    ] {
        let answer = refused(&json!({"error_code": code, "description": "d"}).to_string());
        let next = answer.value["next_step"].as_str().unwrap();
        assert!(!next.is_empty() && !next.contains("--") && !next.contains('`'), "{code}: {next}");
    }
}

#[test]
fn who_was_too_late_gets_the_current_text() {
    let current = FileState { content: "new\n".to_owned(), state_ref: StateRef::of("new\n") };
    let error = AgentError::Stale { path: "a.py".to_owned(), current: Box::new(current) };
    let answer = Answer::refused("submit_change", &error, None);
    assert_eq!(answer.value["content"], json!("new\n"));
    assert_eq!(answer.value["code"], json!("STALE_STATE_REF"));
    assert!(answer.text.contains("Rule: OCC-13") && answer.text.contains("a.py"), "{}", answer.text);
    assert!(
        answer.text.ends_with("\nIts text now:\nnew\n"),
        "a model may be shown the words only: {}",
        answer.text
    );
    assert!(answer.text.contains(StateRef::of("new\n").as_str()), "{}", answer.text);

    let long = "x".repeat(1 << 16);
    let current = FileState { state_ref: StateRef::of(&long), content: long };
    let error = AgentError::Stale { path: "a.py".to_owned(), current: Box::new(current) };
    let answer = Answer::refused("submit_change", &error, None);
    assert!(answer.text.len() < 1_000 && answer.text.contains("get_file_state has it"), "{}", answer.text);
}

#[test]
fn what_is_undecided_is_not_called_refused() {
    let told = |error| Answer::refused("submit_change", &error, None);
    let undecided = told(AgentError::Unsettled { what: "the commit".to_owned() });
    assert!(!undecided.text.contains("nothing was changed"), "{}", undecided.text);
    assert_eq!((undecided.is_error, &undecided.value["undecided"]), (true, &json!(true)));
    let refused = told(AgentError::Usage("mend x".to_owned()));
    assert!(refused.text.contains("nothing was changed"), "{}", refused.text);
    assert_eq!(refused.value["undecided"], json!(false));
}

#[test]
fn what_is_no_rule_says_a_next_step_all_the_same() {
    for error in [
        AgentError::NobodyThere { url: "ws://h:1".to_owned() },
        AgentError::Away { what: "this".to_owned() },
        AgentError::StillJoining,
        AgentError::Lost("x".to_owned()),
        AgentError::Unsettled { what: "x".to_owned() },
        AgentError::Usage("mend x".to_owned()),
    ] {
        let answer = Answer::refused("begin_task", &error, None);
        assert!(answer.is_error && answer.text.contains(&error.to_string()), "{}", answer.text);
        assert!(answer.value["next_step"].as_str().is_some_and(|next| next.len() > 10), "{}", answer.text);
    }
}

#[test]
fn every_tool_has_words_for_itself_and_for_each_of_its_members() {
    let tools = tool::all();
    let names: BTreeSet<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!((tools.len(), names.len()), (13, 13));
    for tool in &tools {
        assert!(tool.description.as_ref().is_some_and(|it| it.len() > 40), "{}", tool.name);
        assert_eq!(tool.input_schema["type"], json!("object"), "{}", tool.name);
        let members = tool.input_schema.get("properties").and_then(|it| it.as_object());
        for (member, schema) in members.into_iter().flatten() {
            assert!(schema["description"].as_str().is_some_and(|it| it.len() > 20), "{}.{member}", tool.name);
        }
    }
}

#[test]
fn each_resource_is_found_by_its_address() {
    for resource in Resource::ALL {
        assert_eq!(Resource::named(resource.uri()), Some(resource));
    }
    assert_eq!(Resource::named("mpac://session/other"), None);
}
