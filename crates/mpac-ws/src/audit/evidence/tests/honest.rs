//! Whatever participants do, and whatever an operator may: a coordinator that did right has not lied.

use mpac_core::Signed;
use mpac_wire::names::SecurityProfile;
use serde_json::{Value, json};

use super::world::{World, signed};
use super::{Desk, bundled};

const ALICE: (&str, u8) = ("agent:alice", 1);

/// A world with Alice in it.
fn world() -> World {
    let mut world = World::new();
    world.join(ALICE.0, ALICE.1);
    world
}

/// Nothing is found, in the bundle and in the log.
fn assert_ok(world: World) {
    let which = world.which();
    let ended = world.end();
    let desk = Desk::new();
    desk.bundle(&bundled(&which)).assert_ok();
    desk.log(ended.data.path(), &[]).assert_ok();
}

fn announcement() -> Value {
    let scope = json!({"kind": "file_set", "resources": ["a.py"]});
    json!({"intent_id": "i-1", "objective": "work", "scope": scope})
}

#[test]
fn what_somebody_says_who_was_not_let_in_is_not_looked_at() {
    covers!("SEC-23", "SEC-25");
    let mut world = world();
    let message = world.message(ALICE.0, "INTENT_ANNOUNCE", announcement());
    let text = signed(message, ALICE.1);
    world.frame(ALICE.0, &text);
    // A copy, on another connection and without a HELLO.
    world.lie = Some(Signed::Missing);
    world.frame("agent:mallory", &text);
    assert_ok(world);
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    covers!("SEC-25", "D-134");
    let mut world = world();
    let mut payload = announcement();
    payload["extensions"] = json!({"list": vec![0; 10_001]});
    world.lie = Some(Signed::Missing);
    world.say(ALICE, "INTENT_ANNOUNCE", payload);
    assert_ok(world);
}

#[test]
fn a_key_that_the_session_has_forgotten_is_a_key_of_nobody() {
    covers!("SEC-25", "SEC-32");
    let mut world = world();
    world.rotate(ALICE, 3);
    world.rotate((ALICE.0, 3), 5);
    world.wait(61);
    world.rotate((ALICE.0, 5), 6);
    world.say((ALICE.0, 3), "HEARTBEAT", json!({"status": "working"}));
    assert_ok(world);
}

/// That it was revoked stands in no log.
#[test]
fn outside_verified_sessions_a_key_may_have_been_revoked() {
    covers!("SEC-22", "SEC-25");
    let mut world = World::with(|config| config.security_profile = SecurityProfile::Authenticated);
    world.join(ALICE.0, ALICE.1);
    world.lie = Some(Signed::Wrong);
    world.say(ALICE, "HEARTBEAT", json!({"status": "working"}));
    assert_ok(world);
}

/// Signed with what the log has in place of her secret.
#[test]
fn a_hello_whose_secret_is_blanked_was_another_when_it_came() {
    covers!("SEC-25", "PRV-05");
    let mut world = world();
    let credential = json!({"type": "mtls_fingerprint", "value": "[redacted]"});
    world.lie = Some(Signed::Wrong);
    world.say(
        ALICE,
        "HELLO",
        json!({"display_name": "alice", "roles": [], "capabilities": [], "credential": credential}),
    );
    assert_ok(world);
}
