//! `file_changes` where they cannot be kept, and where they reach beyond the target.

use mpac_core::SessionConfig;
use mpac_wire::names::{Atomicity, ErrorCode, OpKind, Role};
use mpac_wire::payload::{
    BatchEntry, ConflictReport, FileChange, FileChanges, OpBatchCommit, OpCommit, OpSupersede,
};
use mpac_wire::{Message, StateRef};

use crate::covers;
use crate::world::{Delivery, World, commit_payload, error, heard, intent, op};

fn new_files(paths: &[&str]) -> FileChanges {
    let change = |path: &&str| ((*path).to_owned(), FileChange::new("new\n".into(), StateRef::of("")));
    paths.iter().map(change).collect()
}

/// A commit to `x` that writes these files with it.
fn commit(id: &str, under: Option<&str>, beside: &[&str]) -> OpCommit {
    let mut commit = commit_payload(id, under, "x", "", "new\n");
    commit.file_changes = Some(new_files(&[&["x"], beside].concat()));
    commit
}

fn reports(deliveries: &[Delivery], who: &str) -> Vec<ConflictReport> {
    let theirs = deliveries.iter().filter(|it| it.to == who);
    let reports = theirs.filter_map(|it| match &it.message {
        Message::ConflictReport(report) => Some(report.clone()),
        _ => None,
    });
    reports.map(|report| *report).collect()
}

#[test]
fn what_was_committed_without_content_has_a_state_all_the_same() {
    covers!("D-091", "D-090", "OCC-02", "OCC-12");
    let mut world = World::of(&["alice", "bob"]);
    let mut plain = commit_payload("o1", None, "n", "", "A");
    plain.file_changes = None;
    world.say("alice", plain); // no file of the workspace, and nothing brings its content
    let beside = |id: &str, before: &str| {
        let mut commit = commit_payload(id, None, "x", "", "x");
        let change = |before: &str, after: &str| FileChange::new(after.into(), StateRef::of(before));
        let files = [("x", change("", "x")), ("n", change(before, "B"))];
        commit.file_changes = Some(files.into_iter().collect());
        commit
    };
    let refused = world.say("bob", beside("o2", ""));
    assert_eq!(heard(&refused, "bob"), ["PROTOCOL_ERROR STALE_STATE_REF"]);
    assert!(world.files.is_empty());
    assert_eq!(heard(&world.say("bob", beside("o3", "A")), "bob"), ["OP_COMMIT"]);
    assert_eq!(world.files["n"], "B");
}

/// States are numbers here.
fn numbered() -> SessionConfig {
    let mut config = crate::world::config();
    config.state_ref_format = "monotonic_version".to_owned();
    config.workspace = None;
    config
}

#[test]
fn where_states_are_no_contents_none_are_taken() {
    covers!("CAP-09", "D-091", "SES-25");
    let mut world = World::with(numbered());
    world.join("alice", &[Role::Contributor]);
    let version = |n: &str| StateRef::new(n);
    let plain = |id: &str, before: &str, after: &str| {
        OpCommit::new(op(id), "x".to_owned(), OpKind::Replace, version(before), version(after))
    };
    world.say("alice", plain("o1", "1", "2"));
    let beside = Some(new_files(&["y"]));
    let mut single = plain("o2", "2", "3");
    single.file_changes = beside.clone();
    let entry = BatchEntry::new(op("o3"), "x".to_owned(), OpKind::Replace, version("2"), version("3"));
    let mut batch = OpBatchCommit::new("b".parse().unwrap(), Atomicity::AllOrNothing, vec![entry]);
    batch.file_changes = beside.clone();
    let mut supersede = OpSupersede::new(op("o4"), op("o1"), "x".to_owned());
    supersede.state_ref_after = Some(version("3"));
    supersede.file_changes = beside;
    for message in [Message::from(single), batch.into(), supersede.into()] {
        let refused = world.say("alice", message);
        assert_eq!(heard(&refused, "alice"), ["PROTOCOL_ERROR CAPABILITY_UNSUPPORTED"]);
        assert!(error(&refused, "alice").description.contains("monotonic_version"));
    }
    assert!(world.files.is_empty());
    let mut none = OpCommit::new(op("o5"), "y".to_owned(), OpKind::Replace, version("7"), version("8"));
    none.file_changes = Some(FileChanges::default());
    assert_eq!(heard(&world.say("alice", none), "alice"), ["OP_COMMIT"], "nothing of y was kept");
}

