//! Operations in a post-commit session, and the contents that come with them.

use mpac_wire::names::{ComplianceProfile, ErrorCode, OpKind, Role};
use mpac_wire::payload::{FileChange, OpPropose};
use mpac_wire::{Message, StateRef};

use crate::covers;
use crate::world::{World, commit_payload, error, heard, intent, op};

#[test]
fn a_commit_is_relayed_without_contents_and_the_file_is_new() {
    covers!("OPS-03", "OPS-22", "OCC-04", "OCC-05", "OCC-07", "ENV-16", "SRV-06", "D-094");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["a.py"]);
    let mut commit = commit_payload("o", Some("i"), "a.py", "one\n", "two\n");
    commit.extra.insert("x-note", mpac_wire::Raw::of(&1.5).unwrap());
    let deliveries = world.say("alice", commit);
    assert_eq!(heard(&deliveries, "alice"), ["OP_COMMIT"]);
    let relayed = &deliveries.iter().find(|delivery| delivery.to == "bob").unwrap().text;
    assert!(!relayed.contains("file_changes") && relayed.contains(r#""x-note":1.5"#), "{relayed}");
    assert_eq!(world.files["a.py"], "two\n");
    assert_eq!(world.coordinator.view().state_ref("a.py"), Some(&StateRef::of("two\n")));
    // Relay first, then the file.
    let outputs = &world.steps.last().unwrap().outputs;
    assert!(matches!(outputs[0], mpac_core::Output::Relay { .. }));
    assert!(matches!(outputs[1], mpac_core::Output::Notice(mpac_core::Notice::FileUpdated { .. })));
}

#[test]
fn of_two_commits_from_one_base_one_succeeds() {
    covers!("OCC-02", "OCC-03", "OCC-12", "D-090", "D-091", "OPS-11");
    let mut world = World::of(&["alice", "bob"]);
    world.say("alice", commit_payload("o1", None, "a.py", "one\n", "two\n"));
    let before = world.coordinator.snapshot().operations;
    for target in ["a.py", "./a.py", "a.py/"] {
        let refused = error(&world.say("bob", commit_payload("o2", None, target, "one\n", "three\n")), "bob");
        assert_eq!(refused.error_code, ErrorCode::StaleStateRef, "{target}");
        assert!(refused.refers_to.is_some());
    }
    assert_eq!(world.files["a.py"], "two\n");
    assert_eq!(world.coordinator.snapshot().operations, before);
    assert_eq!(
        heard(&world.say("bob", commit_payload("o3", None, "./a.py", "two\n", "three\n")), "alice"),
        ["OP_COMMIT"]
    );
    assert_eq!(world.files.keys().collect::<Vec<_>>(), ["a.py"], "one spelling, one file");
}

#[test]
fn contents_are_applied_together_or_not_at_all() {
    covers!("OCC-05", "OCC-06", "OCC-08", "D-091", "D-092", "D-026", "ERR-05");
    let mut world = World::of(&["alice"]);
    let change = |content: &str, before: &str| FileChange::new(content.into(), StateRef::of(before));
    let cases: Vec<(Vec<(&str, FileChange)>, ErrorCode)> = vec![
        // The second file is stale.
        (
            vec![("new.py", change("new\n", "")), ("a.py", change("two\n", "zero\n"))],
            ErrorCode::StaleStateRef,
        ),
        (vec![("new.py", change("other\n", ""))], ErrorCode::MalformedMessage),
        (vec![("new.py", change("new\n", "")), ("../x", change("x", ""))], ErrorCode::MalformedMessage),
        (vec![("new.py", change("new\n", "")), ("/etc/x", change("x", ""))], ErrorCode::MalformedMessage),
        (vec![("new.py", change("new\n", "")), ("a\\b", change("x", ""))], ErrorCode::MalformedMessage),
        (vec![("new.py", change("new\n", "")), ("./new.py", change("x", ""))], ErrorCode::MalformedMessage),
    ];
    for (at, (changes, code)) in cases.into_iter().enumerate() {
        let mut commit = commit_payload(&format!("o{at}"), None, "new.py", "", "new\n");
        commit.file_changes = Some(changes.into_iter().collect());
        assert_eq!(error(&world.say("alice", commit), "alice").error_code, code, "case {at}");
        assert_eq!(world.files.len(), 0);
        assert_eq!(world.coordinator.view().state_ref("new.py"), None);
    }
    let mut commit = commit_payload("o", None, "new.py", "", "new\n");
    let both = [("new.py", change("new\n", "")), ("a.py", change("two\n", "one\n"))];
    commit.file_changes = Some(both.into_iter().collect());
    world.say("alice", commit);
    assert_eq!((world.files["new.py"].as_str(), world.files["a.py"].as_str()), ("new\n", "two\n"));
}

#[test]
fn a_commit_without_the_content_it_should_bring_leaves_the_file_as_it_is() {
    covers!("OCC-16", "D-091");
    let mut world = World::of(&["alice"]);
    let mut commit = commit_payload("o", None, "a.py", "one\n", "two\n");
    commit.file_changes = None;
    world.say("alice", commit);
    let snapshot = world.coordinator.snapshot();
    assert_eq!(snapshot.operations.unwrap()[0].content_missing, Some(true));
    assert_eq!(world.coordinator.view().state_ref("a.py"), Some(&StateRef::of("one\n")));
}

#[test]
fn a_repeated_op_id_is_stale_for_commits_and_malformed_for_proposals() {
    covers!("OPS-12", "D-022", "D-023");
    let mut world = World::of(&["alice", "bob"]);
    world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
    for name in ["alice", "bob"] {
        let refused = error(&world.say(name, commit_payload("o", None, "a.py", "two\n", "three\n")), name);
        assert_eq!(refused.error_code, ErrorCode::StaleStateRef);
        assert!(refused.description.starts_with("duplicate op_id"), "{}", refused.description);
    }
    let propose = OpPropose::new(op("o"), "a.py".to_owned(), OpKind::Replace);
    assert_eq!(error(&world.say("bob", propose), "bob").error_code, ErrorCode::MalformedMessage);
    assert_eq!(world.files["a.py"], "two\n");
}

#[test]
fn a_proposal_is_shown_to_reviewers_and_may_be_committed_by_its_proposer() {
    covers!("OPS-01", "OPS-28", "D-103");
    let mut world = World::of(&["alice", "bob"]);
    world.join("rita", &[Role::Reviewer]);
    world.announce("alice", "i", &["a.py"]);
    let mut propose = OpPropose::new(op("o"), "a.py".to_owned(), OpKind::Replace);
    propose.intent_id = Some(intent("i"));
    let deliveries = world.say("alice", propose);
    assert_eq!(heard(&deliveries, "rita"), ["OP_PROPOSE"]);
    assert_eq!(deliveries.len(), 1, "no echo, nobody else");
    let commit = commit_payload("o", Some("i"), "a.py", "one\n", "two\n");
    assert_eq!(error(&world.say("bob", commit.clone()), "bob").error_code, ErrorCode::StaleStateRef);
    let elsewhere = commit_payload("o", Some("i"), "b.py", "", "two\n");
    assert_eq!(error(&world.say("alice", elsewhere), "alice").error_code, ErrorCode::InvalidReference);
    assert_eq!(heard(&world.say("alice", commit), "bob"), ["OP_COMMIT"]);
}

#[test]
fn the_intent_of_an_operation_is_judged_by_the_profile() {
    covers!("OPS-02", "OPS-13", "OPS-14", "D-093", "D-136");
    let mut world = World::of(&["alice"]);
    // Core: accepted and flagged.
    for (at, under) in [None, Some("unknown")].into_iter().enumerate() {
        let commit = commit_payload(&format!("o{at}"), under, &format!("f{at}"), "", "x");
        assert_eq!(heard(&world.say("alice", commit), "alice"), ["OP_COMMIT"]);
        let record = &world.coordinator.snapshot().operations.unwrap()[at];
        assert_eq!(record.uncoordinated, Some(true));
    }
    // Proposals are judged strictly everywhere.
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), OpKind::Replace);
    propose.intent_id = Some(intent("unknown"));
    assert_eq!(error(&world.say("alice", propose), "alice").error_code, ErrorCode::InvalidReference);
    let mut config = crate::world::config();
    config.compliance_profile = ComplianceProfile::Semantic;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    let refused = error(&world.say("alice", commit_payload("o", None, "x", "", "x")), "alice");
    assert_eq!(refused.error_code, ErrorCode::MalformedMessage);
    let refused = error(&world.say("alice", commit_payload("o", Some("unknown"), "x", "", "x")), "alice");
    assert_eq!(refused.error_code, ErrorCode::InvalidReference);
    world.announce("alice", "i", &["x"]);
    world.withdraw("alice", "i");
    let late = world.say("alice", commit_payload("o", Some("i"), "x", "", "x"));
    assert_eq!(heard(&late, "alice"), ["OP_REJECT o intent_terminated"]);
    assert_eq!(world.files.len(), 0);
}

