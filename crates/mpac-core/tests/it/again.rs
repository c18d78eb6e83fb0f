//! A participant to whom things are told twice, too late, wrongly, or not at all.

use mpac_core::participant::{Hearing, News, Stage, Withheld};
use mpac_wire::names::{Atomicity, CoordinatorEvent, Decision, GoodbyeReason, IntentDisposition, OpKind};
use mpac_wire::payload::{
    BatchEntry, ConflictReport, IntentWithdraw, OpBatchCommit, OpPropose, OpSupersede, Outcome,
    ProtocolError, Resolution, SessionClose,
};
use mpac_wire::{Integer, Raw, Seconds, StateRef};

use crate::covers;
use crate::lone::{COORDINATOR, Lone, announce, commit, pre_commit, session_info, status};
use crate::silence::summary;
use crate::world::{intent, op};

const TAKEN: &str = "taken by intent theirs (principal amy)";

fn resolution(conflict: &str, rejected: &[&str], rollback: Option<&str>) -> Resolution {
    let mut resolution = Resolution::new(conflict.parse().unwrap(), Decision::Rejected);
    let mut outcome = Outcome::new();
    outcome.rejected = Some(rejected.iter().map(|id| (*id).to_owned()).collect());
    outcome.rollback = rollback.map(str::to_owned);
    resolution.outcome = Some(outcome);
    resolution
}

/// Amy's `theirs` holds the file that Bob wants; Bob is refused under `id`.
fn taken(bob: &mut Lone, id: &str) -> Vec<News> {
    let refused = bob.say(announce(id, &["a"])).unwrap();
    bob.refuse(&refused, "STALE_INTENT", TAKEN)
}

#[test]
fn a_holder_that_outlives_the_estimate_is_waited_for_again() {
    covers!("LCK-10", "PAR-18");
    let mut bob = Lone::joined();
    taken(&mut bob, "j1");
    bob.pass(299.0);
    bob.status();
    assert!(bob.pass(1.0).contains(&News::Free(intent("j1"))), "as long as an intent lasts by default");
    // It lasts longer than that. To try again at once, and again, helps nobody.
    let news = taken(&mut bob, "j2");
    assert!(!news.contains(&News::Free(intent("j2"))), "{news:?}");
    bob.status();
    assert!(!bob.pass(30.0).contains(&News::Free(intent("j2"))));
    assert_eq!(
        bob.peer("amy", IntentWithdraw::new(intent("theirs"))),
        [News::Free(intent("j2"))],
        "but its end is heard of"
    );
}

#[test]
fn an_intent_that_a_summary_lists_is_live_whatever_was_estimated() {
    covers!("D-029", "PAR-09", "PAR-17");
    let mut bob = Lone::joined();
    let mut theirs = announce("theirs", &["a"]);
    theirs.ttl_sec = Some(Seconds::whole(10));
    bob.peer("amy", theirs);
    bob.pass(11.0);
    let wanted = announce("j", &["a"]).scope;
    assert_eq!(bob.who.in_the_way(&wanted), []);
    bob.who.hear_summary(bob.now, &summary(&[("theirs", "amy", &["a"])]));
    assert_eq!(bob.who.in_the_way(&wanted).len(), 1, "amy has prolonged it, and nobody told us");
}

#[test]
fn a_gap_is_reported_only_where_something_may_be_said() {
    covers!("LAM-19", "SES-23", "SES-15");
    let mut bob = Lone::joined();
    bob.coordinator(resolution("c", &[], None));
    assert!(bob.who.has_gap());
    let mut outside = bob.who.clone();
    outside.connection_lost(bob.now);
    let stamp = bob.stamp();
    assert_eq!(outside.report_gap(stamp), None, "HELLO comes first");
    bob.coordinator(SessionClose::new("completed".into(), Integer::new(1)));
    let stamp = bob.stamp();
    assert_eq!(bob.who.report_gap(stamp), None, "the session is over");
}

