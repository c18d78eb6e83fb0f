//! Tools that change nothing.

use mpac_core::scope::{is_safe, normalize};
use mpac_wire::Scope;
use serde_json::json;

use super::answer::{Answer, all_held};
use super::bridge::Bridge;
use super::brief::{self, Room};
use super::input::{CheckOverlap, Look};
use crate::agent::{Conflict, KnownIntent};
use crate::decide::is_metadata;
use crate::error::AgentError;

pub(super) async fn who_is_working(bridge: &Bridge, asked: Look) -> Result<Answer, AgentError> {
    let view = bridge.agent().await?.view().await?;
    let mut text = format!("You are {} in session {} (level {}).", view.me, view.session_id, view.level);
    if !view.is_complete {
        text.push_str("\nThis server does not tell what was before you joined, so there may be more.");
    }
    let people = view.people.iter().filter(|it| {
        let is_gone = it.status.as_deref() == Some("offline");
        it.principal_id != view.me && (!is_gone || view.intents_of(&it.principal_id).next().is_some())
    });
    let is_alone = people.clone().next().is_none();
    let after = asked.after.unwrap_or(0);
    // Whatever there is no room for, it is not the tasks.
    let mut room = Room::after(after);
    let intents = room.fit(&view.intents, |intent| (line(intent), brief::value(intent)));
    let deferrals = room.fit(&view.deferrals, |deferral| {
        let files = deferral.scope.as_ref().and_then(|it| it.resources.as_deref()).unwrap_or_default();
        let files = brief::names(files).join(", ");
        let waits =
            format!("{} waits for {files}, for {:.0} s yet", deferral.principal_id, deferral.expires_in_sec);
        (brief::line(&waits), brief::value(deferral))
    });
    let people = room.fit(people, |person| {
        let status = person.status.as_ref().map_or(String::new(), |status| format!(", {status}"));
        let roles = match person.roles.is_empty() {
            true => String::new(),
            false => format!(" ({})", brief::names(&person.roles).join(", ")),
        };
        (brief::line(&format!("{}{roles}{status}", person.principal_id)), brief::value(person))
    });
    text.push_str(if is_alone { "\nNobody else is here." } else { "" });
    text.push_str(&people.text(""));
    text.push_str(if view.intents.is_empty() { "\nNobody has announced a task." } else { "" });
    text.push_str(&intents.text(""));
    text.push_str(&deferrals.text(""));
    let all = [&intents, &deferrals, &people];
    let cursor = after + all.iter().map(|it| it.lines.len()).sum::<usize>();
    let has_more = all.iter().any(|it| it.left > 0);
    text.push_str(&brief::going_on(cursor, has_more));
    let value = json!({
        "me": view.me, "session_id": view.session_id, "level": view.level, "execution_model": view.execution_model,
        "is_complete": view.is_complete, "people": people.values, "intents": intents.values,
        "deferrals": deferrals.values, "more": has_more, "cursor": cursor,
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
    let objective =
        intent.objective.as_deref().map_or_else(|| "(its words were not heard)".to_owned(), brief::words);
    let files = brief::names(intent.files()).join(", ");
    brief::line(&format!("{whose} {}{owner}: {objective} [{files}]{left}", intent.intent_id))
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
    let holders = all_held(&holders, Some(&view));
    let text = format!(
        "{} overlaps with the work of others:{}\nNext step: choose other files, or call defer and then wait_for_change with until=\"free\".",
        files.join(", "),
        holders.text("Held by ")
    );
    Ok(Answer::done(text, json!({"is_free": false, "files": files, "holders": holders.values})))
}

pub(super) async fn list_conflicts(bridge: &Bridge, asked: Look) -> Result<Answer, AgentError> {
    let view = bridge.agent().await?.view().await?;
    let after = asked.after.unwrap_or(0);
    let told = Room::after(after).fit(&view.conflicts, |it| (conflict(it), brief::value(it)));
    let (cursor, has_more) = (after + told.lines.len(), told.left > 0);
    let text = match (view.conflicts.is_empty(), told.lines.is_empty()) {
        (true, _) => "No conflicts are open.".to_owned(),
        (_, true) => "There are no more.".to_owned(),
        _ => format!("{}{}", told.text(""), brief::going_on(cursor, has_more)),
    };
    let value = json!({
        "is_complete": view.is_complete, "conflicts": told.values, "more": has_more, "cursor": cursor,
    });
    Ok(Answer::done(text.trim_start(), value))
}

fn conflict(it: &Conflict) -> String {
    let names: Vec<&str> = it.principals.iter().map(|who| who.as_str()).collect();
    let ids: Vec<&str> = it.intents.iter().map(|id| id.as_str()).collect();
    let words = it.description.as_ref().map_or(String::new(), |words| format!(": {}", brief::words(words)));
    let with = it.escalated_to.as_ref().map_or(String::new(), |who| format!(" to {who}"));
    let yours = if it.unacknowledged { "\n  It concerns you: call ack_conflict." } else { "" };
    let line = format!(
        "{} is {}{with} ({}) between {} [{}]{words}",
        it.conflict_id,
        it.state,
        it.category,
        brief::names(&names).join(" and "),
        brief::names(&ids).join(", ")
    );
    format!("{}{yours}", brief::line(&line))
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
