//! Endless repetition does not grow a session; what may be asked about stays (SES-27).

use mpac_core::Input;
use mpac_core::table::{conflict, intent as intents, operation};
use mpac_wire::names::{AckType, Atomicity, Decision, ErrorCode, IntentDisposition, Role};
use mpac_wire::payload::{
    BatchEntry, ConflictAck, ConflictReport, Goodbye, Heartbeat, IntentClaim, OpBatchCommit, OpPropose,
    Resolution,
};
use mpac_wire::{Message, Scope, StateRef};

use crate::covers;
use crate::world::{World, commit_payload, config, error, heard, intent, op};

fn small(records: usize) -> World {
    let mut config = config();
    config.retained_records = records;
    config.level = mpac_core::ProtocolLevel::V0_1_14;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.join("bob", &[Role::Contributor]);
    world.join("olga", &[Role::Owner]);
    world
}

/// Everything that can end, ends once: intents, operations, batches, conflicts, claims, deferrals, a guest.
fn round(world: &mut World, n: u32, content: &mut String) {
    let id = |what: &str| format!("{what}{n}");
    world.announce("alice", &id("i"), &["a.py"]);
    world.announce("bob", &id("j"), &["a.py"]);
    let dispute = world.conflict();
    world.say("alice", ConflictAck::new(dispute.clone(), AckType::Seen));
    world.say("alice", ConflictAck::new(dispute.clone(), AckType::Seen));
    let next = format!("{n}\n");
    world.say("alice", commit_payload(&id("o"), Some(&id("i")), "a.py", content, &next));
    *content = next;
    let mut propose = OpPropose::new(op(&id("p")), "b".to_owned(), "replace".into());
    propose.intent_id = Some(intent(&id("j")));
    world.say("bob", propose);
    world.say("olga", Resolution::new(dispute, Decision::Approved));
    world.withdraw("alice", &id("i"));
    let refs = (StateRef::of(&format!("t{}", n - 1)), StateRef::of(&id("t")));
    let entry = BatchEntry::new(op(&id("e")), "t".to_owned(), "replace".into(), refs.0, refs.1);
    world.say("bob", OpBatchCommit::new(id("b").parse().unwrap(), Atomicity::BestEffort, vec![entry]));
    world.join(&id("guest"), &[Role::Contributor]);
    world.announce(&id("guest"), &id("g"), &["guest.py"]);
    let mut bye = Goodbye::new("user_exit".into());
    bye.intent_disposition = Some(IntentDisposition::Transfer);
    world.say(&id("guest"), bye);
    let scope = Scope::files(["guest.py"]);
    let owner = id("guest").parse().unwrap();
    let (claim, new) = (id("c").parse().unwrap(), intent(&id("k")));
    world.say("alice", IntentClaim::new(claim, intent(&id("g")), owner, new, "o".to_owned(), scope));
    world.wait(31.0); // the claim is granted, bob's orphaned proposal rejected
    world.withdraw("alice", &id("k"));
    world.withdraw("bob", &id("j"));
    for name in ["alice", "bob", "olga"] {
        world.say(name, Heartbeat::new("idle".into()));
    }
    let conn = world.people.remove(&id("guest")).unwrap().0;
    world.input(Input::Disconnect { conn });
    world.log.clear();
    world.steps.clear();
}

/// What everybody is told at the end.
fn summary(world: &mut World) -> serde_json::Value {
    let close = world.close();
    let Message::SessionClose(close) = &close.last().unwrap().message else { panic!("no SESSION_CLOSE") };
    serde_json::to_value(close.summary.as_ref().unwrap()).unwrap()
}

#[test]
fn a_session_that_goes_on_for_ever_does_not_grow() {
    covers!("SES-27", "D-134");
    let mut world = small(20);
    world.checked = false; // for the time it takes; once at the end
    let mut content = "one\n".to_owned();
    let size = |world: &World| serde_json::to_string(&world.coordinator.snapshot()).unwrap().len();
    for n in 1000..1060 {
        round(&mut world, n, &mut content);
    }
    let warm = size(&world);
    for n in 1060..1200 {
        round(&mut world, n, &mut content);
    }
    let later = size(&world);
    assert!(later <= warm + warm / 50, "{warm} bytes became {later}");
    world.checked = true;
    world.say("bob", Heartbeat::new("idle".into()));
    // The summary still counts all of it.
    let summary = summary(&mut world);
    assert_eq!(summary["total_intents"], 800);
    assert_eq!(summary["total_operations"], 600);
    assert_eq!(summary["total_conflicts"], 200);
    assert_eq!(summary["total_participants"], 203);
}

