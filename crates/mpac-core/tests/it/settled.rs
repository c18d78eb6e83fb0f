//! What became of own work whose answer was lost, and how it shows later.

use mpac_core::participant::{Fate, News, Over, Presence, Stage, Withheld};
use mpac_wire::names::{ClaimDecision, CoordinatorEvent, Decision};
use mpac_wire::payload::{
    BatchEntry, Hello, IntentClaim, IntentWithdraw, OpBatchCommit, OpPropose, OpReject, Outcome, Resolution,
};
use mpac_wire::{Envelope, Message, Scope, Seconds, StateRef};

use crate::covers;
use crate::lone::{COORDINATOR, Lone, announce, commit, governed, pre_commit, session_info, status};
use crate::silence::summary;
use crate::world::{intent, op};

const DUPLICATE: &str = "duplicate op_id \"o\": every operation needs a new one";

fn overruling(rejected: &str) -> Resolution {
    let mut resolution = Resolution::new("c".parse().unwrap(), Decision::PolicyOverride);
    let mut outcome = Outcome::new();
    outcome.rejected = Some(vec![rejected.to_owned()]);
    outcome.rollback = Some("compensation:r".to_owned());
    resolution.outcome = Some(outcome);
    resolution
}

fn stage(bob: &Lone, id: &str) -> Stage {
    bob.who.operation(&op(id)).unwrap().stage
}

/// The connection breaks, Bob is let in again and reads a summary of the session.
fn back(bob: &mut Lone, listed: &[(&str, &str, &[&str])]) -> Vec<News> {
    bob.who.connection_lost(bob.now);
    bob.hello();
    let info = bob.who.session_info().cloned().unwrap_or_else(session_info);
    bob.coordinator(info);
    bob.who.hear_summary(bob.now, &summary(listed))
}

fn repeats(bob: &mut Lone, message: impl Into<Message>) -> Envelope {
    let stamp = bob.stamp();
    bob.who.try_repeat(stamp, message).unwrap()
}

/// What the next HELLO says is committed.
fn named(bob: &mut Lone) -> bool {
    let stamp = bob.stamp();
    bob.who
        .clone()
        .hello_again(stamp, Hello::new("Bob".into(), Vec::new()))
        .to_json()
        .contains("committed_ops")
}

fn undoes(news: &[News], ops: &[&str]) -> bool {
    news.iter().any(|it| {
        matches!(it, News::Compensate(all)
            if all.reversals.iter().map(|it| it.reverses.as_str()).collect::<Vec<_>>() == ops)
    })
}

/// What a resolution about a proposal says of a commit behind it that was not answered.
#[test]
fn a_proposal_that_a_resolution_rejects_is_no_proof_that_its_commit_arrived() {
    covers!("PAR-12", "GOV-21", "D-041", "D-113", "OPS-31");
    for (rollback, rejected_behind) in [(None, true), (Some("compensation:r"), true), (Some("r"), false)] {
        let mut bob = Lone::working();
        let mut propose = OpPropose::new(op("o"), "a".into(), "replace".into());
        propose.intent_id = Some(intent("i"));
        bob.say(propose).unwrap();
        bob.say(commit("o", Some("i"), "a", "1", "2")).unwrap();
        back(&mut bob, &[]);
        let mut resolution = overruling("o");
        resolution.outcome.as_mut().unwrap().rollback = rollback.map(ToOwned::to_owned);
        let news = bob.coordinator(resolution).news;
        // Who decides must say what becomes of a commit: without that there is none.
        assert_eq!(undoes(&news, &["o"]), rollback.is_some(), "{news:?}");
        if rejected_behind {
            bob.coordinator(OpReject::new(op("o"), "resolution_rejected".into()));
            assert_eq!(stage(&bob, "o"), Stage::Rejected, "{rollback:?}");
        }
        assert!(!named(&mut bob), "{rollback:?}: it was concluded, and nobody has said so");
    }
}

