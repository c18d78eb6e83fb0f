//! What must not be kept or handed on: credentials in any log, and people's words in an export that leaves them out.
//!
//! Both work on JSON text and keep everything else: order, repeated members, the spelling of numbers. White space
//! between members goes.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::credential::is_certificates;
use crate::error::{DecodeError, decode};
use crate::names::{CloseReason, CredentialType, GoodbyeReason, RejectReason};
use crate::object::{Key, Raw};
use crate::time::Timestamp;

/// What stands in place of a secret or of somebody's words.
pub const BLANK: &str = "[redacted]";

/// The members that hold people's words, wherever they stand (PRV-03, D-135). Only texts and lists of texts are
/// replaced: `summary` is one in a commit, and an object of numbers in SESSION_CLOSE.
pub const FREE_TEXT: [&str; 13] = [
    "objective",
    "assumptions",
    "rationale",
    "description",
    "content",
    "summary",
    "details",
    "justification",
    "context",
    "explanation",
    "suggested_action",
    "status_detail",
    "rollback",
];

/// Objects whose keys are names that somebody chose, and no members: a file may be called `content`.
const MAPS: [&str; 3] = ["target_state_refs", "sender_frontier", "role_assignments"];

/// Levels of nesting that are followed: those that a message may have, inside an export.
const DEPTH: usize = 160;

#[derive(Clone, Copy, PartialEq)]
enum What {
    Nothing,
    Credentials,
    Contents,
    Words,
}

/// A frame's text with every credential's secret blanked: what a log may hold (PRV-05). The credential keeps its type,
/// issuer and time, and stays as well or badly formed as it was, so the frame is judged alike when it is read back. A chain of
/// certificates is no secret and stays, so that whoever has the log can check what its owner signed (SEC-12, SEC-23).
///
/// Meant for HELLO, and for frames of which nobody knows what they are because they cannot be read as messages.
///
/// # Errors
/// When the text is not JSON or nested too deeply: then there is nothing in it that may be logged.
pub fn blank_credentials(text: &str) -> Result<String, DecodeError> {
    walk(text, What::Credentials, DEPTH)
}

/// An export's text without people's words and without secrets (PRV-03, PRV-05): each of [`FREE_TEXT`] is replaced by
/// [`BLANK`]. What it is stays readable as what it was.
///
/// # Errors
/// When the text is not JSON or nested too deeply.
pub fn without_free_text(text: &str) -> Result<String, DecodeError> {
    walk(text, What::Words, DEPTH)
}

/// A message's text without the contents of files and without secrets: each `content` is replaced by [`BLANK`].
///
/// # Errors
/// When the text is not JSON or nested too deeply.
pub fn without_contents(text: &str) -> Result<String, DecodeError> {
    walk(text, What::Contents, DEPTH)
}

/// The text in the layout of the others, with nothing left out: what differs from this was redacted.
///
/// # Errors
/// When the text is not JSON or nested too deeply.
pub fn compact(text: &str) -> Result<String, DecodeError> {
    walk(text, What::Nothing, DEPTH)
}

/// Why somebody leaves, rejects or closes has a name and stays; any other `reason` is somebody's words.
fn is_code(text: &str) -> bool {
    let Ok(text) = decode::<Cow<'_, str>>(text, "") else { return false };
    !matches!(RejectReason::from(&*text), RejectReason::Other(_))
        || !matches!(GoodbyeReason::from(&*text), GoodbyeReason::Other(_))
        || !matches!(CloseReason::from(&*text), CloseReason::Other(_))
}

fn walk(text: &str, what: What, depth: usize) -> Result<String, DecodeError> {
    let Some(depth) = depth.checked_sub(1) else { return Err(DecodeError::TooDeep { max: DEPTH }) };
    match text.bytes().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => {
            let Entries(entries) = decode(text, "")?;
            let member = |(key, value): (Cow<'_, str>, &RawValue)| {
                let value = match &*key {
                    "credential" if what != What::Nothing => blanked(value.get())?,
                    "file_changes" if matches!(what, What::Contents | What::Words) => {
                        changes(value.get(), what, depth)?
                    }
                    "content" if what == What::Contents => hidden(value.get(), what, depth)?,
                    "reason" if what == What::Words && !is_code(value.get()) => {
                        hidden(value.get(), what, depth)?
                    }
                    word if what == What::Words && FREE_TEXT.contains(&word) => {
                        hidden(value.get(), what, depth)?
                    }
                    map if what != What::Credentials && MAPS.contains(&map) => value.get().to_owned(),
                    _ => walk(value.get(), what, depth)?,
                };
                Ok(alloc::format!("{}:{value}", quoted(&key)))
            };
            joined('{', entries.into_iter().map(member), '}')
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = decode(text, "")?;
            joined('[', items.into_iter().map(|item| walk(item.get(), what, depth)), ']')
        }
        _ => Ok(decode::<&RawValue>(text, "")?.get().to_owned()),
    }
}

