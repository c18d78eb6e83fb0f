//! `files`, `view`, `diff FILE`, `who`, `conflicts`, `conflict`, `status`.

use std::io::{Error, ErrorKind};

use super::desk::{Desk, look};
use crate::agent::{Conflict, KnownIntent, Snapshot};
use crate::console::Style;
use crate::diff::{self, columns, cut, printable};
use crate::error::AgentError;
use crate::report::{count, one_line};

/// What a server that tells nothing leaves open.
const INCOMPLETE: &str =
    "(this server does not tell what was before you joined; one of mpac 0.2 does with --ask-summary)";
/// A path takes no more than this of a line, so that the rest is seen.
const PATH_COLUMNS: usize = 60;

pub(super) async fn files(desk: &mut Desk) -> Result<(), AgentError> {
    desk.needs_coordinator("FILE_LIST")?;
    let files = desk.agent.list_files().await?;
    let view = look(&desk.agent, &desk.board).await?;
    desk.say(Style::Bold, &format!("workspace: {}", count(files.len(), "file")));
    let room = desk.console.columns().map_or(PATH_COLUMNS, |columns| PATH_COLUMNS.min(columns / 2));
    let paths: Vec<String> = files.iter().map(|file| one_line(&printable(&file.path))).collect();
    let width = paths.iter().map(|path| columns(path)).max().unwrap_or(0).min(room);
    let lines = files.iter().zip(&paths).map(|(file, path)| {
        let fill = " ".repeat(width.saturating_sub(columns(path)));
        let at_work: Vec<&str> = view
            .intents
            .iter()
            .filter(|intent| intent.files().contains(&file.path))
            .map(|intent| if intent.own { "you" } else { intent.principal_id.as_str() })
            .collect();
        let at_work = match at_work.is_empty() {
            true => String::new(),
            false => format!("  < {}", one_line(&at_work.join(", "))),
        };
        format!("  {path}{fill}  {:>7} characters{at_work}", file.size.get())
    });
    let lines = lines.collect::<Vec<_>>().join("\n");
    if !lines.is_empty() {
        desk.say(Style::Plain, &lines);
    }
    Ok(())
}

pub(super) async fn view(desk: &mut Desk, path: &str) -> Result<(), AgentError> {
    desk.needs_coordinator(&format!("FILE_READ {path}"))?;
    let Some(file) = desk.agent.read_file(path).await? else {
        let text = format!("there is no file {path}; `files` lists what there is");
        desk.say(Style::Yellow, &text);
        return Ok(());
    };
    desk.say(Style::Bold, &format!("{path} at {}", file.state_ref));
    let lines: Vec<String> = file
        .content
        .lines()
        .map(printable)
        .enumerate()
        .map(|(at, line)| format!("{:5}  {line}", at + 1))
        .collect();
    // Not folded: it is to be copied.
    desk.console.block(&lines);
    Ok(())
}

/// How the local file of this name differs from the shared one.
pub(super) async fn differ(desk: &mut Desk, path: &str) -> Result<(), AgentError> {
    desk.needs_coordinator(&format!("FILE_READ {path}"))?;
    let shared = desk.agent.read_file(path).await?;
    // A device or a pipe may have no end.
    let read = std::fs::metadata(path).and_then(|found| match found.is_file() {
        true => std::fs::read_to_string(path),
        false => Err(Error::other("it is no file")),
    });
    let local = match read {
        Ok(local) => local,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let text = match shared {
                Some(_) => format!("there is no {path} of your own here; `view {path}` shows the shared one"),
                None => {
                    format!("there is no file {path}, here or shared; `help diff` tells what else there is")
                }
            };
            desk.say(Style::Yellow, &one_line(&text));
            return Ok(());
        }
        Err(error) => {
            return Err(AgentError::Usage(format!("cannot read your own {path} as UTF-8 text: {error}")));
        }
    };
    let text = match &shared {
        Some(shared) if shared.content == local => {
            format!("{path} of your own is as the shared one, at {}", shared.state_ref)
        }
        Some(shared) => format!("{path}: + your own, - shared, at {}", shared.state_ref),
        None => format!("{path}: + your own; there is no shared one"),
    };
    desk.say(Style::Bold, &one_line(&text));
    let shared = shared.map_or_else(String::new, |shared| shared.content);
    let lines = diff::shown(path, &shared, &local, desk.console.look());
    desk.console.block(&lines);
    Ok(())
}

