//! A participant among liars: whatever they say, it keeps its own rules, and its memory stays small.

use mpac_core::participant::{Hearing, News, Withheld};
use mpac_wire::names::{CoordinatorEvent, GoodbyeReason, IntentDisposition};
use mpac_wire::payload::{
    BatchEntry, ConflictReport, IntentClaim, IntentDeferred, IntentWithdraw, OpBatchCommit, OpPropose,
    ProtocolError, SessionClose, SessionInfo,
};
use mpac_wire::policy::LivenessPolicy;
use mpac_wire::{Integer, Message, Raw, Scope, Seconds, StateRef, Timestamp, Watermark};
use proptest::prelude::*;

use crate::covers;
use crate::hearing::{Event, SENDERS, message, value};
use crate::lone::{COORDINATOR, Lone, announce, commit, session_info, status};
use crate::silence::summary;
use crate::world::{intent, op};

/// From this number on an event is not one of those of the property about belief.
const OWN: u8 = 31;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let lamport = prop_oneof![
        0_u64..60,
        Just(Watermark::MAX_LAMPORT - 1),
        Just(Watermark::MAX_LAMPORT),
        Just(u64::MAX)
    ];
    // Mostly the known coordinator under its epoch, or it would never be believed.
    let who = prop_oneof![3 => Just(0_usize), 2 => 1_usize..6];
    let epoch = prop_oneof![6 => Just(1_u64), 3 => 0_u64..4, 1 => Just(u64::MAX)];
    let event = (0_u8..60, who, 0_u8..4, epoch, lamport, 0_u8..4)
        .prop_map(|(what, who, id, epoch, lamport, other)| Event { what, who, id, epoch, lamport, other });
    proptest::collection::vec(event, 1..120)
}

/// SESSION_INFO with numbers that no sane session has.
fn odd_info(n: u8) -> SessionInfo {
    let odd = [Seconds::ZERO, Seconds::from_micros(1), Seconds::whole(30), Seconds::from_micros(i64::MAX)];
    let pick = |by: u8| Some(odd[usize::from((n + by) % 4)].clone());
    let mut policy = LivenessPolicy::new();
    policy.heartbeat_interval_sec = pick(0);
    policy.unavailability_timeout_sec = pick(1);
    policy.intent_backoff_initial_sec = pick(2);
    let odd = ["0", "-1", "1e300", "2"][usize::from(n % 4)];
    policy.intent_backoff_multiplier = Some(serde_json::from_str(odd).unwrap());
    policy.intent_backoff_max_sec = pick(1);
    let mut info = session_info();
    info.liveness_policy = Some(policy);
    info.protocol_version = ["0.1.15", "0.1.13", "9.9", ""][usize::from(n)].to_owned();
    info
}

