//! Whose word is the coordinator's, when there has been more than one.

use mpac_core::participant::{Hearing, News, Withheld};
use mpac_wire::names::{CoordinatorEvent, ErrorCode};
use mpac_wire::payload::{IntentWithdraw, SessionClose};
use mpac_wire::{Integer, Message};

use crate::covers;
use crate::lone::{COORDINATOR, Lone, announce, session_info, status};
use crate::world::{World, commit_payload, intent};

const OTHER: &str = "service:standby";

fn withdraw() -> IntentWithdraw {
    IntentWithdraw::new(intent("i"))
}

#[test]
fn a_lower_epoch_is_dropped_without_effect() {
    covers!("REC-24", "PAR-06");
    let mut bob = Lone::working();
    (bob.from.1, bob.from.2) = (format!("{COORDINATOR}:epoch-3"), 3);
    assert_eq!(bob.status(), []);
    assert_eq!(bob.who.epoch(), 3);
    let before = bob.who.clone();
    let old = (COORDINATOR, "service:coordinator-s:epoch-2");
    let heard = bob.somebody(old, Some(2), 1 << 40, withdraw());
    assert_eq!((heard.hearing, heard.news), (Hearing::Stale, vec![]));
    assert_eq!(bob.who, before, "neither the intent nor the clock");
}

#[test]
fn of_two_with_one_epoch_the_higher_lamport_value_is_followed_and_both_are_told() {
    covers!("REC-25", "PAR-06");
    let mut bob = Lone::working(); // the coordinator has come to 10
    let other = (COORDINATOR, "service:coordinator-s:again");
    let heard = bob.somebody(other, Some(1), 9, withdraw());
    assert_eq!(heard.hearing, Hearing::Foreign);
    assert_eq!(bob.who.intents().len(), 1, "the lower one's message has no effect");
    let [News::Rival(rival)] = heard.news.as_slice() else { panic!("{:?}", heard.news) };
    assert_eq!(rival.dropped.1.as_str(), other.1);
    let error = rival.to_error();
    assert_eq!(error.error_code, ErrorCode::CoordinatorConflict);
    assert_eq!(error.refers_to.as_deref(), Some(rival.message_id.as_str()));
    assert!(bob.say(error).is_ok());
    // Told once, however often it speaks.
    assert_eq!(bob.somebody(other, Some(1), 10, withdraw()).news, []);
    // The higher one is followed, and then the old one is the one that is dropped.
    let heard = bob.somebody(other, Some(1), 500, withdraw());
    assert_eq!(heard.hearing, Hearing::Fresh);
    assert!(bob.who.intents().is_empty());
    assert_eq!(bob.coordinator(withdraw()).hearing, Hearing::Foreign);
}

#[test]
fn a_stranger_is_no_coordinator_whatever_it_says() {
    covers!("PAR-26", "PAR-09");
    let mut bob = Lone::working();
    let mut handover = status(CoordinatorEvent::Handover, "mallory");
    handover.successor_coordinator_id = Some("mallory".parse().unwrap());
    handover.next_coordinator_epoch = Some(Integer::new(2));
    let close = SessionClose::new("completed".into(), Integer::new(1));
    let claims: Vec<Message> = vec![
        close.into(),
        session_info().into(),
        handover.into(),
        status(CoordinatorEvent::Recovered, "mallory").into(),
        status(CoordinatorEvent::Assumed, "mallory").into(),
        withdraw().into(),
    ];
    for message in claims {
        let heard = bob.somebody(("mallory", "m"), Some(2), 1_000, message);
        assert_eq!(heard.news, []);
    }
    // Nor is the known coordinator one without its epoch.
    bob.somebody((COORDINATOR, "c"), None, 1_000, withdraw());
    assert_eq!((bob.who.epoch(), bob.who.is_closed(), bob.who.intents().len()), (1, false, 1));
    assert_eq!(bob.who.coordinator().unwrap().as_str(), COORDINATOR);
}

