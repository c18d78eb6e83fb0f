//! A coordinator that decides against its own rules, as one participant can prove it (SEC-28). That ours gives nobody a reason is
//! asserted in every world of these tests (`World::deliver`).

use mpac_core::Signed;
use mpac_core::participant::{Contradiction, ContradictionKind, News, Participant};
use mpac_wire::names::{Atomicity, ConflictCategory, Decision, ErrorCode, OpKind, Role};
use mpac_wire::payload::{BatchEntry, FileChange, OpBatchCommit, ProtocolError, Resolution};
use mpac_wire::{Envelope, Message, MessageId, ResolutionId, StateRef};
use proptest::prelude::*;

use crate::covers;
use crate::verified::{OWN, court, join, key};
use crate::world::{Delivery, World, commit_payload, heard, intent, op, signature};

fn found(bob: &mut Participant, envelope: &Envelope, n: u8) -> Vec<Contradiction> {
    let mut envelope = envelope.clone();
    envelope.signature = Some(signature(key(n).fingerprint()));
    let message = envelope.message().unwrap();
    let now = envelope.ts.at();
    let heard = bob.hear_signed(now, &envelope, &message, &Signed::by(key(n).fingerprint()));
    let contradiction = |news| match news {
        News::Contradiction(found) => Some(found),
        _ => None,
    };
    heard.news.into_iter().filter_map(contradiction).collect()
}

fn read(delivery: &Delivery) -> Envelope {
    serde_json::from_str(&delivery.text).unwrap()
}

/// A court in which alice has committed `o-1` to a.py, and the envelope with which her next commit comes, of which the
/// coordinator knows nothing yet.
fn committed() -> World {
    let mut world = court(&[("alice", 1), ("bob", 2)]);
    world.announce("alice", "i-1", &["a.py"]);
    let told = world.say("alice", commit_payload("o-1", Some("i-1"), "a.py", "one\n", "one"));
    assert_eq!(heard(&told, "bob"), ["OP_COMMIT"]);
    world
}

fn next_commit(world: &mut World, id: &str, before: &str, with_content: bool) -> Envelope {
    let mut commit = commit_payload(id, Some("i-1"), "a.py", before, "two");
    if !with_content {
        commit.file_changes = None;
    }
    let stamp = world.stamp();
    world.who("alice").clone().write(stamp, commit)
}

#[test]
fn a_commit_that_is_accepted_although_it_is_stale_is_seen_and_reported() {
    covers!("SEC-28");
    let mut world = committed();
    let mut bob = world.who("bob").clone();
    let fine = next_commit(&mut world, "o-2", "one", true);
    assert_eq!(found(&mut bob.clone(), &fine, 1), []);
    let stale = next_commit(&mut world, "o-2", "one\n", true);
    let seen = found(&mut bob, &stale, 1);
    let kind = ContradictionKind::Stale {
        target: "a.py".to_owned(),
        left: StateRef::of("one"),
        based_on: StateRef::of("one\n"),
    };
    assert_eq!(seen.iter().map(|it| &it.kind).collect::<Vec<_>>(), [&kind]);
    assert_eq!(seen[0].ops, [op("o-1"), op("o-2")]);
    // Both operations are the coordinator's, and everybody whom they concern hears of it.
    world.say("alice", commit_payload("o-2", Some("i-1"), "a.py", "one", "two"));
    let report = bob.contradiction_report("c-bob-1".parse().unwrap(), &seen[0]);
    assert_eq!(report.category, ConflictCategory::AuthorityConflict);
    let told = world.say("bob", report);
    for who in ["alice", "bob"] {
        assert_eq!(heard(&told, who), ["CONFLICT_REPORT"], "{who}");
    }
    assert!(told[0].text.contains("a.py"), "people can read what happened");
}

