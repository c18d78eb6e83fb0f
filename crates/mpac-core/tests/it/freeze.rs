//! Conflicts that nobody settles: escalated, frozen, decided by the first commit.

use mpac_core::SessionConfig;
use mpac_wire::names::{Atomicity, Decision, ErrorCode, Priority, Role};
use mpac_wire::payload::{
    BatchEntry, FileChange, Heartbeat, IntentAnnounce, IntentUpdate, OpBatchCommit, OpPropose, Resolution,
};
use mpac_wire::{Message, Scope, Seconds, StateRef};

use crate::covers;
use crate::world::{Delivery, World, commit_payload, error, heard, intent, op};

/// Nobody falls silent and no intent expires while these stories wait.
pub(crate) fn patient() -> SessionConfig {
    let mut config = crate::world::config();
    config.liveness.unavailability_timeout_sec = Some(Seconds::whole(100_000));
    config.default_intent_ttl_sec = Seconds::whole(100_000);
    config
}

/// Alice on x, Bob on x and y, in each other's way.
pub(crate) fn dispute(config: SessionConfig) -> World {
    let mut world = World::with(config);
    for name in ["alice", "bob"] {
        world.join(name, &[Role::Contributor]);
    }
    world.announce("alice", "i1", &["x"]);
    world.announce("bob", "i2", &["x", "y"]);
    world
}

/// Alice and Bob on x, each under an intent of their own name, Bob's the more urgent.
fn unequal() -> World {
    unequal_in(patient())
}

fn unequal_in(config: SessionConfig) -> World {
    let mut world = World::with(config);
    for (name, priority) in [("alice", Priority::Normal), ("bob", Priority::High)] {
        world.join(name, &[Role::Contributor]);
        let mut announce = IntentAnnounce::new(intent(name), "o".into(), Scope::files(["x"]));
        announce.priority = Some(priority);
        world.say(name, announce);
    }
    world
}

fn lines(deliveries: &[Delivery]) -> Vec<String> {
    heard(deliveries, "alice")
}

