//! Whoever has not the key cannot change evidence unseen, and is not mistaken for the coordinator.

use std::fs;
use std::io::ErrorKind;

use serde_json::{Value, json};

use super::super::trust::Trust;
use super::super::verify::examined;
use super::world::{World, signed};
use super::{Desk, bundled, day, forger, try_bundled};
use crate::store::read::Damage;
use crate::store::reading::Reading;

#[test]
fn one_byte_of_one_entry_is_seen_at_its_number() {
    covers!("D-130", "SEC-25");
    let (text, _) = day();
    let desk = Desk::new();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let links = bundle["transcript"]["log_chain"].as_array().unwrap();
    let entry = links[4].to_string();
    assert_eq!(text.matches(&entry).count(), 1, "as it stands in the file");
    let begin = text.find(&entry).unwrap();
    for at in (0..entry.len()).step_by(entry.len() / 40) {
        let mut bytes = text.clone().into_bytes();
        bytes[begin + at] = if bytes[begin + at] == b'1' { b'2' } else { b'1' };
        // What is no JSON any more is no evidence.
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        if serde_json::from_str::<Value>(&changed).is_err() {
            continue;
        }
        let found = desk.bundle(&changed);
        assert_eq!(found.findings()[0], ("broken_chain", "unknown", Some(5), None), "{at}");
    }
}

#[test]
fn one_byte_of_one_record_is_seen_at_its_number() {
    let mut forger = forger();
    let record = forger.log()[5].as_str().unwrap().replace("03:04:0", "03:04:1");
    assert_ne!(forger.log()[5], record.as_str());
    forger.log()[5] = record.into();
    let found = Desk::new().bundle(&forger.0.to_string());
    let findings = found.findings();
    assert!(findings.contains(&("broken_log", "unknown", None, Some(7))), "{findings:?}");
    assert!(found.report["coordinator_lied"] == 0, "{findings:?}");
}

#[test]
fn what_is_cut_off_is_missed_by_the_head() {
    let mut short = forger();
    short.chain().pop();
    let found = Desk::new().bundle(&short.0.to_string());
    let classes: Vec<&str> = found.findings().iter().map(|it| it.0).collect();
    assert_eq!(classes[..2], ["other_transcript", "other_head"]);
    assert_eq!(found.report["coordinator_lied"], 0);
    let mut short = forger();
    short.log().pop();
    assert_eq!(Desk::new().bundle(&short.0.to_string()).only(), ("other_head", "unknown"));
}

#[test]
fn a_head_that_is_not_signed_by_the_coordinator() {
    let forger = forger();
    let mut other = forger.clone();
    other.0["head"] = serde_json::from_str(&signed(forger.0["head"].clone(), 5)).unwrap();
    assert_eq!(Desk::new().bundle(&other.0.to_string()).only(), ("bad_seal", "unknown"));
    let mut other = forger.clone();
    other.0["head"]["at"] = json!("2026-01-02T04:00:01Z");
    assert_eq!(Desk::new().bundle(&other.0.to_string()).only(), ("bad_seal", "unknown"));
    let mut other = forger;
    other.0["session_id"] = json!("other");
    assert_eq!(Desk::new().bundle(&other.0.to_string()).only(), ("bad_seal", "unknown"));
}

#[test]
fn a_coordinator_that_the_auditor_does_not_know() {
    let (bundle, ended) = day();
    let desk = Desk::new();
    let keys = json!({"coordinator": [super::public(9).to_string()], "trust_anchors": ["ca.pem"]});
    fs::write(desk.path("keys.json"), keys.to_string()).unwrap();
    for found in [desk.bundle(&bundle), desk.log(ended.data.path(), &[])] {
        assert!(!found.ok && found.report["coordinator_lied"] == 0);
        assert_eq!(found.report["seals"]["good"], 0);
        assert_eq!(found.agreed().len(), 5, "the participants' own signatures are what they are");
    }
}

#[test]
fn a_key_that_nobody_announced_seals_nothing() {
    let forger = forger().with_log(|n, entry| {
        // The last seal, by a key of somebody else's.
        if n > 3 && entry["kind"] == "seal" {
            entry["at"] = json!("2026-01-02T03:04:59.000000Z");
        }
    });
    // That is a good seal, signed again: only its time is another.
    Desk::new().bundle(&forger.0.to_string()).assert_ok();
    let mut other = forger;
    let last = other.log().last().unwrap().as_str().unwrap().to_owned();
    let mut record: Value = serde_json::from_str(&last).unwrap();
    record["entry"] = serde_json::from_str(&signed(record["entry"].clone(), 5)).unwrap();
    *other.log().last_mut().unwrap() = record.to_string().into();
    let found = Desk::new().bundle(&other.0.to_string());
    let classes: Vec<&str> = found.findings().iter().map(|it| it.0).collect();
    assert_eq!(classes, ["other_head", "bad_seal"]);
}

#[test]
fn a_stored_entry_that_was_changed_cannot_be_exported_and_is_named() {
    let world = World::day();
    let which = world.which();
    let ended = world.end();
    let segment = which.dir.join("00000000000000000001.log");
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replacen("op-1", "op-x", 1)).unwrap();
    let problem = try_bundled(&which).unwrap_err().to_string();
    assert!(problem.contains("is damaged: its checksum does not match"), "{problem}");
    let found = Desk::new().log(ended.data.path(), &[]);
    assert_eq!(found.only(), ("broken_log", "unknown"));
    fs::write(&segment, text).unwrap();
    Desk::new().bundle(&bundled(&which)).assert_ok();
}

/// Nobody has changed anything.
#[test]
#[cfg(unix)]
fn what_cannot_be_read_at_this_moment_is_no_broken_log() {
    let world = World::without_its_beginning();
    let dir = world.dir();
    let ended = world.end();
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "log");
    let all = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let last = all.filter(is_segment).max().unwrap();
    let kept = dir.join("aside");
    fs::rename(&last, &kept).unwrap();
    std::os::unix::fs::symlink(&last, &last).unwrap();
    let place = ["--data-dir", ended.data.path().to_str().unwrap()];
    let told = Desk::new().refused(&place);
    assert!(told.contains("cannot be followed") && told.contains("symbolic link"), "{told}");
}

/// As a server does it when it is over for long enough.
#[test]
fn a_session_that_is_deleted_while_it_is_read_has_no_broken_log() {
    let world = World::day();
    let dir = world.dir();
    let _ended = world.end();
    let trust = Trust::read(&Desk::new().path("keys.json")).unwrap();
    let reading = Reading::open(&dir).unwrap();
    fs::rename(&dir, dir.with_file_name(".deleting-1")).unwrap();
    let read = examined(&trust, &dir, &reading).map(|(examiner, _)| examiner.findings);
    assert!(matches!(&read, Err(Damage::Io(error)) if error.kind() == ErrorKind::NotFound), "{read:?}");
}
