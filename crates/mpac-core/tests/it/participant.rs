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
            who.report_conflict(
                stamp(),
                "c".parse().unwrap(),
                ("scope_overlap".into(), "medium".into()),
                side("amy", "i"),
                side("bob", "j"),
                None,
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
            r#"{"reason":"user_exit","intent_disposition":"withdraw","active_intents":["i"]}"#,
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
    covers!("PAR-12", "PAR-09", "LAM-08", "PAR-01");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["a"]);
    let own = |world: &World, name: &str| world.people[name].1.intents().clone();
    assert!(own(&world, "alice")[&intent("i")].accepted);
    // Refused: somebody else's id.
    world.announce("bob", "i", &["a"]);
    assert_eq!(own(&world, "bob").len(), 0);
    world.withdraw("alice", "i");
    assert_eq!(own(&world, "alice").len(), 0);
    assert!(world.people["alice"].1.lamport() > world.people["bob"].1.lamport() / 2);
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
    let (forged, message) = close(5, "mallory");
    bob.hear(&forged, &message);
    assert!(!bob.is_closed() && bob.intents().len() == 1);
    let (real, message) = close(5, coordinator);
    bob.hear(&real, &message);
    assert!(bob.is_closed() && bob.intents().is_empty());
}
