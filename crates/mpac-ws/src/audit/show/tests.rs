//! A log that is whole and does not lead where it led: as another version of the program may have written it.

use clap::Parser;
use mpac_core::{ConnId, Input, Peer, SessionConfig};
use mpac_wire::{SessionId, Timestamp};

use crate::audit::run;
use crate::cli::{Command, Settings};
use crate::store::entry::{Entry, Happened, Start};
use crate::store::log::Log;
use crate::store::{Durability, Store};

/// A session in which somebody says something that nobody can read, three times; the second time it led to other outputs.
fn log(data: &std::path::Path) {
    let id = SessionId::new("default").unwrap();
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let start = Start::new(&SessionConfig::new(id.clone()), 7, now).unwrap();
    let mut core = start.open().unwrap();
    let mut entries = vec![Entry::Open(start)];
    for count in 1..=3 {
        let input = Input::Frame { from: Peer::unproven(ConnId(1)), text: "{bad \u{1b}[31m".into() };
        let record = core.stamp(now, input);
        let digest = core.apply(&record).unwrap().digest();
        let digest = if count == 2 { "0".repeat(64) } else { digest };
        entries.push(Entry::Input(Happened::new(&record, digest).unwrap()));
    }
    let store = Store::open(data, Durability::Fsync).unwrap();
    let mut log = Log::create(Box::new(store.begin(&id).unwrap()), Durability::Fsync).unwrap();
    log.append(&entries).unwrap();
}

/// What one of the commands writes, and says at the end.
fn audit(data: &std::path::Path, command: &str, flags: &[&str]) -> (String, Result<(), String>) {
    let place = ["mpac-ws", "audit", command, "--data-dir", data.to_str().unwrap()];
    let settings = Settings::try_parse_from([&place, flags].concat()).unwrap();
    let Some(Command::Audit(asked)) = settings.command else { panic!() };
    let mut out = Vec::new();
    let said = run(&asked, &mut out).map_err(|error| error.to_string());
    (String::from_utf8(out).unwrap(), said)
}

#[test]
fn what_was_received_is_shown_even_where_it_leads_somewhere_else() {
    let data = tempfile::tempdir().unwrap();
    log(data.path());
    let (out, said) = audit(data.path(), "show", &["--outputs"]);
    let entries: Vec<&str> = out.lines().filter(|line| line.starts_with("20")).collect();
    assert_eq!(entries.len(), 4, "{out}");
    assert!(entries[1].contains("connection 1 sends what cannot be read"), "{out}");
    assert_eq!(out.matches("PROTOCOL_ERROR").count(), 1, "of the first one only: {out}");
    let why = "from entry 3 on only what was received is shown";
    assert!(said.as_ref().is_err_and(|said| said.contains(why) && said.contains("mpac-ws 0.")), "{said:?}");

    let (json, _) = audit(data.path(), "show", &["--json", "--outputs"]);
    assert!(json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{json}");
    assert!(json.contains(r#""text":"{bad \u001b[31m""#), "{json}");
    // Before it everything can be done, behind it nothing.
    for command in ["replay", "export", "fork", "verify"] {
        let into = data.path().join("fork").display().to_string();
        let flags = if command == "fork" { vec!["--into", &into] } else { Vec::new() };
        let (_, said) = audit(data.path(), command, &flags);
        assert!(said.is_err(), "{command}");
        assert!(!data.path().join("fork").exists());
    }
    let (view, said) = audit(data.path(), "replay", &["--until", "2"]);
    assert!(said.is_ok() && view.starts_with("session default after entry 2"), "{view}");
}

#[test]
fn every_type_of_entry_that_can_be_asked_for_is_named() {
    let help = Settings::try_parse_from(["mpac-ws", "audit", "show", "--help"]).unwrap_err().to_string();
    for kind in [
        "open, fork, take_up, repaired, seal, frame, unreadable, disconnect, timeout, vacancy, close, status, rebind, hand_over",
        "persisted, fence, turn_away, rotate_key",
    ]
    .into_iter()
    .flat_map(|kinds| kinds.split(", "))
    {
        let mut words = help.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        assert!(words.any(|word| word == kind), "{kind}: {help}");
    }
}
