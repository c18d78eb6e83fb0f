//! How far a log can be changed by whoever has everything but the key. With `MPAC_SEAL_ENTRIES=200000`,
//! `cargo test --release -p mpac-ws --lib what_seals_cost -- --nocapture` is how their cost is measured.

use std::env;
use std::ops::ControlFlow;
use std::time::Instant;

use mpac_core::{Command, ConnId, Input, Peer, Record};
use mpac_wire::PublicKey;

use super::*;
use crate::store::Durability;
use crate::store::entry::Happened;
use crate::store::faulty::Memory;
use crate::store::log::{Damage, Log};
use crate::store::media::{Files, Media};
use crate::store::read::Found;
use crate::store::record;
use crate::store::tail::Tail;

fn key(n: u8) -> Arc<Signing> {
    Arc::new(Signing::of_seed(&[n; 32]).unwrap())
}

fn public(key: &Signing) -> Verifying {
    Verifying::Ed25519(PublicKey::new(key.public().as_bytes()))
}

fn sealer(key: &Arc<Signing>) -> Sealer {
    Sealer::new(SessionId::new("s").unwrap(), Arc::clone(key))
}

fn entry(n: u64) -> Entry {
    let input = Input::Frame { from: Peer::unproven(ConnId(1)), text: format!("frame {n}").into() };
    let record = Record::new(n, Timestamp::from_micros(n as i64), input);
    Entry::Input(Happened::new(&record, "digest".to_owned()).unwrap())
}

fn create(media: &Memory, key: &Arc<Signing>) -> Log {
    Log::create(Box::new(media.clone()), Durability::Fsync).unwrap().sealed_by(Some(sealer(key)))
}

fn append(log: &mut Log, count: u64) {
    (0..count).for_each(|n| log.append(&[entry(n)]).unwrap());
}

/// What stands in the log: the seals, each with its number.
fn seals(media: &Memory) -> Result<Vec<(u64, Seal)>, Damage> {
    let mut seals = Vec::new();
    let mut visit = |found: &Found<'_>, entry: Entry| {
        if let Entry::Seal(seal) = entry {
            seals.push((found.n, seal));
        }
        Ok(ControlFlow::Continue(()))
    };
    Log::resume(Box::new(media.clone()), Durability::Fsync, None, &mut visit)?;
    Ok(seals)
}

fn numbers(media: &Memory) -> Vec<u64> {
    seals(media).unwrap().iter().map(|(n, _)| *n).collect()
}

#[test]
fn a_seal_follows_the_first_entry_then_every_so_many_and_the_end() {
    let (media, key) = (Memory::default(), key(1));
    let mut log = create(&media, &key);
    append(&mut log, 1);
    assert_eq!(numbers(&media), [2]);
    append(&mut log, 2 * EVERY);
    assert_eq!(numbers(&media), [2, 3 + EVERY, 4 + 2 * EVERY]);
    append(&mut log, 3);
    log.finish().unwrap();
    assert_eq!(numbers(&media), [2, 3 + EVERY, 4 + 2 * EVERY, 8 + 2 * EVERY]);
    for (n, seal) in seals(&media).unwrap() {
        assert_eq!((seal.seq, seal.key()), (n - 1, Some(key.public().fingerprint())));
        assert!(seal.is_by(&public(&key)) && !seal.is_by(&public(&self::key(2))));
    }
}

#[test]
fn a_batch_has_its_seals_inside_and_whoever_goes_on_begins_with_one() {
    let (media, first, second) = (Memory::default(), key(1), key(2));
    let mut log = create(&media, &first);
    log.append(&(0..200).map(entry).collect::<Vec<_>>()).unwrap();
    assert_eq!(numbers(&media), [2, 67, 132, 197]);
    // Killed here: nothing seals the last four.
    drop(log);
    let mut visit = |_: &Found<'_>, _| Ok(ControlFlow::Continue(()));
    let (log, _) = Log::resume(Box::new(media.clone()), Durability::Fsync, None, &mut visit).unwrap();
    let mut log = log.sealed_by(Some(sealer(&second)));
    append(&mut log, 1);
    let seals = seals(&media).unwrap();
    assert_eq!(seals.last().map(|(n, seal)| (*n, seal.is_by(&public(&second)))), Some((206, true)));
    log.finish().unwrap();
    assert_eq!(numbers(&media).len(), 5, "what is sealed is not sealed again");
}

#[test]
fn a_snapshot_lies_behind_a_seal() {
    let (dir, key) = (tempfile::tempdir().unwrap(), key(1));
    let log = Log::create(Box::new(Files::new(dir.path().to_owned())), Durability::Os).unwrap();
    let mut log = log.sealed_by(Some(sealer(&key)));
    append(&mut log, 3);
    assert_eq!(log.position().unwrap().unwrap().after.n, 5);
    assert_eq!(log.position().unwrap().unwrap().after.n, 5);
    append(&mut log, 1);
    assert_eq!(log.position().unwrap().unwrap().after.n, 7);
}

