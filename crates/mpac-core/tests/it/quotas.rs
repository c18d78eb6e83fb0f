//! What one principal may keep open at one time: more is refused, nothing of it is done, and others go on (SEC-37).

use mpac_core::SessionConfig;
use mpac_wire::names::{Atomicity, ErrorCode, OpKind, PrincipalType, Role};
use mpac_wire::payload::{
    BatchEntry, ConflictReport, Goodbye, IntentClaim, IntentUpdate, OpBatchCommit, ProtocolError,
};
use mpac_wire::{Message, Scope, Seconds, StateRef, Watermark};

use crate::covers;
use crate::precommit::{precommit, propose, world as reviewed};
use crate::world::{Delivery, World, commit_payload, error, heard, intent, op};

/// Alice and Bob in a session with these limits of intents, operations and conflicts.
fn world(limits: [usize; 3]) -> World {
    World::with_people(limited(crate::world::config(), limits), &["alice", "bob"])
}

fn limited(mut config: SessionConfig, [intents, operations, conflicts]: [usize; 3]) -> SessionConfig {
    let open = &mut config.max_open_each;
    (open.intents, open.operations, open.conflicts) = (intents, operations, conflicts);
    config.liveness.unavailability_timeout_sec = Some(Seconds::whole(10_000));
    config
}

impl World {
    fn with_people(config: SessionConfig, names: &[&str]) -> Self {
        let mut world = Self::with(config);
        for name in names {
            world.join_as(name, PrincipalType::Agent, &[Role::Contributor]);
        }
        world
    }

    /// What `who` is told of `message`, which must change nothing but the clock.
    fn turned_away(&mut self, who: &str, message: impl Into<Message>) -> ProtocolError {
        let told = |world: &Self| {
            let snapshot = world.coordinator.snapshot();
            (snapshot.intents, snapshot.operations, snapshot.conflicts, snapshot.pending_claims)
        };
        let before = told(self);
        let deliveries = self.say(who, message);
        assert_eq!(deliveries.len(), 1, "nobody else hears of it: {deliveries:?}");
        assert_eq!(told(self), before);
        let refused = error(&deliveries, who);
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "as for every other limit (D-134)");
        refused
    }
}

fn extensions(refused: &ProtocolError) -> serde_json::Value {
    refused.extensions.as_ref().unwrap().read().unwrap()
}

fn announce(id: &str, file: &str) -> Message {
    mpac_wire::payload::IntentAnnounce::new(intent(id), "o".to_owned(), Scope::files([file])).into()
}

