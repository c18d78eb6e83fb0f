//! The session as a whole: its end, and its replay.

use mpac_core::{Coordinator, IdSource, Input, Record};
use mpac_wire::Message;
use mpac_wire::names::ErrorCode;
use mpac_wire::payload::{Goodbye, Heartbeat};

use crate::covers;
use crate::world::{World, commit_payload, error, heard};

#[test]
fn the_close_withdraws_all_and_counts() {
    covers!("SES-13", "SES-14", "SES-16", "SES-17", "SES-18", "D-033", "BYE-09");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["x"]);
    world.announce("bob", "i2", &["x"]);
    world.say(
        "bob",
        mpac_wire::payload::OpPropose::new("p".parse().unwrap(), "y".to_owned(), "replace".into()),
    );
    world.say("alice", commit_payload("o", Some("i1"), "x", "", "new\n"));
    world.wait(5.5);
    let deliveries = world.close();
    assert_eq!(heard(&deliveries, "alice"), ["SESSION_CLOSE coordinator_shutdown"]);
    let Message::SessionClose(close) = &deliveries[0].message else { panic!() };
    let summary = serde_json::to_string(close.summary.as_ref().unwrap()).unwrap();
    assert_eq!(
        summary,
        r#"{"total_intents":2,"completed_intents":0,"expired_intents":0,"withdrawn_intents":2,"total_operations":2,"committed_operations":1,"rejected_operations":0,"abandoned_operations":1,"total_conflicts":1,"resolved_conflicts":0,"total_participants":2,"duration_sec":5}"#
    );
    let lamport = format!(r#""value":{}"#, close.final_lamport_clock.get());
    assert!(deliveries[0].text.contains(&lamport), "the payload's clock is the watermark's");
    assert_eq!(
        error(&world.say("bob", Heartbeat::new("idle".into())), "bob").error_code,
        ErrorCode::SessionClosed
    );
    assert_eq!(error(&world.hello("bob"), "bob").error_code, ErrorCode::SessionClosed);
    assert_eq!(heard(&world.say("bob", Goodbye::new("completed".into())), "alice"), ["GOODBYE"]);
    assert_eq!(world.close().len(), 0);
}

#[test]
fn a_record_out_of_turn_is_refused_and_changes_nothing() {
    let mut world = World::of(&["alice"]);
    let before = world.coordinator.clone();
    let next = world.coordinator.stamp(world.now, Input::Timeout);
    for (seq, micros) in [(next.seq + 1, 0), (next.seq - 1, 0), (next.seq, -1)] {
        let at = mpac_wire::Timestamp::from_micros(next.at.micros() + micros);
        let record = Record::new(seq, at, Input::Timeout);
        assert!(world.coordinator.apply(&record).is_err());
        assert_eq!(world.coordinator, before);
    }
    // The clock of a session never runs backwards (D-011).
    let past = mpac_wire::Timestamp::from_micros(0);
    assert_eq!(world.coordinator.stamp(past, Input::Timeout).at, world.now);
}

#[test]
fn the_same_records_give_the_same_session_byte_for_byte() {
    covers!("SES-07", "D-037");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["a.py"]);
    world.announce("bob", "i2", &["a.py"]);
    world.say("alice", commit_payload("o1", Some("i1"), "a.py", "one\n", "two\n"));
    world.say("bob", commit_payload("o2", Some("i2"), "a.py", "one\n", "three\n"));
    world.wait(400.0);
    world.close();
    let start = mpac_wire::Timestamp::parse(crate::world::START).unwrap();
    let mut again = Coordinator::new(crate::world::config(), IdSource::new(7), start).unwrap();
    for (record, step) in world.log.iter().zip(&world.steps) {
        assert_eq!(again.apply(record).unwrap(), *step);
    }
    assert_eq!(again, world.coordinator);
    let text = |coordinator: &Coordinator| serde_json::to_string(&coordinator.snapshot()).unwrap();
    assert_eq!(text(&again), text(&world.coordinator));
}

#[test]
fn after_the_close_nothing_is_said_of_its_own_accord() {
    covers!("D-033", "BYE-09", "SES-14");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["x"]);
    world.announce("bob", "j", &["x"]);
    world.wait(91.0);
    world.close();
    assert_eq!(world.coordinator.next_deadline(), None);
    assert_eq!(world.wait(10_000.0).len(), 0);
    // Bob's intent is suspended; his late goodbye is relayed and brings nothing back.
    assert_eq!(heard(&world.say("bob", Goodbye::new("completed".into())), "alice"), ["GOODBYE"]);
}

