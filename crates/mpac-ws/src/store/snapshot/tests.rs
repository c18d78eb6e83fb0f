//! Wherever a session is begun from, it comes out the same.

use mpac_core::{ConnId, Input, Peer, SessionConfig};
use mpac_wire::{SessionId, StateRef};
use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::store::entry::{Entry, Happened};
use crate::store::log::Log;
use crate::store::media::Files;
use crate::store::replay::Replay;
use crate::store::{Durability, Stored};

/// A message of the one member, the `n`-th.
fn frame(n: u64, message_type: &str, payload: &serde_json::Value) -> Input {
    let text = json!({
        "protocol": "MPAC", "version": "0.1.13", "message_type": message_type, "message_id": format!("m{n}"),
        "session_id": "s", "ts": "2026-01-02T03:04:05Z", "payload": payload,
        "sender": {"principal_id": "agent:a", "principal_type": "agent", "sender_instance_id": "a:1"},
        "watermark": {"kind": "lamport_clock", "value": n},
    });
    Input::Frame { from: Peer::unproven(ConnId(1)), text: text.to_string().into() }
}

fn commit(n: u64, before: &str, after: &str) -> Input {
    let (from, to) = (StateRef::of(before), StateRef::of(after));
    let payload = json!({
        "op_id": format!("op-{n}"), "target": "a.py", "op_kind": "replace", "state_ref_before": from.as_str(),
        "state_ref_after": to.as_str(),
        "file_changes": {"a.py": {"content": after, "state_ref_before": from.as_str()}},
    });
    frame(n, "OP_COMMIT", &payload)
}

/// A log with two lives of a session, and the snapshot after each of its entries.
fn written() -> (TempDir, Vec<Saved>) {
    let dir = tempdir().unwrap();
    let saved = written_in(dir.path(), 1 << 20);
    (dir, saved)
}

/// The same, in segments of so many bytes.
pub(in crate::store) fn written_in(dir: &Path, segment: u64) -> Vec<Saved> {
    let log = Log::create(Box::new(Files::new(dir.to_owned())), Durability::Fsync).unwrap();
    let mut log = log.with_segments_of(segment);
    let mut replay = Replay::default();
    let mut saved = Vec::new();
    let mut add = |entry: Entry, replay: &mut Replay| {
        let copy = serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
        replay.follow(copy).unwrap();
        log.append(&[entry]).unwrap();
        let after = log.position().unwrap().unwrap().after;
        let (core, kept) = replay.session().unwrap();
        saved.push(Saved::new(after, core, kept).unwrap());
    };
    let config = SessionConfig::new(SessionId::new("s").unwrap());
    let start = |at| Start::new(&config, 7, Timestamp::from_micros(at)).unwrap();
    add(Entry::Open(start(1_000_000)), &mut replay);
    let hello = json!({"display_name": "a", "roles": ["owner"], "capabilities": []});
    let scope = json!({"kind": "file_set", "resources": ["b.py"]});
    let announce = json!({"intent_id": "i-1", "objective": "o", "scope": scope, "ttl_sec": 9.50});
    let lives = [
        vec![frame(1, "HELLO", &hello), frame(2, "INTENT_ANNOUNCE", &announce), commit(3, "", "one")],
        vec![frame(4, "HELLO", &hello), commit(5, "one", "two"), Input::Timeout, commit(6, "two", "one")],
    ];
    let mut at = 2_000_000;
    for (life, inputs) in lives.into_iter().enumerate() {
        if life > 0 {
            add(Entry::TakeUp(start(at)), &mut replay);
        }
        for input in inputs {
            at += 4_000_000;
            let mut core = replay.session().unwrap().0.clone();
            let record = core.stamp(Timestamp::from_micros(at), input);
            let step = core.apply(&record).unwrap();
            add(Entry::Input(Happened::new(&record, step.digest()).unwrap()), &mut replay);
        }
    }
    saved
}

fn resumed(dir: &TempDir) -> Result<(Coordinator, Kept), String> {
    resumed_in(dir.path())
}

pub(in crate::store) fn resumed_in(dir: &Path) -> Result<(Coordinator, Kept), String> {
    let stored = Stored { dir: dir.to_owned(), house: None };
    let (_, replay) = stored.resume(Durability::Fsync).map_err(|error| error.to_string())?.unwrap();
    Ok(replay.into_session().unwrap())
}

fn spoil(dir: &TempDir, n: u64) {
    let path = dir.path().join(format!("snapshot-{n:020}"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replacen("agent:a", "agent:b", 1)).unwrap();
}

#[test]
fn from_any_snapshot_on_the_log_leads_to_what_it_leads_to_from_its_beginning() {
    let (dir, saved) = written();
    let whole = resumed(&dir).unwrap();
    assert_eq!(whole.0.epoch(), 2);
    for snapshot in &saved {
        snapshot.write(dir.path(), false).unwrap();
        assert!(resumed(&dir).unwrap() == whole, "after entry {}", snapshot.after.n);
    }
    assert_eq!(listed(dir.path()).unwrap().len(), KEEP);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_passed_over() {
    let (dir, saved) = written();
    let whole = resumed(&dir).unwrap();
    saved[3].write(dir.path(), false).unwrap();
    saved[5].write(dir.path(), false).unwrap();
    spoil(&dir, 6);
    assert_eq!(all(dir.path()).unwrap().map(|(_, it)| it.is_ok()).collect::<Vec<_>>(), [false, true]);
    assert!(resumed(&dir).unwrap() == whole, "from the one before");
    spoil(&dir, 4);
    assert!(resumed(&dir).unwrap() == whole, "from the beginning");
}

#[test]
fn a_log_that_is_not_the_one_of_its_snapshot_is_refused() {
    let (dir, saved) = written();
    saved.last().unwrap().write(dir.path(), false).unwrap();
    let segment = dir.path().join("00000000000000000001.log");
    let log = fs::read(&segment).unwrap();
    let ends: Vec<usize> = (0..log.len()).filter(|&at| log[at] == b'\n').collect();
    // Its last entries are gone as if they had never been: a copy put back without the snapshot would look like this.
    fs::write(&segment, &log[..=ends[4]]).unwrap();
    let refused = resumed(&dir).unwrap_err();
    assert!(refused.contains("it ends with entry 5"), "{refused}");
    fs::write(&segment, &log).unwrap();
    let mut other = saved.into_iter().nth(4).unwrap();
    other.after.sum = "0".repeat(64);
    for (_, path) in listed(dir.path()).unwrap() {
        fs::remove_file(path).unwrap();
    }
    other.write(dir.path(), false).unwrap();
    let refused = resumed(&dir).unwrap_err();
    assert!(refused.contains("entry 5 is not the one that"), "{refused}");
}
