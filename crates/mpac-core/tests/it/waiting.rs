//! When a participant waits before it announces: after a rejection, for those who hold its files, for a thaw.

use mpac_core::participant::{News, Over, Withheld};
use mpac_wire::names::{Decision, ErrorCode};
use mpac_wire::payload::{
    ConflictReport, IntentClaim, IntentClaimStatus, IntentDeferred, IntentWithdraw, Outcome, Resolution,
};
use mpac_wire::{Raw, Scope, Seconds, Timestamp};

use crate::covers;
use crate::lone::{Lone, announce, commit, refusal, session_info};
use crate::silence::summary;
use crate::world::{World, intent};

fn report(id: &str, category: &str, own: &str, theirs: &str) -> ConflictReport {
    let mut report = ConflictReport::new(id.parse().unwrap(), category.into(), "medium".into());
    report.related_intents = Some(vec![intent(own), intent(theirs)]);
    (report.principal_a, report.intent_a) = (Some("bob".parse().unwrap()), Some(intent(own)));
    (report.principal_b, report.intent_b) = (Some("amy".parse().unwrap()), Some(intent(theirs)));
    report
}

fn resolution(conflict: &str, rejected: &[&str]) -> Resolution {
    let mut resolution = Resolution::new(conflict.parse().unwrap(), Decision::Rejected);
    let mut outcome = Outcome::new();
    outcome.rejected = Some(rejected.iter().map(|id| (*id).to_owned()).collect());
    resolution.outcome = Some(outcome);
    resolution
}

/// Bob announces `id` on `file` and a resolution of such a conflict rejects it; the coordinator withdraws it.
fn reject(bob: &mut Lone, id: &str, file: &str, category: &str) {
    bob.accepted(announce(id, &[file]));
    let conflict = format!("c-{id}");
    bob.coordinator(report(&conflict, category, id, "theirs"));
    let news = bob.coordinator(resolution(&conflict, &[id])).news;
    assert!(news.contains(&News::Overruled(intent(id))), "{news:?}");
    let mut withdraw = IntentWithdraw::new(intent(id));
    withdraw.reason = Some("rejected_by_resolution".to_owned());
    let over = News::IntentOver { intent: intent(id), how: Over::Withdrawn };
    assert_eq!(bob.coordinator(withdraw).news, [over]);
}

