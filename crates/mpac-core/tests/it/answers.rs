//! What becomes of each message, what must be answered, and what may have been missed.

use mpac_core::participant::{Fate, News, Over, Standing, Withheld};
use mpac_wire::names::{ConflictState, Decision, ErrorCode};
use mpac_wire::payload::{
    ConflictAck, ConflictEscalate, ConflictReport, IntentClaim, IntentClaimStatus, IntentUpdate,
    IntentWithdraw, OpReject, OpSupersede, ProtocolError, Resolution, SessionClose,
};
use mpac_wire::{Integer, Message, MessageType, Scope, StateRef};

use crate::covers;
use crate::lone::{COORDINATOR, Lone, announce, commit, refusal, session_info};
use crate::silence::summary;
use crate::world::{intent, op};

fn conflict(id: &str, own: &str, basis: Option<&str>) -> ConflictReport {
    let mut report = ConflictReport::new(id.parse().unwrap(), "scope_overlap".into(), "medium".into());
    (report.principal_a, report.intent_a) = (Some("bob".parse().unwrap()), Some(intent(own)));
    (report.principal_b, report.intent_b) = (Some("amy".parse().unwrap()), Some(intent("theirs")));
    report.basis = basis.map(|kind| {
        let mut basis = mpac_wire::payload::Basis::new();
        basis.kind = Some(kind.into());
        basis
    });
    report
}

#[test]
fn answers_are_matched_by_id_and_never_by_type() {
    covers!("PAR-11", "PAR-12", "ERR-10", "OPS-31");
    let mut bob = Lone::working();
    let one = bob.say(commit("o1", Some("i"), "a", "1", "2")).unwrap();
    let two = bob.say(commit("o2", Some("i"), "b", "1", "2")).unwrap();
    let fates = |bob: &Lone| [&one, &two].map(|it| bob.who.fate(&it.message_id).cloned().unwrap());
    assert_eq!(fates(&bob), [Fate::Waiting, Fate::Waiting]);
    bob.peer("amy", commit("o9", None, "c", "1", "2"));
    bob.refuse(&announce_envelope(&mut Lone::joined()), "STALE_STATE_REF", "somebody else's");
    assert_eq!(fates(&bob), [Fate::Waiting, Fate::Waiting], "nothing of this was about them");
    assert_eq!(bob.echo(&two), [News::Accepted(two.message_id.clone())]);
    let news = bob.refuse(&one, "INVALID_REFERENCE", "no");
    assert!(matches!(news.as_slice(), [News::Refused { message: Some(id), .. }] if *id == one.message_id));
    assert_eq!(fates(&bob), [Fate::Refused(ErrorCode::InvalidReference), Fate::Accepted]);
    // A rejection of exactly this operation, and of somebody else's.
    assert_eq!(bob.coordinator(OpReject::new(op("o9"), "policy_violation".into())).news, []);
    let news = bob.coordinator(OpReject::new(op("o2"), "frozen_scope_fallback".into())).news;
    assert_eq!(news, [News::Rejected { op: op("o2"), reason: "frozen_scope_fallback".into() }]);
}

fn announce_envelope(other: &mut Lone) -> mpac_wire::Envelope {
    for _ in 0..40 {
        other.stamp();
    }
    other.say(announce("x", &["x"])).unwrap()
}

#[test]
fn an_error_that_matches_nothing_is_told_all_the_same() {
    covers!("ERR-10", "ERR-07");
    let mut bob = Lone::joined();
    let news = bob.coordinator(ProtocolError::new("NEW_CODE".into(), "who knows".into())).news;
    assert!(
        matches!(news.as_slice(), [News::Refused { message: None, error, .. }] if error.error_code.as_str() == "NEW_CODE")
    );
    // A refused HELLO comes from a coordinator that is not known yet.
    let mut bob = Lone::new();
    let hello = bob.hello();
    let news = bob.coordinator(refusal("CREDENTIAL_REJECTED", &hello, "no")).news;
    assert!(matches!(news.as_slice(), [News::Refused { message: Some(id), .. }] if *id == hello));
    assert!(!bob.who.is_admitted() && bob.who.coordinator().is_none());
}