#[test]
fn an_intent_too_many_is_refused_with_the_time_to_come_again() {
    covers!("SEC-37");
    let mut world = world([2, 9, 9]);
    world.announce("alice", "i1", &["a"]);
    world.wait(100.5);
    world.announce("alice", "i2", &["b"]);
    let refused = world.turned_away("alice", announce("i3", "c"));
    assert!(refused.description.starts_with("you have 2 intents already"), "{}", refused.description);
    let told = extensions(&refused);
    assert_eq!(told["mpac"]["limit"], "max_open_intents_each");
    assert_eq!(told["retry_after_sec"], 200, "the first of them lives for 300 s: {told}");
    // Of others there is room for as many.
    assert_eq!(heard(&world.announce("bob", "j", &["c"]), "alice"), ["INTENT_ANNOUNCE"]);
    // After a restart the limit is where it was, and whoever waited as long as told is let in.
    world.restart(1.0);
    world.hello("alice");
    world.turned_away("alice", announce("i3", "d"));
    world.wait(199.0);
    assert_eq!(heard(&world.announce("alice", "i3", &["d"]), "alice"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn one_that_takes_the_place_of_an_own_one_is_not_too_many() {
    let mut world = world([1, 9, 9]);
    world.announce("alice", "i1", &["a"]);
    let mut next = mpac_wire::payload::IntentAnnounce::new(intent("i2"), "o".to_owned(), Scope::files(["a"]));
    next.supersedes_intent_id = Some(intent("i1"));
    assert_eq!(heard(&world.say("alice", next), "bob"), ["INTENT_ANNOUNCE"]);
    world.withdraw("alice", "i2");
    assert_eq!(heard(&world.announce("alice", "i3", &["a"]), "bob"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn a_claim_that_waits_counts_as_the_intent_that_it_would_become() {
    let config = limited(crate::world::config(), [1, 9, 9]);
    let mut world = World::with_people(config, &["alice", "bob", "carol"]);
    for (who, id) in [("alice", "i"), ("carol", "k")] {
        world.announce(who, id, &[id]);
        let mut bye = Goodbye::new("user_exit".into());
        bye.intent_disposition = Some(mpac_wire::names::IntentDisposition::Transfer);
        world.say(who, bye);
    }
    let claim = |id: &str, new: &str, original: &str, owner: &str| {
        IntentClaim::new(
            id.parse().unwrap(),
            intent(original),
            owner.parse().unwrap(),
            intent(new),
            "go on".to_owned(),
            Scope::files([original]),
        )
    };
    world.say("bob", claim("c1", "j1", "i", "alice"));
    world.turned_away("bob", claim("c2", "j2", "k", "carol"));
    world.turned_away("bob", announce("j3", "z"));
}

#[test]
fn operations_that_wait_are_counted_alone_and_in_batches() {
    let mut world = reviewed(limited(precommit(), [9, 2, 9]));
    // Blocked by a conflict, they wait.
    world.announce("bob", "k", &["a.py"]);
    world.say("alice", propose("p1"));
    let entry = |id: &str| {
        BatchEntry::new(op(id), "x".to_owned(), OpKind::Replace, StateRef::of(""), StateRef::of("1"))
    };
    let mut batch =
        OpBatchCommit::new("b1".parse().unwrap(), Atomicity::BestEffort, vec![entry("p2"), entry("p3")]);
    batch.intent_id = Some(intent("i"));
    let refused = world.turned_away("alice", batch.clone());
    assert!(refused.description.starts_with("you have 2 operations already"), "{}", refused.description);
    assert_eq!(extensions(&refused)["mpac"]["limit"], "max_open_operations_each");
    // Half of it would have had room, and is taken when it comes alone.
    batch.operations.pop();
    world.say("alice", batch);
    world.turned_away("alice", propose("p4"));
    world.turned_away("alice", commit_payload("p5", Some("i"), "x", "", "1"));
    // Whose turn it is not to wait has the same room as before.
    let mut other = propose("q");
    other.target = "b.py".to_owned();
    other.intent_id = Some(intent("j"));
    assert_ne!(heard(&world.say("bob", other), "rita"), [""; 0]);
}

#[test]
fn whoever_has_too_many_conflicts_open_brings_about_no_more() {
    let mut world = world([9, 9, 2]);
    world.announce("alice", "i", &["a", "b", "c"]);
    world.announce("bob", "j1", &["a"]);
    world.announce("bob", "j2", &["b"]);
    let refused = world.turned_away("bob", announce("j3", "z"));
    assert!(refused.description.starts_with("you have 2 conflicts already"), "{}", refused.description);
    assert_eq!(extensions(&refused)["mpac"]["limit"], "max_open_conflicts_each");
    let mut update = IntentUpdate::new(intent("j1"));
    update.scope = Some(Scope::files(["a", "c"]));
    world.turned_away("bob", update);
    let report = |id: &str| {
        let mut report = ConflictReport::new(id.parse().unwrap(), "semantic".into(), "low".into());
        report.related_intents = Some(vec![intent("i")]);
        report.based_on_watermark = Some(Watermark::lamport(1));
        report
    };
    world.turned_away("bob", report("c1"));
    // The other side of these conflicts did not bring them about.
    assert_ne!(heard(&world.say("alice", report("c2")), "alice"), [""; 0]);
    assert_eq!(heard(&world.announce("alice", "k", &["y"]), "bob"), ["INTENT_ANNOUNCE"]);
    // One less, and there is room again, also after a restart.
    world.withdraw("bob", "j2");
    world.withdraw("alice", "i");
    world.restart(1.0);
    world.hello("bob");
    let told: Vec<Delivery> = world.announce("bob", "j3", &["z"]);
    assert_eq!(heard(&told, "alice"), [""; 0], "she has not come back yet");
    assert_eq!(heard(&told, "bob"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn the_workspace_grows_no_larger_than_it_may() {
    covers!("SEC-37");
    let mut config = crate::world::config(); // a.py with 4 bytes
    config.workspace_sizes = [("a.py".to_owned(), 4)].into();
    config.workspace_limits.max_bytes = 10;
    config.workspace_limits.max_files = 3;
    let mut world = World::with_people(config, &["alice", "bob"]);
    let commit =
        |id: &str, file: &str, before: &str, after: &str| commit_payload(id, None, file, before, after);
    let refused = world.turned_away("alice", commit("o1", "b", "", "seven b"));
    assert_eq!(
        refused.description,
        "payload.file_changes: the workspace would have 11 bytes, and may have 10 (max_workspace_bytes): nothing of \
         this is stored"
    );
    assert_eq!(extensions(&refused)["mpac"]["limit"], "max_workspace_bytes");
    assert_eq!(world.files.get("b"), None, "and the host was told nothing");
    world.say("alice", commit("o2", "b", "", "six by"));
    assert_eq!(world.files["b"], "six by");
    // What is replaced makes room; also after a restart, where the host may not know the sizes any more.
    world.config.workspace_sizes.clear();
    world.restart(1.0);
    world.hello("alice");
    world.turned_away("alice", commit("o3", "b", "six by", "seven b"));
    world.say("alice", commit("o4", "b", "six by", "five5"));
    world.say("alice", commit("o5", "c", "", "1"));
    assert_eq!(world.files["c"], "1");
    let refused = world.turned_away("alice", commit("o6", "d", "", ""));
    assert_eq!(extensions(&refused)["mpac"]["limit"], "max_workspace_files");
    // Where a host allows less than there is, what makes it smaller is welcome.
    world.config.workspace_limits.max_bytes = 1;
    world.restart(1.0);
    world.hello("alice");
    world.say("alice", commit("o7", "b", "five5", "four"));
    assert_eq!(world.files["b"], "four");
}

#[test]
fn whoever_is_too_fast_is_told_by_the_coordinator_and_others_are_not() {
    let mut world = world([9, 9, 9]);
    let (conn, before) = (world.people["alice"].0, world.coordinator.snapshot().intents);
    let away = |conn| {
        let (refers_to, retry_after) = (Some("m-9".parse().unwrap()), Seconds::whole(2));
        mpac_core::Input::Command(mpac_core::Command::TurnAway { conn, refers_to, retry_after })
    };
    let told = world.input(away(conn));
    let refused = error(&told, "alice");
    assert_eq!(told.len(), 1);
    assert_eq!(refused.refers_to.as_deref(), Some("m-9"));
    assert_eq!(extensions(&refused)["retry_after_sec"], 2);
    assert_eq!(world.coordinator.snapshot().intents, before);
    let stranger = world.connect("stranger");
    assert_eq!(world.input(away(stranger)).len(), 0, "nobody is there who could be told");
}
