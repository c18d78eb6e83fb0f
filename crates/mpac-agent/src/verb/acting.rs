//! Verbs about own work: intents and commits.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use mpac_wire::names::Atomicity;
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::{IntentId, Scope, StateRef};
use serde_json::{Value, json};

use super::ending::{last_words, unless_interrupted};
use super::out::{Out, follow, interrupted};
use super::own::covering;
use super::prolonging::keep_alive;
use super::watching::sentence;
use crate::agent::{self, Agent, Announced, Committed, Edit, Ended, Events, Leaving};
use crate::cli::verb::{Announce, Batch, Commit, Supersede, Update, Verb, Withdraw};
use crate::error::AgentError;
use crate::report::one_line;
use crate::session::FileState;
use crate::task::Change;
use crate::view::COMPLETED;

/// The local files that a verb takes texts from, read before anything else is done.
pub(super) fn read_sources(verb: &Verb) -> Result<Vec<String>, AgentError> {
    match verb {
        Verb::Propose(it) | Verb::Commit(it) => Ok(vec![read_source(&it.from)?]),
        Verb::Supersede(it) => Ok(vec![read_source(&it.from)?]),
        Verb::Batch(it) => {
            each_once(it)?;
            it.changes.iter().map(|(_, local)| read_source(local)).collect()
        }
        _ => Ok(Vec::new()),
    }
}

/// Which text would count is not said; and one that is there already is left out of the batch, so its twin would look alone.
fn each_once(batch: &Batch) -> Result<(), AgentError> {
    let mut files = BTreeSet::new();
    match batch.changes.iter().find(|(file, _)| !files.insert(file)) {
        Some((file, _)) => {
            Err(AgentError::Usage(format!("{file} is there twice; a batch changes each file once")))
        }
        None => Ok(()),
    }
}

fn read_source(local: &Path) -> Result<String, AgentError> {
    let text = if local == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(local)
    };
    text.map_err(|error| AgentError::Usage(format!("cannot read {} as UTF-8 text: {error}", local.display())))
}

fn only(mut sources: Vec<String>) -> Result<String, AgentError> {
    sources.pop().ok_or_else(|| AgentError::Usage("say where the text is, with --from".to_owned()))
}

pub(super) async fn announce(
    agent: &Agent,
    mut events: Events,
    asked: &Announce,
    out: &mut Out,
) -> Result<(), AgentError> {
    let mut announce = agent::Announce::files(&asked.objective, asked.files.iter().cloned());
    announce.ttl_sec = asked.ttl_sec;
    let announced = unless_interrupted(agent.announce(announce)).await?;
    let intent = &announced.intent;
    let stays = match asked.hold {
        true => "until Ctrl-C".to_owned(),
        false => format!("for {} s, or until `withdraw {intent}`", asked.ttl_sec),
    };
    let interrupted = interrupted();
    out.done(&format!("{intent} is announced; it stays {stays}{}", conflicts_in_words(&announced)), json!({
        "intent_id": intent, "conflicts": conflicts(&announced), "warning": announced.warning, "ttl_sec": asked.ttl_sec,
    }));
    if !asked.hold {
        return Ok(());
    }
    hold(agent, &mut events, interrupted, (intent, asked.ttl_sec), out).await?;
    if asked.hand_over {
        last_words(agent, "GOODBYE", agent.leave(Leaving::handing_over())).await?;
        out.note(&format!("{intent} can be claimed now"));
        return Ok(());
    }
    last_words(agent, &format!("the withdrawal of {intent}"), agent.withdraw(intent, None)).await?;
    out.note(&format!("{intent} is withdrawn"));
    Ok(())
}

/// Keeps an intent and shows what happens, until `end`.
///
/// # Errors
/// [`AgentError::IntentOver`] when it is over before.
async fn hold(
    agent: &Agent,
    events: &mut Events,
    end: impl Future<Output = ()>,
    (intent, ttl_sec): (&IntentId, u32),
    out: &mut Out,
) -> Result<(), AgentError> {
    let (mut over, mut failed) = (None, None);
    let end = async {
        tokio::select! {
            () = end => {}
            () = keep_alive(agent, intent, ttl_sec, &mut failed) => {}
        }
    };
    follow(events, end, |event| {
        // That one was told.
        if !matches!(&event, agent::Event::Announced { intent_id, .. } if intent_id == intent) {
            out.event(&event, &sentence(&event));
        }
        over = match event {
            agent::Event::OwnIntentEnded { intent_id, how } if intent_id == *intent => Some(how),
            _ => None,
        };
        over.is_none()
    })
    .await;
    let Some(how) = over else { return Ok(()) };
    let why = match (how, failed) {
        (Ended::Expired, Some(error)) => format!("its time is over, and it could not be prolonged: {error}"),
        (Ended::Expired, None) => "its time is over".to_owned(),
        (Ended::Otherwise, _) => "the coordinator ended it, or another has taken its place".to_owned(),
    };
    Err(AgentError::IntentOver { intent: intent.clone(), why })
}

