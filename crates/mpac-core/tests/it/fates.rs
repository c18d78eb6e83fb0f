//! After a break: what became of what was under way, and saying it again (`participant::fate`).

use mpac_core::participant::{Fate, News, Presence, Withheld};
use mpac_wire::names::CoordinatorEvent;
use mpac_wire::payload::operation::BatchEntry;
use mpac_wire::payload::{Hello, IntentUpdate, OpBatchCommit};
use mpac_wire::{Envelope, StateRef};

use crate::covers;
use crate::lone::{COORDINATOR, Lone, announce, commit, session_info, status};
use crate::silence::summary;
use crate::world::{intent, op};

impl Lone {
    /// The connection breaks, and Bob is let in again.
    fn comes_back(&mut self) {
        self.who.connection_lost(self.now);
        self.hello();
        self.coordinator(session_info());
    }

    fn repeats(&mut self, message: impl Into<mpac_wire::Message>) -> Result<Envelope, Withheld> {
        let stamp = self.stamp();
        self.who.try_repeat(stamp, message)
    }

    fn presence(&self, id: &str) -> Presence {
        self.who.presence(&intent(id))
    }
}

#[test]
fn whether_an_intent_is_there_is_unknown_after_a_break_until_a_summary_tells() {
    covers!("PAR-22", "PAR-12", "D-029");
    let mut bob = Lone::working();
    assert_eq!(bob.presence("i"), Presence::Live);
    assert_eq!(bob.presence("never"), Presence::Gone);
    bob.say(announce("lost", &["b"])).unwrap();
    bob.say(announce("arrived", &["c"])).unwrap();
    bob.comes_back();
    for id in ["i", "lost", "arrived"] {
        assert_eq!(bob.presence(id), Presence::Unknown, "{id}");
    }
    bob.who.hear_summary(bob.now, &summary(&[("arrived", "bob", &["c"]), ("suspended", "bob", &["d"])]));
    assert_eq!(bob.presence("i"), Presence::Gone);
    assert_eq!(bob.presence("lost"), Presence::Gone);
    assert_eq!(bob.presence("arrived"), Presence::Live);
    assert_eq!(bob.presence("suspended"), Presence::Suspended);
}

#[test]
fn what_the_coordinator_says_of_an_intent_after_a_break_is_enough() {
    covers!("PAR-22", "HEL-18");
    let mut bob = Lone::working();
    bob.comes_back();
    let mut as_it_is = IntentUpdate::new(intent("i"));
    as_it_is.objective = Some("o".to_owned());
    bob.coordinator(as_it_is);
    assert_eq!(bob.presence("i"), Presence::Live);
}

#[test]
fn a_break_is_one_though_nobody_had_let_us_in_when_it_came() {
    covers!("D-029", "PAR-08", "LAM-18", "REC-23");
    for assumed in [true, false] {
        let mut bob = Lone::working();
        if assumed {
            bob.from = ("service:standby".into(), "service:standby:1".into(), 2, 100);
            let mut handover = status(CoordinatorEvent::Handover, COORDINATOR);
            handover.successor_coordinator_id = Some("service:standby".parse().unwrap());
            handover.next_coordinator_epoch = Some(mpac_wire::Integer::new(2));
            let from = (COORDINATOR, "service:coordinator-s:epoch-1");
            bob.somebody(from, Some(1), 90, handover);
            let news = bob.coordinator(status(CoordinatorEvent::Assumed, "service:standby")).news;
            assert_eq!(news, [News::HelloAgain { must: true }]);
        } else {
            let leave = mpac_wire::payload::Goodbye::new("user_exit".into());
            bob.accepted(leave);
        }
        assert!(!bob.who.is_admitted());
        bob.who.connection_lost(bob.now);
        bob.hello();
        let news = bob.coordinator(session_info()).news;
        assert!(news.contains(&News::Gap { revealed_by: None }), "{assumed}: {news:?}");
        assert!(bob.who.has_gap());
    }
    // Before the first time there is nothing to miss.
    let mut bob = Lone::new();
    bob.hello();
    bob.who.connection_lost(bob.now);
    bob.hello();
    bob.coordinator(session_info());
    assert!(!bob.who.has_gap());
}

#[test]
fn a_report_of_a_break_that_may_not_go_out_yet_goes_out_later() {
    covers!("LAM-19", "ENV-06");
    let mut bob = Lone::working();
    let used = bob.say(announce("j", &["b"])).unwrap();
    bob.comes_back();
    let twice = mpac_core::participant::Stamp::new(used.message_id, bob.now);
    assert_eq!(bob.who.report_break(twice), None);
    let stamp = bob.stamp();
    assert!(bob.who.report_break(stamp).is_some());
}

