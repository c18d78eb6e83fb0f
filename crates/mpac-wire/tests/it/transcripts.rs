//! Transcripts: written in the specification's form, read in both.

use mpac_wire::snapshot::Snapshot;
use mpac_wire::transcript::{Crossed, Imported, Transcript};
use mpac_wire::{DecodeError, Timestamp};

use crate::covers;

const SNAPSHOT: &str = r#"{"snapshot_version":2,"session_id":"s","protocol_version":"0.1.13","captured_at":"2026-01-02T03:04:05Z","coordinator_epoch":1,"lamport_clock":7,"security_profile":"open","participants":[{"principal_id":"p","principal_type":"human","display_name":"P","roles":["owner"],"capabilities":["op.commit"]},{"principal_id":"q"}]}"#;

/// A message of this sender with this watermark, or none.
fn frame(id: &str, sender: &str, watermark: &str, payload: &str) -> String {
    let watermark = if watermark.is_empty() { String::new() } else { format!(r#","watermark":{watermark}"#) };
    format!(
        r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"HELLO","message_id":"{id}","session_id":"s","sender":{{"principal_id":"{sender}","principal_type":"agent","sender_instance_id":"{sender}:1"}},"ts":"2026-01-02T03:04:05Z","payload":{payload}{watermark}}}"#
    )
}

