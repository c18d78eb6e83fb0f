//! What the higher protocol levels add: deferrals at 0.1.14, the race lock at 0.1.15.

use mpac_core::participant::Introduction;
use mpac_core::{Participant, ProtocolLevel};
use mpac_wire::names::{ErrorCode, Role};
use mpac_wire::payload::{Goodbye, IntentDeferred};
use mpac_wire::{Message, Scope, Seconds};

use crate::covers;
use crate::world::{Delivery, World, error, heard, intent};

fn at(level: ProtocolLevel) -> World {
    let mut config = crate::world::config();
    config.level = level;
    let mut world = World::with(config);
    for name in ["alice", "bob", "carol"] {
        world.join(name, &[Role::Contributor]);
    }
    world
}

fn deferred(id: &str, intents: &[&str], principals: &[&str]) -> IntentDeferred {
    let mut message = IntentDeferred::new();
    message.deferral_id = Some(id.parse().unwrap());
    message.scope = Some(Scope::files(["x"]));
    message.observed_intent_ids =
        (!intents.is_empty()).then(|| intents.iter().map(|id| (*id).to_owned()).collect());
    message.observed_principals =
        (!principals.is_empty()).then(|| principals.iter().map(|id| id.parse().unwrap()).collect());
    message
}

/// The deferral messages among these, as Alice sees them: id, and how it ended or `active`.
fn deferrals(deliveries: &[Delivery]) -> Vec<String> {
    let to_alice = deliveries.iter().filter(|it| it.to == "alice");
    let lines = to_alice.filter_map(|it| match &it.message {
        Message::IntentDeferred(message) => {
            let id = message.deferral_id.as_ref().unwrap();
            Some(match &message.status {
                Some(status) => format!("{id} {status} {}", message.reason.as_ref().unwrap()),
                None => format!("{id} active {}", message.category.as_ref().unwrap()),
            })
        }
        _ => None,
    });
    lines.collect()
}

