//! A coordinator that is not heard of, and a connection that breaks.

use mpac_core::participant::{Fate, News, Over, Standing, Withheld};
use mpac_wire::names::{CoordinatorEvent, Decision};
use mpac_wire::payload::{
    BatchEntry, Heartbeat, IntentClaim, IntentUpdate, OpBatchCommit, OpPropose, OpSupersede, Resolution,
};
use mpac_wire::sideband::{SessionSummary, SummaryIntent};
use mpac_wire::{Integer, Message, Scope, Seconds, StateRef};

use crate::covers;
use crate::lone::{COORDINATOR, Lone, announce, commit, session_info, status};
use crate::world::{intent, op};

pub(crate) fn summary(intents: &[(&str, &str, &[&str])]) -> SessionSummary {
    let zero = || Integer::new(0);
    let listed = intents.iter().map(|(id, who, files)| {
        let state = if id.starts_with("suspended") { "SUSPENDED" } else { "ACTIVE" };
        let scope = Scope::files(files.iter().copied());
        SummaryIntent::new(intent(id), who.parse().unwrap(), "o".to_owned(), state.into(), scope)
    });
    SessionSummary::new("s".parse().unwrap(), zero(), zero(), zero(), vec![], listed.collect(), vec![])
}

#[test]
fn two_intervals_without_a_status_are_too_long() {
    covers!("REC-05", "PAR-04", "D-012");
    let mut bob = Lone::joined();
    assert_eq!(bob.pass(29.0), []);
    bob.status();
    bob.pass(60.0);
    assert!(!bob.who.is_coordinator_silent(), "exactly two intervals are not more than two");
    // Whatever else it says is no status.
    bob.coordinator(announce("x", &["x"]));
    assert_eq!(bob.pass(0.001), [News::CoordinatorSilent]);
    assert!(bob.who.is_coordinator_silent());
    assert!(!bob.pass(10.0).contains(&News::CoordinatorSilent), "it is told once");
    assert_eq!(bob.status(), [News::CoordinatorBack]);
    assert!(!bob.who.is_coordinator_silent());
}

#[test]
fn the_session_s_own_interval_counts() {
    covers!("REC-05");
    let mut info = session_info();
    let mut liveness = mpac_wire::policy::LivenessPolicy::new();
    liveness.heartbeat_interval_sec = Some(Seconds::whole(5));
    info.liveness_policy = Some(liveness);
    let mut bob = Lone::joined_to(info);
    bob.pass(10.0);
    assert!(!bob.who.is_coordinator_silent());
    bob.pass(0.1);
    assert!(bob.who.is_coordinator_silent());
}

#[test]
fn a_server_that_never_sends_a_status_is_borne_with_on_request() {
    covers!("PAR-13", "EXT-07", "REC-05");
    let mut bob = Lone::new();
    bob.who.expect_status_once_heard();
    bob.hello();
    bob.coordinator(session_info());
    bob.coordinator(status(CoordinatorEvent::BackendAlert, COORDINATOR)); // begins no rhythm
    bob.pass(1_000.0);
    assert!(!bob.who.is_coordinator_silent());
    bob.status();
    bob.pass(60.1);
    assert!(bob.who.is_coordinator_silent(), "one that began must go on");
}

