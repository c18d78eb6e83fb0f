//! `task`: a whole task with a brain behind it, and what became of it for programs to read.

use futures::FutureExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::out::Out;
use super::watching::sentence;
use crate::agent::{Agent, Event, Events};
use crate::brain::Brain;
use crate::cli::task::Task;
use crate::console::{Console, Palette, Screen, aside};
use crate::error::AgentError;
use crate::task::{Outcome, Tally};

pub(super) async fn task(
    agent: &Agent,
    mut events: Events,
    asked: &Task,
    brain: &mut dyn Brain,
    out: &mut Out,
) -> Result<(), AgentError> {
    let options = asked.thinking.task_options();
    out.counts(options.tally.clone());
    let (unwritten, mut losses) = mpsc::unbounded_channel();
    let console = match out.is_json() {
        // After the task nobody asks any more.
        false => Console::on_noting(Screen::stdout(asked.diff), move |why| drop(unwritten.send(why))),
        true => Console::lines_to(Palette::PLAIN, Box::new(|text| aside(&text))),
    };
    let outcome = {
        let mut work = std::pin::pin!(agent.run_task(brain, &options, &asked.task, console));
        loop {
            tokio::select! {
                biased;
                Some(event) = events.next(), if out.is_json() => out.event(&event, &sentence(&event)),
                Some(why) = losses.recv() => out.not_written(&why),
                outcome = &mut work => break outcome,
            }
        }
    };
    while let Ok(why) = losses.try_recv() {
        out.not_written(&why);
    }
    if out.is_json() {
        // What the task has told is before this in the agent's queue. At the end of the session nothing more comes.
        let _ = agent.view().await;
        while let Some(Some(event)) = events.next().now_or_never() {
            out.event(&event, &sentence(&event));
        }
    }
    ended(outcome?, out)
}

/// What a task that has ended by itself is told with.
pub(super) fn ended(outcome: Outcome, out: &mut Out) -> Result<(), AgentError> {
    if outcome.exit_code() != 0 {
        return Err(AgentError::NotDone(outcome));
    }
    // People have been told by the task.
    if out.is_json() {
        let members = members(outcome.name(), Some(&outcome), out.tally());
        out.done("", Value::Object(members));
    }
    Ok(())
}

/// What a verb that failed has committed all the same, as far as that was found out.
pub(super) fn members_of_verb(tally: &Tally) -> Map<String, Value> {
    let both = [("committed", tally.committed()), ("undecided", tally.undecided())];
    let some = both.into_iter().filter(|(_, changes)| !changes.is_empty());
    some.map(|(name, changes)| (name.to_owned(), json!(changes))).collect()
}

/// What became of a task that failed.
pub(super) fn members_of_failure(error: &AgentError, tally: &Tally) -> Map<String, Value> {
    match error {
        AgentError::NotDone(outcome) => members(outcome.name(), Some(outcome), tally),
        AgentError::Interrupted => members("cancelled", None, tally),
        AgentError::Undecided { why, .. } => members_of_failure(why, tally),
        _ => members("failed", None, tally),
    }
}

fn members(name: &str, outcome: Option<&Outcome>, tally: &Tally) -> Map<String, Value> {
    let mut used = serde_json::to_value(Event::of_use(&tally.used())).unwrap_or_default();
    if let Value::Object(used) = &mut used {
        used.remove("event");
    }
    let mut members = Map::new();
    members.insert("outcome".to_owned(), json!(name));
    members.insert("committed".to_owned(), json!(tally.committed()));
    if !tally.undecided().is_empty() {
        members.insert("undecided".to_owned(), json!(tally.undecided()));
    }
    match outcome {
        Some(Outcome::Partly { left, .. }) => drop(members.insert("left".to_owned(), json!(left))),
        Some(Outcome::Shown(files)) => drop(members.insert("would_commit".to_owned(), json!(files))),
        _ => {}
    }
    members.insert("used".to_owned(), used);
    members
}