fn conflicts(announced: &Announced) -> Vec<Value> {
    let one = |it: &ConflictReport| {
        json!({
            "conflict_id": it.conflict_id, "category": it.category, "severity": it.severity, "description": it.description,
        })
    };
    announced.conflicts.iter().map(one).collect()
}

fn conflicts_in_words(announced: &Announced) -> String {
    let warned = announced
        .warning
        .as_ref()
        .map(|warning| format!("\n{}", one_line(&format!("the coordinator warns: {warning}"))));
    announced.conflicts.iter().map(|it| format!("\n{}", in_words(it))).chain(warned).collect()
}

fn in_words(conflict: &ConflictReport) -> String {
    let names = conflict.principal_a.iter().chain(&conflict.principal_b).map(ToString::to_string);
    let names = names.collect::<Vec<_>>().join(" and ");
    let words = conflict.description.as_ref().map_or(String::new(), |words| format!(": {words}"));
    one_line(&format!("in conflict {} ({}) of {names}{words}", conflict.conflict_id, conflict.category))
}

pub(super) async fn update(agent: &Agent, asked: &Update, out: &mut Out) -> Result<(), AgentError> {
    let mut update = agent::Update::default();
    update.objective.clone_from(&asked.objective);
    update.scope = (!asked.files.is_empty()).then(|| Scope::files(asked.files.iter().cloned()));
    update.ttl_sec = asked.ttl_sec;
    if update.objective.is_none() && update.scope.is_none() && update.ttl_sec.is_none() {
        let text = "nothing is to be new; give --objective, --file or --ttl-sec";
        return Err(AgentError::Usage(text.to_owned()));
    }
    let brought = agent.update_intent(&asked.intent, update).await?;
    let ids: Vec<_> = brought.iter().map(|it| &it.conflict_id).collect();
    out.done(&format!("{} is changed", asked.intent), json!({"intent_id": asked.intent, "conflicts": ids}));
    Ok(())
}

pub(super) async fn withdraw(agent: &Agent, asked: &Withdraw, out: &mut Out) -> Result<(), AgentError> {
    agent.withdraw(&asked.intent, asked.reason.as_deref()).await?;
    out.done(&format!("{} is over", asked.intent), json!({ "intent_id": asked.intent }));
    Ok(())
}

/// Does something under the intent that was given, under a live one of this name for these files, or under one that lives
/// for this alone.
async fn under<T>(
    agent: &Agent,
    given: Option<&IntentId>,
    (objective, files): (&str, Vec<String>),
    out: &mut Out,
    work: impl AsyncFnOnce(&IntentId) -> Result<T, AgentError>,
) -> Result<T, AgentError> {
    if let Some(intent) = covering(agent, given, &files).await? {
        return work(&intent).await;
    }
    let announced = agent.announce(agent::Announce::files(objective, files)).await?;
    for conflict in &announced.conflicts {
        out.note(&in_words(conflict));
    }
    let done = work(&announced.intent).await;
    let reason = if done.is_ok() { COMPLETED } else { "task_failed" };
    let ended = agent.withdraw(&announced.intent, Some(reason)).await;
    let done = done?;
    if let Err(error) = ended {
        // The work is done, whatever came of this; the coordinator ends the intent when its time is over (INT-10).
        out.note(&format!("the intent {} could not be ended: {error}", announced.intent));
    }
    Ok(done)
}

/// What the intent for this alone is for, in words that say something.
fn objective(said: Option<&str>, otherwise: impl FnOnce() -> String) -> String {
    said.filter(|said| !said.trim().is_empty()).map_or_else(otherwise, str::to_owned)
}

/// The text on top of what is there now, or of the state that was said.
async fn edit(
    agent: &Agent,
    path: &str,
    (base, summary): (Option<&StateRef>, Option<&str>),
    text: String,
) -> Result<Edit, AgentError> {
    let before = match base {
        Some(base) => base.clone(),
        None => agent.read_file(path).await?.unwrap_or_else(FileState::absent).state_ref,
    };
    let mut edit = Edit::on(path, before, text);
    edit.summary = summary.map(str::to_owned);
    Ok(edit)
}

