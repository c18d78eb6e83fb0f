//! Whatever participants do, and whatever an operator may: a coordinator that did right has not lied.

use mpac_core::{Output, Signed};
use mpac_wire::names::{ComplianceProfile, ExecutionModel, SecurityProfile};
use mpac_wire::{MessageType, Timestamp};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::world::{World, certificate_until, public, signed};
use super::{Desk, bundled};

const ALICE: (&str, u8) = ("agent:alice", 1);

/// A world with Alice in it.
fn world() -> World {
    let mut world = World::new();
    world.join(ALICE.0, ALICE.1);
    world
}

/// Nothing is found, in the bundle and in the log.
fn assert_ok(world: World) {
    let which = world.which();
    let ended = world.end();
    let desk = Desk::new();
    desk.bundle(&bundled(&which)).assert_ok();
    desk.log(ended.data.path(), &[]).assert_ok();
}

fn announcement() -> Value {
    let scope = json!({"kind": "file_set", "resources": ["a.py"]});
    json!({"intent_id": "i-1", "objective": "work", "scope": scope})
}

#[test]
fn what_somebody_says_who_was_not_let_in_is_not_looked_at() {
    covers!("SEC-23", "SEC-25");
    let mut world = world();
    let message = world.message(ALICE.0, "INTENT_ANNOUNCE", announcement());
    let text = signed(message, ALICE.1);
    world.frame(ALICE.0, &text);
    // A copy, on another connection and without a HELLO.
    world.lie = Some(Signed::Missing);
    world.frame("agent:mallory", &text);
    assert_ok(world);
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    covers!("SEC-25", "D-134");
    let mut world = world();
    let mut payload = announcement();
    payload["extensions"] = json!({"list": vec![0; 10_001]});
    world.lie = Some(Signed::Missing);
    world.say(ALICE, "INTENT_ANNOUNCE", payload);
    assert_ok(world);
}

#[test]
fn a_key_that_the_session_has_forgotten_is_a_key_of_nobody() {
    covers!("SEC-25", "SEC-32");
    let mut world = world();
    world.rotate(ALICE, 3);
    world.rotate((ALICE.0, 3), 5);
    world.wait(61);
    world.rotate((ALICE.0, 5), 6);
    world.say((ALICE.0, 3), "HEARTBEAT", json!({"status": "working"}));
    assert_ok(world);
}

/// That it was revoked stands in no log.
#[test]
fn outside_verified_sessions_a_key_may_have_been_revoked() {
    covers!("SEC-22", "SEC-25");
    let mut world = World::with(|config| config.security_profile = SecurityProfile::Authenticated);
    world.join(ALICE.0, ALICE.1);
    world.lie = Some(Signed::Wrong);
    world.say(ALICE, "HEARTBEAT", json!({"status": "working"}));
    assert_ok(world);
}

/// Signed with what the log has in place of her secret.
#[test]
fn a_hello_whose_secret_is_blanked_was_another_when_it_came() {
    covers!("SEC-25", "PRV-05");
    let mut world = world();
    let credential = json!({"type": "mtls_fingerprint", "value": "[redacted]"});
    world.lie = Some(Signed::Wrong);
    world.say(
        ALICE,
        "HELLO",
        json!({"display_name": "alice", "roles": [], "capabilities": [], "credential": credential}),
    );
    assert_ok(world);
}

/// 3:04:20, fifteen seconds after the world begins.
fn until() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_767_323_060).unwrap()
}

#[test]
fn whoever_shows_a_new_certificate_in_time_stays_who_they_are() {
    covers!("SEC-12", "SEC-14", "SEC-25");
    // On the same connection: with the same key, and with another.
    for next in [1, 5] {
        let mut world = World::new();
        world.join_with(ALICE.0, 1, &certificate_until(ALICE.0, 1, until()));
        world.join_with(ALICE.0, next, &certificate_until(ALICE.0, next, until() + Duration::hours(1)));
        world.wait(30);
        world.announce((ALICE.0, next), "i-agent:alice");
        world.commit((ALICE.0, next), "op-1", "", "eins\n");
        let which = world.which();
        let ended = world.end();
        let desk = Desk::new();
        for found in [desk.bundle(&bundled(&which)), desk.log(ended.data.path(), &[])] {
            found.assert_ok();
            assert_eq!(found.report["agreed"][0]["verified"], true, "{:#}", found.report);
        }
    }
}

