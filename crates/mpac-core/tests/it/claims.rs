//! Claims: somebody goes on with what another left behind.

use mpac_core::SessionConfig;
use mpac_wire::names::{ClaimApproval, ComplianceProfile, Decision, ErrorCode, ExecutionModel, Role};
use mpac_wire::payload::{Goodbye, Heartbeat, IntentClaim, OpPropose, Resolution};
use mpac_wire::{Message, Scope, Seconds};

use crate::covers;
use crate::world::{Delivery, World, error, heard, intent};

/// Alice has left `i` on x and y to others; Bob and Carol are here.
fn orphaned(config: SessionConfig) -> World {
    let mut world = World::with(config);
    for name in ["alice", "bob", "carol"] {
        world.join(name, &[Role::Contributor]);
    }
    world.join("olga", &[Role::Owner]);
    world.announce("alice", "i", &["x", "y"]);
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    world.say("alice", goodbye);
    world
}

fn governed() -> SessionConfig {
    let mut config = crate::world::config();
    config.compliance_profile = ComplianceProfile::Governance;
    config
}

fn claim(id: &str, new: &str, files: &[&str]) -> IntentClaim {
    let scope = Scope::files(files.to_vec());
    let owner = "alice".parse().unwrap();
    IntentClaim::new(id.parse().unwrap(), intent("i"), owner, intent(new), "go on".to_owned(), scope)
}

fn state(world: &World, id: &str) -> Option<String> {
    world.coordinator.view().intent(&intent(id)).map(|state| format!("{state:?}"))
}

/// The one status in these deliveries: decision, reason, approver.
fn status(deliveries: &[Delivery], who: &str) -> (String, Option<String>, Option<String>) {
    let mut found = deliveries.iter().filter(|it| it.to == who).filter_map(|it| match &it.message {
        Message::IntentClaimStatus(status) => Some(status),
        _ => None,
    });
    let status = found.next().expect("a status");
    assert!(found.next().is_none());
    (status.decision.to_string(), status.reason.clone(), status.approved_by.as_ref().map(ToString::to_string))
}

