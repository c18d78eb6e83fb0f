//! How much one message may list, whatever its type (D-134).

use mpac_core::{ConnId, Coordinator, Output};
use mpac_wire::names::{Decision, ErrorCode, Role};
use mpac_wire::payload::{
    ConflictReport, Goodbye, Hello, IntentAnnounce, IntentDeferred, Outcome, ProtocolError, Resolution,
};
use mpac_wire::{Message, Raw, Scope};

use crate::covers;
use crate::world::{World, error, heard, intent};

/// Every list of identifiers and words that a participant may send, with one entry too many.
fn too_long() -> Vec<(&'static str, Message)> {
    let words = || vec!["x".to_owned(); 10_001];
    fn ids<T: std::str::FromStr<Err: std::fmt::Debug>>() -> Option<Vec<T>> {
        Some((0..10_001).map(|_| "x".parse().unwrap()).collect())
    }
    let hello = || Hello::new("x".to_owned(), Vec::new());
    let mut found: Vec<(&str, Message)> = Vec::new();
    let mut it = hello();
    it.roles = Some(vec![Role::Owner; 10_001]);
    found.push(("roles", it.into()));
    found.push(("capabilities", Hello::new("x".to_owned(), words()).into()));
    let mut it = hello();
    it.extensions = Raw::of(&serde_json::json!({ "mpac": { "committed_ops": words() } })).ok();
    found.push(("committed_ops", it.into()));
    let mut it = Goodbye::new("user_exit".into());
    it.active_intents = ids();
    found.push(("active_intents", it.into()));
    let mut it = IntentAnnounce::new(intent("i"), "o".to_owned(), Scope::files(["a"]));
    it.assumptions = Some(words());
    found.push(("assumptions", it.into()));
    let mut it = IntentDeferred::new();
    it.observed_intent_ids = Some(words());
    found.push(("observed_intent_ids", it.into()));
    let mut it = IntentDeferred::new();
    it.observed_principals = ids();
    found.push(("observed_principals", it.into()));
    type Fill = fn(&mut ConflictReport);
    let lists: [(&str, Fill); 3] = [
        ("involved_principals", |it| it.involved_principals = ids()),
        ("related_intents", |it| it.related_intents = ids()),
        ("related_ops", |it| it.related_ops = ids()),
    ];
    for (name, fill) in lists {
        let mut it = ConflictReport::new("c".parse().unwrap(), "scope_overlap".into(), "low".into());
        fill(&mut it);
        found.push((name, it.into()));
    }
    let mut it = Resolution::new("c".parse().unwrap(), Decision::Approved);
    let mut outcome = Outcome::new();
    outcome.rejected = Some(words());
    it.outcome = Some(outcome);
    found.push(("rejected", it.into()));
    found
}

#[test]
fn no_list_of_a_message_is_longer_than_the_limit() {
    covers!("D-134", "SRV-10", "ENV-14");
    let mut config = crate::world::config();
    config.level = mpac_core::ProtocolLevel::V0_1_14;
    let mut world = World::with(config);
    world.join("alice", &[Role::Contributor]);
    for (name, message) in too_long() {
        world.checked = false; // nothing changes, and the frames are large
        let refused = error(&world.say("alice", message), "alice");
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "{name}");
        assert!(refused.description.contains(name), "{name}: {}", refused.description);
    }
    // What is kept of a member is less.
    for (roles, capabilities, name) in [(257, 0, "roles"), (0, 257, "capabilities")] {
        let mut hello = Hello::new("Alice".to_owned(), vec!["x".to_owned(); capabilities]);
        hello.roles = Some(vec![Role::Owner; roles]);
        let refused = error(&world.say("alice", hello), "alice");
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage);
        assert_eq!(refused.description, format!("payload.{name}: expected at most 256 entries, found 257"));
    }
    let mut hello = Hello::new("Alice".to_owned(), vec!["x".to_owned(); 256]);
    hello.roles = Some(vec![Role::Owner; 256]);
    assert_eq!(heard(&world.say("alice", hello), "alice"), ["SESSION_INFO"]);
}

/// What SESSION_SUMMARY is answered, where a frame has so many bytes at the most.
fn summary(world: &World, max_bytes: usize) -> String {
    let mut config = world.config.clone();
    config.limits.max_bytes = max_bytes;
    let mut coordinator = Coordinator::load(config, &world.coordinator.snapshot()).unwrap();
    let step = coordinator.handle_frame(world.now, ConnId(99), r#"{"type":"SESSION_SUMMARY"}"#);
    let [Output::Answer { text, .. }] = &step.outputs[..] else { panic!("{:?}", step.outputs) };
    text.to_string()
}

#[test]
fn a_summary_that_fits_into_no_frame_is_not_made() {
    covers!("D-134", "SEC-37", "SRV-11", "LAM-22");
    const TOO_LARGE: &str = r#"{"type":"FILE_ERROR","path":"","error":"too large"}"#;
    let mut config = crate::world::config();
    config.limits.max_bytes = 4_000;
    let mut world = World::with(config);
    world.join("bob", &[Role::Contributor]);
    for id in ["z", "y"] {
        world.say("bob", IntentAnnounce::new(intent(id), "long ".repeat(300), Scope::files([id])));
    }
    let whole = summary(&world, 4_000);
    assert!(whole.contains(r#""active_intents":[{"intent_id":"z""#), "in their order: {whole}");
    assert_eq!(summary(&world, whole.len()), whole);
    assert_eq!(summary(&world, whole.len() - 1), TOO_LARGE);
    // Nor for somebody who may have missed something, and not before it is found to be too long either.
    world.say("bob", IntentAnnounce::new(intent("x"), "long ".repeat(300), Scope::files(["x"])));
    assert_eq!(world.coordinator.view().summary(), None);
    world.say("bob", ProtocolError::new(ErrorCode::CausalGap, "what is c?".to_owned()));
    let [Output::Answer { text, .. }] = &world.steps.last().unwrap().outputs[..] else { panic!() };
    assert_eq!(&**text, TOO_LARGE);
}