#[test]
fn a_handover_names_who_comes_next_and_assumed_asks_for_hello() {
    covers!("REC-23", "PAR-26", "SES-23");
    let mut bob = Lone::working();
    let mut handover = status(CoordinatorEvent::Handover, COORDINATOR);
    handover.successor_coordinator_id = Some(OTHER.parse().unwrap());
    handover.next_coordinator_epoch = Some(Integer::new(7));
    let news = bob.coordinator(handover).news;
    assert_eq!(news, [News::HandedOver { successor: OTHER.parse().unwrap(), epoch: 7 }]);
    // Somebody else, and the right one under another epoch, take nothing over.
    for (who, epoch) in [("mallory", 7), (OTHER, 8)] {
        let assumed = status(CoordinatorEvent::Assumed, who);
        assert_eq!(bob.somebody((who, "n"), Some(epoch), 50, assumed).news, []);
    }
    let assumed = status(CoordinatorEvent::Assumed, OTHER);
    let news = bob.somebody((OTHER, "n"), Some(7), 5, assumed).news;
    assert_eq!(news, [News::HelloAgain { must: true }]);
    assert_eq!(bob.withheld(announce("j", &["b"])), Withheld::NotAdmitted);
    assert_eq!(bob.coordinator(withdraw()).hearing, Hearing::Stale, "the old one has nothing to say");
    bob.hello();
    bob.from = (OTHER.to_owned(), "n".to_owned(), 7, 10);
    bob.coordinator(session_info());
    bob.accepted(announce("j", &["b"]));
}

#[test]
fn a_standby_may_take_over_from_one_that_is_silent() {
    covers!("PAR-26", "REC-23");
    let recovered = || status(CoordinatorEvent::Recovered, OTHER);
    let mut bob = Lone::working();
    assert_eq!(bob.somebody((OTHER, "n"), Some(2), 1, recovered()).news, []);
    assert_eq!(bob.who.epoch(), 1, "the known one is there");
    bob.pass(61.0);
    let news = bob.somebody((OTHER, "n"), Some(2), 1, recovered()).news;
    assert_eq!(news, [News::CoordinatorBack, News::HelloAgain { must: false }]);
    assert_eq!(bob.who.coordinator().unwrap().as_str(), OTHER);
    assert!(bob.say(announce("j", &["b"])).is_ok(), "HELLO is advisable, not needed");
}

#[test]
fn a_real_coordinator_that_came_back_is_greeted_once() {
    covers!("REC-23", "PAR-05", "PAR-22", "PAR-12");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["a.py"]);
    world.announce("alice", "j", &["b"]);
    let now = world.now;
    world.who("bob").connection_lost(now);
    world.restart(5.0);
    world.news("bob");
    world.hello("bob");
    let news = world.news("bob");
    assert!(matches!(news.first(), Some(News::Admitted { .. })), "{news:?}");
    assert!(news.contains(&News::Gap { revealed_by: None }));
    assert!(!news.iter().any(|it| matches!(it, News::HelloAgain { .. })), "it has just answered: {news:?}");
    assert_eq!(world.who("bob").epoch(), 2);
    let work = || commit_payload("o", Some("i"), "a.py", "one\n", "two\n");
    // Our coordinator says what became of each intent right away (HEL-18); a summary closes the gap.
    let (summary, now) = (world.coordinator.view().summary().unwrap(), world.now);
    assert_eq!(world.who("bob").hear_summary(now, &summary), [News::GapClosed]);
    assert_eq!(world.who("bob").others().count(), 1, "alice's");
    world.try_say("bob", work()).unwrap();
    assert_eq!(world.files["a.py"], "two\n");
}

#[test]
fn a_real_handover_is_followed_to_the_successor() {
    covers!("REC-23", "PAR-26", "LAM-15");
    let mut world = World::of(&["bob"]);
    let successor: mpac_wire::PrincipalId = COORDINATOR.parse().unwrap();
    let hand_over = mpac_core::Command::HandOver { successor: successor.clone(), next_epoch: 5 };
    world.news("bob");
    world.input(mpac_core::Input::Command(hand_over));
    assert_eq!(world.news("bob"), [News::HandedOver { successor, epoch: 5 }]);
    let now = world.now;
    world.who("bob").connection_lost(now);
    let snapshot = world.coordinator.snapshot();
    world.restore(&snapshot);
    world.hello("bob");
    assert!(!world.news("bob").iter().any(|it| matches!(it, News::HelloAgain { .. })));
    assert_eq!((world.who("bob").epoch(), world.who("bob").is_admitted()), (5, true));
}

#[test]
fn after_a_reconnect_the_answer_to_hello_says_who_coordinates() {
    covers!("PAR-05", "PAR-26", "LAM-15");
    let mut bob = Lone::working();
    let lamport = bob.who.lamport();
    let instance = bob.who.sender().clone();
    bob.who.connection_lost(bob.now);
    let unasked = bob.somebody((OTHER, "n"), Some(2), 1, session_info());
    assert_eq!(unasked.hearing, Hearing::Foreign, "nobody said HELLO");
    bob.hello();
    assert!(bob.who.lamport() > lamport && *bob.who.sender() == instance);
    bob.somebody((OTHER, "n"), Some(2), 1, session_info());
    assert_eq!((bob.who.epoch(), bob.who.is_admitted()), (2, true));
}
