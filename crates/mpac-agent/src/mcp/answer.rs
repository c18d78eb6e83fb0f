//! What a tool says: words for the model, and the same as a value.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use mpac_core::participant::{Holder, Withheld};
use serde_json::{Map, Value, json};

use super::brief::{self, Fitting, Room};
use crate::agent::{KnownIntent, Snapshot, TurnedDown};
use crate::error::AgentError;
use crate::session::FileState;

/// So much of a file's text is told at once, in bytes: hosts cut answers that are longer than some ten thousand words.
pub(super) const SHOWN: usize = 32 << 10;

/// The answer of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// For the model.
    pub(super) text: String,
    /// The same for programs: an object with `ok`.
    pub(super) value: Value,
    /// It is not done, or not known to be.
    pub(super) is_error: bool,
}

/// Why something was refused, in parts.
#[derive(Debug, Default)]
struct Reason {
    code: String,
    why: String,
    rule: Option<&'static str>,
    holders: Vec<Holder>,
    time_left: Option<Duration>,
    next: String,
    /// Something may have been changed all the same.
    is_undecided: bool,
    /// Nobody has refused it: it is to be gone on with.
    is_waiting: bool,
    /// The text that is to be read before the next step; told last, since anything may stand in it.
    to_read: Option<String>,
    more: Value,
}

impl Answer {
    /// It is done: `value` is an object.
    pub(super) fn done(text: impl Into<String>, value: Value) -> Self {
        Self { text: text.into(), value: with(json!({"ok": true}), value), is_error: false }
    }

    /// What the arguments have to be is another thing.
    pub(super) fn misused(tool: &str, why: &str) -> Self {
        let next = "call it again with arguments that fit the tool's schema".to_owned();
        let reason =
            Reason { code: "BAD_ARGUMENTS".to_owned(), why: why.to_owned(), next, ..Reason::default() };
        reason.told(tool, None)
    }

    /// It is not done before somebody has authorised it: `words` are why, and the next step.
    pub(super) fn waiting(tool: &str, words: (String, String), more: Value) -> Self {
        let (code, rule) = ("WAITS_FOR_APPROVAL".to_owned(), Some("OPS-24"));
        let (why, next) = words;
        Reason { code, why, rule, next, is_waiting: true, more, ..Reason::default() }.told(tool, None)
    }

    /// It is refused, or went wrong: the rule, the holder, the time left and the next step as far as they are known. `view`
    /// knows more of the holders.
    pub(super) fn refused(tool: &str, error: &AgentError, view: Option<&Snapshot>) -> Self {
        reason(error, view).told(tool, view)
    }
}

impl Reason {
    fn told(self, tool: &str, view: Option<&Snapshot>) -> Answer {
        let how = match (self.is_waiting, self.is_undecided) {
            (true, _) => "is not done yet, and nothing was changed",
            (_, true) => "did not come to its end",
            _ => "was refused, and nothing was changed",
        };
        let why = brief::line(&self.why);
        let mut text = format!("{tool} {how}: {}: {why}", brief::line(&self.code));
        if let Some(rule) = self.rule {
            let _ = write!(text, "\nRule: {rule}");
        }
        let holders = all_held(&self.holders, view);
        text.push_str(&holders.text("Held by "));
        if let Some(wait) = self.time_left {
            let _ = write!(text, "\nTime left: {:.1} s", wait.as_secs_f64());
        }
        let _ = write!(text, "\nNext step: {}", self.next);
        if let Some(to_read) = &self.to_read {
            let _ = write!(text, "\nIts text now:\n{to_read}");
        }
        let mut value = json!({
            "ok": false, "undecided": self.is_undecided, "code": self.code, "why": why, "next_step": self.next,
            "holders": holders.values,
        });
        if let Some(rule) = self.rule {
            value["rule"] = json!(rule);
        }
        if let Some(wait) = self.time_left {
            value["retry_after_sec"] = json!(wait.as_secs_f64());
        }
        Answer { text, value: with(value, self.more), is_error: true }
    }
}

