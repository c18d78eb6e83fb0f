use super::fixture::{COORDINATOR, from, view};
use super::*;
use mpac_wire::payload::error::ProtocolError;
use mpac_wire::payload::intent::{IntentAnnounce, IntentUpdate, IntentWithdraw};
use mpac_wire::payload::operation::OpCommit;
use mpac_wire::payload::session::Goodbye;
use mpac_wire::sideband::SummaryIntent;
use mpac_wire::{ConflictId, OpId, Scope, StateRef};

fn id(name: &str) -> IntentId {
    IntentId::new(name).unwrap()
}

fn principal(name: &str) -> PrincipalId {
    PrincipalId::new(name).unwrap()
}

fn announce(name: &str) -> Message {
    IntentAnnounce::new(id(name), "o".to_owned(), Scope::files(["a.py"])).into()
}

fn withdraw(name: &str, reason: &str) -> Message {
    let mut withdraw = IntentWithdraw::new(id(name));
    withdraw.reason = Some(reason.to_owned());
    withdraw.into()
}

fn see(view: &mut View, sender: &str, message: &Message) -> Vec<Sign> {
    view.observe(&from(sender, message), message, Instant::now())
}

fn knows_alices() -> View {
    let mut view = view();
    see(&mut view, "agent:Alice", &announce("i1"));
    view
}

#[test]
fn an_intent_lives_from_its_announce_to_its_end() {
    let mut view = view();
    let announced = see(&mut view, "agent:Alice", &announce("i1"));
    assert_eq!(announced, [Sign::Announced { intent: id("i1"), owner: principal("agent:Alice") }]);
    assert_eq!(view.intent(&id("i1")).unwrap().files, ["a.py"]);
    let ended = see(&mut view, "agent:Alice", &withdraw("i1", "yielded"));
    assert_eq!(ended, [Sign::Ended { intent: id("i1"), end: End::Yielded }]);
    assert_eq!(view.intent(&id("i1")), None);
}

#[test]
fn only_the_owner_or_the_coordinator_ends_an_intent() {
    let mut view = knows_alices();
    assert_eq!(see(&mut view, "agent:Carol", &withdraw("i1", "yielded")), []);
    assert!(view.intent(&id("i1")).is_some());
    let ended = see(&mut view, COORDINATOR, &withdraw("i1", "yielded"));
    assert_eq!(
        ended,
        [Sign::Ended { intent: id("i1"), end: End::Otherwise }],
        "the coordinator does not yield"
    );
}

#[test]
fn only_the_owner_changes_an_intent() {
    let mut view = knows_alices();
    let mut update = IntentUpdate::new(id("i1"));
    update.scope = Some(Scope::files(["b.py"]));
    see(&mut view, "agent:Carol", &update.clone().into());
    assert_eq!(view.intent(&id("i1")).unwrap().files, ["a.py"]);
    see(&mut view, "agent:Alice", &update.into());
    assert_eq!(view.intent(&id("i1")).unwrap().files, ["b.py"]);
}

#[test]
fn an_intent_expires_when_its_owner_says_and_else_after_the_default() {
    let (now, mut view) = (Instant::now(), view());
    let second = Duration::from_secs(1);
    let mut see = |message: &Message, at| {
        view.observe(&from("agent:Alice", message), message, at);
        view.intent(&id("i1")).unwrap().expires.unwrap() - EXPIRY_MARGIN
    };
    assert_eq!(see(&announce("i1"), now), now + DEFAULT_TTL);
    let mut named = IntentAnnounce::new(id("i1"), "o".to_owned(), Scope::files(["a.py"]));
    named.ttl_sec = Some(Seconds::from_micros(2_500_000));
    assert_eq!(see(&named.into(), now), now + second * 5 / 2);
    let mut update = IntentUpdate::new(id("i1"));
    assert_eq!(see(&update.clone().into(), now + second), now + second * 5 / 2, "it says nothing of time");
    update.ttl_sec = Some(Seconds::from_micros(4_000_000));
    assert_eq!(see(&update.into(), now + second), now + second * 5);
}

#[test]
fn a_commit_under_an_own_intent_is_a_sign_of_work() {
    let mut view = knows_alices();
    let mut commit = OpCommit::new(
        OpId::new("op").unwrap(),
        "a.py".to_owned(),
        mpac_wire::names::OpKind::Replace,
        StateRef::of(""),
        StateRef::of("x"),
    );
    assert_eq!(see(&mut view, "agent:Alice", &commit.clone().into()), [], "without an intent");
    commit.intent_id = Some(id("i1"));
    assert_eq!(see(&mut view, "agent:Carol", &commit.clone().into()), [], "under somebody else's");
    assert_eq!(see(&mut view, "agent:Alice", &commit.into()), [Sign::Worked { intent: id("i1") }]);
}

fn left(who: &str, keeps: &[&str]) -> Sign {
    Sign::Left { principal: principal(who), keeps: keeps.iter().map(|name| id(name)).collect() }
}

/// Each verb of the command line leaves like that.
#[test]
fn who_leaves_its_intents_to_their_time_takes_none_along() {
    let mut view = knows_alices();
    let mut goodbye = Goodbye::new(mpac_wire::names::GoodbyeReason::Completed);
    goodbye.intent_disposition = Some(IntentDisposition::Expire);
    let goodbye: Message = goodbye.into();
    assert_eq!(see(&mut view, "agent:Alice", &goodbye), [left("agent:Alice", &["i1"])]);
    assert!(view.intent(&id("i1")).is_some());
    assert_eq!(view.people().count(), 0);
    // Nobody tells that its time is over; the next one who leaves so cleans up.
    let much_later = Instant::now() + Duration::from_secs(3_600);
    let signs = view.observe(&from("agent:Carol", &goodbye), &goodbye, much_later);
    let over = Sign::Ended { intent: id("i1"), end: End::Otherwise };
    assert_eq!(signs, [over, left("agent:Carol", &[])]);
    assert_eq!(view.intent(&id("i1")), None);
}

