//! What whoever comes back is told.

use mpac_core::config::OperationAuthorization;
use mpac_core::participant::{News, Withheld};
use mpac_core::{Input, SessionConfig};
use mpac_wire::names::{Decision, OpKind, Role};
use mpac_wire::payload::{
    ConflictReport, Goodbye, Heartbeat, Hello, IntentAnnounce, OpPropose, Outcome, Resolution,
};
use mpac_wire::{ConflictId, Message, Scope};

use crate::covers;
use crate::freeze::{dispute, patient};
use crate::precommit::{authorised, precommit, propose};
use crate::world::{Delivery, World, commit_payload, heard, intent, op};

/// `name`'s connection breaks.
fn drop_out(world: &mut World, name: &str) {
    let conn = world.people[name].0;
    world.input(Input::Disconnect { conn });
}

/// `name`'s process is back on another connection.
fn come_back(world: &mut World, name: &str) -> Vec<Delivery> {
    let conn = world.connect(name);
    world.people.get_mut(name).unwrap().0 = conn;
    world.hello(name)
}

/// Another process of `name` comes on another connection, in this role.
fn restart(world: &mut World, name: &str, role: Role) -> Vec<Delivery> {
    let conn = world.connect(name);
    world.people.insert(name.to_owned(), (conn, World::participant(name, 2, &[role])));
    world.hello(name)
}

/// Whether nobody but `name` received these.
fn private(deliveries: &[Delivery], name: &str) -> bool {
    deliveries.iter().all(|delivery| delivery.to == name)
}

