//! Pre-commit sessions: first ask, then do, then say that it is done.

use mpac_core::SessionConfig;
use mpac_core::config::OperationAuthorization;
use mpac_wire::names::{Atomicity, ComplianceProfile, Decision, ErrorCode, ExecutionModel, OpKind, Role};
use mpac_wire::payload::{BatchEntry, OpBatchCommit, OpCommit, OpPropose, OpReject, OpSupersede, Resolution};
use mpac_wire::{Message, StateRef};

use crate::covers;
use crate::world::{Delivery, World, commit_payload, error, heard, intent, op};

pub(crate) fn precommit() -> SessionConfig {
    let mut config = crate::world::config();
    config.compliance_profile = ComplianceProfile::Governance;
    config.execution_model = ExecutionModel::PreCommit;
    config
}

/// Alice works on a.py under i, Bob on b.py under j; Rita reviews, Olga is an owner.
pub(crate) fn world(config: SessionConfig) -> World {
    let mut world = World::with(config);
    for (name, role) in [
        ("alice", Role::Contributor),
        ("bob", Role::Contributor),
        ("rita", Role::Reviewer),
        ("olga", Role::Owner),
    ] {
        world.join(name, &[role]);
    }
    world.announce("alice", "i", &["a.py", "x"]);
    world.announce("bob", "j", &["b.py"]);
    world
}

fn commit(id: &str, before: &str, after: &str) -> OpCommit {
    commit_payload(id, Some("i"), "a.py", before, after)
}

pub(crate) fn propose(id: &str) -> OpPropose {
    let mut propose = OpPropose::new(op(id), "a.py".to_owned(), OpKind::Replace);
    propose.intent_id = Some(intent("i"));
    propose
}

/// Which operations were authorised in these deliveries, and for whom.
pub(crate) fn authorised(deliveries: &[Delivery]) -> Vec<String> {
    let status = deliveries.iter().filter_map(|it| match &it.message {
        Message::CoordinatorStatus(status) => {
            let batch = status.authorized_batch_id.as_ref().map(|id| format!(" of {id}")).unwrap_or_default();
            Some(format!("{}{batch} to {}", status.authorized_op_id.as_ref().unwrap(), it.to))
        }
        _ => None,
    });
    status.collect()
}

