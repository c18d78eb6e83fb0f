//! Who decides: arbiters in their order, humans where a machine is unsure, owners who call somebody gone.

use mpac_core::config::Applicant;
use mpac_core::error::ConfigError;
use mpac_core::{Coordinator, IdSource, SessionConfig};
use mpac_wire::names::{ComplianceProfile, Decision, ErrorCode, PrincipalType, Role};
use mpac_wire::payload::{ConflictReport, Outcome, ProtocolError, Resolution};
use mpac_wire::{Message, PrincipalId, Seconds, Timestamp};

use crate::covers;
use crate::freeze::{dispute, patient};
use crate::world::{Delivery, World, error, heard, intent};

/// Joins as a human.
fn join_human(world: &mut World, name: &str, roles: &[Role]) {
    world.join_as(name, PrincipalType::Human, roles);
}

/// Alice and Bob are in each other's way, and Bob reports what a matcher made of it.
fn semantic(config: SessionConfig, basis: &str, people: impl FnOnce(&mut World)) -> (World, Vec<Delivery>) {
    let mut world = dispute(config);
    people(&mut world);
    let text = format!(
        r#"{{"conflict_id":"sem","related_intents":["i1","i2"],"category":"semantic","severity":"high","description":"d","basis":{basis}}}"#
    );
    let report: ConflictReport = serde_json::from_str(&text).unwrap();
    let deliveries = world.say("bob", report);
    (world, deliveries)
}

fn escalated_to(deliveries: &[Delivery]) -> Option<String> {
    deliveries.iter().filter(|it| it.to == "alice").find_map(|it| match &it.message {
        Message::ConflictEscalate(escalate) => Some(escalate.escalate_to.to_string()),
        _ => None,
    })
}

const UNSURE: &str = r#"{"kind":"semantic_match","matcher":"m.v1","match_type":"contradictory","confidence":0.69,"matched_pair":{"left":{"source_intent_id":"i1","content":"a"},"right":{"source_intent_id":"i2","content":"b"}},"explanation":"e"}"#;

#[test]
fn an_uncertain_match_of_meanings_goes_to_a_human_at_once() {
    covers!("CON-15", "CON-16", "CON-14");
    let people = |world: &mut World| {
        world.join("robot", &[Role::Arbiter]);
        join_human(world, "olga", &[Role::Owner]);
        join_human(world, "eve", &[Role::Contributor]);
    };
    let (world, deliveries) = semantic(patient(), UNSURE, people);
    assert_eq!(heard(&deliveries, "alice"), ["CONFLICT_REPORT", "CONFLICT_ESCALATE"]);
    assert_eq!(escalated_to(&deliveries).as_deref(), Some("olga"), "the arbiter is no human");
    let text = &deliveries[0].text;
    assert!(text.contains(UNSURE), "the basis is passed on whole: {text}");
    let record = world
        .coordinator
        .snapshot()
        .conflicts
        .unwrap()
        .into_iter()
        .find(|it| it.conflict_id.as_str() == "sem");
    let kept = record.unwrap();
    assert_eq!(serde_json::to_string(&kept.basis).unwrap(), UNSURE);
    assert_eq!(kept.escalated_to.unwrap().as_str(), "olga");
    let sure = UNSURE.replace("0.69", "0.7");
    let uncertain = sure.replace("contradictory", "uncertain");
    let guess = UNSURE.replace("semantic_match", "model_inference");
    for (basis, threshold, expected) in [
        (sure.as_str(), 0.7, None),
        (sure.as_str(), 0.71, Some("olga")),
        (UNSURE, 0.5, None),
        (uncertain.as_str(), 0.7, Some("olga")),
        (guess.as_str(), 0.7, None),
    ] {
        let mut config = patient();
        config.semantic_confidence_threshold = threshold;
        let (_, deliveries) = semantic(config, basis, people);
        assert_eq!(escalated_to(&deliveries).as_deref(), expected, "{basis} {threshold}");
    }
    // Arbiters before owners; nobody human, nobody asked.
    let (_, deliveries) = semantic(patient(), UNSURE, |world| {
        join_human(world, "olga", &[Role::Owner]);
        join_human(world, "ada", &[Role::Arbiter]);
    });
    assert_eq!(escalated_to(&deliveries).as_deref(), Some("ada"));
    let (_, deliveries) = semantic(patient(), UNSURE, |world| {
        world.join("robot", &[Role::Arbiter]);
    });
    assert_eq!(escalated_to(&deliveries), None);
}

