//! The log of a session, read back after anything may have happened to it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use crate::store::Durability;
use crate::store::entry::Entry;
use crate::store::faulty::Memory;
use crate::store::log::{Log, Torn};
use crate::store::record;
use crate::store::replay::Replay;
use crate::store::{log::Damage, read::nothing};

type Segments = BTreeMap<u64, Vec<u8>>;

/// Any bytes: the first says what the others are.
pub fn any(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 3 {
        0 => of_anything(bytes),
        1 => that_was_changed(bytes),
        _ => of_any_entries(bytes),
    }
}

/// Any bytes are a log that can be read, a torn one, or a damaged one.
pub fn of_anything(bytes: &[u8]) {
    let mut replay = Replay::default();
    // Refused or not: it ends, and without a fault.
    drop(read(Segments::from([(1, bytes.to_vec())]), &mut |_, entry| replay.follow(entry)));
}

/// Good records with any entries in them, one a line: the replay follows them, or says why not.
pub fn of_any_entries(lines: &[u8]) {
    let (mut segment, mut prev) = (Vec::new(), nothing());
    for (n, entry) in (1..).zip(lines.split(|byte| *byte == b'\n').take(20)) {
        let entry = String::from_utf8_lossy(entry);
        let json = format!(r#"{{"n":{n},"settled":{},"prev":"{prev}","entry":{entry}}}"#, n - 1);
        prev = crate::hex::sha256(json.as_bytes());
        segment.extend(format!("{:08x} {prev} {json}\n", json.len()).into_bytes());
    }
    let mut replay = Replay::default();
    drop(read(Segments::from([(1, segment)]), &mut |_, entry| replay.follow(entry)));
}

/// A good log, changed at some places: what is still read of it is how it began, and none of it is another record.
pub fn that_was_changed(changes: &[u8]) {
    let (good, written) = good();
    let mut segments = good.clone();
    change(&mut segments, changes);
    let mut accepted = Vec::new();
    let outcome = read(segments.clone(), &mut |json, _| {
        accepted.push(json.to_owned());
        Ok(())
    });
    let begins_alike = written.iter().zip(&accepted).all(|(one, other)| one == other);
    assert!(begins_alike && accepted.len() <= written.len(), "only what was written is read");
    if segments == *good {
        assert!(matches!(outcome, Ok(None)) && accepted == *written, "a good log is read: {outcome:?}");
    }
    // What a later record vouches for is never taken for the end of a write that was cut short.
    if outcome.is_ok() {
        let last = segments.values().filter_map(|bytes| record::last(bytes)).max().unwrap_or_default();
        assert!(last <= accepted.len() as u64, "entry {last} is there, and was passed over in silence");
    }
}

fn read(
    segments: Segments,
    visit: &mut dyn FnMut(&str, Entry) -> Result<(), String>,
) -> Result<Option<Torn>, Damage> {
    let media = Box::new(Memory::of(segments));
    let mut go_on =
        |found: &crate::store::log::Found<'_>, entry| visit(found.json, entry).map(ControlFlow::Continue);
    Log::resume(media, Durability::Fsync, None, &mut go_on).map(|(_, torn)| torn)
}

/// A log of two segments, and its records in their order.
fn good() -> &'static (Segments, Vec<String>) {
    static GOOD: OnceLock<(Segments, Vec<String>)> = OnceLock::new();
    GOOD.get_or_init(|| {
        let media = Memory::default();
        let fault = "media in memory take everything";
        let mut log = Log::create(Box::new(media.clone()), Durability::Fsync).expect(fault).with_segments_of(700);
        for count in 0..8 {
            let entry = format!(
                r#"{{"kind":"repaired","at":"2026-01-02T03:04:05Z","program":"p","damage":"{count}","way":"cut","after":0,"lost":0,"aside":"x"}}"#
            );
            let entry: Entry = serde_json::from_str(&entry).expect("it is an entry");
            log.append(&[entry.clone(), entry]).expect(fault);
        }
        log.finish().expect(fault);
        let segments = media.state().segments.clone();
        let mut written = Vec::new();
        let keep = &mut |json: &str, _| {
            written.push(json.to_owned());
            Ok(())
        };
        assert!(matches!(read(segments.clone(), keep), Ok(None)), "it was written a moment ago");
        assert!(segments.len() > 1 && written.len() == 16, "of two segments at least");
        (segments, written)
    })
}

/// Four bytes say where and what: over a segment's byte, its end, zeros, or something twice.
fn change(segments: &mut Segments, changes: &[u8]) {
    for change in changes.chunks_exact(4).take(16) {
        let which = usize::from(change[0]) % segments.len().max(1);
        let Some(bytes) = segments.values_mut().nth(which) else { return };
        let at = usize::from(u16::from_le_bytes([change[1], change[2]])) % (bytes.len() + 1);
        let length = usize::from(change[3] >> 3) * 32;
        let end = (at + length).min(bytes.len());
        match change[3] % 8 {
            0 => bytes.truncate(at),
            1 => bytes[at..end].fill(0),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.extend(vec![0; length]),
            5 => drop(segments.pop_last()),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= change[3] | 1;
                }
            }
        }
    }
}