/// Of these, those that the session still knows.
fn known_of(names: &[String], knows: impl Fn(&str) -> bool) -> &[String] {
    let first = names.iter().position(|name| knows(name)).unwrap_or(names.len());
    let (gone, there) = names.split_at(first);
    assert!(there.iter().all(|name| knows(name)), "the oldest go first: {gone:?} are gone, and others");
    there
}

#[test]
fn what_is_beyond_the_limit_is_forgotten_many_at_a_time() {
    covers!("SES-27");
    const LIMIT: usize = 128; // and two are a 64th of it
    let mut world = small(LIMIT);
    world.checked = false; // for the time it takes; once at the end
    let names: Vec<String> = (0..LIMIT + 10).map(|n| format!("{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        world.announce("alice", name, &["a"]);
        world.withdraw("alice", name);
        world.say("bob", commit_payload(name, None, name, "", "x"));
        let (view, names) = (world.coordinator.view(), &names[..=n]);
        let kept = match names.len() {
            all @ ..=130 => all,
            more => LIMIT + (more - LIMIT) % 3,
        };
        assert_eq!(known_of(names, |name| view.intent(&intent(name)).is_some()).len(), kept, "{n}");
        assert_eq!(known_of(names, |name| view.operation(&op(name)).is_some()).len(), kept, "{n}");
    }
    world.checked = true;
    world.say("bob", Heartbeat::new("idle".into()));
    let summary = summary(&mut world);
    assert_eq!(summary["total_intents"], names.len());
    assert_eq!(summary["total_operations"], names.len());
}

#[test]
fn a_session_that_forgets_many_at_a_time_is_as_one_that_is_taken_up_in_between() {
    covers!("SES-27", "REC-11");
    let mut world = small(128);
    let mut content = "one\n".to_owned();
    for n in 1000..1140 {
        // Looked at after each input, where conflicts, operations and intents go by turns.
        world.checked = n >= 1134;
        round(&mut world, n, &mut content);
    }
}

#[test]
fn what_waits_to_be_forgotten_and_comes_into_a_conflict_stays() {
    covers!("SES-27");
    let mut world = small(128);
    let end = |world: &mut World, n: u32| {
        world.announce("alice", &format!("{n}"), &["a"]);
        world.withdraw("alice", &format!("{n}"));
    };
    (0..130).for_each(|n| end(&mut world, n));
    world.announce("bob", "live", &["b"]);
    let mut report = ConflictReport::new("c".parse().unwrap(), "semantic_goal_conflict".into(), "low".into());
    report.related_intents = Some(vec![intent("0"), intent("live")]);
    assert_eq!(heard(&world.say("bob", report), "bob"), ["CONFLICT_REPORT"]);
    (130..140).for_each(|n| end(&mut world, n));
    let knows = |n: u32| world.coordinator.view().intent(&intent(&format!("{n}"))).is_some();
    assert_eq!([0, 1, 2, 139].map(knows), [true, false, false, true]);
}

#[test]
fn a_batch_is_forgotten_with_the_last_of_its_own_operations() {
    covers!("SES-27", "BAT-10");
    let mut world = small(1);
    let batch = |id: &str, ops: &[&str]| {
        let entry = |name: &&str| {
            let (before, after) = (StateRef::of("0"), StateRef::of("1"));
            BatchEntry::new(op(name), format!("{id}/{name}"), "replace".into(), before, after)
        };
        OpBatchCommit::new(id.parse().unwrap(), Atomicity::BestEffort, ops.iter().map(entry).collect())
    };
    let known = |world: &World| {
        let batches = world.coordinator.snapshot().batches.unwrap();
        batches.iter().map(|it| it.batch_id.to_string()).collect::<Vec<_>>()
    };
    world.say("alice", batch("first", &["a", "b"])); // `a` is forgotten at once
    assert_eq!(known(&world), ["first"]);
    world.say("alice", batch("second", &["a"])); // another operation of that id; `b` is forgotten
    assert_eq!(known(&world), ["second"]);
}

#[test]
fn what_something_alive_refers_to_is_not_forgotten() {
    covers!("SES-27", "CAS-01", "FRZ-13");
    let mut world = small(1);
    // A proposal waits for the end of its grace under an intent that is over.
    world.announce("alice", "old", &["x"]);
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), "replace".into());
    propose.intent_id = Some(intent("old"));
    world.say("alice", propose);
    world.withdraw("alice", "old");
    // A conflict is open about an intent that is over, and an operation that is done.
    world.announce("alice", "i1", &["a.py"]);
    world.announce("bob", "i2", &["a.py"]);
    let id = world.conflict();
    world.say("alice", commit_payload("o1", Some("i1"), "a.py", "one\n", "two\n"));
    world.withdraw("alice", "i1");
    for n in 0..5 {
        world.announce("bob", &format!("n{n}"), &["n"]);
        world.withdraw("bob", &format!("n{n}"));
        world.say("bob", commit_payload(&format!("q{n}"), None, &format!("f{n}"), "", "x"));
    }
    let view = world.coordinator.view();
    assert_eq!(view.intent(&intent("old")), Some(intents::State::Withdrawn));
    assert_eq!(view.intent(&intent("i1")), Some(intents::State::Withdrawn));
    assert_eq!(view.operation(&op("o1")), Some(operation::State::Committed));
    assert_eq!(view.conflict(&id), Some(conflict::State::Open));
    assert_eq!(view.intent(&intent("n3")), None, "forgotten");
    assert_eq!(view.intent(&intent("n4")), Some(intents::State::Withdrawn), "the last one is kept");
    assert_eq!(view.operation(&op("q3")), None);
    let rejected = world.wait(30.0);
    assert_eq!(heard(&rejected, "alice"), ["OP_REJECT p intent_terminated"]);
    world.say("olga", Resolution::new(id, Decision::Approved));
    assert_eq!(world.coordinator.view().intent(&intent("old")), None);
    // Contents outlive the record of their commit: a stale commit is stale for ever.
    let stale = world.say("bob", commit_payload("o9", None, "f0", "", "y"));
    assert_eq!(error(&stale, "bob").error_code, ErrorCode::StaleStateRef);
}

