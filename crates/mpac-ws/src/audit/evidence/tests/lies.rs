//! A coordinator that lies with its real key is shown to have lied, and in which way.

use mpac_core::{ShownKey, Signed};
use mpac_wire::PrincipalId;
use mpac_wire::names::SecurityProfile;
use serde_json::json;

use super::forge::{Forger, Message};
use super::world::{World, certificate_until, public, signed};
use super::{Desk, bundled, forger};

/// What was found in the bundle of a coordinator that says these things.
fn told(change: impl Fn(&mut Vec<Message>)) -> super::Found {
    let forger = forger();
    let mut messages = forger.messages();
    change(&mut messages);
    Desk::new().bundle(&forger.with(&messages).0.to_string())
}

fn place(messages: &[Message], message_type: &str) -> usize {
    messages.iter().position(|it| it.outbound && it.is(message_type)).unwrap()
}

#[test]
fn what_was_rewritten_and_signed_again_without_a_lie_is_no_lie() {
    told(|_| ()).assert_ok();
    Desk::new().bundle(&forger().with_log(|_, _| ()).0.to_string()).assert_ok();
}

#[test]
fn a_message_that_the_rules_do_not_give() {
    let found = told(|messages| messages.insert(8, Forger::word("m-x")));
    assert_eq!(found.findings(), [("output_not_by_rules", "coordinator", Some(9), None)]);
    assert!(found.report["findings"][0]["proof"][0].as_str().unwrap().contains("m-x"));
}

#[test]
fn another_message_than_the_rules_give() {
    let found = told(|messages| {
        let at = place(messages, "CONFLICT_REPORT");
        messages[at].envelope["payload"]["severity"] = json!("low");
        messages[at].sign();
    });
    assert_eq!(found.only(), ("altered_output", "coordinator"));
    assert_eq!(found.report["findings"][0]["proof"].as_array().unwrap().len(), 2, "both");
}

#[test]
fn a_message_that_was_not_said() {
    let found = told(|messages| {
        let at = place(messages, "CONFLICT_REPORT");
        messages.remove(at);
    });
    assert_eq!(found.only(), ("missing_output", "coordinator"));
}

#[test]
fn messages_in_another_order() {
    let found = told(|messages| {
        let at = place(messages, "CONFLICT_REPORT");
        messages.swap(at, at + 1);
    });
    assert_eq!(found.only(), ("reordered", "coordinator"));
}

#[test]
fn two_versions_of_one_message() {
    let found = told(|messages| {
        let at = place(messages, "CONFLICT_REPORT");
        let mut other = messages[at].clone();
        other.envelope["payload"]["severity"] = json!("low");
        other.sign();
        messages.insert(at + 1, other);
    });
    let classes: Vec<&str> = found.findings().iter().map(|it| it.0).collect();
    assert_eq!(classes, ["output_not_by_rules", "two_versions"]);
}

#[test]
fn a_message_that_is_not_in_the_log() {
    let found = told(|messages| {
        let again = messages.iter().find(|it| it.is("OP_COMMIT")).unwrap().clone();
        messages.push(again);
    });
    assert_eq!(found.only(), ("unlogged_message", "coordinator"));
    let found = told(|messages| {
        let at = messages.iter().position(|it| it.is("OP_COMMIT")).unwrap();
        messages.remove(at);
    });
    assert_eq!(found.only(), ("unlogged_message", "coordinator"));
}

#[test]
fn a_word_that_the_coordinator_has_not_signed_proves_nothing_against_it() {
    let found = told(|messages| {
        let at = place(messages, "CONFLICT_REPORT");
        messages[at].envelope["payload"]["severity"] = json!("low");
    });
    assert_eq!(found.only(), ("unsigned_coordinator_message", "unknown"));
}

/// The bundle of a session in which the host says `lie` of a commit of Alice's that is signed with key `n`.
fn judged(lie: Signed, n: u8) -> super::Found {
    let mut world = World::new();
    world.join("agent:alice", 1);
    world.announce(("agent:alice", 1), "i-agent:alice");
    world.lie = Some(lie);
    world.commit(("agent:alice", n), "op-1", "", "eins\n");
    let which = world.which();
    let ended = world.end();
    let desk = Desk::new();
    let from_log = desk.log(ended.data.path(), &[]);
    let found = desk.bundle(&bundled(&which));
    assert_eq!(from_log.findings()[0].0, found.findings()[0].0);
    found
}

#[test]
fn a_message_that_its_sender_has_not_signed() {
    let found = judged(Signed::by(public(1).fingerprint()), 5);
    assert_eq!(found.only(), ("forged_participant_message", "coordinator"));
    assert_eq!(found.agreed(), [("agent:alice", "OP_COMMIT")]);
    assert_eq!(found.report["agreed"][0]["verified"], false);
}

#[test]
fn a_message_that_was_taken_for_unsigned() {
    let found = judged(Signed::Wrong, 1);
    assert_eq!(found.only(), ("suppressed_participant_message", "coordinator"));
    assert!(found.agreed().is_empty(), "it was refused");
}

/// That a key was revoked takes no signature away.
#[test]
fn a_message_that_was_taken_for_unsigned_in_an_authenticated_session() {
    let mut world = World::with(|config| config.security_profile = SecurityProfile::Authenticated);
    world.join("agent:alice", 1);
    world.lie = Some(Signed::Missing);
    world.say(("agent:alice", 1), "HEARTBEAT", json!({"status": "working"}));
    let which = world.which();
    let _ended = world.end();
    let found = Desk::new().bundle(&bundled(&which));
    assert_eq!(found.only(), ("suppressed_participant_message", "coordinator"));
}

