//! A future that is dropped leaves the session consistent, at whichever point that happens.
//!
//! Each test polls a verb once, drops it, and looks; then twice, and so on until it is done by itself. What the coordinator
//! says in the end is asked for on the same connection, so it comes after everything that the dropped future has led to.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use mpac_agent::agent::{
    Agent, Announce, Batch, Claim, ConnectOptions, Defer, Edit, Event, Leaving, Proposal, Report, Update,
    Verdict, Work,
};
use mpac_agent::brain::scripted::ScriptedBrain;
use mpac_agent::console::{Console, Palette};
use mpac_agent::task::Outcome;
use mpac_wire::names::{AckType, Decision};
use mpac_wire::sideband::SessionSummary;
use mpac_wire::{IntentId, StateRef};

use super::{Host, heard, on_a, patiently, unasked};
use crate::covers;
use crate::fake_coordinator::script;

/// More than any verb takes here.
const MOST_POLLS: usize = 200;

/// Polls it so many times and drops it; what it gave, if it was done by then.
pub(super) async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    patiently(poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }))
    .await
}

/// Calls `attempt` with 1, 2, ... polls until one has run to its end. At least one was dropped before.
async fn at_each_point(mut attempt: impl AsyncFnMut(usize) -> bool) {
    for polls in 1..MOST_POLLS {
        if attempt(polls).await {
            assert!(polls > 1, "it never waited, so nothing was shown");
            return;
        }
    }
    panic!("it is not done after {MOST_POLLS} polls");
}

async fn summary(agent: &Agent) -> SessionSummary {
    *patiently(agent.summary(false)).await.unwrap().expect("the coordinator tells")
}

async fn own_intents(agent: &Agent) -> Vec<IntentId> {
    let mine = summary(agent).await.active_intents.into_iter();
    mine.filter(|it| it.principal_id == *agent.me()).map(|it| it.intent_id).collect()
}

async fn text(agent: &Agent, path: &str) -> String {
    patiently(agent.read_file(path)).await.unwrap().unwrap().content
}

#[tokio::test]
async fn an_announce_leaves_no_intent() {
    covers!("INT-23");
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    at_each_point(async |polls| match polled(agent.announce(on_a()), polls).await {
        Some(announced) => {
            assert_eq!(own_intents(&agent).await, [announced.unwrap().intent]);
            true
        }
        None => {
            assert_eq!(own_intents(&agent).await, []);
            assert!(agent.view().await.unwrap().intents.is_empty());
            false
        }
    })
    .await;
}

