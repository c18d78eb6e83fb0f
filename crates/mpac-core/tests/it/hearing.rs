//! A participant that hears anything: it does not panic, counts on, and believes only whom it may.

use mpac_core::participant::{Hearing, Standing};
use mpac_wire::names::{CoordinatorEvent, Decision};
use mpac_wire::payload::{
    ConflictAck, ConflictEscalate, ConflictReport, Goodbye, Heartbeat, IntentClaim, IntentClaimStatus,
    IntentDeferred, IntentUpdate, IntentWithdraw, OpReject, OpSupersede, Outcome, ProtocolError, Resolution,
    SessionClose,
};
use mpac_wire::{Envelope, Integer, IntentId, Message, Scope, Seconds, Watermark};
use proptest::prelude::*;

use crate::covers;
use crate::lone::{COORDINATOR, Lone, announce, commit, session_info, status};
use crate::silence::summary;
use crate::world::{intent, op};

/// One thing that happens: what, and a few small numbers, so that ids and people meet.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) what: u8,
    pub(crate) who: usize,
    pub(crate) id: u8,
    pub(crate) epoch: u64,
    pub(crate) lamport: u64,
    pub(crate) other: u8,
}

pub(crate) const SENDERS: [(&str, &str); 6] = [
    (COORDINATOR, "service:coordinator-s:epoch-1"),
    (COORDINATOR, "service:coordinator-s:other"),
    ("service:standby", "service:standby:1"),
    ("amy", "amy:1"),
    ("cat", "cat:1"),
    ("bob", "bob:1"),
];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let lamport = prop_oneof![0_u64..60, Just(1 << 52), Just(Watermark::MAX_LAMPORT), Just(1 << 60)];
    let event = (0_u8..40, 0_usize..6, 0_u8..4, 0_u64..4, lamport, 0_u8..4)
        .prop_map(|(what, who, id, epoch, lamport, other)| Event { what, who, id, epoch, lamport, other });
    proptest::collection::vec(event, 1..80)
}

/// A message, by the number of its kind.
pub(crate) fn message(event: &Event) -> Message {
    let name = format!("i{}", event.id);
    let file = ["a", "./b", "c"][usize::from(event.other % 3)];
    let conflict = || format!("c{}", event.id).parse().unwrap();
    let who = || ["bob", "amy", "cat", COORDINATOR][usize::from(event.other)].parse().unwrap();
    match event.what {
        0..=2 => {
            let mut message = announce(&name, &[file]);
            message.ttl_sec = (event.other == 3).then(|| Seconds::whole(10));
            message.supersedes_intent_id = (event.other == 2).then(|| intent("i0"));
            message.into()
        }
        3 => {
            let mut update = IntentUpdate::new(intent(&name));
            update.scope = (event.other > 1).then(|| Scope::files([file]));
            update.objective = (event.other == 0).then(|| "[SUSPENDED: x] o".to_owned());
            update.into()
        }
        4 | 5 => IntentWithdraw::new(intent(&name)).into(),
        6 | 7 => commit(&format!("o{}", event.id), Some(&name), file, "1", "2").into(),
        8 => OpReject::new(op(&format!("o{}", event.id)), "policy_violation".into()).into(),
        9 => OpSupersede::new(op("o3"), op(&format!("o{}", event.id)), file.to_owned()).into(),
        10 | 11 => {
            let category = ["scope_overlap", "x"][usize::from(event.other % 2)];
            let mut report = ConflictReport::new(conflict(), category.into(), "low".into());
            report.related_intents = Some(vec![intent(&name), intent("i0")]);
            report.principal_a = Some(who());
            report.intent_a = Some(intent(&name));
            report.into()
        }
        12 => ConflictAck::new(conflict(), "seen".into()).into(),
        13 => ConflictEscalate::new(conflict(), who(), "r".into()).into(),
        14 | 15 => {
            let mut resolution = Resolution::new(conflict(), Decision::Rejected);
            let mut outcome = Outcome::new();
            outcome.rejected = Some(vec![name, format!("o{}", event.other)]);
            outcome.rollback = (event.other > 0).then(|| format!("compensation:{}", "r".repeat(250)));
            resolution.outcome = Some(outcome);
            resolution.into()
        }
        16 => {
            let (decision, of) = (["approved", "rejected"][usize::from(event.other % 2)], intent(&name));
            IntentClaimStatus::new(format!("cl{}", event.id).parse().unwrap(), of, decision.into()).into()
        }
        17 => {
            let new = intent(&format!("n{}", event.other));
            let (id, scope) = (format!("cl{}", event.id).parse().unwrap(), Scope::files([file]));
            IntentClaim::new(id, intent(&name), who(), new, "o".into(), scope).into()
        }
        18 => {
            let mut deferred = IntentDeferred::new();
            deferred.deferral_id = Some(format!("d{}", event.id).parse().unwrap());
            deferred.principal_id = (event.other > 0).then(who);
            deferred.status = (event.other == 3).then(|| "resolved".into());
            deferred.into()
        }
        19..=21 => {
            let codes = ["STALE_INTENT", "SCOPE_FROZEN", "STALE_STATE_REF", "PARTICIPANT_UNAVAILABLE"];
            let text = "intent i1 (principal amy) and conflict c1".to_owned();
            let mut error = ProtocolError::new(codes[usize::from(event.other)].into(), text);
            error.refers_to = Some(format!("m{}", event.lamport % 20));
            error.into()
        }
        22 => {
            let mut goodbye = Goodbye::new("user_exit".into());
            goodbye.intent_disposition =
                ["withdraw", "transfer", "expire"].get(usize::from(event.other)).map(|it| (*it).into());
            goodbye.into()
        }
        23..=25 => session_info().into(),
        26..=29 => {
            let kinds = [
                CoordinatorEvent::Heartbeat,
                CoordinatorEvent::Recovered,
                CoordinatorEvent::Assumed,
                CoordinatorEvent::Handover,
            ];
            let mut status = status(kinds[usize::from(event.other)].clone(), SENDERS[event.who].0);
            status.successor_coordinator_id = Some("service:standby".parse().unwrap());
            status.next_coordinator_epoch = Some(Integer::new(event.epoch.saturating_add(1)));
            status.into()
        }
        30 => {
            // Rare, for nothing happens after it.
            if event.id == 0 && event.other == 0 {
                SessionClose::new("completed".into(), Integer::new(1)).into()
            } else {
                Heartbeat::new("idle".into()).into()
            }
        }
        _ => Heartbeat::new("idle".into()).into(),
    }
}

