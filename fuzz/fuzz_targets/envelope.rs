//! Any frame: it is read or refused, what is read is written back as it was read, and no credential stays in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mpac_wire::names::CredentialType;
use mpac_wire::redact::{BLANK, blank_credentials, without_contents, without_free_text};
use mpac_wire::{Envelope, Frame, Limits, Message, Received};
use serde_json::Value;

/// What is read in the quick way is what `serde` reads.
fn in_both_ways(text: &str, received: &mut Received) {
    let slow: Envelope = serde_json::from_str(text).expect("a message is an envelope");
    assert_eq!(*received.envelope(), slow);
    assert_eq!(received.envelope().to_json(), slow.to_json());
    if let Some(message) = received.take_message() {
        let said = slow.message().expect("its payload was read");
        assert_eq!(*message, said);
        assert_eq!(message.to_payload(), said.to_payload());
    }
}

fuzz_target!(|text: &str| {
    let limits = Limits::default();
    if let (Ok(blanked), Ok(_)) = (blank_credentials(text), without_free_text(text)) {
        without_contents(text).expect("what can be blanked can be blanked");
        let again = blank_credentials(&blanked).expect("a blanked text is one");
        assert_eq!(blanked, again, "blanking has an end");
    }
    let Ok(Frame::Message(mut received)) = Frame::parse(text, &limits) else { return };
    in_both_ways(text, &mut received);
    let json = received.envelope().to_json();
    let again = Received::parse(json.as_str(), &limits).expect("an envelope that was written can be read");
    // Where the known members come in another order, those that nobody knows are written in other places.
    // Numbers that no double holds stand as they came, and a `Value` has no room for them.
    let value = |json: &str| serde_json::from_str::<Value>(json).ok();
    assert_eq!(value(&json), value(&again.envelope().to_json()));
    if let Ok(Message::Hello(hello)) = received.envelope().message()
        && let Some(credential) = hello.credential
    {
        let secret = credential.value.reveal();
        let blanked = blank_credentials(text).expect("a HELLO is JSON");
        let read = Received::parse(blanked.as_str(), &limits).expect("a blanked HELLO is one");
        let Ok(Message::Hello(read)) = read.envelope().message() else { panic!("a HELLO stays one") };
        let kept = read.credential.expect("it keeps its credential's type");
        assert!(kept.value.reveal() == BLANK || secret.is_empty(), "the secret is gone");
        // A type that nobody knows may be a secret that stands in the wrong place.
        let unknown = matches!(credential.kind, CredentialType::Other(_));
        assert!(unknown || kept.kind == credential.kind, "{:?} was {:?}", kept.kind, credential.kind);
    }
});