#[test]
fn a_short_break_is_followed_by_what_is_still_active() {
    covers!("HEL-18", "D-051", "D-057", "LIV-16");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["x"]);
    world.announce("bob", "j", &["y"]);
    drop_out(&mut world, "bob");
    let told = come_back(&mut world, "bob");
    assert_eq!(
        heard(&told, "bob"),
        ["SESSION_INFO", "INTENT_UPDATE i bob does i", "INTENT_UPDATE j bob does j"]
    );
    assert!(private(&told, "bob"));
    assert!(told[1].text.contains(r#""extensions":{"mpac":{"state":"ACTIVE"}}"#), "{}", told[1].text);
    // A refresh on the same connection is no return.
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO"]);
}

#[test]
fn after_a_long_one_everybody_hears_that_the_intents_are_active_again_once() {
    covers!("HEL-17", "HEL-18", "LIV-14", "D-051");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["x"]);
    drop_out(&mut world, "bob");
    world.wait(100.0);
    let told = come_back(&mut world, "bob");
    assert_eq!(heard(&told, "bob"), ["SESSION_INFO", "INTENT_UPDATE i bob does i"]);
    assert_eq!(heard(&told, "alice"), ["INTENT_UPDATE i bob does i"]);
    assert!(told[1].text.contains(r#""cause":"owner_unavailable","state":"ACTIVE""#), "{}", told[1].text);
}

#[test]
fn what_ended_meanwhile_is_told_to_the_process_that_began_it() {
    covers!("HEL-18");
    for same_process in [true, false] {
        let mut world = World::of(&["alice", "bob"]);
        world.announce("bob", "i", &["x"]);
        world.announce("alice", "k", &["z"]);
        let proposal = |id: &str, under: &str, target: &str| {
            let mut propose = OpPropose::new(op(id), target.to_owned(), OpKind::Replace);
            propose.intent_id = Some(intent(under));
            propose
        };
        world.say("bob", proposal("o", "i", "x"));
        drop_out(&mut world, "bob");
        world.wait(301.0);
        assert!(world.coordinator.view().intent(&intent("i")).unwrap().is_terminal());
        // It is remembered in the stored form.
        let stored = world.coordinator.snapshot();
        let read = mpac_core::Coordinator::load(world.config.clone(), &stored).unwrap();
        assert_eq!(read, world.coordinator);
        let told = if same_process {
            come_back(&mut world, "bob")
        } else {
            restart(&mut world, "bob", Role::Contributor)
        };
        let news: &[&str] = &["SESSION_INFO", "INTENT_WITHDRAW i", "OP_REJECT o participant_unavailable"];
        assert_eq!(heard(&told, "bob"), if same_process { news } else { &news[..1] });
        assert!(private(&told, "bob"));
        if same_process {
            assert!(told[1].text.contains(r#""reason":"expired""#), "{}", told[1].text);
        }
        // It is told once.
        drop_out(&mut world, "bob");
        assert_eq!(heard(&come_back(&mut world, "bob"), "bob"), ["SESSION_INFO"]);
    }
}

#[test]
fn a_proposal_refused_in_its_proposer_s_absence_is_told_with_its_reason() {
    covers!("HEL-18", "OPS-17");
    let mut world = World::of(&["bob"]);
    world.join("ada", &[Role::Reviewer]);
    world.say("bob", OpPropose::new(op("o"), "x".to_owned(), OpKind::Replace));
    drop_out(&mut world, "bob");
    world.say("ada", mpac_wire::payload::OpReject::new(op("o"), "policy_violation".into()));
    let told = come_back(&mut world, "bob");
    assert_eq!(heard(&told, "bob"), ["SESSION_INFO", "OP_REJECT o policy_violation"]);
}

#[test]
fn an_authorisation_given_in_its_proposer_s_absence_is_told_and_can_be_used() {
    covers!("HEL-18", "OPS-08", "OPS-24", "OPS-25", "PAR-12", "D-098");
    for same_process in [true, false] {
        let mut config = precommit();
        config.operation_authorization = OperationAuthorization::Review;
        let mut world = crate::precommit::world(config);
        for id in ["p", "o"] {
            world.say("alice", propose(id));
        }
        drop_out(&mut world, "alice");
        let approve = |world: &mut World, id: &str| {
            world.say("rita", Resolution::new(id.parse().unwrap(), Decision::Approved))
        };
        assert_eq!(authorised(&approve(&mut world, "p")), [""; 0], "nobody is there");
        approve(&mut world, "o");
        assert!(!world.who("alice").may_apply(&op("p")));
        let told = if same_process {
            come_back(&mut world, "alice")
        } else {
            restart(&mut world, "alice", Role::Contributor)
        };
        assert!(private(&told, "alice"));
        // The Python agent, another process each time, would take them for the answer to its next proposal.
        let expected: &[&str] = if same_process { &["p to alice", "o to alice"] } else { &[] };
        assert_eq!(authorised(&told), expected);
        if !same_process {
            continue;
        }
        assert!(told.last().unwrap().text.contains(r#""authorized_by":"rita""#));
        assert!(world.who("alice").may_apply(&op("p")));
        let done = world.try_say("alice", commit_payload("p", Some("i"), "a.py", "one\n", "2")).unwrap();
        assert_eq!(heard(&done, "bob"), ["OP_COMMIT"]);
        // Also by a coordinator that was started again; what is done needs no authorisation any more.
        world.restart(1.0);
        let told = world.hello("alice");
        assert_eq!(told.last().unwrap().line(), "COORDINATOR_STATUS authorization");
        assert!(told.last().unwrap().text.contains(r#""authorized_op_id":"o""#));
        // A refresh on the same connection is no return, and what only outlives its intent cannot be completed.
        assert_eq!(heard(&world.hello("alice"), "alice"), ["SESSION_INFO"]);
        world.withdraw("alice", "i");
        drop_out(&mut world, "alice");
        assert_eq!(heard(&come_back(&mut world, "alice"), "alice"), ["SESSION_INFO"]);
    }
}

/// Alice commits o1 on x, Bob o2 on top of it and loses his connection; olga, an owner, is there.
fn disputed_commits(config: SessionConfig) -> World {
    let mut world = dispute(config);
    world.join("olga", &[Role::Owner]);
    world.say("alice", commit_payload("o1", Some("i1"), "x", "", "alice\n"));
    world.say("bob", commit_payload("o2", Some("i2"), "x", "alice\n", "bob\n"));
    drop_out(&mut world, "bob");
    world.news("bob");
    world
}

fn undo(conflict: &ConflictId) -> Resolution {
    let mut resolution = Resolution::new(conflict.clone(), Decision::PolicyOverride);
    let mut outcome = Outcome::new();
    (outcome.rejected, outcome.rollback) = (Some(vec!["o2".to_owned()]), Some("undo-1".to_owned()));
    (resolution.outcome, resolution.rationale) = (Some(outcome), Some("she was first".to_owned()));
    resolution
}

/// What `name` was told to undo.
fn to_undo(world: &mut World, name: &str) -> Vec<String> {
    let news = world.news(name).into_iter();
    let undone = news.filter_map(|it| match it {
        News::Compensate(all) => Some(all.reversals),
        _ => None,
    });
    undone.flatten().map(|it| format!("{} by {}", it.reverses, it.op_id)).collect()
}

#[test]
fn what_was_decided_against_in_its_author_s_absence_is_undone_once_it_is_back() {
    covers!("GOV-21", "HEL-18", "REC-29");
    for same_process in [true, false] {
        let mut world = disputed_commits(patient());
        let conflict = world.conflict();
        world.say("olga", undo(&conflict));
        // Also by a coordinator that was started again.
        world.restart(1.0);
        let told = if same_process {
            come_back(&mut world, "bob")
        } else {
            restart(&mut world, "bob", Role::Contributor)
        };
        let resolutions: Vec<_> = told
            .iter()
            .filter(|it| matches!(it.message, Message::Resolution(_)))
            .map(|it| (it.to.as_str(), it.from.as_str()))
            .collect();
        if !same_process {
            assert_eq!(resolutions, []);
            continue;
        }
        assert_eq!(resolutions, [("bob", "service:coordinator-s")]);
        let text = &told.iter().find(|it| matches!(it.message, Message::Resolution(_))).unwrap().text;
        assert!(text.contains(r#""resolved_by":"olga""#) && text.contains("she was first"), "{text}");
        assert_eq!(to_undo(&mut world, "bob"), ["o2 by undo-1"]);
        // It is told once.
        drop_out(&mut world, "bob");
        come_back(&mut world, "bob");
        assert_eq!(to_undo(&mut world, "bob"), [""; 0]);
    }
}

#[test]
fn who_was_decided_against_in_its_absence_waits_as_if_it_had_heard_it() {
    covers!("HEL-18", "BKO-01", "BKO-06", "D-082", "D-083");
    let mut world = dispute(patient());
    world.join("olga", &[Role::Owner]);
    let reject = |world: &mut World, id: &str| {
        let mut resolution = Resolution::new(world.conflict(), Decision::PolicyOverride);
        let mut outcome = Outcome::new();
        outcome.rejected = Some(vec![id.to_owned()]);
        resolution.outcome = Some(outcome);
        world.say("olga", resolution)
    };
    reject(&mut world, "i2");
    world.wait(30.0);
    world.announce("bob", "i3", &["x"]);
    drop_out(&mut world, "bob");
    reject(&mut world, "i3");
    // Also by a coordinator that was started again.
    world.restart(1.0);
    let told = come_back(&mut world, "bob");
    assert_eq!(heard(&told, "bob")[2..], ["RESOLUTION policy_override", "INTENT_WITHDRAW i3"]);
    assert!(told.last().unwrap().text.contains(r#""reason":"rejected_by_resolution""#));
    assert!(world.news("bob").contains(&News::Overruled(intent("i3"))));
    let now = world.now;
    let again = IntentAnnounce::new(intent("i4"), "o".to_owned(), Scope::files(["x"]));
    let Err(Withheld::Backoff { until }) = world.try_say("bob", again) else { panic!() };
    assert_eq!(until.since(now).micros(), 60_000_000, "the second time, and the first is not forgotten");
}

#[test]
fn who_has_missed_the_conflict_as_well_waits_too() {
    covers!("HEL-18", "BKO-01", "BKO-07", "D-083");
    for about_scopes in [true, false] {
        let mut world = World::with(patient());
        for name in ["alice", "bob"] {
            world.join(name, &[Role::Contributor]);
        }
        world.join("olga", &[Role::Owner]);
        world.announce("bob", "i2", &["x"]);
        drop_out(&mut world, "bob");
        if about_scopes {
            world.announce("alice", "i1", &["x"]);
        } else {
            let id = ConflictId::new("by-hand").unwrap();
            let category = "semantic_goal_conflict".into();
            let mut report = ConflictReport::new(id, category, "medium".into());
            report.related_intents = Some(vec![intent("i2")]);
            world.say("alice", report);
        }
        let mut resolution = Resolution::new(world.conflict(), Decision::PolicyOverride);
        let mut outcome = Outcome::new();
        outcome.rejected = Some(vec!["i2".to_owned()]);
        resolution.outcome = Some(outcome);
        world.say("olga", resolution);
        come_back(&mut world, "bob");
        assert!(world.news("bob").contains(&News::Overruled(intent("i2"))));
        let again = IntentAnnounce::new(intent("i3"), "o".to_owned(), Scope::files(["x"]));
        let waits = matches!(world.try_say("bob", again), Err(Withheld::Backoff { .. }));
        assert_eq!(waits, about_scopes, "only where scopes were what it was about");
    }
}

#[test]
fn so_is_what_lost_at_the_end_of_a_freeze() {
    covers!("FRZ-15", "FRZ-14", "HEL-18");
    let mut world = disputed_commits(patient());
    world.wait(1_000.0);
    let told = come_back(&mut world, "bob");
    let news = ["RESOLUTION policy_override", "OP_REJECT o2 frozen_scope_fallback"];
    assert_eq!(heard(&told, "bob")[2..], news);
    assert!(private(&told, "bob"));
    let [undone] = to_undo(&mut world, "bob").try_into().unwrap();
    assert!(undone.starts_with("o2 by compensation:"), "{undone}");
}

#[test]
fn no_more_of_what_was_decided_against_is_kept_than_of_anything_else() {
    covers!("SES-27", "HEL-18");
    let mut config = patient();
    config.retained_records = 1;
    let mut world = disputed_commits(config);
    let kept = |world: &World| {
        let people = world.coordinator.snapshot().participants.unwrap();
        people.into_iter().find(|it| it.principal_id.as_str() == "bob").unwrap().overruled_in
    };
    assert_eq!(kept(&world), None);
    for id in ["c1", "c2"] {
        let conflict: ConflictId = id.parse().unwrap();
        let mut report = ConflictReport::new(conflict.clone(), "x".into(), "low".into());
        report.related_ops = Some(vec![op("o2")]);
        world.say("alice", report);
        world.say("olga", undo(&conflict));
        assert_eq!(kept(&world), Some(vec![conflict]));
    }
}

#[test]
fn who_was_asked_to_decide_is_asked_again_after_a_break() {
    covers!("CON-08", "GOV-14", "HEL-18", "FRZ-09", "D-029");
    for same_process in [true, false] {
        let mut world = dispute(patient());
        world.join("ada", &[Role::Arbiter]);
        let conflict = world.conflict();
        drop_out(&mut world, "ada");
        world.wait(301.0);
        let told = if same_process {
            come_back(&mut world, "ada")
        } else {
            restart(&mut world, "ada", Role::Arbiter)
        };
        assert_eq!(heard(&told, "ada"), ["SESSION_INFO", "CONFLICT_ESCALATE"]);
        assert!(private(&told, "ada"));
        assert!(world.news("ada").contains(&News::Escalated(conflict.clone())));
        // She has not heard of the conflict before, and reads a summary.
        let summary = world.coordinator.view().summary().unwrap();
        let now = world.now;
        world.who("ada").hear_summary(now, &summary);
        let with = world.who("ada").conflicts().map(|(id, it)| (id.clone(), it.escalated_to.clone()));
        assert_eq!(with.collect::<Vec<_>>(), [(conflict.clone(), Some("ada".parse().unwrap()))]);
        // Not on the same connection, not somebody else, and not once it is over.
        assert_eq!(heard(&world.hello("ada"), "ada"), ["SESSION_INFO"]);
        drop_out(&mut world, "bob");
        assert_eq!(heard(&come_back(&mut world, "bob"), "bob").len(), 2);
        world.say("ada", Resolution::new(conflict, Decision::Merged));
        drop_out(&mut world, "ada");
        assert_eq!(heard(&come_back(&mut world, "ada"), "ada"), ["SESSION_INFO"]);
    }
}

#[test]
fn who_is_taken_for_gone_while_connected_knows_what_was_abandoned() {
    covers!("LIV-11", "LIV-12", "LIV-14", "OPS-24", "D-049", "D-050");
    let mut config = precommit();
    config.operation_authorization = OperationAuthorization::Review;
    let mut world = crate::precommit::world(config);
    world.say("alice", propose("o"));
    world.say("rita", Resolution::new("o".parse().unwrap(), Decision::Approved));
    world.say("alice", propose("p"));
    assert!(world.who("alice").may_apply(&op("o")));
    world.news("alice");
    // The last that is heard of her in time; what she says next crosses the news that she is gone.
    let stamp = world.stamp();
    let heartbeat = world.who("alice").write(stamp, Heartbeat::new("working".into()));
    world.send("alice", &heartbeat);
    let stamp = world.stamp();
    let late = world.who("alice").write(stamp, propose("late"));
    let stamp = world.stamp();
    let completion = commit_payload("o", Some("i"), "a", "", "two\n");
    world.who("alice").write(stamp, completion);
    world.wait(100.0);
    let rejected = |op_id: &str| News::Rejected { op: op(op_id), reason: "participant_unavailable".into() };
    let news = world.news("alice");
    assert!(news.contains(&rejected("o")) && news.contains(&rejected("p")), "{news:?}");
    assert!(!news.contains(&rejected("late")), "{news:?}");
    assert!(!world.who("alice").may_apply(&op("o")));
    for id in ["o", "p"] {
        assert_eq!(format!("{:?}", world.coordinator.view().operation(&op(id)).unwrap()), "Abandoned");
    }
    // She is back with that, and no OP_REJECT is taken for its answer.
    assert!(heard(&world.send("alice", &late), "alice").iter().all(|line| !line.starts_with("OP_REJECT")));
    world.say("rita", Resolution::new("late".parse().unwrap(), Decision::Approved));
    assert!(world.who("alice").may_apply(&op("late")));
}

#[test]
fn who_left_by_itself_is_told_nothing_of_what_it_gave_up() {
    covers!("HEL-18", "BYE-08");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["x"]);
    world.say("bob", OpPropose::new(op("o"), "x".to_owned(), OpKind::Replace));
    world.say("bob", Goodbye::new("user_exit".into()));
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO"]);
    // What it left to its time is still there.
    world.announce("bob", "j", &["y"]);
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("expire".into());
    world.say("bob", goodbye);
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO", "INTENT_UPDATE j bob does j"]);
}

#[test]
fn a_second_hello_refreshes_what_was_said() {
    covers!("HEL-13", "HEL-12", "D-016");
    let mut world = World::of(&["alice"]);
    world.join("bob", &[Role::Contributor]);
    let mut hello = Hello::new("Robert".to_owned(), vec!["op.commit".to_owned()]);
    hello.roles = Some(vec![Role::Reviewer]);
    hello.backend = Some(mpac_wire::payload::Backend::new("a/b".to_owned(), "a".to_owned()));
    let answer = world.say("bob", hello);
    let Message::SessionInfo(info) = &answer[0].message else { panic!() };
    assert_eq!(info.granted_roles, [Role::Reviewer]);
    assert_eq!(info.participant_count, Some(2.into()), "it is the same participant");
    let record = world.coordinator.snapshot().participants.unwrap().pop().unwrap();
    assert_eq!(record.display_name.as_deref(), Some("Robert"));
    assert_eq!(record.capabilities, Some(vec!["op.commit".to_owned()]));
    assert_eq!(record.backend_model_id.as_deref(), Some("a/b"));
    // Silent for too long, then a HELLO on the same connection: available again.
    world.wait(91.0);
    assert!(!world.coordinator.view().is_available(&"bob".parse().unwrap()));
    world.hello("bob");
    assert!(world.coordinator.view().is_available(&"bob".parse().unwrap()));
}

#[test]
fn who_falls_silent_again_and_again_leaves_a_bounded_pile_of_news() {
    covers!("HEL-18", "SES-27");
    let mut world = World::of(&["bob"]);
    world.config.retained_records = 3;
    let stored = world.coordinator.snapshot();
    world.restore(&stored);
    world.hello("bob");
    for n in 0..10 {
        world.say("bob", OpPropose::new(op(&format!("o{n}")), "x".to_owned(), OpKind::Replace));
        world.wait(100.0); // still connected, and back with the next message
    }
    let stored = world.coordinator.snapshot().participants.unwrap().remove(0);
    assert_eq!(stored.ended_operations.unwrap().len(), 3);
    let news = ["o7", "o8", "o9"].map(|id| format!("OP_REJECT {id} participant_unavailable"));
    assert_eq!(heard(&world.hello("bob"), "bob")[1..], news);
}