#[test]
fn without_an_arbiter_the_scope_freezes_and_the_first_committer_wins() {
    covers!(
        "GOV-14", "GOV-15", "FRZ-01", "FRZ-08", "FRZ-12", "FRZ-13", "FRZ-14", "FRZ-16", "D-012", "D-116",
        "D-117", "D-118"
    );
    let mut world = dispute(patient());
    world.say("bob", commit_payload("o1", Some("i2"), "x", "", "bob\n"));
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), "replace".into());
    propose.intent_id = Some(intent("i1"));
    world.say("alice", propose);
    world.say("alice", commit_payload("o2", Some("i1"), "x", "bob\n", "alice\n"));
    assert_eq!(lines(&world.wait(300.0)), [""; 0], "at exactly the limit nothing happens");
    let frozen = world.wait(0.001);
    assert_eq!(lines(&frozen), ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"]);
    let Message::ProtocolError(timeout) = &frozen[0].message else { panic!() };
    assert_eq!(timeout.conflict_id, Some(world.conflict()));
    assert_eq!(lines(&world.wait(59.0)), [""; 0]);
    assert_eq!(lines(&world.wait(1.0)), ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"], "the reminder of phase 2");
    assert_eq!(lines(&world.wait(239.0)), [""; 0]);
    let end = world.wait(1.0);
    assert_eq!(
        lines(&end),
        [
            "RESOLUTION policy_override",
            "OP_REJECT p frozen_scope_fallback",
            "OP_REJECT o2 frozen_scope_fallback"
        ]
    );
    let Message::Resolution(resolution) = &end[0].message else { panic!() };
    let outcome = resolution.outcome.as_ref().unwrap();
    assert_eq!(outcome.accepted, Some(vec!["o1".to_owned()]));
    assert_eq!(outcome.rejected, Some(vec!["p".to_owned(), "o2".to_owned()]));
    let id = resolution.resolution_id.as_ref().unwrap();
    assert_eq!(outcome.rollback, Some(format!("compensation:{id}")));
    let view = world.coordinator.view();
    assert_eq!(format!("{:?}", view.conflict(&world.conflict()).unwrap()), "Closed");
    assert_eq!(format!("{:?}", view.operation(&op("o2")).unwrap()), "Committed");
    assert_eq!(world.coordinator.snapshot().operations.unwrap()[1].contested, Some(true));
}

#[test]
fn a_frozen_scope_takes_no_writes_and_no_intents_but_the_rest_goes_on() {
    covers!(
        "FRZ-02", "FRZ-03", "FRZ-04", "FRZ-05", "FRZ-06", "FRZ-07", "INT-14", "SRV-07", "D-071", "D-119",
        "D-133"
    );
    let mut world = dispute(patient());
    world.join("olga", &[Role::Owner]);
    world.wait(301.0);
    let refused =
        |world: &mut World, message: Message| error(&world.say("alice", message), "alice").error_code;
    assert_eq!(
        refused(&mut world, commit_payload("o1", Some("i1"), "./x", "", "n").into()),
        ErrorCode::ScopeFrozen
    );
    // The union of both scopes is frozen.
    assert_eq!(refused(&mut world, commit_payload("o1", None, "y", "", "n").into()), ErrorCode::ScopeFrozen);
    let announce =
        |id: &str, files: &[&str]| IntentAnnounce::new(intent(id), "o".into(), Scope::files(files.to_vec()));
    assert_eq!(refused(&mut world, announce("i3", &["y", "x"]).into()), ErrorCode::ScopeFrozen);
    let mut update = IntentUpdate::new(intent("i1"));
    update.scope = Some(Scope::files(["x", "y"]));
    assert_eq!(refused(&mut world, update.clone().into()), ErrorCode::ScopeFrozen);
    // Elsewhere nothing is frozen; partly inside is accepted, relayed, and warned of.
    assert_eq!(lines(&world.say("bob", commit_payload("o1", None, "z", "", "n"))), ["OP_COMMIT"]);
    let warned = world.say("alice", announce("i3", &["y", "z"]));
    assert_eq!(lines(&warned), ["INTENT_ANNOUNCE", "PROTOCOL_ERROR SCOPE_FROZEN", "CONFLICT_REPORT"]);
    assert_eq!(heard(&warned, "bob"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
    assert!(warned.iter().any(|it| it.text.contains(r#""accepted":true"#) && it.text.contains("Warning: ")));
    assert_eq!(world.say("alice", Heartbeat::new("idle".into())).len(), 0);
    // A resolution releases it at once.
    let first = world.coordinator.view().conflicts()[0].clone();
    world.say("olga", Resolution::new(first, Decision::Dismissed));
    assert_eq!(lines(&world.say("alice", commit_payload("o2", Some("i1"), "x", "", "n"))), ["OP_COMMIT"]);
}

#[test]
fn an_arbiter_is_asked_first_and_again_in_phase_two() {
    covers!("FRZ-09", "D-110", "LIV-20", "CON-07");
    let mut world = dispute(patient());
    world.join("ada", &[Role::Arbiter]);
    assert_eq!(lines(&world.wait(301.0)), ["CONFLICT_ESCALATE"]);
    assert_eq!(lines(&world.wait(299.0)), [""; 0]);
    assert_eq!(
        lines(&world.wait(1.0)),
        ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"],
        "escalated for as long: frozen"
    );
    world.say("ada", mpac_wire::payload::Goodbye::new("user_exit".into()));
    world.join("eve", &[Role::Arbiter]);
    let phase_two = world.wait(60.0);
    assert_eq!(lines(&phase_two), ["CONFLICT_ESCALATE", "PROTOCOL_ERROR RESOLUTION_TIMEOUT"]);
    assert!(phase_two[0].text.contains(r#""escalate_to":"eve","reason":"frozen_scope_phase_2""#));
    let conflict = world.conflict();
    assert_eq!(lines(&world.say("eve", Resolution::new(conflict, Decision::Merged))), ["RESOLUTION merged"]);
}

#[test]
fn in_phase_two_the_more_urgent_intent_passes() {
    covers!("FRZ-10", "FRZ-11", "D-120");
    let mut world = unequal();
    world.wait(301.0);
    let commit = |id: &str, who: &str| commit_payload(id, Some(who), "x", "", "n");
    assert_eq!(error(&world.say("bob", commit("o", "bob")), "bob").error_code, ErrorCode::ScopeFrozen);
    let phase_two = world.wait(60.0);
    assert_eq!(lines(&phase_two), ["PROTOCOL_ERROR SCOPE_FROZEN"]);
    assert_eq!(heard(&phase_two, "bob"), [""; 0]);
    assert_eq!(error(&world.say("alice", commit("o", "alice")), "alice").error_code, ErrorCode::ScopeFrozen);
    assert_eq!(lines(&world.say("bob", commit("o", "bob"))), ["OP_COMMIT"]);
}

#[test]
fn phases_are_as_long_as_the_policy_says() {
    covers!("FRZ-17", "FRZ-18", "D-116");
    let mut config = patient();
    config.governance.resolution_timeout_sec = Some(Seconds::ZERO);
    assert_eq!(lines(&dispute(config).wait(10_000.0)), [""; 0], "0 disables");
    let mut config = patient();
    config.governance.frozen_scope_phase_1_sec = Some(Seconds::ZERO);
    config.governance.frozen_scope_phase_2_sec = Some(Seconds::ZERO);
    let all_at_once =
        ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"; 2].into_iter().chain(["RESOLUTION policy_override"]);
    assert_eq!(lines(&dispute(config).wait(301.0)), all_at_once.collect::<Vec<_>>());
    let mut config = patient();
    config.governance.frozen_scope_disable_phase_3 = Some(true);
    assert_eq!(lines(&dispute(config).wait(10_000.0)), ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"; 2]);
}

#[test]
fn a_conflict_whose_intents_end_thaws() {
    covers!("FRZ-05", "CON-10");
    let mut world = dispute(patient());
    world.wait(301.0);
    world.withdraw("alice", "i1");
    assert_eq!(lines(&world.withdraw("bob", "i2")), ["INTENT_WITHDRAW i2", "RESOLUTION dismissed"]);
    assert_eq!(lines(&world.say("bob", commit_payload("o", None, "x", "", "n"))), ["OP_COMMIT"]);
    assert_eq!(lines(&world.wait(1000.0)), [""; 0], "nothing is left to fall due");
}

#[test]
fn what_a_freeze_refuses_and_what_stays_possible() {
    covers!("FRZ-02", "FRZ-06");
    let mut world = dispute(patient());
    world.join("ada", &[Role::Arbiter]);
    world.say("alice", commit_payload("before", Some("i1"), "x", "", "n"));
    world.wait(602.0);
    let conflict = world.conflict();
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), "replace".into());
    propose.intent_id = Some(intent("i1"));
    let supersede = mpac_wire::payload::OpSupersede::new(op("s"), op("before"), "x".to_owned());
    for message in
        [Message::from(propose), commit_payload("o", Some("i1"), "x", "n", "m").into(), supersede.into()]
    {
        assert_eq!(error(&world.say("alice", message), "alice").error_code, ErrorCode::ScopeFrozen);
    }
    let ack = mpac_wire::payload::ConflictAck::new(conflict.clone(), "seen".into());
    assert_eq!(lines(&world.say("bob", ack)), ["CONFLICT_ACK"]);
    let mut update = IntentUpdate::new(intent("i1"));
    update.objective = Some("other".to_owned());
    assert_eq!(lines(&world.say("alice", update)), ["INTENT_UPDATE i1 other"]);
    assert_eq!(lines(&world.withdraw("bob", "i2")), ["INTENT_WITHDRAW i2"]);
    assert_eq!(lines(&world.say("bob", mpac_wire::payload::Goodbye::new("user_exit".into()))), ["GOODBYE"]);
    assert_eq!(
        lines(&world.say("ada", Resolution::new(conflict, Decision::Approved))),
        ["RESOLUTION approved"]
    );
}

#[test]
fn a_favoured_intent_that_is_over_opens_nothing() {
    covers!("FRZ-10", "D-120");
    let mut world = unequal();
    world.join("carol", &[Role::Contributor]);
    world.wait(362.0);
    world.withdraw("bob", "bob");
    let commit = commit_payload("o", Some("bob"), "x", "", "n");
    assert_eq!(error(&world.say("carol", commit), "carol").error_code, ErrorCode::ScopeFrozen);
}

#[test]
fn in_phase_two_it_goes_to_an_arbiter_whoever_was_asked_before_and_whenever_one_comes() {
    covers!("FRZ-09", "D-110", "FRZ-17");
    let mut config = patient();
    config.governance.frozen_scope_disable_phase_3 = Some(true);
    let mut world = dispute(config);
    world.join("olga", &[Role::Owner]);
    let conflict = world.conflict();
    let escalate =
        mpac_wire::payload::ConflictEscalate::new(conflict.clone(), "olga".parse().unwrap(), "r".into());
    world.say("bob", escalate);
    assert_eq!(lines(&world.wait(400.0)), ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"; 2]);
    assert_eq!(heard(&world.join("ada", &[Role::Arbiter]), "ada"), ["SESSION_INFO", "CONFLICT_ESCALATE"]);
    assert_eq!(lines(&world.say("ada", Resolution::new(conflict, Decision::Merged))), ["RESOLUTION merged"]);
}

#[test]
fn a_freeze_loses_nothing_that_was_there_before() {
    covers!("FRZ-20", "D-113", "D-118");
    let mut world = dispute(patient());
    world.join("olga", &[Role::Owner]);
    world.say("bob", commit_payload("o1", Some("i2"), "x", "", "bob\n"));
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), "replace".into());
    propose.intent_id = Some(intent("i1"));
    world.say("alice", propose);
    world.wait(400.0);
    let state =
        |world: &World, id: &str| format!("{:?}", world.coordinator.view().operation(&op(id)).unwrap());
    assert_eq!((state(&world, "o1").as_str(), state(&world, "p").as_str()), ("Committed", "Proposed"));
    let commit = commit_payload("p", Some("i1"), "x", "bob\n", "alice\n");
    assert_eq!(error(&world.say("alice", commit.clone()), "alice").error_code, ErrorCode::ScopeFrozen);
    world.say("olga", Resolution::new(world.conflict(), Decision::Merged));
    assert_eq!(heard(&world.say("alice", commit), "bob"), ["OP_COMMIT"]);
}

#[test]
fn without_losers_that_committed_nothing_is_rolled_back() {
    covers!("D-118", "FRZ-13", "FRZ-16");
    for commits in [0, 1] {
        let mut world = dispute(patient());
        if commits == 1 {
            let mut propose = OpPropose::new(op("p"), "x".to_owned(), "replace".into());
            propose.intent_id = Some(intent("i1"));
            world.say("bob", commit_payload("o1", Some("i2"), "x", "", "bob\n"));
            world.say("alice", propose);
        }
        let end = world.wait(601.0);
        let resolution = end.iter().find_map(|it| match &it.message {
            Message::Resolution(resolution) => Some(resolution.clone()),
            _ => None,
        });
        let outcome = resolution.unwrap().outcome.unwrap();
        assert_eq!(outcome.rollback.as_deref(), Some("not_required"));
        let expected = (commits == 1).then_some(("o1", "p"));
        let list = |id: Option<&str>| Some(id.map(str::to_owned).into_iter().collect::<Vec<_>>());
        assert_eq!(outcome.accepted, list(expected.map(|(winner, _)| winner)));
        assert_eq!(outcome.rejected, list(expected.map(|(_, loser)| loser)));
        // The intents stay as they are.
        assert_eq!(format!("{:?}", world.coordinator.view().intent(&intent("i1")).unwrap()), "Active");
        assert_eq!(format!("{:?}", world.coordinator.view().intent(&intent("i2")).unwrap()), "Active");
    }
}

#[test]
fn an_all_or_nothing_batch_wins_as_a_whole() {
    covers!("D-118", "FRZ-13", "BAT-12");
    let mut world = dispute(patient());
    let entry = |id: &str, target: &str| {
        let refs = (StateRef::of(""), StateRef::of("bob\n"));
        BatchEntry::new(op(id), target.to_owned(), "replace".into(), refs.0, refs.1)
    };
    let entries = vec![entry("o1", "x"), entry("o2", "y")];
    let mut batch = OpBatchCommit::new("b".parse().unwrap(), Atomicity::AllOrNothing, entries);
    batch.intent_id = Some(intent("i2"));
    world.say("bob", batch);
    world.say("alice", commit_payload("o3", Some("i1"), "x", "bob\n", "alice\n"));
    let end = world.wait(601.0);
    assert_eq!(heard(&end, "bob").last().unwrap(), "RESOLUTION policy_override", "none of his was rejected");
    let outcome = end.iter().find_map(|it| match &it.message {
        Message::Resolution(resolution) => resolution.outcome.clone(),
        _ => None,
    });
    let outcome = outcome.unwrap();
    assert_eq!(outcome.accepted, Some(vec!["o1".to_owned(), "o2".to_owned()]));
    assert_eq!(outcome.rejected, Some(vec!["o3".to_owned()]));
}

#[test]
fn in_phase_two_the_only_intent_that_is_left_passes() {
    covers!("FRZ-10", "D-120");
    let mut world = dispute(patient());
    world.wait(301.0);
    world.withdraw("alice", "i1");
    // Nobody is left to be told that the scope is open for somebody else; the conflict is still to be settled.
    assert_eq!(lines(&world.wait(60.0)), ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"]);
    let commit = |under: Option<&str>| commit_payload("o", under, "x", "", "n");
    assert_eq!(error(&world.say("alice", commit(None)), "alice").error_code, ErrorCode::ScopeFrozen);
    assert_eq!(lines(&world.say("bob", commit(Some("i2")))), ["OP_COMMIT"]);
}

#[test]
fn contents_do_not_reach_a_frozen_file_beside_their_target() {
    covers!("FRZ-02", "D-091");
    let mut world = dispute(patient());
    world.wait(301.0);
    let mut commit = commit_payload("o", None, "free", "", "n");
    let both = [
        ("free", FileChange::new("n".into(), StateRef::of(""))),
        ("./x", FileChange::new("m".into(), StateRef::of(""))),
    ];
    commit.file_changes = Some(both.into_iter().collect());
    assert_eq!(error(&world.say("alice", commit.clone()), "alice").error_code, ErrorCode::ScopeFrozen);
    assert_eq!(world.files.len(), 0);
    let free = [("free", FileChange::new("n".into(), StateRef::of("")))];
    commit.file_changes = Some(free.into_iter().collect());
    assert_eq!(lines(&world.say("alice", commit)), ["OP_COMMIT"]);
}

#[test]
fn whose_intent_must_wait_in_phase_two_holds_back_by_itself() {
    covers!("PAR-23", "FRZ-11");
    let mut config = patient();
    config.status_heartbeats = true; // or the coordinator would count as gone
    let mut world = unequal_in(config);
    world.wait(361.0);
    let write = |id: &str, under: &str| commit_payload(id, Some(under), "x", "", "new\n");
    let held = world.try_say("alice", write("o1", "alice")).unwrap_err();
    assert_eq!(held, mpac_core::participant::Withheld::Frozen("x".to_owned()), "bob's goes first");
    assert_eq!(heard(&world.try_say("bob", write("o2", "bob")).unwrap(), "bob"), ["OP_COMMIT"]);
}

/// Who wins and who loses the last phase of the only conflict.
fn outcome(deliveries: &[Delivery]) -> (Vec<String>, Vec<String>) {
    let resolution = deliveries.iter().find_map(|it| match &it.message {
        Message::Resolution(resolution) => resolution.outcome.clone(),
        _ => None,
    });
    let outcome = resolution.unwrap();
    (outcome.accepted.unwrap(), outcome.rejected.unwrap())
}

#[test]
fn what_was_committed_under_an_earlier_intent_of_the_id_is_no_side_of_a_conflict() {
    covers!("FRZ-13", "D-118", "D-024", "GOV-05");
    let mut world = World::with(patient());
    world.join("alice", &[Role::Contributor]);
    world.join("bob", &[Role::Contributor]);
    world.join("olga", &[Role::Owner]);
    world.announce("alice", "i1", &["a"]);
    world.say("alice", commit_payload("o1", Some("i1"), "a", "", "a\n"));
    world.withdraw("alice", "i1");
    world.announce("alice", "i1", &["b"]);
    world.announce("bob", "i2", &["b"]);
    // Nobody accepts or rejects it in the name of this conflict.
    let mut foreign = Resolution::new(world.conflict(), Decision::Merged);
    let mut accepts = mpac_wire::payload::Outcome::new();
    accepts.accepted = Some(vec!["o1".to_owned()]);
    foreign.outcome = Some(accepts);
    assert_eq!(error(&world.say("olga", foreign), "olga").error_code, ErrorCode::InvalidReference);
    world.say("bob", commit_payload("o2", Some("i2"), "b", "", "b\n"));
    world.restart(0.0);
    ["alice", "bob"].iter().for_each(|name| drop(world.hello(name)));
    assert_eq!(outcome(&world.wait(601.0)), (vec!["o2".to_owned()], vec![]));
}

#[test]
fn what_was_committed_under_an_id_before_it_was_announced_is_no_side_of_a_conflict() {
    covers!("FRZ-13", "D-118", "D-093");
    let mut world = World::with(patient());
    ["alice", "bob", "mallory"].iter().for_each(|name| drop(world.join(name, &[Role::Contributor])));
    world.say("mallory", commit_payload("o1", Some("i1"), "a", "", "a\n"));
    world.announce("alice", "i1", &["b"]);
    world.announce("bob", "i2", &["b"]);
    world.say("bob", commit_payload("o2", Some("i2"), "b", "", "b\n"));
    assert_eq!(outcome(&world.wait(601.0)), (vec!["o2".to_owned()], vec![]));
}

#[test]
fn what_was_committed_under_a_forgotten_intent_is_not_of_the_next_one_of_its_id() {
    covers!("FRZ-13", "D-118", "SES-27");
    let mut config = patient();
    config.retained_records = 2;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.join("bob", &[Role::Contributor]);
    world.announce("bob", "i1", &["a"]);
    world.say("bob", commit_payload("o1", Some("i1"), "a", "", "a\n"));
    for id in ["i1", "i3", "i4"] {
        world.announce("bob", id, &["c"]);
        world.withdraw("bob", id);
    }
    world.announce("alice", "i1", &["b"]);
    world.announce("bob", "i2", &["b"]);
    world.say("bob", commit_payload("o2", Some("i2"), "b", "", "b\n"));
    assert_eq!(outcome(&world.wait(601.0)), (vec!["o2".to_owned()], vec![]));
}
