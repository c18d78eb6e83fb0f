//! What must not be kept or handed on: credentials in any log, and people's words in an export that leaves them out.
//!
//! Both work on JSON text and keep everything else: order, repeated members, the spelling of numbers. White space
//! between members goes.

mod credential;

use alloc::borrow::Cow;
use alloc::string::String;
use core::mem;

use serde::de::IgnoredAny;

use crate::error::{DecodeError, decode};
use crate::names::{CloseReason, ErrorCode, GoodbyeReason, RejectReason};
use crate::scan::{Scanner, quote, unquoted};
use credential::blanked;
pub(crate) use credential::shown;

/// What stands in place of a secret or of somebody's words.
pub const BLANK: &str = "[redacted]";

/// The members that hold people's words, wherever they stand (PRV-03, D-135). Texts in them are replaced, however deep, and numbers are
/// not: `summary` is a text in a commit, and an object of numbers in SESSION_CLOSE.
pub const FREE_TEXT: [&str; 17] = [
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
    "postcondition",
    "postconditions",
    "matched_postconditions",
    "guidance",
];

/// Objects whose keys are names that somebody chose, and no members: a file may be called `content`, and so may a principal.
const MAPS: [&str; 11] = [
    "target_state_refs",
    "sender_frontier",
    "recent_message_counts",
    "role_assignments",
    "role_constraints",
    "escalated_arbiters",
    "impact_symbols",
    "reasons",
    "workspace_file_bytes",
    "refused_claimers",
    "diverged",
];

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
    redacted(text, What::Credentials)
}

/// An export's text without people's words and without secrets (PRV-03, PRV-05): each of [`FREE_TEXT`] is replaced by
/// [`BLANK`]. What it is stays readable as what it was.
///
/// # Errors
/// When the text is not JSON or nested too deeply.
pub fn without_free_text(text: &str) -> Result<String, DecodeError> {
    redacted(text, What::Words)
}

/// A message's text without the contents of files and without secrets: each `content` is replaced by [`BLANK`].
///
/// # Errors
/// When the text is not JSON or nested too deeply.
pub fn without_contents(text: &str) -> Result<String, DecodeError> {
    redacted(text, What::Contents)
}

/// The text in the layout of the others, with nothing left out: what differs from this was redacted.
///
/// # Errors
/// When the text is not JSON or nested too deeply.
pub fn compact(text: &str) -> Result<String, DecodeError> {
    redacted(text, What::Nothing)
}

fn redacted(text: &str, what: What) -> Result<String, DecodeError> {
    decode::<IgnoredAny>(text, "")?;
    let mut pass = Pass { scanner: Scanner::new(text), out: String::with_capacity(text.len()), what };
    pass.value(DEPTH)?;
    Ok(pass.out)
}

/// One way through a text that is known to be JSON: each token is looked at once, however deep it stands.
struct Pass<'a> {
    scanner: Scanner<'a>,
    out: String,
    what: What,
}