#[test]
fn the_break_is_reported_once_so_that_any_server_may_answer_with_a_summary() {
    covers!("LAM-19", "PAR-08", "PAR-13");
    let mut bob = Lone::working();
    let report = |bob: &mut Lone| {
        let stamp = bob.stamp();
        bob.who.report_break(stamp)
    };
    assert_eq!(report(&mut bob), None, "nothing has broken");
    for _ in 0..2 {
        bob.who.connection_lost(bob.now);
        bob.hello();
        assert_eq!(report(&mut bob), None, "not let in yet");
        bob.coordinator(session_info());
        let sent = report(&mut bob).expect("the break is over");
        assert!(sent.to_json().contains(r#""error_code":"CAUSAL_GAP""#), "{}", sent.to_json());
        assert!(sent.to_json().contains(r#""refers_to":"#), "{}", sent.to_json());
        assert_eq!(report(&mut bob), None, "once");
    }
}

#[test]
fn an_announce_of_unknown_fate_is_repeated_under_its_id_and_lives_however_that_is_answered() {
    covers!("PAR-12", "PAR-24", "D-022");
    for duplicate in [false, true] {
        let mut bob = Lone::joined();
        let lost = bob.say(announce("i", &["a"])).unwrap();
        bob.comes_back();
        assert!(matches!(bob.withheld(announce("j", &["a"])), Withheld::FateUnknown(_)));
        assert_eq!(bob.withheld(announce("i", &["a"])), Withheld::IdUsed("i".to_owned()));
        let again = bob.repeats(announce("i", &["a"])).unwrap();
        assert_ne!(again.message_id, lost.message_id, "ENV-06");
        let news = if duplicate {
            bob.refuse(&again, "MALFORMED_MESSAGE", "duplicate intent_id \"i\"")
        } else {
            bob.echo(&again)
        };
        assert_eq!(bob.presence("i"), Presence::Live, "{news:?}");
        assert_eq!(bob.who.fate(&again.message_id), Some(&Fate::Accepted));
        assert!(bob.say(commit("o", Some("i"), "a", "one", "two")).is_ok());
    }
}

#[test]
fn an_intent_that_was_there_before_the_break_can_be_worked_under_once_it_is_announced_again() {
    covers!("PAR-22");
    let mut bob = Lone::working();
    bob.comes_back();
    let work = || commit("o", Some("i"), "a", "one", "two");
    assert_eq!(bob.withheld(work()), Withheld::IntentUnconfirmed(intent("i")));
    let again = bob.repeats(announce("i", &["a"])).unwrap();
    bob.echo(&again);
    assert!(bob.say(work()).is_ok());
}

#[test]
fn somebody_else_s_id_is_no_intent_of_ours_for_being_refused_as_a_duplicate() {
    covers!("D-022");
    let mut bob = Lone::joined();
    let said = bob.say(announce("i", &["a"])).unwrap();
    bob.refuse(&said, "MALFORMED_MESSAGE", "duplicate intent_id \"i\"");
    assert_eq!(bob.presence("i"), Presence::Gone);
}

#[test]
fn a_commit_of_unknown_fate_is_repeated_under_its_id_and_nothing_else_takes_its_place_unread() {
    covers!("PAR-12", "PAR-24", "D-023");
    let mut bob = Lone::working();
    let work = || commit("o", Some("i"), "a", "one", "two");
    bob.say(work()).unwrap();
    bob.comes_back();
    let other = commit("p", Some("i"), "a", "one", "two");
    assert!(matches!(bob.withheld(other), Withheld::FateUnknown(_)));
    assert_eq!(bob.withheld(work()), Withheld::IdUsed("o".to_owned()));
    bob.who.hear_summary(bob.now, &summary(&[("i", "bob", &["a"])]));
    bob.who.note_state("a", StateRef::of("one"));
    let again = bob.repeats(work()).unwrap();
    bob.echo(&again);
    assert_eq!(bob.who.fate(&again.message_id), Some(&Fate::Accepted));
    // It is committed: it cannot be said once more by mistake.
    assert_eq!(bob.withheld(work()), Withheld::IdUsed("o".to_owned()));
}

#[test]
fn a_batch_of_unknown_fate_is_repeated_under_its_ids() {
    covers!("PAR-12", "PAR-24", "BAT-02");
    let mut bob = Lone::working();
    let work = || {
        let entry = commit("o", Some("i"), "a", "one", "two");
        let refs = (entry.state_ref_before, entry.state_ref_after);
        let entry = BatchEntry::new(entry.op_id, entry.target, entry.op_kind, refs.0, refs.1);
        let mut batch = OpBatchCommit::new("b".parse().unwrap(), "all_or_nothing".into(), vec![entry]);
        batch.intent_id = Some(intent("i"));
        batch
    };
    bob.say(work()).unwrap();
    bob.comes_back();
    assert!(matches!(bob.withheld(work()), Withheld::IdUsed(_)), "without saying that it is a repeat");
    bob.who.hear_summary(bob.now, &summary(&[("i", "bob", &["a"])]));
    bob.who.note_state("a", StateRef::of("one"));
    let again = bob.repeats(work()).unwrap();
    bob.echo(&again);
    assert_eq!(bob.who.fate(&again.message_id), Some(&Fate::Accepted));
    assert!(matches!(bob.withheld(work()), Withheld::IdUsed(_)));
}

#[test]
fn a_repeat_that_may_not_be_said_changes_nothing() {
    covers!("PAR-12", "REC-06");
    let mut bob = Lone::working();
    let lost = bob.say(commit("o", Some("i"), "a", "one", "two")).unwrap();
    bob.who.connection_lost(bob.now);
    let before = bob.who.clone();
    let why = bob.repeats(commit("o", Some("i"), "a", "one", "two")).unwrap_err();
    assert_eq!(why, Withheld::NotAdmitted);
    assert_eq!(bob.who.fate(&lost.message_id), before.fate(&lost.message_id));
    bob.hello();
    bob.coordinator(session_info());
    assert_eq!(bob.withheld(announce("o", &["z"])), Withheld::IdUsed("o".to_owned()));
}

#[test]
fn hello_after_a_break_names_what_was_committed_and_not_what_was_lost() {
    covers!("D-041", "REC-17", "PAR-05", "LAM-15");
    let mut bob = Lone::working();
    let hello = |bob: &mut Lone| {
        let stamp = bob.stamp();
        bob.who.hello_again(stamp, Hello::new("Bob".to_owned(), vec![])).to_json()
    };
    assert!(!hello(&mut bob).contains("committed_ops"), "nothing is");
    bob.accepted(commit("z", Some("i"), "a", "0", "1"));
    bob.accepted(commit("b", Some("i"), "a", "1", "2"));
    let refused = bob.say(commit("r", Some("i"), "a", "0", "3")).unwrap();
    bob.refuse(&refused, "STALE_STATE_REF", "it has moved on");
    bob.who.note_state("a", StateRef::of("2"));
    bob.say(commit("u", Some("i"), "a", "2", "4")).unwrap();
    let lamport = bob.who.lamport();
    bob.who.connection_lost(bob.now);
    assert!(hello(&mut bob).contains(r#""extensions":{"mpac":{"committed_ops":["z","b"]}}"#));
    assert!(bob.who.lamport() > lamport);
    bob.who.forget_operations(&["b".to_owned(), "of somebody else".to_owned()]);
    assert!(hello(&mut bob).contains(r#""committed_ops":["z"]"#));
    assert!(bob.who.operation(&op("b")).is_some());
}

#[test]
fn no_more_operations_are_named_than_fit() {
    covers!("D-041");
    let mut bob = Lone::working();
    for n in 0..300 {
        bob.accepted(commit(&format!("o{n}"), Some("i"), "a", &n.to_string(), &(n + 1).to_string()));
    }
    let stamp = bob.stamp();
    let hello = bob.who.hello_again(stamp, Hello::new("Bob".to_owned(), vec![])).to_json();
    assert_eq!(hello.matches("\"o").count(), 256);
    assert!(hello.contains("\"o299\"") && !hello.contains("\"o43\""));
}

#[test]
fn a_break_that_a_repeat_does_not_outlive_is_a_break_like_any() {
    covers!("PAR-12");
    let mut bob = Lone::joined();
    bob.say(announce("i", &["a"])).unwrap();
    bob.comes_back();
    let again = bob.repeats(announce("i", &["a"])).unwrap();
    let news = bob.who.connection_lost(bob.now);
    assert!(news.contains(&News::Unanswered(again.message_id)), "{news:?}");
    bob.hello();
    bob.coordinator(session_info());
    assert_eq!(bob.presence("i"), Presence::Unknown);
    assert!(bob.repeats(announce("i", &["a"])).is_ok());
}