#[test]
fn nothing_is_held_against_a_coordinator_that_may_have_had_its_reasons() {
    covers!("SEC-28");
    let mut world = committed();
    let stale = next_commit(&mut world, "o-2", "one\n", true);
    // After a break anything may have happened meanwhile.
    let mut bob = world.who("bob").clone();
    let _ = bob.connection_lost(stale.ts.at());
    assert_eq!(found(&mut bob, &stale, 1), []);
    // As after a message that was dropped: it may have been a commit.
    let mut bob = world.who("bob").clone();
    let other = next_commit(&mut world, "o-3", "one", true);
    let now = other.ts.at();
    let _ = bob.hear_signed(now, &other, &other.message().unwrap(), &Signed::Wrong);
    assert_eq!(found(&mut bob, &stale, 1), []);
    // A commit without content leaves a file as it was (OCC-16), or changes what is none: both can go on.
    let mut bob = world.who("bob").clone();
    let bare = next_commit(&mut world, "o-2", "one", false);
    assert_eq!(found(&mut bob, &bare, 1), []);
    for before in ["one", "two"] {
        let next = next_commit(&mut world, "o-4", before, true);
        assert_eq!(found(&mut bob.clone(), &next, 1), [], "{before}");
    }
    let next = next_commit(&mut world, "o-4", "one\n", true);
    assert_eq!(found(&mut bob, &next, 1).len(), 1);
}

#[test]
fn a_conflict_that_is_settled_twice_is_seen() {
    covers!("SEC-28");
    let mut world = court(&[("ada", 3), ("alice", 1), ("bob", 2)]);
    world.announce("alice", "i-1", &["a.py"]);
    world.announce("bob", "i-2", &["a.py"]);
    let conflict = world.conflict();
    let settle = |decision: Decision, id: &str| {
        let mut resolution = Resolution::new(conflict.clone(), decision);
        resolution.resolution_id = Some(id.parse::<ResolutionId>().unwrap());
        resolution.rationale = Some("so".to_owned());
        resolution
    };
    world.say("ada", settle(Decision::Approved, "r-1"));
    let mut bob = world.who("bob").clone();
    let stamp = world.stamp();
    let again = world.who("ada").clone().write(stamp, settle(Decision::Approved, "r-1"));
    assert_eq!(found(&mut bob.clone(), &again, 3), [], "the same, once more");
    let stamp = world.stamp();
    let other = world.who("ada").clone().write(stamp, settle(Decision::Rejected, "r-2"));
    let seen = found(&mut bob, &other, 3);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].kind, ContradictionKind::SettledTwice(conflict.clone()));
    let mut about = seen[0].intents.clone();
    about.sort();
    assert_eq!(about, [intent("i-1"), intent("i-2")]);
}

#[test]
fn an_own_message_that_is_both_refused_and_accepted_is_seen() {
    covers!("SEC-28");
    let mut world = committed();
    let joined = join(&mut world, "carl", 4);
    // Refused, and then passed on.
    let stamp = world.stamp();
    let stale = world.who("carl").write(stamp, commit_payload("o-9", None, "a.py", "one\n", "nine"));
    let answer = world.send("carl", &stale);
    assert_eq!(heard(&answer, "carl"), ["PROTOCOL_ERROR STALE_STATE_REF"]);
    let mut carl = world.who("carl").clone();
    let seen = found(&mut carl, &stale, 4);
    assert_eq!(seen[0].kind, ContradictionKind::RefusedAndAccepted(stale.message_id.clone()));
    assert_eq!(seen[0].ops, [op("o-9")]);
    // Passed on, and then refused.
    let stamp = world.stamp();
    let fine = world.who("carl").write(stamp, commit_payload("o-10", None, "b.py", "old", "ten"));
    assert_eq!(heard(&world.send("carl", &fine), "carl"), ["OP_COMMIT"]);
    let mut error = ProtocolError::new(ErrorCode::StaleStateRef, "no".to_owned());
    error.refers_to = Some(fine.message_id.as_str().to_owned());
    let mut refusal = read(&joined[0]);
    refusal.message_id = MessageId::new("refusal").unwrap();
    let message = Message::from(error);
    (refusal.message_type, refusal.payload) = (message.message_type(), message.to_payload());
    let seen = found(world.who("carl"), &refusal, OWN);
    assert_eq!(seen[0].kind, ContradictionKind::RefusedAndAccepted(fine.message_id.clone()));
}