/// Seconds until Bob may announce this file, by the refusal itself.
fn wait(bob: &Lone, file: &str) -> Option<i64> {
    let now: Timestamp = bob.now;
    let message: mpac_wire::Message = announce("probe", &[file]).into();
    match bob.who.may_send(&message) {
        Ok(()) => None,
        Err(Withheld::Backoff { until }) => Some(until.since(now).micros() / 1_000_000),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn each_rejection_doubles_the_wait_up_to_five_minutes() {
    covers!("BKO-01", "BKO-02", "BKO-07", "PAR-07", "D-083");
    let mut bob = Lone::joined();
    let mut waits = Vec::new();
    for n in 0..6 {
        reject(&mut bob, &format!("i{n}"), "a", "scope_overlap");
        let seconds = wait(&bob, "./a").unwrap();
        waits.push(seconds);
        assert_eq!(wait(&bob, "b"), None, "another scope");
        for _ in 0..=seconds / 20 {
            bob.pass(20.0);
            bob.status();
        }
        assert_eq!(wait(&bob, "a"), None);
    }
    assert_eq!(waits, [30, 60, 120, 240, 300, 300]);
}

#[test]
fn the_session_s_numbers_count() {
    covers!("BKO-02");
    let mut info = session_info();
    let mut liveness = mpac_wire::policy::LivenessPolicy::new();
    liveness.intent_backoff_initial_sec = Some(Seconds::whole(2));
    liveness.intent_backoff_multiplier = Some(3.into());
    liveness.intent_backoff_max_sec = Some(Seconds::whole(5));
    info.liveness_policy = Some(liveness);
    let mut bob = Lone::joined_to(info);
    for (id, seconds) in [("i1", 2), ("i2", 5)] {
        reject(&mut bob, id, "a", "scope_overlap");
        assert_eq!(wait(&bob, "a"), Some(seconds));
        bob.pass(5.0);
    }
}

#[test]
fn other_ends_and_other_conflicts_cost_no_wait_and_reset_the_count() {
    covers!("BKO-03", "BKO-06", "BKO-07");
    let mut bob = Lone::joined();
    reject(&mut bob, "i1", "a", "semantic_goal_conflict");
    assert_eq!(wait(&bob, "a"), None, "not about scopes");
    bob.accepted(announce("i2", &["a"]));
    bob.accepted(IntentWithdraw::new(intent("i2")));
    assert_eq!(wait(&bob, "a"), None, "given up by ourselves");
    reject(&mut bob, "i3", "a", "scope_overlap");
    bob.pass(30.0);
    bob.status();
    bob.accepted(announce("i4", &["a"]));
    bob.accepted(IntentWithdraw::new(intent("i4")));
    reject(&mut bob, "i5", "a", "scope_overlap");
    assert_eq!(wait(&bob, "a"), Some(30), "the withdrawal of i4 has reset the count");
    bob.pass(30.0);
    bob.status();
    let mut short = announce("i6", &["a"]);
    short.ttl_sec = Some(Seconds::whole(5));
    bob.accepted(short);
    assert_eq!(bob.pass(5.0), [News::IntentExpired(intent("i6"))]);
    reject(&mut bob, "i7", "a", "scope_overlap");
    assert_eq!(wait(&bob, "a"), Some(30), "and so has the expiry of i6");
}

#[test]
fn a_coordinator_that_enforces_the_wait_is_believed() {
    covers!("BKO-01", "PAR-07");
    let mut bob = Lone::joined();
    let early = bob.say(announce("i", &["a"])).unwrap();
    let mut error = refusal("INTENT_BACKOFF", &early.message_id, "too early");
    error.extensions = Raw::of(&serde_json::json!({ "retry_after_sec": 17.5 })).ok();
    bob.coordinator(error);
    assert_eq!(wait(&bob, "a"), Some(17));
}

#[test]
fn a_rejection_in_a_real_session_makes_its_owner_wait() {
    covers!("BKO-01", "BKO-07");
    let mut world = World::of(&["alice", "bob"]);
    world.join("olga", &[mpac_wire::names::Role::Owner]);
    world.announce("alice", "i1", &["x"]);
    world.announce("bob", "i2", &["x"]);
    let conflict = world.conflict();
    world.say("olga", resolution(conflict.as_str(), &["i2"]));
    assert!(world.news("bob").contains(&News::Overruled(intent("i2"))));
    assert!(matches!(world.try_say("bob", announce("i3", &["x"])), Err(Withheld::Backoff { .. })));
    assert!(world.try_say("alice", announce("i4", &["y"])).is_ok());
    world.wait(30.0);
    assert!(world.try_say("bob", announce("i3", &["x"])).is_ok());
}

#[test]
fn what_is_in_the_way_is_seen_before_announcing() {
    covers!("PAR-17", "DEF-14", "PAR-24");
    let mut bob = Lone::joined();
    let scope = Scope::files(["a", "b"]);
    assert_eq!(bob.who.in_the_way(&scope), []);
    bob.peer("amy", announce("theirs", &["./b"]));
    let holders = bob.who.in_the_way(&scope);
    assert_eq!((holders[0].intent.as_str(), holders[0].principal.as_str()), ("theirs", "amy"));
    let (stamp, id) = (bob.stamp(), bob.who.new_deferral_id());
    let deferral = bob.who.defer_to(stamp, id, scope.clone(), &holders);
    let text = deferral.payload.get();
    assert!(text.contains(r#""observed_intent_ids":["theirs"],"observed_principals":["amy"]"#), "{text}");
    assert!(!text.contains("principal_id"), "whose it is, the coordinator says: {text}");
    bob.peer("amy", IntentWithdraw::new(intent("theirs")));
    assert_eq!(bob.who.in_the_way(&scope), []);
}

#[test]
fn the_session_s_names_tell_what_is_in_the_way_across_kinds() {
    covers!("PAR-17", "SCO-10", "HEL-16");
    let mut info = session_info();
    let registry = r#"{"mappings":[{"canonical_uri":"resource://x/cart","aliases":[
        {"kind":"file_set","value":"cart.py"},{"kind":"entity_set","value":"Cart"}]}, {"canonical_uri":"resource://x/tax",
        "aliases":[{"kind":"file_set","value":"tax.py"}]}]}"#;
    info.resource_registry = Some(serde_json::from_str(registry).unwrap());
    let mut bob = Lone::joined_to(info);
    bob.peer(
        "amy",
        mpac_wire::payload::IntentAnnounce::new(intent("t"), "o".into(), Scope::entities(["Cart"])),
    );
    assert_eq!(bob.who.in_the_way(&Scope::files(["./cart.py"])).len(), 1);
    assert_eq!(bob.who.in_the_way(&Scope::files(["tax.py"])), []);
}

