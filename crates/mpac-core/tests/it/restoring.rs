//! Snapshots that contradict themselves are not taken up (REC-11).

use mpac_core::participant::Introduction;
use mpac_core::table::conflict;
use mpac_core::{ConfigError, Coordinator, Participant, ProtocolLevel, RestoreError, SessionConfig};
use mpac_wire::names::{Atomicity, ConflictState, Decision, PrincipalType, Role};
use mpac_wire::payload::{
    BatchEntry, Goodbye, Heartbeat, IntentClaim, IntentDeferred, OpBatchCommit, Resolution,
};
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{Message, Scope, Sender, SessionId, StateRef, Timestamp};

use crate::covers;
use crate::world::{START, World, commit_payload, config, heard, intent, op, session_id};

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    covers!("REC-11");
    let mut world = World::of(&["alice"]);
    world.announce("alice", "i1", &["a.py"]);
    let good = serde_json::to_value(world.coordinator.snapshot()).unwrap();
    let restore = |spoil: &dyn Fn(&mut serde_json::Value)| {
        let mut snapshot = good.clone();
        spoil(&mut snapshot);
        let snapshot: Snapshot = serde_json::from_str(&snapshot.to_string()).unwrap();
        let now = Timestamp::parse(START).unwrap();
        Coordinator::restore(config(), &snapshot, 1, now).map(|_| ()).unwrap_err()
    };
    let intents = |snapshot: &mut serde_json::Value| {
        let record = snapshot["intents"][0].clone();
        snapshot["intents"].as_array_mut().unwrap().push(record);
    };
    assert_eq!(restore(&intents).to_string(), r#"intent "i1" stands there twice"#);
    let state = |snapshot: &mut serde_json::Value| snapshot["intents"][0]["state"] = "ASLEEP".into();
    assert_eq!(restore(&state).to_string(), r#"intent "i1" is in the unknown state "ASLEEP""#);
    let version = |snapshot: &mut serde_json::Value| snapshot["snapshot_version"] = 3.into();
    assert_eq!(restore(&version), RestoreError::Version(3));
    let epoch = |snapshot: &mut serde_json::Value| snapshot["coordinator_epoch"] = ((1_u64 << 53) - 1).into();
    assert_eq!(restore(&epoch), RestoreError::Epoch((1 << 53) - 1));
    let claim = |snapshot: &mut serde_json::Value| {
        let scope = snapshot["intents"][0]["scope"].clone();
        snapshot["pending_claims"] = serde_json::json!([{"claim_id": "c", "original_intent_id": "i1",
            "original_principal_id": "alice", "new_intent_id": "n", "claimer_principal_id": "bob", "scope": scope}]);
    };
    assert!(matches!(restore(&claim), RestoreError::Dangling { kind: "claim", .. }));
    let long = SessionConfig::new(SessionId::new("s".repeat(201)).unwrap());
    assert_eq!(long.validate(), Err(ConfigError::SessionId { bytes: 201 }));
}

/// A session with one of everything that waits: a claim on `a1`, a deferral, a conflict of `b1` and `b2`, a batch.
fn full() -> Snapshot {
    let mut config = config();
    config.level = ProtocolLevel::V0_1_14;
    let mut world = World::with(config);
    for name in ["alice", "bob", "carol"] {
        world.join(name, &[Role::Contributor]);
    }
    for (name, id, file) in
        [("alice", "a1", "a"), ("alice", "a2", "aa"), ("bob", "b1", "b"), ("carol", "b2", "b")]
    {
        world.announce(name, id, &[file]);
    }
    let mut deferred = IntentDeferred::new();
    deferred.deferral_id = Some("d".parse().unwrap());
    deferred.scope = Some(Scope::files(["b"]));
    deferred.observed_intent_ids = Some(vec!["b1".to_owned()]);
    world.say("carol", deferred);
    let entry = |id: &str| {
        BatchEntry::new(op(id), id.to_owned(), "replace".into(), StateRef::of("0"), StateRef::of("1"))
    };
    let entries = vec![entry("o1"), entry("o2")];
    world.say("bob", OpBatchCommit::new("t".parse().unwrap(), Atomicity::BestEffort, entries));
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    world.say("alice", goodbye);
    let (claim, owner) = ("c".parse().unwrap(), "alice".parse().unwrap());
    world.say(
        "bob",
        IntentClaim::new(claim, intent("a1"), owner, intent("n"), "o".to_owned(), Scope::files(["a"])),
    );
    world.coordinator.snapshot()
}

#[test]
fn a_snapshot_in_which_one_thing_takes_another_s_place_is_refused() {
    covers!("REC-11", "CLM-05", "D-022");
    use serde_json::{Value, json};
    let good = serde_json::to_value(full()).unwrap();
    let restore = |spoil: &dyn Fn(&mut Value)| {
        let mut snapshot = good.clone();
        spoil(&mut snapshot);
        let snapshot: Snapshot = serde_json::from_str(&snapshot.to_string()).unwrap();
        let mut config = config();
        config.level = ProtocolLevel::V0_1_14;
        let restored = Coordinator::restore(config, &snapshot, 1, Timestamp::parse(START).unwrap());
        restored.map_or_else(|error| error.to_string(), |_| "taken up".to_owned())
    };
    assert_eq!(restore(&|_| ()), "taken up");
    let again = |list: &'static str, change: &'static [(&'static str, &'static str)]| {
        move |it: &mut Value| {
            let mut record = it[list][0].clone();
            change.iter().for_each(|(key, value)| record[*key] = (*value).into());
            it[list].as_array_mut().unwrap().push(record);
        }
    };
    for (list, kind, id) in [
        ("participants", "participant", "alice"),
        ("intents", "intent", "a1"),
        ("operations", "operation", "o1"),
        ("batches", "batch", "t"),
        ("pending_claims", "claim", "c"),
        ("deferrals", "deferral", "d"),
    ] {
        assert_eq!(restore(&again(list, &[])), format!("{kind} {id:?} stands there twice"));
    }
    assert!(restore(&again("conflicts", &[])).ends_with("stands there twice"));
    let set = |list: &'static str, key: &'static str, value: Value| {
        move |it: &mut Value| it[list][0][key] = value.clone()
    };
    // Its approval would put its intent in the place of another.
    for id in ["b1", "a1"] {
        let promised = set("pending_claims", "new_intent_id", id.into());
        let expected = format!("claim \"c\" needs {id:?} for itself, which something else has");
        assert_eq!(restore(&promised), expected);
    }
    let two = again("pending_claims", &[("claim_id", "c2"), ("original_intent_id", "a2")]);
    assert_eq!(restore(&two), r#"claim "c2" needs "n" for itself, which something else has"#);
    let two = again("pending_claims", &[("claim_id", "c2"), ("new_intent_id", "n2")]);
    assert_eq!(restore(&two), r#"claim "c2" needs "a1" for itself, which something else has"#);
    for id in ["b1", "unknown"] {
        let original = set("pending_claims", "original_intent_id", id.into());
        assert!(restore(&original).starts_with(&format!("claim \"c\" needs {id:?}, which is not there")));
    }
    // What an open conflict is about is never forgotten; the references let people report about anything.
    let dispute = set("conflicts", "related_intents", json!(["b1", "gone"]));
    assert!(restore(&dispute).contains(r#"needs "gone", which is not there"#), "{}", restore(&dispute));
    let foreign = |it: &mut Value| {
        dispute(it);
        it["conflicts"][0].as_object_mut().unwrap().remove("sequence");
    };
    assert_eq!(restore(&foreign), "taken up");
    let dispute = set("conflicts", "related_ops", json!(["gone"]));
    assert!(restore(&dispute).contains(r#"needs "gone", which is not there"#));
}

/// Thousands of conflicts may be about ten thousand names each, and as many are remembered that are over.
#[test]
fn of_what_a_conflict_is_about_little_is_kept_and_nothing_once_it_is_over() {
    covers!("CON-22", "SES-27", "REC-29");
    use serde_json::{Value, json};
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "j", &["a", "b"]);
    world.announce("alice", "i", &["b", "a"]);
    let stored = serde_json::to_value(world.coordinator.snapshot()).unwrap();
    let conflict = &stored["conflicts"][0];
    assert_eq!((conflict["overlap_marks"].as_str().unwrap().len(), conflict.get("overlap")), (32, None));
    let load = |stored: &Value| {
        let snapshot: Snapshot = serde_json::from_str(&stored.to_string()).unwrap();
        Coordinator::load(config(), &snapshot)
    };
    // Earlier builds wrote the names, and those of conflicts that were over, too.
    let earlier = |mut stored: Value| {
        stored["conflicts"][0].as_object_mut().unwrap().remove("overlap_marks");
        stored["conflicts"][0]["overlap"] = json!(["a", "b"]);
        load(&stored)
    };
    assert_eq!(earlier(stored.clone()).as_ref(), Ok(&world.coordinator));
    let mut spoilt = stored;
    spoilt["conflicts"][0]["overlap_marks"] = "0".into();
    assert_eq!(load(&spoilt), Err(RestoreError::Overlap));
    world.withdraw("alice", "i");
    world.withdraw("bob", "j");
    let over = serde_json::to_value(world.coordinator.snapshot()).unwrap();
    let conflict = &over["conflicts"][0];
    assert_eq!((conflict.get("overlap_marks"), conflict.get("overlap")), (None, None), "{conflict}");
    assert_eq!(earlier(over), Ok(world.coordinator));
}

#[test]
fn a_batch_of_which_nothing_is_left_is_not_taken_up() {
    covers!("REC-11", "SES-27");
    for (ops, left) in [(&["gone", "o2"][..], 1), (&["gone"], 0)] {
        let mut snapshot = full();
        let batches = snapshot.batches.as_mut().unwrap();
        batches[0].op_ids = ops.iter().map(|id| op(id)).collect();
        let mut config = config();
        config.level = ProtocolLevel::V0_1_14;
        let coordinator = Coordinator::load(config, &snapshot).unwrap();
        assert_eq!(coordinator.snapshot().batches.unwrap().len(), left);
    }
}

#[test]
fn whoever_left_is_not_here_whatever_else_a_snapshot_says() {
    covers!("REC-11");
    let mut world = World::of(&["alice", "bob", "carol"]);
    let mut snapshot = world.coordinator.snapshot();
    for record in snapshot.participants.as_mut().unwrap() {
        record.departed = Some(record.principal_id.as_str() == "alice");
    }
    world.config.retained_records = 2;
    world.restore(&snapshot);
    assert!(!world.coordinator.view().is_available(&"alice".parse().unwrap()));
    world.say("bob", Heartbeat::new("idle".into())); // one person is forgotten, and every index still sound
    assert!(!world.coordinator.view().is_member(&"alice".parse().unwrap()));
    assert!(world.wait(200.0).iter().all(|it| !it.text.contains("alice")), "nobody waits for her");
}

#[test]
fn a_conflict_that_was_left_resolved_is_over() {
    covers!("REC-11", "GOV-07");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["x"]);
    world.announce("bob", "i2", &["x"]);
    world.wait(301.0); // frozen
    let mut snapshot = world.coordinator.snapshot();
    snapshot.conflicts.as_mut().unwrap()[0].state = Some(ConflictState::Resolved);
    world.restore(&snapshot);
    assert_eq!(world.coordinator.view().conflict(&world.conflict()), Some(conflict::State::Closed));
    world.hello("bob");
    let stored = world.say("bob", commit_payload("o", None, "x", "", "new\n"));
    assert_eq!(heard(&stored, "bob"), ["OP_COMMIT"], "nothing is frozen");
    assert!(world.wait(1000.0).iter().all(|it| !matches!(it.message, Message::Resolution(_))));
}

#[test]
fn a_conflict_that_is_open_can_be_decided_whatever_stands_beside_it() {
    covers!("REC-11", "GOV-01");
    let mut world = World::of(&["alice", "bob"]);
    world.join("olga", &[Role::Owner]);
    world.announce("alice", "i1", &["x"]);
    world.announce("bob", "i2", &["x"]);
    let mut snapshot = world.coordinator.snapshot();
    let record = &mut snapshot.conflicts.as_mut().unwrap()[0];
    (record.resolution_id, record.resolved_by) = (Some("r".parse().unwrap()), Some("olga".parse().unwrap()));
    world.restore(&snapshot);
    world.hello("olga");
    let decided = world.say("olga", Resolution::new(world.conflict(), Decision::Approved));
    assert_eq!(heard(&decided, "olga"), ["RESOLUTION approved"]);
}

#[test]
fn incarnations_whose_names_run_together_are_stored_apart() {
    covers!("SEC-20", "SEC-21", "LAM-13", "D-037", "REC-11");
    let mut world = World::new();
    for (principal, instance) in [("x", "y|z"), ("x|y", "z"), ("|3", "x|y|z"), ("3", "x")] {
        let conn = world.connect(principal);
        let sender = Sender::new(principal.parse().unwrap(), PrincipalType::Agent, instance.parse().unwrap());
        let who = Participant::new(session_id(), sender, Introduction::new(principal));
        world.people.insert(principal.to_owned(), (conn, who));
        world.hello(principal); // and read again, the session is the same
    }
    let mut snapshot = world.coordinator.snapshot();
    let stored = snapshot.anti_replay.as_mut().unwrap().sender_frontier.as_mut().unwrap();
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["3|x", "x|y|z", "|2||3|x|y|z", "|3|x|y|z"]);
    let again = stored["|3|x|y|z"].clone();
    stored.insert("again".to_owned(), again);
    let refused = Coordinator::load(config(), &snapshot).map(|_| ()).unwrap_err();
    assert!(
        refused.to_string().starts_with("sender instance ") && refused.to_string().ends_with(" twice"),
        "{refused}"
    );
}
