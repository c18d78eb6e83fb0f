//! Verbs of the command line: each joins, does one thing, tells what came of it, and leaves.
//!
//! Who leaves here leaves its intents to their time (`expire`): the verb that made one for itself has withdrawn it, and those
//! that others of this name have made are not its to end (BYE-04). What ends with its process all the same (a proposal, a
//! claim, a deferral; BYE-07, BYE-10) is waited for.

mod acting;
mod ending;
mod heartbeat;
mod looking;
mod out;
mod own;
mod prolonging;
mod settling;
mod task;
mod watching;

use std::collections::BTreeSet;

use mpac_wire::IntentId;
use mpac_wire::names::GoodbyeReason;

use crate::agent::{Agent, Events, Leaving};
use crate::brain::Brain;
use crate::cli::connection::Joining;
use crate::cli::exit;
use crate::cli::verb::Verb;
use crate::error::AgentError;
use crate::history;
use crate::task::undecided;

use out::Out;

pub(crate) use out::interrupted;
pub use out::{Lines, Told, standard};
pub(crate) use watching::sentence;

/// Runs a verb and returns its exit code ([`exit`]). Results go to `lines`, for people or as lines of JSON.
pub async fn run(verb: &Verb, lines: Lines) -> u8 {
    let joining = joining(verb);
    let mut out = Out::new(lines, joining.json, name(verb));
    let code = match begun(verb, joining, &mut out).await {
        Ok(()) => 0,
        Err(error) => {
            out.failed(&error);
            exit::code(&error)
        }
    };
    match out.is_all_written() {
        true => code,
        false => code.max(1),
    }
}

async fn begun(verb: &Verb, joining: &Joining, out: &mut Out) -> Result<(), AgentError> {
    let sources = acting::read_sources(verb)?;
    let (recorder, history) = history::channel();
    let mut brain = match verb {
        Verb::Task(it) => {
            Some(it.thinking.brain(joining.name.as_deref().unwrap_or_default(), history.clone())?)
        }
        _ => None,
    };
    let looks =
        matches!(verb, Verb::Watch(_) | Verb::Who(_) | Verb::Conflicts(_) | Verb::Files(_) | Verb::Cat(_));
    let mut options = joining.options(looks)?;
    options.backend = match verb {
        Verb::Heartbeat(it) => it.backend(),
        _ => brain.as_deref().and_then(crate::backend),
    };
    let (agent, events) = Agent::connect_noting(options, (recorder, history)).await?;
    // These end that way by themselves.
    let ends_so = match verb {
        Verb::Watch(_) => true,
        Verb::Announce(it) => it.hold,
        Verb::Heartbeat(it) => it.hold,
        _ => false,
    };
    let before = own_intents(&agent).await;
    let work = carried_out(verb, &agent, events, (sources, &mut brain), out);
    let mut done = match ends_so {
        true => work.await,
        false => ending::unless_interrupted(work).await,
    };
    if matches!(done, Err(AgentError::Interrupted)) && !ends_so {
        done = broken_off(&agent, out).await;
        withdraw_new(&agent, &before, out).await;
    }
    let mut leaving = Leaving::leaving_intents();
    if done.is_err() {
        leaving.reason = GoodbyeReason::Error;
    }
    // What was asked for is done, or has failed for a better reason.
    let _ = ending::unless_interrupted(agent.leave(leaving)).await;
    done
}

/// Ctrl-C came in the midst of it: what it has come to.
async fn broken_off(agent: &Agent, out: &mut Out) -> Result<(), AgentError> {
    if let Some(outcome) = out.tally().outcome() {
        return task::ended(outcome, out);
    }
    let mut listed = None;
    if out.tally().is_under_way() {
        let list = async {
            listed = Some(agent.list_files().await?);
            Ok(())
        };
        // Without it, what was heard has to do.
        let _ = ending::last_words(agent, "the list of files", list).await;
    }
    let found = agent.find_out(out.tally(), listed.as_deref()).await;
    for it in &found.committed {
        out.note(&format!("committed {}: {} -> {}", it.path, it.state_ref_before, it.state_ref_after));
    }
    Err(undecided(AgentError::Interrupted, found))
}

/// Ends what was announced for this alone.
async fn withdraw_new(agent: &Agent, before: &BTreeSet<IntentId>, out: &mut Out) {
    let new: Vec<IntentId> = own_intents(agent).await.difference(before).cloned().collect();
    let Some(first) = new.first() else { return };
    let withdraw = async {
        let mut failed = None;
        for intent in &new {
            match agent.withdraw(intent, Some("cancelled")).await {
                // The end of the work that was broken off has withdrawn it before.
                Err(AgentError::TurnedDown(refusal)) if refusal.code == "INVALID_REFERENCE" => {}
                Err(error) => drop(failed.get_or_insert(error)),
                Ok(()) => {}
            }
        }
        failed.map_or(Ok(()), Err)
    };
    if let Err(error) = ending::last_words(agent, &format!("the withdrawal of {first}"), withdraw).await {
        out.note(&format!("what was announced for this ends by its time: {error}"));
    }
}