#[test]
fn what_may_be_said_after_the_end_of_a_certificate_is_no_wonder() {
    covers!("SEC-14", "SEC-25", "ERR-03");
    let mut world = World::new();
    let ends = Timestamp::from_micros(until().unix_timestamp() * 1_000_000);
    world.ends = Some(ends);
    world.join_with(ALICE.0, 1, &certificate_until(ALICE.0, 1, until()));
    world.wait(30);
    let error = json!({"error_code": "STATE_DIVERGENCE", "refers_to": null, "description": "x"});
    let outputs = world.say(ALICE, "PROTOCOL_ERROR", error);
    let is_answer = |it: &Output| match it {
        Output::Send { envelope, .. } => envelope.message_type == MessageType::ProtocolError,
        other => matches!(other, Output::Relay { .. }),
    };
    assert!(!outputs.iter().any(is_answer), "it is refused without a word");
    let outputs = world.say(ALICE, "GOODBYE", json!({"reason": "user_exit"}));
    assert!(outputs.iter().any(|it| matches!(it, Output::Relay { .. })));
    assert_ok(world);
}

const CAROL: (&str, u8) = ("agent:carol", 4);

/// A bundle and the log, in which nothing is found, and who agreed to what.
fn assert_agreed(world: World, expected: &[(&str, &str)]) {
    let which = world.which();
    let ended = world.end();
    let desk = Desk::new();
    for found in [desk.bundle(&bundled(&which)), desk.log(ended.data.path(), &[])] {
        found.assert_ok();
        assert_eq!(found.agreed(), expected, "{:#}", found.report);
    }
}

/// Alice and Bob get into a conflict.
fn overlap(world: &mut World) -> Value {
    world.announce(ALICE, "i-agent:alice");
    let outputs = world.announce(("agent:bob", 2), "i-agent:bob");
    let conflict = outputs.iter().find_map(|output| match output {
        Output::Send { envelope, .. } if envelope.message_type == MessageType::ConflictReport => {
            Some(envelope.payload.read::<Value>().unwrap()["conflict_id"].clone())
        }
        _ => None,
    });
    conflict.unwrap()
}

#[test]
fn a_commit_that_is_only_asked_for_is_no_agreement_whoever_is_shown_it() {
    covers!("SEC-25", "OPS-04", "OPS-09", "D-132");
    let mut world = World::with(|config| {
        config.compliance_profile = ComplianceProfile::Governance;
        config.execution_model = ExecutionModel::PreCommit;
    });
    world.join(ALICE.0, ALICE.1);
    world.join(CAROL.0, CAROL.1);
    world.announce(ALICE, "i-agent:alice");
    let shown = world.commit(ALICE, "op-1", "", "eins\n");
    assert!(shown.iter().any(|it| matches!(it, Output::Relay { .. })), "to the owner");
    world.say(CAROL, "OP_REJECT", json!({"op_id": "op-1", "reason": "rejected_by_owner"}));
    for _ in ["asked for", "done"] {
        world.commit(ALICE, "op-2", "", "zwei\n");
    }
    assert_agreed(world, &[("agent:alice", "OP_COMMIT")]);
}

#[test]
fn a_commit_that_is_asked_for_after_the_end_of_a_certificate_counts_all_the_same() {
    covers!("SEC-12", "SEC-14", "SEC-25", "OPS-04");
    for is_reviewed in [true, false] {
        let mut world = World::with(|config| {
            config.compliance_profile = ComplianceProfile::Governance;
            config.execution_model = ExecutionModel::PreCommit;
        });
        if is_reviewed {
            world.join(CAROL.0, CAROL.1);
        }
        world.join_with(ALICE.0, ALICE.1, &certificate_until(ALICE.0, ALICE.1, until()));
        world.announce(ALICE, "i-agent:alice");
        world.wait(30);
        world.commit(ALICE, "op-1", "", "eins\n");
        let which = world.which();
        let ended = world.end();
        let desk = Desk::new();
        for found in [desk.bundle(&bundled(&which)), desk.log(ended.data.path(), &[])] {
            assert_eq!(found.only().0, "untrusted_identity");
            assert!(found.agreed().is_empty());
        }
    }
}

