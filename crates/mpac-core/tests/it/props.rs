//! Invariants over random sequences, valid and hostile.

use std::collections::BTreeMap;

use mpac_core::{Coordinator, IdSource, Input, Output, ProtocolLevel};
use mpac_wire::names::{AckType, ComplianceProfile, Decision, ExecutionModel, Role};
use mpac_wire::payload::{
    BatchEntry, ConflictAck, ConflictEscalate, Goodbye, Heartbeat, IntentAnnounce, IntentClaim,
    IntentDeferred, IntentUpdate, OpBatchCommit, OpPropose, OpReject, OpSupersede, Outcome, Resolution,
};
use mpac_wire::{Message, Scope, Seconds, StateRef, Timestamp};
use proptest::prelude::*;

use crate::covers;
use crate::world::{START, World, commit_payload, config, intent, op};

const NAMES: [&str; 4] = ["alice", "bob", "olga", "ada"];

/// One step: who does what with which of a few ids, so that they meet.
#[derive(Clone, Debug)]
struct Act {
    who: usize,
    what: u8,
    id: u8,
    file: u8,
    other: u8,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0_usize..4, 0_u8..24, 0_u8..4, 0_u8..3, 0_u8..4)
        .prop_map(|(who, what, id, file, other)| Act { who, what, id, file, other });
    proptest::collection::vec(act, 1..60)
}

fn message(world: &World, act: &Act) -> Option<Message> {
    let id = format!("i{}", act.id);
    let file = ["a.py", "./b.py", "c/"][usize::from(act.file)];
    let conflicts = world.coordinator.view().conflicts();
    let conflict = conflicts.get(usize::from(act.other)).cloned();
    Some(match act.what {
        0..=2 => {
            let mut announce = IntentAnnounce::new(intent(&id), "o".to_owned(), Scope::files([file]));
            announce.ttl_sec = (act.other == 1).then(|| Seconds::whole(20));
            announce.supersedes_intent_id = (act.other == 2).then(|| intent("i0"));
            announce.into()
        }
        3 => {
            let mut update = IntentUpdate::new(intent(&id));
            update.scope = Some(Scope::files([file, "a.py"]));
            update.into()
        }
        4 | 5 => mpac_wire::payload::IntentWithdraw::new(intent(&id)).into(),
        6 => {
            let mut propose =
                OpPropose::new(op(&format!("o{}", act.other)), file.to_owned(), "replace".into());
            propose.intent_id = Some(intent(&id));
            propose.into()
        }
        7..=9 => {
            let path = mpac_core::scope::normalize(file);
            let current =
                world.files.get(&path).map_or(if path == "a.py" { "one\n" } else { "" }, String::as_str);
            let before = if act.id == 3 { "stale" } else { current };
            let content = format!("{current}{}", act.other);
            commit_payload(&format!("o{}{}", act.id, act.other), Some(&id), file, before, &content).into()
        }
        10 => ConflictAck::new(conflict?, AckType::Seen).into(),
        11 => {
            let to = NAMES[usize::from(act.file)].parse().unwrap();
            ConflictEscalate::new(conflict?, to, "r".to_owned()).into()
        }
        12 => {
            let mut resolution = Resolution::new(
                conflict?,
                Decision::from(["approved", "dismissed", "x"][usize::from(act.file)]),
            );
            let mut outcome = Outcome::new();
            outcome.rejected = Some(vec![id]);
            outcome.rollback = (act.other == 1).then(|| "not_required".to_owned());
            resolution.outcome = (act.id != 3).then_some(outcome);
            resolution.into()
        }
        13 => {
            let mut goodbye = Goodbye::new("user_exit".into());
            goodbye.intent_disposition =
                [None, Some("transfer".into()), Some("expire".into())][usize::from(act.file)].clone();
            goodbye.into()
        }
        18 => {
            let mut deferred = IntentDeferred::new();
            deferred.deferral_id = Some(format!("d{}", act.other).parse().unwrap());
            deferred.scope = Some(Scope::files([file]));
            deferred.observed_intent_ids = (act.id != 3).then(|| vec![id]);
            deferred.into()
        }
        19 => {
            let owner = NAMES[usize::from(act.other)].parse().unwrap();
            let scope = Scope::files([file]);
            let (claim, new) = (format!("c{}", act.other), intent(&format!("n{}", act.other)));
            IntentClaim::new(claim.parse().unwrap(), intent(&id), owner, new, "o".to_owned(), scope).into()
        }
        20 => {
            let decision =
                [Decision::Approved, Decision::Rejected, Decision::Merged][usize::from(act.file)].clone();
            Resolution::new(format!("c{}", act.other).parse().unwrap(), decision).into()
        }
        21 => {
            let entry = |n: u8, file: &str| {
                let refs = (StateRef::of("one\n"), StateRef::of("two\n"));
                BatchEntry::new(op(&format!("e{n}")), file.to_owned(), "replace".into(), refs.0, refs.1)
            };
            let atomicity = ["all_or_nothing", "best_effort", "x"][usize::from(act.file)].into();
            let entries = vec![entry(act.id, file), entry(act.other, "a.py")];
            OpBatchCommit::new(format!("b{}", act.id).parse().unwrap(), atomicity, entries).into()
        }
        22 => {
            let (new, old) = (op(&format!("s{}", act.id)), op(&format!("o{}{}", act.id, act.other)));
            let mut supersede = OpSupersede::new(new, old, file.to_owned());
            supersede.state_ref_after = Some(StateRef::of("five\n"));
            supersede.intent_id = Some(intent(&id));
            supersede.into()
        }
        23 => OpReject::new(op(&format!("o{}", act.other)), "policy_violation".into()).into(),
        14 => Heartbeat::new(["idle", "working", "offline"][usize::from(act.file)].into()).into(),
        _ => return None,
    })
}