#[test]
fn an_uncoordinated_write_on_somebody_s_scope_is_reported() {
    covers!("OPS-29", "D-105", "SCO-21", "OPS-27", "SCO-16", "D-069");
    let mut world = World::of(&["alice", "bob", "carol"]);
    world.announce("alice", "i", &["x"]);
    let deliveries = world.say("bob", commit_payload("o", None, "./x", "", "new\n"));
    assert_eq!(heard(&deliveries, "alice"), ["OP_COMMIT", "CONFLICT_REPORT"]);
    assert_eq!(heard(&deliveries, "bob"), ["OP_COMMIT", "CONFLICT_REPORT"]);
    assert_eq!(heard(&deliveries, "carol"), ["OP_COMMIT"]);
    let Message::ConflictReport(report) = &deliveries.last().unwrap().message else { panic!() };
    assert_eq!((report.category.as_str(), report.severity.as_str()), ("concurrent_write", "high"));
    assert_eq!(report.related_ops, Some(vec![op("o")]));
    assert_eq!(report.principal_a.as_ref().unwrap().as_str(), "bob");
    assert_eq!(report.principal_b.as_ref().unwrap().as_str(), "alice");
}

#[test]
fn contents_are_cut_out_however_they_are_written() {
    covers!("OPS-22", "D-003", "D-010");
    let mut world = World::of(&["alice", "bob"]);
    let stamp = world.stamp();
    let who = &mut world.people.get_mut("alice").unwrap().1;
    let text = who.write(stamp, commit_payload("o", None, "x", "", "secret")).to_json();
    let twice = text.replace(r#"}},"watermark""#, r#"},"file_changes":null},"watermark""#);
    assert_ne!(text, twice);
    let conn = world.people["alice"].0;
    let relayed = world.frame(conn, &twice);
    assert_eq!(heard(&relayed, "bob"), ["OP_COMMIT"]);
    assert!(!relayed[0].text.contains("secret"), "{}", relayed[0].text);
}

#[test]
fn an_operation_may_go_under_somebody_else_s_intent_and_keeps_what_it_says() {
    covers!("OPS-16", "OPS-26", "OPS-20", "OPS-11");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["x"]);
    let mut commit = commit_payload("o1", Some("i"), "x", "", "new\n");
    commit.change_ref = Some("git:1".to_owned());
    commit.summary = Some("adds x".to_owned());
    assert_eq!(heard(&world.say("bob", commit), "alice"), ["OP_COMMIT"], "and no conflict");
    let mut propose = OpPropose::new(op("o2"), "x".to_owned(), OpKind::Replace);
    propose.intent_id = Some(intent("i"));
    propose.change_ref = Some("git:2".to_owned());
    world.say("bob", propose);
    let records = world.coordinator.snapshot().operations.unwrap();
    assert_eq!(
        (records[0].change_ref.as_deref(), records[0].summary.as_deref(), records[0].uncoordinated),
        (Some("git:1"), Some("adds x"), None)
    );
    assert_eq!(records[1].change_ref.as_deref(), Some("git:2"));
    assert!(records.iter().all(|record| record.principal_id.as_str() == "bob"));
}

