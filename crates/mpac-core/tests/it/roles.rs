//! Who may be what: the role policy, and what SESSION_INFO says of it.

use mpac_core::SessionConfig;
use mpac_wire::Message;
use mpac_wire::names::{ComplianceProfile, ErrorCode, Role};
use mpac_wire::payload::{Goodbye, SessionInfo};

use crate::covers;
use crate::world::{Delivery, World, error, heard};

fn governed(policy: &str) -> SessionConfig {
    let mut config = crate::world::config();
    config.role_policy = Some(serde_json::from_str(policy).unwrap());
    config
}

fn info(deliveries: &[Delivery]) -> &SessionInfo {
    let Message::SessionInfo(info) = &deliveries[0].message else { panic!("{}", deliveries[0].line()) };
    info
}

const POLICY: &str = r#"{"default_role":"contributor","role_assignments":{"ada":["arbiter"],"eve":["arbiter"]},
    "role_constraints":{"arbiter":{"max_count":1}}}"#;

#[test]
fn a_role_that_is_full_gives_the_default_and_says_why() {
    covers!("ROL-03", "ROL-04", "ROL-05", "ROL-09", "HEL-06", "HEL-07", "HEL-08", "D-043");
    let mut world = World::with(governed(POLICY));
    assert_eq!(info(&world.join("ada", &[Role::Arbiter])).granted_roles, [Role::Arbiter]);
    let joined = world.join("eve", &[Role::Arbiter]);
    assert_eq!(info(&joined).granted_roles, [Role::Contributor]);
    assert_eq!(
        info(&joined).compatibility_errors.as_deref(),
        Some(["roles not granted by the role policy: arbiter".to_owned()].as_slice())
    );
    // Asking again counts oneself not, and a departed holder not either.
    assert_eq!(info(&world.hello("ada")).granted_roles, [Role::Arbiter]);
    world.say("ada", Goodbye::new("user_exit".into()));
    assert_eq!(info(&world.hello("eve")).granted_roles, [Role::Arbiter]);
}

#[test]
fn nobody_gets_a_role_the_policy_does_not_give() {
    covers!("ROL-03", "HEL-03", "D-043", "ROL-01");
    let mut world = World::with(governed(r#"{"role_assignments":{"ada":["owner"]}}"#));
    assert_eq!(error(&world.join("bob", &[Role::Owner]), "bob").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(world.coordinator.snapshot().participants.unwrap().len(), 0);
    let mut open = World::new();
    let asked = [Role::from("night watch"), Role::Owner];
    assert_eq!(info(&open.join("bob", &asked)).granted_roles, asked, "without a policy: as asked");
}

#[test]
fn a_role_of_another_name_has_no_power_but_may_work() {
    covers!("ROL-07", "ROL-11", "D-044", "EXT-06");
    let mut world = World::new();
    world.join("bob", &[Role::from("night watch")]);
    world.join("eve", &[Role::Observer, Role::Contributor]);
    assert_eq!(heard(&world.announce("bob", "i", &["a"]), "bob"), ["INTENT_ANNOUNCE"]);
    assert_eq!(heard(&world.announce("eve", "j", &["a"]), "eve"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
    let resolution = mpac_wire::payload::Resolution::new(world.conflict(), "approved".into());
    assert_eq!(error(&world.say("bob", resolution), "bob").error_code, ErrorCode::AuthorizationFailed);
}

#[test]
fn a_governance_session_without_an_arbiter_says_so_until_one_is_there() {
    covers!("GOV-11", "LIV-20", "D-047");
    let mut config = crate::world::config();
    config.compliance_profile = ComplianceProfile::Governance;
    let mut world = World::with(config);
    let problems = |deliveries: &[Delivery]| {
        let all = info(deliveries).compatibility_errors.clone().unwrap();
        all.into_iter().filter(|it| !it.contains("intent.broadcast")).collect::<Vec<_>>()
    };
    assert!(problems(&world.join("bob", &[Role::Owner]))[0].contains("arbiter"));
    world.join("ada", &[Role::Arbiter]);
    assert_eq!(problems(&world.hello("bob")), [""; 0]);
    world.say("ada", Goodbye::new("user_exit".into()));
    assert!(problems(&world.hello("bob"))[0].contains("arbiter"));
}
