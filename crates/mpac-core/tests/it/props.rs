//! Invariants over random sequences, valid and hostile.

use std::collections::BTreeMap;

use mpac_core::config::OperationAuthorization;
use mpac_core::{Command, Coordinator, Input, Output, ProtocolLevel};
use mpac_wire::names::{AckType, ComplianceProfile, CoordinatorEvent, Decision, ExecutionModel, Role};
use mpac_wire::payload::{
    BatchEntry, ConflictAck, ConflictEscalate, ConflictReport, Goodbye, Heartbeat, IntentAnnounce,
    IntentClaim, IntentDeferred, IntentUpdate, OpBatchCommit, OpCommit, OpPropose, OpReject, OpSupersede,
    Outcome, Resolution,
};
use mpac_wire::{Message, Scope, Seconds, StateRef, Timestamp};
use proptest::prelude::*;

use crate::covers;
use crate::world::{World, commit_payload, config, intent, op, reloaded};

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
    let act = (0_usize..4, 0_u8..32, 0_u8..4, 0_u8..3, 0_u8..4)
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
        24 => {
            let mut report = ConflictReport::new(
                format!("r{}", act.other).parse().unwrap(),
                ["scope_overlap", "semantic_conflict", "x"][usize::from(act.file)].into(),
                "high".into(),
            );
            report.intent_a = Some(intent(&id));
            report.related_intents = (act.other == 2).then(|| vec![intent("i0"), intent("nobody's")]);
            report.based_on_watermark = Some(mpac_wire::Watermark::lamport(1));
            report.into()
        }
        // A completion in pre-commit sessions, a repeat elsewhere.
        25 => {
            let refs = (StateRef::of("one\n"), StateRef::of("two\n"));
            let id = op(&format!("o{}", act.other));
            OpCommit::new(id, file.to_owned(), "replace".into(), refs.0, refs.1).into()
        }
        26 => {
            let scope = match act.file {
                0 => Scope::files((0..300).map(|n| format!("./d//{n}"))),
                1 => Scope::pattern("**/*a*".repeat(60)),
                _ => Scope::pattern("?.py"),
            };
            IntentAnnounce::new(intent(&id), "o".to_owned(), scope).into()
        }
        27 => ConflictAck::new(format!("c{}", act.other).parse().unwrap(), AckType::Disputed).into(),
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
        state.refused_claimers = None; // whom statuses of others could fool (D-131)
        state.next_status_at = None;
    }
    for record in snapshot.participants.iter_mut().flatten() {
        record.is_available = None;
        record.last_seen = None;
        record.last_message_id = None;
    }
    serde_json::to_string(&snapshot).unwrap()
}

/// How many sequences are tried: 200, or as many as `PROPTEST_CASES` says.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

/// Whether a replay from where the log began says the same, byte for byte, although it is cut in the middle: written
/// down, and taken up from there.
fn says_the_same_again(world: &World) -> bool {
    let mut again = world.base.clone();
    world.log.iter().zip(&world.steps).enumerate().all(|(n, (record, step))| {
        if n == world.log.len() / 2 {
            again = reloaded(&again, &world.config);
        }
        again.apply(record).unwrap() == *step
    }) && again == world.coordinator
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Indexes are sound (the world checks after every step), a refused message changes nothing, the Lamport clock
    /// only rises, connections are bound and unbound in turn, what is written down can be taken up from there, and a
    /// replay says the same.
    #[test]
    fn whatever_they_do(acts in acts(), level in 0_usize..3, governed in any::<bool>(), first_ask in any::<bool>(), kept in 0_usize..3) {
        covers!("ENV-14", "D-026", "LAM-11", "LAM-12", "REC-14", "D-037", "REC-29");
        let config = || {
            let mut config = config();
            config.level = ProtocolLevel::ALL[level];
            config.retained_records = [10_000, 4, 0][kept];
            if governed {
                config.compliance_profile = ComplianceProfile::Governance;
                if first_ask {
                    config.execution_model = ExecutionModel::PreCommit;
                    if kept == 1 {
                        config.operation_authorization = OperationAuthorization::Review;
                    }
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
            let mut first = world.steps.len();
            match message(&world, act) {
                Some(message) => { world.say(name, message); }
                None if act.what == 28 && act.id == 0 => {
                    prop_assert!(says_the_same_again(&world));
                    world.restart([0.0, 10.0, 200.0][usize::from(act.file)]);
                    first = 0;
                    world.hello(name);
                }
                None if act.what == 29 => {
                    world.input(Input::Disconnect { conn: world.people[name].0 });
                    world.reconnect(name);
                }
                // In somebody else's name, on one's own connection.
                None if act.what == 30 => {
                    let (stamp, other) = (world.stamp(), NAMES[usize::from(act.other)]);
                    let forged = world.people.get_mut(other).unwrap().1.withdraw(stamp, intent("i0"), None);
                    world.send(name, &forged);
                }
                None if act.what == 31 => {
                    world.input(Input::Command(Command::Status(CoordinatorEvent::Heartbeat)));
                }
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
        prop_assert!(says_the_same_again(&world));
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