#[test]
fn no_answer_in_time_is_unknown_until_a_summary_was_read() {
    covers!("PAR-12");
    let mut bob = Lone::working();
    let lost = bob.say(commit("o1", Some("i"), "a", "1", "2")).unwrap().message_id;
    let named = bob.say(announce("j", &["j"])).unwrap().message_id;
    bob.pass(30.0);
    bob.status();
    assert_eq!(bob.who.fate(&lost), Some(&Fate::Waiting), "not more than the limit");
    let mut news = bob.pass(0.001);
    news.sort_by_key(|it| format!("{it:?}"));
    assert_eq!(news, [News::Unanswered(lost.clone()), News::Unanswered(named)]);
    assert_eq!(bob.who.unanswered().count(), 1);
    assert_eq!(bob.withheld(commit("o2", Some("i"), "a", "1", "2")), Withheld::FateUnknown(lost.clone()));
    bob.who.hear_summary(bob.now, &summary(&[("i", "bob", &["a"]), ("j", "bob", &["j"])]));
    assert!(bob.who.intents().contains_key("j"), "it had been accepted");
    assert_eq!(bob.who.unanswered().count(), 0);
    assert!(bob.say(commit("o2", Some("i"), "a", "1", "2")).is_ok());
    // An echo that comes late after all settles it as well.
    let late = bob.say(announce("k", &["k"])).unwrap();
    bob.pass(31.0);
    bob.echo(&late);
    assert_eq!(bob.who.fate(&late.message_id), Some(&Fate::Accepted));
}

#[test]
fn reading_a_target_or_withdrawing_settles_what_was_unknown_of_it() {
    covers!("PAR-12");
    let mut bob = Lone::working();
    let taken = bob.say(commit("o1", Some("i"), "./a", "1", "2")).unwrap().message_id;
    let lost = bob.say(commit("o2", Some("i"), "b", "1", "2")).unwrap().message_id;
    let announced = bob.say(announce("j", &["j"])).unwrap().message_id;
    let unsent = bob.say(announce("k", &["k"])).unwrap().message_id;
    bob.who.unsent(&unsent);
    bob.pass(31.0);
    bob.who.note_state("a", StateRef::of("2"));
    bob.who.note_state("./b", StateRef::of("1"));
    assert_eq!((bob.who.fate(&taken), bob.who.fate(&lost)), (Some(&Fate::Accepted), None));
    assert!(bob.say(commit("o3", Some("i"), "b", "1", "2")).is_ok());
    assert!(bob.say(announce("k2", &["k"])).is_ok(), "nobody ever got the first one");
    assert_eq!(bob.withheld(announce("j2", &["j"])), Withheld::FateUnknown(announced));
    let withdraw = bob.say(IntentWithdraw::new(intent("j"))).unwrap();
    bob.refuse(&withdraw, "INVALID_REFERENCE", "unknown intent j");
    assert!(bob.say(announce("j2", &["j"])).is_ok());
}

#[test]
fn hello_comes_first_and_nothing_after_the_end_but_goodbye() {
    covers!(
        "SES-23", "SES-15", "PAR-16", "HEL-16", "HEL-01", "BYE-01", "PAR-02", "HEL-09", "SES-06", "CAP-01"
    );
    let mut bob = Lone::new();
    assert_eq!(bob.withheld(announce("i", &["a"])), Withheld::NotAdmitted);
    let stamp = bob.stamp();
    let hello = bob.who.hello(stamp, None);
    let text = hello.payload.get().to_owned();
    assert!(
        text.starts_with(
            r#"{"display_name":"Bob","roles":["participant"],"capabilities":["intent.broadcast","#
        )
    );
    assert_eq!(bob.withheld(announce("i", &["a"])), Withheld::NotAdmitted, "SESSION_INFO has not come");
    let mut info = session_info();
    info.compatibility_errors = Some(vec!["no arbiter".to_owned()]);
    let news = bob.coordinator(info).news;
    assert_eq!(news, [News::Admitted { problems: vec!["no arbiter".to_owned()] }]);
    assert!(!bob.who.needs_authorisation(), "a session that does not say is post_commit");
    bob.accepted(announce("i", &["a"]));
    let close = SessionClose::new("completed".into(), Integer::new(1));
    assert_eq!(bob.coordinator(close).news, [News::Closed]);
    for message in
        [Message::from(announce("j", &["a"])), mpac_wire::payload::Heartbeat::new("idle".into()).into()]
    {
        assert_eq!(bob.withheld(message), Withheld::SessionClosed);
    }
    let again = mpac_wire::payload::Hello::new("Bob".into(), vec![]);
    assert_eq!(bob.withheld(again), Withheld::SessionClosed);
    assert_eq!(bob.due_in(), None);
    assert!(bob.say(mpac_wire::payload::Goodbye::new("session_complete".into())).is_ok());
}