#[test]
fn an_uncertain_match_is_settled_by_nobody_but_that_human_dismissal_or_the_last_phase() {
    covers!("CON-16", "FRZ-13");
    let human = |world: &mut World| join_human(world, "ada", &[Role::Arbiter]);
    let (mut world, _) = semantic(patient(), UNSURE, human);
    let id = "sem".parse().unwrap();
    let state = |world: &World| format!("{:?}", world.coordinator.view().conflict(&id).unwrap());
    world.wait(300.001);
    assert_eq!(state(&world), "Escalated");
    // Frozen 300 s after it was escalated, decided 300 s later.
    world.wait(299.0);
    assert_eq!(state(&world), "Escalated");
    world.wait(2.0);
    assert_eq!(state(&world), "Closed");
    let (mut world, _) = semantic(patient(), UNSURE, human);
    world.withdraw("alice", "i1");
    world.withdraw("bob", "i2");
    assert_eq!(state(&world), "Dismissed");
}

#[test]
fn arbiters_are_asked_in_the_order_of_the_policy_then_of_joining() {
    covers!("GOV-13", "GOV-14", "LIV-20");
    let policy = r#"{"default_role":"contributor","role_assignments":{"zoe":["arbiter"],"ada":["arbiter"]}}"#;
    let asked = |policy: Option<&str>, joins: &[&str], leaves: &[&str]| {
        let mut config = patient();
        config.role_policy = policy.map(|policy| serde_json::from_str(policy).unwrap());
        let mut world = dispute(config);
        for name in joins {
            world.join(name, &[Role::Arbiter]);
        }
        for name in leaves {
            world.say(name, mpac_wire::payload::Goodbye::new("user_exit".into()));
        }
        escalated_to(&world.wait(301.0))
    };
    assert_eq!(asked(Some(policy), &["ada", "zoe"], &[]).as_deref(), Some("zoe"));
    assert_eq!(asked(Some(policy), &["ada", "zoe"], &["zoe"]).as_deref(), Some("ada"));
    assert_eq!(asked(None, &["zoe", "ada"], &[]).as_deref(), Some("zoe"));
    assert_eq!(asked(None, &["ada", "zoe"], &["ada"]).as_deref(), Some("zoe"));
    assert_eq!(asked(None, &["ada"], &["ada"]), None);
}

