//! What follows from what, and in which order: couplings, sweeps, checks.

use mpac_core::ProtocolLevel;
use mpac_wire::names::{AckType, Decision, ErrorCode, Role};
use mpac_wire::payload::{
    ConflictAck, ConflictReport, Goodbye, Heartbeat, IntentClaim, IntentDeferred, IntentUpdate, OpPropose,
    Resolution,
};
use mpac_wire::{Message, MessageType, Payload, Scope, Seconds};

use crate::covers;
use crate::freeze::{dispute, patient};
use crate::world::{World, error, heard, intent, op};

fn goodbye(disposition: &str) -> Goodbye {
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some(disposition.into());
    goodbye
}

fn claim(id: &str, original: &str, owner: &str, new: &str) -> IntentClaim {
    let (original, new) = (intent(original), intent(new));
    let (id, owner) = (id.parse().unwrap(), owner.parse().unwrap());
    IntentClaim::new(id, original, owner, new, "go on".to_owned(), Scope::files(["x"]))
}

fn propose(id: &str, under: &str, target: &str) -> OpPropose {
    let mut propose = OpPropose::new(op(id), target.to_owned(), "replace".into());
    propose.intent_id = Some(intent(under));
    propose
}

fn state(world: &World, id: &str) -> String {
    format!("{:?}", world.coordinator.view().intent(&intent(id)).unwrap())
}

#[test]
fn whatever_else_is_due_when_a_session_s_time_is_over_stays_unsaid() {
    covers!("SES-12", "SES-14", "D-033");
    let mut config = crate::world::config();
    config.lifecycle.session_ttl_sec = Some(Seconds::whole(90));
    let mut world = World::with(config);
    for name in ["alice", "bob"] {
        world.join(name, &[Role::Contributor]);
    }
    world.announce("alice", "i", &["x"]);
    // Silence and the session's own time fall due at the same microsecond.
    assert_eq!(heard(&world.wait(91.0), "bob"), ["INTENT_WITHDRAW i", "SESSION_CLOSE timeout"][1..]);
}

#[test]
fn what_a_leaver_announced_ends_before_what_it_claimed() {
    covers!("BYE-10", "CLM-13", "LIV-11");
    for silent in [false, true] {
        let mut config = crate::world::config();
        config.liveness.intent_claim_grace_period_sec = Some(Seconds::whole(1000));
        let mut world = World::with(config);
        for name in ["alice", "bob", "carol"] {
            world.join(name, &[Role::Contributor]);
        }
        world.announce("alice", "i", &["x"]);
        world.say("alice", goodbye("transfer"));
        world.announce("bob", "j", &["y"]);
        world.say("bob", propose("p", "j", "y"));
        world.say("bob", claim("c", "i", "alice", "k"));
        let lines = if silent {
            world.wait(80.0);
            world.say("carol", Heartbeat::new("idle".into()));
            heard(&world.wait(11.0), "carol")
        } else {
            heard(&world.say("bob", goodbye("transfer")), "carol")
        };
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].starts_with("INTENT_UPDATE j [SUSPENDED"), "{lines:?}");
        assert_eq!(lines[2], "INTENT_CLAIM_STATUS");
        assert_eq!(format!("{:?}", world.coordinator.view().operation(&op("p")).unwrap()), "Abandoned");
    }
}

#[test]
fn an_intent_s_end_reaches_operations_deferrals_and_conflicts_in_this_order() {
    covers!("CAS-06", "CAS-08", "DEF-07", "INT-07");
    let mut config = patient();
    config.level = ProtocolLevel::V0_1_14;
    config.liveness.unavailability_timeout_sec = Some(Seconds::whole(50));
    config.default_intent_ttl_sec = Seconds::whole(60);
    let mut world = World::with(config);
    for name in ["alice", "bob", "carol"] {
        world.join(name, &[Role::Contributor]);
    }
    world.announce("alice", "i", &["x"]);
    world.say("bob", propose("p", "i", "x"));
    let mut report = ConflictReport::new("c".parse().unwrap(), "x.y".into(), "low".into());
    report.related_intents = Some(vec![intent("i")]);
    report.related_ops = Some(vec![op("p")]);
    world.say("carol", report);
    let mut deferred = IntentDeferred::new();
    deferred.scope = Some(Scope::files(["x"]));
    deferred.observed_intent_ids = Some(vec!["i".to_owned()]);
    deferred.ttl_sec = Some(Seconds::whole(1000));
    world.say("carol", deferred);
    world.wait(40.0);
    for name in ["bob", "carol"] {
        world.say(name, Heartbeat::new("idle".into()));
    }
    world.wait(15.0); // alice is silent: suspended, and the proposal frozen
    assert_eq!(state(&world, "i"), "Suspended");
    assert_eq!(format!("{:?}", world.coordinator.view().operation(&op("p")).unwrap()), "Frozen");
    assert_eq!(
        heard(&world.wait(5.0), "bob"),
        ["OP_REJECT p intent_terminated", "INTENT_DEFERRED", "RESOLUTION dismissed"],
        "without grace: it was frozen"
    );
}

