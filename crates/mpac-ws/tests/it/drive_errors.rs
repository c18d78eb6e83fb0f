//! What a driven coordinator says to requests that make no sense.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::covers;
use crate::drive_rig::{Drive, at, brief};

#[test]
fn every_mistake_is_named_and_the_next_line_is_read() {
    let mut drive = Drive::open(json!({}));
    let t = r#""now":"2026-01-01T00:00:01Z""#;
    for (line, code, message) in [
        ("".to_owned(), "MALFORMED_LINE", "not JSON"),
        ("{bad".to_owned(), "MALFORMED_LINE", "not JSON"),
        ("[1]".to_owned(), "MALFORMED_LINE", "not a JSON object"),
        ("{}".to_owned(), "MALFORMED_COMMAND", "cmd is missing"),
        (r#"{"cmd":7}"#.to_owned(), "MALFORMED_COMMAND", "cmd: invalid type: integer `7`"),
        (r#"{"cmd":"tik"}"#.to_owned(), "UNKNOWN_COMMAND", "did you mean `tick`?"),
        (r#"{"cmd":"zzzzzzzz"}"#.to_owned(), "UNKNOWN_COMMAND", "there are open, message,"),
        (r#"{"cmd":"tick"}"#.to_owned(), "MALFORMED_COMMAND", "now is missing"),
        (r#"{"cmd":"tick","now":"soon"}"#.to_owned(), "MALFORMED_COMMAND", "now: expected an RFC 3339"),
        (r#"{"cmd":"tick","now":7}"#.to_owned(), "MALFORMED_COMMAND", "now: invalid type"),
        (
            format!(r#"{{"cmd":"tick",{t},"noww":1}}"#),
            "MALFORMED_COMMAND",
            "noww: unknown key (did you mean `now`?)",
        ),
        (format!(r#"{{"cmd":"message",{t}}}"#), "MALFORMED_COMMAND", "envelope is missing"),
        (format!(r#"{{"cmd":"message",{t},"text":7}}"#), "MALFORMED_COMMAND", "text: invalid type"),
        (format!(r#"{{"cmd":"message",{t},"text":"","envelope":1}}"#), "MALFORMED_COMMAND", "either"),
        (
            format!(r#"{{"cmd":"message",{t},"conn":7,"envelope":1}}"#),
            "MALFORMED_COMMAND",
            "conn: invalid type",
        ),
        (format!(r#"{{"cmd":"disconnect",{t}}}"#), "MALFORMED_COMMAND", "conn is missing"),
        (format!(r#"{{"cmd":"close",{t},"reason":"bored"}}"#), "MALFORMED_COMMAND", "none of completed,"),
        (
            format!(r#"{{"cmd":"close",{t},"disposition":"x"}}"#),
            "MALFORMED_COMMAND",
            "withdraw_all, expire_all",
        ),
        (
            format!(r#"{{"cmd":"status",{t},"event":"authorization"}}"#),
            "MALFORMED_COMMAND",
            "heartbeat, recovered",
        ),
        (format!(r#"{{"cmd":"status",{t},"successor":"x"}}"#), "MALFORMED_COMMAND", "`handover` only"),
        (format!(r#"{{"cmd":"restore",{t}}}"#), "MALFORMED_COMMAND", "snapshot is missing"),
        (format!(r#"{{"cmd":"open",{t},"seed":-1}}"#), "MALFORMED_COMMAND", "seed: invalid value"),
        (format!(r#"{{"cmd":"open",{t},"config":[]}}"#), "INVALID_CONFIG", "config: expected an object"),
        (
            format!(r#"{{"cmd":"open",{t},"config":{{"lifecycle":{{"autoclose":true}}}}}}"#),
            "INVALID_CONFIG",
            "config.lifecycle.autoclose: unknown key (did you mean `auto_close`?)",
        ),
        (
            format!(r#"{{"cmd":"open",{t},"config":{{"workspace":{{}},"state_ref_format":"x"}}}}"#),
            "INVALID_CONFIG",
            "a session with a workspace uses state_ref_format sha256",
        ),
        (
            format!(r#"{{"cmd":"open",{t},"config":{{"liveness":{{"intent_backoff_multiplier":0}}}}}}"#),
            "INVALID_CONFIG",
            "config: intent_backoff_multiplier must be a number of 1 or more, not 0",
        ),
        (
            format!(r#"{{"cmd":"open",{t},"config":{{"execution_model":"pre_commit"}}}}"#),
            "INVALID_CONFIG",
            "config: execution_model pre_commit needs a governance session",
        ),
    ] {
        let (found, text) = drive.failure(line.as_bytes());
        assert_eq!(found, code, "{line}: {text}");
        assert!(text.contains(message), "{line}: {text}");
    }
    let (code, text) = drive.failure(b"{\"cmd\":\"\xff\"}");
    assert_eq!((code.as_str(), text.as_str()), ("MALFORMED_LINE", "not UTF-8 from byte 9 on"));
    // None of it was an open, and none moved the time.
    assert_eq!(brief(&drive.hello(0.0, "ann")), ["sender coordinator SESSION_INFO"]);
}

#[test]
fn nothing_but_open_and_restore_works_without_a_session() {
    let mut drive = Drive::start(&[]);
    for request in [
        json!({"cmd": "message", "envelope": {}}),
        json!({"cmd": "disconnect", "conn": "c"}),
        json!({"cmd": "tick"}),
        json!({"cmd": "status"}),
        json!({"cmd": "close"}),
        json!({"cmd": "snapshot"}),
        json!({"cmd": "next_deadline"}),
    ] {
        let mut request = request;
        request["now"] = json!(at(0.0));
        assert_eq!(drive.failure(request.to_string().as_bytes()).0, "NOT_OPEN", "{request}");
    }
}

#[test]
fn time_does_not_go_back_for_any_command() {
    let mut drive = Drive::open(json!({}));
    assert_eq!(drive.out(10.0, "tick", json!({})).len(), 0);
    for (cmd, request) in [
        ("message", json!({"envelope": {}})),
        ("disconnect", json!({"conn": "c"})),
        ("tick", json!({})),
        ("status", json!({})),
        ("close", json!({})),
        ("snapshot", json!({})),
    ] {
        let answer = drive.ask(9.999_999, cmd, request);
        assert_eq!(answer["error"]["code"], "TIME_WENT_BACK", "{cmd}: {answer}");
    }
    assert_eq!(drive.out(10.0, "tick", json!({})).len(), 0, "equal is allowed");
    // A session begins when it says.
    drive.reopen(json!({}));
}

#[test]
fn a_refused_message_is_no_failure() {
    covers!("D-025");
    let mut drive = Drive::open(json!({"limits": {"max_bytes": 300}}));
    let malformed = ["sender coordinator PROTOCOL_ERROR MALFORMED_MESSAGE"];
    for envelope in [json!(null), json!(7), json!("x"), json!([]), json!({}), json!({"type": "FILE_NAP"})] {
        let out = drive.out(0.0, "message", json!({"envelope": envelope}));
        assert_eq!(brief(&out), malformed, "{envelope}");
    }
    for text in ["", "{bad", "\u{0}", &"x".repeat(301)] {
        assert_eq!(brief(&drive.out(0.0, "message", json!({"text": text}))), malformed, "{text}");
    }
    // A connection that sends nothing else is reported; what becomes of it is the caller's business.
    let answers: Vec<Value> = (0..10).map(|_| drive.ask(0.0, "message", json!({"text": "{bad"}))).collect();
    let closed = json!([{"conn": "", "code": 1008, "reason": "too many malformed frames"}]);
    assert_eq!(answers.iter().filter(|answer| answer.get("closed") == Some(&closed)).count(), 1);
}

#[test]
fn a_line_that_is_too_long_is_refused_and_forgotten() {
    let mut drive = Drive::start(&["--max-line-bytes", "100"]);
    let (code, text) = drive.failure(&[b'x'; 1_000_000]);
    assert_eq!((code.as_str(), text.as_str()), ("LINE_TOO_LONG", "the line has more than 100 bytes"));
    let open = json!({"cmd": "open", "now": at(0.0)}).to_string();
    assert_eq!(drive.line(format!("{open:100}").as_bytes()), "{\"ok\":true}\n");
    assert_eq!(drive.failure(format!("{open:101}").as_bytes()).0, "LINE_TOO_LONG");
}

#[test]
fn an_endless_nesting_is_refused() {
    let mut drive = Drive::open(json!({}));
    for nested in
        ["[".repeat(100_000) + &"]".repeat(100_000), "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000)]
    {
        let line = format!(r#"{{"cmd":"message","now":"{}","envelope":{nested}}}"#, at(0.0));
        assert!(drive.line(line.as_bytes()).contains("MALFORMED_MESSAGE"));
        let line = format!(r#"{{"cmd":"open","now":"{}","config":{nested}}}"#, at(0.0));
        drive.failure(line.as_bytes());
    }
}

/// Lines that look like requests, with a piece missing, doubled or odd.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("1e999".to_owned()),
        Just("-1".to_owned()),
        Just("\"\"".to_owned()),
        Just("[]".to_owned()),
        Just(r#""2026-01-01T00:00:00Z""#.to_owned()),
        Just(r#""9999-12-31T23:59:59Z""#.to_owned()),
        Just(r#"{"session_id":"s","workspace":{"a":"b"}}"#.to_owned()),
        Just(r#"{"sender":{"principal_id":"p"},"message_type":"HELLO"}"#.to_owned()),
        Just(r#"{"type":"SESSION_SUMMARY"}"#.to_owned()),
        ".*".prop_map(|text| json!(text).to_string()),
    ];
    let cmd = prop::sample::select(vec![
        "open",
        "message",
        "disconnect",
        "tick",
        "status",
        "close",
        "snapshot",
        "restore",
        "next_deadline",
    ]);
    let key = prop::sample::select(vec![
        "now", "seed", "config", "conn", "envelope", "text", "event", "reason", "snapshot", "x",
    ]);
    let now = prop::option::of(Just(r#","now":"2026-01-01T00:00:00Z""#));
    (cmd, now, prop::collection::vec((key, value), 0..4), any::<prop::sample::Index>(), any::<bool>())
        .prop_map(|(cmd, now, members, cut, whole)| {
            let members: String = members.iter().map(|(key, value)| format!(",\"{key}\":{value}")).collect();
            let line = format!("{{\"cmd\":\"{cmd}\"{}{members}}}", now.unwrap_or_default());
            let mut bytes = line.into_bytes();
            if !whole {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        })
}

#[test]
fn no_line_ends_the_process_and_every_line_has_an_answer() {
    let mut drive = Drive::open(json!({}));
    let garbage = prop::collection::vec(any::<u8>(), 0..200);
    let mut runner = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    let lines = prop_oneof![garbage, nearly_requests()];
    let drive = std::cell::RefCell::new(&mut drive);
    runner
        .run(&lines, |line| {
            let line: Vec<u8> = line.into_iter().filter(|byte| *byte != b'\n').collect();
            let answer: Value = serde_json::from_str(&drive.borrow_mut().line(&line)).unwrap();
            prop_assert!(answer["ok"].is_boolean());
            prop_assert_eq!(answer["ok"] == true, answer.get("error").is_none());
            Ok(())
        })
        .unwrap();
    assert_eq!(drive.borrow_mut().ask(0.0, "open", json!({})), json!({"ok": true}));
}
