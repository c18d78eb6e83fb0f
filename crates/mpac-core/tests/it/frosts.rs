//! How much a participant leaves alone when it is told that something is frozen.

use mpac_core::participant::Withheld;
use mpac_wire::payload::operation::FileChange;
use mpac_wire::payload::{BatchEntry, FileChanges, IntentUpdate, OpBatchCommit, OpSupersede};
use mpac_wire::{Message, Scope, StateRef};

use crate::covers;
use crate::lone::{Lone, announce, commit};
use crate::world::{intent, op};

fn rescoped(id: &str, files: &[&str]) -> IntentUpdate {
    let mut update = IntentUpdate::new(intent(id));
    update.scope = Some(Scope::files(files.iter().copied()));
    update
}

#[test]
fn an_update_that_is_refused_freezes_what_it_would_have_added() {
    covers!("PAR-23", "FRZ-06", "FRZ-07");
    let mut bob = Lone::working();
    let wider = bob.say(rescoped("i", &["./a", "b"])).unwrap();
    bob.refuse(&wider, "SCOPE_FROZEN", "this scope is frozen until these conflicts are resolved: [c1]");
    assert!(bob.say(commit("o1", Some("i"), "a", "1", "2")).is_ok(), "what is ours already is not");
    assert_eq!(bob.withheld(commit("o2", Some("i"), "b", "1", "2")), Withheld::Frozen("b".into()));
    assert!(matches!(bob.withheld(rescoped("i", &["a", "b"])), Withheld::Frozen(_)));
    assert!(bob.say(rescoped("i", &["a", "b", "c"])).is_ok(), "not all that it adds is frozen");
}

#[test]
fn an_update_that_adds_nothing_is_possible_whatever_is_frozen() {
    covers!("FRZ-06", "PAR-23");
    let mut bob = Lone::joined();
    bob.accepted(announce("i", &["a", "b"]));
    for (id, target) in [("o1", "a"), ("o2", "b")] {
        let refused = bob.say(commit(id, Some("i"), target, "1", "2")).unwrap();
        bob.refuse(&refused, "SCOPE_FROZEN", &format!("{target} is frozen until conflict c1 is resolved"));
    }
    bob.accepted(rescoped("i", &["a"]));
    assert!(matches!(bob.withheld(rescoped("i", &["a", "b"])), Withheld::Frozen(_)), "not any more");
}

fn changes() -> FileChanges {
    let change = || FileChange::new("2".into(), StateRef::of("1"));
    ["a", "b"].into_iter().map(|path| (path, change())).collect()
}

/// A commit to `a` that brings `b` as well.
fn both(id: &str) -> Message {
    let mut both = commit(id, Some("i"), "a", "1", "2");
    both.file_changes = Some(changes());
    both.into()
}

/// The same in place of an operation.
fn both_instead(id: &str) -> Message {
    let mut both = OpSupersede::new(op(id), op("o0"), "a".to_owned());
    both.intent_id = Some(intent("i"));
    both.state_ref_after = Some(StateRef::of("2"));
    both.file_changes = Some(changes());
    both.into()
}

/// Bob, who has an intent on `a` and has committed `o0` there.
fn committed() -> Lone {
    let mut bob = Lone::working();
    bob.accepted(commit("o0", Some("i"), "a", "0", "1"));
    bob
}

#[test]
fn a_file_that_only_came_along_is_frozen_or_stale_and_the_target_is_not() {
    covers!("PAR-23", "FRZ-02", "OCC-13");
    for both in [both, both_instead] {
        let mut bob = committed();
        let refused = bob.say(both("o1")).unwrap();
        bob.refuse(
            &refused,
            "STALE_STATE_REF",
            "b is at sha256:2, not at sha256:1: read it again and build on that",
        );
        assert_eq!(bob.withheld(both("o2")), Withheld::ReadAgain("b".into()));
        bob.accepted(commit("o3", Some("i"), "a", "1", "2"));
        bob.who.note_state("b", StateRef::of("1"));

        let refused = bob.say(both("o4")).unwrap();
        bob.refuse(&refused, "SCOPE_FROZEN", "b is frozen until conflict c1 is resolved");
        assert_eq!(bob.withheld(both("o5")), Withheld::Frozen("b".into()));
        assert_eq!(bob.withheld(commit("o6", Some("i"), "b", "1", "2")), Withheld::Frozen("b".into()));
        bob.accepted(commit("o7", Some("i"), "a", "1", "2"));

        // A text that names neither is about the target.
        let mut bob = committed();
        let refused = bob.say(both("o1")).unwrap();
        bob.refuse(&refused, "SCOPE_FROZEN", "frozen by conflict c1");
        assert_eq!(bob.withheld(commit("o2", Some("i"), "a", "1", "2")), Withheld::Frozen("a".into()));
        bob.accepted(commit("o3", Some("i"), "b", "1", "2"));
    }
}

#[test]
fn of_a_batch_the_target_that_is_named_is_frozen_and_none_that_only_looks_like_it() {
    covers!("PAR-23", "FRZ-07");
    let targets = ["a.rs", "data.rs", "src/a.rs", "a.rs.bak", "a"];
    let entry = |(at, target): (usize, &&str)| {
        let refs = (StateRef::of("1"), StateRef::of("2"));
        BatchEntry::new(op(&format!("o{at}")), format!("./{target}"), "replace".into(), refs.0, refs.1)
    };
    // As this project's coordinator says it, and as Python servers do.
    let texts = [
        |it: &str| format!("{it} is frozen until conflict c1 is resolved"),
        |it: &str| format!("Target './{it}' overlaps with frozen conflict c1; batch blocked"),
        |it: &str| format!("conflict c1 has frozen {it}."),
    ];
    for text in texts {
        for named in targets {
            let mut bob = Lone::joined();
            let entries = targets.iter().enumerate().map(entry).collect();
            let batch = OpBatchCommit::new("n".parse().unwrap(), "all_or_nothing".into(), entries);
            let refused = bob.say(batch).unwrap();
            bob.refuse(&refused, "SCOPE_FROZEN", &text(named));
            let held: Vec<&str> = targets
                .into_iter()
                .filter(|target| {
                    let message = commit(&format!("p-{target}"), None, target, "1", "2").into();
                    bob.who.may_send(&message) == Err(Withheld::Frozen((*target).to_owned()))
                })
                .collect();
            assert_eq!(held, [named], "{}", text(named));
        }
    }
}
