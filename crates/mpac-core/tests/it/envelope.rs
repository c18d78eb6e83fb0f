//! The envelope: what it must have, what the coordinator's own look like, and how refusals are told.

use std::collections::BTreeSet;

use mpac_core::{Output, ProtocolLevel};
use mpac_wire::names::{ErrorCode, Role};
use mpac_wire::payload::{Goodbye, Heartbeat, IntentWithdraw};
use mpac_wire::{ClaimedTime, Envelope, Message, Scope};

use crate::covers;
use crate::world::{World, commit_payload, error, heard, intent};

fn heartbeat(world: &mut World) -> Envelope {
    let stamp = world.stamp();
    world.people.get_mut("bob").unwrap().1.write(stamp, Heartbeat::new("idle".into()))
}

/// What the coordinator has written since the world began or was taken up again.
fn written(world: &World) -> Vec<Envelope> {
    let outputs = world.steps.iter().flat_map(|step| &step.outputs);
    outputs
        .filter_map(|output| match output {
            Output::Send { envelope, .. } => Some(Envelope::clone(envelope)),
            _ => None,
        })
        .collect()
}

/// What a coordinator writes in a session in which something of everything happens, at the highest level.
fn eventful() -> Vec<Envelope> {
    let mut config = crate::world::config();
    config.level = ProtocolLevel::V0_1_15;
    config.status_heartbeats = true;
    let mut world = World::with(config);
    for name in ["alice", "bob"] {
        world.join(name, &[Role::Contributor]);
    }
    world.announce("alice", "i", &["a.py"]);
    world.announce("bob", "j", &["a.py"]); // STALE_INTENT
    world.announce("bob", "i", &["b.py"]); // duplicate
    world.say("bob", commit_payload("o", None, "a.py", "one\n", "two\n")); // CONFLICT_REPORT
    world.say("bob", commit_payload("p", None, "a.py", "one\n", "three\n")); // STALE_STATE_REF
    world.wait(100.0); // suspensions
    world.hello("alice");
    let mut all = written(&world);
    world.restart(1.0);
    world.hello("alice");
    world.close();
    all.extend(written(&world));
    all
}

