//! Where some see less, the coordinator signs a message in several forms: that is no lie, and any other form is one.

use std::fs;

use serde_json::json;

use super::forge::{Forger, Message};
use super::world::World;
use super::{Desk, bundled};

/// A bundle of such a session, and what everybody was sent.
fn limited() -> (Forger, Vec<String>) {
    let world = World::limited();
    let which = world.which();
    let ended = world.end();
    Desk::new().log(ended.data.path(), &[]).assert_ok();
    (Forger::new(&bundled(&which)), ended.heard)
}

/// Where the forms of the report stand.
fn reports(messages: &[Message]) -> [usize; 2] {
    let places: Vec<usize> = (0..messages.len()).filter(|&at| messages[at].is("CONFLICT_REPORT")).collect();
    places.try_into().unwrap()
}

/// Another form of a message, signed as well.
fn third(message: &Message) -> Message {
    let mut message = message.clone();
    message.envelope["payload"]["severity"] = json!("low");
    message.sign();
    message
}

#[test]
fn a_message_in_the_forms_that_some_see_is_no_lie() {
    covers!("PRV-02", "SEC-29");
    let (forger, heard) = limited();
    let messages = forger.messages();
    let [one, other] = reports(&messages).map(|at| &messages[at].envelope);
    assert_eq!(one["message_id"], other["message_id"]);
    assert_ne!(one["payload"], other["payload"], "Alice and Bob see less than Carol");
    let desk = Desk::new();
    let path = desk.path("kept.jsonl");
    fs::write(&path, heard.join("\n")).unwrap();
    desk.bundle_and(&forger.0.to_string(), &["--witness", path.to_str().unwrap()]).assert_ok();
}

#[test]
fn a_form_that_the_rules_do_not_give_is_another_version() {
    let (forger, _) = limited();
    let mut messages = forger.messages();
    let [at, _] = reports(&messages);
    let lie = third(&messages[at]);
    let desk = Desk::new();
    let path = desk.path("kept.jsonl");
    fs::write(&path, lie.envelope.to_string()).unwrap();
    let found = desk.bundle_and(&forger.0.to_string(), &["--witness", path.to_str().unwrap()]);
    assert_eq!(found.only(), ("two_versions", "coordinator"));
    messages.insert(at + 2, lie);
    let found = desk.bundle(&forger.with(&messages).0.to_string());
    let findings: Vec<(&str, &str)> = found.findings().iter().map(|it| (it.0, it.1)).collect();
    assert_eq!(findings, [("output_not_by_rules", "coordinator"), ("two_versions", "coordinator")]);
}

#[test]
fn a_form_that_only_a_witness_has_was_withheld() {
    let (forger, _) = limited();
    let mut messages = forger.messages();
    let [at, _] = reports(&messages);
    let left_out = messages.remove(at).envelope.to_string();
    let desk = Desk::new();
    let path = desk.path("kept.jsonl");
    fs::write(&path, left_out).unwrap();
    let witness = ["--witness", path.to_str().unwrap()];
    let found = desk.bundle_and(&forger.with(&messages).0.to_string(), &witness);
    let classes: Vec<&str> = found.findings().iter().map(|it| it.0).collect();
    assert_eq!(classes, ["missing_output", "withheld_message"]);
}