#[test]
fn a_proposal_whose_intent_is_over_is_rejected_once() {
    covers!("OPS-14", "OPS-11", "OPS-30", "D-093", "CAS-01");
    let mut config = crate::world::config();
    config.compliance_profile = mpac_wire::names::ComplianceProfile::Governance;
    config.governance.intent_expiry_grace_sec = Some(mpac_wire::Seconds::ZERO);
    let mut world = World::with(config);
    world.join("bob", &[mpac_wire::names::Role::Contributor]);
    world.announce("bob", "i1", &["x"]);
    world.announce("bob", "i2", &["y"]);
    let mut propose =
        mpac_wire::payload::OpPropose::new("o".parse().unwrap(), "x".to_owned(), "replace".into());
    propose.intent_id = Some("i1".parse().unwrap());
    world.say("bob", propose);
    let sequence = |world: &World| world.coordinator.snapshot().operations.unwrap()[0].sequence.clone();
    let first = sequence(&world);
    world.withdraw("bob", "i2");
    // It goes on under the intent it was proposed under, whatever the commit names.
    let done = world.say("bob", commit_payload("o", Some("i2"), "x", "", "new"));
    assert_eq!(heard(&done, "bob"), ["OP_COMMIT"]);
    assert_eq!(sequence(&world), first);
    // A stale reference matters less than an intent that is over.
    let late = world.say("bob", commit_payload("p", Some("i2"), "a.py", "zero", "new"));
    assert_eq!(heard(&late, "bob"), ["OP_REJECT p intent_terminated"]);
}