/// What is believed of the session.
type View = (Vec<(IntentId, Scope, Standing)>, String);

fn view(bob: &Lone) -> View {
    let own = bob.who.intents().iter();
    let own = own.map(|(id, it)| (id.clone(), it.announced.scope.clone(), it.standing)).collect();
    let others: Vec<_> = bob.who.others().collect();
    let conflicts: Vec<_> = bob.who.conflicts().collect();
    (own, format!("{others:?} {conflicts:?}"))
}

pub(crate) fn value(envelope: &Envelope) -> u64 {
    envelope.watermark.as_ref().unwrap().lamport_value().unwrap().unwrap()
}

/// Does what the event says; the envelope that was written, if one was.
fn happen(bob: &mut Lone, event: &Event) -> Option<Envelope> {
    match event.what {
        31 => {
            bob.pass(f64::from(event.id) * 25.0);
            None
        }
        32 => {
            bob.who.connection_lost(bob.now);
            None
        }
        33 | 34 => {
            let stamp = bob.stamp();
            Some(bob.who.hello(stamp, None))
        }
        35..=38 => {
            let stamp = bob.stamp();
            let mut said = event.clone();
            said.what = [0, 4, 6, 12, 14, 17, 3, 10][usize::from(event.id * 2 + event.other % 2)];
            let said = message(&said);
            // What must not be sent may be written all the same, by a host that insists.
            if event.lamport.is_multiple_of(2) {
                bob.who.try_write(stamp, said).ok()
            } else {
                Some(bob.who.write(stamp, said))
            }
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_it_hears_it_counts_on_and_believes_only_whom_it_may(events in events()) {
        covers!("LAM-12", "LAM-08", "PAR-01", "PAR-09", "REC-24", "PAR-26");
        let mut bob = Lone::joined();
        let (mut last, mut written) = (0, Vec::<Envelope>::new());
        for event in &events {
            let (seen, epoch, lamport) = (view(&bob), bob.who.epoch(), bob.who.lamport());
            if let Some(envelope) = happen(&mut bob, event) {
                prop_assert!(value(&envelope) > last, "values strictly rise");
                last = value(&envelope);
                written.push(envelope);
            }
            prop_assert_eq!(&view(&bob), &seen, "writing and waiting change no view");
            if event.what == 39 {
                match event.other {
                    0 => {
                        bob.who.hear_summary(bob.now, &summary(&[("i1", "bob", &["a"]), ("i2", "amy", &["b"])]));
                    }
                    _ => if let Some(envelope) = written.get(usize::from(event.id) * 7) {
                        bob.echo(&envelope.clone());
                    }
                }
            } else if !(31..39).contains(&event.what) {
                let carried = (event.epoch > 0).then_some(event.epoch);
                let heard = bob.somebody(SENDERS[event.who], carried, event.lamport, message(event));
                if heard.hearing == Hearing::Fresh {
                    prop_assert!(bob.who.lamport() > lamport);
                } else {
                    prop_assert_eq!(&view(&bob), &seen, "dropped without effect");
                    prop_assert_eq!(bob.who.lamport(), lamport);
                }
            }
            prop_assert!(bob.who.epoch() >= epoch, "epochs never go back");
            if let Some(at) = bob.who.next_deadline() {
                let mut later = bob.who.clone();
                later.wake(at.max(bob.now));
                prop_assert!(later.next_deadline().is_none_or(|next| next > at), "a deadline that does not go away");
            }
        }
    }
}

#[test]
fn memory_has_limits() {
    let mut bob = Lone::joined();
    for n in 0..5_000 {
        bob.peer("amy", announce(&format!("t{n}"), &["a"]));
        let mut report = ConflictReport::new(format!("c{n}").parse().unwrap(), "x".into(), "low".into());
        report.principal_b = Some("bob".parse().unwrap());
        bob.coordinator(report);
    }
    assert_eq!((bob.who.others().count(), bob.who.conflicts().count()), (4_096, 1_024));
}