#[test]
fn conflicts_that_concern_us_are_acknowledged_whatever_they_are_based_on() {
    covers!("PAR-19", "CON-20", "CON-14", "PAR-13");
    let mut bob = Lone::working();
    for (id, basis) in
        [("c1", None), ("c2", Some("rule")), ("c3", Some("model_inference")), ("c4", Some("x"))]
    {
        let news = bob.coordinator(conflict(id, "i", basis)).news;
        assert!(news.contains(&News::Conflict(id.parse().unwrap())), "{id}: {news:?}");
    }
    let mut foreign = conflict("c5", "elsewhere", None);
    foreign.principal_a = Some("cat".parse().unwrap());
    assert!(!bob.coordinator(foreign).news.contains(&News::Conflict("c5".parse().unwrap())));
    let open = |bob: &Lone| bob.who.unacknowledged().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(open(&bob), ["c1", "c2", "c3", "c4"]);
    let ack = bob.say(ConflictAck::new("c2".parse().unwrap(), "seen".into())).unwrap();
    assert_eq!(open(&bob), ["c1", "c3", "c4"]);
    bob.echo(&ack);
    let state = |bob: &Lone, id: &str| {
        bob.who.conflicts().find(|(known, _)| known.as_str() == id).map(|(_, it)| it.state.clone())
    };
    assert_eq!(state(&bob, "c2"), Some(ConflictState::Acked));
    bob.coordinator(Resolution::new("c3".parse().unwrap(), Decision::Dismissed));
    assert_eq!(open(&bob), ["c1", "c4"]);
}

#[test]
fn relays_of_what_a_python_server_ignored_are_not_believed() {
    covers!("PAR-14", "PAR-09", "PAR-13");
    let mut bob = Lone::working();
    bob.peer("amy", announce("theirs", &["b"]));
    bob.coordinator(conflict("c1", "i", None));
    let mut grow = IntentUpdate::new(intent("theirs"));
    grow.scope = Some(Scope::files(["b", "c"]));
    let escalate = ConflictEscalate::new("c1".parse().unwrap(), "bob".parse().unwrap(), "r".into());
    let ack = || ConflictAck::new("c1".parse().unwrap(), "seen".into());
    let view = |bob: &Lone| {
        (
            bob.who.others().map(|(id, it)| (id.clone(), it.clone())).collect::<Vec<_>>(),
            bob.who.conflicts().map(|(_, it)| it.state.clone()).collect::<Vec<_>>(),
            bob.who.intents().clone(),
        )
    };
    let before = view(&bob);
    for message in [
        Message::from(IntentWithdraw::new(intent("theirs"))),
        grow.clone().into(),
        IntentWithdraw::new(intent("i")).into(),
        announce("i", &["z"]).into(),
        announce("theirs", &["z"]).into(),
        escalate.clone().into(),
        ack().into(),
    ] {
        bob.peer("eve", message);
    }
    assert_eq!(view(&bob), before);
    bob.peer("amy", grow);
    bob.peer("amy", ack());
    assert_eq!(bob.who.in_the_way(&Scope::files(["c"])).len(), 1);
    assert_eq!(view(&bob).1, [ConflictState::Acked]);
    let news = bob.peer("amy", escalate);
    assert_eq!(news, [News::Escalated("c1".parse().unwrap())]);
    bob.peer("amy", IntentWithdraw::new(intent("theirs")));
    assert_eq!(bob.who.others().count(), 0);
}

#[test]
fn whoever_hands_a_conflict_on_it_is_with_its_target_from_then_on() {
    covers!("PAR-12", "PAR-09", "CON-08", "D-110");
    let mut bob = Lone::joined_to_ours();
    bob.accepted(announce("i", &["a"]));
    let escalate = |id: &str, to: &str| {
        ConflictEscalate::new(id.parse().unwrap(), to.parse().unwrap(), "they cannot agree".into())
    };
    bob.coordinator(conflict("c1", "i", None));
    let mut others = conflict("c2", "elsewhere", None);
    others.principal_a = Some("cat".parse().unwrap());
    bob.coordinator(others);
    // Eve is in neither, and Bob not in the second.
    assert_eq!(bob.peer("eve", escalate("c1", "bob")), [News::Escalated("c1".parse().unwrap())]);
    bob.accepted(escalate("c2", "ada"));
    for (id, to) in [("c1", "bob"), ("c2", "ada")] {
        let (_, known) = bob.who.conflicts().find(|(it, _)| it.as_str() == id).unwrap();
        assert_eq!(known.state, ConflictState::Escalated, "{id}");
        assert_eq!(known.escalated_to, Some(to.parse().unwrap()), "{id}");
    }
    assert!(bob.who.has_gap(), "nobody has announced the other intents");
    assert_eq!(bob.peer("eve", escalate("c9", "bob")), [], "it is not known yet");

    // What comes back is believed of a Python server as well.
    let mut bob = Lone::working();
    bob.coordinator(conflict("c1", "elsewhere", None));
    bob.accepted(escalate("c1", "ada"));
    let (_, known) = bob.who.conflicts().next().unwrap();
    assert_eq!(known.escalated_to, Some("ada".parse().unwrap()));
}