/// A credential without its secret, judged as it was. What is no text is not kept either: somebody may have put the secret there.
fn blanked(text: &str) -> Result<String, DecodeError> {
    let Ok(Entries(entries)) = decode(text, "") else {
        let absent = text == "null";
        return Ok(if absent { "null" } else { "false" }.to_owned());
    };
    let chain = is_chain(&entries);
    let member = |(key, value): (Cow<'_, str>, &RawValue)| {
        let value = match decode::<Cow<'_, str>>(value.get(), "") {
            Ok(_) if chain && key == "value" => value.get().to_owned(),
            Ok(text) if text.is_empty() || is_no_secret(&key, &text) => value.get().to_owned(),
            Ok(_) => quoted(BLANK),
            Err(_) if value.get() == "null" => "null".to_owned(),
            Err(_) => "false".to_owned(),
        };
        Ok(alloc::format!("{}:{value}", quoted(&key)))
    };
    joined('{', entries.into_iter().map(member), '}')
}

/// Whether the credential is one that everybody may see, beyond doubt.
fn is_chain(entries: &[(Cow<'_, str>, &RawValue)]) -> bool {
    let only = |name: &str| {
        let mut of_name = entries.iter().filter(|(key, _)| key == name);
        let value = of_name.next().filter(|_| of_name.next().is_none())?.1;
        decode::<Cow<'_, str>>(value.get(), "").ok()
    };
    let named = only("type").is_some_and(|kind| CredentialType::from(&*kind) == CredentialType::X509Chain);
    named && only("value").is_some_and(|value| is_certificates(&value))
}

/// Whether a member of a credential is what it should be, and no secret that somebody put into the wrong place: a name of
/// a type, a time, an issuer.
fn is_no_secret(key: &str, text: &str) -> bool {
    match key {
        "type" => !matches!(CredentialType::from(text), CredentialType::Other(_)),
        "expires_at" => Timestamp::parse(text).is_ok(),
        "issuer" => true,
        _ => false,
    }
}

/// New contents by path, whatever the paths are called: nothing that stands where a content should is kept.
fn changes(text: &str, what: What, depth: usize) -> Result<String, DecodeError> {
    let Ok(Entries(entries)) = decode(text, "") else { return Ok(withheld(text)) };
    let change = |(path, value): (Cow<'_, str>, &RawValue)| {
        let value = match decode(value.get(), "") {
            Err(_) => withheld(value.get()),
            Ok(Entries(members)) => {
                let member = |(key, value): (Cow<'_, str>, &RawValue)| {
                    let value = match &*key {
                        "content" => withheld(value.get()),
                        _ => walk(value.get(), what, depth)?,
                    };
                    Ok(alloc::format!("{}:{value}", quoted(&key)))
                };
                joined('{', members.into_iter().map(member), '}')?
            }
        };
        Ok(alloc::format!("{}:{value}", quoted(&path)))
    };
    joined('{', entries.into_iter().map(change), '}')
}

/// What stands in place of a value of which nothing is kept.
fn withheld(text: &str) -> String {
    match text.bytes().next() {
        Some(b'"') => quoted(BLANK),
        _ if text == "null" => text.to_owned(),
        _ => "false".to_owned(),
    }
}

/// A text, or each of a list; anything else may hold more inside.
fn hidden(text: &str, what: What, depth: usize) -> Result<String, DecodeError> {
    match text.bytes().next() {
        Some(b'"') => Ok(quoted(BLANK)),
        Some(b'[') => {
            let items: Vec<&RawValue> = decode(text, "")?;
            joined('[', items.into_iter().map(|item| hidden(item.get(), what, depth)), ']')
        }
        _ => walk(text, what, depth),
    }
}

fn joined(
    open: char,
    parts: impl Iterator<Item = Result<String, DecodeError>>,
    close: char,
) -> Result<String, DecodeError> {
    let mut text = String::from(open);
    for (at, part) in parts.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&part?);
    }
    text.push(close);
    Ok(text)
}

fn quoted(text: &str) -> String {
    // A string is always JSON.
    Raw::of(text).map(|raw| raw.get().to_owned()).unwrap_or_else(|_| unreachable!("a string is JSON"))
}