#[test]
fn a_break_during_a_gap_asks_for_another_summary() {
    covers!("LAM-19", "D-029", "PAR-08");
    let mut bob = Lone::joined();
    bob.coordinator(resolution("c", &[], None));
    let stamp = bob.stamp();
    assert!(bob.who.report_gap(stamp).is_some());
    bob.who.connection_lost(bob.now); // and with it the summary that was on its way
    bob.hello();
    let news = bob.coordinator(session_info()).news;
    assert!(news.contains(&News::Gap { revealed_by: None }), "{news:?}");
    let stamp = bob.stamp();
    assert_eq!(bob.who.report_gap(stamp), None, "CAUSAL_GAP was sent in this gap");
    assert_eq!(bob.who.hear_summary(bob.now, &summary(&[])), [News::GapClosed]);
}

#[test]
fn whatever_names_an_intent_nobody_spoke_of_reveals_a_gap_once() {
    covers!("LAM-21", "D-029");
    let mut proposal = OpPropose::new(op("p"), "a".into(), "replace".into());
    proposal.intent_id = Some(intent("x"));
    let mut superseding = OpSupersede::new(op("s"), op("r"), "a".into());
    superseding.intent_id = Some(intent("y"));
    for (message, id) in [(mpac_wire::Message::from(proposal), "x"), (superseding.into(), "y")] {
        let mut bob = Lone::joined();
        bob.peer("amy", commit("r", None, "a", "0", "1"));
        assert!(!bob.who.has_gap());
        let news = bob.peer("amy", message);
        assert!(news.iter().any(|it| matches!(it, News::Gap { .. })), "{id}: {news:?}");
        bob.who.hear_summary(bob.now, &summary(&[]));
        bob.peer("amy", commit("t", Some(id), "b", "0", "1"));
        assert!(!bob.who.has_gap(), "{id} is asked about once");
    }
}

#[test]
fn a_refusal_that_ends_the_session_answers_its_message_too() {
    covers!("ERR-10", "PAR-11", "SES-14");
    let mut bob = Lone::new();
    let hello = bob.hello();
    let error = crate::lone::refusal("SESSION_CLOSED", &hello, "over");
    let news = bob.coordinator(error).news;
    let answers = |it: &News| matches!(it, News::Refused { message: Some(id), .. } if *id == hello);
    assert!(news.iter().any(answers), "{news:?}");
    assert!(news.contains(&News::Closed) && bob.who.is_closed());
}

#[test]
fn after_the_end_nothing_is_live_whatever_comes_late() {
    covers!("PAR-16", "SES-15", "PAR-09");
    let mut bob = Lone::working();
    let late = bob.say(announce("late", &["l"])).unwrap();
    let close = || SessionClose::new("completed".into(), Integer::new(1));
    assert_eq!(bob.coordinator(close()).news, [News::Closed]);
    let lamport = bob.who.lamport();
    assert_eq!(bob.coordinator(close()).news, [], "told once");
    assert_eq!(bob.echo(&late), []);
    assert_eq!(bob.peer("amy", announce("k", &["k"])), []);
    assert_eq!(bob.coordinator(session_info()).news, []);
    assert_eq!(bob.who.hear_summary(bob.now, &summary(&[("i", "bob", &["a"]), ("t", "amy", &["z"])])), []);
    assert_eq!((bob.who.intents().len(), bob.who.others().count()), (0, 0));
    assert!(bob.who.lamport() > lamport, "the clock goes on");
    let again = ProtocolError::new("SESSION_CLOSED".into(), "over".into());
    let news = bob.coordinator(again).news;
    assert!(matches!(news.as_slice(), [News::Refused { .. }]), "errors reach the caller: {news:?}");
}