#[test]
fn what_others_do_is_taken_in_the_order_in_which_it_arrives() {
    covers!("LAM-23", "PAR-09");
    let mut bob = Lone::joined();
    bob.peer("amy", announce("t", &["a"]));
    bob.peer("amy", IntentWithdraw::new(intent("t")));
    bob.peer("amy", announce("t", &["b"]));
    let (_, known) = bob.who.others().next().unwrap();
    assert_eq!(known.scope, Some(Scope::files(["b"])));
    let mut goodbye = mpac_wire::payload::Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    bob.peer("amy", goodbye);
    assert_eq!(bob.who.others().next().unwrap().1.standing, Standing::Suspended);
}

#[test]
fn a_jump_of_values_is_no_gap_and_an_unknown_name_is() {
    covers!("LAM-17", "LAM-18", "LAM-19", "LAM-20", "LAM-21", "PAR-08", "D-029");
    let mut bob = Lone::working();
    bob.from.3 = 1_000;
    bob.status();
    assert!(!bob.who.has_gap());
    let stamp = bob.stamp();
    assert!(bob.who.report_gap(stamp).is_none());
    let before = bob.who.lamport();
    let heard = bob.coordinator(Resolution::new("unknown".parse().unwrap(), Decision::Approved));
    let [News::Gap { revealed_by: Some(by) }] = heard.news.as_slice() else { panic!("{:?}", heard.news) };
    assert!(bob.who.lamport() > before, "the receive rule goes on");
    let stamp = bob.stamp();
    let error = bob.who.report_gap(stamp).expect("once");
    let Message::ProtocolError(gap) = error.message().unwrap() else { panic!() };
    assert_eq!((gap.error_code, gap.refers_to.as_deref()), (ErrorCode::CausalGap, Some(by.as_str())));
    let stamp = bob.stamp();
    assert!(bob.who.report_gap(stamp).is_none(), "at most once in a gap");
    let news = bob.coordinator(Resolution::new("unknown2".parse().unwrap(), Decision::Approved)).news;
    assert_eq!(news, [], "it is open already");
    // No judgement, but everything that does not depend on what was missed.
    assert_eq!(bob.withheld(conflict("c9", "i", None)), Withheld::CausalGap);
    assert_eq!(bob.withheld(Resolution::new("c".parse().unwrap(), Decision::Approved)), Withheld::CausalGap);
    let mut update = IntentUpdate::new(intent("i"));
    update.ttl_sec = Some(mpac_wire::Seconds::whole(600));
    assert!(bob.say(update).is_ok());
    assert!(bob.say(mpac_wire::payload::Heartbeat::new("working".into())).is_ok());
    let news = bob.who.hear_summary(bob.now, &summary(&[("i", "bob", &["a"])]));
    assert_eq!(news, [News::GapClosed]);
    assert!(bob.say(conflict("c9", "i", None)).is_ok());
}

#[test]
fn an_error_about_something_unknown_is_no_gap_and_gets_no_error_back() {
    covers!("ERR-03", "LAM-21");
    let mut bob = Lone::joined();
    let mut error = ProtocolError::new("CAUSAL_GAP".into(), "gap".into());
    error.refers_to = Some("never-heard".into());
    bob.peer("amy", error.clone());
    bob.coordinator(error);
    assert!(!bob.who.has_gap());
}