#[test]
fn in_a_core_session_a_claim_is_granted_when_nobody_objects() {
    covers!("CLM-01", "CLM-06", "CLM-08", "CLM-09", "CLM-12", "D-085", "D-072", "BYE-05");
    let mut world = orphaned(crate::world::config());
    let shown = world.say("bob", claim("c", "j", &["x"]));
    assert_eq!(heard(&shown, "olga"), ["INTENT_CLAIM"]);
    assert_eq!(heard(&shown, "bob"), [""; 0]);
    assert_eq!(heard(&world.wait(29.9), "bob"), [""; 0]);
    let granted = world.wait(0.1);
    assert_eq!(status(&granted, "bob"), ("approved".to_owned(), None, None));
    assert!(granted[0].text.contains(r#""new_intent_id":"j","decision":"approved""#));
    assert_eq!(state(&world, "i").as_deref(), Some("Transferred"));
    assert_eq!(state(&world, "j").as_deref(), Some("Active"));
    // It counts from now on, and expires like any other.
    assert_eq!(heard(&world.announce("carol", "k", &["x"]), "bob"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
    let refused = error(&world.say("carol", claim("d", "l", &["x"])), "carol");
    assert_eq!(refused.error_code, ErrorCode::ClaimConflict);
}

#[test]
fn without_a_grace_a_claim_is_granted_with_its_own_message() {
    covers!("CLM-08");
    let mut config = crate::world::config();
    config.liveness.intent_claim_grace_period_sec = Some(Seconds::ZERO);
    let mut world = orphaned(config);
    let granted = world.say("bob", claim("c", "j", &["x"]));
    assert_eq!(status(&granted, "bob"), ("approved".to_owned(), None, None));
    assert_eq!(state(&world, "j").as_deref(), Some("Active"));
}

#[test]
fn who_approves_claims_may_be_configured_beside_the_profile() {
    covers!("CLM-15");
    let mut config = crate::world::config();
    config.liveness.intent_claim_approval = Some(ClaimApproval::Governance);
    let mut world = orphaned(config);
    world.say("bob", claim("c", "j", &["x"]));
    assert_eq!(
        heard(&world.wait(80.0), "bob"),
        [""; 0],
        "in a core session, and yet nothing is granted by itself"
    );
    let approved = world.say("olga", Resolution::new("c".parse().unwrap(), Decision::Approved));
    assert_eq!(status(&approved, "bob"), ("approved".to_owned(), None, Some("olga".to_owned())));
    let mut config = governed();
    config.liveness.intent_claim_approval = Some(ClaimApproval::Auto);
    let mut world = orphaned(config);
    world.say("bob", claim("c", "j", &["x"]));
    let approve = Resolution::new("c".parse().unwrap(), Decision::Approved);
    assert_eq!(error(&world.say("olga", approve), "olga").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(status(&world.wait(30.0), "bob"), ("approved".to_owned(), None, None));
}

#[test]
fn anybody_else_may_object_in_time() {
    covers!("D-084", "D-085", "CLM-11");
    let mut world = orphaned(crate::world::config());
    world.say("bob", claim("c", "j", &["x"]));
    world.wait(10.0);
    let decide = |decision| {
        let mut resolution = Resolution::new("c".parse().unwrap(), decision);
        resolution.resolution_id = Some("r".parse().unwrap());
        resolution
    };
    assert_eq!(
        error(&world.say("bob", decide(Decision::Rejected)), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    assert_eq!(
        error(&world.say("carol", decide(Decision::Merged)), "carol").error_code,
        ErrorCode::MalformedMessage
    );
    let objected = world.say("carol", decide(Decision::Rejected));
    assert_eq!(status(&objected, "bob"), ("rejected".to_owned(), Some("objected".to_owned()), None));
    assert_eq!(state(&world, "i").as_deref(), Some("Suspended"));
    assert_eq!(heard(&world.wait(60.0), "bob"), [""; 0], "nothing is granted any more");
    assert_eq!(
        heard(&world.say("carol", claim("d", "l", &["y"])), "olga"),
        ["INTENT_CLAIM"],
        "it can be claimed again"
    );
}

#[test]
fn in_a_governance_session_an_owner_or_arbiter_decides() {
    covers!("CLM-07", "GOV-20", "CON-09");
    let mut world = orphaned(governed());
    world.say("bob", claim("c", "j", &["x"]));
    assert_eq!(heard(&world.wait(80.0), "bob"), [""; 0]);
    let approve = Resolution::new("c".parse().unwrap(), Decision::Approved);
    assert_eq!(
        error(&world.say("carol", approve.clone()), "carol").error_code,
        ErrorCode::AuthorizationFailed
    );
    let approved = world.say("olga", approve);
    assert_eq!(status(&approved, "bob"), ("approved".to_owned(), None, Some("olga".to_owned())));
    assert_eq!(state(&world, "j").as_deref(), Some("Active"));
    // One who governs does not decide on a claim of their own, and may say no to others'.
    let mut world = orphaned(governed());
    world.join("ada", &[Role::Arbiter]);
    world.say("olga", claim("c", "j", &["x"]));
    let decide = |decision| Resolution::new("c".parse().unwrap(), decision);
    let own = error(&world.say("olga", decide(Decision::Approved)), "olga");
    assert_eq!(own.error_code, ErrorCode::AuthorizationFailed);
    let rejected = world.say("ada", decide(Decision::Rejected));
    assert_eq!(status(&rejected, "olga"), ("rejected".to_owned(), Some("rejected".to_owned()), None));
    assert_eq!(state(&world, "i").as_deref(), Some("Suspended"));
}

#[test]
fn a_claim_that_cannot_be_is_refused_or_rejected() {
    covers!("CLM-01", "CLM-02", "CLM-03", "CLM-04", "CLM-05", "D-086", "D-131", "CLM-14", "SRV-05");
    let mut world = orphaned(crate::world::config());
    world.announce("carol", "taken", &["z"]);
    let mut wrong_owner = claim("c", "j", &["x"]);
    wrong_owner.original_principal_id = "carol".parse().unwrap();
    let mut active = claim("c", "j", &["z"]);
    (active.original_intent_id, active.original_principal_id) = (intent("taken"), "carol".parse().unwrap());
    let mut unknown = claim("c", "j", &["x"]);
    unknown.original_intent_id = intent("nothing");
    for (claim, code) in [
        (wrong_owner, ErrorCode::InvalidReference),
        (active, ErrorCode::InvalidReference),
        (unknown, ErrorCode::InvalidReference),
        (claim("c", "taken", &["x"]), ErrorCode::MalformedMessage),
    ] {
        assert_eq!(error(&world.say("bob", claim), "bob").error_code, code);
    }
    let wide = world.say("bob", claim("c", "j", &["x", "z"]));
    assert_eq!(status(&wide, "bob").1.as_deref(), Some("scope_not_contained"));
    assert_eq!(
        error(&world.say("bob", claim("c", "j", &["x"])), "bob").error_code,
        ErrorCode::MalformedMessage
    );
    world.say("carol", claim("c2", "j", &["x"]));
    assert_eq!(
        error(&world.say("olga", claim("c3", "k", &["x"])), "olga").error_code,
        ErrorCode::ClaimConflict
    );
    assert_eq!(error(&world.announce("bob", "j", &["q"]), "bob").error_code, ErrorCode::MalformedMessage);
    // Bob, just refused, must not take Carol's approval for his own.
    let granted = world.wait(30.0);
    assert_eq!(heard(&granted, "bob"), [""; 0]);
    assert_eq!(status(&granted, "carol").0, "approved");
}

#[test]
fn a_claim_ends_with_its_reason() {
    covers!("CLM-10", "CLM-13", "LIV-15", "D-052", "INT-07", "BYE-10");
    // The owner is back.
    let mut world = orphaned(crate::world::config());
    world.say("bob", claim("c", "j", &["x"]));
    let back = world.hello("alice");
    assert_eq!(
        heard(&back, "alice"),
        ["SESSION_INFO", "INTENT_CLAIM_STATUS", "INTENT_UPDATE i alice does i"]
    );
    assert_eq!(
        status(&back, "bob"),
        ("withdrawn".to_owned(), Some("original_owner_rejoined".to_owned()), None)
    );
    assert_eq!((state(&world, "i").as_deref(), state(&world, "j")), (Some("Active"), None));
    // The claimer leaves.
    let mut world = orphaned(crate::world::config());
    world.say("bob", claim("c", "j", &["x"]));
    let left = world.say("bob", Goodbye::new("user_exit".into()));
    assert_eq!(status(&left, "olga").1.as_deref(), Some("claimer_unavailable"));
    // The original expires.
    let mut config = governed();
    config.liveness.unavailability_timeout_sec = Some(Seconds::whole(1000));
    let mut world = orphaned(config);
    world.say("bob", claim("c", "j", &["x"]));
    let expired = world.wait(300.0);
    assert_eq!(status(&expired, "bob").1.as_deref(), Some("intent_no_longer_suspended"));
    assert_eq!(world.say("bob", Heartbeat::new("idle".into())).len(), 0);
}

#[test]
fn a_claim_that_waits_keeps_its_id_however_many_came_since() {
    covers!("CLM-05", "D-022", "SES-27");
    let mut config = crate::world::config();
    config.retained_records = 1;
    let mut world = World::with(config);
    for name in ["alice", "bob", "carol"] {
        world.join(name, &[Role::Contributor]);
    }
    for id in ["i", "i2", "i3"] {
        world.announce("alice", id, &[id]);
    }
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    world.say("alice", goodbye);
    let on = |original: &str, id: &str, new: &str| {
        let mut claim = claim(id, new, &[original]);
        claim.original_intent_id = intent(original);
        claim
    };
    world.say("bob", on("i", "c", "j"));
    world.wait(5.0);
    world.say("carol", on("i2", "d", "j2")); // the one id that is remembered
    let again = error(&world.say("carol", on("i3", "c", "j3")), "carol");
    assert_eq!(again.error_code, ErrorCode::MalformedMessage);
    assert!(again.description.starts_with("duplicate claim_id"), "{}", again.description);
    let granted = world.wait(25.0);
    assert_eq!(status(&granted, "bob").0, "approved");
    assert_eq!(state(&world, "j").as_deref(), Some("Active"));
    assert_eq!(state(&world, "i3").as_deref(), Some("Suspended"), "nobody claimed it");
}

#[test]
fn a_second_claimer_is_not_told_what_became_of_the_first_claim() {
    covers!("CLM-14", "D-131");
    let mut world = orphaned(crate::world::config());
    world.say("bob", claim("c", "j", &["x"]));
    assert_eq!(
        error(&world.say("carol", claim("d", "k", &["x"])), "carol").error_code,
        ErrorCode::ClaimConflict
    );
    let granted = world.wait(30.0);
    assert_eq!(heard(&granted, "bob"), ["INTENT_CLAIM_STATUS"]);
    assert_eq!(heard(&granted, "carol"), [""; 0], "the Python agent would take it for its own answer");
}

#[test]
fn a_claim_has_an_id_by_which_it_can_be_decided() {
    covers!("D-084", "D-022", "CLM-05");
    let mut config = governed();
    config.execution_model = ExecutionModel::PreCommit;
    config.operation_authorization = mpac_core::config::OperationAuthorization::Review;
    let mut world = orphaned(config);
    world.announce("bob", "j", &["z"]);
    world.announce("carol", "k", &["z"]);
    let mut propose = OpPropose::new("o".parse().unwrap(), "w".to_owned(), "replace".into());
    propose.intent_id = Some(intent("k"));
    world.say("carol", propose);
    // Whoever approves the proposal, or settles the conflict, would decide on the claim, or never could.
    for id in ["o", world.conflict().as_str()] {
        let refused = error(&world.say("bob", claim(id, "n", &["x"])), "bob");
        assert!(refused.description.starts_with("duplicate claim_id"), "{}", refused.description);
    }
    world.say("olga", Resolution::new("o".parse().unwrap(), Decision::Approved));
    assert_eq!(state(&world, "i").as_deref(), Some("Suspended"));
}