/// An object's members as they came, repeated ones included.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_blanked_and_the_rest_stays() {
        let text =
            r#"{"n":1e3,"payload":{"credential":{"type":"api_key","value":"s3","issuer":"i"},"x":[1.0]}}"#;
        assert_eq!(blank_credentials(text).unwrap(), text.replace("s3", BLANK));
        // As badly formed as it was, and without what may be the secret.
        for (given, kept) in [
            (r#""s3""#, "false"),
            (r#"{"type":"custom","value":{"token":"s3"}}"#, r#"{"type":"custom","value":false}"#),
            (r#"{"type":"custom","value":""}"#, r#"{"type":"custom","value":""}"#),
            (r#"{"type":"s3","secret":"s3"}"#, r#"{"type":"[redacted]","secret":"[redacted]"}"#),
            (r#"{"type":{"x":"s3"},"issuer":["s3"]}"#, r#"{"type":false,"issuer":false}"#),
            (
                r#"{"expires_at":"2026-01-02T03:04:05Z","issuer":"i"}"#,
                r#"{"expires_at":"2026-01-02T03:04:05Z","issuer":"i"}"#,
            ),
            (r#"{"expires_at":"s3"}"#, r#"{"expires_at":"[redacted]"}"#),
            ("null", "null"),
        ] {
            let text = |credential: &str| alloc::format!(r#"{{"payload":{{"credential":{credential}}}}}"#);
            assert_eq!(blank_credentials(&text(given)).unwrap(), text(kept));
        }
        // Of a repeated member, and of one with an escaped name, too.
        let odd = r#"{"payload":{"credential":{"value":"s3"}},"payload":{"\u0063redential":{"value":"s3"}}}"#;
        assert!(!blank_credentials(odd).unwrap().contains("s3"));
    }

    #[test]
    fn certificates_are_no_secret_and_what_else_calls_itself_a_chain_may_be_one() {
        let chain = r"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let hello = |kind: &str, value: &str| {
            alloc::format!(
                r#"{{"payload":{{"credential":{{"type":"{kind}","value":"{value}","issuer":"i"}}}}}}"#
            )
        };
        let text = hello("x509_chain", chain);
        assert_eq!(blank_credentials(&text).unwrap(), text);
        assert_eq!(without_free_text(&text).unwrap(), text);
        for (kind, value) in [
            ("x509_chain", "s3"),
            ("x509_chain", &alloc::format!("{chain}s3")),
            ("x509_chain", &chain.replace("CERTIFICATE", "PRIVATE KEY")),
            ("api_key", chain),
        ] {
            assert_eq!(blank_credentials(&hello(kind, value)).unwrap(), hello(kind, BLANK));
        }
        let twice = text.replace(r#""value""#, r#""type":"api_key","value""#);
        assert!(!blank_credentials(&twice).unwrap().contains("AAAA"));
        let other = text.replace(r#""issuer""#, r#""value":"s3","issuer""#);
        assert!(!blank_credentials(&other).unwrap().contains("s3"));
    }

    #[test]
    fn words_are_hidden_wherever_they_stand_and_names_are_not() {
        let text = r#"{"objective":"w","assumptions":["w","w"],"summary":{"total":1},"op":{"summary":"w","n":2.50},"file_changes":{"content":{"content":"w"}},"target_state_refs":{"content":"sha256:1"}}"#;
        let blank = without_free_text(text).unwrap();
        assert_eq!(blank, text.replace(r#""w""#, r#""[redacted]""#));
    }

    #[test]
    fn a_reason_with_a_name_stays_and_any_other_is_hidden() {
        let text = r#"[{"reason":"user_exit"},{"reason":"intent_terminated"},{"reason":"Bob asked me to"},{"reason":"bob"}]"#;
        let blank = without_free_text(text).unwrap();
        assert_eq!(blank, text.replace("Bob asked me to", BLANK).replace("bob", BLANK));
    }

    #[test]
    fn contents_are_hidden_and_words_are_not() {
        let text =
            r#"{"objective":"w","file_changes":{"content":{"content":"c","state_ref_before":"r"}},"n":1.50}"#;
        assert_eq!(without_contents(text).unwrap(), text.replace(r#""c""#, r#""[redacted]""#));
        // Also what is no content, where one should be.
        for odd in
            [r#"{"a":{"content":{"x":"c"}}}"#, r#"{"a":{"content":["c"]}}"#, r#"{"a":"c"}"#, r#"["c"]"#]
        {
            let text = alloc::format!(r#"{{"file_changes":{odd},"k":"c"}}"#);
            for left in [without_contents(&text).unwrap(), without_free_text(&text).unwrap()] {
                assert_eq!(left.matches(r#""c""#).count(), 1, "{left}");
            }
        }
    }

    #[test]
    fn what_cannot_be_followed_is_an_error() {
        let deep = alloc::format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(blank_credentials(&deep), Err(DecodeError::TooDeep { .. })));
        assert!(blank_credentials("{bad").is_err());
        assert!(without_free_text("").is_err());
    }
}
