//! What must be true after a case: the frames that an observer saw, and the files.
//!
//! Pure: takes frames and texts, hands back what is wrong, one line each.

use serde_json::Value;

/// How often a message must have been seen from one principal, and with which reason.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// The principal's id.
    pub(crate) principal: String,
    /// Intents announced.
    pub(crate) announces: usize,
    /// Commits accepted.
    pub(crate) commits: usize,
    /// Reasons of its withdrawals, in order.
    pub(crate) withdrawals: Vec<&'static str>,
    /// Whether its GOODBYE is passed on (our server does, the Python servers do not).
    pub(crate) goodbye: bool,
}

/// The text member at a path such as `["sender", "principal_id"]`, empty when it is not there.
pub(crate) fn text<'a>(frame: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(frame, |value, name| value.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// The frames of one type from one principal, in order.
pub(crate) fn of<'a>(frames: &'a [Value], kind: &str, principal: &str) -> Vec<&'a Value> {
    let wanted = |frame: &&Value| {
        text(frame, &["message_type"]) == kind && text(frame, &["sender", "principal_id"]) == principal
    };
    frames.iter().filter(wanted).collect()
}

/// How many frames have this type, whoever sent them.
pub(crate) fn count(frames: &[Value], kind: &str) -> usize {
    frames.iter().filter(|frame| text(frame, &["message_type"]) == kind).count()
}

/// Whether everything that is expected of this principal has been seen: then its part is over.
pub(crate) fn is_over(frames: &[Value], expected: &Expected) -> bool {
    of(frames, "INTENT_WITHDRAW", &expected.principal).len() >= expected.withdrawals.len()
        && (!expected.goodbye || !of(frames, "GOODBYE", &expected.principal).is_empty())
}

/// What is wrong with the messages of one principal.
pub(crate) fn principal(frames: &[Value], expected: &Expected) -> Vec<String> {
    let who = &expected.principal;
    let mut wrong = Vec::new();
    let mut number = |kind: &str, wanted: usize| {
        let seen = of(frames, kind, who).len();
        if seen != wanted {
            wrong.push(format!("{who}: {seen} {kind} seen, {wanted} expected"));
        }
    };
    number("INTENT_ANNOUNCE", expected.announces);
    number("OP_COMMIT", expected.commits);
    number("GOODBYE", usize::from(expected.goodbye));
    let reasons: Vec<&str> = of(frames, "INTENT_WITHDRAW", who)
        .into_iter()
        .map(|frame| text(frame, &["payload", "reason"]))
        .collect();
    if reasons != expected.withdrawals {
        wrong.push(format!("{who}: withdrew with {reasons:?}, expected {:?}", expected.withdrawals));
    }
    let at = |kind: &str| {
        let seen = |frame: &Value| {
            text(frame, &["message_type"]) == kind && text(frame, &["sender", "principal_id"]) == who
        };
        (frames.iter().position(seen), frames.iter().rposition(seen))
    };
    let ((announced, _), (committed, _), (_, withdrew)) =
        (at("INTENT_ANNOUNCE"), at("OP_COMMIT"), at("INTENT_WITHDRAW"));
    if committed.is_some() && !(announced < committed && committed < withdrew) {
        wrong.push(format!("{who}: announce, commit and withdrawal came in another order"));
    }
    wrong
}

/// What is wrong with all commits together: content passed on, pushes missing, or two commits on the same base.
pub(crate) fn commits(frames: &[Value], same_file: bool) -> Vec<String> {
    let commits: Vec<&Value> =
        frames.iter().filter(|frame| text(frame, &["message_type"]) == "OP_COMMIT").collect();
    let mut wrong = Vec::new();
    if commits.iter().any(|frame| frame["payload"].get("file_changes").is_some()) {
        wrong.push("an OP_COMMIT was passed on with its file_changes".to_owned());
    }
    let pushes = frames.iter().filter(|frame| text(frame, &["type"]) == "FILE_UPDATED").count();
    if pushes != commits.len() {
        wrong.push(format!("{pushes} FILE_UPDATED for {} commits", commits.len()));
    }
    if same_file {
        for pair in commits.windows(2) {
            let (after, before) = (
                text(pair[0], &["payload", "state_ref_after"]),
                text(pair[1], &["payload", "state_ref_before"]),
            );
            if after != before || after.is_empty() {
                wrong.push(format!("the second commit builds on `{before}`, the first one made `{after}`"));
            }
        }
    }
    wrong
}

