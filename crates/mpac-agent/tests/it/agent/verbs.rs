//! Each verb does what it says, and the others hear of it.

use mpac_agent::agent::{
    Announce, Batch, Claim, Defer, Edit, Event, FileState, Leaving, Proposal, Report, Update, Verdict,
};
use mpac_agent::error::AgentError;
use mpac_wire::names::{AckType, ConflictState, Decision};
use mpac_wire::{Scope, StateRef};

use super::{Host, heard, on_a, patiently, unasked};
use crate::covers;

#[tokio::test]
async fn announce_update_commit_and_withdraw_are_heard_by_others_and_stand_in_their_view() {
    covers!("PAR-09", "PAR-12", "INT-23");
    let host = Host::start(&[]).await;
    let ((ben, mut bens), (ann, _)) = (host.join("Ben").await, host.join("Ann").await);
    let intent = ann.announce(on_a()).await.unwrap().intent;
    heard(&mut bens, |event| {
        matches!(event, Event::Joined { principal_id } if principal_id == *ann.me()).then_some(())
    })
    .await;
    let files = heard(&mut bens, |event| match event {
        Event::Announced { intent_id, files, .. } if intent_id == intent => Some(files),
        _ => None,
    });
    assert_eq!(files.await, ["a.py"]);

    let mut update = Update::default();
    update.objective = Some("mend both".to_owned());
    update.scope = Some(Scope::files(["a.py", "b.py"]));
    ann.update_intent(&intent, update).await.unwrap();
    heard(&mut bens, |event| matches!(event, Event::Updated { .. }).then_some(())).await;
    let view = ben.view().await.unwrap();
    let known = view.intents.iter().find(|it| it.intent_id == intent).unwrap();
    assert_eq!(known.objective.as_deref(), Some("mend both"));
    assert_eq!(known.files(), ["a.py", "b.py"]);
    assert!(!known.own && known.expires_in_sec.is_some_and(|left| left > 60.0), "{known:?}");

    let file = ann.read_file("a.py").await.unwrap().unwrap();
    let committed = ann.commit(Some(&intent), Edit::of("a.py", &file, "new\n")).await.unwrap();
    assert_eq!((committed.before, committed.after.clone()), (file.state_ref, StateRef::of("new\n")));
    heard(&mut bens, |event| match event {
        Event::FileUpdated { path, state_ref, .. } => {
            (path == "a.py" && state_ref == committed.after).then_some(())
        }
        _ => None,
    })
    .await;
    assert_eq!(ben.view().await.unwrap().files["a.py"].updated_by.as_ref(), Some(ann.me()));
    assert_eq!(ben.read_file("a.py").await.unwrap().unwrap().content, "new\n");

    ann.withdraw(&intent, Some("task_completed")).await.unwrap();
    heard(&mut bens, |event| {
        matches!(event, Event::Withdrawn { intent_id, .. } if intent_id == intent).then_some(())
    })
    .await;
    assert!(ben.view().await.unwrap().intents.is_empty());
    assert!(ann.view().await.unwrap().intents.is_empty());
}

#[tokio::test]
async fn who_comes_later_knows_what_was_before() {
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let intent = ann.announce(on_a()).await.unwrap().intent;
    let (ben, _) = host.join("Ben").await;
    let view = ben.view().await.unwrap();
    assert!(view.is_complete);
    assert_eq!(view.intents_of(ann.me()).map(|it| &it.intent_id).collect::<Vec<_>>(), [&intent]);
    assert!(view.people.iter().any(|it| it.display_name.as_deref() == Some("Ann")), "{view:?}");
    let way = ben.in_the_way(&Scope::files(["./a.py"])).await.unwrap();
    assert_eq!((&way[0].intent, &way[0].principal), (&intent, ann.me()));
    assert!(ben.in_the_way(&Scope::files(["b.py"])).await.unwrap().is_empty());
    assert_eq!(ben.list_files().await.unwrap().len(), 2);
    assert_eq!(ben.read_file("c.py").await.unwrap(), None);
}