pub(super) async fn who(desk: &mut Desk) -> Result<(), AgentError> {
    let view = look(&desk.agent, &desk.board).await?;
    let mut lines = vec![format!("  {} (you)", view.me)];
    lines.extend(view.intents.iter().filter(|intent| intent.own).map(at_what));
    let is_gone = |status: Option<&str>| status == Some("offline");
    for person in view.people.iter().filter(|person| person.principal_id != view.me) {
        let at_work: Vec<String> = view.intents_of(&person.principal_id).map(at_what).collect();
        // A session remembers everybody who ever looked in.
        if is_gone(person.status.as_deref()) && at_work.is_empty() {
            continue;
        }
        let name = person.display_name.as_ref().filter(|name| !person.principal_id.as_str().ends_with(*name));
        let name = name.map_or(String::new(), |name| format!(" ({name})"));
        let roles =
            if person.roles.is_empty() { String::new() } else { format!(", {}", person.roles.join(", ")) };
        let status = person.status.as_ref().map_or(String::new(), |status| format!(", {status}"));
        lines.push(format!("  {}", one_line(&format!("{}{name}{roles}{status}", person.principal_id))));
        lines.extend(at_work);
    }
    let known = |intent: &KnownIntent| {
        intent.own || view.people.iter().any(|it| it.principal_id == intent.principal_id)
    };
    for intent in view.intents.iter().filter(|intent| !known(intent)) {
        lines.push(format!("  {} (not here)", one_line(intent.principal_id.as_str())));
        lines.push(at_what(intent));
    }
    if lines.len() == 1 {
        lines.push("  nobody else is here".to_owned());
    }
    lines.extend((!view.is_complete).then(|| format!("  {INCOMPLETE}")));
    desk.say(Style::Plain, &lines.join("\n"));
    Ok(())
}

/// An intent below its owner.
fn at_what(intent: &KnownIntent) -> String {
    let objective = intent.objective.as_deref().unwrap_or("something announced before you came");
    let state = if intent.suspended { " (suspended: it can be claimed)" } else { "" };
    format!("    {}", one_line(&format!("{objective} [{}]{state}", intent.files().join(", "))))
}

pub(super) async fn conflicts(desk: &mut Desk) -> Result<(), AgentError> {
    let view = look(&desk.agent, &desk.board).await?;
    if view.conflicts.is_empty() {
        let note = if view.is_complete { String::new() } else { format!(" {INCOMPLETE}") };
        desk.say(Style::Plain, &format!("no conflicts{note}"));
        return Ok(());
    }
    for conflict in &view.conflicts {
        let lines = [heading(conflict), format!("  {}", one_line(&about(conflict, &view)))];
        desk.say(if conflict.unacknowledged { Style::Yellow } else { Style::Plain }, &lines.join("\n"));
    }
    Ok(())
}

/// Which, how it stands, what kind, how bad.
fn heading(conflict: &Conflict) -> String {
    let severity = conflict.severity.as_ref().map_or(String::new(), |severity| format!(", {severity}"));
    let with = conflict.escalated_to.as_ref().map_or(String::new(), |who| format!(" to {who}"));
    one_line(&format!("{} {}{with} ({}{severity})", conflict.conflict_id, conflict.state, conflict.category))
}

/// Who, and about which files.
fn about(conflict: &Conflict, view: &Snapshot) -> String {
    let (own, others): (Vec<_>, Vec<_>) = conflict.principals.iter().partition(|who| **who == view.me);
    let own = own.iter().map(|_| "you".to_owned());
    let names: Vec<String> = own.chain(others.iter().map(ToString::to_string)).collect();
    let scopes: Vec<&[String]> = intents(conflict, view).map(KnownIntent::files).collect();
    let shared = scopes.first().map_or_else(Vec::new, |first| {
        first
            .iter()
            .filter(|file| scopes.iter().all(|files| files.contains(file)))
            .map(String::as_str)
            .collect()
    });
    let files = if shared.is_empty() { String::new() } else { format!(" about {}", shared.join(", ")) };
    format!("{}{files}", names.join(" and "))
}