#[test]
fn who_leaves_takes_the_intents_along() {
    let mut view = knows_alices();
    let goodbye: Message = Goodbye::new(mpac_wire::names::GoodbyeReason::UserExit).into();
    assert_eq!(see(&mut view, "agent:Alice", &goodbye), [left("agent:Alice", &[])]);
    assert_eq!(view.intent(&id("i1")), None);
    assert_eq!(view.people().count(), 0);
}

#[test]
fn an_unavailable_principal_is_found_in_either_field() {
    let code = mpac_wire::names::ErrorCode::ParticipantUnavailable;
    let mut python = ProtocolError::new(code, "gone".to_owned());
    python.refers_to = Some("agent:Alice".to_owned());
    let mut ours = python.clone();
    (ours.refers_to, ours.affected_principal) = (Some("m-7".to_owned()), Some(principal("agent:Alice")));
    for error in [python, ours] {
        let left = [left("agent:Alice", &[])];
        assert_eq!(see(&mut knows_alices(), COORDINATOR, &error.clone().into()), left);
        assert_eq!(see(&mut knows_alices(), "agent:Carol", &error.into()), [], "not for a peer to say");
    }
}

#[test]
fn an_epoch_alone_does_not_make_a_coordinator() {
    let message = withdraw("i1", "x");
    let mut envelope = from(COORDINATOR, &message);
    assert!(view().is_coordinators(&envelope));
    envelope.sender.principal_id = principal("agent:Carol");
    assert!(!view().is_coordinators(&envelope));
}

fn report() -> ConflictReport {
    ConflictReport::new(
        ConflictId::new("c").unwrap(),
        mpac_wire::names::ConflictCategory::ScopeOverlap,
        mpac_wire::names::Severity::Medium,
    )
}

#[test]
fn the_other_side_is_found_on_either_side() {
    let mut newer = report();
    (newer.intent_a, newer.principal_a) = (Some(id("mine")), Some(principal("agent:Bob")));
    (newer.intent_b, newer.principal_b) = (Some(id("i1")), Some(principal("agent:Alice")));
    let mut older = report();
    (older.intent_b, older.principal_b) = (Some(id("mine")), Some(principal("agent:Bob")));
    (older.intent_a, older.principal_a) = (Some(id("i1")), Some(principal("agent:Alice")));
    for report in [newer, older] {
        let mut view = view();
        let side = view.other_side(&report, &id("mine"), Instant::now()).unwrap();
        assert_eq!(side, OtherSide { principal: principal("agent:Alice"), intent: Some(id("i1")) });
        assert_eq!(view.other_side(&report, &id("another"), Instant::now()), None);
        // Announced before we joined: from now on its end is a sign.
        let ended = see(&mut view, "agent:Alice", &withdraw("i1", "task_completed"));
        assert_eq!(ended, [Sign::Ended { intent: id("i1"), end: End::Completed }]);
    }
}

#[test]
fn a_report_by_the_specification_alone_is_enough() {
    let mut report = report();
    report.related_intents = Some(vec![id("i1"), id("mine")]);
    let side = knows_alices().other_side(&report, &id("mine"), Instant::now()).unwrap();
    assert_eq!(side, OtherSide { principal: principal("agent:Alice"), intent: Some(id("i1")) });
}

fn summary(intents: &[(&str, &str)]) -> SessionSummary {
    let zero = || mpac_wire::Integer::new(0);
    let listed = intents.iter().map(|(name, owner)| {
        let scope = Scope::files(["b.py"]);
        SummaryIntent::new(id(name), principal(owner), "told".to_owned(), "ACTIVE".into(), scope)
    });
    SessionSummary::new("s".parse().unwrap(), zero(), zero(), zero(), vec![], listed.collect(), vec![])
}

#[test]
fn what_a_summary_does_not_list_has_ended_and_what_it_lists_is_live() {
    let mut view = knows_alices();
    see(&mut view, "agent:Carol", &announce("i2"));
    let listed = summary(&[("i1", "agent:Alice"), ("i3", "agent:Dan"), ("ours", "agent:Bob")]);
    let much_later = Instant::now() + Duration::from_secs(3_600);
    let signs = view.listed(Some(&listed), much_later);
    assert_eq!(signs, [Sign::Ended { intent: id("i2"), end: End::Otherwise }]);
    let alices = view.intent(&id("i1")).unwrap();
    assert_eq!((alices.objective.as_deref(), alices.files.as_slice()), (Some("o"), &["b.py".to_owned()][..]));
    assert!(alices.expires.unwrap() > much_later, "it lives, so it was prolonged");
    assert_eq!(view.intent(&id("i3")).unwrap().objective.as_deref(), Some("told"));
    assert_eq!((view.intent(&id("i2")), view.intent(&id("ours"))), (None, None));
    assert!(view.people().any(|(who, intents)| who.as_str() == "agent:Dan" && intents.len() == 1));
}

#[test]
fn without_a_summary_no_intent_can_be_counted_on() {
    let mut view = knows_alices();
    assert_eq!(view.listed(None, Instant::now()), [Sign::Ended { intent: id("i1"), end: End::Otherwise }]);
    assert_eq!(view.listed(None, Instant::now()), []);
    assert_eq!(view.people().count(), 1, "Alice may still be there");
}