impl Pass<'_> {
    fn value(&mut self, depth: usize) -> Result<(), DecodeError> {
        let depth = deeper(depth)?;
        match self.scanner.peek() {
            Some(b'{') => self.object(|pass, name| pass.member(name, depth)),
            Some(b'[') => self.list(|pass| pass.value(depth)),
            _ => {
                self.keep();
                Ok(())
            }
        }
    }

    fn member(&mut self, name: &str, depth: usize) -> Result<(), DecodeError> {
        let what = self.what;
        match name {
            "credential" if what != What::Nothing => {
                let credential = blanked(self.scanner.value());
                self.out.push_str(&credential);
                Ok(())
            }
            "file_changes" if matches!(what, What::Contents | What::Words) => self.changes(depth),
            "content" if what == What::Contents => self.hidden(depth),
            "reason" if what == What::Words && !self.is_code() => self.hidden(depth),
            word if what == What::Words && FREE_TEXT.contains(&word) => self.hidden(depth),
            map if what != What::Credentials && MAPS.contains(&map) => self.map(map, depth),
            _ => self.value(depth),
        }
    }

    /// An object by names of somebody's choice. The `reasons` of an OP_REJECT are judged as its `reason` is.
    fn map(&mut self, map: &str, depth: usize) -> Result<(), DecodeError> {
        if self.scanner.peek() != Some(b'{') {
            return self.value(depth);
        }
        let depth = deeper(depth)?;
        let reasons = map == "reasons" && self.what == What::Words;
        self.object(|pass, _| match reasons && !pass.is_code() {
            true => pass.hidden(depth),
            false => pass.value(depth),
        })
    }

    /// The next value as it came.
    fn keep(&mut self) {
        self.out.push_str(self.scanner.value());
    }

    /// Why somebody leaves, rejects or closes has a name or a code and stays; any other `reason` is somebody's words.
    fn is_code(&self) -> bool {
        let mut ahead = self.scanner.clone();
        let Some(text) = (ahead.peek() == Some(b'"')).then(|| unquoted(ahead.quoted()).ok()).flatten() else {
            return false;
        };
        !matches!(RejectReason::from(&*text), RejectReason::Other(_))
            || !matches!(GoodbyeReason::from(&*text), GoodbyeReason::Other(_))
            || !matches!(CloseReason::from(&*text), CloseReason::Other(_))
            || !matches!(ErrorCode::from(&*text), ErrorCode::Other(_))
    }

    /// New contents by path, whatever the paths are called: nothing that stands where a content should is kept.
    fn changes(&mut self, depth: usize) -> Result<(), DecodeError> {
        let depth = deeper(deeper(depth)?)?;
        if self.scanner.peek() != Some(b'{') {
            self.withhold();
            return Ok(());
        }
        self.object(|pass, _| {
            if pass.scanner.peek() != Some(b'{') {
                pass.withhold();
                return Ok(());
            }
            pass.object(|pass, name| match name {
                "content" => {
                    pass.withhold();
                    Ok(())
                }
                _ => pass.value(depth),
            })
        })
    }

    /// What stands in place of a value of which nothing is kept.
    fn withhold(&mut self) {
        match self.scanner.value() {
            text if text.starts_with('"') => quote(BLANK, &mut self.out),
            "null" => self.out.push_str("null"),
            _ => self.out.push_str("false"),
        }
    }

    /// Every text in a value is replaced; what has none stays.
    fn hidden(&mut self, depth: usize) -> Result<(), DecodeError> {
        let depth = deeper(depth)?;
        match self.scanner.peek() {
            Some(b'{') => return self.object(|pass, _| pass.hidden(depth)),
            Some(b'[') => return self.list(|pass| pass.hidden(depth)),
            Some(b'"') => self.withhold(),
            _ => self.keep(),
        }
        Ok(())
    }

    fn list(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut sign = '[';
        self.scanner.step();
        while !self.scanner.ends(b']') {
            self.out.push(mem::replace(&mut sign, ','));
            item(self)?;
        }
        self.out.push_str(if sign == '[' { "[]" } else { "]" });
        Ok(())
    }

    /// `member` writes the value behind a name. One with half of a surrogate pair is none that anybody looks for, and stays as it is.
    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut sign = '{';
        self.scanner.step();
        while !self.scanner.ends(b'}') {
            self.out.push(mem::replace(&mut sign, ','));
            let token = self.scanner.quoted();
            let name = unquoted(token);
            match &name {
                Ok(Cow::Owned(name)) => quote(name, &mut self.out),
                Ok(Cow::Borrowed(_)) | Err(_) => self.out.push_str(token),
            }
            self.scanner.step(); // the colon
            self.out.push(':');
            member(self, name.as_deref().unwrap_or_default())?;
        }
        self.out.push_str(if sign == '{' { "{}" } else { "}" });
        Ok(())
    }
}

