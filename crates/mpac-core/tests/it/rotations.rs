//! Keys that take the place of others in verified sessions.

use mpac_core::{Command, Input, Notice, Output, Signed};
use mpac_wire::names::ErrorCode;
use mpac_wire::payload::{Heartbeat, KeyChange, KeyRotation};
use mpac_wire::{Message, PublicKey, Raw, Timestamp};

use crate::covers;
use crate::verified::{OWN, beat, court, join, key, told};
use crate::world::{Delivery, World, error, heard};

fn rotation(n: u8) -> Heartbeat {
    let mut rotation = KeyRotation::new(key(n).fingerprint());
    rotation.public_key = Some(key(n));
    let mut heartbeat = Heartbeat::new("idle".into());
    heartbeat.extensions = rotation.to_extensions();
    heartbeat
}

/// `name` asks for it, signed with the key it has.
fn rotate(world: &mut World, name: &str, n: u8) -> Vec<Delivery> {
    world.say(name, rotation(n))
}

#[test]
fn a_fresh_certificate_takes_the_place_of_every_other_key() {
    covers!("SEC-23", "SEC-32", "D-016");
    let mut world = court(&[("alice", 1), ("bob", 2)]);
    rotate(&mut world, "bob", 3);
    world.keys.insert("bob".to_owned(), key(4));
    let joined = world.hello("bob");
    let bobs = told(&joined, "alice");
    assert_eq!(bobs, [("bob".to_owned(), key(4), None)], "the only one that is good");
    for n in [2, 3] {
        let envelope = beat(&mut world, "bob");
        let refused = error(&world.send_signed("bob", &envelope, Signed::by(key(n).fingerprint())), "bob");
        assert_eq!(refused.error_code, ErrorCode::AuthorizationFailed);
    }
    // A certificate whose key was replaced does not bring it back.
    world.keys.insert("bob".to_owned(), key(2));
    assert_eq!(error(&world.hello("bob"), "bob").error_code, ErrorCode::AuthorizationFailed);
    world.keys.insert("bob".to_owned(), key(4));
    assert_eq!(heard(&world.hello("bob"), "bob")[0], "SESSION_INFO");
}

#[test]
fn a_rotated_key_is_the_senders_and_the_old_one_ends_after_two_intervals() {
    covers!("SEC-32", "D-127");
    let mut world = court(&[("alice", 1), ("bob", 2)]);
    let began = world.now;
    let news = rotate(&mut world, "bob", 3);
    let until = began.after(&mpac_wire::Seconds::whole(60));
    for who in ["alice", "bob"] {
        assert_eq!(heard(&news, who), ["COORDINATOR_STATUS heartbeat", "PARTICIPANT_KEYS"]);
        let keys = [("bob".to_owned(), key(2), Some(until)), ("bob".to_owned(), key(3), None)];
        assert_eq!(told(&news, who), keys);
    }
    let Message::CoordinatorStatus(status) = &news[0].message else { panic!("{}", news[0].line()) };
    let change = KeyChange::of_extensions(status.extensions.as_ref().unwrap()).unwrap();
    assert_eq!(change.principal_id.as_str(), "bob");
    assert_eq!(
        (change.old_key_fingerprint, change.new_key_fingerprint),
        (key(2).fingerprint(), key(3).fingerprint())
    );
    assert_eq!(change.old_key_valid_until, until);
    let passes = |world: &mut World, n| {
        let envelope = beat(world, "bob");
        world.send_signed("bob", &envelope, Signed::by(key(n).fingerprint())).is_empty()
    };
    assert!(passes(&mut world, 2) && passes(&mut world, 3));
    world.now = Timestamp::from_micros(until.micros() - 1);
    assert!(passes(&mut world, 2) && passes(&mut world, 3));
    world.now = until;
    assert!(!passes(&mut world, 2) && passes(&mut world, 3));
    // The certificate is still that of the first key; whoever has the newer one proves itself with both.
    world.keys.insert("bob".to_owned(), key(3));
    let stamp = world.stamp();
    let hello = world.who("bob").hello(stamp, None);
    let joined = world.send_signed("bob", &hello, Signed::by(key(3).fingerprint()));
    assert_eq!(heard(&joined, "bob")[0], "SESSION_INFO");
    assert_eq!(told(&joined, "bob").last(), Some(&("bob".to_owned(), key(3), None)));
}