#[tokio::test]
async fn an_update_or_a_withdrawal_happens_or_does_not() {
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    at_each_point(async |polls| {
        let intent = agent.announce(on_a()).await.unwrap().intent;
        let mut update = Update::default();
        update.objective = Some("another".to_owned());
        let done = polled(agent.update_intent(&intent, update), polls).await.is_some();
        assert_eq!(own_intents(&agent).await, std::slice::from_ref(&intent));
        agent.withdraw(&intent, None).await.unwrap();
        done
    })
    .await;
    at_each_point(async |polls| {
        let intent = agent.announce(on_a()).await.unwrap().intent;
        let done = polled(agent.withdraw(&intent, None), polls).await.is_some();
        let left = own_intents(&agent).await;
        assert!(left.is_empty() || (!done && left == [intent.clone()]), "{left:?}");
        assert_eq!(agent.view().await.unwrap().intents.len(), left.len());
        if !left.is_empty() {
            agent.withdraw(&intent, None).await.unwrap();
        }
        done
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_is_given_back() {
    covers!("CLM-06", "CLM-16");
    let host = Host::start(&["--intent-claim-grace-sec=0.05"]).await;
    let (agent, mut events) = host.join("Ben").await;
    at_each_point(async |polls| {
        let (ann, _) = host.join("Ann").await;
        let hers = ann.announce(on_a()).await.unwrap().intent;
        ann.leave(Leaving::handing_over()).await.unwrap();
        heard(&mut events, |event| matches!(event, Event::Left { .. }).then_some(())).await;
        let claimed = polled(agent.claim_intent(Claim::of(hers.clone())), polls).await;
        if let Some(mine) = claimed {
            assert_eq!(own_intents(&agent).await, [mine.unwrap()]);
            return true;
        }
        let pending = summary(&agent).await.active_intents;
        if pending.iter().any(|it| it.intent_id == hers && it.claimed_by.is_none()) {
            // The claim never went out.
            let again = patiently(agent.claim_intent(Claim::of(hers))).await.unwrap();
            agent.withdraw(&again, None).await.unwrap();
            return false;
        }
        heard(&mut events, |event| matches!(event, Event::ClaimDecided { .. }).then_some(())).await;
        heard(&mut events, |event| {
            matches!(event, Event::Withdrawn { principal_id, .. } if principal_id == *agent.me())
                .then_some(())
        })
        .await;
        assert_eq!(own_intents(&agent).await, []);
        false
    })
    .await;
}

#[tokio::test]
async fn a_commit_happens_or_does_not_and_the_next_one_is_good() {
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    let intent = agent.announce(on_a()).await.unwrap().intent;
    for proposes in [false, true] {
        at_each_point(async |polls| {
            let base = agent.read_file("a.py").await.unwrap().unwrap();
            let new = format!("{}{polls} {proposes}\n", base.content);
            let edit = Edit::of("a.py", &base, new.clone());
            let done = match proposes {
                true => polled(agent.propose_and_commit(Some(&intent), edit), polls).await.is_some(),
                false => polled(agent.commit(Some(&intent), edit), polls).await.is_some(),
            };
            let now = text(&agent, "a.py").await;
            assert!(now == new || (!done && now == base.content), "{now}");
            let base = agent.read_file("a.py").await.unwrap().unwrap();
            let next = format!("{}next\n", base.content);
            agent.commit(Some(&intent), Edit::of("a.py", &base, next)).await.unwrap();
            done
        })
        .await;
    }
}

#[tokio::test]
async fn a_batch_is_never_half_there() {
    covers!("BAT-05", "BAT-16");
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    let intent = agent.announce(Announce::files("both", ["a.py", "b.py"])).await.unwrap().intent;
    at_each_point(async |polls| {
        let mut edits = Vec::new();
        let new = format!("{polls}\n");
        for path in ["a.py", "b.py"] {
            let base = agent.read_file(path).await.unwrap().unwrap();
            edits.push(Edit::of(path, &base, new.clone()));
        }
        let done =
            polled(agent.batch_commit(Batch::all_or_nothing(Some(&intent), edits)), polls).await.is_some();
        let (a, b) = (text(&agent, "a.py").await, text(&agent, "b.py").await);
        assert_eq!(a, b);
        assert!(!done || a == new, "{a}");
        done
    })
    .await;
}

#[tokio::test]
async fn superseding_proposing_and_acknowledging_happen_or_do_not() {
    let host = Host::start(&[]).await;
    let ((agent, mut events), (ben, _)) = (host.join("Ann").await, host.join("Ben").await);
    let intent = agent.announce(on_a()).await.unwrap().intent;
    at_each_point(async |polls| {
        let base = agent.read_file("a.py").await.unwrap().unwrap();
        let first =
            agent.commit(Some(&intent), Edit::of("a.py", &base, format!("{polls} one\n"))).await.unwrap();
        let edit = Edit::on("a.py", first.after, format!("{polls} two\n"));
        let done = polled(agent.supersede(&first.op, Some(&intent), edit, None), polls).await.is_some();
        let now = text(&agent, "a.py").await;
        assert!(now == format!("{polls} two\n") || (!done && now == format!("{polls} one\n")), "{now}");
        done
    })
    .await;
    at_each_point(async |polls| {
        let done = polled(agent.propose(Proposal::of(Some(&intent), "a.py")), polls).await.is_some();
        assert_eq!(own_intents(&agent).await, std::slice::from_ref(&intent));
        done
    })
    .await;
    ben.announce(on_a()).await.unwrap();
    let conflict = heard(&mut events, |event| match event {
        Event::Conflict { conflict_id, .. } => Some(conflict_id),
        _ => None,
    })
    .await;
    at_each_point(async |polls| {
        let done = polled(agent.ack_conflict(&conflict, AckType::Seen), polls).await.is_some();
        assert_eq!(summary(&agent).await.open_conflicts.len(), 1);
        done
    })
    .await;
}

#[tokio::test]
async fn what_is_said_about_conflicts_counts_or_does_not() {
    let host = Host::governed(&["--protocol-level=0.1.14"]).await;
    let ((agent, _), (ben, _)) = (host.join_as("Ann", "owner").await, host.join_as("Ben", "owner").await);
    let intents = [agent.announce(on_a()).await.unwrap().intent, ben.announce(on_a()).await.unwrap().intent];
    let open = async || summary(&agent).await.open_conflicts.into_iter().map(|it| it.conflict_id);
    at_each_point(async |polls| {
        let before = open().await.count();
        let report = Report::of("they undo each other", intents.clone());
        let done = polled(agent.report_conflict(report), polls).await.is_some();
        let now = open().await.count();
        assert!(now == before + 1 || (!done && now == before), "{before} {now}");
        done
    })
    .await;
    at_each_point(async |polls| {
        let conflict = open().await.next().unwrap();
        let escalated = polled(agent.escalate_conflict(&conflict, ben.me(), "r"), polls).await.is_some();
        assert!(open().await.any(|it| it == conflict));
        escalated
    })
    .await;
    at_each_point(async |polls| {
        let conflict = agent.report_conflict(Report::of("again", intents.clone())).await.unwrap();
        let verdict = Verdict::of(Decision::Dismissed);
        let done = polled(agent.resolve_conflict(&conflict, verdict), polls).await.is_some();
        assert!(!done || open().await.all(|it| it != conflict));
        done
    })
    .await;
    at_each_point(async |polls| {
        let done = polled(agent.defer(Defer::files(["a.py"])), polls).await.is_some();
        assert_eq!(own_intents(&agent).await, std::slice::from_ref(&intents[0]), "a deferral is no intent");
        done
    })
    .await;
}

#[tokio::test]
async fn work_of_several_steps_leaves_whole_files_and_no_intent() {
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    at_each_point(async |polls| {
        let work = Work::on("count", ["a.py", "b.py"]);
        let before = [text(&agent, "a.py").await, text(&agent, "b.py").await];
        let edit = |_, old: String| async move { Some(format!("{old}{polls}\n")) };
        let done = polled(agent.execute_task(work, edit), polls).await;
        assert_eq!(own_intents(&agent).await, []);
        for (path, before) in ["a.py", "b.py"].into_iter().zip(before) {
            let now = text(&agent, path).await;
            assert!(now == before || now == format!("{before}{polls}\n"), "{now}");
        }
        done.map(|committed| assert_eq!(committed.unwrap().len(), 2)).is_some()
    })
    .await;
}

#[tokio::test]
async fn a_task_leaves_whole_files_and_no_intent() {
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    at_each_point(async |polls| {
        // An edit that always finds its place, since earlier rounds may have committed theirs.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script("").replace(r#""find":"old""#, r#""find":"""#)).unwrap();
        let mut brain = ScriptedBrain::load(file.path(), agent.history()).unwrap();
        let options = unasked();
        let console = Console::lines_to(Palette::PLAIN, Box::new(|_| {}));
        let before = text(&agent, "a.py").await;
        let done = polled(agent.run_task(&mut brain, &options, "mend it", console), polls).await;
        // What a lane still had to say comes before what its end leads to, and both before this.
        for _ in 0..3 {
            summary(&agent).await;
        }
        assert_eq!(own_intents(&agent).await, []);
        let now = text(&agent, "a.py").await;
        assert!(now == before || now == format!("{before}new"), "{now}");
        done.map(|outcome| assert!(matches!(outcome.unwrap(), Outcome::Committed(_)))).is_some()
    })
    .await;
}

#[tokio::test]
async fn joining_and_leaving_may_be_dropped() {
    let host = Host::start(&[]).await;
    let (watcher, mut events) = host.join("Watcher").await;
    let mut joined = 0;
    at_each_point(async |polls| {
        let options = ConnectOptions::new(&host.url, &format!("Ann{polls}"));
        let Some(connected) = polled(Agent::connect(options), polls).await else { return false };
        drop(connected);
        joined += 1;
        true
    })
    .await;
    assert_eq!(joined, 1);
    // The last handle that goes says GOODBYE.
    heard(&mut events, |event| matches!(event, Event::Left { .. }).then_some(())).await;
    at_each_point(async |polls| {
        let (agent, _) = host.join(&format!("Ben{polls}")).await;
        agent.announce(on_a()).await.unwrap();
        let done = polled(agent.leave(Leaving::default()), polls).await.is_some();
        let me = agent.me().clone();
        drop(agent);
        heard(&mut events, |event| {
            matches!(event, Event::Left { principal_id, .. } if principal_id == me).then_some(())
        })
        .await;
        assert!(summary(&watcher).await.active_intents.is_empty());
        done
    })
    .await;
}

#[tokio::test]
async fn reading_may_be_dropped_and_shifts_no_answers() {
    covers!("PAR-11");
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    let intent = agent.announce(Announce::files("b", ["b.py"])).await.unwrap().intent;
    agent.commit(Some(&intent), Edit::on("b.py", StateRef::of("old\n"), "b\n")).await.unwrap();
    at_each_point(async |polls| {
        let done = polled(agent.read_file("a.py"), polls).await.is_some();
        let _ = polled(agent.list_files(), 1).await;
        assert_eq!(text(&agent, "b.py").await, "b\n");
        assert_eq!(text(&agent, "a.py").await, "old\n");
        done
    })
    .await;
}
