//! Intents: announced, changed, given up, expired, replaced.

use mpac_wire::names::{ErrorCode, OpKind, Role};
use mpac_wire::payload::{Goodbye, IntentAnnounce, IntentUpdate, OpPropose};
use mpac_wire::{Message, Scope, Seconds};

use crate::covers;
use crate::world::{World, error, heard, intent, op};

fn proposal(id: &str, under: &str) -> OpPropose {
    let mut propose = OpPropose::new(op(id), "x".to_owned(), OpKind::Replace);
    propose.intent_id = Some(intent(under));
    propose
}

#[test]
fn an_announce_is_echoed_and_relayed_before_its_conflicts() {
    covers!(
        "INT-03", "INT-09", "INT-10", "CON-01", "CON-05", "D-106", "D-108", "D-132", "SRV-06", "SCO-02",
        "SCO-03"
    );
    let mut world = World::of(&["alice", "bob", "carol"]);
    let first = world.announce("alice", "i1", &["src/a.py", "b.py"]);
    assert_eq!(heard(&first, "alice"), ["INTENT_ANNOUNCE"]);
    let second = world.announce("bob", "i2", &["./src//a.py"]);
    for name in ["alice", "bob"] {
        assert_eq!(heard(&second, name), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
    }
    assert_eq!(heard(&second, "carol"), ["INTENT_ANNOUNCE"]);
    let Message::ConflictReport(report) = &second.last().unwrap().message else { panic!() };
    assert_eq!(report.description.as_deref(), Some("i2 of bob and i1 of alice overlap in src/a.py"));
    assert_eq!(report.intent_a, Some(intent("i2")));
    assert_eq!(report.intent_b, Some(intent("i1")));
    assert_eq!(report.related_intents, Some(vec![intent("i2"), intent("i1")]));
    assert!(report.basis.is_some() && report.based_on_watermark.is_some());
}

#[test]
fn overlaps_with_oneself_are_reported_at_this_level() {
    covers!("D-075", "LCK-12");
    let mut world = World::of(&["alice"]);
    world.announce("alice", "i1", &["a"]);
    let deliveries = world.announce("alice", "i2", &["a"]);
    assert_eq!(heard(&deliveries, "alice"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
}

#[test]
fn holders_of_authority_hear_of_every_conflict() {
    covers!("CON-05", "D-108", "SRV-05");
    let mut world = World::of(&["alice", "bob"]);
    world.join("olga", &[Role::Owner]);
    world.announce("alice", "i1", &["a"]);
    assert_eq!(heard(&world.announce("bob", "i2", &["a"]), "olga"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
}

#[test]
fn a_bad_announce_leaves_nothing_behind() {
    covers!("ENV-14", "SCO-01", "D-003", "D-022", "D-026", "D-064", "INT-04");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["a"]);
    let before = world.coordinator.snapshot().intents;
    let scopeless = IntentAnnounce::new(intent("i2"), "o".to_owned(), Scope::new("file_set".into()));
    let refused = error(&world.say("bob", scopeless), "bob");
    assert_eq!(refused.error_code, ErrorCode::MalformedMessage);
    assert_eq!(refused.description, "payload.scope: kind file_set needs resources");
    let stolen = error(&world.announce("bob", "i1", &["b"]), "bob");
    assert_eq!(stolen.error_code, ErrorCode::MalformedMessage);
    assert!(stolen.description.starts_with("duplicate intent_id"), "{}", stolen.description);
    let extensions = stolen.extensions.unwrap();
    assert_eq!(extensions.get(), r#"{"mpac":{"duplicate":{"field":"intent_id","value":"i1"}}}"#);
    assert_eq!(world.coordinator.snapshot().intents, before);
    assert_eq!(heard(&world.announce("bob", "i2", &["a"]), "bob"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
}

#[test]
fn a_finished_intent_id_may_be_used_again_by_its_owner_alone() {
    covers!("D-024", "INT-04");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["a"]);
    world.withdraw("alice", "i");
    assert_eq!(error(&world.announce("bob", "i", &["a"]), "bob").error_code, ErrorCode::MalformedMessage);
    assert_eq!(heard(&world.announce("alice", "i", &["b"]), "alice"), ["INTENT_ANNOUNCE"]);
    let snapshot = world.coordinator.snapshot();
    assert_eq!(snapshot.archived_intents.unwrap().len(), 1);
    assert_eq!(snapshot.intents.unwrap()[0].scope, Scope::files(["b"]));
    // While something still names the old record, it is not.
    world.say("bob", proposal("p", "i"));
    world.withdraw("alice", "i");
    assert_eq!(error(&world.announce("alice", "i", &["b"]), "alice").error_code, ErrorCode::MalformedMessage);
}

#[test]
fn an_intent_expires_on_the_coordinator_s_clock_to_the_microsecond() {
    covers!("INT-05", "INT-06", "INT-07", "D-011", "D-012", "D-013", "D-072", "D-073", "SRV-09");
    for (ttl, expiry_ms, seconds) in
        [(Some("60"), None, 60.0), (None, Some("5000"), 5.0), (None, None, 300.0)]
    {
        let mut config = crate::world::config();
        config.liveness.unavailability_timeout_sec = Some(Seconds::whole(1000));
        let mut world = World::with(config);
        world.join("alice", &[Role::Contributor]);
        let mut announce = IntentAnnounce::new(intent("i"), "o".to_owned(), Scope::files(["a"]));
        announce.ttl_sec = ttl.map(|text| serde_json::from_str(text).unwrap());
        announce.expiry_ms = expiry_ms.map(|text| serde_json::from_str(text).unwrap());
        world.say("alice", announce);
        let state = |world: &World| format!("{:?}", world.coordinator.view().intent(&intent("i")).unwrap());
        world.wait(seconds - 0.000_001);
        assert_eq!(state(&world), "Active");
        world.wait(0.000_001);
        assert_eq!(state(&world), "Expired");
    }
}

#[test]
fn a_message_after_the_deadline_is_judged_after_it() {
    covers!("D-013", "INT-18", "ERR-09", "D-080");
    let mut world = World::of(&["alice"]);
    let mut announce = IntentAnnounce::new(intent("i"), "o".to_owned(), Scope::files(["a"]));
    announce.ttl_sec = Some(Seconds::ZERO);
    world.say("alice", announce);
    // No timer has fired in between.
    let refused = error(&world.withdraw("alice", "i"), "alice");
    assert_eq!(refused.error_code, ErrorCode::InvalidReference);
    assert_eq!(refused.description, "intent i is Expired");
}

#[test]
fn only_its_owner_changes_an_intent_and_only_what_is_given() {
    covers!("INT-11", "INT-12", "INT-15", "D-080", "INT-24", "SRV-04", "SES-26");
    let mut world = World::of(&["alice", "bob", "carol"]);
    world.announce("alice", "i", &["a"]);
    let mut update = IntentUpdate::new(intent("i"));
    update.objective = Some("other".to_owned());
    assert_eq!(error(&world.say("bob", update.clone()), "bob").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(error(&world.withdraw("bob", "i"), "bob").error_code, ErrorCode::AuthorizationFailed);
    assert_eq!(error(&world.withdraw("bob", "j"), "bob").error_code, ErrorCode::InvalidReference);
    assert_eq!(heard(&world.say("alice", update), "carol"), ["INTENT_UPDATE i other"]);
    let record = world.coordinator.snapshot().intents.unwrap().remove(0);
    assert_eq!((record.objective.as_deref(), record.scope), (Some("other"), Scope::files(["a"])));
    assert_eq!(record.last_message_id.unwrap().as_str(), "m8");
}

#[test]
fn growth_is_checked_and_only_growth() {
    covers!("INT-13", "D-079", "CON-22");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "j", &["b"]);
    world.announce("alice", "i", &["a"]);
    let mut grow = |files: &[&str]| {
        let mut update = IntentUpdate::new(intent("i"));
        update.scope = Some(Scope::files(files.iter().copied()));
        heard(&world.say("alice", update), "bob")
    };
    assert_eq!(grow(&["a", "b"]), ["INTENT_UPDATE i", "CONFLICT_REPORT"]);
    assert_eq!(grow(&["a", "b", "c"]), ["INTENT_UPDATE i"]);
}

#[test]
fn a_name_that_is_claimed_later_may_meet_another_kind() {
    covers!("INT-13", "SCO-11", "D-066");
    let mut world = World::of(&["alice", "bob"]);
    let named = |kind: &str, list: &str, uris: &[&str]| -> Scope {
        let text = serde_json::json!({"kind": kind, list: ["x"], "canonical_uris": uris});
        serde_json::from_value(text).unwrap()
    };
    let announce = |id: &str, scope| IntentAnnounce::new(intent(id), "o".into(), scope);
    world.say("alice", announce("i", named("file_set", "resources", &["u1"])));
    let entities = |uris: &[&str]| named("entity_set", "entities", uris);
    assert_eq!(heard(&world.say("bob", announce("j", entities(&["u2"]))), "alice"), ["INTENT_ANNOUNCE"]);
    let mut claim = |uris: &[&str]| {
        let mut update = IntentUpdate::new(intent("j"));
        update.scope = Some(entities(uris));
        heard(&world.say("bob", update), "alice")
    };
    assert_eq!(claim(&["u2", "u3"]), ["INTENT_UPDATE j"]);
    assert_eq!(claim(&["u3"]), ["INTENT_UPDATE j"], "less than before");
    assert_eq!(claim(&["u1", "u3"]), ["INTENT_UPDATE j", "CONFLICT_REPORT"]);
    assert_eq!(claim(&["u1"]), ["INTENT_UPDATE j"]);
}

#[test]
fn a_ttl_given_later_begins_then() {
    covers!("INT-12");
    let mut world = World::of(&["alice"]);
    world.announce("alice", "i", &["a"]);
    world.wait(50.0);
    let mut update = IntentUpdate::new(intent("i"));
    update.ttl_sec = Some(Seconds::whole(20));
    world.say("alice", update);
    world.wait(19.9);
    assert!(world.coordinator.view().intent(&intent("i")).is_some_and(|state| !state.is_terminal()));
    world.wait(0.1);
    assert!(world.coordinator.view().intent(&intent("i")).is_some_and(|state| state.is_terminal()));
}

#[test]
fn one_intent_replaces_another_of_its_owner() {
    covers!("INT-17", "D-074");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i1", &["a"]);
    let replacing = |id: &str, old: &str| {
        let mut announce = IntentAnnounce::new(intent(id), "o".to_owned(), Scope::files(["a"]));
        announce.supersedes_intent_id = Some(intent(old));
        announce
    };
    assert_eq!(
        error(&world.say("bob", replacing("j", "i1")), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    assert_eq!(error(&world.say("bob", replacing("j", "i9")), "bob").error_code, ErrorCode::InvalidReference);
    assert_eq!(heard(&world.say("alice", replacing("i2", "i1")), "bob"), ["INTENT_ANNOUNCE"]);
    assert_eq!(format!("{:?}", world.coordinator.view().intent(&intent("i1")).unwrap()), "Superseded");
    assert_eq!(
        error(&world.say("alice", replacing("i3", "i1")), "alice").error_code,
        ErrorCode::InvalidReference
    );
}

#[test]
fn proposals_outlive_their_intent_by_the_grace() {
    covers!("CAS-01", "CAS-02", "CAS-09", "D-100", "INT-24");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("alice", "i", &["x"]);
    world.say("bob", proposal("p", "i"));
    world.withdraw("alice", "i");
    let commit = crate::world::commit_payload("p", Some("i"), "x", "", "new\n");
    assert_eq!(error(&world.say("bob", commit), "bob").error_code, ErrorCode::InvalidReference);
    assert_eq!(heard(&world.wait(29.9), "bob"), [""; 0]);
    let deliveries = world.wait(0.1);
    assert_eq!(heard(&deliveries, "bob"), ["OP_REJECT p intent_terminated"]);
    let Message::OpReject(reject) = &deliveries[0].message else { panic!() };
    assert_eq!(reject.refers_to.as_ref().unwrap().as_str(), "m5");
}

#[test]
fn leaving_disposes_of_intents_as_said() {
    covers!(
        "BYE-03", "BYE-04", "BYE-05", "BYE-06", "BYE-07", "BYE-10", "D-054", "D-055", "CAS-05", "CAS-07",
        "HEL-17"
    );
    let leave = |disposition: Option<&str>| {
        let mut world = World::of(&["alice", "bob"]);
        world.announce("alice", "i1", &["x"]);
        world.announce("alice", "i2", &["y"]);
        world.say("bob", proposal("of-bob", "i1"));
        world.say("alice", proposal("of-alice", "i1"));
        let mut goodbye = Goodbye::new("user_exit".into());
        goodbye.intent_disposition = disposition.map(Into::into);
        goodbye.active_intents = Some(vec![intent("i1")]);
        world.say("alice", goodbye);
        world
    };
    let states = |world: &World| {
        let view = world.coordinator.view();
        format!(
            "{:?} {:?} {:?} {:?}",
            view.intent(&intent("i1")).unwrap(),
            view.intent(&intent("i2")).unwrap(),
            view.operation(&op("of-bob")).unwrap(),
            view.operation(&op("of-alice")).unwrap()
        )
    };
    assert_eq!(states(&leave(None)), "Withdrawn Withdrawn Proposed Abandoned");
    let mut world = leave(Some("expire"));
    assert_eq!(states(&world), "Active Active Proposed Abandoned");
    world.wait(299.999_999); // nobody counts as silent who said goodbye
    assert_eq!(&states(&world)[..13], "Active Active");
    world.wait(0.000_001);
    assert_eq!(&states(&world)[..15], "Expired Expired");
    let mut world = leave(Some("transfer"));
    let told = world.coordinator.snapshot().intents.unwrap();
    assert_eq!(told[0].suspended_cause.as_deref(), Some("goodbye_transfer"));
    assert_eq!(states(&world), "Suspended Suspended Frozen Abandoned");
    let back = world.hello("alice");
    assert_eq!(states(&world), "Active Active Proposed Abandoned");
    assert_eq!(
        heard(&back, "alice"),
        ["SESSION_INFO", "INTENT_UPDATE i1 alice does i1", "INTENT_UPDATE i2 alice does i2"]
    );
}

#[test]
fn intents_of_one_owner_are_suspended_and_restored_in_the_order_of_receipt() {
    covers!("BYE-05", "HEL-17");
    let mut world = World::of(&["alice", "bob"]);
    for id in ["z", "a", "m"] {
        world.announce("alice", id, &[id]);
    }
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    let told = heard(&world.say("alice", goodbye), "bob");
    let suspended =
        ["z", "a", "m"].map(|id| format!("INTENT_UPDATE {id} [SUSPENDED: goodbye_transfer] alice does {id}"));
    assert_eq!(told[1..], suspended);
    let back = heard(&world.hello("alice"), "bob");
    let restored = ["z", "a", "m"].map(|id| format!("INTENT_UPDATE {id} alice does {id}"));
    assert_eq!(back, restored);
}

#[test]
fn what_would_be_expensive_or_makes_no_sense_is_refused() {
    covers!("INT-08", "D-073", "SRV-10", "D-134");
    let mut world = World::of(&["alice"]);
    let conn = world.people["alice"].0;
    let announce =
        |scope: &str, rest: &str| format!(r#"{{"intent_id":"i","objective":"o","scope":{scope}{rest}}}"#);
    let files = r#"{"kind":"file_set","resources":["a"]}"#;
    let pattern = format!(r#"{{"kind":"resource_path","pattern":"{}"}}"#, "?".repeat(600));
    let long = format!(r#"{{"kind":"file_set","resources":["{}"]}}"#, "x".repeat(5000));
    for payload in [
        announce(files, r#","ttl_sec":-1"#),
        announce(files, r#","ttl_sec":"x""#),
        announce(files, r#","expiry_ms":[]"#),
        announce(&pattern, ""),
        announce(&long, ""),
    ] {
        let stamp = world.stamp();
        let who = &mut world.people.get_mut("alice").unwrap().1;
        let envelope = who.write(stamp, mpac_wire::payload::IntentWithdraw::new(intent("i")));
        let text = envelope.to_json().replace("INTENT_WITHDRAW", "INTENT_ANNOUNCE");
        let text = text.replace(r#"{"intent_id":"i"}"#, &payload);
        let refused = error(&world.frame(conn, &text), "alice");
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "{}", refused.description);
        assert!(refused.description.len() < 1000);
    }
}

#[test]
fn a_pair_hears_of_the_same_part_once() {
    covers!("CON-22", "INT-13", "D-079");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "j", &["b", "c"]);
    world.announce("alice", "i", &["a"]);
    let mut update = |scope: Scope| {
        let mut update = IntentUpdate::new(intent("i"));
        update.scope = Some(scope);
        heard(&world.say("alice", update), "bob").len() - 1
    };
    let files = |names: &[&str]| Scope::files(names.to_vec());
    assert_eq!(update(files(&["a", "b"])), 1);
    assert_eq!(update(files(&["a"])), 0);
    assert_eq!(update(files(&["a", "b"])), 0, "the conflict about b is still open");
    assert_eq!(update(files(&["a", "b", "c"])), 1);
    let pattern = |text: &str| {
        let mut scope = Scope::new("resource_path".into());
        scope.pattern = Some(text.to_owned());
        scope
    };
    assert_eq!(update(pattern("q/**")), 0);
    assert_eq!(update(pattern("q/*")), 0, "narrower is no growth");
}

#[test]
fn a_parent_nobody_knows_is_kept() {
    covers!("INT-20", "INT-03");
    let mut world = World::of(&["alice", "bob"]);
    let mut announce = IntentAnnounce::new(intent("i"), "o".to_owned(), Scope::files(["a"]));
    announce.parent_intent_id = Some(intent("nobody-s"));
    assert_eq!(heard(&world.say("alice", announce), "bob"), ["INTENT_ANNOUNCE"]);
    let record = world.coordinator.snapshot().intents.unwrap().remove(0);
    assert_eq!(record.parent_intent_id, Some(intent("nobody-s")));
}

#[test]
fn a_duration_is_one_however_it_is_written() {
    covers!("D-009", "D-003", "ENV-18");
    for written in ["60", "60.0", "6e1", "\"60\""] {
        let mut world = World::of(&["alice"]);
        let payload = format!(
            r#"{{"intent_id":"i","objective":"o","scope":{{"kind":"file_set","resources":["a"]}},"ttl_sec":{written}}}"#
        );
        let announce: IntentAnnounce = serde_json::from_str(&payload).unwrap();
        let relayed = world.say("alice", announce);
        assert!(
            relayed[0].text.contains(&format!(r#""ttl_sec":{written}"#)),
            "as it came: {}",
            relayed[0].text
        );
        world.wait(59.999);
        assert!(!world.coordinator.view().intent(&intent("i")).unwrap().is_terminal(), "{written}");
        world.wait(0.001);
        assert!(world.coordinator.view().intent(&intent("i")).unwrap().is_terminal(), "{written}");
    }
}
