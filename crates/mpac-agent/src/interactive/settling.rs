//! `ack`, `escalate`, `resolve`, `withdraw`.

use mpac_wire::names::AckType;
use mpac_wire::{ConflictId, IntentId, PrincipalId};

use super::desk::{Desk, look};
use crate::agent::{Snapshot, Verdict};
use crate::console::Style;
use crate::error::AgentError;

/// What an escalation says that nobody gave a reason for.
const NO_REASON: &str = "the people in it ask for a decision";

pub(super) async fn ack(desk: &mut Desk, typed: Option<&str>, how: &AckType) -> Result<(), AgentError> {
    let conflict = which(&look(&desk.agent, &desk.board).await?, typed)?;
    desk.needs_coordinator(&format!("the acknowledgement of {conflict}"))?;
    desk.agent.ack_conflict(&conflict, how.clone()).await?;
    desk.say(Style::Green, &format!("{conflict} is acknowledged as {how}"));
    Ok(())
}

pub(super) async fn escalate(
    desk: &mut Desk,
    typed: &str,
    to: &str,
    reason: Option<&str>,
) -> Result<(), AgentError> {
    let view = look(&desk.agent, &desk.board).await?;
    let conflict = which(&view, Some(typed))?;
    let to = whom(&view, to)?;
    desk.needs_coordinator(&format!("the escalation of {conflict}"))?;
    desk.agent.escalate_conflict(&conflict, &to, reason.unwrap_or(NO_REASON)).await?;
    desk.say(Style::Green, &format!("{conflict} is with {to} now"));
    Ok(())
}

pub(super) async fn resolve(desk: &mut Desk, typed: &str, verdict: &Verdict) -> Result<(), AgentError> {
    // Claims and proposals are decided on by their ids, which are no conflicts'.
    let conflict = match which(&look(&desk.agent, &desk.board).await?, Some(typed)) {
        Ok(conflict) => conflict,
        Err(error) => ConflictId::new(typed).map_err(|_| error)?,
    };
    desk.needs_coordinator(&format!("the resolution of {conflict}"))?;
    desk.agent.resolve_conflict(&conflict, verdict.clone()).await?;
    desk.say(Style::Green, &format!("{conflict} is settled: {}", verdict.decision));
    Ok(())
}

/// Gives an own intent up. What is announced for a task is the task's: ended under its hands it would only be announced again.
pub(super) async fn withdraw(
    desk: &mut Desk,
    typed: Option<&str>,
    reason: Option<&str>,
) -> Result<(), AgentError> {
    if desk.task.is_some() {
        let text = "a task is at work, and its intent goes with it; Ctrl-C cancels both";
        return Err(AgentError::Usage(text.to_owned()));
    }
    let intent = own_intent(&look(&desk.agent, &desk.board).await?, typed)?;
    desk.needs_coordinator(&format!("the withdrawal of {intent}"))?;
    desk.agent.withdraw(&intent, reason.or(Some("cancelled"))).await?;
    desk.say(Style::Green, &format!("{intent} is given up"));
    Ok(())
}

/// The own intent that was meant: by its id, by the beginning of it, or the only one.
///
/// # Errors
/// [`AgentError::Usage`] when that is none, or more than one.
fn own_intent(view: &Snapshot, typed: Option<&str>) -> Result<IntentId, AgentError> {
    let own = || view.intents.iter().filter(|it| it.own).map(|it| &it.intent_id);
    if let Some(id) = own().find(|id| Some(id.as_str()) == typed) {
        return Ok(id.clone());
    }
    let begins = |id: &&IntentId| typed.is_none_or(|typed| id.as_str().starts_with(typed));
    let found: Vec<&IntentId> = own().filter(begins).collect();
    let names = || found.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    match (&found[..], typed) {
        ([one], _) => Ok((*one).clone()),
        ([], None) => Err(AgentError::Usage("you have no intent".to_owned())),
        ([], Some(typed)) => {
            Err(AgentError::Usage(format!("no intent of yours is called {typed}; `status` lists them")))
        }
        _ => Err(AgentError::Usage(format!("say which: {}", names()))),
    }
}

/// The conflict that was meant: by its id, by the beginning of it, or the only one.
///
/// # Errors
/// [`AgentError::Usage`] when that is none, or more than one.
pub(super) fn which(view: &Snapshot, typed: Option<&str>) -> Result<ConflictId, AgentError> {
    let all = || view.conflicts.iter().map(|it| &it.conflict_id);
    let begins = |id: &&ConflictId| typed.is_none_or(|typed| id.as_str().starts_with(typed));
    if let Some(id) = all().find(|id| Some(id.as_str()) == typed) {
        return Ok(id.clone());
    }
    let found: Vec<&ConflictId> = all().filter(begins).collect();
    let usage = |text: String| Err(AgentError::Usage(text));
    match (&found[..], typed) {
        ([one], _) => Ok((*one).clone()),
        ([], Some(typed)) => usage(format!("no open conflict is called {typed}; `conflicts` lists them")),
        ([], None) => usage("there is no open conflict".to_owned()),
        (_, Some(typed)) => {
            usage(format!("{} conflicts begin with {typed}; give more of the id", found.len()))
        }
        (_, None) => usage(format!("{} conflicts are open; say which, `conflicts` lists them", found.len())),
    }
}

/// The principal that was meant: by its id, or by its name. Who is not known may be there all the same.
///
/// # Errors
/// [`AgentError::Usage`] when the name is that of more than one.
fn whom(view: &Snapshot, typed: &str) -> Result<PrincipalId, AgentError> {
    let people = || view.people.iter().map(|person| (&person.principal_id, person.display_name.as_deref()));
    if let Some((id, _)) = people().find(|(id, _)| id.as_str() == typed) {
        return Ok(id.clone());
    }
    let named = |(id, name): &(&PrincipalId, Option<&str>)| {
        let short = id.as_str().split_once(':').map(|(_, short)| short);
        [*name, short].into_iter().flatten().any(|name| name.eq_ignore_ascii_case(typed))
    };
    let found: Vec<&PrincipalId> = people().filter(named).map(|(id, _)| id).collect();
    match &found[..] {
        [one] => Ok((*one).clone()),
        [] => PrincipalId::new(typed).map_err(|_| AgentError::Usage("say to whom".to_owned())),
        many => {
            let names: Vec<String> = many.iter().map(ToString::to_string).collect();
            Err(AgentError::Usage(format!("{typed} is the name of {}; say which", names.join(" and "))))
        }
    }
}