#[test]
fn a_later_commit_leaves_the_earlier_one_committed() {
    covers!("OPS-21", "CAS-04");
    let mut world = World::of(&["alice"]);
    world.announce("alice", "i", &["a.py"]);
    world.say("alice", commit_payload("o1", Some("i"), "a.py", "one\n", "two\n"));
    world.say("alice", commit_payload("o2", Some("i"), "a.py", "two\n", "three\n"));
    world.withdraw("alice", "i");
    for id in ["o1", "o2"] {
        assert_eq!(format!("{:?}", world.coordinator.view().operation(&op(id)).unwrap()), "Committed");
    }
}

#[test]
fn state_references_are_written_as_the_session_s() {
    covers!("SES-25", "OPS-05", "D-104");
    let commit = |id: &str, before: &str, after: &str| {
        let refs = (StateRef::new(before), StateRef::new(after));
        mpac_wire::payload::OpCommit::new(op(id), "x".to_owned(), OpKind::Replace, refs.0, refs.1)
    };
    let mut world = World::of(&["alice"]);
    for (before, after) in [("1", "sha256:ab"), ("sha256:ab", "git:1"), ("sha256:", "sha256:ab"), ("", "")] {
        let refused = error(&world.say("alice", commit("o", before, after)), "alice");
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "{before} {after}");
    }
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), OpKind::Replace);
    propose.state_ref_before = Some(StateRef::new("1"));
    assert_eq!(error(&world.say("alice", propose), "alice").error_code, ErrorCode::MalformedMessage);
    let refs = || (StateRef::new("1"), StateRef::new("2"));
    let entry =
        mpac_wire::payload::BatchEntry::new(op("b"), "x".to_owned(), OpKind::Replace, refs().0, refs().1);
    let batch =
        mpac_wire::payload::OpBatchCommit::new("b".parse().unwrap(), "best_effort".into(), vec![entry]);
    assert_eq!(error(&world.say("alice", batch), "alice").error_code, ErrorCode::MalformedMessage);
    assert_eq!(heard(&world.say("alice", commit("o", "sha256:ab", "sha256:cd")), "alice"), ["OP_COMMIT"]);
    let mut supersede = mpac_wire::payload::OpSupersede::new(op("s"), op("o"), "x".to_owned());
    supersede.state_ref_after = Some(StateRef::new("3"));
    assert_eq!(error(&world.say("alice", supersede), "alice").error_code, ErrorCode::MalformedMessage);
    // In any other format they are only compared.
    let mut config = crate::world::config();
    config.state_ref_format = "monotonic_version".to_owned();
    config.workspace = None;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    assert_eq!(heard(&world.say("alice", commit("o1", "1", "2")), "alice"), ["OP_COMMIT"]);
    let stale = error(&world.say("alice", commit("o2", "1", "3")), "alice");
    assert_eq!(stale.error_code, ErrorCode::StaleStateRef);
}