#[test]
fn what_is_left_out_of_a_batch_that_comes_back_whole_is_not_committed() {
    covers!("BAT-06", "BAT-14", "D-128", "D-041", "OPS-31");
    for (batch, taken_back) in [("n", true), ("of-somebody-else", false)] {
        let mut bob = Lone::working();
        let refs = || (StateRef::of("1"), StateRef::of("2"));
        let entry = |id: &str| BatchEntry::new(op(id), id.into(), "replace".into(), refs().0, refs().1);
        let entries = vec![entry("o"), entry("p")];
        bob.accepted(OpBatchCommit::new("n".parse().unwrap(), "best_effort".into(), entries));
        let mut reject = OpReject::new(op(batch), "batch_entries_rejected".into());
        reject.rejected_ops = Some(vec![op("p")]);
        bob.coordinator(reject);
        let left = if taken_back { Stage::Rejected } else { Stage::Committed };
        assert_eq!([stage(&bob, "o"), stage(&bob, "p")], [Stage::Committed, left]);
    }
}

#[test]
fn a_withdrawal_of_what_the_coordinator_does_not_know_ends_it_here_too() {
    covers!("PAR-09", "PAR-12", "PAR-22", "BYE-02");
    let mut bob = Lone::joined();
    let mut short = announce("i", &["a"]);
    short.ttl_sec = Some(Seconds::whole(5));
    bob.accepted(short);
    bob.pass(6.0);
    let late = bob.say(IntentWithdraw::new(intent("i"))).unwrap();
    let news = bob.refuse(&late, "INVALID_REFERENCE", "intent i is EXPIRED");
    let over = News::IntentOver { intent: intent("i"), how: Over::NotListed };
    assert!(news.contains(&over), "{news:?}");
    assert_eq!(bob.who.presence(&intent("i")), Presence::Gone);
    assert_eq!(bob.withheld(commit("o", Some("i"), "a", "1", "2")), Withheld::IntentOver(intent("i")));
    let again = bob.say(IntentWithdraw::new(intent("i"))).unwrap();
    let news = bob.refuse(&again, "INVALID_REFERENCE", "intent i is EXPIRED");
    assert!(!news.contains(&over), "told once");
}

#[test]
fn a_commit_that_its_target_shows_is_committed() {
    covers!("PAR-12", "GOV-21", "FRZ-15", "D-041", "OPS-31");
    for (after_a_summary, undone) in [(false, true), (true, true), (true, false)] {
        let mut bob = Lone::working();
        let lost = bob.say(commit("o", Some("i"), "./a", "1", "2")).unwrap();
        if after_a_summary {
            back(&mut bob, &[("i", "bob", &["a"])]);
        } else {
            bob.status();
            bob.pass(31.0);
            assert_eq!(bob.who.fate(&lost.message_id), Some(&Fate::Unknown));
        }
        bob.who.note_state("a", StateRef::of("2"));
        assert_eq!(stage(&bob, "o"), Stage::Committed);
        assert!(!named(&mut bob), "somebody else may have written the same");
        if undone {
            assert!(undoes(&bob.coordinator(overruling("o")).news, &["o"]));
        } else {
            bob.coordinator(OpReject::new(op("o"), "intent_terminated".into()));
            assert_eq!(stage(&bob, "o"), Stage::Rejected, "the coordinator knows better");
        }
    }
}

#[test]
fn a_target_that_shows_something_else_proves_nothing_then_or_later() {
    covers!("PAR-12", "OPS-31");
    let mut bob = Lone::working();
    bob.say(commit("o", Some("i"), "a", "1", "2")).unwrap();
    let waiting = bob.say(commit("p", Some("i"), "b", "1", "2")).unwrap();
    bob.who.note_state("b", StateRef::of("2"));
    assert_eq!(stage(&bob, "p"), Stage::Asked, "its answer may still come");
    bob.echo(&waiting);
    back(&mut bob, &[("i", "bob", &["a"])]);
    for seen in ["1", "2"] {
        bob.who.note_state("a", StateRef::of(seen));
        assert_eq!(stage(&bob, "o"), Stage::Asked, "{seen}: by then anybody may have written it");
    }
}

#[test]
fn all_targets_speak_for_an_all_or_nothing_batch() {
    covers!("PAR-12", "BAT-05", "BAT-12");
    let entry = |id: &str, target: &str| {
        let refs = (StateRef::of("1"), StateRef::of("2"));
        BatchEntry::new(op(id), target.into(), "replace".into(), refs.0, refs.1)
    };
    for (atomicity, first) in [("all_or_nothing", Stage::Asked), ("best_effort", Stage::Committed)] {
        for (seen, both) in [("1", [first, Stage::Asked]), ("2", [Stage::Committed; 2])] {
            let mut bob = Lone::working();
            let entries = vec![entry("o", "a"), entry("p", "b")];
            bob.say(OpBatchCommit::new("n".parse().unwrap(), atomicity.into(), entries)).unwrap();
            bob.who.connection_lost(bob.now);
            bob.who.note_state("a", StateRef::of("2"));
            bob.who.note_state("b", StateRef::of(seen));
            assert_eq!([stage(&bob, "o"), stage(&bob, "p")], both, "{atomicity} {seen}");
        }
    }
}