/// The levels that are left inside.
fn deeper(depth: usize) -> Result<usize, DecodeError> {
    depth.checked_sub(1).ok_or(DecodeError::TooDeep { max: DEPTH })
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
    fn words_are_hidden_wherever_they_stand_and_names_are_not() {
        let text = r#"{"objective":"w","assumptions":["w","w"],"summary":{"total":1},"op":{"summary":"w","n":2.50},"file_changes":{"content":{"content":"w"}},"target_state_refs":{"content":"sha256:1"}}"#;
        let blank = without_free_text(text).unwrap();
        assert_eq!(blank, text.replace(r#""w""#, r#""[redacted]""#));
    }

    #[test]
    fn words_are_hidden_in_whatever_they_stand() {
        let text = r#"{"objective":{"text":"w","more":{"x":["w",2.50,{"content":"w"}]}},"assumptions":[{"text":"w"},["w"]],"scope":{"extensions":{"intent_semantics":{"action":"add","symbols":["S"],"postconditions":["w",{"behavior":"w","expected":["w"],"n":1}],"postcondition":{"text":"w"}}}},"duplicate_candidate":{"matched_symbols":["S"],"matched_postconditions":["w"],"other":{"postconditions":["w"]},"guidance":"w"},"target_state_refs":{"a":{"objective":"w"}}}"#;
        assert_eq!(without_free_text(text).unwrap(), text.replace(r#""w""#, r#""[redacted]""#));
    }

    #[test]
    fn the_reasons_of_a_batch_are_hidden_where_they_are_words() {
        let text = r#"{"op_id":"b","reason":"batch_entries_rejected","reasons":{"content":"STALE_STATE_REF","o":"policy_violation","p":"w","q":{"r":"w"}}}"#;
        assert_eq!(without_free_text(text).unwrap(), text.replace(r#""w""#, r#""[redacted]""#));
        assert_eq!(without_contents(text).unwrap(), text);
    }

    /// Whoever is called like a member is no member.
    #[test]
    fn names_that_somebody_chose_hide_nothing() {
        let text = r#"{"target_state_refs":{"content":"sha256:1"},"sender_frontier":{"content":{"last_ts":"t"}},"recent_message_counts":{"content":{"since":"t","count":1}},"role_policy":{"role_assignments":{"content":["owner"]},"role_constraints":{"summary":{"allowed_principal_types":["agent"]}}},"governance_policy":{"escalated_arbiters":{"content":["p"]}},"extensions":{"impact_symbols":{"content":["S"],"objective":null}},"reasons":{"content":"INVALID_REFERENCE"},"coordinator_state":{"workspace_file_bytes":{"content":1,"credential":2},"refused_claimers":{"content":"t"},"diverged":{"objective":"c"}}}"#;
        assert_eq!(without_free_text(text).unwrap(), text);
        assert_eq!(without_contents(text).unwrap(), text);
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
    fn layout_goes_and_everything_else_stays_as_it_came() {
        let text = "\n{ \"a\" : [ 1.50 , -0e5 , [ ] , { } , null ] ,\t\"\\u0062\\/\":\"\\u00e9 \\/ ]}\" , \"a\": true , \"\\ud800\" : {\"c\": 1} }\r\n";
        let kept = r#"{"a":[1.50,-0e5,[],{},null],"b/":"\u00e9 \/ ]}","a":true,"\ud800":{"c":1}}"#;
        for pass in [blank_credentials, without_free_text, without_contents, compact] {
            assert_eq!(pass(text).unwrap(), kept);
        }
        assert_eq!(compact(" 7 ").unwrap(), "7");
    }

    #[test]
    fn what_cannot_be_followed_is_an_error() {
        let deep = alloc::format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for odd in [
            &deep,
            &alloc::format!(r#"{{"objective":{deep}}}"#),
            &alloc::format!(r#"{{"file_changes":{{"a":{{"b":{deep}}}}}}}"#),
        ] {
            assert!(matches!(without_free_text(odd), Err(DecodeError::TooDeep { .. })));
        }
        assert!(matches!(blank_credentials(&deep), Err(DecodeError::TooDeep { .. })));
        // Of a credential nothing is followed.
        let secret = alloc::format!(r#"{{"credential":{{"value":{deep}}}}}"#);
        assert_eq!(blank_credentials(&secret).unwrap(), r#"{"credential":{"value":false}}"#);
        assert!(blank_credentials("{bad").is_err());
        assert!(without_free_text("").is_err());
    }
}
