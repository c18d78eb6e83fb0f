//! The connection breaks at each step of a task in turn: the task is done all the same, and everything is there once.

use std::time::Duration;

use futures::future::join_all;
use mpac_agent::brain::scripted::ScriptedBrain;
use mpac_agent::connection::{Identity, Route, Target, Voice, connect};
use mpac_agent::error::AgentError;
use mpac_agent::history;
use mpac_agent::naming::Naming;
use mpac_agent::session::Session;
use mpac_agent::task::{Outcome, TaskOptions, run_task};
use mpac_wire::{PrincipalId, SessionId};

use crate::fake_coordinator::{Lines, hello};
use crate::small_coordinator::{Manner, Small};

const SCRIPT: &str = r#"{"plan":{"objective":"mend it","files":["a.py","b.py"]},
    "edits":{"a.py":[{"find":"old","replace":"new"}],"b.py":[{"find":"old","replace":"new"}]}}"#;
/// More than a task has steps; a run in which nothing broke ends the series.
const MOST: usize = 200;
/// How many runs go on at a time.
const AT_ONCE: usize = 40;

/// Joins, does the task, leaves.
async fn run(url: &str, lines: &Lines) -> Result<Outcome, AgentError> {
    let me = PrincipalId::new("agent:Bob").unwrap();
    let (recorder, history) = history::channel();
    let voice = Voice::new(Identity { principal: me.clone(), session: SessionId::new("s").unwrap() });
    let route = Route::once(Target::new(url, Vec::new())?).with_patience(Duration::from_secs(60));
    let connection = connect(route, voice, recorder).await?;
    let mut session = Session::new(me, connection, lines.console());
    session.join(hello()).await?;
    let mut brain = ScriptedBrain::parse("test".to_owned(), SCRIPT, history)?;
    let options =
        TaskOptions { max_rebase: 3, wait_limit: Duration::from_secs(20), ..TaskOptions::default() };
    let mut naming = Naming::new("Bob");
    let outcome = run_task(&mut session, &mut brain, &mut naming, &options, "mend").await;
    session.leave("completed".into()).await;
    outcome
}

/// One run; `false` when the task was over before anything broke.
async fn broken_at(manner: Manner, steps: Vec<usize>) -> bool {
    let small = Small::start(manner, steps.clone()).await;
    let lines = Lines::default();
    let outcome = run(&small.url, &lines).await;
    let told = || format!("{manner:?}, broken at {steps:?}\n{}", lines.text());
    let files = ["a.py", "b.py"].map(str::to_owned);
    match outcome {
        Ok(Outcome::Committed(committed)) => assert_eq!(committed, files, "{}", told()),
        other => panic!("{other:?}: {}", told()),
    }
    if manner.conflict {
        assert!(lines.text().contains("decision: proceed"), "a conflict was passed over: {}", told());
    }
    let broken = small.broken();
    let state = small.state.lock().unwrap();
    let mut applied = state.applied.clone();
    applied.sort();
    assert_eq!(applied, files, "each once: {}", told());
    for (path, text) in &state.files {
        let theirs = text.matches("alice\n").count();
        assert_eq!(theirs, if manner.busy { broken } else { 0 }, "{path} is {text:?}: {}", told());
        assert_eq!(text.replace("alice\n", ""), "new\n", "{path}: {}", told());
    }
    let [first, rest @ ..] = state.hellos.as_slice() else { panic!("nobody came: {}", told()) };
    for hello in rest {
        assert_eq!(hello["sender"], first["sender"], "the same incarnation (LAM-15): {}", told());
        let lamport = |hello: &serde_json::Value| hello["watermark"]["value"].as_u64().unwrap();
        assert!(lamport(hello) > lamport(first), "{}", told());
    }
    broken > 0
}

async fn every_step(manner: Manner) {
    let mut broken = 0;
    for first in (0..MOST).step_by(AT_ONCE) {
        let runs = (first..first + AT_ONCE).map(|step| broken_at(manner, vec![step]));
        let done = join_all(runs).await;
        broken += done.iter().filter(|broken| **broken).count();
        if done.contains(&false) {
            // From HELLO to the withdrawal, there are more than twenty frames.
            // From HELLO to the withdrawal there are more than twenty frames.
            assert!(broken > 20, "{broken}");
            return;
        }
    }
    panic!("a task has no {MOST} steps");
}

#[tokio::test]
async fn a_break_at_any_step_leaves_everything_there_once() {
    every_step(Manner::default()).await;
}

#[tokio::test]
async fn a_coordinator_without_summaries_that_overwrites_is_no_worse() {
    every_step(Manner { simple: true, ..Manner::default() }).await;
}

#[tokio::test]
async fn a_coordinator_that_forgets_all_but_files_is_told_again() {
    every_step(Manner { forgets: true, ..Manner::default() }).await;
    every_step(Manner { forgets: true, simple: true, ..Manner::default() }).await;
}

/// As a Python server ends: what it had acknowledged is gone, and nothing is said of a recovery. The task either did all
/// its work after that, or says that some is lost.
#[tokio::test]
async fn a_coordinator_that_forgets_files_too_is_found_out() {
    let manner = Manner { forgets: true, loses_files: true, simple: true, ..Manner::default() };
    let runs = (0..35).map(|step| async move {
        let small = Small::start(manner, vec![step]).await;
        let lines = Lines::default();
        let outcome = run(&small.url, &lines).await;
        let state = small.state.lock().unwrap();
        let old: Vec<String> =
            state.files.iter().filter(|(_, text)| *text == "old\n").map(|(path, _)| path.clone()).collect();
        // What was accepted just before the break, and is not there, may not have been stored by then.
        let (outcome, open) = match outcome {
            Err(AgentError::Undecided { paths, why }) => (Err(*why), paths),
            outcome => (outcome, Vec::new()),
        };
        match outcome {
            Ok(_) if old.is_empty() || lines.text().contains("done") && state.said_goodbye => false,
            Err(AgentError::Diverged(lost)) => {
                let all_old = lost.iter().chain(&open).all(|path| old.contains(path));
                assert!(!lost.is_empty() && all_old, "{open:?} {}", lines.text());
                true
            }
            other => panic!("{step}: {other:?} with {old:?}: {}", lines.text()),
        }
    });
    let found = join_all(runs).await;
    assert!(found.iter().filter(|found| **found).count() > 5, "{found:?}");
}

#[tokio::test]
async fn somebody_else_commits_meanwhile_and_both_are_there() {
    every_step(Manner { busy: true, ..Manner::default() }).await;
}

#[tokio::test]
async fn a_conflict_is_decided_on_though_its_report_was_lost() {
    every_step(Manner { conflict: true, ..Manner::default() }).await;
    every_step(Manner { conflict: true, forgets: true, ..Manner::default() }).await;
}

#[tokio::test]
async fn an_intent_that_expired_meanwhile_is_announced_again() {
    every_step(Manner { expires: true, ..Manner::default() }).await;
}

#[tokio::test]
async fn files_that_others_took_meanwhile_are_waited_for() {
    every_step(Manner { taken_for: 2, ..Manner::default() }).await;
}

#[tokio::test]
async fn a_second_break_while_coming_back_is_no_worse() {
    let firsts = [3, 7, 12, 16, 20, 24];
    let pairs = firsts.iter().flat_map(|first| (1..12).map(move |more| (*first, more)));
    let runs = pairs.map(|(first, more)| async move {
        let forgets = Manner { forgets: true, ..Manner::default() };
        broken_at(Manner::default(), vec![first, first + more]).await;
        broken_at(forgets, vec![first, first + more, first + more + 2]).await;
    });
    join_all(runs).await;
}