/// Everything but clock, frontier and liveness, as text.
fn essence(coordinator: &Coordinator) -> String {
    let mut snapshot = coordinator.snapshot();
    snapshot.lamport_clock = 0.into();
    snapshot.anti_replay = None;
    snapshot.captured_at = Timestamp::from_micros(0);
    if let Some(state) = &mut snapshot.coordinator_state {
        (state.seq, state.id_counter) = (0.into(), 0.into());
        state.connections = None; // how often it was refused
        state.next_status_at = None;
    }
    for record in snapshot.participants.iter_mut().flatten() {
        record.is_available = None;
        record.last_seen = None;
        record.last_message_id = None;
    }
    serde_json::to_string(&snapshot).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Indexes are sound (the world checks after every step), a refused message changes nothing, the Lamport clock
    /// only rises, connections are bound and unbound in turn, and a replay from the start says the same.
    #[test]
    fn whatever_they_do(acts in acts(), level in 0_usize..3, governed in any::<bool>(), first_ask in any::<bool>(), kept in 0_usize..3) {
        covers!("ENV-14", "D-026", "LAM-12", "ERR-06");
        let config = || {
            let mut config = config();
            config.level = ProtocolLevel::ALL[level];
            config.retained_records = [10_000, 4, 0][kept];
            if governed {
                config.compliance_profile = ComplianceProfile::Governance;
                if first_ask {
                    config.execution_model = ExecutionModel::PreCommit;
                }
                config.governance.intent_expiry_grace_sec = Some(Seconds::whole(10));
            }
            config
        };
        let mut world = World::with(config());
        for (name, role) in NAMES.iter().zip([Role::Contributor, Role::Contributor, Role::Owner, Role::Arbiter]) {
            world.join(name, &[role]);
        }
        let mut last_lamport = 0;
        for act in &acts {
            let name = NAMES[act.who];
            let before = essence(&world.coordinator);
            let first = world.steps.len();
            match message(&world, act) {
                Some(message) => { world.say(name, message); }
                None if act.what == 15 => { world.hello(name); }
                None if act.what == 16 => { world.wait([5.0, 15.0, 40.0, 310.0][usize::from(act.id)]); }
                None => { world.frame(world.people[name].0, r#"{"message_id":"m","#); }
            }
            for step in &world.steps[first..] {
                for output in &step.outputs {
                    if let Output::Send { envelope, .. } = output {
                        let value = envelope.watermark.as_ref().unwrap().lamport_value().unwrap().unwrap();
                        prop_assert!(value > last_lamport);
                        last_lamport = value;
                    }
                }
            }
            // One message that was refused and brought nobody back: nothing has changed.
            if let [step] = &world.steps[first..]
                && let [Output::Send { envelope, .. }] = step.outputs.as_slice()
                && envelope.message_type == mpac_wire::MessageType::ProtocolError
                && !envelope.payload.get().contains("PARTICIPANT_UNAVAILABLE")
            {
                prop_assert_eq!(essence(&world.coordinator), before);
            }
        }
        let start = Timestamp::parse(START).unwrap();
        let mut again = Coordinator::new(config(), IdSource::new(7), start).unwrap();
        for (record, step) in world.log.iter().zip(&world.steps) {
            prop_assert_eq!(&again.apply(record).unwrap(), step);
        }
        prop_assert_eq!(again, world.coordinator);
    }

    /// Frames that are cut, spliced or aimed wrongly are answered and change nothing but what a message may change.
    #[test]
    fn whatever_arrives(text in "\\PC{0,200}", cut in 0_usize..400) {
        let mut world = World::of(&["alice"]);
        let conn = world.people["alice"].0;
        let before = essence(&world.coordinator);
        let good = {
            let stamp = world.stamp();
            let who = &mut world.people.get_mut("alice").unwrap().1;
            who.write(stamp, Heartbeat::new("idle".into())).to_json()
        };
        let mut spliced: String = good.chars().take(cut).collect();
        spliced.push_str(&text);
        for frame in [text.as_str(), spliced.as_str()] {
            world.input(Input::Frame { from: mpac_core::Peer::unproven(conn), text: frame.into() });
        }
        prop_assert_eq!(essence(&world.coordinator), before);
        let files: BTreeMap<String, String> = BTreeMap::new();
        prop_assert_eq!(&world.files, &files);
    }
}
