//! Tools about own work: tasks and changes.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use mpac_wire::{IntentId, OpId, Scope, StateRef};
use serde_json::{Value, json};

use super::answer::{Answer, shows};
use super::approval::{Approval, state_of};
use super::bridge::Bridge;
use super::brief::{self, Room};
use super::input::{BeginTask, Outcome, SubmitChange, TakeOverTask, YieldTask};
use super::looking::{in_workspace, named};
use crate::agent::{Agent, Announce, Claim, Committed, Edit, KnownIntent, Update};
use crate::brain::edits;
use crate::error::AgentError;
use crate::session::FileState;

/// How long a decision is waited for by default, on a claim or a change: sessions give the owner of what is claimed 30 s to come back
/// (CLM-08), and hosts give tools about a minute.
const WAIT_SEC: u32 = 45;

/// # Errors
/// [`AgentError::Usage`] for an id that cannot be one.
pub(super) fn id<T: FromStr>(text: &str, what: &str) -> Result<T, AgentError> {
    text.parse().map_err(|_| AgentError::Usage(format!("{what} is empty; give an id that a tool has told")))
}

pub(super) async fn begin_task(bridge: &Bridge, asked: BeginTask) -> Result<Answer, AgentError> {
    let files = named(asked.files)?;
    if asked.objective.trim().is_empty() {
        return Err(AgentError::Usage("say in objective what you are about to do".to_owned()));
    }
    let mut announce = Announce::files(&asked.objective, files.iter().cloned());
    match asked.ttl_sec {
        Some(0) => return Err(AgentError::Usage("ttl_sec is 0; it counts seconds from 1 on".to_owned())),
        Some(ttl) => announce.ttl_sec = ttl,
        None => {}
    }
    let ttl = announce.ttl_sec;
    let agent = bridge.agent().await?;
    if let Some(renewed) = renewed(bridge, &agent, &asked.objective, (&files, ttl)).await? {
        return Ok(renewed);
    }
    let announced = agent.announce(announce).await?;
    bridge.hold(&announced.intent);
    let intent = &announced.intent;
    let mut text = format!(
        "Task {intent} is yours for {ttl} s: {} on {}. Read the files with get_file_state, change them with submit_change, and end it with yield_task.",
        asked.objective,
        files.join(", ")
    );
    let conflicts = Room::whole().fit(&announced.conflicts, |it| {
        let names: Vec<String> =
            it.principal_a.iter().chain(&it.principal_b).map(ToString::to_string).collect();
        let words = it.description.as_ref().map_or(String::new(), |words| format!(": {}", brief::words(words)));
        let of = brief::line(&format!("{}{words}", names.join(" and ")));
        let told = format!(
            "But it is in conflict {} ({}) of {of}. Next step: ack_conflict, and then yield_task and defer to let the other go first, escalate_conflict, or go on with care: a change on an old state is refused.",
            it.conflict_id, it.category
        );
        let value = json!({
            "conflict_id": it.conflict_id, "category": it.category, "severity": it.severity, "principals": names,
            "description": it.description,
        });
        (told, brief::value(value))
    });
    text.push_str(&conflicts.text(""));
    let warning = announced.warning.as_deref().map(brief::line);
    if let Some(warning) = &warning {
        let _ = write!(text, "\nThe coordinator warns: {warning}");
    }
    let value = json!({
        "intent_id": intent, "files": files, "ttl_sec": ttl, "conflicts": conflicts.values, "warning": warning,
    });
    Ok(Answer::done(text, value))
}

/// An own task on just these files gets more time. One on some of them is in the way: sessions that lock files would let the new
/// one take its place (LCK-06), and the model would go on under one that is over. Wherever it was begun, it goes with this host
/// from now on: nobody else may be left who would end it.
async fn renewed(
    bridge: &Bridge,
    agent: &Agent,
    objective: &str,
    (files, ttl): (&[String], u32),
) -> Result<Option<Answer>, AgentError> {
    let view = agent.view().await?;
    let Some((intent, common)) = view.own_on(files).next() else { return Ok(None) };
    let (id, theirs) = (&intent.intent_id, intent.files());
    if common < files.len() || common < theirs.len() {
        return Err(AgentError::Usage(format!(
            "your task {id} is on some of these files already ({}); end it with yield_task first, or begin one on other files",
            theirs.join(", ")
        )));
    }
    let mut update = Update::default();
    (update.objective, update.ttl_sec) = (Some(objective.to_owned()), Some(ttl));
    agent.update_intent(id, update).await?;
    bridge.hold(id);
    let text = format!("Your task {id} goes on for {ttl} s from now: {objective} on {}.", files.join(", "));
    let value = json!({
        "intent_id": id, "files": files, "ttl_sec": ttl, "conflicts": [], "warning": Value::Null, "renewed": true,
    });
    Ok(Some(Answer::done(text, value)))
}