/// It quotes what has no form to be signed, which nobody has to sign there.
#[test]
fn an_authenticated_session_in_which_something_could_not_be_signed_is_evidence() {
    covers!("SEC-22", "SEC-25", "HEL-18");
    let mut world = World::with(|config| config.security_profile = SecurityProfile::Authenticated);
    for (name, n) in [ALICE, ("agent:bob", 2), CAROL] {
        world.join(name, n);
    }
    let conflict = overlap(&mut world);
    world.commit(ALICE, "op-1", "", "eins\n");
    world.leave(ALICE.0);
    let outcome = json!({"rejected": ["op-1"], "rollback": "none", "ticket": 12_345_678_901_234_567_891_u64});
    let resolution = json!({
        "resolution_id": "r-1", "conflict_id": conflict, "decision": "human_override", "rationale": "x", "outcome": outcome,
    });
    let message = world.message(CAROL.0, "RESOLUTION", resolution);
    world.frame(CAROL.0, &message.to_string());
    let told = world.join(ALICE.0, ALICE.1);
    let quotes =
        |it: &Output| matches!(it, Output::Send { envelope, .. } if envelope.to_json().contains("ticket"));
    assert!(told.iter().any(quotes), "{told:?}");
    let heard = world.heard.join("\n");
    let which = world.which();
    let ended = world.end();
    let desk = Desk::new();
    let witness = desk.path("alice.jsonl");
    std::fs::write(&witness, heard).unwrap();
    let bundle = bundled(&which);
    let more = ["--witness", witness.to_str().unwrap()];
    for found in [desk.bundle_and(&bundle, &more), desk.log(ended.data.path(), &more)] {
        found.assert_ok();
        assert!(found.agreed().contains(&("agent:carol", "RESOLUTION")), "{:#}", found.report);
    }
}

/// It is refused, and nobody can have signed it.
#[test]
fn what_has_no_form_may_be_said_in_a_verified_session() {
    covers!("SEC-23", "SEC-25", "D-130");
    let mut world = world();
    let mut payload = announcement();
    payload["number"] = json!(12_345_678_901_234_567_891_u64);
    let message = world.message(ALICE.0, "INTENT_ANNOUNCE", payload);
    world.frame(ALICE.0, &message.to_string());
    assert_ok(world);
}

#[test]
fn what_comes_behind_a_handover_is_no_agreement_and_does_not_count() {
    covers!("SEC-14", "SEC-25", "REC-26");
    let mut world = World::new();
    world.join_with(ALICE.0, ALICE.1, &certificate_until(ALICE.0, ALICE.1, until()));
    world.join("agent:bob", 2);
    world.join(CAROL.0, CAROL.1);
    let conflict = overlap(&mut world);
    world.hand_over();
    let resolution = json!({
        "resolution_id": "r-1", "conflict_id": conflict, "decision": "dismissed", "rationale": "we talked",
    });
    assert!(world.say(CAROL, "RESOLUTION", resolution).is_empty());
    world.wait(30);
    assert!(world.say(ALICE, "HEARTBEAT", json!({"status": "working"})).is_empty());
    world.take_up();
    world.join(CAROL.0, CAROL.1);
    assert_agreed(world, &[]);
}

/// Nobody but the host knows until when it is good, and that she sent it has only the host's word: it is told, as long as the
/// keys file does not name her key.
#[test]
fn whoever_comes_back_with_another_credential_is_held_to_the_first_unless_named() {
    covers!("SEC-14", "SEC-25", "PRV-05");
    let mut world = World::new();
    world.join_with(ALICE.0, 1, &certificate_until(ALICE.0, 1, until()));
    let credential = json!({"type": "mtls_fingerprint", "value": "[redacted]"});
    world.lie = Some(Signed::by(public(1).fingerprint()));
    world.say(
        (ALICE.0, 9),
        "HELLO",
        json!({"display_name": "alice", "roles": ["contributor"], "capabilities": [], "credential": credential}),
    );
    world.wait(30);
    world.announce(ALICE, "i-agent:alice");
    world.commit(ALICE, "op-1", "", "eins\n");
    let which = world.which();
    let _ended = world.end();
    let bundle = bundled(&which);
    assert_eq!(Desk::new().bundle(&bundle).only(), ("untrusted_identity", "unknown"));
    Desk::naming(ALICE.0, ALICE.1).bundle(&bundle).assert_ok();
}