#[test]
fn a_deferral_is_told_and_ends_with_what_it_waited_for() {
    covers!("DEF-02", "DEF-03", "DEF-04", "DEF-05", "DEF-06", "DEF-11", "D-087", "D-088", "D-002");
    let mut world = at(ProtocolLevel::V0_1_14);
    world.announce("alice", "i1", &["x"]);
    world.announce("alice", "i2", &["y"]);
    let mut odd = deferred("d1", &["i1", "i2"], &[]);
    odd.category = Some("z".to_owned());
    let told = world.say("bob", odd);
    assert_eq!(deferrals(&told), ["d1 active z"]);
    assert!(
        told[0].text.contains(r#""principal_id":"bob""#)
            && told[0].text.contains(r#""observed_principals":[]"#)
    );
    assert!(told[0].text.contains(r#""expires_at":"2026-01-02T03:05:05.000000Z""#), "{}", told[0].text);
    assert!(told[0].text.contains(r#""version":"0.1.14""#));
    assert_eq!(deferrals(&world.withdraw("alice", "i1")), [""; 0]);
    assert_eq!(deferrals(&world.withdraw("alice", "i2")), ["d1 resolved observed_intents_terminated"]);
    // Waiting for a principal: the first of its intents to end is enough, whatever ends it.
    world.announce("carol", "i3", &["x"]);
    world.announce("carol", "i4", &["y"]);
    world.say("bob", deferred("d2", &["i3", "i4"], &["carol"]));
    world.say("bob", deferred("d3", &["carol"], &[]));
    let left = world.say("carol", Goodbye::new("user_exit".into()));
    assert_eq!(
        deferrals(&left),
        ["d2 resolved observed_intents_terminated", "d3 resolved observed_intents_terminated"]
    );
    // Announcing after all.
    world.announce("alice", "i5", &["x"]);
    world.say("bob", deferred("d4", &["i5"], &[]));
    let announced = world.announce("bob", "i6", &["x"]);
    assert_eq!(heard(&announced, "bob"), ["INTENT_ANNOUNCE", "INTENT_DEFERRED", "CONFLICT_REPORT"]);
    assert_eq!(deferrals(&announced), ["d4 resolved principal_announced"]);
}

#[test]
fn a_deferral_that_waits_for_nothing_is_over_at_once_or_by_its_time() {
    covers!("DEF-08", "DEF-09", "DEF-12", "D-087");
    let mut world = at(ProtocolLevel::V0_1_14);
    assert_eq!(
        deferrals(&world.say("bob", deferred("d1", &["gone"], &[]))),
        ["d1 active queue", "d1 resolved observed_intents_terminated"]
    );
    assert_eq!(deferrals(&world.say("bob", deferred("d2", &[], &["carol"]))).len(), 2);
    let mut short = deferred("d3", &[], &[]);
    short.ttl_sec = Some(Seconds::whole(10));
    assert_eq!(deferrals(&world.say("bob", short)), ["d3 active queue"]);
    assert_eq!(deferrals(&world.wait(9.9)), [""; 0]);
    assert_eq!(deferrals(&world.wait(0.1)), ["d3 expired ttl"]);
}

#[test]
fn a_deferral_belongs_to_whoever_made_it() {
    covers!("DEF-10", "DEF-14", "D-003", "D-088");
    let mut world = at(ProtocolLevel::V0_1_14);
    world.announce("alice", "i", &["x"]);
    world.say("bob", deferred("d", &["i"], &[]));
    assert_eq!(
        error(&world.say("carol", deferred("d", &["i"], &[])), "carol").error_code,
        ErrorCode::MalformedMessage
    );
    let mut ending = deferred("d", &["i"], &[]);
    ending.status = Some("resolved".into());
    assert_eq!(error(&world.say("bob", ending), "bob").error_code, ErrorCode::AuthorizationFailed);
    let mut scopeless = deferred("e", &["i"], &[]);
    scopeless.scope = None;
    assert_eq!(error(&world.say("bob", scopeless), "bob").error_code, ErrorCode::MalformedMessage);
    let mut nameless = deferred("d", &["i"], &[]);
    nameless.deferral_id = None;
    assert_eq!(deferrals(&world.say("bob", nameless)).len(), 1);
    assert_eq!(deferrals(&world.withdraw("alice", "i")).len(), 2);
}

#[test]
fn a_deferral_stands_in_nobody_s_way() {
    covers!("DEF-03");
    for level in [ProtocolLevel::V0_1_14, ProtocolLevel::V0_1_15] {
        let mut world = at(level);
        world.announce("alice", "i", &["y"]);
        assert_eq!(deferrals(&world.say("bob", deferred("d", &["i"], &[]))), ["d active queue"]); // for x
        assert_eq!(heard(&world.announce("carol", "j", &["x"]), "bob"), ["INTENT_ANNOUNCE"]);
        let announced = world.announce("bob", "k", &["z"]);
        assert_eq!(heard(&announced, "bob"), ["INTENT_ANNOUNCE", "INTENT_DEFERRED"]);
        assert_eq!(world.coordinator.view().conflicts(), []);
    }
}

#[test]
fn deferrals_are_bounded_in_number_and_in_what_they_wait_for() {
    covers!("SES-27", "D-134", "SRV-10");
    let mut config = crate::world::config();
    config.level = ProtocolLevel::V0_1_14;
    (config.max_deferrals, config.max_deferrals_each) = (3, 2);
    config.limits.max_observed = 3;
    let mut world = World::with(config);
    for name in ["alice", "bob", "carol"] {
        world.join(name, &[Role::Contributor]);
    }
    world.announce("alice", "i", &["x"]);
    let refused = |world: &mut World, who: &str, deferral: IntentDeferred| {
        let before = world.coordinator.snapshot().deferrals;
        let refused = error(&world.say(who, deferral), who);
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage);
        assert_eq!(world.coordinator.snapshot().deferrals, before);
        refused.description
    };
    let wide = deferred("w", &["i", "j"], &["alice", "dora"]);
    assert_eq!(
        refused(&mut world, "bob", wide),
        "payload: expected at most 3 entries in observed_intent_ids and observed_principals, found 4"
    );
    world.say("bob", deferred("d1", &["i", "j"], &["alice"]));
    world.say("bob", deferred("d2", &["i"], &[]));
    let third = refused(&mut world, "bob", deferred("d3", &["i"], &[]));
    assert!(
        third.starts_with("you have 2 deferrals already") && third.contains("max_deferrals_each"),
        "{third}"
    );
    assert_eq!(
        deferrals(&world.say("bob", deferred("d2", &["i"], &[]))),
        ["d2 active queue"],
        "in its own place"
    );
    world.say("carol", deferred("d4", &["i"], &[]));
    let fourth = refused(&mut world, "carol", deferred("d5", &["i"], &[]));
    assert!(fourth.starts_with("this session has 3 deferrals already"), "{fourth}");
    // One less, and there is room again.
    world.announce("bob", "k", &["y"]);
    assert_eq!(deferrals(&world.say("carol", deferred("d5", &["i"], &[]))), ["d5 active queue"]);
    assert_eq!(
        deferrals(&world.withdraw("alice", "i")),
        ["d4 resolved observed_intents_terminated", "d5 resolved observed_intents_terminated"]
    );
}

#[test]
fn files_somebody_works_on_are_not_announced_again() {
    covers!("LCK-01", "LCK-02", "LCK-03", "LCK-04", "LCK-07", "D-001", "D-002", "D-077");
    let mut world = at(ProtocolLevel::V0_1_15);
    world.announce("alice", "i1", &["a.py", "b.py"]);
    let before = world.coordinator.snapshot().intents;
    let refused = error(&world.announce("bob", "i2", &["./a.py", "c"]), "bob");
    assert_eq!(refused.error_code, ErrorCode::StaleIntent);
    assert!(refused.description.contains("intent i1 (principal alice)"), "{}", refused.description);
    assert_eq!(
        refused.extensions.unwrap().get(),
        r#"{"mpac":{"holders":[{"intent_id":"i1","principal_id":"alice","resources":["a.py"]}]}}"#
    );
    assert_eq!(world.coordinator.snapshot().intents, before);
    // Other kinds are advisory.
    let message =
        mpac_wire::payload::IntentAnnounce::new(intent("i3"), "o".into(), Scope::entities(["a.py"]));
    assert_eq!(heard(&world.say("bob", message), "bob"), ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]);
    world.withdraw("alice", "i1");
    assert_eq!(heard(&world.announce("bob", "i2", &["a.py"]), "bob"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn a_participant_writes_in_the_session_s_version_once_it_knows() {
    covers!("ENV-04", "HEL-16", "HEL-07");
    for (level, text) in [(ProtocolLevel::V0_1_13, "0.1.13"), (ProtocolLevel::V0_1_15, "0.1.15")] {
        let mut world = at(level);
        let relayed = world.announce("alice", "i", &["a"]);
        assert!(relayed[0].text.contains(&format!(r#""version":"{text}""#)), "{}", relayed[0].text);
        // Whoever says beforehand that it copes is not warned.
        for copes in [ProtocolLevel::V0_1_13, ProtocolLevel::V0_1_15] {
            let name = format!("dora-{copes}");
            let mut introduction = Introduction::new(&name);
            (introduction.roles, introduction.level) = ([Role::Contributor].into(), copes);
            let conn = world.connect(&name);
            let sender = World::participant(&name, 1, &[]).sender().clone();
            let mut dora = Participant::new(crate::world::session_id(), sender, introduction);
            let stamp = world.stamp();
            let answer = world.frame(conn, &dora.hello(stamp, None).to_json());
            assert_eq!(answer[0].text.contains("HELLO was written in"), copes < level);
            world.input(mpac_core::Input::Disconnect { conn });
        }
    }
}

#[test]
fn below_that_level_it_is_a_conflict() {
    covers!("LCK-12", "D-002");
    for level in [ProtocolLevel::V0_1_13, ProtocolLevel::V0_1_14] {
        let mut world = at(level);
        world.announce("alice", "i1", &["a"]);
        assert_eq!(
            heard(&world.announce("bob", "i2", &["a"]), "bob"),
            ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]
        );
    }
}

#[test]
fn own_overlapping_intents_are_replaced() {
    covers!("LCK-06", "D-024", "D-075", "D-076");
    let mut world = at(ProtocolLevel::V0_1_15);
    let state =
        |world: &World, id: &str| format!("{:?}", world.coordinator.view().intent(&intent(id)).unwrap());
    world.announce("alice", "i1", &["a"]);
    let entity = mpac_wire::payload::IntentAnnounce::new(intent("e"), "o".into(), Scope::entities(["a"]));
    assert_eq!(
        heard(&world.say("alice", entity), "bob"),
        ["INTENT_ANNOUNCE"],
        "own overlaps are not reported"
    );
    assert_eq!(heard(&world.announce("alice", "i2", &["a", "b"]), "bob"), ["INTENT_ANNOUNCE"]);
    assert_eq!((state(&world, "i1").as_str(), state(&world, "e").as_str()), ("Superseded", "Active"));
    // Under the same id as well.
    assert_eq!(heard(&world.announce("alice", "i2", &["b"]), "bob"), ["INTENT_ANNOUNCE"]);
    assert_eq!(state(&world, "i2"), "Active");
    assert_eq!(world.coordinator.snapshot().archived_intents.unwrap().len(), 1);
}

#[test]
fn a_refused_announce_replaces_nothing_and_a_suspended_holder_does_not_lock() {
    covers!("LCK-08", "LCK-09", "D-026", "D-078");
    let mut world = at(ProtocolLevel::V0_1_15);
    world.announce("alice", "i1", &["a"]);
    world.announce("bob", "j1", &["b"]);
    assert_eq!(error(&world.announce("bob", "j2", &["a", "b"]), "bob").error_code, ErrorCode::StaleIntent);
    assert_eq!(format!("{:?}", world.coordinator.view().intent(&intent("j1")).unwrap()), "Active");
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some("transfer".into());
    world.say("alice", goodbye);
    assert_eq!(
        heard(&world.announce("bob", "j2", &["a", "b"]), "bob"),
        ["INTENT_ANNOUNCE", "CONFLICT_REPORT"]
    );
}

#[test]
fn whoever_must_wait_is_told_that_before_the_lock() {
    covers!("LCK-05", "BKO-04");
    let mut config = crate::world::config();
    config.level = ProtocolLevel::V0_1_15;
    config.enforce_intent_backoff = true;
    let mut world = World::with(config);
    for (name, role) in [("alice", Role::Contributor), ("bob", Role::Contributor), ("olga", Role::Owner)] {
        world.join(name, &[role]);
    }
    let entities =
        |id: &str| mpac_wire::payload::IntentAnnounce::new(intent(id), "o".into(), Scope::entities(["e"]));
    world.announce("alice", "a", &["x"]);
    world.say("bob", entities("b")); // assumed to overlap
    let mut outcome = mpac_wire::payload::Outcome::new();
    outcome.rejected = Some(vec!["b".to_owned()]);
    let mut resolution =
        mpac_wire::payload::Resolution::new(world.conflict(), mpac_wire::names::Decision::Approved);
    resolution.outcome = Some(outcome);
    world.say("olga", resolution);
    // Files may overlap those entities, too: both the wait and the lock apply.
    assert_eq!(error(&world.announce("bob", "c", &["x"]), "bob").error_code, ErrorCode::IntentBackoff);
    world.wait(30.0);
    assert_eq!(error(&world.announce("bob", "c", &["x"]), "bob").error_code, ErrorCode::StaleIntent);
}

#[test]
fn work_that_may_be_the_same_is_pointed_out() {
    covers!("LCK-11", "LCK-03");
    let announce = |id: &str, objective: &str, semantics: &str| {
        let text = format!(
            r#"{{"kind":"file_set","resources":["a.py"],"extensions":{{"intent_semantics":{semantics}}}}}"#
        );
        let scope: Scope = serde_json::from_str(&text).unwrap();
        mpac_wire::payload::IntentAnnounce::new(intent(id), objective.to_owned(), scope)
    };
    let mut world = at(ProtocolLevel::V0_1_15);
    world.say("alice", announce("i", "o", r#"{"action":"add","symbol":"Cart.total"}"#));
    let mut candidate = |objective: &str, semantics: &str| {
        let refused = error(&world.say("bob", announce("j", objective, semantics)), "bob");
        assert_eq!(refused.error_code, ErrorCode::StaleIntent);
        refused.duplicate_candidate.map(|raw| raw.read::<serde_json::Value>().unwrap())
    };
    let same = candidate("o", r#"{"action":"Add","symbols":["Cart.total"]}"#).unwrap();
    assert_eq!(
        same,
        serde_json::json!({
            "candidate": true, "confidence": "high", "reason": "same_symbol_and_action",
            "other_intent_id": "i", "other_principal_id": "alice", "shared_files": ["a.py"],
            "matched_symbols": ["Cart.total"], "matched_postconditions": [],
            "current": {"action": "add", "symbols": ["Cart.total"], "postconditions": []},
            "other": {"action": "add", "symbols": ["Cart.total"], "postconditions": []},
            "verification_required": true,
            "guidance": "Look at what the other intent does before doing the same again.",
        })
    );
    let by_name = candidate("give Cart.total() a currency", "{}").unwrap();
    assert_eq!(
        (by_name["confidence"].as_str(), by_name["reason"].as_str()),
        (Some("medium"), Some("same_symbol"))
    );
    assert_eq!(candidate("o", r#"{"action":"remove","symbol":"Cart.total"}"#), None);
    assert_eq!(candidate("o", "{}"), None);
}
