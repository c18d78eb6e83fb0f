//! Who is let in, and what is refused at the gate.

use mpac_core::{Command, ConnId, Coordinator, Input};
use mpac_wire::names::{ErrorCode, Role};
use mpac_wire::payload::{
    BatchEntry, Heartbeat, IntentAnnounce, IntentClaim, IntentUpdate, IntentWithdraw, OpBatchCommit,
    OpPropose, OpReject, OpSupersede, Resolution, SessionInfo,
};
use mpac_wire::{Envelope, Message, MessageId, StateRef, Watermark};

use crate::covers;
use crate::world::{World, commit_payload, error, heard, intent, op};

/// `bob`, who is here, says this text instead of his heartbeat.
fn altered(world: &mut World, alter: impl FnOnce(&mut Envelope)) -> Vec<crate::world::Delivery> {
    let stamp = world.stamp();
    let mut envelope = world.people.get_mut("bob").unwrap().1.write(stamp, Heartbeat::new("idle".into()));
    alter(&mut envelope);
    world.send("bob", &envelope)
}

#[test]
fn hello_is_answered_with_the_session_as_it_is() {
    covers!(
        "HEL-04", "HEL-05", "HEL-06", "HEL-11", "D-008", "D-020", "SES-03", "ENV-10", "D-001", "D-045",
        "REC-10"
    );
    let mut world = World::of(&["alice"]);
    let deliveries = world.join("bob", &[Role::Owner]);
    assert_eq!(heard(&deliveries, "bob"), ["SESSION_INFO"]);
    let Message::SessionInfo(info) = &deliveries[0].message else { panic!() };
    let info: &SessionInfo = info;
    assert_eq!(info.participant_count.as_ref().unwrap().get(), 2);
    assert_eq!(info.granted_roles, [Role::Owner]);
    assert_eq!(info.identity_verified, Some(false));
    let timeout = |json: &str| json.matches(r#""resolution_timeout_sec":300"#).count();
    assert_eq!(timeout(&deliveries[0].text), 2);
    assert_eq!(deliveries[0].from, "service:coordinator-s");
    assert!(deliveries[0].text.contains(r#""coordinator_epoch":1"#));
    assert!(deliveries[0].text.contains(r#""ts":"2026-01-02T03:04:05.000000Z""#), "six digits and Z");
    assert!(deliveries[0].text.contains(r#""version":"0.1.13""#));
}

#[test]
fn what_cannot_be_read_is_answered_and_the_connection_goes_on() {
    covers!("ERR-02", "ENV-01", "D-025", "ENV-18");
    let mut world = World::of(&["bob"]);
    let conn = world.people["bob"].0;
    let before = world.coordinator.snapshot();
    let nested = format!(r#"{{"message_id":"m","x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    for frame in [
        "{bad",
        "[]",
        "7",
        "",
        "{}",
        r#"{"type":"FILE_NAP"}"#,
        r#"{"message_type":"HELLO"}"#,
        nested.as_str(),
    ] {
        let error = error(&world.frame(conn, frame), "bob");
        assert_eq!(error.error_code, ErrorCode::MalformedMessage, "{frame}");
        assert_eq!(error.refers_to, frame.starts_with(r#"{"message_id""#).then(|| "m".to_owned()));
    }
    let deliveries = world.input(Input::Unreadable {
        from: mpac_core::Peer::unproven(conn),
        refers_to: Some(MessageId::new("m").unwrap()),
        problem: "the frame is not UTF-8".into(),
    });
    let said = error(&deliveries, "bob");
    assert_eq!((said.description.as_str(), said.refers_to.as_deref()), ("the frame is not UTF-8", Some("m")));
    let mut after = world.coordinator.snapshot();
    after.lamport_clock = before.lamport_clock.clone();
    after.coordinator_state = before.coordinator_state.clone(); // how much was answered, and to whom
    assert_eq!(after, before);
    assert_eq!(heard(&world.announce("bob", "i", &["a"]), "bob"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn twenty_unreadable_frames_in_a_minute_end_the_connection() {
    covers!("D-025");
    let mut world = World::of(&["bob"]);
    let conn = world.people["bob"].0;
    for _ in 0..19 {
        world.frame(conn, "{bad");
    }
    world.wait(61.0);
    world.frame(conn, "{bad");
    assert_eq!(world.hung_up, []);
    for _ in 0..18 {
        world.frame(conn, "{bad");
    }
    world.wait(59.0);
    assert_eq!(world.hung_up, []);
    world.frame(conn, "{bad");
    assert_eq!(world.hung_up, [(conn, 1008)], "the first of these is not a minute ago");
}

#[test]
fn each_check_of_the_gate_has_its_code() {
    covers!(
        "ENV-03", "ENV-05", "ENV-13", "SEC-04", "SEC-05", "LAM-14", "SES-09", "D-014", "D-015", "D-017",
        "D-006", "D-021", "GOV-18"
    );
    type Alter = fn(&mut Envelope);
    let cases: &[(Alter, ErrorCode)] = &[
        (|it| it.protocol = "mpac".into(), ErrorCode::MalformedMessage),
        (|it| it.version = "9.9".into(), ErrorCode::VersionMismatch),
        (|it| it.version = "0.1.".into(), ErrorCode::VersionMismatch),
        (|it| it.session_id = "other".parse().unwrap(), ErrorCode::InvalidReference),
        (|it| it.sender.principal_id = "alice".parse().unwrap(), ErrorCode::AuthorizationFailed),
        (|it| it.sender.sender_instance_id = "bob:2".parse().unwrap(), ErrorCode::AuthorizationFailed),
        (
            |it| it.sender.principal_id = "service:coordinator-s".parse().unwrap(),
            ErrorCode::AuthorizationFailed,
        ),
        (|it| it.watermark = Some(Watermark::lamport(1 << 52)), ErrorCode::MalformedMessage),
        (|it| it.watermark = Some(Watermark::lamport(1)), ErrorCode::MalformedMessage),
        (|it| it.message_type = "SESSION_CLOSE".into(), ErrorCode::AuthorizationFailed),
        (|it| it.message_type = "COORDINATOR_STATUS".into(), ErrorCode::AuthorizationFailed),
        (|it| it.message_type = "SESSION_INFO".into(), ErrorCode::AuthorizationFailed),
        (|it| it.message_type = "INTENT_CLAIM_STATUS".into(), ErrorCode::AuthorizationFailed),
    ];
    for (at, (alter, code)) in cases.iter().enumerate() {
        let mut world = World::of(&["alice", "bob"]);
        let lamport = world.coordinator.view().lamport();
        let deliveries = altered(&mut world, |envelope| {
            alter(envelope);
            // 2^52 is a legal value; what is not is beyond the bound.
            if envelope.watermark == Some(Watermark::lamport(1 << 52)) {
                envelope.watermark = Some(Watermark::lamport(Watermark::MAX_LAMPORT + 1));
            }
        });
        let refused = error(&deliveries, "bob");
        assert_eq!(refused.error_code, *code, "case {at}: {}", refused.description);
        assert!(world.coordinator.view().lamport() <= lamport + 10, "case {at}: the clock was not poisoned");
    }
}

#[test]
fn nobody_speaks_before_hello_or_after_goodbye() {
    covers!("SES-24", "BYE-08", "D-019", "BYE-09", "D-056");
    let mut world = World::of(&["alice"]);
    let conn = world.connect("bob");
    world.people.insert("bob".to_owned(), (conn, World::participant("bob", 1, &[Role::Contributor])));
    let refused = error(&world.say("bob", Heartbeat::new("idle".into())), "bob");
    assert_eq!(refused.error_code, ErrorCode::InvalidReference);
    world.hello("bob");
    let goodbye = mpac_wire::payload::Goodbye::new("completed".into());
    let deliveries = world.say("bob", goodbye);
    assert_eq!(heard(&deliveries, "alice"), ["GOODBYE"]);
    let refused = error(&world.say("bob", Heartbeat::new("idle".into())), "bob");
    assert_eq!(refused.error_code, ErrorCode::InvalidReference);
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO"]);
}

#[test]
fn a_name_that_is_taken_is_refused_and_a_reconnect_takes_over() {
    covers!("HEL-14", "HEL-15", "HEL-03", "SEC-02", "D-016", "D-018", "LIV-16");
    let mut world = World::of(&["alice", "bob"]);
    let old = world.people["bob"].0;
    // Another process under the same name.
    let thief = world.connect("thief");
    world.people.insert("thief".to_owned(), (thief, World::participant("bob", 2, &[Role::Contributor])));
    for _ in 0..5 {
        let refused = error(&world.hello("thief"), "thief");
        assert_eq!(refused.error_code, ErrorCode::AuthorizationFailed);
    }
    assert_eq!(world.hung_up, [(thief, 1008)]);
    // The same process on another connection.
    let new = world.connect("bob");
    world.people.get_mut("bob").unwrap().0 = new;
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO"]);
    assert_eq!(world.hung_up.last(), Some(&(old, 4001)));
    world.input(Input::Disconnect { conn: old });
    assert_eq!(heard(&world.announce("bob", "i", &["x"]), "bob"), ["INTENT_ANNOUNCE"]);
    // Once the connection is gone, another process may come.
    world.input(Input::Disconnect { conn: new });
    assert_eq!(heard(&world.hello("thief"), "thief"), ["SESSION_INFO", "INTENT_UPDATE i bob does i"]);
}

#[test]
fn an_observer_may_look_but_not_touch() {
    covers!("INT-21", "ROL-06", "D-044");
    let mut world = World::of(&["alice"]);
    world.join("eve", &[Role::Observer]);
    world.announce("alice", "i", &["a"]);
    let scope = || mpac_wire::Scope::files(["b"]);
    let claim = ("c".parse().unwrap(), intent("i"), "alice".parse().unwrap(), intent("j"));
    let entry =
        BatchEntry::new(op("o"), "b".to_owned(), "replace".into(), StateRef::of(""), StateRef::of("1"));
    let messages: [Message; 10] = [
        IntentAnnounce::new(intent("j"), "o".to_owned(), scope()).into(),
        IntentUpdate::new(intent("i")).into(),
        IntentWithdraw::new(intent("i")).into(),
        IntentClaim::new(claim.0, claim.1, claim.2, claim.3, "o".to_owned(), scope()).into(),
        OpPropose::new(op("o"), "b".to_owned(), "replace".into()).into(),
        commit_payload("o", None, "b", "", "1").into(),
        OpBatchCommit::new("b".parse().unwrap(), "all_or_nothing".into(), vec![entry]).into(),
        OpSupersede::new(op("o"), op("p"), "b".to_owned()).into(),
        OpReject::new(op("p"), "policy_violation".into()).into(),
        Resolution::new("x".parse().unwrap(), "approved".into()).into(),
    ];
    for message in messages {
        let kind = message.message_type();
        let refused = error(&world.say("eve", message), "eve");
        assert_eq!(refused.error_code, ErrorCode::AuthorizationFailed, "{kind}");
    }
    assert_eq!(heard(&world.say("eve", Heartbeat::new("idle".into())), "eve"), [""; 0]);
}

#[test]
fn the_same_frame_twice_is_refused_once() {
    covers!("LAM-13", "D-027", "SEC-19", "LAM-12");
    let mut world = World::of(&["bob"]);
    let stamp = world.stamp();
    let frame =
        world.people.get_mut("bob").unwrap().1.write(stamp, Heartbeat::new("working".into())).to_json();
    let conn = world.people["bob"].0;
    assert_eq!(world.frame(conn, &frame).len(), 0);
    assert_eq!(error(&world.frame(conn, &frame), "bob").error_code, ErrorCode::MalformedMessage);
}

#[test]
fn unknown_types_are_ignored_or_refused_as_configured() {
    covers!("EXT-04", "D-007", "DEF-15", "D-089");
    for (option, answers) in
        [(mpac_core::config::UnknownTypes::Ignore, 0), (mpac_core::config::UnknownTypes::Reject, 1)]
    {
        let mut config = crate::world::config();
        config.unknown_message_types = option;
        let mut world = World::with(config);
        world.join("bob", &[Role::Contributor]);
        for name in ["PARTICIPANT_KEYS", "INTENT_DEFERRED"] {
            let deliveries = altered(&mut world, |envelope| envelope.message_type = name.into());
            assert_eq!(deliveries.len(), answers, "{name}");
        }
    }
}

#[test]
fn a_silent_participant_is_unavailable_and_comes_back_with_any_message() {
    covers!(
        "LIV-03", "LIV-04", "LIV-06", "LIV-07", "LIV-08", "LIV-14", "D-012", "D-049", "D-050", "D-051",
        "LIV-10"
    );
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["x"]);
    world.wait(80.0);
    world.say("alice", Heartbeat::new("idle".into()));
    assert_eq!(heard(&world.wait(10.0), "alice"), [""; 0], "at exactly 90 s nothing happens");
    let deliveries = world.wait(0.001);
    let [lost, suspended] = heard(&deliveries, "alice").try_into().unwrap();
    assert_eq!(lost, "PROTOCOL_ERROR PARTICIPANT_UNAVAILABLE");
    assert_eq!(suspended, "INTENT_UPDATE i [SUSPENDED: owner_unavailable] bob does i");
    assert!(deliveries[0].text.contains(r#""affected_principal":"bob""#));
    assert!(deliveries[0].text.contains(r#""refers_to":"m3""#), "its last message: {}", deliveries[0].text);
    // Its scope still counts.
    assert_eq!(heard(&world.announce("alice", "j", &["x"]), "alice"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
    // A commit under the intent restores it first, and is accepted.
    let commit = commit_payload("o", Some("i"), "x", "", "new\n");
    assert_eq!(heard(&world.say("bob", commit), "alice"), ["INTENT_UPDATE i bob does i", "OP_COMMIT"]);
}

#[test]
fn whoever_is_offline_is_not_missed() {
    covers!("LIV-05", "LIV-02");
    let mut world = World::of(&["bob"]);
    world.say("bob", Heartbeat::new("offline".into()));
    assert_eq!(world.wait(1000.0).len(), 0);
    world.say("bob", Heartbeat::new("idle".into()));
    assert_eq!(heard(&world.wait(91.0), "bob"), ["PROTOCOL_ERROR PARTICIPANT_UNAVAILABLE"]);
}

#[test]
fn the_status_beats_while_somebody_listens() {
    covers!("REC-01", "REC-02", "REC-03", "D-039");
    let mut config = crate::world::config();
    config.status_heartbeats = true;
    let mut world = World::with(config);
    assert_eq!(world.coordinator.next_deadline(), None);
    world.join("bob", &[Role::Contributor]);
    let beats = world.wait(35.0);
    assert_eq!(heard(&beats, "bob"), ["COORDINATOR_STATUS heartbeat"; 3]);
    let mut clocks =
        beats.iter().map(|beat| beat.text.split_once(r#""kind":"lamport_clock","value":"#).unwrap().1);
    assert!(clocks.all(|clock| clock.starts_with(|first: char| first.is_ascii_digit())));
    assert!(
        beats[0].text.contains(r#""session_health":"healthy","active_participants":1,"open_conflicts":0"#)
    );
    let conn = world.people["bob"].0;
    world.input(Input::Disconnect { conn });
    assert!(heard(&world.wait(60.0), "bob").iter().all(|line| !line.contains("heartbeat")));
}

#[test]
fn heartbeats_name_the_clock_of_the_snapshot_that_was_stored_last() {
    covers!("REC-04", "D-039", "REC-29");
    let mut config = crate::world::config();
    config.status_heartbeats = true;
    let mut world = World::with(config.clone());
    world.join("bob", &[Role::Contributor]);
    let says = |world: &mut World| {
        let beats = world.wait(10.0);
        let last = beats.iter().rfind(|beat| beat.text.contains(r#""event":"heartbeat""#))?;
        let named = last.text.split_once(r#""snapshot_lamport_clock":"#)?.1;
        named.split([',', '}']).next()?.parse::<u64>().ok()
    };
    assert_eq!(says(&mut world), None, "none was stored");
    let lamport = world.coordinator.view().lamport();
    assert!(world.input(Input::Command(Command::Persisted { lamport })).is_empty());
    assert_eq!(says(&mut world), Some(lamport));
    assert_eq!(says(&mut world), Some(lamport), "not the current one");
    let stored = world.coordinator.snapshot();
    assert!(Coordinator::load(config, &stored).unwrap() == world.coordinator);
    world.restart(1.0);
    world.hello("bob");
    assert_eq!(says(&mut world), Some(lamport), "it still is the last one that was stored");
}

#[test]
fn sideband_requests_go_to_the_host_and_the_summary_is_answered() {
    covers!("SRV-11", "OCC-14");
    let mut world = World::of(&["bob"]);
    world.announce("bob", "i", &["x"]);
    let conn = ConnId(99);
    world.frame(conn, r#"{"type":"FILE_READ","path":"a.py"}"#);
    world.frame(conn, r#"{"type":"SESSION_SUMMARY"}"#);
    let [.., read, summary] = world.steps.as_slice() else { panic!() };
    assert!(matches!(&read.outputs[..], [mpac_core::Output::Workspace { conn: ConnId(99), .. }]));
    let [mpac_core::Output::Answer { text, .. }] = &summary.outputs[..] else { panic!() };
    assert!(
        text.contains(r#""participant_count":1,"active_intent_count":1,"open_conflict_count":0"#),
        "{text}"
    );
    assert!(text.contains(r#""workspace_dir":null"#));
}

#[test]
fn a_bad_hello_is_refused_and_long_input_is_not_echoed() {
    covers!("HEL-19", "HEL-03", "D-003", "SRV-18");
    let mut world = World::new();
    let conn = world.connect("bob");
    world.people.insert("bob".to_owned(), (conn, World::participant("bob", 1, &[Role::Contributor])));
    let stamp = world.stamp();
    let hello = world.people.get_mut("bob").unwrap().1.hello(stamp, None).to_json();
    let long = "\u{7f}".repeat(200_000);
    for bad in [
        hello.replace(r#""display_name":"bob","#, ""),
        hello.replace(r#""capabilities":[]"#, r#""capabilities":"all""#),
        hello.replace(r#""roles":["contributor"]"#, r#""roles":[7]"#),
        hello.replace("0.1.13", &long),
        hello.replace(r#""message_id":"m1""#, &format!(r#""message_id":"{long}""#)),
    ] {
        assert_ne!(bad, hello);
        let answers = world.frame(conn, &bad);
        assert!(answers[0].text.len() < 2_000, "{} bytes", answers[0].text.len());
        assert!(matches!(answers[0].message, Message::ProtocolError(_)));
        assert_eq!(world.coordinator.snapshot().participants.unwrap().len(), 0);
    }
    // Roles alone have a default.
    assert_eq!(
        heard(&world.frame(conn, &hello.replace(r#""roles":["contributor"],"#, "")), "bob"),
        ["SESSION_INFO"]
    );
}

#[test]
fn a_type_that_is_unknown_at_the_session_s_level_is_no_frame_to_anybody() {
    covers!("DEF-15", "D-089");
    let mut world = World::of(&["alice"]);
    world.join("eve", &[Role::Observer]);
    for name in ["alice", "eve"] {
        let nonsense = Message::Unknown {
            message_type: "INTENT_DEFERRED".into(),
            payload: mpac_wire::Payload::of(&mpac_wire::payload::ConflictAck::new(
                "c".parse().unwrap(),
                "seen".into(),
            )),
        };
        assert_eq!(world.say(name, nonsense).len(), 0);
    }
}

#[test]
fn whoever_may_have_missed_something_gets_the_session_as_it_stands() {
    covers!("LAM-22", "D-029");
    let mut world = World::of(&["bob"]);
    world.announce("bob", "i", &["a"]);
    let gap = mpac_wire::payload::ProtocolError::new(ErrorCode::CausalGap, "what is c?".to_owned());
    world.say("bob", gap);
    let [mpac_core::Output::Answer { conn, text }] = &world.steps.last().unwrap().outputs[..] else {
        panic!()
    };
    assert_eq!(*conn, world.people["bob"].0);
    assert!(text.contains(r#""active_intent_count":1"#));
}

#[test]
fn a_session_may_insist_on_extensions() {
    covers!("EXT-01", "EXT-02", "D-018");
    let mut config = crate::world::config();
    config.mandatory_extensions = vec!["acme.audit".to_owned(), "mpac".to_owned()];
    let mut world = World::with(config);
    let conn = world.connect("bob");
    world.people.insert("bob".to_owned(), (conn, World::participant("bob", 1, &[Role::Contributor])));
    let refused = error(&world.hello("bob"), "bob");
    assert_eq!(refused.error_code, ErrorCode::CapabilityUnsupported);
    assert!(refused.description.contains("acme.audit, mpac"), "{}", refused.description);
    assert_eq!(world.coordinator.snapshot().participants.unwrap().len(), 0);
    let hello = |world: &mut World| {
        let stamp = world.stamp();
        world.people.get_mut("bob").unwrap().1.hello(stamp, None).to_json()
    };
    let half =
        hello(&mut world).replace(r#""capabilities":[]"#, r#""capabilities":[],"extensions":{"mpac":{}}"#);
    assert!(error(&world.frame(conn, &half), "bob").description.ends_with("needs acme.audit"));
    let all = hello(&mut world)
        .replace(r#""capabilities":[]"#, r#""capabilities":[],"extensions":{"mpac":{}}"#)
        .replace(
            r#""sender_instance_id":"bob:1""#,
            r#""sender_instance_id":"bob:1","extensions":{"acme.audit":1}"#,
        );
    assert_eq!(heard(&world.frame(conn, &all), "bob"), ["SESSION_INFO"]);
}

#[test]
fn whoever_left_is_not_counted() {
    covers!("D-046", "HEL-05", "SES-04", "SES-01");
    let mut world = World::of(&["alice"]);
    world.say("alice", mpac_wire::payload::Goodbye::new("completed".into()));
    let joined = world.join("bob", &[Role::Contributor]);
    let Message::SessionInfo(info) = &joined[0].message else { panic!() };
    assert_eq!(info.participant_count.as_ref().unwrap().get(), 1);
    // What the session is: who decides, when somebody is gone, how it is secured.
    assert_eq!(info.security_profile.as_str(), "open");
    assert!(info.governance_policy.is_some() && info.liveness_policy.is_some());
}

#[test]
fn a_connection_lost_for_a_moment_changes_nothing() {
    covers!("D-057", "LIV-16");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["x"]);
    let conn = world.people["bob"].0;
    assert_eq!(world.input(Input::Disconnect { conn }).len(), 0);
    world.wait(60.0);
    let new = world.connect("bob");
    world.people.get_mut("bob").unwrap().0 = new;
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO", "INTENT_UPDATE i bob does i"]);
    let state = world.coordinator.view().intent(&intent("i"));
    assert_eq!(format!("{:?}", state.unwrap()), "Active");
}

#[test]
fn a_session_is_closed_by_its_host_alone() {
    covers!("SES-08", "D-040", "SRV-15");
    let mut world = World::of(&["bob"]);
    world.join("olga", &[Role::Owner, Role::Arbiter]);
    let close = mpac_wire::payload::SessionClose::new("manual".into(), mpac_wire::Integer::new(1));
    assert_eq!(error(&world.say("olga", close), "olga").error_code, ErrorCode::AuthorizationFailed);
    assert!(!world.coordinator.view().is_closed());
    let closed = world.input(Input::Command(Command::Close {
        reason: mpac_wire::names::CloseReason::Manual,
        disposition: mpac_wire::names::CloseDisposition::WithdrawAll,
    }));
    assert_eq!(heard(&closed, "bob"), ["SESSION_CLOSE manual"]);
}

#[test]
fn a_core_session_knows_every_type() {
    covers!("D-137", "D-048", "CAP-03", "CAP-04");
    let mut world = World::of(&["alice"]);
    let conn = world.people["alice"].0;
    for message_type in mpac_wire::MessageType::LISTED {
        let skip = ["HELLO", "GOODBYE", "INTENT_DEFERRED"]; // the last is of the next level
        if skip.contains(&message_type.as_str()) {
            continue;
        }
        let stamp = world.stamp();
        let who = &mut world.people.get_mut("alice").unwrap().1;
        let text = who.write(stamp, Heartbeat::new("idle".into())).to_json();
        let text = text.replace("HEARTBEAT", message_type.as_str()).replace(r#"{"status":"idle"}"#, "{}");
        for delivery in world.frame(conn, &text) {
            let Message::ProtocolError(error) = delivery.message else { panic!() };
            let unknown = [ErrorCode::UnknownMessageType, ErrorCode::CapabilityUnsupported];
            assert!(!unknown.contains(&error.error_code), "{message_type}");
        }
    }
}
