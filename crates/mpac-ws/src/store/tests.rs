//! Whatever a crash or a bad disk does to a log, it is read right or refused.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use mpac_core::{ConnId, Input, Peer, Record};
use mpac_wire::{SessionId, Timestamp};

use super::entry::{Entry, Happened};
use super::faulty::{Fault, Memory};
use super::log::{Damage, Log, NotAppended, Torn};
use super::media::{Files, Media};
use super::read::Found;
use super::reading::Reading;
use super::{Durability, Store, name};
use crate::error::Error;

type Segments = BTreeMap<u64, Vec<u8>>;

fn entry(n: u64, text: &str) -> Entry {
    let from = Peer::unproven(ConnId(1));
    let record = Record::new(n, Timestamp::from_micros(n as i64), Input::Frame { from, text: text.into() });
    Entry::Input(Happened::new(&record, "digest".to_owned()).unwrap())
}

fn told(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap()
}

fn read(media: &Memory) -> Result<(Vec<String>, Option<Torn>), Damage> {
    resume(media).map(|(entries, torn, _)| (entries, torn))
}

fn resume(media: &Memory) -> Result<(Vec<String>, Option<Torn>, Log), Damage> {
    let mut entries = Vec::new();
    let mut visit = |_: &Found<'_>, entry: Entry| {
        entries.push(told(&entry));
        Ok(ControlFlow::Continue(()))
    };
    let (log, torn) = Log::resume(Box::new(media.clone()), Durability::Fsync, None, &mut visit)?;
    Ok((entries, torn, log))
}

/// Batches appended one after the other; the media, what was appended, and the bytes after each batch.
fn written(batches: &[&[&str]]) -> (Memory, Vec<String>, Vec<Segments>) {
    let media = Memory::default();
    let mut log = Log::create(Box::new(media.clone()), Durability::Fsync).unwrap();
    let (mut all, mut states) = (Vec::new(), Vec::new());
    for batch in batches {
        let entries: Vec<Entry> =
            batch.iter().zip(all.len() as u64 + 1..).map(|(text, n)| entry(n, text)).collect();
        log.append(&entries).unwrap();
        all.extend(entries.iter().map(told));
        states.push(media.state().segments.clone());
    }
    (media, all, states)
}

/// Without the zeros written ahead.
fn end(segments: &Segments) -> usize {
    segments[&1].iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1)
}

#[test]
fn what_was_appended_is_read_back_and_can_be_added_to() {
    let (media, all, _) = written(&[&["a"], &["b", "c"], &["d"]]);
    assert_eq!(media.state().syncs, 3, "one sync for a batch, however large");
    let (entries, torn, mut log) = resume(&media).unwrap();
    assert_eq!((&entries, torn), (&all, None));
    log.append(&[entry(5, "e")]).unwrap();
    assert_eq!(read(&media).unwrap().0.len(), 5);
}

#[test]
fn a_segment_that_begins_while_a_log_is_read_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let media = Files::new(dir.path().to_owned());
    let mut log = Log::create(Box::new(media), Durability::Fsync).unwrap().with_segments_of(200);
    let mut next = 1..;
    let mut append = |count| {
        let entries: Vec<Entry> = next.by_ref().take(count).map(|n| entry(n, "a")).collect();
        log.append(&entries).unwrap();
    };
    append(2);
    let read = Reading::open(dir.path()).unwrap().entries(&mut |found, _| {
        if found.n == 1 {
            append(5);
        }
        Ok(ControlFlow::Continue(()))
    });
    assert!(Files::new(dir.path().to_owned()).head().unwrap() > Some(1), "nothing began meanwhile");
    assert!(matches!(read, Ok((1.., None))), "{read:?}");
}

#[test]
fn long_logs_lie_in_several_segments_each_full_before_the_next_begins() {
    let media = Memory::default();
    let mut log = Log::create(Box::new(media.clone()), Durability::Fsync).unwrap().with_segments_of(500);
    let long = "x".repeat(3000);
    let texts = ["a", "b", "c", &long, "d", "e", "f", "g"];
    let entries: Vec<Entry> = texts.iter().zip(1..).map(|(text, n)| entry(n, text)).collect();
    for batch in entries.chunks(3) {
        log.append(batch).unwrap();
    }
    let segments = media.state().segments.clone();
    assert!(segments.len() > 3, "{}", segments.len());
    let (read_back, torn, _) = resume(&media).unwrap();
    assert_eq!((read_back, torn), (entries.iter().map(told).collect(), None));
    for missing in segments.keys() {
        let mut fewer = segments.clone();
        fewer.remove(missing);
        let media = Memory::of(fewer);
        media.state().head = segments.keys().max().copied();
        assert!(matches!(read(&media), Err(Damage::Missing(_))), "{missing}");
    }
}