/// Both objects in one.
fn with(object: Value, more: Value) -> Value {
    let members = |value| match value {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    Value::Object(members(object).into_iter().chain(members(more)).collect())
}

/// Whose it is, for what, and how long yet: one line each, so that what others are called and say is no advice of ours. `view` knows
/// more of them.
pub(super) fn all_held(holders: &[Holder], view: Option<&Snapshot>) -> Fitting {
    Room::aside().fit(holders, |holder| {
        let known = view.and_then(|view| view.intents.iter().find(|it| it.intent_id == holder.intent));
        (held(holder, known), shown(holder, known))
    })
}

/// Who they are.
pub(super) fn names(holders: &[Holder]) -> Vec<String> {
    let all: Vec<&str> = holders.iter().map(|it| it.principal.as_str()).collect();
    brief::names(&all)
}

fn held(holder: &Holder, known: Option<&KnownIntent>) -> String {
    let mut text = format!("{} with task {}", holder.principal, holder.intent);
    let Some(known) = known else { return brief::line(&text) };
    if let Some(objective) = &known.objective {
        let _ = write!(text, " (\"{}\")", brief::words(objective));
    }
    if !known.files().is_empty() {
        let _ = write!(text, " on {}", brief::names(known.files()).join(", "));
    }
    if known.suspended {
        text.push_str(", suspended: it can be taken over with take_over_task");
    } else if let Some(left) = known.expires_in_sec {
        let _ = write!(text, ", {left:.0} s left unless it is renewed");
    }
    brief::line(&text)
}

/// The same as a value.
fn shown(holder: &Holder, known: Option<&KnownIntent>) -> Value {
    brief::value(json!({
        "principal_id": holder.principal, "intent_id": holder.intent,
        "objective": known.and_then(|it| it.objective.as_deref()), "files": known.map(KnownIntent::files),
        "time_left_sec": known.and_then(|it| it.expires_in_sec), "suspended": known.map(|it| it.suspended),
    }))
}

fn reason(error: &AgentError, view: Option<&Snapshot>) -> Reason {
    match error {
        AgentError::TurnedDown(it) => turned_down(it),
        AgentError::Withheld { what, why } => withheld(what, why),
        AgentError::Stale { path, current } => stale(path, current, view),
        other => {
            let (code, next) = failed(other);
            let (why, is_undecided) = (other.to_string(), matches!(code, "UNDECIDED" | "GAVE_UP" | "FAILED"));
            Reason { code: code.to_owned(), why, next: next.to_owned(), is_undecided, ..Reason::default() }
        }
    }
}

/// Whether a refusal shows all of this text.
pub(super) fn shows(current: &FileState) -> bool {
    current.content.len() <= SHOWN
}

fn stale(path: &str, current: &FileState, view: Option<&Snapshot>) -> Reason {
    let to_read = shows(current).then(|| current.content.clone());
    let mut more = json!({"path": path, "state_ref": current.state_ref});
    if let Some(content) = &to_read {
        more["content"] = json!(content);
    }
    let source = if to_read.is_some() { "it stands below" } else { "get_file_state has it" };
    Reason {
        code: "STALE_STATE_REF".to_owned(),
        why: format!(
            "the text that your change builds on is not the current one: {path} is at {} now{}",
            current.state_ref,
            changed_by(path, view)
        ),
        rule: Some("OCC-13"),
        next: format!(
            "do not repeat this; put your change on top of the current text of {path} ({source}), and submit that with base_state_ref {}",
            current.state_ref
        ),
        to_read,
        more,
        ..Reason::default()
    }
}

fn changed_by(path: &str, view: Option<&Snapshot>) -> String {
    let by = view.and_then(|view| view.files.get(path)?.updated_by.as_ref());
    by.map_or(String::new(), |by| format!(", last changed by {by}"))
}

fn turned_down(it: &TurnedDown) -> Reason {
    // Its own advice speaks of verbs of the command line where the bridge has tools.
    let next = match it.code.as_str() {
        "STALE_INTENT" => {
            "leave these files to the holder: call defer for them, then wait_for_change with until=\"free\", read them anew and begin the task again; or choose other files. If the holder's task is suspended, take_over_task takes it over"
        }
        "STALE_STATE_REF" => {
            "read the file with get_file_state, put your change on top of that, and submit it again"
        }
        "SCOPE_FROZEN" => {
            "wait_for_change until the conflict is resolved (list_conflicts shows it); other files can be worked on"
        }
        "INVALID_REFERENCE" => {
            "look at who_is_working or list_conflicts for the ids that are live now; this one is unknown, over, or not to be had"
        }
        "AUTHORIZATION_FAILED" => {
            "leave it to somebody with the role for it: escalate_conflict to an owner or arbiter (who_is_working shows the roles)"
        }
        "CLAIM_CONFLICT" | "CLAIM_REJECTED" => {
            "leave it to whoever has it now (who_is_working), and choose other work"
        }
        "STATE_DIVERGENCE" => {
            "read the files anew with get_file_state, and ask an owner or arbiter to resolve the conflict that list_conflicts shows"
        }
        "RESOLUTION_CONFLICT" => "look at list_conflicts: the resolution that came first stands",
        "OP_REJECT" => "look at list_conflicts and who_is_working, begin the task again and submit under it",
        "INTENT_BACKOFF" => "wait for that long before you begin a task on these files again",
        _ => it.next_step,
    };
    Reason {
        code: it.code.clone(),
        why: it.why.clone(),
        rule: Some(it.rule),
        holders: it.holders.clone(),
        time_left: it.retry_after,
        next: next.to_owned(),
        ..Reason::default()
    }
}

/// What the own end held back, before anything was sent.
fn withheld(what: &str, why: &Withheld) -> Reason {
    let silent = "call who_is_working in a moment, and repeat this once the coordinator is heard of again";
    let (rule, next) = match why {
        Withheld::CoordinatorSilent | Withheld::InTheWayWhileSilent { .. } => (Some("REC-06"), silent),
        Withheld::CausalGap => (Some("LAM-18"), "call who_is_working, and try again"),
        Withheld::Backoff { .. } => {
            (Some("BKO-01"), "wait for that long before you begin a task on these files again")
        }
        Withheld::IntentNeeded => (Some("INT-02"), "call begin_task for the file first"),
        Withheld::IntentOver(_) | Withheld::IntentSuspended(_) | Withheld::IntentUnconfirmed(_) => {
            (Some("PAR-22"), "look at who_is_working, and begin the task again if it is not there")
        }
        Withheld::Frozen(_) => (Some("PAR-23"), "wait_for_change until the conflict is resolved"),
        Withheld::ReadAgain(_) => {
            (Some("OCC-13"), "read the file with get_file_state and put your change on top of that")
        }
        _ => (None, "look at who_is_working and list_conflicts before you try again"),
    };
    let time_left = match why {
        Withheld::Backoff { until } => Some(left(until.micros())),
        _ => None,
    };
    let why = format!("{what} was held back: {why}");
    Reason { code: "WITHHELD".to_owned(), why, rule, time_left, next: next.to_owned(), ..Reason::default() }
}

fn left(until_micros: i64) -> Duration {
    let until = Duration::from_micros(until_micros.try_into().unwrap_or(0));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    until.saturating_sub(now)
}

/// Code and next step of what is no refusal by a rule.
fn failed(error: &AgentError) -> (&'static str, &'static str) {
    match error {
        AgentError::Usage(_) => ("BAD_ARGUMENTS", "mend what is named there, and call it again"),
        AgentError::NobodyThere { .. } | AgentError::CannotConnect { .. } => (
            "NOT_CONNECTED",
            "ask your user to start the coordinator, or to mend MPAC_URL in the host's configuration; then call this again",
        ),
        AgentError::NotLetIn { .. } | AgentError::Refused { .. } | AgentError::Distrusted(_) => (
            "NOT_LET_IN",
            "ask your user to mend the credentials, the name or the session in the host's configuration of this server",
        ),
        AgentError::Away { .. } => {
            ("CONNECTION_BROKEN", "wait a moment and call this again; it is tried again by itself")
        }
        AgentError::StillJoining => ("STILL_JOINING", "wait a moment and call this again"),
        AgentError::SessionClosed(_) => (
            "SESSION_ENDED",
            "tell your user: whoever runs the coordinator starts it again for a new session, and who_is_working joins that",
        ),
        AgentError::Lost(_) => (
            "SESSION_ENDED",
            "call who_is_working: it joins anew where that can be; if it cannot, tell your user",
        ),
        AgentError::NoAnswer { accepted, .. } if !accepted.is_empty() => (
            "UNDECIDED",
            "it was accepted: do not repeat it before get_file_state shows that it is not there",
        ),
        AgentError::NoAnswer { .. } | AgentError::Ignored { .. } | AgentError::Unsettled { .. } => (
            "UNDECIDED",
            "whether it took effect is not known: look at who_is_working and get_file_state before you repeat it",
        ),
        AgentError::GaveUp { .. } => ("GAVE_UP", "look at who_is_working, and try again later"),
        AgentError::Unsupported { .. } => ("UNSUPPORTED", "do without it in this session"),
        AgentError::Unreadable { .. } => ("UNREADABLE", "check the path with get_file_state without a path"),
        AgentError::TooLarge { .. } => ("TOO_LARGE", "split the file, and change the parts one by one"),
        _ => ("FAILED", "tell your user what went wrong"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_is_one_that_leads_on() {
        let told = |error| Answer::refused("submit_change", &error, None).value;
        let next = |told: &Value| told["next_step"].as_str().unwrap().to_owned();
        let diverged = TurnedDown::by_code("the commit to a.py", "STATE_DIVERGENCE", "a.py is not as it was");
        let diverged = told(AgentError::TurnedDown(Box::new(diverged)));
        assert_eq!((&diverged["code"], &diverged["undecided"]), (&json!("STATE_DIVERGENCE"), &json!(false)));
        let step = next(&diverged);
        assert!(step.contains("get_file_state") && step.contains("resolve the conflict"), "{step}");

        let closed = told(AgentError::SessionClosed("manual".to_owned()));
        assert_eq!((&closed["code"], &closed["undecided"]), (&json!("SESSION_ENDED"), &json!(false)));
        assert!(next(&closed).contains("starts it again for a new session"), "{closed}");
        let lost = told(AgentError::Lost("it broke".to_owned()));
        assert_eq!(lost["code"], "SESSION_ENDED");
        assert!(next(&lost).starts_with("call who_is_working"), "{lost}");
    }
}
