//! Outside the open profile no frame is handled twice.

use mpac_core::{Coordinator, Identity};
use mpac_wire::names::ErrorCode;
use mpac_wire::payload::Heartbeat;
use mpac_wire::{ClaimedTime, Seconds, Timestamp};
use proptest::prelude::*;

use crate::authenticated::{config, court, join};
use crate::covers;
use crate::world::{World, error, heard};

/// What `bob` says, with a `ts` so many seconds from the coordinator's clock.
fn at(world: &mut World, seconds: f64) -> Vec<crate::world::Delivery> {
    let mut stamp = world.stamp();
    let at = world.now.micros() + (seconds * 1e6) as i64;
    stamp.ts = ClaimedTime::from(Timestamp::from_micros(at));
    let envelope = world.people.get_mut("bob").unwrap().1.write(stamp, Heartbeat::new("idle".into()));
    world.send("bob", &envelope)
}

#[test]
fn the_same_message_twice_is_a_replay() {
    covers!("SEC-17", "SEC-19", "D-027");
    for (mut world, code) in [
        (court(&["bob"]), ErrorCode::ReplayDetected),
        (World::of(&["bob"]), ErrorCode::MalformedMessage), // by its Lamport value alone
    ] {
        let stamp = world.stamp();
        let bob = &mut world.people.get_mut("bob").unwrap().1;
        let frame = bob.write(stamp, Heartbeat::new("idle".into()));
        assert_eq!(world.send("bob", &frame).len(), 0);
        assert_eq!(error(&world.send("bob", &frame), "bob").error_code, code);
    }
    // A HELLO counts from its acceptance on: a refused one may be sent again.
    let mut world = court(&[]);
    let conn = world.connect("bob");
    let credential = Some(crate::authenticated::api_key());
    let mut bob = World::participant_with("bob", 1, &[], credential);
    let hello = bob.hello(world.stamp(), None).to_json();
    assert_eq!(error(&world.frame(conn, &hello), "bob").error_code, ErrorCode::CredentialRejected);
    world.identities.insert(conn, crate::authenticated::proven("bob"));
    assert_eq!(heard(&world.frame(conn, &hello), "bob"), ["SESSION_INFO"]);
    assert_eq!(error(&world.frame(conn, &hello), "bob").error_code, ErrorCode::ReplayDetected);
}

#[test]
fn a_message_from_another_time_is_a_replay() {
    covers!("SEC-18", "SEC-19", "D-125", "D-012", "D-011");
    for seconds in [0.0, 300.0, -300.0] {
        assert_eq!(at(&mut court(&["bob"]), seconds).len(), 0, "{seconds}");
    }
    for seconds in [300.001, -300.001, 1e9] {
        let refused = error(&at(&mut court(&["bob"]), seconds), "bob");
        assert_eq!(refused.error_code, ErrorCode::ReplayDetected, "{seconds}");
        assert_eq!(
            at(&mut World::of(&["bob"]), seconds).len(),
            0,
            "{seconds}: the open profile does not ask"
        );
    }
    let mut narrow = config();
    narrow.replay_window_sec = Seconds::whole(1);
    let mut world = World::with(narrow);
    join(&mut world, "bob");
    assert_eq!(error(&at(&mut world, 2.0), "bob").error_code, ErrorCode::ReplayDetected);
    // What is no time at all is malformed in every profile.
    for mut world in [court(&["bob"]), World::of(&["bob"])] {
        let stamp = world.stamp();
        let bob = &mut world.people.get_mut("bob").unwrap().1;
        let frame = bob.write(stamp, Heartbeat::new("idle".into()));
        let bad = frame.to_json().replace(frame.ts.as_str(), "yesterday");
        let conn = world.people["bob"].0;
        assert_eq!(error(&world.frame(conn, &bad), "bob").error_code, ErrorCode::MalformedMessage);
    }
}

