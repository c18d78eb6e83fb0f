use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use mpac_core::SessionConfig;
use mpac_wire::{SessionId, Timestamp};

use super::*;
use crate::store::entry::{Entry, Start};
use crate::store::log::Log;
use crate::store::log::raw::NotTaken;
use crate::store::{Durability, gzip};

const ENOUGH: usize = 1 << 20;

fn entry(seed: u64) -> Entry {
    let config = SessionConfig::new(SessionId::new("s").unwrap());
    Entry::Open(Start::new(&config, seed, Timestamp::from_micros(1)).unwrap())
}

/// A log of that many entries, three in each segment.
fn log_of(dir: &Path, entries: u64) -> Log {
    let log = Log::create(Box::new(Files::new(dir.to_owned())), Durability::Os).unwrap();
    let mut log = log.with_segments_of(3 * 600);
    (0..entries).for_each(|seed| log.append(&[entry(seed)]).unwrap());
    log
}

fn copy_of(dir: &Path) -> Log {
    Log::create(Box::new(Files::new(dir.to_owned())), Durability::Fsync).unwrap().with_segments_of(1000)
}

#[test]
fn a_reader_gets_every_record_up_to_its_limit_over_all_segments_and_more_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log_of(dir.path(), 20);
    assert!(Files::new(dir.path().to_owned()).segments().unwrap().len() > 3);
    let mut tail = Tail::whole(dir.path());
    assert_eq!(tail.read(Some(7), ENOUGH).unwrap().count, 7);
    assert_eq!(tail.read(Some(7), ENOUGH).unwrap(), Records::default());
    assert_eq!(tail.read(Some(20), 1).unwrap().count, 1, "a piece is as small as it can be");
    assert_eq!(tail.read(None, ENOUGH).unwrap().count, 12);
    log.append(&[entry(99)]).unwrap();
    assert_eq!(tail.read(None, ENOUGH).unwrap().count, 1);
    assert_eq!(*tail.at(), log.end());
}

#[test]
fn a_reader_that_pauses_goes_on_where_it_was_whatever_became_of_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log_of(dir.path(), 5);
    let segments = Files::new(dir.path().to_owned()).segments().unwrap();
    let path = |first: u64| dir.path().join(segment(first));
    let (first, second) = (segments[0], segments[1]);
    let (mut tail, mut paused) = (Tail::whole(dir.path()), Tail::whole(dir.path()));
    let mut next = |count: u64| {
        let limit = Some(paused.at().n + count);
        let records = paused.read(limit, ENOUGH).unwrap();
        assert_eq!((records.count, &records), (count, &tail.read(limit, ENOUGH).unwrap()));
        paused.pause();
        assert!(paused.segment.is_none());
    };
    next(1);
    // Within the segment, which is compressed meanwhile.
    gzip::pack(&path(first), &gzip::packed(&path(first)), &AtomicBool::new(false)).unwrap();
    std::fs::remove_file(path(first)).unwrap();
    next(second - 2);
    // At its end, and it is gone; then at the end of all, and more comes.
    std::fs::remove_file(gzip::packed(&path(first))).unwrap();
    next(6 - second);
    log.append(&[entry(99)]).unwrap();
    next(1);
    next(0);
}

#[test]
fn a_reader_goes_on_behind_what_it_has_and_only_in_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    log_of(dir.path(), 10);
    let mut tail = Tail::whole(dir.path());
    tail.read(Some(6), ENOUGH).unwrap();
    let has = tail.at().clone();
    let mut behind = Tail::behind(dir.path(), &has, None).unwrap().unwrap();
    assert_eq!(behind.read(None, ENOUGH).unwrap(), tail.read(None, ENOUGH).unwrap());
    let other = Position { n: 6, sum: "0".repeat(64) };
    assert!(Tail::behind(dir.path(), &other, None).unwrap().is_none(), "another entry 6");
    let ahead = Position { n: 11, sum: has.sum.clone() };
    assert!(Tail::behind(dir.path(), &ahead, None).unwrap().is_none(), "an entry that there is not");
    assert!(Tail::behind(dir.path(), &has, Some(5)).unwrap().is_none(), "one that is not durable");
}

#[test]
fn what_has_to_be_there_and_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    log_of(dir.path(), 2);
    let mut tail = Tail::whole(dir.path());
    assert!(tail.read(Some(3), ENOUGH).is_err());
    let path = dir.path().join(format!("{:020}.log", 1));
    bytes_of(&path, |bytes| bytes[HEADER + 3] ^= 1);
    assert!(Tail::whole(dir.path()).read(Some(2), ENOUGH).is_err());
    assert!(Tail::whole(dir.path()).read(None, ENOUGH).is_err(), "damage is not the end");
    bytes_of(&path, |bytes| {
        bytes[HEADER + 3] ^= 1;
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        bytes.truncate(end - 5);
    });
    assert_eq!(Tail::whole(dir.path()).read(None, ENOUGH).unwrap().count, 1, "half a record is");
    std::fs::remove_file(&path).unwrap();
    assert!(Tail::whole(dir.path()).read(None, ENOUGH).is_err(), "a segment is missing");
}

fn bytes_of(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_copy_is_the_same_log_and_can_be_gone_on_from() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = log_of(from.path(), 10);
    let records = Tail::whole(from.path()).read(None, ENOUGH).unwrap();
    let (mut copy, mut seen) = (copy_of(to.path()), 0);
    copy.take(&records.bytes, &mut |_| {
        seen += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!((seen, copy.end()), (10, log.end()));
    drop(copy);
    assert_eq!(Tail::whole(to.path()).read(None, ENOUGH).unwrap(), records, "byte for byte");
    let media = Box::new(Files::new(to.path().to_owned()));
    let (again, torn) =
        Log::resume(media, Durability::Fsync, None, &mut |_, _| Ok(ControlFlow::Continue(()))).unwrap();
    assert_eq!((again.end(), torn), (log.end(), None));
}

#[test]
fn records_that_are_damaged_or_do_not_follow_are_not_taken() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    log_of(from.path(), 3);
    let mut tail = Tail::whole(from.path());
    let first = tail.read(None, 1).unwrap().bytes;
    let rest = tail.read(None, ENOUGH).unwrap().bytes;
    let taken = |bytes: &[u8]| {
        let dir = tempfile::tempdir_in(to.path()).unwrap();
        copy_of(dir.path()).take(bytes, &mut |_| Ok(()))
    };
    assert!(matches!(taken(&rest), Err(NotTaken::Chain(1))));
    let mut flipped = first.clone();
    flipped[HEADER + 1] ^= 1;
    assert!(matches!(taken(&flipped), Err(NotTaken::Checksum(1))));
    assert!(matches!(taken(&first[..first.len() - 1]), Err(NotTaken::Checksum(1))), "half a record");
    let mut copy = copy_of(to.path());
    let refused = copy.take(&first, &mut |_| Err("is not ours".to_owned()));
    assert!(matches!(refused, Err(NotTaken::Refused(1, _))));
    assert!(copy.take(&first, &mut |_| Ok(())).is_err(), "after that nobody knows what is in it");
}