pub(super) async fn submit_change(bridge: &Bridge, asked: SubmitChange) -> Result<Answer, AgentError> {
    let submitted = submitted(bridge, asked).await;
    if let Err(AgentError::Stale { path, current }) = &submitted
        && shows(current)
    {
        bridge.showed(path, &current.state_ref);
    }
    submitted
}

async fn submitted(bridge: &Bridge, asked: SubmitChange) -> Result<Answer, AgentError> {
    let path = asked.path.as_str();
    in_workspace(path)?;
    let agent = bridge.agent().await?;
    let intent = covering(&agent, path, asked.intent_id.as_deref()).await;
    let current = agent.read_file(path).await?;
    let replaces_all = asked.content.is_some();
    if let Some((intent, made)) = bridge.proposed.made(&agent, &asked, &state_of(current.as_ref())).await? {
        return Ok(changed(bridge, &intent, &made, replaces_all));
    }
    let intent = intent?;
    let base = base(bridge, path, asked.base_state_ref.as_deref(), (current.as_ref(), replaces_all))?;
    let current = current.unwrap_or_else(FileState::absent);
    if current.state_ref != base {
        return Err(AgentError::Stale { path: path.to_owned(), current: Box::new(current) });
    }
    let text = match (asked.content, &asked.edits) {
        (Some(content), None) => content,
        (None, Some(all)) if !all.is_empty() => {
            let all: Vec<edits::Edit> = all.iter().cloned().map(Into::into).collect();
            edits::apply(&current.content, &all).map_err(|misfit| AgentError::Usage(misfit.to_string()))?
        }
        _ => {
            let text = "give either content, the whole new text, or edits, at least one";
            return Err(AgentError::Usage(text.to_owned()));
        }
    };
    let mut edit = Edit::on(path, base, text);
    edit.summary = asked.summary;
    if edit.before == edit.after() {
        let value = json!({"path": path, "committed": Value::Null, "state_ref": edit.before});
        return Ok(Answer::done(format!("{path} has that text already; nothing was committed."), value));
    }
    let committed = match agent.view().await?.execution_model.as_str() {
        "pre_commit" => {
            let patience = Duration::from_secs(asked.wait_sec.unwrap_or(WAIT_SEC).clamp(1, 50).into());
            match bridge.proposed.carry_out(&agent, (&intent, &edit), asked.edits, patience).await? {
                Approval::Done(committed) => committed,
                Approval::Waits(op) => return Ok(waits(path, &intent, &op)),
            }
        }
        _ => agent.commit(Some(&intent), edit).await?,
    };
    Ok(changed(bridge, &intent, &committed, replaces_all))
}

fn changed(bridge: &Bridge, intent: &IntentId, committed: &Committed, replaces_all: bool) -> Answer {
    match replaces_all {
        true => bridge.saw(&committed.path, &committed.after),
        false => bridge.edited(&committed.path, &committed.before, &committed.after),
    }
    let text = format!(
        "{} is changed for everybody: {} -> {} as {}. Submit further changes, or end the task with yield_task.",
        committed.path, committed.before, committed.after, committed.op
    );
    let value = json!({
        "path": committed.path, "op_id": committed.op, "intent_id": intent, "state_ref_before": committed.before,
        "state_ref": committed.after,
    });
    Answer::done(text, value)
}

fn waits(path: &str, intent: &IntentId, op: &OpId) -> Answer {
    let why = format!(
        "the change of {path} is proposed as {op} and waits for approval: this session authorises changes before they are made, and an open conflict on the file (list_conflicts) holds that up"
    );
    let next = format!(
        "keep task {intent}, call wait_for_change, and once it tells that {op} may be carried out submit just the same change again, which goes on with {op}; nothing is changed before that"
    );
    Answer::waiting("submit_change", (why, next), json!({"path": path, "op_id": op, "intent_id": intent}))
}