#[tokio::test]
async fn a_conflict_is_returned_acknowledged_escalated_and_resolved() {
    covers!("CON-08", "CON-20", "PAR-25");
    let host = Host::governed(&[]).await;
    let ((ann, mut anns), (ben, mut bens)) =
        (host.join_as("Ann", "owner").await, host.join_as("Ben", "owner").await);
    let hers = ann.announce(on_a()).await.unwrap().intent;
    let his = ben.announce(on_a()).await.unwrap();
    let conflict = his.conflicts[0].conflict_id.clone();
    heard(&mut anns, |event| matches!(event, Event::Conflict { .. }).then_some(())).await;
    assert!(ben.view().await.unwrap().conflicts[0].unacknowledged);

    ben.ack_conflict(&conflict, AckType::Seen).await.unwrap();
    let view = ben.view().await.unwrap();
    assert!(!view.conflicts[0].unacknowledged && view.conflicts[0].state == ConflictState::Acked, "{view:?}");
    heard(&mut anns, |event| matches!(event, Event::Acknowledged { .. }).then_some(())).await;

    ben.escalate_conflict(&conflict, ann.me(), "cannot agree").await.unwrap();
    heard(&mut anns, |event| {
        matches!(event, Event::Escalated { escalate_to, .. } if escalate_to == *ann.me()).then_some(())
    })
    .await;

    let mut verdict = Verdict::of(Decision::Approved);
    verdict.rationale = Some("Ann came first".to_owned());
    verdict.accepted = vec![hers.to_string()];
    verdict.rejected = vec![his.intent.to_string()];
    ann.resolve_conflict(&conflict, verdict).await.unwrap();
    heard(&mut bens, |event| matches!(event, Event::Resolved { .. }).then_some(())).await;
    heard(&mut bens, |event| {
        matches!(event, Event::OwnIntentEnded { intent_id, .. } if intent_id == his.intent).then_some(())
    })
    .await;
    assert!(ben.view().await.unwrap().conflicts.is_empty());
}

#[tokio::test]
async fn a_participant_may_report_a_conflict() {
    covers!("CON-04");
    let host = Host::start(&[]).await;
    let ((ann, mut anns), (ben, _)) = (host.join("Ann").await, host.join("Ben").await);
    let hers = ann.announce(on_a()).await.unwrap().intent;
    let his = ben.announce(Announce::files("undo it", ["b.py"])).await.unwrap().intent;
    let conflict = ben.report_conflict(Report::of("they undo each other", [hers, his])).await.unwrap();
    let words = heard(&mut anns, |event| match event {
        Event::Conflict { conflict_id, description, .. } if conflict_id == conflict => Some(description),
        _ => None,
    });
    assert_eq!(words.await.as_deref(), Some("they undo each other"));
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_or_what_can_be() {
    covers!("BAT-05", "BAT-06");
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let intent = ann.announce(Announce::files("both", ["a.py", "b.py"])).await.unwrap().intent;
    let a = ann.read_file("a.py").await.unwrap().unwrap();
    let stale = StateRef::of("somebody else's");
    let edits = || [Edit::of("a.py", &a, "new\n"), Edit::on("b.py", stale.clone(), "new\n")];

    let refused = ann.batch_commit(Batch::all_or_nothing(Some(&intent), edits())).await.unwrap_err();
    let AgentError::TurnedDown(refusal) = refused else { panic!("{refused}") };
    assert!(refusal.is_stale() && refusal.to_string().contains("b.py"), "{refusal}");
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap(), a, "nothing of it");

    let mut some = Batch::all_or_nothing(Some(&intent), edits());
    some.atomicity = mpac_wire::names::Atomicity::BestEffort;
    let outcome = ann.batch_commit(some).await.unwrap();
    assert_eq!(outcome.committed.len(), 1);
    assert_eq!(outcome.rejected[0].0.path, "b.py");
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "new\n");

    let now = ["a.py", "b.py"].map(|file| (file, async |file| ann.read_file(file).await.unwrap().unwrap()));
    let mut edits = Vec::new();
    for (file, read) in now {
        edits.push(Edit::of(file, &read(file).await, "newer\n"));
    }
    let outcome = ann.batch_commit(Batch::all_or_nothing(Some(&intent), edits)).await.unwrap();
    assert_eq!(outcome.committed.len(), 2);
    assert!(matches!(
        ann.batch_commit(Batch::all_or_nothing(Some(&intent), [])).await,
        Err(AgentError::Usage(_))
    ));
}