#[test]
fn a_shared_workspace_needs_content_hashes() {
    covers!("OCC-17", "D-091");
    let mut config = crate::world::config();
    config.state_ref_format = "git_hash".to_owned();
    assert!(matches!(config.validate(), Err(mpac_core::ConfigError::StateRefFormat(_))));
    config.workspace = Some([].into());
    assert!(
        matches!(config.validate(), Err(mpac_core::ConfigError::StateRefFormat(_))),
        "an empty one is one"
    );
    config.workspace = None;
    assert_eq!(config.validate(), Ok(()));
}

#[test]
fn an_owner_rejects_what_somebody_left_lying() {
    covers!("LIV-13", "LIV-12", "OPS-17");
    let mut world = World::of(&["alice", "bob"]);
    world.join("olga", &[Role::Owner]);
    for id in ["o1", "o2"] {
        world.say("bob", OpPropose::new(op(id), "x".to_owned(), OpKind::Replace));
    }
    world.wait(60.0);
    let reject = |id: &str| {
        mpac_wire::payload::OpReject::new(op(id), mpac_wire::names::RejectReason::ParticipantUnavailable)
    };
    assert_eq!(heard(&world.say("olga", reject("o1")), "bob"), ["OP_REJECT o1 participant_unavailable"]);
    world.wait(31.0); // bob is silent by now
    let state =
        |world: &World, id: &str| format!("{:?}", world.coordinator.view().operation(&op(id)).unwrap());
    assert_eq!((state(&world, "o1").as_str(), state(&world, "o2").as_str()), ("Rejected", "Abandoned"));
    assert_eq!(error(&world.say("olga", reject("o2")), "olga").error_code, ErrorCode::InvalidReference);
    // What is abandoned is not committed either.
    let late = commit_payload("o2", None, "x", "", "new\n");
    let refused = world.say("bob", late);
    assert_eq!(heard(&refused, "bob"), ["PROTOCOL_ERROR STALE_STATE_REF"]);
}
