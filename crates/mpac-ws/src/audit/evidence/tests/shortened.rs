//! A session whose older entries are gone: how it stood then is on nobody's signature, so nothing that follows from it by the
//! rules is proof against the coordinator.

use std::fs;

use mpac_core::Signed;
use serde_json::{Value, json};

use super::forge::{Forger, other_base};
use super::world::{Ended, OWN, World, public, signed};
use super::{Desk, Found, bundled};

/// An auditor who knows whose the keys are.
fn desk() -> Desk {
    let desk = Desk::new();
    let named = |n: u8| json!([public(n).fingerprint().to_string()]);
    let keys = json!({"coordinator": named(OWN), "principals": {"agent:alice": named(1), "agent:bob": named(2), "agent:carol": named(4)}});
    fs::write(desk.path("keys.json"), keys.to_string()).unwrap();
    desk
}

/// As `happens` after the older entries are gone: the bundle, and where it lies.
fn kept(happens: impl Fn(&mut World)) -> (Forger, Ended) {
    let mut world = World::without_its_beginning();
    happens(&mut world);
    let which = world.which();
    let ended = world.end();
    (Forger::new(&bundled(&which)), ended)
}

/// Bob overlaps with Alice, of which both are told.
fn overlap(world: &mut World) {
    world.announce(("agent:bob", 2), "i-agent:bob");
}

/// Changes how the session stood.
fn snapshot(change: impl Fn(&mut Value)) -> impl Fn(&mut Value) {
    move |base| {
        let mut snapshot = serde_json::from_str(base["snapshot"].as_str().unwrap()).unwrap();
        change(&mut snapshot);
        base["snapshot"] = snapshot.to_string().into();
    }
}

/// What was found is these classes among others, and none of it is the coordinator's doing.
fn assert_is_nobodys(found: &Found, classes: &[&str]) {
    assert!(!found.ok && found.report["coordinator_lied"] == 0, "{:#}", found.report);
    for class in classes {
        assert!(found.findings().iter().any(|it| it.0 == *class), "{class}: {:#}", found.report);
    }
}

#[test]
fn whoever_changes_the_base_makes_no_liar_of_the_coordinator() {
    covers!("SEC-25");
    let (forger, ended) = kept(overlap);
    desk().bundle(&forger.0.to_string()).assert_ok();
    desk().log(ended.data.path(), &[]).assert_ok();
    // Alice had said something later, so that what she says now is refused.
    let change = snapshot(|it| {
        it["anti_replay"]["sender_frontier"]["agent:alice|agent:alice:1"]["last_lamport"] = json!(1_000_000);
    });
    let found = desk().bundle(&forger.clone().with_base(&change).0.to_string());
    assert_is_nobodys(&found, &["wrong_digest", "missing_output", "altered_output"]);
    assert_eq!(found.report["has_good_head"], true, "{:#}", found.report);
    let path = ended.data.path().join("sessions/default/1/base-00000000000000000005");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, other_base(&text, change)).unwrap();
    assert_is_nobodys(&desk().log(ended.data.path(), &[]), &["wrong_digest"]);
}

#[test]
fn a_key_that_is_taken_from_the_base_or_put_into_it_proves_nothing() {
    let (forger, _) = kept(overlap);
    let change = snapshot(|it| {
        it["coordinator_state"]["keys"].as_array_mut().unwrap().remove(0);
    });
    let found = desk().bundle(&forger.with_base(change).0.to_string());
    assert_is_nobodys(&found, &["forged_participant_message"]);
    // With a key that the session has never met.
    let (forger, _) = kept(|world| drop(world.commit(("agent:alice", 5), "op-2", "eins\n", "zwei\n")));
    desk().bundle(&forger.0.to_string()).assert_ok();
    let change = snapshot(|it| {
        let keys = it["coordinator_state"]["keys"].as_array_mut().unwrap();
        keys[0]["public_key"] = public(5).to_string().into();
    });
    let found = desk().bundle(&forger.with_base(change).0.to_string());
    assert_is_nobodys(&found, &["suppressed_participant_message"]);
}

#[test]
fn what_signatures_show_by_themselves_is_shown_without_the_beginning_too() {
    let forge = |n, key| {
        move |world: &mut World| {
            world.lie = Some(Signed::by(public(key).fingerprint()));
            let message = world.message("agent:alice", "HEARTBEAT", json!({"status": "idle"}));
            let mut message: Value = serde_json::from_str(&signed(message, n)).unwrap();
            message["payload"]["status"] = json!("working");
            world.frame("agent:alice", &message.to_string());
        }
    };
    for (n, key) in [(1, 1), (5, 1)] {
        let (forger, ended) = kept(forge(n, key));
        for found in [desk().bundle(&forger.0.to_string()), desk().log(ended.data.path(), &[])] {
            assert_eq!(found.only(), ("forged_participant_message", "coordinator"), "{n}");
        }
    }
    let (forger, ended) = kept(overlap);
    let report = ended.heard.iter().find(|it| it.contains("CONFLICT_REPORT")).unwrap();
    let mut other: Value = serde_json::from_str(report).unwrap();
    other["payload"]["severity"] = json!("low");
    let desk = desk();
    let path = desk.path("kept.jsonl");
    fs::write(&path, signed(other, OWN)).unwrap();
    let witness = ["--witness", path.to_str().unwrap()];
    let found = desk.bundle_and(&forger.0.to_string(), &witness);
    assert_eq!(found.only(), ("two_versions", "coordinator"), "both are signed");
    // Here only the rules say what it should have said.
    assert_eq!(desk.log(ended.data.path(), &witness).only(), ("two_versions", "unknown"));
}

#[test]
fn whoever_takes_the_limits_of_sight_from_the_base_makes_no_liar_of_the_coordinator() {
    covers!("PRV-02");
    let mut world = World::limited_without_its_beginning();
    world.overlap_before_carol();
    let which = world.which();
    let ended = world.end();
    let forger = Forger::new(&bundled(&which));
    desk().bundle(&forger.0.to_string()).assert_ok();
    let all_see_all = |base: &mut Value| {
        let mut config: Value = serde_json::from_str(base["start"]["config"].as_str().unwrap()).unwrap();
        config["visibility"] = json!({});
        base["start"]["config"] = config.to_string().into();
    };
    let forger = forger.with_base(all_see_all);
    assert_is_nobodys(&desk().bundle(&forger.0.to_string()), &["two_versions"]);
    let desk = desk();
    let path = desk.path("kept.jsonl");
    fs::write(&path, ended.heard.join("\n")).unwrap();
    let found = desk.bundle_and(&forger.0.to_string(), &["--witness", path.to_str().unwrap()]);
    assert_is_nobodys(&found, &["two_versions"]);
}