#[test]
fn a_repeat_that_the_coordinator_knows_was_accepted_while_its_intent_lives() {
    covers!("PAR-12", "GOV-21", "D-022", "D-041");
    let mut bob = Lone::working();
    bob.say(commit("o", Some("i"), "a", "1", "2")).unwrap();
    back(&mut bob, &[("i", "bob", &["a"])]);
    let again = repeats(&mut bob, commit("o", Some("i"), "a", "1", "2"));
    bob.refuse(&again, "STALE_STATE_REF", DUPLICATE);
    assert_eq!(stage(&bob, "o"), Stage::Committed);
    assert!(named(&mut bob));
    assert!(undoes(&bob.coordinator(overruling("o")).news, &["o"]));
    // Once its intent is over it may have come too late, and then its target tells.
    for (seen, found) in [("2", Stage::Committed), ("1", Stage::Asked)] {
        let mut bob = Lone::working();
        bob.say(commit("o", Some("i"), "a", "1", "2")).unwrap();
        back(&mut bob, &[("i", "bob", &["a"])]);
        let again = repeats(&mut bob, commit("o", Some("i"), "a", "1", "2"));
        bob.accepted(IntentWithdraw::new(intent("i")));
        bob.refuse(&again, "STALE_STATE_REF", DUPLICATE);
        assert_eq!(stage(&bob, "o"), Stage::Asked);
        bob.who.note_state("a", StateRef::of(seen));
        assert_eq!(stage(&bob, "o"), found, "{seen}");
    }
    // Without a repeat it is somebody else's id.
    let mut bob = Lone::working();
    let first = bob.say(commit("o", Some("i"), "a", "1", "2")).unwrap();
    bob.refuse(&first, "STALE_STATE_REF", DUPLICATE);
    assert_eq!(stage(&bob, "o"), Stage::Rejected);
}

#[test]
fn a_completion_that_its_target_shows_is_not_to_be_done_again() {
    covers!("PAR-12", "OPS-24", "OPS-25", "OPS-31");
    let mut bob = Lone::joined_to(pre_commit());
    bob.accepted(announce("i", &["a"]));
    bob.say(commit("o", Some("i"), "a", "1", "2")).unwrap();
    back(&mut bob, &[("i", "bob", &["a"])]);
    bob.who.note_state("a", StateRef::of("2"));
    assert_eq!(stage(&bob, "o"), Stage::Asked, "a request changes nothing: it was somebody else");
    let mut authorised = status(CoordinatorEvent::Authorization, COORDINATOR);
    authorised.authorized_op_id = Some(op("o"));
    bob.coordinator(authorised);
    bob.who.note_state("a", StateRef::of("2"));
    assert_eq!(stage(&bob, "o"), Stage::Authorised, "nor was it completed");
    bob.say(commit("o", Some("i"), "a", "1", "2")).unwrap();
    back(&mut bob, &[("i", "bob", &["a"])]);
    bob.who.note_state("a", StateRef::of("2"));
    assert_eq!(stage(&bob, "o"), Stage::Committed);
    assert_eq!(bob.who.to_complete().count(), 0);
}

#[test]
fn whoever_rejects_its_own_proposal_hears_it_from_the_echo() {
    covers!("OPS-24", "OPS-31", "PAR-09");
    let mut bob = Lone::joined_to(pre_commit());
    bob.accepted(announce("i", &["a"]));
    let mut propose = OpPropose::new(op("o"), "a".into(), "replace".into());
    propose.intent_id = Some(intent("i"));
    bob.accepted(propose);
    let mut authorised = status(CoordinatorEvent::Authorization, COORDINATOR);
    authorised.authorized_op_id = Some(op("o"));
    bob.coordinator(authorised);
    assert!(bob.who.may_apply(&op("o")));
    bob.accepted(OpReject::new(op("o"), "policy_violation".into()));
    assert_eq!(stage(&bob, "o"), Stage::Rejected);
    assert!(!bob.who.may_apply(&op("o")));
}