/// `name` starts anew, as its next process.
fn reborn(world: &mut World, name: &str, incarnation: u32) {
    let conn = world.people[name].0;
    world.input(Input::Disconnect { conn });
    world.reconnect(name);
    world.wait(1.0);
    *world.who(name) = World::participant(name, incarnation, &[Role::Contributor]);
    assert_eq!(heard(&world.hello(name), name), ["SESSION_INFO"]);
}

#[test]
fn one_who_comes_back_as_ever_other_processes_leaves_a_bounded_trail() {
    covers!("SES-27", "SEC-21", "LAM-13");
    let mut world = small(5);
    let trail = |world: &World| {
        let stored = world.coordinator.snapshot().anti_replay.unwrap();
        stored.sender_frontier.unwrap().into_keys().collect::<Vec<_>>()
    };
    for n in 2..30 {
        reborn(&mut world, "alice", n);
        assert!(trail(&world).len() <= 5);
    }
    // Those who are here, and the latest of those who are not.
    assert_eq!(
        trail(&world),
        ["alice|alice:27", "alice|alice:28", "alice|alice:29", "bob|bob:1", "olga|olga:1"]
    );
    // Bob has said nothing all the while, and what he said still counts.
    let hello = world.log.iter().find_map(|record| match &record.input {
        Input::Frame { from, text } if from.conn == world.people["bob"].0 => Some(text.clone()),
        _ => None,
    });
    let again = world.frame(world.people["bob"].0, &hello.unwrap());
    assert!(error(&again, "bob").description.contains("watermark"), "{again:?}");
    // More may be here than records are kept: nobody is forgotten for it.
    for n in 0..5 {
        world.join(&format!("p{n}"), &[Role::Contributor]);
    }
    assert_eq!(trail(&world).len(), 8);
    for n in 0..5 {
        let conn = world.people[&format!("p{n}")].0;
        world.input(Input::Disconnect { conn });
    }
    assert_eq!(trail(&world).len(), 5);
}

#[test]
fn people_who_left_are_forgotten_when_nothing_is_left_of_them() {
    covers!("SES-27", "LIV-05");
    let mut world = small(3); // and three are here
    let known = |world: &World, who: &str| world.coordinator.view().is_member(&who.parse().unwrap());
    let leave = |world: &mut World, who: &str| {
        let mut bye = Goodbye::new("user_exit".into());
        bye.intent_disposition = Some(IntentDisposition::Transfer);
        world.say(who, bye);
    };
    for guest in ["g1", "g2", "g3"] {
        world.join(guest, &[Role::Contributor]);
    }
    world.announce("g1", "i", &["x"]);
    leave(&mut world, "g1");
    leave(&mut world, "g2");
    // A lost connection is not yet somebody who left.
    let conn = world.people["g3"].0;
    world.input(Input::Disconnect { conn });
    let there = ["g1", "g2", "g3"].map(|guest| known(&world, guest));
    assert_eq!(there, [true, false, true], "g1 has an intent that somebody may claim");
    world.wait(91.0);
    assert!(!known(&world, "g3") && known(&world, "g1"));
    world.wait(210.0);
    assert!(!known(&world, "g1"), "its intent has expired");
    assert!(["alice", "bob", "olga"].iter().all(|who| known(&world, who)), "silent, and here");
    // Nobody counts the seconds of one who said that they would be away, and they need not say GOODBYE.
    world.join("g4", &[Role::Contributor]);
    world.say("g4", Heartbeat::new(mpac_wire::names::HeartbeatStatus::Offline));
    assert!(known(&world, "g4"), "offline, and connected");
    let conn = world.people["g4"].0;
    world.input(Input::Disconnect { conn });
    assert!(!known(&world, "g4"));
    // Whoever was forgotten joins as anybody does.
    assert_eq!(heard(&world.hello("g2"), "g2"), ["SESSION_INFO"]);
    assert!(known(&world, "g2"));
}

