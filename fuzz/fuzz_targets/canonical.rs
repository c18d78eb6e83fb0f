//! Canonical JSON: what has that form is in it already, says the same, and another implementation finds the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mpac_wire::canonical::{canonical, signed_bytes};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(ours) = canonical(text) else { return };
    assert_eq!(canonical(&ours).as_deref(), Ok(ours.as_str()), "it has an end");
    // The other one is recursive, and limited to 128 levels.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let theirs = serde_json_canonicalizer::to_string(&value).expect("a value has a canonical form");
        assert_eq!(ours, theirs);
        if let Value::Object(mut members) = value {
            let signed = signed_bytes(text).expect("an object can be signed");
            members.remove("signature");
            let theirs = serde_json_canonicalizer::to_string(&members).expect("and without a member too");
            assert_eq!(signed, theirs);
        }
    }
});