#[test]
fn a_newcomer_who_was_taken_for_unsigned() {
    for lie in [Signed::Missing, Signed::Wrong] {
        let mut world = World::new();
        world.lie = Some(lie);
        world.join("agent:alice", 1);
        let which = world.which();
        let ended = world.end();
        let desk = Desk::new();
        for found in [desk.bundle(&bundled(&which)), desk.log(ended.data.path(), &[])] {
            assert_eq!(found.only(), ("suppressed_participant_message", "coordinator"));
        }
    }
}

#[test]
fn somebody_whom_nothing_that_is_trusted_vouches_for() {
    let mut world = World::new();
    let payload = json!({
        "display_name": "eve", "roles": ["contributor"], "capabilities": [],
        "credential": {"type": "x509_chain", "value": "no certificate"},
    });
    world.say(("agent:eve", 6), "HELLO", payload);
    let which = world.which();
    let ended = world.end();
    let desk = Desk::new();
    assert_eq!(desk.log(ended.data.path(), &[]).only(), ("untrusted_identity", "unknown"));
    let keys = json!({
        "coordinator": [public(super::OWN).to_string()], "principals": {"agent:eve": [public(6).fingerprint().to_string()]},
    });
    std::fs::write(desk.path("keys.json"), keys.to_string()).unwrap();
    desk.bundle(&bundled(&which)).assert_ok();
}

#[test]
fn a_key_by_a_hello_that_nobody_can_verify_again() {
    covers!("SEC-25", "PRV-05");
    let mut world = World::new();
    // As it is written down; what was signed had the fingerprint of a certificate in it.
    let payload = json!({
        "display_name": "alice", "roles": ["contributor"], "capabilities": [],
        "credential": {"type": "mtls_fingerprint", "value": "[redacted]"},
    });
    let shown = ShownKey::ed25519(PrincipalId::new("agent:alice").unwrap(), public(6));
    world.lie = Some(Signed::Good { key: public(6).fingerprint(), shown: Some(shown) });
    world.say(("agent:alice", 9), "HELLO", payload);
    world.announce(("agent:alice", 6), "i-agent:alice");
    world.commit(("agent:alice", 6), "op-1", "", "eins\n");
    let which = world.which();
    let ended = world.end();
    let (bundle, desk) = (bundled(&which), Desk::new());
    for (named, is_hers) in [(None, false), (Some(1), false), (Some(6), true)] {
        let named: Vec<String> = named.map(|n| public(n).fingerprint().to_string()).into_iter().collect();
        let own = public(super::OWN).to_string();
        let keys = json!({
            "coordinator": [own], "principals": {"agent:alice": named}, "trust_anchors": ["ca.pem"],
        });
        std::fs::write(desk.path("keys.json"), keys.to_string()).unwrap();
        for found in [desk.bundle(&bundle), desk.log(ended.data.path(), &[])] {
            if is_hers {
                found.assert_ok();
            } else {
                assert_eq!(found.only(), ("untrusted_identity", "unknown"));
            }
            assert_eq!(found.report["agreed"][0]["verified"], is_hers);
        }
    }
}

#[test]
fn somebody_whose_certificate_is_over() {
    let mut world = World::new();
    let until = time::OffsetDateTime::from_unix_timestamp(1_767_323_050).unwrap();
    assert_eq!(until.to_string(), "2026-01-02 3:04:10.0 +00:00:00");
    // The host says nothing of an end.
    world.join_with("agent:alice", 1, &certificate_until("agent:alice", 1, until));
    world.announce(("agent:alice", 1), "i-agent:alice");
    world.commit(("agent:alice", 1), "op-1", "", "eins\n");
    for n in 0..3 {
        world.commit(("agent:alice", 1), &format!("op-{}", n + 2), "eins\n", "eins\n");
    }
    let which = world.which();
    let ended = world.end();
    let desk = Desk::new();
    for found in [desk.bundle(&bundled(&which)), desk.log(ended.data.path(), &[])] {
        assert_eq!(found.only(), ("untrusted_identity", "unknown"), "told once");
        let verified: Vec<bool> =
            found.report["agreed"].as_array().unwrap().iter().map(|it| it["verified"] == true).collect();
        assert_eq!((verified.first(), verified.last()), (Some(&true), Some(&false)), "{:#}", found.report);
    }
}

#[test]
fn a_digest_that_is_not_that_of_what_follows() {
    let forger = forger().with_log(|_, entry| {
        if entry["input"]["text"].as_str().is_some_and(|text| text.contains("CONFLICT_ACK")) {
            entry["outputs"] = json!("0".repeat(64));
        }
    });
    let found = Desk::new().bundle(&forger.0.to_string());
    let findings = found.findings();
    assert_eq!(
        findings.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(),
        [("wrong_digest", "coordinator"); 2]
    );
}

#[test]
fn a_log_in_which_somebody_said_something_else() {
    let other = |_, entry: &mut serde_json::Value| {
        let Some(text) = entry["input"]["text"].as_str().filter(|text| text.contains("op-1")) else { return };
        entry["input"]["text"] = text.replace("\"op-1\"", "\"op-x\"").into();
    };
    let found = Desk::new().bundle(&forger().with_log(other).0.to_string());
    let classes: Vec<(&str, &str)> = found.findings().iter().map(|it| (it.0, it.1)).collect();
    assert!(classes.contains(&("forged_participant_message", "coordinator")), "{classes:?}");
    assert!(classes.contains(&("unlogged_message", "coordinator")), "{classes:?}");
}

#[test]
fn the_helper_signs_as_people_do() {
    let text = signed(json!({"a": 1}), 1);
    assert!(text.contains(&public(1).fingerprint().to_string()));
}