#[test]
fn taken_files_are_tried_again_when_their_holders_are_done() {
    covers!("PAR-18", "LCK-10", "PAR-11");
    let mut bob = Lone::joined();
    bob.peer("amy", announce("theirs", &["a"]));
    let refused = bob.say(announce("i", &["a"])).unwrap();
    let mut error = refusal("STALE_INTENT", &refused.message_id, "intent theirs (principal amy) covers a");
    let holders = serde_json::json!({ "mpac": { "holders": [
        { "intent_id": "theirs", "principal_id": "amy" }, { "intent_id": "unseen", "principal_id": "cat" }] } });
    error.extensions = Raw::of(&holders).ok();
    let news = bob.coordinator(error).news;
    let taken = |it: &News| matches!(it, News::Taken { intent, holders } if intent.as_str() == "i" && holders.len() == 2);
    assert!(news.iter().any(taken), "{news:?}");
    assert_eq!(bob.peer("amy", IntentWithdraw::new(intent("theirs"))), [], "cat is still at it");
    assert_eq!(bob.peer("cat", IntentWithdraw::new(intent("unseen"))), [News::Free(intent("i"))]);
    assert!(bob.say(announce("i2", &["a"])).is_ok());
}

#[test]
fn an_end_that_nobody_tells_of_is_waited_for_no_longer_than_it_can_last() {
    covers!("LCK-10", "PAR-18");
    let mut bob = Lone::joined();
    let mut theirs = announce("theirs", &["a"]);
    theirs.ttl_sec = Some(Seconds::whole(20));
    bob.peer("amy", theirs);
    let refused = bob.say(announce("i", &["a"])).unwrap();
    bob.refuse(&refused, "STALE_INTENT", "intent theirs (principal amy) already covers a");
    assert_eq!(bob.due_in(), Some(20.0));
    assert_eq!(bob.pass(19.9), []);
    assert_eq!(bob.pass(0.1), [News::Free(intent("i"))]);
}

#[test]
fn an_intent_known_from_a_summary_alone_is_waited_for_no_longer_than_ours_last() {
    covers!("LCK-10", "PAR-17", "PAR-18", "INT-07");
    for id in ["theirs", "suspended"] {
        let mut bob = Lone::joined();
        bob.who.hear_summary(bob.now, &summary(&[(id, "amy", &["a"])]));
        let refused = bob.say(announce("i", &["a"])).unwrap();
        bob.refuse(&refused, "STALE_INTENT", &format!("intent {id} (principal amy) already covers a"));
        for _ in 0..60 {
            bob.pass(29.0);
            bob.status();
        }
        bob.pass(59.0);
        bob.status();
        assert_eq!((bob.who.in_the_way(&Scope::files(["a"])).len(), bob.due_in()), (1, Some(1.0)));
        let news = bob.pass(1.0);
        assert!(news.contains(&News::Free(intent("i"))), "{id}: {news:?}");
        assert_eq!(bob.who.in_the_way(&Scope::files(["a"])), []);
    }
}

/// Bob waits for Amy's `theirs`, and somebody's claim on that is approved.
fn waits_for_a_claimed_one(claimed: Option<&str>) -> (Lone, Vec<News>) {
    let mut bob = Lone::joined();
    bob.peer("amy", announce("theirs", &["a", "b"]));
    let refused = bob.say(announce("i", &["a"])).unwrap();
    bob.refuse(&refused, "STALE_INTENT", "intent theirs (principal amy) already covers a");
    if let Some(file) = claimed {
        let (id, owner) = ("c".parse().unwrap(), "amy".parse().unwrap());
        let (new, scope) = (intent("new"), Scope::files([file]));
        bob.peer("cat", IntentClaim::new(id, intent("theirs"), owner, new, "go on".into(), scope));
    }
    let decision = mpac_wire::names::ClaimDecision::Approved;
    let mut approved = IntentClaimStatus::new("c".parse().unwrap(), intent("theirs"), decision);
    approved.new_intent_id = Some(intent("new"));
    let news = bob.coordinator(approved).news;
    (bob, news)
}

