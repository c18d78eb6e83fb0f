//! What a copy makes of what comes, and of what is there from before.

use std::os::unix::fs::symlink;

use mpac_core::{Command, Input, SessionConfig};
use mpac_wire::names::{CloseDisposition, CloseReason};
use mpac_wire::{SessionId, Timestamp};

use super::*;
use crate::store::Durability;
use crate::store::entry::{Entry, Happened, Start};
use crate::store::log::Log;
use crate::store::media::Files;
use crate::store::tail::Tail;

/// The entries of a session to which this happens.
fn session(inputs: &[Input]) -> Vec<Entry> {
    let at = Timestamp::from_micros(1);
    let config = SessionConfig::new(SessionId::new("s").unwrap());
    let start = Start::new(&config, 1, at).unwrap();
    let mut core = start.open().unwrap();
    let mut entries = vec![Entry::Open(start)];
    for input in inputs {
        let record = core.stamp(at, input.clone());
        let digest = core.apply(&record).unwrap().digest();
        entries.push(Entry::Input(Happened::new(&record, digest).unwrap()));
    }
    entries
}

fn written(dir: &Path, entries: &[Entry]) {
    let mut log = Log::create(Box::new(Files::new(dir.to_owned())), Durability::Os).unwrap();
    log.append(entries).unwrap();
}

/// How many files below `data` this process has open.
fn open_in(data: &Path) -> usize {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let open = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    open.filter(|path| path.starts_with(data)).count()
}

#[test]
fn of_a_closed_session_no_file_stays_open_and_what_comes_all_the_same_is_taken() {
    let (from, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (reason, disposition) = (CloseReason::Manual, CloseDisposition::WithdrawAll);
    let close = Input::Command(Command::Close { reason, disposition });
    written(from.path(), &session(&[close, Input::Timeout]));
    let mut records = Tail::from_the_first(from.path()).unwrap();
    let mut next = || records.read(None, 1).unwrap().bytes;
    let of = Place { name: "s".to_owned(), run: 1 };
    fs::create_dir(data.path().join("sessions")).unwrap();
    let mut copy = Copy::open(data.path()).unwrap();
    copy.anew(of.clone(), (0, Vec::new()), 0).unwrap();
    for open in [1, 0, 0] {
        copy.take(&of, &next()).unwrap();
        assert_eq!(open_in(data.path()), open);
    }
    copy.finish().unwrap();
    let copy = Copy::open(data.path()).unwrap();
    assert_eq!((copy.entries(), open_in(data.path())), (3, 0));
}

#[test]
fn what_is_here_counts_until_all_of_what_its_server_has_instead_is_here() {
    let (from, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let home = data.path().join("sessions/s/1");
    fs::create_dir_all(&home).unwrap();
    written(&home, &session(&[Input::Timeout, Input::Timeout]));
    written(from.path(), &session(&[Input::Timeout]));
    let of = Place { name: "s".to_owned(), run: 1 };
    let begun = || {
        let mut copy = Copy::open(data.path()).unwrap();
        let mut records = Tail::from_the_first(from.path()).unwrap();
        copy.anew(of.clone(), (0, Vec::new()), 2).unwrap();
        let first = copy.take(&of, &records.read(None, 1).unwrap().bytes).unwrap();
        assert_eq!((first, copy.entries()), (None, 1), "it does not count yet");
        (copy, records)
    };
    let is_aside = || data.path().join("aside").exists();
    // The server dies, and somebody goes on from what is here; or the connection breaks.
    begun().0.finish().unwrap();
    let there = || Copy::open(data.path()).unwrap().ends();
    assert_eq!((there(), is_aside()), (vec![(of.clone(), 3)], false));
    drop(begun());
    assert_eq!((there(), is_aside()), (vec![(of.clone(), 3)], false));
    let (mut copy, mut records) = begun();
    copy.take(&of, &records.read(None, 1).unwrap().bytes).unwrap();
    let home = copy.standing(&Table::from([(of.to_string(), 2)])).unwrap();
    assert_eq!((home, is_aside()), (vec![(of.clone(), 2)], true));
    drop(copy);
    assert_eq!(there(), [(of.clone(), 2)]);
}

#[test]
fn only_what_is_damaged_is_put_aside_and_not_what_cannot_be_read_now() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().join("sessions/s/1");
    fs::create_dir_all(&dir).unwrap();
    written(&dir, &session(&[]));
    let entries = || Copy::open(data.path()).map(|copy| copy.entries());
    assert_eq!(entries().unwrap(), 1);
    let segment = dir.join("00000000000000000001.log");
    let mut bytes = fs::read(&segment).unwrap();

    // A link to itself is what the system refuses to open, for root too.
    fs::remove_file(&segment).unwrap();
    symlink(&segment, &segment).unwrap();
    let refused = entries().unwrap_err().to_string();
    assert!(refused.contains("sessions/s/1: ") && dir.exists(), "{refused}");
    fs::remove_file(&segment).unwrap();
    fs::write(&segment, &bytes).unwrap();
    let (begins, base) = (dir.join("begins"), dir.join("base-00000000000000000001"));
    fs::write(&begins, r#"{"after": 1, "at": "2026-01-01T00:00:00.000Z", "why": "deleted"}"#).unwrap();
    symlink(&base, &base).unwrap();
    let refused = entries().unwrap_err().to_string();
    assert!(refused.contains("which it begins behind") && dir.exists(), "{refused}");
    fs::remove_file(&begins).unwrap();
    assert_eq!(entries().unwrap(), 1);

    bytes[100] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(entries().unwrap(), 0);
    assert!(!dir.exists() && fs::read_dir(data.path().join("aside")).unwrap().count() == 1);
}
