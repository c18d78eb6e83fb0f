//! Any payload of any type, behind a good envelope: it is read or refused, and what is read is written back as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mpac_wire::{Envelope, Limits, MessageType, Received};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    // The first byte says of which type.
    let Some((which, payload)) = bytes.split_first() else { return };
    let Ok(payload) = std::str::from_utf8(payload) else { return };
    let types = MessageType::LISTED;
    let kind = types[usize::from(*which) % types.len()].as_str();
    let text = format!(
        r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"{kind}","message_id":"m","session_id":"s","sender":{{"principal_id":"a","principal_type":"agent","sender_instance_id":"i"}},"ts":"2026-01-02T03:04:05Z","payload":{payload}}}"#
    );
    let Ok(mut received) = Received::parse(text.as_str(), &Limits::default()) else { return };
    let quick = received.take_message();
    // What is read in the quick way is what `serde` reads.
    let slow: Envelope = serde_json::from_str(&text).expect("a message is an envelope");
    assert_eq!(received.envelope().to_json(), slow.to_json());
    let Ok(message) = slow.message() else { return assert!(quick.is_none()) };
    if let Some(quick) = quick {
        assert_eq!(*quick, message);
        assert_eq!(quick.to_payload(), message.to_payload());
    }
    let written = message.to_payload();
    let mut envelope = received.envelope().clone();
    envelope.payload = written.clone();
    let again = envelope.message().expect("what was written can be read");
    // Where the known members come in another order, those that nobody knows are written in other places. Numbers that no
    // double holds stand as they came, and a `Value` has no room for them.
    let value = |payload: &str| serde_json::from_str::<Value>(payload).ok();
    assert_eq!(value(written.get()), value(again.to_payload().get()));
});