#[test]
fn an_agent_is_arbiter_where_the_policy_lets_it() {
    covers!("GOV-12");
    let who = PrincipalId::new("robot").unwrap();
    let granted = |kind: PrincipalType, constraint: &str, open: bool| {
        let mut config = SessionConfig::new("s".parse().unwrap());
        let policy =
            format!(r#"{{"role_assignments":{{"robot":["arbiter"]}},"role_constraints":{{{constraint}}}}}"#);
        config.role_policy = Some(serde_json::from_str(&policy).unwrap());
        if !open {
            config.security_profile = mpac_wire::names::SecurityProfile::Authenticated;
        }
        let asked = [Role::Arbiter];
        let who = Applicant { principal: &who, principal_type: &kind, asked: &asked, credential: None };
        config.grant(&who, |_| 0).is_some()
    };
    let human_only = r#""arbiter":{"allowed_principal_types":["human","service"]}"#;
    let agents_too = r#""arbiter":{"allowed_principal_types":["human","agent"]}"#;
    for (kind, constraint, open, expected) in [
        (PrincipalType::Agent, "", true, true),
        (PrincipalType::Agent, "", false, false),
        (PrincipalType::Agent, human_only, true, false),
        (PrincipalType::Agent, agents_too, false, true),
        (PrincipalType::Human, "", false, true),
        (PrincipalType::Service, human_only, false, true),
    ] {
        assert_eq!(granted(kind.clone(), constraint, open), expected, "{kind} {constraint} {open}");
    }
}

#[test]
fn a_governance_session_may_insist_on_an_arbiter() {
    covers!("GOV-11", "D-047");
    let open = |policy: Option<&str>, profile: ComplianceProfile| {
        let mut config = crate::world::config();
        config.compliance_profile = profile;
        config.require_arbiter_strict = true;
        config.role_policy = policy.map(|policy| serde_json::from_str(policy).unwrap());
        Coordinator::new(config, IdSource::new(1), Timestamp::from_micros(0)).err()
    };
    let governed = ComplianceProfile::Governance;
    assert_eq!(open(None, governed.clone()), Some(ConfigError::NoArbiter));
    assert_eq!(
        open(Some(r#"{"role_assignments":{"p":["owner"]}}"#), governed.clone()),
        Some(ConfigError::NoArbiter)
    );
    assert_eq!(open(Some(r#"{"role_assignments":{"p":["owner","arbiter"]}}"#), governed), None);
    assert_eq!(open(None, ComplianceProfile::Core), None);
}

#[test]
fn a_human_overrides_openly_and_finally() {
    covers!("GOV-16", "GOV-10", "GOV-22", "CON-19", "GOV-08");
    let mut world = dispute(patient());
    join_human(&mut world, "hana", &[Role::Owner]);
    let mut resolution = Resolution::new(world.conflict(), Decision::HumanOverride);
    resolution.rationale = Some("I know better".to_owned());
    let mut outcome = Outcome::new();
    outcome.rejected = Some(vec!["i1".to_owned()]);
    resolution.outcome = Some(outcome);
    world.wait(10.0);
    let settled_at = world.stamp().ts.at();
    let deliveries = world.say("hana", resolution.clone());
    assert_eq!(heard(&deliveries, "alice"), ["RESOLUTION human_override", "INTENT_WITHDRAW i1"]);
    assert_eq!(deliveries[0].from, "hana");
    assert!(deliveries[0].text.contains(r#""watermark":{"kind":"lamport_clock""#));
    let record = world.coordinator.snapshot().conflicts.unwrap().remove(0);
    assert_eq!(record.resolved_by.unwrap().as_str(), "hana");
    assert_eq!(record.resolution.as_ref().unwrap().resolved_at, settled_at);
    let kept = serde_json::to_string(&record.resolution).unwrap();
    assert!(kept.contains(r#""decision":"human_override""#) && kept.contains("I know better"), "{kept}");
    assert_eq!(error(&world.say("hana", resolution), "hana").error_code, ErrorCode::ResolutionConflict);
    // Closed stays closed; the same is reported anew.
    assert_eq!(heard(&world.announce("alice", "i3", &["x"]), "bob"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
}

#[test]
fn an_owner_may_declare_somebody_gone_where_the_session_says_so() {
    covers!("LIV-17", "D-053", "ERR-03");
    for allowed in [false, true] {
        let mut config = patient();
        config.governance_may_declare_unavailable = allowed;
        let mut world = dispute(config);
        world.join("olga", &[Role::Owner]);
        let gone = |who: &str| {
            let mut error = ProtocolError::new(ErrorCode::ParticipantUnavailable, "gone".to_owned());
            error.refers_to = Some(who.to_owned());
            error
        };
        for (name, who) in [("bob", "alice"), ("olga", "nobody"), ("olga", "olga"), ("olga", "")] {
            assert_eq!(world.say(name, gone(who)).len(), 0, "{name} of {who}");
        }
        let deliveries = world.say("olga", gone("alice"));
        let state = format!("{:?}", world.coordinator.view().intent(&intent("i1")).unwrap());
        if !allowed {
            assert_eq!((deliveries.len(), state.as_str()), (0, "Active"));
            continue;
        }
        assert_eq!(state, "Suspended");
        let told = heard(&deliveries, "bob");
        assert_eq!(told[0], "PROTOCOL_ERROR PARTICIPANT_UNAVAILABLE");
        assert!(deliveries[0].text.contains(r#""affected_principal":"alice""#));
        assert_eq!(world.say("olga", gone("alice")).len(), 0, "once is enough");
        // Back with the next message, and watched again.
        world.say("alice", mpac_wire::payload::Heartbeat::new("idle".into()));
        assert_eq!(format!("{:?}", world.coordinator.view().intent(&intent("i1")).unwrap()), "Active");
    }
}

#[test]
fn the_times_of_liveness_are_the_session_s() {
    covers!("LIV-18", "LIV-04");
    let mut config = crate::world::config();
    config.liveness.unavailability_timeout_sec = Some(Seconds::whole(7));
    config.liveness.heartbeat_interval_sec = Some(Seconds::whole(3));
    let mut world = World::with(config);
    let joined = world.join("bob", &[Role::Contributor]);
    assert!(joined[0].text.contains(r#""heartbeat_interval_sec":3,"unavailability_timeout_sec":7"#));
    assert_eq!(world.wait(7.0).len(), 0);
    assert_eq!(heard(&world.wait(0.001), "bob"), ["PROTOCOL_ERROR PARTICIPANT_UNAVAILABLE"]);
}