#[test]
fn in_degraded_mode_nothing_is_decided_and_nothing_gets_in_the_way() {
    covers!("REC-06", "PAR-04", "PAR-09");
    let mut bob = Lone::working();
    let mut theirs = announce("theirs", &["b"]);
    theirs.ttl_sec = Some(Seconds::whole(20)); // which amy may have prolonged, unheard of
    bob.peer("amy", theirs);
    let before: (usize, Vec<_>) =
        (bob.who.intents().len(), bob.who.others().map(|(id, _)| id.clone()).collect());
    bob.pass(61.0);
    let refs = || (StateRef::of("one"), StateRef::of("two"));
    let entry = BatchEntry::new(op("e"), "a".into(), "replace".into(), refs().0, refs().1);
    let decisive: Vec<Message> = vec![
        commit("o", Some("i"), "a", "one", "two").into(),
        OpBatchCommit::new("n".parse().unwrap(), "best_effort".into(), vec![entry]).into(),
        OpSupersede::new(op("p"), op("q"), "a".into()).into(),
        Resolution::new("c".parse().unwrap(), Decision::Approved).into(),
    ];
    for message in decisive {
        assert_eq!(bob.withheld(message), Withheld::CoordinatorSilent);
    }
    let mut update = IntentUpdate::new(intent("i"));
    update.scope = Some(Scope::files(["a", "b"]));
    let claim = IntentClaim::new(
        "cl".parse().unwrap(),
        intent("theirs"),
        "amy".parse().unwrap(),
        intent("n"),
        "o".into(),
        Scope::files(["b"]),
    );
    let overlapping: Vec<Message> = vec![
        announce("j", &["b"]).into(),
        update.into(),
        claim.into(),
        OpPropose::new(op("r"), "./b".into(), "replace".into()).into(),
    ];
    for message in overlapping {
        assert!(matches!(bob.withheld(message), Withheld::InTheWayWhileSilent { .. }));
    }
    // What meets nobody goes on, and so do heartbeats.
    assert!(bob.say(announce("k", &["c"])).is_ok());
    assert!(bob.say(Heartbeat::new("working".into())).is_ok());
    let after = (bob.who.intents().len(), bob.who.others().map(|(id, _)| id.clone()).collect());
    assert_eq!(before, after, "no state has changed by itself");
    bob.status();
    assert!(bob.say(commit("o", Some("i"), "a", "one", "two")).is_ok());
}

#[test]
fn a_workflow_that_was_not_woken_cannot_commit_all_the_same() {
    covers!("REC-06");
    let mut bob = Lone::working();
    bob.now = bob.now.after(&Seconds::whole(61));
    assert_eq!(bob.say(commit("o", Some("i"), "a", "one", "two")), Err(Withheld::CoordinatorSilent));
}

#[test]
fn after_a_break_hello_comes_first_and_the_rest_is_read_again() {
    covers!("PAR-05", "PAR-12", "PAR-22", "LAM-15", "LAM-18", "SES-23", "D-029");
    let mut bob = Lone::working();
    bob.accepted(announce("gone", &["g"]));
    let lost = bob.say(announce("lost", &["l"])).unwrap();
    let half = bob.say(commit("o", Some("i"), "a", "one", "two")).unwrap();
    let (lost, half) = (lost.message_id, half.message_id);
    let lamport = bob.who.lamport();
    let mut unanswered = bob.who.connection_lost(bob.now);
    unanswered.sort_by_key(|it| format!("{it:?}"));
    assert_eq!(unanswered, [News::Unanswered(lost.clone()), News::Unanswered(half.clone())]);
    assert_eq!(bob.who.fate(&lost), Some(&Fate::Unknown));
    for delay in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(bob.who.retry_in(), Seconds::whole(delay));
        bob.who.connect_failed();
    }
    assert_eq!(bob.withheld(announce("k", &["k"])), Withheld::NotAdmitted);
    bob.hello();
    assert_eq!(bob.who.lamport(), lamport + 1, "the counter goes on");
    let news = bob.coordinator(session_info()).news;
    assert_eq!(news, [News::Admitted { problems: vec![] }, News::Gap { revealed_by: None }]);
    assert_eq!(bob.who.retry_in(), Seconds::whole(1), "the next break begins afresh");
    // What is not known is not used, and not repeated.
    let under_i = commit("o2", Some("i"), "z", "one", "two");
    assert_eq!(bob.withheld(under_i.clone()), Withheld::IntentUnconfirmed(intent("i")));
    assert_eq!(bob.withheld(announce("lost2", &["l"])), Withheld::FateUnknown(lost));
    assert_eq!(bob.withheld(commit("o3", None, "a", "one", "two")), Withheld::FateUnknown(half));
    let listed = summary(&[("i", "bob", &["a"]), ("lost", "bob", &["l"]), ("t", "amy", &["z"])]);
    let news = bob.who.hear_summary(bob.now, &listed);
    let over = News::IntentOver { intent: intent("gone"), how: Over::NotListed };
    assert_eq!(news, [over, News::GapClosed]);
    let own: Vec<&str> = bob.who.intents().keys().map(|id| id.as_str()).collect();
    assert_eq!(own, ["i", "lost"]);
    assert_eq!(bob.who.others().next().unwrap().0.as_str(), "t");
    assert!(bob.say(under_i).is_ok());
    assert!(bob.say(commit("o3", None, "a", "one", "two")).is_ok());
    assert_eq!(bob.withheld(commit("o4", Some("gone"), "g", "", "x")), Withheld::IntentOver(intent("gone")));
}