#[test]
fn where_nobody_signs_nobody_is_watched() {
    let mut world = World::new();
    let mut bob = World::participant("bob", 1, &[Role::Contributor]);
    let stamp = world.stamp();
    bob.hello(stamp, None);
    for delivery in world.join("bob", &[Role::Contributor]) {
        let envelope = read(&delivery);
        bob.hear(&envelope, &delivery.message);
    }
    assert!(bob.is_admitted());
    let stamp = world.stamp();
    let commit = bob.write(stamp, commit_payload("o-1", None, "a.py", "old", "new"));
    let mut error = ProtocolError::new(ErrorCode::StaleStateRef, "no".to_owned());
    error.refers_to = Some(commit.message_id.as_str().to_owned());
    let mut refusal = read(&world.hello("bob")[0]);
    let message = Message::from(error);
    (refusal.message_type, refusal.payload) = (message.message_type(), message.to_payload());
    bob.hear(&refusal, &message);
    let heard = bob.hear_at(commit.ts.at(), &commit, &commit.message().unwrap());
    // Python servers do so (D-132), and it means nothing there.
    assert!(!heard.news.iter().any(|it| matches!(it, News::Contradiction(_))), "{:?}", heard.news);
}

/// One step in a verified session: who commits what, from a state that may be current, with which contents; or a break.
#[derive(Clone, Debug)]
struct Act {
    who: usize,
    what: u8,
    target: usize,
    before: Option<u8>,
    after: u8,
    contents: u8,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let before = proptest::option::weighted(0.3, 0_u8..4);
    let act = (0_usize..3, 0_u8..20, 0_usize..3, before, 0_u8..4, 0_u8..8);
    let act = act.prop_map(|(who, what, target, before, after, contents)| Act {
        who,
        what,
        target,
        before,
        after,
        contents,
    });
    proptest::collection::vec(act, 1..40)
}

const TARGETS: [&str; 3] = ["a.py", "b.py", "./c.py"];
const NAMES: [&str; 3] = ["ada", "alice", "bob"];

fn perform(world: &mut World, n: usize, act: &Act) {
    let name = NAMES[act.who];
    match act.what {
        0 => world.restart(1.0),
        1 => world.reconnect(name),
        _ => {}
    }
    if act.what < 2 {
        NAMES.iter().for_each(|name| drop(world.hello(name)));
        return;
    }
    let target = TARGETS[act.target];
    let text = |n: u8| format!("{n}");
    let current = world.coordinator.view().state_ref(target.trim_start_matches("./")).cloned();
    let before = act.before.map(|n| StateRef::of(&text(n))).or(current);
    let before = before.unwrap_or_else(|| StateRef::of(&text(0)));
    let mut commit = commit_payload(&format!("o-{n}"), None, target, "", &text(act.after));
    commit.state_ref_before = before.clone();
    let change = |content: u8, before: StateRef| FileChange::new(text(content).into(), before);
    let beside = TARGETS[(act.target + 1) % 3];
    let beside_is = world.coordinator.view().state_ref(beside.trim_start_matches("./")).cloned();
    let beside_is = beside_is.unwrap_or_else(|| StateRef::of(&text(0)));
    let changes = [
        (act.contents & 1 == 0).then(|| (target, change(act.after, before))),
        (act.contents & 2 != 0).then(|| (beside, change(act.contents, beside_is))),
    ];
    let changes: Vec<_> = changes.into_iter().flatten().collect();
    commit.file_changes = (!changes.is_empty()).then(|| changes.into_iter().collect());
    match act.what {
        2 => {
            let entry = BatchEntry::new(
                commit.op_id.clone(),
                commit.target.clone(),
                OpKind::Replace,
                commit.state_ref_before.clone(),
                commit.state_ref_after.clone(),
            );
            let atomicity = if act.after == 0 { Atomicity::AllOrNothing } else { Atomicity::BestEffort };
            let id = format!("b-{n}").parse().unwrap();
            let mut batch = OpBatchCommit::new(id, atomicity, vec![entry]);
            batch.file_changes = commit.file_changes.clone();
            world.say(name, batch);
        }
        _ => drop(world.say(name, commit)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What is asserted stands in `World::deliver`: nobody ever has a reason to report our coordinator.
    #[test]
    fn ours_gives_nobody_a_reason(acts in acts()) {
        covers!("SEC-28");
        let mut world = court(&[("ada", 3), ("alice", 1), ("bob", 2)]);
        world.checked = false;
        for (n, act) in acts.iter().enumerate() {
            perform(&mut world, n, act);
        }
    }
}