/// The live intents of this name; none after the end of the session.
async fn own_intents(agent: &Agent) -> BTreeSet<IntentId> {
    let known = agent.view().await.map(|view| view.intents).unwrap_or_default();
    known.into_iter().filter(|intent| intent.own).map(|intent| intent.intent_id).collect()
}

async fn carried_out(
    verb: &Verb,
    agent: &Agent,
    events: Events,
    (sources, brain): (Vec<String>, &mut Option<Box<dyn Brain>>),
    out: &mut Out,
) -> Result<(), AgentError> {
    match verb {
        Verb::Announce(it) => acting::announce(agent, events, it, out).await,
        Verb::Update(it) => acting::update(agent, it, out).await,
        Verb::Withdraw(it) => acting::withdraw(agent, it, out).await,
        Verb::Claim(it) => settling::claim(agent, it, out).await,
        Verb::Defer(it) => settling::defer(agent, events, it, out).await,
        Verb::Propose(it) => acting::commit(agent, it, sources, true, out).await,
        Verb::Commit(it) => acting::commit(agent, it, sources, false, out).await,
        Verb::Batch(it) => acting::batch(agent, it, sources, out).await,
        Verb::Supersede(it) => acting::supersede(agent, it, sources, out).await,
        Verb::Task(it) => match brain {
            Some(brain) => task::task(agent, events, it, &mut **brain, out).await,
            None => Err(AgentError::Usage("nobody thinks about the task".to_owned())),
        },
        Verb::Heartbeat(it) => heartbeat::heartbeat(agent, events, it, out).await,
        Verb::Ack(it) => settling::ack(agent, it, out).await,
        Verb::Escalate(it) => settling::escalate(agent, it, out).await,
        Verb::Resolve(it) => settling::resolve(agent, it, out).await,
        Verb::Report(it) => settling::report(agent, it, out).await,
        Verb::Watch(it) => watching::watch(events, it, out).await,
        Verb::Who(_) => looking::who(agent, out).await,
        Verb::Conflicts(_) => looking::conflicts(agent, out).await,
        Verb::Files(_) => looking::files(agent, out).await,
        Verb::Cat(it) => looking::cat(agent, it, out).await,
    }
}

fn joining(verb: &Verb) -> &Joining {
    match verb {
        Verb::Announce(it) => &it.joining,
        Verb::Update(it) => &it.joining,
        Verb::Withdraw(it) => &it.joining,
        Verb::Claim(it) => &it.joining,
        Verb::Defer(it) => &it.joining,
        Verb::Propose(it) | Verb::Commit(it) => &it.joining,
        Verb::Batch(it) => &it.joining,
        Verb::Supersede(it) => &it.joining,
        Verb::Task(it) => &it.joining,
        Verb::Heartbeat(it) => &it.joining,
        Verb::Ack(it) => &it.joining,
        Verb::Escalate(it) => &it.joining,
        Verb::Resolve(it) => &it.joining,
        Verb::Report(it) => &it.joining,
        Verb::Watch(it) => &it.joining,
        Verb::Who(it) | Verb::Conflicts(it) | Verb::Files(it) => &it.joining,
        Verb::Cat(it) => &it.joining,
    }
}

/// What a line of JSON says it is the result of.
fn name(verb: &Verb) -> &'static str {
    match verb {
        Verb::Announce(_) => "announce",
        Verb::Update(_) => "update",
        Verb::Withdraw(_) => "withdraw",
        Verb::Claim(_) => "claim",
        Verb::Defer(_) => "defer",
        Verb::Propose(_) => "propose",
        Verb::Commit(_) => "commit",
        Verb::Batch(_) => "batch",
        Verb::Supersede(_) => "supersede",
        Verb::Task(_) => "task",
        Verb::Heartbeat(_) => "heartbeat",
        Verb::Ack(_) => "ack",
        Verb::Escalate(_) => "escalate",
        Verb::Resolve(_) => "resolve",
        Verb::Report(_) => "report",
        Verb::Watch(_) => "watch",
        Verb::Who(_) => "who",
        Verb::Conflicts(_) => "conflicts",
        Verb::Files(_) => "files",
        Verb::Cat(_) => "cat",
    }
}
