//! Divergence is found where it can be known, told in conflicts of its own, and blocks nobody without need.

use mpac_core::table::conflict;
use mpac_core::{Input, RestoreError};
use mpac_wire::names::{ConflictCategory, Decision, ErrorCode, Role, Severity};
use mpac_wire::payload::{Basis, ConflictEscalate, ConflictReport, FileChange, Resolution};
use mpac_wire::snapshot::{ConflictRecord, Snapshot};
use mpac_wire::{ConflictId, Message, StateRef, Timestamp};

use crate::covers;
use crate::precommit::{precommit, propose};
use crate::recovery::hello_with;
use crate::world::{Delivery, World, commit_payload, config, error, heard, intent};

/// A report by hand, under the rule of divergences.
fn report(id: &str, about: &str) -> ConflictReport {
    let id = ConflictId::new(id).unwrap();
    let mut report = ConflictReport::new(id, ConflictCategory::ConcurrentWrite, Severity::High);
    let mut basis = Basis::new();
    basis.rule_id = Some("state.divergence.v1".to_owned());
    report.basis = Some(basis);
    report.related_intents = Some(vec![intent(about)]);
    report
}

/// The ids of the divergences that `who` is told of.
fn told(deliveries: &[Delivery], who: &str) -> Vec<String> {
    let reports = deliveries.iter().filter(|it| it.to == who).filter_map(|it| match &it.message {
        Message::ConflictReport(report) => Some(report.conflict_id.to_string()),
        _ => None,
    });
    reports.filter(|id| id.starts_with("divergence:")).collect()
}

#[test]
fn nobody_else_opens_a_divergence() {
    covers!("REC-16", "REC-30", "D-041");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["x"]);
    let refused = world.say("alice", report("divergence:alice:2", "i1"));
    assert_eq!(error(&refused, "alice").error_code, ErrorCode::MalformedMessage);
    assert!(error(&refused, "alice").description.contains("divergence:"));
    assert_eq!(world.coordinator.view().conflicts().len(), 0);
    // The rule alone makes no divergence either.
    assert_eq!(heard(&world.say("alice", report("mine", "i1")), "alice"), ["CONFLICT_REPORT"]);
    world.restart(1.0);
    let back = hello_with(&mut world, "alice", &["lost"]);
    assert_eq!(told(&back, "alice"), ["divergence:alice:2"]);
}

#[test]
fn a_session_in_which_something_diverges_does_not_close_by_itself() {
    covers!("SES-10", "REC-30");
    let mut config = config();
    config.lifecycle.auto_close = Some(true);
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.announce("alice", "i", &["x"]);
    world.restart(1.0);
    assert_eq!(told(&hello_with(&mut world, "alice", &["lost"]), "alice").len(), 1);
    world.withdraw("alice", "i");
    assert!(!heard(&world.wait(80.0), "alice").iter().any(|line| line.contains("CLOSE")));
}

/// A stored session in which another conflict has the id that a divergence would get.
fn with_conflict(stored: &Snapshot, id: &str, state: &str) -> Snapshot {
    let mut stored = stored.clone();
    let mut record = ConflictRecord::new(ConflictId::new(id).unwrap());
    record.state = Some(state.into());
    record.related_intents = Some(vec![intent("i1")]);
    let mut basis = Basis::new();
    basis.rule_id = Some("state.divergence.v1".to_owned());
    record.basis = Some(basis);
    stored.conflicts.get_or_insert_default().push(record);
    stored
}

#[test]
fn a_snapshot_from_elsewhere_may_hold_the_id_and_nothing_is_written_over() {
    covers!("REC-16", "REC-30");
    for (state, kept) in [("OPEN", conflict::State::Open), ("DISMISSED", conflict::State::Dismissed)] {
        let mut world = World::of(&["alice"]);
        world.announce("alice", "i1", &["x"]);
        let stored = with_conflict(&world.coordinator.snapshot(), "divergence:alice:2", state);
        world.restore(&stored);
        let back = hello_with(&mut world, "alice", &["lost"]);
        assert_eq!(told(&back, "alice"), ["divergence:alice:2:2"]);
        let taken = ConflictId::new("divergence:alice:2").unwrap();
        assert_eq!(world.coordinator.view().conflict(&taken), Some(kept));
        let refused = world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
        assert_eq!(error(&refused, "alice").error_code, ErrorCode::StateDivergence);
    }
}