#[test]
fn an_intent_that_somebody_goes_on_with_is_waited_for_under_its_new_id() {
    covers!("LCK-10", "PAR-17", "REC-06", "D-029", "CLM-09");
    let free = News::Free(intent("i"));
    let wanted = Scope::files(["a"]);
    // The claim was passed on only to who governs: for all others a summary has to tell.
    for (file, freed) in [("a", false), ("b", true)] {
        let (mut bob, news) = waits_for_a_claimed_one(None);
        assert!(matches!(news.as_slice(), [News::Gap { revealed_by: Some(_) }]), "{news:?}");
        let news = bob.who.hear_summary(bob.now, &summary(&[("new", "cat", &[file])]));
        assert_eq!((news.contains(&free), bob.who.has_gap()), (freed, false), "{file}: {news:?}");
        assert_eq!(bob.who.in_the_way(&wanted).is_empty(), freed);
    }
    let (mut bob, _) = waits_for_a_claimed_one(None);
    assert!(bob.who.hear_summary(bob.now, &summary(&[])).contains(&free), "it is over already");
    // Without one it is waited for no longer than it can last.
    let (mut bob, _) = waits_for_a_claimed_one(None);
    bob.pass(299.0);
    bob.status();
    assert_eq!(bob.due_in(), Some(1.0));
    assert!(bob.pass(1.0).contains(&free));
    // Who heard the claim knows all of it.
    let (mut bob, news) = waits_for_a_claimed_one(Some("a"));
    assert_eq!(news, []);
    assert_eq!(bob.who.in_the_way(&wanted)[0].principal.as_str(), "cat");
    assert!(bob.peer("cat", IntentWithdraw::new(intent("new"))).contains(&free));
    let (_, news) = waits_for_a_claimed_one(Some("b"));
    assert_eq!(news, [free], "the rest is free");
}

#[test]
fn others_deferrals_are_swept_when_their_end_is_lost() {
    covers!("DEF-13");
    let mut bob = Lone::joined();
    let deferred = |id: &str, lasts: u32, now: Timestamp| {
        let mut deferred = IntentDeferred::new();
        deferred.deferral_id = Some(id.parse().unwrap());
        deferred.principal_id = Some("amy".parse().unwrap());
        deferred.scope = Some(Scope::files(["a"]));
        deferred.expires_at = Some(now.after(&Seconds::whole(lasts)).into());
        deferred
    };
    bob.coordinator(deferred("d1", 10, bob.now));
    bob.coordinator(deferred("d2", 25, bob.now));
    assert_eq!(bob.who.deferrals().count(), 2);
    assert_eq!(bob.due_in(), Some(10.0));
    bob.pass(10.0);
    assert_eq!(bob.who.deferrals().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["d2"]);
    let mut over = IntentDeferred::new();
    over.deferral_id = Some("d2".parse().unwrap());
    over.principal_id = Some("amy".parse().unwrap());
    over.status = Some("resolved".into());
    bob.coordinator(over);
    assert_eq!(bob.who.deferrals().count(), 0);
}

#[test]
fn a_frozen_scope_is_left_alone_until_its_conflict_is_resolved() {
    covers!("PAR-23");
    let mut bob = Lone::working();
    bob.coordinator(report("c1", "scope_overlap", "i", "theirs"));
    let refused = bob.say(commit("o1", Some("i"), "a", "one", "two")).unwrap();
    let news = bob.refuse(&refused, "SCOPE_FROZEN", "a is frozen until conflict c1 is resolved");
    assert!(matches!(news.as_slice(), [News::Refused { message: Some(_), warning: false, .. }]));
    assert_eq!(bob.withheld(commit("o2", Some("i"), "./a", "one", "two")), Withheld::Frozen("./a".into()));
    assert!(matches!(bob.withheld(announce("j", &["a"])), Withheld::Frozen(_)));
    assert!(bob.who.is_frozen("./a") && !bob.who.is_frozen("b"));
    assert!(bob.say(commit("o3", Some("i"), "b", "one", "two")).is_ok(), "the rest goes on");
    bob.coordinator(report("c2", "scope_overlap", "i", "theirs"));
    assert_eq!(bob.coordinator(resolution("c2", &[])).news, [], "another conflict");
    assert!(matches!(bob.withheld(commit("o4", Some("i"), "a", "one", "two")), Withheld::Frozen(_)));
    assert_eq!(bob.coordinator(resolution("c1", &[])).news, [News::Thawed("c1".parse().unwrap())]);
    assert!(!bob.who.is_frozen("a"));
    assert!(bob.say(commit("o5", Some("i"), "a", "one", "two")).is_ok());
}