#[test]
fn a_rotation_that_may_not_be_changes_no_key() {
    covers!("SEC-32", "D-127");
    let mut world = court(&[("alice", 1), ("bob", 2)]);
    let mut plain = KeyRotation::new(key(5).fingerprint());
    let with = |rotation: &KeyRotation| {
        let mut heartbeat = Heartbeat::new("working".into());
        heartbeat.extensions = rotation.to_extensions();
        heartbeat
    };
    let no_key = with(&plain);
    plain.public_key = Some(key(6));
    let other_key = with(&plain);
    plain.public_key = Some(PublicKey::new(&[5; 31]));
    let mut short = KeyRotation::new(PublicKey::new(&[5; 31]).fingerprint());
    short.public_key = Some(PublicKey::new(&[5; 31]));
    let short = with(&short);
    let mut mac = KeyRotation::new(key(5).fingerprint());
    (mac.public_key, mac.algorithm) = (Some(key(5)), Some("hmac-sha256".into()));
    let mut no_object = Heartbeat::new("working".into());
    no_object.extensions = Raw::of(&serde_json::json!({"key_rotation": "sha256:0"})).ok();
    let (malformed, failure) = (ErrorCode::MalformedMessage, ErrorCode::AuthorizationFailed);
    let cases = [
        ("without the key", no_key, &malformed),
        ("with another key", other_key, &malformed),
        ("of another length", short, &malformed),
        ("of another algorithm", with(&mac), &malformed),
        ("no object", no_object, &malformed),
        ("alice's key", rotation(1), &failure),
        ("the coordinator's key", rotation(OWN), &failure),
        ("the same key", rotation(2), &failure),
    ];
    for (case, heartbeat, code) in cases {
        let before = world.coordinator.snapshot().coordinator_state.unwrap().keys;
        let refused = error(&world.say("bob", heartbeat), "bob");
        assert_eq!(refused.error_code, *code, "{case}: {}", refused.description);
        assert_eq!(world.coordinator.snapshot().coordinator_state.unwrap().keys, before, "{case}");
    }
    // Only the key in use may name its successor.
    rotate(&mut world, "bob", 3);
    assert_eq!(error(&rotate(&mut world, "bob", 4), "bob").error_code, failure, "signed by the replaced key");
    world.keys.insert("bob".to_owned(), key(3));
    assert_eq!(error(&rotate(&mut world, "bob", 2), "bob").error_code, failure, "it was used before");
    for n in 4..6 {
        assert_eq!(rotate(&mut world, "bob", n).len(), 4);
        world.keys.insert("bob".to_owned(), key(n));
    }
    assert_eq!(error(&rotate(&mut world, "bob", 6), "bob").error_code, malformed, "too many at one time");
    world.wait(60.0);
    assert_eq!(rotate(&mut world, "bob", 6).len(), 4);
}

#[test]
fn a_certificate_wins_over_an_announcement() {
    covers!("SEC-23", "SEC-32");
    let mut world = court(&[("alice", 1), ("mallory", 2)]);
    rotate(&mut world, "mallory", 3);
    let joined = join(&mut world, "bob", 3);
    assert_eq!(heard(&joined, "bob")[0], "SESSION_INFO");
    let envelope = beat(&mut world, "mallory");
    let refused =
        error(&world.send_signed("mallory", &envelope, Signed::by(key(3).fingerprint())), "mallory");
    assert_eq!(refused.error_code, ErrorCode::AuthorizationFailed);
}

#[test]
fn keys_survive_a_restart_and_so_do_their_ends() {
    covers!("SEC-32", "REC-29", "SEC-20");
    let mut world = court(&[("alice", 1), ("bob", 2)]);
    rotate(&mut world, "bob", 3);
    world.restart(10.0);
    let hello = |world: &mut World, n| {
        let stamp = world.stamp();
        let hello = world.who("bob").hello(stamp, None);
        world.send_signed("bob", &hello, Signed::by(key(n).fingerprint()))
    };
    assert_eq!(heard(&hello(&mut world, 2), "bob")[0], "SESSION_INFO");
    world.now = Timestamp::from_micros(world.now.micros() + 50_000_000);
    assert_eq!(error(&hello(&mut world, 2), "bob").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(heard(&hello(&mut world, 3), "bob")[0], "SESSION_INFO");
}

#[test]
fn the_coordinator_rotates_its_key() {
    covers!("SEC-26", "SEC-30", "SEC-32");
    let mut world = court(&[("bob", 2)]);
    let news = world.input(Input::Command(Command::RotateKey(key(201))));
    assert_eq!(heard(&news, "bob"), ["COORDINATOR_STATUS heartbeat"]);
    let outputs = &world.steps.last().unwrap().outputs;
    let switched = Notice::CoordinatorKey { key: key(201).fingerprint() };
    assert!(matches!(&outputs[..], [Output::Send { .. }, Output::Notice(notice)] if *notice == switched));
    let Message::CoordinatorStatus(status) = &news[0].message else { panic!("{}", news[0].line()) };
    let change = KeyChange::of_extensions(status.extensions.as_ref().unwrap()).unwrap();
    assert_eq!(change.principal_id.as_str(), "service:coordinator-s");
    assert_eq!(change.public_key, key(201));
    // Also for those who come later, and after a restart under the configuration it began with.
    world.restart(1.0);
    let joined = join(&mut world, "alice", 1);
    assert_eq!(told(&joined, "alice")[0], ("service:coordinator-s".to_owned(), key(201), None));
    assert_eq!(world.coordinator.view().coordinator_key(), Some(&key(201)));
    // A key that somebody has, the same one, and one of another length change nothing.
    for other in [key(2), key(201), PublicKey::new(&[1; 31])] {
        assert!(world.input(Input::Command(Command::RotateKey(other))).is_empty());
    }
}