#[test]
fn work_is_undone_though_its_intent_is_over() {
    covers!("FRZ-15", "GOV-21", "INT-02");
    for info in [session_info(), governed()] {
        let needed = info != session_info();
        let mut bob = Lone::joined_to(info);
        bob.accepted(announce("i", &["a"]));
        bob.accepted(commit("o", Some("i"), "a", "1", "2"));
        let news = bob.coordinator(overruling("o")).news;
        let all = news.into_iter().find_map(|it| match it {
            News::Compensate(all) => Some(all),
            _ => None,
        });
        let all = all.expect("the commit lost");
        assert_eq!(all.reversals[0].to_commit(&bob.who).intent_id, Some(intent("i")), "while it lives");
        // The coordinator withdraws what a resolution rejects, and owners what is done.
        bob.accepted(IntentWithdraw::new(intent("i")));
        let mut undoing = all.reversals[0].to_commit(&bob.who);
        assert_eq!(undoing.intent_id, None);
        if needed {
            assert_eq!(bob.withheld(undoing.clone()), Withheld::IntentNeeded);
            bob.accepted(announce("undo", &["a"]));
            undoing.intent_id = Some(intent("undo"));
        }
        bob.accepted(undoing);
    }
}

/// Bob claims Amy's `original`, which covers what he asks for.
fn claims(bob: &mut Lone, original: &str) -> Envelope {
    bob.peer("amy", announce(original, &["t"]));
    let (id, owner) = ("c".parse().unwrap(), "amy".parse().unwrap());
    let (new, scope) = (intent("new"), Scope::files(["t"]));
    bob.say(IntentClaim::new(id, intent(original), owner, new, "go on".into(), scope)).unwrap()
}

fn decided(news: &[News]) -> Option<(ClaimDecision, Option<&str>)> {
    news.iter().find_map(|it| match it {
        News::ClaimDecided { claim, decision, reason } if claim.as_str() == "c" => {
            Some((decision.clone(), reason.as_deref()))
        }
        _ => None,
    })
}

#[test]
fn a_claim_that_was_decided_during_a_break_is_read_from_the_summary() {
    covers!("CLM-16", "CLM-10", "CLM-13", "PAR-12", "D-029");
    type Listed = &'static [(&'static str, &'static str, &'static [&'static str])];
    let cases: [(Listed, ClaimDecision, Option<&str>); 3] = [
        (&[("new", "bob", &["t"])], ClaimDecision::Approved, None),
        (&[("theirs", "amy", &["t"])], ClaimDecision::Withdrawn, Some("original_owner_rejoined")),
        (&[], ClaimDecision::Rejected, Some("intent_no_longer_suspended")),
    ];
    for (listed, decision, reason) in cases {
        let mut bob = Lone::joined();
        let said = claims(&mut bob, "theirs");
        let news = back(&mut bob, listed);
        assert_eq!(decided(&news), Some((decision.clone(), reason)), "{listed:?}");
        assert_eq!(bob.who.pending_claims().count(), 0);
        let own = bob.who.intents().get(&intent("new"));
        assert_eq!(own.is_some(), decision == ClaimDecision::Approved);
        if let Some(own) = own {
            assert_eq!(own.message_id, Some(said.message_id));
            assert_eq!(own.expires, Some(bob.now.after(&Seconds::whole(300))), "as any other by default");
            assert_eq!(own.announced.objective, "go on");
        }
    }
}

#[test]
fn a_claim_waits_on_while_the_summary_says_that_it_is_ours() {
    covers!("CLM-16", "CLM-11", "D-052", "PAR-12");
    let rejected = Some((ClaimDecision::Rejected, None));
    let cases = [(true, Some("bob"), None), (true, Some("cat"), rejected.clone()), (true, None, rejected)];
    for (broken, by, how) in cases.into_iter().chain([(false, None, None)]) {
        let mut bob = Lone::joined();
        claims(&mut bob, "suspended");
        if broken {
            bob.who.connection_lost(bob.now);
            bob.hello();
            bob.coordinator(session_info());
        }
        let mut read = summary(&[("suspended", "amy", &["t"])]);
        read.active_intents[0].claimed_by = by.map(|it| it.parse().unwrap());
        let news = bob.who.hear_summary(bob.now, &read);
        assert_eq!(decided(&news), how, "{broken}, {by:?}");
        assert_eq!(bob.who.pending_claims().count(), usize::from(how.is_none()));
    }
}