#[test]
fn long_names_that_begin_alike_have_a_conflict_each() {
    covers!("REC-30");
    let names = ["a", "b"].map(|end| format!("{}{end}", "n".repeat(250)));
    let mut world = World::of(&[]);
    names.iter().for_each(|name| drop(world.join(name, &[Role::Contributor])));
    world.restart(1.0);
    let ids: Vec<String> =
        names.iter().flat_map(|name| told(&hello_with(&mut world, name, &["lost"]), name)).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.len() < 100 && id.ends_with(":2")), "{ids:?}");
    assert_eq!(world.coordinator.view().conflicts().len(), 2);
}

#[test]
fn what_was_taken_back_and_said_again_is_the_same_divergence() {
    covers!("REC-30", "D-041");
    let mut world = World::of(&["alice"]);
    world.join("olga", &[Role::Owner]);
    world.restart(1.0);
    world.hello("olga");
    assert_eq!(told(&hello_with(&mut world, "alice", &["lost"]), "olga"), ["divergence:alice:2"]);
    hello_with(&mut world, "alice", &[]);
    let again = hello_with(&mut world, "alice", &["lost"]);
    assert_eq!(heard(&again, "alice"), ["SESSION_INFO", "PROTOCOL_ERROR STATE_DIVERGENCE"]);
    let refused = world.say("alice", commit_payload("o1", None, "a.py", "one\n", "two\n"));
    assert_eq!(error(&refused, "alice").error_code, ErrorCode::StateDivergence);
    world.say("olga", Resolution::new(world.conflict(), Decision::Approved));
    let stored = world.say("alice", commit_payload("o2", None, "a.py", "one\n", "two\n"));
    assert_eq!(heard(&stored, "alice"), ["OP_COMMIT"]);
}

/// Commits `o0` to `o9` to files of their own, in a session that keeps two records.
fn forgetful() -> World {
    let mut config = config();
    config.retained_records = 2;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    for n in 0..10 {
        world.say(
            "alice",
            commit_payload(&format!("o{n}"), None, "f", &format!("{n}"), &format!("{}", n + 1)),
        );
    }
    world
}

