//! Which snapshot is taken up under which configuration and epoch, and what of it is exact.

use mpac_core::config::OperationAuthorization;
use mpac_core::{Command, Coordinator, Input, RestoreError, SessionConfig};
use mpac_wire::names::{
    ComplianceProfile, CoordinatorEvent, ErrorCode, ExecutionModel, PrincipalType, Role, SecurityProfile,
};
use mpac_wire::payload::IntentDeferred;
use mpac_wire::policy::RolePolicy;
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{Integer, Scope, Seconds, SessionId};

use crate::covers;
use crate::precommit::{authorised, precommit, propose};
use crate::world::{World, config, error, heard};

fn restore(config: SessionConfig, snapshot: &Snapshot) -> Result<Coordinator, RestoreError> {
    let restored = Coordinator::restore(config.clone(), snapshot, 7, snapshot.captured_at);
    assert_eq!(Coordinator::load(config, snapshot).err(), restored.as_ref().err().cloned());
    restored
}

#[test]
fn a_snapshot_goes_on_under_what_it_was_written_under() {
    covers!("REC-11", "D-035");
    let mut world = World::of(&["alice"]);
    let stored = world.coordinator.snapshot();
    let refused = |change: fn(&mut SessionConfig)| {
        let mut config = config();
        change(&mut config);
        restore(config, &stored).map(|_| ()).unwrap_err()
    };
    let differs = |field, configured: &str, stored: &str| RestoreError::Mismatch {
        field,
        configured: configured.to_owned(),
        stored: stored.to_owned(),
    };
    let other = refused(|it| it.session_id = SessionId::new("t").unwrap());
    assert_eq!(other, differs("session_id", "t", "s"));
    assert_eq!(other.to_string(), r#"session_id: the configuration says "t", the snapshot "s""#);
    let governed = |it: &mut SessionConfig| it.compliance_profile = ComplianceProfile::Governance;
    assert_eq!(refused(governed), differs("compliance_profile", "governance", "core"));
    let proven = |it: &mut SessionConfig| {
        it.security_profile = SecurityProfile::Authenticated;
        it.role_policy = Some(RolePolicy::new());
    };
    assert_eq!(refused(proven), differs("security_profile", "authenticated", "open"));
    let mut governance = config();
    governed(&mut governance);
    world = World::with(governance.clone());
    let mut stored = world.coordinator.snapshot();
    governance.execution_model = ExecutionModel::PreCommit;
    let error = restore(governance.clone(), &stored).map(|_| ()).unwrap_err();
    assert_eq!(error, differs("execution_model", "pre_commit", "post_commit"));
    // The references do not say: it is taken to agree.
    stored.execution_model = None;
    stored.security_profile = None;
    stored.compliance_profile = None;
    assert!(restore(governance, &stored).is_ok());
}

#[test]
fn whoever_goes_on_from_a_fenced_coordinator_speaks_above_its_successor() {
    covers!("REC-12", "REC-26", "REC-27");
    let fence = |world: &mut World, epoch| drop(world.input(Input::Command(Command::Fence { epoch })));
    let mut world = World::of(&["alice"]);
    fence(&mut world, 7);
    fence(&mut world, 4); // silent already, and no later
    world.restart(1.0);
    assert_eq!(world.coordinator.epoch(), 8);
    world.restart(1.0);
    assert_eq!(world.coordinator.epoch(), 9, "it is not fenced any more");
    // A silent one still learns of later ones.
    fence(&mut world, 12);
    fence(&mut world, 15);
    world.restart(1.0);
    assert_eq!(world.coordinator.epoch(), 16);
    // An epoch beyond what the wire carries leaves none.
    fence(&mut world, u64::MAX);
    let last = RestoreError::Epoch(Integer::new(u64::MAX).get());
    let restored = Coordinator::restore(config(), &world.coordinator.snapshot(), 7, world.now);
    assert_eq!(restored.map(|_| ()).unwrap_err(), last);
}

#[test]
fn an_announced_epoch_that_somebody_else_took_is_not_taken_again() {
    covers!("REC-12", "REC-21", "REC-27");
    for (fenced_by, epoch, how) in [(4, 5, "assumed"), (5, 6, "recovered"), (9, 10, "recovered")] {
        let mut world = World::of(&["alice"]);
        let successor = "service:coordinator-s".parse().unwrap();
        world.input(Input::Command(Command::HandOver { successor, next_epoch: 5 }));
        world.input(Input::Command(Command::Fence { epoch: fenced_by }));
        world.restart(1.0);
        assert_eq!(world.coordinator.epoch(), epoch);
        let told = format!("COORDINATOR_STATUS {how}");
        assert_eq!(heard(&world.hello("alice"), "alice"), ["SESSION_INFO".to_owned(), told]);
    }
}

#[test]
fn who_heard_it_with_all_is_not_told_again() {
    covers!("REC-15", "D-038");
    let mut world = World::of(&["alice", "bob"]);
    world.restart(1.0);
    world.input(Input::Command(Command::Rebind {
        conn: world.people["alice"].0,
        principal: "alice".parse().unwrap(),
        principal_type: PrincipalType::Agent,
        instance: "alice:1".parse().unwrap(),
    }));
    let told = world.input(Input::Command(Command::Status(CoordinatorEvent::Recovered)));
    assert_eq!(heard(&told, "alice"), ["COORDINATOR_STATUS recovered"]);
    assert_eq!(heard(&world.hello("alice"), "alice"), ["SESSION_INFO"]);
    // Bob was not there to hear it.
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO", "COORDINATOR_STATUS recovered"]);
}

#[test]
fn times_beyond_the_calendar_survive_exactly() {
    covers!("REC-29", "INT-06", "INT-08", "DEF-02");
    let mut config = config();
    config.level = mpac_core::ProtocolLevel::V0_1_14;
    config.governance.resolution_timeout_sec = Some(Seconds::from_micros(i64::MAX));
    let mut world = World::with(config); // which compares what it stores after every message
    world.join("alice", &[Role::Contributor]);
    world.join("bob", &[Role::Contributor]);
    let (conn, _) = world.people["alice"];
    for (n, time) in [r#""ttl_sec":1e300"#, r#""ttl_sec":9007199254.740993"#, r#""expiry_ms":9e18"#]
        .into_iter()
        .enumerate()
    {
        let stamp = world.stamp();
        let announce = world.who("alice").announce(
            stamp,
            crate::world::intent(&format!("i{n}")),
            "o".to_owned(),
            Scope::files([format!("x{n}")]),
            None,
        );
        let text = announce.to_json().replacen(r#""payload":{"#, &format!(r#""payload":{{{time},"#), 1);
        assert!(text.contains(time));
        assert_eq!(heard(&world.frame(conn, &text), "alice"), ["INTENT_ANNOUNCE"], "{time}");
    }
    world.announce("bob", "j", &["x0"]);
    let mut deferred = IntentDeferred::new();
    deferred.scope = Some(Scope::files(["y"]));
    deferred.ttl_sec = Some(Seconds::from_micros(i64::MAX));
    assert_eq!(heard(&world.say("alice", deferred), "alice"), ["INTENT_DEFERRED"]);
    world.restart(1.0);
    assert_eq!(heard(&world.hello("alice"), "alice")[0], "SESSION_INFO");
}

#[test]
fn a_count_of_refusals_that_is_full_does_not_overflow() {
    covers!("HEL-03", "D-018");
    let mut world = World::of(&["alice"]);
    let conn = world.connect("nobody");
    let bad = r#"{"protocol":"MPAC","version":"9","message_type":"HELLO","message_id":"m","session_id":"s","sender":{"principal_id":"n","principal_type":"agent","sender_instance_id":"n"},"ts":"2026-01-02T03:04:05Z","payload":{}}"#;
    assert_eq!(error(&world.frame(conn, bad), "nobody").error_code, ErrorCode::VersionMismatch);
    let mut stored = world.coordinator.snapshot();
    let records = stored.coordinator_state.as_mut().unwrap().connections.as_mut().unwrap();
    let record = records.iter_mut().find(|it| it.conn.get() == conn.0).unwrap();
    record.refused_hellos = Some(Integer::new(u64::MAX));
    world.coordinator = Coordinator::load(config(), &stored).unwrap();
    world.frame(conn, bad);
    assert_eq!(world.hung_up, [(conn, 1008)]);
}

#[test]
fn what_waited_for_a_review_goes_on_where_none_is_asked_for_any_more() {
    covers!("OPS-07", "D-097");
    let mut config = precommit();
    config.operation_authorization = OperationAuthorization::Review;
    let mut world = crate::precommit::world(config);
    assert_eq!(authorised(&world.say("alice", propose("o"))), [""; 0]);
    let stored = world.coordinator.snapshot();
    world.config.operation_authorization = OperationAuthorization::Auto;
    world.restore(&stored);
    let back = world.hello("alice");
    assert_eq!(heard(&back, "alice").last().unwrap(), "COORDINATOR_STATUS authorization");
}
