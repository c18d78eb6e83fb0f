//! Batches, supersessions and rejections.

use mpac_wire::names::{Atomicity, ErrorCode, OpKind, Role};
use mpac_wire::payload::{BatchEntry, FileChange, OpBatchCommit, OpPropose, OpReject, OpSupersede};
use mpac_wire::{Message, StateRef};

use crate::covers;
use crate::world::{Delivery, World, commit_payload, error, heard, intent, op};

fn entry(id: &str, target: &str, before: &str, after: &str) -> BatchEntry {
    let refs = (StateRef::of(before), StateRef::of(after));
    BatchEntry::new(op(id), target.to_owned(), OpKind::Replace, refs.0, refs.1)
}

fn batch(
    id: &str,
    atomicity: Atomicity,
    entries: Vec<BatchEntry>,
    files: &[(&str, &str, &str)],
) -> OpBatchCommit {
    let mut batch = OpBatchCommit::new(id.parse().unwrap(), atomicity, entries);
    let change = |(path, before, after): &(&str, &str, &str)| {
        ((*path).to_owned(), FileChange::new((*after).into(), StateRef::of(before)))
    };
    batch.file_changes = (!files.is_empty()).then(|| files.iter().map(change).collect());
    batch
}

fn rejection(deliveries: &[Delivery]) -> OpReject {
    let found = deliveries.iter().find_map(|it| match &it.message {
        Message::OpReject(reject) => Some(reject.clone()),
        _ => None,
    });
    found.expect("an OP_REJECT")
}

#[test]
fn a_batch_applies_as_a_whole_or_not_at_all() {
    covers!("BAT-02", "BAT-04", "BAT-05", "BAT-10", "BAT-14", "BAT-15", "BAT-16", "OCC-05", "D-101");
    let mut world = World::of(&["alice", "bob"]);
    let before = world.coordinator.snapshot();
    // The last entry is stale.
    let entries = vec![entry("o1", "new.py", "", "new\n"), entry("o2", "a.py", "zero\n", "two\n")];
    let files = [("new.py", "", "new\n"), ("a.py", "one\n", "two\n")];
    let refused = world.say("alice", batch("b", Atomicity::AllOrNothing, entries, &files));
    assert_eq!(heard(&refused, "bob"), [""; 0]);
    let reject = rejection(&refused);
    assert_eq!((reject.op_id.as_str(), reject.reason.as_str()), ("b", "batch_validation_failed"));
    assert_eq!(reject.rejected_ops, Some(vec![op("o2")]));
    assert_eq!(reject.reasons.unwrap().get("o2").unwrap().get(), r#""STALE_STATE_REF""#);
    assert_eq!(world.coordinator.snapshot().operations, before.operations);
    assert_eq!(world.coordinator.snapshot().target_state_refs, before.target_state_refs);
    assert_eq!(world.files.len(), 0);
    // Each entry sees what the ones before it left; the contents are where the last one leaves them.
    let entries = vec![entry("o1", "a.py", "one\n", "two\n"), entry("o2", "./a.py", "two\n", "three\n")];
    let accepted =
        world.say("alice", batch("b", Atomicity::AllOrNothing, entries, &[("a.py", "one\n", "three\n")]));
    assert_eq!(heard(&accepted, "bob"), ["OP_BATCH_COMMIT"]);
    assert!(!accepted[0].text.contains("file_changes"));
    assert_eq!(world.files["a.py"], "three\n");
    let snapshot = world.coordinator.snapshot();
    assert_eq!(snapshot.operations.unwrap()[1].batch_id.as_ref().unwrap().as_str(), "b");
    assert_eq!(snapshot.batches.unwrap().len(), 1);
}

#[test]
fn best_effort_applies_what_it_can_and_says_what_it_could_not() {
    covers!("BAT-06", "BAT-03", "BAT-14", "D-091");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["a.py", "new.py"]);
    let mut foreign = entry("o3", "x", "", "x");
    foreign.intent_id = Some(intent("j"));
    let entries = vec![entry("o1", "new.py", "", "new\n"), entry("o2", "a.py", "zero\n", "two\n"), foreign];
    let mut best =
        batch("b", Atomicity::BestEffort, entries, &[("new.py", "", "new\n"), ("a.py", "zero\n", "two\n")]);
    best.intent_id = Some(intent("i"));
    let deliveries = world.say("alice", best);
    assert_eq!(heard(&deliveries, "alice"), ["OP_BATCH_COMMIT", "OP_REJECT b batch_entries_rejected"]);
    assert_eq!(rejection(&deliveries).rejected_ops, Some(vec![op("o2"), op("o3")]));
    let Message::OpBatchCommit(relayed) = &deliveries[0].message else { panic!() };
    assert_eq!(relayed.operations.len(), 1);
    assert_eq!(world.files.keys().collect::<Vec<_>>(), ["new.py"]);
    // Nothing accepted: nothing relayed.
    let none =
        world.say("alice", batch("c", Atomicity::BestEffort, vec![entry("o9", "a.py", "?", "?")], &[]));
    assert_eq!(heard(&none, "bob"), [""; 0]);
    assert_eq!(heard(&none, "alice"), ["OP_REJECT c batch_entries_rejected"]);
}