/// What is wrong with a file: it must be `base` and then one line for each editor, in any order, and nothing else.
///
/// Line ends at the end of the file are not compared: the Python agent drops them.
pub(crate) fn file(path: &str, base: &str, now: &str, editors: &[&str]) -> Option<String> {
    let (base, now) = (base.trim_end(), now.trim_end());
    let rest = now.strip_prefix(base);
    let mut lines = rest.unwrap_or_default().lines();
    // What is left of the base's own last line.
    let is_base_there = rest.is_some() && lines.next().unwrap_or_default().is_empty();
    let mut added: Vec<&str> = lines.collect();
    let mut wanted: Vec<String> = editors.iter().map(|name| format!("# edited by {name}")).collect();
    added.sort_unstable();
    wanted.sort_unstable();
    let fits = is_base_there && added == wanted;
    (!fits).then(|| format!("{path} should have the lines {wanted:?} at its end, but is:\n{now}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(kind: &str, who: &str, payload: Value) -> Value {
        json!({"message_type": kind, "sender": {"principal_id": who}, "payload": payload})
    }

    fn story() -> Vec<Value> {
        vec![
            frame("INTENT_ANNOUNCE", "agent:A", json!({})),
            frame("OP_COMMIT", "agent:A", json!({"state_ref_before": "r0", "state_ref_after": "r1"})),
            json!({"type": "FILE_UPDATED", "path": "a.py"}),
            frame("INTENT_WITHDRAW", "agent:A", json!({"reason": "task_completed"})),
        ]
    }

    fn expected() -> Expected {
        let withdrawals = vec!["task_completed"];
        Expected { principal: "agent:A".to_owned(), announces: 1, commits: 1, withdrawals, goodbye: false }
    }

    #[test]
    fn a_whole_task_has_nothing_wrong() {
        assert!(is_over(&story(), &expected()));
        assert!(principal(&story(), &expected()).is_empty());
        assert!(commits(&story(), true).is_empty());
    }

    #[test]
    fn a_missing_message_a_wrong_reason_and_a_wrong_order_are_told() {
        let mut frames = story();
        frames.remove(1);
        assert_eq!(principal(&frames, &expected()).len(), 1);
        let yielded = Expected { withdrawals: vec!["yielded"], ..expected() };
        assert_eq!(principal(&story(), &yielded).len(), 1);
        let mut frames = story();
        frames.swap(0, 1);
        assert_eq!(principal(&frames, &expected()).len(), 1);
    }

    #[test]
    fn content_passed_on_a_missing_push_and_a_lost_update_are_told() {
        let mut frames = story();
        frames.remove(2);
        frames.push(frame("OP_COMMIT", "agent:B", json!({"state_ref_before": "r0", "file_changes": {}})));
        assert_eq!(commits(&frames, true).len(), 3);
    }

    #[test]
    fn a_file_has_its_old_text_and_one_line_for_each_editor() {
        assert_eq!(file("a", "x = 1\n", "x = 1\n# edited by B\n# edited by A", &["A", "B"]), None);
        for bad in [
            "x = 1\n# edited by A\n",
            "x = 2\n# edited by A\n# edited by B\n",
            "x = 10\n# edited by A\n# edited by B\n",
            "x = 1\n# edited by A\n# edited by A\n",
        ] {
            assert!(file("a", "x = 1\n", bad, &["A", "B"]).is_some(), "{bad}");
        }
        assert_eq!(file("a", "x = 1\n", "x = 1\n", &[]), None);
        assert!(file("a", "x = 1\n", "x = 1 and more\n", &[]).is_some());
    }
}
