//! Every message type with all of its members, and what hostile input makes of them.

use mpac_wire::{DecodeError, Envelope, Frame, Limits, Message, MessageType, Payload, Received};
use proptest::prelude::*;

use crate::covers;

/// Each type with every member the specification and the references know: also what the published schema is held to.
const EVERY_MEMBER: &str = include_str!("../../../../fixtures/messages/every-member.txt");

fn payloads() -> Vec<(&'static str, &'static str)> {
    let lines = EVERY_MEMBER.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

fn frame(message_type: &str, payload: &str) -> String {
    format!(
        r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"{message_type}","message_id":"m","session_id":"s","sender":{{"principal_id":"p","principal_type":"robot","sender_instance_id":"i","z":0}},"ts":"2026-01-02T03:04:05+01:00","payload":{payload},"watermark":{{"kind":"lamport_clock","value":8.0}},"coordinator_epoch":1,"in_reply_to":"m0","trace_id":"t","policy_ref":"p","signature":"s","extensions":{{}},"more":null}}"#
    )
}

/// What the text becomes when envelope and payload have both gone through their types.
fn through_types(text: &str) -> Result<Envelope, DecodeError> {
    let received = Received::parse(text, &Limits::default())?;
    let mut envelope = received.envelope().clone();
    envelope.payload = envelope.message()?.to_payload();
    Ok(envelope)
}