#[test]
fn a_summary_of_another_session_or_of_none_says_nothing() {
    covers!("PAR-09");
    let mut bob = Lone::working();
    let mut other = summary(&[]);
    other.session_id = "other".parse().unwrap();
    let mut missing = summary(&[]);
    missing.error = Some("session_not_found".to_owned());
    for summary in [other, missing] {
        assert_eq!(bob.who.hear_summary(bob.now, &summary), []);
        assert_eq!(bob.who.intents().len(), 1);
    }
}

#[test]
fn an_own_intent_that_a_summary_lists_is_not_thought_over_before_its_time_is_known() {
    covers!("PAR-22", "INT-12");
    let mut bob = Lone::joined();
    bob.who.hear_summary(bob.now, &summary(&[("i", "bob", &["a"])]));
    assert_eq!(bob.who.intents()[&intent("i")].expires, None);
    assert!(!bob.pass(100_000.0).contains(&News::IntentExpired(intent("i"))));
    let mut update = IntentUpdate::new(intent("i"));
    update.ttl_sec = Some(Seconds::whole(60));
    bob.accepted(update);
    assert_eq!(bob.who.intents()[&intent("i")].expires, Some(bob.now.after(&Seconds::whole(60))));
    assert!(bob.pass(60.0).contains(&News::IntentExpired(intent("i"))));
}

#[test]
fn after_being_taken_for_gone_own_intents_are_read_again() {
    covers!("PAR-22");
    let mut bob = Lone::working();
    let mut gone = mpac_wire::payload::ProtocolError::new("PARTICIPANT_UNAVAILABLE".into(), "gone".into());
    gone.affected_principal = Some("bob".parse().unwrap());
    assert_eq!(bob.coordinator(gone).news, [News::TakenForGone]);
    let work = commit("o", Some("i"), "a", "one", "two");
    assert_eq!(bob.withheld(work.clone()), Withheld::IntentUnconfirmed(intent("i")));
    let told = |state: &str| {
        let mut update = IntentUpdate::new(intent("i"));
        update.objective = Some("o".into());
        let state = serde_json::json!({ "mpac": { "state": state, "cause": "owner_unavailable" } });
        update.extensions = mpac_wire::Raw::of(&state).ok();
        update
    };
    assert_eq!(bob.coordinator(told("SUSPENDED")).news, [News::IntentSuspended(intent("i"))]);
    assert_eq!(bob.withheld(work.clone()), Withheld::IntentSuspended(intent("i")));
    assert_eq!(bob.coordinator(told("ACTIVE")).news, [News::IntentRestored(intent("i"))]);
    assert_eq!(bob.who.intents()[&intent("i")].standing, Standing::Active);
    assert!(bob.say(work).is_ok());
}

#[test]
fn heartbeats_fall_due_and_say_what_is_going_on() {
    covers!("LIV-01", "LIV-19", "PAR-03");
    let mut bob = Lone::working();
    assert_eq!(bob.due_in(), Some(30.0));
    bob.pass(29.9);
    bob.coordinator(status(CoordinatorEvent::Heartbeat, COORDINATOR));
    assert!(bob.pass(0.1).contains(&News::HeartbeatDue));
    assert_eq!(bob.pass(1.0), [], "told once until it is sent");
    assert!(bob.who.set_activity("working".into(), Some(intent("i")), None));
    assert!(!bob.who.set_activity("working".into(), Some(intent("i")), None), "no change, nothing to say");
    let stamp = bob.stamp();
    let beat = bob.who.beat(stamp);
    assert_eq!(beat.payload.get(), r#"{"status":"working","active_intent_id":"i"}"#);
    assert_eq!(bob.due_in(), Some(30.0));
    bob.accepted(mpac_wire::payload::IntentWithdraw::new(intent("i")));
    let stamp = bob.stamp();
    assert_eq!(
        bob.who.beat(stamp).payload.get(),
        r#"{"status":"working"}"#,
        "an intent that is over is not named"
    );
    // Never so rare that two lost ones would make us unavailable.
    let mut info = session_info();
    let mut liveness = mpac_wire::policy::LivenessPolicy::new();
    liveness.unavailability_timeout_sec = Some(Seconds::whole(15));
    info.liveness_policy = Some(liveness);
    assert_eq!(Lone::joined_to(info).who.heartbeat_interval(), Seconds::whole(5));
}
