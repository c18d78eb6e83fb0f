//! Pre-commit sessions: what else waits, falls and goes on, with freezes, batches and reviews.

use mpac_core::config::OperationAuthorization;
use mpac_wire::names::{Atomicity, Decision, OpKind};
use mpac_wire::payload::{OpPropose, OpReject, Resolution};

use crate::covers;
use crate::precommit::{authorised, batch, precommit, propose, world};
use crate::world::{World, commit_payload, error, heard, intent, op};

#[test]
fn what_waits_for_a_freeze_goes_on_when_the_frozen_scope_shrinks() {
    covers!("OPS-07", "D-097", "D-071");
    let mut config = precommit();
    config.operation_authorization = OperationAuthorization::Review;
    config.liveness.unavailability_timeout_sec = Some(mpac_wire::Seconds::whole(100_000));
    config.default_intent_ttl_sec = mpac_wire::Seconds::whole(100_000);
    config.governance.frozen_scope_disable_phase_3 = Some(true);
    let mut world = world(config);
    world.announce("bob", "k", &["x"]); // in the way of Alice's i, which covers a.py as well
    let mut propose = propose("o");
    propose.intent_id = Some(intent("j"));
    assert_eq!(authorised(&world.say("bob", propose)), [""; 0]);
    world.wait(301.0);
    let approved = world.say("rita", Resolution::new("o".parse().unwrap(), Decision::Approved));
    assert_eq!(authorised(&approved), [""; 0], "a.py is frozen");
    let mut update = mpac_wire::payload::IntentUpdate::new(intent("i"));
    update.scope = Some(mpac_wire::Scope::files(["x"]));
    assert_eq!(authorised(&world.say("alice", update)), ["o to bob"]);
}

#[test]
fn of_an_all_or_nothing_batch_one_rejection_rejects_all() {
    covers!("BAT-09", "BAT-11", "D-095", "D-084");
    let mut config = precommit();
    config.operation_authorization = OperationAuthorization::Review;
    let mut world = world(config);
    let state =
        |world: &World, id: &str| format!("{:?}", world.coordinator.view().operation(&op(id)).unwrap());
    let ops = |n: u32| [(format!("o{n}"), "x"), (format!("p{n}"), "y")];
    let ask = |world: &mut World, n: u32, atomicity| {
        let ops = ops(n);
        let entries: Vec<_> = ops.iter().map(|(id, target)| (id.as_str(), *target, "", "1")).collect();
        world.say("alice", batch(&format!("b{n}"), atomicity, &entries));
    };
    ask(&mut world, 1, Atomicity::AllOrNothing);
    let reject = |id: &str| OpReject::new(op(id), "policy_violation".into());
    let told = world.say("rita", reject("o1"));
    assert_eq!(heard(&told, "alice"), ["OP_REJECT o1 policy_violation", "OP_REJECT p1 policy_violation"]);
    assert_eq!(state(&world, "p1"), "Rejected");
    ask(&mut world, 2, Atomicity::AllOrNothing);
    let told = world.say("olga", Resolution::new("p2".parse().unwrap(), Decision::Rejected));
    let both = ["OP_REJECT p2 resolution_rejected", "OP_REJECT o2 resolution_rejected"];
    assert_eq!(heard(&told, "alice")[1..], both);
    // Its id rejects it in one message, and entries of a best effort stand alone.
    ask(&mut world, 3, Atomicity::AllOrNothing);
    assert_eq!(heard(&world.say("rita", reject("b3")), "alice"), ["OP_REJECT b3 policy_violation"]);
    ask(&mut world, 4, Atomicity::BestEffort);
    assert_eq!(heard(&world.say("rita", reject("o4")), "alice"), ["OP_REJECT o4 policy_violation"]);
    assert_eq!(state(&world, "p4"), "Proposed");
}

#[test]
fn a_report_does_not_take_the_id_of_what_waits_for_a_decision() {
    covers!("D-084", "D-022", "CON-04");
    let mut config = precommit();
    config.operation_authorization = OperationAuthorization::Review;
    let mut world = world(config);
    world.say("alice", propose("o"));
    let report = || {
        let mut report =
            mpac_wire::payload::ConflictReport::new("o".parse().unwrap(), "x".into(), "low".into());
        report.related_intents = Some(vec![intent("j")]);
        report
    };
    let refused = error(&world.say("bob", report()), "bob");
    assert!(refused.description.starts_with("duplicate conflict_id"), "{}", refused.description);
    let approved = world.say("rita", Resolution::new("o".parse().unwrap(), Decision::Approved));
    assert_eq!(authorised(&approved), ["o to alice"]);
}

#[test]
fn in_phase_two_of_a_freeze_the_more_urgent_intent_is_authorised() {
    covers!("FRZ-10", "D-120", "D-097");
    let mut config = precommit();
    config.liveness.unavailability_timeout_sec = Some(mpac_wire::Seconds::whole(100_000));
    config.default_intent_ttl_sec = mpac_wire::Seconds::whole(100_000);
    let mut world = world(config);
    let scope = || mpac_wire::Scope::files(["z"]);
    let mut urgent = mpac_wire::payload::IntentAnnounce::new(intent("u"), "o".into(), scope());
    urgent.priority = Some(mpac_wire::names::Priority::High);
    world.say("alice", urgent);
    world.announce("bob", "k", &["z"]);
    let ask = |id: &str, under: &str| {
        let mut propose = OpPropose::new(op(id), "z".to_owned(), OpKind::Replace);
        propose.intent_id = Some(intent(under));
        propose
    };
    assert_eq!(authorised(&world.say("alice", ask("o", "u"))), [""; 0]);
    assert_eq!(authorised(&world.say("bob", ask("p", "k"))), [""; 0]);
    assert_eq!(authorised(&world.wait(301.0)), [""; 0]);
    assert_eq!(authorised(&world.wait(60.0)), ["o to alice"]);
    let commit = commit_payload("o", Some("u"), "z", "", "1");
    assert_eq!(heard(&world.say("alice", commit), "bob"), ["OP_COMMIT"]);
}
