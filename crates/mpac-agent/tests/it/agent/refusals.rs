//! What is refused says by what, and changes nothing.

use mpac_agent::agent::{Announce, Claim, Defer, Edit, Event, Verdict};
use mpac_agent::error::AgentError;
use mpac_wire::StateRef;
use mpac_wire::names::{AckType, Decision};

use super::{Host, heard, on_a, patiently};
use crate::covers;

#[tokio::test]
async fn files_that_are_taken_say_by_whom() {
    covers!("LCK-03", "ERR-10");
    let host = Host::start(&["--protocol-level=0.1.15"]).await;
    let ((ann, _), (ben, _)) = (host.join("Ann").await, host.join("Ben").await);
    let hers = ann.announce(on_a()).await.unwrap().intent;
    let refused = ben.announce(on_a()).await.unwrap_err();
    let AgentError::TurnedDown(refusal) = refused else { panic!("{refused}") };
    assert_eq!(refusal.code, "STALE_INTENT");
    assert_eq!((&refusal.holders[0].intent, &refusal.holders[0].principal), (&hers, ann.me()));
    assert_eq!(refusal.rule, "LCK-01");
    assert!(ben.view().await.unwrap().intents.iter().all(|it| !it.own));
    ben.announce(Announce::files("elsewhere", ["b.py"])).await.unwrap();
}

#[tokio::test]
async fn who_was_slower_gets_the_file_as_it_is() {
    covers!("OCC-13");
    let host = Host::start(&[]).await;
    let ((ann, _), (ben, _)) = (host.join("Ann").await, host.join("Ben").await);
    let hers = ann.announce(on_a()).await.unwrap().intent;
    let his = ben.announce(on_a()).await.unwrap().intent;
    let base = ben.read_file("a.py").await.unwrap().unwrap();
    ann.commit(Some(&hers), Edit::of("a.py", &base, "hers\n")).await.unwrap();
    let refused = ben.commit(Some(&his), Edit::of("a.py", &base, "his\n")).await.unwrap_err();
    let AgentError::Stale { path, current } = refused else { panic!("{refused}") };
    assert_eq!((path.as_str(), current.content.as_str()), ("a.py", "hers\n"));
    ben.commit(Some(&his), Edit::of("a.py", &current, "hers\nhis\n")).await.unwrap();
}

#[tokio::test]
async fn nothing_is_committed_under_an_intent_that_is_over() {
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let intent = ann.announce(on_a()).await.unwrap().intent;
    ann.withdraw(&intent, None).await.unwrap();
    let edit = Edit::on("a.py", StateRef::of("old\n"), "new\n");
    let refused = ann.commit(Some(&intent), edit).await.unwrap_err();
    assert!(matches!(&refused, AgentError::Withheld { .. }), "{refused}");
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "old\n");
    assert!(matches!(
        ann.withdraw(&intent, None).await,
        Err(AgentError::TurnedDown(_) | AgentError::Ignored { .. })
    ));
}

#[tokio::test]
async fn ids_that_nobody_knows_are_refused() {
    let host = Host::start(&[]).await;
    let (ann, mut events) = host.join("Ann").await;
    let conflict = "c-none".parse().unwrap();
    let code = |error| match error {
        AgentError::TurnedDown(refusal) => refusal.code,
        other => panic!("{other}"),
    };
    let reference = "INVALID_REFERENCE";
    assert_eq!(code(ann.ack_conflict(&conflict, AckType::Seen).await.unwrap_err()), reference);
    assert_eq!(code(ann.escalate_conflict(&conflict, ann.me(), "r").await.unwrap_err()), reference);
    let verdict = Verdict::of(Decision::Dismissed);
    code(ann.resolve_conflict(&conflict, verdict).await.unwrap_err());
    let claim = Claim::of("i-none".parse().unwrap());
    assert!(matches!(ann.claim_intent(claim).await, Err(AgentError::Usage(_))));
    // Whoever asked was told: none of it is an event as well.
    ann.leave(Default::default()).await.unwrap();
    let warned = events.find(|event| matches!(event, Event::Warning { .. }).then_some(event)).await;
    assert_eq!(warned, None);
}

#[tokio::test]
async fn a_session_that_knows_no_deferrals_says_so() {
    covers!("DEF-15");
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let refused = ann.defer(Defer::files(["a.py"])).await.unwrap_err();
    assert!(matches!(refused, AgentError::Unsupported { .. }), "{refused}");
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_not_sent() {
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let intent = ann.announce(on_a()).await.unwrap().intent;
    let edit = Edit::on("a.py", StateRef::of("old\n"), "x".repeat(2 << 20));
    let refused = ann.commit(Some(&intent), edit).await.unwrap_err();
    assert!(matches!(refused, AgentError::TooLarge { .. }), "{refused}");
    ann.commit(Some(&intent), Edit::on("a.py", StateRef::of("old\n"), "new\n")).await.unwrap();
}

#[tokio::test]
async fn what_a_resolution_wants_undone_is_told_to_whom_it_committed() {
    covers!("GOV-21");
    let host = Host::governed(&[]).await;
    let ((ann, mut anns), (ben, _)) =
        (host.join_as("Ann", "owner").await, host.join_as("Ben", "owner").await);
    let hers = ann.announce(on_a()).await.unwrap().intent;
    // Whoever knows the file can judge of the commit (OPS-23).
    let base = ben.read_file("a.py").await.unwrap().unwrap();
    let done = ann.commit(Some(&hers), Edit::of("a.py", &base, "hers\n")).await.unwrap();
    let conflict = ben.announce(on_a()).await.unwrap().conflicts[0].conflict_id.clone();
    let mut verdict = Verdict::of(Decision::Rejected);
    (verdict.rejected, verdict.rollback) = (vec![done.op.to_string()], Some("op-undo".to_owned()));
    patiently(ben.resolve_conflict(&conflict, verdict)).await.unwrap();
    let undone = heard(&mut anns, |event| match event {
        Event::Compensation { op_id, reverses_op_id, path, state_ref_after, .. } => {
            Some((op_id.to_string(), reverses_op_id, path, state_ref_after))
        }
        _ => None,
    });
    assert_eq!(undone.await, ("op-undo".to_owned(), done.op, "a.py".to_owned(), base.state_ref));
}
