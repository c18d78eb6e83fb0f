//! Whole tasks against the real coordinator: batches, merges, and the queue for files that others hold.

use mpac_agent::agent::{Agent, Announce, Edit, Event, Verdict};
use mpac_agent::error::AgentError;
use mpac_agent::task::{Outcome, TaskOptions};
use mpac_wire::StateRef;
use mpac_wire::names::Decision;
use tokio::task::JoinHandle;

use super::{Host, heard, on_a, patiently};
use crate::covers;
use crate::fake_coordinator::Lines;
use crate::hands::Hands;

/// At work with this brain.
fn works(agent: &Agent, hands: &Hands, lines: &Lines) -> JoinHandle<Result<Outcome, AgentError>> {
    let (agent, mut hands, console) = (agent.clone(), hands.clone(), lines.console());
    tokio::spawn(async move { agent.run_task(&mut hands, &TaskOptions::default(), "mend", console).await })
}

async fn text(agent: &Agent, path: &str) -> String {
    patiently(agent.read_file(path)).await.unwrap().unwrap().content
}

#[tokio::test]
async fn a_task_with_several_files_is_one_batch_for_everybody() {
    covers!("BAT-05", "BAT-14");
    let host = Host::start(&[]).await;
    let ((ann, mut anns), (bob, _)) = (host.join("Ann").await, host.join("Bob").await);
    let outcome = patiently(works(&bob, &Hands::on(&["a.py", "b.py"]), &Lines::default())).await.unwrap();
    assert!(matches!(outcome, Ok(Outcome::Committed(files)) if files == ["a.py", "b.py"]));
    let mut batches = Vec::new();
    for _ in 0..2 {
        let batch = heard(&mut anns, |event| match event {
            Event::Committed { batch_id, path, .. } => Some((path, batch_id)),
            _ => None,
        });
        batches.push(batch.await);
    }
    assert!(batches[0].1.is_some() && batches[0].1 == batches[1].1, "{batches:?}");
    assert_eq!((text(&ann, "a.py").await, text(&ann, "b.py").await), ("new\n".into(), "new\n".into()));
    assert!(ann.view().await.unwrap().intents.is_empty());
}

#[tokio::test]
async fn a_task_may_be_committed_file_by_file() {
    let host = Host::start(&[]).await;
    let ((_ann, mut anns), (bob, _)) = (host.join("Ann").await, host.join("Bob").await);
    let options = TaskOptions { commit_each: true, ..TaskOptions::default() };
    let mut hands = Hands::on(&["a.py", "b.py"]);
    let console = Lines::default().console();
    patiently(bob.run_task(&mut hands, &options, "mend", console)).await.unwrap();
    for file in ["a.py", "b.py"] {
        let batch = heard(&mut anns, |event| match event {
            Event::Committed { batch_id, path, .. } => (path == file).then_some(batch_id),
            _ => None,
        });
        assert_eq!(batch.await, None);
    }
}

/// Ann puts a text in place of what is there.
async fn anns_text(ann: &Agent, path: &str, text: &str) {
    let base = patiently(ann.read_file(path)).await.unwrap().unwrap();
    patiently(ann.commit(None, Edit::of(path, &base, text))).await.unwrap();
}

#[tokio::test]
async fn changes_that_do_not_touch_are_merged_without_asking_the_brain_again() {
    covers!("OCC-13");
    // One file is a commit, two are a batch.
    for files in [&["a.py"][..], &["a.py", "b.py"]] {
        let host = Host::start(&[]).await;
        let ((ann, _), (bob, _)) = (host.join("Ann").await, host.join("Bob").await);
        anns_text(&ann, "a.py", "old\nmid\nlast\n").await;
        let hands = Hands::on(files);
        let (reached, go_on) = hands.hold();
        let lines = Lines::default();
        let work = works(&bob, &hands, &lines);
        patiently(reached).await.unwrap();
        anns_text(&ann, "a.py", "old\nmid\nlast\nAnn's\n").await;
        go_on.send(()).unwrap();
        assert!(matches!(patiently(work).await.unwrap(), Ok(Outcome::Committed(done)) if done == files));
        assert_eq!(text(&ann, "a.py").await, "new\nmid\nlast\nAnn's\n");
        assert_eq!(hands.paths().len(), files.len(), "{}", lines.text());
        assert!(lines.text().contains("merged a.py"), "{}", lines.text());
    }
}

#[tokio::test]
async fn a_true_clash_asks_the_brain_about_that_file_alone() {
    let host = Host::start(&[]).await;
    let ((ann, _), (bob, _)) = (host.join("Ann").await, host.join("Bob").await);
    let hands = Hands::on(&["a.py", "b.py"]);
    let (reached, go_on) = hands.hold();
    let lines = Lines::default();
    let work = works(&bob, &hands, &lines);
    patiently(reached).await.unwrap();
    anns_text(&ann, "b.py", "old and Ann's\n").await;
    go_on.send(()).unwrap();
    patiently(work).await.unwrap().unwrap();
    assert_eq!(text(&ann, "b.py").await, "new and Ann's\n");
    let again: Vec<String> = hands.paths().split_off(2);
    assert_eq!(again, ["b.py"], "{}", lines.text());
}