#[test]
fn a_write_that_was_cut_short_at_any_byte_is_cut_off_and_nothing_before_it() {
    let (_, all, states) = written(&[&["a", "b"], &["c", "d"]]);
    let (settled, whole) = (end(&states[0]), end(&states[1]));
    let middle = settled + states[1][&1][settled..].iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for zeros in [false, true] {
        for cut in settled..=whole {
            let mut segments = states[1].clone();
            let segment = segments.get_mut(&1).unwrap();
            segment.truncate(cut);
            if zeros {
                segment.resize(whole + 600, 0);
            }
            let media = Memory::of(segments);
            let (entries, torn, mut log) = resume(&media).unwrap_or_else(|error| panic!("{cut}: {error}"));
            let complete = 2 + usize::from(cut >= middle) + usize::from(cut == whole);
            assert_eq!(entries, all[..complete], "{cut}");
            assert_eq!(torn.is_none(), [settled, middle, whole].contains(&cut), "{cut}");
            log.append(&[entry(entries.len() as u64 + 1, "z")]).unwrap();
            let again = read(&media).unwrap();
            assert_eq!((again.0.len(), again.1), (entries.len() + 1, None), "{cut}");
        }
    }
}

#[test]
fn sectors_missing_from_the_last_write_are_cut_off_and_from_an_earlier_one_are_damage() {
    let long = "x".repeat(2000);
    let (_, all, states) = written(&[&["a", &long], &["c", &long, "e", "f"], &["g"]]);
    let zeroed = |state: &Segments, missing: Range<usize>| {
        let mut segments = state.clone();
        segments.get_mut(&1).unwrap()[missing].fill(0);
        read(&Memory::of(segments))
    };
    let (settled, last) = (end(&states[0]), end(&states[1]) / 512);
    // Of the sector that holds the end of the first batch only what is behind it.
    let begins: Vec<usize> =
        [settled].into_iter().chain((settled.div_ceil(512)..last).map(|sector| sector * 512)).collect();
    assert!(begins.len() > 5 && !settled.is_multiple_of(512));
    for begin in begins {
        for to in begin / 512 + 1..=last {
            let missing = || begin..to * 512;
            let (entries, torn) =
                zeroed(&states[1], missing()).unwrap_or_else(|error| panic!("{begin} to {to}: {error}"));
            assert!(torn.is_some() && entries.len() >= 2 && all.starts_with(&entries), "{begin} to {to}");
            // The third batch says that the second was on the disk.
            assert!(zeroed(&states[2], missing()).is_err(), "{begin} to {to}");
        }
    }
}

#[test]
fn no_flipped_bit_makes_an_entry_another_or_disappear() {
    let (_, all, states) = written(&[&["a"], &["b b", "c"], &["d@ d"]]);
    let whole = end(&states[2]);
    for byte in 0..whole + 4 {
        for bit in 0..8 {
            let mut segments = states[2].clone();
            segments.get_mut(&1).unwrap().truncate(whole + 8);
            segments.get_mut(&1).unwrap()[byte] ^= 1 << bit;
            if let Ok((entries, _)) = read(&Memory::of(segments)) {
                assert_eq!(entries, all, "byte {byte}, bit {bit}");
                assert!(byte >= whole, "byte {byte}, bit {bit} was not noticed");
            }
        }
    }
}