#[test]
fn a_sender_says_who_what_and_which_process_it_is() {
    covers!("ENV-01", "ENV-02");
    let mut world = World::of(&["bob"]);
    let conn = world.people["bob"].0;
    let good = heartbeat(&mut world).to_json();
    for (member, value) in [
        ("principal_id", r#""bob""#),
        ("principal_type", r#""agent""#),
        ("sender_instance_id", r#""bob:1""#),
        ("message_id", r#""m2""#),
        ("session_id", r#""s""#),
    ] {
        let whole = format!(r#""{member}":{value}"#);
        assert!(good.contains(&whole), "{good}");
        for bad in ["7", "null", r#""""#] {
            let text = good.replace(&whole, &format!(r#""{member}":{bad}"#));
            let refused = error(&world.frame(conn, &text), "bob");
            assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "{member}: {bad}");
            assert!(refused.description.contains(member), "{}", refused.description);
        }
    }
}

#[test]
fn a_time_is_rfc_3339_in_and_utc_with_six_digits_out() {
    covers!("ENV-07", "D-008", "D-125");
    let mut world = World::of(&["bob"]);
    let conn = world.people["bob"].0;
    for good in ["2026-01-02T03:04:05Z", "2026-01-02t03:04:05.123456789+01:00", "1999-12-31T23:59:59.5z"] {
        let mut envelope = heartbeat(&mut world);
        envelope.ts = ClaimedTime::parse(good).unwrap();
        assert_eq!(world.send("bob", &envelope).len(), 0, "{good}");
    }
    let text = heartbeat(&mut world).to_json();
    for bad in ["bad", "2026-01-02", "2026-01-02T03:04:05", ""] {
        let text = text.replace("2026-01-02T03:04:05.000000Z", bad);
        let refused = error(&world.frame(conn, &text), "bob");
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "{bad}");
    }
    let six_digits = |envelope: &Envelope| {
        let ts = envelope.ts.as_str();
        ts.len() == "2026-01-02T03:04:05.000000Z".len() && ts.ends_with('Z')
    };
    assert!(eventful().iter().all(six_digits));
}

#[test]
fn the_coordinator_s_messages_are_told_apart_and_marked_as_its_own() {
    covers!("ENV-04", "ENV-06", "ENV-10", "ENV-11", "EXT-03");
    let all = eventful();
    assert!(all.len() > 20);
    let ids: BTreeSet<_> = all.iter().map(|envelope| &envelope.message_id).collect();
    assert_eq!(ids.len(), all.len(), "also over a restart with the same seed");
    let mut kinds = BTreeSet::new();
    for envelope in &all {
        assert_eq!(envelope.version, "0.1.15");
        assert!(envelope.coordinator_epoch.is_some() && envelope.watermark.is_some());
        kinds.insert(envelope.message_type.as_str().to_owned());
        let payload: serde_json::Value = envelope.payload.read().unwrap();
        // What is ours alone stands under our name.
        for key in payload["extensions"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            assert_eq!(key, "mpac", "{payload}");
        }
    }
    for kind in ["PROTOCOL_ERROR", "INTENT_UPDATE", "SESSION_CLOSE", "COORDINATOR_STATUS"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

#[test]
fn a_refusal_says_what_is_wrong_and_with_which_message() {
    covers!("ERR-01", "ERR-05");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["a"]);
    let mut refuse = |message: Message, alter: fn(&mut Envelope)| {
        let stamp = world.stamp();
        let mut envelope = world.people.get_mut("bob").unwrap().1.write(stamp, message);
        alter(&mut envelope);
        let refused = error(&world.send("bob", &envelope), "bob");
        assert_eq!(refused.refers_to.as_deref(), Some(envelope.message_id.as_str()));
        assert!(!refused.description.is_empty());
        refused.error_code
    };
    let withdraw = |id: &str| Message::from(IntentWithdraw::new(intent(id)));
    assert_eq!(refuse(withdraw("x"), |_| {}), ErrorCode::InvalidReference);
    assert_eq!(refuse(withdraw("i"), |_| {}), ErrorCode::AuthorizationFailed);
    assert_eq!(refuse(withdraw("i"), |it| it.version = "2.0".into()), ErrorCode::VersionMismatch);
    assert_eq!(
        refuse(withdraw("i"), |it| it.message_type = "RESOLUTION".into()),
        ErrorCode::MalformedMessage
    );
}

#[test]
fn a_session_of_a_lower_level_is_one_for_participants_of_a_higher_one() {
    covers!("ENV-17", "ENV-05", "D-002", "D-006");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["a.py"]);
    let stamp = world.stamp();
    let bob = &mut world.people.get_mut("bob").unwrap().1;
    let mut envelope = bob.announce(stamp, intent("j"), "o".to_owned(), Scope::files(["a.py"]), None);
    envelope.version = "0.1.15".into();
    let answer = world.send("bob", &envelope);
    assert_eq!(heard(&answer, "bob"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"], "no race lock");
    let report = answer.iter().find(|it| it.line() == "CONFLICT_REPORT").unwrap();
    assert!(report.text.contains(r#""version":"0.1.13""#));
    // And the other way round: a participant of the lowest level in a session of the highest.
    let mut config = crate::world::config();
    config.level = ProtocolLevel::V0_1_15;
    let mut world = World::with(config);
    world.join("bob", &[Role::Contributor]);
    assert_eq!(heard(&world.announce("bob", "i", &["a.py"]), "bob"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn what_nobody_here_can_read_is_passed_on_as_it_came() {
    covers!("SEC-40", "EXT-05", "EXT-01", "ENV-08", "ENV-16");
    let mut world = World::of(&["alice", "bob"]);
    let stamp = world.stamp();
    let bob = &mut world.people.get_mut("bob").unwrap().1;
    let text = bob.announce(stamp, intent("i"), "o".to_owned(), Scope::files(["x"]), None).to_json();
    let sealed = text
        .replace(
            r#""objective":"o""#,
            r#""objective":"o","sealed":{"n":1.50,"box":"AAEC"},"extensions":{"x.y":7}"#,
        )
        .replace(r#""ts":"#, r#""trace_id":"t","ts":"#);
    assert_ne!(sealed, text);
    let conn = world.people["bob"].0;
    let relayed = world.frame(conn, &sealed);
    assert_eq!(heard(&relayed, "alice"), ["INTENT_ANNOUNCE"]);
    assert!(relayed.iter().all(|it| it.text == sealed));
}

#[test]
fn whoever_joins_is_told_how_many_are_there() {
    covers!("HEL-05", "D-046");
    let mut world = World::of(&["alice"]);
    world.say("alice", Goodbye::new("user_exit".into()));
    let joined = world.join("bob", &[Role::Contributor]);
    let Message::SessionInfo(info) = &joined[0].message else { panic!() };
    assert_eq!(info.participant_count, Some(1.into()));
}

#[test]
fn an_error_is_not_answered_by_an_error() {
    covers!("ERR-03", "ERR-07", "D-025");
    let mut world = World::of(&["bob"]);
    let report = mpac_wire::payload::ProtocolError::new("X_Y".into(), "hm".to_owned());
    assert_eq!(world.say("bob", report.clone()).len(), 0);
    let stamp = world.stamp();
    let mut envelope = world.people.get_mut("bob").unwrap().1.write(stamp, report);
    envelope.version = "9.9".into();
    assert_eq!(world.send("bob", &envelope).len(), 0);
    envelope.protocol = "mpac".into();
    assert_eq!(world.send("bob", &envelope).len(), 0);
    // Not even where the envelope cannot be read; but frames that cannot be used they are.
    let (conn, whole) = (world.people["bob"].0, envelope.to_json());
    let without = whole.replace("sender_instance_id", "x");
    let broken = whole.replace(r#""ts":""#, r#""ts":"bad"#);
    for _ in 0..9 {
        assert_eq!(world.frame(conn, &broken).len(), 0);
        assert_eq!(world.frame(conn, &without).len(), 0);
        assert_eq!(world.hung_up, []);
    }
    assert_eq!(world.frame(conn, &broken).len(), 0);
    assert_eq!(world.hung_up, [(conn, 1008)], "the twentieth");
}
