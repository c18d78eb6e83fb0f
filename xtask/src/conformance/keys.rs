//! Keys of those who sign in a story, made of their names: the same in every run, and known to everybody.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::signature::signed_bytes;
use mpac_wire::{PublicKey, Signature};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// What stands for a name.
type Spelling = fn(&str) -> String;

/// What a story may write for a key: the word before the name, and what stands in its place.
const WORDS: [(&str, Spelling); 3] = [
    ("$key:", |name| public(name).to_string()),
    ("$fingerprint:", |name| public(name).fingerprint().to_string()),
    ("$seed:", |name| seed(name).iter().map(|byte| format!("{byte:02x}")).collect()),
];

/// The text of a story with the keys that it names in their places.
pub(super) fn written_out(text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, (word, value)| {
        let mut parts = text.split(word);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part
                .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
                .unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            out.push_str(&value(name));
            out.push_str(rest);
        }
        out
    })
}

/// Signs a message by the key of this name.
pub(super) fn sign(message: &mut Value, name: &str) -> Result<(), String> {
    let covered = signed_bytes(&message.to_string()).map_err(|error| error.to_string())?;
    let made = pair(name)?.sign(covered.as_bytes());
    let signature = Signature::new(SignatureAlgorithm::Ed25519, public(name).fingerprint(), made.as_ref());
    message["signature"] = signature.to_string().into();
    Ok(())
}

/// The key that a coordinator of this configuration must sign with.
pub(super) fn of_coordinator(config: &Map<String, Value>) -> Option<PublicKey> {
    let seed = config.get("coordinator_key")?.get("seed")?.as_str()?;
    let digit = |at: usize| u8::from_str_radix(seed.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..seed.len() / 2).map(digit).collect();
    let pair = Ed25519KeyPair::from_seed_unchecked(&bytes?).ok()?;
    Some(PublicKey::new(pair.public_key().as_ref()))
}

/// Why the signature of this text is none of this key's.
pub(super) fn flaw(text: &str, message: &Value, key: &PublicKey) -> Option<String> {
    let Some(signature) = message["signature"].as_str() else { return Some("it is not signed".to_owned()) };
    let signature: Signature = match signature.parse() {
        Ok(signature) => signature,
        Err(error) => return Some(format!("signature: {error}")),
    };
    if signature.algorithm != SignatureAlgorithm::Ed25519 || signature.key != key.fingerprint() {
        return Some("it is signed with another key than SESSION_INFO names".to_owned());
    }
    let covered = match signed_bytes(text) {
        Ok(covered) => covered,
        Err(error) => return Some(error.to_string()),
    };
    let verified =
        UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(covered.as_bytes(), &signature.bytes);
    verified.is_err().then(|| "the signature does not fit".to_owned())
}

fn seed(name: &str) -> [u8; 32] {
    Sha256::digest(format!("mpac conformance key of {name}")).into()
}

fn pair(name: &str) -> Result<Ed25519KeyPair, String> {
    Ed25519KeyPair::from_seed_unchecked(&seed(name)).map_err(|_| format!("no key can be made of {name:?}"))
}

fn public(name: &str) -> PublicKey {
    // Every 32 bytes are a seed.
    pair(name).map_or_else(|_| PublicKey::new(&[]), |pair| PublicKey::new(pair.public_key().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_stand_for_keys_and_what_they_sign_is_found_good() {
        let text = written_out(
            r#"{"a":"$key:alice","b":"$fingerprint:alice","coordinator_key":{"seed":"$seed:alice"}}"#,
        );
        let value: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a"], public("alice").to_string());
        assert_eq!(value["b"], public("alice").fingerprint().to_string());
        assert_eq!(of_coordinator(&value), Some(public("alice")));
        let mut message = json!({"message_id": "m", "payload": {"n": 1.5}});
        let key = public("alice");
        let problem = |message: &Value, key: &PublicKey| flaw(&message.to_string(), message, key);
        assert!(problem(&message, &key).unwrap().contains("not signed"));
        sign(&mut message, "alice").unwrap();
        assert_eq!(problem(&message, &key), None);
        assert!(problem(&message, &public("bob")).unwrap().contains("another key"));
        message["payload"]["n"] = json!(2);
        assert!(problem(&message, &key).unwrap().contains("does not fit"));
    }
}