#[tokio::test]
async fn who_waits_for_files_defers_and_sees_the_place_in_the_queue() {
    covers!("LCK-10", "PAR-18", "DEF-01");
    let host = Host::start(&["--protocol-level=0.1.15"]).await;
    let (ann, mut anns) = host.join("Ann").await;
    let held = ann.announce(on_a()).await.unwrap().intent;
    let ((bob, _), (eve, _)) = (host.join("Bob").await, host.join("Eve").await);
    let lines = [Lines::default(), Lines::default()];
    let first = works(&bob, &Hands::on(&["a.py"]), &lines[0]);
    patiently(lines[0].wait_for("in the queue: first, by what was heard since joining")).await;
    let second = works(&eve, &Hands::on(&["a.py"]), &lines[1]);
    patiently(lines[1].wait_for("in the queue: number 2, after agent:Bob")).await;
    for who in ["agent:Bob", "agent:Eve"] {
        let files = heard(&mut anns, |event| match event {
            Event::Deferred { principal_id, files, .. } => {
                principal_id.is_some_and(|it| it.as_str() == who).then_some(files)
            }
            _ => None,
        });
        assert_eq!(files.await, ["a.py"]);
    }
    // What was there before the wait is not what is worked on after it.
    let base = patiently(ann.read_file("a.py")).await.unwrap().unwrap();
    patiently(ann.commit(Some(&held), Edit::of("a.py", &base, "old, and Ann's\n"))).await.unwrap();
    ann.withdraw(&held, Some("task_completed")).await.unwrap();
    for work in [first, second] {
        patiently(work).await.unwrap().unwrap();
    }
    assert_eq!(text(&ann, "a.py").await, "new, and Ann's\n");
    assert!(ann.view().await.unwrap().deferrals.is_empty());
}

#[tokio::test]
async fn whose_intent_expires_frees_the_files_at_once() {
    covers!("DEF-07");
    let host = Host::start(&["--protocol-level=0.1.15"]).await;
    let ((ann, _), (bob, _)) = (host.join("Ann").await, host.join("Bob").await);
    let mut short = Announce::files("be brief", ["a.py"]);
    short.ttl_sec = 1;
    ann.announce(short).await.unwrap();
    let lines = Lines::default();
    let outcome = patiently(works(&bob, &Hands::on(&["a.py"]), &lines)).await.unwrap();
    assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{}", lines.text());
}

#[tokio::test]
async fn a_commit_that_meets_a_freeze_waits_until_somebody_resolves_it() {
    covers!("FRZ-02", "FRZ-05", "PAR-23");
    // One file is a commit, two are a batch.
    for files in [&["a.py"][..], &["a.py", "b.py"]] {
        let host = Host::governed(&["--resolution-timeout-sec=1"]).await;
        let ((ann, mut anns), (bob, _)) = (host.join_as("Ann", "owner").await, host.join("Bob").await);
        ann.announce(on_a()).await.unwrap();
        let hands = Hands::on(files);
        let (reached, go_on) = hands.hold();
        let lines = Lines::default();
        let work = works(&bob, &hands, &lines);
        patiently(reached).await.unwrap();
        let conflict = heard(&mut anns, |event| match event {
            Event::Conflict { conflict_id, .. } => Some(conflict_id),
            _ => None,
        });
        let conflict = conflict.await;
        // Nobody resolves it in time.
        heard(&mut anns, |event| match event {
            Event::Warning { code, .. } => (code == "RESOLUTION_TIMEOUT").then_some(()),
            _ => None,
        })
        .await;
        go_on.send(()).unwrap();
        patiently(lines.wait_for("waiting until that is resolved")).await;
        patiently(ann.resolve_conflict(&conflict, Verdict::of(Decision::Dismissed))).await.unwrap();
        let outcome = patiently(work).await.unwrap();
        assert!(matches!(outcome, Ok(Outcome::Committed(done)) if done == files), "{}", lines.text());
        assert_eq!(hands.paths().len(), files.len(), "each was written once: {}", lines.text());
    }
}

#[tokio::test]
async fn what_a_task_uses_up_and_commits_is_counted_and_told_to_the_own_process_alone() {
    let host = Host::start(&[]).await;
    let ((ann, mut anns), (bob, mut bobs)) = (host.join("Ann").await, host.join("Bob").await);
    let options = TaskOptions::default();
    let mut hands = Hands::on(&["a.py"]);
    patiently(bob.run_task(&mut hands, &options, "mend", Lines::default().console())).await.unwrap();
    let used = heard(&mut bobs, |event| match event {
        Event::Used { calls, cost_usd, .. } => Some((calls, cost_usd)),
        _ => None,
    });
    assert_eq!(used.await, (1, None));
    assert_eq!(options.tally.used().calls, 1);
    let state_refs = options.tally.committed().into_iter().map(|it| (it.path, it.state_ref_after));
    assert_eq!(state_refs.collect::<Vec<_>>(), [("a.py".to_owned(), StateRef::of("new\n"))]);

    ann.announce(on_a()).await.unwrap();
    let told = heard(&mut anns, |event| match event {
        Event::Used { .. } => Some(true),
        Event::Announced { principal_id, .. } => (principal_id == *ann.me()).then_some(false),
        _ => None,
    });
    assert!(!told.await, "it is nobody else's");
}
