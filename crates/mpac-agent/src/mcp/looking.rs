//! Tools that change nothing.

use std::fmt::Write as _;

use mpac_core::scope::{is_safe, normalize};
use mpac_wire::Scope;
use serde_json::json;

use super::answer::{Answer, held, shown};
use super::bridge::Bridge;
use super::input::{CheckOverlap, Nothing};
use crate::agent::KnownIntent;
use crate::decide::is_metadata;
use crate::error::AgentError;
use crate::report::one_line;

pub(super) async fn who_is_working(bridge: &Bridge, _: Nothing) -> Result<Answer, AgentError> {
    let view = bridge.agent().await?.view().await?;
    let mut text = format!("You are {} in session {} (level {}).", view.me, view.session_id, view.level);
    if !view.is_complete {
        text.push_str("\nThis server does not tell what was before you joined, so there may be more.");
    }
    let people = view.people.iter().filter(|it| {
        let is_gone = it.status.as_deref() == Some("offline");
        it.principal_id != view.me && (!is_gone || view.intents_of(&it.principal_id).next().is_some())
    });
    let people: Vec<_> = people.collect();
    for person in &people {
        let status = person.status.as_ref().map_or(String::new(), |status| format!(", {status}"));
        let roles = match person.roles.is_empty() {
            true => String::new(),
            false => format!(" ({})", person.roles.join(", ")),
        };
        let _ = write!(text, "\n{}", one_line(&format!("{}{roles}{status}", person.principal_id)));
    }
    if people.is_empty() {
        text.push_str("\nNobody else is here.");
    }
    for intent in &view.intents {
        let _ = write!(text, "\n{}", line(intent));
    }
    if view.intents.is_empty() {
        text.push_str("\nNobody has announced a task.");
    }
    for deferral in &view.deferrals {
        let files = deferral.scope.as_ref().and_then(|it| it.resources.as_deref()).unwrap_or_default();
        let _ = write!(
            text,
            "\n{} waits for {}, for {:.0} s yet",
            one_line(deferral.principal_id.as_str()),
            one_line(&files.join(", ")),
            deferral.expires_in_sec
        );
    }
    let value = json!({
        "me": view.me, "session_id": view.session_id, "level": view.level, "execution_model": view.execution_model,
        "is_complete": view.is_complete, "people": people, "intents": view.intents, "deferrals": view.deferrals,
    });
    Ok(Answer::done(text, value))
}

fn line(intent: &KnownIntent) -> String {
    let whose = if intent.own { "Your task" } else { "Task" };
    let owner = if intent.own { String::new() } else { format!(" of {}", intent.principal_id) };
    let left = match (intent.suspended, intent.expires_in_sec) {
        (true, _) => "; suspended, so it can be taken over with take_over_task".to_owned(),
        (false, Some(left)) => format!("; {left:.0} s left unless it is renewed"),
        (false, None) => String::new(),
    };
    let objective = intent.objective.as_deref().unwrap_or("(its words were not heard)");
    one_line(&format!(
        "{whose} {}{owner}: {objective} [{}]{left}",
        intent.intent_id,
        intent.files().join(", ")
    ))
}

pub(super) async fn check_overlap(bridge: &Bridge, asked: CheckOverlap) -> Result<Answer, AgentError> {
    let files = named(asked.files)?;
    let agent = bridge.agent().await?;
    let (holders, view) =
        (agent.in_the_way(&Scope::files(files.iter().cloned())).await?, agent.view().await?);
    if holders.is_empty() {
        let text = format!("Nobody else works on {}: call begin_task to take it.", files.join(", "));
        return Ok(Answer::done(text, json!({"is_free": true, "files": files, "holders": []})));
    }
    let mut text = format!("{} overlaps with the work of others:", files.join(", "));
    let mut values = Vec::new();
    for holder in &holders {
        let known = view.intents.iter().find(|it| it.intent_id == holder.intent);
        let _ = write!(text, "\nHeld by {}", held(holder, known));
        values.push(shown(holder, known));
    }
    text.push_str(
        "\nNext step: choose other files, or call defer and then wait_for_change with until=\"free\".",
    );
    Ok(Answer::done(text, json!({"is_free": false, "files": files, "holders": values})))
}

pub(super) async fn list_conflicts(bridge: &Bridge, _: Nothing) -> Result<Answer, AgentError> {
    let view = bridge.agent().await?.view().await?;
    let mut text = String::new();
    for it in &view.conflicts {
        let names: Vec<&str> = it.principals.iter().map(|who| who.as_str()).collect();
        let ids: Vec<&str> = it.intents.iter().map(|id| id.as_str()).collect();
        let words = it.description.as_ref().map_or(String::new(), |words| format!(": {words}"));
        let with = it.escalated_to.as_ref().map_or(String::new(), |who| format!(" to {who}"));
        let yours = if it.unacknowledged { "\n  It concerns you: call ack_conflict." } else { "" };
        let line = format!(
            "{} is {}{with} ({}) between {} [{}]{words}",
            it.conflict_id,
            it.state,
            it.category,
            names.join(" and "),
            ids.join(", ")
        );
        let _ = writeln!(text, "{}{yours}", one_line(&line));
    }
    if text.is_empty() {
        text.push_str("No conflicts are open.");
    }
    Ok(Answer::done(text.trim_end(), json!({"is_complete": view.is_complete, "conflicts": view.conflicts})))
}

/// # Errors
/// [`AgentError::Usage`] where there are none, or as [`in_workspace`].
pub(super) fn named(files: Vec<String>) -> Result<Vec<String>, AgentError> {
    if files.is_empty() {
        return Err(AgentError::Usage("name at least one file".to_owned()));
    }
    files.iter().try_for_each(|file| in_workspace(file))?;
    Ok(files)
}

/// The coordinator stores nothing elsewhere (OCC-08), but an intent on such a name it takes: names are all the same to it.
///
/// # Errors
/// [`AgentError::Usage`] for a path that leaves the workspace, or that belongs to version control.
pub(super) fn in_workspace(path: &str) -> Result<(), AgentError> {
    let normal = normalize(path);
    let why = if path.trim().is_empty() || !is_safe(&normal) {
        "is no file of the shared workspace: paths are relative to it, with \"/\" and without \"..\", as get_file_state lists them"
    } else if is_metadata(&normal) {
        "belongs to version control, and a file there may be run without anybody looking; choose another"
    } else {
        return Ok(());
    };
    Err(AgentError::Usage(format!("{path:?} {why}")))
}
