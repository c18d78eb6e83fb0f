//! How agents' models are doing.

use mpac_wire::names::{ErrorCode, HeartbeatStatus, Role};
use mpac_wire::payload::{BatchEntry, Heartbeat, IntentUpdate, OpBatchCommit, OpPropose, OpSupersede};
use mpac_wire::{Message, StateRef};

use crate::covers;
use crate::world::{Delivery, World, commit_payload, error, heard, intent, op};

/// Alice holds `i`, under this backend policy.
fn world(policy: &str) -> World {
    world_with(Some(policy))
}

fn world_with(policy: Option<&str>) -> World {
    let mut config = crate::world::config();
    config.liveness.backend_health_policy = policy.map(|policy| serde_json::from_str(policy).unwrap());
    let mut world = World::with(config);
    for name in ["alice", "bob"] {
        world.join(name, &[Role::Contributor]);
    }
    world.announce("alice", "i", &["x"]);
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), "replace".into());
    propose.intent_id = Some(intent("i"));
    world.say("bob", propose);
    world
}

fn report(world: &mut World, model: &str, status: &str, from: Option<&str>) -> Vec<Delivery> {
    let from = from.map(|from| format!(r#","switched_from":"{from}""#)).unwrap_or_default();
    let text = format!(
        r#"{{"status":"working","backend_health":{{"model_id":"{model}","provider_status":"{status}","checked_at":"2026-01-02T03:04:05Z"{from}}}}}"#
    );
    let heartbeat: Heartbeat = serde_json::from_str(&text).unwrap();
    world.say("alice", heartbeat)
}

fn states(world: &World) -> String {
    let view = world.coordinator.view();
    format!("{:?} {:?}", view.intent(&intent("i")).unwrap(), view.operation(&op("p")).unwrap())
}

#[test]
fn a_model_that_is_down_suspends_and_one_that_is_well_again_restores() {
    covers!("BHM-03", "BHM-04", "BHM-05", "BHM-06", "BHM-07", "CAS-05", "CAS-07", "D-051", "D-058", "D-059");
    let mut world = world(r#"{"enabled":true}"#);
    let down = report(&mut world, "a/m", "down", None);
    assert_eq!(
        heard(&down, "bob"),
        ["COORDINATOR_STATUS backend_alert", "INTENT_UPDATE i [SUSPENDED: backend_down] alice does i"]
    );
    let detail = r#""affected_principal":"alice","backend_detail":{"model_id":"a/m","provider_status":"down","status_detail":null"#;
    assert!(down[0].text.contains(detail), "{}", down[0].text);
    assert_eq!(states(&world), "Suspended Frozen");
    assert_eq!(report(&mut world, "a/m", "down", None).len(), 0, "told once");
    assert_eq!(
        world.say("alice", Heartbeat::new("idle".into())).len(),
        0,
        "a plain heartbeat restores nothing"
    );
    assert_eq!(report(&mut world, "a/m", "unknown", None).len(), 0);
    assert_eq!(states(&world), "Suspended Frozen");
    let well = report(&mut world, "a/m", "operational", None);
    assert_eq!(heard(&well, "bob"), ["COORDINATOR_STATUS backend_alert", "INTENT_UPDATE i alice does i"]);
    assert_eq!(states(&world), "Active Proposed");
    assert_eq!(report(&mut world, "a/m", "operational", None).len(), 0);
    assert_eq!(
        heard(&report(&mut world, "a/m", "degraded", None), "bob"),
        ["COORDINATOR_STATUS backend_alert"]
    );
    assert_eq!(states(&world), "Active Proposed", "degraded is a warning by default");
}

#[test]
fn a_suspended_intent_is_there_and_cannot_be_worked_under() {
    covers!("LIV-09", "OPS-15", "LIV-10", "D-093");
    let mut world = world(r#"{"enabled":true}"#);
    world.say("alice", commit_payload("old", Some("i"), "x", "", "1"));
    report(&mut world, "a/m", "down", None);
    let mut propose = OpPropose::new(op("o"), "x".to_owned(), "replace".into());
    propose.intent_id = Some(intent("i"));
    let entry =
        BatchEntry::new(op("o"), "x".to_owned(), "replace".into(), StateRef::of("1"), StateRef::of("2"));
    let mut batch = OpBatchCommit::new("b".parse().unwrap(), "all_or_nothing".into(), vec![entry]);
    batch.intent_id = Some(intent("i"));
    let mut supersede = OpSupersede::new(op("o"), op("old"), "x".to_owned());
    supersede.intent_id = Some(intent("i"));
    let commit = commit_payload("o", Some("i"), "x", "1", "2");
    let messages = [Message::from(propose), commit.into(), batch.into(), supersede.into()];
    for message in messages {
        let kind = message.message_type();
        let refused = error(&world.say("alice", message), "alice");
        assert_eq!(refused.error_code, ErrorCode::InvalidReference, "{kind}");
    }
    assert_eq!(world.files["x"], "1");
    let met = world.announce("bob", "j", &["x"]);
    assert_eq!(heard(&met, "bob"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
}

#[test]
fn what_the_policy_does_not_ask_for_is_only_recorded() {
    covers!("BHM-02", "HEL-12");
    let ignored = r#"{"enabled":true,"on_down":"ignore"}"#;
    let disabled = r#"{"enabled":false,"auto_switch":"forbidden","allowed_providers":["b"]}"#;
    for policy in [None, Some(disabled), Some(ignored)] {
        let mut world = world_with(policy);
        assert_eq!(report(&mut world, "a/m", "down", None).len(), 0, "{policy:?}");
        // Nor is a switch looked at, where there is no policy.
        let switched =
            report(&mut world, "a/n", "down", policy.is_none_or(|it| it == disabled).then_some("a/m"));
        assert_eq!(switched.len(), 0, "{policy:?}");
        assert_eq!(states(&world), "Active Proposed");
        let record = &world.coordinator.snapshot().participants.unwrap()[0];
        assert_eq!(record.backend_model_id.as_deref(), Some("a/n"));
    }
}

#[test]
fn a_switch_is_judged_before_anything_is_recorded() {
    covers!("BHM-08", "BHM-09", "BHM-10", "BHM-12", "BHM-15", "D-061", "D-062");
    let model = |world: &World| {
        world.coordinator.snapshot().participants.unwrap()[0].backend_model_id.clone().unwrap()
    };
    for (policy, to) in [
        (r#"{"enabled":true,"auto_switch":"forbidden"}"#, "a/n"),
        (r#"{"enabled":true,"allowed_providers":["a"]}"#, "b/n"),
        (r#"{"enabled":true,"allowed_providers":["a"]}"#, "n"),
        (r#"{"enabled":true,"auto_switch":"notify_first"}"#, "a/n"),
    ] {
        let mut world = world(policy);
        report(&mut world, "a/m", "operational", None);
        world.say("alice", Heartbeat::new("idle".into()));
        world.wait(60.0);
        world.say("bob", Heartbeat::new("idle".into()));
        let denied = error(&report(&mut world, to, "down", Some("a/m")), "alice");
        assert_eq!(denied.error_code, ErrorCode::BackendSwitchDenied, "{policy}");
        assert!(denied.refers_to.is_some());
        assert_eq!(model(&world), "a/m");
        // As a heartbeat it counts all the same.
        let status = world.coordinator.snapshot().participants.unwrap()[0].status.clone();
        assert_eq!(status, Some(HeartbeatStatus::Working), "{policy}");
        assert_eq!(world.wait(60.0).len(), 0, "{policy}");
        assert_eq!(states(&world), "Active Proposed");
    }
    let mut world = world(r#"{"enabled":true,"allowed_providers":["a"]}"#);
    report(&mut world, "a/m", "down", None);
    report(&mut world, "a/n", "operational", Some("a/m"));
    assert_eq!((model(&world).as_str(), states(&world).as_str()), ("a/n", "Active Proposed"));
}

#[test]
fn what_an_agent_says_of_allowed_providers_counts_for_nothing() {
    covers!("BHM-13", "BHM-10");
    let mut world = world(r#"{"enabled":true,"allowed_providers":["a"]}"#);
    report(&mut world, "a/m", "operational", None);
    let conn = world.people["alice"].0;
    let stamp = world.stamp();
    let hello = world.people.get_mut("alice").unwrap().1.hello(stamp, None).to_json();
    let list =
        r#""allowed_providers":["b"],"backend_health_policy":{"enabled":false,"allowed_providers":["b"]},"#;
    let hello = hello.replace(r#""payload":{"#, &format!(r#""payload":{{{list}"#));
    let info = world.frame(conn, &hello);
    assert_eq!(heard(&info, "alice"), ["SESSION_INFO"]);
    assert!(info[0].text.contains(r#""backend_health_policy":{"enabled":true,"allowed_providers":["a"]"#));
    let health = r#"{"status":"working","backend_health":{"model_id":"b/n","provider_status":"operational","checked_at":"2026-01-02T03:04:05Z","switched_from":"a/m"}}"#;
    let stamp = world.stamp();
    let switch: Heartbeat = serde_json::from_str(health).unwrap();
    let switch = world.people.get_mut("alice").unwrap().1.write(stamp, switch).to_json();
    let switch = switch.replace(r#""backend_health":{"#, &format!(r#"{list}"backend_health":{{{list}"#));
    assert_eq!(switch.matches(list).count(), 2, "{switch}");
    let denied = error(&world.frame(conn, &switch), "alice");
    assert_eq!(denied.error_code, ErrorCode::BackendSwitchDenied);
}

#[test]
fn a_planned_switch_is_confirmed_first() {
    covers!("BHM-11", "D-060");
    let mut world = world(r#"{"enabled":true,"auto_switch":"notify_first","allowed_providers":["a"]}"#);
    let mut plan = |model: &str| {
        let mut update = IntentUpdate::new(intent("i"));
        let extensions =
            format!(r#"{{"mpac":{{"planned_backend":{{"model_id":"{model}","provider":"a"}}}}}}"#);
        update.extensions = Some(serde_json::from_str(&extensions).unwrap());
        world.say("alice", update)
    };
    assert_eq!(error(&plan("b/n"), "alice").error_code, ErrorCode::BackendSwitchDenied);
    let confirmed = plan("a/n");
    let to_alice: Vec<&Delivery> = confirmed.iter().filter(|it| it.to == "alice").collect();
    assert!(to_alice.iter().any(|it| it.text.contains(r#""switch_approved":true"#)));
    assert!(
        !confirmed.iter().any(|it| it.to == "bob" && matches!(it.message, Message::CoordinatorStatus(_)))
    );
    assert_eq!(report(&mut world, "a/n", "operational", Some("a/m")).len(), 0);
    let again = error(&report(&mut world, "a/n2", "operational", Some("a/n")), "alice");
    assert_eq!(again.error_code, ErrorCode::BackendSwitchDenied, "each switch needs a plan of its own");
}

#[test]
fn a_confirmed_switch_outlives_a_break_and_its_process_alone() {
    covers!("BHM-11", "D-060", "REC-29");
    for (incarnation, allowed) in [(1, true), (2, false)] {
        let mut world = world(r#"{"enabled":true,"auto_switch":"notify_first"}"#);
        let stamp = world.stamp();
        let model = mpac_wire::payload::Backend::new("a/n".to_owned(), "a".to_owned());
        let plan = world.who("alice").plan_switch(stamp, intent("i"), &model).unwrap();
        world.send("alice", &plan);
        assert_eq!(world.who("alice").may_switch("a/n"), Ok(()));
        world.restart(1.0);
        if incarnation == 2 {
            let conn = world.people["alice"].0;
            let another = World::participant("alice", 2, &[Role::Contributor]);
            world.people.insert("alice".to_owned(), (conn, another));
        }
        world.hello("alice");
        // The one knows that it may, the other does not.
        assert_eq!(world.who("alice").may_switch("a/n").is_ok(), allowed);
        let answers = report(&mut world, "a/n", "operational", Some("a/m"));
        assert_eq!(answers.is_empty(), allowed, "{answers:?}");
    }
}

#[test]
fn nobody_is_told_to_use_another_model() {
    covers!("BHM-14", "BHM-04");
    let mut world = world(r#"{"enabled":true}"#);
    let text = r#"{"status":"blocked","backend_health":{"model_id":"a/m","provider_status":"down","checked_at":"2026-01-02T03:04:05Z","alternatives":[{"model_id":"b/n","provider_status":"operational"}]}}"#;
    let told = world.say("alice", serde_json::from_str::<Heartbeat>(text).unwrap());
    assert_eq!(
        heard(&told, "alice"),
        ["COORDINATOR_STATUS backend_alert", "INTENT_UPDATE i [SUSPENDED: backend_down] alice does i"]
    );
    assert!(!told[0].text.contains("switch_approved"));
    // Well again, and still the model it was.
    world.wait(80.0);
    assert_eq!(heard(&report(&mut world, "a/m", "operational", None), "bob").len(), 2);
    let record = &world.coordinator.snapshot().participants.unwrap()[0];
    assert_eq!(record.backend_model_id.as_deref(), Some("a/m"));
}