#[test]
fn session_info_lets_in_only_who_asked() {
    covers!("HEL-16", "SES-23");
    let mut bob = Lone::joined();
    let mut info = session_info();
    info.compliance_profile = mpac_wire::names::ComplianceProfile::Governance;
    let stamp = bob.stamp();
    let goodbye = bob.who.goodbye(stamp, GoodbyeReason::UserExit, IntentDisposition::Withdraw);
    bob.echo(&goodbye);
    assert_eq!(bob.coordinator(info).news, [], "the answer to an earlier HELLO, once more");
    assert!(!bob.who.is_admitted());
    assert_eq!(bob.withheld(announce("j", &["b"])), Withheld::NotAdmitted);
    assert_eq!(bob.who.session_info(), Some(&session_info()));
    bob.hello();
    bob.coordinator(session_info());
    assert!(bob.who.is_admitted());
}

#[test]
fn an_echo_that_comes_twice_revives_nothing() {
    covers!("PAR-09", "PAR-12");
    let mut bob = Lone::joined();
    let said = bob.say(announce("i", &["a"])).unwrap();
    bob.echo(&said);
    bob.accepted(IntentWithdraw::new(intent("i")));
    bob.echo(&said);
    assert!(bob.who.intents().is_empty());
    let work = commit("o", Some("i"), "a", "one", "two");
    assert_eq!(bob.withheld(work), Withheld::IntentOver(intent("i")));
}

#[test]
fn a_target_of_unknown_fate_is_left_alone_however_it_is_spelt() {
    covers!("PAR-12");
    let mut bob = Lone::joined();
    let lost = bob.say(commit("o", None, "./src//a", "one", "two")).unwrap();
    bob.status();
    bob.pass(31.0);
    let again = commit("o2", None, "src/a", "one", "two");
    assert_eq!(bob.withheld(again), Withheld::FateUnknown(lost.message_id));
}

#[test]
fn what_was_done_last_is_undone_first_in_whatever_order_it_is_listed() {
    covers!("GOV-21", "FRZ-15", "BAT-12");
    for listed in [["z", "m", "b"], ["b", "m", "z"], ["m", "b", "z"]] {
        let mut bob = Lone::working();
        for (id, before, after) in [("z", "0", "1"), ("m", "1", "2"), ("b", "2", "3")] {
            bob.accepted(commit(id, Some("i"), "a", before, after));
        }
        let news = bob.coordinator(resolution("c", &listed, Some("compensation:r"))).news;
        let undone = news.iter().find_map(|it| match it {
            News::Compensate(it) => Some(it.reversals.iter().map(|it| it.reverses.as_str()).collect()),
            _ => None,
        });
        assert_eq!(undone, Some(vec!["b", "m", "z"]), "{listed:?}");
    }
}

#[test]
fn a_commit_whose_echo_a_break_swallowed_is_undone_if_a_resolution_rejects_it() {
    covers!("GOV-21", "PAR-12", "BAT-12");
    for info in [session_info(), pre_commit()] {
        let is_recorded = info == session_info();
        let mut bob = Lone::joined_to(info.clone());
        bob.accepted(announce("i", &["a"]));
        bob.say(commit("o", Some("i"), "a", "0", "1")).unwrap();
        bob.who.connection_lost(bob.now);
        bob.hello();
        bob.coordinator(info);
        let news = bob.coordinator(resolution("c", &["o"], Some("undo"))).news;
        let undone: Vec<_> = news.iter().filter(|it| matches!(it, News::Compensate(_))).collect();
        // Where it only asked for an authorisation nothing was committed.
        assert_eq!(undone.len(), usize::from(is_recorded), "{news:?}");
        let stage = if is_recorded { Stage::Committed } else { Stage::Rejected };
        assert_eq!(bob.who.operation(&op("o")).unwrap().stage, stage);
    }
}