#[test]
fn a_record_exchanged_for_another_good_one_breaks_the_chain() {
    let (_, _, ours) = written(&[&["a"], &["b"], &["c"]]);
    let (_, _, theirs) = written(&[&["x"], &["y"], &["z"]]);
    let mut segments = ours[2].clone();
    let (from, to) = (end(&ours[0]), end(&ours[1]));
    segments.get_mut(&1).unwrap()[from..to].copy_from_slice(&theirs[1][&1][from..to]);
    let refused = read(&Memory::of(segments)).unwrap_err().to_string();
    assert!(refused.contains("entry 2") && refused.contains("the chain is broken"), "{refused}");
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_added_and_nothing_acknowledged_is_lost() {
    for fault in (0..900).step_by(7).map(Fault::NoSpace).chain([Fault::Sync]) {
        let media = Memory::default();
        let mut log = Log::create(Box::new(media.clone()), Durability::Fsync).unwrap();
        log.append(&[entry(1, "a")]).unwrap();
        media.state().fault = Some(fault);
        let batch: Vec<Entry> = (2..7).map(|n| entry(n, "b")).collect();
        log.append(&batch).unwrap_err();
        media.state().fault = None;
        assert!(matches!(log.append(&[entry(7, "c")]), Err(NotAppended::Failed)), "{fault:?}: no retry");
        let (entries, ..) = resume(&media).unwrap();
        assert_eq!(entries[0], told(&entry(1, "a")), "{fault:?}");
        let expected: Vec<String> = batch.iter().map(told).collect();
        assert!(expected.starts_with(&entries[1..]), "{fault:?}");
    }
}

/// What the system shows after a sync that failed need not be on the disk, and no later sync brings it there.
#[test]
fn what_a_sync_failed_for_is_on_the_disk_once_the_log_goes_on() {
    for durability in [Durability::Fsync, Durability::Os] {
        let media = Memory::default();
        let mut log = Log::create(Box::new(media.clone()), durability).unwrap();
        log.append(&[entry(1, "a"), entry(2, "a")]).unwrap();
        media.state().fault = Some(Fault::Sync);
        let failed = log.append(&[entry(3, "b"), entry(4, "b")]);
        assert_eq!(failed.is_err(), durability == Durability::Fsync);
        media.state().fault = None;
        drop(log);
        let (entries, _, mut log) = resume(&media).unwrap();
        assert_eq!(entries.len(), 4);
        log.append(&[entry(5, "c")]).unwrap();
        let after_a_power_cut = Memory::of(media.state().disk.clone());
        assert_eq!(read(&after_a_power_cut).unwrap().0.len(), 5, "{durability:?}");
    }
}

#[test]
fn one_process_has_a_data_directory_and_each_session_a_place_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Durability::Fsync).unwrap();
    let taken = Store::open(dir.path(), Durability::Fsync).unwrap_err();
    assert!(matches!(taken, Error::DataDirTaken { .. }), "{taken}");
    let id = |text: &str| SessionId::new(text).unwrap();
    let ids = ["a", "A", "a b", "../a", "id-a", "é", &"a".repeat(200)];
    let names: std::collections::BTreeSet<String> =
        ids.iter().map(|text| name(&id(text)).to_lowercase()).collect();
    assert_eq!(names.len(), ids.len(), "{names:?}");
    assert!(store.stored().unwrap().is_empty());
    store.begin(&id("a")).unwrap();
    store.begin(&id("a")).unwrap();
    let last = store.stored().unwrap();
    assert!(last.len() == 1 && last[0].dir.ends_with("a/2"), "{last:?}");
    assert_eq!(super::sessions(dir.path()).unwrap().len(), 2);
    drop(store);
    Store::open(dir.path(), Durability::Os).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn nobody_waits_for_a_session_that_could_not_be_begun() {
    let dir = tempfile::tempdir().unwrap();
    // The directory of the name has the longest path there can be, so that nothing can be made in it.
    let mut data = dir.path().to_owned();
    while data.as_os_str().len() < 3985 {
        data.push("d".repeat(50));
    }
    let id = "s".repeat(4095 - data.as_os_str().len() - "/sessions/".len());
    let store = Store::open(&data, Durability::Fsync).unwrap();
    store.begin(&SessionId::new(&id).unwrap()).unwrap_err();
    assert_eq!(super::names(&data).unwrap().len(), 1);
    assert!(store.durable().all().is_empty());
}

#[test]
fn a_full_disk_with_a_reserve_keeps_what_comes_then_and_says_that_this_is_the_end() {
    for left in (0..2600).step_by(13) {
        let media = Memory::default();
        // Small, so that a new segment may be what there is no room for.
        let mut log = Log::create(Box::new(media.clone()), Durability::Fsync).unwrap().with_segments_of(600);
        log.append(&[entry(1, "a")]).unwrap();
        assert!(!log.is_short());
        (media.state().fault, media.state().reserve) = (Some(Fault::NoSpace(left)), Some(50_000));
        let entries: Vec<Entry> = (2..9).map(|n| entry(n, "b b b")).collect();
        for batch in entries.chunks(3) {
            log.append(batch).unwrap_or_else(|error| panic!("{left}: {error}"));
        }
        let used = media.state().reserve.is_none();
        assert_eq!(log.is_short(), used, "{left}");
        assert!(used || left > 1000, "{left}");
        let (read_back, torn, _) = resume(&media).unwrap();
        assert_eq!((read_back[1..].to_vec(), torn), (entries.iter().map(told).collect(), None), "{left}");
    }
}

#[test]
fn the_reserve_is_for_what_is_said_and_not_for_zeros() {
    let media = Memory::default();
    let mut log = Log::create(Box::new(media.clone()), Durability::Fsync).unwrap();
    log.append(&[entry(1, "a")]).unwrap();
    (media.state().fault, media.state().reserve) = (Some(Fault::NoSpace(0)), Some(80_000));
    log.append(&[entry(2, &"b".repeat(70_000))]).unwrap();
    assert!(log.is_short());
    log.append(&[entry(3, "c")]).unwrap();
    assert_eq!(read(&media).unwrap().0.len(), 3);
}

#[test]
fn whoever_reads_a_log_is_told_how_far_that_is() {
    let media = Memory::default();
    let mut log = Log::create(Box::new(media.clone()), Durability::Fsync).unwrap().with_segments_of(500);
    for n in 1..=9 {
        log.append(&[entry(n, "a")]).unwrap();
    }
    log.finish().unwrap();
    let (mut at, mut of) = (Vec::new(), 0);
    let mut visit = |found: &Found<'_>, _: Entry| {
        at.push((found.n, found.bytes));
        of = found.total;
        Ok(ControlFlow::Continue(()))
    };
    Log::resume(Box::new(media.clone()), Durability::Fsync, None, &mut visit).unwrap();
    assert_eq!(of as usize, media.state().segments.values().map(Vec::len).sum::<usize>());
    assert_eq!((at[0], at.len()), ((1, 0), 9));
    assert!(
        at.is_sorted() && at.windows(2).all(|pair| pair[0].1 < pair[1].1) && at[8].1 < of,
        "{at:?} of {of}"
    );
}
