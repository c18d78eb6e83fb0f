//! Why something was not done, in the parts that a program or a person can act on.

use std::fmt;
use std::time::Duration;

use mpac_core::participant::{Holder, holders};
use mpac_wire::names::ErrorCode;
use mpac_wire::payload::ProtocolError;
use serde::Serialize;

/// A refusal: by the coordinator (PROTOCOL_ERROR, OP_REJECT), and nothing has changed by what was asked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TurnedDown {
    /// What was refused, as in "the commit to a.py".
    pub what: String,
    /// `error_code`, or `OP_REJECT`.
    pub code: String,
    /// The coordinator's words: its `description`, or the reason of an OP_REJECT.
    pub why: String,
    /// Whose intents are in the way, where the coordinator says (STALE_INTENT, LCK-03).
    pub holders: Vec<Holder>,
    /// How long to wait, where the coordinator says (INTENT_BACKOFF, BKO-05).
    pub retry_after: Option<Duration>,
    /// The requirement behind the code.
    pub rule: &'static str,
    /// What to do now.
    pub next_step: &'static str,
}

/// The same for `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    what: &'a str,
    code: &'a str,
    why: &'a str,
    rule: &'a str,
    next_step: &'a str,
    holders: Vec<ShownHolder<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_sec: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ShownHolder<'a> {
    intent_id: &'a str,
    principal_id: &'a str,
}

impl TurnedDown {
    /// By a PROTOCOL_ERROR.
    #[must_use]
    pub fn of(what: &str, error: &ProtocolError) -> Self {
        let (rule, next_step) = advice(&error.error_code);
        Self {
            what: what.to_owned(),
            code: error.error_code.to_string(),
            why: error.description.clone(),
            holders: if error.error_code == ErrorCode::StaleIntent { holders(error) } else { Vec::new() },
            retry_after: retry_after(error),
            rule,
            next_step,
        }
    }

    /// By a PROTOCOL_ERROR of which only this is known.
    pub(crate) fn by_code(what: &str, code: &str, why: &str) -> Self {
        Self::of(what, &ProtocolError::new(ErrorCode::from(code), why.to_owned()))
    }

    /// By an OP_REJECT with this reason.
    #[must_use]
    pub fn rejected(what: &str, why: String) -> Self {
        let next_step = match why.split(':').next().unwrap_or_default() {
            "participant_unavailable" => "you were taken for gone, and nobody else said no: propose it again",
            "intent_terminated" => "announce again and commit under the new intent",
            "batch_validation_failed" | "batch_entries_rejected" => {
                "read the files named there, mend those changes and commit the batch again"
            }
            _ => "look at the conflicts, or ask who rejected it",
        };
        Self {
            what: what.to_owned(),
            code: "OP_REJECT".to_owned(),
            why,
            holders: Vec::new(),
            retry_after: None,
            rule: "OPS-17",
            next_step,
        }
    }

    /// By an INTENT_CLAIM_STATUS that does not approve.
    #[must_use]
    pub fn claim(what: &str, why: String) -> Self {
        let next_step = match why.as_str() {
            "original_owner_rejoined" => "leave it to its owner, who is back",
            "scope_not_contained" => "claim no more than the intent covers",
            _ => "look at who is at work (`who`) and claim again if it is still suspended",
        };
        Self {
            what: what.to_owned(),
            code: "CLAIM_REJECTED".to_owned(),
            why,
            holders: Vec::new(),
            retry_after: None,
            rule: "CLM-16",
            next_step,
        }
    }

    /// Whether the file has moved on, and reading it and redoing the change would help.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.code == ErrorCode::StaleStateRef.as_str() || self.why.contains(ErrorCode::StaleStateRef.as_str())
    }

    pub(crate) fn shown(&self) -> Shown<'_> {
        let holder = |it| {
            let it: &Holder = it;
            ShownHolder { intent_id: it.intent.as_str(), principal_id: it.principal.as_str() }
        };
        Shown {
            what: &self.what,
            code: &self.code,
            why: &self.why,
            rule: self.rule,
            next_step: self.next_step,
            holders: self.holders.iter().map(holder).collect(),
            retry_after_sec: self.retry_after.map(|wait| wait.as_secs_f64()),
        }
    }
}

