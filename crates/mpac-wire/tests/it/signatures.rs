//! `fixtures/signatures`: what another program, in another language, takes for the bytes to sign.

use mpac_wire::signature::{canonical, signed_bytes};
use mpac_wire::{Fingerprint, PublicKey, Signature};
use serde_json::Value;

use crate::covers;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/signatures/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(case: &'a Value, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_else(|| panic!("no {member} in {case}"))
}

#[test]
fn two_programs_sign_the_same_bytes() {
    covers!("SEC-24", "D-121");
    let vectors = vectors();
    for case in vectors["canonical"].as_array().unwrap() {
        assert_eq!(canonical(text(case, "text")).unwrap(), text(case, "form"));
    }
    for case in vectors["refused"].as_array().unwrap() {
        assert!(canonical(text(case, "text")).is_err(), "{case}");
    }
    let good = vectors["good"].as_array().unwrap();
    assert!(good.len() >= 8);
    for case in good {
        let covered = signed_bytes(text(case, "text")).unwrap();
        assert_eq!(covered, text(case, "signed"), "{}", text(case, "name"));
        assert!(covered.contains(r#""watermark":{"kind":"lamport_clock","value":7}"#), "{covered}");
    }
}

#[test]
fn two_programs_name_keys_alike() {
    let vectors = vectors();
    for key in vectors["keys"].as_array().unwrap() {
        let raw = key["public_key"].as_str().unwrap_or_else(|| text(key, "secret"));
        let raw: PublicKey = raw.parse().unwrap();
        assert_eq!(raw.fingerprint(), text(key, "fingerprint").parse::<Fingerprint>().unwrap());
        assert_eq!(raw.fingerprint().to_string(), text(key, "fingerprint"));
    }
    for case in vectors["good"].as_array().unwrap() {
        let envelope: Value = serde_json::from_str(text(case, "text")).unwrap();
        let signature: Signature = text(&envelope, "signature").parse().unwrap();
        assert_eq!(signature.to_string(), text(&envelope, "signature"));
    }
}

/// A change that the form did not show would be one that no signature protects from.
#[test]
fn every_change_shows_in_the_bytes_or_in_the_signature() {
    covers!("SEC-24", "D-121");
    let vectors = vectors();
    let original = |name: &str| {
        let good = vectors["good"].as_array().unwrap();
        text(good.iter().find(|case| text(case, "name") == name).unwrap(), "text").to_owned()
    };
    let bad = vectors["bad"].as_array().unwrap();
    assert!(bad.len() > 200);
    for case in bad {
        let original = original(text(case, "name"));
        let changed = text(case, "text");
        let signature = |text: &str| serde_json::from_str::<Value>(text).unwrap()["signature"].clone();
        if let Ok(bytes) = signed_bytes(changed) {
            let same =
                bytes == signed_bytes(&original).unwrap() && signature(changed) == signature(&original);
            assert!(!same, "{}", text(case, "change"));
        }
    }
}