#[test]
fn other_kinds_of_watermarks_count_by_their_lamport_value() {
    covers!("LAM-04", "LAM-06", "LAM-08");
    assert_eq!(Lone::new().who.lamport(), 0);
    for (watermark, clock) in [
        (r#"{"kind":"vector_clock","value":{"a":1},"lamport_value":70}"#, 71),
        (r#"{"kind":"opaque","value":"x"}"#, 13),
        (r#"{"kind":"lamport_clock","value":-1}"#, 13),
    ] {
        let mut bob = Lone::joined(); // HELLO 1, SESSION_INFO 10
        let mut envelope = bob.say(announce("i", &["a"])).unwrap();
        envelope.watermark = Some(serde_json::from_str(watermark).unwrap());
        bob.echo(&envelope);
        assert_eq!(bob.who.lamport(), clock, "{watermark}");
    }
}

#[test]
fn what_must_carry_a_watermark_does_and_no_id_goes_out_twice() {
    covers!("ENV-12", "ENV-06", "ENV-11");
    let mut bob = Lone::working();
    let messages: Vec<Message> = vec![
        commit("o", Some("i"), "a", "1", "2").into(),
        conflict("c", "i", None).into(),
        Resolution::new("c".parse().unwrap(), Decision::Approved).into(),
    ];
    for message in messages {
        assert!(bob.say(message).unwrap().watermark.is_some());
    }
    let stamp = bob.stamp();
    let beat = || mpac_wire::payload::Heartbeat::new("idle".into());
    assert!(bob.who.try_write(stamp.clone(), beat()).is_ok());
    assert!(matches!(bob.who.try_write(stamp, beat()), Err(Withheld::IdUsed(_))));
}

#[test]
fn a_session_that_knows_no_deferrals_is_borne_with() {
    covers!("ENV-17", "PAR-13", "DEF-01");
    let scope = || Scope::files(["a"]);
    let mut bob = Lone::joined();
    bob.peer("amy", announce("theirs", &["a"]));
    let holders = bob.who.in_the_way(&scope());
    let (stamp, id) = (bob.stamp(), bob.who.new_deferral_id());
    bob.who.defer_to(stamp, id, scope(), &holders);
    bob.pass(29.0);
    bob.status();
    assert!(!bob.pass(5.0).iter().any(|it| matches!(it, News::Unanswered(_))), "nobody has to answer it");
    assert!(bob.say(announce("i", &["a"])).is_ok(), "here it would be a conflict, not a refusal");
    // Where they are known, everybody hears of it.
    let mut config = crate::world::config();
    config.level = mpac_core::ProtocolLevel::V0_1_14;
    let mut world = crate::world::World::with(config);
    for name in ["amy", "bob"] {
        world.join(name, &[mpac_wire::names::Role::Contributor]);
    }
    world.announce("amy", "theirs", &["a"]);
    let (stamp, holders) = (world.stamp(), world.who("bob").in_the_way(&scope()));
    let id = world.who("bob").new_deferral_id();
    let deferral = world.who("bob").defer_to(stamp, id, scope(), &holders);
    world.send("bob", &deferral);
    assert_eq!(world.who("amy").deferrals().count(), 1);
    world.withdraw("amy", "theirs");
    assert_eq!(world.who("amy").deferrals().count(), 0, "resolved");
}

#[test]
fn each_kind_of_name_that_was_never_heard_opens_a_gap() {
    covers!("LAM-21", "D-029");
    let mut claim = IntentClaimStatus::new("cl".parse().unwrap(), intent("never"), "rejected".into());
    claim.reason = Some("objected".into());
    let cases: Vec<Message> = vec![
        IntentWithdraw::new(intent("never")).into(),
        IntentUpdate::new(intent("never")).into(),
        claim.into(),
        commit("o", Some("never"), "a", "1", "2").into(),
        OpSupersede::new(op("n"), op("never"), "a".into()).into(),
        conflict("c", "never", None).into(),
        ConflictAck::new("never".parse().unwrap(), "seen".into()).into(),
    ];
    for message in cases {
        let mut bob = Lone::joined();
        let from =
            if matches!(message.message_type(), MessageType::ConflictReport | MessageType::IntentClaimStatus)
            {
                (COORDINATOR, Some(1))
            } else {
                ("amy", None)
            };
        let name = message.message_type();
        let instance = format!("{}:epoch-1", from.0);
        bob.somebody((from.0, &instance), from.1, 5, message);
        assert!(bob.who.has_gap(), "{name}");
    }
}

#[test]
fn work_under_a_claimed_intent_begins_with_the_approval_of_exactly_that_claim() {
    covers!("CLM-16", "PAR-11", "PAR-22");
    let mut bob = Lone::working();
    bob.peer("amy", announce("theirs", &["t"]));
    let claim = |id: &str, new: &str| {
        let owner = "amy".parse().unwrap();
        IntentClaim::new(
            id.parse().unwrap(),
            intent("theirs"),
            owner,
            intent(new),
            "o".into(),
            Scope::files(["t"]),
        )
    };
    let status = |id: &str, of: &str, decision: &str| {
        IntentClaimStatus::new(id.parse().unwrap(), intent(of), decision.into())
    };
    bob.say(claim("c1", "n1")).unwrap();
    assert_eq!(bob.coordinator(status("c9", "theirs", "rejected")).news, [], "somebody else's claim");
    assert!(bob.who.intents().get("n1").is_none());
    let refused = bob.say(claim("c2", "n2")).unwrap();
    bob.refuse(&refused, "CLAIM_CONFLICT", "taken");
    assert_eq!(bob.who.pending_claims().map(|id| id.as_str()).collect::<Vec<_>>(), ["c1"]);
    let mut approved = status("c1", "theirs", "approved");
    approved.new_intent_id = Some(intent("n1"));
    let news = bob.coordinator(approved).news;
    assert!(
        matches!(news.as_slice(), [News::ClaimDecided { claim, .. }] if claim.as_str() == "c1"),
        "{news:?}"
    );
    assert_eq!(bob.who.intents()[&intent("n1")].announced.scope, Scope::files(["t"]));
    assert!(bob.say(commit("o", Some("n1"), "t", "1", "2")).is_ok());
    // And an intent of ours that somebody else got is not worked under any more.
    let over = News::IntentOver { intent: intent("i"), how: Over::Transferred };
    assert_eq!(bob.coordinator(status("c7", "i", "approved")).news, [over]);
    assert_eq!(bob.withheld(commit("p", Some("i"), "a", "1", "2")), Withheld::IntentOver(intent("i")));
}

#[test]
fn an_operation_on_a_state_we_do_not_have_is_not_judged_by() {
    covers!("OPS-23", "PAR-15");
    let mut bob = Lone::working();
    bob.who.note_state("./a", StateRef::of("1"));
    assert_eq!(bob.peer("amy", commit("o1", None, "a", "1", "2")), []);
    assert_eq!(bob.peer("amy", commit("o2", None, "a", "missed", "4")), [News::Unverifiable(op("o2"))]);
    assert!(bob.who.is_unverifiable(&op("o2")) && !bob.who.is_unverifiable(&op("o1")));
    let mut report = conflict("c1", "i", None);
    report.related_ops = Some(vec![op("o2")]);
    assert_eq!(bob.withheld(report.clone()), Withheld::Unverifiable(op("o2")));
    bob.who.note_state("a", StateRef::of("4"));
    assert!(bob.say(report).is_ok(), "it was read again");
}

#[test]
fn a_stale_target_is_read_again_before_the_next_commit_under_a_new_id() {
    covers!("OCC-13", "PAR-24");
    let mut bob = Lone::working();
    let stale = bob.say(commit("o1", Some("i"), "a", "1", "2")).unwrap();
    bob.refuse(&stale, "STALE_STATE_REF", "a is at 7");
    assert_eq!(bob.withheld(commit("o2", Some("i"), "./a", "1", "2")), Withheld::ReadAgain("./a".into()));
    bob.who.note_state("a", StateRef::of("7"));
    assert_eq!(bob.withheld(commit("o1", Some("i"), "a", "7", "8")), Withheld::IdUsed("o1".into()));
    assert!(bob.say(commit("o2", Some("i"), "a", "7", "8")).is_ok());
}

#[test]
fn ids_are_new_each_time_and_differ_between_incarnations() {
    covers!("PAR-24");
    let mut bob = Lone::working();
    assert_eq!(bob.withheld(announce("i", &["z"])), Withheld::IdUsed("i".into()));
    let mut other = mpac_core::Participant::new(
        "s".parse().unwrap(),
        crate::lone::sender("bob", "bob:2"),
        mpac_core::participant::Introduction::new("Bob"),
    );
    let mut made = std::collections::BTreeSet::new();
    for who in [&mut bob.who, &mut other] {
        for _ in 0..100 {
            made.insert(who.new_intent_id().to_string());
            made.insert(who.new_op_id().to_string());
        }
        made.insert(who.new_claim_id().to_string());
        made.insert(who.new_batch_id().to_string());
        made.insert(who.new_conflict_id().to_string());
        made.insert(who.new_resolution_id().to_string());
    }
    assert_eq!(made.len(), 408);
}