#[test]
fn what_was_only_forgotten_is_no_divergence_and_what_was_lost_is() {
    covers!("D-041", "REC-16", "SES-27");
    let mut world = forgetful();
    world.restart(1.0);
    assert_eq!(world.coordinator.view().operation(&crate::world::op("o0")), None);
    assert_eq!(told(&hello_with(&mut world, "alice", &["o0", "o5", "o9"]), "alice"), [""; 0]);
    // Nor is a commit that builds on what one of them left: it is stale.
    let stale = world.say("alice", commit_payload("p", None, "f", "3", "x"));
    assert_eq!(error(&stale, "alice").error_code, ErrorCode::StaleStateRef);
    // Once more from the stored form.
    world.restart(1.0);
    assert_eq!(told(&hello_with(&mut world, "alice", &["o0"]), "alice"), [""; 0]);
    let back = hello_with(&mut world, "alice", &["o0", "lost"]);
    assert_eq!(told(&back, "alice"), ["divergence:alice:3"]);
    assert!(back.iter().any(|it| it.text.contains(r#"{"divergent":["lost"]}"#)), "o0 is not among them");
}

#[test]
fn a_session_that_forgot_without_traces_blocks_nobody_for_it() {
    covers!("D-041", "EXT-08");
    let world = forgetful();
    let mut stored = world.coordinator.snapshot();
    let forgotten = |stored: &mut Snapshot, traces: Option<&str>| {
        let state = stored.coordinator_state.as_mut().unwrap();
        state.forgotten.as_mut().unwrap().trace_words = traces.map(ToOwned::to_owned);
    };
    forgotten(&mut stored, Some("what"));
    let error = mpac_core::Coordinator::load(world.config.clone(), &stored).map(|_| ()).unwrap_err();
    assert_eq!(error, RestoreError::Traces);
    forgotten(&mut stored, None);
    let mut world = world;
    world.restore(&stored);
    assert_eq!(told(&hello_with(&mut world, "alice", &["whatever"]), "alice"), [""; 0]);
}

#[test]
fn traces_of_another_hash_are_not_read() {
    covers!("D-041", "EXT-08");
    let mut world = forgetful();
    let stored = serde_json::to_string(&world.coordinator.snapshot()).unwrap();
    let before: Snapshot = serde_json::from_str(&stored.replace("\"trace_words\"", "\"traces\"")).unwrap();
    world.restore(&before);
    assert_eq!(told(&hello_with(&mut world, "alice", &["o0", "whatever"]), "alice"), [""; 0]);
    // They go on as of anything, in the form that is read.
    world.restart(1.0);
    assert_eq!(told(&hello_with(&mut world, "alice", &["whatever"]), "alice"), [""; 0]);
}

/// A divergence of alice's, in a session where only governance could end it.
fn diverged(config: mpac_core::SessionConfig) -> World {
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.restart(1.0);
    hello_with(&mut world, "alice", &["lost"]);
    world
}

#[test]
fn no_time_ends_a_divergence_only_those_who_govern_do() {
    covers!("REC-30", "GOV-14", "D-041");
    let mut world = diverged(crate::freeze::patient());
    let id = world.conflict();
    let remind = ["PROTOCOL_ERROR RESOLUTION_TIMEOUT"];
    assert_eq!(heard(&world.wait(300.001), "alice"), remind);
    let later = world.wait(299.0);
    assert_eq!(heard(&later, "alice"), [""; 0], "no phase of a freeze begins or ends");
    assert_eq!(heard(&world.wait(1.001), "alice"), remind);
    assert_eq!(world.coordinator.view().conflict(&id), Some(conflict::State::Open));
    // The arbiter who comes at last is asked, once.
    world.join("anna", &[Role::Arbiter]);
    assert_eq!(heard(&world.wait(300.001), "anna"), ["CONFLICT_ESCALATE"]);
    assert_eq!(heard(&world.wait(300.001), "anna"), remind);
    let refused = world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
    assert_eq!(error(&refused, "alice").error_code, ErrorCode::StateDivergence);
    world.restart(1.0);
    world.hello("anna");
    world.say("anna", Resolution::new(id, Decision::Approved));
    world.hello("alice");
    let stored = world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
    assert_eq!(heard(&stored, "alice"), ["OP_COMMIT"]);
}

#[test]
fn a_settled_divergence_that_is_forgotten_is_not_opened_again_in_its_epoch() {
    covers!("REC-30", "SES-27", "REC-29");
    let mut config = config();
    config.retained_records = 1;
    let mut world = diverged(config);
    world.join("olga", &[Role::Owner]);
    let id = world.conflict();
    world.say("olga", Resolution::new(id.clone(), Decision::Approved));
    // Another conflict ends, and there is room for one.
    world.announce("alice", "i1", &["x"]);
    world.announce("olga", "i2", &["x"]);
    world.withdraw("alice", "i1");
    world.withdraw("olga", "i2");
    assert_eq!(world.coordinator.view().conflict(&id), None);
    assert_eq!(heard(&hello_with(&mut world, "alice", &["lost"]), "alice"), ["SESSION_INFO"]);
    world.restart(1.0);
    assert_eq!(told(&hello_with(&mut world, "alice", &["lost"]), "alice"), ["divergence:alice:3"]);
}

#[test]
fn what_can_be_no_id_is_no_lost_operation_and_each_is_named_once() {
    covers!("D-041", "D-134");
    let mut world = World::of(&["alice"]);
    world.restart(1.0);
    let long = "o".repeat(257);
    let back = hello_with(&mut world, "alice", &[&long, ""]);
    assert_eq!(heard(&back, "alice"), ["SESSION_INFO", "COORDINATOR_STATUS recovered"]);
    let back = hello_with(&mut world, "alice", &["lost", &long, "lost"]);
    assert!(back.iter().any(|it| it.text.contains(r#"{"divergent":["lost"]}"#)));
}

#[test]
fn nothing_is_due_again_and_again_at_the_end_of_time() {
    covers!("REC-01", "REC-30", "D-013");
    let mut config = config();
    config.status_heartbeats = true;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.restart(1.0);
    hello_with(&mut world, "alice", &["lost"]);
    world.now = Timestamp::from_micros(i64::MAX);
    let said = world.input(Input::Timeout);
    let count = |what: &str| heard(&said, "alice").iter().filter(|line| line.contains(what)).count();
    assert_eq!((count("RESOLUTION_TIMEOUT"), count("COORDINATOR_STATUS")), (1, 1));
    assert_eq!(world.input(Input::Timeout).len(), 0);
    assert_eq!(world.coordinator.next_deadline(), None);
}

/// Whoever builds on a state that was simply replaced, by whatever, is too late, and nothing was lost.
#[test]
fn a_state_that_was_replaced_without_an_operation_on_it_is_no_divergence() {
    covers!("D-041", "REC-16", "REC-30", "OCC-02", "D-091");
    let mut world = World::of(&["alice", "bob"]);
    let mut beside = commit_payload("o1", None, "x", "", "x\n");
    let change = |before: &str, after: &str| FileChange::new(after.into(), StateRef::of(before));
    let files = [("x", change("", "x\n")), ("new.py", change("", "new\n"))];
    beside.file_changes = Some(files.into_iter().collect());
    world.say("bob", beside);
    let mut again = commit_payload("o2", None, "x", "x\n", "y\n");
    let files = [("x", change("x\n", "y\n")), ("new.py", change("new\n", "newer\n"))];
    again.file_changes = Some(files.into_iter().collect());
    world.say("bob", again);
    // While the host was away somebody changed a file of it, and made another one.
    let files = [("a.py", "edited\n"), ("made.py", "made\n"), ("x", "y\n"), ("new.py", "newer\n")];
    let files = files.map(|(path, content)| (path.to_owned(), StateRef::of(content)));
    world.config.workspace = Some(files.into_iter().collect());
    world.restart(1.0);
    world.restart(1.0); // again, and what was written down knows of it
    world.hello("alice");
    for (n, (path, before)) in
        [("a.py", "one\n"), ("made.py", ""), ("new.py", ""), ("new.py", "new\n")].into_iter().enumerate()
    {
        let refused = world.say("alice", commit_payload(&format!("p{n}"), None, path, before, "mine\n"));
        assert_eq!(heard(&refused, "alice"), ["PROTOCOL_ERROR STALE_STATE_REF"], "{path}");
    }
    let stored = world.say("alice", commit_payload("q", None, "a.py", "edited\n", "mine\n"));
    assert_eq!(heard(&stored, "alice"), ["OP_COMMIT"]);
    // What nobody ever had there is one.
    let lost = world.say("alice", commit_payload("r", None, "made.py", "lost\n", "mine\n"));
    assert_eq!(told(&lost, "alice"), ["divergence:alice:3"]);
}

#[test]
fn a_completion_that_was_lost_is_a_divergence_though_its_proposal_is_there() {
    covers!("REC-16", "REC-17", "REC-30", "D-041", "D-103");
    for by_name in [true, false] {
        let mut config = precommit();
        config.workspace = Some([("a.py".to_owned(), StateRef::of("one\n"))].into());
        let mut world = crate::precommit::world(config);
        let commit =
            |id: &str, before: &str, after: &str| commit_payload(id, Some("i"), "a.py", before, after);
        world.say("alice", commit("o1", "one\n", "two\n")); // asks, and may
        let asked = world.coordinator.snapshot();
        assert_eq!(heard(&world.say("alice", commit("o1", "one\n", "two\n")), "bob"), ["OP_COMMIT"]);
        world.restore(&asked);
        world.hello("olga");
        let back = if by_name {
            hello_with(&mut world, "alice", &["o1"])
        } else {
            world.hello("alice");
            world.say("alice", propose("o2"));
            world.say("alice", commit("o2", "two\n", "three\n"))
        };
        assert_eq!(told(&back, "alice"), ["divergence:alice:2"], "{by_name}");
        assert_eq!(told(&back, "olga"), ["divergence:alice:2"]);
    }
}

#[test]
fn what_is_named_again_after_another_recovery_is_in_the_conflict_that_is_open() {
    covers!("REC-30", "D-041");
    let mut world = World::of(&["alice"]);
    world.join("olga", &[Role::Owner]);
    world.restart(1.0);
    hello_with(&mut world, "alice", &["o1", "o2"]);
    let id = world.conflict();
    for named in [&["o1", "o2"][..], &["o2"]] {
        world.restart(1.0);
        world.hello("olga");
        let back = hello_with(&mut world, "alice", named);
        for who in ["alice", "olga"] {
            assert_eq!(told(&back, who), ["divergence:alice:2"], "who governs now may not have heard of it");
        }
        let refused = world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
        assert_eq!(error(&refused, "alice").error_code, ErrorCode::StateDivergence);
    }
    world.say("olga", Resolution::new(id, Decision::Approved));
    assert_eq!(heard(&hello_with(&mut world, "alice", &["o2"]), "alice"), ["SESSION_INFO"]);
    let stored = world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
    assert_eq!(heard(&stored, "alice"), ["OP_COMMIT"]);
    // One that was decided is none that is open.
    world.restart(1.0);
    let back = hello_with(&mut world, "alice", &["o2"]);
    assert_eq!(told(&back, "alice"), ["divergence:alice:5"]);
}

#[test]
fn a_decision_about_this_epoch_settles_what_was_left_of_earlier_ones() {
    covers!("REC-30", "D-041", "GOV-14");
    for (decision, end) in
        [(Decision::Approved, conflict::State::Closed), (Decision::Dismissed, conflict::State::Dismissed)]
    {
        let mut world = World::of(&["alice", "bob"]);
        world.join("olga", &[Role::Owner]);
        world.restart(1.0);
        hello_with(&mut world, "bob", &["o5"]);
        hello_with(&mut world, "alice", &["o2"]);
        for named in [&["o2", "o9"][..], &["o2", "o9", "o10"]] {
            world.restart(1.0);
            hello_with(&mut world, "alice", named);
        }
        world.hello("olga");
        let id = |name: &str| ConflictId::new(format!("divergence:{name}")).unwrap();
        let said = world.say("olga", Resolution::new(id("alice:4"), decision.clone()));
        for who in ["alice", "bob", "olga"] {
            assert_eq!(heard(&said, who).len(), if who == "bob" { 0 } else { 3 }, "{:?}", heard(&said, who));
        }
        for name in ["alice:2", "alice:3", "alice:4"] {
            assert_eq!(world.coordinator.view().conflict(&id(name)), Some(end), "{name}");
        }
        assert_eq!(world.coordinator.view().conflict(&id("bob:2")), Some(conflict::State::Open));
        world.restart(1.0); // what was written down of it is taken up
        assert_eq!(world.coordinator.view().conflict(&id("alice:2")), Some(end));
    }
}

#[test]
fn an_earlier_divergence_that_an_arbiter_was_asked_to_decide_is_the_arbiters() {
    covers!("REC-30", "GOV-02");
    let mut world = World::of(&["alice"]);
    for (name, role) in [("olga", Role::Owner), ("zed", Role::Arbiter)] {
        world.join(name, &[role]);
    }
    world.restart(1.0);
    world.hello("olga");
    world.hello("zed");
    hello_with(&mut world, "alice", &["o2"]);
    let first = world.conflict();
    world.say("olga", ConflictEscalate::new(first.clone(), "zed".parse().unwrap(), "r".into()));
    world.restart(1.0);
    world.hello("olga");
    world.hello("zed");
    hello_with(&mut world, "alice", &["o2", "o9"]);
    let second = ConflictId::new("divergence:alice:3").unwrap();
    world.say("olga", Resolution::new(second, Decision::Approved));
    assert_eq!(world.coordinator.view().conflict(&first), Some(conflict::State::Escalated));
    let decided = world.say("zed", Resolution::new(first, Decision::Approved));
    assert_eq!(heard(&decided, "olga"), ["RESOLUTION approved"]);
}

#[test]
fn what_a_second_recovery_lost_is_a_divergence_of_its_own() {
    covers!("REC-30", "D-041");
    let mut world = World::of(&["alice"]);
    world.join("olga", &[Role::Owner]);
    world.restart(1.0);
    hello_with(&mut world, "alice", &["o2"]);
    let first = world.conflict();
    world.restart(1.0);
    world.hello("olga");
    let back = hello_with(&mut world, "alice", &["o2", "o9"]);
    assert_eq!(told(&back, "alice"), ["divergence:alice:3"]);
    assert_eq!(told(&back, "olga"), ["divergence:alice:3"]);
    assert!(back.iter().any(|it| it.text.contains("differ in o2, o9")));
    // The first one is for those who govern to settle, and sets nobody free.
    let second = ConflictId::new("divergence:alice:3").unwrap();
    assert_eq!(world.coordinator.view().conflict(&first), Some(conflict::State::Open));
    world.say("olga", Resolution::new(first, Decision::Approved));
    let refused = world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
    assert_eq!(error(&refused, "alice").error_code, ErrorCode::StateDivergence);
    world.say("olga", Resolution::new(second, Decision::Approved));
    assert_eq!(heard(&hello_with(&mut world, "alice", &["o2", "o9"]), "alice"), ["SESSION_INFO"]);
    let stored = world.say("alice", commit_payload("o", None, "a.py", "one\n", "two\n"));
    assert_eq!(heard(&stored, "alice"), ["OP_COMMIT"]);
}
