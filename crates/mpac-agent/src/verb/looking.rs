//! `who`, `conflicts`, `files`, `cat`.

use std::fmt::Write as _;

use serde_json::json;

use super::out::Out;
use crate::agent::{Agent, Conflict, KnownIntent, Person, Snapshot};
use crate::cli::verb::Cat;
use crate::error::AgentError;
use crate::report::one_line;

/// What a server that tells nothing leaves open.
const INCOMPLETE: &str =
    "this server does not tell what was before we joined; one of mpac 0.2 does with --ask-summary";

pub(super) async fn who(agent: &Agent, out: &mut Out) -> Result<(), AgentError> {
    let view = agent.view().await?;
    warn(&view, out);
    let mut text = String::new();
    for person in view.people.iter().filter(|person| is_of_interest(person, &view)) {
        let name = person.display_name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        let heading = format!("{}{name}{}", person.principal_id, status(person.status.as_deref()));
        let _ = writeln!(text, "{}", one_line(&heading));
        for intent in view.intents_of(&person.principal_id) {
            let _ = writeln!(text, "  {}", line(intent));
        }
    }
    let known = |intent: &&KnownIntent| view.people.iter().any(|it| it.principal_id == intent.principal_id);
    for intent in view.intents.iter().filter(|intent| !known(intent)) {
        let _ = writeln!(text, "{} (not here)\n  {}", one_line(intent.principal_id.as_str()), line(intent));
    }
    if text.is_empty() {
        text.push_str("nobody else is here");
    }
    let people: Vec<_> = view.people.iter().filter(|person| is_of_interest(person, &view)).collect();
    out.done(
        &text,
        json!({"is_complete": view.is_complete, "session_id": view.session_id, "level": view.level,
            "execution_model": view.execution_model, "people": people, "intents": view.intents,
            "deferrals": view.deferrals}),
    );
    Ok(())
}

/// Who has left and left nothing behind is not: a session remembers everybody who ever looked in.
fn is_of_interest(person: &Person, view: &Snapshot) -> bool {
    let is_gone = person.status.as_deref() == Some("offline");
    person.principal_id != view.me && (!is_gone || view.intents_of(&person.principal_id).next().is_some())
}

fn status(status: Option<&str>) -> String {
    status.map_or(String::new(), |status| format!(", {status}"))
}

pub(super) fn line(intent: &KnownIntent) -> String {
    let files = intent.files().join(", ");
    let objective = intent.objective.as_deref().unwrap_or("(words not heard)");
    let state = if intent.suspended { " (suspended: it can be claimed)" } else { "" };
    one_line(&format!("{}: {objective} [{files}]{state}", intent.intent_id))
}

pub(super) async fn conflicts(agent: &Agent, out: &mut Out) -> Result<(), AgentError> {
    let view = agent.view().await?;
    warn(&view, out);
    let mut text = String::new();
    for conflict in &view.conflicts {
        let _ = writeln!(text, "{}", told(conflict));
    }
    if text.is_empty() {
        text.push_str("no conflicts");
    }
    out.done(&text, json!({"is_complete": view.is_complete, "conflicts": view.conflicts}));
    Ok(())
}

fn told(conflict: &Conflict) -> String {
    let names: Vec<&str> = conflict.principals.iter().map(|who| who.as_str()).collect();
    let intents: Vec<&str> = conflict.intents.iter().map(|id| id.as_str()).collect();
    let severity = conflict.severity.as_ref().map_or(String::new(), |severity| format!(", {severity}"));
    let with = conflict.escalated_to.as_ref().map_or(String::new(), |who| format!(" to {who}"));
    one_line(&format!(
        "{} {}{with} ({}{severity}): {} [{}]",
        conflict.conflict_id,
        conflict.state,
        conflict.category,
        names.join(" and "),
        intents.join(", ")
    ))
}

fn warn(view: &Snapshot, out: &mut Out) {
    if !view.is_complete {
        out.note(INCOMPLETE);
    }
}

pub(super) async fn files(agent: &Agent, out: &mut Out) -> Result<(), AgentError> {
    let files = agent.list_files().await?;
    let mut text = String::new();
    for file in &files {
        let _ = writeln!(text, "{:>9}  {}  {}", file.size.get(), file.state_ref, one_line(&file.path));
    }
    if text.is_empty() {
        text.push_str("no files");
    }
    out.done(&text, json!({ "files": files }));
    Ok(())
}

pub(super) async fn cat(agent: &Agent, asked: &Cat, out: &mut Out) -> Result<(), AgentError> {
    let Some(file) = agent.read_file(&asked.file).await? else {
        return Err(AgentError::Unreadable {
            path: asked.file.clone(),
            why: "there is no such file".to_owned(),
        });
    };
    match out.is_json() {
        true => {
            out.done("", json!({"path": asked.file, "state_ref": file.state_ref, "content": file.content}))
        }
        false => out.raw(&file.content),
    }
    Ok(())
}