#[test]
fn commits_that_a_break_hid_are_undone_in_the_order_of_what_was_done() {
    covers!("GOV-21", "BAT-12", "PAR-12");
    for in_a_batch in [true, false] {
        let mut bob = Lone::working();
        let steps = [("z", "0", "1"), ("m", "1", "2"), ("b", "2", "3")];
        if in_a_batch {
            let entry = |(id, before, after): (&str, &str, &str)| {
                let states = (StateRef::of(before), StateRef::of(after));
                BatchEntry::new(op(id), "a".to_owned(), OpKind::Replace, states.0, states.1)
            };
            let mut batch = OpBatchCommit::new(
                "batch".parse().unwrap(),
                Atomicity::AllOrNothing,
                steps.map(entry).into(),
            );
            batch.intent_id = Some(intent("i"));
            bob.say(batch).unwrap();
        } else {
            for (id, before, after) in steps {
                bob.say(commit(id, Some("i"), "a", before, after)).unwrap();
            }
        }
        bob.who.connection_lost(bob.now);
        bob.hello();
        bob.coordinator(session_info());
        // Of a batch one is enough.
        let rejected: &[&str] = if in_a_batch { &["b"] } else { &["m", "b", "z"] };
        let news = bob.coordinator(resolution("c", rejected, Some("compensation:r"))).news;
        let undone = news.iter().find_map(|it| match it {
            News::Compensate(it) => Some(it.reversals.iter().map(|it| it.reverses.as_str()).collect()),
            _ => None,
        });
        assert_eq!(undone, Some(vec!["b", "m", "z"]), "{in_a_batch}");
    }
}

fn freeze(bob: &mut Lone, id: &str, file: &str, conflict: &str) {
    let refused = bob.say(announce(id, &[file])).unwrap();
    bob.refuse(&refused, "SCOPE_FROZEN", &format!("frozen by conflict {conflict}"));
}

#[test]
fn a_thaw_that_was_missed_is_read_from_a_summary() {
    covers!("PAR-23", "D-029");
    let mut bob = Lone::joined();
    let mut report = ConflictReport::new("c1".parse().unwrap(), "x".into(), "low".into());
    report.principal_a = Some("bob".parse().unwrap());
    bob.coordinator(report);
    freeze(&mut bob, "j", "a", "c1");
    bob.who.connection_lost(bob.now);
    bob.hello();
    bob.coordinator(session_info());
    // Still open: still frozen.
    let mut open = summary(&[]);
    let listed = |id: &str| {
        let id = id.parse().unwrap();
        mpac_wire::sideband::SummaryConflict::new(id, "x".into(), "low".into(), "OPEN".into())
    };
    open.open_conflicts = vec![listed("c1")];
    assert_eq!(bob.who.hear_summary(bob.now, &open), [News::GapClosed]);
    assert!(matches!(bob.withheld(announce("j2", &["a"])), Withheld::Frozen(_)));
    freeze(&mut bob, "k", "b", "c2"); // of which we never heard
    // Both were resolved, and nobody told us.
    let news = bob.who.hear_summary(bob.now, &summary(&[]));
    assert_eq!(news, [News::Thawed("c1".parse().unwrap())]);
    assert!(bob.say(announce("j2", &["a"])).is_ok());
    assert!(bob.say(announce("k2", &["b"])).is_ok());
}

#[test]
fn an_id_inside_another_thaws_nothing() {
    covers!("PAR-23");
    let mut bob = Lone::joined();
    freeze(&mut bob, "j", "a", "c10");
    for other in ["c1", "0", "c", "10"] {
        let news = bob.coordinator(resolution(other, &[], None)).news;
        assert!(!news.iter().any(|it| matches!(it, News::Thawed(_))), "{other}: {news:?}");
    }
    assert!(matches!(bob.withheld(announce("j2", &["a"])), Withheld::Frozen(_)));
    assert!(
        bob.coordinator(resolution("c10", &[], None)).news.contains(&News::Thawed("c10".parse().unwrap()))
    );
}

#[test]
fn own_intents_that_nobody_ends_are_let_go_of_too() {
    covers!("PAR-09");
    let mut bob = Lone::joined();
    for n in 0..5_000 {
        // As if by an earlier incarnation: this one never said it.
        let from = ("bob", "bob:1");
        bob.somebody(from, None, 1, announce(&format!("i{n}"), &[&format!("f{n}")]));
    }
    assert_eq!(bob.who.intents().len(), 1_024);
    assert!(
        bob.who.intents().contains_key(&intent("i4999")),
        "what should expire first is let go of, and not the newest"
    );
}