#[test]
fn a_proposal_is_authorised_then_completed() {
    covers!("OPS-06", "OPS-08", "OPS-09", "OPS-10", "SES-05", "D-096", "D-098", "CAP-05", "SRV-05");
    let mut world = world(precommit());
    let asked = world.say("alice", propose("o"));
    assert_eq!(authorised(&asked), ["o to alice"]);
    assert_eq!(heard(&asked, "rita"), ["OP_PROPOSE"]);
    assert_eq!(heard(&asked, "bob"), [""; 0]);
    assert!(asked.last().unwrap().text.contains(r#""authorized_by":"service:coordinator-s""#));
    let state = |world: &World| format!("{:?}", world.coordinator.view().operation(&op("o")).unwrap());
    assert_eq!(state(&world), "Proposed", "authorised is not done");
    assert_eq!(
        error(&world.say("bob", commit("o", "one\n", "2")), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    assert_eq!(
        error(&world.say("alice", commit("o", "?", "2")), "alice").error_code,
        ErrorCode::StaleStateRef
    );
    assert_eq!(heard(&world.say("alice", commit("o", "one\n", "2")), "bob"), ["OP_COMMIT"]);
    assert_eq!((state(&world).as_str(), world.files["a.py"].as_str()), ("Committed", "2"));
    assert_eq!(
        error(&world.say("alice", commit("o", "2", "3")), "alice").error_code,
        ErrorCode::InvalidReference
    );
    let reject = OpReject::new(op("o"), "policy_violation".into());
    assert_eq!(error(&world.say("rita", reject), "rita").error_code, ErrorCode::InvalidReference);
}

#[test]
fn a_first_commit_is_only_a_request() {
    covers!("OPS-04", "OCC-10", "D-096", "OPS-05");
    let mut world = world(precommit());
    let asked = world.say("alice", commit("o", "one\n", "2"));
    assert_eq!(heard(&asked, "bob"), [""; 0]);
    assert_eq!(heard(&asked, "rita"), ["OP_COMMIT"]);
    assert!(!asked[0].text.contains("file_changes"));
    assert_eq!(authorised(&asked), ["o to alice"]);
    assert_eq!(world.files.len(), 0);
    assert_eq!(heard(&world.say("alice", commit("o", "one\n", "2")), "bob"), ["OP_COMMIT"]);
    assert_eq!(world.files["a.py"], "2");
}

#[test]
fn what_is_blocked_waits_and_is_judged_again() {
    covers!("OPS-07", "D-097");
    let mut world = world(precommit());
    // Carol's intent overlaps: a conflict.
    world.join("carol", &[Role::Contributor]);
    world.announce("carol", "k", &["a.py"]);
    let asked = world.say("alice", propose("o"));
    assert_eq!(authorised(&asked), [""; 0]);
    assert_eq!(
        error(&world.say("alice", commit("o", "one\n", "2")), "alice").error_code,
        ErrorCode::AuthorizationFailed
    );
    let conflict = world.conflict();
    let settled = world.say("olga", Resolution::new(conflict, Decision::Approved));
    assert_eq!(authorised(&settled), ["o to alice"]);
    // A stale reference waits as well, until the state is what the proposal was based on.
    let mut early = propose("p");
    early.target = "x".to_owned();
    early.state_ref_before = Some(StateRef::of("second"));
    world.say("alice", commit_payload("q", Some("i"), "x", "", "first"));
    world.say("alice", commit_payload("q", Some("i"), "x", "", "first"));
    assert_eq!(authorised(&world.say("alice", early)), [""; 0]);
    world.say("alice", commit_payload("r", Some("i"), "x", "first", "second"));
    assert_eq!(
        authorised(&world.say("alice", commit_payload("r", Some("i"), "x", "first", "second"))),
        ["p to alice"]
    );
}

#[test]
fn an_approval_that_nobody_asks_for_is_refused_a_rejection_is_not() {
    covers!("CAP-09");
    let mut world = world(precommit());
    world.join("carol", &[Role::Contributor]);
    world.announce("carol", "k", &["a.py"]);
    world.say("alice", propose("o")); // waits for the conflict
    let decide = |decision| Resolution::new("o".parse().unwrap(), decision);
    let refused = error(&world.say("rita", decide(Decision::Approved)), "rita");
    assert_eq!(refused.error_code, ErrorCode::CapabilityUnsupported, "{}", refused.description);
    let rejected = world.say("rita", decide(Decision::Rejected));
    assert_eq!(heard(&rejected, "alice"), ["RESOLUTION rejected", "OP_REJECT o resolution_rejected"]);
}

#[test]
fn a_review_decides_where_it_is_asked_for() {
    covers!("D-084", "OPS-06", "GOV-20", "CON-09");
    let mut config = precommit();
    config.operation_authorization = OperationAuthorization::Review;
    let mut world = world(config);
    assert_eq!(authorised(&world.say("alice", propose("o"))), [""; 0]);
    let decide = |id: &str, decision| Resolution::new(id.parse().unwrap(), decision);
    assert_eq!(
        error(&world.say("bob", decide("o", Decision::Approved)), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    assert_eq!(
        error(&world.say("rita", decide("o", Decision::Merged)), "rita").error_code,
        ErrorCode::MalformedMessage
    );
    assert_eq!(
        error(&world.say("rita", decide("?", Decision::Approved)), "rita").error_code,
        ErrorCode::InvalidReference
    );
    let approved = world.say("rita", decide("o", Decision::Approved));
    assert_eq!(authorised(&approved), ["o to alice"]);
    assert!(approved.last().unwrap().text.contains(r#""authorized_by":"rita""#));
    world.say("alice", propose("p"));
    assert_eq!(
        heard(&world.say("olga", decide("p", Decision::Rejected)), "alice"),
        ["RESOLUTION rejected", "OP_REJECT p resolution_rejected"]
    );
}

pub(crate) fn batch(id: &str, atomicity: Atomicity, ops: &[(&str, &str, &str, &str)]) -> OpBatchCommit {
    let entry = |(id, target, before, after): &(&str, &str, &str, &str)| {
        let (before, after) = (StateRef::of(before), StateRef::of(after));
        BatchEntry::new(op(id), (*target).to_owned(), OpKind::Replace, before, after)
    };
    let mut batch = OpBatchCommit::new(id.parse().unwrap(), atomicity, ops.iter().map(entry).collect());
    batch.intent_id = Some(intent("i"));
    batch
}

#[test]
fn a_batch_is_authorised_entry_by_entry_and_completed_as_it_was_asked() {
    covers!("BAT-08", "BAT-09", "BAT-10");
    let mut world = world(precommit());
    let ops = [("o1", "x", "", "1"), ("o2", "y", "", "2")];
    let asked = world.say("alice", batch("b", Atomicity::AllOrNothing, &ops));
    assert_eq!(authorised(&asked), ["o1 of b to alice", "o2 of b to alice"]);
    assert_eq!(heard(&asked, "bob"), [""; 0]);
    let part = batch("b", Atomicity::AllOrNothing, &ops[..1]);
    assert_eq!(error(&world.say("alice", part), "alice").error_code, ErrorCode::MalformedMessage);
    let other = batch("b", Atomicity::AllOrNothing, &[("o1", "x", "", "1"), ("o9", "y", "", "2")]);
    assert_eq!(error(&world.say("alice", other), "alice").error_code, ErrorCode::InvalidReference);
    let mut foreign = batch("b", Atomicity::AllOrNothing, &ops);
    foreign.intent_id = Some(intent("j"));
    assert_eq!(error(&world.say("bob", foreign), "bob").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(
        heard(&world.say("alice", batch("b", Atomicity::AllOrNothing, &ops)), "bob"),
        ["OP_BATCH_COMMIT"]
    );
    // Best effort: a part of it may be completed first.
    let ops = [("p1", "x", "1", "3"), ("p2", "y", "2", "4")];
    world.say("alice", batch("c", Atomicity::BestEffort, &ops));
    assert_eq!(
        heard(&world.say("alice", batch("c", Atomicity::BestEffort, &ops[1..])), "bob"),
        ["OP_BATCH_COMMIT"]
    );
    assert_eq!(
        heard(&world.say("alice", batch("c", Atomicity::BestEffort, &ops[..1])), "bob"),
        ["OP_BATCH_COMMIT"]
    );
}

#[test]
fn a_batch_that_would_have_to_wait_as_a_whole_is_rejected() {
    covers!("BAT-05", "OPS-07");
    let mut world = world(precommit());
    world.join("carol", &[Role::Contributor]);
    world.announce("carol", "k", &["x"]);
    let ops = [("o1", "x", "", "1"), ("o2", "y", "", "2")];
    let whole = world.say("alice", batch("b", Atomicity::AllOrNothing, &ops));
    assert_eq!(heard(&whole, "alice"), ["OP_REJECT b batch_validation_failed"]);
    let best = world.say("alice", batch("b", Atomicity::BestEffort, &ops));
    assert_eq!(authorised(&best), ["o2 of b to alice"], "the other one waits");
}

#[test]
fn an_old_operation_is_superseded_when_the_new_one_is_completed() {
    covers!("OPS-19", "D-099");
    let mut world = world(precommit());
    world.say("alice", commit("o", "one\n", "2"));
    world.say("alice", commit("o", "one\n", "2"));
    let mut supersede = OpSupersede::new(op("n"), op("o"), "a.py".to_owned());
    supersede.intent_id = Some(intent("i"));
    supersede.state_ref_after = Some(StateRef::of("3"));
    let asked = world.say("alice", supersede);
    assert_eq!(authorised(&asked), ["n to alice"]);
    let state =
        |world: &World, id: &str| format!("{:?}", world.coordinator.view().operation(&op(id)).unwrap());
    assert_eq!((state(&world, "o").as_str(), state(&world, "n").as_str()), ("Committed", "Proposed"));
    world.say("alice", commit("n", "2", "3"));
    assert_eq!((state(&world, "o").as_str(), state(&world, "n").as_str()), ("Superseded", "Committed"));
}

#[test]
fn a_core_session_cannot_ask_first() {
    covers!("SES-05", "D-136");
    let mut config = precommit();
    config.compliance_profile = ComplianceProfile::Core;
    assert!(config.validate().is_err());
    config.compliance_profile = ComplianceProfile::Semantic;
    assert_eq!(config.validate(), Ok(()));
}

#[test]
fn entries_of_a_batch_follow_each_other_and_belong_together() {
    covers!("BAT-04", "BAT-08", "BAT-09", "D-101", "CAS-09");
    let mut world = world(precommit());
    // Each entry is judged by what the ones before it leave, at the request as at the completion.
    let chain = [("o1", "a.py", "one\n", "two\n"), ("o2", "./a.py", "two\n", "three\n")];
    let asked = world.say("alice", batch("b", Atomicity::AllOrNothing, &chain));
    assert_eq!(authorised(&asked), ["o1 of b to alice", "o2 of b to alice"]);
    let broken = [("p1", "a.py", "one\n", "2"), ("p2", "a.py", "junk", "3")];
    let refused = world.say("alice", batch("c", Atomicity::AllOrNothing, &broken));
    assert_eq!(heard(&refused, "alice"), ["OP_REJECT c batch_validation_failed"]);
    // One entry alone is no completion, nor is one that is not from what is there.
    let alone = commit_payload("o1", Some("i"), "a.py", "one\n", "two\n");
    assert_eq!(error(&world.say("alice", alone), "alice").error_code, ErrorCode::InvalidReference);
    let stale = [("o1", "a.py", "junk", "two\n"), ("o2", "a.py", "two\n", "three\n")];
    let refused = world.say("alice", batch("b", Atomicity::AllOrNothing, &stale));
    assert_eq!(heard(&refused, "alice"), ["OP_REJECT b batch_validation_failed"]);
    assert_eq!(
        heard(&world.say("alice", batch("b", Atomicity::AllOrNothing, &chain)), "bob"),
        ["OP_BATCH_COMMIT"]
    );
    // In the grace nothing can be completed; at its end each entry is rejected once.
    let late = [("q1", "x", "", "1")];
    world.say("alice", batch("d", Atomicity::AllOrNothing, &late));
    world.withdraw("alice", "i");
    let refused = error(&world.say("alice", batch("d", Atomicity::AllOrNothing, &late)), "alice");
    assert_eq!(refused.error_code, ErrorCode::InvalidReference);
    assert_eq!(heard(&world.wait(31.0), "alice"), ["OP_REJECT q1 intent_terminated"]);
}

#[test]
fn a_whole_batch_in_review_is_authorised_as_a_whole() {
    covers!("BAT-08", "D-084");
    let mut config = precommit();
    config.operation_authorization = OperationAuthorization::Review;
    let mut world = world(config);
    let ops = [("o1", "x", "", "1"), ("o2", "y", "", "2")];
    world.say("alice", batch("b", Atomicity::AllOrNothing, &ops));
    world.announce("bob", "k", &["x"]);
    let approve = Resolution::new("b".parse().unwrap(), Decision::Approved);
    let approved = world.say("rita", approve);
    assert_eq!(authorised(&approved), [""; 0], "none before all are free");
    let Message::Resolution(relayed) = &approved[0].message else { panic!() };
    assert!(relayed.resolution_id.is_some() && relayed.rationale.is_some());
    assert_eq!(authorised(&world.withdraw("bob", "k")), ["o1 of b to alice", "o2 of b to alice"]);
}

#[test]
fn of_two_supersessions_one_is_completed() {
    covers!("OPS-19", "OPS-22", "D-100");
    let mut world = world(precommit());
    world.say("alice", commit("o", "one\n", "2"));
    world.say("alice", commit("o", "one\n", "2"));
    for id in ["n1", "n2"] {
        let mut supersede = OpSupersede::new(op(id), op("o"), "a.py".to_owned());
        supersede.intent_id = Some(intent("i"));
        supersede.state_ref_after = Some(StateRef::of("3"));
        supersede.file_changes = commit("x", "2", "3").file_changes;
        let shown = world.say("alice", supersede);
        assert!(!shown.iter().any(|it| it.text.contains("file_changes")));
    }
    world.say("alice", commit("n1", "2", "3"));
    assert_eq!(
        error(&world.say("alice", commit("n2", "3", "4")), "alice").error_code,
        ErrorCode::InvalidReference
    );
}

#[test]
fn a_completion_says_nothing_else_than_its_request() {
    covers!("BAT-09", "BAT-03", "INT-02");
    let mut world = world(precommit());
    world.announce("alice", "i2", &["z"]);
    let ops = [("o1", "x", "", "1"), ("o2", "y", "", "2")];
    world.say("alice", batch("b", Atomicity::BestEffort, &ops));
    let good = batch("b", Atomicity::BestEffort, &ops);
    let mut whole = good.clone();
    whole.atomicity = Atomicity::AllOrNothing;
    let mut foreign = good.clone();
    foreign.intent_id = Some(intent("i2"));
    let mut inside = good.clone();
    inside.operations[1].intent_id = Some(intent("i2"));
    for (message, field) in [
        (whole, "payload.atomicity:"),
        (foreign, "payload.intent_id:"),
        (inside, "payload.operations.intent_id:"),
    ] {
        let refused = world.say("alice", message);
        assert_eq!(heard(&refused, "alice"), ["PROTOCOL_ERROR INVALID_REFERENCE"], "{field}");
        assert!(error(&refused, "alice").description.starts_with(field), "{field}");
    }
    let mut absent = good.clone();
    absent.intent_id = None;
    let refused = error(&world.say("alice", absent.clone()), "alice");
    assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "intents are required here");
    let mut named = good;
    named.operations[0].intent_id = Some(intent("i"));
    assert_eq!(heard(&world.say("alice", named), "bob"), ["OP_BATCH_COMMIT"]);
    // Where they are not, a completion may leave its own out, and may not name one that was not asked for.
    let mut config = precommit();
    config.governance.require_intent = Some(false);
    let mut world = self::world(config);
    world.say("alice", batch("b", Atomicity::BestEffort, &ops));
    assert_eq!(heard(&world.say("alice", absent.clone()), "bob"), ["OP_BATCH_COMMIT"]);
    let mut without = batch("c", Atomicity::BestEffort, &[("q", "w", "", "1")]);
    without.intent_id = None;
    world.say("alice", without.clone());
    without.intent_id = Some(intent("i"));
    assert_eq!(error(&world.say("alice", without), "alice").error_code, ErrorCode::InvalidReference);
}

#[test]
fn nothing_waits_for_ever_under_an_intent_that_is_over() {
    covers!("D-093", "OPS-14");
    let mut config = precommit();
    config.governance.require_intent = Some(false);
    let mut world = world(config);
    world.withdraw("alice", "i");
    let late = world.say("alice", commit_payload("o", Some("i"), "x", "", "1"));
    assert_eq!(heard(&late, "alice"), ["OP_REJECT o intent_terminated"]);
    let late = world.say("alice", batch("b", Atomicity::BestEffort, &[("p", "x", "", "1")]));
    assert_eq!(heard(&late, "alice"), ["OP_REJECT b intent_terminated"]);
    // Without one nothing has to be waited for.
    let free = world.say("alice", commit_payload("q", None, "x", "", "1"));
    assert_eq!(authorised(&free), ["q to alice"]);
}

#[test]
fn what_waits_for_a_decision_shares_its_id_with_nothing() {
    covers!("D-084", "D-022");
    let mut config = precommit();
    config.operation_authorization = OperationAuthorization::Review;
    let mut world = world(config);
    world.say("alice", batch("b", Atomicity::AllOrNothing, &[("o", "x", "", "1")]));
    // Bob would be given what is meant for Alice.
    let mut own = propose("b");
    (own.intent_id, own.target) = (Some(intent("j")), "b.py".to_owned());
    let refused = error(&world.say("bob", own), "bob");
    assert!(refused.description.starts_with("duplicate op_id"), "{}", refused.description);
    let own = commit_payload("b", Some("j"), "b.py", "", "1");
    assert_eq!(error(&world.say("bob", own), "bob").error_code, ErrorCode::StaleStateRef);
    let approved = world.say("rita", Resolution::new("b".parse().unwrap(), Decision::Approved));
    assert_eq!(authorised(&approved), ["o of b to alice"]);
}