#[test]
fn a_batch_that_is_none_is_malformed() {
    covers!("BAT-01", "BAT-02", "D-004", "D-134", "OCC-06");
    let mut world = World::of(&["alice"]);
    let one = || vec![entry("o1", "x", "", "x")];
    let many = || (0..1001).map(|n| entry(&format!("o{n}"), "x", "", "x")).collect();
    let twice = || vec![entry("o1", "x", "", "x"), entry("o1", "y", "", "y")];
    for bad in [
        batch("b", Atomicity::AllOrNothing, vec![], &[]),
        batch("b", Atomicity::from("some"), one(), &[]),
        batch("b", Atomicity::AllOrNothing, many(), &[]),
        batch("b", Atomicity::AllOrNothing, twice(), &[]),
        batch("b", Atomicity::AllOrNothing, one(), &[("x", "", "other")]),
        batch("b", Atomicity::AllOrNothing, one(), &[("../x", "", "x")]),
    ] {
        assert_eq!(error(&world.say("alice", bad), "alice").error_code, ErrorCode::MalformedMessage);
    }
    world.say("alice", batch("b", Atomicity::AllOrNothing, one(), &[]));
    let again = error(&world.say("alice", batch("b", Atomicity::BestEffort, one(), &[])), "alice");
    assert!(again.description.starts_with("duplicate batch_id"), "{}", again.description);
}

#[test]
fn one_report_for_all_targets_of_a_batch() {
    covers!("BAT-07", "OPS-29", "D-105");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["x", "y"]);
    let entries = vec![entry("o1", "x", "", "1"), entry("o2", "y", "", "2")];
    let deliveries = world.say("alice", batch("b", Atomicity::AllOrNothing, entries, &[]));
    assert_eq!(heard(&deliveries, "bob"), ["OP_BATCH_COMMIT", "CONFLICT_REPORT"]);
}