pub(super) async fn commit(
    agent: &Agent,
    asked: &Commit,
    sources: Vec<String>,
    proposes: bool,
    out: &mut Out,
) -> Result<(), AgentError> {
    let text = only(sources)?;
    let summary = asked.summary.as_deref();
    let objective = objective(summary, || format!("commit {}", asked.file));
    let tally = out.tally().clone();
    let work = async |intent: &IntentId| {
        let edit = edit(agent, &asked.file, (asked.base.as_ref(), summary), text).await?;
        if edit.before == edit.after() {
            return Ok(None);
        }
        tally.sends(vec![(None, change(&edit))]);
        let done = match proposes {
            true => agent.propose_and_commit(Some(intent), edit).await,
            false => agent.commit(Some(intent), edit).await,
        };
        tally.answered();
        done.map(Some)
    };
    let files = vec![asked.file.clone()];
    match under(agent, asked.intent.as_ref(), (&objective, files), out, work).await? {
        Some(committed) => out.done(&told(&committed), json!({"committed": [shown(&committed)]})),
        None => out.done(&format!("{} is like that already", asked.file), json!({"committed": []})),
    }
    Ok(())
}

pub(super) async fn batch(
    agent: &Agent,
    asked: &Batch,
    sources: Vec<String>,
    out: &mut Out,
) -> Result<(), AgentError> {
    let files: Vec<String> = asked.changes.iter().map(|(file, _)| file.clone()).collect();
    let objective = objective(asked.summary.as_deref(), || format!("commit {}", files.join(", ")));
    let tally = out.tally().clone();
    let work = async |intent: &IntentId| {
        let mut edits = Vec::new();
        for ((file, _), text) in asked.changes.iter().zip(sources) {
            edits.push(edit(agent, file, (None, None), text).await?);
        }
        edits.retain(|edit| edit.before != edit.after());
        if edits.is_empty() {
            return Ok(None);
        }
        let mut batch = agent::Batch::all_or_nothing(Some(intent), edits);
        batch.summary.clone_from(&asked.summary);
        if asked.best_effort {
            batch.atomicity = Atomicity::BestEffort;
        }
        tally.sends(batch.edits.iter().map(|edit| (None, change(edit))).collect());
        let outcome = agent.batch_commit(batch).await;
        tally.answered();
        let outcome = outcome?;
        if outcome.committed.is_empty() && !outcome.rejected.is_empty() {
            return Err(none_of(&outcome.rejected));
        }
        Ok(Some(outcome))
    };
    let Some(outcome) = under(agent, asked.intent.as_ref(), (&objective, files), out, work).await? else {
        out.done("all of them are like that already", json!({"committed": [], "rejected": []}));
        return Ok(());
    };
    let mut lines: Vec<String> = outcome.committed.iter().map(told).collect();
    lines.extend(outcome.rejected.iter().map(|(_, why)| one_line(&format!("rejected {why}"))));
    let rejected = outcome.rejected.iter().map(|(edit, why)| json!({"path": edit.path, "reason": why}));
    let committed: Vec<Value> = outcome.committed.iter().map(shown).collect();
    out.done(
        &lines.join("\n"),
        json!({
            "batch_id": outcome.batch, "committed": committed, "rejected": rejected.collect::<Vec<_>>(),
        }),
    );
    Ok(())
}

/// Nothing of a batch was committed, which is no success either where each file may fail alone.
fn none_of(rejected: &[(Edit, String)]) -> AgentError {
    let paths: Vec<&str> = rejected.iter().map(|(edit, _)| edit.path.as_str()).collect();
    let reasons: Vec<String> = rejected.iter().map(|(edit, why)| format!("{}: {why}", edit.path)).collect();
    AgentError::Rejected { path: paths.join(", "), reason: reasons.join("; ") }
}

pub(super) async fn supersede(
    agent: &Agent,
    asked: &Supersede,
    sources: Vec<String>,
    out: &mut Out,
) -> Result<(), AgentError> {
    let text = only(sources)?;
    let objective = objective(asked.reason.as_deref(), || format!("replace {}", asked.op));
    let tally = out.tally().clone();
    let work = async |intent: &IntentId| {
        let edit = edit(agent, &asked.file, (None, None), text).await?;
        tally.sends(vec![(None, change(&edit))]);
        let done = agent.supersede(&asked.op, Some(intent), edit, asked.reason.as_deref()).await;
        tally.answered();
        done
    };
    let committed = under(agent, None, (&objective, vec![asked.file.clone()]), out, work).await?;
    out.done(&told(&committed), json!({"supersedes_op_id": asked.op, "committed": [shown(&committed)]}));
    Ok(())
}

fn change(edit: &Edit) -> Change {
    let (path, after) = (edit.path.clone(), edit.after());
    Change { path, state_ref_before: edit.before.clone(), state_ref_after: after }
}

fn told(committed: &Committed) -> String {
    format!("committed {}: {} -> {} as {}", committed.path, committed.before, committed.after, committed.op)
}

fn shown(committed: &Committed) -> Value {
    json!({
        "op_id": committed.op, "path": committed.path, "state_ref_before": committed.before,
        "state_ref_after": committed.after,
    })
}