#[test]
fn ids_are_remembered_for_two_windows_and_stored() {
    covers!("SEC-20", "SEC-21", "SES-27", "D-124");
    let mut world = court(&["bob"]);
    for _ in 0..400 {
        at(&mut world, 0.0);
    }
    let stored = |world: &World| world.coordinator.snapshot().anti_replay.unwrap();
    let all = stored(&world);
    let (ids, times) = (all.recent_message_ids.unwrap(), all.recent_message_times.unwrap());
    assert_eq!((ids.len(), times.len()), (401, 401), "all of the window, not the last 200");
    assert_eq!(ids[400].as_str(), "m401");
    assert_eq!(all.replay_window_sec, Some(Seconds::whole(300)));
    let frontier = all.sender_frontier.unwrap();
    assert_eq!(frontier["bob|bob:1"].last_lamport, Some(world.people["bob"].1.lamport().into()));
    assert_eq!(frontier["bob|bob:1"].last_ts, Some(ClaimedTime::from(world.now)));
    // A message that claims to be as late as it may is remembered as long as its time would let it pass.
    world.wait(600.0);
    at(&mut world, 0.0);
    assert_eq!(stored(&world).recent_message_ids.unwrap().len(), 402);
    world.wait(0.001);
    at(&mut world, 0.0);
    assert_eq!(stored(&world).recent_message_ids.unwrap().len(), 2);
    // The open profile remembers none.
    let open = World::of(&["bob"]);
    assert_eq!(stored(&open).recent_message_ids.unwrap(), []);
}

/// Whether the snapshot holds all there is to know.
fn is_stored_whole(world: &World) -> bool {
    let snapshot = world.coordinator.snapshot();
    let text = serde_json::to_string(&snapshot).unwrap();
    let read = serde_json::from_str(&text).unwrap();
    Coordinator::load(world.config.clone(), &read).unwrap() == world.coordinator
}

