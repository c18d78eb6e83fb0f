//! What must not be seen, kept or handed on.

use mpac_core::Input;
use mpac_wire::redact::{BLANK, blank_credentials, without_free_text};

use crate::authenticated::{SECRET, config, court, join, proven};
use crate::covers;
use crate::world::{World, heard};

#[test]
fn a_credential_goes_nowhere() {
    covers!("PRV-05");
    let mut world = court(&["alice", "bob"]);
    world.hello("bob");
    world.announce("bob", "i", &["a"]);
    let conn = world.people["bob"].0;
    world.input(Input::Disconnect { conn });
    join(&mut world, "bob");
    let stored = serde_json::to_string(&world.coordinator.snapshot()).unwrap();
    assert!(stored.contains(r#""identity_method":"api_key""#) && !stored.contains(SECRET), "{stored}");
    let said = format!("{:?}", world.steps);
    assert!(said.contains("INTENT_ANNOUNCE") && !said.contains(SECRET));
    assert!(!format!("{:?}", world.coordinator).contains(SECRET));
}

#[test]
fn a_hello_whose_secret_is_blanked_is_judged_alike() {
    covers!("PRV-05", "SEC-06");
    let mut world = World::with(config());
    let conn = world.connect("bob");
    world.identities.insert(conn, proven("bob"));
    let credential = Some(crate::authenticated::api_key());
    let mut bob = World::participant_with("bob", 1, &[], credential);
    let hello = bob.hello(world.stamp(), None).to_json();
    let blank = blank_credentials(&hello).unwrap();
    assert_eq!(blank, hello.replace(SECRET, BLANK));
    assert_eq!(heard(&world.frame(conn, &blank), "bob"), ["SESSION_INFO"]);
}

#[test]
fn an_export_without_words_is_still_an_export() {
    covers!("PRV-03", "D-135");
    let mut world = World::of(&["alice", "bob"]);
    world.announce("bob", "i", &["a"]);
    world.announce("alice", "j", &["a"]);
    let snapshot = world.coordinator.snapshot();
    let text = serde_json::to_string(&snapshot).unwrap();
    let blank = without_free_text(&text).unwrap();
    assert!(text.contains("bob does i") && !blank.contains("bob does i"));
    let read: mpac_wire::snapshot::Snapshot = serde_json::from_str(&blank).unwrap();
    assert_eq!(read.intents.as_ref().unwrap()[0].objective.as_deref(), Some(BLANK));
    assert_eq!(read.conflicts.as_ref().unwrap()[0].description.as_deref(), Some(BLANK));
    assert_eq!(read.target_state_refs, snapshot.target_state_refs);
}