#[test]
fn every_type_survives_byte_for_byte() {
    covers!("ENV-08", "ENV-15", "EXT-01", "EXT-05", "EXT-06");
    let payloads = payloads();
    assert_eq!(payloads.len(), MessageType::LISTED.len());
    for ((name, payload), listed) in payloads.iter().zip(MessageType::LISTED) {
        assert_eq!(*name, listed.as_str());
        let text = frame(name, payload);
        let envelope = through_types(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(envelope.to_json(), text);
        assert_eq!(envelope.message().unwrap().message_type(), *listed);
    }
}

#[test]
fn an_unknown_type_is_kept_not_refused() {
    covers!("EXT-04", "D-007");
    let text = frame("PARTICIPANT_KEYS", r#"{"keys":[1.0]}"#);
    let envelope = through_types(&text).unwrap();
    assert!(matches!(envelope.message().unwrap(), Message::Unknown { .. }));
    assert_eq!(envelope.to_json(), text);
}

#[test]
fn members_are_read_in_any_order_and_written_in_the_specified_one() {
    let text = frame("INTENT_WITHDRAW", r#"{"reason":"r","intent_id":"i"}"#);
    assert!(through_types(&text).unwrap().to_json().contains(r#"{"intent_id":"i","reason":"r"}"#));
}

#[test]
fn of_a_repeated_member_the_last_one_counts() {
    covers!("D-003");
    let text = frame("INTENT_WITHDRAW", r#"{"intent_id":"i","x":1,"intent_id":"j","x":2}"#);
    let envelope = through_types(&text).unwrap();
    assert!(envelope.to_json().contains(r#""intent_id":"j""#));
    assert!(envelope.to_json().contains(r#""x":2"#) && !envelope.to_json().contains(r#""x":1"#));
}

#[test]
fn null_counts_as_missing_where_a_member_is_required_and_as_absent_elsewhere() {
    covers!("D-010", "D-104", "OPS-05");
    let refused = frame(
        "OP_COMMIT",
        r#"{"op_id":"o","target":"t","op_kind":"k","state_ref_before":null,"state_ref_after":"1"}"#,
    );
    let error = through_types(&refused).unwrap_err();
    assert_eq!(error.to_string(), "payload: missing field `state_ref_before`");
    let accepted = frame("INTENT_WITHDRAW", r#"{"reason":null,"intent_id":"i"}"#);
    let Message::IntentWithdraw(mut withdraw) = through_types(&accepted).unwrap().message().unwrap() else {
        panic!("another type");
    };
    assert_eq!(withdraw.reason, None);
    assert_eq!(Payload::of(&withdraw).get(), r#"{"reason":null,"intent_id":"i"}"#);
    withdraw.reason = Some("r".into());
    assert_eq!(Payload::of(&withdraw).get(), r#"{"intent_id":"i","reason":"r"}"#);
}

#[test]
fn an_error_names_the_member_by_its_path() {
    covers!("ENV-01", "D-003");
    for (name, payload, problem) in [
        ("INTENT_ANNOUNCE", r#"{"intent_id":"i","objective":"o"}"#, "payload: missing field `scope`"),
        (
            "INTENT_ANNOUNCE",
            r#"{"intent_id":"","objective":"o","scope":{"kind":"x"}}"#,
            "payload.intent_id: an identifier has 1 to 256 bytes",
        ),
        (
            "INTENT_ANNOUNCE",
            r#"{"intent_id":"i","objective":"o","scope":{"kind":"file_set","resources":["a",7]}}"#,
            "payload.scope.resources[1]: invalid type: integer `7`, expected a string",
        ),
        (
            "INTENT_ANNOUNCE",
            r#"{"intent_id":"i","objective":"o","scope":{"kind":"x"},"ttl_sec":-1}"#,
            "payload.ttl_sec: expected a number of seconds, 0 or more, found -1",
        ),
    ] {
        assert_eq!(through_types(&frame(name, payload)).unwrap_err().to_string(), problem);
    }
    let refused = Received::parse(frame("HELLO", "[]"), &Limits::default()).unwrap_err();
    assert_eq!(refused.to_string(), "payload: expected an object");
}

#[test]
fn an_error_does_not_repeat_what_may_be_a_secret() {
    covers!("PRV-03", "PRV-05");
    for (found, said) in [
        (r#""hunter2""#, "a text"),
        (r#"["hunter2"]"#, "a list"),
        (r#"{"x":"hunter2"}"#, "an object"),
        ("-1.50", "-1.50"),
        ("true", "true"),
    ] {
        let announce =
            format!(r#"{{"intent_id":"i","objective":"o","scope":{{"kind":"x"}},"ttl_sec":{found}}}"#);
        let error = through_types(&frame("INTENT_ANNOUNCE", &announce)).unwrap_err();
        let problem = format!("payload.ttl_sec: expected a number of seconds, 0 or more, found {said}");
        assert_eq!(error.to_string(), problem);
        let text = frame("HEARTBEAT", "{}")
            .replace(r#""coordinator_epoch":1"#, &format!(r#""coordinator_epoch":{found}"#));
        let error = through_types(&text).unwrap_err();
        let problem = format!("coordinator_epoch: expected a whole number from 0 to 2^53 - 1, found {said}");
        assert_eq!(error.to_string(), problem);
        let report = format!(
            r#"{{"conflict_id":"c","category":"x","severity":"low","basis":{{"kind":"rule","confidence":{found}}}}}"#
        );
        if let Err(error) = through_types(&frame("CONFLICT_REPORT", &report)) {
            let problem = format!("payload.basis.confidence: expected a number, found {said}");
            assert_eq!(error.to_string(), problem);
        }
    }
}

proptest! {
    /// Cut, spliced and scrambled frames are refused or read, never a panic.
    #[test]
    fn any_text_is_refused_or_read(at in 0_usize..2000, cut in 0_usize..40, put in "[\\PC]{0,12}", which in 0_usize..22) {
        let (name, payload) = payloads()[which];
        let text = frame(name, payload);
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.min(characters.len());
        let end = (at + cut).min(characters.len());
        characters.splice(at..end, put.chars());
        let text: String = characters.into_iter().collect();
        if let Ok(Frame::Message(received)) = Frame::parse(&*text, &Limits::default()) {
            if let Ok(envelope) = through_types(&text) {
                // What is accepted is stable: written once, it is written the same for ever.
                let once = envelope.to_json();
                prop_assert_eq!(through_types(&once).unwrap().to_json(), once);
            }
            prop_assert_eq!(&**received.text(), text.as_str());
        }
    }
}