#[test]
fn a_session_may_begin_with_its_first_hello() {
    covers!("SES-02", "D-031", "SRV-11");
    let mut config = crate::world::config();
    config.opens_with_hello = true;
    let mut world = World::with(config);
    let conn = world.connect("bob");
    let bob = World::participant("bob", 1, &[mpac_wire::names::Role::Contributor]);
    world.people.insert("bob".to_owned(), (conn, bob));
    let summary = |world: &mut World| {
        world.frame(conn, r#"{"type":"SESSION_SUMMARY"}"#);
        let mpac_core::Output::Answer { text, .. } = &world.steps.last().unwrap().outputs[0] else {
            panic!()
        };
        text.to_string()
    };
    assert!(
        summary(&mut world)
            .contains(r#""error":"session_not_found","workspace_dir":null,"participant_count":0"#)
    );
    let vacancy = |left| Input::Command(mpac_core::Command::Vacancy(left));
    world.input(vacancy(false));
    assert_eq!(error(&world.hello("bob"), "bob").error_code, ErrorCode::InvalidReference);
    assert!(!world.coordinator.view().is_open());
    world.input(vacancy(true));
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO"]);
    assert!(matches!(
        world.steps.last().unwrap().outputs[0],
        mpac_core::Output::Notice(mpac_core::Notice::Opened)
    ));
    assert!(summary(&mut world).contains(r#""participant_count":1"#));
}

#[test]
fn a_session_closes_when_all_is_done_for_long_enough() {
    covers!("SES-10", "SES-11", "D-032");
    let mut config = crate::world::config();
    config.lifecycle.auto_close = Some(true);
    let mut world = World::with(config.clone());
    world.join("alice", &[mpac_wire::names::Role::Contributor]);
    assert_eq!(world.wait(80.0).len(), 0, "no intent yet");
    world.announce("alice", "i", &["x"]);
    world.withdraw("alice", "i");
    world.say("alice", Heartbeat::new("working".into()));
    assert_eq!(world.wait(80.0).len(), 0, "somebody is at work");
    world.say("alice", Heartbeat::new("idle".into()));
    assert_eq!(world.wait(50.0).len(), 0);
    world.announce("alice", "j", &["x"]);
    world.withdraw("alice", "j");
    assert_eq!(heard(&world.wait(59.0), "alice"), [""; 0], "the wait began afresh");
    assert_eq!(heard(&world.wait(1.0), "alice"), ["SESSION_CLOSE completed"]);
    config.lifecycle.auto_close = None;
    let mut world = World::with(config);
    world.join("alice", &[mpac_wire::names::Role::Contributor]);
    world.announce("alice", "i", &["x"]);
    world.withdraw("alice", "i");
    assert!(
        heard(&world.wait(1000.0), "alice").iter().all(|line| !line.contains("CLOSE")),
        "only when asked for"
    );
}

#[test]
fn a_session_closes_when_its_time_is_over() {
    covers!("SES-12", "D-012");
    let mut config = crate::world::config();
    config.lifecycle.session_ttl_sec = Some(mpac_wire::Seconds::whole(60));
    let mut world = World::with(config);
    world.join("alice", &[mpac_wire::names::Role::Contributor]);
    assert_eq!(world.wait(60.0).len(), 0, "at exactly the limit");
    assert_eq!(heard(&world.wait(0.001), "alice"), ["SESSION_CLOSE timeout"]);
}

#[test]
fn what_nobody_has_opened_has_no_age_and_cannot_be_closed() {
    covers!("SES-12", "SES-02", "D-031", "SES-13");
    let mut config = crate::world::config();
    config.opens_with_hello = true;
    config.lifecycle.session_ttl_sec = Some(mpac_wire::Seconds::whole(60));
    let mut world = World::with(config);
    world.wait(61.0);
    assert_eq!(world.coordinator.next_deadline(), None);
    assert_eq!(world.close().len(), 0);
    assert!(world.steps.last().unwrap().outputs.is_empty());
    assert!(!world.coordinator.view().is_closed());
    let joined = world.join("alice", &[mpac_wire::names::Role::Contributor]);
    assert_eq!(heard(&joined, "alice"), ["SESSION_INFO"]);
    assert_eq!(world.wait(60.0).len(), 0, "its age counts from there");
    assert_eq!(heard(&world.wait(0.001), "alice"), ["SESSION_CLOSE timeout"]);
}

/// What is to expire later goes on as it is; only what waits for a decision that nobody makes any more is given up.
#[test]
fn a_close_that_lets_expire_leaves_the_intents_as_they_are() {
    covers!("SES-16", "D-033");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["x"]);
    world.announce("alice", "j", &["y"]);
    let propose = |id: &str, under: &str, target: &str| {
        let mut propose =
            mpac_wire::payload::OpPropose::new(id.parse().unwrap(), target.to_owned(), "replace".into());
        propose.intent_id = Some(under.parse().unwrap());
        propose
    };
    world.say("alice", propose("o", "i", "x"));
    world.say("alice", propose("p", "j", "y"));
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    world.say("bob", goodbye); // what alice proposed under it is frozen
    let state =
        |world: &World, op: &str| format!("{:?}", world.coordinator.view().operation(&op.parse().unwrap()));
    assert_eq!(
        (state(&world, "o").as_str(), state(&world, "p").as_str()),
        ("Some(Frozen)", "Some(Proposed)")
    );
    let closed = world.input(Input::Command(mpac_core::Command::Close {
        reason: mpac_wire::names::CloseReason::Manual,
        disposition: mpac_wire::names::CloseDisposition::ExpireAll,
    }));
    assert_eq!(heard(&closed, "alice"), ["SESSION_CLOSE manual"]);
    let Message::SessionClose(close) = &closed[0].message else { panic!() };
    let summary = close.summary.as_ref().unwrap();
    assert_eq!((summary.withdrawn_intents.get(), summary.abandoned_operations.get()), (0, 2));
    assert_eq!(
        (state(&world, "o").as_str(), state(&world, "p").as_str()),
        ("Some(Abandoned)", "Some(Abandoned)")
    );
    let intents = world.coordinator.snapshot().intents.unwrap();
    let states: Vec<String> =
        intents.iter().map(|it| format!("{} {}", it.intent_id, it.state.as_ref().unwrap())).collect();
    assert_eq!(states, ["i SUSPENDED", "j ACTIVE"]);
}

#[test]
fn a_session_can_be_told_from_its_messages() {
    covers!("SES-20", "SES-22", "SES-28", "D-034");
    let mut config = crate::world::config();
    config.transcript_ref = Some("file:///t/s.json".to_owned());
    let mut world = World::with(config);
    for name in ["alice", "bob"] {
        world.join(name, &[mpac_wire::names::Role::Contributor]);
    }
    world.announce("alice", "i", &["x"]);
    world.announce("alice", "i", &["y"]); // refused
    let closed = world.input(Input::Command(mpac_core::Command::Close {
        reason: mpac_wire::names::CloseReason::Policy,
        disposition: mpac_wire::names::CloseDisposition::WithdrawAll,
    }));
    assert_eq!(heard(&closed, "bob"), ["SESSION_CLOSE policy"]);
    let Message::SessionClose(close) = &closed[0].message else { panic!() };
    assert_eq!(close.transcript_ref.as_deref(), Some("file:///t/s.json"));
    // What came and what the coordinator said, as a host would keep it.
    let mut kept: Vec<String> = Vec::new();
    for (record, step) in world.log.iter().zip(&world.steps) {
        if let Input::Frame { text, .. } = &record.input {
            kept.push(text.to_string());
        }
        for output in &step.outputs {
            if let mpac_core::Output::Send { envelope, .. } = output {
                kept.push(envelope.to_json());
            }
        }
    }
    let messages = kept.iter().map(|text| mpac_wire::transcript::Crossed { text, clock: 0 });
    let snapshot = world.coordinator.snapshot();
    let transcript = mpac_wire::transcript::Transcript::export(snapshot.clone(), world.now, messages);
    let types: Vec<String> = transcript.messages.iter().map(|it| it.message_type.to_string()).collect();
    assert_eq!(types.len(), kept.len());
    assert_eq!(types.iter().filter(|it| *it == "INTENT_ANNOUNCE").count(), 2, "the refused one too");
    assert_eq!(types.last().unwrap(), "SESSION_CLOSE");
    let place = |it: &mpac_wire::Envelope| it.watermark.as_ref().unwrap().lamport_value().unwrap();
    assert!(transcript.messages.is_sorted_by_key(place));
    assert_eq!(transcript.participants.len(), 2);
    assert_eq!(transcript.final_snapshot, snapshot);
}