#[test]
fn a_wait_is_never_longer_than_the_longest() {
    covers!("BKO-01", "BKO-02", "BKO-05");
    let mut bob = Lone::joined();
    let said = bob.say(announce("j", &["a"])).unwrap();
    let mut error = crate::lone::refusal("INTENT_BACKOFF", &said.message_id, "wait");
    error.extensions = Raw::of(&serde_json::json!({ "retry_after_sec": 1e300 })).ok();
    bob.coordinator(error);
    let until = bob.who.announce_after(&announce("k", &["a"]).scope).unwrap();
    assert_eq!(until.since(bob.now), Seconds::whole(300));
}

#[test]
fn waits_rise_to_the_longest_however_long_that_is() {
    covers!("BKO-02");
    let mut info = session_info();
    let mut policy = mpac_wire::policy::LivenessPolicy::new();
    let long = 4_000_000_000;
    policy.intent_backoff_initial_sec = Some(Seconds::whole(long));
    policy.intent_backoff_multiplier = Some(1_000_000.into());
    policy.intent_backoff_max_sec = Some(Seconds::from_micros(i64::MAX));
    info.liveness_policy = Some(policy);
    let mut bob = Lone::joined_to(info);
    let mut last = Seconds::ZERO;
    for n in 0..2 {
        let id = format!("i{n}");
        let said = bob.say(announce(&id, &["a"])).unwrap();
        bob.echo(&said);
        let mut report =
            ConflictReport::new(format!("c{n}").parse().unwrap(), "scope_overlap".into(), "low".into());
        report.related_intents = Some(vec![intent(&id)]);
        bob.coordinator(report);
        bob.coordinator(resolution(&format!("c{n}"), &[&id], None));
        let until = bob.who.announce_after(&announce("k", &["a"]).scope).unwrap();
        let wait = until.since(bob.now);
        assert!(wait > last, "{n}: {wait:?}");
        last = wait;
        bob.now = until;
        bob.coordinator(status(CoordinatorEvent::Heartbeat, COORDINATOR));
    }
}

#[test]
fn each_of_several_rivals_is_told_of_once_in_each_epoch() {
    covers!("REC-25");
    let mut bob = Lone::working();
    let mut told = 0;
    let mut hear = |bob: &mut Lone, instance: &str, epoch: u64| {
        let heard = bob.somebody((COORDINATOR, instance), Some(epoch), 1, IntentWithdraw::new(intent("i")));
        assert_eq!(heard.hearing, Hearing::Foreign);
        told += heard.news.len();
    };
    for _ in 0..3 {
        hear(&mut bob, "x", 1);
        hear(&mut bob, "y", 1);
    }
    (bob.from.1, bob.from.2) = (format!("{COORDINATOR}:epoch-2"), 2);
    bob.status();
    hear(&mut bob, "x", 2);
    assert_eq!(told, 3);
}

#[test]
fn a_message_of_another_session_means_nothing_here() {
    covers!("PAR-09", "PAR-16", "REC-24");
    let mut bob = Lone::working();
    let close = mpac_wire::Message::from(SessionClose::new("completed".into(), Integer::new(1)));
    let mut envelope = bob.say(announce("probe", &["p"])).unwrap();
    envelope.message_type = close.message_type();
    envelope.payload = close.to_payload();
    envelope.session_id = "other".parse().unwrap();
    envelope.sender = crate::lone::sender(COORDINATOR, &bob.from.1);
    envelope.coordinator_epoch = Some(Integer::new(9));
    let before = bob.who.clone();
    let heard = bob.who.hear_at(bob.now, &envelope, &close);
    assert_eq!((heard.hearing, heard.news), (Hearing::Elsewhere, vec![]));
    assert_eq!(bob.who, before);
}