#[test]
fn a_request_that_brings_contents_is_told_before_it_waits() {
    covers!("CAP-09", "D-091", "D-096");
    let mut config = crate::precommit::precommit();
    config.state_ref_format = "monotonic_version".to_owned();
    config.workspace = None;
    let mut world = crate::precommit::world(config);
    let refused = world.say("alice", commit("o", Some("i"), &[]));
    assert_eq!(error(&refused, "alice").error_code, ErrorCode::CapabilityUnsupported);
    assert_eq!(world.coordinator.view().operation(&op("o")), None);
}

#[test]
fn what_is_written_beside_the_target_is_reported_like_the_target() {
    covers!("D-105", "OPS-29", "SCO-21");
    let mut world = World::of(&["alice", "bob", "carol"]);
    world.announce("alice", "i", &["held"]);
    world.announce("carol", "k", &["kept"]);
    world.announce("bob", "j", &["x", "own"]);
    // Neither what the own intent covers nor what nobody holds is worth a word.
    assert_eq!(reports(&world.say("bob", commit("o1", Some("j"), &["own", "free"])), "bob"), []);
    // Outside the own intent: one report, whoever it concerns.
    let mut write = commit("o2", Some("j"), &["./held", "kept"]);
    write.state_ref_before = StateRef::of("new\n");
    write.file_changes = Some(new_files(&["./held", "kept"]));
    let told = world.say("bob", write);
    let found = reports(&told, "alice");
    assert_eq!(found.len(), 1);
    assert_eq!(reports(&told, "carol"), found);
    assert_eq!(found[0].category.as_str(), "concurrent_write");
    assert_eq!(found[0].related_ops, Some(vec![op("o2")]));
    assert_eq!(found[0].related_intents, Some(vec![intent("i"), intent("k")]));
    assert!(found[0].description.as_ref().unwrap().contains("held"));
    assert_eq!(found[0].principal_a.as_ref().unwrap().as_str(), "bob");
}

#[test]
fn target_and_paths_beside_it_make_one_report() {
    covers!("D-105", "BAT-07");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["x", "held"]);
    let told = world.say("bob", commit("o1", None, &["held"]));
    assert_eq!(reports(&told, "alice").len(), 1);
    // A batch without intent: all of its operations are behind what it wrote beside them.
    let entry = |id: &str, target: &str| {
        let refs = (StateRef::of(""), StateRef::of("new\n"));
        BatchEntry::new(op(id), target.to_owned(), OpKind::Replace, refs.0, refs.1)
    };
    let entries = vec![entry("p1", "free"), entry("p2", "idle")];
    let mut batch = OpBatchCommit::new("b".parse().unwrap(), Atomicity::AllOrNothing, entries);
    let change = |before: &str, after: &str| FileChange::new(after.into(), StateRef::of(before));
    let files =
        [("free", change("", "new\n")), ("idle", change("", "new\n")), ("held", change("new\n", "newer\n"))];
    batch.file_changes = Some(files.into_iter().collect());
    let found = reports(&world.say("bob", batch), "alice");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].related_ops, Some(vec![op("p1"), op("p2")]));
    // A supersession too.
    let mut supersede = OpSupersede::new(op("s"), op("p1"), "free".to_owned());
    supersede.state_ref_after = Some(StateRef::of("n"));
    let files = [("free", change("new\n", "n")), ("held", change("newer\n", "newest\n"))];
    supersede.file_changes = Some(files.into_iter().collect());
    let told = world.say("bob", supersede);
    assert_eq!(reports(&told, "alice").len(), 1, "{:?}", heard(&told, "bob"));
}
