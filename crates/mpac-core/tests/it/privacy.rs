//! What must not be seen, kept or handed on.

use mpac_core::{Input, Output};
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
    let outputs = world.steps.iter().flat_map(|step| &step.outputs);
    let said: String = outputs
        .map(|output| match output {
            Output::Relay { text, .. } | Output::Answer { text, .. } => text.to_string(),
            Output::Send { envelope, .. } => envelope.to_json(),
            other => format!("{other:?}"),
        })
        .collect();
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

#[test]
fn nothing_that_can_be_printed_shows_what_is_in_a_file() {
    covers!("PRV-03");
    const CONTENT: &str = "what is in the file\n";
    let mut world = World::of(&["alice"]);
    let commit = crate::world::commit_payload("o", None, "a.py", "one\n", CONTENT);
    world.say("alice", commit.clone());
    assert_eq!(world.files["a.py"], CONTENT, "it was stored");
    let text = mpac_wire::Payload::of(&commit);
    let received = mpac_wire::Received::parse(
        match &world.log.last().unwrap().input {
            Input::Frame { text, .. } => text.clone(),
            other => panic!("{other:?}"),
        },
        &mpac_wire::Limits::default(),
    );
    let printed = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        world.steps, world.log, world.coordinator, commit, text, received
    );
    assert!(printed.contains("a.py") && printed.contains("bytes]"));
    assert!(!printed.contains("what is in"), "{printed}");
    // Nor does an answer quote what stands where a content should not.
    let odd =
        received.unwrap().text().replace(r#""file_changes":{"#, r#""file_changes":"what is in it","x":{"#);
    let conn = world.people["alice"].0;
    let refused = crate::world::error(&world.frame(conn, &odd.replace("\"m", "\"n")), "alice");
    assert!(!refused.description.contains("what is in"), "{}", refused.description);
}