#[tokio::test]
async fn a_commit_can_be_superseded_by_its_author() {
    covers!("OPS-19");
    let host = Host::start(&[]).await;
    let ((ann, _), (_ben, mut bens)) = (host.join("Ann").await, host.join("Ben").await);
    let intent = ann.announce(on_a()).await.unwrap().intent;
    let base = ann.read_file("a.py").await.unwrap().unwrap();
    let first = ann.commit(Some(&intent), Edit::of("a.py", &base, "typo\n")).await.unwrap();
    let edit = Edit::on("a.py", first.after.clone(), "no typo\n");
    let second = ann.supersede(&first.op, Some(&intent), edit, Some("typo")).await.unwrap();
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().state_ref, second.after);
    heard(&mut bens, |event| {
        matches!(event, Event::Superseded { supersedes_op_id, .. } if supersedes_op_id == first.op)
            .then_some(())
    })
    .await;
    let unknown = "op-unknown".parse().unwrap();
    let edit = Edit::on("a.py", second.after, "x\n");
    assert!(matches!(
        ann.supersede(&unknown, Some(&intent), edit, None).await,
        Err(AgentError::TurnedDown(_))
    ));
}

#[tokio::test]
async fn where_work_is_authorised_first_a_proposal_is_carried_out_then() {
    covers!("OPS-24", "OPS-25", "PAR-10");
    let host = Host::governed(&["--execution-model=pre_commit"]).await;
    let (ann, _) = host.join_as("Ann", "owner").await;
    let intent = ann.announce(on_a()).await.unwrap().intent;
    let base = ann.read_file("a.py").await.unwrap().unwrap();
    let edit = || Edit::of("a.py", &base, "new\n");
    assert!(matches!(ann.commit(Some(&intent), edit()).await, Err(AgentError::PreCommit)));
    let committed = patiently(ann.propose_and_commit(Some(&intent), edit())).await.unwrap();
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().state_ref, committed.after);
}

#[tokio::test]
async fn a_proposal_elsewhere_may_be_committed_at_once() {
    covers!("OPS-28");
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let intent = ann.announce(on_a()).await.unwrap().intent;
    let op = ann.propose(Proposal::of(Some(&intent), "a.py")).await.unwrap();
    patiently(ann.authorisation(&op)).await.unwrap();
    let base = ann.read_file("a.py").await.unwrap().unwrap();
    let edit = Edit::of("a.py", &base, "new\n");
    assert_eq!(patiently(ann.propose_and_commit(Some(&intent), edit)).await.unwrap().before, base.state_ref);
    assert!(ann.authorisation(&"op-other".parse().unwrap()).await.is_ok(), "nobody has to authorise here");
}

#[tokio::test]
async fn an_intent_that_was_handed_over_is_claimed_and_worked_under() {
    covers!("CLM-16", "BYE-02", "BYE-05", "PAR-17", "D-029");
    let host = Host::start(&["--intent-claim-grace-sec=0"]).await;
    let ((ann, _), (ben, mut bens)) = (host.join("Ann").await, host.join("Ben").await);
    let (cem, mut cems) = host.join("Cem").await;
    let hers = ann.announce(on_a()).await.unwrap().intent;
    ann.leave(Leaving::handing_over()).await.unwrap();
    heard(&mut bens, |event| matches!(event, Event::Left { .. }).then_some(())).await;
    let suspended = ben.view().await.unwrap().intents.into_iter().find(|it| it.intent_id == hers).unwrap();
    assert!(suspended.suspended);
    assert_eq!(suspended.objective.as_deref(), Some("mend it"));
    let mine = patiently(ben.claim_intent(Claim::of(hers.clone()))).await.unwrap();
    let view = ben.view().await.unwrap();
    assert!(view.intents.iter().any(|it| it.own && it.intent_id == mine), "{view:?}");
    assert!(!view.intents.iter().any(|it| it.intent_id == hers), "{view:?}");
    ben.commit(Some(&mine), Edit::on("a.py", StateRef::of("old\n"), "new\n")).await.unwrap();
    heard(&mut cems, |event| matches!(event, Event::Committed { .. }).then_some(())).await;
    let way = cem.in_the_way(&Scope::files(["a.py"])).await.unwrap();
    let way: Vec<_> = way.iter().map(|it| (&it.intent, &it.principal)).collect();
    assert_eq!(way, [(&mine, ben.me())], "who was shown neither the claim nor an announce");
    assert!(matches!(ben.claim_intent(Claim::of(hers)).await, Err(AgentError::Usage(_))), "it is over");
    assert!(ann.view().await.is_err() && ann.announce(on_a()).await.is_err(), "she has left");
}