/// What a liar says beyond what is merely unexpected.
fn lie(event: &Event) -> Message {
    let odd = ["-1", "1e300", "\"x\"", "null", "{}", "0"][usize::from(event.id + event.other) % 6];
    match event.what % 4 {
        0 => odd_info(event.id).into(),
        1 => {
            let codes = ["INTENT_BACKOFF", "STALE_INTENT", "BACKEND_SWITCH_DENIED", "VERSION_MISMATCH"];
            let text = "Warning: intent  (principal ) conflict ".to_owned();
            let mut error = ProtocolError::new(codes[usize::from(event.other)].into(), text);
            error.refers_to = Some(format!("m{}", event.lamport % 40));
            let inside =
                format!(r#"{{"retry_after_sec":{odd},"mpac":{{"holders":{odd},"accepted":{odd}}}}}"#);
            error.extensions = Raw::of(&serde_json::from_str::<serde_json::Value>(&inside).unwrap()).ok();
            error.into()
        }
        2 => {
            let kinds = [CoordinatorEvent::Handover, CoordinatorEvent::Authorization, "?".into()];
            let mut status = status(kinds[usize::from(event.other) % 3].clone(), SENDERS[event.who].0);
            status.successor_coordinator_id = Some(SENDERS[usize::from(event.id)].0.parse().unwrap());
            status.next_coordinator_epoch = Some(Integer::new(event.lamport));
            status.authorized_op_id = Some(op(&format!("o{}", event.id)));
            status.into()
        }
        _ => {
            let mut deferred = IntentDeferred::new();
            deferred.deferral_id = Some(format!("d{}", event.id).parse().unwrap());
            deferred.principal_id = Some("amy".parse().unwrap());
            let ends = [i64::MIN, i64::MAX][usize::from(event.other % 2)];
            deferred.expires_at = Some(Timestamp::from_micros(ends).into());
            deferred.into()
        }
    }
}

/// What is checked from outside: only what a caller can see.
#[derive(Default)]
struct Watch {
    last: u64,
    /// When something that may be a sign of life came last.
    sign: Option<Timestamp>,
    told_in_gap: bool,
}

/// The file a scope or target of these events is about.
fn same_file(a: &str, b: &str) -> bool {
    a.trim_start_matches("./") == b.trim_start_matches("./")
}

fn files(scope: &Scope) -> &[String] {
    scope.resources.as_deref().unwrap_or_default()
}

/// Whether somebody else's intent, as far as it is known, covers one of these.
fn meets_somebody(bob: &Lone, wanted: &[String]) -> bool {
    let others = bob.who.others().filter_map(|(_, it)| it.scope.as_ref());
    others.flat_map(files).any(|theirs| wanted.iter().any(|file| same_file(theirs, file)))
}

/// Bob says this if he may, and had better not where a rule forbids it.
fn try_to_say(bob: &mut Lone, watch: &mut Watch, said: Message) -> Result<(), TestCaseError> {
    let (inside, closed, gap) = (bob.who.is_admitted(), bob.who.is_closed(), bob.who.has_gap());
    let before = bob.who.lamport();
    let Ok(envelope) = bob.say(said.clone()) else {
        prop_assert_eq!(bob.who.lamport(), before, "what is held back is not counted");
        return Ok(());
    };
    let kind = said.message_type();
    prop_assert!(value(&envelope) > watch.last, "values strictly rise");
    watch.last = value(&envelope);
    prop_assert!(!closed || matches!(said, Message::Goodbye(_)), "{kind} after the end");
    prop_assert!(inside || closed || matches!(said, Message::Hello(_)), "{kind} before SESSION_INFO");
    let decides = matches!(said, Message::ConflictReport(_) | Message::Resolution(_));
    prop_assert!(!(gap && decides), "{kind} in a gap");
    if bob.who.is_coordinator_silent() {
        let held_back = matches!(
            said,
            Message::OpCommit(_)
                | Message::OpBatchCommit(_)
                | Message::OpSupersede(_)
                | Message::Resolution(_)
        );
        prop_assert!(!held_back, "{kind} to a silent coordinator");
        let wanted = match &said {
            Message::IntentAnnounce(it) => files(&it.scope).to_vec(),
            Message::IntentClaim(it) => files(&it.scope).to_vec(),
            Message::IntentUpdate(it) => it.scope.as_ref().map(files).unwrap_or_default().to_vec(),
            Message::OpPropose(it) => vec![it.target.clone()],
            _ => Vec::new(),
        };
        prop_assert!(!meets_somebody(bob, &wanted), "{kind} in somebody's way");
    }
    Ok(())
}

fn happen(bob: &mut Lone, watch: &mut Watch, event: &Event) -> Result<(), TestCaseError> {
    match event.what {
        0..OWN | 52.. => {
            let said = if event.what < OWN { message(event) } else { lie(event) };
            let life = matches!(said, Message::SessionInfo(_) | Message::CoordinatorStatus(_));
            let carried = (event.epoch > 0).then_some(event.epoch);
            let heard = bob.somebody(SENDERS[event.who], carried, event.lamport, said);
            if heard.hearing == Hearing::Fresh && life {
                watch.sign = Some(bob.now);
            }
        }
        31..=33 => {
            let seconds = [20.0, 31.0, 61.0, 400.0][usize::from(event.other)];
            bob.pass(seconds);
        }
        34 => {
            // The host's clock jumps; only forwards counts.
            let before = bob.now;
            bob.now = Timestamp::from_micros([i64::MIN, 0, 1, -1][usize::from(event.other)]);
            bob.who.wake(bob.now);
            bob.now = before;
        }
        35 => {
            bob.who.connection_lost(bob.now);
        }
        36 | 37 => {
            let id = bob.hello();
            prop_assert!(bob.who.fate(&id).is_some() && bob.who.lamport() > watch.last);
            watch.last = bob.who.lamport();
            bob.coordinator(session_info());
            watch.sign = Some(bob.now);
        }
        38 => {
            let stamp = bob.stamp();
            let said = bob.who.report_gap(stamp);
            if let Some(said) = said {
                prop_assert!(bob.who.is_admitted(), "outside nothing is said");
                prop_assert!(!watch.told_in_gap, "CAUSAL_GAP once in a gap");
                prop_assert!(value(&said) > watch.last);
                (watch.last, watch.told_in_gap) = (value(&said), true);
            }
        }
        39 => {
            let listed = summary(&[("i1", "bob", &["a"]), ("i2", "amy", &["./b"])]);
            bob.who.hear_summary(bob.now, &listed);
        }
        40 => {
            let stamp = bob.stamp();
            let beat = bob.who.beat(stamp);
            prop_assert!(value(&beat) > watch.last, "values strictly rise");
            watch.last = value(&beat);
        }
        _ => {
            let mut said = event.clone();
            let kinds = [0, 3, 4, 6, 9, 10, 12, 14, 17, 22];
            said.what = kinds[usize::from(event.what) % kinds.len()];
            said.id = said.id.wrapping_add((event.lamport % 50) as u8);
            let said = message(&said);
            try_to_say(bob, watch, said)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_liars_say_it_keeps_its_own_rules(events in events()) {
        covers!("REC-06", "LAM-12", "LAM-18", "LAM-19", "SES-15", "SES-23", "HEL-16", "REC-05", "REC-24", "PAR-04");
        let mut bob = Lone::joined();
        let mut watch = Watch { last: bob.who.lamport(), sign: Some(bob.now), ..Watch::default() };
        for event in &events {
            let (epoch, lamport, closed) = (bob.who.epoch(), bob.who.lamport(), bob.who.is_closed());
            happen(&mut bob, &mut watch, event)?;
            watch.told_in_gap &= bob.who.has_gap();
            prop_assert!(bob.who.epoch() >= epoch, "epochs never go back");
            prop_assert!(bob.who.lamport() >= lamport, "the clock never goes back");
            prop_assert!(bob.who.lamport() < Watch::ROOM, "and leaves room to count on");
            prop_assert!(!closed || bob.who.is_closed(), "what is over is over");
            if bob.who.is_closed() {
                prop_assert_eq!((bob.who.intents().len(), bob.who.others().count()), (0, 0));
                prop_assert_eq!(bob.who.next_deadline(), None);
            }
            // With an interval of at most 30 s nobody is waited for longer than a minute.
            let usual = bob.who.session_info().is_none_or(|it| it.liveness_policy.is_none());
            if usual && watch.sign.is_some_and(|sign| bob.now > sign.after(&Seconds::whole(60))) {
                prop_assert!(bob.who.is_coordinator_silent(), "a minute without a sign of life");
            }
        }
    }
}

impl Watch {
    /// Above this a coordinator refuses what we say (LAM-14).
    const ROOM: u64 = Watermark::MAX_LAMPORT;
}

/// Eight operations, each on a file of its own.
fn batch(id: &str, file: &str) -> OpBatchCommit {
    let entry = |n: usize| {
        let refs = (StateRef::of("1"), StateRef::of("2"));
        BatchEntry::new(op(&format!("{id}-{n}")), format!("{file}-{n}"), "replace".into(), refs.0, refs.1)
    };
    let id = format!("batch-{id}").parse().unwrap();
    let mut batch = OpBatchCommit::new(id, "all_or_nothing".into(), (0..8).map(entry).collect());
    batch.intent_id = Some(intent(&format!("under-{file}")));
    batch
}

/// One of everything that leaves something behind, under ids that were never used.
fn flood(bob: &mut Lone, n: usize) {
    let id = |kind: &str| format!("{kind}{n:06}");
    let file = id("f");
    let path = [file.as_str()];
    bob.peer("amy", announce(&id("theirs"), &path));
    bob.peer("amy", batch(&id("theirs"), &file));
    bob.somebody(("bob", "bob:1"), None, 1, announce(&id("echo"), &path));
    let mut report = ConflictReport::new(id("c").parse().unwrap(), "scope_overlap".into(), "low".into());
    report.related_intents = Some(vec![intent(&id("echo")), intent(&id("unheard"))]);
    bob.coordinator(report);
    let mut deferred = IntentDeferred::new();
    deferred.deferral_id = Some(id("d").parse().unwrap());
    deferred.principal_id = Some("amy".parse().unwrap());
    bob.coordinator(deferred);
    for code in ["STALE_INTENT", "SCOPE_FROZEN", "INTENT_BACKOFF"] {
        let stamp = bob.stamp();
        let said = bob.who.write(stamp, announce(&format!("{}{code}", id("i")), &path));
        let text = format!("by conflict {} and intent {} (principal amy)", id("c"), id("theirs"));
        bob.refuse(&said, code, &text);
    }
    let stamp = bob.stamp();
    bob.who.write(stamp, OpPropose::new(op(&id("p")), file.clone(), "replace".into()));
    let stamp = bob.stamp();
    let said = bob.who.write(stamp, batch(&id("o"), &file));
    bob.refuse(&said, "STALE_STATE_REF", "moved on");
    let new = (intent(&id("n")), Scope::files(path));
    let (claim, old, amy) = (id("cl").parse().unwrap(), intent(&id("theirs")), "amy".parse().unwrap());
    let stamp = bob.stamp();
    bob.who.write(stamp, IntentClaim::new(claim, old, amy, new.0, "o".into(), new.1));
    bob.somebody(("bob", "bob:1"), None, 1, IntentWithdraw::new(intent(&id("echo"))));
    bob.somebody(("bob", "bob:1"), None, 1, announce(&id("kept"), &path));
    bob.somebody((COORDINATOR, &id("rival")), Some(1), 0, SessionClose::new("x".into(), Integer::new(1)));
}

#[test]
fn a_flood_that_goes_on_leaves_no_more_behind() {
    covers!("PAR-09", "REC-25");
    let mut bob = Lone::joined();
    let size = |bob: &Lone| format!("{:?}", bob.who).len();
    let mut sizes = Vec::new();
    for n in 0..5_000 {
        flood(&mut bob, n);
        if n == 4_499 || n == 4_999 {
            sizes.push(size(&bob));
        }
    }
    // Counters grow by a digit now and then; anything that is kept of each of these would be more.
    assert!(sizes[1] < sizes[0] + 5_000, "{sizes:?}");
    let stamp = bob.stamp();
    let goodbye = bob.who.goodbye(stamp, GoodbyeReason::UserExit, IntentDisposition::Withdraw);
    assert_eq!(bob.echo(&goodbye).first(), Some(&News::Accepted(goodbye.message_id.clone())));
}

#[test]
fn what_is_of_unknown_fate_is_not_forgotten_over_heartbeats() {
    covers!("PAR-12");
    let mut bob = Lone::joined();
    let lost = bob.say(commit("o", None, "a", "1", "2")).unwrap().message_id;
    bob.status();
    bob.pass(31.0);
    for _ in 0..300 {
        let stamp = bob.stamp();
        bob.who.beat(stamp);
        bob.status();
    }
    assert_eq!(bob.withheld(commit("o2", None, "a", "1", "2")), Withheld::FateUnknown(lost));
    // Where everything is of unknown fate, the oldest goes all the same.
    for n in 0..300 {
        let stamp = bob.stamp();
        bob.who.write(stamp, announce(&format!("i{n}"), &["b"]));
    }
    assert!(bob.say(commit("o3", None, "a", "1", "2")).is_ok());
}