#[test]
fn a_model_that_is_down_keeps_its_intents_suspended_through_silence_and_return() {
    covers!("BHM-07", "D-059", "LIV-14");
    let mut config = crate::world::config();
    config.default_intent_ttl_sec = Seconds::whole(10_000);
    config.liveness.backend_health_policy = Some(serde_json::from_str(r#"{"enabled":true}"#).unwrap());
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    world.announce("alice", "i", &["x"]);
    let report = |status: &str| -> Heartbeat {
        let text = format!(
            r#"{{"status":"idle","backend_health":{{"model_id":"a/m","provider_status":"{status}","checked_at":"2026-01-02T03:04:05Z"}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    world.say("alice", report("down"));
    world.wait(100.0);
    assert_eq!(world.say("alice", report("down")).len(), 0, "back, and its model as bad as before");
    assert_eq!(state(&world, "i"), "Suspended");
    // HELLO brings them back, and what everybody was told is not forgotten.
    world.hello("alice");
    assert_eq!(state(&world, "i"), "Active");
    assert_eq!(
        heard(&world.say("alice", report("operational")), "alice"),
        ["COORDINATOR_STATUS backend_alert"]
    );
}

#[test]
fn an_arbiter_who_is_back_is_asked_about_what_is_frozen() {
    covers!("FRZ-09", "LIV-20");
    let mut config = patient();
    config.governance.frozen_scope_disable_phase_3 = Some(true);
    config.governance.resolution_timeout_sec = Some(Seconds::whole(100));
    config.liveness.unavailability_timeout_sec = Some(Seconds::whole(50));
    let mut world = dispute(config);
    world.join("ada", &[Role::Arbiter]);
    world.wait(200.0); // all silent at 50 s, frozen at 100 s, phase 2 at 160 s, with nobody to ask
    assert_eq!(
        heard(&world.say("bob", Heartbeat::new("idle".into())), "ada"),
        ["INTENT_UPDATE i2 bob does i2"]
    );
    assert_eq!(heard(&world.say("ada", Heartbeat::new("idle".into())), "bob"), ["CONFLICT_ESCALATE"]);
    assert_eq!(world.say("ada", Heartbeat::new("idle".into())).len(), 0);
}

#[test]
fn a_role_is_judged_before_the_fields() {
    covers!("D-014", "ERR-05", "OPS-17");
    let mut world = World::of(&["bob"]);
    let empty: Payload = serde_json::from_str("{}").unwrap();
    let reject = |payload| Message::Unknown { message_type: MessageType::OpReject, payload };
    assert_eq!(
        error(&world.say("bob", reject(empty.clone())), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    world.join("olga", &[Role::Owner]);
    assert_eq!(error(&world.say("olga", reject(empty)), "olga").error_code, ErrorCode::MalformedMessage);
}

#[test]
fn fields_before_references_and_repeats_before_authority() {
    covers!("D-014", "ERR-05", "D-022", "D-030", "D-114", "CON-03");
    let mut world = dispute(patient());
    world.join("olga", &[Role::Owner]);
    // No watermark in either place, and an intent nobody knows.
    let mut report = ConflictReport::new("c".parse().unwrap(), "x".into(), "low".into());
    report.related_intents = Some(vec![intent("nothing")]);
    let stamp = world.stamp();
    let mut envelope = world.people.get_mut("bob").unwrap().1.write(stamp, report);
    envelope.watermark = None;
    assert_eq!(error(&world.send("bob", &envelope), "bob").error_code, ErrorCode::MalformedMessage);
    let mut resolution = Resolution::new(world.conflict(), Decision::Dismissed);
    resolution.resolution_id = Some("r".parse().unwrap());
    world.say("olga", resolution.clone());
    for name in ["olga", "bob"] {
        let refused = error(&world.say(name, resolution.clone()), name);
        assert!(refused.description.starts_with("duplicate resolution_id"), "{}", refused.description);
    }
}

#[test]
fn repeating_oneself_makes_no_records() {
    covers!("CON-06", "D-109", "SRV-10");
    let mut world = dispute(patient());
    for round in 0..50 {
        for kind in ["seen", "accepted", "disputed", &format!("x.{round}")] {
            world.say("bob", ConflictAck::new(world.conflict(), AckType::from(kind)));
        }
    }
    let record = world.coordinator.snapshot().conflicts.unwrap().remove(0);
    assert_eq!(record.acks.unwrap().len(), 4, "the last of each kind, and of the unlisted ones one");
}

#[test]
fn an_owner_withdraws_what_is_suspended_in_two_steps() {
    covers!("INT-16", "D-081", "CLM-10", "LIV-15");
    let mut config = crate::world::config();
    config.liveness.backend_health_policy = Some(serde_json::from_str(r#"{"enabled":true}"#).unwrap());
    let mut world = World::with(config);
    for name in ["alice", "bob"] {
        world.join(name, &[Role::Contributor]);
    }
    world.announce("alice", "i", &["x"]);
    let down = r#"{"status":"idle","backend_health":{"model_id":"a/m","provider_status":"down","checked_at":"2026-01-02T03:04:05Z"}}"#;
    world.say("alice", serde_json::from_str::<Heartbeat>(down).unwrap());
    world.say("bob", claim("c", "i", "alice", "k"));
    let mut update = IntentUpdate::new(intent("i"));
    update.objective = Some("more".to_owned());
    assert_eq!(error(&world.say("alice", update), "alice").error_code, ErrorCode::InvalidReference);
    assert_eq!(
        heard(&world.withdraw("alice", "i"), "bob"),
        ["INTENT_CLAIM_STATUS", "INTENT_UPDATE i alice does i", "INTENT_WITHDRAW i"]
    );
    assert_eq!(state(&world, "i"), "Withdrawn");
}

#[test]
fn what_has_ended_is_dismissed_before_a_freeze_decides_it() {
    covers!("CON-12", "INT-07", "D-012");
    let mut config = patient();
    config.default_intent_ttl_sec = Seconds::from_micros(600_000_001);
    let mut world = dispute(config);
    // Both intents end in the very microsecond in which the third phase would begin.
    let lines = heard(&world.wait(600.000_001), "alice");
    let [.., last] = lines.as_slice() else { panic!() };
    assert_eq!(last, "RESOLUTION dismissed", "{lines:?}");
    assert!(!lines.contains(&"RESOLUTION policy_override".to_owned()));
}

#[test]
fn what_falls_due_in_one_sweep_happens_in_the_ledger_s_order() {
    covers!("D-013", "D-012", "SRV-09", "INT-07", "CAS-02", "LIV-04", "DEF-09", "CLM-08", "GOV-14", "SES-10");
    let mut config = crate::world::config();
    config.level = ProtocolLevel::V0_1_14;
    config.default_intent_ttl_sec = Seconds::whole(1000);
    config.governance.resolution_timeout_sec = Some(Seconds::whole(20));
    config.governance.intent_expiry_grace_sec = Some(Seconds::whole(80));
    config.liveness.intent_claim_grace_period_sec = Some(Seconds::whole(30));
    let mut world = World::with(config);
    for name in ["alice", "bob", "carol", "dave"] {
        world.join(name, &[Role::Contributor]);
    }
    // Dave is not missed, so that his claim lives on.
    world.say("dave", Heartbeat::new("offline".into()));
    world.announce("carol", "c", &["x"]);
    world.say("carol", goodbye("transfer"));
    world.say("dave", claim("claim", "c", "carol", "d2"));
    world.announce("dave", "d", &["w"]);
    world.announce("bob", "b", &["w"]); // in each other's way until nobody settles it
    for (id, ttl) in [("a1", 50), ("a2", 40)] {
        let mut announce =
            mpac_wire::payload::IntentAnnounce::new(intent(id), "o".to_owned(), Scope::files([id]));
        announce.ttl_sec = Some(Seconds::whole(ttl));
        world.say("alice", announce);
        let mut report = ConflictReport::new(format!("of-{id}").parse().unwrap(), "x".into(), "low".into());
        report.related_intents = Some(vec![intent(id)]);
        world.say("bob", report);
    }
    world.announce("alice", "a0", &["p"]);
    world.say("bob", propose("p", "a0", "p"));
    world.withdraw("alice", "a0");
    let mut deferred = IntentDeferred::new();
    deferred.scope = Some(Scope::files(["q"]));
    deferred.ttl_sec = Some(Seconds::whole(10));
    world.say("dave", deferred);
    // The host slept: all of it is due at once.
    world.now = mpac_wire::Timestamp::from_micros(world.now.micros() + 100_000_000);
    world.input(mpac_core::Input::Timeout);
    let said: Vec<String> = world
        .steps
        .last()
        .unwrap()
        .outputs
        .iter()
        .filter_map(|output| match output {
            mpac_core::Output::Send { envelope, .. } => Some(match envelope.message().unwrap() {
                Message::Resolution(resolution) => format!("dismissed {}", resolution.conflict_id),
                Message::OpReject(reject) => format!("rejected {}", reject.op_id),
                Message::ProtocolError(error) => {
                    format!(
                        "{} {}",
                        error.error_code,
                        error.affected_principal.map(|it| it.to_string()).unwrap_or_default()
                    )
                }
                Message::IntentUpdate(update) => format!("suspended {}", update.intent_id),
                other => other.message_type().to_string(),
            }),
            _ => None,
        })
        .collect();
    assert_eq!(
        said,
        [
            "dismissed of-a2",
            "dismissed of-a1",
            "rejected p",
            "PARTICIPANT_UNAVAILABLE alice",
            "PARTICIPANT_UNAVAILABLE bob",
            "suspended b",
            "INTENT_DEFERRED",
            "INTENT_CLAIM_STATUS",
            "RESOLUTION_TIMEOUT ",
        ]
    );
}