#[test]
fn a_frozen_target_stops_the_whole_or_the_entry() {
    covers!("BAT-13", "FRZ-02");
    let mut world = crate::freeze::dispute(crate::freeze::patient());
    world.wait(301.0);
    let entries = || vec![entry("o1", "x", "", "1"), entry("o2", "z", "", "2")];
    let whole = batch("b", Atomicity::AllOrNothing, entries(), &[]);
    assert_eq!(error(&world.say("alice", whole), "alice").error_code, ErrorCode::ScopeFrozen);
    let best = world.say("alice", batch("b", Atomicity::BestEffort, entries(), &[]));
    assert_eq!(heard(&best, "alice"), ["OP_BATCH_COMMIT", "OP_REJECT b batch_entries_rejected"]);
    assert_eq!(rejection(&best).reasons.unwrap().get("o1").unwrap().get(), r#""SCOPE_FROZEN""#);
}

#[test]
fn an_author_replaces_what_it_committed() {
    covers!("OPS-19", "OPS-20", "OPS-11", "OCC-04", "D-099");
    let mut world = World::of(&["alice", "bob"]);
    world.join("olga", &[Role::Owner]);
    world.say("alice", commit_payload("o1", None, "a.py", "one\n", "two\n"));
    let supersede = |new: &str, old: &str, after: &str| {
        let mut message = OpSupersede::new(op(new), op(old), "./a.py".to_owned());
        message.state_ref_after = Some(StateRef::of(after));
        message.file_changes =
            Some([("a.py", FileChange::new(after.into(), StateRef::of("two\n")))].into_iter().collect());
        message
    };
    assert_eq!(
        error(&world.say("bob", supersede("n", "o1", "3")), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    assert_eq!(
        error(&world.say("alice", supersede("n", "?", "3")), "alice").error_code,
        ErrorCode::InvalidReference
    );
    assert_eq!(
        error(&world.say("alice", supersede("o1", "o1", "3")), "alice").error_code,
        ErrorCode::MalformedMessage
    );
    let mut elsewhere = supersede("n", "o1", "3");
    elsewhere.target = "b.py".to_owned();
    assert_eq!(error(&world.say("alice", elsewhere), "alice").error_code, ErrorCode::InvalidReference);
    let mut silent = supersede("n", "o1", "3");
    silent.state_ref_after = None;
    assert_eq!(error(&world.say("alice", silent), "alice").error_code, ErrorCode::MalformedMessage);
    assert_eq!(heard(&world.say("alice", supersede("n", "o1", "3")), "bob"), ["OP_SUPERSEDE"]);
    let view = world.coordinator.view();
    assert_eq!(
        format!("{:?} {:?}", view.operation(&op("o1")).unwrap(), view.operation(&op("n")).unwrap()),
        "Superseded Committed"
    );
    assert_eq!(world.files["a.py"], "3");
    assert_eq!(view.state_ref("a.py"), Some(&StateRef::of("3")));
    let records = world.coordinator.snapshot().operations.unwrap();
    assert_eq!(records[0].state_ref_before, Some(StateRef::of("two\n")), "the chain of references goes on");
    // Somebody committed since: stale.
    world.say("bob", commit_payload("o2", None, "a.py", "3", "four\n"));
    assert_eq!(
        error(&world.say("olga", supersede("n2", "n", "5")), "olga").error_code,
        ErrorCode::StaleStateRef
    );
}

#[test]
fn an_orphaned_proposal_finds_another_intent_in_its_grace() {
    covers!("CAS-03", "D-100");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["x"]);
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), OpKind::Replace);
    propose.intent_id = Some(intent("i"));
    world.say("bob", propose);
    world.withdraw("alice", "i");
    world.announce("bob", "j", &["x"]);
    let mut again = OpSupersede::new(op("q"), op("p"), "x".to_owned());
    again.intent_id = Some(intent("j"));
    assert_eq!(error(&world.say("alice", again.clone()), "alice").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(heard(&world.say("bob", again), "bob"), ["OP_REJECT p reassociated"]);
    let view = world.coordinator.view();
    assert_eq!(
        format!("{:?} {:?}", view.operation(&op("p")).unwrap(), view.operation(&op("q")).unwrap()),
        "Rejected Proposed"
    );
    assert_eq!(heard(&world.wait(31.0), "bob"), [""; 0]);
}

#[test]
fn who_reviews_rejects_proposals_and_contests_commits() {
    covers!("OPS-17", "OPS-18", "D-095", "CAP-05");
    let mut world = World::of(&["alice", "bob"]);
    world.join("rita", &[Role::Reviewer]);
    world.say("alice", OpPropose::new(op("p"), "x".to_owned(), OpKind::Replace));
    world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
    let reject = |id: &str| OpReject::new(op(id), "policy_violation".into());
    assert_eq!(error(&world.say("bob", reject("p")), "bob").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(error(&world.say("rita", reject("?")), "rita").error_code, ErrorCode::InvalidReference);
    let rejected = world.say("rita", reject("p"));
    assert_eq!(heard(&rejected, "alice"), ["OP_REJECT p policy_violation"]);
    assert_eq!(heard(&rejected, "bob"), [""; 0]);
    assert_eq!(error(&world.say("rita", reject("p")), "rita").error_code, ErrorCode::InvalidReference);
    assert_eq!(heard(&world.say("rita", reject("o")), "alice"), ["OP_REJECT o policy_violation"]);
    let snapshot = world.coordinator.snapshot().operations.unwrap();
    assert_eq!(
        (snapshot[0].contested, snapshot[0].state.as_ref().unwrap().as_str()),
        (Some(true), "COMMITTED")
    );
    // A batch id stands for what of the batch is pending; committed batches have nothing pending.
    world.say("alice", batch("b", Atomicity::AllOrNothing, vec![entry("e", "y", "", "1")], &[]));
    assert_eq!(error(&world.say("rita", reject("b")), "rita").error_code, ErrorCode::InvalidReference);
}

#[test]
fn a_batch_is_rejected_by_its_id() {
    covers!("BAT-11", "BAT-10", "D-095");
    let mut config = crate::world::config();
    config.compliance_profile = mpac_wire::names::ComplianceProfile::Governance;
    config.execution_model = mpac_wire::names::ExecutionModel::PreCommit;
    config.operation_authorization = mpac_core::config::OperationAuthorization::Review;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.join("rita", &[Role::Reviewer]);
    world.announce("alice", "i", &["x", "y", "z"]);
    let mut asked = batch(
        "b",
        Atomicity::BestEffort,
        vec![entry("o1", "x", "", "1"), entry("o2", "y", "", "1"), entry("o3", "z", "", "1")],
        &[],
    );
    asked.intent_id = Some(intent("i"));
    world.say("alice", asked);
    let reject = |id: &str| OpReject::new(op(id), "not_now".into());
    world.say("rita", reject("o1"));
    assert_eq!(error(&world.say("alice", reject("b")), "alice").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(heard(&world.say("rita", reject("b")), "alice"), ["OP_REJECT b not_now"]);
    for id in ["o1", "o2", "o3"] {
        assert_eq!(format!("{:?}", world.coordinator.view().operation(&op(id)).unwrap()), "Rejected");
    }
    assert_eq!(error(&world.say("rita", reject("b")), "rita").error_code, ErrorCode::InvalidReference);
}

#[test]
fn a_supersession_that_says_nothing_of_the_state_hides_no_later_commit() {
    covers!("OCC-12", "OCC-03", "OPS-19", "D-099");
    let mut world = World::of(&["alice", "bob"]);
    let commit = |id: &str, before: &str, after: &str| {
        let mut commit = commit_payload(id, None, "x", before, after);
        commit.file_changes = None;
        commit
    };
    let supersede = |new: &str, old: &str, after: Option<&str>| {
        let mut message = OpSupersede::new(op(new), op(old), "x".to_owned());
        message.state_ref_after = after.map(StateRef::of);
        message
    };
    world.say("alice", commit("o", "", "1"));
    assert_eq!(heard(&world.say("alice", supersede("n", "o", None)), "bob"), ["OP_SUPERSEDE"]);
    world.say("bob", commit("p", "1", "2"));
    let stale = error(&world.say("alice", supersede("m", "n", Some("3"))), "alice");
    assert_eq!(stale.error_code, ErrorCode::StaleStateRef);
    assert_eq!(world.coordinator.view().state_ref("x"), Some(&StateRef::of("2")));
}

#[test]
fn a_path_that_cannot_be_stored_is_refused_also_beside_what_a_best_effort_leaves_out() {
    covers!("OCC-08", "D-091");
    let mut world = World::of(&["alice"]);
    let entries = || vec![entry("o1", "x", "", "x"), entry("o2", "a.py", "?", "?")];
    let bad = batch("b", Atomicity::BestEffort, entries(), &[("x", "", "x"), ("../y", "", "y")]);
    assert_eq!(error(&world.say("alice", bad), "alice").error_code, ErrorCode::MalformedMessage);
    let good = batch("b", Atomicity::BestEffort, entries(), &[("x", "", "x"), ("a.py", "?", "?")]);
    assert_eq!(
        heard(&world.say("alice", good), "alice"),
        ["OP_BATCH_COMMIT", "OP_REJECT b batch_entries_rejected"]
    );
}

#[test]
fn a_proposal_without_intent_is_committed_under_the_one_that_the_commit_names() {
    covers!("D-103", "OPS-13", "OPS-26", "D-105");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["x"]);
    world.announce("bob", "j", &["x"]);
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), OpKind::Replace);
    propose.summary = Some("why".to_owned());
    world.say("alice", propose);
    assert_eq!(
        heard(&world.say("alice", commit_payload("p", Some("i"), "x", "", "1")), "bob"),
        ["OP_COMMIT"]
    );
    let record = world.coordinator.snapshot().operations.unwrap()[0].clone();
    assert_eq!(record.intent_id.as_deref(), Some("i"));
    assert_ne!(record.uncoordinated, Some(true));
    assert_eq!(record.summary.as_deref(), Some("why"), "what the commit leaves out stays");
}