impl fmt::Display for TurnedDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the coordinator refused {}: {}: {}", self.what, self.code, self.why)?;
        for holder in &self.holders {
            write!(f, "; held by {} with intent {}", holder.principal, holder.intent)?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "; {:.1} s left", wait.as_secs_f64())?;
        }
        write!(f, " (rule {}). Next: {}", self.rule, self.next_step)
    }
}

/// The requirement behind a code, and what to do about it.
fn advice(code: &ErrorCode) -> (&'static str, &'static str) {
    match code {
        ErrorCode::StaleIntent => (
            "LCK-01",
            "defer to the holder and announce again when its intent has ended, or choose other files",
        ),
        ErrorCode::StaleStateRef => {
            ("OCC-13", "read the file, put the change on top of that, and commit again")
        }
        ErrorCode::IntentBackoff => ("BKO-05", "wait that long before this scope is announced again"),
        ErrorCode::ScopeFrozen => {
            ("PAR-23", "wait for the conflict's resolution; other files can be worked on")
        }
        ErrorCode::InvalidReference => ("INT-11", "check the id; what it names is unknown there, or over"),
        ErrorCode::AuthorizationFailed => {
            ("ROL-03", "ask somebody with the role for it, an owner or arbiter, or join with `--role`")
        }
        ErrorCode::ClaimConflict => ("CLM-02", "leave it: somebody else's claim came first"),
        ErrorCode::ResolutionConflict => ("GOV-04", "look at the resolution that came first; it stands"),
        ErrorCode::CausalGap => ("LAM-18", "look at the session (`summary`) and try again"),
        ErrorCode::StateDivergence => (
            "REC-30",
            "read the files again and join again, which takes back what the recovered coordinator does not know; or ask an owner or arbiter to resolve the conflict (`conflicts`)",
        ),
        ErrorCode::SessionClosed => ("SES-14", "the session is over; join another one"),
        ErrorCode::CredentialRejected => ("SEC-07", "check MPAC_CREDENTIAL, or ask for another key"),
        ErrorCode::UnknownMessageType => {
            ("EXT-04", "do without it here: this server or its level does not know it")
        }
        ErrorCode::MalformedMessage => ("ENV-01", "mend what the description names"),
        _ => ("ERR-10", "read the description"),
    }
}

/// `extensions.retry_after_sec`.
fn retry_after(error: &ProtocolError) -> Option<Duration> {
    let extensions: serde_json::Value = error.extensions.as_ref()?.read().ok()?;
    Duration::try_from_secs_f64(extensions.get("retry_after_sec")?.as_f64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ProtocolError {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_refusal_says_rule_holder_time_left_and_next_step() {
        let taken = error(
            r#"{"error_code":"STALE_INTENT","description":"taken by intent i-1 (principal agent:A)","extensions":{"retry_after_sec":2.5}}"#,
        );
        let text = TurnedDown::of("the announce", &taken).to_string();
        for part in ["STALE_INTENT", "agent:A", "i-1", "2.5 s left", "LCK-01", "announce again when"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!TurnedDown::of("x", &taken).is_stale());
    }

    #[test]
    fn after_a_divergence_the_next_step_is_one() {
        let error = ProtocolError::new(ErrorCode::StateDivergence, "d".to_owned());
        let refusal = TurnedDown::of("the commit to a.py", &error);
        assert!(refusal.rule == "REC-30" && refusal.next_step.contains("join again"), "{refusal}");
    }

    #[test]
    fn who_is_named_in_another_error_holds_nothing() {
        let other = error(
            r#"{"error_code":"INVALID_REFERENCE","description":"intent i-1 (principal agent:A) is over"}"#,
        );
        let refusal = TurnedDown::of("x", &other);
        assert!(refusal.holders.is_empty() && refusal.retry_after.is_none(), "{refusal}");
    }

    #[test]
    fn a_time_that_is_none_is_left_out() {
        for wait in ["-1", "\"x\"", "1e400"] {
            let text = format!(
                r#"{{"error_code":"INTENT_BACKOFF","description":"d","extensions":{{"retry_after_sec":{wait}}}}}"#
            );
            let Ok(error) = serde_json::from_str(&text) else { continue };
            assert_eq!(TurnedDown::of("x", &error).retry_after, None, "{wait}");
        }
    }
}