#[tokio::test]
async fn a_deferral_names_those_who_are_in_the_way_and_ends_with_them() {
    covers!("DEF-01", "PAR-17");
    let host = Host::start(&["--protocol-level=0.1.15"]).await;
    let ((ann, mut anns), (ben, mut bens)) = (host.join("Ann").await, host.join("Ben").await);
    let hers = ann.announce(on_a()).await.unwrap().intent;
    heard(&mut bens, |event| matches!(event, Event::Announced { .. }).then_some(())).await;
    let deferral = ben.defer(Defer::files(["a.py"])).await.unwrap();
    heard(&mut anns, |event| match event {
        Event::Deferred { deferral_id, .. } => (deferral_id.as_ref() == Some(&deferral)).then_some(()),
        _ => None,
    })
    .await;
    assert_eq!(ann.view().await.unwrap().deferrals[0].deferral_id, deferral);
    ann.withdraw(&hers, None).await.unwrap();
    let ended = heard(&mut bens, |event| match event {
        Event::DeferralEnded { status, .. } => Some(status),
        _ => None,
    });
    assert_eq!(ended.await, "resolved");
}

#[tokio::test]
async fn a_new_file_is_based_on_nothing() {
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let intent = ann.announce(Announce::files("new", ["c/d.py"])).await.unwrap().intent;
    ann.commit(Some(&intent), Edit::of("c/d.py", &FileState::absent(), "new\n")).await.unwrap();
    assert_eq!(ann.read_file("c/d.py").await.unwrap().unwrap().content, "new\n");
}

/// What is dropped before it is polled does nothing, so an agent that has nothing to do will do.
#[tokio::test]
async fn every_verb_may_be_spawned_on_any_thread() {
    fn may<T: Send>(_: T) {}
    let host = Host::start(&[]).await;
    let (ann, mut events) = host.join("Ann").await;
    let (intent, op, conflict) = ("i".parse().unwrap(), "o".parse().unwrap(), "c".parse().unwrap());
    let edit = || Edit::on("a.py", StateRef::of(""), "");
    may(mpac_agent::agent::Agent::connect(mpac_agent::agent::ConnectOptions::new("", "")));
    may(ann.announce(on_a()));
    may(ann.update_intent(&intent, Update::default()));
    may(ann.withdraw(&intent, None));
    may(ann.claim_intent(Claim::of(intent.clone())));
    may(ann.defer(Defer::files(["a.py"])));
    may(ann.propose(Proposal::of(None, "a.py")));
    may(ann.authorisation(&op));
    may(ann.commit(None, edit()));
    may(ann.propose_and_commit(None, edit()));
    may(ann.batch_commit(Batch::all_or_nothing(None, [edit()])));
    may(ann.supersede(&op, None, edit(), None));
    may(ann.ack_conflict(&conflict, AckType::Seen));
    may(ann.escalate_conflict(&conflict, ann.me(), ""));
    may(ann.resolve_conflict(&conflict, Verdict::of(Decision::Dismissed)));
    may(ann.report_conflict(Report::of("", [])));
    may((ann.list_files(), ann.read_file(""), ann.summary(false), ann.view()));
    may(ann.leave(Leaving::default()));
    may(events.next());
    let brain: Option<&mut dyn mpac_agent::brain::Brain> = None;
    if let Some(brain) = brain {
        may(ann.run_task(brain, &unasked(), "", mpac_agent::console::Console::stdout()));
    }
    assert!(ann.view().await.unwrap().intents.is_empty());
}
