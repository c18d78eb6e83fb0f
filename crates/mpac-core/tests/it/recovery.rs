//! A session outlives its coordinator: snapshot, recovery, handover, divergence.

use mpac_core::table::{conflict, intent as intents, operation};
use mpac_core::{Command, Coordinator, Input, Notice, Output, SessionConfig};
use mpac_wire::names::{
    ComplianceProfile, CoordinatorEvent, Decision, ErrorCode, PrincipalType, Role, SessionHealth,
};
use mpac_wire::payload::{Heartbeat, Hello, OpPropose, ProtocolError, Resolution};
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{Integer, Message, PrincipalId, Raw, Seconds, StateRef};
use serde_json::json;

use crate::covers;
use crate::world::{Delivery, World, commit_payload, config, error, heard, intent, op, session_id};

fn status(deliveries: &[Delivery], who: &str) -> Vec<mpac_wire::payload::CoordinatorStatus> {
    let to = deliveries.iter().filter(|delivery| delivery.to == who);
    to.filter_map(|delivery| match &delivery.message {
        Message::CoordinatorStatus(status) => Some(status.clone()),
        _ => None,
    })
    .collect()
}

#[test]
fn everybody_is_told_once_and_under_the_next_epoch() {
    covers!("REC-10", "REC-12", "REC-15", "REC-27", "REC-28", "D-038", "D-039", "LAM-11");
    let mut world = World::of(&["alice", "bob"]);
    assert_eq!(world.coordinator.epoch(), 1);
    let lamport = world.coordinator.view().lamport();
    world.restart(5.0);
    assert_eq!(world.coordinator.epoch(), 2);
    assert_eq!(world.coordinator.view().lamport(), lamport, "nothing was said");
    let back = world.hello("alice");
    assert_eq!(heard(&back, "alice"), ["SESSION_INFO", "COORDINATOR_STATUS recovered"]);
    assert_eq!(status(&back, "alice")[0].session_health, SessionHealth::Recovering, "bob is not back yet");
    for delivery in &back {
        assert!(delivery.text.contains(r#""coordinator_epoch":2"#), "{}", delivery.text);
        assert!(delivery.text.contains("epoch-2"));
    }
    assert_eq!(heard(&world.hello("alice"), "alice"), ["SESSION_INFO"]);
    assert_eq!(status(&world.hello("bob"), "bob")[0].session_health, SessionHealth::Healthy);
    // Somebody who was not there before has nothing to be told.
    assert_eq!(heard(&world.join("carol", &[Role::Contributor]), "carol"), ["SESSION_INFO"]);
}

#[test]
fn a_session_that_waits_for_the_others_is_recovering_for_one_timeout_at_most() {
    covers!("REC-28", "D-039");
    let mut world = World::of(&["alice", "bob"]);
    world.restart(1.0);
    world.hello("alice");
    let health = |world: &mut World| {
        let told = world.input(Input::Command(Command::Status(CoordinatorEvent::Heartbeat)));
        status(&told, "alice")[0].session_health.clone()
    };
    world.wait(80.0);
    world.say("alice", Heartbeat::new("idle".into()));
    assert_eq!(health(&mut world), SessionHealth::Recovering);
    world.wait(11.0);
    assert_eq!(health(&mut world), SessionHealth::Healthy);
}

#[test]
fn nobody_is_to_blame_for_the_outage_but_times_to_live_go_on() {
    covers!("REC-18", "REC-29", "D-036", "FRZ-19", "OCC-11", "DEF-16");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["a.py"]); // 300 s
    world.announce("bob", "i2", &["a.py"]);
    let id = world.conflict();
    world.wait(100.0);
    world.say("alice", Heartbeat::new("idle".into()));
    world.say("bob", Heartbeat::new("idle".into()));
    world.restart(150.0);
    world.hello("alice");
    world.hello("bob");
    let view = world.coordinator.view();
    assert!(view.is_available(&"alice".parse().unwrap()), "150 s of outage are not silence");
    assert_eq!(view.intent(&intent("i1")), Some(intents::State::Active));
    world.wait(51.0);
    assert_eq!(world.coordinator.view().intent(&intent("i1")), Some(intents::State::Expired));
    // The conflict ended with both; a fresh one keeps its age over the outage.
    assert_eq!(world.coordinator.view().conflict(&id), Some(conflict::State::Dismissed));
}

#[test]
fn nobody_could_object_or_go_on_during_the_outage() {
    covers!("D-036", "CLM-08", "CAS-02", "SES-11");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["x"]);
    world.announce("bob", "j", &["y"]);
    let mut propose = OpPropose::new(op("p"), "y".to_owned(), "replace".into());
    propose.intent_id = Some(intent("j"));
    world.say("bob", propose);
    world.withdraw("bob", "j");
    let mut goodbye = mpac_wire::payload::Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    world.say("alice", goodbye);
    let (claim, owner, new) = ("c".parse().unwrap(), "alice".parse().unwrap(), intent("k"));
    let scope = mpac_wire::Scope::files(["x"]);
    world.say("bob", mpac_wire::payload::IntentClaim::new(claim, intent("i"), owner, new, "o".into(), scope));
    world.wait(10.0);
    world.restart(100.0);
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO", "COORDINATOR_STATUS recovered"]);
    world.wait(19.0);
    let view = |world: &World| {
        (world.coordinator.view().operation(&op("p")), world.coordinator.view().intent(&intent("k")))
    };
    assert_eq!(view(&world), (Some(operation::State::Proposed), None), "thirty seconds for both");
    world.wait(1.0);
    assert_eq!(view(&world), (Some(operation::State::Rejected), Some(intents::State::Active)));
    // A session in which all is done waits for those who would begin something.
    let mut config = config();
    config.lifecycle.auto_close = Some(true);
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.announce("alice", "i", &["x"]);
    world.withdraw("alice", "i");
    world.restart(100.0);
    world.hello("alice");
    assert_eq!(heard(&world.announce("alice", "j", &["x"]), "alice"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn a_conflict_keeps_its_age_and_a_freeze_its_phase() {
    covers!("REC-18", "D-036", "FRZ-19", "CON-18");
    let mut config = config();
    config.default_intent_ttl_sec = Seconds::whole(100_000);
    config.liveness.unavailability_timeout_sec = Some(Seconds::whole(100_000));
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.join("bob", &[Role::Contributor]);
    world.announce("alice", "i1", &["a.py"]);
    world.announce("bob", "i2", &["a.py"]);
    let id = world.conflict();
    world.wait(100.0);
    world.restart(1000.0);
    world.hello("alice");
    world.hello("bob");
    assert_eq!(heard(&world.wait(200.0), "bob"), Vec::<String>::new(), "it is 300 s old now");
    let frozen = world.wait(0.001);
    assert_eq!(heard(&frozen, "bob"), ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"]);
    world.wait(30.0);
    world.restart(1000.0);
    world.hello("bob");
    assert_eq!(heard(&world.wait(29.0), "bob"), Vec::<String>::new(), "the first phase lasts 60 s");
    assert_eq!(heard(&world.wait(1.1), "bob"), ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"]);
    world.wait(240.0);
    assert_eq!(world.coordinator.view().conflict(&id), Some(conflict::State::Closed));
}

#[test]
fn what_fell_due_meanwhile_fires_with_the_first_input_and_not_before() {
    covers!("REC-18", "D-036", "INT-07");
    let mut world = World::of(&["alice"]);
    world.announce("alice", "i1", &["a.py"]);
    world.restart(301.0);
    assert_eq!(world.coordinator.view().intent(&intent("i1")), Some(intents::State::Active));
    assert!(world.coordinator.next_deadline().unwrap() < world.now);
    world.hello("alice");
    assert_eq!(world.coordinator.view().intent(&intent("i1")), Some(intents::State::Expired));
}

#[test]
fn proposals_refs_and_duplicates_are_remembered() {
    covers!("REC-29", "OCC-11", "OPS-30", "SEC-21", "LAM-13");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["a.py"]);
    world.say("alice", commit_payload("o1", Some("i1"), "a.py", "one\n", "two\n"));
    let mut propose = OpPropose::new(op("p1"), "b.py".to_owned(), "replace".into());
    propose.intent_id = Some(intent("i1"));
    world.say("alice", propose.clone());
    let stale = world.log.last().unwrap().clone();
    world.config.workspace = None; // this host keeps its files elsewhere
    world.restart(1.0);
    world.hello("bob");
    world.hello("alice");
    assert_eq!(world.coordinator.view().operation(&op("p1")), Some(operation::State::Proposed));
    let again = world.say("bob", commit_payload("o2", None, "a.py", "one\n", "three\n"));
    assert_eq!(error(&again, "bob").error_code, ErrorCode::StaleStateRef);
    assert_eq!(error(&world.say("alice", propose), "alice").error_code, ErrorCode::MalformedMessage);
    // The same frame again, on the new connection: its Lamport value is not above the last one.
    let Input::Frame { text, .. } = stale.input else { panic!("a frame") };
    let refused = world.frame(world.people["alice"].0, &text);
    assert!(error(&refused, "alice").description.contains("watermark"), "{refused:?}");
}

#[test]
fn a_connection_that_outlived_the_coordinator_may_go_on() {
    covers!("SES-24");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["a.py"]);
    world.restart(1.0);
    let refused = world.withdraw("alice", "i1");
    assert_eq!(error(&refused, "alice").error_code, ErrorCode::InvalidReference, "no HELLO, no word");
    let rebind = |world: &World, name: &str, conn: &str| Command::Rebind {
        conn: world.people[conn].0,
        principal: name.parse().unwrap(),
        principal_type: PrincipalType::Agent,
        instance: format!("{name}:1").parse().unwrap(),
    };
    world.input(Input::Command(rebind(&world, "alice", "alice")));
    assert_eq!(heard(&world.withdraw("alice", "i1"), "alice"), ["INTENT_WITHDRAW i1"]);
    // A connection is one participant's; a stranger and somebody who is connected get none.
    world.input(Input::Command(rebind(&world, "bob", "alice")));
    world.input(Input::Command(rebind(&world, "mallory", "bob")));
    assert_eq!(error(&world.withdraw("bob", "x"), "bob").error_code, ErrorCode::InvalidReference);
}

#[test]
fn a_handover_names_the_successor_and_is_the_last_word() {
    covers!("REC-20", "REC-21", "REC-12", "D-042");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["a.py"]);
    let successor: PrincipalId = "service:coordinator-s".parse().unwrap();
    let hand_over = Command::HandOver { successor: successor.clone(), next_epoch: 5 };
    let told = world.input(Input::Command(hand_over.clone()));
    let [handover] = status(&told, "alice").try_into().unwrap();
    assert_eq!(handover.event, CoordinatorEvent::Handover);
    assert_eq!(handover.successor_coordinator_id, Some(successor));
    assert_eq!(handover.next_coordinator_epoch, Some(Integer::new(5)));
    assert_eq!(world.hung_up.iter().map(|(_, code)| *code).collect::<Vec<_>>(), [4002, 4002]);
    let snapshot = world.coordinator.snapshot();
    let old = world.coordinator.clone();
    // Not another word: no relay, no refusal, no timer, no second handover.
    assert!(world.withdraw("alice", "i1").is_empty());
    assert!(world.frame(world.people["bob"].0, "{bad").is_empty());
    assert!(world.input(Input::Command(hand_over)).is_empty());
    assert!(world.close().is_empty());
    assert_eq!(world.coordinator.next_deadline(), None);
    assert!(world.wait(1000.0).is_empty());
    assert_eq!(old.view().intent(&intent("i1")), world.coordinator.view().intent(&intent("i1")));

    world.now = old.view().now();
    world.restore(&snapshot);
    assert_eq!(world.coordinator.epoch(), 5);
    let back = world.hello("alice");
    let told = ["SESSION_INFO", "COORDINATOR_STATUS assumed", "INTENT_UPDATE i1 alice does i1"];
    assert_eq!(heard(&back, "alice"), told);
    assert_eq!(heard(&world.withdraw("alice", "i1"), "alice"), ["INTENT_WITHDRAW i1"]);
    // After the successor's own crash the epoch goes on from there.
    world.restart(1.0);
    assert_eq!(world.coordinator.epoch(), 6);
}

#[test]
fn epochs_never_decrease() {
    covers!("REC-27");
    let mut world = World::of(&["alice"]);
    world.restart(1.0);
    world.restart(1.0);
    let hand_over = Command::HandOver { successor: "service:x".parse().unwrap(), next_epoch: 1 };
    world.input(Input::Command(hand_over));
    world.restart(1.0);
    assert_eq!(world.coordinator.epoch(), 4, "one above 3, not 1");
}

#[test]
fn a_coordinator_that_learns_of_a_later_one_falls_silent() {
    covers!("REC-26", "REC-25");
    let mut world = World::of(&["alice"]);
    world.input(Input::Command(Command::Fence { epoch: 1 }));
    assert_eq!(heard(&world.announce("alice", "i1", &["a.py"]), "alice"), ["INTENT_ANNOUNCE"]);
    let conflict = ProtocolError::new(ErrorCode::CoordinatorConflict, "two of you".to_owned());
    world.say("alice", conflict);
    let step = world.steps.last().unwrap();
    let reported_by = "alice".parse().unwrap();
    assert_eq!(step.outputs, [Output::Notice(Notice::CoordinatorConflict { reported_by })]);
    assert!(world.input(Input::Command(Command::Fence { epoch: 2 })).is_empty(), "not even a goodbye");
    assert_eq!(world.hung_up.last().map(|(_, code)| *code), Some(4002));
    assert!(world.withdraw("alice", "i1").is_empty());
    assert_eq!(world.coordinator.view().intent(&intent("i1")), Some(intents::State::Active));
}

/// A HELLO that says which commits its sender has seen.
pub(crate) fn hello_with(world: &mut World, name: &str, ops: &[&str]) -> Vec<Delivery> {
    let mut hello = Hello::new(name.to_owned(), Vec::new());
    hello.roles = Some(vec![Role::Contributor]);
    hello.extensions = Raw::of(&serde_json::json!({"mpac": {"committed_ops": ops}})).ok();
    world.say(name, hello)
}

#[test]
fn what_was_lost_is_named_and_settled_by_governance() {
    covers!("REC-16", "REC-17", "REC-30", "D-041");
    let mut world = World::of(&["alice", "bob"]);
    world.join("olga", &[Role::Owner]);
    world.say("alice", commit_payload("o1", None, "a.py", "one\n", "two\n"));
    let lost = world.coordinator.snapshot();
    world.say("alice", commit_payload("o2", None, "a.py", "two\n", "three\n"));
    world.config.workspace = None; // this host keeps its files elsewhere
    world.restore(&lost);
    world.hello("olga");
    let back = hello_with(&mut world, "alice", &["o1", "o2"]);
    assert_eq!(
        heard(&back, "alice"),
        [
            "SESSION_INFO",
            "COORDINATOR_STATUS recovered",
            "PROTOCOL_ERROR STATE_DIVERGENCE",
            "CONFLICT_REPORT"
        ]
    );
    assert!(back.iter().any(|it| it.text.contains(r#"{"mpac":{"divergent":["o2"]}}"#)));
    assert_eq!(heard(&back, "olga"), ["CONFLICT_REPORT"]);
    assert_eq!(world.conflict().as_str(), "divergence:alice:2");
    // Nothing is adopted, and alice's operations wait; the rest of her rights she has.
    assert_eq!(world.coordinator.view().operation(&op("o2")), None);
    let again = world.say("alice", commit_payload("o3", None, "a.py", "two\n", "three\n"));
    assert_eq!(error(&again, "alice").error_code, ErrorCode::StateDivergence);
    assert_eq!(heard(&world.announce("alice", "i9", &["z"]), "alice"), ["INTENT_ANNOUNCE"]);
    world.hello("bob");
    let theirs = world.say("bob", commit_payload("o4", None, "b.py", "", "b\n"));
    assert_eq!(heard(&theirs, "bob"), ["OP_COMMIT"], "bob's state has not diverged");
    // It does not end by itself; governance settles it, once for this epoch.
    world.withdraw("alice", "i9");
    let id = world.conflict();
    assert_eq!(world.coordinator.view().conflict(&id), Some(conflict::State::Open));
    world.say("olga", Resolution::new(id.clone(), Decision::Approved));
    assert_eq!(world.coordinator.view().conflict(&id), Some(conflict::State::Closed));
    assert_eq!(heard(&hello_with(&mut world, "alice", &["o2"]), "alice"), ["SESSION_INFO"]);
    let stored = world.say("alice", commit_payload("o5", None, "a.py", "two\n", "three\n"));
    assert_eq!(heard(&stored, "alice"), ["OP_COMMIT"]);
}

#[test]
fn whoever_drops_what_was_lost_may_go_on() {
    covers!("REC-30", "D-041");
    let mut world = World::of(&["alice"]);
    world.restart(1.0);
    hello_with(&mut world, "alice", &["x"]);
    let refused = world.say("alice", commit_payload("o1", None, "a.py", "one\n", "two\n"));
    assert_eq!(error(&refused, "alice").error_code, ErrorCode::StateDivergence);
    hello_with(&mut world, "alice", &[]);
    let stored = world.say("alice", commit_payload("o2", None, "a.py", "one\n", "two\n"));
    assert_eq!(heard(&stored, "alice"), ["OP_COMMIT"]);
}

#[test]
fn a_commit_that_builds_on_what_was_lost_is_stale_and_divergent() {
    covers!("D-041", "REC-16");
    let mut world = World::of(&["alice", "bob"]);
    let lost = world.coordinator.snapshot();
    world.say("alice", commit_payload("o1", None, "a.py", "one\n", "two\n"));
    let reader = |world: &mut World, name: &str, id: &str| {
        world.say(name, commit_payload(id, None, "a.py", "two\n", "three\n"))
    };
    world.restore(&lost);
    world.hello("alice");
    world.hello("bob");
    let refused = reader(&mut world, "bob", "o2");
    assert_eq!(
        heard(&refused, "bob"),
        ["PROTOCOL_ERROR STALE_STATE_REF", "PROTOCOL_ERROR STATE_DIVERGENCE", "CONFLICT_REPORT"]
    );
    // Later it is only stale: whoever was there before has long been heard.
    world.say("alice", Heartbeat::new("idle".into()));
    world.wait(91.0);
    assert_eq!(error(&reader(&mut world, "alice", "o3"), "alice").error_code, ErrorCode::StaleStateRef);
    // Before any recovery the question does not arise.
    let mut world = World::of(&["alice"]);
    let hello = hello_with(&mut world, "alice", &["x"]);
    assert_eq!(heard(&hello, "alice"), ["SESSION_INFO"]);
}

/// As the Python package 0.1.0 writes one.
const PYTHON: &str = include_str!("../../../../fixtures/snapshots/python-0.1.0.json");
/// As the TypeScript reference would, from the ledger's description: unset members absent, no refs, no policies.
const TYPESCRIPT: &str = include_str!("../../../../fixtures/snapshots/typescript.json");

#[test]
fn snapshots_of_the_references_load() {
    covers!("REC-19", "D-035", "EXT-08");
    for (name, text) in [("python", PYTHON), ("typescript", TYPESCRIPT)] {
        let snapshot: Snapshot = serde_json::from_str(text).unwrap();
        let config = SessionConfig::new(session_id());
        let now = snapshot.captured_at;
        let mut coordinator = Coordinator::restore(config.clone(), &snapshot, 1, now).unwrap();
        assert_eq!(coordinator.epoch(), snapshot.coordinator_epoch.get() + 1, "{name}");
        let view = coordinator.view();
        assert_eq!(view.intent(&intent("intent-a")), Some(intents::State::Active), "{name}");
        assert_eq!(view.operation(&op("op-1")), Some(operation::State::Committed), "{name}");
        assert_eq!(view.conflicts().len(), 1, "{name}");
        assert_eq!(view.state_ref("src/main.py"), Some(&StateRef::new("sha256:bb")), "{name}");
        assert!(coordinator.indexes_are_sound());
        // It goes on, and what falls due does.
        let step = coordinator.handle_timeout(now.after(&Seconds::whole(100_000)));
        assert!(!step.outputs.is_empty(), "{name}");
        let again: Snapshot =
            serde_json::from_str(&serde_json::to_string(&coordinator.snapshot()).unwrap()).unwrap();
        assert_eq!(Coordinator::load(config, &again).unwrap(), coordinator, "{name}");
    }
}

/// The Python package writes an empty text for whom a report does not name, and keeps what a sender said in an open session.
#[test]
fn one_odd_record_of_a_reference_does_not_cost_the_session() {
    covers!("REC-19", "D-035");
    let mut text: serde_json::Value = serde_json::from_str(PYTHON).unwrap();
    let mut conflict = text["conflicts"][0].clone();
    conflict["conflict_id"] = json!("reported");
    for nobody in ["principal_a", "principal_b", "intent_a", "intent_b"] {
        conflict[nobody] = json!("");
    }
    text["conflicts"].as_array_mut().unwrap().push(conflict);
    let frontier = text["anti_replay"]["sender_frontier"].as_object_mut().unwrap();
    for odd in frontier.values_mut() {
        *odd = json!({"last_ts": "bad", "last_lamport": -1});
    }
    let snapshot: Snapshot = serde_json::from_str(&text.to_string()).unwrap();
    let now = snapshot.captured_at;
    let coordinator = Coordinator::restore(SessionConfig::new(session_id()), &snapshot, 1, now).unwrap();
    assert_eq!(coordinator.view().conflicts().len(), 2);
}

#[test]
fn a_snapshot_has_every_field_of_the_specification() {
    covers!("REC-08", "CON-18");
    let mut config = config();
    config.compliance_profile = ComplianceProfile::Governance;
    let world = World::with(config);
    let snapshot = serde_json::to_value(world.coordinator.snapshot()).unwrap();
    for key in [
        "snapshot_version",
        "session_id",
        "protocol_version",
        "captured_at",
        "coordinator_epoch",
        "lamport_clock",
        "anti_replay",
        "participants",
        "intents",
        "operations",
        "conflicts",
        "pending_claims",
        "session_closed",
        "governance_policy",
        "liveness_policy",
    ] {
        assert!(!snapshot[key].is_null(), "{key}");
    }
}