/// What the change is based on: what was said, else the state in which the file was last read or changed here. Several conversations
/// may share a bridge, so by that alone nobody knows what a whole text was made from: it has to be said. Edits leave alone what they
/// do not name. And nothing is overwritten unseen.
fn base(
    bridge: &Bridge,
    path: &str,
    said: Option<&str>,
    (current, replaces_all): (Option<&FileState>, bool),
) -> Result<StateRef, AgentError> {
    let seen = bridge.seen(path);
    let base = match (said, &seen, current) {
        (Some(text), _, _) => serde_json::from_value(json!(text)).map_err(|error| {
            AgentError::Usage(format!("base_state_ref is none: {error}; get_file_state has it"))
        })?,
        (None, Some(seen), _) => seen.clone(),
        (None, None, None) => FileState::absent().state_ref,
        (None, None, Some(_)) => return Err(unread(path)),
    };
    // What is based on another state is refused with the text as it is now.
    if !replaces_all || current.is_none_or(|current| current.state_ref != base) {
        return Ok(base);
    }
    if !bridge.has_told_all(path, &base) {
        return Err(if seen.as_ref() == Some(&base) { read_in_part(path) } else { unread(path) });
    }
    match said {
        Some(_) => Ok(base),
        None => Err(AgentError::Usage(format!(
            "content replaces all of {path}, so say which text it is made from: give base_state_ref, the state_ref that was told with that text by get_file_state, by your last submit_change or by a refusal that showed it. If you do not have it any more, or are not sure, read {path} again with get_file_state and make content from that. Or submit edits, which do without"
        ))),
    }
}

fn unread(path: &str) -> AgentError {
    AgentError::Usage(format!(
        "you have not read {path} as it is now, and a change must not overwrite what nobody has looked at; call get_file_state for it first"
    ))
}

fn read_in_part(path: &str) -> AgentError {
    AgentError::Usage(format!(
        "you have read only a part of {path}, and content would erase the rest; submit edits, or read it again with get_file_state from from_line 1 on, to its end"
    ))
}

/// The own live task that covers this file; the one that is `asked` for, if one is. Coordinators take a commit under an intent
/// that they do not know, or that covers something else; a model that names one has lost track.
async fn covering(agent: &Agent, path: &str, asked: Option<&str>) -> Result<IntentId, AgentError> {
    let is_it = |it: &KnownIntent| asked.is_none_or(|asked| it.intent_id.as_str() == asked);
    let view = agent.view().await?;
    let mut own = view.intents.iter().filter(|it| it.own && !it.suspended);
    own.find(|it| is_it(it) && it.covers(path)).map(|it| it.intent_id.clone()).ok_or_else(|| {
        let which = asked.map_or_else(
            || "no live task of yours covers".to_owned(),
            |asked| format!("{asked} is no live task of yours that covers"),
        );
        AgentError::Usage(format!("{which} {path}; call begin_task for it first (INT-02)"))
    })
}

pub(super) async fn yield_task(bridge: &Bridge, asked: YieldTask) -> Result<Answer, AgentError> {
    let agent = bridge.agent().await?;
    let intent = match &asked.intent_id {
        Some(text) => id(text, "intent_id")?,
        None => only(&agent).await?,
    };
    let reason = match asked.outcome.unwrap_or(Outcome::Yielded) {
        Outcome::Completed => crate::view::COMPLETED,
        Outcome::Yielded => "yielded",
        Outcome::Cancelled => "cancelled",
    };
    agent.withdraw(&intent, Some(reason)).await?;
    bridge.let_go(&intent);
    let text = format!("Task {intent} is over ({reason}); its files are free for others.");
    Ok(Answer::done(text, json!({"intent_id": intent, "reason": reason})))
}

async fn only(agent: &Agent) -> Result<IntentId, AgentError> {
    let view = agent.view().await?;
    let own: Vec<&IntentId> = view.intents.iter().filter(|it| it.own).map(|it| &it.intent_id).collect();
    match own[..] {
        [one] => Ok(one.clone()),
        [] => Err(AgentError::Usage("you have no task".to_owned())),
        _ => {
            let ids: Vec<&str> = own.iter().map(|id| id.as_str()).collect();
            Err(AgentError::Usage(format!("you have several tasks, so give intent_id: {}", ids.join(", "))))
        }
    }
}

pub(super) async fn take_over_task(bridge: &Bridge, asked: TakeOverTask) -> Result<Answer, AgentError> {
    let agent = bridge.agent().await?;
    let mut claim = Claim::of(id(&asked.intent_id, "intent_id")?);
    asked.files.iter().try_for_each(|file| in_workspace(file))?;
    claim.scope = (!asked.files.is_empty()).then(|| Scope::files(asked.files));
    (claim.objective, claim.justification) = (asked.objective, asked.justification);
    claim.patience = Duration::from_secs(asked.wait_sec.unwrap_or(WAIT_SEC).clamp(1, 50).into());
    let intent = agent.claim_intent(claim).await?;
    bridge.hold(&intent);
    let text = format!(
        "Task {} goes on as {intent}, which is yours now. Read its files with get_file_state before you change them.",
        asked.intent_id
    );
    Ok(Answer::done(text, json!({"taken_over": asked.intent_id, "intent_id": intent})))
}