fn lamport(value: u64) -> String {
    format!(r#"{{"kind":"lamport_clock","value":{value}}}"#)
}

fn exported(frames: &[(String, u64)]) -> Transcript {
    let snapshot: Snapshot = serde_json::from_str(SNAPSHOT).unwrap();
    let at = Timestamp::parse("2026-01-02T03:05:00Z").unwrap();
    let messages = frames.iter().map(|(text, clock)| Crossed { text: text.as_str(), clock: *clock });
    Transcript::export(snapshot, at, messages)
}

fn ids(transcript: &Transcript) -> Vec<String> {
    transcript.messages.iter().map(|it| it.message_id.to_string()).collect()
}

#[test]
fn messages_stand_by_lamport_value_then_sender_then_arrival() {
    covers!("SES-20", "D-034");
    let transcript = exported(&[
        (frame("m1", "p", &lamport(9), "{}"), 10),
        (frame("m2", "q", &lamport(4), "{}"), 11),
        (frame("m3", "p", &lamport(4), "{}"), 12),
        (frame("m4", "q", "", "{}"), 4),
        (frame("m5", "q", r#"{"kind":"opaque","value":"x"}"#, "{}"), 5),
        (frame("m6", "q", r#"{"kind":"opaque","value":"x","lamport_value":1}"#, "{}"), 13),
        (frame("m7", "q", r#"{"kind":"lamport_clock","value":"bad"}"#, "{}"), 6),
        ("{bad".to_owned(), 14),
        (r#"{"type":"FILE_LIST"}"#.to_owned(), 15),
    ]);
    assert_eq!(ids(&transcript), ["m6", "m3", "m2", "m4", "m5", "m7", "m1"]);
    let json: serde_json::Value = serde_json::to_value(&transcript).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "session_id",
        "protocol_version",
        "exported_at",
        "security_profile",
        "participants",
        "messages",
        "final_snapshot",
    ];
    expected.sort_unstable();
    let mut keys = keys;
    keys.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(
        json["participants"].to_string(),
        serde_json::json!([
            {"principal_id": "p", "principal_type": "human", "display_name": "P", "roles": ["owner"], "capabilities": ["op.commit"]},
            {"principal_id": "q", "principal_type": "agent"}
        ])
        .to_string()
    );
    assert_eq!(json["exported_at"], "2026-01-02T03:05:00.000000Z");
}

#[test]
fn no_secret_gets_into_a_transcript() {
    covers!("PRV-05");
    for credential in [
        r#""credential":{"type":"api_key","value":"hunter2","issuer":"i"}"#,
        r#""cr\u0065dential":{"type":"api_key","value":"hunter2"}"#,
        r#""credential":"hunter2""#,
        r#""credential":{"value":"hunter2"}"#,
        r#""credential":null,"credential":["hunter2"]"#,
    ] {
        let payload = format!(r#"{{"display_name":"P",{credential},"capabilities":[1.50]}}"#);
        let transcript = exported(&[(frame("m", "p", "", &payload), 1)]);
        let text = serde_json::to_string(&transcript).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains(r#""display_name":"P""#) && text.contains(r#""capabilities":[1.50]"#),
            "{text}"
        );
    }
    let payload = r#"{"credential":{"type":"api_key","value":"hunter2"}}"#;
    let transcript = exported(&[(frame("m", "p", "", payload), 1)]);
    assert_eq!(transcript.messages[0].payload.get(), r#"{"credential":{"type":"api_key"}}"#);
}

/// A secret may stand in the wrong place.
#[test]
fn a_type_that_is_none_and_what_stands_beside_a_chain_may_be_the_secret() {
    covers!("PRV-05");
    const PEM: &str = r"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    for (credential, kept) in [
        (r#"{"type":"hunter2","value":"x"}"#.to_owned(), "{}".to_owned()),
        (
            format!(r#"{{"type":"x509_chain","value":"{PEM}","private_key":"hunter2","issuer":"i"}}"#),
            format!(
                r#"{{"credential":{{"type":"x509_chain","value":"{PEM}","private_key":"[redacted]","issuer":"i"}}}}"#
            ),
        ),
        (
            format!(r#"{{"type":"x509_chain","value":"{PEM}","expires_at":"hunter2"}}"#),
            format!(r#"{{"credential":{{"type":"x509_chain","value":"{PEM}","expires_at":"[redacted]"}}}}"#),
        ),
        (
            format!(r#"{{"type":"api_key","value":"hunter2","type":"x509_chain","value":"{PEM}"}}"#),
            r#"{"credential":{"type":"x509_chain"}}"#.to_owned(),
        ),
        (
            format!(r#"{{"value":"hunter2","type":"x509_chain","value":"{PEM}"}}"#),
            r#"{"credential":{"type":"x509_chain"}}"#.to_owned(),
        ),
    ] {
        let payload = format!(r#"{{"credential":{credential}}}"#);
        let transcript = exported(&[(frame("m", "p", "", &payload), 1)]);
        assert_eq!(transcript.messages[0].payload.get(), kept);
    }
}

#[test]
fn a_chain_of_certificates_is_no_secret_and_stays_for_the_signature() {
    covers!("SEC-29");
    let payload = r#"{"credential":{"type":"x509_chain","value":"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"},"capabilities":[1.50]}"#;
    let transcript = exported(&[(frame("m", "p", "", payload), 1)]);
    assert_eq!(transcript.messages[0].payload.get(), payload);
    let other = payload.replace("MIIB", "hunter2, a secret");
    let transcript = exported(&[(frame("m", "p", "", &other), 1)]);
    assert!(!transcript.messages[0].payload.get().contains("hunter2"));
    let twice = r#"{"credential":{"type":"api_key","value":"hunter2"},"credential":{"type":"x509_chain","value":"MIIB"}}"#;
    let transcript = exported(&[(frame("m", "p", "", twice), 1)]);
    assert!(!transcript.messages[0].payload.get().contains("hunter2"));
}

#[test]
fn both_forms_are_read() {
    covers!("SRV-17", "D-034");
    let ours = exported(&[(frame("m1", "p", &lamport(1), r#"{"x":[1.50]}"#), 1)]);
    let text = serde_json::to_string_pretty(&ours).unwrap();
    let imported = Imported::parse(&text).unwrap();
    assert_eq!(imported, Imported::Specified(Box::new(ours.clone())));
    assert_eq!(imported.messages().unwrap(), ours.messages);
    // As the Python servers write it: 0.1.0 without the session.
    let (one, two) = (frame("m1", "p", &lamport(1), "{}"), frame("m2", "q", &lamport(2), "{}"));
    let python = format!(
        r#"[
  {{"ts": 0.512, "direction": "inbound", "from": "p", "message_type": "HELLO", "envelope": {one}}},
  {{"ts": 0.6, "session_id": "s", "direction": "outbound", "message_type": "SESSION_INFO", "envelope": {two}}}
]"#
    );
    let imported = Imported::parse(&format!("\n {python}")).unwrap();
    let messages = imported.messages().unwrap();
    assert_eq!(messages.iter().map(|it| it.message_id.as_str()).collect::<Vec<_>>(), ["m1", "m2"]);
    let Imported::Python(entries) = imported else { panic!() };
    assert_eq!((entries[0].from.as_deref(), entries[1].from.as_deref()), (Some("p"), None));
    assert_eq!(entries[1].session_id.as_ref().unwrap().as_str(), "s");
    // What holds no message says where.
    let broken = python.replace(r#""message_id":"m2","#, "");
    let error = Imported::parse(&broken).unwrap().messages().unwrap_err();
    assert!(matches!(&error, DecodeError::Shape { path, .. } if path.starts_with("[1].envelope")), "{error}");
    for bad in ["", "7", "{}", "[7]", "[{}]", "{\"session_id\":\"s\"}"] {
        assert!(Imported::parse(bad).is_err(), "{bad}");
    }
    assert!(Imported::parse("[]").unwrap().messages().unwrap().is_empty());
}