fn intents<'a>(conflict: &'a Conflict, view: &'a Snapshot) -> impl Iterator<Item = &'a KnownIntent> {
    view.intents.iter().filter(|intent| conflict.intents.contains(&intent.intent_id))
}

pub(super) async fn conflict(desk: &mut Desk, typed: Option<&str>) -> Result<(), AgentError> {
    let view = look(&desk.agent, &desk.board).await?;
    let id = super::settling::which(&view, typed)?;
    // `which` gives none but one of these.
    let Some(conflict) = view.conflicts.iter().find(|it| it.conflict_id == id) else { return Ok(()) };
    desk.say(Style::Bold, &heading(conflict));
    let mut lines = vec![format!("  {}", one_line(&about(conflict, &view)))];
    lines.extend(conflict.description.as_ref().map(|words| format!("  {}", one_line(words))));
    for id in &conflict.intents {
        match view.intents.iter().find(|intent| intent.intent_id == *id) {
            Some(intent) => {
                let whose = if intent.own { "you" } else { intent.principal_id.as_str() };
                lines.push(format!("  {}", one_line(&format!("{id} of {whose}:"))));
                lines.push(at_what(intent));
            }
            None => lines.push(format!("  {} (over, or before your time)", one_line(id.as_str()))),
        }
    }
    lines.extend(conflict.unacknowledged.then(|| "  you have not acknowledged it: `ack`".to_owned()));
    lines.push(
        "  next: `ack`, `escalate ... to WHO`, or with the role for it `resolve ... DECISION`".to_owned(),
    );
    desk.say(Style::Plain, &lines.join("\n"));
    Ok(())
}

pub(super) async fn status(desk: &mut Desk) -> Result<(), AgentError> {
    let view = look(&desk.agent, &desk.board).await?;
    let mut lines = vec![format!("you       {}, {}", view.me, roles(&view.roles))];
    let profiles = desk.info.as_ref().map_or(String::new(), |info| {
        format!(", security {}, compliance {}", info.security_profile, info.compliance_profile)
    });
    lines.push(format!(
        "session   {}, level {}, {}{profiles}",
        view.session_id, view.level, view.execution_model
    ));
    lines.push(match desk.agent.is_connected() {
        true => "connected yes".to_owned(),
        false => "connected no; it is being tried again".to_owned(),
    });
    lines.push(match &desk.task {
        Some((task, since)) => {
            format!("task      {} ({} s)", cut(task, PATH_COLUMNS), since.elapsed().as_secs())
        }
        None => "task      none".to_owned(),
    });
    for intent in view.intents.iter().filter(|intent| intent.own) {
        let left = intent.expires_in_sec.map_or(String::new(), |left| format!(", {left:.0} s left"));
        lines.push(format!("intent    {} [{}]{left}", intent.intent_id, intent.files().join(", ")));
    }
    let ours = view.conflicts.iter().filter(|it| it.principals.contains(&view.me)).count();
    lines.push(match view.conflicts.len() {
        0 => "conflicts none".to_owned(),
        open => format!("conflicts {open} open, {ours} of them yours"),
    });
    lines.push(match desk.spent.calls {
        0 => "used      nothing that was counted".to_owned(),
        _ => format!("used      {}", desk.spent),
    });
    let lines: Vec<String> = lines.iter().map(|line| shown(line)).collect();
    desk.say(Style::Plain, &lines.join("\n"));
    Ok(())
}

/// On its line, with the gap behind its name.
fn shown(line: &str) -> String {
    let (name, rest) = line.split_at(10);
    format!("  {name}{}", one_line(rest))
}

fn roles(roles: &[String]) -> String {
    if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") }
}