#[test]
fn the_id_of_a_forgotten_operation_is_not_its_old_batch_s_any_more() {
    covers!("SES-27", "D-084", "BAT-09", "BAT-11");
    let mut config = crate::precommit::precommit();
    config.operation_authorization = mpac_core::config::OperationAuthorization::Review;
    config.retained_records = 1;
    let mut world = crate::precommit::world(config);
    let batch =
        |id: &str, ops: &[(&str, &str, &str, &str)]| crate::precommit::batch(id, Atomicity::BestEffort, ops);
    let reject = |id: &str| mpac_wire::payload::OpReject::new(op(id), "policy_violation".into());
    let state = |world: &World, id: &str| world.coordinator.view().operation(&op(id));
    world.say("alice", batch("b", &[("o1", "x", "", "1"), ("o2", "x", "", "1"), ("o3", "x", "", "1")]));
    for op in ["o1", "o2"] {
        world.say("rita", reject(op));
    }
    assert_eq!(state(&world, "o1"), None, "forgotten");
    world.say("alice", batch("c", &[("o1", "y", "", "1")]));
    // Nor is it completed with the old batch.
    world.say("rita", Resolution::new("c".parse().unwrap(), Decision::Approved));
    let foreign = world.say("alice", batch("b", &[("o1", "y", "", "1")]));
    assert_eq!(error(&foreign, "alice").error_code, ErrorCode::InvalidReference);
    let decided = world.say("rita", Resolution::new("b".parse().unwrap(), Decision::Rejected));
    assert_eq!(heard(&decided, "alice"), ["RESOLUTION rejected", "OP_REJECT o3 resolution_rejected"]);
    assert_eq!(state(&world, "o1"), Some(operation::State::Proposed));
}

#[test]
fn what_a_waiting_operation_would_replace_is_not_forgotten() {
    covers!("SES-27", "D-099");
    let mut config = crate::precommit::precommit();
    config.operation_authorization = mpac_core::config::OperationAuthorization::Review;
    config.retained_records = 1;
    let mut world = crate::precommit::world(config);
    let state = |world: &World, id: &str| world.coordinator.view().operation(&op(id));
    let approve = |id: &str| Resolution::new(id.parse().unwrap(), Decision::Approved);
    let commit = |id: &str, before: &str, after: &str| commit_payload(id, Some("i"), "x", before, after);
    world.say("alice", commit("o", "", "1"));
    world.say("rita", approve("o"));
    world.say("alice", commit("o", "", "1"));
    for id in ["n", "rejected"] {
        let mut supersede = mpac_wire::payload::OpSupersede::new(op(id), op("o"), "x".to_owned());
        supersede.intent_id = Some(intent("i"));
        supersede.state_ref_after = Some(StateRef::of("2"));
        world.say("alice", supersede);
    }
    let others = |world: &mut World, name: &str| {
        for n in 0..3 {
            let mut propose = OpPropose::new(op(&format!("{name}{n}")), "x".to_owned(), "replace".into());
            propose.intent_id = Some(intent("i"));
            world.say("alice", propose);
            world.say("rita", mpac_wire::payload::OpReject::new(op(&format!("{name}{n}")), "no".into()));
        }
    };
    others(&mut world, "p");
    world.say("rita", mpac_wire::payload::OpReject::new(op("rejected"), "no".into()));
    others(&mut world, "q");
    assert_eq!(state(&world, "o"), Some(operation::State::Committed));
    world.say("rita", approve("n"));
    world.say("alice", commit("n", "1", "2"));
    assert_eq!(state(&world, "o"), None, "now it may be");
    let forgotten = world.coordinator.snapshot().coordinator_state.unwrap().forgotten.unwrap();
    assert!(forgotten.operations.unwrap().contains_key("SUPERSEDED"));
}