#[test]
fn the_old_key_seals_what_the_new_one_is_announced_in() {
    let (media, first, second) = (Memory::default(), key(1), key(2));
    let mut log = create(&media, &first);
    append(&mut log, 2);
    let input = Input::Command(Command::RotateKey(second.public().clone()));
    let record = Record::new(3, Timestamp::from_micros(3), input);
    log.append(&[Entry::Input(Happened::new(&record, String::new()).unwrap())]).unwrap();
    assert_eq!(numbers(&media), [2, 5], "at once");
    log.sealer().unwrap().switch(Arc::clone(&second));
    append(&mut log, EVERY);
    let by: Vec<bool> = seals(&media).unwrap().iter().map(|(_, seal)| seal.is_by(&public(&first))).collect();
    assert_eq!(by, [true, true, false]);
    assert!(seals(&media).unwrap()[2].1.is_by(&public(&second)));
}

/// The log written anew with another entry in it, with checksums as they should be.
fn rewritten(media: &Memory, change: impl Fn(u64, Entry) -> Entry) -> Memory {
    let (mut bytes, mut prev, mut n) = (Vec::new(), "0".repeat(64), 0);
    let mut visit = |_: &Found<'_>, entry: Entry| {
        n += 1;
        prev = record::write(&mut bytes, (n, n - 1, &prev), &change(n, entry)).unwrap();
        Ok(ControlFlow::Continue(()))
    };
    Log::resume(Box::new(media.clone()), Durability::Fsync, None, &mut visit).unwrap();
    Memory::of([(1, bytes)].into())
}

#[test]
fn who_writes_a_log_anew_without_the_key_cannot_seal_it() {
    let (media, key) = (Memory::default(), key(1));
    append(&mut create(&media, &key), 10);
    assert!(seals(&rewritten(&media, |_, entry| entry)).is_ok());
    // Another entry 1: the seal is not about it any more.
    let other = |n, entry| if n == 1 { self::entry(7) } else { entry };
    let error = seals(&rewritten(&media, other)).unwrap_err().to_string();
    assert!(error.contains("entry 2 does not follow"), "{error}");
    // With the right head in it, its signature is wrong.
    let head = seals(&rewritten(&media, |n, entry| if n == 2 { self::entry(8) } else { other(n, entry) }));
    assert!(head.unwrap().is_empty());
    let mut changed = seals(&media).unwrap().remove(0).1;
    for change in [
        |seal: &mut Seal| seal.head = "1".repeat(64),
        |seal: &mut Seal| seal.seq += 1,
        |seal: &mut Seal| seal.at = Timestamp::from_micros(99),
        |seal: &mut Seal| seal.session_id = SessionId::new("t").unwrap(),
        |seal: &mut Seal| seal.signature = seal.signature.replace("ed25519", "hmac-sha256"),
    ] {
        let good = changed.clone();
        assert!(changed.is_by(&public(&key)));
        change(&mut changed);
        assert!(!changed.is_by(&public(&key)), "{changed:?}");
        changed = good;
    }
}

#[test]
fn a_seal_that_a_crash_cut_short_is_made_again() {
    let (media, key) = (Memory::default(), key(1));
    append(&mut create(&media, &key), 1);
    let whole = media.read(1).unwrap();
    let end = whole.iter().rposition(|&byte| byte != 0).unwrap();
    let torn = Memory::of([(1, whole[..end - 20].to_vec())].into());
    assert!(numbers(&torn).is_empty());
    let mut visit = |_: &Found<'_>, _| Ok(ControlFlow::Continue(()));
    let (log, _) = Log::resume(Box::new(torn.clone()), Durability::Fsync, None, &mut visit).unwrap();
    append(&mut log.sealed_by(Some(sealer(&key))), 1);
    assert_eq!(numbers(&torn), [3]);
}

#[test]
fn a_copy_has_the_seals_of_what_it_is_a_copy_of() {
    let (dir, copy, key) = (tempfile::tempdir().unwrap(), Memory::default(), key(1));
    let log = Log::create(Box::new(Files::new(dir.path().to_owned())), Durability::Os).unwrap();
    append(&mut log.sealed_by(Some(sealer(&key))), 3);
    let records = Tail::from_the_first(dir.path()).unwrap().read(None, 1 << 20).unwrap();
    let mut log = Log::create(Box::new(copy.clone()), Durability::Fsync).unwrap();
    log.take(&records.bytes, &mut |_| Ok(())).unwrap();
    assert!(seals(&copy).unwrap()[0].1.is_by(&public(&key)));
}

#[test]
fn what_seals_cost() {
    let entries: u64 = env::var("MPAC_SEAL_ENTRIES").map_or(2_000, |text| text.parse().unwrap());
    let batches: Vec<Vec<Entry>> = (0..entries)
        .collect::<Vec<_>>()
        .chunks(16)
        .map(|ns| ns.iter().copied().map(entry).collect())
        .collect();
    for sealer in [None, Some(sealer(&key(1)))] {
        let (dir, is_sealed) = (tempfile::tempdir().unwrap(), sealer.is_some());
        let log = Log::create(Box::new(Files::new(dir.path().to_owned())), Durability::Os).unwrap();
        let mut log = log.sealed_by(sealer);
        let began = Instant::now();
        batches.iter().for_each(|batch| log.append(batch).unwrap());
        let per_second = entries as f64 / began.elapsed().as_secs_f64();
        println!("sealed: {is_sealed}: {per_second:.0} entries/s, ends with {}", log.end().n);
        assert_eq!(log.end().n > entries, is_sealed);
    }
}