#[test]
fn a_restart_opens_no_window() {
    covers!("SEC-20", "SEC-14", "REC-13", "REC-29", "D-124");
    let mut world = court(&["bob"]);
    let stamp = world.stamp();
    let first = world.people.get_mut("bob").unwrap().1.write(stamp, Heartbeat::new("working".into()));
    assert_eq!(world.send("bob", &first).len(), 0);
    for _ in 0..300 {
        at(&mut world, 0.0);
    }
    assert!(is_stored_whole(&world));
    world.restart(60.0);
    // Before its sender is back, and after.
    let refused = error(&world.send("bob", &first), "bob");
    assert_eq!(refused.error_code, ErrorCode::InvalidReference);
    world.hello("bob");
    assert_eq!(error(&world.send("bob", &first), "bob").error_code, ErrorCode::ReplayDetected);
    assert!(is_stored_whole(&world));
    // What was proven, and until when, is remembered as well.
    let end = Timestamp::from_micros(world.now.micros() + 60_000_000);
    let conn = world.people["bob"].0;
    let Identity::Proven { principal, method, issuer, roles, .. } = crate::authenticated::proven("bob")
    else {
        panic!()
    };
    let identity = Identity::Proven { principal, method, issuer, roles, expires_at: Some(end) };
    world.identities.insert(conn, identity);
    world.hello("bob");
    assert!(is_stored_whole(&world));
    let reloaded = Coordinator::load(world.config.clone(), &world.coordinator.snapshot()).unwrap();
    world.coordinator = reloaded;
    world.wait(60.0);
    assert_eq!(error(&at(&mut world, 0.0), "bob").error_code, ErrorCode::CredentialRejected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever is sent, whenever and how often, over restarts: nothing is accepted twice.
    #[test]
    fn no_frame_is_handled_twice(
        acts in prop::collection::vec((0_usize..12, -400_i32..400, 0_usize..5), 1..60),
    ) {
        covers!("SEC-17", "SEC-18", "SEC-20", "D-124");
        let mut config = config();
        config.enforce_lamport = false; // which would refuse most of them, too
        let mut world = World::with(config);
        join(&mut world, "bob");
        let mut frames: Vec<String> = Vec::new();
        let mut accepted: Vec<String> = Vec::new();
        for (which, drift, wait) in acts {
            let text = match frames.get(which) {
                Some(text) => text.clone(),
                None => {
                    let mut stamp = world.stamp();
                    let at = world.now.micros() + i64::from(drift) * 1_000_000;
                    stamp.ts = ClaimedTime::from(Timestamp::from_micros(at));
                    let id = format!("i{}", frames.len());
                    let scope = mpac_wire::Scope::files([id.as_str()]);
                    let bob = &mut world.people.get_mut("bob").unwrap().1;
                    let announce = bob.announce(stamp, crate::world::intent(&id), id, scope, None);
                    frames.push(announce.to_json());
                    frames[frames.len() - 1].clone()
                }
            };
            let conn = world.people["bob"].0;
            let relayed = world.frame(conn, &text).iter().any(|it| it.line() == "INTENT_ANNOUNCE");
            if relayed {
                prop_assert!(!accepted.contains(&text), "twice: {text}");
                accepted.push(text);
            }
            match [0.0, 1.0, 250.0, 299.0].get(wait) {
                Some(seconds) => drop(world.wait(*seconds)),
                None => {
                    world.restart(1.0);
                    world.hello("bob");
                }
            }
        }
    }
}

#[test]
fn however_much_is_sent_no_more_is_remembered_than_fits_and_no_window_opens() {
    covers!("SEC-17", "SEC-20", "SEC-37", "D-124");
    const MOST: usize = 50;
    let mut config = config();
    config.max_open_each.recent_messages = MOST;
    config.enforce_lamport = false; // so that only ids and times are left to tell
    config.liveness.unavailability_timeout_sec = Some(Seconds::whole(1_000_000));
    let mut world = World::with(config);
    join(&mut world, "bob");
    join(&mut world, "alice");
    let remembered =
        |world: &World| world.coordinator.snapshot().anti_replay.unwrap().recent_message_ids.unwrap().len();
    let (mut accepted, mut refused, mut most) = (Vec::new(), 0, 0);
    for n in 0..1_600 {
        world.checked = n % 100 == 0;
        let mut stamp = world.stamp();
        // As late as may be, so that it would pass as long as possible.
        stamp.ts = ClaimedTime::from(Timestamp::from_micros(world.now.micros() + 300_000_000));
        let frame = world.people.get_mut("bob").unwrap().1.write(stamp, Heartbeat::new("idle".into()));
        match world.send("bob", &frame).as_slice() {
            [] => accepted.push(frame),
            told => {
                let why = error(told, "bob");
                if why.error_code == ErrorCode::InvalidReference {
                    world.hello("bob"); // refused as well, as long as he has no room
                } else {
                    assert!(why.description.contains("max_recent_messages_each"), "{why:?}");
                    refused += 1;
                }
            }
        }
        if n % 400 == 399 {
            world.restart(0.5);
            world.hello("bob");
        }
        world.wait(1.0);
        most = most.max(remembered(&world));
    }
    assert!(refused > 300 && accepted.len() > 2 * MOST, "{refused} {}", accepted.len());
    assert!(most <= 2 * MOST + 1, "{most} ids at a time, Alice's one included");
    // What was accepted once is never accepted again, however it is tried.
    while world.hello("bob").iter().any(|it| matches!(it.message, mpac_wire::Message::ProtocolError(_))) {
        world.wait(1.0);
    }
    let conn = world.people["bob"].0;
    for frame in &accepted {
        let again = world.frame(conn, &frame.to_json());
        let code = error(&again, "bob").error_code;
        assert_eq!(code, ErrorCode::ReplayDetected, "{}", frame.message_id);
    }
    // Alice has the same room as ever, and Bob may leave, and come again as soon as he was told.
    world.hello("alice");
    let told = world.say("alice", Heartbeat::new("idle".into()));
    assert_eq!(heard(&told, "alice"), [""; 0]);
    while at(&mut world, 0.0).is_empty() {}
    let full = error(&at(&mut world, 0.0), "bob");
    let wait: serde_json::Value = full.extensions.unwrap().read().unwrap();
    world.wait(wait["retry_after_sec"].as_f64().unwrap() - 1.0);
    assert_eq!(at(&mut world, 0.0).len(), 1, "not yet");
    world.wait(1.0);
    assert_eq!(at(&mut world, 0.0).len(), 0);
}
