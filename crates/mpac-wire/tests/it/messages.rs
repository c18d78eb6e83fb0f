//! Every message type with all of its members, and what hostile input makes of them.

use mpac_wire::{DecodeError, Envelope, Frame, Limits, Message, MessageType, Payload, Received};
use proptest::prelude::*;

use crate::covers;

/// Each type with every member the specification and the references know, an unknown one in between, and null where
/// null means absent.
const PAYLOADS: &[(&str, &str)] = &[
    (
        "HELLO",
        r#"{"display_name":"Bob","x":[1.50],"roles":["contributor","night watch"],"capabilities":["op.commit"],"credential":{"type":"api_key","value":"k","issuer":"i","expires_at":"2026-01-02T03:04:05Z"},"backend":{"model_id":"a/b","provider":"a"},"implementation":{"name":"n","version":"1"},"extensions":{"mpac":{"committed_ops":[]}}}"#,
    ),
    (
        "SESSION_INFO",
        r#"{"session_id":"s","protocol_version":"0.1.13","security_profile":"open","compliance_profile":"core","watermark_kind":"lamport_clock","execution_model":"post_commit","state_ref_format":"sha256","governance_policy":{"require_acknowledgment":true,"intent_expiry_grace_sec":30.0},"liveness_policy":{"heartbeat_interval_sec":30.0,"unavailability_timeout_sec":90.0,"intent_claim_grace_period_sec":0.0,"resolution_timeout_sec":300.0,"backend_health_policy":{"enabled":true,"on_down":"suspend_and_claim","allowed_providers":["a"]}},"participant_count":2,"granted_roles":["participant"],"identity_verified":true,"identity_method":"api_key","identity_issuer":"me","compatibility_errors":[],"security_config":{"coordinator_key_fingerprint":"sha256:00"},"resource_registry":{"mappings":[{"canonical_uri":"resource://a","aliases":[{"kind":"file_set","value":"a"}]}]}}"#,
    ),
    (
        "HEARTBEAT",
        r#"{"status":"working","active_intent_id":"i","summary":null,"backend_health":{"model_id":"a/b","provider_status":"down","status_detail":null,"checked_at":"2026-01-02T03:04:05.5Z","alternatives":[{"provider":"c","status":"operational","suggested_model":"c/d"}],"switched_from":"a/x","switch_reason":"manual"},"extensions":{}}"#,
    ),
    ("GOODBYE", r#"{"reason":"completed","intent_disposition":"withdraw","active_intents":["i"]}"#),
    (
        "SESSION_CLOSE",
        r#"{"reason":"completed","final_lamport_clock":9,"summary":{"total_intents":1,"completed_intents":0,"expired_intents":0,"withdrawn_intents":1,"total_operations":0,"committed_operations":0,"rejected_operations":0,"abandoned_operations":0,"total_conflicts":0,"resolved_conflicts":0,"total_participants":1,"duration_sec":3},"active_intents_disposition":"withdraw_all","transcript_ref":"file:t"}"#,
    ),
    (
        "COORDINATOR_STATUS",
        r#"{"event":"backend_alert","coordinator_id":"service:coordinator-s","session_health":"healthy","active_participants":1,"open_conflicts":0,"snapshot_lamport_clock":4,"successor_coordinator_id":"x","next_coordinator_epoch":2,"authorized_op_id":"o","authorized_by":"p","authorized_batch_id":"b","affected_principal":"p","backend_detail":{"model_id":"a/b","provider_status":"down","status_detail":null,"alternatives":[],"switch_approved":true},"extensions":{}}"#,
    ),
    (
        "INTENT_ANNOUNCE",
        r#"{"intent_id":"i","objective":"o","scope":{"kind":"file_set","x":1e3,"resources":["a"],"canonical_uris":[],"extensions":{"impact":["b"]}},"assumptions":[],"priority":"high","ttl_sec":60.0,"parent_intent_id":"p","supersedes_intent_id":"q","expiry_ms":5000}"#,
    ),
    (
        "INTENT_UPDATE",
        r#"{"intent_id":"i","objective":"o","scope":{"kind":"query","expression":"e","language":"sql"},"assumptions":["a"],"ttl_sec":"60","extensions":{"mpac":{"state":"SUSPENDED"}}}"#,
    ),
    ("INTENT_WITHDRAW", r#"{"first":0,"intent_id":"i","reason":"yielded","last":{"deep":[[]]}}"#),
    (
        "INTENT_DEFERRED",
        r#"{"deferral_id":"d","principal_id":"p","status":"resolved","scope":{"kind":"task_set","task_ids":["t"]},"reason":"yielded","ttl_sec":60,"observed_intent_ids":["i"],"observed_principals":["p"],"expires_at":"2026-01-02T03:04:05+00:00","category":"queue"}"#,
    ),
    (
        "INTENT_CLAIM",
        r#"{"claim_id":"c","original_intent_id":"i","original_principal_id":"p","new_intent_id":"j","objective":"o","scope":{"kind":"entity_set","entities":["e"]},"justification":"why"}"#,
    ),
    (
        "INTENT_CLAIM_STATUS",
        r#"{"claim_id":"c","original_intent_id":"i","new_intent_id":"j","decision":"approved","approved_by":"p","reason":"r"}"#,
    ),
    (
        "OP_PROPOSE",
        r#"{"op_id":"o","intent_id":"i","target":"t","op_kind":"replace","change_ref":"c","summary":"s","state_ref_before":"sha256:0"}"#,
    ),
    (
        "OP_COMMIT",
        r#"{"op_id":"o","intent_id":"i","target":"t","op_kind":"refactor","state_ref_before":"sha256:0","state_ref_after":"sha256:1","change_ref":"c","summary":"s","file_changes":{"b":{"content":"x","state_ref_before":"sha256:0"},"a":{"content":"","state_ref_before":"","y":null}}}"#,
    ),
    (
        "OP_BATCH_COMMIT",
        r#"{"batch_id":"b","atomicity":"best_effort","operations":[{"op_id":"o","target":"t","op_kind":"replace","state_ref_before":"0","state_ref_after":"1","change_ref":"c","summary":"s","intent_id":"i"}],"intent_id":"i","summary":"s","file_changes":{}}"#,
    ),
    (
        "OP_REJECT",
        r#"{"op_id":"b","reason":"batch_validation_failed","refers_to":"m","rejected_ops":["o"],"reasons":{"o":"STALE_STATE_REF"}}"#,
    ),
    (
        "OP_SUPERSEDE",
        r#"{"op_id":"p","supersedes_op_id":"o","target":"t","intent_id":"i","reason":"r","op_kind":"patch","state_ref_after":"2","change_ref":"c","summary":"s","file_changes":{"t":{"content":"","state_ref_before":"1"}}}"#,
    ),
    (
        "CONFLICT_REPORT",
        r#"{"conflict_id":"c","related_intents":["i","j"],"related_ops":[],"category":"x.y","severity":"medium","basis":{"kind":"semantic_match","rule_id":"r","matcher":"m","match_type":"uncertain","confidence":0.70,"matched_pair":{"left":1},"explanation":"e"},"based_on_watermark":{"kind":"vector_clock","value":{"p":1},"lamport_value":8.0,"extensions":{}},"description":"d","suggested_action":"s","principal_a":"p","principal_b":"q","intent_a":"i","intent_b":"j","involved_principals":["p","q"],"scope_a":{"kind":"resource_path","pattern":"a/*"},"scope_b":{"kind":"custom"},"details":"d","dependency_detail":{"ab":[{"file":"f","symbols":null}]}}"#,
    ),
    ("CONFLICT_ACK", r#"{"conflict_id":"c","ack_type":"disputed"}"#),
    ("CONFLICT_ESCALATE", r#"{"conflict_id":"c","escalate_to":"p","reason":"r","context":"x"}"#),
    (
        "RESOLUTION",
        r#"{"resolution_id":"r","conflict_id":"c","decision":"merged","rationale":"","outcome":{"accepted":["i"],"rejected":["j"],"merged":[],"rollback":"not_required"}}"#,
    ),
    (
        "PROTOCOL_ERROR",
        r#"{"error_code":"STALE_STATE_REF","refers_to":"m","description":"d","affected_principal":"p","conflict_id":"c","duplicate_candidate":{"candidate":true},"extensions":{"retry_after_sec":1.5}}"#,
    ),
];

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
    assert_eq!(PAYLOADS.len(), MessageType::LISTED.len());
    for ((name, payload), listed) in PAYLOADS.iter().zip(MessageType::LISTED) {
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

proptest! {
    /// Cut, spliced and scrambled frames are refused or read, never a panic.
    #[test]
    fn any_text_is_refused_or_read(at in 0_usize..2000, cut in 0_usize..40, put in "[\\PC]{0,12}", which in 0_usize..22) {
        let text = frame(PAYLOADS[which].0, PAYLOADS[which].1);
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
