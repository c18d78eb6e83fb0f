//! What lies inside a frozen scope.

use mpac_wire::Scope;
use mpac_wire::names::{ErrorCode, OpKind, Role, ScopeKind};
use mpac_wire::payload::{IntentAnnounce, IntentUpdate, OpPropose, OpSupersede};

use crate::covers;
use crate::freeze::{dispute, patient};
use crate::world::{World, commit_payload, error, heard, intent, op};

#[test]
fn who_narrows_a_frozen_intent_down_is_not_held_up_by_another_kind_of_scope() {
    covers!("FRZ-06", "INT-14", "SCO-17");
    let mut world = World::with(patient());
    for name in ["alice", "bob"] {
        world.join(name, &[Role::Contributor]);
    }
    let mut pattern = Scope::new(ScopeKind::ResourcePath);
    pattern.pattern = Some("src/*".to_owned());
    pattern.canonical_uris = Some(vec!["u".to_owned()]);
    world.say("alice", IntentAnnounce::new(intent("i1"), "o".into(), pattern.clone()));
    pattern.canonical_uris = None;
    pattern.pattern = Some("src/x.py".to_owned());
    world.announce("bob", "i2", &["src/x.py"]);
    assert_eq!(world.coordinator.view().conflicts().len(), 1);
    world.wait(301.0);
    let refused = error(&world.announce("bob", "i3", &["src/x.py"]), "bob");
    assert_eq!(refused.error_code, ErrorCode::ScopeFrozen);
    let mut narrower = IntentUpdate::new(intent("i1"));
    narrower.scope = Some(pattern);
    assert_eq!(heard(&world.say("alice", narrower), "alice"), ["INTENT_UPDATE i1"]);
}

#[test]
fn only_the_freezes_that_hold_a_scope_are_named() {
    covers!("FRZ-04", "D-071");
    let mut world = dispute(patient());
    for (who, id) in [("alice", "k1"), ("bob", "k2")] {
        world.announce(who, id, &["far"]);
    }
    world.wait(301.0);
    let conflicts: Vec<String> =
        world.coordinator.view().conflicts().iter().map(ToString::to_string).collect();
    assert_eq!(conflicts.len(), 2);
    let named = |text: &str| conflicts.iter().filter(|id| text.contains(id.as_str())).count();
    let partly = world.announce("alice", "i3", &["far", "free"]);
    let warning = partly.iter().find(|it| it.text.contains("Warning: ")).unwrap();
    assert_eq!(named(&warning.text), 1, "{}", warning.text);
    let entirely = world.announce("alice", "i4", &["x"]);
    assert_eq!(named(&error(&entirely, "alice").description), 1);
    let of_both = world.announce("alice", "i5", &["x", "far"]);
    assert_eq!(
        (error(&of_both, "alice").error_code, named(&error(&of_both, "alice").description)),
        (ErrorCode::ScopeFrozen, 2)
    );
}

#[test]
fn what_looks_like_a_frozen_scope_is_frozen_whatever_names_it_gives_itself() {
    covers!("FRZ-03", "SCO-17", "D-071");
    let mut world = World::with(patient());
    let named = |mut scope: Scope, uri: &str| {
        scope.canonical_uris = Some(vec![uri.to_owned()]);
        scope
    };
    let mut all = Scope::new(ScopeKind::ResourcePath);
    all.pattern = Some("src/*".to_owned());
    for (name, scope) in [("alice", named(all, "mpac:u")), ("bob", Scope::files(["src/x"]))] {
        world.join(name, &[Role::Contributor]);
        world.say(name, IntentAnnounce::new(intent(name), "o".into(), scope));
    }
    world.wait(301.0);
    let frozen = world.conflict();
    world.join("carol", &[Role::Contributor]);
    for (n, files) in [vec!["src/y"], vec!["src/x", "src/y"]].into_iter().enumerate() {
        let scope = named(Scope::files(files), "mpac:v");
        let told = world.say("carol", IntentAnnounce::new(intent(&format!("c{n}")), "o".into(), scope));
        let refused = error(&told, "carol");
        assert_eq!(refused.error_code, ErrorCode::ScopeFrozen);
        assert!(refused.description.contains(frozen.as_str()), "{}", refused.description);
    }
    // What lies elsewhere is not.
    let scope = named(Scope::files(["lib/y"]), "mpac:v");
    let told = world.say("carol", IntentAnnounce::new(intent("c"), "o".into(), scope));
    assert_eq!(heard(&told, "carol"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn a_scope_that_cannot_be_looked_into_freezes_every_target_until_it_is_over() {
    covers!("D-069", "FRZ-02", "FRZ-06", "FRZ-07");
    let mut world = World::with(patient());
    world.join("alice", &[Role::Contributor]);
    world.join("bob", &[Role::Contributor]);
    world.say("alice", IntentAnnounce::new(intent("i1"), "o".into(), Scope::new(ScopeKind::Custom)));
    world.announce("bob", "i2", &["x"]);
    world.wait(301.0);
    let commit = |id: &str, target: &str| commit_payload(id, None, target, "", "n");
    assert_eq!(error(&world.say("bob", commit("o1", "far")), "bob").error_code, ErrorCode::ScopeFrozen);
    // What it would be narrowed down to is not known to lie in it.
    let mut update = IntentUpdate::new(intent("i1"));
    update.scope = Some(Scope::files(["x"]));
    assert_eq!(error(&world.say("alice", update), "alice").error_code, ErrorCode::ScopeFrozen);
    world.withdraw("alice", "i1");
    world.withdraw("bob", "i2");
    assert_eq!(heard(&world.say("bob", commit("o2", "far")), "bob"), ["OP_COMMIT"]);
}

#[test]
fn an_orphaned_proposal_finds_no_other_intent_inside_a_freeze() {
    covers!("FRZ-02", "CAS-03", "D-100");
    let mut world = dispute(patient());
    for name in ["carol", "dave"] {
        world.join(name, &[Role::Contributor]);
    }
    world.announce("carol", "k", &["far"]);
    let mut propose = OpPropose::new(op("p"), "x".to_owned(), OpKind::Replace);
    propose.intent_id = Some(intent("k"));
    world.say("dave", propose);
    world.wait(301.0);
    world.withdraw("carol", "k");
    world.announce("dave", "j", &["far"]);
    let mut again = OpSupersede::new(op("q"), op("p"), "x".to_owned());
    again.intent_id = Some(intent("j"));
    assert_eq!(error(&world.say("dave", again), "dave").error_code, ErrorCode::ScopeFrozen);
    let state = world.coordinator.view().operation(&op("p")).unwrap();
    assert_eq!(format!("{state:?}"), "Proposed", "its grace goes on");
}
