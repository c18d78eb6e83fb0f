//! What does not fit between a joiner and its session, and what the session insists on.

use mpac_core::{ProtocolLevel, Remark, SessionConfig};
use mpac_wire::names::{ComplianceProfile, ExecutionModel, Role};
use mpac_wire::payload::{Hello, OpBatchCommit};
use mpac_wire::{Envelope, Message, StateRef, Watermark};

use crate::authenticated::{api_key, come, proven};
use crate::covers;
use crate::world::{Delivery, World, heard, op};

/// What SESSION_INFO says to `bob` that does not fit, when he says HELLO like this.
fn misfits(config: SessionConfig, capabilities: &[&str], alter: impl FnOnce(&mut Envelope)) -> Vec<String> {
    let mut world = World::with(config);
    world.join("ada", &[Role::Arbiter]);
    let conn = world.connect("bob");
    world.people.insert("bob".to_owned(), (conn, World::participant("bob", 1, &[])));
    let mut hello = Hello::new("bob".to_owned(), capabilities.iter().map(|it| (*it).to_owned()).collect());
    hello.roles = Some(vec![Role::Contributor]);
    let stamp = world.stamp();
    let mut envelope = world.people.get_mut("bob").unwrap().1.write(stamp, hello);
    alter(&mut envelope);
    let answer = world.send("bob", &envelope);
    let Message::SessionInfo(info) = &answer[0].message else { panic!("{}", answer[0].line()) };
    // Whatever does not fit, it may work.
    assert_eq!(heard(&world.announce("bob", "i", &["a"]), "bob"), ["INTENT_ANNOUNCE"]);
    info.compatibility_errors.clone().unwrap()
}

#[test]
fn what_does_not_fit_is_listed_and_keeps_nobody_out() {
    covers!("HEL-07", "HEL-08", "CAP-03", "CAP-06", "CAP-08", "D-048", "D-136");
    let all = ["intent.broadcast", "op.propose"];
    let plain = |config: SessionConfig, capabilities: &[&str]| misfits(config, capabilities, |_| {});
    let level = |level| {
        let mut config = crate::world::config();
        config.level = level;
        config
    };
    let governed = |profile: ComplianceProfile, model| {
        let mut config = crate::world::config();
        config.compliance_profile = profile;
        config.execution_model = model;
        config
    };
    assert_eq!(plain(level(ProtocolLevel::V0_1_13), &[]), [""; 0]);
    let old = plain(level(ProtocolLevel::V0_1_15), &[]);
    assert_eq!(old.len(), 1);
    assert!(
        old[0].starts_with("this session speaks 0.1.15") && old[0].ends_with("written in 0.1.13"),
        "{old:?}"
    );
    let new = |text: &'static str| {
        misfits(level(ProtocolLevel::V0_1_15), &[], move |it: &mut Envelope| it.version = text.into())
    };
    assert_eq!(new("0.1.15"), [""; 0], "nobody needs to be able to defer");
    assert_eq!(new("0.1.99999999999999999999"), [""; 0], "newer than anything");
    let other_clock = misfits(level(ProtocolLevel::V0_1_13), &[], |it| {
        let text = r#"{"kind":"vector_clock","value":{"bob":1},"lamport_value":1}"#;
        it.watermark = Some(serde_json::from_str::<Watermark>(text).unwrap());
    });
    assert_eq!(other_clock, ["watermark kind vector_clock is not read here, lamport_clock is"]);
    let post = ExecutionModel::PostCommit;
    for profile in [ComplianceProfile::Governance, ComplianceProfile::Semantic] {
        assert_eq!(plain(governed(profile.clone(), post.clone()), &all), [""; 0]);
        let lacking = plain(governed(profile.clone(), post.clone()), &["op.propose"]);
        assert!(lacking.len() == 1 && lacking[0].contains("intent.broadcast"), "{lacking:?}");
        let lacking = plain(governed(profile, ExecutionModel::PreCommit), &["intent.broadcast"]);
        assert!(lacking.len() == 1 && lacking[0].contains("op.propose"), "{lacking:?}");
    }
}

#[test]
fn a_capability_that_was_not_named_may_be_used() {
    covers!("CAP-03", "D-048");
    let mut world = World::of(&["bob"]); // names none
    let entry = mpac_wire::payload::BatchEntry::new(
        op("o"),
        "new.py".to_owned(),
        "replace".into(),
        StateRef::of(""),
        StateRef::of("x"),
    );
    let batch = OpBatchCommit::new("b".parse().unwrap(), "all_or_nothing".into(), vec![entry]);
    assert_eq!(heard(&world.say("bob", batch), "bob"), ["OP_BATCH_COMMIT"]);
}

#[test]
fn a_governance_session_in_which_nobody_can_be_arbiter_is_odd() {
    covers!("D-047", "GOV-11");
    let mut config = crate::world::config();
    assert!(!config.lacks_arbiter());
    config.compliance_profile = ComplianceProfile::Governance;
    assert!(config.lacks_arbiter());
    config.role_policy = Some(serde_json::from_str(r#"{"role_assignments":{"ada":["arbiter"]}}"#).unwrap());
    assert!(!config.lacks_arbiter());
}

/// The domains that the operator was told of by the last input.
fn domains(world: &World) -> Vec<String> {
    match &world.remarks()[..] {
        [] => vec![],
        [Remark::SeveralOrganisations { domains }] => domains.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn organisations_that_meet_in_a_session_nobody_declared_open_are_remarked_on() {
    covers!("SEC-36");
    let mut world = World::new();
    let told = |world: &mut World, name: &str| -> Vec<String> {
        world.join(name, &[Role::Contributor]);
        domains(world)
    };
    assert_eq!(told(&mut world, "agent:ann@acme.example"), [""; 0]);
    assert_eq!(told(&mut world, "bob"), [""; 0], "nobody knows whose");
    assert_eq!(told(&mut world, "agent:eve@ACME.example"), [""; 0]);
    assert_eq!(told(&mut world, "kim@other.example"), ["acme.example", "other.example"]);
    assert_eq!(told(&mut world, "lee@other.example"), [""; 0], "that is known");
    // By whoever vouches for somebody.
    come(&mut world, "zoe", 1, Some(api_key()), proven("zoe"));
    assert_eq!(domains(&world), ["acme.example", "id.example.org", "other.example"]);
    // Not where somebody decided on the profile.
    let mut config = crate::world::config();
    config.security_declared = true;
    let mut world = World::with(config);
    told(&mut world, "ann@acme.example");
    assert_eq!(told(&mut world, "kim@other.example"), [""; 0]);
}

#[test]
fn an_operation_outside_its_intent_is_accepted_flagged_and_remarked_on() {
    covers!("SEC-38", "SCO-21", "ERR-04", "ERR-08");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["x"]);
    world.announce("alice", "j", &["y"]);
    let commit = crate::world::commit_payload("o", Some("i"), "x", "", "new\n");
    world.say("bob", commit);
    assert_eq!(world.remarks(), []);
    let commit = crate::world::commit_payload("p", Some("i"), "y", "", "new\n");
    let deliveries: Vec<Delivery> = world.say("bob", commit);
    assert_eq!(heard(&deliveries, "alice"), ["OP_COMMIT", "CONFLICT_REPORT"]);
    let remarks = world.remarks();
    assert!(matches!(&remarks[..], [Remark::OutOfScope { op, .. }] if op.as_str() == "p"), "{remarks:?}");
    let flags: Vec<_> =
        world.coordinator.snapshot().operations.unwrap().iter().map(|it| it.out_of_scope).collect();
    assert_eq!(flags, [None, Some(true)]);
}
