//! The client's half: it writes every message, and believes only what it may.

use mpac_core::participant::{Hearing, NewIntent, Stamp};
use mpac_wire::names::{AckType, Atomicity, Decision, HeartbeatStatus, IntentDisposition, OpKind, Role};
use mpac_wire::{Envelope, Integer, Limits, Message, MessageType, Received, Scope, StateRef, Timestamp};

use crate::covers;
use crate::world::{World, intent};

/// What the Python participant's builders give for these arguments, payload by payload.
#[test]
fn every_message_of_the_reference_s_participant_in_its_member_order() {
    covers!("ENV-09", "PAR-13", "CAP-04", "ENV-11");
    let mut who = World::participant("bob", 1, &[Role::Contributor]);
    let mut n = 0;
    let mut stamp = || {
        n += 1;
        Stamp::new(format!("m{n}").parse().unwrap(), Timestamp::from_micros(0))
    };
    let scope = || Scope::files(["a"]);
    let (before, after) = (StateRef::new("0"), StateRef::new("1"));
    let entry = mpac_wire::payload::BatchEntry::new(
        "o".parse().unwrap(),
        "t".to_owned(),
        OpKind::Replace,
        before.clone(),
        after.clone(),
    );
    let new =
        NewIntent { intent: intent("j"), objective: "o".to_owned(), scope: scope(), justification: None };
    let side = |name: &str, id: &str| (name.parse().unwrap(), intent(id));
    let op_id = |id: &str| id.parse().unwrap();
    let cases: Vec<(Envelope, &str)> = vec![
        (who.hello(stamp(), None), r#"{"display_name":"bob","roles":["contributor"],"capabilities":[]}"#),
        (
            who.heartbeat(stamp(), HeartbeatStatus::Working, Some(intent("i")), Some("s".into()), None),
            r#"{"status":"working","active_intent_id":"i","summary":"s"}"#,
        ),
        (
            who.announce(stamp(), intent("i"), "o".into(), scope(), None),
            r#"{"intent_id":"i","objective":"o","scope":{"kind":"file_set","resources":["a"]}}"#,
        ),
        (
            who.update(stamp(), intent("i"), Some("o".into()), Some(scope()), None),
            r#"{"intent_id":"i","objective":"o","scope":{"kind":"file_set","resources":["a"]}}"#,
        ),
        (
            who.withdraw(stamp(), intent("i"), Some("yielded".into())),
            r#"{"intent_id":"i","reason":"yielded"}"#,
        ),
        (
            who.defer(
                stamp(),
                "d".parse().unwrap(),
                scope(),
                mpac_wire::Seconds::whole(60),
                (vec!["i".into()], vec![]),
                Some("queue".into()),
            ),
            r#"{"deferral_id":"d","scope":{"kind":"file_set","resources":["a"]},"reason":"yielded","ttl_sec":60,"observed_intent_ids":["i"],"category":"queue"}"#,
        ),
        (
            who.claim(stamp(), "c".parse().unwrap(), (intent("i"), "amy".parse().unwrap()), new),
            r#"{"claim_id":"c","original_intent_id":"i","original_principal_id":"amy","new_intent_id":"j","objective":"o","scope":{"kind":"file_set","resources":["a"]}}"#,
        ),
        (
            who.propose(stamp(), op_id("o"), Some(intent("i")), "t".into(), OpKind::Replace),
            r#"{"op_id":"o","intent_id":"i","target":"t","op_kind":"replace"}"#,
        ),
        (
            who.commit(
                stamp(),
                op_id("o"),
                Some(intent("i")),
                ("t".into(), OpKind::Replace),
                (before, after),
                None,
            ),
            r#"{"op_id":"o","intent_id":"i","target":"t","op_kind":"replace","state_ref_before":"0","state_ref_after":"1"}"#,
        ),
        (
            who.batch_commit(
                stamp(),
                "b".parse().unwrap(),
                vec![entry],
                Atomicity::AllOrNothing,
                Some(intent("i")),
                None,
            ),
            r#"{"batch_id":"b","atomicity":"all_or_nothing","operations":[{"op_id":"o","target":"t","op_kind":"replace","state_ref_before":"0","state_ref_after":"1"}],"intent_id":"i"}"#,
        ),
        (
            who.supersede(stamp(), (op_id("n"), op_id("o")), "t".into(), None, Some("r".into()), None),
            r#"{"op_id":"n","supersedes_op_id":"o","target":"t","reason":"r"}"#,
        ),
        (
            who.report_conflict_briefly(
                stamp(),
                "c".parse().unwrap(),
                ("scope_overlap".into(), "medium".into()),
                (side("amy", "i"), side("bob", "j")),
            ),
            r#"{"conflict_id":"c","category":"scope_overlap","severity":"medium","principal_a":"amy","principal_b":"bob","intent_a":"i","intent_b":"j"}"#,
        ),
        (who.ack(stamp(), "c".parse().unwrap(), AckType::Seen), r#"{"conflict_id":"c","ack_type":"seen"}"#),
        (
            who.escalate(stamp(), "c".parse().unwrap(), "amy".parse().unwrap(), "r".into(), None),
            r#"{"conflict_id":"c","escalate_to":"amy","reason":"r"}"#,
        ),
        (
            who.resolve(stamp(), "c".parse().unwrap(), Decision::Approved, Some("r".into()), None),
            r#"{"conflict_id":"c","decision":"approved","rationale":"r"}"#,
        ),
        (
            who.goodbye(stamp(), "user_exit".into(), IntentDisposition::Withdraw),
            r#"{"reason":"user_exit","intent_disposition":"withdraw"}"#,
        ),
    ];
    for (at, (envelope, payload)) in cases.iter().enumerate() {
        assert_eq!(envelope.payload.get(), *payload, "{}", envelope.message_type);
        // The clock counts every message; nothing beyond the base fields goes out.
        let tail = format!(r#""watermark":{{"kind":"lamport_clock","value":{}}}}}"#, at + 1);
        assert!(envelope.to_json().ends_with(&tail), "{}", envelope.to_json());
    }
}

#[test]
fn an_intent_counts_when_its_echo_is_back() {
    covers!("PAR-12", "PAR-09", "BYE-02");
    let mut world = World::of(&["alice", "bob"]);
    let own = |world: &World, name: &str| {
        let ids: Vec<String> = world.people[name].1.intents().keys().map(ToString::to_string).collect();
        (ids.join(" "), world.people[name].1.unanswered().count())
    };
    let stamp = world.stamp();
    let who = &mut world.people.get_mut("alice").unwrap().1;
    let announce = who.announce(stamp, intent("i"), "o".into(), Scope::files(["a"]), None);
    assert_eq!(own(&world, "alice"), (String::new(), 1));
    world.send("alice", &announce);
    assert_eq!(own(&world, "alice"), ("i".to_owned(), 0));
    // Refused, under an id that is somebody else's, and under one of its own: what was accepted stays.
    world.announce("bob", "i", &["a"]);
    world.announce("alice", "i", &["b"]);
    assert_eq!(own(&world, "bob"), (String::new(), 0));
    assert_eq!(own(&world, "alice"), ("i".to_owned(), 0));
    let mut second = mpac_wire::payload::IntentAnnounce::new(intent("j"), "o".into(), Scope::files(["a"]));
    second.supersedes_intent_id = Some(intent("i"));
    world.say("alice", second);
    assert_eq!(own(&world, "alice").0, "j");
    let stamp = world.stamp();
    let goodbye = world.people.get_mut("alice").unwrap().1.goodbye(
        stamp,
        "user_exit".into(),
        IntentDisposition::Withdraw,
    );
    assert!(goodbye.payload.get().ends_with(r#""active_intents":["j"]}"#));
    world.withdraw("alice", "j");
    assert_eq!(own(&world, "alice").0, "");
}

#[test]
fn the_clock_follows_what_is_heard_but_not_off_the_end() {
    covers!("LAM-08", "PAR-01", "LAM-17");
    let mut bob = World::participant("bob", 1, &[Role::Contributor]);
    let hear = |bob: &mut mpac_core::Participant, value: u64| {
        let text = format!(
            r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"GOODBYE","message_id":"x","session_id":"s","sender":{{"principal_id":"eve","principal_type":"agent","sender_instance_id":"e"}},"ts":"2026-01-02T03:04:05Z","payload":{{"reason":"r"}},"watermark":{{"kind":"lamport_clock","value":{value}}}}}"#
        );
        let received = Received::parse(text, &Limits::default()).unwrap();
        bob.hear(received.envelope(), &received.envelope().message().unwrap());
        bob.lamport()
    };
    assert_eq!(hear(&mut bob, 40), 41);
    assert_eq!(hear(&mut bob, 7), 42);
    assert_eq!(
        hear(&mut bob, mpac_wire::Watermark::MAX_LAMPORT),
        43,
        "a value that leaves no room is not adopted"
    );
}

#[test]
fn a_message_of_a_past_epoch_is_dropped() {
    covers!("REC-24", "PAR-06", "PAR-26", "SES-15", "PAR-16");
    let mut world = World::of(&["bob"]);
    world.announce("bob", "i", &["a"]);
    let bob = &mut world.people.get_mut("bob").unwrap().1;
    let close = |epoch: u64, from: &str| {
        let payload = mpac_wire::payload::SessionClose::new("completed".into(), Integer::new(1));
        let message = Message::SessionClose(payload);
        let text = format!(
            r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"SESSION_CLOSE","message_id":"x","session_id":"s","sender":{{"principal_id":"{from}","principal_type":"service","sender_instance_id":"c"}},"ts":"2026-01-02T03:04:05Z","payload":{},"coordinator_epoch":{epoch}}}"#,
            message.to_payload().get()
        );
        (Received::parse(text, &Limits::default()).unwrap().envelope().clone(), message)
    };
    let coordinator = "service:coordinator-s";
    let (status, _) = close(5, coordinator);
    let heartbeat =
        Message::Unknown { message_type: MessageType::from("X"), payload: status.payload.clone() };
    assert_eq!(bob.hear(&status, &heartbeat), Hearing::Fresh);
    let (stale, message) = close(4, coordinator);
    assert_eq!(bob.hear(&stale, &message), Hearing::Stale);
    // Anybody may put an epoch into an envelope: it fences nobody off, and closes nothing.
    let (forged, message) = close(1 << 40, "mallory");
    assert_eq!(bob.hear(&forged, &message), Hearing::Foreign);
    assert!(!bob.is_closed() && bob.intents().len() == 1);
    let (real, message) = close(5, coordinator);
    bob.hear(&real, &message);
    assert!(bob.is_closed() && bob.intents().is_empty());
}

#[test]
fn a_report_in_the_specification_s_form_is_relayed_as_it_was_written() {
    covers!("CON-02", "CON-03", "CON-04");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["a"]);
    world.announce("bob", "j", &["b"]);
    let mut basis = mpac_wire::payload::Basis::new();
    basis.kind = Some("model_inference".into());
    let stamp = world.stamp();
    let who = &mut world.people.get_mut("bob").unwrap().1;
    let side = |name: &str, id: &str| (name.parse().unwrap(), intent(id));
    let report = who.report_conflict(
        stamp,
        "c".parse().unwrap(),
        ("semantic_goal_conflict".into(), "low".into()),
        (side("alice", "i"), side("bob", "j")),
        basis,
        "both rename the cart".to_owned(),
    );
    let deliveries = world.send("bob", &report);
    let relayed = deliveries.iter().find(|it| it.to == "alice").expect("a related participant hears of it");
    let Message::ConflictReport(report) = &relayed.message else { panic!() };
    assert_eq!(report.description.as_deref(), Some("both rename the cart"));
    let record = world.coordinator.snapshot().conflicts.unwrap().remove(0);
    assert_eq!((record.principal_a.unwrap().as_str(), record.intent_b), ("alice", Some(intent("j"))));
}