#[test]
fn a_notice_that_answers_nothing_freezes_its_conflict_s_scopes() {
    covers!("PAR-23", "FRZ-11");
    for (favoured, text, frozen) in [
        ("theirs", "the frozen scope of conflict c1 is open for theirs and for nothing else", true),
        ("i", "the frozen scope of conflict c1 is open for i and for nothing else", false),
        ("theirs", "wait for it", true),
    ] {
        let mut bob = Lone::working();
        bob.peer("amy", announce("theirs", &["a", "b"]));
        bob.coordinator(report("c1", "scope_overlap", "i", "theirs"));
        let mut notice = mpac_wire::payload::ProtocolError::new("SCOPE_FROZEN".into(), text.to_owned());
        notice.conflict_id = Some("c1".parse().unwrap());
        for _ in 0..2 {
            bob.coordinator(notice.clone());
        }
        for target in ["a", "b"] {
            let said = bob.say(commit(&format!("o-{target}"), Some("i"), target, "", "n"));
            let held = said == Err(Withheld::Frozen(target.into()));
            assert_eq!(held, frozen, "{favoured}, {target}: {said:?}");
        }
        assert!(bob.say(commit("o-c", Some("i"), "c", "", "n")).is_ok(), "the rest goes on");
        let thawed = bob.coordinator(resolution("c1", &[])).news;
        assert_eq!(thawed.contains(&News::Thawed("c1".parse().unwrap())), frozen);
        assert!(bob.say(commit("o2", Some("i"), "a", "", "n")).is_ok());
    }
}

#[test]
fn a_warning_restricts_only_the_frozen_part() {
    covers!("PAR-23", "PAR-12");
    let mut bob = Lone::joined();
    bob.peer("amy", announce("t1", &["x"]));
    bob.peer("cat", announce("t2", &["x"]));
    let mut between = report("c1", "scope_overlap", "t1", "t2");
    between.principal_a = Some("cat".parse().unwrap());
    bob.coordinator(between);
    let partly = bob.say(announce("i", &["x", "y"])).unwrap();
    bob.echo(&partly);
    let news = bob.refuse(
        &partly,
        "SCOPE_FROZEN",
        "Warning: part of this scope is frozen by c1; leave that part alone",
    );
    assert!(matches!(news.as_slice(), [News::Refused { warning: true, .. }]), "{news:?}");
    assert_eq!(bob.who.intents().len(), 1, "it was accepted");
    assert!(matches!(bob.withheld(commit("o1", Some("i"), "x", "", "n")), Withheld::Frozen(_)));
    assert!(bob.say(commit("o2", Some("i"), "y", "", "n")).is_ok());
}

#[test]
fn every_refusal_of_the_real_coordinator_reaches_the_one_it_answers() {
    covers!("ERR-10", "PAR-11");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["a"]);
    world.news("alice");
    world.announce("bob", "i", &["a"]);
    let news = world.news("bob");
    let refused = news.iter().find_map(|it| match it {
        News::Refused { message: Some(id), error, warning: false } => {
            Some((id.clone(), error.error_code.clone()))
        }
        _ => None,
    });
    let (id, code) = refused.expect("the refusal is told");
    assert_eq!(code, ErrorCode::MalformedMessage);
    assert_eq!(
        world.who("bob").fate(&id),
        Some(&mpac_core::participant::Fate::Refused(ErrorCode::MalformedMessage))
    );
    assert_eq!(world.news("alice"), [], "and nobody else");
}

#[test]
fn a_wait_grows_by_a_number_of_one_or_more() {
    covers!("BKO-01", "BKO-02");
    let policy = |factor: &str| {
        serde_json::from_str::<mpac_wire::policy::LivenessPolicy>(&format!(
            r#"{{"intent_backoff_multiplier":{factor}}}"#
        ))
    };
    let wrong = policy(r#""x""#).unwrap_err().to_string();
    assert!(wrong.contains("expected a number, found"), "{wrong}");
    for (factor, good) in [("0", false), ("0.99", false), ("-1", false), ("1", true), ("1.5", true)] {
        let mut config = crate::world::config();
        config.liveness = policy(factor).unwrap();
        assert_eq!(config.validate().is_ok(), good, "{factor}");
        if !good {
            let text = config.validate().unwrap_err().to_string();
            assert_eq!(
                text,
                format!("intent_backoff_multiplier must be a number of 1 or more, not {factor}")
            );
        }
    }
    // From elsewhere: no wait is shorter than the one before.
    let mut info = session_info();
    info.liveness_policy = Some(policy("0.1").unwrap());
    let mut bob = Lone::joined_to(info);
    for id in ["i1", "i2"] {
        reject(&mut bob, id, "a", "scope_overlap");
        assert_eq!(wait(&bob, "a"), Some(30));
        bob.pass(15.0);
        bob.status();
        bob.pass(15.0);
        bob.status();
    }
}