#[test]
fn a_wait_goes_on_though_a_part_of_its_scope_is_rejected_again() {
    covers!("BKO-01", "BKO-06", "D-083");
    let mut bob = Lone::joined();
    bob.accepted(announce("part", &["a"]));
    bob.accepted(announce("both", &["a", "b"]));
    let mut waits = Vec::new();
    for (conflict, id) in [("c1", "both"), ("c2", "part")] {
        let mut report = ConflictReport::new(conflict.parse().unwrap(), "scope_overlap".into(), "low".into());
        report.related_intents = Some(vec![intent(id)]);
        bob.coordinator(report);
        bob.coordinator(resolution(conflict, &[id], None));
        let wait = |file: &str| {
            let until = bob.who.announce_after(&announce("x", &[file]).scope);
            until.map_or(0, |it| it.since(bob.now).micros() / 1_000_000)
        };
        waits.push((wait("a"), wait("b")));
        bob.pass(5.0);
    }
    assert_eq!(waits, [(30, 30), (60, 25)]);
}

#[test]
fn nothing_is_decided_about_an_operation_that_cannot_be_matched() {
    covers!("OPS-23", "PAR-15");
    let mut bob = Lone::joined();
    bob.peer("amy", commit("o", None, "a", "unknown", "2"));
    assert!(bob.who.is_unverifiable(&op("o")));
    for rejects in [true, false] {
        let mut decided = resolution("c", &[], None);
        let outcome = decided.outcome.as_mut().unwrap();
        *(if rejects { &mut outcome.rejected } else { &mut outcome.accepted }) = Some(vec!["o".to_owned()]);
        assert_eq!(bob.withheld(decided.clone()), Withheld::Unverifiable(op("o")));
        let mut synchronised = Lone::joined();
        synchronised.peer("amy", commit("o", None, "a", "unknown", "2"));
        synchronised.who.note_state("a", StateRef::of("2"));
        assert!(synchronised.say(decided).is_ok());
    }
}

#[test]
fn an_acknowledgement_lost_in_a_break_is_still_to_be_given() {
    covers!("CON-20", "PAR-12");
    let mut bob = Lone::working();
    for id in ["c1", "c2", "c3"] {
        let mut report = ConflictReport::new(id.parse().unwrap(), "scope_overlap".into(), "low".into());
        report.related_intents = Some(vec![intent("i")]);
        bob.coordinator(report);
    }
    let ack = |id: &str| mpac_wire::payload::ConflictAck::new(id.parse().unwrap(), "seen".into());
    let open = |bob: &Lone| bob.who.unacknowledged().map(ToString::to_string).collect::<Vec<_>>();
    bob.accepted(ack("c1"));
    let _ = bob.say(ack("c1")).unwrap();
    let _ = bob.say(ack("c2")).unwrap();
    assert_eq!(open(&bob), ["c3"], "one that is on its way counts");
    let unsent = bob.say(ack("c3")).unwrap();
    bob.who.unsent(&unsent.message_id);
    assert_eq!(open(&bob), ["c3"]);
    bob.who.connection_lost(bob.now);
    assert_eq!(open(&bob), ["c2", "c3"], "c1's was heard before");
    bob.hello();
    bob.coordinator(session_info());
    bob.accepted(ack("c2"));
    assert_eq!(open(&bob), ["c3"]);
}

#[test]
fn a_goodbye_of_another_process_of_ours_is_not_ours() {
    covers!("PAR-14", "PAR-22", "BYE-08");
    let mut bob = Lone::working();
    let bye = || mpac_wire::payload::Goodbye::new("session_complete".into());
    bob.somebody(("bob", "bob:0"), None, 1, bye());
    assert!(bob.who.intents().contains_key(&intent("i")));
    assert_eq!(bob.who.unconfirmed().count(), 1, "it may have ended with that");
    assert!(bob.say(announce("j", &["b"])).is_ok(), "we are still here");
    bob.somebody(("bob", "bob:1"), None, 2, bye());
    assert_eq!(bob.who.intents().len(), 0);
}
